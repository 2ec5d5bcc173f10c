//! Which accounts have a token, as the replica on this machine says.
//!
//! Whoever is not in this set binds by the password alone. So a search that finds nothing, or
//! far too few, is not believed: what was found before stays in force.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwapOption;
use countersign_core::domain::dn::Dn;

/// The accounts with tokens; nothing before the first search.
#[derive(Debug, Default)]
pub(super) struct Accounts(ArcSwapOption<HashMap<String, Arc<str>>>);

/// An account that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name.
    pub(super) dn: String,
    /// The names of its tokens.
    pub(super) tokens: Vec<String>,
}

/// What is known about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing was found yet about anybody.
    NotYet,
    /// It has no token.
    WithoutToken,
    /// It has one; by this its provider is chosen.
    WithToken(Arc<str>),
}

/// A search that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the replica has {found} accounts with a token, bind-proxy.minimum says at least {minimum}; \
     what was known before stays in force"
)]
pub(super) struct TooFew {
    found: usize,
    minimum: usize,
}

impl Accounts {
    /// Takes over what a search found, unless it is too little to be true.
    pub(super) fn replace(&self, found: &[Found], minimum: usize) -> Result<usize, TooFew> {
        let known: HashMap<_, _> = found.iter().filter_map(entry).collect();
        let found = known.len();
        if found < minimum {
            return Err(TooFew { found, minimum });
        }
        self.0.store(Some(Arc::new(known)));
        Ok(found)
    }

    pub(super) fn known(&self, dn: &Dn) -> Known {
        let accounts = self.0.load();
        let Some(accounts) = &*accounts else { return Known::NotYet };
        let token = accounts.get(dn.as_str());
        token.map_or(Known::WithoutToken, |token| Known::WithToken(token.clone()))
    }
}

/// The account, and the first of its tokens in order of their names: accounts that share a
/// token share its provider. What has no token to be seen goes by its own name.
fn entry(found: &Found) -> Option<(String, Arc<str>)> {
    let account = Dn::parse(&found.dn).ok()?.to_string();
    Some((account, token_of(found)?))
}

/// What the provider of an account is chosen by.
pub(super) fn token_of(found: &Found) -> Option<Arc<str>> {
    let account = Dn::parse(&found.dn)
        .inspect_err(|error| tracing::error!(dn = found.dn, %error, "an account is passed over"))
        .ok()?
        .to_string();
    let tokens = found.tokens.iter().filter_map(|token| Dn::parse(token).ok());
    let token = tokens.map(|token| token.to_string()).min();
    Some(token.unwrap_or(account).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dn: &str, tokens: &[&str]) -> Found {
        Found { dn: dn.into(), tokens: tokens.iter().map(|token| (*token).to_owned()).collect() }
    }

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn nobody_is_known_before_the_first_search() {
        assert_eq!(Accounts::default().known(&dn("uid=alice,dc=test")), Known::NotYet);
    }

    #[test]
    fn an_account_is_known_in_every_spelling() {
        let accounts = Accounts::default();
        let alice =
            found("UID=Alice, DC=test", &["serialNumber=2,cn=otp", "SERIALNUMBER=1,cn=otp"]);
        assert_eq!(accounts.replace(&[alice, found("uid=bob,dc=test", &[])], 1), Ok(2));
        let token = Known::WithToken("serialnumber=1,cn=otp".into());
        assert_eq!(accounts.known(&dn("userid=alice,dc=TEST")), token);
        assert_eq!(
            accounts.known(&dn("uid=bob,dc=test")),
            Known::WithToken("uid=bob,dc=test".into())
        );
        assert_eq!(accounts.known(&dn("uid=carol,dc=test")), Known::WithoutToken);
    }

    #[test]
    fn a_search_that_finds_too_few_is_not_believed() {
        let accounts = Accounts::default();
        let alice = [found("uid=alice,dc=test", &[])];
        assert_eq!(accounts.replace(&[], 1), Err(TooFew { found: 0, minimum: 1 }));
        assert_eq!(accounts.known(&dn("uid=alice,dc=test")), Known::NotYet);
        accounts.replace(&alice, 1).unwrap();
        assert!(accounts.replace(&[], 1).is_err());
        assert!(matches!(accounts.known(&dn("uid=alice,dc=test")), Known::WithToken(_)));
    }
}
