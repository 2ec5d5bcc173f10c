//! Upstreams under examination; [`super::clients`] are the others.

use super::{Findings, clients::examine_clients};
use crate::{
    client::radius::check_tls,
    config::{
        Config,
        upstream::{ServerAddress, ServerSettings, UpstreamSettings, UpstreamTls},
    },
};

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    if let Some(radius) = &config.radius {
        examine_clients(&radius.rules, findings);
    }
    for upstream in &config.upstreams {
        examine_upstream(upstream, findings);
    }
}

fn examine_upstream(upstream: &UpstreamSettings, findings: &mut Findings) {
    let object = format!("upstream.{}", upstream.name);
    let servers: Vec<String> =
        upstream.servers.iter().map(|server| server.address.to_string()).collect();
    findings.good(
        &object,
        format!(
            "{} in this order, each asked {} times {} s apart, or once for as long on a stream; \
             the next one only after silence",
            servers.join(", "),
            upstream.tries,
            upstream.timeout.as_secs()
        ),
    );
    for server in &upstream.servers {
        examine_server(&object, server, findings);
    }
    if let Some(tls) = &upstream.tls {
        examine_upstream_tls(&format!("{object}.tls"), tls, findings);
    }
    // Over TLS and on a socket of this machine it is not needed.
    let needs_it = |server: &ServerSettings| match server.address {
        ServerAddress::Udp(_) | ServerAddress::Tcp(_) => true,
        ServerAddress::Tls(_) | ServerAddress::Unix(_) => false,
    };
    if !upstream.require_message_authenticator && upstream.servers.iter().any(needs_it) {
        findings.warning(
            &object,
            "replies without Message-Authenticator are taken, which lets an attacker in between forge \
             them (CVE-2024-3596)",
            "update the server and remove require-message-authenticator = false",
        );
    }
}

fn examine_server(object: &str, server: &ServerSettings, findings: &mut Findings) {
    match &server.address {
        ServerAddress::Udp(_) => {
            examine_secret(object, server.secret.expose().len(), findings);
        }
        ServerAddress::Tcp(_) => {
            examine_secret(object, server.secret.expose().len(), findings);
            findings.warning(
                object,
                format!("{}: nothing protects it but MD5 (RFC 6613 §1)", server.address),
                "use tls://, or a tunnel between the two",
            );
        }
        ServerAddress::Tls(_) => {}
        ServerAddress::Unix(path) if !path.exists() => findings.warning(
            object,
            format!("{}: there is no such socket now", server.address),
            "start its server, or correct the path",
        ),
        ServerAddress::Unix(_) => {}
    }
}

fn examine_upstream_tls(object: &str, tls: &UpstreamTls, findings: &mut Findings) {
    match check_tls(tls) {
        Ok(()) => findings.good(object, "anchors, certificate and key can be used"),
        Err(error) => findings.error(
            object,
            error.to_string(),
            "correct trust, certificate, key or server-name; the daemon does not start with them",
        ),
    }
}

pub(super) fn examine_secret(object: &str, length: usize, findings: &mut Findings) {
    if length < SHORT_SECRET {
        findings.warning(
            object,
            format!("its shared secret has {length} octets; whoever records traffic can guess it"),
            "use at least 16 random characters (RFC 2865 §3)",
        );
    }
}

/// RFC 2865 §3: a secret should be at least as large as 16 octets.
const SHORT_SECRET: usize = 16;

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use super::*;
    use crate::{
        app::examine::{Finding, Grade},
        config::upstream::{HostPort, Radius11, UserNameFormat},
    };

    fn upstream(addresses: Vec<ServerAddress>) -> UpstreamSettings {
        let secret = Secret::new(b"sixteen octets!!".to_vec());
        let server = |address| ServerSettings { address, secret: secret.clone() };
        UpstreamSettings {
            name: "otp".into(),
            servers: addresses.into_iter().map(server).collect(),
            timeout: std::time::Duration::from_secs(3),
            tries: 3,
            dead_time: std::time::Duration::from_secs(30),
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign".into(),
            require_message_authenticator: true,
            accounting_port: None,
            tls: None,
            probe: None,
        }
    }

    fn complaints(upstream: &UpstreamSettings) -> Vec<Finding> {
        let mut findings = Findings::default();
        examine_upstream(upstream, &mut findings);
        findings.0.into_iter().filter(|finding| finding.grade != Grade::Good).collect()
    }

    fn udp() -> ServerAddress {
        std::net::SocketAddr::from(([192, 0, 2, 1], 1812)).into()
    }

    fn host() -> HostPort {
        HostPort { host: "radius.example.com".into(), port: 2083 }
    }

    #[test]
    fn an_upstream_is_complained_of_for_what_does_not_protect_it() {
        assert!(complaints(&upstream(vec![udp(), ServerAddress::Tls(host())])).is_empty());
        let found = complaints(&upstream(vec![udp(), ServerAddress::Tcp(host())]));
        let [tcp] = &found[..] else { panic!("{found:?}") };
        assert!(tcp.finding.starts_with("tcp://radius.example.com:2083: "), "{tcp:?}");
        let lax = |addresses| UpstreamSettings {
            require_message_authenticator: false,
            ..upstream(addresses)
        };
        assert_eq!(complaints(&lax(vec![udp()])).len(), 1);
        assert!(complaints(&lax(vec![ServerAddress::Tls(host())])).is_empty());
    }

    #[test]
    fn files_and_sockets_that_are_missing_are_named() {
        let missing = std::path::Path::new("/nonexistent/ca.pem");
        let tls = UpstreamTls {
            trust: missing.into(),
            certificate: missing.into(),
            key: missing.into(),
            server_name: None,
            radius_1_1: Radius11::Allow,
        };
        let upstream = UpstreamSettings {
            tls: Some(tls),
            ..upstream(vec![
                ServerAddress::Unix("/nonexistent/s".into()),
                ServerAddress::Tls(host()),
            ])
        };
        let found = complaints(&upstream);
        let [socket, files] = &found[..] else { panic!("{found:?}") };
        assert!(socket.finding.contains("unix:/nonexistent/s"), "{socket:?}");
        assert_eq!((files.grade, &*files.object), (Grade::Error, "upstream.otp.tls"));
        assert!(files.finding.contains("/nonexistent/ca.pem"), "{files:?}");
    }
}
