//! Private keys in PKCS#8 PEM files, and the verification of signatures.
//!
//! The library signs over the digest that belongs to an elliptic curve (P-256
//! with SHA-256, P-384 with SHA-384); over SHA-1 we sign ourselves, with RSA
//! keys only. Whoever asks for something else gets [`SignerError::Refused`];
//! verifying knows more.

use std::{fmt, fs, path::Path, str::FromStr};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, KeyPair, UnparsedPublicKey, VerificationAlgorithm},
};
use der::{Decode, SecretDocument, asn1::ObjectIdentifier, pem::LineEnding};
use serde::{Deserialize, Serialize};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use countersign_core::{
    pki::algorithm::{Digest, KeyKind, Verify},
    secret::Secret,
};

use super::{Signer, SignerError, sha1};
use crate::vault;

/// A private key held in memory, made here or read from a PKCS#8 file.
pub struct FileSigner {
    key: PrivateKey,
    kind: KeyKind,
    public: Vec<u8>,
}

/// The keys that can be made: kind and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySpec {
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// The curve P-256.
    #[serde(rename = "p-256")]
    P256,
    /// The curve P-384.
    #[serde(rename = "p-384")]
    P384,
}

/// Verifies with aws-lc-rs: RSA of 2048 to 8192 bits (SHA-1 too), P-256 and P-384.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsVerify;

impl FileSigner {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// The library could not make one.
    pub fn generate(spec: KeySpec) -> Result<Self, SignerError> {
        let key = match spec {
            KeySpec::Rsa2048 => rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(PrivateKey::Rsa),
            KeySpec::Rsa3072 => rsa::KeyPair::generate(rsa::KeySize::Rsa3072).map(PrivateKey::Rsa),
            KeySpec::P256 => EcdsaKeyPair::generate(P256_SIGNING).map(PrivateKey::P256),
            KeySpec::P384 => EcdsaKeyPair::generate(P384_SIGNING).map(PrivateKey::P384),
        };
        let key = key.map_err(|_| unusable("new key", "the library could not make one"))?;
        Self::from_key(key, "new key")
    }

    /// Reads an unencrypted PKCS#8 PEM file, which may hold certificates as well.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no key that we can use.
    pub fn load(path: &Path) -> Result<Self, SignerError> {
        let object = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|cause| unusable(&object, &cause))?;
        let text = Secret::new(text);
        let (label, document) = SecretDocument::from_pem(key_block(text.expose()))
            .map_err(|cause| unusable(&object, &cause))?;
        if label != PEM_LABEL {
            let cause = format!(
                "it holds \"{label}\" where \"{PEM_LABEL}\" is wanted; convert it with `openssl pkcs8 -topk8 -nocrypt`"
            );
            return Err(unusable(&object, &cause));
        }
        Self::from_pkcs8(document.as_bytes(), &object)
    }

    /// Takes a DER PKCS#8 key; `object` names it in errors.
    ///
    /// # Errors
    ///
    /// It is no key that we can use.
    pub fn from_pkcs8(pkcs8: &[u8], object: &str) -> Result<Self, SignerError> {
        let key = rsa::KeyPair::from_pkcs8(pkcs8)
            .map(PrivateKey::Rsa)
            .or_else(|_| EcdsaKeyPair::from_pkcs8(P256_SIGNING, pkcs8).map(PrivateKey::P256))
            .or_else(|_| EcdsaKeyPair::from_pkcs8(P384_SIGNING, pkcs8).map(PrivateKey::P384))
            .map_err(|_| {
                unusable(object, "it is no RSA (2048 to 8192 bits), P-256 or P-384 key")
            })?;
        Self::from_key(key, object)
    }

    /// Writes the key to a new PKCS#8 PEM file that only its owner can read.
    ///
    /// # Errors
    ///
    /// The file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SignerError> {
        let pem = self.pkcs8_pem()?;
        vault::write_new(path, pem.expose_bytes())
            .map_err(|cause| unusable(&path.display().to_string(), &cause))
    }

    /// The key itself, as DER PKCS#8.
    ///
    /// # Errors
    ///
    /// The library could not write it.
    pub fn pkcs8(&self) -> Result<Secret<Vec<u8>>, SignerError> {
        let written = match &self.key {
            PrivateKey::Rsa(key) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(key).map(|der| der.as_ref().to_vec())
            }
            PrivateKey::P256(key) | PrivateKey::P384(key) => {
                key.to_pkcs8v1().map(|der| der.as_ref().to_vec())
            }
        };
        written
            .map(Secret::new)
            .map_err(|_| unusable("in memory", "the library could not write it as PKCS#8"))
    }

    /// The key itself, as PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// The library could not write it.
    pub fn pkcs8_pem(&self) -> Result<Secret<String>, SignerError> {
        let der = self.pkcs8()?;
        let pem = SecretDocument::try_from(der.expose_bytes())
            .and_then(|document| document.to_pem(PEM_LABEL, LineEnding::LF))
            .map_err(|cause| unusable("in memory", &cause))?;
        Ok(Secret::new(pem.as_str().to_owned()))
    }

    fn from_key(key: PrivateKey, object: &str) -> Result<Self, SignerError> {
        let (kind, public) = match &key {
            PrivateKey::Rsa(key) => (KeyKind::Rsa, spki_of(key.public_key())),
            PrivateKey::P256(key) => (KeyKind::P256, spki_of(key.public_key())),
            PrivateKey::P384(key) => (KeyKind::P384, spki_of(key.public_key())),
        };
        let public = public.ok_or_else(|| unusable(object, "its public key cannot be written"))?;
        Ok(Self { key, kind, public })
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn sign(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signature = match (&self.key, digest) {
            (PrivateKey::Rsa(_), Digest::Sha1) => {
                sha1::sign(self.pkcs8()?.expose_bytes(), &self.public, message)
            }
            (PrivateKey::Rsa(key), Digest::Sha256) => {
                sign_rsa(key, &signature::RSA_PKCS1_SHA256, message)
            }
            (PrivateKey::Rsa(key), Digest::Sha384) => {
                sign_rsa(key, &signature::RSA_PKCS1_SHA384, message)
            }
            (PrivateKey::Rsa(key), Digest::Sha512) => {
                sign_rsa(key, &signature::RSA_PKCS1_SHA512, message)
            }
            (PrivateKey::P256(key), Digest::Sha256) | (PrivateKey::P384(key), Digest::Sha384) => {
                let signature = key.sign(&SystemRandom::new(), message).ok();
                signature.map(|signature| signature.as_ref().to_vec())
            }
            (PrivateKey::P256(_) | PrivateKey::P384(_), _) => None,
        };
        signature.ok_or(SignerError::Refused { kind: self.kind, digest })
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSigner({:?})", self.kind)
    }
}

impl Verify for AwsVerify {
    fn verify(&self, spki: &[u8], digest: Digest, message: &[u8], signature: &[u8]) -> bool {
        let Some(kind) = kind_of(spki) else { return false };
        let algorithm: &'static dyn VerificationAlgorithm = match (kind, digest) {
            (KeyKind::Rsa, Digest::Sha1) => {
                &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY
            }
            (KeyKind::Rsa, Digest::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Digest::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::P256, Digest::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, Digest::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::P256, Digest::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (KeyKind::P384, Digest::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::P384, Digest::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::P384, Digest::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (KeyKind::P256 | KeyKind::P384, Digest::Sha1) => return false,
        };
        UnparsedPublicKey::new(algorithm, spki).verify(message, signature).is_ok()
    }
}

impl KeySpec {
    /// Every spec, with its name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("p-256", Self::P256),
        ("p-384", Self::P384),
    ];
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        known
            .map(|(_, spec)| spec)
            .ok_or_else(|| format!("{text} is no key; rsa-2048, rsa-3072, p-256 and p-384 are"))
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, spec)| spec == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// The curve is in the variant, so that the digest it signs over is known.
enum PrivateKey {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
}

fn sign_rsa(
    key: &rsa::KeyPair,
    encoding: &'static dyn signature::RsaEncoding,
    message: &[u8],
) -> Option<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

fn spki_of(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Option<Vec<u8>> {
    key.as_der().ok().map(|der| der.as_ref().to_vec())
}

/// The kind of the key in a SubjectPublicKeyInfo (RFC 3279, RFC 5480).
fn kind_of(spki: &[u8]) -> Option<KeyKind> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    match info.algorithm.oid {
        RSA_ENCRYPTION => Some(KeyKind::Rsa),
        EC_PUBLIC_KEY => match info.algorithm.parameters_oid().ok()? {
            SECP256R1 => Some(KeyKind::P256),
            SECP384R1 => Some(KeyKind::P384),
            _ => None,
        },
        _ => None,
    }
}

/// The PKCS#8 block of a PEM file; the whole text if there is none.
fn key_block(text: &str) -> &str {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let Some(start) = text.find(BEGIN) else { return text };
    let end = text[start..].find(END).map_or(text.len(), |end| start + end + END.len());
    &text[start..end]
}

fn unusable(object: &str, cause: &(impl ToString + ?Sized)) -> SignerError {
    SignerError::Unusable { object: object.to_owned(), cause: cause.to_string() }
}

const PEM_LABEL: &str = "PRIVATE KEY";
static P256_SIGNING: &signature::EcdsaSigningAlgorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
static P384_SIGNING: &signature::EcdsaSigningAlgorithm = &signature::ECDSA_P384_SHA384_ASN1_SIGNING;
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use countersign_core::{
        pki::{
            csr::{CertificateRequest, PreparedRequest},
            dn::DistinguishedName,
        },
        wire::otpce::SignCertRequest,
    };

    use super::*;

    const DIGESTS: [Digest; 4] = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];

    #[test]
    fn verifies_what_it_signs_and_nothing_else() {
        for (name, spec) in KeySpec::NAMES {
            let signer = FileSigner::generate(spec).unwrap();
            let signed = DIGESTS.map(|digest| signer.sign(digest, b"message").ok());
            for (digest, signature) in DIGESTS.into_iter().zip(signed) {
                let Some(signature) = signature else { continue };
                let verify = |message: &[u8], signature: &[u8]| {
                    AwsVerify.verify(signer.public_key(), digest, message, signature)
                };
                assert!(verify(b"message", &signature), "{name} {digest:?}");
                assert!(!verify(b"massage", &signature), "{name} {digest:?}");
                assert!(!verify(b"message", &signature[1..]), "{name} {digest:?}");
            }
        }
    }

    #[test]
    fn refuses_digests_that_a_curve_does_not_sign_over() {
        let refused = |spec, digest| {
            let signer = FileSigner::generate(spec).unwrap();
            matches!(signer.sign(digest, b"message"), Err(SignerError::Refused { .. }))
        };
        assert!(!refused(KeySpec::Rsa2048, Digest::Sha1));
        assert!(refused(KeySpec::P256, Digest::Sha1));
        assert!(refused(KeySpec::P256, Digest::Sha384));
        assert!(refused(KeySpec::P384, Digest::Sha256));
        assert!(!refused(KeySpec::P384, Digest::Sha384));
    }

    #[test]
    fn a_request_signed_here_is_signed_by_its_key() {
        for (name, spec) in KeySpec::NAMES {
            let signer = FileSigner::generate(spec).unwrap();
            let nobody = DistinguishedName::default();
            let prepared = PreparedRequest::new(&nobody, signer.public_key(), &[]).unwrap();
            let digest = if spec == KeySpec::P384 { Digest::Sha384 } else { Digest::Sha256 };
            let signature = signer.sign(digest, prepared.to_be_signed()).unwrap();
            let request = CertificateRequest::read(&prepared.complete(digest, &signature)).unwrap();
            assert!(request.is_signed_by_its_key(&AwsVerify), "{name}");
        }
    }

    #[test]
    fn the_request_of_the_specification_is_signed_by_its_key() {
        let document = include_bytes!("../../../testdata/otpce/accepted-request.xml");
        let mut der = SignCertRequest::read(document).unwrap().cert_request.unwrap();
        let signed =
            |der: &[u8]| CertificateRequest::read(der).unwrap().is_signed_by_its_key(&AwsVerify);
        assert!(signed(&der));
        *der.last_mut().unwrap() ^= 1;
        assert!(!signed(&der));
    }

    #[test]
    fn another_kind_of_key_or_no_key_verifies_nothing() {
        let p256 = FileSigner::generate(KeySpec::P256).unwrap();
        let p384 = FileSigner::generate(KeySpec::P384).unwrap();
        let signature = p256.sign(Digest::Sha256, b"message").unwrap();
        for key in [p384.public_key(), b"", &[0x30, 0x80], &p256.public_key()[1..]] {
            assert!(!AwsVerify.verify(key, Digest::Sha256, b"message", &signature));
        }
    }

    #[test]
    fn key_file_survives_is_private_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        for (name, spec) in KeySpec::NAMES {
            let path = dir.path().join(name);
            let signer = FileSigner::generate(spec).unwrap();
            signer.save(&path).unwrap();
            assert_eq!(FileSigner::load(&path).unwrap().public_key(), signer.public_key());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(signer.save(&path).is_err());
        }
    }

    #[test]
    fn a_file_with_something_else_is_named_with_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        fs::write(&path, "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n")
            .unwrap();
        let error = FileSigner::load(&path).unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("openssl pkcs8"), "{error}");
    }

    #[test]
    fn debug_shows_the_kind_only() {
        let signer = FileSigner::generate(KeySpec::P256).unwrap();
        assert_eq!(format!("{signer:?}"), "FileSigner(P256)");
    }

    #[test]
    fn key_specs_are_read_by_the_names_they_are_written_with() {
        for (name, spec) in KeySpec::NAMES {
            assert_eq!((name.parse(), spec.to_string().as_str()), (Ok(spec), name));
        }
        assert!("rsa-1024".parse::<KeySpec>().is_err());
    }
}
