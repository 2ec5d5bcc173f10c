//! Health: whether the next OTP logon would get through, before a user finds out.

use std::sync::Arc;

use countersign_core::{pki::cert::Certificate, time::UnixTime};
use serde::Serialize;

use super::{
    publish::Publisher,
    sign::{Ra, Standing},
};
use crate::{certificate::readable, store::Store};

/// What is looked at.
pub struct Health {
    /// The registration authority, if there is one.
    pub ra: Option<Arc<Ra>>,
    /// The publisher of the embedded CA, if there is one.
    pub publisher: Option<Arc<Publisher>>,
    /// The store.
    pub store: Arc<dyn Store>,
}

/// The state of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The part.
    pub part: &'static str,
    /// How it is.
    pub state: State,
    /// The same in words.
    pub text: String,
}

/// How a part is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It works.
    Good,
    /// It works, but somebody should look at it.
    Warning,
    /// Logons fail because of it.
    Failing,
}

impl Health {
    /// The state of all parts.
    #[must_use]
    pub fn checks(&self, now: UnixTime) -> Vec<Check> {
        let ra = self.ra.iter().map(|ra| signing_certificate(ra, now));
        let publisher = self.publisher.iter().flat_map(|publisher| {
            [authority(publisher.certificate(), now), revocation_list(publisher, now)]
        });
        ra.chain(publisher).chain([store(&*self.store)]).collect()
    }
}

fn signing_certificate(ra: &Ra, now: UnixTime) -> Check {
    let (state, text) = match (ra.standing(now), ra.current()) {
        (Standing::ValidUntil(end), Some(signing)) => {
            let state = running_out(signing.certificate(), now);
            (state, format!("valid until {}", readable(end)))
        }
        (Standing::ExpiredSince(end), _) => {
            (State::Failing, format!("expired on {}", readable(end)))
        }
        (Standing::NotYetValid, _) => {
            (State::Failing, "not valid yet; is the clock right?".to_owned())
        }
        (Standing::Missing | Standing::ValidUntil(_), _) => {
            (State::Failing, "there is none".to_owned())
        }
    };
    Check { part: "signing certificate", state, text }
}

fn authority(certificate: &Certificate, now: UnixTime) -> Check {
    let text = format!("valid until {}", readable(certificate.not_after()));
    let state =
        if certificate.is_valid_at(now) { running_out(certificate, now) } else { State::Failing };
    Check { part: "CA certificate", state, text }
}

fn revocation_list(publisher: &Publisher, now: UnixTime) -> Check {
    let part = "revocation list";
    let end = publisher.current().and_then(|list| list.next_update());
    let Some(end) = end else {
        return Check { part, state: State::Failing, text: "there is none".into() };
    };
    let state = if now > end {
        State::Failing
    } else if publisher.is_overdue(now) {
        State::Warning
    } else {
        State::Good
    };
    Check { part, state, text: format!("valid until {}", readable(end)) }
}

fn store(store: &dyn Store) -> Check {
    let (state, text) = match store.health() {
        Ok(()) => (State::Good, "takes changes".to_owned()),
        Err(error) => (State::Failing, error.to_string()),
    };
    Check { part: "store", state, text }
}

/// A certificate in its last quarter should have been renewed.
fn running_out(certificate: &Certificate, now: UnixTime) -> State {
    let life = certificate.not_after().since(certificate.not_before());
    let left = certificate.not_after().since(now);
    if left < life / 4 { State::Warning } else { State::Good }
}
