//! The RADIUS clients of the config as far as they matter to a KDC.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    krb5::token_type::{Server, TokenType},
    secret::Secret,
};
use ipnet::IpNet;

use crate::config::{
    Config,
    radius::{ClientSettings, RadiusSettings, RealmSettings, SocketSettings, Source},
};

/// A client of the config from which a KDC may ask.
#[derive(Debug, Clone)]
pub struct KdcClient {
    /// `radius.client.NAME`.
    pub name: String,
    /// How it asks.
    pub way: Way,
    /// Whether it is answered as a KDC needs it.
    pub is_kdc: bool,
    /// The secret shared with it; empty for a socket unless one is given.
    pub secret: Secret<Vec<u8>>,
    /// When it is told Reject at the latest.
    pub deadline: Option<Duration>,
    /// What only tokens with all of these are good for.
    pub indicators: Vec<String>,
    /// The realm of names without one.
    pub default_realm: Option<String>,
    /// Whether requests without Message-Authenticator are dropped.
    pub require_message_authenticator: bool,
    /// The upstream that all its requests are sent on to.
    pub upstream: Option<String>,
    /// Realms that are not answered as any other name is.
    pub realms: Vec<RealmSettings>,
}

/// How a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By a UNIX stream socket.
    Socket {
        /// Its path.
        path: PathBuf,
        /// Who may connect; root and the daemon's own user if nobody is named.
        users: Vec<u32>,
    },
    /// By UDP.
    Network {
        /// Where it asks from.
        network: IpNet,
        /// Where the daemon listens.
        listen: Vec<SocketAddr>,
    },
}

impl KdcClient {
    /// How findings name it.
    #[must_use]
    pub fn object(&self) -> String {
        format!("radius.client.{}", self.name)
    }
}

/// The clients of a config from which a KDC could ask; a KDC does not speak TLS.
#[must_use]
pub fn clients_of(config: &Config) -> Vec<KdcClient> {
    let Some(radius) = &config.radius else { return Vec::new() };
    let clients = radius.rules.clients.iter();
    clients.filter_map(|client| kdc_client(client, radius)).collect()
}

fn kdc_client(client: &ClientSettings, radius: &RadiusSettings) -> Option<KdcClient> {
    let way = match &client.source {
        Source::Socket(SocketSettings { path, users, .. }) => {
            Way::Socket { path: path.clone(), users: users.clone() }
        }
        Source::Network(network) => {
            Way::Network { network: *network, listen: radius.listen.clone() }
        }
        Source::Certificate(_) => return None,
    };
    Some(KdcClient {
        name: client.name.clone(),
        way,
        is_kdc: client.is_kdc,
        secret: client.secret.clone(),
        deadline: client.deadline,
        indicators: client.indicators.to_vec(),
        default_realm: client.default_realm.clone(),
        require_message_authenticator: client.require_message_authenticator,
        upstream: client.upstream.clone(),
        realms: radius.rules.realms.clone(),
    })
}

/// The client by which a token type reaches Countersign, if it does.
pub(super) fn serving<'a>(
    token_type: &TokenType,
    clients: &'a [KdcClient],
) -> Option<&'a KdcClient> {
    match &token_type.server {
        Server::Socket(path) => clients.iter().find(|client| is_socket(client, path.as_ref())),
        Server::Host { host, port } => {
            let port = port.as_deref().map_or(Some(RADIUS), |port| port.parse().ok())?;
            over_udp(host, port, clients)
        }
    }
}

/// The same file, whatever its path looks like.
fn is_socket(client: &KdcClient, path: &Path) -> bool {
    let Way::Socket { path: ours, .. } = &client.way else { return false };
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    // `/var/run` is `/run`, also before anybody has made the socket.
    let run = |path: &Path| {
        path.strip_prefix("/var/run").map_or(path.to_owned(), |rest| Path::new("/run").join(rest))
    };
    run(ours) == run(path) || (real(ours).is_some() && real(ours) == real(path))
}

/// Of a daemon on this machine the KDC's address is known; of others, that it is a KDC.
fn over_udp<'a>(host: &str, port: u16, clients: &'a [KdcClient]) -> Option<&'a KdcClient> {
    let address = match host {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse().ok(),
    };
    let listens = |client: &&KdcClient| match &client.way {
        Way::Socket { .. } => None,
        Way::Network { network, listen } => {
            let listens = listen.iter().any(|ours| {
                ours.port() == port && (ours.ip().is_unspecified() || Some(ours.ip()) == address)
            });
            listens.then_some(*network)
        }
    };
    let loopback = address.filter(IpAddr::is_loopback);
    let fits = |client: &&KdcClient| {
        listens(client).is_some_and(|network| match loopback {
            Some(address) => network.contains(&address),
            None => client.is_kdc,
        })
    };
    let prefix = |client: &&KdcClient| listens(client).map(|network| network.prefix_len());
    clients.iter().filter(fits).max_by_key(prefix)
}

/// The port of the service `radius`.
const RADIUS: u16 = 1812;
