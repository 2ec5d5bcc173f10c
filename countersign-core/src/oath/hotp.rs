//! HOTP: an HMAC-based one-time password (RFC 4226 §5).

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

/// The HMAC's hash. RFC 4226 knows SHA-1; RFC 6238 §1.2 adds the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// HMAC-SHA-1, 20 octets.
    #[default]
    Sha1,
    /// HMAC-SHA-256, 32 octets.
    Sha256,
    /// HMAC-SHA-512, 64 octets.
    Sha512,
}

impl Algorithm {
    /// Octets of the hash, which is also the length recommended for a shared secret (RFC 6238 §5.1).
    #[must_use]
    pub const fn output_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
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

/// The OTP for a shared secret and a moving factor (RFC 4226 §5.3).
#[must_use]
pub fn hotp(algorithm: Algorithm, secret: &[u8], factor: u64, digits: Digits) -> Otp {
    let message = factor.to_be_bytes();
    match algorithm {
        Algorithm::Sha1 => truncate(&mac::<Hmac<Sha1>>(secret, &message), digits),
        Algorithm::Sha256 => truncate(&mac::<Hmac<Sha256>>(secret, &message), digits),
        Algorithm::Sha512 => truncate(&mac::<Hmac<Sha512>>(secret, &message), digits),
    }
}

fn mac<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> hmac::digest::Output<M> {
    let mut mac =
        <M as KeyInit>::new_from_slice(secret).expect("an HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes()
}

/// Dynamic truncation (RFC 4226 §5.3) and the decimal digits of the result (§5.4).
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
