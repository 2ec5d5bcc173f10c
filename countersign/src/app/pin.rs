//! PINs: hashed with argon2id, checked slowly on purpose. Static passwords: checked by their hashes.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use countersign_core::{
    domain::{password::PasswordHash, token::PinHash, validate::PinCheck},
    secret::Secret,
};

use super::password::{self, Checked, Unusable, told::Told};
use crate::vault;

/// Hashes and checks PINs with argon2id (RFC 9106): 19 MiB of memory, two passes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Argon2Pins;

impl Argon2Pins {
    /// The hash of a PIN under a fresh salt, as a PHC string. Takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// There is not enough memory.
    pub fn hash(self, pin: &Secret<String>) -> Result<PinHash, argon2::password_hash::Error> {
        let salt: [u8; 16] = vault::random_octets();
        let hash = Argon2::default().hash_password_with_salt(pin.expose_bytes(), &salt)?;
        Ok(PinHash(hash.to_string()))
    }
}

impl PinCheck for Argon2Pins {
    /// A hash that cannot be read matches nothing.
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool {
        Argon2::default().verify_password(pin, hash.0.as_str()).is_ok()
    }

    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        match password::check(hash.0.expose_bytes(), password) {
            Checked::Matches => true,
            Checked::Differs => false,
            Checked::Unusable(unusable) => {
                tell_once(&unusable);
                false
            }
        }
    }
}

/// Peers can have hashes looked at as often as they like, so the operator is told once of
/// each scheme that is of no use.
fn tell_once(unusable: &Unusable) {
    if TOLD.is_new(&unusable.to_string()) {
        tracing::warn!("{unusable}: such an account cannot log on; set its password anew");
    }
}

static TOLD: Told = Told::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_pin_and_nothing_else() {
        let hash = Argon2Pins.hash(&Secret::new("4711".into())).unwrap();
        assert!(Argon2Pins.matches(&hash, b"4711"));
        for pin in [b"".as_slice(), b"471", b"47110", b"4712"] {
            assert!(!Argon2Pins.matches(&hash, pin));
        }
    }

    #[test]
    fn hashes_are_argon2id_and_salted() {
        let [first, second] =
            [(); 2].map(|()| Argon2Pins.hash(&Secret::new("4711".into())).unwrap());
        assert!(first.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.0);
        assert_ne!(first, second);
    }

    /// A vector of the reference implementation (phc-winner-argon2, `src/test.c`).
    #[test]
    fn parameters_come_from_the_hash() {
        let reference =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(Argon2Pins.matches(&PinHash(reference.into()), b"password"));
        assert!(!Argon2Pins.matches(&PinHash(reference.into()), b"Password"));
    }

    #[test]
    fn a_static_password_is_checked_by_its_scheme() {
        let matches = |stored: &str, password: &[u8]| {
            let hash = PasswordHash(Secret::new(stored.as_bytes().to_vec()));
            Argon2Pins.password_matches(&hash, password)
        };
        assert!(matches("{SSHA}Z7SOk9oeJflO+Wmq1IVGoYdJyxQ/7SeM", b"correct horse"));
        assert!(!matches("{SSHA}Z7SOk9oeJflO+Wmq1IVGoYdJyxQ/7SeM", b"correct"));
        assert!(matches("geheim", b"geheim"));
        assert!(!matches("{SASL}alice", b"alice") && !matches("{SASL}alice", b"{SASL}alice"));
        let unusable = password::examine(b"{SASL}alice").unwrap().to_string();
        assert!(!TOLD.is_new(&unusable), "the operator was told");
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for hash in ["", "4711", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$"] {
            assert!(!Argon2Pins.matches(&PinHash(hash.into()), b"4711"), "{hash}");
        }
    }
}
