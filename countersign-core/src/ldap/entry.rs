//! An entry as a search returns it, and its values by their syntax (RFC 4517).

use std::{collections::BTreeMap, fmt};

use super::time;
use crate::{oath::hotp::DigitsError, time::UnixTime};

/// An entry: its name, and the values of its attributes.
///
/// Names of attributes are compared without regard to case (RFC 4512 §2.5); options such as
/// `;binary` are part of the name here.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    dn: String,
    attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

/// What an entry has that cannot be used, or has not and should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {dn}: attribute {attribute} {cause}")]
pub struct EntryError {
    /// The entry.
    pub dn: String,
    /// The attribute.
    pub attribute: String,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with an attribute. No value is shown that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// There is none, or none that we may read.
    #[error("is missing; is it set, and may this program read it?")]
    Missing,
    /// There are several values where one is wanted.
    #[error("has {0} values; one is wanted")]
    Several(usize),
    /// A text that is not UTF-8.
    #[error("is no text in UTF-8")]
    NotText,
    /// Not a decimal number.
    #[error("is no decimal number")]
    NotNumber,
    /// A number that cannot be.
    #[error("is {value}; it must be {wanted}")]
    Range {
        /// The number.
        value: i128,
        /// What it may be.
        wanted: &'static str,
    },
    /// Not a generalized time.
    #[error("is {0:?}, which is no generalized time such as 20261124115633Z")]
    NotTime(String),
    /// Not a UUID.
    #[error("is {0:?}, which is no UUID")]
    NotUuid(String),
    /// Not a security identifier.
    #[error("is no security identifier")]
    NotSid,
    /// An HMAC that the schema does not know.
    #[error("is {0:?}; the schema knows 1.2.840.113549.2.7 (SHA-1) to .11 (SHA-512)")]
    UnknownAlgorithm(String),
    /// A number of digits that no OTP has.
    #[error("is not possible: {0}")]
    Digits(#[from] DigitsError),
    /// A shared secret that is not encrypted, where that is not allowed.
    #[error(
        "is no JWE; directory.plain-secrets says in the config how shared secrets are read that are not encrypted"
    )]
    NotEncrypted,
    /// A shared secret that should be base32 and is not.
    #[error("is neither a JWE nor base32")]
    NotBase32,
}

impl Entry {
    /// One without attributes.
    #[must_use]
    pub fn new(dn: impl Into<String>) -> Self {
        Self { dn: dn.into(), attributes: BTreeMap::new() }
    }

    /// Adds values of an attribute.
    pub fn add(&mut self, attribute: &str, values: impl IntoIterator<Item = Vec<u8>>) {
        self.attributes.entry(attribute.to_ascii_lowercase()).or_default().extend(values);
    }

    /// The same entry with one more value, as text.
    #[must_use]
    pub fn with(mut self, attribute: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(attribute, [value.as_ref().to_vec()]);
        self
    }

    /// Its distinguished name, as the directory writes it.
    #[must_use]
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// All values of an attribute; none if it is not there.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes.get(&attribute.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Whether it is of an object class.
    #[must_use]
    pub fn is_a(&self, object_class: &str) -> bool {
        let classes = self.values("objectClass");
        classes.iter().any(|class| class.eq_ignore_ascii_case(object_class.as_bytes()))
    }

    /// The one value of an attribute.
    ///
    /// # Errors
    ///
    /// There are several.
    pub fn octets(&self, attribute: &str) -> Result<Option<&[u8]>, EntryError> {
        match self.values(attribute) {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => Err(self.error(attribute, Cause::Several(several.len()))),
        }
    }

    /// The one value of an attribute, as text.
    ///
    /// # Errors
    ///
    /// There are several, or it is no text.
    pub fn text(&self, attribute: &str) -> Result<Option<&str>, EntryError> {
        let octets = self.octets(attribute)?;
        octets.map(|octets| self.as_text(attribute, octets)).transpose()
    }

    /// All values of an attribute, as texts.
    ///
    /// # Errors
    ///
    /// One of them is no text.
    pub fn texts(&self, attribute: &str) -> Result<Vec<&str>, EntryError> {
        let values = self.values(attribute).iter();
        values.map(|octets| self.as_text(attribute, octets)).collect()
    }

    /// The one value of an attribute, as a number within bounds, which `wanted` says in words.
    ///
    /// # Errors
    ///
    /// There are several, it is no number, or not within the bounds.
    pub fn number<T: TryFrom<i128>>(
        &self,
        attribute: &str,
        wanted: &'static str,
    ) -> Result<Option<T>, EntryError> {
        let Some(octets) = self.octets(attribute)? else { return Ok(None) };
        let number = std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok());
        let value: i128 = number.ok_or_else(|| self.error(attribute, Cause::NotNumber))?;
        let fits = T::try_from(value);
        fits.map(Some).map_err(|_| self.error(attribute, Cause::Range { value, wanted }))
    }

    /// The one value of an attribute, as a point in time.
    ///
    /// # Errors
    ///
    /// There are several, or it is no generalized time.
    pub fn time(&self, attribute: &str) -> Result<Option<UnixTime>, EntryError> {
        let Some(text) = self.text(attribute)? else { return Ok(None) };
        let time = time::read(text);
        time.map(Some).ok_or_else(|| self.error(attribute, Cause::NotTime(text.to_owned())))
    }

    /// The one value of an attribute, as an identifier.
    ///
    /// # Errors
    ///
    /// It is missing, there are several, or it is no UUID.
    pub fn identifier<T: std::str::FromStr>(&self, attribute: &str) -> Result<T, EntryError> {
        let text = self.text(attribute)?.ok_or_else(|| self.error(attribute, Cause::Missing))?;
        text.parse().map_err(|_| self.error(attribute, Cause::NotUuid(text.to_owned())))
    }

    /// What is wrong with an attribute of this entry.
    #[must_use]
    pub fn error(&self, attribute: &str, cause: Cause) -> EntryError {
        EntryError { dn: self.dn.clone(), attribute: attribute.to_owned(), cause }
    }

    fn as_text<'a>(&self, attribute: &str, octets: &'a [u8]) -> Result<&'a str, EntryError> {
        std::str::from_utf8(octets).map_err(|_| self.error(attribute, Cause::NotText))
    }
}

/// Names and numbers of values only: among them are hashes of passwords and shared secrets.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.attributes.iter().map(|(name, values)| (name, values.len()));
        write!(f, "Entry({:?}, ", self.dn)?;
        f.debug_map().entries(counts).finish()?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::TokenId;

    fn entry() -> Entry {
        Entry::new("cn=t,dc=example")
            .with("objectClass", "device")
            .with("objectClass", "oathHOTPToken")
            .with("oathHOTPCounter", "17")
            .with("oathSecretTime", "20261124115633Z")
            .with("entryUUID", "30313233-3435-3637-3839-616263646566")
            .with("oathSecret", [0xff, 0xfe])
    }

    #[test]
    fn attributes_and_classes_are_found_in_any_case() {
        let entry = entry();
        assert_eq!(entry.text("OATHhotpCOUNTER"), Ok(Some("17")));
        assert!(entry.is_a("OATHHOTPToken") && !entry.is_a("oathTOTPToken"));
        assert_eq!(entry.texts("objectclass"), Ok(vec!["device", "oathHOTPToken"]));
    }

    #[test]
    fn values_are_read_by_their_syntax() {
        let entry = entry();
        assert_eq!(entry.number::<u64>("oathHOTPCounter", "a counter"), Ok(Some(17)));
        assert_eq!(entry.time("oathSecretTime"), Ok(Some(UnixTime(1_795_521_393))));
        assert_eq!(entry.identifier("entryUUID"), Ok(TokenId::from_bytes(*b"0123456789abcdef")));
        assert_eq!(entry.octets("oathSecret"), Ok(Some(&[0xff, 0xfe][..])));
        assert_eq!(entry.number::<u64>("oathFailureCount", "a counter"), Ok(None));
        assert_eq!(entry.time("oathLastLogin"), Ok(None));
        assert_eq!(entry.text("cn"), Ok(None));
    }

    #[test]
    fn errors_name_the_entry_and_the_attribute() {
        let entry = entry()
            .with("bad", "x")
            .with("negative", "-3")
            .with("huge", "18446744073709551616")
            .with("empty", "");
        let number = |attribute| entry.number::<u64>(attribute, "a counter").unwrap_err();
        for (error, text) in [
            (number("objectClass"), "objectClass has 2 values; one is wanted"),
            (number("bad"), "bad is no decimal number"),
            (number("empty"), "empty is no decimal number"),
            (number("negative"), "negative is -3; it must be a counter"),
            (number("huge"), "huge is 18446744073709551616; it must be a counter"),
            (number("oathSecret"), "oathSecret is no decimal number"),
            (entry.text("oathSecret").unwrap_err(), "oathSecret is no text in UTF-8"),
            (
                entry.time("bad").unwrap_err(),
                "bad is \"x\", which is no generalized time such as 20261124115633Z",
            ),
            (entry.identifier::<TokenId>("bad").unwrap_err(), "bad is \"x\", which is no UUID"),
            (
                entry.identifier::<TokenId>("cn").unwrap_err(),
                "cn is missing; is it set, and may this program read it?",
            ),
        ] {
            assert_eq!(error.to_string(), format!("entry cn=t,dc=example: attribute {text}"));
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", entry().with("userPassword", "{SSHA}hash"));
        assert!(shown.contains("userpassword") && !shown.contains("hash"), "{shown}");
        assert!(!shown.contains("255"), "{shown}");
    }
}
