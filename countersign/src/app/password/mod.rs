//! Static passwords: the values of userPassword as OpenLDAP has them (RFC 2307 §5.3).
//!
//! A value is `{SCHEME}` and a hash, the name of the scheme without regard to
//! case, or a password in clear. How much work a hash takes stands in it, so it
//! is looked at before the work is begun: whoever may write userPassword must
//! not be able to stop the daemon. [`affordable`] looks at all values of an account.

use std::fmt;

pub use self::affordable::affordable;
use self::work::Work;

mod affordable;
mod crypt;
mod digest;
mod key_derivation;
pub(super) mod told;
mod work;

/// What became of a password and one stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Checked {
    /// It is the password.
    Matches,
    /// It is another one.
    Differs,
    /// Nobody can tell: the value cannot be checked here.
    Unusable(Unusable),
}

/// A stored value that no password matches, whatever is typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a userPassword with the scheme {scheme} {cause}")]
pub struct Unusable {
    /// The scheme, such as `{CRYPT}$1$`. Nothing of the hash stands in it.
    pub scheme: String,
    /// Why.
    pub cause: Cause,
}

/// Why a stored value cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The scheme is not known here.
    Unknown,
    /// The hash is not in the form of its scheme.
    Malformed,
    /// It asks for more memory or time than a login may take.
    TooCostly,
}

/// Checks a password against one stored value.
pub fn check(stored: &[u8], password: &[u8]) -> Checked {
    look_at(stored, &mut |_| Some(password))
}

/// What is wrong with a stored value, as far as that can be told without the work of checking
/// a password.
#[must_use]
pub fn examine(stored: &[u8]) -> Option<Unusable> {
    weigh(stored).err()
}

/// The work of checking a password against a stored value.
fn weigh(stored: &[u8]) -> Result<Work, Unusable> {
    let mut weight = Work::NONE;
    let looked_at = look_at(stored, &mut |work| {
        weight = work;
        None
    });
    match looked_at {
        Checked::Unusable(unusable) => Err(unusable),
        Checked::Matches | Checked::Differs => Ok(weight),
    }
}

/// Gives the password out for so much work, or nothing if there is only to be looked.
type Begin<'a, 'p> = &'a mut dyn FnMut(Work) -> Option<&'p [u8]>;

/// Everything is looked at that can be before the work is begun.
fn look_at(stored: &[u8], begin: Begin<'_, '_>) -> Checked {
    let Some((scheme, rest)) = split(stored) else {
        return Checked::of(same_clear(stored, begin(Work::NONE)));
    };
    let scheme_name = printable(scheme);
    let unusable = |cause| Unusable { scheme: format!("{{{scheme_name}}}"), cause };
    let Ok(rest) = str::from_utf8(rest) else {
        // A password in clear may have any octets.
        return match scheme_name.as_str() {
            "CLEARTEXT" => Checked::of(same_clear(rest, begin(Work::NONE))),
            _ => Checked::Unusable(unusable(Cause::Malformed)),
        };
    };
    let result = match scheme_name.as_str() {
        "CLEARTEXT" => Ok(same_clear(rest.as_bytes(), begin(Work::NONE))),
        "ARGON2" => key_derivation::argon2(rest, begin).map_err(unusable),
        "CRYPT" => crypt::check(rest, begin),
        name => match (digest::scheme(name), key_derivation::pbkdf2_scheme(name)) {
            (Some(scheme), _) => scheme.check(rest, begin).map_err(unusable),
            (None, Some(algorithm)) => {
                key_derivation::pbkdf2(algorithm, rest, begin).map_err(unusable)
            }
            (None, None) => Err(unusable(Cause::Unknown)),
        },
    };
    result.map_or_else(Checked::Unusable, Checked::of)
}

impl Checked {
    fn of(matches: bool) -> Self {
        if matches { Self::Matches } else { Self::Differs }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "cannot be checked here",
            Self::Malformed => "is not in the form of that scheme",
            Self::TooCostly => "asks for more memory or time than a login may take",
        })
    }
}

/// The scheme and what follows it. OpenLDAP takes a value for a password in clear exactly if
/// there is none.
fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = stored.strip_prefix(b"{")?;
    let end = inner.iter().position(|octet| *octet == b'}').filter(|end| *end > 0)?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Two passwords in clear. No password is none.
fn same_clear(stored: &[u8], password: Option<&[u8]>) -> bool {
    !stored.is_empty() && password.is_some_and(|password| same(stored, password))
}

/// Whether octets are the same, in a time that tells no more than their length.
fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// A scheme's name in upper case that can be shown.
fn printable(scheme: &[u8]) -> String {
    let shown = |octet: &u8| match octet {
        b'!'..=b'~' => char::from(octet.to_ascii_uppercase()),
        _ => '?',
    };
    scheme.iter().take(MAX_SHOWN).map(shown).collect()
}

/// Enough for every scheme there is.
const MAX_SHOWN: usize = 32;

#[cfg(test)]
mod tests;
