//! One request to authenticate, whatever protocol it came by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    challenge::Prior, id::CorrelationId, name::LoginName, password::PasswordRule, receipt::Receipt,
    time::UnixTime,
};
use crate::secret::Secret;

/// What a listener knows when it asks for a decision.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Follows the request through all parts.
    pub correlation: CorrelationId,
    /// The account name as it was given.
    pub login: LoginName,
    /// What the user typed: OTP alone, or PIN and OTP.
    pub passcode: Secret<Vec<u8>>,
    /// What kind of listener received it.
    pub listener: ListenerKind,
    /// Who asked: the name of a RADIUS client, the subject of a machine certificate.
    pub peer: String,
    /// The time the request arrived; the same for every step of its handling.
    pub at: UnixTime,
    /// What else counts for a request that came this way.
    pub terms: Terms,
}

/// What counts for requests of some listeners and clients, beside the passcode. By default
/// nothing does.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Where exactly it came from, for the audit: an address, a process, the NAS.
    pub origin: Option<String>,
    /// Whether the user can be asked for a second passcode.
    pub may_challenge: bool,
    /// What an earlier round of the same logon has established.
    pub prior: Option<Prior>,
    /// The strengths that the token must have; empty if any token will do.
    pub indicators: Arc<[String]>,
    /// By what a retry of this request is known, if it may be retried.
    pub receipt: Option<Receipt>,
    /// What is asked for in front of the OTP.
    pub password: PasswordRule,
    /// Whether somebody else decides about accounts that have no token: they are not
    /// rejected then, but [declined](super::verdict::Outcome::Declined).
    pub may_decline: bool,
}

/// The kinds of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerKind {
    /// RADIUS, over any transport.
    Radius,
    /// MS-OTPCE.
    Otpce,
    /// slapd, by its overlay `sock`.
    BackSock,
    /// LDAP, in front of a directory server.
    Ldap,
}
