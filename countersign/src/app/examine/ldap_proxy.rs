//! The LDAP proxy under examination: who gets in by what, and through which directory server.

use countersign_core::domain::time::UnixTime;

use super::{Findings, certificates::examine_server};
use crate::{
    client::ldap_server::LdapServer,
    config::{
        Config,
        ldap_proxy::{LdapProxySettings, Sasl, WithoutToken},
    },
};

pub(super) fn examine(config: &Config, now: UnixTime, findings: &mut Findings) {
    let Some(proxy) = &config.ldap_proxy else { return };
    examine_upstream(proxy, findings);
    examine_binds(proxy, findings);
    if let Some(tls) = &proxy.tls {
        examine_server("ldap-proxy.tls", &tls.certificate, &tls.key, now, findings);
    }
    let offers_tls = proxy.tls.as_ref().is_some_and(|tls| tls.start_tls);
    if proxy.rules.require_tls && !proxy.listen.is_empty() && !offers_tls {
        findings.warning(
            "ldap-proxy.listen",
            "every bind with a password is refused there, for clients cannot go over to TLS",
            "add [ldap-proxy.tls] with start-tls = true, or listen in [ldap-proxy.tls] alone",
        );
    }
}

fn examine_upstream(proxy: &LdapProxySettings, findings: &mut Findings) {
    let addresses: Vec<_> = proxy.upstream.addresses.iter().map(ToString::to_string).collect();
    let object = format!("ldap-proxy.upstream {}", addresses.join(", "));
    match LdapServer::new(&proxy.upstream) {
        Ok(_) => findings.good(&object, "what is not a bind passes through to it"),
        Err(error) => findings.error(
            &object,
            error.to_string(),
            "name the file with the anchors of its certificate as upstream-trust",
        ),
    }
}

fn examine_binds(proxy: &LdapProxySettings, findings: &mut Findings) {
    match proxy.without_token {
        WithoutToken::Pass => findings.good(
            "ldap-proxy.without-token",
            "accounts without a token bind by their password alone",
        ),
        WithoutToken::Refuse => {
            findings.good("ldap-proxy.without-token", "nobody binds without a token");
        }
    }
    if let Sasl::Pass(mechanisms) = &proxy.rules.sasl {
        findings.warning(
            "ldap-proxy.sasl",
            format!("who binds by {} needs no one-time password", mechanisms.join(", ")),
            "set it to \"refuse\" unless those tickets have asked for one",
        );
    }
    if !proxy.rules.require_tls {
        findings.warning(
            "ldap-proxy.require-tls",
            "passwords are taken where others can read them",
            "set it to true once all clients use TLS",
        );
    }
}
