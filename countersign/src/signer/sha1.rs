//! RSA signatures over SHA-1, for CAs that know nothing newer (RFC 8017 §8.2.1).
//!
//! The cryptographic library verifies them but does not make them, so the
//! private operation is done here: one exponentiation in constant time over
//! the whole modulus, the message blinded before it. Without the primes there
//! is no shortcut, and so none that a fault could turn into a factor; what does
//! not verify with the public key does not leave all the same.

use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use der::Decode;
use zeroize::Zeroizing;

use countersign_core::pki::{
    algorithm::{Digest, Verify},
    cms,
};

use super::file::AwsVerify;
use crate::vault::{
    self,
    pkcs8::{PrivateKeyInfo, RsaNumbers},
};

/// Signs a message with an RSA key in a PKCS#8 (version 1) whose public key is `spki`.
///
/// `None` if the key cannot be read, or the signature does not verify.
pub(super) fn sign(pkcs8: &[u8], spki: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let info = PrivateKeyInfo::from_der(pkcs8).ok()?;
    let key = RsaNumbers::from_der(info.private_key.as_bytes()).ok()?;
    let encoded = encode(message, key.modulus.as_bytes().len())?;
    let signature = exponentiate(&key, &encoded)?;
    AwsVerify.verify(spki, Digest::Sha1, message, &signature).then_some(signature)
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 FF .. FF 00`, then the DigestInfo.
fn encode(message: &[u8], length: usize) -> Option<Vec<u8>> {
    let digest = cms::hash(Digest::Sha1, message);
    let padding = length.checked_sub(3 + DIGEST_INFO.len() + digest.len())?;
    if padding < MIN_PADDING {
        return None;
    }
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], &DIGEST_INFO, &digest].concat())
}

/// RSASP1 (RFC 8017 §5.2.1), blinded: (m · r^e)^d · r^-1 = m^d for a random r.
fn exponentiate(key: &RsaNumbers<'_>, encoded: &[u8]) -> Option<Vec<u8>> {
    let modulus = BoxedUint::from_be_slice_vartime(key.modulus.as_bytes());
    let modulus = BoxedMontyParams::new_vartime(Odd::new(modulus).into_option()?);
    let precision = modulus.bits_precision();
    let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, precision).ok();
    let residue = |octets: &[u8]| Some(BoxedMontyForm::new(number(octets)?, &modulus));
    let private_exponent = Zeroizing::new(number(key.private_exponent.as_bytes())?);
    let public_exponent = number(key.public_exponent.as_bytes())?;

    // Shorter than every modulus that is allowed, and so smaller.
    let random = residue(&vault::random_octets::<BLINDING>())?;
    let unblinding = random.invert().into_option()?;
    let blinded = residue(encoded)?.mul(&random.pow(&public_exponent));
    let signature = blinded.pow(&private_exponent).mul(&unblinding).retrieve().to_be_bytes();
    let excess = signature.len().checked_sub(encoded.len())?;
    Some(signature[excess..].to_vec())
}

/// DigestInfo of SHA-1 up to the digest (RFC 8017 §9.2, note 1).
const DIGEST_INFO: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];
const MIN_PADDING: usize = 8;
/// Octets of the blinding factor: fewer than the shortest modulus has, 2,048 bits.
const BLINDING: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::{
        Signer,
        file::{FileSigner, KeySpec},
    };

    #[test]
    fn signs_what_the_library_verifies_with_every_size_of_key() {
        for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072] {
            let key = FileSigner::generate(spec).unwrap();
            let pkcs8 = key.pkcs8().unwrap();
            for message in [&b""[..], b"message", &[0x5a; 1000]] {
                let signature = sign(pkcs8.expose_bytes(), key.public_key(), message).unwrap();
                assert!(AwsVerify.verify(key.public_key(), Digest::Sha1, message, &signature));
                assert!(!AwsVerify.verify(key.public_key(), Digest::Sha1, b"other", &signature));
                assert!(!AwsVerify.verify(key.public_key(), Digest::Sha256, message, &signature));
            }
        }
    }

    #[test]
    fn blinding_does_not_show_in_the_signature() {
        let key = FileSigner::generate(KeySpec::Rsa2048).unwrap();
        let pkcs8 = key.pkcs8().unwrap();
        let sign = || sign(pkcs8.expose_bytes(), key.public_key(), b"message").unwrap();
        assert_eq!(sign(), sign());
    }

    #[test]
    fn a_signature_that_does_not_verify_does_not_leave() {
        let key = FileSigner::generate(KeySpec::Rsa2048).unwrap();
        let other = FileSigner::generate(KeySpec::Rsa2048).unwrap();
        let pkcs8 = key.pkcs8().unwrap();
        assert_eq!(sign(pkcs8.expose_bytes(), other.public_key(), b"message"), None);
        // A fault in the private exponent, whose last octets stand after the public one.
        let mut faulty = pkcs8.expose_bytes().to_vec();
        let public_exponent = [2, 3, 1, 0, 1];
        let at = faulty.windows(5).position(|window| window == public_exponent).unwrap();
        faulty[at + 100] ^= 1;
        assert_eq!(sign(&faulty, key.public_key(), b"message"), None);
    }

    #[test]
    fn what_is_no_rsa_key_signs_nothing() {
        let curve = FileSigner::generate(KeySpec::P256).unwrap();
        let pkcs8 = curve.pkcs8().unwrap();
        for key in [pkcs8.expose_bytes(), b"", &[0x30, 0x80]] {
            assert_eq!(sign(key, curve.public_key(), b"message"), None);
        }
    }

    #[test]
    fn the_encoding_fills_the_modulus() {
        let encoded = encode(b"abc", 256).unwrap();
        assert_eq!((encoded.len(), &encoded[..3]), (256, &[0, 1, 0xff][..]));
        let digest = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(data_encoding::HEXLOWER.encode(&encoded[236..]), digest);
        assert_eq!((encoded[220], &encoded[221..236]), (0, &DIGEST_INFO[..]));
        assert_eq!(encode(b"abc", 45), None);
        assert!(encode(b"abc", 46).is_some());
    }
}
