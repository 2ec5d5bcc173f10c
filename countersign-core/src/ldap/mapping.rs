//! The site's own names for what the OATH-LDAP schema leaves open, with two ready profiles.

use serde::{Deserialize, Serialize};

/// Names of attributes and filters of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Of accounts.
    pub account: AccountMapping,
    /// Of tokens.
    pub token: TokenMapping,
    /// Of persons.
    pub person: PersonMapping,
}

/// How accounts are found and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountMapping {
    /// What an entry must be to be an account: a filter (RFC 4515).
    pub filter: String,
    /// How an account is found by a login name, in the place of `name` and `upn`: a filter with
    /// `{name}` where the name stands.
    pub login_filter: Option<String>,
    /// The attribute with the login name.
    pub name: String,
    /// The attribute with the user principal name.
    pub upn: Option<String>,
    /// The attribute with another distinguished name, as certificates shall have it; the name of
    /// the entry if there is none.
    pub dn: Option<String>,
    /// The attribute with the security identifier, as text or as Active Directory keeps it.
    pub sid: Option<String>,
    /// The attribute with the DNS domain.
    pub realm: Option<String>,
    /// The attribute with the groups.
    pub groups: Option<String>,
    /// The attribute with the name of the person's entry.
    pub person: Option<String>,
    /// The attribute with the first second of validity.
    pub not_before: Option<String>,
    /// The attribute with the last second of validity.
    pub not_after: Option<String>,
}

/// How tokens are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMapping {
    /// The attribute with the name of the owner's entry.
    pub owner: String,
    /// The attribute that names the token's entry.
    pub rdn: String,
    /// What the counter of an HOTP token means.
    pub hotp_counter: HotpCounter,
    /// How shared secrets are read that are not encrypted.
    pub plain_secrets: PlainSecrets,
}

/// How persons are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonMapping {
    /// The attribute with the name for people to read.
    pub name: String,
    /// The attribute with the mail address.
    pub mail: Option<String>,
}

/// What `oathHOTPCounter` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HotpCounter {
    /// The next counter that is expected, as OATH-LDAP has it.
    #[default]
    Next,
    /// The last counter that was used, as slapo-otp has it.
    Last,
}

/// How a shared secret is read that is not encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainSecrets {
    /// Not at all.
    #[default]
    Refuse,
    /// As base32 text, as OATH-LDAP without keys writes them.
    Base32,
    /// As it stands, as slapo-otp writes them.
    Raw,
}

/// A ready set of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A plain tree with accounts of `inetOrgPerson`.
    #[default]
    InetOrgPerson,
    /// Æ-DIR.
    AeDir,
}

impl Profile {
    /// The names of this profile.
    #[must_use]
    pub fn mapping(self) -> Mapping {
        match self {
            Self::InetOrgPerson => inet_org_person(),
            Self::AeDir => ae_dir(),
        }
    }
}

fn inet_org_person() -> Mapping {
    Mapping {
        account: AccountMapping {
            filter: "(objectClass=inetOrgPerson)".into(),
            login_filter: None,
            name: "uid".into(),
            upn: None,
            dn: None,
            sid: None,
            realm: None,
            groups: Some("memberOf".into()),
            person: Some("seeAlso".into()),
            not_before: None,
            not_after: None,
        },
        token: token("owner"),
        person: PersonMapping { name: "cn".into(), mail: Some("mail".into()) },
    }
}

/// Accounts of `aeUser` that are active, each with its `aePerson`; tokens with their `aeOwner`.
fn ae_dir() -> Mapping {
    Mapping {
        account: AccountMapping {
            filter: "(&(objectClass=aeUser)(aeStatus=0))".into(),
            person: Some("aePerson".into()),
            not_before: Some("aeNotBefore".into()),
            not_after: Some("aeNotAfter".into()),
            ..inet_org_person().account
        },
        token: token("aeOwner"),
        person: PersonMapping { name: "displayName".into(), mail: Some("mail".into()) },
    }
}

fn token(owner: &str) -> TokenMapping {
    TokenMapping {
        owner: owner.into(),
        rdn: "serialNumber".into(),
        hotp_counter: HotpCounter::default(),
        plain_secrets: PlainSecrets::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_differ_in_what_differs() {
        let (plain, ae) = (Profile::default().mapping(), Profile::AeDir.mapping());
        assert_eq!(plain.token.owner, "owner");
        assert_eq!(ae.token.owner, "aeOwner");
        assert_eq!(plain.account.person.as_deref(), Some("seeAlso"));
        assert_eq!(ae.account.person.as_deref(), Some("aePerson"));
        assert_eq!((plain.account.name, ae.account.name), ("uid".into(), "uid".into()));
        assert_eq!(plain.token.rdn, ae.token.rdn);
        assert_eq!(
            (plain.account.not_after, ae.account.not_after),
            (None, Some("aeNotAfter".into()))
        );
    }

    #[test]
    fn nothing_unencrypted_is_read_unless_it_is_allowed() {
        for profile in [Profile::InetOrgPerson, Profile::AeDir] {
            let token = profile.mapping().token;
            assert_eq!(token.plain_secrets, PlainSecrets::Refuse);
            assert_eq!(token.hotp_counter, HotpCounter::Next);
        }
    }
}
