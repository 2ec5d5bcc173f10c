//! Delivery channels: how OTPs that are made here reach their users, as written and as checked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{domain::name::Site, pki::profile::Span};
use serde::Deserialize;

pub use self::{
    http::{BodyForm, BodySettings, HttpFile, HttpSettings},
    mail::{MailCredentials, MailFile, MailSettings, MailTls},
    pattern::{Pattern, Place, Values, one_line, percent_encode},
};
use super::{Wrong, duration, wrong};

mod http;
mod mail;
mod pattern;

/// A delivery channel.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Its name in the config.
    pub name: String,
    /// How it delivers.
    pub means: DeliveryMeans,
    /// How long a delivery may take, from the wait for its turn to the last answer.
    pub timeout: Duration,
    /// How many deliveries may be under way at once.
    pub max_at_once: usize,
}

/// How a channel delivers.
#[derive(Debug, Clone)]
pub enum DeliveryMeans {
    /// By mail.
    Mail(Box<MailSettings>),
    /// By a gateway over HTTP, such as one for SMS.
    Http(Box<HttpSettings>),
    /// By a program.
    Script(ScriptSettings),
}

/// A program that delivers.
#[derive(Debug, Clone)]
pub struct ScriptSettings {
    /// Where it is.
    pub program: PathBuf,
    /// What it is started with, the same every time.
    pub arguments: Vec<String>,
}

/// The type of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryKind {
    /// To mail addresses.
    Mail,
    /// To what the gateway knows.
    Http,
    /// To what the program knows.
    Script,
}

impl DeliveryMeans {
    /// The type.
    #[must_use]
    pub fn kind(&self) -> DeliveryKind {
        match self {
            Self::Mail(_) => DeliveryKind::Mail,
            Self::Http(_) => DeliveryKind::Http,
            Self::Script(_) => DeliveryKind::Script,
        }
    }
}

/// `[delivery.NAME]`
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DeliveryFile {
    /// `type = "mail"`
    Mail(Box<MailFile>),
    /// `type = "http"`
    Http(Box<HttpFile>),
    /// `type = "script"`
    Script(ScriptFile),
}

/// `[delivery.NAME]` with `type = "script"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScriptFile {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long a delivery may take.
    pub timeout: Option<Span>,
    /// How many deliveries may be under way at once.
    pub max_at_once: Option<usize>,
}

pub(super) fn check_delivery(
    name: String,
    file: DeliveryFile,
    base: &Path,
    site: &Site,
) -> Result<DeliverySettings, Wrong> {
    let key = format!("delivery.{name}");
    let site = site.realm.as_ref().or(site.domain.as_ref()).map_or("", String::as_str);
    let (timeout, max_at_once) = match &file {
        DeliveryFile::Mail(file) => (file.timeout, file.max_at_once),
        DeliveryFile::Http(file) => (file.timeout, file.max_at_once),
        DeliveryFile::Script(file) => (file.timeout, file.max_at_once),
    };
    let means = match file {
        DeliveryFile::Mail(file) => {
            DeliveryMeans::Mail(Box::new(mail::check(&key, *file, base, site)?))
        }
        DeliveryFile::Http(file) => {
            DeliveryMeans::Http(Box::new(http::check(&key, *file, base, site)?))
        }
        DeliveryFile::Script(file) => DeliveryMeans::Script(check_script(&key, file, base)?),
    };
    let timeout = check_timeout(&key, timeout.map_or(DEFAULT_TIMEOUT, duration))?;
    let max_at_once = check_at_once(&key, max_at_once.unwrap_or(DEFAULT_AT_ONCE))?;
    Ok(DeliverySettings { name, means, timeout, max_at_once })
}

fn check_timeout(key: &str, timeout: Duration) -> Result<Duration, Wrong> {
    if timeout.is_zero() || timeout > MAX_TIMEOUT {
        let seconds = timeout.as_secs();
        let cause = format!("{seconds} seconds are out of bounds, from 1s to 60s");
        return wrong(format!("{key}.timeout"), cause);
    }
    Ok(timeout)
}

fn check_at_once(key: &str, max_at_once: usize) -> Result<usize, Wrong> {
    if !(1..=MAX_AT_ONCE).contains(&max_at_once) {
        let cause = format!("{max_at_once} is out of bounds, from 1 to {MAX_AT_ONCE}");
        return wrong(format!("{key}.max-at-once"), cause);
    }
    Ok(max_at_once)
}

fn check_script(key: &str, file: ScriptFile, base: &Path) -> Result<ScriptSettings, Wrong> {
    let key = format!("{key}.command");
    let mut command = file.command.into_iter();
    let Some(program) = command.next().filter(|program| !program.is_empty()) else {
        return wrong(key, "it names no program, for instance [\"/usr/local/bin/send-otp\"]");
    };
    let arguments: Vec<String> = command.collect();
    // Whoever may list processes would read it.
    if arguments.iter().any(|argument| argument.contains("{otp}")) {
        return wrong(key, "the OTP is on standard input, never in an argument; remove {otp}");
    }
    Ok(ScriptSettings { program: base.join(program), arguments })
}

/// A pattern, with the key that it stands under.
fn pattern(key: String, text: &str, site: &str) -> Result<Pattern, Wrong> {
    Pattern::parse(text, site).or_else(|cause| wrong(key, cause))
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_AT_ONCE: usize = 8;
const MAX_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
