//! The config, checked: what the daemon is to do.
//!
//! [`file`] is the config as written; [`Config::load`] reads it, checks it and
//! returns it as the rest of the program needs it. Paths in it are relative to
//! the directory that the file is in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_core::{
    domain::{
        name::Site,
        policy::{ChallengePolicy, DeliveryPolicy, LockoutPolicy, Policy, PolicyError},
    },
    pki::profile::Span,
};

use self::{
    back_sock::{BackSockSettings, PasswordBy, WithoutToken, check_back_sock},
    bind_proxy::{BindProxySettings, check_bind_proxy},
    delivery::{DeliverySettings, check_delivery},
    directory::{DirectorySettings, check_directory},
    file::{
        CaFile, ConfigFile, EstFile, HttpFile, LogFile, OtpceFile, PolicyFile, RaFile, RequestFile,
        TlsFile,
    },
    ldap_proxy::{LdapProxySettings, check_ldap_proxy},
    radius::RadiusSettings,
    radius_file::check_radius,
    upstream::{UpstreamSettings, check_upstream},
};
use crate::signer::file::KeySpec;

pub mod back_sock;
pub mod bind_proxy;
pub mod delivery;
mod dictionary;
pub mod directory;
pub mod file;
pub mod ldap_proxy;
pub mod radius;
pub mod radius_file;
pub mod reply;
mod secret;
pub mod server_url;
pub mod socket;
pub mod template;
#[cfg(test)]
mod tests;
pub mod upstream;

/// What the daemon is to do. Every path is absolute or relative to the working directory.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The file with the master key.
    pub master_key: PathBuf,
    /// The directory of the embedded store.
    pub store: PathBuf,
    /// The audit log.
    pub audit_log: PathBuf,
    /// The socket by which the command line reaches the daemon.
    pub control_socket: PathBuf,
    /// The domain of names without one.
    pub site: Site,
    /// How much is logged.
    pub log: LogFile,
    /// What decisions are made by.
    pub policy: Policy,
    /// How many PINs may be hashed at once.
    pub pin_checks: usize,
    /// The RADIUS listener.
    pub radius: Option<RadiusSettings>,
    /// Who can be asked.
    pub upstreams: Vec<UpstreamSettings>,
    /// How OTPs reach their users.
    pub deliveries: Vec<DeliverySettings>,
    /// The LDAP store.
    pub directory: Option<DirectorySettings>,
    /// The listener for slapd's overlay `sock`.
    pub back_sock: Option<BackSockSettings>,
    /// Whom a read-only consumer asks.
    pub bind_proxy: Option<BindProxySettings>,
    /// The listener that is an LDAP proxy.
    pub ldap_proxy: Option<LdapProxySettings>,
    /// What requests for logon certificates must be like.
    pub request: RequestFile,
    /// The MS-OTPCE listener.
    pub otpce: Option<OtpceFile>,
    /// The signing certificate.
    pub ra: Option<RaFile>,
    /// The embedded CA.
    pub ca: Option<CaFile>,
    /// The EST listener.
    pub est: Option<EstFile>,
    /// The plain HTTP listener.
    pub http: Option<HttpFile>,
}

/// Why a config cannot be used. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {}: {cause}; `countersign init DIR` makes one, --config FILE names another", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: io::Error,
    },
    /// The file is no TOML, or has unknown or missing keys. The line itself is not
    /// shown, because it may hold a secret.
    #[error("config {}:{line}:{column}: {cause}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        cause: String,
    },
    /// A value makes no sense.
    #[error("config {}: {key}: {cause}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key, with its tables.
        key: String,
        /// What is wrong and what would be right.
        cause: String,
    },
}

impl Config {
    /// Reads and checks a config file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { file: path.to_owned(), cause })?;
        let file: ConfigFile =
            toml::from_str(&text).map_err(|error| malformed(path, &text, &error))?;
        let base = path.parent().unwrap_or(Path::new("."));
        check(file, path, base).map_err(|Wrong { key, cause }| ConfigError::Value {
            file: path.to_owned(),
            key,
            cause,
        })
    }
}

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    ConfigError::Malformed {
        file: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        cause: in_words(error.message(), before, text.get(error.span().unwrap_or(0..0))),
    }
}

/// What the parser says, with the key that it is about and without names of types.
fn in_words(message: &str, before: &str, at: Option<&str>) -> String {
    let message = message.replace("a nonzero u32", "a number from 1 on");
    if message == "duplicate key" {
        let key = at.unwrap_or_default();
        return format!("{key} is there twice; remove one, or put both under one heading");
    }
    let wants_text = message.ends_with("expected a string");
    let remedy = if wants_text { "; write it in quotes" } else { "" };
    match before.trim_end().strip_suffix('=').map(str::trim_end) {
        Some(key) if message.starts_with("invalid ") || message.starts_with("unknown variant") => {
            let start = key.rfind([' ', ',', '{', '\n', '\t']).map_or(0, |end| end + 1);
            format!("{}: {message}{remedy}", &key[start..])
        }
        Some(_) | None => message,
    }
}

/// What is wrong with a value.
struct Wrong {
    key: String,
    cause: String,
}

fn wrong<T>(key: impl Into<String>, cause: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { key: key.into(), cause: cause.into() })
}

fn check(file: ConfigFile, path: &Path, base: &Path) -> Result<Config, Wrong> {
    let (policy, pin_checks) = check_policy(file.policy)?;
    let config = Config {
        file: path.to_owned(),
        master_key: base.join(file.master_key),
        store: base.join(file.store),
        audit_log: base.join(file.audit_log),
        control_socket: base.join(file.control_socket),
        deliveries: file
            .delivery
            .into_iter()
            .map(|(name, delivery)| check_delivery(name, delivery, base, &file.site))
            .collect::<Result<_, _>>()?,
        site: file.site,
        log: file.log,
        policy,
        pin_checks,
        radius: file.radius.map(|radius| check_radius(radius, base)).transpose()?,
        upstreams: file
            .upstream
            .into_iter()
            .map(|(name, upstream)| check_upstream(name, upstream, base))
            .collect::<Result<_, _>>()?,
        directory: file.directory.map(|directory| check_directory(directory, base)).transpose()?,
        back_sock: file.back_sock.map(|back_sock| check_back_sock(back_sock, base)).transpose()?,
        bind_proxy: file.bind_proxy.map(|proxy| check_bind_proxy(proxy, base)).transpose()?,
        ldap_proxy: file.ldap_proxy.map(|proxy| check_ldap_proxy(proxy, base)).transpose()?,
        request: file.request,
        otpce: file.otpce.map(|otpce| check_otpce(otpce, base)).transpose()?,
        ra: file.ra.map(|ra| check_ra(ra, base)).transpose()?,
        ca: file.ca.map(|ca| check_ca(ca, base)).transpose()?,
        est: file.est.map(|est| EstFile { tls: resolve_tls(est.tls, base), ..est }),
        http: file.http,
    };
    check_sections(&config)?;
    Ok(config)
}

/// Sections that cannot work without each other.
fn check_sections(config: &Config) -> Result<(), Wrong> {
    if config.otpce.is_some() && config.ra.is_none() {
        return wrong("otpce", "it needs [ra], the certificate that signs checked requests");
    }
    if config.ra.as_ref().is_some_and(|ra| ra.est.is_none()) && config.ca.is_none() {
        return wrong(
            "ra",
            "it needs [ra.est], another CA to renew from, or [ca], an embedded one",
        );
    }
    if config.est.is_some() && config.ca.is_none() {
        return wrong("est", "it needs [ca], the embedded CA whose certificates it hands out");
    }
    let is_ldap = config.back_sock.is_some() || config.ldap_proxy.is_some();
    if config.radius.is_none() && config.otpce.is_none() && config.est.is_none() && !is_ldap {
        let cause = "there is no listener at all; \
                     add [radius], [otpce], [est], [back-sock] or [ldap-proxy]";
        return wrong("radius", cause);
    }
    check_back_sock_alone(config)?;
    if config.bind_proxy.is_some() && config.back_sock.is_none() {
        return wrong("bind-proxy", "it needs [back-sock], by which slapd asks");
    }
    if let Some(radius) = &config.radius {
        check_routes(radius, &config.upstreams)?;
    }
    Ok(())
}

/// The embedded store has no passwords, and mostly no names of entries: what slapd asks must
/// not be answered by half of it.
fn check_back_sock_alone(config: &Config) -> Result<(), Wrong> {
    let Some(back_sock) = &config.back_sock else { return Ok(()) };
    let is_proxy_alone = config.bind_proxy.as_ref().is_some_and(|proxy| proxy.own.is_none());
    if config.directory.is_some() || is_proxy_alone {
        return Ok(());
    }
    if back_sock.password == PasswordBy::Check {
        let cause = "the embedded store keeps no passwords, so the OTP alone would do; \
                     set password = \"directory\" with hand-back-url, or add [directory]";
        return wrong("back-sock.password", cause);
    }
    if back_sock.login_attribute.is_none() && back_sock.without_token == WithoutToken::Continue {
        let cause = "accounts that no name of slapd leads to would bind by their password alone; \
                     set login-attribute = \"uid\", or without-token = \"refuse\" \
                     and give every account its dn";
        return wrong("back-sock.login-attribute", cause);
    }
    Ok(())
}

/// What is sent on has somewhere to go.
fn check_routes(radius: &RadiusSettings, upstreams: &[UpstreamSettings]) -> Result<(), Wrong> {
    let clients = radius.rules.clients.iter();
    let clients = clients.map(|client| (format!("client.{}", client.name), &client.upstream));
    let realms = radius.rules.realms.iter();
    let realms = realms.map(|realm| (format!("realm.{:?}", realm.name), &realm.upstream));
    for (place, upstream) in clients.chain(realms) {
        if let Some(name) = upstream
            && !upstreams.iter().any(|upstream| upstream.name == *name)
        {
            let cause = format!("there is no [upstream.{name}] to send requests on to");
            return wrong(format!("radius.{place}.upstream"), cause);
        }
    }
    Ok(())
}

fn check_policy(file: PolicyFile) -> Result<(Policy, usize), Wrong> {
    let lockout = LockoutPolicy {
        throttle_after: file.lockout.throttle_after,
        throttle_delay: seconds("policy.lockout.throttle-delay", file.lockout.throttle_delay)?,
        throttle_max: seconds("policy.lockout.throttle-max", file.lockout.throttle_max)?,
        lock_after: file.lockout.lock_after,
        lock_time: seconds("policy.lockout.lock-time", file.lockout.lock_time)?,
    };
    let challenge = ChallengePolicy {
        pin_first: file.challenge.pin_first,
        next_otp: file.challenge.next_otp,
        valid: seconds("policy.challenge.valid", file.challenge.valid)?,
    };
    let delivery = DeliveryPolicy {
        valid: seconds("policy.delivery.valid", file.delivery.valid)?,
        resend_after: seconds("policy.delivery.resend-after", file.delivery.resend_after)?,
        words: file.delivery.words,
    };
    let pin_checks = file.pin_checks.unwrap_or(DEFAULT_PIN_CHECKS);
    let PolicyFile { hotp, totp, password, .. } = file;
    let policy = Policy { hotp, totp, lockout, challenge, delivery, password };
    policy.check().or_else(|error| wrong_policy(&error))?;
    Ok((policy, pin_checks))
}

fn wrong_policy(error: &PolicyError) -> Result<(), Wrong> {
    let cause = match error {
        PolicyError::TooWide { value, limit, .. } => {
            format!("{value} is too wide, {limit} at most")
        }
        PolicyError::Span { value, limit, .. } => {
            format!("{value} seconds are out of bounds, from 1s to {limit}s")
        }
        PolicyError::Word(word) => {
            format!("{word:?} is no word; write letters alone, for instance \"otp\"")
        }
    };
    wrong(format!("policy.{}", error.setting()), cause)
}

fn check_otpce(file: OtpceFile, base: &Path) -> Result<OtpceFile, Wrong> {
    for path in file.aliases.iter().chain([&file.path]) {
        if !path.starts_with('/') {
            return wrong("otpce.path", format!("{path:?} does not begin with /"));
        }
    }
    for ca in &file.issuing_ca {
        if !ca.contains('\\') {
            let cause = format!("{ca:?} is not of the form 'host\\CA name'");
            return wrong("otpce.issuing-ca", cause);
        }
    }
    Ok(OtpceFile { tls: resolve_tls(file.tls, base), ..file })
}

fn check_ca(file: CaFile, base: &Path) -> Result<CaFile, Wrong> {
    if !file.publish_url.starts_with("http://") {
        let cause = "revocation lists are fetched over plain http:// (RFC 5280 §8)";
        return wrong("ca.publish-url", cause);
    }
    Ok(CaFile {
        certificate: base.join(file.certificate),
        key: base.join(file.key),
        crl: base.join(file.crl),
        ..file
    })
}

fn check_ra(file: RaFile, base: &Path) -> Result<RaFile, Wrong> {
    if file.sha1 && matches!(file.key_type, KeySpec::P256 | KeySpec::P384) {
        let cause = format!(
            "it needs an RSA key, and key-type is {}; set key-type = \"rsa-2048\" and renew the signing certificate",
            file.key_type
        );
        return wrong("ra.sha1", cause);
    }
    let est = file.est.map(|est| file::RaEstFile {
        trust: base.join(est.trust),
        certificate: base.join(est.certificate),
        key: base.join(est.key),
        ..est
    });
    Ok(RaFile { certificate: base.join(file.certificate), key: base.join(file.key), est, ..file })
}

fn resolve_tls(file: TlsFile, base: &Path) -> TlsFile {
    TlsFile {
        certificate: base.join(file.certificate),
        key: base.join(file.key),
        client_trust: base.join(file.client_trust),
        client_revocation: file.client_revocation.iter().map(|path| base.join(path)).collect(),
    }
}

fn seconds(key: &str, span: Span) -> Result<u32, Wrong> {
    let seconds = u32::try_from(span.as_seconds());
    seconds.or_else(|_| wrong(key, format!("{span} is longer than a hundred years")))
}

fn duration(span: Span) -> Duration {
    Duration::from_secs(span.as_seconds())
}

const DEFAULT_PIN_CHECKS: usize = 2;
