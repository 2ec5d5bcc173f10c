//! What the operator is told once, however often peers have it happen.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// What was told. There is a bound, for what is told of may have names that others choose.
#[derive(Debug)]
pub(in crate::app) struct Told(Mutex<BTreeSet<String>>);

impl Told {
    pub(in crate::app) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// Whether something is to be told, now and never again.
    pub(in crate::app) fn is_new(&self, about: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert(about.to_owned())
    }
}

const MAX_TOLD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_once_and_not_without_end() {
        let told = Told::new();
        assert!(told.is_new("a scheme") && !told.is_new("a scheme"));
        let count = (0..100).filter(|number: &u32| told.is_new(&number.to_string())).count();
        assert_eq!(count, MAX_TOLD - 1);
    }
}
