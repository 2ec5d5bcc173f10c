//! The RADIUS listener, as checked. [`super::radius_file`] is how it is written.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use countersign_core::secret::Secret;
use ipnet::IpNet;

use super::{
    file::TlsFile,
    reply::ReplyRule,
    socket::SocketSettings,
    upstream::{ProbeUser, Radius11},
};

/// The RADIUS listener: where it listens, and by which rules it answers.
#[derive(Debug, Default)]
pub struct RadiusSettings {
    /// UDP addresses.
    pub listen: Vec<SocketAddr>,
    /// TCP addresses (RFC 6613).
    pub listen_tcp: Vec<SocketAddr>,
    /// RADIUS over TLS (RFC 6614).
    pub tls: Option<RadSecSettings>,
    /// UNIX stream sockets, each of one client.
    pub sockets: Vec<SocketSettings>,
    /// What a reload replaces.
    pub rules: RadiusRules,
}

/// Who may ask, and what becomes of it.
#[derive(Debug, Clone, Default)]
pub struct RadiusRules {
    /// Who may ask. Of several networks that hold an address the longest prefix wins.
    pub clients: Vec<ClientSettings>,
    /// Realms that are not answered as any other name is.
    pub realms: Vec<RealmSettings>,
    /// Whether Accounting-Requests are recorded and answered.
    pub accounting: bool,
    /// What every Access-Accept carries.
    pub reply: Vec<ReplyRule>,
}

/// RADIUS over TLS.
#[derive(Debug)]
pub struct RadSecSettings {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// Certificate, key, trust anchors of clients.
    pub tls: TlsFile,
    /// Whether RADIUS/1.1 is spoken.
    pub radius_1_1: Radius11,
}

/// A RADIUS client, or a network of them.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The name it has in log and audit.
    pub name: String,
    /// Where it asks from.
    pub source: Source,
    /// The secret shared with it.
    pub secret: Secret<Vec<u8>>,
    /// Whether it is a KDC of MIT Kerberos, which drops replies with most attributes
    /// and gives up on a challenge.
    pub is_kdc: bool,
    /// Whether a request without Message-Authenticator is dropped (RFC 3579 §3.2, CVE-2024-3596).
    pub require_message_authenticator: bool,
    /// Whether it is told Reject where it would be told Challenge.
    pub never_challenge: bool,
    /// The user by which it probes whether we are alive.
    pub probe: Option<ProbeUser>,
    /// How often it may ask; beyond that it gets silence.
    pub max_requests_per_second: Option<NonZeroU32>,
    /// The realm of names that have none.
    pub default_realm: Option<String>,
    /// Whether its names are taken without their realm, whatever that is.
    pub strip_realm: bool,
    /// The strengths that a token must have for this client.
    pub indicators: Arc<[String]>,
    /// Seconds in which the same name and passcode through another socket, node or process
    /// of the client get the same answer. 0: only the very same packet does.
    pub retry_grace: u32,
    /// After this time it is told Reject, whatever is still being decided.
    pub deadline: Option<Duration>,
    /// The upstream that all its requests are sent on to.
    pub upstream: Option<String>,
    /// What every Access-Accept to it carries.
    pub reply: Vec<ReplyRule>,
}

/// Where a client asks from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From these addresses, over UDP or TCP.
    Network(IpNet),
    /// From anywhere over TLS, with a certificate of this name.
    Certificate(String),
    /// Through a UNIX stream socket.
    Socket(SocketSettings),
}

/// What becomes of names in a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealmSettings {
    /// What stands behind the last `@`, compared without regard to case.
    pub name: String,
    /// The upstream that requests are sent on to; answered here if absent.
    pub upstream: Option<String>,
    /// Whether the realm is taken off first.
    pub strip: bool,
}

impl ClientSettings {
    /// A client with the settings that hold unless the config says otherwise.
    #[must_use]
    pub fn new(name: String, source: Source, secret: Secret<Vec<u8>>) -> Self {
        Self {
            name,
            source,
            secret,
            is_kdc: false,
            require_message_authenticator: true,
            never_challenge: false,
            probe: None,
            max_requests_per_second: None,
            default_realm: None,
            strip_realm: false,
            indicators: Arc::default(),
            retry_grace: 0,
            deadline: None,
            upstream: None,
            reply: Vec::new(),
        }
    }

    /// The name to go on with, and the upstream that knows it if it is not known here.
    /// `realm` finds what becomes of a realm.
    #[must_use]
    pub fn route<'a>(
        &self,
        name: &str,
        realm: impl FnOnce(&str) -> Option<&'a RealmSettings>,
    ) -> (String, Option<String>) {
        let qualified = match (&self.default_realm, name.contains(['@', '\\'])) {
            (Some(realm), false) => &format!("{name}@{realm}"),
            (Some(_) | None, _) => name,
        };
        let split = qualified.rsplit_once('@');
        let found = split.and_then(|(user, name)| Some((user, realm(name)?)));
        let name = match found {
            Some((user, realm)) if realm.strip => user,
            Some(_) | None if self.strip_realm => split.map_or(qualified, |(user, _)| user),
            Some(_) | None => qualified,
        };
        let by_realm = found.and_then(|(_, realm)| realm.upstream.clone());
        (name.to_owned(), self.upstream.clone().or(by_realm))
    }

    /// Its socket, if that is its way in.
    #[must_use]
    pub fn socket(&self) -> Option<&SocketSettings> {
        match &self.source {
            Source::Socket(socket) => Some(socket),
            Source::Network(_) | Source::Certificate(_) => None,
        }
    }

    /// Its network, if that is what it is known by.
    #[must_use]
    pub fn network(&self) -> Option<IpNet> {
        match &self.source {
            Source::Network(network) => Some(*network),
            Source::Certificate(_) | Source::Socket(_) => None,
        }
    }
}
