//! The LDAP store: `[directory]`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    domain::dn::Dn,
    ldap::{
        filter,
        mapping::{HotpCounter, Mapping, PlainSecrets, Profile},
    },
    pki::profile::Span,
    secret::Secret,
};
use serde::Deserialize;

use super::{Wrong, duration, secret::first_line, server_url::ServerUrl, wrong};

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

/// `[directory.account]`: what differs from the profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountFile {
    /// Below which accounts are; `directory.base` if it is not given.
    pub base: Option<String>,
    /// What an account is, a filter (RFC 4515).
    pub filter: Option<String>,
    /// How an account is found by a login name, a filter with `{name}` in the place of it.
    pub login_filter: Option<String>,
    /// The attribute with the login name.
    pub name: Option<String>,
    /// The attribute with the user principal name.
    pub upn: Option<String>,
    /// The attribute with the distinguished name that certificates shall have.
    pub dn: Option<String>,
    /// The attribute with the DNS domain.
    pub realm: Option<String>,
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
    /// The attribute that names a token's entry, and new ones.
    pub rdn: Option<String>,
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
    /// The site's names of attributes, and its filters.
    pub mapping: Mapping,
    /// Below which accounts and persons are.
    pub base: String,
    /// Below which accounts are.
    pub account_base: String,
    /// Below which tokens are, and where new ones are added.
    pub token_base: String,
    /// The parameters of new HOTP tokens, a DN.
    pub hotp_parameters: Option<String>,
    /// The parameters of new TOTP tokens, a DN.
    pub totp_parameters: Option<String>,
    /// Files with private keys.
    pub keys: Vec<PathBuf>,
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
    ServerUrl::parse(&file.url).or_else(|cause| wrong("directory.url", cause))?;
    let mapping = mapping(&file)?;
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
    let root = file.base;
    name("directory.base", Some(root.clone()))?;
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
        mapping,
        account_base: name("directory.account.base", file.account.base)?.unwrap_or(root.clone()),
        token_base: name("directory.token.base", file.token.base)?.unwrap_or(root.clone()),
        hotp_parameters: name("directory.token.hotp-parameters", file.token.hotp_parameters)?,
        totp_parameters: name("directory.token.totp-parameters", file.token.totp_parameters)?,
        base: root,
        keys: file.keys.iter().map(|path| base.join(path)).collect(),
    })
}

/// The profile's names, and in their place those that the site has for itself.
fn mapping(file: &DirectoryFile) -> Result<Mapping, Wrong> {
    let mut mapping = file.profile.mapping();
    mapping.token.hotp_counter = file.hotp_counter;
    mapping.token.plain_secrets = file.plain_secrets;
    let (account, given) = (&mut mapping.account, &file.account);
    if let Some(text) = &given.filter {
        account.filter = checked_filter("directory.account.filter", text)?;
    }
    if let Some(text) = &given.login_filter {
        account.login_filter = Some(checked_login_filter(text)?);
    }
    for (key, to, given) in [
        ("account.name", &mut account.name, &given.name),
        ("token.owner", &mut mapping.token.owner, &file.token.owner),
        ("token.rdn", &mut mapping.token.rdn, &file.token.rdn),
        ("person.name", &mut mapping.person.name, &file.person.name),
    ] {
        if let Some(name) = given {
            *to = attribute(key, name)?;
        }
    }
    for (key, to, given) in [
        ("account.upn", &mut account.upn, &given.upn),
        ("account.dn", &mut account.dn, &given.dn),
        ("account.sid", &mut account.sid, &given.sid),
        ("account.realm", &mut account.realm, &given.realm),
        ("account.groups", &mut account.groups, &given.groups),
        ("account.person", &mut account.person, &given.person),
        ("account.not-before", &mut account.not_before, &given.not_before),
        ("account.not-after", &mut account.not_after, &given.not_after),
        ("person.mail", &mut mapping.person.mail, &file.person.mail),
    ] {
        match given.as_deref() {
            None => {}
            Some("") => *to = None,
            Some(name) => *to = Some(attribute(key, name)?),
        }
    }
    Ok(mapping)
}

/// The name of an attribute: a word or an object identifier (RFC 4512 §2.5), with options.
fn attribute(key: &str, name: &str) -> Result<String, Wrong> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-.;".contains(letter);
    if name.is_empty() || !name.chars().all(is_part) {
        return wrong(format!("directory.{key}"), format!("{name:?} is no name of an attribute"));
    }
    Ok(name.to_owned())
}

fn checked_filter(key: &str, text: &str) -> Result<String, Wrong> {
    if !text.starts_with('(') || ldap3::parse_filter(text).is_err() {
        return wrong(key, format!("{text:?} is no filter such as (objectClass=person)"));
    }
    Ok(text.to_owned())
}

fn checked_login_filter(text: &str) -> Result<String, Wrong> {
    let key = "directory.account.login-filter";
    if !text.contains(filter::NAME) {
        return wrong(key, "{name} is missing, which stands for the login name");
    }
    checked_filter(key, &filter::with_name(text, "alice"))?;
    Ok(text.to_owned())
}

/// A distinguished name as it was written.
fn name(key: &str, text: Option<String>) -> Result<Option<String>, Wrong> {
    if let Some(text) = &text {
        Dn::parse(text).or_else(|error| wrong(key, error.to_string()))?;
    }
    Ok(text)
}

const CONNECTIONS: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(3);
const PARAMETERS_CACHE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
