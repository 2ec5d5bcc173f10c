//! JWE: secrets encrypted to the key of a site, as OATH-LDAP keeps them in the directory.
//!
//! `countersign_core::jose` reads and writes the texts. Here a fresh content key
//! of 256 bits encrypts the secret with AES-256-GCM, and is itself wrapped: with
//! RSA-OAEP, or with AES key wrap under a key agreed upon by ECDH (RFC 7518 §4.6).

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, RandomizedNonceKey, UnboundKey},
    agreement::{self, UnparsedPublicKey},
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der},
    kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest},
    key_wrap::{AES_256, AesKek, KeyWrap},
    rsa::{
        self, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
        OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey, PublicKeyComponents,
    },
};
use countersign_core::{
    jose::{
        jwe::{Jwe, KeyMethod, PreparedJwe, TAG_LENGTH},
        jwk::{
            Curve, EcPoint, EcPrivateKey, PrivateJwk, PrivateKey, PublicJwk, PublicKey,
            RsaPublicKey,
        },
    },
    secret::Secret,
};

use super::{pkcs8, random_octets};

/// A private key, ready to open what is encrypted to it.
pub(super) enum OpeningKey {
    /// RSA.
    Rsa(OaepPrivateDecryptingKey),
    /// P-256 or P-384.
    Ec(agreement::PrivateKey),
}

/// The keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// RSA with 2048 bits, as OATH-LDAP makes them.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
}

/// The cryptographic library refuses: the key is none, or does not belong to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library refuses it")]
pub struct Refused;

impl OpeningKey {
    /// Checks that the numbers of a key belong together.
    pub(super) fn new(jwk: &PrivateJwk) -> Result<Self, Refused> {
        match &jwk.key {
            PrivateKey::Rsa(key) => {
                let pkcs8 = pkcs8::write(key).map_err(|_| Refused)?;
                let key = PrivateDecryptingKey::from_pkcs8(pkcs8.expose()).map_err(|_| Refused)?;
                OaepPrivateDecryptingKey::new(key).map(Self::Rsa).map_err(|_| Refused)
            }
            PrivateKey::Ec(key) => {
                let private = agreement::PrivateKey::from_private_key(
                    algorithm_of(key.public.curve()),
                    key.scalar.expose(),
                );
                let private = private.map_err(|_| Refused)?;
                let public = private.compute_public_key()?;
                let fits = public.as_ref() == key.public.uncompressed();
                if fits { Ok(Self::Ec(private)) } else { Err(Refused) }
            }
        }
    }

    /// The secret in a JWE.
    pub(super) fn open(&self, jwe: &Jwe) -> Result<Secret<Vec<u8>>, Refused> {
        let content_key = self.unwrap(jwe)?;
        let key = UnboundKey::new(&AES_256_GCM, content_key.expose())?;
        let mut octets = zeroize::Zeroizing::new([&jwe.ciphertext[..], &jwe.tag].concat());
        let nonce = Nonce::assume_unique_for_key(jwe.iv);
        let additional_data = Aad::from(&jwe.additional_data);
        let clear = LessSafeKey::new(key).open_in_place(nonce, additional_data, &mut octets)?;
        Ok(Secret::new(clear.to_vec()))
    }

    fn unwrap(&self, jwe: &Jwe) -> Result<Secret<Vec<u8>>, Refused> {
        match (self, &jwe.method) {
            (Self::Rsa(key), KeyMethod::RsaOaep) => {
                unwrap_oaep(key, &OAEP_SHA1_MGF1SHA1, &jwe.encrypted_key)
            }
            (Self::Rsa(key), KeyMethod::RsaOaep256) => {
                unwrap_oaep(key, &OAEP_SHA256_MGF1SHA256, &jwe.encrypted_key)
            }
            (Self::Ec(key), KeyMethod::EcdhEsA256Kw { ephemeral, party_u, party_v }) => {
                if jwe.encrypted_key.len() != CONTENT_KEY + WRAP_OVERHEAD {
                    return Err(Refused);
                }
                let wrapping = agree(key, ephemeral, party_u, party_v)?;
                let mut octets = zeroize::Zeroizing::new([0; CONTENT_KEY]);
                wrapping.unwrap(&jwe.encrypted_key, &mut *octets)?;
                Ok(Secret::new(octets.to_vec()))
            }
            (Self::Rsa(_), KeyMethod::EcdhEsA256Kw { .. })
            | (Self::Ec(_), KeyMethod::RsaOaep | KeyMethod::RsaOaep256) => Err(Refused),
        }
    }
}

/// Encrypts a secret to a key, as flattened JSON with a protected header.
///
/// # Errors
///
/// The key is none.
pub fn seal(to: &PublicJwk, secret: &[u8]) -> Result<String, Refused> {
    let content_key = Secret::new(random_octets::<CONTENT_KEY>());
    let (method, encrypted_key) = wrap(to, &content_key)?;
    let prepared = PreparedJwe::new(&to.key_id, &method);
    let key = RandomizedNonceKey::new(&AES_256_GCM, content_key.expose())?;
    let mut octets = secret.to_vec();
    let additional_data = Aad::from(prepared.additional_data());
    let nonce = key.seal_in_place_append_tag(additional_data, &mut octets)?;
    let tag = octets.split_off(secret.len());
    let tag: [u8; TAG_LENGTH] = tag.try_into().map_err(|_| Refused)?;
    Ok(prepared.complete(&encrypted_key, nonce.as_ref(), &octets, &tag))
}

/// Makes a key.
///
/// # Errors
///
/// The library could not make one.
pub fn generate(spec: NewKey, key_id: String) -> Result<PrivateJwk, Refused> {
    let key = match spec {
        NewKey::Rsa2048 => generate_rsa(rsa::KeySize::Rsa2048)?,
        NewKey::Rsa3072 => generate_rsa(rsa::KeySize::Rsa3072)?,
        NewKey::Rsa4096 => generate_rsa(rsa::KeySize::Rsa4096)?,
        NewKey::P256 => generate_ec(Curve::P256)?,
        NewKey::P384 => generate_ec(Curve::P384)?,
    };
    Ok(PrivateJwk { key_id, prefers_sha256: false, key })
}

impl NewKey {
    /// Every kind of key, with its name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
        ("p256", Self::P256),
        ("p384", Self::P384),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, spec)| *spec == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for NewKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        let names = Self::NAMES.map(|(name, _)| name).join(", ");
        known.map(|(_, spec)| spec).ok_or_else(|| format!("there are {names}"))
    }
}

impl From<aws_lc_rs::error::Unspecified> for Refused {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

fn unwrap_oaep(
    key: &OaepPrivateDecryptingKey,
    algorithm: &'static OaepAlgorithm,
    encrypted_key: &[u8],
) -> Result<Secret<Vec<u8>>, Refused> {
    let mut octets = zeroize::Zeroizing::new(vec![0; key.min_output_size()]);
    let content_key = key.decrypt(algorithm, encrypted_key, &mut octets, None)?;
    if content_key.len() == CONTENT_KEY {
        Ok(Secret::new(content_key.to_vec()))
    } else {
        Err(Refused)
    }
}

fn wrap(
    to: &PublicJwk,
    content_key: &Secret<[u8; CONTENT_KEY]>,
) -> Result<(KeyMethod, Vec<u8>), Refused> {
    match &to.key {
        PublicKey::Rsa(key) if to.prefers_sha256 => {
            let wrapped = wrap_oaep(key, &OAEP_SHA256_MGF1SHA256, content_key)?;
            Ok((KeyMethod::RsaOaep256, wrapped))
        }
        PublicKey::Rsa(key) => {
            Ok((KeyMethod::RsaOaep, wrap_oaep(key, &OAEP_SHA1_MGF1SHA1, content_key)?))
        }
        PublicKey::Ec(point) => wrap_ecdh(point, content_key),
    }
}

fn wrap_oaep(
    key: &RsaPublicKey,
    algorithm: &'static OaepAlgorithm,
    content_key: &Secret<[u8; CONTENT_KEY]>,
) -> Result<Vec<u8>, Refused> {
    let components = PublicKeyComponents { n: &key.modulus, e: &key.exponent };
    let key: PublicEncryptingKey = components.try_into()?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut wrapped = vec![0; key.ciphertext_size()];
    let length = key.encrypt(algorithm, content_key.expose(), &mut wrapped, None)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

fn wrap_ecdh(
    to: &EcPoint,
    content_key: &Secret<[u8; CONTENT_KEY]>,
) -> Result<(KeyMethod, Vec<u8>), Refused> {
    let private = agreement::PrivateKey::generate(algorithm_of(to.curve()))?;
    let public = private.compute_public_key()?;
    let ephemeral = EcPoint::from_uncompressed(to.curve(), public.as_ref()).ok_or(Refused)?;
    let mut wrapped = vec![0; CONTENT_KEY + WRAP_OVERHEAD];
    agree(&private, to, &[], &[])?.wrap(content_key.expose(), &mut wrapped)?;
    Ok((KeyMethod::EcdhEsA256Kw { ephemeral, party_u: Vec::new(), party_v: Vec::new() }, wrapped))
}

/// The wrapping key that both sides get: ECDH, then the Concat KDF (RFC 7518 §4.6.2). The
/// library's one-step KDF is the same function; the other information is its `info`.
fn agree(
    private: &agreement::PrivateKey,
    public: &EcPoint,
    party_u: &[u8],
    party_v: &[u8],
) -> Result<AesKek, Refused> {
    let mut info = Vec::new();
    for part in [ECDH_ES_A256KW, party_u, party_v] {
        info.extend(u32::try_from(part.len()).map_err(|_| Refused)?.to_be_bytes());
        info.extend(part);
    }
    info.extend(WRAPPING_KEY_BITS.to_be_bytes());
    let function = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).ok_or(Refused)?;
    let peer = UnparsedPublicKey::new(algorithm_of(public.curve()), public.uncompressed());
    agreement::agree(private, peer, Refused, |shared| {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        sskdf_digest(function, shared, &info, &mut *key)?;
        Ok(AesKek::new(&AES_256, &*key)?)
    })
}

fn generate_rsa(size: rsa::KeySize) -> Result<PrivateKey, Refused> {
    let key = PrivateDecryptingKey::generate(size)?;
    let der: Pkcs8V1Der<'_> = key.as_der()?;
    let key = pkcs8::read(der.as_ref()).map_err(|_| Refused)?;
    Ok(PrivateKey::Rsa(Box::new(key)))
}

fn generate_ec(curve: Curve) -> Result<PrivateKey, Refused> {
    let key = agreement::PrivateKey::generate(algorithm_of(curve))?;
    let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes()?;
    let public = EcPoint::from_uncompressed(curve, key.compute_public_key()?.as_ref());
    let scalar = Secret::new(scalar.as_ref().to_vec());
    Ok(PrivateKey::Ec(EcPrivateKey { public: public.ok_or(Refused)?, scalar }))
}

fn algorithm_of(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    }
}

/// Octets of the key of A256GCM.
const CONTENT_KEY: usize = 32;
/// What AES key wrap adds (RFC 3394).
const WRAP_OVERHEAD: usize = 8;
const WRAPPING_KEY_BITS: u32 = 256;
/// AlgorithmID of the Concat KDF.
const ECDH_ES_A256KW: &[u8] = b"ECDH-ES+A256KW";

#[cfg(test)]
mod tests;
