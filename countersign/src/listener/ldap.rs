//! The listener that is an LDAP proxy: LDAP, LDAPS, StartTLS and a UNIX socket in front of a
//! directory server of any make (RFC 4511).
//!
//! Simple binds are looked at: the one-time password in them is checked here, and the password
//! alone goes on. All else passes through as octets. A client has a connection of its own to
//! the directory server, for what it is bound as belongs to the connection; it is opened when
//! there is something to pass on.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::accept::Front;
pub use self::peer::Peer;
use super::{inherited::Inherited, radius::socket, unix};
use crate::{
    app::ldap_proxy::LdapProxy,
    clock::Clock,
    config::{
        ldap_proxy::{LdapProxyRules, LdapProxySettings},
        socket::SocketSettings,
    },
};

mod accept;
mod bind;
mod connection;
mod dialogue;
mod ended;
mod inlet;
mod outlet;
mod peer;
mod requests;
mod responses;

/// Sockets that are bound and not served yet.
pub struct LdapListener {
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    unix: Option<(UnixListener, SocketSettings)>,
    max_connections: usize,
    max_connections_per_address: usize,
}

/// What connections work with.
pub struct Service {
    /// Decides about binds, and knows the directory server.
    pub proxy: LdapProxy,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What else counts.
    pub rules: LdapProxyRules,
    /// TLS with clients, if there is any.
    pub tls: Option<TlsService>,
}

/// TLS with clients.
pub struct TlsService {
    /// Certificate and key.
    pub config: Arc<ServerConfig>,
    /// Whether a connection may begin in clear and go over to TLS.
    pub start_tls: bool,
}

/// Where it listens, with the ports that were free if the config said port 0.
#[derive(Debug, Clone, Default)]
pub struct LdapAddresses {
    /// LDAP.
    pub tcp: Vec<SocketAddr>,
    /// LDAPS.
    pub tls: Vec<SocketAddr>,
    /// LDAP on a UNIX socket.
    pub unix: Option<Box<Path>>,
}

/// Operator: an address or path cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the LDAP proxy cannot listen on {object}: {cause}")]
pub struct BindError {
    /// Which.
    pub object: String,
    /// What the system says.
    pub cause: io::Error,
}

impl LdapListener {
    /// Takes the addresses and paths. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// One of them cannot be had.
    pub fn bind(
        settings: &LdapProxySettings,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let refused = |object: String| move |cause| BindError { object, cause };
        let mut bind_all = |addresses: &[SocketAddr]| {
            let bound = addresses.iter().map(|address| {
                socket::tcp(*address, inherited).map_err(refused(format!("TCP {address}")))
            });
            bound.collect::<Result<Vec<_>, _>>()
        };
        let tcp = bind_all(&settings.listen)?;
        let tls = bind_all(settings.tls.as_ref().map_or(&[], |tls| &tls.listen))?;
        let unix = settings.socket.as_ref().map(|socket| {
            let bound = unix::listen(socket, inherited)
                .and_then(|bound| UnixListener::from_std(bound.into()));
            let bound = bound.map_err(refused(socket.path.display().to_string()))?;
            Ok((bound, socket.clone()))
        });
        Ok(Self {
            tcp,
            tls,
            unix: unix.transpose()?,
            max_connections: settings.max_connections,
            max_connections_per_address: settings.max_connections_per_address,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> LdapAddresses {
        let of = |sockets: &[TcpListener]| {
            sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
        };
        LdapAddresses {
            tcp: of(&self.tcp),
            tls: of(&self.tls),
            unix: self.unix.as_ref().map(|(_, settings)| settings.path.clone().into()),
        }
    }

    /// Serves until `stop`, and until what is being decided then is decided.
    pub async fn serve(self, service: Arc<Service>, stop: CancellationToken) {
        let front =
            Front::new(service, self.max_connections, self.max_connections_per_address, stop);
        let mut loops = JoinSet::new();
        for socket in self.tcp {
            loops.spawn(front.clone().tcp(socket));
        }
        for socket in self.tls {
            loops.spawn(front.clone().tls(socket));
        }
        if let Some((socket, settings)) = self.unix {
            loops.spawn(front.clone().unix(socket, settings.users));
        }
        loops.join_all().await;
    }
}
