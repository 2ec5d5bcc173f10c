//! Renew: the signing certificate, at half of its life.
//!
//! Every renewal makes a new key. The new certificate is in use at once; the
//! files are what the next start begins with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_core::{
    domain::id::CorrelationId,
    pki::{
        cert::{Certificate, Subject, common_name, natural_digest},
        csr::PreparedRequest,
        dn::DistinguishedName,
        extension, oid,
        profile::Kind,
    },
    time::UnixTime,
};
use tokio_util::sync::CancellationToken;
use x509_cert::name::Name;

use super::{
    Asked,
    issue::{Ca, IssueError},
    sign::{Ra, RaError, SigningCertificate},
};
use crate::{
    certificate::{self, readable},
    client::{
        est::{EstClient, EstError},
        http::{ClientError, HttpsClient, HttpsUrl, Identity, Patience},
    },
    clock::Clock,
    signer::{
        Signer, SignerError,
        file::{FileSigner, KeySpec},
    },
    vault,
};

/// Keeps the registration authority in possession of a signing certificate.
pub struct Renewer {
    /// Who signs with it.
    pub ra: Arc<Ra>,
    /// Who issues it.
    pub source: Source,
    /// The name of this host, which the certificate names.
    pub host: String,
    /// The kind of key to make.
    pub key: KeySpec,
    /// Where certificate and key are kept.
    pub files: SigningFiles,
}

/// Where a signing certificate and its key are kept.
#[derive(Debug, Clone)]
pub struct SigningFiles {
    /// The certificate, and those sent along with it, PEM.
    pub certificate: PathBuf,
    /// The key, PKCS#8 PEM.
    pub key: PathBuf,
}

/// Who issues signing certificates.
pub enum Source {
    /// The embedded CA.
    Embedded(Arc<Ca>),
    /// Another CA, by EST.
    Est(EstSource),
}

/// Another CA's EST service. The files are read anew for every renewal.
#[derive(Debug, Clone)]
pub struct EstSource {
    /// Where it is.
    pub url: HttpsUrl,
    /// Trust anchors for its TLS certificate, PEM.
    pub trust: PathBuf,
    /// The client certificate that we show, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub key: PathBuf,
}

/// Why there is no new signing certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// Operator: the embedded CA does not issue.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Operator: the files for the other CA's EST service cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The other CA does not issue.
    #[error(transparent)]
    Est(#[from] EstError),
    /// Operator: no certificate request can be made for this host.
    #[error("no certificate request for {host}: {cause}")]
    Request {
        /// The name of this host.
        host: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The CA: what it issued cannot be used.
    #[error("the CA issued a certificate that is of no use: {0}")]
    Unusable(&'static str),
    /// Operator or us: no key could be made or kept.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// Operator: certificate and key do not belong together.
    #[error(transparent)]
    Pair(#[from] RaError),
    /// Operator: a file cannot be read.
    #[error(transparent)]
    Read(#[from] certificate::FileError),
    /// Operator: the key file cannot be replaced.
    #[error("private key {}: {cause}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: io::Error,
    },
}

impl SigningFiles {
    /// Reads what the last renewal left.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or they do not belong together.
    pub fn load(&self) -> Result<SigningCertificate, RenewError> {
        let mut chain = certificate::load(&self.certificate)?;
        let certificate = chain.remove(0);
        let key = Arc::new(FileSigner::load(&self.key)?);
        Ok(SigningCertificate::new(certificate, chain, key)?)
    }

    /// Replaces both. A crash in between leaves files that do not belong
    /// together, which [`SigningFiles::load`] refuses and a renewal mends.
    fn save(&self, key: &FileSigner, chain: &[Certificate]) -> Result<(), RenewError> {
        let fresh = beside(&self.key);
        let write = |cause| RenewError::Write { file: self.key.clone(), cause };
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
            Ok(()) | Err(_) => {}
        }
        key.save(&fresh)?;
        fs::rename(&fresh, &self.key).map_err(write)?;
        certificate::save(&self.certificate, chain)?;
        Ok(())
    }
}

impl Renewer {
    /// Begins with what the files hold; if that cannot be used, with a new certificate.
    pub async fn begin(&self, now: UnixTime) {
        match self.files.load() {
            Ok(signing) => self.ra.install(signing),
            Err(error) => tracing::warn!(%error, "the signing certificate cannot be used"),
        }
        self.tick(now).await;
    }

    /// Renews until `stop`. A failure is logged, and tried again.
    pub async fn run(&self, clock: &dyn Clock, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => return,
            }
            self.tick(clock.now()).await;
        }
    }

    /// Renews if it is time to.
    async fn tick(&self, now: UnixTime) {
        if !self.is_due(now) {
            return;
        }
        match self.renew(now).await {
            Ok(certificate) => {
                let (serial, end) =
                    (certificate.serial().to_hex(), readable(certificate.not_after()));
                tracing::info!(serial, "new signing certificate, valid until {end}");
            }
            Err(error) => {
                let standing = self.ra.standing(now);
                tracing::error!(%error, ?standing, "no new signing certificate; the next try is in a minute");
            }
        }
    }

    /// Whether the certificate in use has passed half of its life, or there is none.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        let Some(signing) = self.ra.current() else { return true };
        let certificate = signing.certificate();
        let life = certificate.not_after().since(certificate.not_before());
        !certificate.is_valid_at(now) || now.since(certificate.not_before()) >= life / 2
    }

    /// Makes a key, has it certified, keeps both, and uses them from now on.
    ///
    /// # Errors
    ///
    /// No key, no certificate, or no way to keep them. The one in use stays.
    pub async fn renew(&self, now: UnixTime) -> Result<Certificate, RenewError> {
        let spec = self.key;
        let key = tokio::task::spawn_blocking(move || FileSigner::generate(spec));
        let key = key.await.expect("making a key does not panic, and is not cancelled")?;
        let chain = self.certify(&key, now).await?;
        let Some((certificate, further)) = chain.split_first() else {
            return Err(RenewError::Unusable("there is none in its answer"));
        };
        check(certificate, &key, now)?;
        self.files.save(&key, &chain)?;
        let signing =
            SigningCertificate::new(certificate.clone(), further.to_vec(), Arc::new(key))?;
        self.ra.install(signing);
        Ok(certificate.clone())
    }

    /// The certificate for a key; behind it those that are to be sent along.
    async fn certify(
        &self,
        key: &FileSigner,
        now: UnixTime,
    ) -> Result<Vec<Certificate>, RenewError> {
        match &self.source {
            Source::Embedded(ca) => Ok(vec![self.by_embedded(ca, key, now).await?]),
            Source::Est(source) => self.by_est(source, key).await,
        }
    }

    async fn by_embedded(
        &self,
        ca: &Ca,
        key: &FileSigner,
        now: UnixTime,
    ) -> Result<Certificate, IssueError> {
        let subject =
            Subject::Host { name: Name::default(), dns: vec![self.host.clone()], ip: Vec::new() };
        let correlation = CorrelationId::from_bytes(vault::random_octets());
        let asked = Asked { peer: self.host.clone(), correlation, at: now };
        let public_key = key.public_key();
        ca.issue_infrastructure(Kind::Signing, subject, public_key, public_key, &asked).await
    }

    /// The root is not sent along: who does not have it will not trust it.
    async fn by_est(
        &self,
        source: &EstSource,
        key: &FileSigner,
    ) -> Result<Vec<Certificate>, RenewError> {
        let client = source.client()?;
        let issued = client.simpleenroll(&self.request(key)?, key.public_key()).await?;
        let is_root = |certificate: &Certificate| certificate.subject() == certificate.issuer();
        let mut chain = issued.all();
        chain.retain(|certificate| !is_root(certificate));
        Ok(chain)
    }

    /// A PKCS#10 that names this host, as common name for CAs that want a subject.
    fn request(&self, key: &FileSigner) -> Result<Vec<u8>, RenewError> {
        let wrong = |cause: String| RenewError::Request { host: self.host.clone(), cause };
        let dns = extension::dns(&self.host).map_err(|error| wrong(error.to_string()))?;
        let names = extension::subject_alt_name(&[dns], false);
        let subject = DistinguishedName::from_name(&common_name(&self.host));
        let prepared = PreparedRequest::new(&subject, key.public_key(), &[names])
            .map_err(|error| wrong(error.to_string()))?;
        let digest = natural_digest(key.kind());
        let signature = key.sign(digest, prepared.to_be_signed())?;
        Ok(prepared.complete(digest, &signature))
    }
}

impl EstSource {
    fn client(&self) -> Result<EstClient, RenewError> {
        let anchors = certificate::load(&self.trust)?;
        let chain = certificate::load(&self.certificate)?;
        let key = FileSigner::load(&self.key)?.pkcs8()?;
        let http = HttpsClient::new(&anchors, Some(&Identity { chain, key }), PATIENCE)?;
        Ok(EstClient::new(http, &self.url))
    }
}

/// What a CA elsewhere issued is looked at before it replaces what works.
fn check(certificate: &Certificate, key: &FileSigner, now: UnixTime) -> Result<(), RenewError> {
    if certificate.public_key() != key.public_key() {
        return Err(RenewError::Unusable("it is for another key"));
    }
    if !certificate.extended_key_usage().contains(&oid::OTP_REGISTRATION_AUTHORITY) {
        return Err(RenewError::Unusable(
            "it lacks the extended key usage 1.3.6.1.4.1.311.81.1.1, so no CA would take what it signs",
        ));
    }
    if !certificate.is_valid_at(now) {
        return Err(RenewError::Unusable("it is not valid now; are both clocks right?"));
    }
    Ok(())
}

/// The name that a new key has until it is complete.
fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Nobody waits for a renewal; a CA may take its time.
const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(10), answer: Duration::from_secs(60) };
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use countersign_core::pki::profile::ProfileConfig;

    use super::*;
    use crate::app::{
        issue::{Authority, Profiles},
        publish::addresses,
    };

    const NOW: UnixTime = UnixTime(1_780_272_000);

    /// A certificate of this kind for this key.
    fn certificate(kind: Kind, key: &FileSigner) -> Certificate {
        use countersign_core::pki::cert::{self, Serial};

        let ca = Arc::new(FileSigner::generate(KeySpec::P256).unwrap());
        let config = ProfileConfig::default();
        let ca = Authority::found(common_name("CA"), &config, ca, NOW).unwrap();
        let profiles = Profiles::new(|_| &config, &addresses("http://ca.example")).unwrap();
        let profile = profiles.of(kind).unwrap();
        let dns = vec!["ra.example".to_owned()];
        let subject = Subject::Host { name: Name::default(), dns, ip: Vec::new() };
        let (issuer, serial) = (ca.issuer(), Serial::from_random([1; 16]).unwrap());
        let public_key = key.public_key();
        let prepared = cert::prepare(profile, &subject, public_key, issuer, &serial, NOW).unwrap();
        let signature = ca.key().sign(prepared.digest(), prepared.to_be_signed()).unwrap();
        prepared.complete(&signature).unwrap()
    }

    #[test]
    fn takes_only_what_can_replace_what_works() {
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        let signing = certificate(Kind::Signing, &key);
        assert!(check(&signing, &key, NOW).is_ok());
        let refused = |certificate, key, now| {
            let Err(RenewError::Unusable(why)) = check(certificate, key, now) else { panic!() };
            why
        };
        let other = FileSigner::generate(KeySpec::P256).unwrap();
        assert!(refused(&signing, &other, NOW).contains("another key"));
        let machine = certificate(Kind::Machine, &key);
        assert!(refused(&machine, &key, NOW).contains("1.3.6.1.4.1.311.81.1.1"));
        assert!(refused(&signing, &key, NOW.plus(3 * 86_400)).contains("not valid now"));
    }
}
