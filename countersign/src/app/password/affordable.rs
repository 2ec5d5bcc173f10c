//! How many values of userPassword are tried.
//!
//! Mostly whoever has an account may write its password, and as many of them as he likes. So
//! one attempt tries a few, and no more than together take [`Work::ALL`]. That is so for each
//! octet at which the password can end, of which there are as many as there are lengths of
//! token identifiers and OTPs; those are the site's own.

use countersign_core::domain::password::PasswordHash;

use super::{told::Told, weigh, work::Work};

/// The values that are tried. The operator is told once of those that are not; what cannot be
/// used at all takes no work, and is told about when it is tried.
#[must_use]
pub fn affordable(account: &str, values: Vec<PasswordHash>) -> Vec<PasswordHash> {
    let count = values.len();
    let mut left = Work::ALL;
    let is_affordable = |value: &PasswordHash| {
        let work = weigh(value.0.expose_bytes()).unwrap_or(Work::NONE);
        let rest = left.less(work);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let tried: Vec<_> = values.into_iter().filter(is_affordable).take(MAX_TRIED).collect();
    if tried.len() < count && TOLD.is_new(account) {
        tracing::warn!(
            account,
            values = count,
            tried = tried.len(),
            "an account has more userPassword values, or costlier ones, than are tried: \
             remove those that are not used"
        );
    }
    tried
}

static TOLD: Told = Told::new();
const MAX_TRIED: usize = 4;

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use super::*;

    fn tried(values: &[&str]) -> usize {
        let hash = |value: &&str| PasswordHash(Secret::new(value.as_bytes().to_vec()));
        affordable("alice", values.iter().map(hash).collect()).len()
    }

    /// With salts and hashes that are in their form.
    fn argon2(memory: u32, passes: u32) -> String {
        let hash = "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        format!("{{ARGON2}}$argon2id$v=19$m={memory},t={passes},p=1${hash}")
    }

    #[test]
    fn four_cheap_values_are_tried() {
        assert_eq!(tried(&[]), 0);
        assert_eq!(tried(&["one", "two", "three", "four"]), 4);
        assert_eq!(tried(&["one", "two", "three", "four", "five", "six"]), 4);
    }

    #[test]
    fn what_is_costly_shares_one_budget() {
        let strong = argon2(65_536, 4);
        assert_eq!(tried(&[&strong, &strong, &strong, &strong]), 2);
        assert_eq!(tried(&[&argon2(262_144, 2), &strong, "cheap"]), 2);
        let bcrypt = "{CRYPT}$2b$14$kxDEth1RNoi6x5uvfOEXvOHbe1Iuvc5tFTrC6W5gjLj1masjK90cm";
        assert_eq!(tried(&[bcrypt, bcrypt, bcrypt]), 1);
        let sha = "{CRYPT}$6$rounds=500000$N6X3pO7sLV9o8Gg4$PWvQdd5AQ";
        assert_eq!(tried(&[sha, sha, sha, bcrypt]), 2);
    }

    #[test]
    fn what_each_scheme_writes_if_nothing_is_said_is_affordable_thrice() {
        let usual = [
            argon2(65_536, 2),
            "{CRYPT}$6$N6X3pO7sLV9o8Gg4$PWvQdd5AQ".into(),
            "{CRYPT}$y$j9T$2LoJb3rSIyv8OA2QBYaQu.$iYQMmeqRWenGwj3JlEPgSuIohWfRK41JZKcwT7q//D2".into(),
            "{CRYPT}$2b$12$kxDEth1RNoi6x5uvfOEXvOHbe1Iuvc5tFTrC6W5gjLj1masjK90cm".into(),
            "{PBKDF2-SHA256}600000$WN3caU/Eg0g8NNVh7EbKDA$LewYDtCKvnN0h4S1yrKAJwrcb4Jj36AjkWeSkEmE7Nc".into(),
        ];
        for value in &usual {
            assert_eq!(tried(&[value, value, value]), 3, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_used_takes_nothing_from_the_others() {
        let strong = argon2(65_536, 4);
        let hopeless = argon2(1_048_576, 100);
        assert_eq!(tried(&[&hopeless, &strong, "{SASL}alice", &strong]), 4);
    }
}
