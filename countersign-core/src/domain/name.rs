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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::AccountId;

    fn account(name: &str, domain: Option<&str>, realm: Option<&str>) -> Account {
        Account {
            domain: domain.map(Into::into),
            realm: realm.map(Into::into),
            ..Account::new(AccountId::from_bytes([1; 16]), name.into())
        }
    }

    fn site(domain: Option<&str>, realm: Option<&str>) -> Site {
        Site { domain: domain.map(Into::into), realm: realm.map(Into::into) }
    }

    fn corp() -> Site {
        site(Some("CORP"), Some("corp.example"))
    }

    fn finds(account: &Account, site: &Site, text: &str) -> bool {
        let name = LoginName::parse(text).unwrap();
        account.login_keys(site).contains(name.key())
    }

    #[test]
    fn every_form_leads_to_the_account() {
        let mut alice = account("Alice", Some("CORP"), Some("corp.example"));
        alice.upn = Some("Alice.Smith@example.com".into());
        for text in [
            "alice",
            "ALICE",
            r"corp\alice",
            r"CORP\Alice",
            r"corp.example\alice",
            "alice@corp",
            "alice@CORP.EXAMPLE",
            "alice.smith@EXAMPLE.com",
        ] {
            assert!(finds(&alice, &corp(), text), "{text}");
        }
        for text in ["alice.smith", r"other\alice", "alice@example.com", r"alice\corp", "corp"] {
            assert!(!finds(&alice, &corp(), text), "{text}");
        }
    }

    #[test]
    fn bare_names_belong_to_the_site() {
        let cases = [
            (account("alice", None, None), corp(), true),
            (account("alice", None, None), site(None, None), true),
            (account("alice", Some("corp"), None), corp(), true),
            (account("alice", None, Some("CORP.example")), corp(), true),
            (
                account("alice", Some("CORP"), Some("corp.example")),
                site(None, Some("corp.example")),
                true,
            ),
            (account("alice", Some("OTHER"), None), corp(), false),
            (account("alice", None, Some("other.example")), corp(), false),
            (account("alice", Some("CORP"), Some("other.example")), corp(), false),
            (account("alice", Some("OTHER"), Some("corp.example")), corp(), false),
            (account("alice", Some("CORP"), None), site(None, None), false),
        ];
        for (account, site, expected) in cases {
            assert_eq!(finds(&account, &site, "alice"), expected, "{account:?} at {site:?}");
        }
    }

    #[test]
    fn accounts_of_the_site_are_found_under_both_its_names() {
        for account in [account("alice", None, None), account("alice", Some("CORP"), None)] {
            for text in [r"CORP\alice", "alice@corp.example", r"corp.example\alice"] {
                assert!(finds(&account, &corp(), text), "{text}");
            }
        }
        let foreign = account("alice", Some("OTHER"), None);
        assert!(!finds(&foreign, &corp(), r"CORP\alice"));
    }

    #[test]
    fn a_distinguished_name_leads_to_the_account_in_any_spelling() {
        let mut alice = account("alice", None, None);
        alice.dn = Some("UID=alice, OU=People, DC=example".into());
        let name = LoginName::of_dn("userid=Alice,ou=people,dc=EXAMPLE").unwrap();
        assert!(alice.login_keys(&corp()).contains(name.key()));
        assert_eq!(name.given(), "userid=Alice,ou=people,dc=EXAMPLE");
        assert!(LoginName::of_dn("alice").is_err());
    }

    #[test]
    fn a_key_is_compared_by_its_folded_name_and_knows_the_given_one() {
        let [one, other] =
            ["UID=GROẞ, dc=x", "uid=groß,dc=x"].map(|text| LoginName::of_dn(text).unwrap());
        assert_eq!((one.key(), one.key().as_str()), (other.key(), other.given()));
        assert_eq!(one.key().as_given(), "UID=GROẞ, dc=x");
        assert_eq!(other.key().as_given(), other.given());
        let keys = std::collections::HashSet::from([one.key(), other.key()]);
        assert_eq!(keys.len(), 1);
        assert_eq!(LoginName::parse("Alice").unwrap().key().as_given(), "Alice");
    }

    #[test]
    fn refuses_what_no_form_has() {
        let long = "a".repeat(LoginName::MAX_LENGTH + 1);
        let cases = [
            ("", LoginNameError::Empty),
            ("@", LoginNameError::Empty),
            ("@realm", LoginNameError::Empty),
            ("user@", LoginNameError::Empty),
            (r"\user", LoginNameError::Empty),
            (r"\\user", LoginNameError::Empty),
            (r"DOMAIN\", LoginNameError::Empty),
            (r"DOMAIN\@realm", LoginNameError::Empty),
            (r"A\B\user", LoginNameError::ManyBackslashes),
            ("us\0er", LoginNameError::ControlCharacter),
            ("user\r\n", LoginNameError::ControlCharacter),
            ("us\u{85}er", LoginNameError::ControlCharacter),
            (&long, LoginNameError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(LoginName::parse(text), Err(error), "{text:?}");
        }
        assert!(LoginName::parse(&long[1..]).is_ok());
    }

    #[test]
    fn a_bare_name_has_no_separator() {
        assert!(LoginName::parse_bare("alice.smith-2").is_ok());
        for text in [r"CORP\alice", "alice@corp.example"] {
            assert_eq!(LoginName::parse_bare(text), Err(LoginNameError::NotBare));
        }
        assert_eq!(LoginName::parse_bare(""), Err(LoginNameError::Empty));
    }

    #[test]
    fn a_upn_may_have_an_at_sign_before_its_last() {
        let mut alice = account("alice", None, None);
        alice.upn = Some("alice@home@corp.example".into());
        assert!(finds(&alice, &corp(), "Alice@Home@corp.example"));
        assert!(!finds(&alice, &corp(), "alice@home"));
    }

    #[test]
    fn folding_does_not_depend_on_the_neighbour() {
        let nikos = account("ΝΙΚΟΣ", None, None);
        for text in ["νικος", "νικοσ", "ΝΙΚΟΣ", "Νικος@corp.example", r"CORP\νικοσ"]
        {
            assert!(finds(&nikos, &corp(), text), "{text}");
        }
        assert!(!finds(&account("ian", None, None), &corp(), "ıan"));
        assert!(finds(&account("ÅSA", None, None), &corp(), "åsa"));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_keeps_what_was_given(text in ".*") {
            if let Ok(name) = LoginName::parse(&text) {
                prop_assert_eq!(name.given(), text);
            }
        }

        #[test]
        fn folding_twice_is_folding_once(text in ".{1,40}") {
            let once = LoginKey::fold(&text);
            prop_assert_eq!(LoginKey::fold(once.as_str()), once);
        }

        #[test]
        fn case_of_ascii_does_not_matter(text in "[ -~]{1,40}") {
            let key = LoginKey::fold(&text);
            prop_assert_eq!(LoginKey::fold(&text.to_ascii_uppercase()), key);
        }

        #[test]
        fn accounts_of_different_names_share_no_key(
            first in "[a-z]{1,8}",
            second in "[a-z]{1,8}",
            domain in proptest::option::of("[a-z]{1,8}"),
            realm in proptest::option::of("[a-z]{1,8}\\.[a-z]{2,3}"),
        ) {
            prop_assume!(first != second);
            let keys = |name: &str| account(name, domain.as_deref(), realm.as_deref()).login_keys(&corp());
            let others = keys(&second);
            prop_assert!(keys(&first).iter().all(|key| !others.contains(key)));
        }
    }
}
