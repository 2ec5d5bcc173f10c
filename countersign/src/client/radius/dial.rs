//! Opens connections: TCP, TLS, a UNIX socket.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::Demand,
        transport::{ALPN_RADIUS_1_0, ALPN_RADIUS_1_1},
    },
};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, ProtocolVersion,
    client::Resumption,
    pki_types::{InvalidDnsNameError, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{connection::Connection, question::Dialect};
use crate::{
    certificate::{self, FileError},
    client::tls::{ClientError, Identity, client_config, explain, roots_of},
    config::upstream::{HostPort, Radius11, UpstreamTls},
};

/// Opens connections to one server.
pub(super) enum Dialer {
    Tcp { address: HostPort, dialect: Dialect },
    Tls { address: HostPort, secret: Secret<Vec<u8>>, tls: Arc<Tls> },
    Unix { path: PathBuf, dialect: Dialect },
}

/// How TLS is spoken with the servers of an upstream.
pub(super) struct Tls {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
    radius_1_1: Radius11,
}

/// Operator: TLS settings of an upstream that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    /// A certificate file.
    #[error(transparent)]
    Certificate(#[from] FileError),
    /// The key file.
    #[error("private key {}: {cause}; it has to be PKCS#8 in PEM form", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: rustls::pki_types::pem::Error,
    },
    /// Anchors, or certificate and key together.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// `server-name`.
    #[error("server-name {0:?} is neither a name nor an address")]
    ServerName(String, #[source] InvalidDnsNameError),
}

impl Dialer {
    /// Connects, and agrees on how packets are protected.
    pub(super) async fn dial(&self) -> io::Result<Arc<Connection>> {
        Ok(match self {
            Self::Tcp { address, dialect } => {
                Connection::start(connect(address).await?, dialect.clone())
            }
            Self::Unix { path, dialect } => {
                Connection::start(UnixStream::connect(path).await?, dialect.clone())
            }
            Self::Tls { address, secret, tls } => {
                let name = tls.name_of(address)?;
                let stream = tls.connector.connect(name, connect(address).await?).await;
                let stream = stream.map_err(|error| io::Error::other(explain(&error)))?;
                let dialect = tls.agreed(stream.get_ref().1, secret)?;
                Connection::start(stream, dialect)
            }
        })
    }
}

impl Tls {
    /// Reads certificates and keys.
    pub(super) fn load(settings: &UpstreamTls) -> Result<Self, UpstreamTlsError> {
        let anchors = certificate::load(&settings.trust)?;
        let chain = certificate::load(&settings.certificate)?;
        let key = PrivatePkcs8KeyDer::from_pem_file(&settings.key)
            .map_err(|cause| UpstreamTlsError::Key { file: settings.key.clone(), cause })?;
        let key = Secret::new(key.secret_pkcs8_der().to_vec());
        let (versions, protocols) = match settings.radius_1_1 {
            Radius11::Allow => (ALL_VERSIONS, vec![ALPN_RADIUS_1_1, ALPN_RADIUS_1_0]),
            Radius11::Require => (&[&TLS13][..], vec![ALPN_RADIUS_1_1]),
            Radius11::Forbid => (ALL_VERSIONS, vec![ALPN_RADIUS_1_0]),
        };
        let mut config: ClientConfig =
            client_config(roots_of(&anchors)?, Some(&Identity { chain, key }), versions)?;
        config.alpn_protocols = protocols.into_iter().map(<[u8]>::to_vec).collect();
        // A session that is resumed would be bound to what it agreed on (RFC 9765 §3.5), and
        // connections that last gain nothing by it.
        config.resumption = Resumption::disabled();
        let name = |name: String| {
            ServerName::try_from(name.clone())
                .map_err(|cause| UpstreamTlsError::ServerName(name, cause))
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name: settings.server_name.clone().map(name).transpose()?,
            radius_1_1: settings.radius_1_1,
        })
    }

    /// The name that the certificate of a server has to carry.
    fn name_of(&self, address: &HostPort) -> io::Result<ServerName<'static>> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(address.host.clone()).map_err(io::Error::other),
        }
    }

    /// RADIUS/1.1 if both sides have said so (RFC 9765 §3.3), and only over TLS 1.3 (§3.4).
    fn agreed(
        &self,
        connection: &ClientConnection,
        secret: &Secret<Vec<u8>>,
    ) -> io::Result<Dialect> {
        let is_1_1 = connection.alpn_protocol() == Some(ALPN_RADIUS_1_1);
        let is_tls_1_3 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        match (is_1_1, self.radius_1_1) {
            (true, _) if is_tls_1_3 => Ok(Dialect::Transport),
            (true, _) => Err(io::Error::other("it wants RADIUS/1.1 without TLS 1.3")),
            (false, Radius11::Require) => Err(io::Error::other(
                "it does not speak RADIUS/1.1; radius-1-1 = \"allow\" lets it speak RADIUS/1.0",
            )),
            // TLS has seen to it who the server is and that nothing was changed.
            (false, Radius11::Allow | Radius11::Forbid) => {
                Ok(Dialect::Md5 { secret: secret.clone(), demand: Demand::WherePresent })
            }
        }
    }
}

async fn connect(address: &HostPort) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    // So that what lies between does not forget a connection that is not used.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

const KEEPALIVE: Duration = Duration::from_secs(60);
