//! `{ARGON2}` and `{PBKDF2-SHA256}` with its kin, as OpenLDAP's modules write them.

use std::num::NonZeroU32;

use argon2::{Argon2, password_hash::PasswordVerifier};
use aws_lc_rs::pbkdf2;
use data_encoding::BASE64_NOPAD;

use super::{Begin, Cause, work::Work};

/// A PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
pub(super) fn argon2(text: &str, begin: Begin<'_, '_>) -> Result<bool, Cause> {
    let mut fields = text.rsplit('$');
    let hash = fields.next().ok_or(Cause::Malformed)?;
    let _salt = fields.next().ok_or(Cause::Malformed)?;
    let parameters = fields.next().ok_or(Cause::Malformed)?;
    if hash.len() < MIN_HASH {
        return Err(Cause::Malformed);
    }
    let [mut memory, mut passes, mut lanes] = [None; 3];
    for parameter in parameters.split(',') {
        let (name, value) = parameter.split_once('=').ok_or(Cause::Malformed)?;
        let value: u64 = value.parse().map_err(|_| Cause::Malformed)?;
        match name {
            "m" => memory = Some(value),
            "t" => passes = Some(value),
            "p" => lanes = Some(value),
            _ => {}
        }
    }
    let (Some(memory), Some(passes), Some(lanes)) = (memory, passes, lanes) else {
        return Err(Cause::Malformed);
    };
    let work = Work::of(memory.saturating_mul(passes), MAX_WORK)?;
    if memory > MAX_MEMORY || lanes > MAX_LANES {
        return Err(Cause::TooCostly);
    }
    let Some(password) = begin(work) else { return Ok(false) };
    match Argon2::default().verify_password(password, text) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(Cause::Malformed),
    }
}

/// The function behind a name in upper case.
pub(super) fn pbkdf2_scheme(name: &str) -> Option<pbkdf2::Algorithm> {
    match name {
        "PBKDF2" | "PBKDF2-SHA1" => Some(pbkdf2::PBKDF2_HMAC_SHA1),
        "PBKDF2-SHA256" => Some(pbkdf2::PBKDF2_HMAC_SHA256),
        "PBKDF2-SHA512" => Some(pbkdf2::PBKDF2_HMAC_SHA512),
        _ => None,
    }
}

/// `iterations$salt$key`, both in base64 with `.` in the place of `+` and without padding.
pub(super) fn pbkdf2(
    algorithm: pbkdf2::Algorithm,
    text: &str,
    begin: Begin<'_, '_>,
) -> Result<bool, Cause> {
    let fields: Vec<_> = text.splitn(4, '$').collect();
    let [iterations, salt, key] = fields[..] else { return Err(Cause::Malformed) };
    let iterations: NonZeroU32 = iterations.parse().map_err(|_| Cause::Malformed)?;
    let decode = |text: &str| {
        let text = text.replace('.', "+");
        BASE64_NOPAD.decode(text.as_bytes()).map_err(|_| Cause::Malformed)
    };
    let (salt, key) = (decode(salt)?, decode(key)?);
    if key.len() != key_length(algorithm) {
        return Err(Cause::Malformed);
    }
    let work = Work::of(iterations.get().into(), MAX_ITERATIONS)?;
    let Some(password) = begin(work) else { return Ok(false) };
    Ok(pbkdf2::verify(algorithm, iterations, &salt, password, &key).is_ok())
}

/// As many octets as the hash has.
fn key_length(algorithm: pbkdf2::Algorithm) -> usize {
    if algorithm == pbkdf2::PBKDF2_HMAC_SHA1 {
        20
    } else if algorithm == pbkdf2::PBKDF2_HMAC_SHA256 {
        32
    } else {
        64
    }
}

/// KiB: 256 MiB. What `slappasswd` and libsodium write for logins is at most 64 MiB.
const MAX_MEMORY: u64 = 256 * 1024;
/// KiB times passes: 512 MiB gone over, less than a second. Twice what 64 MiB and 4 passes take.
const MAX_WORK: u64 = 512 * 1024;
const MAX_LANES: u64 = 64;
/// About a second with the slowest of the hashes; recommended are up to 1.4 million, of SHA-1.
const MAX_ITERATIONS: u64 = 2_000_000;
/// Characters of 16 octets: shorter hashes could be met by chance.
const MIN_HASH: usize = 22;
