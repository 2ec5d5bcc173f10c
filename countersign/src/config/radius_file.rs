//! The RADIUS listener, as written: `[radius]` with its clients and realms.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    pki::profile::Span, secret::Secret, wire::radius::dictionary::definition::Dictionary,
};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::{
    Wrong,
    dictionary::load_dictionary,
    duration,
    file::TlsFile,
    radius::{ClientSettings, RadSecSettings, RadiusRules, RadiusSettings, RealmSettings, Source},
    reply::{ReplyFile, check_replies},
    resolve_tls,
    secret::{octets, secret, shared_secret},
    socket::{SocketFile, check_socket},
    upstream::{ProbeFile, ProbeUser, Radius11},
    wrong,
};

/// `[radius]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadiusFile {
    /// UDP addresses.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// TCP addresses.
    #[serde(default)]
    pub listen_tcp: Vec<SocketAddr>,
    /// `[radius.tls]`
    pub tls: Option<RadSecFile>,
    /// What becomes of Accounting-Requests.
    #[serde(default)]
    pub accounting: Accounting,
    /// Files that name more attributes, in the format of FreeRADIUS.
    #[serde(default)]
    pub dictionary: Vec<PathBuf>,
    /// What every Access-Accept to any client carries.
    #[serde(default)]
    pub reply: Vec<ReplyFile>,
    /// `[radius.client.NAME]`
    #[serde(default)]
    pub client: BTreeMap<String, ClientFile>,
    /// `[radius.realm.NAME]`
    #[serde(default)]
    pub realm: BTreeMap<String, RealmFile>,
}

/// `[radius.tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadSecFile {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// The certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS#8 PEM.
    pub key: PathBuf,
    /// Trust anchors for client certificates, PEM.
    pub client_trust: PathBuf,
    /// Revocation lists for client certificates, PEM or DER.
    #[serde(default)]
    pub client_revocation: Vec<PathBuf>,
    /// Whether RADIUS/1.1 is spoken.
    #[serde(default, rename = "radius-1-1")]
    pub radius_1_1: Radius11,
}

/// What becomes of Accounting-Requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounting {
    /// They are recorded in the audit log and answered.
    Answer,
    /// They get silence, or where the transport allows it a refusal (RFC 6614 §2.5).
    #[default]
    Refuse,
}

/// `[radius.client.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientFile {
    /// An address or a prefix.
    #[serde(default, deserialize_with = "network")]
    pub address: Option<IpNet>,
    /// Or a name in its certificate.
    pub tls_name: Option<String>,
    /// Or the path of a UNIX stream socket.
    pub socket: Option<PathBuf>,
    /// The mode of the socket, octal.
    pub socket_mode: Option<String>,
    /// The group of the socket.
    pub socket_group: Option<String>,
    /// Who may connect to it.
    #[serde(default)]
    pub socket_users: Vec<String>,
    /// The shared secret.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret<String>>,
    /// Or a file whose first line is the shared secret.
    pub secret_file: Option<PathBuf>,
    /// A KDC of MIT Kerberos.
    #[serde(default)]
    pub kdc: bool,
    /// Drop requests without Message-Authenticator; not for a KDC unless it is said so.
    pub require_message_authenticator: Option<bool>,
    /// Say Reject where it would be Challenge.
    #[serde(default)]
    pub never_challenge: bool,
    /// The user that it probes with.
    pub probe: Option<ProbeFile>,
    /// How often it may ask.
    pub max_requests_per_second: Option<NonZeroU32>,
    /// The realm of names without one.
    pub default_realm: Option<String>,
    /// Take the realm off its names, whatever it is.
    #[serde(default)]
    pub strip_realm: bool,
    /// The strengths that a token must have.
    #[serde(default)]
    pub require_indicators: Vec<String>,
    /// How long a retry through another socket or node gets the same answer.
    pub retry_grace: Option<Span>,
    /// When it is told Reject at the latest.
    pub deadline: Option<Span>,
    /// The upstream that all its requests are sent on to.
    pub upstream: Option<String>,
    /// What every Access-Accept carries.
    #[serde(default)]
    pub reply: Vec<ReplyFile>,
}

/// `[radius.realm.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RealmFile {
    /// The upstream that requests are sent on to.
    pub upstream: Option<String>,
    /// Take the realm off the name.
    #[serde(default)]
    pub strip_realm: bool,
}

pub(super) fn check_radius(file: RadiusFile, base: &Path) -> Result<RadiusSettings, Wrong> {
    let dictionary = load_dictionary(&file.dictionary, base)?;
    let clients = file.client.into_iter();
    let clients = clients.map(|(name, client)| check_client(name, client, base, &dictionary));
    let realms = file.realm.into_iter().map(|(name, realm)| RealmSettings {
        name,
        upstream: realm.upstream,
        strip: realm.strip_realm,
    });
    let clients = clients.collect::<Result<Vec<_>, _>>()?;
    let settings = RadiusSettings {
        listen: file.listen,
        listen_tcp: file.listen_tcp,
        tls: file.tls.map(|tls| check_tls(tls, base)),
        sockets: clients.iter().filter_map(ClientSettings::socket).cloned().collect(),
        rules: RadiusRules {
            clients,
            realms: realms.collect(),
            accounting: file.accounting == Accounting::Answer,
            reply: check_replies("radius", file.reply, &dictionary)?,
        },
    };
    check_ways_in(&settings)?;
    check_realms(&settings.rules.realms)?;
    Ok(settings)
}

/// Every client has a way in, and there is a way in at all.
fn check_ways_in(settings: &RadiusSettings) -> Result<(), Wrong> {
    let RadiusSettings { listen, listen_tcp, tls, sockets, rules } = settings;
    let is_there = !listen.is_empty() || !listen_tcp.is_empty() || !sockets.is_empty();
    if !is_there && tls.is_none() {
        return wrong("radius.listen", "it names no address, for instance \"0.0.0.0:1812\"");
    }
    for client in &rules.clients {
        if matches!(client.source, Source::Certificate(_)) && tls.is_none() {
            let cause = "there is no [radius.tls], so nobody can come over TLS";
            return wrong(format!("radius.client.{}.tls-name", client.name), cause);
        }
        if client.network().is_some() && listen.is_empty() && listen_tcp.is_empty() {
            let cause = "there is neither radius.listen nor radius.listen-tcp, so nobody can come \
                         from an address; over TLS give the client a tls-name";
            return wrong(format!("radius.client.{}.address", client.name), cause);
        }
    }
    Ok(())
}

/// No two realms are the same.
fn check_realms(realms: &[RealmSettings]) -> Result<(), Wrong> {
    for (index, realm) in realms.iter().enumerate() {
        let twin = realms[..index].iter().find(|one| one.name.eq_ignore_ascii_case(&realm.name));
        if let Some(twin) = twin {
            let cause = format!(
                "it is the same as radius.realm.{:?}, as case does not matter; remove one of them",
                twin.name
            );
            return wrong(format!("radius.realm.{:?}", realm.name), cause);
        }
    }
    Ok(())
}

fn check_tls(file: RadSecFile, base: &Path) -> RadSecSettings {
    let RadSecFile { listen, certificate, key, client_trust, client_revocation, radius_1_1 } = file;
    let tls = TlsFile { certificate, key, client_trust, client_revocation };
    RadSecSettings { listen, tls: resolve_tls(tls, base), radius_1_1 }
}

fn check_client(
    name: String,
    file: ClientFile,
    base: &Path,
    dictionary: &Dictionary,
) -> Result<ClientSettings, Wrong> {
    let key = format!("radius.client.{name}");
    let source = check_source(&key, &file, base)?;
    let secret = check_secret(&key, &source, file.secret, file.secret_file, base)?;
    if file.kdc && !file.reply.is_empty() {
        let cause = "a KDC drops replies with attributes that it does not know; remove them";
        return wrong(format!("{key}.reply"), cause);
    }
    if file.upstream.is_some() && !file.require_indicators.is_empty() {
        let cause = "requests that are sent on are decided by others, who know no indicators; \
                     remove upstream or require-indicators";
        return wrong(format!("{key}.upstream"), cause);
    }
    let grace = file.retry_grace.map_or(0, Span::as_seconds);
    let Some(retry_grace) = u32::try_from(grace).ok().filter(|seconds| *seconds <= MAX_GRACE)
    else {
        return wrong(format!("{key}.retry-grace"), format!("it is longer than {MAX_GRACE} s"));
    };
    let deadline = file.deadline.map(duration).or(file.kdc.then_some(KDC_DEADLINE));
    let probe =
        |probe: ProbeFile| ProbeUser { name: probe.user, password: octets(&probe.password) };
    Ok(ClientSettings {
        is_kdc: file.kdc,
        require_message_authenticator: file.require_message_authenticator.unwrap_or(!file.kdc),
        never_challenge: file.never_challenge || file.kdc,
        probe: file.probe.map(probe),
        max_requests_per_second: file.max_requests_per_second,
        default_realm: file.default_realm,
        strip_realm: file.strip_realm,
        indicators: file.require_indicators.into(),
        retry_grace,
        deadline,
        upstream: file.upstream,
        reply: check_replies(&key, file.reply, dictionary)?,
        ..ClientSettings::new(name, source, secret)
    })
}

fn socket_file(file: &ClientFile) -> SocketFile<'_> {
    SocketFile {
        mode: file.socket_mode.as_deref(),
        group: file.socket_group.as_deref(),
        users: &file.socket_users,
    }
}

fn check_source(key: &str, file: &ClientFile, base: &Path) -> Result<Source, Wrong> {
    let socket_keys =
        file.socket_mode.is_some() || file.socket_group.is_some() || !file.socket_users.is_empty();
    if socket_keys && file.socket.is_none() {
        return wrong(key, "socket-mode, socket-group and socket-users go with socket");
    }
    match (file.address, &file.tls_name, &file.socket) {
        (Some(network), None, None) => Ok(Source::Network(network)),
        (None, Some(name), None) => Ok(Source::Certificate(name.to_lowercase())),
        (None, None, Some(path)) => {
            check_socket(key, &socket_file(file), base.join(path)).map(Source::Socket)
        }
        _ => wrong(key, "give exactly one of address, tls-name and socket"),
    }
}

/// Over TLS it is fixed (RFC 6614 §2.3), on a UNIX socket the path protects.
fn check_secret(
    key: &str,
    source: &Source,
    secret: Option<Secret<String>>,
    file: Option<PathBuf>,
    base: &Path,
) -> Result<Secret<Vec<u8>>, Wrong> {
    match (source, secret.is_none() && file.is_none()) {
        (Source::Certificate(_), true) => Ok(Secret::new(RADSEC_SECRET.to_vec())),
        (Source::Certificate(_), false) => {
            wrong(key, "over TLS the shared secret is fixed; remove secret and secret-file")
        }
        (Source::Socket(_), true) => Ok(Secret::new(Vec::new())),
        (Source::Network(_), _) | (Source::Socket(_), false) => {
            shared_secret(key, secret, file, base)
        }
    }
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
    single.or_else(|_| text.parse()).map(Some).map_err(|_| {
        serde::de::Error::custom(format_args!(
            "{text:?} is neither an IP address nor a prefix such as 10.1.0.0/16"
        ))
    })
}

/// The shared secret of RADIUS over TLS (RFC 6614 §2.3).
pub const RADSEC_SECRET: &[u8] = b"radsec";
/// A KDC waits 5 seconds.
const KDC_DEADLINE: Duration = Duration::from_secs(4);
/// Seconds.
const MAX_GRACE: u32 = 10;
