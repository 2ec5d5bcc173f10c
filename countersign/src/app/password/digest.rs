//! One round of a hash, with or without salt: `{SSHA}`, `{SHA}` and their kin.
//!
//! What stands after the scheme is base64 of the digest and the salt.

use aws_lc_rs::digest;
use data_encoding::BASE64_NOPAD;
use md5::{Digest, Md5};

use super::{Begin, Cause, same, work::Work};

/// A scheme of this kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheme {
    hash: Hash,
    salted: bool,
}

#[derive(Debug, Clone, Copy)]
enum Hash {
    Md5,
    Sha(&'static digest::Algorithm),
}

/// The scheme of this name, in upper case.
pub(super) fn scheme(name: &str) -> Option<Scheme> {
    let sha = |algorithm, salted| Some(Scheme { hash: Hash::Sha(algorithm), salted });
    match name {
        "MD5" => Some(Scheme { hash: Hash::Md5, salted: false }),
        "SMD5" => Some(Scheme { hash: Hash::Md5, salted: true }),
        "SHA" => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY, false),
        "SSHA" => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY, true),
        "SHA256" => sha(&digest::SHA256, false),
        "SSHA256" => sha(&digest::SHA256, true),
        "SHA384" => sha(&digest::SHA384, false),
        "SSHA384" => sha(&digest::SHA384, true),
        "SHA512" => sha(&digest::SHA512, false),
        "SSHA512" => sha(&digest::SHA512, true),
        _ => None,
    }
}

impl Scheme {
    pub(super) fn check(self, text: &str, begin: Begin<'_, '_>) -> Result<bool, Cause> {
        let octets = BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes());
        let octets = octets.map_err(|_| Cause::Malformed)?;
        let (stored, salt) = octets.split_at_checked(self.hash.length()).ok_or(Cause::Malformed)?;
        if self.salted == salt.is_empty() {
            return Err(Cause::Malformed);
        }
        let Some(password) = begin(Work::NONE) else { return Ok(false) };
        Ok(same(stored, &self.hash.of(&[password, salt].concat())))
    }
}

impl Hash {
    fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha(algorithm) => algorithm.output_len(),
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(message).to_vec(),
            Self::Sha(algorithm) => digest::digest(algorithm, message).as_ref().to_vec(),
        }
    }
}
