//! JSON Web Encryption (RFC 7516): the compact form, and JSON with one recipient.
//!
//! OATH-LDAP writes flattened JSON with `alg`, `enc` and `kid` in the unprotected
//! `header` and no `protected`, so the additional data is empty; that is taken.
//! What is written here has all of them in the protected header.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{MAX_TEXT, decode, encode, is_key_id, jwk::EcPoint, quoted};

/// An encrypted secret, read and not yet opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwe {
    /// `kid`: whose key opens it.
    pub key_id: String,
    /// How the content key is wrapped.
    pub method: KeyMethod,
    /// The wrapped content key.
    pub encrypted_key: Vec<u8>,
    /// The initialisation vector of AES-256-GCM.
    pub iv: [u8; IV_LENGTH],
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The tag of AES-256-GCM.
    pub tag: [u8; TAG_LENGTH],
    /// What the tag covers beside the ciphertext.
    pub additional_data: Vec<u8>,
}

/// How a content key of 256 bits is wrapped: all that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMethod {
    /// RSA-OAEP with SHA-1, the one of OATH-LDAP.
    RsaOaep,
    /// RSA-OAEP with SHA-256.
    RsaOaep256,
    /// ECDH-ES with AES-256 key wrap (RFC 7518 §4.6).
    EcdhEsA256Kw {
        /// `epk`: the sender's key of this one message.
        ephemeral: EcPoint,
        /// `apu`: what is known of the sender.
        party_u: Vec<u8>,
        /// `apv`: what is known of the recipient.
        party_v: Vec<u8>,
    },
}

/// A JWE to be written: its header stands, so the additional data is known.
#[derive(Debug, Clone)]
pub struct PreparedJwe {
    protected: String,
}

/// Why a text is no JWE that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// Longer than [`MAX_TEXT`].
    #[error("it is longer than {MAX_TEXT} octets, which no JWE of a secret is")]
    TooLong,
    /// Neither five parts with dots nor the JSON object.
    #[error("it is no JWE: neither five parts with dots between them nor a JSON object")]
    Malformed,
    /// The protected header is no JSON object.
    #[error("its protected header is no JSON object in base64url")]
    Header,
    /// Not exactly one recipient.
    #[error("it is a JWE for {0} recipients; one is taken")]
    Recipients(usize),
    /// A header parameter in two headers.
    #[error("its {0} stands in two headers")]
    Repeated(&'static str),
    /// Nobody knows for which key it is.
    #[error("it has no kid of 1 to 256 characters, so that nobody can tell for which key it is")]
    NoKeyId,
    /// Another algorithm.
    #[error(
        "it is for the key {key_id:?} with alg {algorithm:?}; RSA-OAEP, RSA-OAEP-256 and ECDH-ES+A256KW are allowed"
    )]
    Algorithm {
        /// The key.
        key_id: String,
        /// `alg`.
        algorithm: String,
    },
    /// Another encryption of the content.
    #[error("it is for the key {key_id:?} with enc {encryption:?}; A256GCM is allowed")]
    Encryption {
        /// The key.
        key_id: String,
        /// `enc`.
        encryption: String,
    },
    /// An extension that must be understood.
    #[error("it has crit, an extension that must be understood; none is")]
    Critical,
    /// Compressed content.
    #[error("it has zip; compressed secrets are refused")]
    Compressed,
    /// A part is missing, no base64url, or of a wrong length.
    #[error("its {0} is missing, no base64url, or of a wrong length")]
    Part(&'static str),
}

impl Jwe {
    /// Reads a JWE: compact, flattened JSON, or general JSON with one recipient.
    ///
    /// # Errors
    ///
    /// It is none, or it asks for something that is not on the allow-list.
    pub fn parse(text: &str) -> Result<Self, JweError> {
        let text = text.trim_ascii();
        if text.len() > MAX_TEXT {
            return Err(JweError::TooLong);
        }
        let written = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|_| JweError::Malformed)?
        } else {
            Written::from_compact(text)?
        };
        written.check()
    }
}

impl PreparedJwe {
    /// The header of a new JWE for a key.
    #[must_use]
    pub fn new(key_id: &str, method: &KeyMethod) -> Self {
        let (alg, epk) = match method {
            KeyMethod::RsaOaep => (RSA_OAEP, String::new()),
            KeyMethod::RsaOaep256 => (RSA_OAEP_256, String::new()),
            KeyMethod::EcdhEsA256Kw { ephemeral, party_u, party_v } => {
                let party = |name: &str, octets: &[u8]| match octets {
                    [] => String::new(),
                    octets => format!(r#""{name}":"{}","#, encode(octets)),
                };
                let (u, v) = (party("apu", party_u), party("apv", party_v));
                let (crv, xy) = (ephemeral.crv(), ephemeral.xy());
                (ECDH_ES_A256KW, format!(r#"{u}{v}"epk":{{{crv},"kty":"EC"{xy}}},"#))
            }
        };
        let key_id = quoted(key_id);
        let header = format!(r#"{{"alg":"{alg}","enc":"{A256GCM}",{epk}"kid":{key_id}}}"#);
        Self { protected: encode(header.as_bytes()) }
    }

    /// What the tag must cover.
    #[must_use]
    pub fn additional_data(&self) -> &[u8] {
        self.protected.as_bytes()
    }

    /// The text in flattened JSON, once content key and content are encrypted.
    #[must_use]
    pub fn complete(
        self,
        encrypted_key: &[u8],
        iv: &[u8; IV_LENGTH],
        ciphertext: &[u8],
        tag: &[u8; TAG_LENGTH],
    ) -> String {
        format!(
            r#"{{"ciphertext":"{}","encrypted_key":"{}","iv":"{}","protected":"{}","tag":"{}"}}"#,
            encode(ciphertext),
            encode(encrypted_key),
            encode(iv),
            self.protected,
            encode(tag)
        )
    }
}

/// The members of the JSON forms (RFC 7516 §7.2).
#[derive(Deserialize)]
struct Written {
    protected: Option<String>,
    unprotected: Option<Header>,
    header: Option<Header>,
    encrypted_key: Option<String>,
    recipients: Option<Vec<Recipient>>,
    iv: Option<String>,
    ciphertext: Option<String>,
    tag: Option<String>,
    aad: Option<String>,
}

#[derive(Deserialize)]
struct Recipient {
    header: Option<Header>,
    encrypted_key: Option<String>,
}

/// Header parameters that mean something here; others are passed over (RFC 7516 §4).
#[derive(Default, Deserialize)]
struct Header {
    alg: Option<String>,
    enc: Option<String>,
    kid: Option<String>,
    epk: Option<EphemeralKey>,
    apu: Option<String>,
    apv: Option<String>,
    #[serde(default, deserialize_with = "present")]
    zip: bool,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// `epk`: a public JWK without a name.
#[derive(Deserialize)]
struct EphemeralKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

impl Written {
    fn from_compact(text: &str) -> Result<Self, JweError> {
        let parts: Vec<_> = text.splitn(6, '.').collect();
        let [protected, encrypted_key, iv, ciphertext, tag] = parts[..] else {
            return Err(JweError::Malformed);
        };
        let owned = |part: &str| Some(part.to_owned());
        Ok(Self {
            protected: owned(protected),
            unprotected: None,
            header: None,
            encrypted_key: owned(encrypted_key),
            recipients: None,
            iv: owned(iv),
            ciphertext: owned(ciphertext),
            tag: owned(tag),
            aad: None,
        })
    }

    fn check(mut self) -> Result<Jwe, JweError> {
        self.flatten()?;
        let protected = match &self.protected {
            Some(protected) => read_protected(protected)?,
            None => Header::default(),
        };
        let headers = [Some(protected), self.unprotected.take(), self.header.take()];
        let (key_id, method) = Header::join(headers)?.check()?;
        Ok(Jwe {
            key_id,
            method,
            encrypted_key: part("encrypted_key", self.encrypted_key.as_deref())?,
            iv: fixed("iv", self.iv.as_deref())?,
            // An empty secret is none.
            ciphertext: part("ciphertext", self.ciphertext.as_deref())?,
            tag: fixed("tag", self.tag.as_deref())?,
            additional_data: self.additional_data()?,
        })
    }

    /// Makes the flattened form of the general one.
    fn flatten(&mut self) -> Result<(), JweError> {
        let Some(mut recipients) = self.recipients.take() else { return Ok(()) };
        if self.header.is_some() || self.encrypted_key.is_some() {
            return Err(JweError::Malformed);
        }
        let count = recipients.len();
        let recipient = recipients.pop().filter(|_| count == 1);
        let recipient = recipient.ok_or(JweError::Recipients(count))?;
        (self.header, self.encrypted_key) = (recipient.header, recipient.encrypted_key);
        Ok(())
    }

    /// RFC 7516 §5.1, step 14.
    fn additional_data(&self) -> Result<Vec<u8>, JweError> {
        let protected = self.protected.as_deref().unwrap_or_default();
        let Some(aad) = &self.aad else { return Ok(protected.as_bytes().to_vec()) };
        part("aad", Some(aad))?;
        Ok(format!("{protected}.{aad}").into_bytes())
    }
}

impl Header {
    /// All headers as one; a parameter may stand in one of them only (RFC 7516 §7.2.1).
    fn join(headers: [Option<Self>; 3]) -> Result<Self, JweError> {
        let mut joined = Self::default();
        for header in headers.into_iter().flatten() {
            put(&mut joined.alg, header.alg, "alg")?;
            put(&mut joined.enc, header.enc, "enc")?;
            put(&mut joined.kid, header.kid, "kid")?;
            put(&mut joined.epk, header.epk, "epk")?;
            put(&mut joined.apu, header.apu, "apu")?;
            put(&mut joined.apv, header.apv, "apv")?;
            joined.zip |= header.zip;
            joined.crit |= header.crit;
        }
        Ok(joined)
    }

    fn check(self) -> Result<(String, KeyMethod), JweError> {
        if self.crit {
            return Err(JweError::Critical);
        }
        let key_id = self.kid.filter(|kid| is_key_id(kid)).ok_or(JweError::NoKeyId)?;
        if self.zip {
            return Err(JweError::Compressed);
        }
        let encryption = self.enc.unwrap_or_default();
        if encryption != A256GCM {
            return Err(JweError::Encryption { key_id, encryption });
        }
        let party = |name, text: Option<String>| match text {
            Some(text) => part(name, Some(&text)),
            None => Ok(Vec::new()),
        };
        let method = match self.alg.as_deref().unwrap_or_default() {
            RSA_OAEP => KeyMethod::RsaOaep,
            RSA_OAEP_256 => KeyMethod::RsaOaep256,
            ECDH_ES_A256KW => KeyMethod::EcdhEsA256Kw {
                ephemeral: self.epk.and_then(|epk| epk.point()).ok_or(JweError::Part("epk"))?,
                party_u: party("apu", self.apu)?,
                party_v: party("apv", self.apv)?,
            },
            other => return Err(JweError::Algorithm { key_id, algorithm: other.to_owned() }),
        };
        Ok((key_id, method))
    }
}

impl EphemeralKey {
    fn point(&self) -> Option<EcPoint> {
        let point = EcPoint::from_members(&self.crv, &self.x, &self.y);
        point.ok().filter(|_| self.kty == "EC")
    }
}

/// A member that is there, whatever its value.
pub(super) fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn read_protected(text: &str) -> Result<Header, JweError> {
    let json = decode(text).ok_or(JweError::Header)?;
    serde_json::from_slice(&json).map_err(|_| JweError::Header)
}

fn put<T>(place: &mut Option<T>, value: Option<T>, name: &'static str) -> Result<(), JweError> {
    if place.is_some() && value.is_some() {
        return Err(JweError::Repeated(name));
    }
    *place = place.take().or(value);
    Ok(())
}

/// Octets that are there and not none.
fn part(name: &'static str, text: Option<&str>) -> Result<Vec<u8>, JweError> {
    let octets = text.and_then(decode).filter(|octets| !octets.is_empty());
    octets.ok_or(JweError::Part(name))
}

fn fixed<const N: usize>(name: &'static str, text: Option<&str>) -> Result<[u8; N], JweError> {
    part(name, text)?.try_into().map_err(|_| JweError::Part(name))
}

/// Octets of the initialisation vector (RFC 7518 §5.3).
pub const IV_LENGTH: usize = 12;
/// Octets of the tag.
pub const TAG_LENGTH: usize = 16;
const A256GCM: &str = "A256GCM";
const RSA_OAEP: &str = "RSA-OAEP";
const RSA_OAEP_256: &str = "RSA-OAEP-256";
const ECDH_ES_A256KW: &str = "ECDH-ES+A256KW";

#[cfg(test)]
mod tests;
