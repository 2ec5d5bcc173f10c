//! What administrators look at: all accounts, all tokens, page by page, in order of their ids.
//!
//! A directory gives entries in an order of its own, so each page asks for the identifiers
//! behind the last one, of which only as many are held as the page has room for.

use std::collections::{BTreeMap, HashMap};

use countersign_core::{
    domain::{
        account::{Account, Person},
        id::{AccountId, PersonId, TokenId},
        token::Token,
    },
    ldap::{
        account,
        entry::{Entry, EntryError},
        filter, person,
        schema::{Method, attribute},
        token::{self, TokenEntry},
    },
};

use super::DirectoryStore;
use crate::{
    directory::{Scope, Search},
    store::StoreError,
};

impl DirectoryStore {
    pub(super) async fn account_page(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        let mapping = &self.mapping.account;
        let after = after.map(|id| *id.as_bytes());
        let page = self.page(&self.places.accounts, &mapping.filter, after, limit).await?;
        let attributes = account::attributes(mapping);
        let mut accounts = Vec::with_capacity(page.len());
        for dn in page {
            // What was deleted meanwhile is not on the page.
            let Some(entry) = self.directory.read(&dn, &mapping.filter, &attributes).await? else {
                continue;
            };
            let mut found = self.account(&entry, None)?;
            found.account.person = self.person_at(found.person.as_deref()).await?;
            accounts.push(found.account);
        }
        Ok(accounts)
    }

    pub(super) async fn token_page(
        &self,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<Token>, StoreError> {
        let after = after.map(|id| *id.as_bytes());
        let page = self.page(&self.places.tokens, &token::filter(), after, limit).await?;
        let mut entries = Vec::with_capacity(page.len());
        for dn in page {
            let attributes = token::attributes(&self.mapping.token);
            let entry = self.directory.read(&dn, &token::filter(), &attributes).await?;
            // Of an entry that is a token of both kinds the one with a counter is listed.
            let method = entry.as_ref().and_then(|entry| token::methods(entry).next());
            if let (Some(entry), Some(method)) = (entry, method) {
                match token::read(&entry, method, &self.mapping.token) {
                    Ok(token) => entries.push(token),
                    // One that makes no sense is no reason to show none of the others.
                    Err(error) => {
                        tracing::warn!(dn, %error, "a token is not listed; `countersign ldap check` says more");
                    }
                }
            }
        }
        let holders = self.holders(&entries).await?;
        let mut tokens = Vec::with_capacity(entries.len());
        for entry in entries {
            let accounts = holders.get(&folded(&entry.dn)).cloned().unwrap_or_default();
            tokens.push(self.token_listed(&entry, accounts).await?);
        }
        Ok(tokens)
    }

    /// A token as it is listed.
    pub(super) async fn token_listed(
        &self,
        entry: &TokenEntry,
        accounts: Vec<AccountId>,
    ) -> Result<Token, StoreError> {
        let parameters = self.parameters_of(entry).await?;
        let owner = self.person_at(entry.owner.as_deref()).await?;
        Ok(entry.token(&parameters, accounts, owner))
    }

    /// The accounts that refer to tokens, in order of their ids, by the names of the tokens.
    pub(super) async fn holders(
        &self,
        tokens: &[TokenEntry],
    ) -> Result<HashMap<String, Vec<AccountId>>, StoreError> {
        let mut holders: HashMap<String, Vec<AccountId>> = HashMap::new();
        for some in tokens.chunks(ASKED_AT_ONCE) {
            let refers =
                some.iter().map(|token| filter::equals(token.method.token_attribute(), &token.dn));
            let refers = filter::any(&refers.collect::<Vec<_>>());
            let filter = filter::all(&[&self.mapping.account.filter, &refers]);
            let search = Search {
                base: &self.places.accounts,
                scope: Scope::Subtree,
                filter: &filter,
                attributes: &REFERENCES,
                limit: 0,
            };
            let mut found = Vec::new();
            self.directory.search_pages(&search, |entry| found.push(entry)).await?;
            for entry in found {
                let id = entry.identifier(attribute::ENTRY_UUID)?;
                for dn in references(&entry)? {
                    holders.entry(folded(dn)).or_default().push(id);
                }
            }
        }
        for ids in holders.values_mut() {
            ids.sort();
            ids.dedup();
        }
        Ok(holders)
    }

    pub(super) async fn person_of(&self, id: PersonId) -> Result<Option<Person>, StoreError> {
        let mapping = &self.mapping.person;
        let any = format!("({}=*)", attribute::OBJECT_CLASS);
        let entry = self.entry_of(&id.to_string(), &any, &person::attributes(mapping)).await?;
        Ok(entry.map(|entry| person::read(&entry, mapping)).transpose()?)
    }

    /// The names of the entries on a page.
    async fn page(
        &self,
        base: &str,
        is: &str,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let behind = after
            .map(|id| filter::at_least(attribute::ENTRY_UUID, TokenId::from_bytes(id).to_string()));
        let filter = match &behind {
            Some(behind) => filter::all(&[is, behind]),
            None => is.to_owned(),
        };
        let attributes = [attribute::ENTRY_UUID];
        let search = Search {
            base,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &attributes,
            limit: 0,
        };
        let mut page = Page { entries: BTreeMap::new(), after, limit, error: None };
        self.directory.search_pages(&search, |entry| page.take(&entry)).await?;
        match page.error {
            Some(error) => Err(error.into()),
            None => Ok(page.entries.into_values().collect()),
        }
    }
}

/// The first entries behind one, in order of their identifiers.
struct Page {
    entries: BTreeMap<TokenId, String>,
    after: Option<[u8; 16]>,
    limit: usize,
    error: Option<EntryError>,
}

impl Page {
    fn take(&mut self, entry: &Entry) {
        match entry.identifier::<TokenId>(attribute::ENTRY_UUID) {
            Ok(id) if self.after.is_none_or(|after| *id.as_bytes() > after) => {
                self.entries.insert(id, entry.dn().to_owned());
                if self.entries.len() > self.limit {
                    self.entries.pop_last();
                }
            }
            Ok(_) => {}
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }
}

/// The tokens that an account refers to.
pub(super) fn references(entry: &Entry) -> Result<Vec<&str>, EntryError> {
    let mut all = Vec::new();
    for method in Method::ALL {
        all.extend(entry.texts(method.token_attribute())?);
    }
    Ok(all)
}

/// A name as it is compared; one that is none stays as it is.
pub(super) fn folded(dn: &str) -> String {
    let parsed = countersign_core::domain::dn::Dn::parse(dn);
    parsed.map_or_else(|_| dn.to_owned(), |dn| dn.to_string())
}

/// Tokens whose accounts are asked for with one search.
const ASKED_AT_ONCE: usize = 64;
const REFERENCES: [&str; 3] = [attribute::ENTRY_UUID, attribute::HOTP_TOKEN, attribute::TOTP_TOKEN];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8) -> Entry {
        let id = TokenId::from_bytes([number; 16]);
        Entry::new(format!("cn={number}")).with("entryUUID", id.to_string())
    }

    #[test]
    fn a_page_has_the_first_entries_behind_the_last_page() {
        let mut page =
            Page { entries: BTreeMap::new(), after: Some([2; 16]), limit: 2, error: None };
        for number in [9, 2, 4, 1, 7, 3] {
            page.take(&entry(number));
        }
        assert_eq!(page.entries.into_values().collect::<Vec<_>>(), ["cn=3", "cn=4"]);
        assert!(page.error.is_none());
    }

    #[test]
    fn an_entry_without_an_identifier_is_an_error() {
        let mut page = Page { entries: BTreeMap::new(), after: None, limit: 2, error: None };
        page.take(&Entry::new("cn=x"));
        page.take(&entry(1));
        assert_eq!(page.error.unwrap().dn, "cn=x");
    }

    #[test]
    fn names_are_compared_as_directories_do() {
        assert_eq!(folded("CN=A , DC=B"), folded("cn=a,dc=b"));
        assert_eq!(folded("no name"), "no name");
    }
}
