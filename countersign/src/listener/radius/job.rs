//! Work that a request calls for, and what it leads to.

use std::sync::Arc;

use countersign_core::{
    domain::{
        attempt::{Attempt, ListenerKind},
        event::{Event, What},
        id::CorrelationId,
        time::UnixTime,
        verdict::{Outcome, Reason, Verdict},
    },
    wire::radius::{
        authenticator::VerifiedRequest,
        dictionary::{AttributeNumber, Code},
    },
};

use super::{Services, handler::Asked};
use crate::app::{
    authenticate::{Answer, Authenticator},
    proxy::{Forward, Forwarded, Unforwarded},
};

/// What is to be done before there is an answer.
#[derive(Debug)]
pub(super) enum Job {
    /// Decide about a passcode.
    Decide(Box<Attempt>),
    /// Record that nothing was decided, and why.
    Refuse(Box<Attempt>, Reason),
    /// Ask others.
    Forward(Box<Sending>),
    /// Record an accounting report.
    Record(Box<Event>),
}

/// A request on its way to others.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) upstream: String,
    pub(super) forward: Forward,
    /// What the audit log gets with the answer; nothing of accounting, which others record.
    pub(super) attempt: Option<SentOn>,
}

/// What is known of a logon that others decide.
#[derive(Debug)]
pub(super) struct SentOn {
    pub(super) correlation: CorrelationId,
    pub(super) at: UnixTime,
    /// The name as it was given.
    pub(super) login: String,
    pub(super) origin: String,
}

/// What the work led to.
#[derive(Debug)]
pub(super) enum Done {
    /// A verdict.
    Decided(Answer),
    /// What others said.
    Forwarded(Result<Forwarded, Unforwarded>),
    /// The report is recorded.
    Recorded,
}

impl Job {
    /// The request as it is sent on; nothing if it has been through too many proxies, or has a
    /// password that does not even unhide.
    pub(super) fn forward(
        upstream: String,
        user_name: &str,
        request: &VerifiedRequest<'_>,
        attempt: Option<SentOn>,
    ) -> Option<Self> {
        let states = request.packet().attributes().all(AttributeNumber::PROXY_STATE);
        if states.count() >= MAX_PROXIES {
            return None;
        }
        let forward = forward_of(request, user_name)?;
        Some(Self::Forward(Sending { upstream, forward, attempt }.into()))
    }

    /// Does the work. A client that waits no longer than to a deadline is told Reject then;
    /// what was begun is finished all the same.
    pub(super) async fn run(self, services: Services, asked: Box<Asked>) -> (Box<Asked>, Done) {
        let done = match self {
            Self::Decide(attempt) => {
                let deciding = decide(services.authenticator, *attempt);
                match asked.client.settings.deadline {
                    None => Done::Decided(deciding.await),
                    Some(deadline) => {
                        let mut deciding = tokio::spawn(deciding);
                        match tokio::time::timeout(deadline, &mut deciding).await {
                            Ok(Ok(answer)) => Done::Decided(answer),
                            Ok(Err(_)) | Err(_) => Done::Decided(too_late()),
                        }
                    }
                }
            }
            Self::Refuse(attempt, reason) => {
                Done::Decided(services.authenticator.refuse(&attempt, reason))
            }
            Self::Forward(job) => {
                let Sending { upstream, forward, attempt } = *job;
                let forwarding = services.proxy.forward(&upstream, forward);
                let forwarded = match asked.client.settings.deadline {
                    None => forwarding.await,
                    Some(deadline) => tokio::time::timeout(deadline, forwarding)
                        .await
                        .unwrap_or(Err(Unforwarded::TooLate)),
                };
                if let Some(attempt) = attempt {
                    services.recorder.record(attempt.event(&asked, &forwarded));
                }
                Done::Forwarded(forwarded)
            }
            Self::Record(event) => {
                services.recorder.record(*event);
                Done::Recorded
            }
        };
        (asked, done)
    }
}

impl SentOn {
    fn event(self, asked: &Asked, forwarded: &Result<Forwarded, Unforwarded>) -> Event {
        let (outcome, reason) = match forwarded {
            Ok(forwarded) => match forwarded.code {
                Code::ACCESS_ACCEPT => (Outcome::Accepted, Reason::UpstreamAccepted),
                Code::ACCESS_CHALLENGE => (Outcome::Challenged, Reason::UpstreamChallenged),
                _ => (Outcome::Rejected, Reason::UpstreamRejected),
            },
            Err(Unforwarded::Unknown(_)) => (Outcome::Unavailable, Reason::UpstreamUnknown),
            Err(Unforwarded::TooLate) => (Outcome::Unavailable, Reason::DeadlinePassed),
            Err(Unforwarded::Unanswered(_)) => (Outcome::Unavailable, Reason::UpstreamSilent),
        };
        Event {
            at: self.at,
            correlation: self.correlation,
            what: What::Authenticated {
                login: self.login,
                listener: ListenerKind::Radius,
                peer: asked.client.settings.name.clone(),
                origin: Some(self.origin),
                outcome,
                reason,
                account: None,
                token: None,
            },
        }
    }
}

/// A request as others are to read it.
fn forward_of(request: &VerifiedRequest<'_>, user_name: &str) -> Option<Forward> {
    let packet = request.packet();
    let attributes = packet.attributes().iter().map(|attribute| match attribute.number {
        AttributeNumber::USER_NAME => (attribute.number, user_name.as_bytes().to_vec()),
        number => (number, attribute.value.to_vec()),
    });
    let left_out = [AttributeNumber::USER_PASSWORD, AttributeNumber::MESSAGE_AUTHENTICATOR];
    let attributes = attributes.filter(|(number, _)| !left_out.contains(number));
    Some(Forward {
        code: packet.code(),
        attributes: attributes.collect(),
        password: request.user_password().ok()?,
        client: request.concealment(),
    })
}

async fn decide(authenticator: Arc<Authenticator>, attempt: Attempt) -> Answer {
    authenticator.authenticate(attempt).await
}

fn too_late() -> Answer {
    let (outcome, reason) = (Outcome::Unavailable, Reason::DeadlinePassed);
    Verdict { outcome, reason, account: None, token: None }.into()
}

/// More proxies than any chain has, fewer than a loop makes.
const MAX_PROXIES: usize = 10;
