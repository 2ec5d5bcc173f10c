//! Tokens: what they are, what they are set to, whether they may be used.

use serde::{Deserialize, Serialize};

use super::{
    account::{Standing, Validity},
    id::{AccountId, PersonId, TokenId},
    time::UnixTime,
};
use crate::oath::hotp::{Algorithm, Digits};

/// A device or app with a shared secret, or one that an upstream knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The identifier, drawn at creation.
    pub id: TokenId,
    /// What administrators call it: a serial number, "Alice's phone".
    pub label: String,
    /// The owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
    /// The accounts that may use it.
    pub accounts: Vec<AccountId>,
    /// How its passcodes come about.
    pub kind: TokenKind,
    /// The OATH token identifier, typed before the OTP; a device types both in one touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// The hash of the PIN in front of the OTP (PHC string), if a PIN is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinHash>,
    /// The strengths that a logon with it has, such as `otp` or `hardware`: the
    /// authentication indicators of Kerberos. A listener may demand some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<String>,
    /// Switched off by an administrator.
    #[serde(default)]
    pub disabled: bool,
    /// When the token may be used.
    #[serde(default)]
    pub validity: Validity,
}

impl Token {
    /// One that is assigned to nobody, without a PIN; it may be used at any time.
    #[must_use]
    pub fn new(id: TokenId, label: String, kind: TokenKind) -> Self {
        Self {
            id,
            label,
            owner: None,
            accounts: Vec::new(),
            kind,
            identifier: None,
            pin: None,
            indicators: Vec::new(),
            disabled: false,
            validity: Validity::default(),
        }
    }

    /// How many octets of a passcode are the identifier and the OTP; none of a remote token.
    #[must_use]
    pub fn passcode_tail(&self) -> usize {
        let digits = match &self.kind {
            TokenKind::Hotp { digits, .. }
            | TokenKind::Totp { digits, .. }
            | TokenKind::Delivered { digits, .. } => digits.length(),
            TokenKind::Remote { .. } => return 0,
        };
        self.identifier.as_ref().map_or(0, String::len) + digits
    }

    /// Whether it may be used at this moment.
    #[must_use]
    pub fn is_usable(&self, now: UnixTime) -> bool {
        !self.disabled && self.validity.at(now) == Standing::Valid
    }
}

/// How the passcodes of a token come about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum TokenKind {
    /// Event-based, RFC 4226.
    Hotp {
        /// The HMAC's hash.
        algorithm: Algorithm,
        /// Length of an OTP.
        digits: Digits,
    },
    /// Time-based, RFC 6238.
    Totp {
        /// The HMAC's hash.
        algorithm: Algorithm,
        /// Length of an OTP.
        digits: Digits,
        /// Length of a time step in seconds; at least 1.
        period: std::num::NonZeroU32,
    },
    /// The upstream of this name decides.
    Remote {
        /// The name of the upstream in the config.
        upstream: String,
        /// The User-Name to ask with, in the place of one made of the login.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_name: Option<String>,
    },
    /// The OTP is made here and sent to the user: the one of the token's counter (RFC 4226),
    /// whose shared secret nobody has but the validator.
    Delivered {
        /// The name of the delivery channel in the config.
        channel: String,
        /// Where to: a mail address, a telephone number. The person's mail address if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Length of an OTP.
        digits: Digits,
    },
}

/// The hash of a PIN, a PHC string. What is hashed is the PIN as typed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PinHash(pub String);

impl std::fmt::Debug for PinHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PinHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_written_down_is_as_in_a_new_token() {
        let kind = TokenKind::Remote { upstream: "otp".into(), user_name: None };
        let new = Token::new(TokenId::from_bytes([1; 16]), "phone".into(), kind);
        let written = json!({ "id": new.id, "label": "phone", "accounts": [], "kind": new.kind });
        assert_eq!(serde_json::from_value::<Token>(written).unwrap(), new);
        assert!(new.is_usable(UnixTime(0)));
    }
}
