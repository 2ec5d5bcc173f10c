//! What signs: a private key that stays where it is and is asked for signatures.

use std::fmt;

use countersign_core::pki::algorithm::{Digest, KeyKind};

pub mod file;
pub mod pkcs12;
mod sha1;

/// A private key that signs. The CA, the RA and the client's key are such.
pub trait Signer: Send + Sync + 'static {
    /// The public key, a DER SubjectPublicKeyInfo.
    fn public_key(&self) -> &[u8];
    /// What kind of key it is.
    fn kind(&self) -> KeyKind;
    /// Signs a message: PKCS#1 v1.5, or a DER ECDSA-Sig-Value.
    ///
    /// # Errors
    ///
    /// The key cannot be used, or not with this digest.
    fn sign(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({:?})", self.kind())
    }
}

/// What can go wrong with a private key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Operator: the key cannot be read.
    #[error("private key {object}: {cause}")]
    Unusable {
        /// The file or token.
        object: String,
        /// What is wrong.
        cause: String,
    },
    /// The key refused to sign.
    #[error("the {kind:?} key cannot sign over {digest:?}")]
    Refused {
        /// The kind of key.
        kind: KeyKind,
        /// The digest asked for.
        digest: Digest,
    },
}
