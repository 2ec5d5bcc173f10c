//! Tokens: what their entries say, whose they are, and how a new one is written.

use std::fmt::{self, Write};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};

use super::{
    counter::Position,
    entry::{Cause, Entry, EntryError},
    filter,
    mapping::{HotpCounter, PlainSecrets, TokenMapping},
    parameters::ParametersEntry,
    schema::{Method, attribute, attribute::OBJECT_CLASS},
};
use crate::{
    domain::{
        account::Validity,
        id::{AccountId, PersonId, TokenId},
        token::Token,
    },
    secret::Secret,
    time::UnixTime,
};

/// What an entry says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The name of the entry.
    pub dn: String,
    /// The identifier.
    pub id: TokenId,
    /// How its OTPs come about.
    pub method: Method,
    /// What administrators call it.
    pub label: String,
    /// The name of the owner's entry.
    pub owner: Option<String>,
    /// What is typed before the OTP.
    pub identifier: Option<String>,
    /// The shared secret, if the token is initialised.
    pub secret: Option<StoredSecret>,
    /// Since when the secret is used.
    pub since: Option<UnixTime>,
    /// The name of the entry with its parameters.
    pub parameters: Option<String>,
    /// What moves.
    pub position: Position,
    /// Under which what was seen spent is kept. Another secret has another one, so that a token
    /// that was initialised anew begins anew.
    pub mark: MarkKey,
}

/// Names the mark of a token with one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarkKey(pub [u8; 16]);

/// A shared secret as text: a JWE, or `plain:` and base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret(Secret<String>);

impl StoredSecret {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredSecret(..)")
    }
}

impl TokenEntry {
    /// The token, with the parameters that it refers to.
    #[must_use]
    pub fn token(
        &self,
        parameters: &ParametersEntry,
        accounts: Vec<AccountId>,
        owner: Option<PersonId>,
    ) -> Token {
        let end = |since: UnixTime| parameters.max_age.map(|seconds| since.plus(seconds));
        Token {
            owner,
            accounts,
            identifier: self.identifier.clone(),
            validity: Validity { not_before: None, not_after: self.since.and_then(end) },
            ..Token::new(self.id, self.label.clone(), parameters.kind.clone())
        }
    }
}

/// The attributes that are read of a token.
#[must_use]
pub fn attributes(mapping: &TokenMapping) -> Vec<&str> {
    ALWAYS.into_iter().chain([mapping.owner.as_str(), &mapping.rdn]).collect()
}

/// Reads a token that an account refers to as one of this kind.
///
/// # Errors
///
/// The entry has no identifier, a value that cannot be read, or a secret that is not encrypted
/// where that is not allowed.
pub fn read(
    entry: &Entry,
    method: Method,
    mapping: &TokenMapping,
) -> Result<TokenEntry, EntryError> {
    let text = |name: &str| entry.text(name).map(|text| text.map(str::to_owned));
    let position = Position::read(entry, method, mapping.hotp_counter)?;
    let waits = method == Method::Hotp
        && mapping.hotp_counter == HotpCounter::Next
        && !position.has_counter();
    let secret = if waits { None } else { secret(entry, mapping.plain_secrets)? };
    let identifier = entry.identifier(attribute::ENTRY_UUID)?;
    let first = entry.texts(&mapping.rdn)?.first().map(|text| (*text).to_owned());
    let made = entry.time(attribute::SECRET_TIME)?;
    Ok(TokenEntry {
        dn: entry.dn().to_owned(),
        id: id_of(entry, identifier, method),
        method,
        label: first.unwrap_or_else(|| entry.dn().to_owned()),
        owner: entry.texts(&mapping.owner)?.first().map(|text| (*text).to_owned()),
        identifier: text(attribute::IDENTIFIER)?.filter(|text| !text.is_empty()),
        secret,
        since: made
            .map_or_else(|| entry.time(attribute::CREATE_TIMESTAMP), |made| Ok(Some(made)))?,
        parameters: text(method.parameters_attribute())?,
        position,
        mark: mark_key(entry, identifier, method),
    })
}

/// What an entry must be like to be a token (RFC 4515).
#[must_use]
pub fn filter() -> String {
    filter::any(&Method::ALL.map(|method| filter::equals(OBJECT_CLASS, method.token_class())))
}

/// What an entry must be like to refer to a token (RFC 4515).
#[must_use]
pub fn reference_filter() -> String {
    filter::any(&Method::ALL.map(|method| format!("({}=*)", method.token_attribute())))
}

/// What stands for a token that an account refers to and that is not there: nobody can use it.
#[must_use]
pub fn missing(dn: &str, method: Method, account: AccountId) -> Token {
    let id = TokenId::from_bytes(digest(&[b"countersign missing", dn.as_bytes()]));
    let kind = ParametersEntry::absent(method).kind;
    Token { accounts: vec![account], disabled: true, ..Token::new(id, dn.to_owned(), kind) }
}

/// The kinds of token that an entry is.
pub fn methods(entry: &Entry) -> impl Iterator<Item = Method> {
    Method::ALL.into_iter().filter(|method| entry.is_a(method.token_class()))
}

/// An entry may be a token of both kinds. Its half with a clock then goes by another identifier.
fn id_of(entry: &Entry, identifier: TokenId, method: Method) -> TokenId {
    if method == Method::Totp && methods(entry).count() == 2 {
        return TokenId::from_bytes(digest(&[b"countersign totp", identifier.as_bytes()]));
    }
    identifier
}

fn mark_key(entry: &Entry, identifier: TokenId, method: Method) -> MarkKey {
    let method: &[u8] = match method {
        Method::Hotp => b"hotp",
        Method::Totp => b"totp",
    };
    let secret = entry.values(attribute::SECRET).first().map_or(&[][..], Vec::as_slice);
    MarkKey(digest(&[b"countersign mark", method, identifier.as_bytes(), secret]))
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finalize()[..16]);
    out
}

fn secret(entry: &Entry, plain: PlainSecrets) -> Result<Option<StoredSecret>, EntryError> {
    let Some(octets) = entry.octets(attribute::SECRET)? else { return Ok(None) };
    if octets.is_empty() {
        return Ok(None);
    }
    if let Some(text) = as_jwe(octets) {
        return Ok(Some(StoredSecret(Secret::new(text.to_owned()))));
    }
    let wrong = |cause| Err(entry.error(attribute::SECRET, cause));
    let clear = match plain {
        PlainSecrets::Refuse => return wrong(Cause::NotEncrypted),
        PlainSecrets::Raw => Secret::new(octets.to_vec()),
        PlainSecrets::Base32 => match from_base32(octets) {
            Some(clear) => clear,
            None => return wrong(Cause::NotBase32),
        },
    };
    let text = format!("{PLAIN}{}", BASE64URL_NOPAD.encode(clear.expose_bytes()));
    Ok(Some(StoredSecret(Secret::new(text))))
}

/// A JWE is a JSON object (RFC 7516 §7.2) or five parts with dots between them (§7.1). No seed
/// is as long and a text besides.
fn as_jwe(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?.trim();
    let is_object = text.starts_with('{') && text.ends_with('}');
    let is_compact = text.starts_with("ey") && text.matches('.').count() == 4;
    (text.len() >= SHORTEST_JWE && (is_object || is_compact)).then_some(text)
}

/// Without regard to case, spaces, and padding, as people copy it.
fn from_base32(octets: &[u8]) -> Option<Secret<Vec<u8>>> {
    let kept = octets.iter().filter(|octet| !matches!(octet, b' ' | b'-' | b'=' | b'\n' | b'\r'));
    let text = Secret::new(kept.map(u8::to_ascii_uppercase).collect::<Vec<_>>());
    let clear = Secret::new(BASE32_NOPAD.decode(text.expose_bytes()).ok()?);
    (!clear.expose_bytes().is_empty()).then_some(clear)
}

/// The name of an entry below another, for a value of any characters (RFC 4514 §2.4).
#[must_use]
pub fn dn_below(attribute: &str, value: &str, base: &str) -> String {
    let mut out = format!("{attribute}=");
    for (at, octet) in value.bytes().enumerate() {
        let is_plain = octet.is_ascii_alphanumeric() || b"-_.@:/".contains(&octet);
        let is_inner_space = octet == b' ' && at != 0 && at + 1 != value.len();
        if is_plain || is_inner_space {
            out.push(char::from(octet));
        } else {
            write!(out, "\\{octet:02X}").expect("a String takes all that is written");
        }
    }
    format!("{out},{base}")
}

/// What stands before a secret that is not encrypted.
pub const PLAIN: &str = "plain:";
const SHORTEST_JWE: usize = 100;
const ALWAYS: [&str; 14] = [
    OBJECT_CLASS,
    attribute::ENTRY_UUID,
    attribute::CREATE_TIMESTAMP,
    attribute::SECRET,
    attribute::SECRET_TIME,
    attribute::SERIAL_NUMBER,
    attribute::IDENTIFIER,
    attribute::HOTP_PARAMETERS,
    attribute::TOTP_PARAMETERS,
    attribute::HOTP_COUNTER,
    attribute::LAST_TIME_STEP,
    attribute::DRIFT,
    attribute::FAILURE_COUNT,
    attribute::LAST_FAILURE,
];

#[cfg(test)]
mod tests;
