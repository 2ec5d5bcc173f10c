//! Static passwords: the hashes that a directory keeps of them.

use std::fmt;

use crate::secret::Secret;

/// A value of `userPassword` as the directory keeps it (RFC 2307 §5.3): `{SCHEME}` and a
/// hash, or the password itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Secret<Vec<u8>>);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// What is asked for in front of the OTP, and who checks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PasswordRule {
    /// The account's password if the store keeps passwords, or else the token's PIN.
    #[default]
    Required,
    /// Nothing: the OTP alone, behind the PIN of a token that has one.
    NotAsked,
    /// The password of a directory that the caller will ask. Whatever stands there is left
    /// to it, and no token wants a PIN.
    Elsewhere,
}
