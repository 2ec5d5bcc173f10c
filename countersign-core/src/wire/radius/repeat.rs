//! Retransmissions: the same request gets the same answer (RFC 5080 §2.2.2).
//!
//! A client that hears nothing sends its request again, octet by octet the same. To
//! check the passcode a second time would refuse a user who was right.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    time::Duration,
};

use super::{authenticator::Authenticator, packet::Identifier};

/// The requests of late, by peer and identifier. `P` names a peer: address and port,
/// or a connection.
///
/// What is in progress is never forgotten. What was answered is forgotten after
/// [`Limits::keep`], or earlier when room is needed. `now` is the time since any
/// fixed moment, the same one for all calls.
pub struct Repeats<P> {
    entries: HashMap<Key<P>, Entry>,
    /// Every key of `entries` once, about the oldest first, with the time it was put there.
    order: VecDeque<(Duration, Key<P>)>,
    limits: Limits,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer is kept; RFC 5080 recommends 5 to 30 seconds.
    pub keep: Duration,
    /// How many requests at most.
    pub entries: usize,
}

/// What is known of a request that has just come in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "only New is to be handled"]
pub enum Seen {
    /// It is new, and in progress from now on.
    New,
    /// It is being handled: no answer yet.
    InProgress,
    /// It was answered with these octets.
    Answered(Vec<u8>),
    /// There is no room for a new one among those in progress.
    Full,
}

type Key<P> = (P, Identifier);

struct Entry {
    authenticator: Authenticator,
    at: Duration,
    state: State,
}

enum State {
    InProgress,
    Answered(Vec<u8>),
    Withdrawn,
}

impl<P: Copy + Eq + Hash> Repeats<P> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limits }
    }

    /// A request comes in. With another authenticator it takes the place of an earlier
    /// one, which its client has given up.
    pub fn begin(
        &mut self,
        peer: P,
        identifier: Identifier,
        authenticator: Authenticator,
        now: Duration,
    ) -> Seen {
        self.forget_some(now);
        let key = (peer, identifier);
        let new = Entry { authenticator, at: now, state: State::InProgress };
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.authenticator == authenticator && !entry.is_over(self.limits.keep, now) {
                return entry.seen();
            }
            *entry = new;
            return Seen::New;
        }
        if self.entries.len() >= self.limits.entries && !self.make_room(now) {
            return Seen::Full;
        }
        self.entries.insert(key, new);
        self.order.push_back((now, key));
        Seen::New
    }

    /// The request was answered; if it is sent again, this is the answer.
    pub fn answered(
        &mut self,
        peer: P,
        identifier: Identifier,
        authenticator: Authenticator,
        answer: Vec<u8>,
        now: Duration,
    ) {
        if let Some(entry) = self.find(peer, identifier, authenticator) {
            entry.at = now;
            entry.state = State::Answered(answer);
        }
    }

    /// The request will not be answered; if it is sent again, it is a new one.
    pub fn withdrawn(&mut self, peer: P, identifier: Identifier, authenticator: Authenticator) {
        if let Some(entry) = self.find(peer, identifier, authenticator) {
            entry.state = State::Withdrawn;
        }
    }

    /// How many requests are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(
        &mut self,
        peer: P,
        identifier: Identifier,
        authenticator: Authenticator,
    ) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&(peer, identifier))?;
        (entry.authenticator == authenticator).then_some(entry)
    }

    /// A few at a time, so that no request waits for a great cleaning; more than one,
    /// so that the number shrinks all the same.
    fn forget_some(&mut self, now: Duration) {
        let keep = self.limits.keep;
        for _ in 0..FORGET_PER_REQUEST {
            self.forget_first(now, |_, entry| entry.is_over(keep, now));
        }
    }

    fn make_room(&mut self, now: Duration) -> bool {
        (0..SEARCH_FOR_ROOM).any(|_| {
            self.forget_first(now, |queued, entry| !entry.is_in_progress() && entry.at <= queued)
        })
    }

    /// Forgets the first in order if it may go. If it is not the oldest after all, or in
    /// progress, it goes to the end of the order.
    fn forget_first(&mut self, now: Duration, may_go: impl Fn(Duration, &Entry) -> bool) -> bool {
        let Some((queued, key)) = self.order.pop_front() else { return false };
        let entry = self.entries.get(&key).expect("every key in order has an entry");
        if may_go(queued, entry) {
            self.entries.remove(&key);
            return true;
        }
        if entry.is_in_progress() {
            self.order.push_back((now, key));
        } else if entry.at > queued {
            self.order.push_back((entry.at, key));
        } else {
            self.order.push_front((queued, key));
        }
        false
    }
}

impl Entry {
    fn seen(&self) -> Seen {
        match &self.state {
            State::InProgress => Seen::InProgress,
            State::Answered(answer) => Seen::Answered(answer.clone()),
            State::Withdrawn => Seen::New,
        }
    }

    fn is_in_progress(&self) -> bool {
        matches!(self.state, State::InProgress)
    }

    fn is_over(&self, keep: Duration, now: Duration) -> bool {
        match self.state {
            State::InProgress => false,
            State::Answered(_) => now.saturating_sub(self.at) > keep,
            State::Withdrawn => true,
        }
    }
}

impl<P> fmt::Debug for Repeats<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repeats({} of {})", self.entries.len(), self.limits.entries)
    }
}

const FORGET_PER_REQUEST: usize = 2;
const SEARCH_FOR_ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Authenticator = Authenticator([1; 16]);
    const B: Authenticator = Authenticator([2; 16]);
    const ID: Identifier = Identifier(7);

    fn repeats(entries: usize) -> Repeats<u16> {
        Repeats::new(Limits { keep: seconds(10), entries })
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_repeated_request_waits_and_then_gets_the_same_answer() {
        let mut repeats = repeats(9);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(1, ID, A, seconds(50)), Seen::InProgress);
        repeats.answered(1, ID, A, vec![42], seconds(50));
        assert_eq!(repeats.begin(1, ID, A, seconds(60)), Seen::Answered(vec![42]));
        assert_eq!(repeats.begin(1, ID, A, seconds(61)), Seen::New, "ten seconds are over");
    }

    #[test]
    fn peer_identifier_and_authenticator_all_count() {
        let mut repeats = repeats(9);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(2, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(1, Identifier(8), A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(1, ID, B, seconds(0)), Seen::New);
    }

    #[test]
    fn the_late_answer_to_a_request_given_up_is_not_kept() {
        let mut repeats = repeats(9);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(1, ID, B, seconds(1)), Seen::New);
        repeats.answered(1, ID, A, vec![42], seconds(2));
        assert_eq!(repeats.begin(1, ID, B, seconds(3)), Seen::InProgress);
    }

    #[test]
    fn a_request_withdrawn_is_new_when_it_comes_again() {
        let mut repeats = repeats(9);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
        repeats.withdrawn(1, ID, A);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
    }

    #[test]
    fn what_is_in_progress_is_never_forgotten_and_fills_the_room() {
        let mut repeats = repeats(2);
        assert_eq!(repeats.begin(1, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(2, ID, A, seconds(0)), Seen::New);
        assert_eq!(repeats.begin(3, ID, A, seconds(1000)), Seen::Full);
        assert_eq!(repeats.begin(1, ID, A, seconds(1000)), Seen::InProgress);
    }

    #[test]
    fn an_old_answer_makes_room_and_what_is_in_progress_stays() {
        let mut repeats = repeats(3);
        for peer in [1, 2, 3] {
            assert_eq!(repeats.begin(peer, ID, A, seconds(0)), Seen::New);
        }
        repeats.answered(2, ID, A, vec![42], seconds(0));
        repeats.answered(3, ID, A, vec![43], seconds(0));
        assert_eq!(repeats.begin(4, ID, A, seconds(5)), Seen::New);
        assert_eq!(repeats.begin(1, ID, A, seconds(5)), Seen::InProgress);
        assert_eq!(repeats.begin(3, ID, A, seconds(5)), Seen::Answered(vec![43]));
        assert_eq!(repeats.begin(2, ID, A, seconds(5)), Seen::New, "the older answer went");
        assert_eq!(repeats.len(), 3);
    }

    #[test]
    fn old_answers_go_while_new_requests_come() {
        let mut repeats = repeats(1000);
        for peer in 0..100 {
            assert_eq!(repeats.begin(peer, ID, A, seconds(0)), Seen::New);
            repeats.answered(peer, ID, A, vec![42], seconds(0));
        }
        for peer in 100..200 {
            assert_eq!(repeats.begin(peer, ID, A, seconds(11)), Seen::New);
        }
        assert_eq!(repeats.len(), 100);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin(u16, u8),
        Answer(u16, u8),
        Withdraw(u16, u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let who = || (0u16..6, 0u8..2);
        prop_oneof![
            4 => who().prop_map(|(peer, which)| Step::Begin(peer, which)),
            2 => who().prop_map(|(peer, which)| Step::Answer(peer, which)),
            1 => who().prop_map(|(peer, which)| Step::Withdraw(peer, which)),
            1 => (0u64..8).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against a list of everything that was ever answered.
        #[test]
        fn never_grows_beyond_its_limit_and_never_gives_a_foreign_answer(
            steps in proptest::collection::vec(step(), 0..200)
        ) {
            let mut repeats = repeats(4);
            let mut now = seconds(0);
            let answer = |peer: u16, which: u8| vec![u8::try_from(peer).unwrap(), which];
            for step in steps {
                match step {
                    Step::Begin(peer, which) => {
                        let seen = repeats.begin(peer, ID, Authenticator([which; 16]), now);
                        if let Seen::Answered(octets) = seen {
                            prop_assert_eq!(octets, answer(peer, which));
                        }
                    }
                    Step::Answer(peer, which) => {
                        let octets = answer(peer, which);
                        repeats.answered(peer, ID, Authenticator([which; 16]), octets, now);
                    }
                    Step::Withdraw(peer, which) =>
                        repeats.withdrawn(peer, ID, Authenticator([which; 16])),
                    Step::Wait(time) => now += seconds(time),
                }
                prop_assert!(repeats.len() <= 4);
                prop_assert_eq!(repeats.len(), repeats.order.len());
            }
        }
    }
}
