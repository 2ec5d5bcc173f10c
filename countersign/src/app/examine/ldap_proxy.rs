//! The LDAP proxy under examination: who gets in by what, and through which directory server.

use countersign_core::domain::{name::LoginKey, time::UnixTime};

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
        WithoutToken::Pass => findings.warning(
            "ldap-proxy.without-token",
            "accounts without a token bind by their password alone, and so does whoever the \
             directory calls by a name that leads to no account here",
            "set it to \"refuse\", and name the accounts that have no token as exempt",
        ),
        WithoutToken::Refuse if proxy.rules.exempt.is_empty() => {
            findings.good("ldap-proxy.without-token", "nobody binds without a token");
        }
        WithoutToken::Refuse => {
            findings.good("ldap-proxy.without-token", "nobody else binds without a token");
        }
    }
    if !proxy.rules.exempt.is_empty() {
        let mut names: Vec<_> = proxy.rules.exempt.iter().map(LoginKey::as_str).collect();
        names.sort_unstable();
        let finding = format!("bind by their password alone: {}", names.join("; "));
        findings.good("ldap-proxy.exempt", finding);
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

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};

    /// Grades, objects and findings for a section with these lines.
    fn found(lines: &str) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("countersign.toml");
        let text = format!(
            "master-key = \"k\"\nstore = \"s\"\naudit-log = \"a\"\ncontrol-socket = \"c\"\n\
             [ldap-proxy]\nlisten = [\"127.0.0.1:0\"]\n{lines}"
        );
        std::fs::write(&file, text).unwrap();
        let mut findings = Findings::default();
        examine(&Config::load(&file).unwrap(), UnixTime(1_800_000_000), &mut findings);
        let told = |found: super::super::Finding| {
            let grade = if found.grade == Grade::Good { "" } else { "! " };
            format!("{grade}{}: {}", found.object, found.finding)
        };
        findings.into_vec().into_iter().map(told).collect()
    }

    fn has(findings: &[String], begin: &str) {
        assert!(findings.iter().any(|found| found.starts_with(begin)), "{begin}: {findings:#?}");
    }

    #[test]
    fn a_proxy_says_what_it_lets_in_by_what() {
        let strict = found("upstream = \"ldapi:///l\"\n");
        has(&strict, "ldap-proxy.upstream ldapi:///l: what is not a bind passes");
        has(&strict, "ldap-proxy.without-token: nobody");
        has(&strict, "! ldap-proxy.listen: every bind with a password is refused there");
        let exempt = "exempt = [\"cn=svc,dc=example\", \"Backup\"]";
        let exempt = found(&format!("upstream = \"ldapi:///l\"\n{exempt}\n"));
        has(&exempt, "ldap-proxy.without-token: nobody else");
        has(&exempt, "ldap-proxy.exempt: bind by their password alone: backup; cn=svc,dc=example");
        let lax = found(
            "upstream = \"ldapi:///l\"\nwithout-token = \"pass\"\nrequire-tls = false\n\
             sasl = \"pass\"\n",
        );
        has(&lax, "! ldap-proxy.without-token: accounts without a token bind");
        has(&lax, "! ldap-proxy.require-tls: passwords are taken where others");
        has(&lax, "! ldap-proxy.sasl: who binds by GSSAPI, GSS-SPNEGO needs no");
    }

    #[test]
    fn files_that_are_missing_are_errors() {
        let missing = found(
            "upstream = \"ldaps://dc1\"\nupstream-trust = \"none.pem\"\n\
             [ldap-proxy.tls]\ncertificate = \"c.pem\"\nkey = \"c.key\"\n",
        );
        has(&missing, "! ldap-proxy.upstream ldaps://dc1:636: certificate");
        has(&missing, "! ldap-proxy.tls.certificate");
        has(&missing, "! ldap-proxy.tls.key");
    }
}
