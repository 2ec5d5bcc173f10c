//! Examine: what the config means, and what would fail at run time.
//!
//! Every finding is a sentence about one object; what is wrong comes with what
//! to do. Nothing is changed, nothing is sent to anybody.

use std::{net::SocketAddr, path::Path};

use countersign_core::{
    domain::{account::Authentication, time::UnixTime, token::TokenKind},
    pki::profile::Span,
};
use serde::Serialize;

use crate::{
    config::Config,
    store::{Store, embedded::Embedded},
    vault::Vault,
};

mod certificates;
mod clients;
mod delivery;
mod ldap;
mod ldap_proxy;
mod radius;

/// One sentence about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was looked at.
    pub object: String,
    /// What was found.
    pub finding: String,
    /// What to do about it; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, but not for long or not safely.
    Warning,
    /// It will fail.
    Error,
}

/// Findings as they are collected.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.0
    }

    pub(crate) fn add(
        &mut self,
        grade: Grade,
        object: &str,
        finding: impl Into<String>,
        remedy: &str,
    ) {
        let (object, finding) = (object.to_owned(), finding.into());
        self.0.push(Finding { grade, object, finding, remedy: remedy.to_owned() });
    }

    pub(crate) fn good(&mut self, object: &str, finding: impl Into<String>) {
        self.add(Grade::Good, object, finding, "");
    }

    pub(crate) fn warning(&mut self, object: &str, finding: impl Into<String>, remedy: &str) {
        self.add(Grade::Warning, object, finding, remedy);
    }

    pub(crate) fn error(&mut self, object: &str, finding: impl Into<String>, remedy: &str) {
        self.add(Grade::Error, object, finding, remedy);
    }
}

/// Examines everything that a config names. `running`: the daemon of this config is at
/// work, so its addresses are taken by itself.
pub async fn examine(config: &Config, now: UnixTime, running: bool) -> Vec<Finding> {
    let mut findings = Findings::default();
    examine_master_key(config, &mut findings);
    examine_store(config, running, &mut findings).await;
    examine_policy(config, &mut findings);
    radius::examine(config, &mut findings);
    delivery::examine(config, &mut findings);
    ldap::examine(config, &mut findings);
    ldap_proxy::examine(config, now, &mut findings);
    certificates::examine(config, now, &mut findings);
    examine_addresses(config, running, &mut findings);
    findings.0
}

fn examine_master_key(config: &Config, findings: &mut Findings) {
    let object = format!("master-key {}", config.master_key.display());
    match Vault::open(&config.master_key) {
        Ok(vault) => {
            findings.good(&object, format!("it is the key with the id {}", vault.key_id()))
        }
        Err(error) => findings.error(
            &object,
            error.to_string(),
            "restore the file from where you keep a copy of it; without it no secret can be opened",
        ),
    }
    warn_if_readable_by_others(&config.master_key, &object, findings);
}

/// A running daemon has the store open, and has proved by that that the key is its own.
async fn examine_store(config: &Config, running: bool, findings: &mut Findings) {
    let object = format!("store {}", config.store.display());
    let key_id = Vault::open(&config.master_key).map(|vault| vault.key_id().to_owned());
    let opened = match key_id {
        Ok(key_id) if !running => Embedded::open(&config.store, &key_id).map(Some),
        Ok(_) | Err(_) => Ok(None),
    };
    match opened {
        Ok(store) => {
            findings.good(
                &object,
                "embedded: one daemon at a time uses it, every acceptance is flushed to it",
            );
            if let Some(store) = store {
                examine_remote(config, &store, findings).await;
            }
        }
        Err(error) => findings.error(
            &object,
            error.to_string(),
            "name the directory and the master key that `countersign init` made together",
        ),
    }
    if let Some(parent) = config.audit_log.parent()
        && !parent.as_os_str().is_empty()
        && !parent.is_dir()
    {
        let object = format!("audit-log {}", config.audit_log.display());
        findings.error(&object, "its directory does not exist", "make the directory");
    }
}

/// Accounts and tokens that ask an upstream which the config does not have.
async fn examine_remote(config: &Config, store: &Embedded, findings: &mut Findings) {
    let known = |name: &str| config.upstreams.iter().any(|upstream| upstream.name == name);
    let missing = |name: &str| format!("it asks the upstream {name:?}, which the config lacks");
    let mut after = None;
    while let Ok(page) = store.accounts(after, PAGE).await {
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for account in &page {
            ldap::examine_name(config, account, findings);
            if let Authentication::Upstream(name) = &account.authentication
                && !known(name)
            {
                let object = format!("account {}", account.name);
                findings.error(&object, missing(name), ADD_UPSTREAM);
            }
        }
    }
    let mut after = None;
    while let Ok(page) = store.tokens(after, PAGE).await {
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for token in &page {
            if let TokenKind::Remote { upstream, .. } = &token.kind
                && !known(upstream)
            {
                let object = format!("token {}", token.label);
                findings.error(&object, missing(upstream), ADD_UPSTREAM);
            }
            delivery::examine_token(config, token, findings);
        }
    }
}

fn examine_policy(config: &Config, findings: &mut Findings) {
    let (hotp, totp, lockout) = (&config.policy.hotp, &config.policy.totp, &config.policy.lockout);
    findings.good(
        "policy",
        format!(
            "HOTP looks {} counters ahead and resynchronises within {}; TOTP accepts {} time steps \
             before and after and resynchronises within {}",
            hotp.look_ahead, hotp.resync_window, totp.window, totp.resync_window
        ),
    );
    if lockout.lock_after == 0 {
        findings.warning(
            "policy.lockout",
            "no account is ever locked; only the waiting time between attempts slows down guessing",
            "set policy.lockout.lock-after, for instance 10",
        );
        return;
    }
    let time = match lockout.lock_time {
        0 => "until an administrator unlocks it".to_owned(),
        seconds => format!("for {}", Span::seconds(seconds.into())),
    };
    findings.good(
        "policy.lockout",
        format!(
            "after {} failures in a row attempts have to wait, after {} the account is locked {time}",
            lockout.throttle_after, lockout.lock_after
        ),
    );
}

fn examine_addresses(config: &Config, running: bool, findings: &mut Findings) {
    let udp = config.radius.iter().flat_map(|radius| &radius.listen);
    for address in udp {
        let bound = std::net::UdpSocket::bind(address).map(drop);
        report_address("radius.listen", *address, running, bound, findings);
    }
    let tcp = config.radius.iter().flat_map(|radius| &radius.listen_tcp);
    let tcp = tcp.map(|address| ("radius.listen-tcp", address));
    let tls = config.radius.iter().filter_map(|radius| radius.tls.as_ref());
    let tls = tls.flat_map(|tls| &tls.listen).map(|address| ("radius.tls.listen", address));
    let otpce = config.otpce.iter().flat_map(|otpce| &otpce.listen).map(|a| ("otpce.listen", a));
    let est = config.est.iter().flat_map(|est| &est.listen).map(|a| ("est.listen", a));
    let http = config.http.iter().flat_map(|http| &http.listen).map(|a| ("http.listen", a));
    let ldap = config.ldap_proxy.iter().flat_map(|proxy| &proxy.listen);
    let ldap = ldap.map(|address| ("ldap-proxy.listen", address));
    let ldaps = config.ldap_proxy.iter().filter_map(|proxy| proxy.tls.as_ref());
    let ldaps = ldaps.flat_map(|tls| &tls.listen).map(|a| ("ldap-proxy.tls.listen", a));
    let all = tcp.chain(tls).chain(ldap).chain(ldaps).chain(otpce).chain(est).chain(http);
    for (key, address) in all {
        let bound = std::net::TcpListener::bind(address).map(drop);
        report_address(key, *address, running, bound, findings);
    }
}

fn report_address(
    key: &str,
    address: SocketAddr,
    running: bool,
    bound: std::io::Result<()>,
    findings: &mut Findings,
) {
    let object = format!("{key} {address}");
    match bound {
        Ok(()) => findings.good(&object, "the address is free"),
        Err(_) if running => findings.good(&object, "in use by the running daemon"),
        Err(error) => findings.error(
            &object,
            format!("the address cannot be used: {error}"),
            "choose another one, or stop what has it (`ss -lntup` shows it)",
        ),
    }
}

fn warn_if_readable_by_others(path: &Path, object: &str, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt;

    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let remedy = format!("chmod 600 {}", path.display());
        findings.warning(
            object,
            format!("others than its owner can read it (mode {mode:o})"),
            &remedy,
        );
    }
}

/// Records read at once.
const PAGE: usize = 1000;
const ADD_UPSTREAM: &str = "add [upstream.NAME] to the config, or change the account or token";
