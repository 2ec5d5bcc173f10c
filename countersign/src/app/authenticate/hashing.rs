//! Who hashes passwords and PINs: so many at once, and one at a time for an account.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use countersign_core::domain::id::AccountId;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Gives out turns.
#[derive(Debug)]
pub(super) struct Hashing {
    permits: Arc<Semaphore>,
    accounts: Mutex<HashMap<AccountId, Arc<Queue<()>>>>,
}

/// The right to hash. It goes with the work: who stops waiting for that does not end it.
#[derive(Debug)]
pub(super) struct Turn {
    _account: OwnedMutexGuard<()>,
    _permit: OwnedSemaphorePermit,
}

impl Hashing {
    pub(super) fn new(permits: usize) -> Self {
        let permits = Arc::new(Semaphore::new(permits.max(1)));
        Self { permits, accounts: Mutex::default() }
    }

    /// The next turn of an account; none if too many wait for one already. So whoever makes
    /// the hashes of one account slow does not have everybody wait.
    pub(super) async fn turn(&self, account: AccountId) -> Option<Turn> {
        let queue = self.queue(account)?;
        let _account = queue.lock_owned().await;
        let permit = self.permits.clone().acquire_owned().await;
        Some(Turn { _account, _permit: permit.expect("this semaphore is never closed") })
    }

    /// Everybody who waits or hashes has one share in the queue, and the map has one.
    fn queue(&self, account: AccountId) -> Option<Arc<Queue<()>>> {
        let mut accounts = self.accounts.lock().expect("nobody panics with this lock");
        if accounts.len() >= MANY {
            accounts.retain(|_, queue| Arc::strong_count(queue) > 1);
        }
        let queue = accounts.entry(account).or_default();
        (Arc::strong_count(queue) <= MAX_QUEUED).then(|| queue.clone())
    }
}

/// Fewer than a listener has places.
const MAX_QUEUED: usize = 8;
const MANY: usize = 1000;

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use super::*;

    const ALICE: AccountId = AccountId::from_bytes([1; 16]);
    const BOB: AccountId = AccountId::from_bytes([2; 16]);

    /// Turns that are waited for.
    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

    fn waits(hashing: &Hashing) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(hashing.turn(ALICE));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        waiting
    }

    #[tokio::test]
    async fn an_account_hashes_once_at_a_time_and_others_beside_it() {
        let hashing = Hashing::new(2);
        let turn = hashing.turn(ALICE).await.unwrap();
        let waiting = waits(&hashing);
        assert!(hashing.turn(BOB).await.is_some());
        drop(turn);
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn who_waits_does_not_hold_a_permit() {
        let hashing = Hashing::new(2);
        let _turn = hashing.turn(ALICE).await.unwrap();
        let _waiting = [(); MAX_QUEUED - 1].map(|()| waits(&hashing));
        assert!(hashing.turn(BOB).await.is_some());
    }

    #[tokio::test]
    async fn the_queue_of_an_account_is_bounded_and_opens_again() {
        let hashing = Hashing::new(1);
        let turn = hashing.turn(ALICE).await.unwrap();
        let waiting = [(); MAX_QUEUED - 1].map(|()| waits(&hashing));
        assert!(hashing.turn(ALICE).await.is_none());
        drop((turn, waiting));
        assert!(hashing.turn(ALICE).await.is_some());
    }

    #[tokio::test]
    async fn accounts_that_nobody_hashes_for_are_forgotten() {
        let hashing = Hashing::new(1);
        for number in 0..=u128::try_from(MANY).unwrap() {
            hashing.turn(AccountId::from_bytes(number.to_be_bytes())).await.unwrap();
        }
        assert_eq!(hashing.accounts.lock().unwrap().len(), 1);
    }
}
