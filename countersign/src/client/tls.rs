//! TLS as a client: the anchors that are trusted, and what we show of ourselves.

use std::sync::Arc;

use countersign_core::{pki::cert::Certificate, secret::Secret};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::certificate;

/// What we show in the handshake: a certificate chain, leaf first, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The chain, leaf first.
    pub chain: Vec<Certificate>,
    /// The key, DER PKCS#8.
    pub key: Secret<Vec<u8>>,
}

/// What is wrong with the settings of a client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Operator: the trust anchors cannot be used.
    #[error("the trust anchors for TLS servers cannot be used: {0}")]
    TrustAnchors(rustls::Error),
    /// Operator: the client certificate and its key cannot be used.
    #[error("the TLS client certificate and its key cannot be used: {0}")]
    Identity(rustls::Error),
}

/// Trust in these anchors.
///
/// # Errors
///
/// One of them cannot be used.
pub(super) fn roots_of(anchors: &[Certificate]) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    for anchor in certificate::for_tls(anchors) {
        roots.add(anchor).map_err(ClientError::TrustAnchors)?;
    }
    Ok(roots)
}

/// The settings of a client that trusts servers whose certificates chain to `roots` and
/// carry the name that it asked for.
///
/// # Errors
///
/// Certificate and key do not fit each other.
pub(super) fn client_config(
    roots: RootCertStore,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, ClientError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .map_err(ClientError::TrustAnchors)?
        .with_root_certificates(roots);
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificate::for_tls(&identity.chain);
    let key = PrivatePkcs8KeyDer::from(identity.key.expose().clone());
    builder.with_client_auth_cert(chain, PrivateKeyDer::from(key)).map_err(ClientError::Identity)
}

/// An error with its causes, innermost last; TLS alerts are found there.
pub(super) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}
