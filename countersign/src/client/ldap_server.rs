//! Connections to directory servers that others speak over: TCP, TLS, StartTLS, a UNIX socket.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_core::wire::ldap::{
    extended::{START_TLS, request},
    message::{Head, Message, MessageId},
    result::LdapResult,
};
use rustls::{ALL_VERSIONS, RootCertStore, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::tls::{ClientError, client_config, explain, roots_of};
use crate::{
    certificate::{self, FileError},
    config::{ldap_proxy::LdapServerSettings, server_url::ServerUrl},
    log::Seldom,
};

/// A connection, however it is protected.
pub trait Octets: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Octets for T {}

/// Directory servers with the same content.
pub struct LdapServer {
    addresses: Vec<ServerUrl>,
    connector: TlsConnector,
    start_tls: bool,
    time_limit: Duration,
    told: Seldom,
}

/// Operator: the settings of a directory server that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LdapServerError {
    /// The file with the trust anchors.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error(transparent)]
    Tls(#[from] ClientError),
    /// A host that no certificate can be for.
    #[error("{0:?} is neither a host name nor an address")]
    Name(String),
}

/// No directory server can be reached.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {cause}")]
pub struct Unreachable {
    /// The last one that was tried.
    pub server: String,
    /// What is wrong.
    pub cause: io::Error,
}

impl LdapServer {
    /// Reads the trust anchors.
    ///
    /// # Errors
    ///
    /// They cannot be used.
    pub fn new(settings: &LdapServerSettings) -> Result<Self, LdapServerError> {
        let roots = roots(settings.trust.as_ref())?;
        for address in &settings.addresses {
            if let ServerUrl::Plain { host, .. } | ServerUrl::Tls { host, .. } = address {
                ServerName::try_from(host.as_str())
                    .map_err(|_| LdapServerError::Name(host.clone()))?;
            }
        }
        Ok(Self {
            addresses: settings.addresses.clone(),
            connector: TlsConnector::from(Arc::new(client_config(roots, None, ALL_VERSIONS)?)),
            start_tls: settings.start_tls,
            time_limit: settings.time_limit,
            told: Seldom::default(),
        })
    }

    /// A new connection to the first server that can be reached.
    ///
    /// # Errors
    ///
    /// None can.
    pub async fn open(&self) -> Result<Box<dyn Octets>, Unreachable> {
        let mut last = None;
        for address in &self.addresses {
            let cause = match timeout(self.time_limit, self.dial(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(cause)) => cause,
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
            };
            let server = address.to_string();
            if self.told.is_due(Instant::now()) {
                tracing::warn!(server, %cause, "a directory server cannot be reached");
            } else {
                tracing::debug!(server, %cause, "a directory server cannot be reached");
            }
            last = Some(Unreachable { server, cause });
        }
        Err(last.expect("the config has an address"))
    }

    async fn dial(&self, address: &ServerUrl) -> io::Result<Box<dyn Octets>> {
        match address {
            ServerUrl::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            ServerUrl::Tls { host, port } => {
                self.handshake(host, connect(host, *port).await?).await
            }
            ServerUrl::Plain { host, port } if self.start_tls => {
                let mut stream = connect(host, *port).await?;
                start_tls(&mut stream).await?;
                self.handshake(host, stream).await
            }
            ServerUrl::Plain { host, port } => Ok(Box::new(connect(host, *port).await?)),
        }
    }

    async fn handshake(&self, host: &str, stream: TcpStream) -> io::Result<Box<dyn Octets>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = self.connector.connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| io::Error::other(explain(&error)))?))
    }
}

fn roots(trust: Option<&PathBuf>) -> Result<RootCertStore, LdapServerError> {
    let Some(trust) = trust else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    Ok(roots_of(&certificate::load(trust)?)?)
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// Asks for TLS. Octets that came behind the answer, before TLS, would be somebody else's.
async fn start_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&request(MessageId::MAX, START_TLS)).await?;
    let mut octets = Vec::new();
    let head = loop {
        match Head::read(&octets).map_err(io::Error::other)? {
            Some(head) if octets.len() >= head.length => break head,
            Some(_) | None if octets.len() >= MAX_ANSWER => {
                return Err(io::Error::other("the answer to StartTLS is too long"));
            }
            Some(_) | None => {
                if stream.read_buf(&mut octets).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    };
    let message = Message::read(&octets).map_err(io::Error::other)?;
    let result = LdapResult::read(&message).map_err(io::Error::other)?;
    if head.id == MessageId::MAX && result.is_success() {
        return Ok(());
    }
    let code = result.code.0;
    Err(io::Error::other(format!("StartTLS is refused with result code {code}")))
}

const KEEPALIVE: Duration = Duration::from_secs(60);
/// Octets of an answer to StartTLS.
const MAX_ANSWER: usize = 4096;
