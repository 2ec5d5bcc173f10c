//! What moves at every attempt: a token's counter, an account's failures.
//!
//! A move names the value it was decided on and the value it wants. The store
//! carries it out only if the first still holds, so of any number of decisions
//! made on the same value exactly one is carried out.

use super::{
    id::{AccountId, TokenId},
    receipt::Stamp,
    time::UnixTime,
};

/// Size of an encoded counter in octets.
pub const COUNTER_LENGTH: usize = 24;

/// The moving part of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TokenCounter {
    /// The lowest moving factor not yet spent: an HOTP counter or a TOTP time step.
    pub next: u64,
    /// How many time steps the device's clock is ahead of ours (TOTP only).
    pub drift: i32,
    /// Resynchronisation has begun: the OTP wanted next is that of `next + resync`. 0 if not.
    ///
    /// A delivered token has no resynchronisation. Here it is the second since 1970 in
    /// which the OTP of `next` was sent; 0 if none is outstanding.
    pub resync: u32,
    /// The request that spent the last one.
    pub receipt: Stamp,
}

/// Failed attempts of an account since its last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureCounter {
    /// How many.
    pub failures: u32,
    /// When the last one happened.
    pub last: UnixTime,
    /// The request that was the last one.
    pub receipt: Stamp,
}

impl Default for FailureCounter {
    fn default() -> Self {
        Self { failures: 0, last: UnixTime(0), receipt: Stamp::default() }
    }
}

/// A conditional move of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move<Id, Counter> {
    /// Whose counter.
    pub id: Id,
    /// The value that the decision was made on.
    pub from: Counter,
    /// The value wanted.
    pub to: Counter,
}

/// All that one decision wants moved: everything or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The account's failures.
    pub failures: Option<Move<AccountId, FailureCounter>>,
    /// The tokens' counters.
    pub tokens: Vec<Move<TokenId, TokenCounter>>,
}

impl Change {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_none() && self.tokens.is_empty()
    }
}

impl TokenCounter {
    /// As octets: `next` (8), `drift` (4), `resync` (4), `receipt` (8); big-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; COUNTER_LENGTH] {
        let mut out = [0; COUNTER_LENGTH];
        out[..8].copy_from_slice(&self.next.to_be_bytes());
        out[8..12].copy_from_slice(&self.drift.to_be_bytes());
        out[12..16].copy_from_slice(&self.resync.to_be_bytes());
        out[16..].copy_from_slice(&self.receipt.0.to_be_bytes());
        out
    }

    /// From the octets that [`TokenCounter::encode`] made.
    #[must_use]
    pub fn decode(octets: &[u8; COUNTER_LENGTH]) -> Self {
        Self {
            next: u64::from_be_bytes(part(octets, 0)),
            drift: i32::from_be_bytes(part(octets, 8)),
            resync: u32::from_be_bytes(part(octets, 12)),
            receipt: Stamp(u64::from_be_bytes(part(octets, 16))),
        }
    }
}

impl FailureCounter {
    /// As octets: `failures` (4), zeros (4), `last` (8), `receipt` (8); big-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; COUNTER_LENGTH] {
        let mut out = [0; COUNTER_LENGTH];
        out[..4].copy_from_slice(&self.failures.to_be_bytes());
        out[8..16].copy_from_slice(&self.last.0.to_be_bytes());
        out[16..].copy_from_slice(&self.receipt.0.to_be_bytes());
        out
    }

    /// From the octets that [`FailureCounter::encode`] made.
    #[must_use]
    pub fn decode(octets: &[u8; COUNTER_LENGTH]) -> Self {
        Self {
            failures: u32::from_be_bytes(part(octets, 0)),
            last: UnixTime(u64::from_be_bytes(part(octets, 8))),
            receipt: Stamp(u64::from_be_bytes(part(octets, 16))),
        }
    }
}

/// `N` octets from `at`; both ends are constants inside the 24 octets.
fn part<const N: usize>(octets: &[u8; COUNTER_LENGTH], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&octets[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_counter_survives_encoding() {
        let counter = TokenCounter { next: u64::MAX - 1, drift: -3, resync: 77, receipt: Stamp(5) };
        assert_eq!(TokenCounter::decode(&counter.encode()), counter);
    }

    #[test]
    fn failure_counter_survives_encoding() {
        let counter =
            FailureCounter { failures: 9, last: UnixTime(1_800_000_000), receipt: Stamp(6) };
        assert_eq!(FailureCounter::decode(&counter.encode()), counter);
    }

    #[test]
    fn zeros_are_the_default() {
        assert_eq!(TokenCounter::decode(&[0; COUNTER_LENGTH]), TokenCounter::default());
        assert_eq!(FailureCounter::decode(&[0; COUNTER_LENGTH]), FailureCounter::default());
    }
}
