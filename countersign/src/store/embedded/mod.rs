//! The embedded store: records in redb, counters in a journal.
//!
//! One process owns the directory. [`records`](self) change rarely, one thread
//! writes them; counters move at every attempt, another thread writes those.
//! `docs/format/store.md` has the files, and what holds after a crash.

mod counters;
mod journal;
mod marks;
mod records;
mod tables;

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
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
use redb::{Database, StorageBackend, backends::FileBackend};

use self::{
    counters::{Counters, Moved, Step},
    journal::{CounterKey, CounterValue, Journal, Mark, replay, segment_of},
    records::Records,
    tables::{Identity, RECORDS, Tables, TokenRow, fault},
};
use super::{Answer, CertificateRecord, Committed, SealedSecret, Store, StoreError};

/// The store of one machine: a directory with three files.
pub struct Embedded {
    records: Arc<Records>,
    counters: Arc<Counters>,
    counters_thread: Option<JoinHandle<()>>,
    records_thread: Option<JoinHandle<()>>,
}

/// What the store writes to: files, or what a test puts in their place.
#[derive(Debug)]
pub struct Files<B> {
    /// The records.
    pub records: B,
    /// The two segments of the counter journal, as long as they will ever be.
    pub segments: [B; 2],
}

impl Embedded {
    /// Makes an empty store in a directory that has none.
    ///
    /// # Errors
    ///
    /// There is a store already, or the files cannot be written.
    pub fn create(directory: &Path, vault_key_id: &str) -> Result<Self, StoreError> {
        let file =
            |name: &str| create_file(&directory.join(name)).map_err(unusable(directory, name));
        let records = file(RECORDS)?;
        let segments = [file(SEGMENTS[0])?, file(SEGMENTS[1])?];
        for (segment, name) in segments.iter().zip(SEGMENTS) {
            preallocate(segment).map_err(unusable(directory, name))?;
        }
        let synced = fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(unusable(directory, "."))?;
        let store = Self::create_on(Files { records, segments }, vault_key_id);
        store.map_err(|error| error.within(directory))
    }

    /// Opens the store in a directory.
    ///
    /// # Errors
    ///
    /// There is none, another process has it open, it belongs to another master
    /// key, or it is damaged.
    pub fn open(directory: &Path, vault_key_id: &str) -> Result<Self, StoreError> {
        let file = |name: &str| open_file(&directory.join(name)).map_err(unusable(directory, name));
        let records = file(RECORDS)?;
        let segments = [file(SEGMENTS[0])?, file(SEGMENTS[1])?];
        let store = Self::open_on(Files { records, segments }, vault_key_id);
        store.map_err(|error| error.within(directory))
    }

    /// Makes an empty store in empty records and preallocated segments.
    ///
    /// # Errors
    ///
    /// The files cannot be written.
    pub fn create_on<B: StorageBackend>(
        files: Files<B>,
        vault_key_id: &str,
    ) -> Result<Self, StoreError> {
        let database = database(files.records)?;
        let store = *uuid::Uuid::new_v4().as_bytes();
        let identity = Identity { store, vault_key_id: vault_key_id.to_owned() };
        write(&database, |tables| tables.name(&identity))?;
        Self::start(database, files.segments, vault_key_id)
    }

    /// Opens the store in files that [`Embedded::create_on`] was given before.
    ///
    /// # Errors
    ///
    /// As [`Embedded::open`].
    pub fn open_on<B: StorageBackend>(
        files: Files<B>,
        vault_key_id: &str,
    ) -> Result<Self, StoreError> {
        Self::start(database(files.records)?, files.segments, vault_key_id)
    }

    /// Takes over what the journal has, then begins a new generation of it.
    fn start<B: StorageBackend>(
        database: Database,
        segments: [B; 2],
        vault_key_id: &str,
    ) -> Result<Self, StoreError> {
        let store = write(&database, |tables| check_identity(tables, vault_key_id))?.store;
        write(&database, |tables| tables.index_entry_names())?;
        let mut mark = write(&database, |tables| tables.mark())?;
        let mut moved = Moved::new();
        let older = mark.generation;
        for generation in [older, older + 1] {
            let index = segment_of(generation);
            mark = replay(&segments[index], &store, mark, |key, value| {
                moved.insert(key, value);
            })
            .map_err(|error| unreplayable(index, &error))?;
        }
        write(&database, |tables| take_over(tables, &moved, mark))?;
        let journal = Journal::begin(segments, store, mark).map_err(|error| {
            StoreError::Unusable { object: JOURNAL.to_owned(), cause: error.to_string() }
        })?;
        Self::spawn(database, journal)
    }

    fn spawn<B: StorageBackend>(
        database: Database,
        journal: Journal<B>,
    ) -> Result<Self, StoreError> {
        let records = Arc::new(Records::new(database)?);
        let counters = Arc::new(Counters::new(JOURNAL.to_owned(), journal.capacity()));
        let records_thread = {
            let (records, counters) = (Arc::clone(&records), Arc::clone(&counters));
            spawn("store-records", move || records.run(&counters))?
        };
        let counters_thread = {
            let (records, counters) = (Arc::clone(&records), Arc::clone(&counters));
            spawn("store-counters", move || {
                counters.run(journal, |checkpoint| records.begin_checkpoint(checkpoint));
            })?
        };
        let (records_thread, counters_thread) = (Some(records_thread), Some(counters_thread));
        Ok(Self { records, counters, counters_thread, records_thread })
    }

    fn subject(&self, key: &LoginKey) -> Result<Option<Subject<SealedSecret>>, StoreError> {
        let Some(known) = self.records.find(key)? else { return Ok(None) };
        let (account, tokens) = &*known;
        let failures = self.counter(&CounterKey::failures(account.id))?;
        let mut holdings = Vec::with_capacity(tokens.len());
        for TokenRow { token, secret } in tokens {
            let counter = TokenCounter::decode(&self.counter(&CounterKey::token(token.id))?);
            let parameters = Parameters::default();
            let (token, secret) = (token.clone(), secret.clone());
            holdings.push(Holding { token, counter, secret, parameters });
        }
        let failures = FailureCounter::decode(&failures);
        let account = account.clone();
        Ok(Some(Subject { account, failures, tokens: holdings, password: None }))
    }

    fn counter(&self, key: &CounterKey) -> Result<CounterValue, StoreError> {
        Ok(self.counters.value(key, |key| self.base(key))?.unwrap_or_default())
    }

    fn base(&self, key: &CounterKey) -> Result<Option<CounterValue>, StoreError> {
        self.records.snapshot().counter(key)
    }

    async fn step(&self, steps: &[Step]) -> Result<Committed, StoreError> {
        let Some(flushed) = self.counters.step(steps, |key| self.base(key))? else {
            return Ok(Committed::Conflict);
        };
        match flushed.await {
            Ok(()) => Ok(Committed::Done),
            Err(_) => Err(self.counters.failure()),
        }
    }

    /// Sets a counter that may be in memory and in the journal, through the journal.
    async fn set(
        &self,
        key: CounterKey,
        value: impl Fn(CounterValue) -> CounterValue,
    ) -> Result<(), StoreError> {
        loop {
            let from = self.counter(&key)?;
            let step = Step { key, from: Some(from), to: value(from) };
            if self.step(&[step]).await? == Committed::Done {
                return Ok(());
            }
        }
    }
}

impl Store for Embedded {
    fn find(&self, key: &LoginKey) -> Answer<'_, Option<Subject<SealedSecret>>> {
        let subject = self.subject(key);
        Box::pin(std::future::ready(subject))
    }

    fn commit(&self, change: Change) -> Answer<'_, Committed> {
        let failures = change.failures.map(|step| Step {
            key: CounterKey::failures(step.id),
            from: Some(step.from.encode()),
            to: step.to.encode(),
        });
        let tokens = change.tokens.iter().map(|step| Step {
            key: CounterKey::token(step.id),
            from: Some(step.from.encode()),
            to: step.to.encode(),
        });
        let steps: Vec<_> = failures.into_iter().chain(tokens).collect();
        Box::pin(async move {
            if steps.is_empty() { Ok(Committed::Done) } else { self.step(&steps).await }
        })
    }

    fn insert_account(&self, account: Account, site: Site) -> Answer<'_, ()> {
        let key = CounterKey::failures(account.id);
        let none = FailureCounter::default().encode();
        Box::pin(async move {
            let insert =
                move |tables: &mut Tables<'_>| tables.insert_account(account, &site, &none);
            if self.records.write(true, insert).await? {
                Ok(())
            } else {
                self.set(key, |_| none).await
            }
        })
    }

    fn replace_account(&self, from: Account, to: Account, site: Site) -> Answer<'_, ()> {
        let replace = move |tables: &mut Tables<'_>| tables.replace_account(&from, to, &site);
        Box::pin(self.records.write(true, replace))
    }

    fn remove_account(&self, id: AccountId) -> Answer<'_, ()> {
        Box::pin(self.records.write(true, move |tables| tables.remove_account(id)))
    }

    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Answer<'_, Vec<Account>> {
        Box::pin(std::future::ready(self.records.snapshot().accounts(after, limit)))
    }

    fn put_person(&self, person: Person) -> Answer<'_, ()> {
        Box::pin(self.records.write(false, move |tables| tables.put_person(&person)))
    }

    fn person(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        Box::pin(std::future::ready(self.records.snapshot().person(id)))
    }

    fn insert_token(
        &self,
        token: Token,
        secret: Option<SealedSecret>,
        first: u64,
    ) -> Answer<'_, TokenId> {
        let id = token.id;
        let key = CounterKey::token(id);
        let begin = TokenCounter { next: first, ..TokenCounter::default() }.encode();
        let row = TokenRow { token, secret };
        let go_on = move |kept: CounterValue| {
            let kept = TokenCounter::decode(&kept);
            TokenCounter { next: kept.next.max(first), ..kept }.encode()
        };
        Box::pin(async move {
            let insert = move |tables: &mut Tables<'_>| tables.insert_token(&row, &begin);
            if !self.records.write(true, insert).await? {
                self.set(key, go_on).await?;
            }
            Ok(id)
        })
    }

    fn replace_token(&self, from: Token, to: Token) -> Answer<'_, ()> {
        Box::pin(self.records.write(true, move |tables| tables.replace_token(&from, to)))
    }

    fn remove_token(&self, id: TokenId) -> Answer<'_, ()> {
        Box::pin(self.records.write(true, move |tables| tables.remove_token(id)))
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Answer<'_, Vec<Token>> {
        Box::pin(std::future::ready(self.records.snapshot().tokens(after, limit)))
    }

    fn insert_certificate(&self, certificate: CertificateRecord) -> Answer<'_, ()> {
        Box::pin(self.records.write(false, move |tables| tables.insert_certificate(&certificate)))
    }

    fn revoke_certificate(&self, serial: String, at: UnixTime) -> Answer<'_, ()> {
        Box::pin(self.records.write(false, move |tables| tables.revoke_certificate(&serial, at)))
    }

    fn certificates(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Answer<'_, Vec<CertificateRecord>> {
        let certificates = self.records.snapshot().certificates(after.as_deref(), limit);
        Box::pin(std::future::ready(certificates))
    }

    fn prune_certificates(&self, before: UnixTime) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut pruned = 0;
            loop {
                let prune = move |tables: &mut Tables<'_>| {
                    tables.prune_certificates(before, PRUNED_AT_ONCE)
                };
                match self.records.write(false, prune).await? {
                    0 => return Ok(pruned),
                    some => pruned += some,
                }
            }
        })
    }

    fn health(&self) -> Result<(), StoreError> {
        self.counters.health()
    }

    fn next_number(&self, series: &'static str) -> Answer<'_, u64> {
        Box::pin(self.records.write(false, move |tables| tables.next_number(series)))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The counters first: their last rotation needs the records' thread.
        self.counters.close();
        let _ = self.counters_thread.take().map(JoinHandle::join);
        self.records.close();
        let _ = self.records_thread.take().map(JoinHandle::join);
    }
}

impl StoreError {
    /// Names the file with its directory.
    fn within(mut self, directory: &Path) -> Self {
        if let Self::Unusable { object, .. } | Self::Damaged { object, .. } = &mut self {
            *object = directory.join(&*object).display().to_string();
        }
        self
    }
}

fn check_identity(tables: &Tables<'_>, vault_key_id: &str) -> Result<Identity, StoreError> {
    let unusable = |cause| StoreError::Unusable { object: RECORDS.to_owned(), cause };
    let Some(identity) = tables.identity()? else {
        let cause = "it was never finished; remove the directory and run `countersign init` again";
        return Err(unusable(cause.to_owned()));
    };
    if identity.vault_key_id != vault_key_id {
        return Err(unusable(format!(
            "its secrets are sealed with master key {}, the configured one is {vault_key_id}; put the right master key file in place",
            identity.vault_key_id
        )));
    }
    Ok(identity)
}

/// Moves everything from the journal into the records.
fn take_over(tables: &mut Tables<'_>, moved: &Moved, mark: Mark) -> Result<(), StoreError> {
    let mut moved: Vec<_> = moved.iter().collect();
    moved.sort_unstable();
    for (key, value) in moved {
        tables.set_counter(key, value)?;
    }
    tables.set_mark(mark)
}

/// One transaction while nobody else uses the database yet.
fn write<T>(
    database: &Database,
    change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(fault)?;
    transaction.set_quick_repair(true);
    let result = change(&mut Tables::open(&transaction)?)?;
    transaction.commit().map_err(fault)?;
    Ok(result)
}

fn database(backend: impl StorageBackend) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(RECORDS_CACHE).create_with_backend(backend).map_err(fault)
}

fn unreplayable(segment: usize, error: &journal::ReplayError) -> StoreError {
    let (object, cause) = (SEGMENTS[segment].to_owned(), error.to_string());
    match error {
        journal::ReplayError::Io(_) => StoreError::Unusable { object, cause },
        journal::ReplayError::FrameOutOfPlace { .. } => StoreError::Damaged { object, cause },
    }
}

fn create_file(path: &Path) -> io::Result<FileBackend> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
    FileBackend::new(file).map_err(io::Error::other)
}

fn open_file(path: &Path) -> io::Result<FileBackend> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    FileBackend::new(file).map_err(io::Error::other)
}

/// Writes the whole segment once, so that flushing a frame never has to flush the file's size too.
fn preallocate(segment: &impl StorageBackend) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    segment.set_len(SEGMENT_LENGTH)?;
    for offset in (0..SEGMENT_LENGTH).step_by(zeros.len()) {
        segment.write(offset, &zeros)?;
    }
    segment.sync_data()
}

fn unusable(directory: &Path, name: &str) -> impl FnOnce(io::Error) -> StoreError {
    let object = directory.join(name).display().to_string();
    move |error| {
        let next = NEXT_STEPS.iter().find(|(kind, _)| *kind == error.kind());
        let next = next.map_or("", |(_, step)| step);
        StoreError::Unusable { object, cause: format!("{error}{next}") }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| StoreError::Unusable {
        object: format!("thread {name}"),
        cause: error.to_string(),
    })
}

const SEGMENTS: [&str; 2] = ["counters.0", "counters.1"];
const JOURNAL: &str = "counter journal";
/// 200,000 moves. Two of these are replayed at start at most.
const SEGMENT_LENGTH: u64 = 8 << 20;
const RECORDS_CACHE: usize = 128 << 20;
const PRUNED_AT_ONCE: usize = 1_024;
const NEXT_STEPS: [(io::ErrorKind, &str); 4] = [
    (io::ErrorKind::NotFound, "; `countersign init` makes a store"),
    (io::ErrorKind::AlreadyExists, "; there is a store already, choose another directory"),
    (io::ErrorKind::PermissionDenied, "; run as the user that the files belong to"),
    (io::ErrorKind::StorageFull, "; make room on the disk"),
];
