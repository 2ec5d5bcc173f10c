//! The bind proxy of a read-only consumer: `[bind-proxy]`.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{domain::dn::Dn, pki::profile::Span};
use ipnet::IpNet;
use serde::Deserialize;

use super::{Wrong, directory::ServerSettings, duration, wrong};

/// `[bind-proxy]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BindProxyFile {
    /// The providers, `ldaps://host[:port]`.
    pub providers: Vec<String>,
    /// The one of them that is on this machine: its tokens are validated here.
    #[serde(rename = "self")]
    pub own: Option<String>,
    /// Trust anchors for the providers' certificates, PEM.
    pub trust: Option<PathBuf>,
    /// Our certificate chain, leaf first, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PKCS#8 PEM.
    pub key: Option<PathBuf>,
    /// How long a provider may take.
    pub time_limit: Option<Span>,
    /// How long a provider that could not be reached is passed over.
    pub pause: Option<Span>,
    /// How many connections to one provider are kept.
    pub connections: Option<NonZeroUsize>,
    /// The replica that is searched for accounts with tokens: `ldapi:///path`.
    pub replica: String,
    /// Below which such accounts are.
    pub base: String,
    /// What such an account is, a filter (RFC 4515).
    #[serde(default = "has_token")]
    pub filter: String,
    /// How often they are searched.
    pub refresh: Option<Span>,
    /// How many there are at least; a search that finds fewer is not believed.
    pub minimum: Option<usize>,
    /// Clients whose binds are left to the replica: addresses, networks, `unix`.
    #[serde(default = "local")]
    pub never: Vec<String>,
    /// Clients whose binds are passed on; all if empty.
    #[serde(default)]
    pub only: Vec<String>,
}

/// The bind proxy.
#[derive(Debug, Clone)]
pub struct BindProxySettings {
    /// The providers.
    pub providers: Vec<ServerSettings>,
    /// Which of them is on this machine.
    pub own: Option<usize>,
    /// How long a provider that could not be reached is passed over.
    pub pause: Duration,
    /// How many connections to one provider are kept.
    pub connections: usize,
    /// The replica that is searched.
    pub replica: ServerSettings,
    /// Below which accounts are.
    pub base: Dn,
    /// What an account with a token is.
    pub filter: String,
    /// How often they are searched.
    pub refresh: Duration,
    /// How many there are at least.
    pub minimum: usize,
    /// Clients whose binds are left to the replica.
    pub never: Peers,
    /// Clients whose binds are passed on; all if nobody is named.
    pub only: Peers,
}

/// Clients of slapd, by where they come from.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// Those on UNIX sockets.
    pub unix: bool,
    /// Those in networks.
    pub networks: Vec<IpNet>,
}

impl Peers {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.unix && self.networks.is_empty()
    }

    /// Whether a client is one of them; one without an address is on a UNIX socket.
    #[must_use]
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        address.map_or(self.unix, |address| {
            self.networks.iter().any(|network| network.contains(&address))
        })
    }
}

pub(super) fn check_bind_proxy(
    file: BindProxyFile,
    base: &Path,
) -> Result<BindProxySettings, Wrong> {
    let key = "bind-proxy";
    if file.providers.is_empty() {
        return wrong("bind-proxy.providers", "there is nobody to pass binds on to");
    }
    let own = match &file.own {
        None => None,
        Some(own) => match file.providers.iter().position(|provider| provider == own) {
            Some(place) => Some(place),
            None => return wrong("bind-proxy.self", format!("{own:?} is not among the providers")),
        },
    };
    let identity = match (&file.certificate, &file.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((base.join(certificate), base.join(key))),
        _ => return wrong(key, "certificate and key go together"),
    };
    let time_limit = file.time_limit.map_or(TIME_LIMIT, duration);
    let server = |url: &String| ServerSettings {
        url: url.clone(),
        trust: file.trust.as_ref().map(|path| base.join(path)),
        identity: identity.clone(),
        bind: None,
        authorization_id: None,
        time_limit,
    };
    Ok(BindProxySettings {
        providers: file.providers.iter().map(server).collect(),
        own,
        pause: file.pause.map_or(PAUSE, duration),
        connections: file.connections.map_or(CONNECTIONS, NonZeroUsize::get),
        replica: ServerSettings { trust: None, identity: None, ..server(&file.replica) },
        base: Dn::parse(&file.base).or_else(|error| wrong("bind-proxy.base", error.to_string()))?,
        filter: file.filter,
        refresh: file.refresh.map_or(REFRESH, duration),
        minimum: file.minimum.unwrap_or(1),
        never: peers("bind-proxy.never", &file.never)?,
        only: peers("bind-proxy.only", &file.only)?,
    })
}

fn peers(key: &str, texts: &[String]) -> Result<Peers, Wrong> {
    let mut peers = Peers::default();
    for text in texts {
        let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
        match network {
            _ if text == "unix" => peers.unix = true,
            Ok(network) => peers.networks.push(network),
            Err(_) => {
                let cause = format!("{text:?} is no address, no network and not \"unix\"");
                return wrong(key, cause);
            }
        }
    }
    Ok(peers)
}

fn has_token() -> String {
    "(oathToken=*)".into()
}

fn local() -> Vec<String> {
    ["unix", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
}

const CONNECTIONS: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(120);
const REFRESH: Duration = Duration::from_secs(60);
