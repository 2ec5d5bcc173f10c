//! Attempts whose OTP was right and whose password somebody else checks: what is counted and
//! recorded of them waits for his word.

use std::{fmt, sync::Arc, time::Instant};

use countersign_core::{
    domain::{
        attempt::Attempt,
        counter::{Change, FailureCounter, Move},
        id::AccountId,
        lockout,
        verdict::{Outcome, Reason, Verdict},
    },
    secret::Secret,
};

use super::{Answer, Authenticator, MAX_ROUNDS, event};
use crate::store::{Committed, StoreError};

/// The failures of an account, as they were moved.
pub(super) type Counted = Move<AccountId, FailureCounter>;

/// An attempt whose OTP is spent and whose password is still to be checked.
///
/// It was counted as a failure, so that guesses made at once cannot all pass, and only a right
/// password takes that back. Its event is recorded when it goes, whatever it has come to; who
/// forgets to settle it has had no answer.
pub struct Pending {
    authenticator: Arc<Authenticator>,
    attempt: Attempt,
    counted: Option<Counted>,
    /// Why it is accepted, if it is.
    right: Reason,
    /// What is recorded.
    verdict: Verdict,
}

impl Authenticator {
    /// Decides about an attempt; if its password is checked elsewhere and its OTP was right, it
    /// is neither recorded nor settled yet.
    pub async fn begin(self: &Arc<Self>, attempt: Attempt) -> (Answer, Option<Pending>) {
        let attempt = Arc::new(attempt);
        let answer = self.decide_durably(&attempt).await;
        let pending = answer.accepted.as_ref().map(|accepted| Pending {
            authenticator: self.clone(),
            attempt: without_passcode(&attempt),
            counted: accepted.counted,
            right: answer.verdict.reason,
            verdict: Verdict {
                outcome: Outcome::Unavailable,
                reason: Reason::UpstreamSilent,
                ..answer.verdict
            },
        });
        if pending.is_none() {
            self.audit.record(event(&attempt, answer.verdict));
        }
        (answer, pending)
    }

    /// Anybody can make us look at what fails as often as he asks, so the operator is told of
    /// it now and then.
    pub(in crate::app) fn complain(&self, what: &'static str, error: &dyn fmt::Display) {
        if self.complaints.is_due(what, Instant::now()) {
            tracing::error!(%error, "{what}; more at debug only");
        } else {
            tracing::debug!(%error, "{what}");
        }
    }
}

impl Pending {
    /// The password was right: failures are over.
    pub async fn confirmed(mut self) {
        self.verdict = Verdict { outcome: Outcome::Accepted, reason: self.right, ..self.verdict };
        if let Err(error) = self.clear().await {
            self.authenticator.complain("a right password was not counted", &error);
        }
    }

    /// The password was wrong. That is counted already.
    pub fn refused(mut self) {
        self.verdict.outcome = Outcome::Rejected;
        self.verdict.reason = Reason::WrongPassword;
    }

    /// Nobody could be asked. The one failure is taken back, unless somebody moved further
    /// meanwhile.
    pub async fn unanswered(self) {
        let Some(Move { id, from, to }) = self.counted else { return };
        let failures = Some(Move { id, from: to, to: from });
        let change = Change { failures, tokens: Vec::new() };
        if let Err(error) = self.authenticator.store.commit(change).await {
            self.authenticator.complain("a password that was not checked is counted", &error);
        }
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let Some(Move { id, to: mut from, .. }) = self.counted else { return Ok(()) };
        let store = &self.authenticator.store;
        for _ in 0..MAX_ROUNDS {
            let failures = Some(Move { id, from, to: lockout::after_success(from) });
            let change = Change { failures, tokens: Vec::new() };
            if from.failures == 0 || store.commit(change).await? == Committed::Done {
                return Ok(());
            }
            let subject = store.find(self.attempt.login.key()).await?;
            let Some(subject) = subject.filter(|subject| subject.account.id == id) else { break };
            from = subject.failures;
        }
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.authenticator.audit.record(event(&self.attempt, self.verdict));
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// The attempt, for the record: what was typed is not kept for longer than it is needed.
fn without_passcode(attempt: &Attempt) -> Attempt {
    Attempt {
        correlation: attempt.correlation,
        login: attempt.login.clone(),
        passcode: Secret::new(Vec::new()),
        listener: attempt.listener,
        peer: attempt.peer.clone(),
        at: attempt.at,
        terms: attempt.terms.clone(),
    }
}
