//! What an administrator is answered. Nothing here has room for a PIN's hash or a sealed secret.

use countersign_core::domain::{
    account::{Account, Person, Validity},
    counter::TokenCounter,
    id::{AccountId, PersonId, TokenId},
    lockout::Gate,
    time::UnixTime,
    token::{Token, TokenKind},
};
use serde::{Deserialize, Serialize};

use super::request::ClearText;

/// The answer to an [`super::AdminRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminReply {
    /// An account as it is now.
    Account(Box<AccountView>),
    /// A page of accounts.
    Accounts(Vec<Account>),
    /// An account is gone; these tokens are assigned to nobody now.
    AccountRemoved {
        /// What it was.
        account: Account,
        /// The tokens that are left behind.
        left: Vec<TokenView>,
    },
    /// A token as it is now.
    Token(TokenView),
    /// A token that was added.
    TokenAdded {
        /// The token.
        token: TokenView,
        /// Its otpauth URI, if that was asked for. It is not shown again.
        uri: Option<ClearText>,
    },
    /// A page of tokens.
    Tokens(Vec<TokenView>),
    /// A token is gone.
    TokenRemoved(TokenView),
}

/// An account with all that belongs to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// The person behind it.
    pub owner: Option<Person>,
    /// Every name that leads to it, folded.
    pub logins: Vec<String>,
    /// Failed attempts since the last success.
    pub failures: u32,
    /// When the last of them was.
    pub last_failure: Option<UnixTime>,
    /// Whether an attempt would be looked at now.
    pub gate: Gate,
    /// The tokens that it may use.
    pub tokens: Vec<TokenView>,
}

/// A token without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// The identifier.
    pub id: TokenId,
    /// What administrators call it.
    pub label: String,
    /// The type.
    pub kind: TokenKind,
    /// The owner.
    pub owner: Option<PersonId>,
    /// The accounts that may use it.
    pub accounts: Vec<AccountName>,
    /// Whether a PIN stands before the OTP.
    pub pin: bool,
    /// The strengths that a logon with it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<String>,
    /// Switched off by an administrator.
    pub disabled: bool,
    /// When it may be used.
    pub validity: Validity,
    /// Where it stands; known only if it is assigned and not remote.
    pub counter: Option<CounterView>,
}

/// An account, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountName {
    /// The identifier.
    pub id: AccountId,
    /// The login, with its domain or realm.
    pub login: String,
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterView {
    /// The lowest factor that is not spent.
    pub next: u64,
    /// Time steps that the device is ahead.
    pub drift: i32,
    /// Whether the next OTP may complete a resynchronisation.
    pub resynchronising: bool,
}

impl AdminReply {
    /// What the audit log says that something was done to.
    pub(super) fn object(&self) -> String {
        match self {
            Self::Account(view) => named_account(&view.account),
            Self::AccountRemoved { account, .. } => named_account(account),
            Self::Token(token) | Self::TokenAdded { token, .. } | Self::TokenRemoved(token) => {
                format!("token {:?} {}", token.label, token.id)
            }
            Self::Accounts(_) | Self::Tokens(_) => String::new(),
        }
    }
}

impl TokenView {
    pub(super) fn new(
        token: Token,
        accounts: Vec<AccountName>,
        counter: Option<TokenCounter>,
    ) -> Self {
        let Token { id, label, owner, kind, pin, indicators, disabled, validity, .. } = token;
        let is_local = !matches!(kind, TokenKind::Remote { .. });
        let counter = counter.filter(|_| is_local).map(|counter| CounterView {
            next: counter.next,
            drift: counter.drift,
            resynchronising: counter.resync != 0,
        });
        let pin = pin.is_some();
        Self { id, label, kind, owner, accounts, pin, indicators, disabled, validity, counter }
    }
}

impl AccountName {
    pub(super) fn new(account: &Account) -> Self {
        Self { id: account.id, login: login_of(account) }
    }
}

/// The login of an account as people write it: `DOMAIN\name`, `name@realm`, or the name.
#[must_use]
pub fn login_of(account: &Account) -> String {
    let Account { name, domain, realm, .. } = account;
    match (domain, realm) {
        (Some(domain), _) => format!("{domain}\\{name}"),
        (None, Some(realm)) => format!("{name}@{realm}"),
        (None, None) => name.clone(),
    }
}

fn named_account(account: &Account) -> String {
    format!("account {} {}", login_of(account), account.id)
}
