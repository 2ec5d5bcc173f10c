//! Counters: the values of now in memory, each move on disk before it is acknowledged.
//!
//! A move is looked at, made in memory and added to the frame in construction
//! in one step under one lock, so of two moves from the same value the second
//! sees the first at once. Whoever moved waits until the frame is on disk. One
//! thread writes frames; while it flushes one, the next fills, so all moves that
//! wait share one flush. A move that builds on another stands behind it in the
//! journal, hence is durable only if the other is.
//!
//! When a segment is full, its moves become a checkpoint, which the records'
//! thread carries over into the records while moves go on in the other segment.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use redb::StorageBackend;
use tokio::sync::oneshot;

use super::journal::{CounterKey, CounterValue, Frame, Journal, Mark};
use crate::store::StoreError;

/// The values that counters were moved to.
pub(super) type Moved = HashMap<CounterKey, CounterValue>;

/// Counters in memory, and the moves that wait for the disk.
pub(super) struct Counters {
    state: Mutex<State>,
    work: Condvar,
    /// The most octets that a frame may have.
    frame_limit: u64,
    /// What errors name as their object.
    object: String,
}

/// A move of one counter, in octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) key: CounterKey,
    /// `None` if it is not there yet.
    pub(super) from: Option<CounterValue>,
    pub(super) to: CounterValue,
}

/// All counters that were moved in segments whose moves the records must take over.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    /// The values.
    pub(super) moved: Arc<Moved>,
    /// The generation that is the first one needed after the checkpoint.
    pub(super) until: Mark,
}

/// Is ready when the moves are on disk; fails when they never will be.
pub(super) type Flushed = oneshot::Receiver<()>;

struct State {
    /// Moved since the segment began.
    active: Moved,
    /// Moved in the segment before; not yet all in the records.
    sealed: Option<Arc<Moved>>,
    /// Grows whenever values leave memory because the records have them.
    epoch: u64,
    frame: Frame,
    waiting: Vec<oneshot::Sender<()>>,
    /// Why no move is possible any more.
    poison: Option<String>,
    closing: bool,
}

/// What the writing thread takes from the state.
struct Batch {
    frame: Frame,
    waiting: Vec<oneshot::Sender<()>>,
    checkpoint: Option<Checkpoint>,
}

impl Counters {
    /// Counters whose every value is in the records.
    pub(super) fn new(object: String, capacity: u64) -> Self {
        let state = State {
            active: Moved::new(),
            sealed: None,
            epoch: 0,
            frame: Frame::empty(),
            waiting: Vec::new(),
            poison: None,
            closing: false,
        };
        let frame_limit = capacity.min(LARGEST_FRAME);
        Self { state: Mutex::new(state), work: Condvar::new(), frame_limit, object }
    }

    /// The value of a counter; `base` reads it from the records.
    pub(super) fn value(
        &self,
        key: &CounterKey,
        base: impl Fn(&CounterKey) -> Result<Option<CounterValue>, StoreError>,
    ) -> Result<Option<CounterValue>, StoreError> {
        let moved = self.lock().moved(key);
        moved.map_or_else(|| base(key), |value| Ok(Some(value)))
    }

    /// Makes all steps if every `from` holds, and says when they are on disk; `None` if not.
    pub(super) fn step(
        &self,
        steps: &[Step],
        base: impl Fn(&CounterKey) -> Result<Option<CounterValue>, StoreError>,
    ) -> Result<Option<Flushed>, StoreError> {
        loop {
            // What is not in memory is read from the records without the lock;
            // it is still true afterwards if nothing left memory in between.
            let epoch = self.lock().epoch;
            let bases = steps.iter().map(|step| self.value(&step.key, &base));
            let bases = bases.collect::<Result<Vec<_>, _>>()?;
            let mut state = self.lock();
            if state.epoch != epoch {
                continue;
            }
            self.check_usable(&state, steps.len())?;
            let holds = |(step, base): (&Step, &Option<CounterValue>)| {
                state.moved(&step.key).or(*base) == step.from
            };
            if !steps.iter().zip(&bases).all(holds) {
                return Ok(None);
            }
            let flushed = state.make(steps);
            // Whoever finds others waiting knows that the journal thread has been woken.
            let is_first = state.waiting.len() == 1;
            drop(state);
            if is_first {
                self.work.notify_all();
            }
            return Ok(Some(flushed));
        }
    }

    /// Whether moves are possible.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.check_usable(&self.lock(), 0)
    }

    /// Why the moves that were waited for are not on disk.
    pub(super) fn failure(&self) -> StoreError {
        let cause = self.lock().poison.clone();
        self.unusable(cause.unwrap_or_else(|| "the store was closed".to_owned()))
    }

    /// Ends all moves for good: those that wait fail, and so does every later one.
    pub(super) fn poison(&self, cause: &str) {
        let mut state = self.lock();
        state.poison.get_or_insert_with(|| cause.to_owned());
        state.waiting.clear();
        drop(state);
        self.work.notify_all();
    }

    /// The records have all values of the checkpoint.
    pub(super) fn checkpointed(&self) {
        let mut state = self.lock();
        state.sealed = None;
        state.epoch += 1;
        drop(state);
        self.work.notify_all();
    }

    /// Lets the writing thread end when nothing waits any more.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_all();
    }

    /// Writes frames until the counters are closed or the disk fails.
    pub(super) fn run<B: StorageBackend>(
        &self,
        mut journal: Journal<B>,
        begin_checkpoint: impl Fn(Checkpoint),
    ) {
        let mut spare = (Frame::empty(), Vec::new());
        while let Some(mut batch) = self.next_batch(&mut journal, spare) {
            // A failed flush is never tried again: the kernel may have dropped
            // the pages, and the second flush would succeed without them.
            if let Err(error) = journal.append(&mut batch.frame) {
                return self.poison(&format!(
                    "the journal cannot be written: {error}; nothing is accepted until the disk is in order and the daemon restarted"
                ));
            }
            let busy = batch.waiting.len() >= BUSY;
            for waiting in batch.waiting.drain(..) {
                // Whoever stopped waiting does not want to know.
                let _ = waiting.send(());
            }
            if busy {
                // Those who were answered come back at once. Let them share the next flush,
                // and its wake-ups with it.
                std::thread::sleep(GATHERING);
            }
            if let Some(checkpoint) = batch.checkpoint {
                begin_checkpoint(checkpoint);
            }
            batch.frame.clear();
            spare = (batch.frame, batch.waiting);
        }
    }

    /// Waits for moves and takes them; turns to the other segment when this one is full.
    fn next_batch<B: StorageBackend>(
        &self,
        journal: &mut Journal<B>,
        spare: (Frame, Vec<oneshot::Sender<()>>),
    ) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if state.poison.is_some() {
                return None;
            }
            if state.waiting.is_empty() {
                if state.closing {
                    return None;
                }
            } else if journal.fits(&state.frame) || state.sealed.is_none() {
                break;
            }
            state = self.work.wait(state).expect(UNPOISONED);
        }
        let mut checkpoint = None;
        if !journal.fits(&state.frame) {
            // Sealed together with this batch, so that the checkpoint has no move
            // that will not be on disk when it begins.
            let moved = Arc::new(mem::take(&mut state.active));
            state.sealed = Some(Arc::clone(&moved));
            checkpoint = Some(Checkpoint { moved, until: journal.rotate() });
        }
        let frame = mem::replace(&mut state.frame, spare.0);
        let waiting = mem::replace(&mut state.waiting, spare.1);
        Some(Batch { frame, waiting, checkpoint })
    }

    fn check_usable(&self, state: &State, more: usize) -> Result<(), StoreError> {
        if let Some(cause) = &state.poison {
            return Err(self.unusable(cause.clone()));
        }
        if state.frame.length_with(more) > self.frame_limit {
            let cause = "too many moves wait for the disk; it is too slow for this load".to_owned();
            return Err(self.unusable(cause));
        }
        Ok(())
    }

    fn unusable(&self, cause: String) -> StoreError {
        StoreError::Unusable { object: self.object.clone(), cause }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

impl State {
    fn moved(&self, key: &CounterKey) -> Option<CounterValue> {
        let sealed = || self.sealed.as_ref()?.get(key);
        self.active.get(key).or_else(sealed).copied()
    }

    fn make(&mut self, steps: &[Step]) -> Flushed {
        for step in steps {
            self.active.insert(step.key, step.to);
            self.frame.push(&step.key, &step.to);
        }
        let (sender, flushed) = oneshot::channel();
        self.waiting.push(sender);
        flushed
    }
}

const LARGEST_FRAME: u64 = 1 << 20;
/// So many moves in one flush mean that more are on their way.
const BUSY: usize = 8;
/// How long the moves of busy times are gathered, which is as long as a flush on a good disk.
const GATHERING: Duration = Duration::from_micros(100);
const UNPOISONED: &str = "nobody panics while holding the counters";
