//! Who is at the other end of a connection.

use std::{fmt, net::SocketAddr};

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// From where.
        address: SocketAddr,
        /// Whether TLS protects what passes.
        tls: bool,
    },
    /// Over a UNIX socket.
    Unix {
        /// The user at the other end.
        user: u32,
        /// Its process.
        process: Option<i32>,
    },
}

impl Peer {
    /// Whether nobody else can read what passes.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        matches!(self, Self::Unix { .. } | Self::Tcp { tls: true, .. })
    }

    /// Whether it came over TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    /// The host, or the user: what does not change from one connection to the next.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { address, .. } => address.ip().to_string(),
            Self::Unix { user, .. } => format!("user {user}"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, tls: false } => write!(f, "{address}"),
            Self::Tcp { address, tls: true } => write!(f, "{address} over TLS"),
            Self::Unix { user, process: Some(process) } => {
                write!(f, "process {process} of user {user}")
            }
            Self::Unix { user, process: None } => write!(f, "user {user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_it_is_and_whether_others_listen() {
        let address = "192.0.2.7:40000".parse().unwrap();
        let plain = Peer::Tcp { address, tls: false };
        let tls = Peer::Tcp { address, tls: true };
        let unix = Peer::Unix { user: 33, process: Some(7) };
        let told = [&plain, &tls, &unix].map(|peer| (peer.to_string(), peer.host()));
        assert_eq!(told[0], ("192.0.2.7:40000".into(), "192.0.2.7".into()));
        assert_eq!(told[1], ("192.0.2.7:40000 over TLS".into(), "192.0.2.7".into()));
        assert_eq!(told[2], ("process 7 of user 33".into(), "user 33".into()));
        assert_eq!([&plain, &tls, &unix].map(Peer::is_confidential), [false, true, true]);
        assert_eq!([&plain, &tls, &unix].map(Peer::is_tcp), [true, true, false]);
    }
}
