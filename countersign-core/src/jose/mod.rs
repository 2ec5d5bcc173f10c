//! Keys and encrypted secrets as JSON texts (RFC 7516, RFC 7517): read and written, never opened.
//!
//! OATH-LDAP keeps the shared secret of a token as a JWE, encrypted to a JWK whose
//! private half only the validator has. Here are the texts alone; whoever holds
//! the keys does the cryptography. What is taken is an allow-list: RSA-OAEP,
//! RSA-OAEP-256 and ECDH-ES+A256KW with A256GCM.

pub mod jwe;
pub mod jwk;

use data_encoding::BASE64URL_NOPAD;

/// Longer texts are not looked at. A JWK with an RSA key of 8192 bits has about 7,000 octets.
pub const MAX_TEXT: usize = 16 * 1024;

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

fn encode(octets: &[u8]) -> String {
    BASE64URL_NOPAD.encode(octets)
}

/// A JSON string with its quotes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key id that can be shown and looked up.
fn is_key_id(text: &str) -> bool {
    (1..=MAX_KEY_ID).contains(&text.len()) && !text.chars().any(char::is_control)
}

const MAX_KEY_ID: usize = 256;
