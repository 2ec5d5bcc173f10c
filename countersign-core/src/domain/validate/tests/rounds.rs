//! More than one request for one logon: challenges, delivered OTPs, retries; and strengths.

use super::*;
use crate::domain::{receipt::Receipt, verdict::Delivery};

/// What became of one request.
struct Round {
    verdict: Verdict,
    next: Option<Box<Prior>>,
    delivery: Option<Box<Delivery>>,
}

impl Desk {
    /// Decides and carries out.
    fn round(&mut self, at: u64, passcode: &[u8], terms: Terms) -> Round {
        let decision = self.decide_on(at, passcode.to_vec(), terms);
        let Decision::Settled { verdict, change, next, delivery } = decision else {
            panic!("asked an upstream at {at}");
        };
        self.apply(&change);
        Round { verdict, next, delivery }
    }

    /// The same, and what the peer is told and why.
    fn says(&mut self, at: u64, passcode: &[u8], terms: Terms) -> (Outcome, Reason) {
        let verdict = self.round(at, passcode, terms).verdict;
        (verdict.outcome, verdict.reason)
    }

    fn failures(&self) -> u32 {
        self.subject.failures.failures
    }
}

fn challenging() -> Terms {
    Terms { may_challenge: true, ..Terms::default() }
}

fn answering(prior: Option<Box<Prior>>) -> Terms {
    Terms { prior: prior.map(|prior| *prior), ..challenging() }
}

fn receipted(hash: u64) -> Terms {
    Terms { receipt: Some(Receipt::new(hash << 28, 15)), ..Terms::default() }
}

fn with_pin(mut holding: Holding<ClearSecret>, pin: &str) -> Holding<ClearSecret> {
    holding.token.pin = Some(PinHash(pin.into()));
    holding
}

fn delivered_token() -> Holding<ClearSecret> {
    let kind = TokenKind::Delivered { channel: "mail".into(), to: None, digits: Digits::SIX };
    holding(4, kind, Some(SEED), 0)
}

fn pin_first(tokens: impl IntoIterator<Item = Holding<ClearSecret>>) -> Desk {
    let mut desk = Desk::new(tokens);
    desk.policy.challenge.pin_first = true;
    desk
}

#[test]
fn the_pin_alone_is_answered_by_a_challenge_for_the_otp() {
    let mut desk = pin_first([with_pin(event_token(0), "4711")]);
    let first = desk.round(T, b"4711", challenging());
    assert_eq!(
        (first.verdict.outcome, first.verdict.reason),
        (Outcome::Challenged, Reason::PinRight)
    );
    assert_eq!(first.next, Some(Prior::PinRight(vec![TokenId::from_bytes([1; 16])]).into()));
    let second = desk.says(T, &otp(SEED, 0), answering(first.next.clone()));
    assert_eq!(second, (Outcome::Accepted, Reason::PasscodeCorrect));
    let again = desk.says(T, &otp(SEED, 0), answering(first.next));
    assert_eq!(again, (Outcome::Rejected, Reason::Replayed));
}

#[test]
fn the_pin_may_be_typed_again_in_the_second_round_if_it_is_right() {
    for (pin, expected) in [
        ("4711", (Outcome::Accepted, Reason::PasscodeCorrect)),
        ("4712", (Outcome::Rejected, Reason::WrongPin)),
    ] {
        let mut desk = pin_first([with_pin(event_token(0), "4711")]);
        let first = desk.round(T, b"4711", challenging());
        let both = [pin.as_bytes(), &otp(SEED, 0)].concat();
        assert_eq!(desk.says(T, &both, answering(first.next)), expected);
    }
}

#[test]
fn a_wrong_pin_and_a_wrong_second_round_are_failures() {
    let mut desk = pin_first([with_pin(event_token(0), "4711")]);
    assert_eq!(desk.says(T, b"4712", challenging()), (Outcome::Rejected, Reason::WrongPasscode));
    assert_eq!(desk.failures(), 1);
    let first = desk.round(T, b"4711", challenging());
    assert_eq!(desk.failures(), 1, "a challenge is no success");
    let wrong = desk.says(T, b"000000", answering(first.next));
    assert_eq!(wrong, (Outcome::Rejected, Reason::WrongPasscode));
    assert_eq!(desk.failures(), 2);
}

#[test]
fn pin_and_otp_at_once_still_work_where_the_pin_may_come_first() {
    let mut desk = pin_first([with_pin(event_token(0), "4711")]);
    let both = Pin("4711", 0).passcode();
    assert_eq!(desk.says(T, &both, challenging()), (Outcome::Accepted, Reason::PasscodeCorrect));
}

#[test]
fn nobody_learns_a_pin_where_it_may_not_come_first() {
    let mut desk = Desk::new([with_pin(event_token(0), "4711")]);
    assert_eq!(desk.says(T, b"4711", challenging()), (Outcome::Rejected, Reason::WrongPasscode));
    let mut desk = pin_first([with_pin(event_token(0), "4711")]);
    assert_eq!(desk.says(T, b"4711", Terms::default()), (Outcome::Rejected, Reason::WrongPasscode));
}

#[test]
fn a_second_round_is_about_the_tokens_of_the_first() {
    let mut desk = pin_first([with_pin(event_token(0), "4711"), {
        let mut other = event_token(0);
        other.token.id = TokenId::from_bytes([9; 16]);
        other.secret = Some(Secret::new(OTHER_SEED.to_vec()));
        other
    }]);
    let first = desk.round(T, b"4711", challenging());
    let other = desk.says(T, &otp(OTHER_SEED, 0), answering(first.next));
    assert_eq!(other, (Outcome::Rejected, Reason::WrongPasscode));
}

#[test]
fn an_otp_out_of_step_is_answered_by_a_challenge_for_the_next() {
    let mut desk = Desk::new([event_token(0)]);
    let first = desk.round(T, &otp(SEED, 50), challenging());
    assert_eq!(
        (first.verdict.outcome, first.verdict.reason),
        (Outcome::Challenged, Reason::OutOfStep)
    );
    assert_eq!(desk.failures(), 1, "it counts all the same");
    let second = desk.says(T, &otp(SEED, 51), answering(first.next));
    assert_eq!(second, (Outcome::Accepted, Reason::Resynchronised));
    assert_eq!(desk.failures(), 0);
}

#[test]
fn out_of_step_is_a_reject_for_those_who_cannot_be_challenged() {
    let mut desk = Desk::new([event_token(0)]);
    let plain = desk.says(T, &otp(SEED, 50), Terms::default());
    assert_eq!(plain, (Outcome::Rejected, Reason::OutOfStep));
    desk.policy.challenge.next_otp = false;
    let off = desk.says(T, &otp(SEED, 52), challenging());
    assert_eq!(off, (Outcome::Rejected, Reason::OutOfStep));
}

/// The OTP that a round sends.
fn sent(round: &Round) -> Vec<u8> {
    let delivery = round.delivery.as_ref().expect("an OTP is sent");
    delivery.otp.expose_bytes().to_vec()
}

#[test]
fn an_otp_is_sent_once_and_good_once() {
    let mut desk = Desk::new([with_pin(delivered_token(), "4711")]);
    let first = desk.round(T, b"4711", challenging());
    assert_eq!(
        (first.verdict.outcome, first.verdict.reason),
        (Outcome::Challenged, Reason::OtpSent)
    );
    let otp = sent(&first);
    let again = desk.round(T + 29, b"4711", challenging());
    assert_eq!(again.verdict.reason, Reason::OtpSent);
    assert!(again.delivery.is_none(), "the first is on its way");
    let second = answering(first.next);
    let wrong = desk.says(T + 29, b"000000", second.clone());
    assert_eq!(wrong, (Outcome::Rejected, Reason::WrongPasscode));
    let right = desk.says(T + 30, &otp, second.clone());
    assert_eq!(right, (Outcome::Accepted, Reason::PasscodeCorrect));
    assert_eq!(desk.says(T + 30, &otp, second), (Outcome::Rejected, Reason::Replayed));
    assert_eq!(desk.failures(), 0);
}

#[test]
fn a_later_otp_takes_the_place_of_the_one_before() {
    let mut desk = Desk::new([with_pin(delivered_token(), "4711")]);
    let first = desk.round(T, b"4711", challenging());
    let second = desk.round(T + 31, b"4711", challenging());
    let (old, new) = (sent(&first), sent(&second));
    assert_ne!(old, new);
    let prior = answering(second.next);
    assert_eq!(desk.says(T + 31, &old, prior.clone()), (Outcome::Rejected, Reason::Replayed));
    assert_eq!(desk.says(T + 31, &new, prior).0, Outcome::Accepted);
}

#[test]
fn an_otp_that_was_sent_does_not_stay_good_for_ever() {
    for (later, expected) in [
        (300, (Outcome::Accepted, Reason::PasscodeCorrect)),
        (301, (Outcome::Rejected, Reason::WrongPasscode)),
    ] {
        let mut desk = Desk::new([with_pin(delivered_token(), "4711")]);
        let first = desk.round(T, b"4711", challenging());
        let second = desk.says(T + later, &sent(&first), answering(first.next));
        assert_eq!(second, expected, "{later}");
    }
}

#[test]
fn those_who_cannot_be_challenged_log_on_anew_with_pin_and_otp() {
    let mut desk = Desk::new([with_pin(delivered_token(), "4711")]);
    let first = desk.round(T, b"4711", Terms::default());
    assert_eq!((first.verdict.outcome, first.verdict.reason), (Outcome::Rejected, Reason::OtpSent));
    assert_eq!(desk.failures(), 0);
    let both = [b"4711", &sent(&first)[..]].concat();
    assert_eq!(desk.says(T + 20, &both, Terms::default()).0, Outcome::Accepted);
}

#[test]
fn without_a_pin_nothing_or_a_word_asks_for_the_otp() {
    for word in [&b""[..], b"otp", b"OTP"] {
        let mut desk = Desk::new([delivered_token()]);
        assert_eq!(desk.round(T, word, challenging()).verdict.reason, Reason::OtpSent);
    }
    let mut desk = Desk::new([delivered_token()]);
    assert_eq!(desk.says(T, b"sms", challenging()).1, Reason::WrongPasscode);
    let mut desk = Desk::new([with_pin(delivered_token(), "4711")]);
    assert_eq!(desk.says(T, b"", challenging()).1, Reason::WrongPasscode);
}

#[test]
fn one_of_two_delivered_tokens_sends_and_the_other_stays() {
    let mut other = delivered_token();
    other.token.id = TokenId::from_bytes([5; 16]);
    let mut desk = Desk::new([delivered_token(), other]);
    let first = desk.round(T, b"", challenging());
    assert_eq!(first.verdict.token, Some(TokenId::from_bytes([4; 16])));
    assert_eq!(desk.counter(1), TokenCounter::default());
    assert_eq!(desk.says(T, &sent(&first), answering(first.next)).0, Outcome::Accepted);
}

#[test]
fn an_otp_of_another_token_sends_nothing() {
    let mut desk = Desk::new([event_token(0), with_pin(delivered_token(), "4711")]);
    let accepted = desk.round(T, &otp(SEED, 0), challenging());
    assert_eq!(accepted.verdict.outcome, Outcome::Accepted);
    assert!(accepted.delivery.is_none());
}

#[test]
fn a_retry_of_what_was_accepted_is_accepted_and_spends_nothing() {
    let mut desk = Desk::new([event_token(0)]);
    assert_eq!(desk.says(T, &otp(SEED, 0), receipted(7)).0, Outcome::Accepted);
    let spent = desk.counter(0);
    let retry = desk.says(T + 15, &otp(SEED, 0), receipted(7));
    assert_eq!(retry, (Outcome::Accepted, Reason::Repeated));
    assert_eq!(desk.counter(0), spent);
    for (at, terms) in [(T + 16, receipted(7)), (T, receipted(8)), (T, Terms::default())] {
        let other = desk.says(at, &otp(SEED, 0), terms);
        assert_eq!(other, (Outcome::Rejected, Reason::Replayed));
    }
    assert_eq!(desk.says(T, &otp(SEED, 1), receipted(8)).0, Outcome::Accepted);
    let overtaken = desk.says(T, &otp(SEED, 0), receipted(7));
    assert_eq!(overtaken, (Outcome::Rejected, Reason::Replayed), "another was spent since");
}

#[test]
fn a_retry_behind_a_wrong_pin_is_not_accepted() {
    let mut desk = Desk::new([with_pin(event_token(0), "4711")]);
    let right = Pin("4711", 0).passcode();
    assert_eq!(desk.says(T, &right, receipted(7)).0, Outcome::Accepted);
    let wrong = Pin("4712", 0).passcode();
    assert_eq!(desk.says(T, &wrong, receipted(7)), (Outcome::Rejected, Reason::Replayed));
    assert_eq!(desk.says(T, &right, receipted(7)), (Outcome::Accepted, Reason::Repeated));
}

#[test]
fn a_retry_of_a_failure_is_counted_once_and_looked_at_all_the_same() {
    let mut desk = Desk::new([event_token(0)]);
    desk.policy.lockout.throttle_after = 1;
    for _ in 0..3 {
        let wrong = desk.says(T, b"000000", receipted(7));
        assert_eq!(wrong, (Outcome::Rejected, Reason::WrongPasscode));
    }
    assert_eq!(desk.failures(), 1);
    assert_eq!(desk.says(T, b"000000", receipted(8)).1, Reason::Throttled);
    assert_eq!(desk.says(T + 60, b"000000", receipted(8)).1, Reason::WrongPasscode);
    assert_eq!(desk.failures(), 2);
}

#[test]
fn a_retry_of_a_failure_never_becomes_an_acceptance() {
    let mut desk = Desk::new([time_token()]);
    let early = otp(SEED, T / 30 + 2);
    let first = desk.says(T, &early, receipted(7));
    assert_eq!(first, (Outcome::Rejected, Reason::OutOfStep));
    let before = desk.counter(0);
    let retry = desk.says(T + 15, &early, receipted(7));
    assert_eq!(retry.0, Outcome::Rejected);
    assert_eq!(desk.counter(0).next, before.next);
}

#[test]
fn a_challenge_is_given_again_to_a_retry() {
    let mut desk = Desk::new([event_token(0)]);
    let terms = || Terms { may_challenge: true, ..receipted(7) };
    for _ in 0..2 {
        let ahead = desk.says(T, &otp(SEED, 50), terms());
        assert_eq!(ahead, (Outcome::Challenged, Reason::OutOfStep));
    }
    assert_eq!(desk.failures(), 1);
}

#[test]
fn only_tokens_of_the_demanded_strength_count() {
    let mut strong = event_token(0);
    strong.token.indicators = vec!["otp".into(), "hardware".into()];
    let demanding = |one: &str| Terms { indicators: [one.to_owned()].into(), ..Terms::default() };
    let mut desk = Desk::new([strong]);
    let weak = desk.says(T, &otp(SEED, 0), demanding("biometric"));
    assert_eq!(weak, (Outcome::Rejected, Reason::LacksIndicator));
    let both = ["hardware".to_owned(), "biometric".to_owned()].into();
    let half = desk.says(T, &otp(SEED, 0), Terms { indicators: both, ..Terms::default() });
    assert_eq!(half, (Outcome::Rejected, Reason::LacksIndicator), "all of them are wanted");
    assert_eq!(desk.says(T, &otp(SEED, 0), demanding("hardware")).0, Outcome::Accepted);
    desk.subject.account.authentication = Authentication::Upstream("old".into());
    let remote = desk.says(T, b"x", demanding("otp"));
    assert_eq!(remote, (Outcome::Rejected, Reason::LacksIndicator), "nobody vouches for it");
}

#[test]
fn the_upstream_that_challenged_is_asked_again_with_its_state() {
    let mut remote = remote_token();
    remote.token.kind =
        TokenKind::Remote { upstream: "old".into(), user_name: Some("alice2".into()) };
    let desk = Desk::new([event_token(0), remote]);
    let token = Some(TokenId::from_bytes([3; 16]));
    let prior = Prior::Upstream { upstream: "old".into(), server: 1, token, state: b"s".to_vec() };
    let decision = desk.decide_on(T, otp(SEED, 0), answering(Some(prior.into())));
    let resume = Some(Resume { server: 1, state: b"s".to_vec() });
    let user_name = Some("alice2".to_owned());
    let question = Question { upstream: "old".into(), token, user_name, resume };
    assert_eq!(decision, Decision::Ask(question.into()));
}
