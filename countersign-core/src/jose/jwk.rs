//! JSON Web Keys (RFC 7517, RFC 7518 §6): RSA and the curves P-256 and P-384, public and private.
//!
//! Only keys for encryption are taken, and only with a `kid`: by it a JWE says whom it is for.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{MAX_TEXT, decode, encode, is_key_id, quoted};
use crate::secret::Secret;

/// A public key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    /// `kid`: the name by which a JWE refers to it.
    pub key_id: String,
    /// Whether `alg` asks for RSA-OAEP-256 in the place of RSA-OAEP.
    pub prefers_sha256: bool,
    /// The key.
    pub key: PublicKey,
}

/// A private key with its name.
#[derive(Debug, Clone)]
pub struct PrivateJwk {
    /// `kid`: the name by which a JWE refers to it.
    pub key_id: String,
    /// Whether `alg` asks for RSA-OAEP-256 in the place of RSA-OAEP.
    pub prefers_sha256: bool,
    /// The key.
    pub key: PrivateKey,
}

/// A public key of a kind that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA of 2048 to 8192 bits.
    Rsa(RsaPublicKey),
    /// A point on P-256 or P-384.
    Ec(EcPoint),
}

/// A private key of a kind that is taken.
#[derive(Debug, Clone)]
pub enum PrivateKey {
    /// RSA of 2048 to 8192 bits, with two primes.
    Rsa(Box<RsaPrivateKey>),
    /// P-256 or P-384.
    Ec(EcPrivateKey),
}

/// Modulus and exponent, big-endian, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    /// `n`.
    pub modulus: Vec<u8>,
    /// `e`.
    pub exponent: Vec<u8>,
}

/// All numbers of a private RSA key with two primes (RFC 8017 §3.2), big-endian.
#[derive(Debug, Clone)]
pub struct RsaPrivateKey {
    /// `n` and `e`.
    pub public: RsaPublicKey,
    /// `d`.
    pub private_exponent: Secret<Vec<u8>>,
    /// `p` and `q`.
    pub primes: [Secret<Vec<u8>>; 2],
    /// `dp` and `dq`.
    pub exponents: [Secret<Vec<u8>>; 2],
    /// `qi`.
    pub coefficient: Secret<Vec<u8>>,
}

/// A private key on a curve.
#[derive(Debug, Clone)]
pub struct EcPrivateKey {
    /// Its public half.
    pub public: EcPoint,
    /// `d`, as long as the curve's field.
    pub scalar: Secret<Vec<u8>>,
}

/// What stands for a point on a curve; whether it is on it is seen when it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcPoint {
    curve: Curve,
    uncompressed: Vec<u8>,
}

/// The curves that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// Why a text is no key that is taken. Nothing of the key stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Longer than [`MAX_TEXT`].
    #[error("it is longer than {MAX_TEXT} octets, which no JWK is")]
    TooLong,
    /// No JSON object, a member twice, or one of another type.
    #[error("it is no JWK: see line {line}, column {column} of the JSON")]
    Malformed {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The key has no name.
    #[error("it has no kid of 1 to 256 characters, by which a JWE could name it")]
    NoKeyId,
    /// `kty` is another one.
    #[error("its kty is {0:?}; RSA and EC are taken")]
    KeyType(String),
    /// `crv` is another one.
    #[error("its crv is {0:?}; P-256 and P-384 are taken")]
    Curve(String),
    /// `use` is another one.
    #[error("its use is {0:?}; keys for secrets have \"enc\"")]
    Usage(String),
    /// `alg` is another one, or one of another kind of key.
    #[error("its alg is {0:?}; RSA-OAEP, RSA-OAEP-256 and, with EC, ECDH-ES+A256KW are taken")]
    Algorithm(String),
    /// A number is missing, no base64url, or of a wrong length.
    #[error("its member {0} is missing, no base64url, or of a wrong length")]
    Member(&'static str),
    /// RSA of another size.
    #[error("it is an RSA key of {0} bits; 2048 to 8192 are taken")]
    Size(usize),
    /// RSA with more than two primes.
    #[error("it has more than two primes")]
    ManyPrimes,
    /// A public key where a private one is wanted.
    #[error("it is a public key, where a private key is wanted")]
    NotPrivate,
    /// A private key where a public one is wanted.
    #[error("it holds a private key, where only the public key may be; make a new key")]
    NotPublic,
}

impl PublicJwk {
    /// Reads the JSON text of a public key.
    ///
    /// # Errors
    ///
    /// It is no public key that is taken; a private one is an error, too.
    pub fn parse(text: &str) -> Result<Self, JwkError> {
        let written = Written::parse(text)?;
        if written.has_private_members() {
            return Err(JwkError::NotPublic);
        }
        let key = written.public_key()?;
        let (key_id, prefers_sha256) = written.name()?;
        Ok(Self { key_id, prefers_sha256, key })
    }

    /// The JSON text, members in order of their names.
    #[must_use]
    pub fn to_json(&self) -> String {
        let key_id = quoted(&self.key_id);
        let alg = if self.prefers_sha256 { "\"alg\":\"RSA-OAEP-256\"," } else { "" };
        match &self.key {
            PublicKey::Rsa(key) => format!(
                r#"{{{alg}"e":"{}","kid":{key_id},"kty":"RSA","n":"{}","use":"enc"}}"#,
                encode(&key.exponent),
                encode(&key.modulus),
            ),
            PublicKey::Ec(point) => format!(
                r#"{{"crv":"{}","kid":{key_id},"kty":"EC","use":"enc","x":"{}","y":"{}"}}"#,
                point.curve.name(),
                encode(point.x()),
                encode(point.y()),
            ),
        }
    }

    /// The thumbprint of the key (RFC 7638 with SHA-256), base64url: what people compare.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let members = match &self.key {
            PublicKey::Rsa(key) => format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                encode(&key.exponent),
                encode(&key.modulus)
            ),
            PublicKey::Ec(point) => format!("{{{},\"kty\":\"EC\"{}}}", point.crv(), point.xy()),
        };
        encode(&Sha256::digest(members))
    }
}

impl PrivateJwk {
    /// Reads the JSON text of a private key.
    ///
    /// # Errors
    ///
    /// It is no private key that is taken.
    pub fn parse(text: &str) -> Result<Self, JwkError> {
        let written = Written::parse(text)?;
        let key = match written.public_key()? {
            PublicKey::Rsa(public) => PrivateKey::Rsa(Box::new(written.rsa_private_key(public)?)),
            PublicKey::Ec(public) => PrivateKey::Ec(written.ec_private_key(public)?),
        };
        let (key_id, prefers_sha256) = written.name()?;
        Ok(Self { key_id, prefers_sha256, key })
    }

    /// The public half, of the same name.
    #[must_use]
    pub fn to_public(&self) -> PublicJwk {
        let key = match &self.key {
            PrivateKey::Rsa(key) => PublicKey::Rsa(key.public.clone()),
            PrivateKey::Ec(key) => PublicKey::Ec(key.public.clone()),
        };
        let key_id = self.key_id.clone();
        PublicJwk { key_id, prefers_sha256: self.prefers_sha256, key }
    }

    /// The JSON text, members in order of their names.
    #[must_use]
    pub fn to_json(&self) -> Secret<String> {
        let public = self.to_public().to_json();
        // The public members follow the private ones; no reader minds their order.
        let members: Vec<(&str, &Secret<Vec<u8>>)> = match &self.key {
            PrivateKey::Rsa(key) => vec![
                ("d", &key.private_exponent),
                ("dp", &key.exponents[0]),
                ("dq", &key.exponents[1]),
                ("p", &key.primes[0]),
                ("q", &key.primes[1]),
                ("qi", &key.coefficient),
            ],
            PrivateKey::Ec(key) => vec![("d", &key.scalar)],
        };
        // All of its room at once: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push('{');
        for (name, value) in members {
            let value = Zeroizing::new(encode(value.expose()));
            for part in ["\"", name, "\":\"", value.as_str(), "\","] {
                text.push_str(part);
            }
        }
        text.push_str(&public[1..]);
        Secret::new(std::mem::take(&mut *text))
    }
}

impl EcPoint {
    /// A point of a curve as `04`, x, y (SEC 1 §2.3.3).
    #[must_use]
    pub fn from_uncompressed(curve: Curve, octets: &[u8]) -> Option<Self> {
        let fits = octets.len() == 1 + 2 * curve.field_length() && octets[0] == UNCOMPRESSED;
        fits.then(|| Self { curve, uncompressed: octets.to_vec() })
    }

    /// The curve.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// `04`, x, y.
    #[must_use]
    pub fn uncompressed(&self) -> &[u8] {
        &self.uncompressed
    }

    pub(super) fn from_members(crv: &str, x: &str, y: &str) -> Result<Self, JwkError> {
        let curve = match crv {
            "P-256" => Curve::P256,
            "P-384" => Curve::P384,
            _ => return Err(JwkError::Curve(crv.to_owned())),
        };
        let coordinate = |text: &str, name| {
            let octets = decode(text).filter(|octets| octets.len() == curve.field_length());
            octets.ok_or(JwkError::Member(name))
        };
        let uncompressed =
            [&[UNCOMPRESSED][..], &coordinate(x, "x")?, &coordinate(y, "y")?].concat();
        Ok(Self { curve, uncompressed })
    }

    fn x(&self) -> &[u8] {
        &self.uncompressed[1..=self.curve.field_length()]
    }

    fn y(&self) -> &[u8] {
        &self.uncompressed[1 + self.curve.field_length()..]
    }

    pub(super) fn crv(&self) -> String {
        format!(r#""crv":"{}""#, self.curve.name())
    }

    pub(super) fn xy(&self) -> String {
        format!(r#","x":"{}","y":"{}""#, encode(self.x()), encode(self.y()))
    }
}

impl Curve {
    /// Octets of a coordinate and of a private key.
    #[must_use]
    pub fn field_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// The name in a JWK.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }
}

/// A JWK as written. Numbers are borrowed from the text, so that no copy of a private one stays;
/// members that are not known are passed over (RFC 7517 §4).
#[derive(Deserialize)]
struct Written<'a> {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    #[serde(borrow)]
    x: Option<&'a str>,
    y: Option<&'a str>,
    n: Option<&'a str>,
    e: Option<&'a str>,
    d: Option<&'a str>,
    p: Option<&'a str>,
    q: Option<&'a str>,
    dp: Option<&'a str>,
    dq: Option<&'a str>,
    qi: Option<&'a str>,
    #[serde(default, deserialize_with = "super::jwe::present")]
    oth: bool,
}

impl<'a> Written<'a> {
    fn parse(text: &'a str) -> Result<Self, JwkError> {
        if text.len() > MAX_TEXT {
            return Err(JwkError::TooLong);
        }
        // The library's own words could quote a private number.
        serde_json::from_str(text)
            .map_err(|error| JwkError::Malformed { line: error.line(), column: error.column() })
    }

    fn has_private_members(&self) -> bool {
        [self.d, self.p, self.q, self.dp, self.dq, self.qi].iter().any(Option::is_some) || self.oth
    }

    /// The name, and whether the key wants SHA-256.
    fn name(&self) -> Result<(String, bool), JwkError> {
        if let Some(usage) = self.usage.as_ref().filter(|usage| *usage != "enc") {
            return Err(JwkError::Usage(usage.clone()));
        }
        let prefers_sha256 = match (self.kty.as_str(), self.alg.as_deref()) {
            (_, None) | ("RSA", Some("RSA-OAEP")) | ("EC", Some("ECDH-ES+A256KW")) => false,
            ("RSA", Some("RSA-OAEP-256")) => true,
            (_, Some(other)) => return Err(JwkError::Algorithm(other.to_owned())),
        };
        let key_id = self.kid.clone().filter(|kid| is_key_id(kid)).ok_or(JwkError::NoKeyId)?;
        Ok((key_id, prefers_sha256))
    }

    fn public_key(&self) -> Result<PublicKey, JwkError> {
        match self.kty.as_str() {
            "RSA" => self.rsa_public_key().map(PublicKey::Rsa),
            "EC" => {
                let crv = self.crv.as_deref().unwrap_or_default();
                let point = EcPoint::from_members(
                    crv,
                    self.x.unwrap_or_default(),
                    self.y.unwrap_or_default(),
                );
                point.map(PublicKey::Ec)
            }
            other => Err(JwkError::KeyType(other.to_owned())),
        }
    }

    fn rsa_public_key(&self) -> Result<RsaPublicKey, JwkError> {
        let modulus = number("n", self.n)?;
        let exponent = number("e", self.e)?;
        let bits =
            modulus.len() * 8 - modulus.first().map_or(0, |octet| octet.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(JwkError::Size(bits));
        }
        let is_odd = exponent.last().is_some_and(|octet| octet % 2 == 1);
        if !is_odd || exponent == [1] || exponent.len() > MAX_EXPONENT {
            return Err(JwkError::Member("e"));
        }
        Ok(RsaPublicKey { modulus, exponent })
    }

    fn rsa_private_key(&self, public: RsaPublicKey) -> Result<RsaPrivateKey, JwkError> {
        if self.d.is_none() {
            return Err(JwkError::NotPrivate);
        }
        if self.oth {
            return Err(JwkError::ManyPrimes);
        }
        let longest = public.modulus.len();
        let private = |name, text| {
            let octets = Secret::new(number(name, text)?);
            let fits = octets.expose().len() <= longest;
            if fits { Ok(octets) } else { Err(JwkError::Member(name)) }
        };
        Ok(RsaPrivateKey {
            private_exponent: private("d", self.d)?,
            primes: [private("p", self.p)?, private("q", self.q)?],
            exponents: [private("dp", self.dp)?, private("dq", self.dq)?],
            coefficient: private("qi", self.qi)?,
            public,
        })
    }

    fn ec_private_key(&self, public: EcPoint) -> Result<EcPrivateKey, JwkError> {
        let text = self.d.ok_or(JwkError::NotPrivate)?;
        let scalar = decode(text).map(Secret::new).ok_or(JwkError::Member("d"))?;
        if scalar.expose().len() != public.curve.field_length() {
            return Err(JwkError::Member("d"));
        }
        Ok(EcPrivateKey { public, scalar })
    }
}

/// A Base64urlUInt (RFC 7518 §2) that is not zero. Leading zeros are forgiven.
fn number(name: &'static str, text: Option<&str>) -> Result<Vec<u8>, JwkError> {
    let octets = text.and_then(decode).map(Zeroizing::new).ok_or(JwkError::Member(name))?;
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = &octets[zeros..];
    if significant.is_empty() { Err(JwkError::Member(name)) } else { Ok(significant.to_vec()) }
}

const UNCOMPRESSED: u8 = 4;
/// As much as common libraries take: 33 bits.
const MAX_EXPONENT: usize = 5;

#[cfg(test)]
mod tests;
