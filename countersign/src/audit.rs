//! The audit log: typed events, one JSON object a line, in its own file.
//!
//! Audit is not logging. [`Audit::record`] hands an event to the sink before the
//! listener answers; the sink writes the events in the order in which they came.
//! A thread of its own does the writing, many lines per system call, so that a
//! slow disk delays answers only when thousands of lines are waiting.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use countersign_core::domain::event::Event;

/// Where audit events go.
pub trait Audit: Send + Sync + 'static {
    /// Takes an event.
    fn record(&self, event: Event);
}

/// Appends events to a file; what is waiting is written when it is dropped.
pub struct FileAudit {
    queue: Option<SyncSender<Event>>,
    writer: Option<JoinHandle<()>>,
}

impl FileAudit {
    /// Opens the file for appending, or creates it readable by its owner and group only.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let (queue, events) = sync_channel(QUEUE_LENGTH);
        let writer = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || write_all(file, &events))?;
        Ok(Self { queue: Some(queue), writer: Some(writer) })
    }
}

impl Audit for FileAudit {
    fn record(&self, event: Event) {
        if self.queue.as_ref().is_none_or(|queue| queue.send(event).is_err()) {
            tracing::error!("an audit event was lost: the audit writer has ended");
        }
    }
}

impl Drop for FileAudit {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
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

fn write_all(mut file: File, events: &Receiver<Event>) {
    let mut lines = Vec::with_capacity(BATCH_OCTETS);
    while let Ok(first) = events.recv() {
        lines.clear();
        push_line(&mut lines, &first);
        while lines.len() < BATCH_OCTETS {
            let Ok(next) = events.try_recv() else { break };
            push_line(&mut lines, &next);
        }
        if let Err(error) = file.write_all(&lines) {
            tracing::error!(%error, "audit events were lost: the audit log cannot be written");
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
/// Octets written at once.
const BATCH_OCTETS: usize = 64 * 1024;

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
