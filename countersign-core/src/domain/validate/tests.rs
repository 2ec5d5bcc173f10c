//! Transcripts: what is typed when, and what becomes of it.

use std::num::NonZeroU32;

use super::*;
use crate::{
    domain::{
        account::Validity,
        attempt::{ListenerKind, Terms},
        counter::TokenCounter,
        id::{AccountId, CorrelationId},
        name::LoginName,
        parameters::Parameters,
        receipt::Stamp,
        token::Token,
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
};

mod password;
mod rounds;

/// What somebody types.
#[derive(Debug, Clone, Copy)]
enum Typed {
    /// The OTP of a factor.
    Otp(u64),
    /// The OTP of a factor of another device.
    OtherOtp(u64),
    /// A PIN and the OTP of a factor.
    Pin(&'static str, u64),
    /// Anything.
    Text(&'static str),
}
use Typed::{OtherOtp, Otp, Pin, Text};

impl Typed {
    fn passcode(self) -> Vec<u8> {
        match self {
            Otp(factor) => otp(SEED, factor),
            OtherOtp(factor) => otp(OTHER_SEED, factor),
            Pin(pin, factor) => [pin.as_bytes(), &otp(SEED, factor)].concat(),
            Text(text) => text.as_bytes().to_vec(),
        }
    }
}

fn otp(seed: &[u8], factor: u64) -> Vec<u8> {
    hotp(Algorithm::Sha1, seed, factor, Digits::SIX).as_bytes().to_vec()
}

/// The hash of a PIN is the PIN, that of a password the password.
struct PlainPins;

impl PinCheck for PlainPins {
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool {
        hash.0.as_bytes() == pin
    }

    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        hash.0.expose_bytes() == password
    }
}

/// An account over time: every decision is carried out.
struct Desk {
    subject: Subject<ClearSecret>,
    policy: Policy,
}

impl Desk {
    fn new(tokens: impl IntoIterator<Item = Holding<ClearSecret>>) -> Self {
        let account = Account::new(ACCOUNT, "alice".into());
        let failures = FailureCounter::default();
        let tokens = tokens.into_iter().collect();
        Self {
            subject: Subject { account, failures, tokens, password: None },
            policy: Policy::default(),
        }
    }

    fn decide(&self, at: u64, typed: Typed) -> Decision {
        self.decide_on(at, typed.passcode(), Terms::default())
    }

    fn decide_on(&self, at: u64, passcode: Vec<u8>, terms: Terms) -> Decision {
        let attempt = Attempt {
            correlation: CorrelationId::from_bytes([0; 16]),
            login: LoginName::parse("alice").unwrap(),
            passcode: Secret::new(passcode),
            listener: ListenerKind::Radius,
            peer: "vpn".into(),
            at: UnixTime(at),
            terms,
        };
        decide(&self.subject, &attempt, &self.policy, &PlainPins)
    }

    /// Decides and carries out.
    fn attempt(&mut self, at: u64, typed: Typed) -> Verdict {
        let Decision::Settled { verdict, change, .. } = self.decide(at, typed) else {
            panic!("asked an upstream at {at} for {typed:?}");
        };
        self.apply(&change);
        verdict
    }

    fn apply(&mut self, change: &Change) {
        if let Some(moved) = &change.failures {
            assert_eq!(moved.from, self.subject.failures);
            self.subject.failures = moved.to;
        }
        for moved in &change.tokens {
            let holding = self.subject.tokens.iter_mut().find(|held| held.token.id == moved.id);
            let counter = &mut holding.unwrap().counter;
            assert_eq!(moved.from, *counter);
            *counter = moved.to;
        }
    }

    /// Plays a transcript.
    fn play(&mut self, transcript: &[(u64, Typed, Reason)]) {
        for (line, (at, typed, reason)) in transcript.iter().enumerate() {
            let verdict = self.attempt(*at, *typed);
            assert_eq!(verdict.reason, *reason, "line {line}: {typed:?} at {at}");
            let accepted = matches!(reason, Reason::PasscodeCorrect | Reason::Resynchronised);
            assert_eq!(verdict.outcome == Outcome::Accepted, accepted, "line {line}");
        }
    }

    fn counter(&self, token: usize) -> TokenCounter {
        self.subject.tokens[token].counter
    }
}

fn holding(id: u8, kind: TokenKind, seed: Option<&[u8]>, next: u64) -> Holding<ClearSecret> {
    let token = Token {
        accounts: vec![ACCOUNT],
        ..Token::new(TokenId::from_bytes([id; 16]), format!("token {id}"), kind)
    };
    let counter = TokenCounter { next, ..TokenCounter::default() };
    let secret = seed.map(|seed| Secret::new(seed.to_vec()));
    Holding { token, counter, secret, parameters: Parameters::default() }
}

fn event_token(next: u64) -> Holding<ClearSecret> {
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    holding(1, kind, Some(SEED), next)
}

fn time_token() -> Holding<ClearSecret> {
    let period = NonZeroU32::new(30).unwrap();
    let kind = TokenKind::Totp { algorithm: Algorithm::Sha1, digits: Digits::SIX, period };
    holding(2, kind, Some(SEED), 0)
}

/// The question for an upstream, in the first round.
fn asked(upstream: &str, token: Option<TokenId>) -> Decision {
    Decision::Ask(
        Question { upstream: upstream.into(), token, user_name: None, resume: None }.into(),
    )
}

fn remote_token() -> Holding<ClearSecret> {
    holding(3, TokenKind::Remote { upstream: "old".into(), user_name: None }, None, 0)
}

fn with_pin(mut holding: Holding<ClearSecret>) -> Holding<ClearSecret> {
    holding.token.pin = Some(PinHash("4711".into()));
    holding
}

const ACCOUNT: AccountId = AccountId::from_bytes([9; 16]);
const SEED: &[u8] = b"12345678901234567890";
const OTHER_SEED: &[u8] = b"a seed of another one";
/// The first second of time step 60,000,000.
const T: u64 = 1_800_000_000;
const STEP: u64 = T / 30;

#[test]
fn event_token_is_accepted_within_its_look_ahead_and_once() {
    Desk::new([event_token(5)]).play(&[
        (T, Otp(5), Reason::PasscodeCorrect),
        (T, Otp(5), Reason::Replayed),
        (T, Otp(4), Reason::Replayed),
        (T, Otp(16), Reason::PasscodeCorrect),
        (T, Otp(6), Reason::Replayed),
        (T, Otp(28), Reason::OutOfStep),
        (T, Otp(17), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn time_token_is_accepted_one_step_around_and_once() {
    for offset in [-1, 0, 1] {
        let factor = STEP.saturating_add_signed(offset);
        Desk::new([time_token()]).play(&[
            (T, Otp(factor), Reason::PasscodeCorrect),
            (T, Otp(factor), Reason::Replayed),
            (T + 30, Otp(factor), Reason::Replayed),
        ]);
    }
}

#[test]
fn spent_steps_stay_spent_when_the_clock_goes_back() {
    Desk::new([time_token()]).play(&[
        (T, Otp(STEP), Reason::PasscodeCorrect),
        (T - 30, Otp(STEP), Reason::Replayed),
        (T - 30, Otp(STEP - 1), Reason::Replayed),
        (T - 3600, Otp(STEP - 120), Reason::Replayed),
        (T + 1, Otp(STEP + 1), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn what_is_no_passcode_is_wrong() {
    for typed in ["", "1", "75522", "7552244", "75522４", "75522\0", " 755224", "755224 ", "abcdef"]
    {
        let mut desk = Desk::new([event_token(0)]);
        desk.play(&[(T, Text(typed), Reason::WrongPasscode), (T, Otp(0), Reason::PasscodeCorrect)]);
    }
}

#[test]
fn pin_stands_before_the_otp() {
    Desk::new([with_pin(event_token(0))]).play(&[
        (T, Pin("4711", 0), Reason::PasscodeCorrect),
        (T, Pin("4711", 0), Reason::Replayed),
        (T, Text("4711000000"), Reason::WrongPasscode),
        (T, Pin("4711", 1), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn otp_behind_a_wrong_pin_is_spent_and_counted() {
    for wrong in [Otp(0), Pin("4712", 0), Pin("47111", 0), Pin("471", 0)] {
        let mut desk = Desk::new([with_pin(event_token(0))]);
        desk.play(&[(T, wrong, Reason::WrongPin)]);
        assert_eq!(desk.subject.failures.failures, 1);
        desk.play(&[
            (T, Pin("4711", 0), Reason::Replayed),
            (T, Pin("4711", 1), Reason::PasscodeCorrect),
        ]);
    }
}

#[test]
fn replay_counts_no_failure_whatever_the_pin() {
    let mut desk = Desk::new([with_pin(event_token(0))]);
    desk.play(&[
        (T, Pin("4711", 0), Reason::PasscodeCorrect),
        (T, Pin("4711", 0), Reason::Replayed),
        (T, Pin("0000", 0), Reason::Replayed),
    ]);
    assert_eq!(desk.subject.failures, FailureCounter::default());
}

#[test]
fn second_consecutive_otp_resynchronises_an_event_token() {
    let mut desk = Desk::new([event_token(5)]);
    desk.play(&[
        (T, Otp(60), Reason::OutOfStep),
        (T, Otp(61), Reason::Resynchronised),
        (T, Otp(61), Reason::Replayed),
        (T, Otp(60), Reason::Replayed),
        (T, Otp(62), Reason::PasscodeCorrect),
    ]);
    assert_eq!(
        desk.counter(0),
        TokenCounter { next: 63, drift: 0, resync: 0, receipt: Stamp::default() }
    );
    assert_eq!(desk.subject.failures.failures, 0);
}

#[test]
fn anything_between_ends_a_resynchronisation() {
    for (between, reason) in [
        (Text("000000"), Reason::WrongPasscode),
        (Text(""), Reason::WrongPasscode),
        (Otp(4), Reason::Replayed),
        (Otp(5), Reason::PasscodeCorrect),
    ] {
        Desk::new([event_token(5)]).play(&[
            (T, Otp(60), Reason::OutOfStep),
            (T, between, reason),
            (T, Otp(61), Reason::OutOfStep),
            (T + 60, Otp(62), Reason::Resynchronised),
        ]);
    }
}

#[test]
fn a_gap_of_one_begins_the_resynchronisation_anew() {
    Desk::new([event_token(5)]).play(&[
        (T, Otp(60), Reason::OutOfStep),
        (T, Otp(62), Reason::OutOfStep),
        (T + 1, Otp(63), Reason::Resynchronised),
    ]);
}

#[test]
fn the_same_otp_twice_does_not_resynchronise() {
    Desk::new([event_token(5)]).play(&[
        (T, Otp(60), Reason::OutOfStep),
        (T, Otp(60), Reason::OutOfStep),
        (T, Otp(61), Reason::Resynchronised),
    ]);
}

#[test]
fn resynchronisation_ends_at_its_window() {
    let mut desk = Desk::new([event_token(5)]);
    desk.play(&[
        (T, Otp(115), Reason::OutOfStep),
        (T, Text("000000"), Reason::WrongPasscode),
        (T, Otp(116), Reason::WrongPasscode),
    ]);
    desk.policy.hotp.resync_window = 0;
    desk.play(&[(T + 100, Otp(16), Reason::WrongPasscode)]);
}

#[test]
fn resynchronisation_needs_the_pin_both_times() {
    let mut desk = Desk::new([with_pin(event_token(5))]);
    desk.play(&[
        (T, Pin("0000", 60), Reason::WrongPasscode),
        (T, Pin("4711", 61), Reason::OutOfStep),
        (T, Pin("0000", 62), Reason::WrongPin),
    ]);
    assert_eq!(desk.counter(0).next, 63);
}

#[test]
fn time_token_is_brought_back_and_its_drift_remembered() {
    let mut desk = Desk::new([time_token()]);
    desk.play(&[
        (T, Otp(STEP + 8), Reason::OutOfStep),
        (T + 30, Otp(STEP + 9), Reason::Resynchronised),
        (T + 60, Otp(STEP + 10), Reason::PasscodeCorrect),
    ]);
    assert_eq!(
        desk.counter(0),
        TokenCounter { next: STEP + 11, drift: 8, resync: 0, receipt: Stamp::default() }
    );
}

#[test]
fn drift_follows_a_slow_clock_but_not_beyond_its_bound() {
    let mut desk = Desk::new([time_token()]);
    for day in 1..=30 {
        let now = T + 86_400 * day;
        let verdict = desk.attempt(now, Otp(now / 30 - day));
        assert_eq!(verdict.outcome == Outcome::Accepted, day <= 21, "day {day}");
    }
    assert_eq!(desk.counter(0).drift, -20);
    let now = T + 86_400 * 31;
    desk.play(&[(now, Otp(now / 30 - 30), Reason::WrongPasscode)]);
}

#[test]
fn an_old_resynchronisation_of_a_time_token_leads_nowhere() {
    Desk::new([time_token()]).play(&[
        (T, Otp(STEP - 8), Reason::OutOfStep),
        (T + 3600, Otp(STEP - 7), Reason::WrongPasscode),
    ]);
}

#[test]
fn failures_throttle_then_lock_and_a_success_clears_them() {
    let mut desk = Desk::new([event_token(0)]);
    desk.play(&[
        (T, Text("000000"), Reason::WrongPasscode),
        (T, Text("000000"), Reason::WrongPasscode),
        (T, Text("000000"), Reason::WrongPasscode),
        (T, Otp(0), Reason::Throttled),
        (T + 1, Text("000000"), Reason::WrongPasscode),
        (T + 2, Otp(0), Reason::Throttled),
        (T + 3, Otp(0), Reason::PasscodeCorrect),
    ]);
    assert_eq!(desk.subject.failures, FailureCounter::default());
    for attempt in 1..=10 {
        let wrong = (T + 100 * attempt, Text("000000"), Reason::WrongPasscode);
        desk.play(&[wrong]);
    }
    desk.play(&[
        (T + 1899, Otp(1), Reason::LockedOut),
        (T + 1899, Otp(1), Reason::LockedOut),
        (T + 1900, Otp(1), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn a_lock_is_anchored_when_the_clock_went_back() {
    let mut desk = Desk::new([event_token(0)]);
    desk.subject.failures =
        FailureCounter { failures: 10, last: UnixTime(T + 1_000_000), receipt: Stamp::default() };
    desk.play(&[
        (T, Otp(0), Reason::LockedOut),
        (T + 899, Otp(0), Reason::LockedOut),
        (T + 900, Otp(0), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn account_state_comes_before_everything_else() {
    let span =
        |from, to| Validity { not_before: Some(UnixTime(from)), not_after: Some(UnixTime(to)) };
    let cases = [
        (true, span(T, T), Reason::AccountDisabled),
        (false, span(T + 1, T + 2), Reason::AccountNotYetValid),
        (false, span(T - 2, T - 1), Reason::AccountExpired),
        (false, span(T, T), Reason::PasscodeCorrect),
    ];
    for (disabled, validity, reason) in cases {
        let mut desk = Desk::new([event_token(0)]);
        desk.subject.account.disabled = disabled;
        desk.subject.account.validity = validity;
        desk.play(&[(T, Otp(0), reason)]);
        assert_eq!(desk.subject.failures.failures, 0);
    }
}

#[test]
fn only_usable_tokens_are_asked() {
    Desk::new([]).play(&[(T, Otp(0), Reason::NoToken)]);
    let expired = Validity { not_before: None, not_after: Some(UnixTime(T - 1)) };
    let future = Validity { not_before: Some(UnixTime(T + 1)), not_after: None };
    let spoil: [fn(&mut Token, Validity); 2] =
        [|token, _| token.disabled = true, |token, validity| token.validity = validity];
    for (spoil, validity) in [(spoil[0], expired), (spoil[1], expired), (spoil[1], future)] {
        let mut spoiled = event_token(0);
        spoil(&mut spoiled.token, validity);
        let mut desk = Desk::new([spoiled.clone()]);
        desk.play(&[(T, Otp(0), Reason::NoUsableToken)]);
        assert_eq!(desk.subject.failures.failures, 0);
        Desk::new([spoiled, time_token()]).play(&[(T, Otp(0), Reason::WrongPasscode)]);
    }
}

#[test]
fn a_token_without_its_secret_is_not_usable() {
    let mut broken = event_token(0);
    broken.secret = None;
    Desk::new([broken]).play(&[(T, Otp(0), Reason::NoUsableToken)]);
}

#[test]
fn the_token_that_knows_the_passcode_decides() {
    let mut other = time_token();
    other.secret = Some(Secret::new(OTHER_SEED.to_vec()));
    let mut desk = Desk::new([with_pin(event_token(0)), other]);
    assert_eq!(desk.attempt(T, OtherOtp(STEP)).token, Some(TokenId::from_bytes([2; 16])));
    assert_eq!(desk.attempt(T, Pin("4711", 0)).token, Some(TokenId::from_bytes([1; 16])));
    assert_eq!(desk.attempt(T, Text("000000")).token, None);
}

#[test]
fn two_tokens_with_one_secret_do_not_take_an_otp_twice() {
    let mut twin = event_token(0);
    twin.token.id = TokenId::from_bytes([7; 16]);
    let mut desk = Desk::new([event_token(0), twin]);
    desk.play(&[(T, Otp(3), Reason::PasscodeCorrect), (T, Otp(3), Reason::Replayed)]);
    assert_eq!(desk.counter(1).next, 4);
}

#[test]
fn success_with_one_token_ends_the_resynchronisation_of_another() {
    let mut other = time_token();
    other.secret = Some(Secret::new(OTHER_SEED.to_vec()));
    Desk::new([event_token(5), other]).play(&[
        (T, Otp(60), Reason::OutOfStep),
        (T, OtherOtp(STEP), Reason::PasscodeCorrect),
        (T, Otp(61), Reason::OutOfStep),
    ]);
}

#[test]
fn remote_account_is_asked_about_even_when_failures_abound() {
    let mut desk = Desk::new([event_token(0)]);
    desk.subject.account.authentication = Authentication::Upstream("old".into());
    desk.subject.failures =
        FailureCounter { failures: 100, last: UnixTime(T), receipt: Stamp::default() };
    let ask = asked("old", None);
    assert_eq!(desk.decide(T, Otp(0)), ask);
    desk.subject.account.disabled = true;
    desk.play(&[(T, Otp(0), Reason::AccountDisabled)]);
}

#[test]
fn remote_token_is_asked_about_what_no_local_token_knows() {
    let mut desk = Desk::new([remote_token(), event_token(5)]);
    let ask = asked("old", Some(TokenId::from_bytes([3; 16])));
    for typed in [Text("secret phrase"), Text("000000"), Otp(300)] {
        assert_eq!(desk.decide(T, typed), ask, "{typed:?}");
    }
    desk.play(&[
        (T, Otp(5), Reason::PasscodeCorrect),
        (T, Otp(5), Reason::Replayed),
        (T, Otp(60), Reason::OutOfStep),
        (T, Otp(61), Reason::Resynchronised),
    ]);
    desk.subject.tokens[0].token.disabled = true;
    desk.play(&[(T, Text("000000"), Reason::WrongPasscode)]);
}

#[test]
fn remote_token_is_not_asked_while_throttled() {
    let mut desk = Desk::new([remote_token()]);
    desk.subject.failures =
        FailureCounter { failures: 5, last: UnixTime(T), receipt: Stamp::default() };
    desk.play(&[(T, Text("x"), Reason::Throttled)]);
}

#[test]
fn answer_of_an_upstream_moves_the_failures_of_a_remote_token_only() {
    let mut desk = Desk::new([remote_token()]);
    let token = Some(TokenId::from_bytes([3; 16]));
    let policy = LockoutPolicy::default();
    let after = |desk: &Desk, token, outcome| {
        upstream_change(&desk.subject, token, outcome, &policy, UnixTime(T))
    };
    assert!(after(&desk, None, Outcome::Rejected).is_empty());
    assert!(after(&desk, token, Outcome::Unavailable).is_empty());
    assert!(after(&desk, token, Outcome::Challenged).is_empty());
    assert!(after(&desk, token, Outcome::Accepted).is_empty());
    desk.apply(&after(&desk, token, Outcome::Rejected));
    assert_eq!(
        desk.subject.failures,
        FailureCounter { failures: 1, last: UnixTime(T), receipt: Stamp::default() }
    );
    desk.apply(&after(&desk, token, Outcome::Accepted));
    assert_eq!(desk.subject.failures, FailureCounter::default());
}

#[test]
fn the_last_counter_cannot_be_reached() {
    let mut desk = Desk::new([event_token(u64::MAX - 2)]);
    desk.play(&[
        (T, Otp(u64::MAX - 2), Reason::PasscodeCorrect),
        (T, Otp(u64::MAX - 1), Reason::PasscodeCorrect),
        (T, Otp(u64::MAX), Reason::WrongPasscode),
        (T, Otp(u64::MAX - 1), Reason::Replayed),
        (T, Otp(0), Reason::WrongPasscode),
    ]);
    assert_eq!(desk.counter(0).next, u64::MAX);
}

#[test]
fn time_at_both_ends_panics_nowhere() {
    for at in [0, 1, 29, 30, u64::MAX - 1, u64::MAX] {
        let mut desk = Desk::new([time_token()]);
        desk.subject.tokens[0].counter.drift = i32::MIN;
        desk.play(&[(at, Text("000000"), Reason::WrongPasscode)]);
        desk.subject.tokens[0].counter = TokenCounter {
            next: u64::MAX,
            drift: i32::MAX,
            resync: u32::MAX,
            receipt: Stamp::default(),
        };
        desk.play(&[(at, Text("000000"), Reason::WrongPasscode)]);
    }
}

#[test]
fn windows_of_the_policy_are_bounded() {
    let mut desk = Desk::new([event_token(0)]);
    desk.policy.hotp.look_ahead = u32::MAX;
    desk.policy.hotp.resync_window = u32::MAX;
    desk.play(&[
        (T, Otp(1101), Reason::WrongPasscode),
        (T, Otp(1100), Reason::OutOfStep),
        (T, Otp(100), Reason::PasscodeCorrect),
    ]);
}

/// Two factors of one window with the same OTP: 6 digits do that once in a while.
#[test]
fn digits_that_stand_twice_in_a_window_are_spent_at_once() {
    let (first, second) = twins();
    let mut desk = Desk::new([event_token(first)]);
    desk.play(&[
        (T, Otp(first), Reason::PasscodeCorrect),
        (T, Otp(first), Reason::Replayed),
        (T, Otp(second), Reason::Replayed),
    ]);
    assert_eq!(desk.counter(0).next, second + 1);
    // The first of them spent before: the second is not given to the same digits.
    Desk::new([event_token(first + 1)]).play(&[(T, Otp(second), Reason::Replayed)]);
}

/// The first two factors, ten apart at most, whose OTPs are the same.
fn twins() -> (u64, u64) {
    let otps: Vec<_> = (0..200_000).map(|factor| otp(SEED, factor)).collect();
    let pairs = (0..otps.len())
        .flat_map(|first| (first + 1..first + 10).map(move |second| (first, second)));
    let same = |(first, second): &(usize, usize)| otps.get(*first) == otps.get(*second);
    let (first, second) = pairs.into_iter().find(same).unwrap();
    (first.try_into().unwrap(), second.try_into().unwrap())
}

#[test]
fn administrator_resynchronises_with_two_otps_in_order() {
    let found = |holding: &Holding<ClearSecret>, first, second| {
        let otps = [otp(SEED, first), otp(SEED, second)];
        let otps = [otps[0].as_slice(), otps[1].as_slice()];
        crate::domain::step::resynchronise(holding, &Policy::default(), UnixTime(T), otps)
    };
    let event = event_token(5);
    assert_eq!(found(&event, 900, 901), Some(TokenCounter { next: 902, ..event.counter }));
    assert_eq!(found(&event, 901, 900), None);
    assert_eq!(found(&event, 900, 902), None);
    assert_eq!(found(&event, 900, 900), None);
    assert_eq!(found(&event, 3, 4), None);
    assert_eq!(found(&event, 4, 5), None);
    assert_eq!(found(&event, 2000, 2001), None);
    assert_eq!(found(&event_token(u64::MAX), u64::MAX - 1, u64::MAX), None);
    let time = time_token();
    let expected = TokenCounter { next: STEP - 8, drift: -9, resync: 0, receipt: Stamp::default() };
    assert_eq!(found(&time, STEP - 10, STEP - 9), Some(expected));
    assert_eq!(found(&time, STEP - 100, STEP - 99), None);
    assert_eq!(found(&remote_token(), 0, 1), None);
}
