//! RADIUS clients and upstreams under examination.

use super::Findings;
use crate::config::{
    Config,
    radius::{ClientSettings, RadiusSettings},
    upstream::UpstreamSettings,
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
            "{} in this order, each asked {} times {} s apart; the next one only after silence",
            servers.join(", "),
            upstream.tries,
            upstream.timeout.as_secs()
        ),
    );
    for server in &upstream.servers {
        examine_secret(&object, server.secret.expose().len(), findings);
    }
    if !upstream.require_message_authenticator {
        findings.warning(
            &object,
            "replies without Message-Authenticator are taken, which lets an attacker in between forge \
             them (CVE-2024-3596)",
            "update the server and remove require-message-authenticator = false",
        );
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
        config::upstream::ProbeUser,
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
}
