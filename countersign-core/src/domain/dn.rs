//! Distinguished names as directories compare them: one text for all spellings of a name.
//!
//! A directory server takes `UID=Alice, OU=People` and `uid=alice,ou=people` for the same
//! entry. Whoever decides by names must do so, too, or else a spelling slips past a rule.
//! Attribute types are compared by their short names, values without regard to case and to
//! repeated spaces (RFC 4517 §4.2.11, caseIgnoreMatch), attributes of one RDN in any order.
//! Letters are compared as RFC 4518 prepares them, by Unicode's form NFKC: a full-width `ａ` is
//! an `a`, a letter with its accent beside it is the letter with the accent.
//!
//! The text is itself a distinguished name (RFC 4514), so that a directory can be asked for it.
//!
//! No two programs compare all letters alike, for Unicode has had many versions, and no program
//! knows how every attribute type is compared. [`Dn::is_plain`] tells the names that are
//! compared alike everywhere: only of them "nobody has this name" can be known.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt::{self, Write},
    hash::{Hash, Hasher},
};

use data_encoding::HEXLOWER_PERMISSIVE;
use unicode_normalization::UnicodeNormalization;

/// A distinguished name in the one form by which it is compared.
#[derive(Debug, Clone)]
pub struct Dn {
    text: String,
    /// Where each RDN begins in `text`, the leaf first.
    rdns: Vec<usize>,
    /// Attribute types and values of the leaf's RDN.
    leaf: Vec<(String, String)>,
    is_plain: bool,
}

/// An attribute of an RDN.
struct Attribute {
    kind: String,
    value: String,
    is_plain: bool,
}

/// What is not a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnError {
    /// Longer than [`Dn::MAX_LENGTH`].
    #[error("the distinguished name is longer than {max} octets", max = Dn::MAX_LENGTH)]
    TooLong,
    /// No `type=value`, a character that must be escaped, or a broken escape.
    #[error("the distinguished name is not as RFC 4514 writes it, near {near:?}")]
    Syntax {
        /// The part that could not be read.
        near: String,
    },
}

impl Dn {
    /// Octets.
    pub const MAX_LENGTH: usize = 4096;

    /// Reads RFC 4514 text; spaces around separators are tolerated, the empty name is none.
    ///
    /// # Errors
    ///
    /// Too long, or no distinguished name.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(DnError::TooLong);
        }
        let text_of_it = String::with_capacity(text.len());
        let mut name = Self { text: text_of_it, rdns: vec![], leaf: vec![], is_plain: true };
        for part in split(text, &[',', ';']) {
            let rdn: Vec<_> =
                split(part, &['+']).into_iter().map(attribute).collect::<Result<_, _>>()?;
            name.is_plain &= rdn.iter().all(|attribute| attribute.is_plain);
            name.push(rdn.into_iter().map(|attribute| (attribute.kind, attribute.value)).collect());
        }
        // Escapes and decomposed letters make it longer, and it shall be a name as well.
        if name.text.len() > Self::MAX_LENGTH { Err(DnError::TooLong) } else { Ok(name) }
    }

    /// The text by which it is compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every directory compares this name, as it was given, with others as we do: all
    /// its letters are of ASCII and all its attribute types are known to be compared without
    /// regard to case.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether this is the entry `base` or one below it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        let Some(above) = self.rdns.len().checked_sub(base.rdns.len()) else { return false };
        self.rdns.get(above).is_some_and(|start| self.text[*start..] == base.text)
    }

    /// The value of an attribute of the leaf's RDN, lower case.
    #[must_use]
    pub fn leaf_value(&self, kind: &str) -> Option<&str> {
        let kind = short_name(kind);
        let mut leaf = self.leaf.iter();
        leaf.find(|(found, _)| *found == kind).map(|(_, value)| value.as_str())
    }

    fn push(&mut self, mut rdn: Vec<(String, String)>) {
        rdn.sort();
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.rdns.push(self.text.len());
        for (place, (kind, value)) in rdn.iter().enumerate() {
            let plus = if place == 0 { "" } else { "+" };
            write!(self.text, "{plus}{kind}={}", Escaped(value)).expect("a String takes all");
        }
        if self.rdns.len() == 1 {
            self.leaf = rdn;
        }
    }
}

/// By the text: names are equal in whatever spelling they were given.
impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Dn {}

impl Hash for Dn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Dn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits at every separator that is not escaped.
fn split<'a>(text: &'a str, separators: &[char]) -> Vec<&'a str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        if !is_escaped && separators.contains(&character) {
            parts.push(&text[start..at]);
            start = at + character.len_utf8();
        }
        is_escaped = !is_escaped && character == '\\';
    }
    parts.push(&text[start..]);
    parts
}

/// Type and value, as they are compared.
fn attribute(text: &str) -> Result<Attribute, DnError> {
    let syntax = || DnError::Syntax { near: text.trim().chars().take(NEAR).collect() };
    let (kind, value) = text.split_once('=').ok_or_else(syntax)?;
    let kind = kind.trim_matches(' ');
    let is_type = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    };
    if kind.is_empty() || !is_type(kind) {
        return Err(syntax());
    }
    // What is encoded in BER (RFC 4514 §2.4) is taken as it stands, but not by everybody.
    let is_encoded = value.trim_start_matches(' ').starts_with('#');
    let (kind, given) = (short_name(kind), unescape(value).ok_or_else(syntax)?);
    let value = compared(&given);
    if value.is_empty() {
        return Err(syntax());
    }
    let is_printable = given.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    let is_plain = is_printable && !is_encoded && PLAIN.contains(&kind.as_str());
    Ok(Attribute { kind, value, is_plain })
}

/// A value as it is compared (RFC 4518): compatible letters are one, blanks of any kind and
/// number are one space. A second time changes nothing.
pub(super) fn compared(value: &str) -> String {
    let composed: Cow<'_, str> = compatible(value);
    // Unicode has for it a small i with a second dot, directories a small i.
    let folded = fold(&composed.replace('İ', "i"));
    let composed = compatible(&folded);
    let words: Vec<_> = composed.split_whitespace().collect();
    words.join(" ")
}

fn compatible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfkc().collect()) }
}

/// Letter by letter, so that what stands beside a letter does not matter.
pub(super) fn fold(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|letter| if letter == 'ς' { 'σ' } else { letter }).collect()
}

/// Resolves escapes (RFC 4514 §3). What must be escaped and is not, is refused.
fn unescape(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [special, after @ ..]) if SPECIAL.contains(special) => {
                octets.push(*special);
                after
            }
            (b'\\', [high, low, after @ ..]) => {
                octets.extend(HEXLOWER_PERMISSIVE.decode(&[*high, *low]).ok()?);
                after
            }
            (b'\\' | b'"' | b'<' | b'>' | b'\0', _) => return None,
            (other, after) => {
                octets.push(*other);
                after
            }
        };
    }
    String::from_utf8(octets).ok()
}

/// The name that a type is compared by: what RFC 4519 calls it in short.
fn short_name(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    let plain = lower.strip_prefix("oid.").unwrap_or(&lower);
    let known = ALIASES.iter().find(|(alias, _)| *alias == plain);
    known.map_or_else(|| plain.to_owned(), |(_, short)| (*short).to_owned())
}

/// A value with its escapes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, character) in self.0.chars().enumerate() {
            match character {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => write!(f, "\\{character}")?,
                '#' if at == 0 => f.write_str("\\#")?,
                control if control.is_control() => {
                    let mut octets = [0; 4];
                    for octet in control.encode_utf8(&mut octets).bytes() {
                        write!(f, "\\{octet:02x}")?;
                    }
                }
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// What may stand behind a backslash as itself.
const SPECIAL: &[u8] = b"\"+,;<>\\ #=";

/// Characters of a name that an error shows.
const NEAR: usize = 40;

/// Types that are compared without regard to case, by their short names.
const PLAIN: [&str; 18] = [
    "c",
    "cn",
    "dc",
    "description",
    "displayname",
    "employeenumber",
    "givenname",
    "host",
    "l",
    "mail",
    "o",
    "ou",
    "serialnumber",
    "sn",
    "st",
    "street",
    "title",
    "uid",
];

/// Other names of the types that names are made of (RFC 4519 §2, RFC 4524 §2, RFC 2798 §2); of
/// those in [`PLAIN`] all that there are.
const ALIASES: [(&str, &str); 32] = [
    ("userid", "uid"),
    ("0.9.2342.19200300.100.1.1", "uid"),
    ("commonname", "cn"),
    ("2.5.4.3", "cn"),
    ("surname", "sn"),
    ("2.5.4.4", "sn"),
    ("2.5.4.5", "serialnumber"),
    ("countryname", "c"),
    ("2.5.4.6", "c"),
    ("localityname", "l"),
    ("2.5.4.7", "l"),
    ("stateorprovincename", "st"),
    ("2.5.4.8", "st"),
    ("streetaddress", "street"),
    ("2.5.4.9", "street"),
    ("organizationname", "o"),
    ("2.5.4.10", "o"),
    ("organizationalunitname", "ou"),
    ("2.5.4.11", "ou"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("gn", "givenname"),
    ("2.5.4.42", "givenname"),
    ("domaincomponent", "dc"),
    ("0.9.2342.19200300.100.1.25", "dc"),
    ("rfc822mailbox", "mail"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.9", "host"),
    ("2.16.840.1.113730.3.1.3", "employeenumber"),
    ("2.16.840.1.113730.3.1.241", "displayname"),
    ("2.5.4.45", "x500uniqueidentifier"),
    ("2.5.4.20", "telephonenumber"),
];

#[cfg(test)]
mod tests;
