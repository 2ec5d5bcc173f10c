//! Accounts (logins) and persons (human beings). A person is not an account.

use serde::{Deserialize, Serialize};

use super::{
    id::{AccountId, PersonId},
    name::{LoginKey, LoginName, Site},
    time::UnixTime,
};

/// A human being who owns tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The identifier, drawn at creation.
    pub id: PersonId,
    /// The name for administrators to read.
    pub name: String,
    /// Where delivered passcodes and enrolment mail go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
}

/// A login, and what a certificate for it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The identifier, drawn at creation.
    pub id: AccountId,
    /// The person behind the login, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The login name without domain or realm (`sAMAccountName`).
    pub name: String,
    /// The NetBIOS domain, as in `DOMAIN\user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The DNS domain, which is the Kerberos realm in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The user principal name, where it differs from `name@realm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<String>,
    /// The distinguished name in the directory (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dn: Option<String>,
    /// The security identifier (`S-1-5-21-…`), for strong certificate mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The groups it belongs to, by which RADIUS replies differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Switched off by an administrator.
    #[serde(default)]
    pub disabled: bool,
    /// When the account may be used.
    #[serde(default)]
    pub validity: Validity,
    /// Who decides about passcodes for this account.
    #[serde(default)]
    pub authentication: Authentication,
}

/// Who decides about the passcodes of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// The tokens assigned to it.
    #[default]
    Tokens,
    /// The upstream of this name, for every attempt.
    Upstream(String),
}

/// A span of time; an absent end is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The first second of the span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixTime>,
    /// The last second of the span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UnixTime>,
}

/// Where a moment lies relative to a [`Validity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Before the first second.
    NotYetValid,
    /// Inside.
    Valid,
    /// After the last second.
    Expired,
}

impl Validity {
    /// Where `now` lies relative to this span.
    #[must_use]
    pub fn at(&self, now: UnixTime) -> Standing {
        if self.not_before.is_some_and(|start| now < start) {
            Standing::NotYetValid
        } else if self.not_after.is_some_and(|end| now > end) {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }
}

impl Account {
    /// One with nothing but a name: its tokens decide, it may be used at any time.
    #[must_use]
    pub fn new(id: AccountId, name: String) -> Self {
        Self {
            id,
            person: None,
            name,
            domain: None,
            realm: None,
            upn: None,
            dn: None,
            sid: None,
            groups: Vec::new(),
            disabled: false,
            validity: Validity::default(),
            authentication: Authentication::Tokens,
        }
    }

    /// The user principal name: the one set, or else `name@realm` ([MS-OTPCE] digest §6, 1a).
    #[must_use]
    pub fn effective_upn(&self) -> Option<String> {
        match (&self.upn, &self.realm) {
            (Some(upn), _) => Some(upn.clone()),
            (None, Some(realm)) => Some(format!("{}@{}", self.name, realm.to_lowercase())),
            (None, None) => None,
        }
    }

    /// The Kerberos principal as components and realm: `name` at the realm in upper case.
    #[must_use]
    pub fn principal(&self) -> Option<(String, String)> {
        let realm = self.realm.as_ref()?;
        Some((self.name.clone(), realm.to_uppercase()))
    }

    /// The key of its entry in the directory.
    #[must_use]
    pub fn dn_key(&self) -> Option<LoginKey> {
        let name = LoginName::of_dn(self.dn.as_ref()?).ok()?;
        Some(name.key().clone())
    }

    /// Every name that leads to this account, normalised. The store keeps them unique.
    #[must_use]
    pub fn login_keys(&self, site: &Site) -> Vec<LoginKey> {
        LoginKey::all_of(self, site)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_written_down_is_as_in_a_new_account() {
        let new = Account::new(AccountId::from_bytes([1; 16]), "alice".into());
        let written = json!({ "id": new.id, "name": "alice" });
        assert_eq!(serde_json::from_value::<Account>(written).unwrap(), new);
    }
}
