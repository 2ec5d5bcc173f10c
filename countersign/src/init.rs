//! Init: a state directory with everything that the daemon needs.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_core::pki::{
    cert::{Subject, common_name},
    profile::{Kind, ProfileConfig},
};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use x509_cert::name::Name;

use crate::{
    app::{
        Asked,
        issue::{Authority, Ca, IssueError},
        publish::PublishError,
    },
    audit::{Audit, FileAudit},
    certificate::{self, FileError},
    clock::Clock,
    config::{Config, ConfigError, template::Filling},
    run::{StartError, certificate_authority},
    signer::{
        Signer, SignerError,
        file::{FileSigner, KeySpec},
    },
    store::{Store, StoreError, embedded::Embedded},
    vault::{self, Vault, VaultError},
};

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The directory; it may exist, but not hold a config.
    pub directory: PathBuf,
    /// The kind of key of CA, RA and TLS server.
    pub key_spec: KeySpec,
    /// Names and ports.
    pub filling: Filling,
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The directory.
    pub directory: PathBuf,
    /// The DNS domain of the accounts.
    pub realm: String,
    /// The files.
    pub files: &'static [File],
}

/// One file that was made.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct File {
    /// Its name in the directory.
    pub name: &'static str,
    /// What it is.
    pub meaning: &'static str,
}

/// Why the directory was not made, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Operator: there is one already.
    #[error("{}: there is a config already; choose another directory, nothing was changed", .0.display())]
    Exists(PathBuf),
    /// Operator: a file or directory cannot be written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: io::Error,
    },
    /// The master key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A private key.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A certificate file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The revocation list.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Us: the config that was written cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Us: the CA that was written cannot be started.
    #[error(transparent)]
    Start(#[from] Box<StartError>),
}

/// Makes the directory: key and store first, then the CA, then what the CA vouches for.
/// The config comes first of all, so that a directory is never half made twice.
///
/// # Errors
///
/// The directory is in use or cannot be written; see [`InitError`].
pub async fn init(plan: &Plan, clock: &dyn Clock) -> Result<Made, InitError> {
    let directory = &plan.directory;
    let config = write_config(plan)?;
    let vault = Vault::create(&config.master_key)?;
    let store: Arc<dyn Store> = Arc::new(Embedded::create(&config.store, vault.key_id())?);
    let audit: Arc<dyn Audit> = Arc::new(
        FileAudit::open(&config.audit_log).map_err(|cause| io_error(&config.audit_log, cause))?,
    );
    write_secret(&directory.join("radius/localhost.secret"))?;
    found_authority(plan, directory, clock)?;
    issue_certificates(plan, &config, store, audit, clock).await?;
    Ok(Made { directory: directory.clone(), realm: plan.filling.realm.clone(), files: FILES })
}

fn write_config(plan: &Plan) -> Result<Config, InitError> {
    let directory = &plan.directory;
    let file = directory.join("countersign.toml");
    if file.exists() {
        return Err(InitError::Exists(directory.clone()));
    }
    for below in ["", "store", "radius", "ca", "ra", "tls"] {
        let path = directory.join(below);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&path).map_err(|cause| io_error(&path, cause))?;
    }
    // The secret's file must be there when the config is read.
    let secret = directory.join("radius/localhost.secret");
    vault::write_new(&secret, b"to be drawn\n").map_err(|cause| io_error(&secret, cause))?;
    vault::write_new(&file, plan.filling.render().as_bytes())
        .map_err(|cause| io_error(&file, cause))?;
    Ok(Config::load(&file)?)
}

fn write_secret(path: &Path) -> Result<(), InitError> {
    let secret = BASE64URL_NOPAD.encode(&vault::random_octets::<24>());
    fs::write(path, format!("{secret}\n")).map_err(|cause| io_error(path, cause))
}

/// A key and a self-signed certificate for the embedded CA.
fn found_authority(plan: &Plan, directory: &Path, clock: &dyn Clock) -> Result<(), InitError> {
    let key = FileSigner::generate(plan.key_spec)?;
    key.save(&directory.join("ca/ca.key"))?;
    let name = common_name(&plan.filling.ca_name);
    let authority = Authority::found(name, &ProfileConfig::default(), Arc::new(key), clock.now())?;
    certificate::save(&directory.join("ca/ca.pem"), &[authority.certificate().clone()])?;
    Ok(())
}

/// The first revocation list, then certificates for the TLS listeners and for the RA.
async fn issue_certificates(
    plan: &Plan,
    config: &Config,
    store: Arc<dyn Store>,
    audit: Arc<dyn Audit>,
    clock: &dyn Clock,
) -> Result<(), InitError> {
    let ca = config.ca.as_ref().expect("the template has a [ca] section");
    let ca = certificate_authority(ca, &config.request, store, audit).map_err(Box::new)?;
    ca.publisher.publish(clock.now()).await?;
    let host = &plan.filling.host;
    for (kind, path) in [(Kind::Server, "tls/server"), (Kind::Signing, "ra/ra")] {
        let files = plan.directory.join(path);
        issue_host_certificate(&ca, kind, host, plan.key_spec, &files, clock).await?;
    }
    Ok(())
}

async fn issue_host_certificate(
    ca: &Ca,
    kind: Kind,
    host: &str,
    key_spec: KeySpec,
    files: &Path,
    clock: &dyn Clock,
) -> Result<(), InitError> {
    let key = FileSigner::generate(key_spec)?;
    key.save(&files.with_extension("key"))?;
    let correlation = vault::random_octets().into();
    let asked = Asked { peer: "countersign init".into(), correlation, at: clock.now() };
    let public_key = key.public_key();
    let subject = host_subject(host);
    let certificate =
        ca.issue_infrastructure(kind, subject, public_key, public_key, &asked).await?;
    certificate::save(&files.with_extension("pem"), &[certificate])?;
    Ok(())
}

/// A host by its DNS name or its address.
#[must_use]
pub fn host_subject(host: &str) -> Subject {
    match host.parse::<IpAddr>() {
        Ok(address) => Subject::Host { name: Name::default(), dns: vec![], ip: vec![address] },
        Err(_) => Subject::Host { name: Name::default(), dns: vec![host.to_owned()], ip: vec![] },
    }
}

fn io_error(path: &Path, cause: io::Error) -> InitError {
    InitError::Io { path: path.to_owned(), cause }
}

const FILES: &[File] = &[
    File { name: "countersign.toml", meaning: "the config, with comments" },
    File { name: "master.key", meaning: "opens the shared secrets: keep a copy elsewhere" },
    File { name: "store/", meaning: "accounts, tokens, counters, issued certificates" },
    File { name: "audit.log", meaning: "who authenticated where, and why not" },
    File { name: "radius/localhost.secret", meaning: "the secret of the RADIUS client 127.0.0.1" },
    File { name: "ca/ca.key", meaning: "the key of the embedded CA: keep a copy elsewhere" },
    File { name: "ca/ca.pem", meaning: "its certificate: what clients and KDCs must trust" },
    File { name: "ca/ca.crl", meaning: "its revocation list, signed anew by itself" },
    File { name: "tls/server.pem, .key", meaning: "the TLS server of the OTPCE and EST listeners" },
    File { name: "ra/ra.pem, .key", meaning: "the signing certificate, renewed by itself" },
];
