//! Directories: LDAP servers that are asked, over connections that are kept.
//!
//! In reading order:
//!
//! * [`Directory`]: what is asked, each within a time limit, over one of a bounded number of
//!   connections.
//! * `dial`: a connection is opened and bound.
//! * `operation`: requests and their answers, in the terms of the LDAP library.
//!
//! Nothing is read from `ldap.conf` or the environment. What was sent and not answered is never
//! sent again, unless it was a question only.

use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_core::ldap::{counter::Modification, entry::Entry};
use ldap3::Ldap;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use self::{
    dial::Dialer,
    guard::guarded,
    operation::{Failure, Operation, Outcome, perform},
};
use crate::config::directory::ServerSettings;

pub mod binds;
mod dial;
mod guard;
mod operation;

/// A directory server, and the connections to it.
pub struct Directory {
    dialer: Dialer,
    time_limit: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Ldap>>,
    /// Why the server could not be reached when it was tried last.
    fault: Mutex<Option<String>>,
    opened: AtomicU64,
}

/// A connection in use.
struct Lent<'a> {
    connection: Ldap,
    /// It was not opened for this.
    was_kept: bool,
    permit: SemaphorePermit<'a>,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// The entry to begin at.
    pub base: &'a str,
    /// How far down.
    pub scope: Scope,
    /// What entries must be like (RFC 4515).
    pub filter: &'a str,
    /// What is wanted of them.
    pub attributes: &'a [&'a str],
    /// How many entries are wanted at most; 0: all.
    pub limit: i32,
}

/// How far down a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The entry itself.
    Base,
    /// The entries right below it.
    One,
    /// The entry and all below it.
    Subtree,
}

/// Why a directory did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Operator: the settings of the connection cannot be used.
    #[error("directory {server}: {cause}")]
    Settings {
        /// The URL.
        server: String,
        /// What is wrong.
        cause: String,
    },
    /// Nothing was sent: there is no connection.
    #[error("directory {server} cannot be reached: {cause}")]
    Unreachable {
        /// The URL.
        server: String,
        /// What is wrong.
        cause: String,
    },
    /// Nothing was sent: all connections were in use for too long.
    #[error(
        "directory {server}: all connections were busy for {seconds} s; is it slow, or is directory.connections too low?"
    )]
    Busy {
        /// The URL.
        server: String,
        /// The time limit.
        seconds: u64,
    },
    /// The connection was lost, or the time was over, before the answer came. What was asked may
    /// have been done.
    #[error("directory {server} did not answer: {cause}")]
    Unanswered {
        /// The URL.
        server: String,
        /// What is wrong.
        cause: String,
    },
    /// The directory refused.
    #[error("directory {server} refused {operation}: {result}")]
    Refused {
        /// The URL.
        server: String,
        /// What was asked, with the entry.
        operation: String,
        /// How it answered.
        result: ResultCode,
    },
}

/// The result of an operation (RFC 4511 §4.1.9).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("result code {code}{}{text}", if text.is_empty() { "" } else { ", " })]
pub struct ResultCode {
    /// The code.
    pub code: u32,
    /// The diagnostic message.
    pub text: String,
}

impl ResultCode {
    /// An attribute is not there, or has not the value that was to be deleted.
    pub const NO_SUCH_ATTRIBUTE: u32 = 16;
    /// More values than the attribute may have, among others.
    pub const CONSTRAINT_VIOLATION: u32 = 19;
    /// A value is there already.
    pub const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
    /// There is no such entry, or we must not know of it.
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// Whoever asks may not do this.
    pub const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    /// The credentials are wrong.
    pub const INVALID_CREDENTIALS: u32 = 49;
    /// There is such an entry already.
    pub const ENTRY_ALREADY_EXISTS: u32 = 68;
    /// The assertion does not hold (RFC 4528).
    pub const ASSERTION_FAILED: u32 = 122;
}

impl DirectoryError {
    /// The code by which the directory refused.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { result, .. } => Some(result.code),
            Self::Settings { .. }
            | Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Unanswered { .. } => None,
        }
    }
}

impl Directory {
    /// A directory that nothing was asked yet.
    ///
    /// # Errors
    ///
    /// The URL is none of a directory, or a file of its settings cannot be used.
    pub fn new(settings: &ServerSettings, connections: usize) -> Result<Self, DirectoryError> {
        Ok(Self {
            dialer: Dialer::new(settings)?,
            time_limit: settings.time_limit,
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
            fault: Mutex::default(),
            opened: AtomicU64::new(0),
        })
    }

    /// What it is called in messages: its URL.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dialer.name()
    }

    /// Why it could not be reached when it was tried last.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault_lock().clone()
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// The entries that a search finds; none if its base is not there.
    ///
    /// # Errors
    ///
    /// It could not be carried out.
    pub async fn search(&self, search: &Search<'_>) -> Result<Vec<Entry>, DirectoryError> {
        match self.ask(&Operation::Search(search)).await {
            Ok(outcome) => Ok(outcome.entries),
            Err(error) if is_nowhere(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// One entry by its name, if it is there and matches the filter.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub async fn read(
        &self,
        dn: &str,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, DirectoryError> {
        let search = Search { base: dn, scope: Scope::Base, filter, attributes, limit: 0 };
        Ok(self.search(&search).await?.pop())
    }

    /// All entries that a search finds, page after page (RFC 2696), each given to `each`.
    ///
    /// # Errors
    ///
    /// It could not be carried out.
    pub async fn search_pages(
        &self,
        search: &Search<'_>,
        mut each: impl FnMut(Entry) + Send,
    ) -> Result<(), DirectoryError> {
        let mut cookie = Vec::new();
        let Lent { mut connection, permit: _permit, .. } = self.connection(self.deadline()).await?;
        loop {
            let page = Operation::Page { search, cookie };
            let outcome = self.perform(&mut connection, &page, self.deadline()).await;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(Failure::Refused(result)) => {
                    self.keep(connection);
                    let error = self.refused(&page, result);
                    return if is_nowhere(&error) { Ok(()) } else { Err(error) };
                }
                Err(Failure::Lost(cause)) => return Err(self.unanswered(cause)),
            };
            outcome.entries.into_iter().for_each(&mut each);
            if outcome.cookie.is_empty() {
                self.keep(connection);
                return Ok(());
            }
            cookie = outcome.cookie;
        }
    }

    /// Changes an entry: all of it or nothing.
    ///
    /// # Errors
    ///
    /// It was refused; or after [`DirectoryError::Unanswered`] it may have happened.
    pub async fn modify(
        &self,
        dn: &str,
        modifications: &[Modification],
    ) -> Result<(), DirectoryError> {
        self.ask(&Operation::Modify { dn, modifications }).await.map(drop)
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// As [`Directory::modify`].
    pub async fn add(
        &self,
        dn: &str,
        attributes: &[(&str, Vec<Vec<u8>>)],
    ) -> Result<(), DirectoryError> {
        self.ask(&Operation::Add { dn, attributes }).await.map(drop)
    }

    /// Deletes an entry.
    ///
    /// # Errors
    ///
    /// As [`Directory::modify`].
    pub async fn delete(&self, dn: &str) -> Result<(), DirectoryError> {
        self.ask(&Operation::Delete { dn }).await.map(drop)
    }

    /// As whom the directory knows us (RFC 4532): `dn:…`, or nothing.
    ///
    /// # Errors
    ///
    /// It was not told.
    pub async fn who_am_i(&self) -> Result<String, DirectoryError> {
        Ok(self.ask(&Operation::WhoAmI).await?.identity)
    }

    /// Asks once. A question that a kept connection did not answer is asked again on a new one,
    /// because a server may have closed the old one long ago; a change never is.
    async fn ask(&self, operation: &Operation<'_>) -> Result<Outcome, DirectoryError> {
        let deadline = self.deadline();
        let Lent { mut connection, was_kept, permit: _permit } = self.connection(deadline).await?;
        let mut result = self.perform(&mut connection, operation, deadline).await;
        if matches!(result, Err(Failure::Lost(_))) && was_kept && operation.is_question() {
            self.idle().clear();
            connection = self.dial(deadline).await?;
            result = self.perform(&mut connection, operation, deadline).await;
        }
        match result {
            Ok(outcome) => {
                self.keep(connection);
                Ok(outcome)
            }
            Err(Failure::Refused(result)) => {
                self.keep(connection);
                Err(self.refused(operation, result))
            }
            Err(Failure::Lost(cause)) => Err(self.unanswered(cause)),
        }
    }

    async fn perform(
        &self,
        connection: &mut Ldap,
        operation: &Operation<'_>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let authorization = self.dialer.authorization();
        let asking = guarded(perform(connection, operation, authorization));
        match timeout_at(deadline, asking).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Lost(format!("no answer within {}", self.limit_text()))),
        }
    }

    /// A connection that is kept, or a new one, and the right to use one.
    async fn connection(&self, deadline: Instant) -> Result<Lent<'_>, DirectoryError> {
        let busy = |_| DirectoryError::Busy {
            server: self.name().to_owned(),
            seconds: self.time_limit.as_secs(),
        };
        let permit = timeout_at(deadline, self.permits.acquire()).await.map_err(busy)?;
        let permit = permit.expect("this semaphore is never closed");
        let (connection, was_kept) = match self.kept() {
            Some(connection) => (connection, true),
            None => (self.dial(deadline).await?, false),
        };
        Ok(Lent { connection, was_kept, permit })
    }

    /// The connection that was used last and that nobody has closed since.
    fn kept(&self) -> Option<Ldap> {
        let mut idle = self.idle();
        while let Some(mut connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    async fn dial(&self, deadline: Instant) -> Result<Ldap, DirectoryError> {
        let dialed = match timeout_at(deadline, self.dialer.dial()).await {
            Ok(dialed) => dialed,
            Err(_) => Err(self.dialer.unreachable(format!("nothing within {}", self.limit_text()))),
        };
        *self.fault_lock() = dialed.as_ref().err().map(ToString::to_string);
        if dialed.is_ok() {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        dialed
    }

    fn keep(&self, connection: Ldap) {
        self.idle().push(connection);
    }

    fn refused(&self, operation: &Operation<'_>, result: ResultCode) -> DirectoryError {
        let (server, operation) = (self.name().to_owned(), operation.to_string());
        DirectoryError::Refused { server, operation, result }
    }

    fn unanswered(&self, cause: String) -> DirectoryError {
        DirectoryError::Unanswered { server: self.name().to_owned(), cause }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.time_limit
    }

    fn limit_text(&self) -> String {
        format!("{} s", self.time_limit.as_secs_f32())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Ldap>> {
        self.idle.lock().expect(UNPOISONED)
    }

    fn fault_lock(&self) -> MutexGuard<'_, Option<String>> {
        self.fault.lock().expect(UNPOISONED)
    }
}

fn is_nowhere(error: &DirectoryError) -> bool {
    error.code() == Some(ResultCode::NO_SUCH_OBJECT)
}

const UNPOISONED: &str = "nobody panics with this lock";

#[cfg(test)]
mod tests;
