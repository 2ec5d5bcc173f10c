//! The settings that decisions are made by, the same for all tokens of a site.

use serde::{Deserialize, Serialize};

use super::attempt::ListenerKind;

/// All settings of the validator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Event-based tokens.
    pub hotp: HotpPolicy,
    /// Time-based tokens.
    pub totp: TotpPolicy,
    /// Failures, throttling and lockout.
    pub lockout: LockoutPolicy,
    /// Logons of several rounds.
    pub challenge: ChallengePolicy,
    /// OTPs that are sent to the user.
    pub delivery: DeliveryPolicy,
    /// Static passwords.
    pub password: PasswordPolicy,
}

/// A setting that no site can mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A window is too wide: an attempt would cost too much, and a guess be right too often.
    #[error("{setting} = {value} is too wide; {limit} at most")]
    TooWide {
        /// The setting, as the config writes it.
        setting: &'static str,
        /// What it is set to.
        value: u32,
        /// What it may be set to.
        limit: u32,
    },
    /// A span of time is so short that nothing, or so long that too much, is ever valid.
    #[error("{setting} is {value} seconds; 1 to {limit} are possible")]
    Span {
        /// The setting, as the config writes it.
        setting: &'static str,
        /// What it is set to.
        value: u32,
        /// The longest it may be.
        limit: u32,
    },
    /// A word that asks for an OTP and could not be typed, or be an OTP itself.
    #[error("delivery.words: {0:?} is no word; write letters, for instance \"otp\"")]
    Word(String),
}

impl PolicyError {
    /// The setting that is wrong, as the config writes it.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::TooWide { setting, .. } | Self::Span { setting, .. } => setting,
            Self::Word(_) => "delivery.words",
        }
    }
}

impl Policy {
    /// Whether every setting keeps its limit. Decisions keep those of windows in any case.
    ///
    /// # Errors
    ///
    /// The first setting that does not.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.check_windows()?;
        self.check_spans()?;
        let mut words = self.delivery.words.iter();
        words
            .find(|word| !is_word(word))
            .map_or(Ok(()), |word| Err(PolicyError::Word(word.clone())))
    }

    fn check_windows(&self) -> Result<(), PolicyError> {
        let windows = [
            ("hotp.look-ahead", self.hotp.look_ahead, WINDOW_LIMIT),
            ("hotp.resync-window", self.hotp.resync_window, RESYNC_LIMIT),
            ("totp.window", self.totp.window, WINDOW_LIMIT),
            ("totp.resync-window", self.totp.resync_window, RESYNC_LIMIT),
        ];
        let wide = windows.into_iter().find(|(_, value, limit)| value > limit);
        wide.map_or(Ok(()), |(setting, value, limit)| {
            Err(PolicyError::TooWide { setting, value, limit })
        })
    }

    fn check_spans(&self) -> Result<(), PolicyError> {
        let spans = [
            ("challenge.valid", self.challenge.valid),
            ("delivery.valid", self.delivery.valid),
            // Without a wait a stranger could have a user's telephone ring for ever.
            ("delivery.resend-after", self.delivery.resend_after),
        ];
        let outside = spans.into_iter().find(|(_, value)| !(1..=SPAN_LIMIT).contains(value));
        outside.map_or(Ok(()), |(setting, value)| {
            Err(PolicyError::Span { setting, value, limit: SPAN_LIMIT })
        })
    }
}

/// Letters, so that it is neither empty, which always asks, nor an OTP.
fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphabetic)
}

/// Settings for event-based tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HotpPolicy {
    /// How many counters beyond the expected one are accepted at once (RFC 4226 §7.2).
    pub look_ahead: u32,
    /// How many counters beyond the expected one can begin a resynchronisation (RFC 4226 §7.4).
    pub resync_window: u32,
}

impl Default for HotpPolicy {
    fn default() -> Self {
        Self { look_ahead: 10, resync_window: 100 }
    }
}

impl HotpPolicy {
    /// That of a token's own parameters, if they name one.
    pub(super) fn bounded_look_ahead(&self, own: Option<u32>) -> u64 {
        own.unwrap_or(self.look_ahead).min(WINDOW_LIMIT).into()
    }

    pub(super) fn bounded_resync_window(&self) -> u64 {
        self.resync_window.min(RESYNC_LIMIT).into()
    }
}

/// Settings for time-based tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TotpPolicy {
    /// How many time steps before and after the expected one are accepted (RFC 6238 §5.2).
    pub window: u32,
    /// How many time steps before and after the expected one can begin a resynchronisation (RFC 6238 §6).
    pub resync_window: u32,
}

impl Default for TotpPolicy {
    fn default() -> Self {
        Self { window: 1, resync_window: 20 }
    }
}

impl TotpPolicy {
    /// That of a token's own parameters, if they name one.
    pub(super) fn bounded_window(&self, own: Option<u32>) -> u64 {
        own.unwrap_or(self.window).min(WINDOW_LIMIT).into()
    }

    pub(super) fn bounded_resync_window(&self) -> u32 {
        self.resync_window.min(RESYNC_LIMIT)
    }
}

/// Settings for failures, throttling and lockout (RFC 4226 §7.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockoutPolicy {
    /// From this many failures on, each further attempt has to wait. See [`super::lockout`].
    pub throttle_after: u32,
    /// The first wait in seconds; it doubles with each failure. 0: never.
    pub throttle_delay: u32,
    /// The longest wait in seconds.
    pub throttle_max: u32,
    /// From this many failures on, the account is locked. 0: never.
    pub lock_after: u32,
    /// For how many seconds. 0: until an administrator unlocks it.
    pub lock_time: u32,
}

impl Default for LockoutPolicy {
    fn default() -> Self {
        Self {
            throttle_after: 3,
            throttle_delay: 1,
            throttle_max: 30,
            lock_after: 10,
            lock_time: 900,
        }
    }
}

/// Settings for logons of several rounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChallengePolicy {
    /// A PIN alone gets a challenge for the OTP.
    pub pin_first: bool,
    /// An OTP out of step gets a challenge for the one after it.
    pub next_otp: bool,
    /// For how many seconds the answer to a challenge is taken.
    pub valid: u32,
}

impl Default for ChallengePolicy {
    fn default() -> Self {
        Self { pin_first: false, next_otp: true, valid: 120 }
    }
}

/// Settings for OTPs that are sent to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeliveryPolicy {
    /// For how many seconds an OTP is good after it was sent.
    pub valid: u32,
    /// For how many seconds after it was sent no other is.
    pub resend_after: u32,
    /// What asks for the OTP of a token without a PIN, beside an empty passcode.
    pub words: Vec<String>,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self { valid: 300, resend_after: 30, words: vec!["otp".into()] }
    }
}

/// Settings for static passwords, where the store keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PasswordPolicy {
    /// The listeners at which the OTP is enough, because something else stands for the
    /// password there: a machine certificate, a second question of the gateway.
    pub otp_alone: Vec<ListenerKind>,
}

/// The widest look-ahead, and the widest window before and after a time step.
pub const WINDOW_LIMIT: u32 = 100;

/// The widest resynchronisation window.
pub const RESYNC_LIMIT: u32 = 1000;

/// The longest that a challenge or a delivered OTP may be good for, in seconds.
pub const SPAN_LIMIT: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_keeps_its_limits() {
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn a_window_beyond_its_limit_is_named() {
        let mut policy = Policy::default();
        policy.totp.window = 101;
        let message = policy.check().unwrap_err().to_string();
        assert_eq!(message, "totp.window = 101 is too wide; 100 at most");
        assert_eq!(policy.totp.bounded_window(None), 100);
    }

    #[test]
    fn spans_are_neither_nothing_nor_longer_than_a_day() {
        for (value, right) in [(0, false), (1, true), (SPAN_LIMIT, true), (SPAN_LIMIT + 1, false)] {
            let mut policy = Policy::default();
            policy.delivery.valid = value;
            assert_eq!(policy.check().is_ok(), right, "{value}");
        }
        let mut policy = Policy::default();
        policy.challenge.valid = 0;
        let error = policy.check().unwrap_err();
        assert_eq!(error.to_string(), "challenge.valid is 0 seconds; 1 to 86400 are possible");
        assert_eq!(error.setting(), "challenge.valid");
    }

    #[test]
    fn a_word_is_neither_empty_nor_an_otp() {
        for (word, right) in [("otp", true), ("schlüssel", true), ("", false), ("123456", false)] {
            let mut policy = Policy::default();
            policy.delivery.words = vec![word.into()];
            assert_eq!(policy.check().is_ok(), right, "{word:?}");
        }
    }
}
