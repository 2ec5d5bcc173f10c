//! The decision about an attempt.
//!
//! In this order: the account's own state; an upstream that decides for it;
//! lockout; the tokens. Each usable token with a shared secret is asked what the
//! passcode is to it, all of them, whatever the others said.
//!
//! Rules that are not obvious:
//!
//! * An OTP that was right is spent, also behind a wrong PIN. Otherwise whoever
//!   saw one OTP could guess PINs with it until the next was used.
//! * A spent OTP is refused whatever PIN stands before it, and is not counted as
//!   a failure: it is mostly a double click, it tells a guesser nothing, and
//!   whether it counts must not tell whether the PIN was right.
//! * An OTP beyond the look-ahead begins a resynchronisation (RFC 4226 §7.4) and
//!   counts as a failure; the very next one completes it. Every other attempt
//!   that is looked at here ends it.
//! * Only a passcode that no local token knows goes to the upstream of a remote
//!   token. No failure is counted for it before the upstream has answered.

use super::{
    account::{Account, Authentication, Standing},
    attempt::Attempt,
    counter::{Change, FailureCounter, Move, TokenCounter},
    id::TokenId,
    lockout::{self, Gate},
    policy::{LockoutPolicy, Policy},
    step::{Expectation, Sighting},
    subject::{ClearSecret, Holding, Subject},
    time::UnixTime,
    token::{PinHash, TokenKind},
    verdict::{Decision, Outcome, Reason, Verdict},
};

/// Checks a typed PIN against the hash kept of it. Slow on purpose.
pub trait PinCheck {
    /// Whether `pin` is the one that `hash` was made of.
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool;
}

/// Decides about an attempt on a subject.
pub fn decide(
    subject: &Subject<ClearSecret>,
    attempt: &Attempt,
    policy: &Policy,
    pins: &dyn PinCheck,
) -> Decision {
    let now = attempt.at;
    if let Some(reason) = bar(&subject.account, now) {
        return refused(subject, reason, subject.failures);
    }
    if let Authentication::Upstream(upstream) = &subject.account.authentication {
        return Decision::Ask { upstream: upstream.clone(), token: None };
    }
    let anchored = lockout::anchored(subject.failures, now);
    match lockout::gate(subject.failures, &policy.lockout, now) {
        Gate::Open => {}
        Gate::Throttled { .. } => return refused(subject, Reason::Throttled, anchored),
        Gate::LockedOut { .. } => return refused(subject, Reason::LockedOut, anchored),
    }
    let usable: Vec<_> = subject.tokens.iter().filter(|holding| is_usable(holding, now)).collect();
    if usable.is_empty() {
        let none = subject.tokens.is_empty();
        let reason = if none { Reason::NoToken } else { Reason::NoUsableToken };
        return refused(subject, reason, subject.failures);
    }
    let findings: Vec<_> =
        usable.iter().filter_map(|holding| examine(holding, attempt, policy, pins)).collect();
    match (strongest(&findings), remote(&usable)) {
        (None, Some((upstream, token))) => Decision::Ask { upstream, token: Some(token) },
        (finding, _) => {
            let reason = finding.map_or(Reason::WrongPasscode, |finding| finding.reason);
            let failures = failures_after(reason, subject.failures, &policy.lockout, now);
            let token = finding.map(|finding| finding.token);
            settled(subject, reason, token, change(subject, failures, &findings))
        }
    }
}

/// What the answer of an upstream moves: the account's failures, if a token of
/// it is remote. For an account that is remote as a whole the upstream counts.
#[must_use]
pub fn upstream_change<S>(
    subject: &Subject<S>,
    token: Option<TokenId>,
    outcome: Outcome,
    policy: &LockoutPolicy,
    now: UnixTime,
) -> Change {
    let to = match (token, outcome) {
        (Some(_), Outcome::Accepted) => lockout::after_success(subject.failures),
        (Some(_), Outcome::Rejected) => lockout::after_failure(subject.failures, policy, now),
        (Some(_), Outcome::Challenged | Outcome::Unavailable) | (None, _) => subject.failures,
    };
    change(subject, to, &[])
}

/// Why the account may not be used at all.
fn bar(account: &Account, now: UnixTime) -> Option<Reason> {
    if account.disabled {
        return Some(Reason::AccountDisabled);
    }
    match account.validity.at(now) {
        Standing::NotYetValid => Some(Reason::AccountNotYetValid),
        Standing::Valid => None,
        Standing::Expired => Some(Reason::AccountExpired),
    }
}

fn is_usable(holding: &Holding<ClearSecret>, now: UnixTime) -> bool {
    let can_decide =
        holding.secret.is_some() || matches!(holding.token.kind, TokenKind::Remote { .. });
    can_decide && holding.token.is_usable(now)
}

/// The first upstream that one of the tokens names.
fn remote(usable: &[&Holding<ClearSecret>]) -> Option<(String, TokenId)> {
    usable.iter().find_map(|holding| match &holding.token.kind {
        TokenKind::Remote { upstream, .. } => Some((upstream.clone(), holding.token.id)),
        TokenKind::Hotp { .. } | TokenKind::Totp { .. } | TokenKind::Delivered { .. } => None,
    })
}

/// What a passcode is to one token, and where that moves its counter.
struct Finding {
    token: TokenId,
    reason: Reason,
    from: TokenCounter,
    to: TokenCounter,
}

fn examine(
    holding: &Holding<ClearSecret>,
    attempt: &Attempt,
    policy: &Policy,
    pins: &dyn PinCheck,
) -> Option<Finding> {
    let expectation = Expectation::new(holding, policy, attempt.at)?;
    let from = holding.counter;
    let finding = |reason, to| Some(Finding { token: holding.token.id, reason, from, to });
    let nothing = finding(Reason::WrongPasscode, TokenCounter { resync: 0, ..from });

    let hash = holding.token.pin.as_ref();
    let Some((pin, otp)) =
        split(attempt.passcode.expose_bytes(), expectation.digits().length(), hash.is_some())
    else {
        return nothing;
    };
    // The PIN is checked whatever the OTP is, and the OTP whatever the PIN is,
    // for the time of the answer must not tell which of them was wrong.
    let pin_right = hash.is_none_or(|hash| pins.matches(hash, pin));
    match expectation.sight(otp, hash.is_some()) {
        Sighting::Right { to, .. } if !pin_right => finding(Reason::WrongPin, to),
        Sighting::Right { to, resynchronised: true } => finding(Reason::Resynchronised, to),
        Sighting::Right { to, resynchronised: false } => finding(Reason::PasscodeCorrect, to),
        Sighting::Spent => finding(Reason::Replayed, TokenCounter { resync: 0, ..from }),
        Sighting::Ahead { to } if pin_right => finding(Reason::OutOfStep, to),
        Sighting::Ahead { .. } | Sighting::Unknown => nothing,
    }
}

/// PIN and OTP of a passcode: the OTP is the last `digits` octets, the PIN what
/// stands before it. A token without a PIN wants nothing to stand there.
fn split(passcode: &[u8], digits: usize, has_pin: bool) -> Option<(&[u8], &[u8])> {
    let (pin, otp) = passcode.split_at_checked(passcode.len().checked_sub(digits)?)?;
    let well_formed = otp.iter().all(u8::is_ascii_digit) && (has_pin || pin.is_empty());
    well_formed.then_some((pin, otp))
}

/// The finding that decides, unless no token knows the passcode: acceptance
/// first; among equal ones the first token.
fn strongest(findings: &[Finding]) -> Option<&Finding> {
    const ORDER: [Reason; 5] = [
        Reason::PasscodeCorrect,
        Reason::Resynchronised,
        Reason::WrongPin,
        Reason::Replayed,
        Reason::OutOfStep,
    ];
    ORDER.iter().find_map(|reason| findings.iter().find(|finding| finding.reason == *reason))
}

fn failures_after(
    reason: Reason,
    failures: FailureCounter,
    policy: &LockoutPolicy,
    now: UnixTime,
) -> FailureCounter {
    if is_acceptance(reason) {
        lockout::after_success(failures)
    } else if reason == Reason::Replayed {
        failures
    } else {
        lockout::after_failure(failures, policy, now)
    }
}

fn is_acceptance(reason: Reason) -> bool {
    reason == Reason::PasscodeCorrect || reason == Reason::Resynchronised
}

/// A rejection without a look at the passcode.
fn refused(subject: &Subject<ClearSecret>, reason: Reason, failures: FailureCounter) -> Decision {
    settled(subject, reason, None, change(subject, failures, &[]))
}

fn settled(
    subject: &Subject<ClearSecret>,
    reason: Reason,
    token: Option<TokenId>,
    change: Change,
) -> Decision {
    let outcome = if is_acceptance(reason) { Outcome::Accepted } else { Outcome::Rejected };
    let verdict = Verdict { outcome, reason, account: Some(subject.account.id), token };
    Decision::Settled { verdict, change }
}

/// The moves that really move something.
///
/// Every token whose OTP was right is moved, not only the one that decided, so
/// that two tokens with the same shared secret do not take the same OTP in turn.
fn change<S>(subject: &Subject<S>, to: FailureCounter, findings: &[Finding]) -> Change {
    let from = subject.failures;
    let failures = (from != to).then_some(Move { id: subject.account.id, from, to });
    let moved = findings.iter().filter(|finding| finding.from != finding.to);
    let tokens =
        moved.map(|Finding { token, from, to, .. }| Move { id: *token, from: *from, to: *to });
    Change { failures, tokens: tokens.collect() }
}

#[cfg(test)]
mod tests;
