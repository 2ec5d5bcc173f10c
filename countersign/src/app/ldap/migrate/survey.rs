//! Survey: the entries of a directory that have to do with one-time passwords.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::{
    domain::dn::Dn,
    ldap::{
        account,
        entry::Entry,
        filter::all,
        mapping::AccountMapping,
        parameters,
        schema::{Method, attribute},
        token,
    },
};

use crate::{
    config::directory::DirectorySettings,
    directory::{Directory, DirectoryError, Scope, Search},
};

/// Entries, by their normalised names.
#[derive(Debug, Default)]
pub struct Survey {
    /// What binds and has a token, or is one.
    pub accounts: BTreeMap<String, Entry>,
    /// Tokens: those below their base, and whatever else an account refers to.
    pub tokens: BTreeMap<String, Entry>,
    /// What tokens refer to as their parameters.
    pub parameters: BTreeMap<String, Entry>,
    /// The names of tokens that an account refers to.
    pub referred_to: BTreeSet<String>,
}

impl Survey {
    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// The directory cannot be asked.
    pub async fn read(
        directory: &Directory,
        settings: &DirectorySettings,
    ) -> Result<Self, DirectoryError> {
        let mapping = &settings.mapping;
        let mut survey = Self::default();
        let filter = all(&[mapping.account.filter.as_str(), WITH_TOKEN]);
        let attributes = account::attributes(&mapping.account);
        let accounts = search(&settings.account_base, &filter, &attributes);
        directory.search_pages(&accounts, |entry| put(&mut survey.accounts, entry)).await?;

        let mut attributes = token::attributes(&mapping.token);
        attributes.push(TOKEN_PIN);
        let tokens = search(&settings.token_base, TOKENS, &attributes);
        directory.search_pages(&tokens, |entry| put(&mut survey.tokens, entry)).await?;

        let accounts = survey.accounts.values();
        let referred = accounts.flat_map(|account| tokens_of(account, &mapping.account)).collect();
        fetch(directory, referred, &attributes, &mut survey.tokens).await?;
        let referred: Vec<_> = survey.tokens.values().flat_map(parameters_of).collect();
        let attributes = [&parameters::ATTRIBUTES[..], &[attribute::OBJECT_CLASS]].concat();
        fetch(directory, referred, &attributes, &mut survey.parameters).await?;
        survey.referred_to = survey.names_referred_to(&mapping.account);
        Ok(survey)
    }

    /// The tokens that accounts refer to.
    fn names_referred_to(&self, mapping: &AccountMapping) -> BTreeSet<String> {
        let tokens = self.accounts.values().flat_map(|account| tokens_of(account, mapping));
        tokens.map(|token| key(&token)).collect()
    }
}

/// The name as it is looked up; one that is no name is only like itself.
pub(super) fn key(dn: &str) -> String {
    Dn::parse(dn).map_or_else(|_| dn.to_owned(), |dn| dn.as_str().to_owned())
}

/// The tokens of an account, as it refers to them.
fn tokens_of(account: &Entry, mapping: &AccountMapping) -> Vec<String> {
    let read = account::read(account, mapping, None);
    let tokens = read.map(|account| account.tokens).unwrap_or_default();
    tokens.into_iter().map(|reference| reference.dn).collect()
}

fn parameters_of(token: &Entry) -> Vec<String> {
    let names = Method::ALL.into_iter().map(|method| token.text(method.parameters_attribute()));
    names.filter_map(|name| name.ok().flatten().map(str::to_owned)).collect()
}

async fn fetch(
    directory: &Directory,
    names: Vec<String>,
    attributes: &[&str],
    into: &mut BTreeMap<String, Entry>,
) -> Result<(), DirectoryError> {
    for name in names {
        if into.contains_key(&key(&name)) {
            continue;
        }
        if let Some(entry) = directory.read(&name, ANYTHING, attributes).await? {
            put(into, entry);
        }
    }
    Ok(())
}

fn put(into: &mut BTreeMap<String, Entry>, entry: Entry) {
    into.insert(key(entry.dn()), entry);
}

fn search<'a>(base: &'a str, filter: &'a str, attributes: &'a [&'a str]) -> Search<'a> {
    Search { base, scope: Scope::Subtree, filter, attributes, limit: 0 }
}

/// The device's access code; the validator never reads it.
pub(super) const TOKEN_PIN: &str = "oathTokenPIN";
const ANYTHING: &str = "(objectClass=*)";
const TOKENS: &str = "(|(objectClass=oathHOTPToken)(objectClass=oathTOTPToken))";
const WITH_TOKEN: &str =
    "(|(oathHOTPToken=*)(oathTOTPToken=*)(objectClass=oathHOTPToken)(objectClass=oathTOTPToken))";
