//! A channel by mail, as written and as checked.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use countersign_core::{pki::profile::Span, secret::Secret};
use lettre::message::Mailbox;
use serde::Deserialize;

use super::{Pattern, Place, pattern};
use crate::config::{
    Wrong,
    secret::{either_secret, secret},
    wrong,
};

/// Mail through one server.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who we say we are.
    pub credentials: Option<MailCredentials>,
    /// The sender.
    pub from: Mailbox,
    /// Trust anchors for the server's certificate, PEM; those of the system if absent.
    pub trust: Option<PathBuf>,
    /// The subject.
    pub subject: Pattern,
    /// The text.
    pub text: Pattern,
}

/// A user of the mail server.
#[derive(Debug, Clone)]
pub struct MailCredentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// By STARTTLS (RFC 3207), without which nothing is sent.
    #[default]
    Starttls,
    /// From the first octet (RFC 8314).
    Tls,
    /// Not at all.
    None,
}

/// `[delivery.NAME]` with `type = "mail"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MailFile {
    /// `host` or `host:port`.
    pub server: String,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// Who we say we are.
    pub user: Option<String>,
    /// The user's password.
    #[serde(default, deserialize_with = "secret")]
    pub password: Option<Secret<String>>,
    /// Or a file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The sender.
    pub from: String,
    /// Trust anchors for the server's certificate, PEM.
    pub trust: Option<PathBuf>,
    /// The subject.
    pub subject: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// How long a delivery may take.
    pub timeout: Option<Span>,
    /// How many deliveries may be under way at once.
    pub max_at_once: Option<usize>,
}

impl MailSettings {
    /// Whether the server is on this machine, so that nobody is between.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

pub(super) fn check(
    key: &str,
    file: MailFile,
    base: &Path,
    site: &str,
) -> Result<MailSettings, Wrong> {
    let (host, port) = check_server(key, &file.server, file.tls)?;
    let from = file.from.parse::<Mailbox>().or_else(|_| {
        let cause = format!("{:?} is no mail address such as otp@example.com", file.from);
        wrong(format!("{key}.from"), cause)
    })?;
    let credentials = check_credentials(key, file.user, file.password, file.password_file, base)?;
    let text = file.text.as_deref().unwrap_or(DEFAULT_TEXT);
    let subject = file.subject.as_deref().unwrap_or(DEFAULT_SUBJECT);
    let settings = MailSettings {
        host,
        port,
        tls: file.tls,
        credentials,
        from,
        trust: file.trust.map(|trust| base.join(trust)),
        subject: pattern(format!("{key}.subject"), subject, site)?,
        text: pattern(format!("{key}.text"), text, site)?,
    };
    check_whole(key, &settings)?;
    Ok(settings)
}

/// What fits together only.
fn check_whole(key: &str, settings: &MailSettings) -> Result<(), Wrong> {
    if !settings.text.has(Place::Otp) && !settings.subject.has(Place::Otp) {
        return wrong(format!("{key}.text"), "it does not have {otp}, so nobody would get an OTP");
    }
    if settings.tls != MailTls::None {
        return Ok(());
    }
    if settings.credentials.is_some() && !settings.is_local() {
        let cause = "the password would travel in clear; set tls = \"starttls\" or \"tls\"";
        return wrong(format!("{key}.tls"), cause);
    }
    if settings.trust.is_some() {
        return wrong(format!("{key}.trust"), "with tls = \"none\" nobody shows a certificate");
    }
    Ok(())
}

fn check_server(key: &str, server: &str, tls: MailTls) -> Result<(String, u16), Wrong> {
    let usual = match tls {
        MailTls::Starttls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        Some(_) | None => (server, Some(usual)),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    match port.filter(|port| is_right && *port != 0) {
        Some(port) => Ok((bare.unwrap_or(host).to_owned(), port)),
        None => {
            let cause = format!("{server:?} is not of the form host or host:port");
            wrong(format!("{key}.server"), cause)
        }
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
}

fn check_credentials(
    key: &str,
    user: Option<String>,
    password: Option<Secret<String>>,
    password_file: Option<PathBuf>,
    base: &Path,
) -> Result<Option<MailCredentials>, Wrong> {
    let has_password = password.is_some() || password_file.is_some();
    match user {
        None if has_password => {
            wrong(format!("{key}.user"), "whose password is it? set user, or remove the password")
        }
        None => Ok(None),
        Some(user) => {
            let password = either_secret(key, "password", password, password_file, base)?;
            Ok(Some(MailCredentials { user, password }))
        }
    }
}

const DEFAULT_SUBJECT: &str = "Your one-time password";
const DEFAULT_TEXT: &str = "Your one-time password is {otp}.";
