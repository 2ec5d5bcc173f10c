//! The LDAP store: `[directory]`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{domain::dn::Dn, pki::profile::Span, secret::Secret};
use serde::Deserialize;

use super::{Wrong, duration, secret::first_line, wrong};

/// `[directory]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DirectoryFile {
    /// `ldapi:///path`, `ldaps://host[:port]`, or `ldap://` to this machine.
    pub url: String,
    /// Trust anchors for its certificate, PEM.
    pub trust: Option<PathBuf>,
    /// Our certificate chain, leaf first, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PKCS#8 PEM.
    pub key: Option<PathBuf>,
    /// The name that we bind as, in the place of SASL EXTERNAL.
    pub bind_dn: Option<String>,
    /// The file whose first line is its password.
    pub bind_password_file: Option<PathBuf>,
    /// The identity that we want to act as (SASL authzid).
    pub authorization_id: Option<String>,
    /// How many connections are kept at most.
    pub connections: Option<NonZeroUsize>,
    /// How long an operation may take.
    pub time_limit: Option<Span>,
    /// How long token parameters are remembered.
    pub parameters_cache: Option<Span>,
    /// A ready set of attribute names and filters.
    #[serde(default)]
    pub profile: Profile,
    /// Below which accounts, tokens and persons are.
    pub base: String,
    /// Files with private keys, JWK; the file name may have one `*`.
    #[serde(default)]
    pub keys: Vec<PathBuf>,
    /// Whether secrets may be kept without encryption, and how they are written then.
    #[serde(default)]
    pub plain_secrets: PlainSecrets,
    /// What `oathHOTPCounter` means.
    #[serde(default)]
    pub hotp_counter: HotpCounter,
    /// `[directory.account]`
    #[serde(default)]
    pub account: AccountFile,
    /// `[directory.token]`
    #[serde(default)]
    pub token: TokenFile,
    /// `[directory.person]`
    #[serde(default)]
    pub person: PersonFile,
}

/// A ready set of attribute names and filters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Accounts and persons are `inetOrgPerson` entries.
    #[default]
    InetOrgPerson,
    /// Æ-DIR.
    AeDir,
}

/// Whether secrets may be kept without encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainSecrets {
    /// They may not.
    #[default]
    Refuse,
    /// As base32 text, as OATH-LDAP without a key has them.
    Base32,
    /// As octets, as slapo-otp has them.
    Raw,
}

/// What `oathHOTPCounter` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HotpCounter {
    /// The next one expected (OATH-LDAP).
    #[default]
    Next,
    /// The last one used (slapo-otp).
    Last,
}

/// `[directory.account]`: what differs from the profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountFile {
    /// Below which accounts are.
    pub base: Option<String>,
    /// What an account is, a filter (RFC 4515).
    pub filter: Option<String>,
    /// The attribute with the login name.
    pub name: Option<String>,
    /// The attribute with the user principal name.
    pub upn: Option<String>,
    /// The attribute with the security identifier.
    pub sid: Option<String>,
    /// The attribute with the groups.
    pub groups: Option<String>,
    /// The attribute with the person's DN.
    pub person: Option<String>,
    /// The attribute with the begin of validity.
    pub not_before: Option<String>,
    /// The attribute with the end of validity.
    pub not_after: Option<String>,
}

/// `[directory.token]`: what differs from the profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenFile {
    /// Below which tokens are, and where new ones are added.
    pub base: Option<String>,
    /// The attribute with the owner's DN.
    pub owner: Option<String>,
    /// The parameters of new HOTP tokens, a DN.
    pub hotp_parameters: Option<String>,
    /// The parameters of new TOTP tokens, a DN.
    pub totp_parameters: Option<String>,
}

/// `[directory.person]`: what differs from the profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PersonFile {
    /// The attribute with the name.
    pub name: Option<String>,
    /// The attribute with the mail address.
    pub mail: Option<String>,
}

/// The LDAP store.
#[derive(Debug)]
pub struct DirectorySettings {
    /// The server.
    pub server: ServerSettings,
    /// How many connections are kept at most.
    pub connections: usize,
    /// How long token parameters are remembered.
    pub parameters_cache: Duration,
    /// A ready set of attribute names and filters.
    pub profile: Profile,
    /// Below which accounts, tokens and persons are.
    pub base: Dn,
    /// Files with private keys.
    pub keys: Vec<PathBuf>,
    /// Whether secrets may be kept without encryption.
    pub plain_secrets: PlainSecrets,
    /// What `oathHOTPCounter` means.
    pub hotp_counter: HotpCounter,
    /// What differs from the profile, of accounts.
    pub account: AccountFile,
    /// Of tokens.
    pub token: TokenFile,
    /// Of persons.
    pub person: PersonFile,
}

/// A directory server, and as whom we are there.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its URL.
    pub url: String,
    /// Trust anchors for its certificate, PEM.
    pub trust: Option<PathBuf>,
    /// Our certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name and password to bind by, in the place of SASL EXTERNAL.
    pub bind: Option<(String, Secret<String>)>,
    /// The identity that we want to act as.
    pub authorization_id: Option<String>,
    /// How long an operation may take.
    pub time_limit: Duration,
}

pub(super) fn check_directory(
    file: DirectoryFile,
    base: &Path,
) -> Result<DirectorySettings, Wrong> {
    let key = "directory";
    let base_dn = Dn::parse(&file.base).or_else(|error| wrong("directory.base", error.to_string()));
    let bind = match (file.bind_dn, file.bind_password_file) {
        (None, None) => None,
        (Some(dn), Some(path)) => {
            Some((dn, first_line("directory.bind-password-file", &base.join(path))?))
        }
        _ => return wrong(key, "bind-dn and bind-password-file go together"),
    };
    let identity = match (file.certificate, file.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((base.join(certificate), base.join(key))),
        _ => return wrong(key, "certificate and key go together"),
    };
    Ok(DirectorySettings {
        server: ServerSettings {
            url: file.url,
            trust: file.trust.map(|path| base.join(path)),
            identity,
            bind,
            authorization_id: file.authorization_id,
            time_limit: file.time_limit.map_or(TIME_LIMIT, duration),
        },
        connections: file.connections.map_or(CONNECTIONS, NonZeroUsize::get),
        parameters_cache: file.parameters_cache.map_or(PARAMETERS_CACHE, duration),
        profile: file.profile,
        base: base_dn?,
        keys: file.keys.iter().map(|path| base.join(path)).collect(),
        plain_secrets: file.plain_secrets,
        hotp_counter: file.hotp_counter,
        account: file.account,
        token: file.token,
        person: file.person,
    })
}

const CONNECTIONS: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(3);
const PARAMETERS_CACHE: Duration = Duration::from_secs(600);
