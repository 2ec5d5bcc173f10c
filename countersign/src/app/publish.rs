//! Publish: the revocation list, signed anew before it runs out.
//!
//! The list in memory is the one that the CA itself goes by, so a revoked
//! signing certificate is refused from the moment of its revocation.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use countersign_core::{
    pki::{
        cert::{Certificate, CertificateError, Serial},
        crl::{self, RevocationList, Revoked},
        profile::{Addresses, Span},
    },
    time::UnixTime,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::issue::Authority;
use crate::{
    certificate,
    clock::Clock,
    signer::SignerError,
    store::{CertificateRecord, Store, StoreError},
};

/// Keeps the revocation list fresh, and the records of certificates few.
pub struct Publisher {
    authority: Arc<Authority>,
    store: Arc<dyn Store>,
    settings: PublishSettings,
    current: ArcSwapOption<RevocationList>,
    /// One list at a time, so that a higher number never carries older facts.
    signing: Mutex<()>,
}

/// How and where is published.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// The file that the list is written to, DER.
    pub file: PathBuf,
    /// How long a list is valid; it is signed anew at half of that.
    pub validity: Span,
    /// How long the records of expired certificates are kept, at least.
    pub keep_expired: Span,
    /// How long a signing certificate is valid. What it signed can be submitted
    /// all that time, and only a record tells that it was submitted before.
    pub signing_validity: Span,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Operator: the store cannot be read or written.
    #[error("the revocation list was not signed: {0}")]
    Store(#[from] StoreError),
    /// Operator: the CA key does not sign.
    #[error("the revocation list was not signed: {0}")]
    Key(#[from] SignerError),
    /// Us: the list cannot be made.
    #[error("the revocation list was not signed: {0}")]
    List(#[from] CertificateError),
    /// Operator: the list was signed and is in use, but not on disk.
    #[error("the revocation list cannot be written to {}: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: std::io::Error,
    },
}

impl Publisher {
    /// A publisher that has no list yet: call [`Publisher::publish`] before anything is issued.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        store: Arc<dyn Store>,
        settings: PublishSettings,
    ) -> Self {
        let current = ArcSwapOption::empty();
        Self { authority, store, settings, current, signing: Mutex::default() }
    }

    /// The list in force.
    #[must_use]
    pub fn current(&self) -> Option<Arc<RevocationList>> {
        self.current.load_full()
    }

    /// The CA's certificate, which is published as well.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.authority.certificate()
    }

    /// Whether a certificate is revoked. Without a list nobody can say, so every one is.
    #[must_use]
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.current().is_none_or(|list| list.revokes(serial))
    }

    /// Whether the list in force has passed half of its life, or there is none.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        let Some(list) = self.current() else { return true };
        let life = list.next_update().map_or(0, |end| end.since(list.this_update()));
        now < list.this_update() || now.since(list.this_update()) >= life / 2
    }

    /// Whether the list in force is in its last quarter: it was due long ago.
    #[must_use]
    pub fn is_overdue(&self, now: UnixTime) -> bool {
        let list = self.current();
        let span = list.as_ref().and_then(|list| Some((list.this_update(), list.next_update()?)));
        span.is_none_or(|(begin, end)| end.since(now) < end.since(begin) / 4)
    }

    /// Revokes a certificate and publishes the list that says so.
    ///
    /// # Errors
    ///
    /// The store does not have it, or the list cannot be signed or written.
    pub async fn revoke(&self, serial: &Serial, now: UnixTime) -> Result<(), PublishError> {
        self.store.revoke_certificate(serial.to_hex(), now).await?;
        self.publish(now).await
    }

    /// Signs a new list from the records, puts it in force and writes it.
    ///
    /// # Errors
    ///
    /// The store, the key or the file cannot be used.
    pub async fn publish(&self, now: UnixTime) -> Result<(), PublishError> {
        let _one_at_a_time = self.signing.lock().await;
        let number = self.store.next_number(CRL_NUMBERS).await?;
        let revoked = self.revoked(now).await?;
        let next_update = now.plus(self.settings.validity.as_seconds());
        let prepared = crl::prepare(self.authority.issuer(), number, now, next_update, &revoked)?;
        let signature = self.authority.key().sign(prepared.digest(), prepared.to_be_signed())?;
        let list = Arc::new(prepared.complete(&signature)?);
        self.current.store(Some(list.clone()));
        let file = &self.settings.file;
        certificate::replace(file, list.der())
            .map_err(|cause| PublishError::File { file: file.clone(), cause })
    }

    /// Forgets the records of certificates that expired long ago.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub async fn prune(&self, now: UnixTime) -> Result<u64, StoreError> {
        let PublishSettings { keep_expired, validity, signing_validity, .. } = self.settings;
        // What a list in force names must stay until that list has run out, and
        // what was issued for a request until nobody vouches for it any more.
        let vouched = signing_validity.as_seconds().saturating_add(Span::days(1).as_seconds());
        let keep = keep_expired.max(validity).as_seconds().max(vouched);
        self.store.prune_certificates(now.minus(keep)).await
    }

    /// Publishes and prunes until `stop`. A failure is logged, and tried again.
    pub async fn run(&self, clock: &dyn Clock, stop: &CancellationToken) {
        loop {
            self.tick(clock.now()).await;
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn tick(&self, now: UnixTime) {
        if !self.is_due(now) {
            return;
        }
        match self.publish(now).await {
            Ok(()) => tracing::info!("revocation list signed"),
            Err(error) => tracing::error!(%error, "publishing failed; the next try is in a minute"),
        }
        match self.prune(now).await {
            Ok(count) => tracing::info!(count, "records of expired certificates removed"),
            Err(error) => tracing::error!(%error, "expired certificates could not be removed"),
        }
    }

    /// The revoked certificates that a list must name: those that are not long expired.
    async fn revoked(&self, now: UnixTime) -> Result<Vec<Revoked>, PublishError> {
        let mut revoked = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.certificates(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(revoked) };
            after = Some(last.serial.clone());
            for record in &page {
                revoked.extend(self.entry(record, now)?);
            }
        }
    }

    /// RFC 5280 §3.3: an entry stays until one list after the certificate's end has shown it.
    fn entry(
        &self,
        record: &CertificateRecord,
        now: UnixTime,
    ) -> Result<Option<Revoked>, PublishError> {
        let shown_until = record.not_after.plus(self.settings.validity.as_seconds());
        let Some(at) = record.revoked.filter(|_| now <= shown_until) else { return Ok(None) };
        let serial = Serial::from_hex(&record.serial)?;
        Ok(Some(Revoked { serial, at }))
    }
}

/// Where the publications of a CA are, below the base that the config names.
#[must_use]
pub fn addresses(base: &str) -> Addresses {
    let url = |path: &str| vec![format!("{}{path}", base.trim_end_matches('/'))];
    Addresses { crl_urls: url(CRL_PATH), issuer_urls: url(CERTIFICATE_PATH) }
}

/// The revocation list, DER.
pub const CRL_PATH: &str = "/ca.crl";
/// The CA certificate, DER.
pub const CERTIFICATE_PATH: &str = "/ca.cer";

/// The series of CRL numbers in the store.
const CRL_NUMBERS: &str = "crl";
/// How many records are read at once.
const PAGE: usize = 1000;
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(60);
