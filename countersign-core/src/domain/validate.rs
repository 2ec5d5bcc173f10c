//! The decision about an attempt.

use super::{
    attempt::Attempt,
    counter::Change,
    policy::Policy,
    subject::{ClearSecret, Subject},
    token::PinHash,
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
    _attempt: &Attempt,
    _policy: &Policy,
    _pins: &dyn PinCheck,
) -> Decision {
    Decision::Settled {
        verdict: Verdict {
            outcome: Outcome::Rejected,
            reason: Reason::WrongPasscode,
            account: Some(subject.account.id),
            token: None,
        },
        change: Change::default(),
    }
}
