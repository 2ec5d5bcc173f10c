//! How much work a hash takes, as parts of what one attempt may take at most.

use super::Cause;

/// Work. As much as the strongest of the usual settings take, about a second, is [`Work::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work(u64);

impl Work {
    /// Nothing that counts.
    pub(super) const NONE: Self = Self(0);
    /// What an attempt may take.
    pub(super) const ALL: Self = Self(1_000_000);

    /// So much, where an attempt may take `most`.
    pub(super) fn of(amount: u64, most: u64) -> Result<Self, Cause> {
        if amount > most {
            return Err(Cause::TooCostly);
        }
        let parts = u128::from(amount) * u128::from(Self::ALL.0) / u128::from(most.max(1));
        Ok(Self(u64::try_from(parts).unwrap_or(u64::MAX)))
    }

    /// What is left of it.
    pub(super) fn less(self, work: Self) -> Option<Self> {
        self.0.checked_sub(work.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_in_parts_of_the_whole() {
        assert_eq!(Work::of(7, 7), Ok(Work::ALL));
        assert_eq!(Work::of(u64::MAX, u64::MAX), Ok(Work::ALL));
        assert_eq!(Work::of(8, 7), Err(Cause::TooCostly));
        let half = Work::of(1, 2).unwrap();
        assert_eq!(Work::ALL.less(half), Some(half));
        assert_eq!(half.less(Work::ALL), None);
        assert_eq!(Work::NONE.less(Work::NONE), Some(Work::NONE));
    }
}
