//! OTPs that are made here and sent to their users: by mail, by a gateway over HTTP, by a program.
//!
//! Whatever a server or a program does, a delivery ends within the time limit of its
//! channel, and no more of them are under way than the channel allows. No error holds an OTP.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use countersign_core::secret::Secret;
use rustls::RootCertStore;
use tokio::{sync::Semaphore, time::timeout};

use self::{gateway::Gateway, mail::Mail, script::Script};
use crate::{
    certificate::{self, FileError},
    client::http::ClientError,
    config::delivery::{DeliveryMeans, DeliverySettings, Values},
};

mod gateway;
mod mail;
mod script;
mod smtp;

/// Delivers messages.
#[derive(Debug)]
pub struct Channel {
    name: String,
    means: Means,
    patience: Duration,
    turns: Semaphore,
}

#[derive(Debug)]
enum Means {
    Mail(Box<Mail>),
    Http(Box<Gateway>),
    Script(Script),
}

/// An OTP on its way.
#[derive(Debug, Clone)]
pub struct Message {
    /// The address: what it is depends on the channel.
    pub to: String,
    /// The login that it is for.
    pub account: String,
    /// The OTP.
    pub otp: Secret<String>,
}

/// Why a message was not delivered, or perhaps not.
#[derive(Debug, thiserror::Error)]
#[error("delivery channel {channel}: {failure}")]
pub struct DeliveryError {
    /// The channel's name in the config.
    pub channel: String,
    /// What is wrong.
    pub failure: Failure,
}

/// What is wrong with a delivery, by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Caller: nobody can be reached there. What is shown of it is hidden all but a bit.
    #[error("{0} is no address that it can deliver to; `countersign token show` has it whole")]
    Address(String),
    /// Peer: the mail server or the gateway, which perhaps has the message all the same.
    #[error("{peer}: {cause}")]
    Peer {
        /// Who.
        peer: String,
        /// What is wrong.
        cause: String,
    },
    /// Peer: the gateway took the request and says no.
    #[error("{gateway} answered with HTTP status {status}; was it asked as its manual says?")]
    Status {
        /// Who.
        gateway: String,
        /// Its status.
        status: u16,
        /// The start of what it says beside.
        said: String,
    },
    /// Operator: the program cannot be started.
    #[error("{program} cannot be started: {cause}")]
    Start {
        /// Which.
        program: String,
        /// What is wrong.
        cause: std::io::Error,
    },
    /// Operator: the program failed.
    #[error("{program} ended with {status}")]
    Exit {
        /// Which.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The start of its standard error.
        said: String,
    },
    /// All of them: it took too long.
    #[error("it took longer than {} seconds, or was not its turn within them", .0.as_secs_f32())]
    TimedOut(Duration),
}

/// Why a channel cannot be used at all. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The trust anchors cannot be read.
    #[error("config delivery.{channel}.trust: {cause}")]
    Trust {
        /// The channel's name in the config.
        channel: String,
        /// What is wrong.
        cause: FileError,
    },
    /// The trust anchors cannot be used.
    #[error("config delivery.{channel}.trust: {cause}")]
    Client {
        /// The channel's name in the config.
        channel: String,
        /// What is wrong.
        cause: ClientError,
    },
}

/// The channels of a config, by name.
///
/// # Errors
///
/// The first one that cannot be used.
pub fn channels(
    settings: &[DeliverySettings],
) -> Result<HashMap<String, Arc<Channel>>, ChannelError> {
    let open = |settings: &DeliverySettings| {
        Ok((settings.name.clone(), Arc::new(Channel::new(settings)?)))
    };
    settings.iter().map(open).collect()
}

impl Channel {
    /// The channel of these settings. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// Its trust anchors cannot be used.
    pub fn new(settings: &DeliverySettings) -> Result<Self, ChannelError> {
        let channel = || settings.name.clone();
        let trusted = |trust| {
            trusted(trust).map_err(|cause| ChannelError::Trust { channel: channel(), cause })
        };
        let wrong = |cause| ChannelError::Client { channel: channel(), cause };
        let means = match &settings.means {
            DeliveryMeans::Mail(mail) => {
                let roots = trusted(mail.trust.as_deref())?;
                Means::Mail(Box::new(Mail::new(mail, roots).map_err(wrong)?))
            }
            DeliveryMeans::Http(http) => {
                let roots = trusted(http.trust.as_deref())?;
                let gateway = Gateway::new(http, roots, settings.timeout).map_err(wrong)?;
                Means::Http(Box::new(gateway))
            }
            DeliveryMeans::Script(script) => Means::Script(Script::new(script)),
        };
        let turns = Semaphore::new(settings.max_at_once);
        Ok(Self { name: settings.name.clone(), means, patience: settings.timeout, turns })
    }

    /// Delivers a message, or gives up within the time limit.
    ///
    /// # Errors
    ///
    /// It was not delivered, or nobody can tell.
    pub async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = timeout(self.patience, self.wait_and_send(message)).await;
        let sent = sent.unwrap_or(Err(Failure::TimedOut(self.patience)));
        sent.map_err(|failure| {
            let failure = failure.without(&message.otp);
            tracing::debug!(channel = self.name, said = failure.said(), "not delivered: {failure}");
            DeliveryError { channel: self.name.clone(), failure }
        })
    }

    async fn wait_and_send(&self, message: &Message) -> Result<(), Failure> {
        let turn = self.turns.acquire().await;
        let _turn = turn.expect("nobody closes the semaphore");
        match &self.means {
            Means::Mail(mail) => mail.send(message).await,
            Means::Http(gateway) => gateway.send(message).await,
            Means::Script(script) => script.send(message).await,
        }
    }
}

impl Message {
    fn values(&self) -> Values<'_> {
        Values { otp: &self.otp, to: &self.to, account: &self.account }
    }
}

impl Failure {
    /// What the gateway or the program said beside; for the eyes of an administrator.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Status { said, .. } | Self::Exit { said, .. } => {
                Some(said.as_str()).filter(|said| !said.is_empty())
            }
            Self::Address(_) | Self::Peer { .. } | Self::Start { .. } | Self::TimedOut(_) => None,
        }
    }

    /// The same, even if a peer has repeated the OTP.
    fn without(mut self, otp: &Secret<String>) -> Self {
        match &mut self {
            Self::Peer { cause: text, .. }
            | Self::Status { said: text, .. }
            | Self::Exit { said: text, .. } => *text = start_without(text, otp),
            Self::Address(_) | Self::Start { .. } | Self::TimedOut(_) => {}
        }
        self
    }
}

/// The start of a text on one line, without an OTP.
fn start_without(text: &str, otp: &Secret<String>) -> String {
    let text = match otp.expose().as_str() {
        "" => text.to_owned(),
        otp => text.replace(otp, "…"),
    };
    let visible = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_SAID).collect()
}

/// How an address is shown to whoever asks for an OTP: `a…@example.com`, `…4711`.
#[must_use]
pub fn hide(to: &str) -> String {
    let visible: Vec<char> = to.chars().filter(|c| !c.is_control()).collect();
    if let Some(at) = visible.iter().rposition(|c| *c == '@') {
        let start: String = visible[..at.min(1)].iter().collect();
        let domain: String = visible[at..].iter().collect();
        return format!("{start}…{domain}");
    }
    let shown = if visible.len() >= 8 { 4 } else { visible.len() / 3 };
    let end: String = visible[visible.len() - shown..].iter().collect();
    format!("…{end}")
}

/// The certificates of a file, or else those that the system trusts.
fn trusted(trust: Option<&Path>) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    let certificates = match trust {
        Some(file) => certificate::for_tls(&certificate::load(file)?),
        // Without any there is no server that could be trusted, and a delivery says so.
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    if let (Some(file), true) = (trust, roots.is_empty()) {
        let cause = "none of its certificates can be a trust anchor".to_owned();
        return Err(FileError { file: file.to_owned(), cause });
    }
    Ok(roots)
}

/// Characters of the longest text by others that is kept.
const MAX_SAID: usize = 300;

#[cfg(test)]
mod tests;
