//! Failures of a login, with the event numbers of the Windows client.
//!
//! The numbers are those of `Microsoft-Windows-OtpCredentialProvider/Operational`
//! (digest of [MS-OTPCE], §12.1). 10008 (typed inside the corporate network),
//! 10009 (key not removed) and 10013 (no domain controller) have no counterpart
//! here: there is no inside, no key store, and no directory that is asked.
//! 10022 is success.

use countersign_core::pki::dn::DnError;

use crate::client::{
    est::EstError,
    http::HttpError,
    otpce::{OtpceError, Refusal},
};

/// The step of a login that failed. [`LoginError::event`] is its number,
/// `Display` the cause, [`LoginError::remedy`] what helps.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// 10000: no connection to any MS-OTPCE server. The one-time password is unspent.
    #[error("{cause}")]
    Connect {
        /// Server and cause.
        cause: String,
    },
    /// 10001: the request could not be sent as a whole.
    #[error("{cause}; the one-time password may be spent")]
    Send {
        /// Server and cause.
        cause: String,
    },
    /// 10002: no answer, or none that is one.
    #[error("{cause}{}", spent_note(*.status))]
    Receive {
        /// Server and cause.
        cause: String,
        /// The HTTP status, if it was one that ended it.
        status: Option<u16>,
    },
    /// 10003: no key could be made.
    #[error("no key could be made for {user}: {cause}")]
    NoKey {
        /// The user.
        user: String,
        /// What is wrong.
        cause: String,
    },
    /// 10004: the certificate request could not be made.
    #[error("the certificate request could not be made: {cause}")]
    NoRequest {
        /// What is wrong.
        cause: String,
    },
    /// 10005: the server refused: wrong one-time password, or something else.
    #[error("{user}: {cause}")]
    Refused {
        /// The user.
        user: String,
        /// Server and status.
        cause: String,
        /// Whether it was the one-time password (or the user) that was refused.
        is_authentication: bool,
    },
    /// 10006: the server of one-time passwords asked for more.
    #[error("{user}: {cause}")]
    Challenge {
        /// The user.
        user: String,
        /// Server and status.
        cause: String,
    },
    /// 10007: certificate or key could not be stored.
    #[error("the logon could not be stored: {cause}")]
    NotStored {
        /// What is wrong.
        cause: String,
    },
    /// 10010: the user cancelled.
    #[error("cancelled")]
    Cancelled,
    /// 10011: no user principal name is known.
    #[error("no user principal name of {user} is known")]
    NoUpn {
        /// The user.
        user: String,
    },
    /// 10012: the distinguished name cannot be used.
    #[error("the distinguished name of the user cannot be used: {cause}")]
    NoDn {
        /// What is wrong.
        cause: DnError,
    },
    /// 10014: no MS-OTPCE server is known.
    #[error("no MS-OTPCE server is known")]
    NoServer,
    /// 10015: something is wrong with the logon certificate.
    #[error("the logon certificate cannot be used: {cause}")]
    Certificate {
        /// What is wrong.
        cause: String,
    },
    /// 10016: no certificate of this machine can be used.
    #[error("no certificate of this machine can be used: {cause}")]
    NoMachineCertificate {
        /// What is wrong.
        cause: String,
    },
    /// 10017: success, but no CA was named.
    #[error("the MS-OTPCE server signed the request, but named no CA")]
    NoIssuingCa,
    /// 10018: no CA can be reached; this is about the last one.
    #[error("the CA {ca} cannot be reached for {user}: {cause}")]
    CaUnreachable {
        /// The user.
        user: String,
        /// The CA.
        ca: String,
        /// What is wrong.
        cause: String,
    },
    /// 10019: the CA refused.
    #[error("the CA {ca} refused a certificate for {user}: {cause}")]
    CaRefused {
        /// The user.
        user: String,
        /// The CA.
        ca: String,
        /// Its words.
        cause: String,
    },
    /// 10020: what the server signed cannot be submitted.
    #[error("the signed request cannot be submitted: {cause}")]
    NoSubmission {
        /// What is wrong.
        cause: String,
    },
    /// 10021: the CA issued something, but not what can be used.
    #[error("the certificate could not be retrieved from the CA {ca}: {cause}")]
    NotRetrieved {
        /// The CA.
        ca: String,
        /// What is wrong.
        cause: String,
    },
}

/// A server that answers 4xx has not looked at the one-time password.
fn spent_note(status: Option<u16>) -> &'static str {
    match status {
        Some(400..500) => "",
        Some(_) | None => "; the one-time password may be spent",
    }
}

impl LoginError {
    /// The event of success, beside those of failure.
    pub const SUCCESS_EVENT: u16 = 10022;

    /// The event number of the Windows client.
    #[must_use]
    pub fn event(&self) -> u16 {
        match self {
            Self::Connect { .. } => 10000,
            Self::Send { .. } => 10001,
            Self::Receive { .. } => 10002,
            Self::NoKey { .. } => 10003,
            Self::NoRequest { .. } => 10004,
            Self::Refused { .. } => 10005,
            Self::Challenge { .. } => 10006,
            Self::NotStored { .. } => 10007,
            Self::Cancelled => 10010,
            Self::NoUpn { .. } => 10011,
            Self::NoDn { .. } => 10012,
            Self::NoServer => 10014,
            Self::Certificate { .. } => 10015,
            Self::NoMachineCertificate { .. } => 10016,
            Self::NoIssuingCa => 10017,
            Self::CaUnreachable { .. } => 10018,
            Self::CaRefused { .. } => 10019,
            Self::NoSubmission { .. } => 10020,
            Self::NotRetrieved { .. } => 10021,
        }
    }

    /// What helps.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Connect { .. } => {
                "check the name and port of the server, that it runs, and that its certificate chains to the trust anchors given"
            }
            Self::Send { .. } => {
                "try again with a new one-time password; if it stays, look at the server's TLS settings"
            }
            Self::Receive { status: Some(403), .. } => {
                "the server does not accept the certificate of this machine: look at its validity and issuer, and at the server's log for 403.7, 403.13, 403.16 or 403.17"
            }
            Self::Receive { status: Some(404), .. } => {
                "check the path in the address of the server"
            }
            Self::Receive { status: Some(429), .. } => {
                "this machine asks too often: wait a minute, then log in again; the one-time password was not looked at"
            }
            Self::Receive { .. } => {
                "try again with a new one-time password; look at the server's log, its RADIUS servers may be slow"
            }
            Self::NoKey { .. } | Self::NoRequest { .. } => {
                "try another kind of key, and check the names and the template"
            }
            Self::Refused { is_authentication: true, .. } => {
                "check the user name, and try again with the next one-time password"
            }
            Self::Refused { is_authentication: false, .. } => {
                "look at the server's audit log: it says whether the certificate request, RADIUS, the signing certificate or the list of CAs is to blame"
            }
            Self::Challenge { .. } => {
                "switch challenges off for these users in the one-time password product; MS-OTPCE cannot carry them"
            }
            Self::NotStored { .. } => {
                "give files that do not exist yet, in a directory that can be written to"
            }
            Self::Cancelled => "start again",
            Self::NoUpn { .. } => "give the user principal name (--upn), or log in with it",
            Self::NoDn { .. } => {
                "write it as RFC 4514 does, for instance CN=User 1,DC=example,DC=com, or leave it away"
            }
            Self::NoServer => "give the address of a server (--server)",
            Self::Certificate { .. } => {
                "set the clocks of this machine and of the CA, look at the profile of the CA, and give its certificate as a trust anchor if it does not send it"
            }
            Self::NoMachineCertificate { .. } => {
                "renew the certificate of this machine; certificate and key must fit each other"
            }
            Self::NoIssuingCa => "configure a CA at the MS-OTPCE server (issuing-ca)",
            Self::CaUnreachable { .. } => {
                "check that the CA's host can be reached from here and offers EST full CMC; another address can be given"
            }
            Self::CaRefused { .. } => {
                "look at the CA's log: the signing certificate's EKU, validity and issuer, or the account"
            }
            Self::NoSubmission { .. } => {
                "look at the MS-OTPCE server; it must sign what it was sent"
            }
            Self::NotRetrieved { .. } => "look at the CA's log and at what its EST service sends",
        }
    }

    pub(super) fn of_otpce(error: &OtpceError, user: &str) -> Self {
        let (user, cause) = (user.to_owned(), error.to_string());
        match error {
            OtpceError::NoServer => Self::NoServer,
            OtpceError::Unwritable(_) => Self::NoRequest { cause },
            OtpceError::Http(HttpError::Connect { .. }) => Self::Connect { cause },
            OtpceError::Http(HttpError::Send { .. }) => Self::Send { cause },
            OtpceError::Status { status, .. } => Self::Receive { cause, status: Some(*status) },
            OtpceError::Http(HttpError::Receive { .. }) | OtpceError::Document { .. } => {
                Self::Receive { cause, status: None }
            }
            OtpceError::Refused { refusal: Refusal::Challenge, .. } => {
                Self::Challenge { user, cause }
            }
            OtpceError::Refused { refusal: Refusal::Authentication, .. } => {
                Self::Refused { user, cause, is_authentication: true }
            }
            OtpceError::Refused { refusal: Refusal::Other, .. } => {
                Self::Refused { user, cause, is_authentication: false }
            }
        }
    }

    pub(super) fn of_est(error: &EstError, user: &str, ca: String) -> Self {
        let (user, cause) = (user.to_owned(), error.to_string());
        match error {
            EstError::Http(_) | EstError::NotOffered { .. } => {
                Self::CaUnreachable { user, ca, cause }
            }
            EstError::Pending { .. } | EstError::Refused { .. } => {
                Self::CaRefused { user, ca, cause }
            }
            EstError::Unusable { .. } => Self::NotRetrieved { ca, cause },
        }
    }

    pub(super) fn not_stored(cause: &dyn std::fmt::Display) -> Self {
        Self::NotStored { cause: cause.to_string() }
    }
}
