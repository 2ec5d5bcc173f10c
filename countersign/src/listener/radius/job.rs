//! Work that a request calls for, and what it leads to.

use std::sync::Arc;

use countersign_core::{
    domain::{
        attempt::Attempt,
        event::Event,
        verdict::{Outcome, Reason, Verdict},
    },
    wire::radius::{authenticator::VerifiedRequest, dictionary::AttributeNumber},
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
    Forward(Box<(String, Forward)>),
    /// Record an accounting report.
    Record(Box<Event>),
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
    ) -> Option<Self> {
        let states = request.packet().attributes().all(AttributeNumber::PROXY_STATE);
        if states.count() >= MAX_PROXIES {
            return None;
        }
        let forward = forward_of(request, user_name)?;
        Some(Self::Forward((upstream, forward).into()))
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
                let (upstream, forward) = *job;
                let forwarding = services.proxy.forward(&upstream, forward);
                Done::Forwarded(match asked.client.settings.deadline {
                    None => forwarding.await,
                    Some(deadline) => tokio::time::timeout(deadline, forwarding)
                        .await
                        .unwrap_or(Err(Unforwarded::TooLate)),
                })
            }
            Self::Record(event) => {
                services.recorder.record(*event);
                Done::Recorded
            }
        };
        (asked, done)
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
