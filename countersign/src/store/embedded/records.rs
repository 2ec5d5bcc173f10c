//! Records: one thread writes, whatever waits shares a transaction; anybody reads.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use arc_swap::ArcSwap;
use countersign_core::domain::{account::Account, name::LoginKey};
use redb::{Database, ReadableDatabase};
use tokio::sync::oneshot;

use super::{
    counters::{Checkpoint, Counters},
    journal::CounterKey,
    tables::{Snapshot, Tables, TokenRow, fault},
};
use crate::store::StoreError;

/// The records, and the changes that wait to be written.
pub(super) struct Records {
    database: Database,
    snapshot: ArcSwap<Snapshot>,
    subjects: Mutex<Subjects>,
    queue: Mutex<Queue>,
    work: Condvar,
}

/// What is known of an account besides its counters.
pub(super) type Known = (Account, Vec<TokenRow>);

/// Subjects read of late: two generations of bounded size, the older one is dropped.
#[derive(Default)]
struct Subjects {
    /// Grows with every change, so that nothing older is remembered.
    version: u64,
    young: HashMap<LoginKey, Arc<Known>>,
    old: HashMap<LoginKey, Arc<Known>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    checkpoint: Option<Checkpoint>,
    closing: bool,
}

/// One change: writes, and answers when the transaction has ended.
struct Job {
    /// Whether it changes what [`Records::find`] gives.
    touches_subjects: bool,
    write: Box<dyn FnOnce(&mut Tables<'_>) -> Written + Send>,
}

/// What a change did, before the transaction ends.
struct Written {
    /// The transaction must be given up: the change may be half written.
    broken: bool,
    answer: Box<dyn FnOnce(Result<(), StoreError>)>,
}

impl Records {
    pub(super) fn new(database: Database) -> Result<Self, StoreError> {
        let snapshot = Snapshot::open(&database.begin_read().map_err(fault)?)?;
        Ok(Self {
            database,
            snapshot: ArcSwap::from_pointee(snapshot),
            subjects: Mutex::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
        })
    }

    /// The tables as they were after the last transaction.
    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The account of a name with its tokens, from memory if it was read of late.
    pub(super) fn find(&self, key: &LoginKey) -> Result<Option<Arc<Known>>, StoreError> {
        let version = {
            let mut subjects = self.subjects();
            if let Some(known) = subjects.recall(key) {
                return Ok(Some(known));
            }
            subjects.version
        };
        let known = self.snapshot().find(key)?.map(Arc::new);
        if let Some(known) = &known {
            self.subjects().remember(version, key.clone(), Arc::clone(known));
        }
        Ok(known)
    }

    /// Queues a change and waits until it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        touches_subjects: bool,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let write = Box::new(move |tables: &mut Tables<'_>| {
            let result = change(tables);
            let broken =
                matches!(result, Err(StoreError::Unusable { .. } | StoreError::Damaged { .. }));
            let answer = Box::new(move |committed: Result<(), StoreError>| {
                let result = if broken { result } else { committed.and(result) };
                // Whoever stopped waiting does not want to know.
                let _ = sender.send(result);
            });
            Written { broken, answer }
        });
        self.lock().jobs.push_back(Job { touches_subjects, write });
        self.work.notify_all();
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Has the values of a checkpoint written, a slice with each transaction.
    pub(super) fn begin_checkpoint(&self, checkpoint: Checkpoint) {
        self.lock().checkpoint = Some(checkpoint);
        self.work.notify_all();
    }

    /// Lets the writing thread end when nothing waits any more.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_all();
    }

    /// Writes what is queued until the records are closed.
    pub(super) fn run(&self, counters: &Counters) {
        let mut slices = None;
        while let Some(jobs) = self.next_jobs(&mut slices) {
            if !jobs.is_empty() {
                self.carry_out(jobs);
            }
            let Some(left) = &mut slices else { continue };
            match self.transaction(|tables| left.write_next(tables)) {
                Ok(false) => {}
                Ok(true) => {
                    slices = None;
                    counters.checkpointed();
                }
                Err(error) => {
                    slices = None;
                    counters.poison(&format!("they cannot be moved into the records: {error}"));
                }
            }
        }
    }

    /// Takes the jobs that wait; waits if there is nothing else to do; `None` at the end.
    fn next_jobs(&self, slices: &mut Option<Slices>) -> Option<Vec<Job>> {
        let mut queue = self.lock();
        loop {
            if let Some(checkpoint) = queue.checkpoint.take() {
                *slices = Some(Slices::of(checkpoint));
            }
            if !queue.jobs.is_empty() || slices.is_some() {
                let count = queue.jobs.len().min(LARGEST_TRANSACTION);
                return Some(queue.jobs.drain(..count).collect());
            }
            if queue.closing {
                return None;
            }
            queue = self.wait(queue);
        }
    }

    /// All jobs in one transaction; each gets its own answer.
    fn carry_out(&self, jobs: Vec<Job>) {
        let touches_subjects = jobs.iter().any(|job| job.touches_subjects);
        let mut answers = Vec::with_capacity(jobs.len());
        let committed = self.transaction(|tables| {
            let mut broken = false;
            for job in jobs {
                let written = (job.write)(tables);
                broken |= written.broken;
                answers.push(written.answer);
            }
            if broken { Err(given_up()) } else { Ok(()) }
        });
        if touches_subjects {
            self.subjects().forget();
        }
        for answer in answers {
            answer(committed.as_ref().map_err(given_up_because).copied());
        }
    }

    /// One transaction: writes, flushes, shows.
    fn transaction<T>(
        &self,
        write: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.database.begin_write().map_err(fault)?;
        transaction.set_quick_repair(true);
        let written = write(&mut Tables::open(&transaction)?)?;
        transaction.commit().map_err(fault)?;
        let read = self.database.begin_read().map_err(fault)?;
        self.snapshot.store(Arc::new(Snapshot::open(&read)?));
        Ok(written)
    }

    fn subjects(&self) -> MutexGuard<'_, Subjects> {
        self.subjects.lock().expect(UNPOISONED)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect(UNPOISONED)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.work.wait(queue).expect(UNPOISONED)
    }
}

impl Subjects {
    fn recall(&mut self, key: &LoginKey) -> Option<Arc<Known>> {
        if let Some(known) = self.young.get(key) {
            return Some(Arc::clone(known));
        }
        let (key, known) = self.old.remove_entry(key)?;
        self.keep(key, Arc::clone(&known));
        Some(known)
    }

    /// Remembers what was read when `version` was the newest; not if something changed since.
    fn remember(&mut self, version: u64, key: LoginKey, known: Arc<Known>) {
        if self.version == version {
            self.keep(key, known);
        }
    }

    fn keep(&mut self, key: LoginKey, known: Arc<Known>) {
        if self.young.len() >= SUBJECTS_REMEMBERED / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, known);
    }

    fn forget(&mut self) {
        *self = Self { version: self.version + 1, ..Self::default() };
    }
}

/// What is left of a checkpoint, in the order of the tree.
struct Slices {
    checkpoint: Checkpoint,
    keys: Vec<CounterKey>,
    written: usize,
}

impl Slices {
    fn of(checkpoint: Checkpoint) -> Self {
        let mut keys: Vec<_> = checkpoint.moved.keys().copied().collect();
        keys.sort_unstable();
        Self { checkpoint, keys, written: 0 }
    }

    /// Writes as much as one transaction takes; `true` if that was the last of it.
    fn write_next(&mut self, tables: &mut Tables<'_>) -> Result<bool, StoreError> {
        let end = self.keys.len().min(self.written + LARGEST_SLICE);
        for key in &self.keys[self.written..end] {
            tables.set_counter(key, &self.checkpoint.moved[key])?;
        }
        self.written = end;
        let last = end == self.keys.len();
        if last {
            tables.set_mark(self.checkpoint.until)?;
        }
        Ok(last)
    }
}

/// What each of those hears that shared a transaction.
fn given_up_because(error: &StoreError) -> StoreError {
    let object = super::tables::RECORDS.to_owned();
    StoreError::Unusable { object, cause: error.to_string() }
}

fn given_up() -> StoreError {
    let cause = "another change in the same transaction could not be written; try again".to_owned();
    StoreError::Unusable { object: super::tables::RECORDS.to_owned(), cause }
}

fn closed() -> StoreError {
    let cause = "the store was closed".to_owned();
    StoreError::Unusable { object: super::tables::RECORDS.to_owned(), cause }
}

/// About 1 KiB each.
const SUBJECTS_REMEMBERED: usize = 65_536;
const LARGEST_TRANSACTION: usize = 4_096;
const LARGEST_SLICE: usize = 65_536;
const UNPOISONED: &str = "nobody panics while holding the records";
