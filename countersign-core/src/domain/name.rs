//! Names that people log on with, and the keys by which they are found.

use serde::{Deserialize, Serialize};

use super::account::Account;

/// The domain that names without a domain belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// NetBIOS name, as in `DOMAIN\user`.
    pub domain: Option<String>,
    /// DNS domain; in upper case the Kerberos realm.
    pub realm: Option<String>,
}

/// A login name as somebody gave it: `DOMAIN\user`, `user`, `user@realm`, a UPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginName {
    given: String,
    key: LoginKey,
}

/// A normalised login name. At most one account has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginKey(String);

/// What is not a login name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginNameError {
    /// Nothing, or nothing before `@` or after `\`.
    #[error("the login name is empty")]
    Empty,
    /// Longer than [`LoginName::MAX_LENGTH`].
    #[error("the login name is longer than {max} octets", max = LoginName::MAX_LENGTH)]
    TooLong,
    /// A control character, which no directory allows in a name.
    #[error("the login name has a control character")]
    ControlCharacter,
}

impl LoginName {
    /// Octets; RADIUS carries no more in a User-Name.
    pub const MAX_LENGTH: usize = 253;

    /// Reads a name in any of its forms.
    ///
    /// # Errors
    ///
    /// Empty, too long, or with control characters.
    pub fn parse(text: &str) -> Result<Self, LoginNameError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(LoginNameError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(LoginNameError::ControlCharacter);
        }
        let local = text.rsplit('\\').next().unwrap_or_default();
        if local.is_empty() || local.starts_with('@') {
            return Err(LoginNameError::Empty);
        }
        Ok(Self { given: text.to_owned(), key: LoginKey::normalise(text) })
    }

    /// As it was given.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// The key to look it up by.
    #[must_use]
    pub fn key(&self) -> &LoginKey {
        &self.key
    }
}

impl LoginKey {
    /// The key as text, for a store's index.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn normalise(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    pub(super) fn all_of(account: &Account, site: &Site) -> Vec<Self> {
        let domain = account.domain.as_ref();
        let realm = account.realm.as_ref();
        let same = |a: &String, b: &Option<String>| {
            b.as_ref().is_some_and(|b| a.to_lowercase() == b.to_lowercase())
        };
        let of_site = match (domain, realm) {
            (None, None) => true,
            (Some(domain), _) => same(domain, &site.domain),
            (None, Some(realm)) => same(realm, &site.realm),
        };
        let name = &account.name;
        let mut keys: Vec<Self> = Vec::new();
        if of_site {
            keys.push(Self::normalise(name));
        }
        for place in domain.into_iter().chain(realm) {
            keys.push(Self::normalise(&format!("{place}\\{name}")));
            keys.push(Self::normalise(&format!("{name}@{place}")));
        }
        keys.extend(account.upn.as_deref().map(Self::normalise));
        keys.sort();
        keys.dedup();
        keys
    }
}
