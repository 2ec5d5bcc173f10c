//! One server of an upstream: how it gets logons, and how it gets reports.

use std::{net::SocketAddr, sync::Arc};

use countersign_core::wire::radius::authenticator::Demand;

use super::{
    Patience,
    dial::{Dialer, Tls},
    link::{Channel, Link},
    pool::Pool,
    question::Dialect,
};
use crate::config::upstream::{HostPort, ServerAddress, ServerSettings, UpstreamSettings};

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) settings: ServerSettings,
    pub(super) access: Arc<Link>,
    /// Apart, as a server may well answer the one and not the other.
    pub(super) accounting: Arc<Link>,
}

impl Server {
    pub(super) fn new(
        server: &ServerSettings,
        settings: &UpstreamSettings,
        tls: Option<&Arc<Tls>>,
    ) -> Self {
        let link = |channel| {
            let patience = Patience { timeout: settings.timeout, tries: settings.tries };
            let name = format!("{}: {}", settings.name, server.address);
            Arc::new(Link::new(channel, name, patience, settings.dead_time))
        };
        let (access, accounting) = channels(server, settings, tls);
        Self { settings: server.clone(), access: link(access), accounting: link(accounting) }
    }

    pub(super) fn access(&self) -> &Arc<Link> {
        &self.access
    }

    pub(super) fn accounting(&self) -> &Arc<Link> {
        &self.accounting
    }
}

/// How a server gets logons, and how it gets reports. Over UDP and TCP these are two ports;
/// TLS and UNIX sockets carry both (RFC 6614 §2.1).
fn channels(
    server: &ServerSettings,
    settings: &UpstreamSettings,
    tls: Option<&Arc<Tls>>,
) -> (Channel, Channel) {
    let secret = server.secret.clone();
    let accounting_port = |port: u16| settings.accounting_port.unwrap_or(port.saturating_add(1));
    let md5 = |demand| Dialect::Md5 { secret: secret.clone(), demand };
    let demand = match settings.require_message_authenticator {
        true => Demand::Required,
        false => Demand::WherePresent,
    };
    let dialer = match &server.address {
        ServerAddress::Udp(address) => {
            let datagrams = |port| Channel::Datagrams {
                server: SocketAddr::new(address.ip(), port),
                dialect: md5(demand),
            };
            let port = address.port();
            return (datagrams(port), datagrams(accounting_port(port)));
        }
        ServerAddress::Tcp(address) => {
            let stream = |port| {
                let address = HostPort { port, ..address.clone() };
                let dialer = Dialer::Tcp { address, dialect: md5(demand) };
                Channel::Stream(Arc::new(Pool::new(dialer)))
            };
            return (stream(address.port), stream(accounting_port(address.port)));
        }
        ServerAddress::Tls(address) => {
            let tls = tls.expect("the config has TLS settings where it has servers over TLS");
            Dialer::Tls { address: address.clone(), secret, tls: tls.clone() }
        }
        // Whoever can write to the socket is who answers.
        ServerAddress::Unix(path) => {
            Dialer::Unix { path: path.clone(), dialect: md5(Demand::WherePresent) }
        }
    };
    let pool = Arc::new(Pool::new(dialer));
    (Channel::Stream(pool.clone()), Channel::Stream(pool))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_core::secret::Secret;

    use super::*;
    use crate::config::upstream::UserNameFormat;

    fn server(address: ServerAddress, accounting_port: Option<u16>) -> Server {
        let server = ServerSettings { address, secret: Secret::new(b"secret".to_vec()) };
        let settings = UpstreamSettings {
            name: "otp".into(),
            servers: vec![server.clone()],
            timeout: Duration::from_secs(1),
            tries: 1,
            dead_time: Duration::from_secs(60),
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign".into(),
            require_message_authenticator: true,
            accounting_port,
            tls: None,
            probe: None,
        };
        Server::new(&server, &settings, None)
    }

    #[test]
    fn accounting_over_udp_has_a_port_of_its_own() {
        let ports = |port, accounting_port| {
            let address = SocketAddr::from(([127, 0, 0, 1], port)).into();
            let server = server(address, accounting_port);
            [server.access, server.accounting].map(|link| match &link.channel {
                Channel::Datagrams { server, .. } => server.port(),
                Channel::Stream(_) => panic!("these are datagrams"),
            })
        };
        assert_eq!(ports(1812, None), [1812, 1813]);
        assert_eq!(ports(1645, Some(1700)), [1645, 1700]);
    }

    #[test]
    fn a_socket_carries_both_and_tcp_does_not() {
        let pools = |address| {
            let server = server(address, None);
            [server.access, server.accounting].map(|link| match &link.channel {
                Channel::Stream(pool) => pool.clone(),
                Channel::Datagrams { .. } => panic!("this is a stream"),
            })
        };
        let [access, accounting] = pools(ServerAddress::Unix("/run/other.sock".into()));
        assert!(Arc::ptr_eq(&access, &accounting));
        let address = HostPort { host: "localhost".into(), port: 1812 };
        let [access, accounting] = pools(ServerAddress::Tcp(address));
        assert!(!Arc::ptr_eq(&access, &accounting));
    }
}
