//! Who sent a packet, and how.

use std::{fmt, net::SocketAddr, path::Path, sync::Arc};

use super::rules::{Client, Rules};
use crate::config::reply::Listener;

/// The other end of a socket or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A UDP socket.
    Udp(SocketAddr),
    /// A TCP connection (RFC 6613).
    Tcp(SocketAddr),
    /// A TLS connection whose certificate was examined (RFC 6614).
    Tls {
        /// Where it comes from.
        address: SocketAddr,
        /// The names in the certificate, in lower case.
        names: Arc<[String]>,
        /// What is spoken on it.
        version: Version,
    },
    /// A connection to a UNIX socket of a user who may connect.
    Unix {
        /// The socket's path.
        path: Arc<Path>,
        /// The user's number.
        user: u32,
        /// The process.
        process: Option<i32>,
    },
}

/// What is spoken over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// RFC 6614: MD5 as over UDP, with a secret that everybody knows.
    Historic,
    /// RFC 9765: TLS alone protects.
    V1_1,
}

impl Peer {
    /// By which listener it came.
    pub(super) fn listener(&self) -> Listener {
        match self {
            Self::Udp(_) => Listener::Udp,
            Self::Tcp(_) => Listener::Tcp,
            Self::Tls { .. } => Listener::Tls,
            Self::Unix { .. } => Listener::Unix,
        }
    }

    /// The client that the rules have it for.
    pub(super) fn client<'a>(&self, rules: &'a Rules) -> Option<&'a Arc<Client>> {
        match self {
            Self::Udp(address) | Self::Tcp(address) => rules.by_address(address.ip()),
            Self::Tls { names, .. } => rules.by_names(names),
            Self::Unix { path, .. } => rules.by_socket(path),
        }
    }

    /// The socket of a client that may send the same packet again.
    pub(super) fn datagram_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(address) => Some(*address),
            Self::Tcp(_) | Self::Tls { .. } | Self::Unix { .. } => None,
        }
    }

    /// Whether TLS protects the packets, and MD5 is gone.
    pub(super) fn is_trusted_transport(&self) -> bool {
        matches!(self, Self::Tls { version: Version::V1_1, .. })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "{address} udp"),
            Self::Tcp(address) => write!(f, "{address} tcp"),
            Self::Tls { address, version: Version::Historic, .. } => write!(f, "{address} tls"),
            Self::Tls { address, version: Version::V1_1, .. } => {
                write!(f, "{address} tls radius/1.1")
            }
            Self::Unix { user, process: Some(process), .. } => {
                write!(f, "unix uid {user} pid {process}")
            }
            Self::Unix { user, process: None, .. } => write!(f, "unix uid {user}"),
        }
    }
}
