//! What was decided, and why: two enums, so that reply, metric and audit agree.

use serde::{Deserialize, Serialize};

use super::{
    counter::Change,
    id::{AccountId, TokenId},
};

/// What the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The passcode was right and is spent now.
    Accepted,
    /// The credentials are refused.
    Rejected,
    /// An upstream asks for a second round.
    Challenged,
    /// No decision could be made; the passcode may be tried again later.
    Unavailable,
}

/// Why it was decided so; for the audit and the administrator, never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The passcode matched a token.
    PasscodeCorrect,
    /// The second of two consecutive OTPs brought the token back into step.
    Resynchronised,
    /// The upstream accepted.
    UpstreamAccepted,
    /// No account has this name.
    UnknownAccount,
    /// The account is switched off.
    AccountDisabled,
    /// The account's validity has not begun.
    AccountNotYetValid,
    /// The account's validity is over.
    AccountExpired,
    /// The account has no token at all.
    NoToken,
    /// Every token of the account is disabled, expired or not yet valid.
    NoUsableToken,
    /// No token of the account expects this passcode.
    WrongPasscode,
    /// The OTP was right, the PIN in front of it was not.
    WrongPin,
    /// The OTP was right once, and is spent.
    Replayed,
    /// The OTP lies beyond the look-ahead window; the one that follows it would resynchronise.
    OutOfStep,
    /// Too many failures of late; the passcode was not looked at.
    Throttled,
    /// Locked after too many failures; the passcode was not looked at.
    LockedOut,
    /// The upstream rejected.
    UpstreamRejected,
    /// The upstream asked for a challenge.
    UpstreamChallenged,
    /// No server of the upstream answered in time.
    UpstreamSilent,
    /// The config has no upstream of that name.
    UpstreamUnknown,
    /// The store could not be read or written.
    StoreFailed,
    /// The shared secret could not be opened with the master key.
    SecretUnreadable,
    /// Other attempts on the same token were faster, time after time.
    Contention,
}

/// The answer to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a verdict that nobody reads was not given"]
pub struct Verdict {
    /// What the peer is told.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The account, if the name led to one.
    pub account: Option<AccountId>,
    /// The token that decided.
    pub token: Option<TokenId>,
}

/// What the rules say to an attempt, before anything is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an acceptance counts only after its change is durable"]
pub enum Decision {
    /// Decided here. The change must be durable before the verdict leaves.
    Settled {
        /// The verdict.
        verdict: Verdict,
        /// What must be moved first.
        change: Change,
    },
    /// The upstream of this name must be asked.
    Ask {
        /// Its name in the config.
        upstream: String,
        /// The remote token, if it is a token and not the account that is remote.
        token: Option<TokenId>,
    },
}
