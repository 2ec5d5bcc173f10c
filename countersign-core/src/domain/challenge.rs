//! Second rounds: what was established in one round and counts in the next.
//!
//! A server that challenges keeps nothing. What it will need is in the State attribute,
//! sealed, and comes back with the next passcode.

use super::id::TokenId;

/// What an earlier round of a logon has established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prior {
    /// The PINs of these tokens were right, or they have none: from them the OTP alone is wanted.
    PinRight(Vec<TokenId>),
    /// An upstream challenged, and wants its own State back.
    Upstream {
        /// Its name in the config.
        upstream: String,
        /// Which of its servers it was.
        server: u8,
        /// The remote token, if it is a token and not the account that is remote.
        token: Option<TokenId>,
        /// Its State.
        state: Vec<u8>,
    },
}

/// What a user is to be told who is challenged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// The PIN was right, the OTP is wanted.
    Otp,
    /// The OTP after the one just given is wanted.
    NextOtp,
    /// An OTP was sent, and is wanted.
    Delivered,
    /// What the upstream said.
    Upstream(String),
}

/// A challenge: what the user is told, and what will count in the next round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// For the user.
    pub prompt: Prompt,
    /// For us.
    pub prior: Prior,
}
