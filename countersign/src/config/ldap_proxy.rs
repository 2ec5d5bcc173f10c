//! The listener that is an LDAP proxy: `[ldap-proxy]`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::pki::profile::Span;
use serde::Deserialize;

use super::{
    Wrong,
    back_sock::WithoutToken,
    directory::ServerSettings,
    duration,
    file::yes,
    socket::{SocketFile, SocketSettings, check_socket},
    wrong,
};

/// `[ldap-proxy]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LdapProxyFile {
    /// TCP addresses for LDAP.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// A UNIX socket (ldapi).
    pub socket: Option<PathBuf>,
    /// Its mode, in octal digits.
    pub socket_mode: Option<String>,
    /// Its group.
    pub socket_group: Option<String>,
    /// The users who may connect; everybody whom the mode lets if empty.
    #[serde(default)]
    pub socket_users: Vec<String>,
    /// `[ldap-proxy.tls]`
    pub tls: Option<LdapTlsFile>,
    /// The directory server: `ldap://`, `ldaps://` or `ldapi://`.
    pub upstream: String,
    /// Trust anchors for its certificate, PEM.
    pub upstream_trust: Option<PathBuf>,
    /// Whether StartTLS is asked of it.
    #[serde(default)]
    pub upstream_start_tls: bool,
    /// What becomes of SASL binds.
    #[serde(default)]
    pub sasl: Sasl,
    /// What becomes of accounts without a token.
    #[serde(default)]
    pub without_token: WithoutToken,
    /// Whether passwords are refused where others can read them.
    #[serde(default = "yes")]
    pub require_tls: bool,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// How many clients may be connected.
    pub max_connections: Option<usize>,
    /// How long a client may be silent.
    pub idle_limit: Option<Span>,
    /// How long the directory server may take for a bind.
    pub time_limit: Option<Span>,
}

/// `[ldap-proxy.tls]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LdapTlsFile {
    /// TCP addresses for LDAPS.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// The certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS#8 PEM.
    pub key: PathBuf,
    /// Whether StartTLS is offered on the addresses for LDAP.
    #[serde(default = "yes")]
    pub start_tls: bool,
}

/// What becomes of SASL binds, which have no OTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sasl {
    /// They are refused.
    #[default]
    Refuse,
    /// The directory decides about them.
    Pass,
}

/// The LDAP proxy.
#[derive(Debug)]
pub struct LdapProxySettings {
    /// TCP addresses for LDAP.
    pub listen: Vec<SocketAddr>,
    /// A UNIX socket.
    pub socket: Option<SocketSettings>,
    /// TLS for clients.
    pub tls: Option<LdapTlsFile>,
    /// The directory server.
    pub upstream: ServerSettings,
    /// Whether StartTLS is asked of it.
    pub upstream_start_tls: bool,
    /// What becomes of SASL binds.
    pub sasl: Sasl,
    /// What becomes of accounts without a token.
    pub without_token: WithoutToken,
    /// Whether passwords are refused where others can read them.
    pub require_tls: bool,
    /// The attribute of the RDN whose value is the login name, if no account has the DN.
    pub login_attribute: Option<String>,
    /// How many clients may be connected.
    pub max_connections: usize,
    /// How long a client may be silent.
    pub idle_limit: Duration,
}

pub(super) fn check_ldap_proxy(
    file: LdapProxyFile,
    base: &Path,
) -> Result<LdapProxySettings, Wrong> {
    let key = "ldap-proxy";
    let is_anywhere = !file.listen.is_empty()
        || file.socket.is_some()
        || file.tls.as_ref().is_some_and(|tls| !tls.listen.is_empty());
    if !is_anywhere {
        return wrong(key, "it listens nowhere; give listen, tls.listen or socket");
    }
    let socket_file = SocketFile {
        mode: file.socket_mode.as_deref(),
        group: file.socket_group.as_deref(),
        users: &file.socket_users,
    };
    let socket = file.socket.map(|path| check_socket(key, &socket_file, base.join(path)));
    let tls = file.tls.map(|tls| LdapTlsFile {
        certificate: base.join(tls.certificate),
        key: base.join(tls.key),
        ..tls
    });
    Ok(LdapProxySettings {
        listen: file.listen,
        socket: socket.transpose()?,
        tls,
        upstream: ServerSettings {
            url: file.upstream,
            trust: file.upstream_trust.map(|path| base.join(path)),
            identity: None,
            bind: None,
            authorization_id: None,
            time_limit: file.time_limit.map_or(TIME_LIMIT, duration),
        },
        upstream_start_tls: file.upstream_start_tls,
        sasl: file.sasl,
        without_token: file.without_token,
        require_tls: file.require_tls,
        login_attribute: file.login_attribute,
        max_connections: file.max_connections.unwrap_or(MAX_CONNECTIONS),
        idle_limit: file.idle_limit.map_or(IDLE_LIMIT, duration),
    })
}

const MAX_CONNECTIONS: usize = 4096;
const IDLE_LIMIT: Duration = Duration::from_secs(900);
const TIME_LIMIT: Duration = Duration::from_secs(10);
