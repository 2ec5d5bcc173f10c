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

/// Settings for failures, throttling and lockout (RFC 4226 §7.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockoutPolicy {
    /// From this many failures on, each further attempt has to wait.
    pub throttle_after: u32,
    /// The first wait in seconds; it doubles with each failure.
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
