//! Accounts: what binds, and which tokens it refers to.

use super::{
    entry::{Cause, Entry, EntryError},
    mapping::AccountMapping,
    schema::{Method, attribute},
};
use crate::{
    domain::{
        account::{Account, Authentication, Validity},
        password::PasswordHash,
    },
    secret::Secret,
};

/// What an entry says of an account.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// The account; who its person is stands in another entry.
    pub account: Account,
    /// The name of the person's entry.
    pub person: Option<String>,
    /// Its tokens, those with a counter first.
    pub tokens: Vec<TokenReference>,
    /// The hashes of its password.
    pub password: Vec<PasswordHash>,
}

/// Which entry is the token of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenReference {
    /// How its OTPs come about.
    pub method: Method,
    /// The name of its entry.
    pub dn: String,
}

/// The attributes that are read of an account.
#[must_use]
pub fn attributes(mapping: &AccountMapping) -> Vec<&str> {
    let optional = [
        &mapping.upn,
        &mapping.dn,
        &mapping.sid,
        &mapping.realm,
        &mapping.groups,
        &mapping.person,
        &mapping.not_before,
        &mapping.not_after,
    ];
    ALWAYS
        .into_iter()
        .chain([mapping.name.as_str()])
        .chain(optional.into_iter().filter_map(|name| name.as_deref()))
        .collect()
}

/// Reads an account. Of several login names the one that `login` is counts, or else the first.
///
/// # Errors
///
/// The entry has no identifier, or a value that cannot be read.
pub fn read(
    entry: &Entry,
    mapping: &AccountMapping,
    login: Option<&str>,
) -> Result<AccountEntry, EntryError> {
    let text = |name: &Option<String>| match name {
        Some(name) => Ok(entry.texts(name)?.first().map(|text| (*text).to_owned())),
        None => Ok(None),
    };
    let time = |name: &Option<String>| name.as_ref().map_or(Ok(None), |name| entry.time(name));
    let groups = mapping.groups.as_ref().map_or(Ok(Vec::new()), |name| entry.texts(name))?;
    let account = Account {
        person: None,
        domain: None,
        realm: text(&mapping.realm)?,
        upn: text(&mapping.upn)?,
        dn: Some(text(&mapping.dn)?.unwrap_or_else(|| entry.dn().to_owned())),
        sid: mapping.sid.as_ref().map_or(Ok(None), |name| security_identifier(entry, name))?,
        groups: groups.into_iter().map(str::to_owned).collect(),
        disabled: false,
        validity: Validity {
            not_before: time(&mapping.not_before)?,
            not_after: time(&mapping.not_after)?,
        },
        authentication: Authentication::Tokens,
        ..Account::new(
            entry.identifier(attribute::ENTRY_UUID)?,
            name(entry, &mapping.name, login)?.to_owned(),
        )
    };
    let hashes = entry.values(attribute::USER_PASSWORD).iter();
    Ok(AccountEntry {
        account,
        person: text(&mapping.person)?,
        tokens: tokens(entry)?,
        password: hashes.map(|hash| PasswordHash(Secret::new(hash.clone()))).collect(),
    })
}

/// An account without the attribute can still bind by its DN, so it is called by that.
fn name<'a>(entry: &'a Entry, attribute: &str, login: Option<&str>) -> Result<&'a str, EntryError> {
    let names = entry.texts(attribute)?;
    let is_login =
        |name: &&&str| login.is_some_and(|login| name.to_lowercase() == login.to_lowercase());
    let name = names.iter().find(is_login).or(names.first());
    Ok(name.copied().unwrap_or(entry.dn()))
}

/// The entries that the account refers to. One without a reference may be its own token.
fn tokens(entry: &Entry) -> Result<Vec<TokenReference>, EntryError> {
    let mut tokens = Vec::new();
    for method in Method::ALL {
        let names = entry.texts(method.token_attribute())?;
        tokens.extend(names.into_iter().map(|dn| TokenReference { method, dn: dn.to_owned() }));
    }
    if tokens.is_empty() {
        let own = Method::ALL.into_iter().filter(|method| entry.is_a(method.token_class()));
        tokens.extend(own.map(|method| TokenReference { method, dn: entry.dn().to_owned() }));
    }
    Ok(tokens)
}

/// As text, or as Active Directory keeps it: revision, number of sub-authorities, authority
/// (48 bits, big-endian), sub-authorities (32 bits each, little-endian).
fn security_identifier(entry: &Entry, attribute: &str) -> Result<Option<String>, EntryError> {
    let Some(octets) = entry.octets(attribute)? else { return Ok(None) };
    if octets.starts_with(b"S-1-") {
        return entry.text(attribute).map(|text| text.map(str::to_owned));
    }
    let wrong = || entry.error(attribute, Cause::NotSid);
    let ([1, count, authority @ ..], subs) = octets.split_at_checked(8).ok_or_else(wrong)? else {
        return Err(wrong());
    };
    if subs.len() != usize::from(*count) * 4 {
        return Err(wrong());
    }
    let authority = authority.iter().fold(0_u64, |all, octet| all << 8 | u64::from(*octet));
    let subs = subs.as_chunks().0.iter().map(|sub| format!("-{}", u32::from_le_bytes(*sub)));
    Ok(Some(format!("S-1-{authority}{}", subs.collect::<String>())))
}

const ALWAYS: [&str; 5] = [
    attribute::OBJECT_CLASS,
    attribute::ENTRY_UUID,
    attribute::HOTP_TOKEN,
    attribute::TOTP_TOKEN,
    attribute::USER_PASSWORD,
];

#[cfg(test)]
mod tests;
