//! Names that people log on with, and the keys by which they are found.
//!
//! A name comes as `user`, `DOMAIN\user`, `user@realm`, or as a UPN, and no text
//! tells the last two apart. So nothing is taken to pieces: an account has a key
//! for every form, the store keeps keys unique, and a name is looked up whole.
//!
//! * Letters are folded one by one to lower case; a final sigma is a sigma.
//!   Composed and decomposed accents are different names, full-width letters
//!   are others than plain ones: a store has its accounts under these keys, and
//!   two of them must not become one by a new version.
//! * A bare name belongs to the account of the site's own domain, or to one that
//!   has neither domain nor realm, which counts as one of the site's own.
//! * The site's own accounts are found under the site's domain and realm, too.
//! * An account with a distinguished name is found under that, in any spelling that
//!   [`Dn`] takes for the same. A directory is asked for it as it was given, because
//!   only the directory knows which spellings it takes for the same.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use super::{
    account::Account,
    dn::{self, Dn, DnError},
};

/// The domain that names without a domain belong to: one domain, under both its names.
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
#[derive(Debug, Clone)]
pub struct LoginKey {
    text: String,
    /// The name as it was given, unless that is `text`.
    given: Option<Box<str>>,
}

/// What is not a login name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginNameError {
    /// Nothing, or nothing on one side of `@` or `\`.
    #[error("the login name is empty, or has nothing before or after `@` or `\\`")]
    Empty,
    /// Longer than [`LoginName::MAX_LENGTH`].
    #[error("the login name is longer than {max} octets", max = LoginName::MAX_LENGTH)]
    TooLong,
    /// A control character, which no directory allows in a name.
    #[error("the login name has a control character")]
    ControlCharacter,
    /// More than one `\`, which no form of a name has.
    #[error("the login name has more than one `\\`")]
    ManyBackslashes,
    /// A domain or realm where only the name is wanted.
    #[error("the name must stand alone, without `@` or `\\`; domain and realm are given apart")]
    NotBare,
}

impl LoginName {
    /// Octets; RADIUS carries no more in a User-Name.
    pub const MAX_LENGTH: usize = 253;

    /// Reads a name in any of its forms.
    ///
    /// # Errors
    ///
    /// Empty in a part, too long, with control characters or several backslashes.
    pub fn parse(text: &str) -> Result<Self, LoginNameError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(LoginNameError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(LoginNameError::ControlCharacter);
        }
        let local = match text.split_once('\\') {
            Some(("", _)) => return Err(LoginNameError::Empty),
            Some((_, local)) => local,
            None => text,
        };
        if local.contains('\\') {
            return Err(LoginNameError::ManyBackslashes);
        }
        if local.is_empty() || local.starts_with('@') || local.ends_with('@') {
            return Err(LoginNameError::Empty);
        }
        Ok(Self { given: text.to_owned(), key: LoginKey::fold(text) })
    }

    /// Reads a name that stands alone, as an account or a domain has it.
    ///
    /// # Errors
    ///
    /// What [`LoginName::parse`] refuses, and `@` or `\` anywhere.
    pub fn parse_bare(text: &str) -> Result<Self, LoginNameError> {
        if text.contains(['@', '\\']) { Err(LoginNameError::NotBare) } else { Self::parse(text) }
    }

    /// Reads a distinguished name, as an LDAP client binds by.
    ///
    /// # Errors
    ///
    /// It is none, or too long.
    pub fn of_dn(text: &str) -> Result<Self, DnError> {
        let key = LoginKey::new(Dn::parse(text)?.to_string(), text);
        Ok(Self { given: text.to_owned(), key })
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
        &self.text
    }

    /// The name as it was given, to ask somebody else about it.
    #[must_use]
    pub fn as_given(&self) -> &str {
        self.given.as_deref().unwrap_or(&self.text)
    }

    /// The distinguished name that it is, if it is one.
    #[must_use]
    pub fn dn(&self) -> Option<Dn> {
        Dn::parse(&self.text).ok()
    }

    fn fold(text: &str) -> Self {
        Self::new(dn::fold(text), text)
    }

    fn new(text: String, given: &str) -> Self {
        let given = (given != text).then(|| given.into());
        Self { text, given }
    }

    pub(super) fn all_of(account: &Account, site: &Site) -> Vec<Self> {
        let name = &account.name;
        let mut places: Vec<&String> = account.domain.iter().chain(&account.realm).collect();
        let mut keys: Vec<Self> = account.upn.iter().map(|upn| Self::fold(upn)).collect();
        keys.extend(account.dn_key());
        if site.owns(account) {
            keys.push(Self::fold(name));
            // By which it is found where the name comes from a distinguished name.
            let in_dn = dn::compared(name);
            keys.extend((!in_dn.is_empty()).then(|| Self::new(in_dn, name)));
            places.extend(site.domain.iter().chain(&site.realm));
        }
        for place in places {
            keys.push(Self::fold(&format!("{place}\\{name}")));
            keys.push(Self::fold(&format!("{name}@{place}")));
        }
        keys.sort();
        keys.dedup();
        keys
    }
}

/// By the normalised name: in whatever way it was given, it is the same.
impl PartialEq for LoginKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LoginKey {}

impl Hash for LoginKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for LoginKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LoginKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Site {
    /// Whether an account is one of the site's own: it says nothing else, and it
    /// says the site's domain or realm or neither of its own.
    fn owns(&self, account: &Account) -> bool {
        let pairs = [(&account.domain, &self.domain), (&account.realm, &self.realm)];
        let compared = pairs.map(|pair| match pair {
            (Some(its), Some(ours)) => Some(LoginKey::fold(its) == LoginKey::fold(ours)),
            (None, _) | (_, None) => None,
        });
        let nowhere = account.domain.is_none() && account.realm.is_none();
        !compared.contains(&Some(false)) && (nowhere || compared.contains(&Some(true)))
    }
}

#[cfg(test)]
mod tests;
