//! Receipts: how a retry of a request is known again by what it spent (RFC 5080 §2.2.2).
//!
//! Whoever answers a retry must know that it is one. A table of recent requests knows
//! it on one socket of one process. A retry that reaches another socket or another node
//! finds the OTP spent, and beside the counter, moved by the same durable write, the
//! receipt of the request that spent it. If it is its own, nobody else used the OTP, and
//! the answer is the same.

use super::time::UnixTime;

/// The mark of a request: 36 bits of a keyed hash, made by the listener of what only the
/// same request has, and how long a retry may come after it.
///
/// Chance takes one of 2^36 other requests for a retry, and only if it brings the OTP
/// that was spent last. The hash must be keyed, so that nobody can look for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt {
    mark: u64,
    window: u32,
}

/// A receipt as it is kept beside a counter, with the time of the request; 0 if none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Stamp(pub u64);

impl Receipt {
    /// Of a keyed hash of the request, and the seconds in which it may be retried.
    #[must_use]
    pub fn new(hash: u64, window: u32) -> Self {
        // Never 0 as a whole, which is the stamp of nothing.
        Self { mark: (hash >> TIME_BITS).max(1), window: window.min(MAX_WINDOW) }
    }

    /// What is to be kept of it.
    #[must_use]
    pub fn stamp(self, at: UnixTime) -> Stamp {
        Stamp(self.mark << TIME_BITS | at.0 & TIME_MASK)
    }

    /// Whether this request, made at `now`, is a retry of the one that left the stamp.
    #[must_use]
    pub fn is_retry_of(self, stamp: Stamp, now: UnixTime) -> bool {
        // Two nodes need not agree about the second, so a stamp may be a little ahead.
        let age = now.0.wrapping_sub(stamp.0) & TIME_MASK;
        let ahead = stamp.0.wrapping_sub(now.0) & TIME_MASK;
        let window = u64::from(self.window);
        stamp.0 >> TIME_BITS == self.mark && age.min(ahead) <= window
    }
}

/// 2^28 seconds are eight years.
const TIME_BITS: u32 = 28;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Seconds.
const MAX_WINDOW: u32 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_retry_is_known_within_its_window_only() {
        let receipt = Receipt::new(0xfeed_beef_0123_4567, 15);
        let at = UnixTime(1_800_000_000);
        let stamp = receipt.stamp(at);
        for (later, is_retry) in [(0, true), (15, true), (16, false), (1 << 20, false)] {
            assert_eq!(receipt.is_retry_of(stamp, UnixTime(at.0 + later)), is_retry, "{later}");
        }
        assert!(receipt.is_retry_of(stamp, UnixTime(at.0 - 15)), "another node's clock");
        assert!(!receipt.is_retry_of(stamp, UnixTime(at.0 - 16)));
    }

    #[test]
    fn nothing_is_a_retry_of_nothing() {
        for hash in [0, 1, u64::MAX] {
            assert!(!Receipt::new(hash, 60).is_retry_of(Stamp::default(), UnixTime(0)));
        }
    }

    proptest! {
        #[test]
        fn other_requests_are_none(one: u64, other: u64, at in 0u64..1 << 40) {
            prop_assume!((one >> 28).max(1) != (other >> 28).max(1));
            let stamp = Receipt::new(one, 60).stamp(UnixTime(at));
            prop_assert!(!Receipt::new(other, 60).is_retry_of(stamp, UnixTime(at)));
            prop_assert!(Receipt::new(one, 0).is_retry_of(stamp, UnixTime(at)));
        }
    }
}
