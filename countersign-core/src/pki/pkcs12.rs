//! PKCS#12 files (RFC 7292) with PBES2, made for one key and its chain.
//!
//! Everything is encrypted with PBES2 (RFC 8018: PBKDF2 over HMAC-SHA-256,
//! AES-256 in CBC mode) and covered by an HMAC-SHA-256, which is what OpenSSL 3
//! writes and Windows Server 2019 and later reads. The older ciphers are not
//! written. The caller brings the cipher and the randomness.

use der::{
    Any, Decode, Sequence, ValueOrd,
    asn1::{BmpString, ObjectIdentifier, OctetString, SetOfVec},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::{
    algorithm::{der_octets, null},
    oid,
};
use crate::secret::Secret;

/// A private key and its certificates.
#[derive(Debug)]
pub struct KeyWithChain<'a> {
    /// The private key, DER PKCS#8.
    pub key: &'a Secret<Vec<u8>>,
    /// DER certificates, the one of the key first.
    pub chain: &'a [Vec<u8>],
    /// The name that key stores show.
    pub friendly_name: &'a str,
}

/// Random octets for one file; never for two.
#[derive(Debug, Clone)]
pub struct Randomness {
    /// Salt and initialisation vector for the key.
    pub key: SaltAndIv,
    /// Salt and initialisation vector for the certificates.
    pub certificates: SaltAndIv,
    /// Salt of the authentication code.
    pub mac_salt: [u8; 16],
}

/// What one encryption needs.
#[derive(Debug, Clone)]
pub struct SaltAndIv {
    /// Salt of PBKDF2.
    pub salt: [u8; 16],
    /// Initialisation vector of AES-CBC.
    pub iv: [u8; 16],
}

/// What encrypts: the cryptographic library of the caller.
pub trait Pbes2 {
    /// AES-256-CBC with PKCS#7 padding under the key that PBKDF2 with
    /// HMAC-SHA-256 derives; `None` if the library cannot.
    fn encrypt(
        &self,
        password: &[u8],
        iterations: u32,
        random: &SaltAndIv,
        clear: &[u8],
    ) -> Option<Vec<u8>>;
}

/// Why there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    /// A name with characters that a BMPString cannot hold.
    #[error("the friendly name has characters outside the Basic Multilingual Plane")]
    FriendlyName,
    /// The private key is no PKCS#8, or the library could not encrypt.
    #[error("the contents of the PKCS#12 file cannot be encoded or encrypted")]
    Contents,
}

impl KeyWithChain<'_> {
    /// The DER of a PKCS#12 file (`PFX`) under a password.
    ///
    /// # Errors
    ///
    /// The name, the key or the certificates cannot be encoded, or the library
    /// could not encrypt.
    pub fn to_pfx(
        &self,
        password: &Secret<String>,
        random: &Randomness,
        cipher: &dyn Pbes2,
    ) -> Result<Vec<u8>, Pkcs12Error> {
        let seal = |random: &SaltAndIv, clear: &[u8]| {
            let octets = cipher.encrypt(password.expose_bytes(), ITERATIONS, random, clear);
            octets.and_then(|octets| OctetString::new(octets).ok()).ok_or(Pkcs12Error::Contents)
        };
        let certificates = Zeroizing::new(der_octets(&self.certificate_bags()?));
        let certificates = EncryptedData {
            version: 0,
            content: EncryptedContentInfo {
                content_type: oid::DATA,
                algorithm: pbes2(&random.certificates),
                content: seal(&random.certificates, &certificates)?,
            },
        };
        let key = vec![self.key_bag(EncryptedPrivateKeyInfo {
            algorithm: pbes2(&random.key),
            octets: seal(&random.key, self.key.expose_bytes())?,
        })?];
        let safe = der_octets(&vec![
            ContentInfo { content_type: ENCRYPTED_DATA, content: any(&certificates)? },
            data(&der_octets(&key))?,
        ]);
        let mac_data = mac_data(password, &random.mac_salt, &safe)?;
        Ok(der_octets(&Pfx { version: 3, auth_safe: data(&safe)?, mac_data }))
    }

    fn certificate_bags(&self) -> Result<Vec<SafeBag>, Pkcs12Error> {
        let bag = |(place, certificate): (usize, &Vec<u8>)| {
            let value = OctetString::new(certificate.as_slice());
            let value = value.map_err(|_| Pkcs12Error::Contents)?;
            let value = any(&CertBag { id: X509_CERTIFICATE, value })?;
            let attributes = if place == 0 { Some(self.attributes()?) } else { None };
            Ok(SafeBag { id: CERT_BAG, value, attributes })
        };
        self.chain.iter().enumerate().map(bag).collect()
    }

    fn key_bag(&self, key: EncryptedPrivateKeyInfo) -> Result<SafeBag, Pkcs12Error> {
        let attributes = Some(self.attributes()?);
        Ok(SafeBag { id: SHROUDED_KEY_BAG, value: any(&key)?, attributes })
    }

    /// What ties the key to its certificate, and the name.
    fn attributes(&self) -> Result<SetOfVec<Attribute>, Pkcs12Error> {
        let leaf = self.chain.first().ok_or(Pkcs12Error::Contents)?;
        let id = OctetString::new(Sha256::digest(leaf).to_vec());
        let name =
            BmpString::from_utf8(self.friendly_name).map_err(|_| Pkcs12Error::FriendlyName)?;
        let attribute = |id, value: Any| {
            let values = SetOfVec::try_from(vec![value]).map_err(|_| Pkcs12Error::Contents)?;
            Ok(Attribute { id, values })
        };
        let attributes = vec![
            attribute(FRIENDLY_NAME, any(&name)?)?,
            attribute(LOCAL_KEY_ID, any(&id.map_err(|_| Pkcs12Error::Contents)?)?)?,
        ];
        SetOfVec::try_from(attributes).map_err(|_| Pkcs12Error::Contents)
    }
}

/// `PFX` (RFC 7292 §4).
#[derive(Sequence)]
struct Pfx {
    version: u8,
    auth_safe: ContentInfo,
    mac_data: MacData,
}

#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: Any,
}

#[derive(Sequence)]
struct MacData {
    mac: DigestInfo,
    salt: OctetString,
    iterations: u32,
}

#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// `EncryptedData` (RFC 5652 §8).
#[derive(Sequence)]
struct EncryptedData {
    version: u8,
    content: EncryptedContentInfo,
}

#[derive(Sequence)]
struct EncryptedContentInfo {
    content_type: ObjectIdentifier,
    algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    content: OctetString,
}

/// `EncryptedPrivateKeyInfo` (RFC 5958 §3).
#[derive(Sequence)]
struct EncryptedPrivateKeyInfo {
    algorithm: AlgorithmIdentifierOwned,
    octets: OctetString,
}

/// `SafeBag` (RFC 7292 §4.2).
#[derive(Sequence)]
struct SafeBag {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: Any,
    #[asn1(optional = "true")]
    attributes: Option<SetOfVec<Attribute>>,
}

#[derive(Sequence)]
struct CertBag {
    id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: OctetString,
}

#[derive(Clone, PartialEq, Eq, Sequence, ValueOrd)]
struct Attribute {
    id: ObjectIdentifier,
    values: SetOfVec<Any>,
}

/// `PBES2-params` (RFC 8018 A.4).
#[derive(Sequence)]
struct Pbes2Parameters {
    derivation: AlgorithmIdentifierOwned,
    encryption: AlgorithmIdentifierOwned,
}

/// `PBKDF2-params` (RFC 8018 A.2).
#[derive(Sequence)]
struct Pbkdf2Parameters {
    salt: OctetString,
    iterations: u32,
    prf: AlgorithmIdentifierOwned,
}

fn pbes2(random: &SaltAndIv) -> AlgorithmIdentifierOwned {
    let octets = |octets: &[u8]| OctetString::new(octets).expect("16 octets are few");
    let encode =
        |value: &dyn Fn() -> Vec<u8>| Any::from_der(&value()).expect("it was just encoded");
    let prf = AlgorithmIdentifierOwned { oid: HMAC_WITH_SHA256, parameters: Some(null()) };
    let derivation = Pbkdf2Parameters { salt: octets(&random.salt), iterations: ITERATIONS, prf };
    let parameters = Pbes2Parameters {
        derivation: AlgorithmIdentifierOwned {
            oid: PBKDF2,
            parameters: Some(encode(&|| der_octets(&derivation))),
        },
        encryption: AlgorithmIdentifierOwned {
            oid: AES_256_CBC,
            parameters: Some(encode(&|| der_octets(&octets(&random.iv)))),
        },
    };
    AlgorithmIdentifierOwned { oid: PBES2, parameters: Some(encode(&|| der_octets(&parameters))) }
}

fn mac_data(
    password: &Secret<String>,
    salt: &[u8; 16],
    safe: &[u8],
) -> Result<MacData, Pkcs12Error> {
    let key = mac_key(password, salt, ITERATIONS);
    let mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| Pkcs12Error::Contents)?;
    let mac = mac.chain_update(safe).finalize().into_bytes();
    let octets = |octets: &[u8]| OctetString::new(octets).map_err(|_| Pkcs12Error::Contents);
    Ok(MacData {
        mac: DigestInfo {
            algorithm: AlgorithmIdentifierOwned { oid: oid::SHA256, parameters: Some(null()) },
            digest: octets(&mac)?,
        },
        salt: octets(salt)?,
        iterations: ITERATIONS,
    })
}

/// The key derivation of RFC 7292 B.2 with SHA-256, for purpose 3 (integrity).
/// The key is as long as one hash, so the first block is all of it.
fn mac_key(password: &Secret<String>, salt: &[u8], iterations: u32) -> Secret<[u8; 32]> {
    const BLOCK: usize = 64;
    const INTEGRITY: u8 = 3;
    let utf16 = password.expose().encode_utf16().chain([0]).flat_map(u16::to_be_bytes);
    let password: Zeroizing<Vec<u8>> = Zeroizing::new(utf16.collect());
    let fill = |octets: &[u8]| {
        let length = octets.len().next_multiple_of(BLOCK);
        Zeroizing::new(octets.iter().copied().cycle().take(length).collect::<Vec<u8>>())
    };
    let first = Sha256::new().chain_update([INTEGRITY; BLOCK]).chain_update(fill(salt));
    let mut hash: [u8; 32] = first.chain_update(fill(&password)).finalize().into();
    for _ in 1..iterations {
        hash = Sha256::digest(hash).into();
    }
    Secret::new(hash)
}

fn data(octets: &[u8]) -> Result<ContentInfo, Pkcs12Error> {
    let octets = OctetString::new(octets).map_err(|_| Pkcs12Error::Contents)?;
    Ok(ContentInfo { content_type: oid::DATA, content: any(&octets)? })
}

fn any(value: &impl der::Encode) -> Result<Any, Pkcs12Error> {
    let octets = value.to_der().map_err(|_| Pkcs12Error::Contents)?;
    Any::from_der(&octets).map_err(|_| Pkcs12Error::Contents)
}

const fn identifier(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

/// Of PBKDF2 and of the authentication code: about a tenth of a second.
const ITERATIONS: u32 = 100_000;

const ENCRYPTED_DATA: ObjectIdentifier = identifier("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier = identifier("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = identifier("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = identifier("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = identifier("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = identifier("1.2.840.113549.1.9.21");
const PBES2: ObjectIdentifier = identifier("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = identifier("1.2.840.113549.1.5.12");
const HMAC_WITH_SHA256: ObjectIdentifier = identifier("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = identifier("2.16.840.1.101.3.4.1.42");

#[cfg(test)]
mod tests {
    use super::*;

    /// Encrypts by turning every bit.
    struct Inverter;

    impl Pbes2 for Inverter {
        fn encrypt(&self, _: &[u8], _: u32, _: &SaltAndIv, clear: &[u8]) -> Option<Vec<u8>> {
            Some(clear.iter().map(|octet| !octet).collect())
        }
    }

    fn randomness() -> Randomness {
        let of = |octet| SaltAndIv { salt: [octet; 16], iv: [octet + 1; 16] };
        Randomness { key: of(1), certificates: of(3), mac_salt: [5; 16] }
    }

    fn pfx(chain: &[Vec<u8>], friendly_name: &str) -> Result<Vec<u8>, Pkcs12Error> {
        let key = Secret::new(b"the key".to_vec());
        let password = Secret::new("pass".to_owned());
        let all = KeyWithChain { key: &key, chain, friendly_name };
        all.to_pfx(&password, &randomness(), &Inverter)
    }

    #[test]
    fn nothing_stands_in_clear() {
        let der = pfx(&[b"the leaf".to_vec(), b"the root".to_vec()], "name").unwrap();
        for clear in [b"the key".as_slice(), b"the leaf", b"the root"] {
            let is_in = |octets: &[u8]| der.windows(octets.len()).any(|window| window == octets);
            assert!(!is_in(clear), "{clear:?}");
            assert!(is_in(&clear.iter().map(|octet| !octet).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn is_a_pfx_of_version_3_with_encrypted_certificates_and_a_shrouded_key() {
        let pfx = Pfx::from_der(&pfx(&[b"leaf".to_vec()], "name").unwrap()).unwrap();
        assert_eq!((pfx.version, pfx.auth_safe.content_type), (3, oid::DATA));
        let safe: OctetString = pfx.auth_safe.content.decode_as().unwrap();
        let safe = Vec::<ContentInfo>::from_der(safe.as_bytes()).unwrap();
        let types: Vec<_> = safe.iter().map(|content| content.content_type).collect();
        assert_eq!(types, [ENCRYPTED_DATA, oid::DATA]);
        let bags: OctetString = safe[1].content.decode_as().unwrap();
        let bags = Vec::<SafeBag>::from_der(bags.as_bytes()).unwrap();
        assert_eq!((bags.len(), bags[0].id), (1, SHROUDED_KEY_BAG));
        assert_eq!(bags[0].attributes.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn the_key_derivation_agrees_with_openssl() {
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt iter:2048 -kdfopt id:3
        //   -kdfopt hexpass:0073006500630072006500740000 -kdfopt hexsalt:0102030405060708 PKCS12KDF
        let key = mac_key(&Secret::new("secret".to_owned()), &[1, 2, 3, 4, 5, 6, 7, 8], 2048);
        let hex = data_encoding::HEXUPPER.encode(key.expose());
        assert_eq!(hex, "F5482FD03F702689B4E96CBBEA867C6B16E5BDA934929F2ECAF4DA9E1C67BE8F");
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        assert_eq!(pfx(&[], "name"), Err(Pkcs12Error::Contents));
        assert_eq!(pfx(&[b"leaf".to_vec()], "\u{1f511}"), Err(Pkcs12Error::FriendlyName));
    }
}
