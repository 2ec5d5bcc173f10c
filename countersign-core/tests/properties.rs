//! What must hold for every decision, whatever is typed and however the clock runs.
//!
//! OTPs have ten digits here, so that two factors practically never share one.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::num::NonZeroU32;

use countersign_core::{
    domain::{
        account::Account,
        attempt::{Attempt, ListenerKind, Terms},
        counter::{Change, FailureCounter, TokenCounter},
        id::{AccountId, CorrelationId, TokenId},
        name::LoginName,
        parameters::Parameters,
        password::PasswordHash,
        policy::Policy,
        subject::{ClearSecret, Holding, Subject},
        time::UnixTime,
        token::{PinHash, Token, TokenKind},
        validate::{PinCheck, decide},
        verdict::{Decision, Outcome, Reason},
    },
    oath::hotp::{Algorithm, Digits, hotp},
    secret::Secret,
};
use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn an_accepted_passcode_is_never_accepted_again(
        time_based: bool,
        has_pin: bool,
        drift in -20..=20_i32,
        offset in -1..=10_i64,
        later in vec(-100_000..100_000_i64, 1..20),
    ) {
        let mut subject = subject(time_based, has_pin);
        subject.tokens[0].counter = TokenCounter { next: 100, drift, ..TokenCounter::default() };
        let expected = if time_based { START / 30 } else { 100 };
        let factor = expected.saturating_add_signed(offset + if time_based { drift.into() } else { 0 });
        let typed = Typed { pin: has_pin, factor };
        let (outcome, _) = step(&mut subject, START, typed);
        prop_assume!(outcome == Outcome::Accepted);
        for seconds in later {
            let (outcome, reason) = step(&mut subject, START.saturating_add_signed(seconds), typed);
            prop_assert_ne!(outcome, Outcome::Accepted, "{:?} after {} s", reason, seconds);
        }
    }

    #[test]
    fn no_spent_factor_is_accepted(
        time_based: bool,
        next in 0..5000_u64,
        back in 1..2000_u64,
        ahead in -100..100_i64,
        resync in 0..200_u32,
    ) {
        let mut subject = subject(time_based, false);
        let next = if time_based { next + START / 30 } else { next };
        subject.tokens[0].counter = TokenCounter { next, resync, ..TokenCounter::default() };
        let now = if time_based { (next * 30).saturating_add_signed(30 * ahead) } else { START };
        let spent = Typed { pin: false, factor: next.saturating_sub(back) };
        prop_assume!(next > 0);
        prop_assert_ne!(step(&mut subject, now, spent).0, Outcome::Accepted);
    }

    #[test]
    fn counters_never_go_back_and_drift_stays_bounded(
        time_based: bool,
        has_pin: bool,
        acts in vec((-200..200_i64, -130..130_i64, any::<bool>()), 1..60),
    ) {
        let mut subject = subject(time_based, has_pin);
        // Only the counters are looked at here; no attempt shall end at the gate.
        let mut now = START;
        for (seconds, offset, pin) in acts {
            now = now.saturating_add_signed(seconds);
            subject.failures = FailureCounter::default();
            let before = subject.tokens[0].counter;
            let centre = if time_based { now / 30 } else { before.next };
            let factor = centre.saturating_add_signed(if time_based { offset / 4 } else { offset });
            let (outcome, reason) = step(&mut subject, now, Typed { pin, factor });
            let after = subject.tokens[0].counter;
            prop_assert!(after.next >= before.next);
            prop_assert!(after.drift.unsigned_abs() <= Policy::default().totp.resync_window);
            prop_assert_eq!(after.resync != 0, reason == Reason::OutOfStep);
            if outcome == Outcome::Accepted {
                prop_assert!(factor >= before.next);
                prop_assert_eq!(after.next, factor + 1);
            }
        }
    }

    #[test]
    fn consecutive_otps_within_reach_always_resynchronise(
        time_based: bool,
        offset in 12..100_u64,
    ) {
        let mut subject = subject(time_based, true);
        subject.tokens[0].counter.next = 7;
        let first = if time_based { START / 30 + 2 + offset % 18 } else { 7 + offset };
        let begun = step(&mut subject, START, Typed { pin: true, factor: first });
        let done = step(&mut subject, START + 30, Typed { pin: true, factor: first + 1 });
        prop_assert_eq!(begun.1, Reason::OutOfStep);
        prop_assert_eq!(done.1, Reason::Resynchronised);
    }

    #[test]
    fn nothing_typed_at_any_time_in_any_state_panics(
        time_based: bool,
        has_pin: bool,
        passcode in vec(any::<u8>(), 0..80),
        next: u64,
        drift: i32,
        resync: u32,
        failures: u32,
        last: u64,
        now: u64,
    ) {
        let mut subject = subject(time_based, has_pin);
        subject.tokens[0].counter = TokenCounter { next, drift, resync, ..TokenCounter::default() };
        subject.failures = FailureCounter { failures, last: UnixTime(last), ..FailureCounter::default() };
        let decision = decide(&subject, &attempt(now, passcode), &Policy::default(), &PlainPins);
        let Decision::Settled { change, .. } = decision else { panic!("nothing is remote") };
        apply(&mut subject, &change);
    }
}

/// The OTP of a factor, with or without the PIN before it.
#[derive(Debug, Clone, Copy)]
struct Typed {
    pin: bool,
    factor: u64,
}

/// One attempt, decided and carried out.
fn step(subject: &mut Subject<ClearSecret>, at: u64, typed: Typed) -> (Outcome, Reason) {
    let otp = hotp(Algorithm::Sha256, SEED, typed.factor, digits());
    let pin = if typed.pin { PIN } else { "" };
    let attempt = attempt(at, [pin.as_bytes(), otp.as_bytes()].concat());
    let decision = decide(subject, &attempt, &Policy::default(), &PlainPins);
    let Decision::Settled { verdict, change, .. } = decision else { panic!("nothing is remote") };
    apply(subject, &change);
    (verdict.outcome, verdict.reason)
}

fn apply(subject: &mut Subject<ClearSecret>, change: &Change) {
    if let Some(moved) = &change.failures {
        assert_eq!(moved.from, subject.failures);
        subject.failures = moved.to;
    }
    for moved in &change.tokens {
        assert_eq!(moved.from, subject.tokens[0].counter);
        subject.tokens[0].counter = moved.to;
    }
}

fn attempt(at: u64, passcode: Vec<u8>) -> Attempt {
    Attempt {
        correlation: CorrelationId::from_bytes([0; 16]),
        login: LoginName::parse("alice").unwrap(),
        passcode: Secret::new(passcode),
        listener: ListenerKind::Radius,
        peer: "vpn".into(),
        at: UnixTime(at),
        terms: Terms::default(),
    }
}

fn subject(time_based: bool, has_pin: bool) -> Subject<ClearSecret> {
    let (algorithm, digits) = (Algorithm::Sha256, digits());
    let kind = if time_based {
        TokenKind::Totp { algorithm, digits, period: NonZeroU32::new(30).unwrap() }
    } else {
        TokenKind::Hotp { algorithm, digits }
    };
    let token = Token {
        accounts: vec![AccountId::from_bytes([9; 16])],
        pin: has_pin.then(|| PinHash(PIN.into())),
        ..Token::new(TokenId::from_bytes([1; 16]), "phone".into(), kind)
    };
    let secret = Some(Secret::new(SEED.to_vec()));
    let account = Account::new(AccountId::from_bytes([9; 16]), "alice".into());
    let holding = Holding {
        token,
        counter: TokenCounter::default(),
        secret,
        parameters: Parameters::default(),
    };
    Subject { account, failures: FailureCounter::default(), tokens: vec![holding], password: None }
}

fn digits() -> Digits {
    Digits::try_from(10).unwrap()
}

/// A PIN's hash is the PIN.
struct PlainPins;

impl PinCheck for PlainPins {
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool {
        hash.0.as_bytes() == pin
    }

    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        hash.0.expose_bytes() == password
    }
}

const START: u64 = 1_800_000_000;
const SEED: &[u8] = b"12345678901234567890123456789012";
const PIN: &str = "4711";
