//! The LDAP store: accounts, persons, tokens and parameters in a directory (OATH-LDAP).
//!
//! The directory keeps what it has a place for: accounts and persons by its own tools, tokens and
//! their counters by us. A small [`Embedded`] store beside it keeps the rest: certificates,
//! numbers, and marks.
//!
//! * `find` reads an account and its tokens, every time: nothing that moves is remembered.
//! * `commit` moves what was read, and only from exactly that.
//! * `list` reads what administrators look at, `keep` writes tokens.
//! * `remembered` is what lies between them: what a decision was made on; parameters and the
//!   identifiers of persons for a while.
//!
//! A counter is durable before it counts, twice: in the directory and in a mark here. The larger
//! one counts, so a directory that loses a move by replication does not bring back an OTP.

mod commit;
mod find;
mod keep;
mod list;
mod remembered;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use countersign_core::{
    domain::{
        account::{Account, Person},
        counter::{Change, FailureCounter, TokenCounter},
        id::{AccountId, PersonId, TokenId},
        name::{LoginKey, Site},
        subject::Subject,
        time::UnixTime,
        token::Token,
    },
    ldap::{
        counter::Position, entry::EntryError, mapping::Mapping, parameters::ParametersEntry,
        schema::Method, token::MarkKey,
    },
};

use self::remembered::{ForAWhile, Remembered};
use super::{
    Answer, CertificateRecord, Committed, SealedSecret, Store, StoreError, embedded::Embedded,
};
use crate::{
    clock::Clock,
    config::directory::DirectorySettings,
    directory::{Directory, DirectoryError},
};

/// A store whose accounts and tokens are entries of a directory.
pub struct DirectoryStore {
    directory: Arc<Directory>,
    local: Arc<Embedded>,
    places: Places,
    mapping: Mapping,
    site: Site,
    clock: Arc<dyn Clock>,
    parameters: ForAWhile<(String, Method), Arc<ParametersEntry>>,
    persons: ForAWhile<String, Option<PersonId>>,
    /// Whether we may read the base of the accounts.
    sees_accounts: ForAWhile<(), bool>,
    tokens: Remembered<(TokenId, TokenCounter), SeenToken>,
    failures: Remembered<(AccountId, FailureCounter), Option<SeenToken>>,
    probing: Arc<AtomicBool>,
}

/// Where entries are, and where new ones go.
struct Places {
    base: String,
    accounts: String,
    tokens: String,
    hotp_parameters: Option<String>,
    totp_parameters: Option<String>,
}

/// A token's entry as a decision was made on it.
#[derive(Debug, Clone)]
struct SeenToken {
    dn: String,
    method: Method,
    position: Position,
    mark: MarkKey,
}

impl DirectoryStore {
    /// A store in a directory, with a store here for what the directory has no place for.
    ///
    /// # Errors
    ///
    /// The settings of the connection cannot be used. Nothing is asked yet.
    pub fn new(
        settings: &DirectorySettings,
        site: Site,
        local: Arc<Embedded>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let directory = Directory::new(&settings.server, settings.connections)?;
        let seconds = settings.parameters_cache.as_secs();
        Ok(Self {
            directory: Arc::new(directory),
            local,
            places: Places {
                base: settings.base.clone(),
                accounts: settings.account_base.clone(),
                tokens: settings.token_base.clone(),
                hotp_parameters: settings.hotp_parameters.clone(),
                totp_parameters: settings.totp_parameters.clone(),
            },
            mapping: settings.mapping.clone(),
            site,
            clock,
            parameters: ForAWhile::new(PARAMETERS_REMEMBERED, seconds),
            persons: ForAWhile::new(PERSONS_REMEMBERED, seconds),
            sees_accounts: ForAWhile::new(2, RIGHTS_REMEMBERED),
            tokens: Remembered::new(DECISIONS_REMEMBERED),
            failures: Remembered::new(DECISIONS_REMEMBERED),
            probing: Arc::default(),
        })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Asks the directory who we are, so that one that cannot be reached is known from the start.
    pub fn greet(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let directory = self.directory.clone();
        runtime.spawn(async move {
            if let Err(error) = directory.who_am_i().await {
                tracing::error!(%error, "nobody can log on until this is mended");
            }
        });
    }

    fn refused(&self, what: &str) -> Answer<'_, ()> {
        let cause = format!(
            "the directory {} keeps it; change it there, by the directory's own tools",
            self.directory.name()
        );
        let what = what.to_owned();
        Box::pin(std::future::ready(Err(StoreError::NoPlace { what, cause })))
    }

    /// Tries to reach the directory again, at most once at a time, so that somebody notices when
    /// it is back even if nobody logs on.
    fn probe(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.probing.swap(true, Ordering::SeqCst) {
            return;
        }
        let (directory, probing) = (self.directory.clone(), self.probing.clone());
        runtime.spawn(async move {
            if let Err(error) = directory.who_am_i().await {
                tracing::debug!(%error, "the directory is still away");
            }
            probing.store(false, Ordering::SeqCst);
        });
    }
}

impl Store for DirectoryStore {
    fn find(&self, key: &LoginKey) -> Answer<'_, Option<Subject<SealedSecret>>> {
        let key = key.clone();
        Box::pin(async move { self.subject(&key).await })
    }

    fn compares_names(&self) -> bool {
        true
    }

    fn commit(&self, change: Change) -> Answer<'_, Committed> {
        Box::pin(self.carry_out(change))
    }

    fn insert_account(&self, _: Account, _: Site) -> Answer<'_, ()> {
        self.refused("an account")
    }

    fn replace_account(&self, _: Account, _: Account, _: Site) -> Answer<'_, ()> {
        self.refused("an account")
    }

    fn remove_account(&self, _: AccountId) -> Answer<'_, ()> {
        self.refused("an account")
    }

    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Answer<'_, Vec<Account>> {
        Box::pin(self.account_page(after, limit))
    }

    fn put_person(&self, _: Person) -> Answer<'_, ()> {
        self.refused("a person")
    }

    fn person(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        Box::pin(self.person_of(id))
    }

    fn insert_token(
        &self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Answer<'_, TokenId> {
        Box::pin(self.add_token(token, secret, first))
    }

    fn replace_token(&self, from: Token, to: Token) -> Answer<'_, ()> {
        Box::pin(self.change_token(from, to))
    }

    fn remove_token(&self, id: TokenId) -> Answer<'_, ()> {
        Box::pin(self.delete_token(id))
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Answer<'_, Vec<Token>> {
        Box::pin(self.token_page(after, limit))
    }

    fn insert_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()> {
        self.local.insert_certificate(certificate)
    }

    fn revoke_certificate(&self, serial: String, at: UnixTime) -> Answer<'_, ()> {
        self.local.revoke_certificate(serial, at)
    }

    fn certificates(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<CertificateRecord>> {
        self.local.certificates(after, limit)
    }

    fn prune_certificates(&self, before: UnixTime) -> Answer<'_, u64> {
        self.local.prune_certificates(before)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.local.health()?;
        let Some(fault) = self.directory.fault() else { return Ok(()) };
        self.probe();
        Err(StoreError::Unusable { object: "directory".to_owned(), cause: fault })
    }

    fn next_number(&self, series: &'static str) -> Answer<'_, u64> {
        self.local.next_number(series)
    }
}

/// The cause names the server and the operation.
impl From<DirectoryError> for StoreError {
    fn from(error: DirectoryError) -> Self {
        Self::Unusable { object: "directory".to_owned(), cause: error.to_string() }
    }
}

impl From<EntryError> for StoreError {
    fn from(error: EntryError) -> Self {
        let cause = format!("attribute {} {}", error.attribute, error.cause);
        Self::Damaged { object: format!("entry {}", error.dn), cause }
    }
}

/// Seconds.
const RIGHTS_REMEMBERED: u64 = 10;
const PARAMETERS_REMEMBERED: usize = 1_024;
const PERSONS_REMEMBERED: usize = 16_384;
/// Decisions under way and those made lately, about 500 octets each.
const DECISIONS_REMEMBERED: usize = 16_384;
