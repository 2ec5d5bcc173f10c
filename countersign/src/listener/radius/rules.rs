//! The rules by which requests are answered, made ready. A reload replaces them as a whole.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use countersign_core::domain::time::UnixTime;
use governor::{DefaultDirectRateLimiter, Quota};

use super::clients::{Clients, SameNetwork};
use crate::config::{
    radius::{ClientSettings, RadiusRules, RealmSettings, Source},
    reply::ReplyRule,
    socket::SocketSettings,
};

/// The rules of a listener.
pub struct Rules {
    networks: Clients,
    certificates: HashMap<String, Arc<Client>>,
    sockets: HashMap<PathBuf, Arc<Client>>,
    realms: HashMap<String, RealmSettings>,
    /// Whether Accounting-Requests are answered.
    pub(super) accounting: bool,
    /// What every Access-Accept carries, whoever it is for.
    pub(super) reply: Vec<ReplyRule>,
}

/// A client with what is kept of it.
pub(super) struct Client {
    /// What the config says.
    pub(super) settings: ClientSettings,
    limiter: Option<DefaultDirectRateLimiter>,
    /// The second of the last complaint about what it asks.
    complained: AtomicU64,
}

/// Operator: two clients cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Twins {
    /// By their addresses.
    #[error(transparent)]
    Network(#[from] SameNetwork),
    /// By a name or a path.
    #[error("the RADIUS clients {one} and {other} both have {what}; remove one")]
    Name {
        /// The name of one.
        one: String,
        /// The name of the other.
        other: String,
        /// What both have.
        what: String,
    },
}

impl Rules {
    /// Makes the rules of the config ready.
    ///
    /// # Errors
    ///
    /// Two clients have the same network, certificate or socket.
    pub fn new(rules: RadiusRules) -> Result<Self, Twins> {
        let RadiusRules { clients, realms, accounting, reply } = rules;
        let mut by_network = Vec::new();
        let (mut certificates, mut sockets) = (HashMap::new(), HashMap::new());
        for settings in clients {
            let source = settings.source.clone();
            let client = Arc::new(Client::new(settings));
            match source {
                Source::Network(network) => by_network.push((network, client)),
                Source::Certificate(name) => {
                    let what = format!("tls-name {name:?}");
                    insert(&mut certificates, name, client, what)?;
                }
                Source::Socket(socket) => {
                    let what = format!("the socket {}", socket.path.display());
                    insert(&mut sockets, socket.path, client, what)?;
                }
            }
        }
        let by_name = |realm: RealmSettings| (realm.name.to_lowercase(), realm);
        let realms = realms.into_iter().map(by_name).collect();
        let networks = Clients::new(by_network)?;
        Ok(Self { networks, certificates, sockets, realms, accounting, reply })
    }

    /// The client of an address.
    #[must_use]
    pub(super) fn by_address(&self, address: IpAddr) -> Option<&Arc<Client>> {
        self.networks.find(address.to_canonical())
    }

    /// The client that has one of the names in a certificate.
    #[must_use]
    pub(super) fn by_names(&self, names: &[String]) -> Option<&Arc<Client>> {
        names.iter().find_map(|name| self.certificates.get(name))
    }

    /// The client behind a UNIX socket.
    #[must_use]
    pub(super) fn by_socket(&self, path: &Path) -> Option<&Arc<Client>> {
        self.sockets.get(path)
    }

    /// The socket of a client of this name.
    #[must_use]
    pub(super) fn socket_of(&self, client: &str) -> Option<SocketSettings> {
        let mut sockets = self.sockets.values().map(|client| &client.settings);
        match &sockets.find(|settings| settings.name == client)?.source {
            Source::Socket(socket) => Some(socket.clone()),
            Source::Network(_) | Source::Certificate(_) => None,
        }
    }

    /// What becomes of a realm, if anything out of the ordinary.
    #[must_use]
    pub(super) fn realm(&self, name: &str) -> Option<&RealmSettings> {
        if self.realms.is_empty() { None } else { self.realms.get(&name.to_lowercase()) }
    }
}

fn insert<K: std::hash::Hash + Eq>(
    clients: &mut HashMap<K, Arc<Client>>,
    key: K,
    client: Arc<Client>,
    what: String,
) -> Result<(), Twins> {
    let other = client.settings.name.clone();
    match clients.insert(key, client) {
        None => Ok(()),
        Some(one) => Err(Twins::Name { one: one.settings.name.clone(), other, what }),
    }
}

impl Client {
    fn new(settings: ClientSettings) -> Self {
        let limiter = settings
            .max_requests_per_second
            .map(|most| DefaultDirectRateLimiter::direct(Quota::per_second(most)));
        Self { settings, limiter, complained: AtomicU64::new(0) }
    }

    /// Whether it may ask now. Counts as a request if it may.
    pub(super) fn may_ask(&self) -> bool {
        self.limiter.as_ref().is_none_or(|limiter| limiter.check().is_ok())
    }

    /// Whether it is time to tell the operator about it, once an hour at the most.
    pub(super) fn is_time_to_complain(&self, now: UnixTime) -> bool {
        let last = self.complained.load(Ordering::Relaxed);
        let is_due = last == 0 || now.since(UnixTime(last)) >= HOUR || now.0 < last;
        let swap =
            || self.complained.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed);
        is_due && swap().is_ok()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.settings.name)
    }
}

/// Whether an address is the peer's own or mapped into IPv6, it is the same peer.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

const HOUR: u64 = 3600;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use countersign_core::secret::Secret;

    use super::*;
    use crate::config::socket::SocketSettings;

    fn client(name: &str, source: Source) -> ClientSettings {
        ClientSettings::new(name.into(), source, Secret::new(b"secret".to_vec()))
    }

    fn socket(path: &str) -> Source {
        Source::Socket(SocketSettings {
            path: path.into(),
            mode: 0o600,
            group: None,
            users: vec![],
        })
    }

    fn rules(clients: Vec<ClientSettings>) -> Result<Rules, Twins> {
        Rules::new(RadiusRules { clients, ..RadiusRules::default() })
    }

    #[test]
    fn clients_are_found_by_address_name_and_path() {
        let rules = rules(vec![
            client("vpn", Source::Network("10.0.0.0/8".parse().unwrap())),
            client("branch", Source::Certificate("radius.branch.example".into())),
            client("kdc", socket("/run/kdc.sock")),
        ])
        .unwrap();
        let name = |client: Option<&Arc<Client>>| client.map(|client| client.settings.name.clone());
        let by_address = |address: &str| name(rules.by_address(address.parse().unwrap()));
        assert_eq!(by_address("10.1.2.3").as_deref(), Some("vpn"));
        assert_eq!(by_address("::ffff:10.1.2.3").as_deref(), Some("vpn"));
        assert_eq!(by_address("192.0.2.1"), None);
        let names = ["other".to_owned(), "radius.branch.example".to_owned()];
        assert_eq!(name(rules.by_names(&names)).as_deref(), Some("branch"));
        assert_eq!(name(rules.by_names(&names[..1])), None);
        assert_eq!(name(rules.by_socket(Path::new("/run/kdc.sock"))).as_deref(), Some("kdc"));
    }

    #[test]
    fn two_clients_cannot_have_the_same_name_or_path() {
        for (source, what) in [
            (Source::Certificate("a.example".into()), "tls-name \"a.example\""),
            (socket("/run/kdc.sock"), "the socket /run/kdc.sock"),
        ] {
            let error =
                rules(vec![client("a", source.clone()), client("b", source)]).err().unwrap();
            let text = format!("the RADIUS clients a and b both have {what}; remove one");
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn realms_are_found_whatever_the_case() {
        let realm = RealmSettings { name: "Partner.Example".into(), upstream: None, strip: true };
        let rules = Rules::new(RadiusRules { realms: vec![realm], ..RadiusRules::default() });
        let rules = rules.unwrap();
        assert!(rules.realm("PARTNER.EXAMPLE").is_some_and(|realm| realm.strip));
        assert!(rules.realm("other.example").is_none());
    }

    #[test]
    fn a_client_may_ask_so_often_and_is_complained_about_once_an_hour() {
        let two = NonZeroU32::new(2);
        let source = Source::Network("10.0.0.0/8".parse().unwrap());
        let settings =
            ClientSettings { max_requests_per_second: two, ..client("vpn", source.clone()) };
        let limited = Client::new(settings);
        assert_eq!((0..9).filter(|_| limited.may_ask()).count(), 2);
        let unlimited = Client::new(client("vpn", source));
        assert_eq!((0..9).filter(|_| unlimited.may_ask()).count(), 9);
        let times = [100, 100, 3699, 3700, 3701, 50];
        let told = times.map(|now| unlimited.is_time_to_complain(UnixTime(now)));
        assert_eq!(told, [true, false, false, true, false, true]);
    }
}
