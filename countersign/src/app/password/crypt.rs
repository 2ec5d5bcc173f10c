//! `{CRYPT}`: the strings of crypt(3) that are not broken: SHA-crypt, yescrypt, bcrypt.

use sha_crypt::{PasswordVerifier, ShaCrypt};
use yescrypt::{Mode, Params, Yescrypt};

use super::{Begin, Cause, Unusable, work::Work};

/// Checks a password against what crypt(3) made.
pub(super) fn check(text: &str, begin: Begin<'_, '_>) -> Result<bool, Unusable> {
    let method = method_of(text);
    // As libxcrypt, which takes no longer ones.
    let mut begin = |work| begin(work).filter(|password| password.len() <= MAX_PASSWORD);
    let checked = match method {
        "5" | "6" => sha_crypt(text, &mut begin),
        "y" => yescrypt(text, &mut begin),
        "2a" | "2b" | "2y" => bcrypt(text, &mut begin),
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
fn sha_crypt(text: &str, begin: Begin<'_, '_>) -> Result<bool, Cause> {
    let rounds = text.split('$').nth(2).and_then(|field| field.strip_prefix("rounds="));
    let rounds: u64 = match rounds {
        Some(rounds) => rounds.parse().map_err(|_| Cause::Malformed)?,
        None => USUAL_ROUNDS,
    };
    let Some(password) = begin(Work::of(rounds, MAX_ROUNDS)?) else { return Ok(false) };
    // Each round hashes the password once more, and whoever guesses may type a long one.
    if rounds.saturating_mul(blocks(password)) > 2 * MAX_ROUNDS {
        return Ok(false);
    }
    outcome(ShaCrypt::default().verify_password(password, text))
}

/// `$y$parameters$salt$hash`.
fn yescrypt(text: &str, begin: Begin<'_, '_>) -> Result<bool, Cause> {
    let fields: Vec<_> = text.split('$').collect();
    let [_, _, parameters, _, hash] = fields[..] else { return Err(Cause::Malformed) };
    // Shorter ones would be compared by as much as is there.
    if hash.len() != YESCRYPT_HASH {
        return Err(Cause::Malformed);
    }
    let parameters: Params = parameters.parse().map_err(|_| Cause::Malformed)?;
    let (n, r, p) = (parameters.n(), u64::from(parameters.r()), u64::from(parameters.p()));
    let memory = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(YESCRYPT_BLOCK));
    let memory = memory.filter(|memory| *memory <= MAX_MEMORY).ok_or(Cause::TooCostly)?;
    let work = Work::of(memory.saturating_mul(p), MAX_MEMORY)?;
    // Nothing else tells of the time parameter, which libxcrypt never sets.
    let is_plain = [Mode::Classic, Mode::Worm, Mode::Rw]
        .into_iter()
        .any(|mode| Params::new(mode, n, parameters.r(), parameters.p()) == Ok(parameters));
    if !is_plain {
        return Err(Cause::TooCostly);
    }
    let Some(password) = begin(work) else { return Ok(false) };
    outcome(Yescrypt::default().verify_password(password, text))
}

/// `$2b$cost$salt and hash`.
fn bcrypt(text: &str, begin: Begin<'_, '_>) -> Result<bool, Cause> {
    let cost = text.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    let cost = cost.ok_or(Cause::Malformed)?;
    let work = Work::of(2_u64.saturating_pow(cost), 2_u64.pow(MAX_BCRYPT_COST))?;
    let Some(password) = begin(work) else { return Ok(false) };
    bcrypt::verify(password, text).map_err(|_| Cause::Malformed)
}

/// How many blocks of the hash a password fills.
fn blocks(password: &[u8]) -> u64 {
    u64::try_from(password.len() / 64 + 1).unwrap_or(u64::MAX)
}

fn outcome(result: Result<(), sha_crypt::password_hash::Error>) -> Result<bool, Cause> {
    match result {
        Ok(()) => Ok(true),
        Err(sha_crypt::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(Cause::Malformed),
    }
}

/// A million takes about a second.
const MAX_ROUNDS: u64 = 1_000_000;
/// What crypt(3) takes where nothing is said.
const USUAL_ROUNDS: u64 = 5_000;
/// Octets.
const MAX_PASSWORD: usize = 512;
/// Octets: 256 MiB. libxcrypt takes 16 MiB where nothing is said.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// Octets of a block for each unit of r.
const YESCRYPT_BLOCK: u64 = 128;
/// Characters of 32 octets.
const YESCRYPT_HASH: usize = 43;
/// Each one more doubles the time; 14 takes about a second.
const MAX_BCRYPT_COST: u32 = 14;
