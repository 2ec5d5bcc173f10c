//! Accounting: what network access servers report of sessions goes to the audit log.

use std::sync::Arc;

use countersign_core::domain::event::Event;

use crate::audit::Audit;

/// Records reports.
pub struct Recorder(Arc<dyn Audit>);

impl Recorder {
    /// Into this log.
    #[must_use]
    pub fn new(audit: Arc<dyn Audit>) -> Self {
        Self(audit)
    }

    /// Records a report.
    pub fn record(&self, event: Event) {
        self.0.record(event);
    }
}
