//! What an administrator may ask for, as it travels over the local socket.

use std::num::NonZeroU32;

use countersign_core::{
    domain::{
        id::{AccountId, TokenId},
        subject::ClearSecret,
        time::UnixTime,
    },
    oath::hotp::{Algorithm, Digits},
    secret::Secret,
};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::AdminError;

/// One job of an administrator.
///
/// Accounts are named as at a logon (`alice`, `CORP\alice`, a UPN), tokens by
/// their id or by a label that no other token has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Adds an account.
    AccountAdd {
        /// The login name, alone.
        name: String,
        /// The person behind it, who is added along with it.
        person: Option<NewPerson>,
        /// The rest; domain and realm are the site's if neither is given.
        fields: AccountFields,
    },
    /// Up to `limit` accounts after the one of this id.
    AccountList {
        /// The last id of the page before.
        after: Option<AccountId>,
        /// How many, [`MAX_PAGE`] at most.
        limit: usize,
    },
    /// One account with its tokens and failures.
    AccountShow {
        /// The account.
        account: String,
    },
    /// Changes what is given.
    AccountSet {
        /// The account.
        account: String,
        /// What is to change.
        fields: AccountFields,
    },
    /// Switches an account on or off.
    AccountSwitch {
        /// The account.
        account: String,
        /// Whether it may be used.
        enabled: bool,
    },
    /// Forgets its failures, and with them throttling and lockout.
    AccountUnlock {
        /// The account.
        account: String,
    },
    /// Removes an account; its tokens stay.
    AccountRemove {
        /// The account.
        account: String,
    },
    /// Adds a token.
    TokenAdd(NewToken),
    /// Up to `limit` tokens after the one of this id.
    TokenList {
        /// The last id of the page before.
        after: Option<TokenId>,
        /// How many, [`MAX_PAGE`] at most.
        limit: usize,
    },
    /// One token.
    TokenShow {
        /// The token.
        token: String,
    },
    /// Changes what is given.
    TokenSet {
        /// The token.
        token: String,
        /// What is to change.
        fields: TokenFields,
    },
    /// Switches a token on or off.
    TokenSwitch {
        /// The token.
        token: String,
        /// Whether it may be used.
        enabled: bool,
    },
    /// Lets an account use a token, or no longer.
    TokenAssign {
        /// The token.
        token: String,
        /// The account.
        account: String,
        /// Whether it may use it.
        assigned: bool,
    },
    /// Brings a token back into step by two consecutive OTPs, which are spent by that.
    TokenResync {
        /// The token.
        token: String,
        /// The first OTP.
        first: ClearText,
        /// The one after it.
        second: ClearText,
    },
    /// Removes a token with its shared secret.
    TokenRemove {
        /// The token.
        token: String,
    },
}

/// A human being to be added.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewPerson {
    /// The name for administrators to read.
    pub name: String,
    /// Where mail goes.
    pub mail: Option<String>,
}

/// Fields of an account; what is `None` stays as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountFields {
    /// The NetBIOS domain.
    pub domain: Option<Setting<String>>,
    /// The DNS domain, in upper case the Kerberos realm.
    pub realm: Option<Setting<String>>,
    /// The user principal name.
    pub upn: Option<Setting<String>>,
    /// The distinguished name, RFC 4514.
    pub dn: Option<Setting<String>>,
    /// The security identifier, `S-1-5-21-…`.
    pub sid: Option<Setting<String>>,
    /// The first second in which it may be used.
    pub not_before: Option<Setting<UnixTime>>,
    /// The last one.
    pub not_after: Option<Setting<UnixTime>>,
    /// The upstream that decides instead of its tokens.
    pub upstream: Option<Setting<String>>,
    /// The groups that it belongs to, all of them.
    pub groups: Option<Setting<Vec<String>>>,
}

/// Fields of a token; what is `None` stays as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenFields {
    /// What administrators call it.
    pub label: Option<String>,
    /// The PIN before the OTP.
    pub pin: Option<Setting<ClearText>>,
    /// Where OTPs that are made here are sent; the owner's mail address if cleared.
    pub to: Option<Setting<String>>,
    /// The strengths that a logon with it has, all of them.
    pub indicators: Option<Setting<Vec<String>>>,
    /// The first second in which it may be used.
    pub not_before: Option<Setting<UnixTime>>,
    /// The last one.
    pub not_after: Option<Setting<UnixTime>>,
}

/// A new value for a field that need not have one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting<T> {
    /// None.
    Clear,
    /// This one.
    To(T),
}

/// A token to be added.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewToken {
    /// What administrators call it; made of the first account and the type if not given.
    pub label: Option<String>,
    /// The accounts that may use it. Its owner is the person behind the first.
    pub accounts: Vec<String>,
    /// Its type.
    pub kind: NewKind,
    /// The PIN before the OTP.
    pub pin: Option<ClearText>,
    /// The strengths that a logon with it has.
    #[serde(default)]
    pub indicators: Vec<String>,
    /// The first second in which it may be used.
    pub not_before: Option<UnixTime>,
    /// The last one.
    pub not_after: Option<UnixTime>,
}

/// The type of a token to be added.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "kebab-case")]
pub enum NewKind {
    /// Event-based (RFC 4226).
    Hotp {
        /// The HMAC's hash.
        algorithm: Algorithm,
        /// Length of an OTP.
        digits: Digits,
        /// The first counter that is accepted.
        counter: u64,
        /// Its shared secret.
        secret: NewSecret,
    },
    /// Time-based (RFC 6238).
    Totp {
        /// The HMAC's hash.
        algorithm: Algorithm,
        /// Length of an OTP.
        digits: Digits,
        /// Length of a time step in seconds.
        period: NonZeroU32,
        /// Its shared secret.
        secret: NewSecret,
    },
    /// An upstream decides.
    Remote {
        /// Its name in the config.
        upstream: String,
        /// The User-Name to ask with, in the place of one made of the login.
        #[serde(default)]
        user_name: Option<String>,
    },
    /// The OTP is made here, of a shared secret that is drawn here, and sent to the user.
    Delivered {
        /// The delivery channel in the config.
        channel: String,
        /// Where to; the owner's mail address if absent.
        #[serde(default)]
        to: Option<String>,
        /// Length of an OTP.
        digits: Digits,
    },
}

/// Where the shared secret of a new token comes from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewSecret {
    /// Drawn here and shown once, as an otpauth URI, for an app to take over.
    DrawAndShow {
        /// The issuer that the app shows; the site's realm if not given.
        issuer: Option<String>,
    },
    /// That of a device, in base32; spaces and dashes do not matter.
    Base32(ClearText),
    /// That of a device, in hexadecimal; spaces, dashes and colons do not matter.
    Hex(ClearText),
}

impl NewSecret {
    /// The shared secret that was given; nothing if it is to be drawn.
    ///
    /// # Errors
    ///
    /// It is not in the encoding named, or too short or too long.
    pub fn given(&self) -> Result<Option<ClearSecret>, AdminError> {
        let octets = match self {
            Self::DrawAndShow { .. } => return Ok(None),
            Self::Base32(text) => {
                let text = without(text, &[' ', '-', '=']);
                let upper = Secret::new(text.expose().to_ascii_uppercase());
                let octets = BASE32_NOPAD.decode(upper.expose_bytes());
                octets.map_err(|_| AdminError::SecretMalformed("base32 (letters and 2 to 7)"))?
            }
            Self::Hex(text) => {
                let text = without(text, &[' ', '-', ':']);
                let lower = Secret::new(text.expose().to_ascii_lowercase());
                let octets = HEXLOWER.decode(lower.expose_bytes());
                octets.map_err(|_| AdminError::SecretMalformed("hexadecimal"))?
            }
        };
        let octets = Secret::new(octets);
        match octets.expose().len() {
            10..=128 => Ok(Some(octets)),
            length => Err(AdminError::SecretLength { octets: length }),
        }
    }
}

fn without(text: &ClearText, signs: &[char]) -> Secret<String> {
    Secret::new(text.0.expose().trim().replace(signs, ""))
}

/// A secret that travels in clear, which it may over the daemon's own socket only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearText(pub Secret<String>);

impl From<String> for ClearText {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl Serialize for ClearText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for ClearText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The longest page of a list.
pub const MAX_PAGE: usize = 1000;

impl AdminRequest {
    /// What the audit log calls it; `None` for looking only.
    #[must_use]
    pub fn action(&self) -> Option<String> {
        let switch = |what: &str, enabled: &bool| {
            format!("{what} {}", if *enabled { "enable" } else { "disable" })
        };
        match self {
            Self::AccountList { .. }
            | Self::AccountShow { .. }
            | Self::TokenList { .. }
            | Self::TokenShow { .. } => None,
            Self::AccountAdd { .. } => Some("account add".into()),
            Self::AccountSet { .. } => Some("account set".into()),
            Self::AccountSwitch { enabled, .. } => Some(switch("account", enabled)),
            Self::AccountUnlock { .. } => Some("account unlock".into()),
            Self::AccountRemove { .. } => Some("account remove".into()),
            Self::TokenAdd(_) => Some("token add".into()),
            Self::TokenSet { .. } => Some("token set".into()),
            Self::TokenSwitch { enabled, .. } => Some(switch("token", enabled)),
            Self::TokenAssign { account, assigned: true, .. } => {
                Some(format!("token assign to {account}"))
            }
            Self::TokenAssign { account, assigned: false, .. } => {
                Some(format!("token unassign from {account}"))
            }
            Self::TokenResync { .. } => Some("token resync".into()),
            Self::TokenRemove { .. } => Some("token remove".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug_output() {
        let request = AdminRequest::TokenAdd(NewToken {
            label: None,
            accounts: vec!["alice".into()],
            kind: NewKind::Hotp {
                algorithm: Algorithm::Sha1,
                digits: Digits::SIX,
                counter: 0,
                secret: NewSecret::Base32("JBSWY3DPEHPK3PXP".to_owned().into()),
            },
            pin: Some("4711".to_owned().into()),
            indicators: Vec::new(),
            not_before: None,
            not_after: None,
        });
        let shown = format!("{request:?}");
        assert!(!shown.contains("JBSW") && !shown.contains("4711"), "{shown}");
    }

    #[test]
    fn a_request_survives_the_socket() {
        let fields = TokenFields {
            pin: Some(Setting::To("4711".to_owned().into())),
            not_after: Some(Setting::Clear),
            ..TokenFields::default()
        };
        let request = AdminRequest::TokenSet { token: "phone".into(), fields };
        let line = serde_json::to_string(&request).unwrap();
        let read: AdminRequest = serde_json::from_str(&line).unwrap();
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
    }
}
