//! A connection is opened and bound: by who we are to the system, or by name and password.

use std::{io, os::unix::net::UnixStream, sync::Arc};

use countersign_core::secret::Secret;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use rustls::{
    ClientConfig, DEFAULT_VERSIONS, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    DirectoryError,
    guard::guarded,
    operation::{Failure, failure, succeeded},
};
use crate::{
    certificate,
    config::{
        directory::ServerSettings,
        server_url::{ServerUrl, bracketed},
    },
};

/// Opens connections to one server.
pub(super) struct Dialer {
    url: ServerUrl,
    name: String,
    tls: Option<Arc<ClientConfig>>,
    bind: Option<(String, Secret<String>)>,
    authorization: Option<String>,
}

impl Dialer {
    pub(super) fn new(settings: &ServerSettings) -> Result<Self, DirectoryError> {
        let wrong = |cause| DirectoryError::Settings { server: settings.url.clone(), cause };
        let url = ServerUrl::parse(&settings.url).map_err(wrong)?;
        let tls = match url {
            ServerUrl::Tls { .. } => Some(Arc::new(tls(settings).map_err(wrong)?)),
            ServerUrl::Socket(_) | ServerUrl::Plain { .. } => None,
        };
        Ok(Self {
            name: url.to_string(),
            url,
            tls,
            bind: settings.bind.clone(),
            authorization: settings.authorization_id.clone(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whom we act for, named with every request (RFC 4370).
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// A connection that is bound as ourselves.
    pub(super) async fn dial(&self) -> Result<Ldap, DirectoryError> {
        let mut connection = self.open().await?;
        self.bind(&mut connection).await?;
        Ok(connection)
    }

    /// A connection that is not bound.
    pub(super) async fn open(&self) -> Result<Ldap, DirectoryError> {
        let (settings, url) = self.settings().map_err(|error| self.unreachable(explain(&error)))?;
        let opened = LdapConnAsync::with_settings(settings, &url).await;
        let (driver, connection) =
            opened.map_err(|error| self.unreachable(explain_ldap(&error)))?;
        let name = self.name.clone();
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(directory = name, %error, "a connection to a directory ended");
            }
        });
        Ok(connection)
    }

    /// SASL EXTERNAL takes who we are from the socket or from our certificate.
    async fn bind(&self, connection: &mut Ldap) -> Result<(), DirectoryError> {
        let binding = async {
            match &self.bind {
                Some((dn, password)) => connection.simple_bind(dn, password.expose()).await,
                None => connection.sasl_external_bind().await,
            }
            .map_err(failure)
        };
        let bound = guarded(binding).await;
        let who = self.bind.as_ref().map_or("SASL EXTERNAL", |(dn, _)| dn.as_str());
        match bound.and_then(succeeded) {
            Ok(_) => Ok(()),
            Err(Failure::Lost(cause)) => Err(self.unreachable(cause)),
            Err(Failure::Refused(result)) => {
                Err(self.unreachable(format!("the bind as {who} was refused: {result}")))
            }
        }
    }

    /// A socket is opened here, so that its path needs no escapes.
    fn settings(&self) -> io::Result<(LdapConnSettings, String)> {
        let settings = LdapConnSettings::new();
        Ok(match &self.url {
            ServerUrl::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                (settings.set_std_stream(StdStream::Unix(stream)), "ldapi:///".to_owned())
            }
            ServerUrl::Plain { host, port } => {
                (settings, format!("ldap://{}:{port}", bracketed(host)))
            }
            ServerUrl::Tls { host, port } => {
                let tls = self.tls.clone().expect("who has such a URL has settings for TLS");
                (settings.set_config(tls), format!("ldaps://{}:{port}", bracketed(host)))
            }
        })
    }

    pub(super) fn unreachable(&self, cause: String) -> DirectoryError {
        DirectoryError::Unreachable { server: self.name.clone(), cause }
    }
}

/// Trust in the site's own anchors, or in the system's if it names none.
fn tls(settings: &ServerSettings) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(settings)?);
    let Some((chain, key)) = &settings.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificate::load(chain).map_err(|error| error.to_string())?;
    let unusable = |cause: String| format!("key {}: {cause}", key.display());
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(error.to_string()))?;
    builder
        .with_client_auth_cert(certificate::for_tls(&chain), key)
        .map_err(|error| unusable(format!("it does not fit the certificate: {error}")))
}

fn roots(settings: &ServerSettings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let anchors: Vec<CertificateDer<'_>> = match &settings.trust {
        Some(file) => {
            let anchors = certificate::load(file).map_err(|error| error.to_string())?;
            certificate::for_tls(&anchors)
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    for anchor in anchors {
        roots.add(anchor).map_err(|error| format!("trust anchor: {error}"))?;
    }
    Ok(roots)
}

fn explain(error: &io::Error) -> String {
    let next = NEXT_STEPS.iter().find(|(kind, _)| *kind == error.kind());
    format!("{error}{}", next.map_or("", |(_, step)| step))
}

fn explain_ldap(error: &LdapError) -> String {
    if let LdapError::Io { source } = error { explain(source) } else { error.to_string() }
}

const NEXT_STEPS: [(io::ErrorKind, &str); 3] = [
    (io::ErrorKind::NotFound, "; is the server running, and is this the path of its socket?"),
    (io::ErrorKind::ConnectionRefused, "; is the server running?"),
    (io::ErrorKind::PermissionDenied, "; is the user of this program allowed to use the socket?"),
];
