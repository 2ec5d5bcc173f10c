//! Sign: a checked certificate request leaves with the RA's signature.

use countersign_core::{
    domain::{id::CorrelationId, time::UnixTime},
    pki::request::CheckedRequest,
};

/// The registration authority: the signing certificate and its key.
#[derive(Debug)]
pub struct Ra {}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum RaError {
    /// Operator: there is no signing certificate.
    #[error("there is no signing certificate")]
    NoCertificate,
}

impl Ra {
    /// Signs a checked request: a CMC full PKI request, DER.
    ///
    /// # Errors
    ///
    /// The signing certificate is missing or has expired, or its key cannot be used.
    pub fn sign(
        &self,
        _request: &CheckedRequest,
        _correlation: CorrelationId,
        _at: UnixTime,
    ) -> Result<Vec<u8>, RaError> {
        Err(RaError::NoCertificate)
    }
}
