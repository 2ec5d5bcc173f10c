//! How long to wait before a worker is started again.

use std::time::Duration;

/// Counts workers that died young.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    died_young: u32,
}

impl Pauses {
    /// After a worker that lived so long: none, then longer and longer.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= GROWN_UP {
            self.died_young = 0;
        }
        let pause = match self.died_young {
            0 => Duration::ZERO,
            times => (FIRST * 2_u32.pow(times.min(MAX_DOUBLINGS) - 1)).min(LONGEST),
        };
        self.died_young = self.died_young.saturating_add(1);
        pause
    }
}

const GROWN_UP: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
const MAX_DOUBLINGS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_as_long_as_workers_die_young() {
        let mut pauses = Pauses::default();
        let young = Duration::from_secs(1);
        let found: Vec<_> = (0..8).map(|_| pauses.after(young).as_millis()).collect();
        assert_eq!(found, [0, 100, 200, 400, 800, 1600, 3000, 3000]);
        assert_eq!(pauses.after(GROWN_UP), Duration::ZERO, "that one was no child any more");
        assert_eq!(pauses.after(young), FIRST);
        pauses.died_young = u32::MAX;
        assert_eq!(pauses.after(young), LONGEST);
    }
}
