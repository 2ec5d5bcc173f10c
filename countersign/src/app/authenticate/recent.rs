//! What upstreams said of late: a retry on another socket gets the same answer.
//!
//! An OTP that we check ourselves leaves a receipt beside its counter, which all nodes
//! see. What an upstream spends, only the upstream knows, and it would refuse a retry.
//! So its word is remembered here, for the retries that reach this node.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use countersign_core::domain::{
    challenge::Challenge, id::AccountId, receipt::Receipt, time::UnixTime, verdict::Verdict,
};
use tokio::sync::OnceCell;

use super::pending::Counted;

/// What an upstream said.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) verdict: Verdict,
    pub(super) challenge: Option<Box<Challenge>>,
    pub(super) counted: Option<Counted>,
}

/// Filled by the first of equal requests; the others wait for it.
pub(super) type Cell = Arc<OnceCell<Word>>;

/// The requests of late.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<(AccountId, Receipt), (UnixTime, Cell)>>);

impl Recent {
    /// The cell of a request, the same one for its retries.
    pub(super) fn cell(&self, account: AccountId, receipt: Receipt, now: UnixTime) -> Cell {
        let mut cells = self.0.lock().expect("nobody panics with this lock");
        if cells.len() >= MAX_CELLS {
            cells.retain(|(_, receipt), (begun, _)| is_fresh(*receipt, *begun, now));
        }
        if cells.len() >= MAX_CELLS {
            return Cell::default();
        }
        let (begun, cell) =
            cells.entry((account, receipt)).or_insert_with(|| (now, Cell::default()));
        if !is_fresh(receipt, *begun, now) {
            (*begun, *cell) = (now, Cell::default());
        }
        cell.clone()
    }
}

fn is_fresh(receipt: Receipt, begun: UnixTime, now: UnixTime) -> bool {
    receipt.is_retry_of(receipt.stamp(begun), now)
}

/// Requests that are remembered. Beyond that a retry is a request like any other.
const MAX_CELLS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    fn receipt(hash: u64) -> Receipt {
        Receipt::new(hash << 28, 15)
    }

    #[test]
    fn equal_requests_share_a_cell_for_as_long_as_they_may_be_retried() {
        let recent = Recent::default();
        let first = recent.cell(account(1), receipt(1), NOW);
        let shares =
            |account, receipt, now| Arc::ptr_eq(&first, &recent.cell(account, receipt, now));
        assert!(shares(account(1), receipt(1), NOW.plus(15)));
        assert!(!shares(account(2), receipt(1), NOW), "another account");
        assert!(!shares(account(1), receipt(2), NOW), "another request");
        assert!(!shares(account(1), receipt(1), NOW.plus(16)), "too late");
    }

    #[test]
    fn there_is_a_bound_and_what_is_old_makes_room() {
        let recent = Recent::default();
        let count = u64::try_from(MAX_CELLS).unwrap();
        for hash in 0..=count {
            let _ = recent.cell(account(1), receipt(hash + 1), NOW);
        }
        assert_eq!(recent.0.lock().unwrap().len(), MAX_CELLS);
        let _ = recent.cell(account(1), receipt(1), NOW.plus(100));
        assert_eq!(recent.0.lock().unwrap().len(), 1);
    }
}
