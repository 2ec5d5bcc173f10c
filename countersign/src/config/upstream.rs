//! Upstreams: RADIUS servers that Countersign asks, as written and as checked.

use std::{
    net::{SocketAddr, ToSocketAddrs},
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
    /// The user by which we probe whether it is alive.
    pub probe: Option<ProbeSettings>,
}

/// One server of an upstream.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its address.
    pub address: SocketAddr,
    /// The secret shared with it.
    pub secret: Secret<Vec<u8>>,
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
    /// `host:port`, best first.
    pub servers: Vec<String>,
    /// The secret shared with all of them.
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
    /// The user that we probe with.
    pub probe: Option<ProbeFile>,
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
    if file.servers.is_empty() {
        return wrong(
            format!("{key}.servers"),
            "it names no server, for instance \"10.0.0.1:1812\"",
        );
    }
    let secret = shared_secret(&key, file.secret, file.secret_file, base)?;
    let mut servers = Vec::new();
    for server in file.servers {
        let found = server.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let Some(address) = found else {
            let cause = format!("{server:?} is not found; write host:port or address:port");
            return wrong(format!("{key}.servers"), cause);
        };
        servers.push(ServerSettings { address, secret: secret.clone() });
    }
    let probe = file.probe.map(|probe| ProbeSettings {
        user: ProbeUser { name: probe.user, password: octets(&probe.password) },
        interval: probe.interval.map_or(DEFAULT_PROBE_INTERVAL, duration),
    });
    Ok(UpstreamSettings {
        name,
        servers,
        timeout: file.timeout.map_or(DEFAULT_TIMEOUT, duration),
        tries: file.tries.unwrap_or(DEFAULT_TRIES).max(1),
        dead_time: file.dead_time.map_or(DEFAULT_DEAD_TIME, duration),
        user_name: file.user_name,
        nas_identifier: file.nas_identifier.unwrap_or_else(|| "countersign".into()),
        require_message_authenticator: file.require_message_authenticator,
        probe,
    })
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_TRIES: u32 = 3;
const DEFAULT_DEAD_TIME: Duration = Duration::from_secs(30);
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(300);
