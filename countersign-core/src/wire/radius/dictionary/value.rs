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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::dictionary::file::Block;

    /// A dictionary whose only attribute, `X`, has this type, and two values with names.
    fn dictionary(kind: &str) -> Dictionary {
        let mut dictionary = Dictionary::default();
        let attribute = format!("ATTRIBUTE X 200 {kind}");
        for line in [&attribute, "VALUE X Off 0", "VALUE X High 300"] {
            Block::default().read_line(line, &mut dictionary).unwrap();
        }
        dictionary
    }

    fn value(kind: &str, text: &str) -> Result<Vec<u8>, ValueError> {
        let dictionary = dictionary(kind);
        dictionary.value(dictionary.attribute("X").unwrap(), text)
    }

    #[test]
    fn reads_values_of_every_type() {
        for (kind, text, octets) in [
            ("string", "0xé", "0xé".as_bytes()),
            ("octets", "vpn", b"vpn"),
            ("octets", "0x00Ff", &[0, 255]),
            ("octets[2]", "0x00ff", &[0, 255]),
            ("byte", "255", &[255]),
            ("short", "0x1F40", &[31, 64]),
            ("integer", "3600", &[0, 0, 14, 16]),
            ("integer", "high", &[0, 0, 1, 44]),
            ("integer64", "18446744073709551615", &[255; 8]),
            ("signed", "-2", &[255, 255, 255, 254]),
            ("date", "1800000000", &[0x6b, 0x49, 0xd2, 0]),
            ("date", "2027-01-15T08:00:00Z", &[0x6b, 0x49, 0xd2, 0]),
            ("ipaddr", "10.1.2.3", &[10, 1, 2, 3]),
            ("ipv6addr", "::1", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("combo-ip", "10.1.2.3", &[10, 1, 2, 3]),
            ("combo-ip", "::", &[0; 16]),
            ("ipv4prefix", "10.1.0.0/16", &[0, 16, 10, 1, 0, 0]),
            ("ipv4prefix", "0.0.0.0/0", &[0; 6]),
            (
                "ipv6prefix",
                "fe80::/10",
                &[0, 10, 254, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            ("ifid", "0:1:2:ffff", &[0, 0, 0, 1, 0, 2, 255, 255]),
            ("ether", "00:00:5e:00:53:01", &[0, 0, 94, 0, 83, 1]),
            ("ether", "00-00-5E-00-53-01", &[0, 0, 94, 0, 83, 1]),
        ] {
            assert_eq!(value(kind, text).as_deref(), Ok(octets), "{kind} {text}");
        }
    }

    #[test]
    fn refuses_what_is_no_value_and_says_what_would_be_one() {
        for (kind, text, expected) in [
            ("octets", "0x0", "\"0x0\" is not a whole number of octets in hexadecimal"),
            ("octets[2]", "abc", "\"abc\" is not 2 octets"),
            ("byte", "256", "\"256\" is not a number up to 255 or one of high, off"),
            ("byte", "high", "\"high\" is not a number up to 255"),
            ("short", "65536", "a number up to 65535"),
            ("integer", "4294967296", "a number up to 4294967295"),
            ("integer", "+1", "a number up to 4294967295"),
            ("integer", "0x", "a number up to 4294967295"),
            ("integer", "", "a number up to 4294967295"),
            ("signed", "2147483648", "a number from -2147483648 to 2147483647"),
            ("date", "tomorrow", "a time such as 2030-01-31T00:00:00Z"),
            ("date", "2200-01-01T00:00:00Z", "a time such as"),
            ("ipaddr", "10.1.2", "an IPv4 address"),
            ("ipv6addr", "10.1.2.3", "an IPv6 address"),
            ("combo-ip", "here", "an IP address"),
            ("ipv4prefix", "10.1.2.3/16", "a prefix such as 10.1.0.0/16"),
            ("ipv4prefix", "10.1.0.0/33", "a prefix such as 10.1.0.0/16"),
            ("ipv4prefix", "10.1.0.0", "a prefix such as 10.1.0.0/16"),
            ("ipv6prefix", "10.1.0.0/16", "a prefix such as 2001:db8::/32"),
            ("ipv6prefix", "::1/127", "a prefix such as 2001:db8::/32"),
            ("ifid", "0:1:2", "an interface identifier"),
            ("ifid", "0:1:2:10000", "an interface identifier"),
            ("ifid", "0:1:2:+1", "an interface identifier"),
            ("ether", "00:00:5e:00:53:100", "the address of a network card"),
            ("tlv", "x", "give it in hexadecimal"),
            ("string encrypt=2", "x", "it would have to be encrypted"),
        ] {
            let error = value(kind, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{kind} {text}: {error}");
        }
    }

    #[test]
    fn a_tag_stands_before_a_text_and_in_the_first_octet_of_an_integer() {
        let tag = |kind: &str, tag, value: &[u8]| {
            dictionary(kind).attribute("X").unwrap().tag(tag, value.to_vec())
        };
        for (kind, number, plain, tagged) in [
            ("string has_tag", Some(1), &b"42"[..], Ok(b"\x0142".to_vec())),
            ("string has_tag", None, b"42", Ok(b"42".to_vec())),
            ("integer has_tag", Some(31), &[0, 0, 0, 13], Ok(vec![31, 0, 0, 13])),
            ("integer has_tag", None, &[0, 0, 0, 13], Ok(vec![0, 0, 0, 13])),
            ("integer has_tag", None, &[1, 0, 0, 0], Err(ValueError::TagWidth)),
            ("integer has_tag", Some(0), &[0, 0, 0, 13], Err(ValueError::TagRange)),
            ("string has_tag", Some(32), b"42", Err(ValueError::TagRange)),
            ("string", Some(1), b"42", Err(ValueError::NoTag)),
            ("integer", None, &[1, 0, 0, 0], Ok(vec![1, 0, 0, 0])),
        ] {
            assert_eq!(tag(kind, number, plain), tagged, "{kind} {number:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_none(text in "(?s).{0,40}", kind in proptest::sample::select(KINDS)) {
            let _ = value(kind, &text);
        }

        #[test]
        fn addresses_travel_as_their_octets(four: u32, six: u128, length in 0u8..=128) {
            let (four, six) = (Ipv4Addr::from_bits(four), Ipv6Addr::from_bits(six));
            prop_assert_eq!(value("ipaddr", &four.to_string()).unwrap(), four.octets());
            prop_assert_eq!(value("combo-ip", &six.to_string()).unwrap(), six.octets());
            let rest = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            let prefix = Ipv6Addr::from_bits(six.to_bits() & !rest);
            let octets = value("ipv6prefix", &format!("{prefix}/{length}")).unwrap();
            prop_assert_eq!(octets, [&[0, length], &prefix.octets()[..]].concat());
        }

        #[test]
        fn numbers_travel_in_network_order(number: u32) {
            prop_assert_eq!(value("integer", &number.to_string()).unwrap(), number.to_be_bytes());
            prop_assert_eq!(value("integer", &format!("{number:#X}").replace("0X", "0x")).unwrap(),
                number.to_be_bytes());
        }
    }

    const KINDS: &[&str] = &[
        "string",
        "octets",
        "octets[4]",
        "byte",
        "short",
        "integer",
        "integer64",
        "signed",
        "date",
        "ipaddr",
        "ipv6addr",
        "combo-ip",
        "ipv4prefix",
        "ipv6prefix",
        "ifid",
        "ether",
        "tlv",
    ];
}
