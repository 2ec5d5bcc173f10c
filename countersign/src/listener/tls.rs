//! TLS: server keys, and client certificates that are examined, not just demanded.
//!
//! A client without a usable certificate is let through the handshake, so that
//! it can be told 403 and the log can say which of absent, untrusted, expired
//! or revoked it was, instead of the connection being cut without a word.
//! Possession of the private key is always proved in the handshake.

use std::sync::Arc;

use countersign_core::{
    domain::time::UnixTime,
    pki::{cert::Certificate, dn, oid},
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime as TlsTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::app::publish::Publisher;

/// What a client showed in the handshake. Every request carries it as an extension.
#[derive(Debug, Clone)]
pub enum ClientCertificate {
    /// No certificate.
    Absent,
    /// A certificate that is not accepted.
    Refused(Refusal),
    /// A certificate that chains to a trust anchor and is valid now.
    Trusted(Arc<Machine>),
}

/// The holder of a trusted client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The subject, RFC 4514; may be empty.
    pub subject: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// The dNSNames of the subject alternative name, in lower case.
    pub dns_names: Vec<String>,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

/// Why a client certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No path to a trust anchor, not for client authentication, or malformed.
    Untrusted,
    /// On a revocation list.
    Revoked,
    /// Expired or not yet valid.
    OutOfDate,
}

impl ClientCertificate {
    /// The sub-code that Internet Information Services logs for a refusal; `None` if trusted.
    #[must_use]
    pub fn http_sub_code(&self) -> Option<&'static str> {
        match self {
            Self::Absent => Some("403.7"),
            Self::Refused(Refusal::Revoked) => Some("403.13"),
            Self::Refused(Refusal::Untrusted) => Some("403.16"),
            Self::Refused(Refusal::OutOfDate) => Some("403.17"),
            Self::Trusted(_) => None,
        }
    }

    /// What is wrong with it, for the log.
    #[must_use]
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Absent => "there is none",
            Self::Refused(Refusal::Revoked) => "it is revoked",
            Self::Refused(Refusal::Untrusted) => {
                "it leads to no trust anchor, or is not for client authentication"
            }
            Self::Refused(Refusal::OutOfDate) => "it has expired or is not valid yet",
            Self::Trusted(_) => "nothing",
        }
    }

    /// The name of the holder for log and audit: the first dNSName, or else the subject.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Absent | Self::Refused(_) => "",
            Self::Trusted(machine) => machine.name(),
        }
    }
}

impl Machine {
    /// The first dNSName, or else the subject.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dns_names.first().map_or(&self.subject, |name| name)
    }

    /// What it may be known by, in lower case: its dNSNames, or else the last common name of
    /// the subject. That is read from the certificate, for in the text of a subject another
    /// attribute may look like one.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        if !self.dns_names.is_empty() {
            return self.dns_names.clone();
        }
        let Ok(certificate) = Certificate::from_der(&self.der) else { return Vec::new() };
        let subject = dn::DistinguishedName::from_name(certificate.subject());
        subject.common_name().map(str::to_lowercase).into_iter().collect()
    }

    fn of(certificate: &Certificate) -> Self {
        let dns_names = certificate.dns_names();
        Self {
            subject: certificate.subject().to_string(),
            serial: certificate.serial().to_hex(),
            dns_names: dns_names.into_iter().map(|name| name.to_lowercase()).collect(),
            der: certificate.der().to_vec(),
        }
    }
}

/// What is wrong with the files of a TLS listener.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Operator: certificate and key do not fit, or are of a kind that TLS does not know.
    #[error("the TLS server certificate and its key cannot be used: {0}")]
    ServerKey(Error),
    /// Operator: trust anchors or revocation lists cannot be used.
    #[error("the trust anchors for client certificates cannot be used: {0}")]
    TrustAnchors(String),
}

/// Examines client certificates after the handshake.
#[derive(Clone)]
pub struct Examiner {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The embedded CA, whose revocations count at once.
    authority: Option<Arc<Publisher>>,
}

impl Examiner {
    /// An examiner for certificates that chain to `anchors` and are on none of `crls`.
    ///
    /// # Errors
    ///
    /// No anchor, or one that cannot be read.
    pub fn new(
        anchors: &[CertificateDer<'static>],
        crls: Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(anchor.clone()).map_err(|error| TlsError::TrustAnchors(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        let builder = builder.with_crls(crls).allow_unknown_revocation_status();
        let verifier =
            builder.build().map_err(|error| TlsError::TrustAnchors(error.to_string()))?;
        Ok(Self { verifier, authority: None })
    }

    /// The same, with what the embedded CA revokes from now on.
    #[must_use]
    pub fn with_authority(self, authority: Option<Arc<Publisher>>) -> Self {
        Self { authority, ..self }
    }

    /// What the chain shown by a client, leaf first, is worth at `now`.
    #[must_use]
    pub fn examine(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        now: UnixTime,
    ) -> ClientCertificate {
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
            return ClientCertificate::Absent;
        };
        let now = TlsTime::since_unix_epoch(std::time::Duration::from_secs(now.0));
        if let Err(error) = self.verifier.verify_client_cert(leaf, intermediates, now) {
            return ClientCertificate::Refused(refusal(&error));
        }
        let Ok(certificate) = Certificate::from_der(leaf) else {
            return ClientCertificate::Refused(Refusal::Untrusted);
        };
        if self.is_revoked_here(&certificate) {
            return ClientCertificate::Refused(Refusal::Revoked);
        }
        if is_for_logon(&certificate) {
            return ClientCertificate::Refused(Refusal::Untrusted);
        }
        ClientCertificate::Trusted(Arc::new(Machine::of(&certificate)))
    }

    fn is_revoked_here(&self, certificate: &Certificate) -> bool {
        self.authority.as_ref().is_some_and(|authority| {
            certificate.issuer() == authority.certificate().subject()
                && authority.is_revoked(&certificate.serial())
        })
    }
}

/// The TLS settings of a listener: TLS 1.2 and 1.3, these protocols by ALPN, a client
/// certificate asked for.
///
/// # Errors
///
/// Certificate and key do not fit each other.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    examiner: &Examiner,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::ServerKey)?;
    let mut config = builder
        .with_client_cert_verifier(Arc::new(AskOnly(examiner.verifier.clone())))
        .with_single_cert(chain, key)
        .map_err(TlsError::ServerKey)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The TLS settings of a listener that asks for no client certificate.
///
/// # Errors
///
/// Certificate and key do not fit each other.
pub fn server_config_for_anybody(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::ServerKey)?;
    let builder = builder.with_no_client_auth().with_single_cert(chain, key);
    Ok(Arc::new(builder.map_err(TlsError::ServerKey)?))
}

/// The one cryptographic provider of the program.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A user's logon certificate comes from the same CA as those of machines, but is none.
fn is_for_logon(certificate: &Certificate) -> bool {
    certificate.extended_key_usage().contains(&oid::SMART_CARD_LOGON)
}

fn refusal(error: &Error) -> Refusal {
    let Error::InvalidCertificate(cause) = error else { return Refusal::Untrusted };
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of rustls that grows")]
    match cause {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Refusal::OutOfDate,
        CertificateError::Revoked => Refusal::Revoked,
        _ => Refusal::Untrusted,
    }
}

/// Asks for a client certificate and has its key proved; [`Examiner::examine`] judges it later.
#[derive(Debug)]
struct AskOnly(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AskOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: TlsTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
