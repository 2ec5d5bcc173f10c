//! The audit log: typed events, one JSON object a line, in its own file.
//!
//! Audit is not logging. [`Audit::record`] hands an event to the sink before the
//! listener answers. The sink writes it in the order in which events came.

use countersign_core::domain::event::Event;

/// Where audit events go.
pub trait Audit: Send + Sync + 'static {
    /// Takes an event.
    fn record(&self, event: Event);
}

/// Keeps events in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryAudit(std::sync::Mutex<Vec<Event>>);

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
