//! `{CRYPT}`: the strings of crypt(3) that are not broken: SHA-crypt, yescrypt, bcrypt.

use sha_crypt::{PasswordVerifier, ShaCrypt};
use yescrypt::{Mode, Params, Yescrypt};

use super::{Cause, Unusable};

/// Checks a password against what crypt(3) made.
pub(super) fn check(text: &str, password: Option<&[u8]>) -> Result<bool, Unusable> {
    let method = method_of(text);
    let checked = match method {
        "5" | "6" => sha_crypt(text, password),
        "y" => yescrypt(text, password),
        "2a" | "2b" | "2y" => bcrypt(text, password),
        _ => Err(Cause::Unknown),
    };
    checked.map_err(|cause| Unusable { scheme: named(method), cause })
}

/// What stands between the first two `$`; nothing for DES.
fn method_of(text: &str) -> &str {
    let Some(rest) = text.strip_prefix('$') else { return "" };
    rest.split(['$', ',']).next().unwrap_or_default()
}

/// Methods have up to four letters; anything longer could be part of a hash.
fn named(method: &str) -> String {
    let is_shown = (1..=4).contains(&method.len())
        && method.bytes().all(|octet| octet.is_ascii_alphanumeric());
    if is_shown { format!("{{CRYPT}}${method}$") } else { "{CRYPT} of an old method".into() }
}

/// `$6$[rounds=N$]salt$hash`, with SHA-512, and `$5$` with SHA-256.
fn sha_crypt(text: &str, password: Option<&[u8]>) -> Result<bool, Cause> {
    let rounds = text.split('$').nth(2).and_then(|field| field.strip_prefix("rounds="));
    if let Some(rounds) = rounds {
        let rounds: u32 = rounds.parse().map_err(|_| Cause::Malformed)?;
        if rounds > MAX_ROUNDS {
            return Err(Cause::TooCostly);
        }
    }
    let Some(password) = password else { return Ok(false) };
    outcome(ShaCrypt::default().verify_password(password, text))
}

/// `$y$parameters$salt$hash`.
fn yescrypt(text: &str, password: Option<&[u8]>) -> Result<bool, Cause> {
    let fields: Vec<_> = text.split('$').collect();
    let [_, _, parameters, _, hash] = fields[..] else { return Err(Cause::Malformed) };
    // Shorter ones would be compared by as much as is there.
    if hash.len() != YESCRYPT_HASH {
        return Err(Cause::Malformed);
    }
    let parameters: Params = parameters.parse().map_err(|_| Cause::Malformed)?;
    let (n, r, p) = (parameters.n(), u64::from(parameters.r()), u64::from(parameters.p()));
    let memory = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(YESCRYPT_BLOCK));
    let fits = memory.is_some_and(|memory| memory <= MAX_MEMORY) && p <= MAX_LANES;
    // Nothing else tells of the time parameter, which libxcrypt never sets.
    let is_plain = [Mode::Classic, Mode::Worm, Mode::Rw]
        .into_iter()
        .any(|mode| Params::new(mode, n, parameters.r(), parameters.p()) == Ok(parameters));
    if !fits || !is_plain {
        return Err(Cause::TooCostly);
    }
    let Some(password) = password else { return Ok(false) };
    outcome(Yescrypt::default().verify_password(password, text))
}

/// `$2b$cost$salt and hash`.
fn bcrypt(text: &str, password: Option<&[u8]>) -> Result<bool, Cause> {
    let cost = text.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    if cost.ok_or(Cause::Malformed)? > MAX_BCRYPT_COST {
        return Err(Cause::TooCostly);
    }
    let Some(password) = password else { return Ok(false) };
    bcrypt::verify(password, text).map_err(|_| Cause::Malformed)
}

fn outcome(result: Result<(), sha_crypt::password_hash::Error>) -> Result<bool, Cause> {
    match result {
        Ok(()) => Ok(true),
        Err(sha_crypt::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(Cause::Malformed),
    }
}

/// crypt(3) takes 5,000 where nothing is said; a million takes about a second.
const MAX_ROUNDS: u32 = 1_000_000;
/// Octets: 256 MiB. libxcrypt takes 16 MiB where nothing is said.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// Octets of a block for each unit of r.
const YESCRYPT_BLOCK: u64 = 128;
const MAX_LANES: u64 = 16;
/// Characters of 32 octets.
const YESCRYPT_HASH: usize = 43;
/// Each one more doubles the time; 14 takes about a second.
const MAX_BCRYPT_COST: u32 = 14;
