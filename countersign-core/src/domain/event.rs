//! Audit events as types. None of them has room for a passcode, a PIN or a secret.

use serde::{Deserialize, Serialize};

use super::{
    attempt::ListenerKind,
    id::{AccountId, CorrelationId, TokenId},
    time::UnixTime,
    verdict::{Outcome, Reason},
};

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: UnixTime,
    /// Follows one request through all parts.
    pub correlation: CorrelationId,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// An attempt was decided.
    Authenticated {
        /// The name as given.
        login: String,
        /// The kind of listener.
        listener: ListenerKind,
        /// Who asked.
        peer: String,
        /// From where exactly: an address, a process, the NAS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
        /// What the peer is told.
        outcome: Outcome,
        /// Why.
        reason: Reason,
        /// The account, if the name led to one.
        account: Option<AccountId>,
        /// The token that decided.
        token: Option<TokenId>,
    },
    /// A RADIUS client reported of a session (RFC 2866).
    Accounted {
        /// The client.
        peer: String,
        /// From where exactly.
        origin: String,
        /// What it reports: start, stop, interim-update and others.
        status: String,
        /// The name of the user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<String>,
        /// The session, as the client calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// How long it has lasted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// A certificate request was refused before its passcode was looked at.
    RequestRefused {
        /// The name as given.
        login: String,
        /// Who asked.
        peer: String,
        /// The step of [MS-OTPCE] §3.2.5.1 that refused, "1a" to "6".
        step: String,
        /// The cause, in words.
        cause: String,
    },
    /// The RA is about to sign a certificate request.
    SigningIntended {
        /// The account.
        account: AccountId,
        /// SHA-256 of the PKCS#10, hexadecimal.
        request_sha256: String,
        /// Serial number of the signing certificate, hexadecimal.
        signer_serial: String,
    },
    /// The RA has signed it.
    Signed {
        /// SHA-256 of the PKCS#10, hexadecimal.
        request_sha256: String,
    },
    /// The CA is about to sign a certificate.
    IssueIntended {
        /// Serial number, hexadecimal.
        serial: String,
        /// The profile: logon, signing, server, machine, kdc.
        profile: String,
        /// The subject, RFC 4514.
        subject: String,
        /// SHA-256 of the PKCS#10 or of the public key asked for, hexadecimal.
        request_sha256: String,
    },
    /// The CA has signed it.
    Issued {
        /// Serial number, hexadecimal.
        serial: String,
    },
    /// The CA refused a request.
    IssueRefused {
        /// Who asked.
        peer: String,
        /// The cause, in words.
        cause: String,
    },
    /// Somebody changed an account, a token or a certificate.
    Administered {
        /// Who did it: the local user.
        by: String,
        /// What was done, for instance `token add`.
        action: String,
        /// To what: names and identifiers.
        object: String,
    },
}
