//! A store in memory, for tests: the contract without a disk.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard},
};

use countersign_core::domain::{
    account::{Account, Person},
    counter::{Change, FailureCounter, TokenCounter},
    id::{AccountId, PersonId, TokenId},
    name::{LoginKey, Site},
    parameters::Parameters,
    subject::{Holding, Subject},
    time::UnixTime,
    token::Token,
};

use super::{
    Answer, CERTIFICATE_REQUEST, CertificateRecord, Committed, SealedSecret, Store, StoreError,
};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<AccountId, Account>,
    login_keys: HashMap<LoginKey, AccountId>,
    persons: BTreeMap<PersonId, Person>,
    tokens: BTreeMap<TokenId, (Token, Option<SealedSecret>)>,
    failures: HashMap<AccountId, FailureCounter>,
    counters: HashMap<TokenId, TokenCounter>,
    certificates: BTreeMap<String, CertificateRecord>,
    numbers: HashMap<&'static str, u64>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding the state")
    }
}

impl Store for Memory {
    fn find(&self, key: &LoginKey) -> Answer<'_, Option<Subject<SealedSecret>>> {
        ready(Ok(self.state().find(key)))
    }

    fn commit(&self, change: Change) -> Answer<'_, Committed> {
        ready(Ok(self.state().commit(&change)))
    }

    fn insert_account(&self, account: Account, site: Site) -> Answer<'_, ()> {
        ready(self.state().insert_account(account, &site))
    }

    fn replace_account(&self, from: Account, to: Account, site: Site) -> Answer<'_, ()> {
        ready(self.state().replace_account(&from, to, &site))
    }

    fn remove_account(&self, id: AccountId) -> Answer<'_, ()> {
        ready(self.state().remove_account(id))
    }

    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Answer<'_, Vec<Account>> {
        ready(Ok(page(&self.state().accounts, after.as_ref(), limit).cloned().collect()))
    }

    fn put_person(&self, person: Person) -> Answer<'_, ()> {
        self.state().persons.insert(person.id, person);
        ready(Ok(()))
    }

    fn person(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        ready(Ok(self.state().persons.get(&id).cloned()))
    }

    fn insert_token(
        &self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Answer<'_, TokenId> {
        let id = token.id;
        ready(self.state().insert_token(token, secret, first).map(|()| id))
    }

    fn replace_token(&self, from: Token, to: Token) -> Answer<'_, ()> {
        ready(self.state().replace_token(&from, to))
    }

    fn remove_token(&self, id: TokenId) -> Answer<'_, ()> {
        let removed = self.state().tokens.remove(&id);
        ready(removed.map(drop).ok_or_else(|| StoreError::not_found("token", id)))
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Answer<'_, Vec<Token>> {
        let state = self.state();
        let tokens = page(&state.tokens, after.as_ref(), limit);
        ready(Ok(tokens.map(|(token, _)| token.clone()).collect()))
    }

    fn insert_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()> {
        let serial = certificate.serial.clone();
        let mut state = self.state();
        if state.certificates.contains_key(&serial) {
            return ready(Err(StoreError::exists("certificate", serial)));
        }
        let is_same_request = |other: &CertificateRecord| {
            other.account.is_some() && other.request_sha256 == certificate.request_sha256
        };
        if certificate.account.is_some() && state.certificates.values().any(is_same_request) {
            let request = certificate.request_sha256;
            return ready(Err(StoreError::exists(CERTIFICATE_REQUEST, request)));
        }
        state.certificates.insert(serial, certificate);
        ready(Ok(()))
    }

    fn revoke_certificate(&self, serial: String, at: UnixTime) -> Answer<'_, ()> {
        let mut state = self.state();
        let Some(certificate) = state.certificates.get_mut(&serial) else {
            return ready(Err(StoreError::not_found("certificate", serial)));
        };
        certificate.revoked.get_or_insert(at);
        ready(Ok(()))
    }

    fn certificates(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<CertificateRecord>> {
        ready(Ok(page(&self.state().certificates, after.as_ref(), limit).cloned().collect()))
    }

    fn prune_certificates(&self, before: UnixTime) -> Answer<'_, u64> {
        let mut pruned = 0;
        self.state().certificates.retain(|_, certificate| {
            let keep = certificate.not_after >= before;
            pruned += u64::from(!keep);
            keep
        });
        ready(Ok(pruned))
    }

    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn next_number(&self, series: &'static str) -> Answer<'_, u64> {
        let mut state = self.state();
        let number = state.numbers.entry(series).or_default();
        *number += 1;
        ready(Ok(*number))
    }
}

impl State {
    fn find(&self, key: &LoginKey) -> Option<Subject<SealedSecret>> {
        let account = self.accounts.get(self.login_keys.get(key)?)?.clone();
        let assigned =
            self.tokens.values().filter(|(token, _)| token.accounts.contains(&account.id));
        let tokens = assigned.map(|(token, secret)| Holding {
            token: token.clone(),
            counter: self.counters.get(&token.id).copied().unwrap_or_default(),
            secret: secret.clone(),
            parameters: Parameters::default(),
        });
        let tokens = tokens.collect();
        let failures = self.failures.get(&account.id).copied().unwrap_or_default();
        Some(Subject { account, failures, tokens, password: None })
    }

    fn commit(&mut self, change: &Change) -> Committed {
        let failures = change.failures;
        let holds = failures.is_none_or(|step| self.failures.get(&step.id) == Some(&step.from))
            && change.tokens.iter().all(|step| self.counters.get(&step.id) == Some(&step.from));
        if !holds {
            return Committed::Conflict;
        }
        self.failures.extend(failures.map(|step| (step.id, step.to)));
        self.counters.extend(change.tokens.iter().map(|step| (step.id, step.to)));
        Committed::Done
    }

    fn insert_account(&mut self, account: Account, site: &Site) -> Result<(), StoreError> {
        if self.accounts.contains_key(&account.id) {
            return Err(StoreError::exists("account", account.id));
        }
        self.take_names(&account, site)?;
        self.failures.insert(account.id, FailureCounter::default());
        self.accounts.insert(account.id, account);
        Ok(())
    }

    fn replace_account(
        &mut self,
        from: &Account,
        to: Account,
        site: &Site,
    ) -> Result<(), StoreError> {
        match self.accounts.get(&to.id) {
            None => return Err(StoreError::not_found("account", to.id)),
            Some(kept) if kept != from => return Err(StoreError::changed("account", to.id)),
            Some(_) => {}
        }
        self.take_names(&to, site)?;
        self.accounts.insert(to.id, to);
        Ok(())
    }

    /// Gives the account the names it has now, and frees those it had, unless one is taken.
    fn take_names(&mut self, account: &Account, site: &Site) -> Result<(), StoreError> {
        let keys = account.login_keys(site);
        for key in &keys {
            if let Some(holder) = self.login_keys.get(key).filter(|holder| **holder != account.id) {
                let name = key.as_str().to_owned();
                return Err(StoreError::NameTaken { name, account: *holder });
            }
        }
        self.login_keys.retain(|_, holder| *holder != account.id);
        self.login_keys.extend(keys.into_iter().map(|key| (key, account.id)));
        Ok(())
    }

    fn remove_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        self.accounts.remove(&id).ok_or_else(|| StoreError::not_found("account", id))?;
        self.login_keys.retain(|_, holder| *holder != id);
        self.failures.remove(&id);
        for (token, _) in self.tokens.values_mut() {
            token.accounts.retain(|account| *account != id);
        }
        Ok(())
    }

    fn insert_token(
        &mut self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Result<(), StoreError> {
        if self.tokens.contains_key(&token.id) {
            return Err(StoreError::exists("token", token.id));
        }
        self.require_accounts(&token)?;
        let counter = self.counters.entry(token.id).or_default();
        counter.next = counter.next.max(first);
        self.tokens.insert(token.id, (token, secret));
        Ok(())
    }

    fn replace_token(&mut self, from: &Token, to: Token) -> Result<(), StoreError> {
        self.require_accounts(&to)?;
        let Some((kept, _)) = self.tokens.get_mut(&to.id) else {
            return Err(StoreError::not_found("token", to.id));
        };
        if kept != from {
            return Err(StoreError::changed("token", to.id));
        }
        *kept = to;
        Ok(())
    }

    fn require_accounts(&self, token: &Token) -> Result<(), StoreError> {
        match token.accounts.iter().find(|id| !self.accounts.contains_key(id)) {
            Some(id) => Err(StoreError::not_found("account", id)),
            None => Ok(()),
        }
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(result))
}

/// Up to `limit` values in order of their keys, after `after`.
fn page<'a, K: Ord, V>(
    map: &'a BTreeMap<K, V>,
    after: Option<&K>,
    limit: usize,
) -> impl Iterator<Item = &'a V> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((from, Bound::Unbounded)).map(|(_, value)| value).take(limit)
}
