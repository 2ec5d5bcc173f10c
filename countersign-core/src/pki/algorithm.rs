//! The signature algorithms of this product, and who computes them.

use der::{Any, Encode, asn1::ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;

/// A digest that a signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-1; only where the config allows old clients.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A kind of key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA with PKCS#1 v1.5 signatures (RFC 8017).
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

/// What verifies signatures: the cryptographic library of the caller.
pub trait Verify {
    /// Whether `signature` over `message` was made by the key in `spki`.
    ///
    /// `spki` is a DER SubjectPublicKeyInfo. An unknown or too short key, or an
    /// algorithm that does not belong to the key, is no valid signature.
    fn verify(&self, spki: &[u8], digest: Digest, message: &[u8], signature: &[u8]) -> bool;
}

/// `sha1WithRSAEncryption` (RFC 3279).
pub const SHA1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
/// `sha256WithRSAEncryption` (RFC 4055).
pub const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// `sha384WithRSAEncryption` (RFC 4055).
pub const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
/// `sha512WithRSAEncryption` (RFC 4055).
pub const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
/// `ecdsa-with-SHA1` (RFC 3279).
pub const ECDSA_WITH_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
/// `ecdsa-with-SHA256` (RFC 5758).
pub const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// `ecdsa-with-SHA384` (RFC 5758).
pub const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// `ecdsa-with-SHA512` (RFC 5758).
pub const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// The algorithm identifier of a signature by this kind of key over this digest.
#[must_use]
pub fn signature_algorithm(key: KeyKind, digest: Digest) -> AlgorithmIdentifierOwned {
    let oid = match (key, digest) {
        (KeyKind::Rsa, Digest::Sha1) => SHA1_WITH_RSA,
        (KeyKind::Rsa, Digest::Sha256) => SHA256_WITH_RSA,
        (KeyKind::Rsa, Digest::Sha384) => SHA384_WITH_RSA,
        (KeyKind::Rsa, Digest::Sha512) => SHA512_WITH_RSA,
        (KeyKind::P256 | KeyKind::P384, Digest::Sha1) => ECDSA_WITH_SHA1,
        (KeyKind::P256 | KeyKind::P384, Digest::Sha256) => ECDSA_WITH_SHA256,
        (KeyKind::P256 | KeyKind::P384, Digest::Sha384) => ECDSA_WITH_SHA384,
        (KeyKind::P256 | KeyKind::P384, Digest::Sha512) => ECDSA_WITH_SHA512,
    };
    let parameters = match key {
        KeyKind::Rsa => Some(null()),
        KeyKind::P256 | KeyKind::P384 => None,
    };
    AlgorithmIdentifierOwned { oid, parameters }
}

/// The digest of a signature algorithm; `None` if the algorithm is not one of ours.
#[must_use]
pub fn digest_of(oid: ObjectIdentifier) -> Option<Digest> {
    match oid {
        SHA1_WITH_RSA | ECDSA_WITH_SHA1 => Some(Digest::Sha1),
        SHA256_WITH_RSA | ECDSA_WITH_SHA256 => Some(Digest::Sha256),
        SHA384_WITH_RSA | ECDSA_WITH_SHA384 => Some(Digest::Sha384),
        SHA512_WITH_RSA | ECDSA_WITH_SHA512 => Some(Digest::Sha512),
        _ => None,
    }
}

/// An ASN.1 NULL, the parameters that RSA and digest algorithms carry (RFC 3279).
#[must_use]
pub fn null() -> Any {
    Any::null()
}

/// DER octets of a value whose encoding cannot fail.
pub(crate) fn der_octets(value: &impl Encode) -> Vec<u8> {
    value.to_der().expect("a value made of checked parts can be encoded")
}
