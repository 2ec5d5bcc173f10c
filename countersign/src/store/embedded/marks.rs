//! Marks: what was seen spent of tokens that another store keeps.
//!
//! A directory can lose a move that it once confirmed: replication puts back what another
//! server wrote later. A mark is kept here beside it, durable like every counter, and never
//! goes back.

use countersign_core::{
    domain::{
        counter::{FailureCounter, TokenCounter},
        id::AccountId,
    },
    ldap::token::MarkKey,
};

use super::{Embedded, Step, journal::CounterKey};
use crate::store::{Committed, StoreError};

impl Embedded {
    /// What was seen spent under this key.
    ///
    /// # Errors
    ///
    /// The store is damaged.
    pub fn mark(&self, key: MarkKey) -> Result<Option<TokenCounter>, StoreError> {
        let value = self.counters.value(&CounterKey::mark(key), |key| self.base(key))?;
        Ok(value.map(|value| TokenCounter::decode(&value)))
    }

    /// Raises a mark, durably. One that is further on stays.
    ///
    /// # Errors
    ///
    /// Counters cannot be moved.
    pub async fn raise_mark(&self, key: MarkKey, to: TokenCounter) -> Result<(), StoreError> {
        loop {
            let from = self.mark(key)?;
            let is_further = from.is_some_and(|from| from.next > to.next);
            // What is there may not be on disk yet, so even the same value is written once more.
            let to = from.filter(|_| is_further).unwrap_or(to);
            if self.move_mark(key, from, to).await? == Committed::Done {
                return Ok(());
            }
        }
    }

    /// Moves a mark, durably, if it is still as it was read.
    ///
    /// # Errors
    ///
    /// Counters cannot be moved.
    pub async fn move_mark(
        &self,
        key: MarkKey,
        from: Option<TokenCounter>,
        to: TokenCounter,
    ) -> Result<Committed, StoreError> {
        let from = from.map(|from| from.encode());
        self.step(&[Step { key: CounterKey::mark(key), from, to: to.encode() }]).await
    }

    /// The last failure that was noted of an account.
    ///
    /// # Errors
    ///
    /// The store is damaged.
    pub fn last_failure(&self, id: AccountId) -> Result<Option<FailureCounter>, StoreError> {
        let value = self.counters.value(&CounterKey::last_failure(id), |key| self.base(key))?;
        Ok(value.map(|value| FailureCounter::decode(&value)))
    }

    /// Moves the note of an account's failures, durably, if it is still as it was read.
    ///
    /// # Errors
    ///
    /// Counters cannot be moved.
    pub async fn move_last_failure(
        &self,
        id: AccountId,
        from: Option<FailureCounter>,
        to: FailureCounter,
    ) -> Result<Committed, StoreError> {
        let from = from.map(|from| from.encode());
        self.step(&[Step { key: CounterKey::last_failure(id), from, to: to.encode() }]).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_core::domain::receipt::Stamp;

    use super::*;

    const KEY: MarkKey = MarkKey([7; 16]);

    fn at(next: u64) -> TokenCounter {
        TokenCounter { next, ..TokenCounter::default() }
    }

    #[tokio::test]
    async fn a_mark_rises_and_never_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::create(directory.path(), "key").unwrap();
        assert_eq!(store.mark(KEY).unwrap(), None);
        for (to, expected) in [(5, 5), (9, 9), (7, 9), (9, 9)] {
            store.raise_mark(KEY, at(to)).await.unwrap();
            assert_eq!(store.mark(KEY).unwrap(), Some(at(expected)));
        }
        assert_eq!(store.mark(MarkKey([8; 16])).unwrap(), None);
    }

    #[tokio::test]
    async fn a_mark_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::create(directory.path(), "key").unwrap();
        let mark = TokenCounter { receipt: Stamp(3), resync: 2, ..at(5) };
        store.raise_mark(KEY, mark).await.unwrap();
        drop(store);
        let store = Embedded::open(directory.path(), "key").unwrap();
        assert_eq!(store.mark(KEY).unwrap(), Some(mark));
    }

    #[tokio::test]
    async fn a_mark_moves_only_from_what_was_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::create(directory.path(), "key").unwrap();
        let moves = |from, to| store.move_mark(KEY, from, to);
        assert_eq!(moves(Some(at(0)), at(1)).await.unwrap(), Committed::Conflict);
        assert_eq!(moves(None, at(1)).await.unwrap(), Committed::Done);
        assert_eq!(moves(None, at(2)).await.unwrap(), Committed::Conflict);
        assert_eq!(moves(Some(at(1)), at(2)).await.unwrap(), Committed::Done);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_at_once_the_highest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::create(directory.path(), "key").unwrap());
        let tasks = (1..=64).map(|next| {
            let store = store.clone();
            tokio::spawn(async move { store.raise_mark(KEY, at(next)).await.unwrap() })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(store.mark(KEY).unwrap(), Some(at(64)));
    }

    #[tokio::test]
    async fn failures_are_noted_beside_those_of_accounts_that_are_kept_here() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::create(directory.path(), "key").unwrap();
        let id = AccountId::from_bytes([1; 16]);
        let noted = FailureCounter { failures: 2, ..FailureCounter::default() };
        assert_eq!(store.last_failure(id).unwrap(), None);
        let done = store.move_last_failure(id, None, noted).await.unwrap();
        assert_eq!((done, store.last_failure(id).unwrap()), (Committed::Done, Some(noted)));
    }
}
