//! Attempts that an upstream decides.

use countersign_core::domain::{
    account::Account,
    attempt::Attempt,
    challenge::{Challenge, Prior, Prompt},
    counter::{Change, Move},
    id::TokenId,
    password::PasswordRule,
    subject::{ClearSecret, Subject},
    validate::upstream_change,
    verdict::{Outcome, Question, Reason, Verdict},
};

use super::{Answer, Authenticator, MAX_ROUNDS, accepted, recent::Word};
use crate::{
    client::radius::Reply,
    store::{Committed, StoreError},
};

/// Why there is no word to remember.
enum Unsaid {
    Conflict,
    Unavailable(Verdict),
}

impl Authenticator {
    /// The upstream's word, or what it said to the request of which this is a retry, also while
    /// that is still being worked on. `None`: somebody else moved the counter first.
    pub(super) async fn ask_durably(
        &self,
        question: Question,
        subject: Subject<ClearSecret>,
        attempt: &Attempt,
    ) -> Option<Answer> {
        let account = subject.account.id;
        let receipt = attempt.terms.receipt;
        let cell = receipt.map(|receipt| self.recent.cell(account, receipt, attempt.at));
        let cell = cell.unwrap_or_default();
        let mut is_first = false;
        let word = cell.get_or_try_init(async || {
            is_first = true;
            self.ask_counted(question, &subject, attempt).await
        });
        let word = match word.await {
            Ok(word) => word.clone(),
            Err(Unsaid::Conflict) => return None,
            Err(Unsaid::Unavailable(verdict)) => return Some(verdict.into()),
        };
        let Word { mut verdict, challenge, counted } = word;
        let accepted = (verdict.outcome == Outcome::Accepted)
            .then(|| accepted(verdict, subject, attempt, counted));
        if !is_first {
            verdict.reason = Reason::Repeated;
        }
        Some(Answer { challenge, accepted, ..verdict.into() })
    }

    /// Counts a failure, asks, and takes the failure back if there was none. A guess at a
    /// remote token is counted before the upstream is asked, so that guesses made at once
    /// cannot all pass.
    async fn ask_counted(
        &self,
        question: Question,
        subject: &Subject<ClearSecret>,
        attempt: &Attempt,
    ) -> Result<Word, Unsaid> {
        let counted = self.upstream_change(subject, question.token, Outcome::Rejected, attempt);
        match self.store.commit(counted.clone()).await {
            Ok(Committed::Done) => {}
            Ok(Committed::Conflict) => return Err(Unsaid::Conflict),
            Err(error) => {
                let account = Some(subject.account.id);
                return Err(Unsaid::Unavailable(self.store_failed(&error, account)));
            }
        }
        let failures = counted.failures;
        let (verdict, challenge) = self.ask(question, &subject.account, attempt).await;
        self.settle(verdict, counted, attempt).await;
        match verdict.outcome {
            Outcome::Unavailable => Err(Unsaid::Unavailable(verdict)),
            Outcome::Accepted | Outcome::Rejected | Outcome::Challenged | Outcome::Declined => {
                Ok(Word { verdict, challenge, counted: failures })
            }
        }
    }

    async fn ask(
        &self,
        question: Question,
        account: &Account,
        attempt: &Attempt,
    ) -> (Verdict, Option<Box<Challenge>>) {
        let Question { upstream: name, token, user_name, resume } = question;
        let verdict =
            |outcome, reason| Verdict { outcome, reason, account: Some(account.id), token };
        let Some(upstream) = self.others.load().upstreams.get(&name).cloned() else {
            return (verdict(Outcome::Unavailable, Reason::UpstreamUnknown), None);
        };
        let user_name = user_name.unwrap_or_else(|| upstream.user_name(account, &attempt.login));
        let reply = match resume {
            None => upstream.ask_by_name(&user_name, &attempt.passcode).await,
            Some(resume) => {
                let (server, state) = (resume.server, resume.state);
                upstream.answer_challenge(server, &state, &user_name, &attempt.passcode).await
            }
        };
        match reply {
            Reply::Accepted => (verdict(Outcome::Accepted, Reason::UpstreamAccepted), None),
            Reply::Rejected => (verdict(Outcome::Rejected, Reason::UpstreamRejected), None),
            Reply::Silent => (verdict(Outcome::Unavailable, Reason::UpstreamSilent), None),
            Reply::Challenged { server, state, message } => {
                let prompt = Prompt::Upstream(message.unwrap_or_default());
                let prior = Prior::Upstream { upstream: name, server, token, state };
                let challenge = Challenge { prompt, prior }.into();
                (verdict(Outcome::Challenged, Reason::UpstreamChallenged), Some(challenge))
            }
        }
    }

    fn upstream_change<S>(
        &self,
        subject: &Subject<S>,
        token: Option<TokenId>,
        outcome: Outcome,
        attempt: &Attempt,
    ) -> Change {
        upstream_change(subject, token, outcome, &self.policy.lockout, attempt.at)
    }

    /// An acceptance clears the count of failures, and what was no decision takes the one
    /// failure back. A counter that cannot be moved now does not change the upstream's word.
    async fn settle(&self, verdict: Verdict, counted: Change, attempt: &Attempt) {
        let result = match verdict.outcome {
            Outcome::Rejected => return,
            // It stays counted until the password was found right, too.
            Outcome::Accepted if attempt.terms.password == PasswordRule::Elsewhere => return,
            Outcome::Accepted => self.clear(verdict, attempt).await,
            Outcome::Challenged | Outcome::Unavailable | Outcome::Declined => {
                self.store.commit(taken_back(counted)).await.map(drop)
            }
        };
        if let Err(error) = result {
            self.complain("an upstream's word was not counted", &error);
        }
    }

    async fn clear(&self, verdict: Verdict, attempt: &Attempt) -> Result<(), StoreError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subject) = self.store.find(attempt.login.key()).await? else { break };
            let change = self.upstream_change(&subject, verdict.token, verdict.outcome, attempt);
            if self.store.commit(change).await? == Committed::Done {
                break;
            }
        }
        Ok(())
    }
}

/// The move that undoes a move, if nobody moved further meanwhile.
fn taken_back(change: Change) -> Change {
    let failures = change.failures.map(|Move { id, from, to }| Move { id, from: to, to: from });
    Change { failures, tokens: Vec::new() }
}
