//! Upstreams: RADIUS servers that Countersign asks, as written and as checked.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{pki::profile::Span, secret::Secret};
use serde::Deserialize;

use super::{
    Wrong, duration,
    file::yes,
    secret::{octets, secret, shared_secret, some_secret},
    wrong,
};

/// An upstream: an ordered list of RADIUS servers that know the same users.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Its name in the config.
    pub name: String,
    /// The servers, best first.
    pub servers: Vec<ServerSettings>,
    /// How long to wait for an answer before sending again.
    pub timeout: Duration,
    /// How often a request is sent to one server; at least 1.
    pub tries: u32,
    /// How long a server that stayed silent is passed over.
    pub dead_time: Duration,
    /// The form of the User-Name.
    pub user_name: UserNameFormat,
    /// The NAS-Identifier that we go by.
    pub nas_identifier: String,
    /// Whether a reply without Message-Authenticator is ignored.
    pub require_message_authenticator: bool,
    /// The port that accounting goes to over UDP and TCP, if it is not the one after that of
    /// the server.
    pub accounting_port: Option<u16>,
    /// For servers over TLS.
    pub tls: Option<UpstreamTls>,
    /// The user by which we probe whether it is alive.
    pub probe: Option<ProbeSettings>,
}

/// One server of an upstream.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where it is, and how it is spoken to.
    pub address: ServerAddress,
    /// The secret shared with it; for TLS it is `radsec` (RFC 6614 §2.3).
    pub secret: Secret<Vec<u8>>,
}

/// Where a server is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Datagrams (RFC 2865).
    Udp(SocketAddr),
    /// A stream without protection (RFC 6613).
    Tcp(HostPort),
    /// TLS (RFC 6614, RFC 9765).
    Tls(HostPort),
    /// A stream to a server on this machine.
    Unix(PathBuf),
}

/// A host that is looked up whenever a connection is opened, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How servers are spoken to over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The anchors that the certificates of servers chain to, PEM.
    pub trust: PathBuf,
    /// Our certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub key: PathBuf,
    /// The name in the certificates of servers, if it is not that of their addresses.
    pub server_name: Option<String>,
    /// Whether RADIUS/1.1 is spoken.
    pub radius_1_1: Radius11,
}

/// Whether RADIUS/1.1 is spoken over TLS (RFC 9765 §3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Radius11 {
    /// With a peer that speaks it, too.
    #[default]
    Allow,
    /// Always; other peers are not spoken to.
    Require,
    /// Never.
    Forbid,
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Udp(address)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => address.fmt(f),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How an upstream is probed.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// Whom to log on; any authentic answer shows liveness.
    pub user: ProbeUser,
    /// How often.
    pub interval: Duration,
}

/// A static name and password that show liveness and grant nothing else.
#[derive(Debug, Clone)]
pub struct ProbeUser {
    /// The User-Name.
    pub name: String,
    /// The password.
    pub password: Secret<Vec<u8>>,
}

/// The form of the User-Name that an upstream is asked with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNameFormat {
    /// As the user gave it.
    #[default]
    AsGiven,
    /// `user`.
    User,
    /// `DOMAIN\user`; `user` where the account has no domain.
    DomainUser,
    /// The user principal name; `user` where the account has none.
    Upn,
}

/// `[upstream.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UpstreamFile {
    /// `host:port`, `udp://host:port`, `tcp://host:port`, `tls://host:port` or `unix:/path`,
    /// best first.
    pub servers: Vec<String>,
    /// The secret shared with all of them but those over TLS.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret<String>>,
    /// Or a file whose first line is the shared secret.
    pub secret_file: Option<PathBuf>,
    /// How long to wait for an answer before sending again.
    pub timeout: Option<Span>,
    /// How often a request is sent to one server.
    pub tries: Option<u32>,
    /// How long a silent server is passed over.
    pub dead_time: Option<Span>,
    /// The form of the User-Name.
    #[serde(default)]
    pub user_name: UserNameFormat,
    /// The NAS-Identifier that we go by.
    pub nas_identifier: Option<String>,
    /// Ignore replies without Message-Authenticator.
    #[serde(default = "yes")]
    pub require_message_authenticator: bool,
    /// Where accounting goes to.
    pub accounting_port: Option<NonZeroU16>,
    /// `[upstream.NAME.tls]`
    pub tls: Option<UpstreamTlsFile>,
    /// The user that we probe with.
    pub probe: Option<ProbeFile>,
}

/// `[upstream.NAME.tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UpstreamTlsFile {
    /// The anchors that the certificates of servers chain to, PEM.
    pub trust: PathBuf,
    /// Our certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub key: PathBuf,
    /// The name in the certificates of servers.
    pub server_name: Option<String>,
    /// Whether RADIUS/1.1 is spoken.
    #[serde(default)]
    pub radius_1_1: Radius11,
}

/// A user that proves liveness and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProbeFile {
    /// The User-Name.
    pub user: String,
    /// The password.
    #[serde(deserialize_with = "some_secret")]
    pub password: Secret<String>,
    /// How often; upstreams only.
    pub interval: Option<Span>,
}

pub(super) fn check_upstream(
    name: String,
    file: UpstreamFile,
    base: &Path,
) -> Result<UpstreamSettings, Wrong> {
    let key = format!("upstream.{name}");
    let addresses = check_addresses(&key, &file.servers, base)?;
    let secret = check_secret(&key, &addresses, file.secret, file.secret_file, base)?;
    check_tls(&key, &addresses, file.tls.as_ref())?;
    let probe = file.probe.map(|probe| ProbeSettings {
        user: ProbeUser { name: probe.user, password: octets(&probe.password) },
        interval: probe.interval.map_or(DEFAULT_PROBE_INTERVAL, duration),
    });
    Ok(UpstreamSettings {
        name,
        servers: addresses.into_iter().map(|address| with_secret(address, &secret)).collect(),
        timeout: file.timeout.map_or(DEFAULT_TIMEOUT, duration),
        tries: file.tries.unwrap_or(DEFAULT_TRIES).max(1),
        dead_time: file.dead_time.map_or(DEFAULT_DEAD_TIME, duration),
        user_name: file.user_name,
        nas_identifier: file.nas_identifier.unwrap_or_else(|| "countersign".into()),
        require_message_authenticator: file.require_message_authenticator,
        accounting_port: file.accounting_port.map(NonZeroU16::get),
        tls: file.tls.map(|tls| resolve(tls, base)),
        probe,
    })
}

fn check_addresses(
    key: &str,
    servers: &[String],
    base: &Path,
) -> Result<Vec<ServerAddress>, Wrong> {
    let key = format!("{key}.servers");
    if servers.is_empty() {
        return wrong(key, "it names no server, for instance \"10.0.0.1:1812\"");
    }
    if servers.len() > MAX_SERVERS {
        return wrong(key, format!("it names more than {MAX_SERVERS} servers"));
    }
    let read = |server: &String| {
        read_address(server, base).or_else(|cause| wrong(&key, format!("{server:?} {cause}")))
    };
    servers.iter().map(read).collect()
}

fn read_address(server: &str, base: &Path) -> Result<ServerAddress, String> {
    if let Some(path) = server.strip_prefix("unix:") {
        return match path.trim_start_matches('/').is_empty() {
            true => Err("names no socket; write unix:/path/of/the.socket".into()),
            false => Ok(ServerAddress::Unix(base.join(path))),
        };
    }
    match server.split_once("://") {
        None => datagrams(server),
        Some(("udp", address)) => datagrams(address),
        Some(("tcp", address)) => host_port(address).map(ServerAddress::Tcp),
        Some(("tls", address)) => host_port(address).map(ServerAddress::Tls),
        Some((scheme, _)) => Err(format!(
            "has the transport {scheme:?}; write host:port or udp:// for UDP, tcp://, tls:// or unix:"
        )),
    }
}

fn datagrams(server: &str) -> Result<ServerAddress, String> {
    let HostPort { host, port } = host_port(server)?;
    let found = (host.as_str(), port).to_socket_addrs().ok().and_then(|mut all| all.next());
    let address = found.ok_or("is not found; check the name, or write an address")?;
    Ok(ServerAddress::Udp(address))
}

fn host_port(text: &str) -> Result<HostPort, String> {
    let cause = || "is no address; write host:port, address:port or [IPv6 address]:port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(cause)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(cause)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => host,
        None if is_name(host) => host,
        _ => return Err(cause()),
    };
    Ok(HostPort { host: host.to_owned(), port })
}

/// A name or an IPv4 address.
fn is_name(host: &str) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.chars().all(may)
}

/// The secret of all servers but those over TLS, whose secret everybody knows. On a socket of
/// this machine it may be left out.
fn check_secret(
    key: &str,
    addresses: &[ServerAddress],
    inline: Option<Secret<String>>,
    file: Option<PathBuf>,
    base: &Path,
) -> Result<Secret<Vec<u8>>, Wrong> {
    let is_given = inline.is_some() || file.is_some();
    let needs = |address: &ServerAddress| match address {
        ServerAddress::Udp(_) | ServerAddress::Tcp(_) => true,
        ServerAddress::Tls(_) | ServerAddress::Unix(_) => false,
    };
    let is_tls = |address: &ServerAddress| matches!(address, ServerAddress::Tls(_));
    if is_given && addresses.iter().all(is_tls) {
        let cause =
            "the secret of tls:// servers is always \"radsec\" (RFC 6614 §2.3); leave it out";
        return wrong(format!("{key}.secret"), cause);
    }
    if is_given || addresses.iter().any(needs) {
        return shared_secret(key, inline, file, base);
    }
    Ok(Secret::new(Vec::new()))
}

fn check_tls(
    key: &str,
    addresses: &[ServerAddress],
    tls: Option<&UpstreamTlsFile>,
) -> Result<(), Wrong> {
    let over_tls = addresses.iter().find(|address| matches!(address, ServerAddress::Tls(_)));
    match (over_tls, tls) {
        (Some(address), None) => wrong(
            format!("{key}.tls"),
            format!("{address} needs it; give trust, certificate and key in [{key}.tls]"),
        ),
        (None, Some(_)) => wrong(
            format!("{key}.tls"),
            "no server is spoken to over TLS; write tls://host:port in servers, or remove it",
        ),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

fn with_secret(address: ServerAddress, secret: &Secret<Vec<u8>>) -> ServerSettings {
    let secret = match address {
        ServerAddress::Tls(_) => Secret::new(RADSEC.to_vec()),
        ServerAddress::Udp(_) | ServerAddress::Tcp(_) | ServerAddress::Unix(_) => secret.clone(),
    };
    ServerSettings { address, secret }
}

fn resolve(file: UpstreamTlsFile, base: &Path) -> UpstreamTls {
    UpstreamTls {
        trust: base.join(file.trust),
        certificate: base.join(file.certificate),
        key: base.join(file.key),
        server_name: file.server_name,
        radius_1_1: file.radius_1_1,
    }
}

/// A challenge remembers its server in one octet.
const MAX_SERVERS: usize = 255;
/// The secret of RADIUS over TLS (RFC 6614 §2.3).
const RADSEC: &[u8] = b"radsec";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_TRIES: u32 = 3;
const DEFAULT_DEAD_TIME: Duration = Duration::from_secs(30);
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<UpstreamSettings, String> {
        let file: UpstreamFile = toml::from_str(text).map_err(|error| error.to_string())?;
        check_upstream("otp".into(), file, Path::new("/etc/countersign"))
            .map_err(|Wrong { key, cause }| format!("{key}: {cause}"))
    }

    const TLS: &str = "tls = { trust = 'ca.pem', certificate = 'us.pem', key = 'us.key' }";

    #[test]
    fn servers_are_read_with_their_transports_and_shown_as_written() {
        let servers = [
            ("10.0.0.1:1812", "10.0.0.1:1812"),
            ("udp://[::1]:1812", "[::1]:1812"),
            ("tcp://radius.example.com:1812", "tcp://radius.example.com:1812"),
            ("tcp://[2001:db8::1]:1812", "tcp://[2001:db8::1]:1812"),
            ("tls://192.0.2.1:2083", "tls://192.0.2.1:2083"),
            ("unix:/run/other.sock", "unix:/run/other.sock"),
            ("unix:other.sock", "unix:/etc/countersign/other.sock"),
        ];
        let written: Vec<_> = servers.iter().map(|(written, _)| *written).collect();
        let settings = check(&format!("servers = {written:?}\nsecret = 'xyz'\n{TLS}")).unwrap();
        let shown: Vec<_> =
            settings.servers.iter().map(|found| found.address.to_string()).collect();
        assert_eq!(shown, servers.map(|(_, shown)| shown));
        let secrets = settings.servers.iter().map(|found| found.secret.expose().clone());
        let (radsec, given) = (b"radsec".to_vec(), b"xyz".to_vec());
        let expected = [&given, &given, &given, &given, &radsec, &given, &given].map(Clone::clone);
        assert_eq!(secrets.collect::<Vec<_>>(), expected);
        let tls = settings.tls.unwrap();
        assert_eq!(tls.key, Path::new("/etc/countersign/us.key"));
        assert_eq!((tls.server_name, tls.radius_1_1), (None, Radius11::Allow));
    }

    #[test]
    fn says_what_is_wrong_with_a_server() {
        for (server, said) in [
            ("10.0.0.1", "write host:port"),
            ("10.0.0.1:", "write host:port"),
            ("10.0.0.1:0", "write host:port"),
            (":1812", "write host:port"),
            ("tcp://", "write host:port"),
            ("tls://a b:1", "write host:port"),
            ("tcp://::1:1812", "[IPv6 address]:port"),
            ("tcp://[10.0.0.1]:1812", "[IPv6 address]:port"),
            ("no.such.host.invalid:1812", "check the name"),
            ("http://a:1", "has the transport \"http\""),
            ("unix:", "names no socket"),
        ] {
            let error = check(&format!("servers = [{server:?}]\nsecret = 'x'")).unwrap_err();
            assert!(error.starts_with("upstream.otp.servers: "), "{error}");
            assert!(error.contains(said), "{server}: {error}");
        }
        assert!(check("servers = []\nsecret = 'x'").unwrap_err().contains("names no server"));
        let many = vec!["tcp://a:1"; 256];
        assert!(check(&format!("servers = {many:?}\nsecret = 'x'")).unwrap_err().contains("255"));
    }

    #[test]
    fn a_secret_is_needed_where_nothing_else_protects() {
        for servers in ["'127.0.0.1:1'", "'tcp://a:1'", "'unix:/s', 'tcp://a:1'"] {
            let error = check(&format!("servers = [{servers}]")).unwrap_err();
            assert!(error.contains("secret"), "{error}");
        }
        let local = check("servers = ['unix:/s']").unwrap();
        assert_eq!(local.servers[0].secret.expose(), b"");
        let local = check("servers = ['unix:/s']\nsecret = 'x'").unwrap();
        assert_eq!(local.servers[0].secret.expose(), b"x");
        let error = check(&format!("servers = ['tls://a:1']\nsecret = 'x'\n{TLS}")).unwrap_err();
        assert!(error.contains("upstream.otp.secret") && error.contains("leave it out"), "{error}");
    }

    #[test]
    fn tls_goes_with_tls_servers() {
        let error = check("servers = ['tls://a:1']").unwrap_err();
        assert!(error.contains("trust, certificate and key in [upstream.otp.tls]"), "{error}");
        let error = check(&format!("servers = ['tcp://a:1']\nsecret = 'x'\n{TLS}")).unwrap_err();
        assert!(error.contains("no server is spoken to over TLS"), "{error}");
        for (written, radius_1_1) in [
            ("allow", Radius11::Allow),
            ("require", Radius11::Require),
            ("forbid", Radius11::Forbid),
        ] {
            let tls =
                TLS.replace(" }", &format!(", radius-1-1 = '{written}', server-name = 'b' }}"));
            let tls = check(&format!("servers = ['tls://a:1']\n{tls}")).unwrap().tls.unwrap();
            assert_eq!((tls.radius_1_1, tls.server_name.as_deref()), (radius_1_1, Some("b")));
        }
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let settings = check("servers = ['unix:/s']").unwrap();
        assert_eq!((settings.timeout, settings.tries), (Duration::from_secs(3), 3));
        assert_eq!(settings.dead_time, Duration::from_secs(30));
        assert!(settings.require_message_authenticator);
        assert_eq!((settings.accounting_port, settings.tls), (None, None));
        let settings = check("servers = ['unix:/s']\naccounting-port = 1813").unwrap();
        assert_eq!(settings.accounting_port, Some(1813));
        assert!(check("servers = ['unix:/s']\naccounting-port = 0").is_err());
    }
}
