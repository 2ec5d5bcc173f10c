//! The back-sock listener, for slapd's overlay `sock`: `[back-sock]`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{domain::dn::Dn, pki::profile::Span};
use serde::Deserialize;

use super::{
    Wrong, duration,
    socket::{SocketFile, SocketSettings, check_socket},
    wrong,
};

/// `[back-sock]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackSockFile {
    /// The socket that slapd connects to.
    pub socket: PathBuf,
    /// Its mode, in octal digits.
    pub socket_mode: Option<String>,
    /// Its group.
    pub socket_group: Option<String>,
    /// The users who may connect: the one that slapd runs as.
    #[serde(default)]
    pub socket_users: Vec<String>,
    /// The suffixes of the database that the overlay is on.
    pub suffixes: Vec<String>,
    /// Where accounts are: whoever binds must be below one of these.
    pub accounts: Vec<String>,
    /// Where tokens are, for comparisons.
    #[serde(default)]
    pub tokens: Vec<String>,
    /// How many requests are worked on at once; more are answered "busy".
    pub max_requests: Option<NonZeroUsize>,
    /// How long a request may take.
    pub time_limit: Option<Span>,
    /// What becomes of accounts without a token.
    #[serde(default)]
    pub without_token: WithoutToken,
    /// Who checks the static password.
    #[serde(default)]
    pub password: PasswordBy,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// The server that the password is handed back to.
    pub hand_back_url: Option<String>,
}

/// What becomes of a bind of an account that has no token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutToken {
    /// The directory decides about it, by the password alone.
    #[default]
    Continue,
    /// It is refused.
    Refuse,
}

/// Who checks the static password in front of the OTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordBy {
    /// We do, by the hash in the store.
    #[default]
    Check,
    /// The directory does: it is asked by a bind with the password alone.
    Directory,
}

/// The back-sock listener.
#[derive(Debug, Clone)]
pub struct BackSockSettings {
    /// The socket that slapd connects to.
    pub socket: SocketSettings,
    /// The suffixes of the database.
    pub suffixes: Vec<Dn>,
    /// Where accounts are.
    pub accounts: Vec<Dn>,
    /// Where tokens are.
    pub tokens: Vec<Dn>,
    /// How many requests are worked on at once.
    pub max_requests: usize,
    /// How long a request may take.
    pub time_limit: Duration,
    /// What becomes of accounts without a token.
    pub without_token: WithoutToken,
    /// Who checks the static password.
    pub password: PasswordBy,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// The server that the password is handed back to.
    pub hand_back_url: Option<String>,
}

pub(super) fn check_back_sock(file: BackSockFile, base: &Path) -> Result<BackSockSettings, Wrong> {
    let key = "back-sock";
    let socket_file = SocketFile {
        mode: Some(file.socket_mode.as_deref().unwrap_or("0660")),
        group: file.socket_group.as_deref(),
        users: &file.socket_users,
    };
    let socket = check_socket(key, &socket_file, base.join(&file.socket))?;
    if file.suffixes.is_empty() || file.accounts.is_empty() {
        return wrong(key, "suffixes and accounts name the database and where its accounts are");
    }
    if file.password == PasswordBy::Directory && file.hand_back_url.is_none() {
        let cause = "password = \"directory\" needs it, such as \"ldapi:///run/slapd/ldapi\"";
        return wrong("back-sock.hand-back-url", cause);
    }
    Ok(BackSockSettings {
        socket,
        suffixes: names("back-sock.suffixes", &file.suffixes)?,
        accounts: names("back-sock.accounts", &file.accounts)?,
        tokens: names("back-sock.tokens", &file.tokens)?,
        max_requests: file.max_requests.map_or(MAX_REQUESTS, NonZeroUsize::get),
        time_limit: file.time_limit.map_or(TIME_LIMIT, duration),
        without_token: file.without_token,
        password: file.password,
        login_attribute: file.login_attribute,
        hand_back_url: file.hand_back_url,
    })
}

/// Distinguished names of a list.
pub(super) fn names(key: &str, names: &[String]) -> Result<Vec<Dn>, Wrong> {
    let name = |name: &String| Dn::parse(name).or_else(|error| wrong(key, error.to_string()));
    names.iter().map(name).collect()
}

/// slapd has 16 threads, and needs some for what it is asked meanwhile.
const MAX_REQUESTS: usize = 12;
const TIME_LIMIT: Duration = Duration::from_secs(5);
