//! HOTP: an HMAC-based one-time password (RFC 4226 §5).

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// The HMAC's hash. RFC 4226 knows SHA-1; RFC 6238 §1.2 adds SHA-256 and SHA-512; directories with
/// the OATH-LDAP schema have all of RFC 8018 appendix B.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// HMAC-SHA-1, 20 octets.
    #[default]
    Sha1,
    /// HMAC-SHA-224, 28 octets.
    Sha224,
    /// HMAC-SHA-256, 32 octets.
    Sha256,
    /// HMAC-SHA-384, 48 octets.
    Sha384,
    /// HMAC-SHA-512, 64 octets.
    Sha512,
}

impl Algorithm {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Octets of the hash, which is also the length recommended for a shared secret (RFC 6238 §5.1).
    #[must_use]
    pub const fn output_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Length of an OTP: 6 to 10 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Digits(u8);

/// A number of digits outside 6 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an OTP has 6 to 10 digits, not {0}")]
pub struct DigitsError(pub u8);

impl Digits {
    /// Six digits, what nearly every token shows.
    pub const SIX: Self = Self(6);

    /// As a length in octets.
    #[must_use]
    pub const fn length(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u8> for Digits {
    type Error = DigitsError;

    fn try_from(digits: u8) -> Result<Self, DigitsError> {
        if (6..=10).contains(&digits) { Ok(Self(digits)) } else { Err(DigitsError(digits)) }
    }
}

impl From<Digits> for u8 {
    fn from(digits: Digits) -> Self {
        digits.0
    }
}

/// The OTP of one moving factor, as ASCII digits.
#[derive(Clone, Copy)]
pub struct Otp {
    text: [u8; 10],
    length: usize,
}

impl Otp {
    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// Whether `typed` is this OTP; takes the same time wherever they differ.
    #[must_use]
    pub fn matches(&self, typed: &[u8]) -> bool {
        self.as_bytes().ct_eq(typed).into()
    }
}

/// A shared secret, ready to make many OTPs: the key's half of the HMAC is done once.
#[derive(Clone)]
pub struct HotpKey(State);

#[derive(Clone)]
enum State {
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl HotpKey {
    /// Takes a shared secret of any length.
    #[must_use]
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self(match algorithm {
            Algorithm::Sha1 => State::Sha1(keyed(secret)),
            Algorithm::Sha224 => State::Sha224(keyed(secret)),
            Algorithm::Sha256 => State::Sha256(keyed(secret)),
            Algorithm::Sha384 => State::Sha384(keyed(secret)),
            Algorithm::Sha512 => State::Sha512(keyed(secret)),
        })
    }

    /// The OTP of a moving factor (RFC 4226 §5.3).
    #[must_use]
    pub fn otp(&self, factor: u64, digits: Digits) -> Otp {
        match &self.0 {
            State::Sha1(key) => truncate(&mac(key, factor), digits),
            State::Sha224(key) => truncate(&mac(key, factor), digits),
            State::Sha256(key) => truncate(&mac(key, factor), digits),
            State::Sha384(key) => truncate(&mac(key, factor), digits),
            State::Sha512(key) => truncate(&mac(key, factor), digits),
        }
    }
}

/// The OTP of one moving factor, for whoever needs only one (RFC 4226 §5.3).
#[must_use]
pub fn hotp(algorithm: Algorithm, secret: &[u8], factor: u64, digits: Digits) -> Otp {
    HotpKey::new(algorithm, secret).otp(factor, digits)
}

fn keyed<M: KeyInit>(secret: &[u8]) -> M {
    M::new_from_slice(secret).expect("an HMAC takes a key of any length")
}

fn mac<M: Mac + Clone>(key: &M, factor: u64) -> hmac::digest::Output<M> {
    let mut mac = key.clone();
    mac.update(&factor.to_be_bytes());
    mac.finalize().into_bytes()
}

/// Dynamic truncation (RFC 4226 §5.3) and the decimal digits of the result (§5.4).
///
/// The result is a number of 31 bits, so of ten digits the first is 0, 1 or 2.
fn truncate(mac: &[u8], digits: Digits) -> Otp {
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    let binary =
        u32::from_be_bytes([mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]]);
    let mut text = [b'0'; 10];
    let mut rest = binary;
    for place in text[..digits.length()].iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).expect("a decimal digit fits an octet");
        rest /= 10;
    }
    Otp { text, length: digits.length() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(count: u8) -> Digits {
        Digits::try_from(count).unwrap()
    }

    #[test]
    fn takes_six_to_ten_digits_only() {
        for count in 6..=10 {
            assert_eq!(u8::from(digits(count)), count);
        }
        for count in [0, 1, 5, 11, 255] {
            assert_eq!(Digits::try_from(count), Err(DigitsError(count)));
        }
    }

    /// The worked example of RFC 4226 §5.4: the truncated value is 0x50ef7f19.
    #[test]
    fn truncates_as_the_worked_example() {
        let mac = [
            0x1f, 0x86, 0x98, 0x69, 0x0e, 0x02, 0xca, 0x16, 0x61, 0x85, 0x50, 0xef, 0x7f, 0x19,
            0xda, 0x8e, 0x94, 0x5b, 0x55, 0x5a,
        ];
        assert_eq!(truncate(&mac, Digits::SIX).as_bytes(), b"872921");
        assert_eq!(truncate(&mac, digits(10)).as_bytes(), b"1357872921");
    }

    #[test]
    fn ten_digits_hold_the_largest_number_of_31_bits() {
        let mac = [0xff; 20];
        assert_eq!(truncate(&mac, digits(10)).as_bytes(), b"2147483647");
        assert_eq!(truncate(&[0; 20], digits(10)).as_bytes(), b"0000000000");
    }

    #[test]
    fn matches_only_the_same_digits_of_the_same_length() {
        let otp = hotp(Algorithm::Sha1, b"12345678901234567890", 1, Digits::SIX);
        assert!(otp.matches(b"287082"));
        for typed in ["", "28708", "2870820", "0287082", "287083", "287o82"] {
            assert!(!otp.matches(typed.as_bytes()), "{typed}");
        }
    }

    /// RFC 4231 §4.2: the text "Hi There" has eight octets, as a moving factor has.
    #[test]
    fn every_hash_makes_the_hmac_of_rfc_4231() {
        const TABLE: [(Algorithm, &str); 4] = [
            (Algorithm::Sha224, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"),
            (Algorithm::Sha256, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                Algorithm::Sha384,
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
                 faea9ea9076ede7f4af152e8b2fa9cb6",
            ),
            (
                Algorithm::Sha512,
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
        ];
        let factor = u64::from_be_bytes(*b"Hi There");
        for (algorithm, expected) in TABLE {
            let expected = data_encoding::HEXLOWER.decode(expected.as_bytes()).unwrap();
            assert_eq!(expected.len(), algorithm.output_length());
            let otp = hotp(algorithm, &[0x0b; 20], factor, digits(10));
            assert_eq!(otp.as_bytes(), truncate(&expected, digits(10)).as_bytes());
        }
    }

    #[test]
    fn secrets_of_any_length_make_an_otp() {
        for length in [0, 1, 63, 64, 65, 127, 128, 129, 4096] {
            let otp = hotp(Algorithm::Sha512, &vec![7; length], u64::MAX, digits(8));
            assert_eq!(otp.as_bytes().len(), 8, "{length}");
        }
    }
}
