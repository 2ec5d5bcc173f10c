//! The decision about an attempt.
//!
//! In this order: the account's own state; an upstream that decides for it;
//! lockout; the tokens. Each usable token with a shared secret is asked what the
//! passcode is to it, all of them, whatever the others said: [`examine`].
//!
//! Rules that are not obvious:
//!
//! * An OTP that was right is spent, also behind a wrong PIN or password. Otherwise whoever
//!   saw one OTP could guess PINs with it until the next was used.
//! * A spent OTP is refused whatever PIN stands before it, and is not counted as
//!   a failure: it is mostly a double click, it tells a guesser nothing, and
//!   whether it counts must not tell whether the PIN was right.
//! * A retry is no second attempt ([`receipt`](super::receipt)). That of a request which
//!   spent an OTP is accepted and spends nothing; that of one which failed is refused and
//!   not counted, also where its OTP has become right meanwhile.
//! * An OTP beyond the look-ahead begins a resynchronisation (RFC 4226 §7.4) and
//!   counts as a failure; the very next one completes it. Every other attempt
//!   that is looked at here ends it.
//! * Only a passcode that no local token knows goes to the upstream of a remote
//!   token. No failure is counted for it before the upstream has answered.
//! * A challenge neither counts as a failure nor takes failures back, but for the one
//!   that asks for the next OTP, which is a failure.

use self::{
    examine::{Finding, examine},
    first_factor::FirstFactor,
};
use super::{
    account::{Account, Authentication, Standing},
    attempt::Attempt,
    challenge::Prior,
    counter::{Change, FailureCounter, Move},
    id::TokenId,
    lockout::{self, Gate},
    password::PasswordHash,
    policy::{LockoutPolicy, Policy},
    receipt::Stamp,
    subject::{ClearSecret, Holding, Subject},
    time::UnixTime,
    token::{PinHash, TokenKind},
    verdict::{Decision, Outcome, Question, Reason, Resume, Verdict},
};

mod examine;
mod first_factor;

/// Checks a typed PIN against the hash kept of it. Slow on purpose.
pub trait PinCheck {
    /// Whether `pin` is the one that `hash` was made of.
    fn matches(&self, hash: &PinHash, pin: &[u8]) -> bool;
    /// Whether `password` is the static password that `hash` was made of, if it is a hash.
    fn password_matches(&self, hash: &PasswordHash, password: &[u8]) -> bool;
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
    if subject.tokens.is_empty() && attempt.terms.may_decline {
        return declined(subject);
    }
    if let Authentication::Upstream(upstream) = &subject.account.authentication {
        return match attempt.terms.indicators.is_empty() {
            true => ask(upstream.clone(), None, None, attempt),
            false => refused(subject, Reason::LacksIndicator, subject.failures),
        };
    }
    let is_retry = is_retry_of(subject.failures.receipt, attempt);
    let anchored = lockout::anchored(subject.failures, now);
    let lockout = lockout_of(subject, &policy.lockout);
    match lockout::gate(subject.failures, &lockout, now) {
        Gate::Open => {}
        Gate::Throttled { .. } | Gate::LockedOut { .. } if is_retry => {}
        Gate::Throttled { .. } => return refused(subject, Reason::Throttled, anchored),
        Gate::LockedOut { .. } => return refused(subject, Reason::LockedOut, anchored),
    }
    let usable = match usable(subject, attempt) {
        Ok(usable) => usable,
        Err(reason) => return refused(subject, reason, subject.failures),
    };
    let first = FirstFactor::new(subject, attempt, policy, pins);
    let findings: Vec<_> =
        usable.iter().filter_map(|holding| examine(holding, attempt, policy, &first)).collect();
    let finding = strongest(&findings);
    if let (None, Some(remote)) = (finding, remote(&usable, attempt)) {
        return remote;
    }
    let reason = finding.map_or(Reason::WrongPasscode, |finding| finding.reason);
    if is_retry && is_acceptance(reason) && reason != Reason::Repeated {
        return refused(subject, Reason::Repeated, subject.failures);
    }
    let failures = match is_retry {
        true => subject.failures,
        false => failures_after(reason, subject.failures, &lockout, attempt),
    };
    settled(subject, finding, change(subject, failures, carried_out(&findings)), attempt, policy)
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
        (Some(_), Outcome::Challenged | Outcome::Unavailable | Outcome::Declined) | (None, _) => {
            subject.failures
        }
    };
    change(subject, to, std::iter::empty())
}

/// Whoever decides about accounts without a token decides about this one.
fn declined(subject: &Subject<ClearSecret>) -> Decision {
    let account = Some(subject.account.id);
    let verdict =
        Verdict { outcome: Outcome::Declined, reason: Reason::NoToken, account, token: None };
    Decision::Settled { verdict, change: Change::default(), next: None, delivery: None }
}

/// The site's rules, as strict as the strictest of the account's tokens wants them.
fn lockout_of<S>(subject: &Subject<S>, site: &LockoutPolicy) -> LockoutPolicy {
    let limits = subject.tokens.iter().filter_map(|holding| holding.parameters.throttle_after);
    let throttle_after = limits.min().unwrap_or(site.throttle_after);
    LockoutPolicy { throttle_after, ..site.clone() }
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

/// Whether an attempt is a retry of the one that left the stamp.
fn is_retry_of(stamp: Stamp, attempt: &Attempt) -> bool {
    attempt.terms.receipt.is_some_and(|receipt| receipt.is_retry_of(stamp, attempt.at))
}

/// The tokens that can decide, or why there is none.
fn usable<'a>(
    subject: &'a Subject<ClearSecret>,
    attempt: &Attempt,
) -> Result<Vec<&'a Holding<ClearSecret>>, Reason> {
    let now = attempt.at;
    let usable: Vec<_> = subject.tokens.iter().filter(|holding| is_usable(holding, now)).collect();
    if usable.is_empty() {
        let none = subject.tokens.is_empty();
        return Err(if none { Reason::NoToken } else { Reason::NoUsableToken });
    }
    let demanded = &attempt.terms.indicators;
    let strong = |holding: &&Holding<ClearSecret>| {
        demanded.iter().all(|one| holding.token.indicators.contains(one))
    };
    let strong: Vec<_> = usable.into_iter().filter(strong).collect();
    if strong.is_empty() { Err(Reason::LacksIndicator) } else { Ok(strong) }
}

fn is_usable(holding: &Holding<ClearSecret>, now: UnixTime) -> bool {
    let can_decide =
        holding.secret.is_some() || matches!(holding.token.kind, TokenKind::Remote { .. });
    let is_used_up = matches!(holding.token.kind, TokenKind::Hotp { .. })
        && holding.parameters.max_uses.is_some_and(|max| holding.counter.next >= max);
    can_decide && !is_used_up && holding.token.is_usable(now)
}

/// The question for the upstream of the first remote token, or of the one that challenged.
fn remote(usable: &[&Holding<ClearSecret>], attempt: &Attempt) -> Option<Decision> {
    let challenged_by = match &attempt.terms.prior {
        None => None,
        Some(Prior::Upstream { token, .. }) => Some((*token)?),
        Some(Prior::PinRight(_)) => return None,
    };
    usable.iter().find_map(|holding| match &holding.token.kind {
        TokenKind::Remote { upstream, user_name } => {
            let id = holding.token.id;
            let is_meant = challenged_by.is_none_or(|challenged| challenged == id);
            is_meant.then(|| ask(upstream.clone(), Some(id), user_name.clone(), attempt))
        }
        TokenKind::Hotp { .. } | TokenKind::Totp { .. } | TokenKind::Delivered { .. } => None,
    })
}

fn ask(
    upstream: String,
    token: Option<TokenId>,
    user_name: Option<String>,
    attempt: &Attempt,
) -> Decision {
    let resume = match &attempt.terms.prior {
        Some(Prior::Upstream { upstream: name, server, token: of, state })
            if *name == upstream && *of == token =>
        {
            Some(Resume { server: *server, state: state.clone() })
        }
        Some(_) | None => None,
    };
    Decision::Ask(Question { upstream, token, user_name, resume }.into())
}

/// The finding that decides, unless no token knows the passcode: acceptance
/// first; among equal ones the first token.
fn strongest(findings: &[Finding]) -> Option<&Finding> {
    const ORDER: [Reason; 9] = [
        Reason::PasscodeCorrect,
        Reason::Resynchronised,
        Reason::Repeated,
        Reason::OtpSent,
        Reason::PinRight,
        Reason::WrongPin,
        Reason::WrongPassword,
        Reason::Replayed,
        Reason::OutOfStep,
    ];
    ORDER.iter().find_map(|reason| findings.iter().find(|finding| finding.reason == *reason))
}

/// What is to be carried out of the findings: one OTP is sent, and only if that decides.
fn carried_out(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let decisive = strongest(findings).map(|finding| finding.token);
    let is_carried_out =
        move |finding: &&Finding| finding.delivery.is_none() || Some(finding.token) == decisive;
    findings.iter().filter(is_carried_out)
}

fn failures_after(
    reason: Reason,
    failures: FailureCounter,
    policy: &LockoutPolicy,
    attempt: &Attempt,
) -> FailureCounter {
    if matches!(reason, Reason::PasscodeCorrect | Reason::Resynchronised) {
        return lockout::after_success(failures);
    }
    if matches!(reason, Reason::Replayed | Reason::Repeated | Reason::PinRight | Reason::OtpSent) {
        return failures;
    }
    let counted = lockout::after_failure(failures, policy, attempt.at);
    FailureCounter { receipt: stamp(attempt), ..counted }
}

/// What is kept of the attempt beside what it moves.
fn stamp(attempt: &Attempt) -> Stamp {
    attempt.terms.receipt.map(|receipt| receipt.stamp(attempt.at)).unwrap_or_default()
}

fn is_acceptance(reason: Reason) -> bool {
    matches!(reason, Reason::PasscodeCorrect | Reason::Resynchronised | Reason::Repeated)
}

/// What the peer is told for a reason that a token gave.
fn outcome(reason: Reason, attempt: &Attempt, policy: &Policy) -> Outcome {
    let is_challenge = matches!(reason, Reason::PinRight | Reason::OtpSent)
        || reason == Reason::OutOfStep && policy.challenge.next_otp;
    if is_acceptance(reason) {
        Outcome::Accepted
    } else if is_challenge && attempt.terms.may_challenge {
        Outcome::Challenged
    } else {
        Outcome::Rejected
    }
}

/// A rejection without a look at the passcode.
fn refused(subject: &Subject<ClearSecret>, reason: Reason, failures: FailureCounter) -> Decision {
    let account = Some(subject.account.id);
    let verdict = Verdict { outcome: Outcome::Rejected, reason, account, token: None };
    let change = change(subject, failures, std::iter::empty());
    Decision::Settled { verdict, change, next: None, delivery: None }
}

fn settled(
    subject: &Subject<ClearSecret>,
    finding: Option<&Finding>,
    change: Change,
    attempt: &Attempt,
    policy: &Policy,
) -> Decision {
    let reason = finding.map_or(Reason::WrongPasscode, |finding| finding.reason);
    let outcome = outcome(reason, attempt, policy);
    let token = finding.map(|finding| finding.token);
    let verdict = Verdict { outcome, reason, account: Some(subject.account.id), token };
    let next = match outcome {
        Outcome::Challenged => token.map(|token| Prior::PinRight(vec![token]).into()),
        Outcome::Accepted | Outcome::Rejected | Outcome::Unavailable | Outcome::Declined => None,
    };
    let delivery = finding.and_then(|finding| finding.delivery.clone()).map(Box::new);
    Decision::Settled { verdict, change, next, delivery }
}

/// The moves that really move something.
///
/// Every token whose OTP was right is moved, not only the one that decided, so
/// that two tokens with the same shared secret do not take the same OTP in turn.
fn change<'a, S>(
    subject: &Subject<S>,
    to: FailureCounter,
    findings: impl Iterator<Item = &'a Finding>,
) -> Change {
    let from = subject.failures;
    let failures = (from != to).then_some(Move { id: subject.account.id, from, to });
    let moved = findings.filter(|finding| finding.from != finding.to);
    let tokens =
        moved.map(|Finding { token, from, to, .. }| Move { id: *token, from: *from, to: *to });
    Change { failures, tokens: tokens.collect() }
}

#[cfg(test)]
mod tests;
