//! Token parameters: what a group of tokens shares beside its kind, where that differs from
//! the settings of the site.

/// The parameters of a token. By default it follows the site's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// How many counters beyond the expected one are accepted (HOTP).
    pub look_ahead: Option<u32>,
    /// How many time steps before and after the expected one are accepted (TOTP).
    pub window: Option<u32>,
    /// From this many failures on, each further attempt has to wait.
    pub throttle_after: Option<u32>,
    /// How many OTPs of the token are ever accepted (HOTP).
    pub max_uses: Option<u64>,
    /// What is said to who is let in.
    pub success: Wording,
    /// What is said to who is refused, whatever the reason.
    pub failure: Wording,
}

/// What the answer to an LDAP bind says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wording {
    /// The result code (RFC 4511 §4.1.9), if not the usual one.
    pub code: Option<u32>,
    /// The diagnostic message.
    pub message: Option<String>,
}
