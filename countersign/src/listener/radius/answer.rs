//! What the work led to, as a packet.

use countersign_core::{
    domain::{challenge::Challenge, time::UnixTime, verdict::Outcome},
    wire::radius::dictionary::Code,
};

use super::{
    attributes::{Facts, attributes},
    counts::Counter,
    handler::{Asked, Common},
    job::Done,
    reply::Attributes,
    state::Bearer,
};
use crate::app::{
    authenticate::{Accepted, Answer},
    proxy::Forwarded,
};

/// The answer and the counter it counts for; nothing if there was no decision.
pub(super) fn write<'a>(
    common: &'a Common,
    asked: &Asked,
    done: Done,
    now: UnixTime,
) -> Option<(&'a Counter, Vec<u8>)> {
    let secret = &asked.client.settings.secret;
    match done {
        Done::Decided(answer) => decided(common, asked, answer, now),
        Done::Forwarded(Ok(forwarded)) => forwarded_to(common, asked, &forwarded),
        Done::Forwarded(Err(error)) => {
            tracing::debug!(client = asked.client.settings.name, %error, "not sent on");
            None
        }
        Done::Recorded => {
            let answer = asked.reply_to.plain(Code::ACCOUNTING_RESPONSE, secret);
            Some((&common.counts.accounted, answer))
        }
    }
}

fn decided<'a>(
    common: &'a Common,
    asked: &Asked,
    answer: Answer,
    now: UnixTime,
) -> Option<(&'a Counter, Vec<u8>)> {
    let (counts, secret) = (&common.counts, &asked.client.settings.secret);
    match answer.verdict.outcome {
        Outcome::Accepted => {
            let attributes = reply_attributes(common, asked, answer.accepted.as_deref());
            Some((&counts.accepted, asked.reply_to.accept(&attributes, secret)))
        }
        Outcome::Challenged => Some(
            answer
                .challenge
                .and_then(|challenge| challenged(common, asked, &challenge, now))
                .map(|challenge| (&counts.challenged, challenge))
                .unwrap_or_else(|| (&counts.rejected, asked.reply_to.reject(secret))),
        ),
        Outcome::Rejected | Outcome::Declined => {
            Some((&counts.rejected, asked.reply_to.reject(secret)))
        }
        Outcome::Unavailable => None,
    }
}

/// The challenge, unless the client cannot be challenged or what must be kept is too much.
fn challenged(
    common: &Common,
    asked: &Asked,
    challenge: &Challenge,
    now: UnixTime,
) -> Option<Vec<u8>> {
    let client = &asked.client.settings;
    if client.never_challenge || client.is_kdc {
        tracing::debug!(client = client.name, "a challenge was turned into a reject");
        return None;
    }
    let bearer = Bearer { client: &client.name, login: asked.login.as_ref()? };
    let Some(state) = common.states.write(&challenge.prior, bearer, now) else {
        tracing::debug!(client = client.name, "the State of an upstream is too long to be kept");
        return None;
    };
    asked.reply_to.challenge(&challenge.prompt, state, &client.secret)
}

fn reply_attributes(common: &Common, asked: &Asked, accepted: Option<&Accepted>) -> Attributes {
    let rules = common.rules.load();
    let client = &asked.client.settings;
    if client.is_kdc || (rules.reply.is_empty() && client.reply.is_empty()) {
        return Attributes::new();
    }
    let account = accepted.map(|accepted| &accepted.account);
    let token = accepted.and_then(|accepted| accepted.token.as_ref());
    let facts = Facts {
        groups: account.map_or(&[], |account| account.groups.as_slice()),
        listener: asked.peer.listener(),
        account: account.map(|account| account.name.as_str()),
        token_label: token.map(|token| token.label.as_str()),
        token_id: token.map(|token| token.id),
        indicators: token.map_or(&[], |token| token.indicators.as_slice()),
    };
    attributes(rules.reply.iter().chain(&client.reply), &facts)
}

/// What others said. A client that cannot be challenged is told Reject.
fn forwarded_to<'a>(
    common: &'a Common,
    asked: &Asked,
    forwarded: &Forwarded,
) -> Option<(&'a Counter, Vec<u8>)> {
    let (counts, client) = (&common.counts, &asked.client.settings);
    let code = forwarded.code;
    if code == Code::ACCESS_CHALLENGE && (client.never_challenge || client.is_kdc) {
        return Some((&counts.rejected, asked.reply_to.reject(&client.secret)));
    }
    let answer = asked.reply_to.forwarded(code, &forwarded.attributes, &client.secret)?;
    Some((&counts.forwarded, answer))
}
