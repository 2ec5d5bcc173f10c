//! RADIUS clients and upstreams under examination.

use super::Findings;
use crate::{
    client::radius::check_tls,
    config::{
        Config,
        radius::{ClientSettings, RadiusSettings},
        upstream::{ServerAddress, ServerSettings, UpstreamSettings, UpstreamTls},
    },
};

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    if let Some(radius) = &config.radius {
        examine_clients(radius, findings);
    }
    for upstream in &config.upstreams {
        examine_upstream(upstream, findings);
    }
}

fn examine_clients(radius: &RadiusSettings, findings: &mut Findings) {
    if radius.clients.is_empty() {
        findings.warning(
            "radius",
            "there is no client, so every request is dropped",
            "add [radius.client.NAME] with address and secret",
        );
    }
    for (index, client) in radius.clients.iter().enumerate() {
        let object = format!("radius.client.{}", client.name);
        findings.good(&object, format!("may ask from {}", client.network));
        examine_secret(&object, client.secret.expose().len(), findings);
        if !client.require_message_authenticator {
            examine_unauthenticated(&object, client, findings);
        }
        if let Some(probe) = &client.probe {
            let finding = format!(
                "whoever knows the password of the probe user {:?} is let in by this client if it is a VPN or the like",
                probe.name
            );
            findings.warning(&object, finding, "use probe for DirectAccess only");
        }
        if let Some(twin) = twin(client, &radius.clients[..index]) {
            let finding =
                format!("radius.client.{twin} has the same network; one of them is never used");
            findings.error(&object, finding, "remove one of them");
        }
    }
}

fn examine_unauthenticated(object: &str, client: &ClientSettings, findings: &mut Findings) {
    if client.network.prefix_len() == client.network.max_prefix_len() {
        findings.warning(
            object,
            "requests without Message-Authenticator are taken, which lets an attacker in between \
             forge answers (CVE-2024-3596)",
            "update the client and remove require-message-authenticator = false",
        );
        return;
    }
    let finding = format!(
        "requests without Message-Authenticator are taken from every address of {}: nothing \
         proves who sent them, so anybody there can lock accounts by wrong passcodes, and an \
         attacker in between can forge answers (CVE-2024-3596)",
        client.network
    );
    let remedy = "update the clients and remove require-message-authenticator = false; until then \
                  name each of them by its own address";
    findings.warning(object, finding, remedy);
}

fn twin<'a>(client: &ClientSettings, others: &'a [ClientSettings]) -> Option<&'a str> {
    let same = |other: &&ClientSettings| other.network.trunc() == client.network.trunc();
    others.iter().find(same).map(|other| other.name.as_str())
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

fn examine_secret(object: &str, length: usize, findings: &mut Findings) {
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
        config::upstream::{HostPort, ProbeUser, Radius11, UserNameFormat},
    };

    fn client(network: &str) -> ClientSettings {
        ClientSettings {
            name: "vpn".into(),
            network: network.parse().unwrap(),
            secret: Secret::new(b"sixteen octets!!".to_vec()),
            require_message_authenticator: true,
            never_challenge: false,
            probe: None,
            reply_attributes: Vec::new(),
        }
    }

    fn warnings(client: ClientSettings) -> Vec<Finding> {
        let radius = RadiusSettings { listen: Vec::new(), clients: vec![client] };
        let mut findings = Findings::default();
        examine_clients(&radius, &mut findings);
        findings.0.into_iter().filter(|finding| finding.grade == Grade::Warning).collect()
    }

    #[test]
    fn a_client_as_it_should_be_gets_no_warning() {
        assert!(warnings(client("192.0.2.0/24")).is_empty());
    }

    #[test]
    fn a_probe_user_is_warned_of_without_its_password() {
        let probe = ProbeUser { name: "DAProbe".into(), password: Secret::new(b"pass".to_vec()) };
        let found = warnings(ClientSettings { probe: Some(probe), ..client("192.0.2.1/32") });
        let [warning] = &found[..] else { panic!("{found:?}") };
        assert!(warning.finding.contains("DAProbe") && warning.remedy.contains("DirectAccess"));
        assert!(!format!("{warning:?}").contains("pass\""));
    }

    #[test]
    fn requests_without_message_authenticator_are_worse_from_a_network() {
        let lax =
            |network| ClientSettings { require_message_authenticator: false, ..client(network) };
        for (network, is_wide) in [
            ("192.0.2.1/32", false),
            ("2001:db8::1/128", false),
            ("192.0.2.0/31", true),
            ("2001:db8::/64", true),
            ("0.0.0.0/0", true),
        ] {
            let found = warnings(lax(network));
            let [warning] = &found[..] else { panic!("{found:?}") };
            assert!(warning.finding.contains("CVE-2024-3596"));
            assert_eq!(warning.finding.contains("every address"), is_wide, "{network}");
            assert_eq!(warning.remedy.contains("its own address"), is_wide, "{network}");
        }
    }

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
