//! What the operator is told again and again, but not at every attempt.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// What the operator was told about, and when.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Whether it is time to tell about something: a user can make it fail as often as he asks.
    pub(super) fn is_due(&self, about: &str, now: Instant) -> bool {
        let mut told = self.0.lock().expect("nobody panics with this lock");
        let is_fresh = |last: &Instant| now.duration_since(*last) < TOLD_AGAIN;
        let is_due = !told.get(about).is_some_and(is_fresh);
        if is_due {
            if told.len() >= MANY {
                told.retain(|_, last| is_fresh(last));
            }
            told.insert(about.to_owned(), now);
        }
        is_due
    }
}

const TOLD_AGAIN: Duration = Duration::from_secs(60);
const MANY: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_told_about_once_a_minute() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let due = |about, seconds| complaints.is_due(about, start + Duration::from_secs(seconds));
        assert_eq!([due("mail", 0), due("mail", 59), due("sms", 59)], [true, false, true]);
        assert_eq!([due("mail", 60), due("mail", 61)], [true, false]);
    }

    #[test]
    fn what_is_over_is_forgotten_when_there_is_much() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        for number in 0..MANY {
            assert!(complaints.is_due(&number.to_string(), start));
        }
        assert!(complaints.is_due("late", start + TOLD_AGAIN));
        assert_eq!(complaints.0.lock().unwrap().len(), 1);
    }
}
