//! The config as written: TOML, kebab-case, unknown keys refused.
//!
//! `docs/config.md` describes every key for administrators; `template.toml`
//! beside this file shows them, and is read by a test.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use countersign_core::{
    domain::{
        name::Site,
        policy::{
            ChallengePolicy, DeliveryPolicy, HotpPolicy, LockoutPolicy, PasswordPolicy, TotpPolicy,
        },
    },
    pki::profile::{ProfileConfig, Span},
};
use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Deserializer};

use super::{
    back_sock::BackSockFile, bind_proxy::BindProxyFile, delivery::DeliveryFile,
    directory::DirectoryFile, ldap_proxy::LdapProxyFile, radius_file::RadiusFile,
    upstream::UpstreamFile,
};
use crate::signer::file::KeySpec;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    /// The file with the master key.
    pub master_key: PathBuf,
    /// The directory of the embedded store.
    pub store: PathBuf,
    /// The audit log.
    pub audit_log: PathBuf,
    /// The socket by which the command line reaches the daemon.
    pub control_socket: PathBuf,
    /// The domain of names without one.
    #[serde(default)]
    pub site: Site,
    /// How much is logged.
    #[serde(default)]
    pub log: LogFile,
    /// Windows, throttling, lockout.
    #[serde(default)]
    pub policy: PolicyFile,
    /// The RADIUS listener.
    pub radius: Option<RadiusFile>,
    /// RADIUS servers that we ask, by name.
    #[serde(default)]
    pub upstream: BTreeMap<String, UpstreamFile>,
    /// How OTPs reach their users, by name.
    #[serde(default)]
    pub delivery: BTreeMap<String, DeliveryFile>,
    /// The LDAP store.
    pub directory: Option<DirectoryFile>,
    /// The listener for slapd's overlay `sock`.
    pub back_sock: Option<BackSockFile>,
    /// Whom a read-only consumer asks.
    pub bind_proxy: Option<BindProxyFile>,
    /// The listener that is an LDAP proxy.
    pub ldap_proxy: Option<LdapProxyFile>,
    /// What requests for logon certificates must be like.
    #[serde(default)]
    pub request: RequestFile,
    /// The MS-OTPCE listener.
    pub otpce: Option<OtpceFile>,
    /// The signing certificate.
    pub ra: Option<RaFile>,
    /// The embedded CA.
    pub ca: Option<CaFile>,
    /// The EST listener of the embedded CA.
    pub est: Option<EstFile>,
    /// The plain HTTP listener: revocation list, CA certificate, health.
    pub http: Option<HttpFile>,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogFile {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Level,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

impl Default for LogFile {
    fn default() -> Self {
        Self { level: Level::Info, format: LogFormat::Text }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What needs somebody to act.
    Error,
    /// What may need it soon.
    Warn,
    /// Start, stop, renewals.
    Info,
    /// What a packet can trigger; may name accounts and addresses.
    Debug,
    /// All.
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyFile {
    /// `[policy.hotp]`
    pub hotp: HotpPolicy,
    /// `[policy.totp]`
    pub totp: TotpPolicy,
    /// `[policy.lockout]`
    pub lockout: LockoutFile,
    /// `[policy.challenge]`
    pub challenge: ChallengeFile,
    /// `[policy.delivery]`
    pub delivery: DeliveryPolicyFile,
    /// `[policy.password]`
    pub password: PasswordPolicy,
    /// How many PINs and passwords may be hashed at once.
    pub pin_checks: Option<usize>,
}

/// `[policy.lockout]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockoutFile {
    /// From this many failures on, each further attempt has to wait.
    pub throttle_after: u32,
    /// The first wait; it doubles with each failure.
    pub throttle_delay: Span,
    /// The longest wait.
    pub throttle_max: Span,
    /// From this many failures on, the account is locked. 0: never.
    pub lock_after: u32,
    /// For how long. 0: until an administrator unlocks it.
    pub lock_time: Span,
}

impl Default for LockoutFile {
    fn default() -> Self {
        let policy = LockoutPolicy::default();
        Self {
            throttle_after: policy.throttle_after,
            throttle_delay: Span::seconds(policy.throttle_delay.into()),
            throttle_max: Span::seconds(policy.throttle_max.into()),
            lock_after: policy.lock_after,
            lock_time: Span::seconds(policy.lock_time.into()),
        }
    }
}

/// `[policy.challenge]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChallengeFile {
    /// A PIN alone gets a challenge for the OTP.
    pub pin_first: bool,
    /// An OTP out of step gets a challenge for the one after it.
    pub next_otp: bool,
    /// For how long the answer to a challenge is taken.
    pub valid: Span,
}

impl Default for ChallengeFile {
    fn default() -> Self {
        let policy = ChallengePolicy::default();
        Self {
            pin_first: policy.pin_first,
            next_otp: policy.next_otp,
            valid: Span::seconds(policy.valid.into()),
        }
    }
}

/// `[policy.delivery]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeliveryPolicyFile {
    /// For how long an OTP is good after it was sent.
    pub valid: Span,
    /// For how long after it was sent no other is.
    pub resend_after: Span,
    /// What asks for the OTP of a token without a PIN, beside an empty passcode.
    pub words: Vec<String>,
}

impl Default for DeliveryPolicyFile {
    fn default() -> Self {
        let policy = DeliveryPolicy::default();
        Self {
            valid: Span::seconds(policy.valid.into()),
            resend_after: Span::seconds(policy.resend_after.into()),
            words: policy.words,
        }
    }
}

/// A TLS server's certificate and key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsFile {
    /// The certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS#8 PEM.
    pub key: PathBuf,
    /// Trust anchors for client certificates, PEM.
    pub client_trust: PathBuf,
    /// Revocation lists for client certificates, PEM or DER.
    #[serde(default)]
    pub client_revocation: Vec<PathBuf>,
}

/// `[otpce]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OtpceFile {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// The path of the service.
    #[serde(default = "otpce_path")]
    pub path: String,
    /// Other paths that mean the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `[otpce.tls]`
    pub tls: TlsFile,
    /// The CAs that clients are sent to, `host\CA name`, best first.
    pub issuing_ca: Vec<String>,
    /// Refuse requests without the header `X-OTPCEP-version`.
    #[serde(default = "yes")]
    pub require_version_header: bool,
    /// How often one machine may ask.
    #[serde(default = "otpce_per_minute")]
    pub max_requests_per_minute: NonZeroU32,
}

/// `[request]`: what requests for logon certificates must be like, for the RA and for the CA.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RequestFile {
    /// The name (`cn`) of the logon template.
    pub template_name: String,
    /// Its object identifier (`msPKI-Cert-Template-OID`).
    #[serde(deserialize_with = "object_identifier")]
    pub template_oid: ObjectIdentifier,
    /// Accept requests that are signed over SHA-1.
    pub allow_sha1: bool,
}

impl Default for RequestFile {
    fn default() -> Self {
        Self {
            template_name: TEMPLATE_NAME.into(),
            template_oid: ObjectIdentifier::new_unwrap(TEMPLATE_OID),
            allow_sha1: false,
        }
    }
}

/// `[ra]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RaFile {
    /// The DNS name of this host, in the certificate.
    pub name: String,
    /// The signing certificate, PEM; written at every renewal.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM; written at every renewal.
    pub key: PathBuf,
    /// The kind of key made at a renewal.
    #[serde(default = "rsa_2048")]
    pub key_type: KeySpec,
    /// Sign over SHA-1, for CAs that know nothing newer.
    #[serde(default)]
    pub sha1: bool,
    /// Add the RA's client information, which Microsoft's CA is used to.
    #[serde(default)]
    pub microsoft_controls: bool,
    /// Where renewals come from; the embedded CA if absent.
    pub est: Option<RaEstFile>,
}

/// `[ra.est]`: another CA's EST service, for renewals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RaEstFile {
    /// `https://host[:port]`, with a path label if the CA wants one.
    pub url: String,
    /// Trust anchors for its TLS certificate, PEM.
    pub trust: PathBuf,
    /// The client certificate that we show, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub key: PathBuf,
}

/// `[ca]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CaFile {
    /// The CA certificate, PEM.
    pub certificate: PathBuf,
    /// The CA key, PKCS#8 PEM.
    pub key: PathBuf,
    /// Where the revocation list is written, DER.
    pub crl: PathBuf,
    /// The base of the URLs in certificates: revocation list and CA certificate.
    pub publish_url: String,
    /// Validity of a revocation list.
    pub crl_validity: Option<Span>,
    /// How long the records of expired certificates are kept.
    pub keep_expired: Option<Span>,
    /// `[ca.logon]`: the profile of logon certificates.
    #[serde(default)]
    pub logon: ProfileConfig,
    /// `[ca.signing]`: the profile of signing certificates.
    #[serde(default)]
    pub signing: ProfileConfig,
    /// `[ca.server]`: the profile of TLS server certificates.
    #[serde(default)]
    pub server: ProfileConfig,
    /// `[ca.machine]`: the profile of TLS client certificates of machines.
    #[serde(default)]
    pub machine: ProfileConfig,
    /// `[ca.kdc]`: the profile of KDC certificates.
    #[serde(default)]
    pub kdc: ProfileConfig,
}

/// `[est]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EstFile {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// `[est.tls]`
    pub tls: TlsFile,
    /// Hosts that may enrol for signing certificates, by the dNSName of their client certificate.
    #[serde(default)]
    pub registration_authorities: Vec<String>,
    /// How often a full PKI request may come from one address.
    #[serde(default = "est_per_minute")]
    pub max_requests_per_minute: NonZeroU32,
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpFile {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
}

/// The name of the logon template unless configured.
pub const TEMPLATE_NAME: &str = "CountersignLogon";
/// Its object identifier, drawn as Active Directory draws one for a template of its own.
pub const TEMPLATE_OID: &str =
    "1.3.6.1.4.1.311.21.8.11428739.7223099.3899702.7840424.4400901.94.2064177.9313408";

pub(super) fn yes() -> bool {
    true
}

fn otpce_path() -> String {
    "/otpce".into()
}

fn otpce_per_minute() -> NonZeroU32 {
    const { NonZeroU32::new(60).unwrap() }
}

fn est_per_minute() -> NonZeroU32 {
    const { NonZeroU32::new(600).unwrap() }
}

fn rsa_2048() -> KeySpec {
    KeySpec::Rsa2048
}

fn object_identifier<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ObjectIdentifier, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format_args!("{text:?} is no object identifier such as 1.2.840"))
    })
}
