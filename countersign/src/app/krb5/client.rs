//! The RADIUS clients of the config as far as they matter to a KDC.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use countersign_core::krb5::{
    login::{PrincipalError, login_of},
    token_type::{Server, TokenType},
};
use ipnet::IpNet;

use crate::config::{
    Config,
    radius::{ClientSettings, RadiusSettings, RealmSettings, Source},
    socket::SocketSettings,
};

/// A client of the config from which a KDC may ask.
#[derive(Debug, Clone)]
pub struct KdcClient {
    /// What the config says about it.
    pub settings: ClientSettings,
    /// How it asks.
    pub way: Way,
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
    /// The login name that a User-Name of it stands for, and the upstream that decides about it
    /// if that is not done here.
    ///
    /// # Errors
    ///
    /// No login name can stand for it.
    pub fn login(&self, user_name: &str) -> Result<(String, Option<String>), PrincipalError> {
        let name = match self.settings.is_kdc {
            true => &login_of(user_name)?,
            false => user_name,
        };
        let realm = |name: &str| {
            self.realms.iter().find(|realm| realm.name.to_lowercase() == name.to_lowercase())
        };
        Ok(self.settings.route(name, realm))
    }

    /// How findings name it.
    #[must_use]
    pub fn object(&self) -> String {
        format!("radius.client.{}", self.settings.name)
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
    Some(KdcClient { settings: client.clone(), way, realms: radius.rules.realms.clone() })
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
            None => client.settings.is_kdc,
        })
    };
    let prefix = |client: &&KdcClient| listens(client).map(|network| network.prefix_len());
    clients.iter().filter(fits).max_by_key(prefix)
}

/// The port of the service `radius`.
pub(super) const RADIUS: u16 = 1812;
