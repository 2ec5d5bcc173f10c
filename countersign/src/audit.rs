//! The audit log: typed events, one JSON object a line, in its own file.
//!
//! Audit is not logging. [`Audit::record`] hands an event to the sink before the
//! listener answers; the sink writes the events in the order in which they came.
//! A thread of its own does the writing, many lines per system call: it gathers
//! what comes within a millisecond, so a busy listener wakes it a thousand times
//! a second at most. What it has not written is lost if the process is killed;
//! counters never are.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use countersign_core::domain::event::Event;

/// Where audit events go.
pub trait Audit: Send + Sync + 'static {
    /// Takes an event.
    fn record(&self, event: Event);
}

/// Appends events to a file; what is waiting is written when it is dropped.
pub struct FileAudit {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

/// Events between those who record and the one who writes.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write, or it is time to end.
    filled: Condvar,
    /// There is room again.
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    ended: bool,
}

impl FileAudit {
    /// Opens the file for appending, or creates it readable by its owner and group only.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let queue = Arc::new(Queue::default());
        let events = queue.clone();
        let writer = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || write_all(file, &events))?;
        Ok(Self { queue, writer: Some(writer) })
    }
}

impl Audit for FileAudit {
    fn record(&self, event: Event) {
        let mut waiting = self.queue.lock();
        while waiting.events.len() >= QUEUE_LENGTH {
            let room = self.queue.emptied.wait(waiting);
            waiting = room.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.events.push(event);
        if waiting.events.len() == 1 {
            self.queue.filled.notify_one();
        }
    }
}

impl Drop for FileAudit {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.filled.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges what is waiting for the empty `events`; says whether more will come.
    fn take(&self, events: &mut Vec<Event>) -> bool {
        let mut waiting = self.lock();
        while waiting.events.is_empty() && !waiting.ended {
            let filled = self.filled.wait(waiting);
            waiting = filled.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.events, events);
        self.emptied.notify_all();
        !waiting.ended
    }
}

/// Keeps events in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryAudit(Mutex<Vec<Event>>);

impl MemoryAudit {
    /// The events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().map(|events| events.clone()).unwrap_or_default()
    }
}

impl Audit for MemoryAudit {
    fn record(&self, event: Event) {
        if let Ok(mut events) = self.0.lock() {
            events.push(event);
        }
    }
}

fn write_all(mut file: File, queue: &Queue) {
    let (mut events, mut lines) = (Vec::new(), Vec::new());
    let mut more = true;
    while more {
        more = queue.take(&mut events);
        events.drain(..).for_each(|event| push_line(&mut lines, &event));
        if let Err(error) = file.write_all(&lines) {
            tracing::error!(%error, "audit events were lost: the audit log cannot be written");
        }
        lines.clear();
        if more {
            std::thread::sleep(GATHERING);
        }
    }
}

fn push_line(lines: &mut Vec<u8>, event: &Event) {
    match serde_json::to_writer(&mut *lines, event) {
        Ok(()) => lines.push(b'\n'),
        Err(error) => tracing::error!(%error, "an audit event was lost"),
    }
}

/// Events that may wait before whoever records has to wait too.
const QUEUE_LENGTH: usize = 16_384;
/// How long the writer lets events come together.
const GATHERING: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use countersign_core::domain::{event::What, id::CorrelationId, time::UnixTime};

    use super::*;

    fn event(number: u64) -> Event {
        Event {
            at: UnixTime(number),
            correlation: CorrelationId::from_bytes([9; 16]),
            what: What::Administered {
                by: "root".into(),
                action: "token add".into(),
                object: "line\nbreak".into(),
            },
        }
    }

    #[test]
    fn writes_a_line_per_event_in_order_and_appends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for start in [0, 500] {
            let audit = FileAudit::open(&path).unwrap();
            (start..start + 500).for_each(|number| audit.record(event(number)));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, (0..1000).map(event).collect::<Vec<_>>());
    }
}
