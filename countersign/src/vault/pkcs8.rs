//! RSA keys as PKCS#8: the form in which the cryptographic library takes and gives them.

use countersign_core::{
    jose::jwk::{RsaPrivateKey, RsaPublicKey},
    secret::Secret,
};
use der::{
    AnyRef, Decode, Encode, Sequence,
    asn1::{OctetStringRef, UintRef},
};

/// PrivateKeyInfo (RFC 5208 §5), without attributes.
#[derive(Sequence)]
pub(crate) struct PrivateKeyInfo<'a> {
    pub(crate) version: u8,
    pub(crate) algorithm: AnyRef<'a>,
    pub(crate) private_key: &'a OctetStringRef,
}

/// RSAPrivateKey of two primes (RFC 8017 §A.1.2).
#[derive(Sequence)]
pub(crate) struct RsaNumbers<'a> {
    pub(crate) version: u8,
    pub(crate) modulus: UintRef<'a>,
    pub(crate) public_exponent: UintRef<'a>,
    pub(crate) private_exponent: UintRef<'a>,
    pub(crate) prime1: UintRef<'a>,
    pub(crate) prime2: UintRef<'a>,
    pub(crate) exponent1: UintRef<'a>,
    pub(crate) exponent2: UintRef<'a>,
    pub(crate) coefficient: UintRef<'a>,
}

/// The key as PKCS#8 (version 1).
pub(super) fn write(key: &RsaPrivateKey) -> der::Result<Secret<Vec<u8>>> {
    let numbers = RsaNumbers {
        version: 0,
        modulus: UintRef::new(&key.public.modulus)?,
        public_exponent: UintRef::new(&key.public.exponent)?,
        private_exponent: UintRef::new(key.private_exponent.expose())?,
        prime1: UintRef::new(key.primes[0].expose())?,
        prime2: UintRef::new(key.primes[1].expose())?,
        exponent1: UintRef::new(key.exponents[0].expose())?,
        exponent2: UintRef::new(key.exponents[1].expose())?,
        coefficient: UintRef::new(key.coefficient.expose())?,
    };
    let numbers = Secret::new(numbers.to_der()?);
    let info = PrivateKeyInfo {
        version: 0,
        algorithm: AnyRef::from_der(&RSA_ENCRYPTION)?,
        private_key: OctetStringRef::new(numbers.expose())?,
    };
    info.to_der().map(Secret::new)
}

/// The numbers of an RSA key in a PKCS#8 (version 1).
pub(super) fn read(pkcs8: &[u8]) -> der::Result<RsaPrivateKey> {
    let info = PrivateKeyInfo::from_der(pkcs8)?;
    let numbers = RsaNumbers::from_der(info.private_key.as_bytes())?;
    let secret = |number: UintRef<'_>| Secret::new(number.as_bytes().to_vec());
    Ok(RsaPrivateKey {
        public: RsaPublicKey {
            modulus: numbers.modulus.as_bytes().to_vec(),
            exponent: numbers.public_exponent.as_bytes().to_vec(),
        },
        private_exponent: secret(numbers.private_exponent),
        primes: [secret(numbers.prime1), secret(numbers.prime2)],
        exponents: [secret(numbers.exponent1), secret(numbers.exponent2)],
        coefficient: secret(numbers.coefficient),
    })
}

/// AlgorithmIdentifier of rsaEncryption with NULL (RFC 8017 §A.1).
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
