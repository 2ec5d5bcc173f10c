//! Upstreams under examination; [`super::clients`] are the others.

use super::{Findings, clients::examine_clients};
use crate::config::{Config, upstream::UpstreamSettings};

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
