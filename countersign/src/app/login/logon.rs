//! What a login ends with: a certificate and its key, to be saved or turned into a ticket.

use std::path::{Path, PathBuf};

use countersign_core::{
    pki::{cert::Certificate, extension::Principal},
    secret::Secret,
};
use x509_cert::ext::pkix::name::GeneralName;

use super::LoginError;
use crate::{
    client::kerberos::{Kinit, KinitError},
    signer::{file::FileSigner, pkcs12},
    vault,
};

/// A logon certificate with its key.
#[derive(Debug)]
pub struct Logon {
    /// The certificate.
    pub certificate: Certificate,
    /// The CA certificates above it, issuer first, as far as the CA sent them.
    pub chain: Vec<Certificate>,
    /// Its key.
    pub key: FileSigner,
    /// The CA that issued it, as `host\CA name` or as a URL.
    pub ca: String,
}

/// The ticket that a logon is for.
#[derive(Debug, Clone)]
pub struct Ticket<'a> {
    /// Whose, `user@REALM`.
    pub principal: &'a str,
    /// Whom the KDC's certificate must chain to.
    ///
    /// Certificates that came with the logon certificate are no such anchors:
    /// whoever answered instead of the CA could have sent them.
    pub anchors: &'a [Certificate],
    /// The credential cache, as `KRB5CCNAME` has it; the default one if `None`.
    pub cache: Option<String>,
    /// The Kerberos configuration; the system's if `None`.
    pub config: Option<PathBuf>,
}

impl Logon {
    /// Writes key, certificate and chain to a new PEM file that only its owner can read.
    ///
    /// # Errors
    ///
    /// Event 10007: the file exists or cannot be written.
    pub fn save_pem(&self, file: &Path) -> Result<(), LoginError> {
        let key = self.key.pkcs8_pem().map_err(|error| LoginError::not_stored(&error))?;
        let certificates: String = self.all().iter().map(Certificate::to_pem).collect();
        let text = Secret::new([key.expose(), certificates.as_str()].concat());
        Self::save(file, text.expose_bytes())
    }

    /// Writes key, certificate and chain to a new PKCS#12 file that only its owner can read.
    ///
    /// # Errors
    ///
    /// Event 10007: the file exists or cannot be written.
    pub fn save_pkcs12(
        &self,
        file: &Path,
        friendly_name: &str,
        password: &Secret<String>,
    ) -> Result<(), LoginError> {
        let chain: Vec<Vec<u8>> = self.all().iter().map(|one| one.der().to_vec()).collect();
        let pfx = pkcs12::to_pfx(&self.key, &chain, friendly_name, password);
        let pfx = pfx.map_err(|error| LoginError::not_stored(&error))?;
        Self::save(file, &pfx)
    }

    fn save(file: &Path, content: &[u8]) -> Result<(), LoginError> {
        vault::write_new(file, content)
            .map_err(|error| LoginError::not_stored(&format_args!("{}: {error}", file.display())))
    }

    /// The Kerberos principal that the certificate names (id-pkinit-san), as `user@REALM`.
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "of a library's enum, one kind is wanted"
        )]
        let principal = |name: &GeneralName| match name {
            GeneralName::OtherName(other) => Principal::from_name(other),
            _ => None,
        };
        let principal = self.certificate.alternative_names().iter().find_map(principal)?;
        Some(format!("{}@{}", principal.components.join("/"), principal.realm))
    }

    /// Gets a Kerberos ticket with the certificate, and says what klist says about it.
    ///
    /// # Errors
    ///
    /// The key cannot be handed over, or there is no ticket.
    pub async fn kinit(&self, ticket: &Ticket<'_>) -> Result<String, KinitError> {
        let key = self.key.pkcs8_pem().map_err(std::io::Error::other);
        let key = key.map_err(KinitError::Memory)?;
        let kinit = Kinit {
            principal: ticket.principal,
            certificate: &self.certificate,
            key: &key,
            anchors: ticket.anchors,
            cache: ticket.cache.clone(),
            config: ticket.config.clone(),
        };
        kinit.run().await?;
        kinit.list().await
    }

    /// The certificate and its chain.
    #[must_use]
    pub fn all(&self) -> Vec<Certificate> {
        std::iter::once(&self.certificate).chain(&self.chain).cloned().collect()
    }
}
