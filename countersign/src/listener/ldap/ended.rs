//! Why a connection ends, and what the client is told then.

use std::io;

use countersign_core::wire::ldap::{
    message::MessageError,
    result::{ResultCode, notice_of_disconnection},
};

use super::dialogue::TooMany;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Peer: it has gone, or said so.
    #[error("the client has gone")]
    Closed,
    /// Peer: what comes is no LDAP.
    #[error("what the client sent is no LDAP message: {0}")]
    Malformed(MessageError),
    /// Peer: LDAP, but out of order.
    #[error("{0}")]
    Protocol(&'static str),
    /// Peer: a message that is too long.
    #[error("a message of {0} octets")]
    TooLong(usize),
    /// Peer: too many requests at once.
    #[error("too many requests at once")]
    TooMany,
    /// Peer: a message that does not end.
    #[error("the rest of a message did not come")]
    Stalled,
    /// Peer: nothing at all.
    #[error("the client was silent for too long")]
    Idle,
    /// Peer: it takes no responses.
    #[error("responses are not read")]
    NotRead,
    /// Peer: no TLS came about.
    #[error("no TLS: {0}")]
    Handshake(String),
    /// The directory server has closed the connection.
    #[error("the directory server has closed the connection")]
    Gone,
    /// The directory server cannot be reached.
    #[error("the directory server cannot be reached: {0}")]
    Unreachable(String),
    /// The directory server does not answer.
    #[error("the directory server does not answer")]
    Silent,
    /// The directory server sends something else than LDAP.
    #[error("what the directory server sent is no LDAP message: {0}")]
    Nonsense(MessageError),
    /// We are going.
    #[error("the daemon stops")]
    Stopping,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Ended {
    /// A Notice of Disconnection (RFC 4511 §4.4.1) for a client that still listens.
    pub(super) fn notice(&self) -> Option<Vec<u8>> {
        let (code, text) = match self {
            Self::Closed | Self::NotRead | Self::Handshake(_) | Self::Io(_) => return None,
            Self::Malformed(_) => (
                ResultCode::PROTOCOL_ERROR,
                "this is no LDAP message; of SASL, no security layer passes here, use TLS",
            ),
            Self::Protocol(cause) => (ResultCode::PROTOCOL_ERROR, *cause),
            Self::TooLong(_) => (ResultCode::ADMIN_LIMIT_EXCEEDED, "the message is too long"),
            Self::TooMany => (ResultCode::BUSY, "too many requests at once"),
            Self::Stalled => (ResultCode::UNAVAILABLE, "the rest of a message did not come"),
            Self::Idle => (ResultCode::UNAVAILABLE, "the connection was idle for too long"),
            Self::Gone | Self::Nonsense(_) => {
                (ResultCode::UNAVAILABLE, "the directory server has closed the connection")
            }
            Self::Unreachable(_) => {
                (ResultCode::UNAVAILABLE, "the directory server cannot be reached")
            }
            Self::Silent => (ResultCode::UNAVAILABLE, "the directory server does not answer"),
            Self::Stopping => (ResultCode::UNAVAILABLE, "the service stops"),
        };
        Some(notice_of_disconnection(code, text))
    }
}

impl From<MessageError> for Ended {
    fn from(error: MessageError) -> Self {
        Self::Malformed(error)
    }
}

impl From<TooMany> for Ended {
    fn from(TooMany: TooMany) -> Self {
        Self::TooMany
    }
}
