//! The store: what a site keeps, behind one contract with several implementations.
//!
//! Records (accounts, persons, tokens, certificates) change rarely and are
//! written one by one. Counters move at every attempt, by [`Store::commit`],
//! and only from the value that the decision was made on.

use std::{future::Future, pin::Pin};

use countersign_core::domain::{
    account::{Account, Person},
    counter::Change,
    id::{AccountId, PersonId, TokenId},
    name::{LoginKey, Site},
    subject::Subject,
    time::UnixTime,
    token::Token,
};
use serde::{Deserialize, Serialize};

pub mod directory;
pub mod embedded;
pub mod memory;

/// A shared secret as it is kept: sealed under the master key and bound to its token; or in a
/// directory as JWE, or in clear where that is allowed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(pub String);

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// What a store method returns: a future that may be waited for on any thread.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The contract of every store. `countersign/tests/stores.rs` holds each implementation to it.
///
/// Every method that changes something has made the change durable when its
/// future is ready with `Ok`. After [`StoreError::Unusable`] or
/// [`StoreError::Damaged`] it may have happened or not; after any other error
/// it has not.
pub trait Store: Send + Sync + 'static {
    /// The account of this name with its failures, tokens and counters; tokens in order of their ids.
    fn find(&self, key: &LoginKey) -> Answer<'_, Option<Subject<SealedSecret>>>;

    /// Whether distinguished names are compared by the directory itself: then an account is found
    /// by each name that the directory takes for its own, not only by those that we take for it.
    fn compares_names(&self) -> bool {
        false
    }

    /// Moves counters: all of them if every `from` still holds, or none.
    ///
    /// A counter that is not there never holds. A move may be seen by
    /// [`Store::find`] before it is durable, but no move that builds on it is
    /// durable before it.
    fn commit(&self, change: Change) -> Answer<'_, Committed>;

    /// Adds an account. Its login keys must be free.
    fn insert_account(&self, account: Account, site: Site) -> Answer<'_, ()>;
    /// Replaces an account by what is made of it, of the same id, and its login keys.
    ///
    /// If it is no longer as in `from`, [`StoreError::Changed`] and nothing is replaced.
    fn replace_account(&self, from: Account, to: Account, site: Site) -> Answer<'_, ()>;
    /// Removes an account, its login keys and its failures; tokens lose the assignment.
    fn remove_account(&self, id: AccountId) -> Answer<'_, ()>;
    /// Up to `limit` accounts in order of their ids, after `after`.
    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Answer<'_, Vec<Account>>;

    /// Adds or replaces a person.
    fn put_person(&self, person: Person) -> Answer<'_, ()>;
    /// The person of this id.
    fn person(&self, id: PersonId) -> Answer<'_, Option<Person>>;

    /// Adds a token; its accounts must exist.
    ///
    /// Its counter begins at `next = first`, or where a removed token of the
    /// same id stopped, if that is further on. Returns the id that it is kept
    /// under: its own, unless the store gives ids itself.
    fn insert_token(
        &self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Answer<'_, TokenId>;
    /// Replaces a token by what is made of it, of the same id; its secret and counter stay.
    ///
    /// If it is no longer as in `from`, [`StoreError::Changed`] and nothing is replaced.
    fn replace_token(&self, from: Token, to: Token) -> Answer<'_, ()>;
    /// Removes a token with its secret. Its counter is kept, so that nothing spent comes back.
    fn remove_token(&self, id: TokenId) -> Answer<'_, ()>;
    /// Up to `limit` tokens in order of their ids, after `after`.
    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Answer<'_, Vec<Token>>;

    /// Records a certificate that is about to be signed. Its serial number must be new.
    ///
    /// One that is for an account must have a request of its own: a request
    /// that another such record names is refused as an existing
    /// [`CERTIFICATE_REQUEST`], until that record is pruned. So a countersigned
    /// request is good for one certificate, however often it is submitted.
    fn insert_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()>;
    /// Marks a certificate as revoked; the first time counts.
    fn revoke_certificate(&self, serial: String, at: UnixTime) -> Answer<'_, ()>;
    /// Up to `limit` certificates in order of their serial numbers, after `after`.
    fn certificates(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<CertificateRecord>>;
    /// Forgets certificates that expired before `before`; returns how many.
    fn prune_certificates(&self, before: UnixTime) -> Answer<'_, u64>;

    /// Whether counters can still be moved; without that nobody is let in.
    ///
    /// # Errors
    ///
    /// Why they cannot.
    fn health(&self) -> Result<(), StoreError>;

    /// A number that grows with every call and is never given twice (CRL numbers).
    fn next_number(&self, series: &'static str) -> Answer<'_, u64>;
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only Done allows an acceptance to leave"]
pub enum Committed {
    /// Every counter was moved, durably.
    Done,
    /// Somebody else moved one of them first; nothing was moved.
    Conflict,
}

/// A certificate that the embedded CA issued or was about to issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// The profile it was issued by.
    pub profile: String,
    /// The subject, RFC 4514.
    pub subject: String,
    /// The account, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// SHA-256 of the request, hexadecimal.
    pub request_sha256: String,
    /// Serial number of the signing certificate that vouched for it, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_serial: Option<String>,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<UnixTime>,
}

/// What [`StoreError::Exists`] calls a request that a certificate was recorded for before.
pub const CERTIFICATE_REQUEST: &str = "certificate request";

/// What can go wrong with a store, grouped by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Caller: a login key is taken.
    #[error("the login name {name:?} is taken by account {account}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        account: AccountId,
    },
    /// Caller: what is to be changed is not there.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of record.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Caller: what is to be added is there already.
    #[error("there is a {what} {id} already")]
    Exists {
        /// The kind of record.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Caller: what is to be replaced is no longer what it was read as.
    #[error("the {what} {id} was changed meanwhile; try again")]
    Changed {
        /// The kind of record.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Caller: this store has no place for it.
    #[error("this store has no place for {what}: {cause}")]
    NoPlace {
        /// What it is.
        what: String,
        /// Why not, and where it is kept instead.
        cause: String,
    },
    /// Operator: the store cannot be opened or used.
    #[error("{object}: {cause}")]
    Unusable {
        /// The file or address.
        object: String,
        /// What is wrong.
        cause: String,
    },
    /// Us or the disk: what was read makes no sense.
    #[error("{object} is damaged: {cause}")]
    Damaged {
        /// The file, table or record.
        object: String,
        /// What is wrong.
        cause: String,
    },
}

impl StoreError {
    fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    fn changed(what: &'static str, id: impl ToString) -> Self {
        Self::Changed { what, id: id.to_string() }
    }

    fn exists(what: &'static str, id: impl ToString) -> Self {
        Self::Exists { what, id: id.to_string() }
    }
}
