//! RADIUS clients under examination.

use super::{Findings, radius::examine_secret};
use crate::config::radius::{ClientSettings, RadiusRules, Source};

pub(super) fn examine_clients(rules: &RadiusRules, findings: &mut Findings) {
    let clients = &rules.clients;
    if clients.is_empty() {
        findings.warning(
            "radius",
            "there is no client, so every request is dropped",
            "add [radius.client.NAME] with address and secret",
        );
    }
    for (index, client) in clients.iter().enumerate() {
        let object = format!("radius.client.{}", client.name);
        findings.good(&object, meaning(client));
        examine_way_in(&object, client, findings);
        examine_laxity(&object, client, findings);
        if let Some(twin) = twin(client, &clients[..index]) {
            let finding =
                format!("radius.client.{twin} has the same way in; one of them is never used");
            findings.error(&object, finding, "remove one of them");
        }
    }
    for realm in &rules.realms {
        let object = format!("radius.realm.{}", realm.name);
        let name = if realm.strip { "without" } else { "with" };
        let whom = realm.upstream.as_ref().map_or_else(
            || "answered here".to_owned(),
            |upstream| format!("sent on to upstream {upstream}"),
        );
        findings.good(&object, format!("requests for its users are {whom}, {name} the realm"));
    }
}

/// Who may ask, and what is special about it.
fn meaning(client: &ClientSettings) -> String {
    let from = match &client.source {
        Source::Network(network) => format!("may ask from {network} over UDP and TCP"),
        Source::Certificate(name) => {
            format!("may ask over TLS with a certificate that names {name}")
        }
        Source::Socket(socket) => {
            format!("may ask through {} (mode {:o})", socket.path.display(), socket.mode)
        }
    };
    let kind = if client.is_kdc { ", as a KDC" } else { "" };
    let whom = client.upstream.as_ref();
    let whom =
        whom.map_or_else(String::new, |upstream| format!("; sent on to upstream {upstream}"));
    let strong = match &client.indicators[..] {
        [] => String::new(),
        some => format!("; only tokens with the indicators {}", some.join(", ")),
    };
    format!("{from}{kind}{whom}{strong}")
}

fn examine_way_in(object: &str, client: &ClientSettings, findings: &mut Findings) {
    match &client.source {
        Source::Network(_) => {
            examine_secret(object, client.secret.expose().len(), findings);
            if !client.require_message_authenticator {
                examine_unauthenticated(object, client, findings);
            }
        }
        Source::Socket(socket) if socket.mode & 0o007 != 0 => findings.warning(
            object,
            format!(
                "everybody on this machine reaches the socket (mode {:o}); passcodes on it are \
                 protected by nothing but its mode",
                socket.mode
            ),
            "set socket-mode = \"0600\", or \"0660\" with socket-group",
        ),
        Source::Socket(_) | Source::Certificate(_) => {}
    }
}

/// What makes it easier for an attacker.
fn examine_laxity(object: &str, client: &ClientSettings, findings: &mut Findings) {
    if let Some(probe) = &client.probe {
        let finding = format!(
            "whoever knows the password of the probe user {:?} is let in by this client if it is a VPN or the like",
            probe.name
        );
        findings.warning(object, finding, "use probe for DirectAccess only");
    }
    if client.retry_grace > 0 {
        let finding = format!(
            "whoever sees a passcode can be let in by it once more within {} s, if the same name \
             and passcode come through this client",
            client.retry_grace
        );
        let remedy = "remove retry-grace unless requests really arrive twice: by several KDCs or \
                      KDC processes, or by a client that asks a second server";
        findings.warning(object, finding, remedy);
    }
}

fn examine_unauthenticated(object: &str, client: &ClientSettings, findings: &mut Findings) {
    let Some(network) = client.network() else { return };
    if client.is_kdc {
        findings.warning(
            object,
            "requests without Message-Authenticator are taken, because KDCs up to 1.21 send none; \
             an attacker in between can forge answers to them (CVE-2024-3596)",
            "use a UNIX socket; or set require-message-authenticator = true once every KDC is 1.22 \
             or newer",
        );
        return;
    }
    if network.prefix_len() == network.max_prefix_len() {
        findings.warning(
            object,
            "requests without Message-Authenticator are taken, which lets an attacker in between \
             forge answers (CVE-2024-3596)",
            "update the client and remove require-message-authenticator = false",
        );
        return;
    }
    let finding = format!(
        "requests without Message-Authenticator are taken from every address of {network}: nothing \
         proves who sent them, so anybody there can lock accounts by wrong passcodes, and an \
         attacker in between can forge answers (CVE-2024-3596)",
    );
    let remedy = "update the clients and remove require-message-authenticator = false; until then \
                  name each of them by its own address";
    findings.warning(object, finding, remedy);
}

fn twin<'a>(client: &ClientSettings, others: &'a [ClientSettings]) -> Option<&'a str> {
    let same = |other: &&ClientSettings| match (&other.source, &client.source) {
        (Source::Network(one), Source::Network(two)) => one.trunc() == two.trunc(),
        (Source::Certificate(one), Source::Certificate(two)) => one == two,
        (Source::Socket(one), Source::Socket(two)) => one.path == two.path,
        (Source::Network(_) | Source::Certificate(_) | Source::Socket(_), _) => false,
    };
    others.iter().find(same).map(|other| other.name.as_str())
}

#[cfg(test)]
mod tests {
    use countersign_core::secret::Secret;

    use super::*;
    use crate::{
        app::examine::{Finding, Grade},
        config::{socket::SocketSettings, upstream::ProbeUser},
    };

    fn client(network: &str) -> ClientSettings {
        let secret = Secret::new(b"sixteen octets!!".to_vec());
        ClientSettings::new("vpn".into(), Source::Network(network.parse().unwrap()), secret)
    }

    fn warnings(client: ClientSettings) -> Vec<Finding> {
        let rules = RadiusRules { clients: vec![client], ..RadiusRules::default() };
        let mut findings = Findings::default();
        examine_clients(&rules, &mut findings);
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

    #[test]
    fn a_kdc_over_udp_is_warned_of_and_one_on_a_socket_is_not() {
        let kdc = |client| ClientSettings {
            is_kdc: true,
            require_message_authenticator: false,
            ..client
        };
        let found = warnings(kdc(client("192.0.2.1/32")));
        let [warning] = &found[..] else { panic!("{found:?}") };
        assert!(warning.remedy.contains("1.22"), "{warning:?}");
        let socket =
            SocketSettings { path: "/run/x".into(), mode: 0o600, group: None, users: vec![] };
        let on_socket = ClientSettings::new(
            "kdc".into(),
            Source::Socket(socket.clone()),
            Secret::new(Vec::new()),
        );
        assert!(warnings(kdc(on_socket.clone())).is_empty());
        let wide = Source::Socket(SocketSettings { mode: 0o666, ..socket });
        let found = warnings(kdc(ClientSettings { source: wide, ..on_socket }));
        let [warning] = &found[..] else { panic!("{found:?}") };
        assert!(warning.finding.contains("666"), "{warning:?}");
    }

    #[test]
    fn a_window_for_retries_is_named() {
        let found = warnings(ClientSettings { retry_grace: 3, ..client("192.0.2.1/32") });
        let [warning] = &found[..] else { panic!("{found:?}") };
        assert!(warning.finding.contains("3 s"), "{warning:?}");
    }
}
