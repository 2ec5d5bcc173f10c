//! Authenticate: an attempt in, a verdict out, with nothing accepted before it is durable.

use std::{collections::HashMap, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use countersign_core::domain::{
    account::Account,
    attempt::Attempt,
    challenge::{Challenge, Prior, Prompt},
    event::{Event, What},
    id::AccountId,
    name::LoginName,
    parameters::{Parameters, Wording},
    policy::Policy,
    subject::{ClearSecret, Holding, Subject},
    token::{Token, TokenKind},
    validate::{PinCheck, decide},
    verdict::{Decision, Outcome, Reason, Verdict},
};

use super::password;
use crate::{
    audit::Audit,
    client::{delivery::Channel, radius::Upstream},
    store::{Committed, SealedSecret, Store, StoreError},
    vault::{Vault, VaultError},
};

pub use self::pending::Pending;
use self::{complaints::Complaints, hashing::Hashing, pending::Counted, recent::Recent};

mod complaints;
mod deliver;
mod hashing;
mod pending;
mod recent;
mod remote;

/// The one validator behind all listeners.
pub struct Authenticator {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    audit: Arc<dyn Audit>,
    policy: Policy,
    pins: Arc<dyn PinCheck + Send + Sync>,
    hashing: Hashing,
    others: Arc<ArcSwap<Others>>,
    recent: Recent,
    complaints: Complaints,
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
    /// Who else has a part in it; may be replaced while decisions are made.
    pub others: Arc<ArcSwap<Others>>,
}

/// Who else has a part in decisions, by their names in the config.
#[derive(Default)]
pub struct Others {
    /// RADIUS servers that decide.
    pub upstreams: HashMap<String, Arc<Upstream>>,
    /// Channels by which OTPs are sent.
    pub channels: HashMap<String, Arc<Channel>>,
}

/// What an attempt leads to.
#[derive(Debug)]
pub struct Answer {
    /// The decision.
    pub verdict: Verdict,
    /// With [`Outcome::Challenged`]: what the user is to be told, and what will count then.
    pub challenge: Option<Box<Challenge>>,
    /// With [`Outcome::Accepted`]: who was let in, and by what.
    pub accepted: Option<Box<Accepted>>,
    /// What the parameters of the token want the peer to be told, if anything.
    pub wording: Option<Box<Wording>>,
}

/// Who was let in, and by what.
#[derive(Debug)]
pub struct Accepted {
    /// The account.
    pub account: Account,
    /// The token, unless an upstream decided for the whole account.
    pub token: Option<Token>,
    /// How many octets of the passcode stand before token identifier and OTP.
    pub password_length: usize,
    /// How the failures of the account were moved.
    counted: Option<Counted>,
}

impl Authenticator {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { store, vault, audit, policy, pins, pin_permits, others } = parts;
        let hashing = Hashing::new(pin_permits);
        let (recent, complaints) = (Recent::default(), Complaints::default());
        Self { store, vault, audit, policy, pins, hashing, others, recent, complaints }
    }

    /// The account that a name leads to.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn account(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        Ok(self.store.find(login.key()).await?.map(|subject| subject.account))
    }

    /// Whether the account that a name leads to has a token, usable or not.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn has_token(&self, login: &LoginName) -> Result<bool, StoreError> {
        let subject = self.store.find(login.key()).await?;
        Ok(subject.is_some_and(|subject| !subject.tokens.is_empty()))
    }

    /// Decides about an attempt, makes the decision durable, and records it.
    pub async fn authenticate(&self, attempt: Attempt) -> Answer {
        let attempt = Arc::new(attempt);
        let answer = self.decide_durably(&attempt).await;
        self.audit.record(event(&attempt, answer.verdict));
        answer
    }

    /// Rejects an attempt that there is nothing to decide about, and records it.
    pub fn refuse(&self, attempt: &Attempt, reason: Reason) -> Answer {
        let answer = Answer::from(verdict(Outcome::Rejected, reason, None));
        self.audit.record(event(attempt, answer.verdict));
        answer
    }

    /// Loads, decides and commits; anew when another attempt on the same counters was faster.
    async fn decide_durably(&self, attempt: &Arc<Attempt>) -> Answer {
        let mut account = None;
        for _ in 0..MAX_ROUNDS {
            let sealed = match self.store.find(attempt.login.key()).await {
                Ok(Some(sealed)) => sealed,
                Ok(None) => return unknown(attempt).into(),
                Err(error) => return self.store_failed(&error, account).into(),
            };
            account = Some(sealed.account.id);
            let Some(subject) = self.open(sealed) else {
                return verdict(Outcome::Unavailable, Reason::SecretUnreadable, account).into();
            };
            let (subject, decision) = if has_nothing_slow(&subject) {
                let decision = decide(&subject, attempt, &self.policy, &*self.pins);
                (subject, decision)
            } else {
                match Box::pin(self.decide_with_pins(subject, attempt)).await {
                    Some(decided) => decided,
                    None => break,
                }
            };
            // What few attempts need is boxed, for it would make every attempt larger.
            let (verdict, change, next, delivery) = match decision {
                Decision::Settled { verdict, change, next, delivery } => {
                    (verdict, change, next, delivery)
                }
                Decision::Ask(question) => {
                    match Box::pin(self.ask_durably(*question, subject, attempt)).await {
                        Some(answer) => return answer,
                        None => continue,
                    }
                }
            };
            let counted = change.failures;
            let sending = delivery.map(|delivery| (delivery, change.clone()));
            if !change.is_empty() {
                match self.store.commit(change).await {
                    Ok(Committed::Done) => {}
                    Ok(Committed::Conflict) => continue,
                    Err(error) => return self.store_failed(&error, account).into(),
                }
            }
            if let Some((delivery, change)) = sending {
                let sent = self.deliver(&delivery, change, verdict, &subject.account);
                if let Some(unsent) = Box::pin(sent).await {
                    return unsent;
                }
            }
            return answer(verdict, next, subject, attempt, counted);
        }
        verdict(Outcome::Unavailable, Reason::Contention, account).into()
    }

    /// The subject with its secrets in clear; nothing if a secret does not open and no other
    /// token could decide.
    fn open(&self, sealed: Subject<SealedSecret>) -> Option<Subject<ClearSecret>> {
        let mut is_readable = true;
        let subject = sealed.map_secrets(|token, secret| {
            let opened = self.vault.open_secret(token.id, &secret);
            opened
                .inspect_err(|error| {
                    is_readable = false;
                    self.complain_of_secret(token, error);
                })
                .ok()
        });
        let can_decide = |holding: &Holding<ClearSecret>| {
            holding.secret.is_some() || matches!(holding.token.kind, TokenKind::Remote { .. })
        };
        (is_readable || subject.tokens.iter().any(can_decide)).then_some(subject)
    }

    /// Anybody can make us look at the token as often as he asks.
    fn complain_of_secret(&self, token: &Token, error: &VaultError) {
        if self.complaints.is_due(&token.id.to_string(), Instant::now()) {
            tracing::error!(label = token.label, %error, "a token cannot be used; more at debug only");
        } else {
            tracing::debug!(label = token.label, %error, "a token cannot be used");
        }
    }

    fn store_failed(&self, error: &StoreError, account: Option<AccountId>) -> Verdict {
        self.complain("the store failed during an attempt", error);
        verdict(Outcome::Unavailable, Reason::StoreFailed, account)
    }

    /// Decides on a thread of its own, because a PIN or a password has to be hashed; nothing
    /// if too many attempts on the account wait for that.
    async fn decide_with_pins(
        &self,
        mut subject: Subject<ClearSecret>,
        attempt: &Arc<Attempt>,
    ) -> Option<(Subject<ClearSecret>, Decision)> {
        let turn = self.hashing.turn(subject.account.id).await?;
        let name = &subject.account.name;
        subject.password = subject.password.map(|values| password::affordable(name, values));
        let (attempt, policy, pins) = (attempt.clone(), self.policy.clone(), self.pins.clone());
        let decided = tokio::task::spawn_blocking(move || {
            let decision = decide(&subject, &attempt, &policy, &*pins);
            drop(turn);
            (subject, decision)
        })
        .await;
        Some(decided.expect("a decision does not panic, and is not cancelled"))
    }
}

impl Others {
    /// To be shared, and replaced while decisions are made.
    #[must_use]
    pub fn shared(self) -> Arc<ArcSwap<Self>> {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, challenge: None, accepted: None, wording: None }
    }
}

/// Whether no PIN and no password has to be hashed.
fn has_nothing_slow(subject: &Subject<ClearSecret>) -> bool {
    (subject.password.is_none() || subject.tokens.is_empty())
        && subject.tokens.iter().all(|holding| holding.token.pin.is_none())
}

fn answer(
    verdict: Verdict,
    next: Option<Box<Prior>>,
    subject: Subject<ClearSecret>,
    attempt: &Attempt,
    counted: Option<Counted>,
) -> Answer {
    let challenge = next.map(|prior| {
        let prompt = if verdict.reason == Reason::OutOfStep {
            Prompt::NextOtp
        } else if verdict.reason == Reason::OtpSent {
            Prompt::Delivered
        } else {
            Prompt::Otp
        };
        Box::new(Challenge { prompt, prior: *prior })
    });
    let wording = wording(verdict, &subject);
    let accepted = (verdict.outcome == Outcome::Accepted)
        .then(|| accepted(verdict, subject, attempt, counted));
    Answer { verdict, challenge, accepted, wording }
}

/// What the token that decided wants the peer to be told, or if none did, the first one. So a
/// refusal says the same whatever was wrong.
fn wording(verdict: Verdict, subject: &Subject<ClearSecret>) -> Option<Box<Wording>> {
    let is_deciding = |holding: &&Holding<_>| Some(holding.token.id) == verdict.token;
    let deciding = subject.tokens.iter().find(is_deciding).or(subject.tokens.first())?;
    let Parameters { success, failure, .. } = &deciding.parameters;
    let wording = match verdict.outcome {
        Outcome::Accepted => success,
        Outcome::Rejected => failure,
        Outcome::Challenged | Outcome::Unavailable | Outcome::Declined => return None,
    };
    (*wording != Wording::default()).then(|| wording.clone().into())
}

fn accepted(
    verdict: Verdict,
    subject: Subject<ClearSecret>,
    attempt: &Attempt,
    counted: Option<Counted>,
) -> Box<Accepted> {
    let mut tokens = subject.tokens.into_iter().map(|holding| holding.token);
    let token = tokens.find(|token| Some(token.id) == verdict.token);
    let tail = token.as_ref().map_or(0, Token::passcode_tail);
    let password_length = attempt.passcode.expose_bytes().len().saturating_sub(tail);
    Accepted { account: subject.account, token, password_length, counted }.into()
}

fn verdict(outcome: Outcome, reason: Reason, account: Option<AccountId>) -> Verdict {
    Verdict { outcome, reason, account, token: None }
}

fn unknown(attempt: &Attempt) -> Verdict {
    let outcome = if attempt.terms.may_decline { Outcome::Declined } else { Outcome::Rejected };
    verdict(outcome, Reason::UnknownAccount, None)
}

fn event(attempt: &Attempt, verdict: Verdict) -> Event {
    Event {
        at: attempt.at,
        correlation: attempt.correlation,
        what: What::Authenticated {
            login: attempt.login.given().to_owned(),
            listener: attempt.listener,
            peer: attempt.peer.clone(),
            origin: attempt.terms.origin.clone(),
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
