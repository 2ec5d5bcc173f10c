//! What Access-Accepts carry, as written and as checked.

use std::fmt;

use countersign_core::wire::radius::{
    attribute::Attribute,
    dictionary::{
        definition::{Definition, Dictionary, Kind, Width},
        value::ValueError,
        vendor::Vendor,
    },
};
use serde::Deserialize;

use super::{Wrong, wrong};

/// One attribute, and which Access-Accepts carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRule {
    /// Whose attribute it is; nobody's if it is in the standards.
    pub vendor: Option<Vendor>,
    /// Its number among those of its maker.
    pub number: u32,
    /// The tag in front of a value that is not known before (RFC 2868 §3.3).
    pub tag: Option<u8>,
    /// What it says.
    pub value: ReplyValue,
    /// Only for the accounts of this group, whatever the case of its letters.
    pub group: Option<String>,
    /// Only for requests that came this way.
    pub listener: Option<Listener>,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyValue {
    /// Always this: the value as it travels, 1 to 253 octets, its tag included.
    Fixed(Vec<u8>),
    /// What is known when the answer is made. Without that the attribute is left out.
    From(Source),
}

/// What is known when the answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What administrators call the token that answered.
    TokenLabel,
    /// Its identifier.
    TokenId,
    /// The name of the account.
    Account,
    /// The strengths of the logon; one attribute for each.
    Indicators,
}

/// The way that a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listener {
    /// A datagram.
    Udp,
    /// A connection in clear.
    Tcp,
    /// A connection under TLS.
    Tls,
    /// A connection on this machine.
    Unix,
}

/// One attribute as written: a number or a name, and the value in one of several forms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplyFile {
    /// The attribute's number, or its name in a dictionary.
    pub attribute: AttributeFile,
    /// The value as text.
    pub text: Option<String>,
    /// The value as an integer.
    pub integer: Option<u64>,
    /// The value in hexadecimal.
    pub hex: Option<String>,
    /// The value as the dictionary has it: an address, a time, the name of a value.
    pub value: Option<ValueFile>,
    /// Or what is known when the answer is made.
    pub from: Option<Source>,
    /// The tag that ties the attributes of one tunnel together.
    pub tag: Option<u8>,
    /// Only for the accounts of this group.
    pub group: Option<String>,
    /// Only for requests that came this way.
    pub listener: Option<Listener>,
}

/// Which attribute.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an attribute is a number from 1 to 255, or a name in quotes")]
pub enum AttributeFile {
    /// By its number in the standards.
    Number(u8),
    /// By its name in a dictionary.
    Name(String),
}

/// A value that a dictionary helps to read.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a value is a number, or a text in quotes")]
pub enum ValueFile {
    /// Without quotes.
    Integer(i64),
    /// In quotes.
    Text(String),
}

impl ReplyRule {
    /// An attribute of the standards that every Access-Accept carries.
    #[must_use]
    pub fn fixed(number: u8, value: Vec<u8>) -> Self {
        Self {
            vendor: None,
            number: number.into(),
            tag: None,
            value: ReplyValue::Fixed(value),
            group: None,
            listener: None,
        }
    }

    /// The longest value that the attribute holds, in octets.
    #[must_use]
    pub fn room(&self) -> usize {
        self.vendor.map_or(Attribute::MAX_VALUE_LENGTH, Vendor::max_value_length)
    }
}

impl fmt::Display for AttributeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "attribute {number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for ValueFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The rules of `KEY.reply`, in their order.
pub(super) fn check_replies(
    key: &str,
    files: Vec<ReplyFile>,
    dictionary: &Dictionary,
) -> Result<Vec<ReplyRule>, Wrong> {
    let key = format!("{key}.reply");
    let rules = files.into_iter().map(|file| {
        let name = file.attribute.to_string();
        check_reply(file, dictionary).or_else(|cause| wrong(&key, format!("{name}: {cause}")))
    });
    rules.collect()
}

fn check_reply(file: ReplyFile, dictionary: &Dictionary) -> Result<ReplyRule, String> {
    let (number, known) = find(&file.attribute, dictionary)?;
    let vendor = known.and_then(|known| known.vendor);
    if vendor.is_none() && NOT_OURS.contains(&number) {
        return Err("it is not ours to send by a rule".into());
    }
    if let Some(Definition { kind: Kind::Never(obstacle), .. }) = known {
        return Err(obstacle.to_string());
    }
    let ReplyFile { attribute: _, text, integer, hex, value, from, tag, group, listener } = file;
    let forms = [
        text.map(Form::Text),
        integer.map(Form::Integer),
        hex.map(Form::Hex),
        value.map(Form::Value),
        from.map(Form::From),
    ];
    let mut forms = forms.into_iter().flatten();
    let (Some(form), None) = (forms.next(), forms.next()) else {
        return Err("give exactly one of text, integer, hex, value and from".into());
    };
    let value = form.check(tag, known, dictionary)?;
    let rule = ReplyRule { vendor, number, tag, value, group, listener };
    match &rule.value {
        ReplyValue::Fixed(value) if value.is_empty() || value.len() > rule.room() => {
            Err(format!("the attribute holds 1 to {} octets, not {}", rule.room(), value.len()))
        }
        ReplyValue::Fixed(_) | ReplyValue::From(_) => Ok(rule),
    }
}

/// The number of an attribute, and what is known of it.
fn find<'d>(
    attribute: &AttributeFile,
    dictionary: &'d Dictionary,
) -> Result<(u32, Option<&'d Definition>), String> {
    match attribute {
        AttributeFile::Number(number) => Ok(((*number).into(), dictionary.standard(*number))),
        AttributeFile::Name(name) => {
            let known = dictionary.attribute(name).ok_or(UNKNOWN)?;
            Ok((known.number, Some(known)))
        }
    }
}

/// How a value is written.
enum Form {
    Text(String),
    Integer(u64),
    Hex(String),
    Value(ValueFile),
    From(Source),
}

impl Form {
    /// The value, with its tag where it has one. An attribute that no dictionary knows takes
    /// whatever is written.
    fn check(
        self,
        tag: Option<u8>,
        known: Option<&Definition>,
        dictionary: &Dictionary,
    ) -> Result<ReplyValue, String> {
        let kind = known.map(|known| known.kind);
        let value = match self {
            Self::Text(_) if !takes_text(kind) => return Err(NO_TEXT.into()),
            Self::Text(text) => text.into_bytes(),
            Self::Integer(number) => integer(number, kind)?,
            Self::Hex(_) if tag.is_some() => return Err(TAG_IN_HEX.into()),
            Self::Hex(hex) => return hexadecimal(&hex).map(ReplyValue::Fixed),
            Self::Value(value) => {
                let known = known.ok_or(NO_TYPE)?;
                let read = dictionary.value(known, &value.to_string());
                read.map_err(|error| error.to_string())?
            }
            Self::From(_) if !takes_text(kind) => return Err(NOT_FROM.into()),
            Self::From(source) => {
                // The tag is checked with any text.
                with_tag(tag, known, b"?".to_vec())?;
                return Ok(ReplyValue::From(source));
            }
        };
        with_tag(tag, known, value).map(ReplyValue::Fixed)
    }
}

fn takes_text(kind: Option<Kind>) -> bool {
    matches!(kind, None | Some(Kind::Text | Kind::Octets(None)))
}

fn integer(number: u64, kind: Option<Kind>) -> Result<Vec<u8>, String> {
    let width = match kind {
        Some(Kind::Integer(width)) => width,
        None | Some(Kind::Signed | Kind::Date | Kind::Ipv4Address) => Width::Four,
        Some(_) => return Err("it is no integer; write it as value or hex".into()),
    };
    width.octets(number).ok_or_else(|| format!("{number} is too large, {} at most", width.max()))
}

fn hexadecimal(hex: &str) -> Result<Vec<u8>, String> {
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
    decoded.map_err(|error| format!("hex: {error}"))
}

fn with_tag(
    tag: Option<u8>,
    known: Option<&Definition>,
    value: Vec<u8>,
) -> Result<Vec<u8>, String> {
    let tagged = match (known, tag) {
        (Some(known), _) => known.tag(tag, value),
        (None, None) => Ok(value),
        (None, Some(_)) => Err(ValueError::NoTag),
    };
    tagged.map_err(|error| format!("tag: {error}"))
}

/// 0 is nothing, User-Password and CHAP-Password are in requests only, State, Proxy-State
/// and EAP-Message belong to the exchange, Message-Authenticator to the packet.
const NOT_OURS: [u32; 7] = [0, 2, 3, 24, 33, 79, 80];
const UNKNOWN: &str = "no dictionary has this name; radius.dictionary adds files of FreeRADIUS, \
                       and attributes of the standards go by number, too";
const NO_TYPE: &str = "no dictionary tells the type of its values; give it as text, integer or hex";
const NO_TEXT: &str = "it is no text; write it as value, and the dictionary tells how it travels";
const NOT_FROM: &str = "it is no text, so it cannot say what is known only when the answer is made";
const TAG_IN_HEX: &str = "hex is the whole value, with its tag; leave tag out";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line of the config comes to, with the built-in dictionary.
    fn check(line: &str) -> Result<ReplyRule, String> {
        let file = toml::from_str(line).map_err(|error| error.message().to_owned())?;
        let rules = check_replies("radius", vec![file], &Dictionary::built_in());
        rules.map(|mut rules| rules.remove(0)).map_err(|Wrong { key, cause }| {
            assert_eq!(key, "radius.reply");
            cause
        })
    }

    fn fixed(line: &str) -> Vec<u8> {
        match check(line) {
            Ok(ReplyRule { value: ReplyValue::Fixed(octets), .. }) => octets,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn attributes_go_by_number_as_ever() {
        for (line, number, value) in [
            ("attribute = 25\ntext = 'vpn'", 25, &b"vpn"[..]),
            ("attribute = 27\ninteger = 3600", 27, &[0, 0, 14, 16]),
            ("attribute = 8\ninteger = 4294967294", 8, &[255, 255, 255, 254]),
            ("attribute = 26\nhex = '00000009010661623d63'", 26, b"\0\0\0\x09\x01\x06ab=c"),
            ("attribute = 200\ntext = 'anything'", 200, b"anything"),
            ("attribute = 200\ninteger = 1", 200, &[0, 0, 0, 1]),
        ] {
            let rule = check(line).unwrap();
            assert_eq!(rule, ReplyRule::fixed(number, value.to_vec()), "{line}");
        }
    }

    #[test]
    fn attributes_go_by_name_and_are_read_by_their_type() {
        for (line, value) in [
            ("attribute = 'Class'\ntext = 'vpn'", &b"vpn"[..]),
            ("attribute = 'session-timeout'\nvalue = 3600", &[0, 0, 14, 16]),
            ("attribute = 'Service-Type'\nvalue = 'Administrative-User'", &[0, 0, 0, 6]),
            ("attribute = 'Framed-IP-Address'\nvalue = '10.1.2.3'", &[10, 1, 2, 3]),
            ("attribute = 'Framed-Interface-Id'\nvalue = '0:0:0:1'", &[0, 0, 0, 0, 0, 0, 0, 1]),
            ("attribute = 'Tunnel-Type'\nvalue = 'VLAN'", &[0, 0, 0, 13]),
            ("attribute = 'Tunnel-Type'\nvalue = 'VLAN'\ntag = 1", &[1, 0, 0, 13]),
            ("attribute = 64\ninteger = 13\ntag = 31", &[31, 0, 0, 13]),
            ("attribute = 'Tunnel-Private-Group-Id'\ntext = '42'\ntag = 1", b"\x0142"),
            ("attribute = 'Tunnel-Private-Group-Id'\ntext = '42'", b"42"),
        ] {
            assert_eq!(fixed(line), value, "{line}");
        }
    }

    #[test]
    fn attributes_of_a_maker_keep_its_number() {
        let rule = check("attribute = 'Cisco-AVPair'\ntext = 'shell:priv-lvl=15'").unwrap();
        assert_eq!((rule.vendor.unwrap().id, rule.number), (9, 1));
        // 24 would be State if it were in the standards.
        let rule = check("attribute = 'F5-LTM-User-Role'\nvalue = 'Operator'").unwrap();
        assert_eq!((rule.vendor.unwrap().id, rule.number), (3375, 1));
        assert_eq!(rule.value, ReplyValue::Fixed(vec![0, 0, 1, 0x90]));
    }

    #[test]
    fn a_rule_may_be_for_some_and_say_what_is_not_known_yet() {
        let rule = check(
            "attribute = 'Filter-Id'\nfrom = 'token-label'\ngroup = 'admins'\nlistener = 'tls'",
        );
        let rule = rule.unwrap();
        assert_eq!(rule.value, ReplyValue::From(Source::TokenLabel));
        assert_eq!(rule.group.as_deref(), Some("admins"));
        assert_eq!(rule.listener, Some(Listener::Tls));
        for (from, source) in [
            ("token-id", Source::TokenId),
            ("account", Source::Account),
            ("indicators", Source::Indicators),
        ] {
            let line = format!("attribute = 'Tunnel-Client-Auth-Id'\nfrom = '{from}'\ntag = 2");
            let rule = check(&line).unwrap();
            assert_eq!((rule.value, rule.tag), (ReplyValue::From(source), Some(2)));
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_attribute() {
        for (line, expected) in [
            ("attribute = 'Fliter-Id'\ntext = 'x'", "Fliter-Id: no dictionary has this name"),
            ("attribute = 256\ntext = 'x'", "an attribute is a number from 1 to 255, or a name"),
            ("attribute = 24\ntext = 'x'", "attribute 24: it is not ours to send by a rule"),
            ("attribute = 'proxy-state'\ntext = 'x'", "it is not ours to send by a rule"),
            ("attribute = 'Tunnel-Password'\ntext = 'x'", "it would have to be encrypted"),
            ("attribute = 'MS-MPPE-Send-Key'\nhex = '00'", "it would have to be encrypted"),
            ("attribute = 'Class'", "give exactly one of text, integer, hex, value and from"),
            ("attribute = 'Class'\ntext = 'x'\nhex = '00'", "give exactly one of"),
            ("attribute = 'Class'\ntext = 'x'\nlistener = 'http'", "unknown variant `http`"),
            ("attribute = 'Class'\nfrom = 'pin'", "unknown variant `pin`"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_value() {
        for (line, expected) in [
            ("attribute = 'Session-Timeout'\ntext = '60'", "it is no text; write it as value"),
            ("attribute = 'Session-Timeout'\nfrom = 'account'", "it is no text, so it cannot say"),
            ("attribute = 'Session-Timeout'\ninteger = 4294967296", "4294967296 is too large"),
            (
                "attribute = 'Session-Timeout'\nvalue = -1",
                "\"-1\" is not a number up to 4294967295",
            ),
            ("attribute = 'Filter-Id'\ninteger = 1", "it is no integer; write it as value or hex"),
            ("attribute = 'Service-Type'\nvalue = 'Admin'", "or one of administrative-user, "),
            ("attribute = 'Framed-IP-Address'\nvalue = 'here'", "\"here\" is not an IPv4 address"),
            ("attribute = 26\ntext = 'x'", "it is no text"),
            ("attribute = 26\nvalue = 'x'", "give it in hexadecimal"),
            ("attribute = 200\nvalue = 'x'", "give it as text, integer or hex"),
            ("attribute = 'Class'\nvalue = true", "a value is a number, or a text in quotes"),
            ("attribute = 'Class'\nhex = '0g'", "hex: "),
            ("attribute = 'Class'\ntext = ''", "holds 1 to 253 octets, not 0"),
            ("attribute = 'Class'\ntext = 'x'\ntag = 1", "tag: it has no tag"),
            ("attribute = 200\ntext = 'x'\ntag = 1", "tag: it has no tag"),
            ("attribute = 64\ninteger = 13\ntag = 32", "tag: a tag is a number from 1 to 31"),
            ("attribute = 64\ninteger = 13\ntag = 0", "tag: a tag is a number from 1 to 31"),
            ("attribute = 64\ninteger = 16777216", "tag: beside a tag there is room for 24 bits"),
            ("attribute = 64\nhex = '0100000d'\ntag = 1", "leave tag out"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_value_must_fit_into_one_attribute() {
        for (attribute, longest) in
            [("Class", 253), ("Cisco-AVPair", 247), ("Tunnel-Private-Group-Id", 253)]
        {
            let line =
                |octets| format!("attribute = '{attribute}'\ntext = '{}'", "x".repeat(octets));
            assert_eq!(fixed(&line(longest)).len(), longest);
            let error = check(&line(longest + 1)).unwrap_err();
            assert!(error.contains(&format!("holds 1 to {longest} octets")), "{error}");
        }
    }
}
