//! One request to authenticate, whatever protocol it came by.

use serde::{Deserialize, Serialize};

use super::{id::CorrelationId, name::LoginName, time::UnixTime};
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
}

/// The kinds of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerKind {
    /// RADIUS, over any transport.
    Radius,
    /// MS-OTPCE.
    Otpce,
}
