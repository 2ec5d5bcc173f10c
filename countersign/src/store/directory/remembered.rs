//! What was read of late: bounded, and for a while only.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard},
};

use countersign_core::domain::time::UnixTime;

/// Values by keys, the latest of them: two generations of bounded size, the older one is dropped.
pub(super) struct Remembered<K, V> {
    generations: Mutex<Generations<K, V>>,
    bound: usize,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Remembered<K, V> {
    /// Holds `bound` values at most.
    pub(super) fn new(bound: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generations: Mutex::new(generations), bound }
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut generations = self.lock();
        if generations.young.len() >= self.bound / 2 {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }

    pub(super) fn recall(&self, key: &K) -> Option<V> {
        let generations = self.lock();
        generations.young.get(key).or_else(|| generations.old.get(key)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.generations.lock().expect("nobody panics with this lock")
    }
}

/// The same, for a while: what was put in `seconds` ago is no longer there.
pub(super) struct ForAWhile<K, V> {
    values: Remembered<K, (UnixTime, V)>,
    seconds: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> ForAWhile<K, V> {
    pub(super) fn new(bound: usize, seconds: u64) -> Self {
        Self { values: Remembered::new(bound), seconds }
    }

    pub(super) fn put(&self, key: K, value: V, now: UnixTime) {
        self.values.put(key, (now, value));
    }

    /// Nothing that lies ahead of `now`, either: the clock went back.
    pub(super) fn recall(&self, key: &K, now: UnixTime) -> Option<V> {
        let (at, value) = self.values.recall(key)?;
        (at <= now && now.since(at) < self.seconds).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_latest_and_no_more_than_its_bound() {
        let remembered = Remembered::new(10);
        for number in 0..1_000 {
            remembered.put(number, number * 2);
            assert_eq!(remembered.recall(&number), Some(number * 2));
        }
        let held = (0..1_000).filter(|number| remembered.recall(number).is_some()).count();
        assert!((5..=10).contains(&held), "{held}");
    }

    #[test]
    fn the_newest_value_of_a_key_counts() {
        let remembered = Remembered::new(4);
        remembered.put("a", 1);
        remembered.put("b", 1);
        remembered.put("a", 2);
        assert_eq!(remembered.recall(&"a"), Some(2));
        assert_eq!(remembered.recall(&"c"), None);
    }

    #[test]
    fn forgets_after_a_while_and_when_the_clock_goes_back() {
        let values = ForAWhile::new(4, 600);
        values.put("p", 1, UnixTime(1_000));
        for (now, expected) in [(1_000, Some(1)), (1_599, Some(1)), (1_600, None), (999, None)] {
            assert_eq!(values.recall(&"p", UnixTime(now)), expected, "{now}");
        }
        let never = ForAWhile::new(4, 0);
        never.put("p", 1, UnixTime(1_000));
        assert_eq!(never.recall(&"p", UnixTime(1_000)), None);
    }
}
