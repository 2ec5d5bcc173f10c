//! What was decided, and why: two enums, so that reply, metric and audit agree.

use serde::{Deserialize, Serialize};

use super::{
    challenge::Prior,
    counter::Change,
    id::{AccountId, TokenId},
};
use crate::secret::Secret;

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
    /// Nothing to decide about here: the account has no token, and somebody else decides
    /// about it ([`Terms::may_decline`](super::attempt::Terms::may_decline)).
    Declined,
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
    /// Every token of the account is disabled, expired, not yet valid or used up.
    NoUsableToken,
    /// No token of the account expects this passcode.
    WrongPasscode,
    /// The OTP was right, the PIN in front of it was not.
    WrongPin,
    /// The OTP was right, the static password in front of it was not.
    WrongPassword,
    /// The OTP was right once, and is spent.
    Replayed,
    /// The OTP lies beyond the look-ahead window; the one that follows it would resynchronise.
    OutOfStep,
    /// Too many failures of late; the passcode was not looked at.
    Throttled,
    /// Every usable token lacks an indicator that the listener demands.
    LacksIndicator,
    /// The PIN was right; the OTP is wanted now.
    PinRight,
    /// An OTP was sent to the user and is wanted now.
    OtpSent,
    /// An OTP could not be sent to the user.
    DeliveryFailed,
    /// The State of a challenge is too old, or not ours, or of another client or account.
    StateInvalid,
    /// A retry of a request that was decided before; it got the same answer, and nothing was
    /// spent or counted for it.
    Repeated,
    /// Locked after too many failures; the passcode was not looked at.
    LockedOut,
    /// The upstream rejected.
    UpstreamRejected,
    /// The upstream asked for a challenge.
    UpstreamChallenged,
    /// No server of the upstream answered in time, or not the directory that was asked about
    /// the password.
    UpstreamSilent,
    /// The config has no upstream of that name.
    UpstreamUnknown,
    /// The listener had to answer before there was a decision; the decision is recorded by itself.
    DeadlinePassed,
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
        /// With a challenge: what will count in the next round.
        next: Option<Box<Prior>>,
        /// The OTP that must be sent after the move and before the verdict.
        delivery: Option<Box<Delivery>>,
    },
    /// An upstream must be asked.
    Ask(Box<Question>),
}

/// A question for an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name in the config.
    pub upstream: String,
    /// The remote token, if it is a token and not the account that is remote.
    pub token: Option<TokenId>,
    /// The User-Name to ask with, if the token has one of its own.
    pub user_name: Option<String>,
    /// What the upstream is reminded of, if it has challenged.
    pub resume: Option<Resume>,
}

/// An OTP on its way to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The token that it is of.
    pub token: TokenId,
    /// The name of the channel in the config.
    pub channel: String,
    /// Where to; the person's mail address if absent.
    pub to: Option<String>,
    /// The OTP.
    pub otp: Secret<String>,
}

/// The upstream's side of a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Which server it was.
    pub server: u8,
    /// The State that it wants back.
    pub state: Vec<u8>,
}
