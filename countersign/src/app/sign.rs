//! Sign: a checked certificate request leaves with the RA's signature.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use countersign_core::{
    domain::{
        event::{Event, What},
        id::CorrelationId,
    },
    pki::{
        algorithm::Digest,
        cert::{Certificate, natural_digest},
        cmc::{self, ClientInfo, CmcError, Wrapping},
        cms,
        request::CheckedRequest,
    },
    time::UnixTime,
};
use data_encoding::HEXLOWER;

use crate::{
    audit::Audit,
    certificate::readable,
    signer::{Signer, SignerError},
};

/// The registration authority: signs checked requests with the current signing certificate.
///
/// The certificate can be exchanged at any time; a request that is being signed
/// keeps the one it began with.
pub struct Ra {
    current: ArcSwapOption<SigningCertificate>,
    settings: RaSettings,
    audit: Arc<dyn Audit>,
}

/// A signing certificate with its key.
#[derive(Debug)]
pub struct SigningCertificate {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: Arc<dyn Signer>,
}

/// How requests are signed.
#[derive(Debug, Clone, Default)]
pub struct RaSettings {
    /// Over SHA-1, for CAs that know nothing newer.
    pub sha1: bool,
    /// Added to requests for Microsoft's CA.
    pub client_info: Option<ClientInfo>,
}

/// The state of the signing certificate, for health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// Its validity has not begun.
    NotYetValid,
    /// Valid until then.
    ValidUntil(UnixTime),
    /// Expired since then.
    ExpiredSince(UnixTime),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum RaError {
    /// Operator: there is no signing certificate.
    #[error("there is no signing certificate; the log and /healthz say why none was issued")]
    NoCertificate,
    /// Operator: it is not valid now.
    #[error("the signing certificate {serial} is valid from {} to {} only", readable(*.not_before), readable(*.not_after))]
    NotValid {
        /// Its serial number.
        serial: String,
        /// The first second.
        not_before: UnixTime,
        /// The last second.
        not_after: UnixTime,
    },
    /// Operator: certificate and key are not a pair.
    #[error("the signing certificate {0} has another public key than the key beside it")]
    NotAPair(String),
    /// Operator or us: the key does not sign.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// Us: the request cannot be wrapped.
    #[error(transparent)]
    Wrapping(#[from] CmcError),
}

impl SigningCertificate {
    /// A certificate, its key, and the certificates that are sent along with it.
    ///
    /// # Errors
    ///
    /// The key is not the certificate's.
    pub fn new(
        certificate: Certificate,
        chain: Vec<Certificate>,
        key: Arc<dyn Signer>,
    ) -> Result<Self, RaError> {
        if certificate.public_key() != key.public_key() {
            return Err(RaError::NotAPair(certificate.serial().to_hex()));
        }
        Ok(Self { certificate, chain, key })
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &dyn Signer {
        &*self.key
    }
}

impl Ra {
    /// A registration authority that has no signing certificate yet.
    #[must_use]
    pub fn new(settings: RaSettings, audit: Arc<dyn Audit>) -> Self {
        Self { current: ArcSwapOption::empty(), settings, audit }
    }

    /// Uses this certificate from now on.
    pub fn install(&self, signing: SigningCertificate) {
        self.current.store(Some(Arc::new(signing)));
    }

    /// The certificate in use.
    #[must_use]
    pub fn current(&self) -> Option<Arc<SigningCertificate>> {
        self.current.load_full()
    }

    /// The state of the certificate in use.
    #[must_use]
    pub fn standing(&self, now: UnixTime) -> Standing {
        let Some(signing) = self.current() else { return Standing::Missing };
        let certificate = &signing.certificate;
        if now < certificate.not_before() {
            Standing::NotYetValid
        } else if now > certificate.not_after() {
            Standing::ExpiredSince(certificate.not_after())
        } else {
            Standing::ValidUntil(certificate.not_after())
        }
    }

    /// Signs a checked request: a CMC full PKI request, DER.
    ///
    /// # Errors
    ///
    /// The signing certificate is missing or not valid, or its key cannot be used.
    pub fn sign(
        &self,
        request: &CheckedRequest,
        correlation: CorrelationId,
        at: UnixTime,
    ) -> Result<Vec<u8>, RaError> {
        let signing = self.current().ok_or(RaError::NoCertificate)?;
        let certificate = &signing.certificate;
        check_validity(certificate, at)?;
        let prepared = cmc::prepare_request(request.der(), certificate, &self.wrapping(&signing))?;
        let request_sha256 = HEXLOWER.encode(&cms::hash(Digest::Sha256, request.der()));
        let record = |what| self.audit.record(Event { at, correlation, what });
        record(What::SigningIntended {
            account: request.account(),
            request_sha256: request_sha256.clone(),
            signer_serial: certificate.serial().to_hex(),
        });
        let signature = signing.key.sign(prepared.digest(), prepared.to_be_signed())?;
        record(What::Signed { request_sha256 });
        Ok(prepared.complete(&signature))
    }

    /// Always with the placeholder: Microsoft's CA demands it, and ours takes it.
    fn wrapping<'a>(&'a self, signing: &'a SigningCertificate) -> Wrapping<'a> {
        let natural = natural_digest(signing.key.kind());
        Wrapping {
            digest: if self.settings.sha1 { Digest::Sha1 } else { natural },
            placeholder: true,
            client_info: self.settings.client_info.as_ref(),
            chain: &signing.chain,
        }
    }
}

fn check_validity(certificate: &Certificate, at: UnixTime) -> Result<(), RaError> {
    if certificate.is_valid_at(at) {
        return Ok(());
    }
    Err(RaError::NotValid {
        serial: certificate.serial().to_hex(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    })
}
