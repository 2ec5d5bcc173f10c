//! Values as people write them, and as they travel (RFC 8044 §3).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use der::DateTime;

use super::definition::{Definition, Dictionary, Kind, Obstacle, Width};

/// Operator: a value that the attribute cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is of another type.
    #[error("{text:?} is not {expected}")]
    Unlike {
        /// What was written.
        text: String,
        /// What the attribute wants.
        expected: String,
    },
    /// Such values have a form that we do not know.
    #[error("its values have a form of their own; give it in hexadecimal")]
    Structure,
    /// The attribute cannot be sent at all.
    #[error("{0}")]
    Never(Obstacle),
    /// Nothing to tag.
    #[error("it has no tag")]
    NoTag,
    /// A tag that would be read as something else.
    #[error("a tag is a number from 1 to 31")]
    TagRange,
    /// With a tag an integer has only 24 bits.
    #[error("beside a tag there is room for 24 bits only")]
    TagWidth,
}

impl Dictionary {
    /// The octets that a value of this attribute travels as, without a tag.
    ///
    /// # Errors
    ///
    /// The text is no value of the attribute's type.
    pub fn value(&self, of: &Definition, text: &str) -> Result<Vec<u8>, ValueError> {
        let unlike = |expected: &str| unlike(text, expected);
        match of.kind {
            Kind::Text => Ok(text.as_bytes().to_vec()),
            Kind::Octets(length) => octets(text, length),
            Kind::Integer(width) => self.integer(of, text, width),
            Kind::Signed => parsed::<i32>(text)
                .map(i32::to_be_bytes)
                .map(Vec::from)
                .ok_or_else(|| unlike("a number from -2147483648 to 2147483647")),
            Kind::Date => date(text).ok_or_else(|| unlike("a time such as 2030-01-31T00:00:00Z")),
            Kind::Ipv4Address => ipv4(text).ok_or_else(|| unlike("an IPv4 address")),
            Kind::Ipv6Address => ipv6(text).ok_or_else(|| unlike("an IPv6 address")),
            Kind::Address => {
                ipv4(text).or_else(|| ipv6(text)).ok_or_else(|| unlike("an IP address"))
            }
            Kind::Ipv4Prefix => {
                ipv4_prefix(text).ok_or_else(|| unlike("a prefix such as 10.1.0.0/16"))
            }
            Kind::Ipv6Prefix => {
                ipv6_prefix(text).ok_or_else(|| unlike("a prefix such as 2001:db8::/32"))
            }
            Kind::InterfaceId => groups::<2>(text, ":", 4)
                .ok_or_else(|| unlike("an interface identifier such as 0:0:0:1")),
            Kind::Ethernet => groups::<1>(text, ":-", 6)
                .ok_or_else(|| unlike("the address of a network card such as 00:00:5e:00:53:01")),
            Kind::Structure => Err(ValueError::Structure),
            Kind::Never(obstacle) => Err(ValueError::Never(obstacle)),
        }
    }

    fn integer(&self, of: &Definition, text: &str, width: Width) -> Result<Vec<u8>, ValueError> {
        let lower = text.to_ascii_lowercase();
        let named = self.values(of).find(|(name, _)| *name == lower).map(|(_, number)| number);
        let hexadecimal = lower.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
        let number = named.or_else(|| match hexadecimal {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => parsed(text),
        });
        number.and_then(|number| width.octets(number)).ok_or_else(|| {
            let names: Vec<_> = self.values(of).map(|(name, _)| name).take(NAMES).collect();
            let or = if names.is_empty() { "" } else { " or one of " };
            unlike(text, &format!("a number up to {}{or}{}", width.max(), names.join(", ")))
        })
    }
}

impl Definition {
    /// The value behind a tag. Without one a text stands alone, and an integer stays as it
    /// is: its first octet, 0, says that there is no tag (RFC 2868 §3.1).
    ///
    /// # Errors
    ///
    /// The attribute has no tag, or there is no room for it.
    pub fn tag(&self, tag: Option<u8>, value: Vec<u8>) -> Result<Vec<u8>, ValueError> {
        match tag {
            Some(_) if !self.tagged => Err(ValueError::NoTag),
            Some(1..=31) | None => self.behind(tag, value),
            Some(_) => Err(ValueError::TagRange),
        }
    }

    fn behind(&self, tag: Option<u8>, mut value: Vec<u8>) -> Result<Vec<u8>, ValueError> {
        if !self.tagged || self.kind == Kind::Text && tag.is_none() {
            return Ok(value);
        }
        if self.kind == Kind::Text {
            value.splice(0..0, tag);
            return Ok(value);
        }
        match value.first_mut() {
            Some(room @ 0) => {
                *room = tag.unwrap_or(0);
                Ok(value)
            }
            Some(_) | None => Err(ValueError::TagWidth),
        }
    }
}

impl Width {
    /// The largest number of this width.
    #[must_use]
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }

    /// A number in network order, if it is not too large.
    #[must_use]
    pub fn octets(self, number: u64) -> Option<Vec<u8>> {
        let octets = number.to_be_bytes();
        (number <= self.max()).then(|| octets[octets.len() - self as usize..].to_vec())
    }
}

fn unlike(text: &str, expected: &str) -> ValueError {
    ValueError::Unlike { text: text.into(), expected: expected.into() }
}

/// `0x…`, or the octets of the text itself.
fn octets(text: &str, length: Option<u8>) -> Result<Vec<u8>, ValueError> {
    let octets = match text.strip_prefix("0x") {
        Some(digits) => data_encoding::HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .map_err(|_| unlike(text, "a whole number of octets in hexadecimal"))?,
        None => text.as_bytes().to_vec(),
    };
    match length {
        Some(length) if octets.len() != usize::from(length) => {
            Err(unlike(text, &format!("{length} octets")))
        }
        Some(_) | None => Ok(octets),
    }
}

fn date(text: &str) -> Option<Vec<u8>> {
    let seconds = parsed(text)
        .or_else(|| DateTime::from_str(text).ok().map(|time| time.unix_duration().as_secs()))?;
    Width::Four.octets(seconds)
}

fn ipv4(text: &str) -> Option<Vec<u8>> {
    parsed::<Ipv4Addr>(text).map(|address| address.octets().to_vec())
}

fn ipv6(text: &str) -> Option<Vec<u8>> {
    parsed::<Ipv6Addr>(text).map(|address| address.octets().to_vec())
}

/// An octet of nothing, the length, the address (RFC 8044 §3.11).
fn ipv4_prefix(text: &str) -> Option<Vec<u8>> {
    let (IpAddr::V4(address), length) = prefix(text, 32)? else { return None };
    let rest = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    (address.to_bits() & rest == 0).then(|| [&[0, length], &address.octets()[..]].concat())
}

/// An octet of nothing, the length, the prefix. All of its octets are sent, because
/// there are readers that want them (RFC 8044 §3.10 allows fewer).
fn ipv6_prefix(text: &str) -> Option<Vec<u8>> {
    let (IpAddr::V6(address), length) = prefix(text, 128)? else { return None };
    let rest = u128::MAX.checked_shr(length.into()).unwrap_or(0);
    (address.to_bits() & rest == 0).then(|| [&[0, length], &address.octets()[..]].concat())
}

fn prefix(text: &str, longest: u8) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let length = parsed(length).filter(|length| *length <= longest)?;
    Some((parsed(address)?, length))
}

/// Groups of `OCTETS` octets in hexadecimal, with something in between.
fn groups<const OCTETS: usize>(text: &str, between: &str, count: usize) -> Option<Vec<u8>> {
    let groups: Vec<_> = text.split(|c| between.contains(c)).collect();
    let mut octets = Vec::new();
    for group in &groups {
        let is_hexadecimal = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = (1..=2 * OCTETS).contains(&group.len());
        let number = u16::from_str_radix(group, 16).ok().filter(|_| is_hexadecimal && fits)?;
        octets.extend_from_slice(&number.to_be_bytes()[2 - OCTETS..]);
    }
    (groups.len() == count).then_some(octets)
}

/// Without the plus that Rust allows before a number.
fn parsed<T: FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// How many names of values are shown at most.
const NAMES: usize = 12;
