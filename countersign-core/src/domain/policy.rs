//! The settings that decisions are made by, the same for all tokens of a site.

use serde::{Deserialize, Serialize};

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
}

/// A window is too wide: an attempt would cost too much, and a guess be right too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {value} is too wide; {limit} at most")]
pub struct TooWide {
    /// The setting, as the config writes it.
    pub setting: &'static str,
    /// What it is set to.
    pub value: u32,
    /// What it may be set to.
    pub limit: u32,
}

impl Policy {
    /// Whether every window keeps its limit. Decisions keep the limits in any case.
    ///
    /// # Errors
    ///
    /// The first window that does not.
    pub fn check(&self) -> Result<(), TooWide> {
        let windows = [
            ("hotp.look-ahead", self.hotp.look_ahead, WINDOW_LIMIT),
            ("hotp.resync-window", self.hotp.resync_window, RESYNC_LIMIT),
            ("totp.window", self.totp.window, WINDOW_LIMIT),
            ("totp.resync-window", self.totp.resync_window, RESYNC_LIMIT),
        ];
        let wide = windows.into_iter().find(|(_, value, limit)| value > limit);
        wide.map_or(Ok(()), |(setting, value, limit)| Err(TooWide { setting, value, limit }))
    }
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
    pub(super) fn bounded_look_ahead(&self) -> u64 {
        self.look_ahead.min(WINDOW_LIMIT).into()
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
    pub(super) fn bounded_window(&self) -> u64 {
        self.window.min(WINDOW_LIMIT).into()
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

/// The widest look-ahead, and the widest window before and after a time step.
pub const WINDOW_LIMIT: u32 = 100;

/// The widest resynchronisation window.
pub const RESYNC_LIMIT: u32 = 1000;

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
        assert_eq!(policy.totp.bounded_window(), 100);
    }
}
