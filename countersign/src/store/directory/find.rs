//! Finding an account: by its name or its login name, with all its tokens.

use std::sync::Arc;

use countersign_core::{
    domain::{
        account::Account,
        counter::FailureCounter,
        dn::Dn,
        id::{AccountId, PersonId},
        name::LoginKey,
        parameters::Parameters,
        subject::{Holding, Subject},
    },
    ldap::{
        account::{self, AccountEntry, TokenReference},
        entry::Entry,
        filter, parameters,
        parameters::ParametersEntry,
        schema::{Method, attribute},
        token::{self, TokenEntry},
    },
};
use futures_util::future::try_join_all;

use super::{DirectoryStore, SeenToken};
use crate::{
    directory::{Scope, Search},
    store::{SealedSecret, StoreError},
};

/// One token of an account, as far as it could be read.
pub(super) struct Found {
    pub(super) holding: Holding<SealedSecret>,
    /// Nothing if there is no such entry.
    pub(super) seen: Option<SeenToken>,
}

/// The name of an entry, to compare it and to ask for it.
struct Named<'a> {
    dn: Dn,
    given: &'a str,
}

impl DirectoryStore {
    pub(super) async fn subject(
        &self,
        key: &LoginKey,
    ) -> Result<Option<Subject<SealedSecret>>, StoreError> {
        if let Some(dn) = key.dn() {
            return self.subject_at(&Named { dn, given: key.as_given() }).await;
        }
        let Some(entry) = self.account_called(key.as_str()).await? else { return Ok(None) };
        let subject = self.subject_of(&entry, Some(key.as_str())).await?;
        // The directory compares more loosely than we do, and takes other names for this one.
        let is_called_so = self.mapping.account.login_filter.is_some()
            || subject.account.login_keys(&self.site).contains(key);
        Ok(is_called_so.then_some(subject))
    }

    /// The subject of this name: an account, a token, or an entry that has a token although it is
    /// no account here. Who asks takes "nobody" for "no second factor", so that one must not be
    /// nobody: it is an account that is switched off.
    async fn subject_at(
        &self,
        name: &Named<'_>,
    ) -> Result<Option<Subject<SealedSecret>>, StoreError> {
        if let Some(entry) = self.account_at(name, &self.places.accounts, None).await? {
            return self.subject_of(&entry, None).await.map(Some);
        }
        if let Some(token) = self.token_alone(name).await? {
            return Ok(Some(token));
        }
        let has_token = token::reference_filter();
        let Some(entry) = self.account_at(name, &self.places.base, Some(&has_token)).await? else {
            self.must_see_accounts(name).await?;
            return Ok(None);
        };
        let mut subject = self.subject_of(&entry, None).await?;
        subject.account.disabled = true;
        Ok(Some(subject))
    }

    /// That an account was not found means nothing to somebody who may not read accounts.
    async fn must_see_accounts(&self, name: &Named<'_>) -> Result<(), StoreError> {
        let base = &self.places.accounts;
        if !is_below(&name.dn, base) || self.sees(base).await? {
            return Ok(());
        }
        let cause = format!(
            "it is not there, or {} gives us no right to read it, so who is not found may have a \
             token; let access rules give read on the base of the accounts, on all accounts, and on \
             their oathHOTPToken and oathTOTPToken: countersign ldap check",
            self.directory.name()
        );
        Err(StoreError::Unusable { object: format!("base of accounts {base}"), cause })
    }

    async fn sees(&self, base: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if let Some(known) = self.sees_accounts.recall(&(), now) {
            return Ok(known);
        }
        let is = format!("({}=*)", attribute::OBJECT_CLASS);
        let sees = self.directory.read(base, &is, &[attribute::OBJECT_CLASS]).await?.is_some();
        self.sees_accounts.put((), sees, now);
        Ok(sees)
    }

    /// The entry of this name, if it is below a base and an account, or what else it shall be.
    /// The directory is asked for the name as it was given: it may fold less than we do.
    async fn account_at(
        &self,
        name: &Named<'_>,
        base: &str,
        is: Option<&str>,
    ) -> Result<Option<Entry>, StoreError> {
        if !is_below(&name.dn, base) {
            return Ok(None);
        }
        let mapping = &self.mapping.account;
        let (is, attributes) = (is.unwrap_or(&mapping.filter), account::attributes(mapping));
        Ok(self.directory.read(name.given, is, &attributes).await?)
    }

    /// The account with this login name. That there are two is an error, for nobody could say
    /// which of them is meant.
    async fn account_called(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        let Some(filter) = self.login_filter(name) else { return Ok(None) };
        let attributes = account::attributes(&self.mapping.account);
        let search = Search {
            base: &self.places.accounts,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &attributes,
            limit: 2,
        };
        let mut found = self.directory.search(&search).await?;
        if let [one, other, ..] = found.as_slice() {
            let cause = format!("{} and {} both have it", one.dn(), other.dn());
            return Err(StoreError::Damaged { object: format!("login name {name:?}"), cause });
        }
        Ok(found.pop())
    }

    /// What an entry must be like to be the account of this login name; nothing if no entry can.
    pub(super) fn login_filter(&self, name: &str) -> Option<String> {
        let mapping = &self.mapping.account;
        if let Some(template) = &mapping.login_filter {
            return Some(filter::all(&[&mapping.filter, &filter::with_name(template, name)]));
        }
        let (place, local) = parts(name);
        let mut ways = Vec::new();
        if place.is_none_or(|place| self.is_ours(place)) {
            ways.push(filter::equals(&mapping.name, local));
        } else if let (Some(place), Some(realm)) = (place, &mapping.realm) {
            let both = [filter::equals(&mapping.name, local), filter::equals(realm, place)];
            ways.push(filter::all(&both));
        }
        if !name.contains('\\') && name.contains('@') {
            ways.push(filter::equals(&mapping.name, name));
            ways.extend(mapping.upn.as_ref().map(|upn| filter::equals(upn, name)));
        }
        (!ways.is_empty()).then(|| filter::all(&[&mapping.filter, &filter::any(&ways)]))
    }

    fn is_ours(&self, place: &str) -> bool {
        let mut names = self.site.domain.iter().chain(&self.site.realm);
        names.any(|name| name.to_lowercase() == place.to_lowercase())
    }

    pub(super) async fn subject_of(
        &self,
        entry: &Entry,
        login: Option<&str>,
    ) -> Result<Subject<SealedSecret>, StoreError> {
        let AccountEntry { mut account, person, tokens, password } = self.account(entry, login)?;
        account.person = self.person_at(person.as_deref()).await?;
        let own = entry.dn();
        let found = tokens.iter().map(|reference| self.token_of(reference, account.id, own));
        let found = try_join_all(found).await?;
        let failures = self.failures_of(account.id, &found)?;
        let mut tokens: Vec<_> = found.into_iter().map(|found| found.holding).collect();
        tokens.sort_by_key(|holding| holding.token.id);
        Ok(Subject { account, failures, tokens, password: Some(password) })
    }

    /// Of a name with a domain the part without it may be the one that the entry has.
    pub(super) fn account(
        &self,
        entry: &Entry,
        login: Option<&str>,
    ) -> Result<AccountEntry, StoreError> {
        let mapping = &self.mapping.account;
        let is_whole = |login: &&str| {
            let names = entry.texts(&mapping.name).unwrap_or_default();
            names.iter().any(|name| name.to_lowercase() == login.to_lowercase())
        };
        let login = login.map(|login| if is_whole(&login) { login } else { parts(login).1 });
        Ok(account::read(entry, mapping, login)?)
    }

    /// The token that an account refers to. One that is not there, or lies where no tokens are,
    /// is a token that nobody can use: the account has one all the same.
    async fn token_of(
        &self,
        reference: &TokenReference,
        account: AccountId,
        own: &str,
    ) -> Result<Found, StoreError> {
        let TokenReference { method, dn } = reference;
        let is_in_place =
            dn == own || Dn::parse(dn).is_ok_and(|dn| is_below(&dn, &self.places.tokens));
        let entry = if is_in_place { self.token_at(dn, *method).await? } else { None };
        let Some(entry) = entry else {
            tracing::debug!(token = dn, "an account's token is not there, or must not be read");
            return Ok(Found { holding: nothing(reference, account), seen: None });
        };
        let token = token::read(&entry, *method, &self.mapping.token)?;
        self.found(token, account).await
    }

    pub(super) async fn token_at(
        &self,
        dn: &str,
        method: Method,
    ) -> Result<Option<Entry>, StoreError> {
        let filter = filter::equals(attribute::OBJECT_CLASS, method.token_class());
        let attributes = token::attributes(&self.mapping.token);
        Ok(self.directory.read(dn, &filter, &attributes).await?)
    }

    async fn found(&self, entry: TokenEntry, account: AccountId) -> Result<Found, StoreError> {
        let parameters = self.parameters_of(&entry).await?;
        let owner = self.person_at(entry.owner.as_deref()).await?;
        let counter = entry.position.counter(self.local.mark(entry.mark)?);
        let seen = self.saw(&entry, counter);
        let holding = Holding {
            token: entry.token(&parameters, vec![account], owner),
            counter,
            secret: entry.secret.map(|secret| SealedSecret(secret.text().to_owned())),
            parameters: parameters.parameters.clone(),
        };
        Ok(Found { holding, seen: Some(seen) })
    }

    /// Remembers what a decision may be made on.
    pub(super) fn saw(
        &self,
        entry: &TokenEntry,
        counter: countersign_core::domain::counter::TokenCounter,
    ) -> SeenToken {
        let seen = SeenToken {
            dn: entry.dn.clone(),
            method: entry.method,
            position: entry.position.clone(),
            mark: entry.mark,
        };
        self.tokens.put((entry.id, counter), seen.clone());
        seen
    }

    /// The failures of an account are counted at its first token.
    pub(super) fn failures_of(
        &self,
        account: AccountId,
        found: &[Found],
    ) -> Result<FailureCounter, StoreError> {
        let noted = self.local.last_failure(account)?;
        let first = found.iter().find_map(|found| found.seen.clone());
        let failures = match &first {
            Some(seen) => seen.position.failures(noted),
            None => noted.unwrap_or_default(),
        };
        self.failures.put((account, failures), first);
        Ok(failures)
    }

    pub(super) async fn parameters_of(
        &self,
        token: &TokenEntry,
    ) -> Result<Arc<ParametersEntry>, StoreError> {
        match &token.parameters {
            Some(dn) => self.parameters_at(dn, token.method, &token.dn).await,
            None => Ok(Arc::new(ParametersEntry::absent(token.method))),
        }
    }

    /// Reads parameters, or remembers them.
    pub(super) async fn parameters_at(
        &self,
        dn: &str,
        method: Method,
        wanted_by: &str,
    ) -> Result<Arc<ParametersEntry>, StoreError> {
        let (key, now) = ((dn.to_owned(), method), self.clock.now());
        if let Some(known) = self.parameters.recall(&key, now) {
            return Ok(known);
        }
        let filter = format!("({}=*)", attribute::OBJECT_CLASS);
        let entry = self.directory.read(dn, &filter, &parameters::ATTRIBUTES).await?;
        let entry = entry.ok_or_else(|| StoreError::Damaged {
            object: format!("entry {wanted_by}"),
            cause: format!(
                "attribute {} refers to {dn}, which is not there or must not be read",
                method.parameters_attribute()
            ),
        })?;
        let parameters = Arc::new(parameters::read(&entry, method)?);
        self.parameters.put(key, parameters.clone(), now);
        Ok(parameters)
    }

    /// The identifier of a person's entry, read or remembered.
    pub(super) async fn person_at(&self, dn: Option<&str>) -> Result<Option<PersonId>, StoreError> {
        let Some(dn) = dn else { return Ok(None) };
        let (key, now) = (dn.to_owned(), self.clock.now());
        if let Some(known) = self.persons.recall(&key, now) {
            return Ok(known);
        }
        let filter = format!("({}=*)", attribute::OBJECT_CLASS);
        let entry = self.directory.read(dn, &filter, &[attribute::ENTRY_UUID]).await?;
        let id = entry.map(|entry| entry.identifier(attribute::ENTRY_UUID)).transpose()?;
        self.persons.put(key, id, now);
        Ok(id)
    }

    /// A token by its own name, for whoever asks about the token and not about an account. It
    /// stands for an account of its own, without a password.
    async fn token_alone(
        &self,
        name: &Named<'_>,
    ) -> Result<Option<Subject<SealedSecret>>, StoreError> {
        if !is_below(&name.dn, &self.places.tokens) {
            return Ok(None);
        }
        for method in Method::ALL {
            let Some(entry) = self.token_at(name.given, method).await? else { continue };
            let token = token::read(&entry, method, &self.mapping.token)?;
            if token.secret.is_none() {
                // It binds by its enrolment password, which the directory checks.
                continue;
            }
            let id = AccountId::from_bytes(*token.id.as_bytes());
            let account =
                Account { dn: Some(token.dn.clone()), ..Account::new(id, token.label.clone()) };
            let found = [self.found(token, id).await?];
            let failures = self.failures_of(id, &found)?;
            let tokens = found.into_iter().map(|found| found.holding).collect();
            return Ok(Some(Subject { account, failures, tokens, password: Some(Vec::new()) }));
        }
        Ok(None)
    }
}

fn nothing(reference: &TokenReference, account: AccountId) -> Holding<SealedSecret> {
    Holding {
        token: token::missing(&reference.dn, reference.method, account),
        counter: Default::default(),
        secret: None,
        parameters: Parameters::default(),
    }
}

fn is_below(dn: &Dn, base: &str) -> bool {
    Dn::parse(base).is_ok_and(|base| dn.is_within(&base))
}

/// Domain or realm, and the name without it.
fn parts(name: &str) -> (Option<&str>, &str) {
    if let Some((domain, local)) = name.split_once('\\') {
        return (Some(domain), local);
    }
    match name.rsplit_once('@') {
        Some((local, realm)) => (Some(realm), local),
        None => (None, name),
    }
}
