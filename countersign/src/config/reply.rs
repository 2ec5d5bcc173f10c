//! What an Access-Accept carries, as written and as checked.

use serde::Deserialize;

use super::{Wrong, wrong};

/// One attribute of every Access-Accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyAttribute {
    /// The attribute number (RFC 2865 §5).
    pub number: u8,
    /// The value as it travels; 1 to 253 octets.
    pub value: Vec<u8>,
}

/// One attribute of every Access-Accept: a number and a value in one of three forms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplyFile {
    /// The attribute's number.
    pub attribute: u8,
    /// The value as text.
    pub text: Option<String>,
    /// The value as a 32-bit integer.
    pub integer: Option<u32>,
    /// The value in hexadecimal.
    pub hex: Option<String>,
}

pub(super) fn check_reply(key: &str, file: ReplyFile) -> Result<ReplyAttribute, Wrong> {
    let key = format!("{key}.reply");
    let value = match (file.text, file.integer, file.hex) {
        (Some(text), None, None) => text.into_bytes(),
        (None, Some(integer), None) => integer.to_be_bytes().to_vec(),
        (None, None, Some(hex)) => {
            let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
            decoded.or_else(|error| wrong(&key, format!("hex: {error}")))?
        }
        _ => return wrong(key, "give exactly one of text, integer and hex"),
    };
    if value.is_empty() || value.len() > 253 {
        return wrong(key, "a RADIUS attribute holds 1 to 253 octets");
    }
    if matches!(file.attribute, 0 | 2 | 3 | 24 | 33 | 79 | 80) {
        return wrong(
            key,
            format!("attribute {} is not ours to send as a fixed value", file.attribute),
        );
    }
    Ok(ReplyAttribute { number: file.attribute, value })
}
