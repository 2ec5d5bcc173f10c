//! Static passwords, token identifiers, token parameters; accounts that others decide about.

use super::*;
use crate::domain::{attempt::ListenerKind, password::PasswordRule};

const PASSWORD: &[u8] = b"correct horse";

/// An account whose store keeps passwords.
fn desk(tokens: impl IntoIterator<Item = Holding<ClearSecret>>) -> Desk {
    let mut desk = Desk::new(tokens);
    desk.subject.password = Some(vec![hash(b"an older one"), hash(PASSWORD)]);
    desk
}

fn hash(password: &[u8]) -> PasswordHash {
    PasswordHash(Secret::new(password.to_vec()))
}

fn identified(identifier: &str) -> Holding<ClearSecret> {
    let mut holding = event_token(0);
    holding.token.identifier = Some(identifier.into());
    holding
}

fn says(desk: &mut Desk, parts: &[&[u8]], terms: Terms) -> (Outcome, Reason) {
    let Decision::Settled { verdict, change, .. } = desk.decide_on(T, parts.concat(), terms) else {
        panic!("no upstream is asked");
    };
    desk.apply(&change);
    (verdict.outcome, verdict.reason)
}

fn ruled(password: PasswordRule) -> Terms {
    Terms { password, ..Terms::default() }
}

fn declining() -> Terms {
    Terms { may_decline: true, ..Terms::default() }
}

const ACCEPTED: (Outcome, Reason) = (Outcome::Accepted, Reason::PasscodeCorrect);

#[test]
fn password_and_otp_are_both_asked_for_and_any_of_the_passwords_will_do() {
    let mut desk = desk([event_token(0)]);
    assert_eq!(says(&mut desk, &[PASSWORD, &otp(SEED, 0)], Terms::default()), ACCEPTED);
    assert_eq!(says(&mut desk, &[b"an older one", &otp(SEED, 1)], Terms::default()), ACCEPTED);
    let alone = says(&mut desk, &[&otp(SEED, 2)], Terms::default());
    assert_eq!(alone, (Outcome::Rejected, Reason::WrongPassword));
}

#[test]
fn an_otp_behind_a_wrong_password_is_spent_and_counts_as_a_failure() {
    let mut desk = desk([event_token(0)]);
    let wrong = says(&mut desk, &[b"wrong", &otp(SEED, 0)], Terms::default());
    assert_eq!(wrong, (Outcome::Rejected, Reason::WrongPassword));
    assert_eq!((desk.subject.failures.failures, desk.counter(0).next), (1, 1));
    let again = says(&mut desk, &[PASSWORD, &otp(SEED, 0)], Terms::default());
    assert_eq!(again, (Outcome::Rejected, Reason::Replayed));
}

#[test]
fn a_right_password_without_the_right_otp_is_a_wrong_passcode() {
    let mut desk = desk([event_token(0)]);
    for parts in [&[PASSWORD, b"000000"][..], &[PASSWORD], &[b"000000"], &[b"12345"], &[b""]] {
        desk.subject.failures = FailureCounter::default();
        let refused = says(&mut desk, parts, Terms::default());
        assert_eq!(refused, (Outcome::Rejected, Reason::WrongPasscode));
    }
}

#[test]
fn an_account_without_any_password_is_let_in_by_none() {
    let mut desk = desk([event_token(0)]);
    desk.subject.password = Some(Vec::new());
    let refused = says(&mut desk, &[b"", &otp(SEED, 0)], Terms::default());
    assert_eq!(refused, (Outcome::Rejected, Reason::WrongPassword));
}

#[test]
fn the_token_identifier_stands_between_password_and_otp_in_any_case() {
    let mut desk = desk([identified("ubhe07654321")]);
    let all: [&[u8]; 3] = [PASSWORD, b"ubhe07654321", &otp(SEED, 0)];
    assert_eq!(says(&mut desk, &all, Terms::default()), ACCEPTED);
    let capitals: [&[u8]; 3] = [PASSWORD, b"UBHE07654321", &otp(SEED, 1)];
    assert_eq!(says(&mut desk, &capitals, Terms::default()), ACCEPTED);
    for other in [&b"ubhe07654322"[..], b"", b"7654321"] {
        desk.subject.failures = FailureCounter::default();
        let refused = says(&mut desk, &[PASSWORD, other, &otp(SEED, 2)], Terms::default());
        assert_eq!(refused, (Outcome::Rejected, Reason::WrongPasscode));
    }
    assert_eq!(desk.counter(0).next, 2, "an OTP behind another device's identifier is not spent");
}

#[test]
fn a_comparison_takes_identifier_and_otp_alone() {
    let mut desk = desk([identified("ubhe07654321")]);
    let with =
        says(&mut desk, &[PASSWORD, b"ubhe07654321", &otp(SEED, 0)], ruled(PasswordRule::NotAsked));
    assert_eq!(with, (Outcome::Rejected, Reason::WrongPasscode));
    let alone = says(&mut desk, &[b"ubhe07654321", &otp(SEED, 0)], ruled(PasswordRule::NotAsked));
    assert_eq!(alone, ACCEPTED);
}

#[test]
fn what_is_checked_elsewhere_may_be_anything() {
    let mut desk = desk([with_pin(identified("ubhe07654321"))]);
    for (factor, typed) in [&b"anything"[..], b"", b"\0\xff", b"4711"].into_iter().enumerate() {
        let code = otp(SEED, factor.try_into().unwrap());
        let parts: [&[u8]; 3] = [typed, b"ubhe07654321", &code];
        assert_eq!(says(&mut desk, &parts, ruled(PasswordRule::Elsewhere)), ACCEPTED);
    }
}

#[test]
fn the_otp_is_enough_where_the_policy_says_so() {
    let mut desk = desk([event_token(0)]);
    desk.policy.password.otp_alone = vec![ListenerKind::Radius];
    assert_eq!(says(&mut desk, &[&otp(SEED, 0)], Terms::default()), ACCEPTED);
    let both = says(&mut desk, &[PASSWORD, &otp(SEED, 1)], Terms::default());
    assert_eq!(both, (Outcome::Rejected, Reason::WrongPasscode));
    desk.policy.password.otp_alone = vec![ListenerKind::Otpce];
    assert_eq!(says(&mut desk, &[PASSWORD, &otp(SEED, 1)], Terms::default()), ACCEPTED);
}

#[test]
fn the_password_may_come_first_where_a_pin_may() {
    let mut desk = desk([event_token(0)]);
    desk.policy.challenge.pin_first = true;
    let terms = Terms { may_challenge: true, ..Terms::default() };
    let first = desk.decide_on(T, PASSWORD.to_vec(), terms.clone());
    let Decision::Settled { verdict, next: Some(prior), .. } = first else {
        panic!("it is answered by a challenge");
    };
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Challenged, Reason::PinRight));
    let second = Terms { prior: Some(*prior), ..terms };
    assert_eq!(says(&mut desk, &[&otp(SEED, 0)], second), ACCEPTED);
}

#[test]
fn every_password_is_tried_once_per_length() {
    struct Counting(std::cell::Cell<u32>);
    impl PinCheck for Counting {
        fn matches(&self, _: &PinHash, _: &[u8]) -> bool {
            panic!("there is no PIN");
        }
        fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool {
            self.0.set(self.0.get() + 1);
            hash.0.expose_bytes() == password
        }
    }
    let desk = desk([event_token(0), time_token()]);
    let pins = Counting(std::cell::Cell::new(0));
    let attempt = Attempt {
        passcode: Secret::new([PASSWORD, &otp(SEED, 0)].concat()),
        ..attempt(Terms::default())
    };
    let _ = decide(&desk.subject, &attempt, &desk.policy, &pins);
    assert_eq!(pins.0.get(), 2, "two hashes, and both tokens end at the same octet");
}

fn attempt(terms: Terms) -> Attempt {
    Attempt {
        correlation: CorrelationId::from_bytes([0; 16]),
        login: LoginName::parse("alice").unwrap(),
        passcode: Secret::new(Vec::new()),
        listener: ListenerKind::BackSock,
        peer: "slapd".into(),
        at: UnixTime(T),
        terms,
    }
}

#[test]
fn an_account_without_tokens_is_declined_only_where_somebody_else_decides() {
    let mut desk = desk([]);
    let declined = says(&mut desk, &[PASSWORD], declining());
    assert_eq!(declined, (Outcome::Declined, Reason::NoToken));
    let refused = says(&mut desk, &[PASSWORD], Terms::default());
    assert_eq!(refused, (Outcome::Rejected, Reason::NoToken));
    desk.subject.account.disabled = true;
    let refused = says(&mut desk, &[PASSWORD], declining());
    assert_eq!(refused, (Outcome::Rejected, Reason::AccountDisabled), "who is switched off is out");
}

#[test]
fn an_account_whose_token_cannot_be_used_is_never_declined() {
    let mut switched_off = event_token(0);
    switched_off.token.disabled = true;
    let refused = says(&mut desk([switched_off]), &[PASSWORD], declining());
    assert_eq!(refused, (Outcome::Rejected, Reason::NoUsableToken));
    let mut uninitialised = event_token(0);
    uninitialised.secret = None;
    let refused = says(&mut desk([uninitialised]), &[PASSWORD], declining());
    assert_eq!(refused, (Outcome::Rejected, Reason::NoUsableToken));
}

#[test]
fn a_token_follows_its_own_parameters() {
    let mut narrow = event_token(0);
    narrow.parameters.look_ahead = Some(2);
    let mut desk = Desk::new([narrow]);
    desk.play(&[(T, Otp(3), Reason::OutOfStep), (T, Otp(2), Reason::PasscodeCorrect)]);
    let mut wide = time_token();
    wide.parameters.window = Some(5);
    Desk::new([wide]).play(&[(T, Otp(STEP + 5), Reason::PasscodeCorrect)]);
}

#[test]
fn the_strictest_throttle_of_the_tokens_holds() {
    let mut strict = event_token(0);
    strict.parameters.throttle_after = Some(1);
    Desk::new([strict]).play(&[
        (T, Text("000000"), Reason::WrongPasscode),
        (T, Otp(0), Reason::Throttled),
        (T + 1, Otp(0), Reason::PasscodeCorrect),
    ]);
}

#[test]
fn a_token_that_is_used_up_is_refused() {
    let mut limited = event_token(0);
    limited.parameters.max_uses = Some(2);
    Desk::new([limited]).play(&[
        (T, Otp(0), Reason::PasscodeCorrect),
        (T, Otp(1), Reason::PasscodeCorrect),
        (T, Otp(2), Reason::NoUsableToken),
    ]);
    let mut time = time_token();
    time.parameters.max_uses = Some(2);
    Desk::new([time]).play(&[(T, Otp(STEP), Reason::PasscodeCorrect)]);
}
