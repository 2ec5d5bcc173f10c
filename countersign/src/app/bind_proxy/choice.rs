//! Which provider a token is validated at: the same one at every consumer, as long as it lives.
//!
//! Two providers that replicate to each other would both accept the same OTP at the same
//! moment. So each token has one provider of its own, by rendezvous hashing: every consumer
//! comes to the same order, and when a provider goes only its own tokens move.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

/// The providers, and which of them could not be reached of late.
#[derive(Debug)]
pub(super) struct Choice {
    names: Vec<String>,
    pause: Duration,
    unreachable_until: Mutex<Vec<Option<Instant>>>,
}

impl Choice {
    pub(super) fn new(names: Vec<String>, pause: Duration) -> Self {
        let unreachable_until = Mutex::new(vec![None; names.len()]);
        Self { names, pause, unreachable_until }
    }

    /// The places of the providers in the order in which a token prefers them, without regard
    /// to whether they can be reached.
    pub(super) fn preference(&self, token: &str) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.names.len()).collect();
        places.sort_by_cached_key(|place| std::cmp::Reverse(weight(&self.names[*place], token)));
        places
    }

    /// The same without those that could not be reached a moment ago; all of them if that
    /// leaves nobody.
    pub(super) fn order(&self, token: &str, now: Instant) -> Vec<usize> {
        let preference = self.preference(token);
        let paused = self.unreachable_until.lock().expect("nobody panics while holding this");
        let is_open = |place: &usize| paused[*place].is_none_or(|until| until <= now);
        let open: Vec<_> = preference.iter().copied().filter(is_open).collect();
        if open.is_empty() { preference } else { open }
    }

    /// Remembers that a provider could not be reached; `true` if it was thought reachable.
    pub(super) fn unreachable(&self, place: usize, now: Instant) -> bool {
        let mut paused = self.unreachable_until.lock().expect("nobody panics while holding this");
        let was_open = paused[place].is_none_or(|until| until <= now);
        paused[place] = Some(now + self.pause);
        was_open
    }

    /// Remembers that a provider has answered.
    pub(super) fn reached(&self, place: usize) {
        let mut paused = self.unreachable_until.lock().expect("nobody panics while holding this");
        paused[place] = None;
    }
}

/// The weight of a provider for a token: their hash.
fn weight(provider: &str, token: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(u64::try_from(provider.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(provider.as_bytes());
    hash.update(token.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn providers(names: &[&str]) -> Choice {
        let names = names.iter().map(|name| format!("ldaps://{name}")).collect();
        Choice::new(names, Duration::from_secs(120))
    }

    fn token(number: usize) -> String {
        format!("serialNumber={number},cn=otp,dc=example")
    }

    /// The name that a token prefers.
    fn first<'a>(choice: &'a Choice, token: &str) -> &'a str {
        &choice.names[choice.preference(token)[0]]
    }

    #[test]
    fn every_consumer_comes_to_the_same_order_however_it_lists_the_providers() {
        let (one, other) = (providers(&["a", "b", "c"]), providers(&["c", "a", "b"]));
        for number in 0..200 {
            assert_eq!(first(&one, &token(number)), first(&other, &token(number)));
        }
    }

    #[test]
    fn tokens_are_spread_over_all_providers() {
        let choice = providers(&["a", "b", "c"]);
        for place in 0..3 {
            let count =
                (0..900).filter(|number| choice.preference(&token(*number))[0] == place).count();
            assert!((200..400).contains(&count), "{place} has {count} of 900");
        }
    }

    #[test]
    fn when_a_provider_goes_only_its_own_tokens_move() {
        let (all, fewer) = (providers(&["a", "b", "c"]), providers(&["a", "b"]));
        for number in 0..300 {
            let before = first(&all, &token(number));
            if before != "ldaps://c" {
                assert_eq!(first(&fewer, &token(number)), before);
            }
        }
    }

    #[test]
    fn an_unreachable_provider_is_passed_over_until_its_pause_is_over_or_it_answers() {
        let choice = providers(&["a", "b"]);
        let now = Instant::now();
        let preference = choice.preference(&token(1));
        assert!(choice.unreachable(preference[0], now));
        assert!(!choice.unreachable(preference[0], now), "that was known");
        assert_eq!(choice.order(&token(1), now), preference[1..]);
        assert_eq!(choice.order(&token(1), now + Duration::from_secs(120)), preference);
        choice.reached(preference[0]);
        assert_eq!(choice.order(&token(1), now), preference);
    }

    #[test]
    fn if_nobody_is_left_all_are_tried() {
        let choice = providers(&["a", "b"]);
        let now = Instant::now();
        choice.unreachable(0, now);
        choice.unreachable(1, now);
        assert_eq!(choice.order(&token(1), now), choice.preference(&token(1)));
    }
}
