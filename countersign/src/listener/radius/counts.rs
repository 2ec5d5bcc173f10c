//! What was done with the packets that came in: each is counted once, where it is decided.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// The counters of a listener.
#[derive(Debug, Default)]
pub struct Counts {
    /// Access-Accept.
    pub accepted: Counter,
    /// Access-Reject.
    pub rejected: Counter,
    /// Access-Challenge.
    pub challenged: Counter,
    /// No decision could be made, so there was no answer.
    pub undecided: Counter,
    /// Answers to Status-Server.
    pub status: Counter,
    /// Answers to probe users.
    pub probed: Counter,
    /// Retransmissions that got the answer again.
    pub repeated: Counter,
    /// Retransmissions of what was still being decided.
    pub in_progress: Counter,
    /// Dropped: nobody that the config knows.
    pub unknown_client: Counter,
    /// Dropped: not a RADIUS packet.
    pub malformed: Counter,
    /// Dropped: not a request that is answered here.
    pub unexpected_code: Counter,
    /// Dropped: no Message-Authenticator, or a wrong one.
    pub unauthentic: Counter,
    /// Dropped: too much was being decided.
    pub busy: Counter,
    /// Dropped: the client asked more often than it may.
    pub limited: Counter,
    /// Answers of upstreams that were passed on.
    pub forwarded: Counter,
    /// Accounting-Requests that were recorded.
    pub accounted: Counter,
    /// Connections that were not taken: of strangers, or too many.
    pub turned_away: Counter,
}

impl Counter {
    /// One more.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
