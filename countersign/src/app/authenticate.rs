//! Authenticate: an attempt in, a verdict out, with nothing accepted before it is durable.

use std::{collections::HashMap, sync::Arc};

use countersign_core::domain::{
    account::Account,
    attempt::Attempt,
    counter::{Change, Move},
    event::{Event, What},
    id::{AccountId, TokenId},
    name::LoginName,
    policy::Policy,
    subject::{ClearSecret, Subject},
    validate::{PinCheck, decide, upstream_change},
    verdict::{Decision, Outcome, Reason, Verdict},
};
use tokio::sync::Semaphore;

use crate::{
    audit::Audit,
    client::radius::{Reply, Upstream},
    store::{Committed, SealedSecret, Store, StoreError},
    vault::Vault,
};

/// The one validator behind all listeners.
pub struct Authenticator {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    audit: Arc<dyn Audit>,
    policy: Policy,
    pins: Arc<dyn PinCheck + Send + Sync>,
    pin_permits: Arc<Semaphore>,
    upstreams: HashMap<String, Arc<Upstream>>,
}

/// What an [`Authenticator`] works with.
pub struct Parts {
    /// Accounts, tokens, counters.
    pub store: Arc<dyn Store>,
    /// Opens the shared secrets.
    pub vault: Arc<Vault>,
    /// Takes an event for every verdict.
    pub audit: Arc<dyn Audit>,
    /// Windows, throttling, lockout.
    pub policy: Policy,
    /// Checks PINs; slow on purpose.
    pub pins: Arc<dyn PinCheck + Send + Sync>,
    /// How many PINs may be checked at once.
    pub pin_permits: usize,
    /// The upstreams of the config by their names.
    pub upstreams: HashMap<String, Arc<Upstream>>,
}

impl Authenticator {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { store, vault, audit, policy, pins, pin_permits, upstreams } = parts;
        let pin_permits = Arc::new(Semaphore::new(pin_permits.max(1)));
        Self { store, vault, audit, policy, pins, pin_permits, upstreams }
    }

    /// The account that a name leads to.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn account(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        Ok(self.store.find(login.key()).await?.map(|subject| subject.account))
    }

    /// Decides about an attempt, makes the decision durable, and records it.
    pub async fn authenticate(&self, attempt: Attempt) -> Verdict {
        let attempt = Arc::new(attempt);
        let verdict = self.decide_durably(&attempt).await;
        self.audit.record(event(&attempt, verdict));
        verdict
    }

    /// Loads, decides and commits; anew when another attempt on the same counters was faster.
    async fn decide_durably(&self, attempt: &Arc<Attempt>) -> Verdict {
        let mut account = None;
        for _ in 0..MAX_ROUNDS {
            let sealed = match self.store.find(attempt.login.key()).await {
                Ok(Some(sealed)) => sealed,
                Ok(None) => return verdict(Outcome::Rejected, Reason::UnknownAccount, None),
                Err(error) => return store_failed(&error, account),
            };
            account = Some(sealed.account.id);
            let Some(subject) = self.open(sealed) else {
                return verdict(Outcome::Unavailable, Reason::SecretUnreadable, account);
            };
            let (subject, decision) =
                if subject.tokens.iter().all(|holding| holding.token.pin.is_none()) {
                    let decision = decide(&subject, attempt, &self.policy, &*self.pins);
                    (subject, decision)
                } else {
                    Box::pin(self.decide_with_pins(subject, attempt)).await
                };
            let (verdict, change) = match decision {
                Decision::Settled { verdict, change } => (verdict, change),
                Decision::Ask { upstream, token } => {
                    let counted = self.upstream_change(&subject, token, Outcome::Rejected, attempt);
                    match self.store.commit(counted.clone()).await {
                        Ok(Committed::Done) => {}
                        Ok(Committed::Conflict) => continue,
                        Err(error) => return store_failed(&error, account),
                    }
                    // Boxed, as what few attempts need would make every attempt larger.
                    let asking = self.ask(&upstream, token, &subject.account, attempt);
                    let verdict = Box::pin(asking).await;
                    Box::pin(self.settle(verdict, counted, attempt)).await;
                    return verdict;
                }
            };
            if change.is_empty() {
                return verdict;
            }
            match self.store.commit(change).await {
                Ok(Committed::Done) => return verdict,
                Ok(Committed::Conflict) => {}
                Err(error) => return store_failed(&error, account),
            }
        }
        verdict(Outcome::Unavailable, Reason::Contention, account)
    }

    fn open(&self, sealed: Subject<SealedSecret>) -> Option<Subject<ClearSecret>> {
        sealed
            .try_map(|token, secret| self.vault.open_secret(token.id, &secret))
            .inspect_err(|error| tracing::error!(%error, "a shared secret does not open"))
            .ok()
    }

    /// Decides on a thread of its own, because a PIN has to be hashed.
    async fn decide_with_pins(
        &self,
        subject: Subject<ClearSecret>,
        attempt: &Arc<Attempt>,
    ) -> (Subject<ClearSecret>, Decision) {
        let _permit = self.pin_permits.acquire().await.expect("this semaphore is never closed");
        let (attempt, policy, pins) = (attempt.clone(), self.policy.clone(), self.pins.clone());
        tokio::task::spawn_blocking(move || {
            let decision = decide(&subject, &attempt, &policy, &*pins);
            (subject, decision)
        })
        .await
        .expect("a decision does not panic, and is not cancelled")
    }

    async fn ask(
        &self,
        upstream: &str,
        token: Option<TokenId>,
        account: &Account,
        attempt: &Attempt,
    ) -> Verdict {
        let (outcome, reason) = match self.upstreams.get(upstream) {
            None => (Outcome::Unavailable, Reason::UpstreamUnknown),
            Some(upstream) => {
                match upstream.ask(account, &attempt.login, &attempt.passcode).await {
                    Reply::Accepted => (Outcome::Accepted, Reason::UpstreamAccepted),
                    Reply::Rejected => (Outcome::Rejected, Reason::UpstreamRejected),
                    Reply::Challenged { .. } => (Outcome::Challenged, Reason::UpstreamChallenged),
                    Reply::Silent => (Outcome::Unavailable, Reason::UpstreamSilent),
                }
            }
        };
        Verdict { outcome, reason, account: Some(account.id), token }
    }
}

impl Authenticator {
    fn upstream_change<S>(
        &self,
        subject: &Subject<S>,
        token: Option<TokenId>,
        outcome: Outcome,
        attempt: &Attempt,
    ) -> Change {
        upstream_change(subject, token, outcome, &self.policy.lockout, attempt.at)
    }

    /// A guess at a remote token was counted as a failure before the upstream was asked, so
    /// that guesses made at once cannot all pass. An acceptance clears the count, and what was
    /// no decision takes the one failure back. A counter that cannot be moved now does not
    /// change the upstream's word.
    async fn settle(&self, verdict: Verdict, counted: Change, attempt: &Attempt) {
        let result = match verdict.outcome {
            Outcome::Rejected => return,
            Outcome::Accepted => self.clear(verdict, attempt).await,
            Outcome::Challenged | Outcome::Unavailable => {
                self.store.commit(taken_back(counted)).await.map(drop)
            }
        };
        if let Err(error) = result {
            tracing::error!(%error, "an upstream's word was not counted");
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

fn verdict(outcome: Outcome, reason: Reason, account: Option<AccountId>) -> Verdict {
    Verdict { outcome, reason, account, token: None }
}

fn store_failed(error: &StoreError, account: Option<AccountId>) -> Verdict {
    tracing::error!(%error, "the store failed during an attempt");
    verdict(Outcome::Unavailable, Reason::StoreFailed, account)
}

fn event(attempt: &Attempt, verdict: Verdict) -> Event {
    Event {
        at: attempt.at,
        correlation: attempt.correlation,
        what: What::Authenticated {
            login: attempt.login.given().to_owned(),
            listener: attempt.listener,
            peer: attempt.peer.clone(),
            outcome: verdict.outcome,
            reason: verdict.reason,
            account: verdict.account,
            token: verdict.token,
        },
    }
}

/// How often an attempt is decided anew. Each round lost means that another attempt on the
/// same account was decided, so under the default lockout even a flood of wrong passcodes
/// settles within ten.
const MAX_ROUNDS: usize = 32;
