//! RADIUS clients and upstreams under examination.

use super::Findings;
use crate::config::{
    Config,
    radius::{ClientSettings, RadiusSettings, UpstreamSettings},
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
            findings.warning(
                &object,
                "requests without Message-Authenticator are taken, which lets an attacker in between \
                 forge answers (CVE-2024-3596)",
                "update the client and remove require-message-authenticator = false",
            );
        }
        if let Some(twin) = twin(client, &radius.clients[..index]) {
            let finding =
                format!("radius.client.{twin} has the same network; one of them is never used");
            findings.error(&object, finding, "remove one of them");
        }
    }
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
