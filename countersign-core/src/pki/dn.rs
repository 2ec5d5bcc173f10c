//! Distinguished names: RFC 4514 text, comparison as directories compare.
//!
//! The library's own reader takes an escaped backslash before an escaped comma
//! for a separator, and compares string types and case. Here names are compared
//! by what they say: RDN by RDN, attributes of one RDN in any order, without
//! regard to case, string type and repeated spaces (RFC 4517, caseIgnoreMatch).

use std::{fmt, str::FromStr};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use der::{
    Any, Decode, Encode, Tag, Tagged,
    asn1::{BmpString, ObjectIdentifier, SetOfVec, TeletexStringRef},
};
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

use super::{algorithm::der_octets, oid};

/// A distinguished name, most significant RDN first, as DER has it.
#[derive(Debug, Clone, Default)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

/// What is not a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnError {
    /// No `type=value`, a character that must be escaped, or a broken escape.
    #[error("the distinguished name is not as RFC 4514 writes it, near \"{near}\"")]
    Syntax {
        /// The part that could not be read.
        near: String,
    },
    /// A keyword that is not known here; its number would be.
    #[error("the attribute type {0} is unknown; write its object identifier")]
    UnknownType(String),
    /// A value that is no string of a kind that names have.
    #[error("a value of the distinguished name cannot be encoded")]
    Value,
}

impl DistinguishedName {
    /// The name that a certificate or request holds.
    #[must_use]
    pub fn from_name(name: &Name) -> Self {
        let attribute = |attribute: &AttributeTypeAndValue| Attribute {
            kind: attribute.oid,
            value: Value::from_any(&attribute.value),
        };
        Self(name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect()).collect())
    }

    /// The name for a certificate or request: IA5String for `DC` and mail
    /// addresses, PrintableString for countries, UTF8String otherwise (RFC 5280 §4.1.2.4).
    ///
    /// # Errors
    ///
    /// A value does not fit its string type.
    pub fn to_name(&self) -> Result<Name, DnError> {
        let mut sequence = RdnSequence::default();
        for rdn in &self.0 {
            let attributes: Result<Vec<_>, _> = rdn.iter().map(Attribute::to_der_type).collect();
            let set = SetOfVec::try_from(attributes?).map_err(|_| DnError::Value)?;
            sequence.push(RelativeDistinguishedName::from(set));
        }
        Name::from_der(&der_octets(&sequence)).map_err(|_| DnError::Value)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The common name, if there is one that is text; of several the least significant.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        let mut attributes = self.0.iter().rev().flatten();
        attributes.find_map(|Attribute { kind, value }| match value {
            Value::Text(text) if *kind == oid::COMMON_NAME => Some(text.as_str()),
            Value::Text(_) | Value::Other(_) => None,
        })
    }

    /// Whether both name the same entry.
    #[must_use]
    pub fn names_same_entry(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| comparable(a) == comparable(b))
    }
}

impl FromStr for DistinguishedName {
    type Err = DnError;

    /// Reads RFC 4514 text; spaces around separators are tolerated.
    fn from_str(text: &str) -> Result<Self, DnError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let rdn = |part| split(part, '+').into_iter().map(Attribute::parse).collect();
        let mut rdns = split(text, ',').into_iter().map(rdn).collect::<Result<Vec<_>, _>>()?;
        rdns.reverse();
        Ok(Self(rdns))
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.0.iter().rev().flat_map(|rdn| rdn.iter().enumerate());
        for (number, (place, attribute)) in attributes.enumerate() {
            match (number, place) {
                (0, _) => {}
                (_, 0) => f.write_str(",")?,
                (_, _) => f.write_str("+")?,
            }
            attribute.fmt(f)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Attribute {
    kind: ObjectIdentifier,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    /// Something that is no string, as DER.
    Other(Vec<u8>),
}

impl Attribute {
    fn parse(text: &str) -> Result<Self, DnError> {
        let syntax = || DnError::Syntax { near: text.to_owned() };
        let (kind, value) = text.split_once('=').ok_or_else(syntax)?;
        let kind = read_type(kind.trim())?;
        let value = value.trim_start_matches(' ');
        let value = match value.strip_prefix('#') {
            Some(digits) => {
                let octets = HEXLOWER_PERMISSIVE.decode(digits.trim_end().as_bytes());
                let any = octets.ok().and_then(|octets| Any::from_der(&octets).ok());
                Value::from_any(&any.ok_or_else(syntax)?)
            }
            None => Value::Text(unescape(value).ok_or_else(syntax)?),
        };
        Ok(Self { kind, value })
    }

    fn to_der_type(&self) -> Result<AttributeTypeAndValue, DnError> {
        let tag = match self.kind {
            DC | EMAIL => Tag::Ia5String,
            COUNTRY | SERIAL_NUMBER => Tag::PrintableString,
            _ => Tag::Utf8String,
        };
        let value = match &self.value {
            Value::Text(text) if !fits(tag, text) => return Err(DnError::Value),
            Value::Text(text) => Any::new(tag, text.as_bytes()),
            Value::Other(der) => Any::from_der(der),
        };
        Ok(AttributeTypeAndValue { oid: self.kind, value: value.map_err(|_| DnError::Value)? })
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYWORDS.iter().find(|(_, kind)| *kind == self.kind) {
            Some((keyword, _)) => write!(f, "{keyword}=")?,
            None => write!(f, "{}=", self.kind)?,
        }
        match &self.value {
            Value::Text(text) => f.write_str(&escape(text)),
            Value::Other(der) => write!(f, "#{}", HEXLOWER.encode(der)),
        }
    }
}

impl Value {
    fn from_any(any: &Any) -> Self {
        let tag = any.tag();
        let text = if [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String].contains(&tag) {
            std::str::from_utf8(any.value()).ok().map(str::to_owned)
        } else if tag == Tag::TeletexString {
            any.decode_as::<TeletexStringRef<'_>>().ok().map(|text| text.as_str().to_owned())
        } else if tag == Tag::BmpString {
            any.decode_as::<BmpString>().ok().map(|text| text.to_string())
        } else {
            None
        };
        text.map_or_else(|| Self::Other(any.to_der().unwrap_or_default()), Self::Text)
    }
}

/// A value as it is compared; no text is the same as something else.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Folded<'a> {
    Text(String),
    Other(&'a [u8]),
}

impl<'a> Folded<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => {
                let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
                Self::Text(words.join(" "))
            }
            Value::Other(der) => Self::Other(der),
        }
    }
}

/// What of an RDN is compared, in one order.
fn comparable(rdn: &[Attribute]) -> Vec<(ObjectIdentifier, Folded<'_>)> {
    let mut folded: Vec<_> =
        rdn.iter().map(|attribute| (attribute.kind, Folded::of(&attribute.value))).collect();
    folded.sort();
    folded
}

/// Splits at every separator that is not escaped.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        if !escaped && character == separator {
            parts.push(&text[start..at]);
            start = at + separator.len_utf8();
        }
        escaped = !escaped && character == '\\';
    }
    parts.push(&text[start..]);
    parts
}

fn read_type(text: &str) -> Result<ObjectIdentifier, DnError> {
    let known = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(text));
    match known {
        Some((_, kind)) => Ok(*kind),
        None => ObjectIdentifier::new(text).map_err(|_| DnError::UnknownType(text.to_owned())),
    }
}

/// Resolves escapes, and drops the unescaped spaces at the end.
fn unescape(text: &str) -> Option<String> {
    let mut octets: Vec<u8> = Vec::with_capacity(text.len());
    let mut kept = 0;
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (
                b'\\',
                [
                    special
                    @ (b'"' | b'+' | b',' | b';' | b'<' | b'>' | b' ' | b'#' | b'=' | b'\\'),
                    after @ ..,
                ],
            ) => {
                octets.push(*special);
                kept = octets.len();
                after
            }
            (b'\\', [high, low, after @ ..]) => {
                octets.extend(HEXLOWER_PERMISSIVE.decode(&[*high, *low]).ok()?);
                kept = octets.len();
                after
            }
            (b'\\' | b'"' | b'+' | b',' | b';' | b'<' | b'>' | 0, _) => return None,
            (other, after) => {
                octets.push(*other);
                if *other != b' ' {
                    kept = octets.len();
                }
                after
            }
        };
    }
    octets.truncate(kept);
    String::from_utf8(octets).ok()
}

fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', character]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            control if control.is_control() => {
                let octets = control.to_string();
                octets.bytes().for_each(|octet| out.push_str(&format!("\\{octet:02X}")));
            }
            other => out.push(other),
        }
    }
    out
}

fn fits(tag: Tag, text: &str) -> bool {
    let printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    (tag != Tag::Ia5String || text.is_ascii())
        && (tag != Tag::PrintableString || text.bytes().all(printable))
}

const DC: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");
const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");

/// The keywords of RFC 4514 §3 first, then what directories and OpenSSL also write.
const KEYWORDS: [(&str, ObjectIdentifier); 21] = [
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("C", COUNTRY),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
    ("DC", DC),
    ("UID", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1")),
    ("SN", ObjectIdentifier::new_unwrap("2.5.4.4")),
    ("serialNumber", SERIAL_NUMBER),
    ("title", ObjectIdentifier::new_unwrap("2.5.4.12")),
    ("givenName", ObjectIdentifier::new_unwrap("2.5.4.42")),
    ("initials", ObjectIdentifier::new_unwrap("2.5.4.43")),
    ("dnQualifier", ObjectIdentifier::new_unwrap("2.5.4.46")),
    ("emailAddress", EMAIL),
    ("E", EMAIL),
    ("commonName", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("domainComponent", DC),
    ("organizationName", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("organizationalUnitName", ObjectIdentifier::new_unwrap("2.5.4.11")),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dn(text: &str) -> DistinguishedName {
        text.parse().unwrap()
    }

    fn same(a: &str, b: &str) -> bool {
        dn(a).names_same_entry(&dn(b))
    }

    #[test]
    fn reads_and_writes_the_examples_of_rfc_4514() {
        for text in [
            "UID=jsmith,DC=example,DC=net",
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
            r"CN=Before\0DAfter,DC=example,DC=net",
            "1.3.6.1.4.1.1466.0=#04024869",
            "CN=Lu\u{10d}i\u{107}",
            "",
        ] {
            assert_eq!(dn(text).to_string(), text);
        }
        assert!(same(r"CN=Lu\C4\8Di\C4\87", "CN=Lu\u{10d}i\u{107}"));
    }

    #[test]
    fn escapes_are_undone_one_after_the_other() {
        assert_eq!(dn(r"CN=a\\\,b,O=x").0.len(), 2);
        assert_eq!(dn(r"CN=a\\,O=x").0.len(), 2);
        assert_eq!(dn(r"CN=\\\\\+b").0[0].len(), 1);
        assert!(same(r"CN=\ a\ ", r"CN=\20a\20"));
        assert_eq!(dn(r"CN= a\  ,O=x").to_string(), r"CN=a\ ,O=x");
        assert_eq!(dn(r"CN=\#a=b").to_string(), r"CN=\#a=b");
    }

    #[test]
    fn the_common_name_is_an_attribute_and_not_a_piece_of_text() {
        for (text, expected) in [
            ("CN=b.example,CN=a.example,DC=example", Some("b.example")),
            ("OU=Sales+CN=b.example,DC=example", Some("b.example")),
            (r"O=x\,CN=b.example,DC=example", None),
            (r"OU=x\,CN=b.example,CN=a.example", Some("a.example")),
            ("", None),
        ] {
            assert_eq!(dn(text).common_name(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_rfc_4514() {
        for text in [
            "CN",
            "CN=a,",
            ",CN=a",
            "CN=a;O=b",
            "CN=a\"b",
            "CN=<a>",
            "CN=a\\",
            "CN=a\\4",
            "CN=a\\zz",
            "CN=\\FF",
            "CN=#04",
            "CN=#zz",
            "CN=a+,O=b",
            "FOO=a",
            "1.2.3.=a",
            "=a",
        ] {
            assert!(text.parse::<DistinguishedName>().is_err(), "{text}");
        }
    }

    #[test]
    fn compares_without_case_string_type_and_repeated_spaces() {
        assert!(same("CN=User  1 ,dc=Example", "cn=user 1,DC=EXAMPLE"));
        assert!(same("CN=User 1", "2.5.4.3=user 1"));
        assert!(same("CN=a", "CN=#130161"));
        assert!(same("CN=a", "CN=#1E020061"));
        assert!(same("CN=a+UID=b", "uid=B+cn=A"));
        assert!(!same("CN=a+UID=b", "CN=a,UID=b"));
        assert!(!same("CN=a,O=b", "O=b,CN=a"));
        assert!(!same("CN=a", "CN=a,O=b"));
        assert!(!same("CN=a", "OU=a"));
        assert!(!same("CN=a", "CN=#040161"));
        assert!(same("CN=#040161", "CN=#040161"));
        assert!(!same(r"CN=\00:040161", "CN=#040161"));
        assert!(!same(r"CN=a\,b", "CN=ab"));
    }

    #[test]
    fn becomes_a_name_with_the_string_types_of_rfc_5280() {
        let name = dn("CN=\u{e4},C=DE,DC=example,DC=com").to_name().unwrap();
        let tags: Vec<Tag> = name.iter().map(|attribute| attribute.value.tag()).collect();
        use Tag::{Ia5String, PrintableString, Utf8String};
        assert_eq!(tags, [Ia5String, Ia5String, PrintableString, Utf8String]);
        assert!(
            DistinguishedName::from_name(&name)
                .names_same_entry(&dn("CN=\u{c4},C=de,DC=example,DC=com"))
        );
        for text in ["DC=\u{e4}", "C=D_"] {
            assert_eq!(dn(text).to_name(), Err(DnError::Value), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_text_and_der(values in proptest::collection::vec("\\PC{1,12}", 1..4)) {
            let cn = KEYWORDS[0].1;
            let rdn = |text: &String| vec![Attribute { kind: cn, value: Value::Text(text.clone()) }];
            let name = DistinguishedName(values.iter().map(rdn).collect());
            prop_assert!(dn(&name.to_string()).names_same_entry(&name));
            prop_assert_eq!(dn(&name.to_string()).to_string(), name.to_string());
            let through_der = DistinguishedName::from_name(&name.to_name().unwrap());
            prop_assert_eq!(through_der.to_string(), name.to_string());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-zA-Z0-9=,+\\\\# \u{e4}.;\"]{0,40}") {
            let _ = text.parse::<DistinguishedName>();
        }
    }
}
