//! Start-up, from top to bottom: the only place that wires the parts.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use countersign_core::{
    pki::{
        algorithm::KeyKind,
        cmc::ClientInfo,
        profile::{Kind, ProfileConfig, ProfileError, Span, TemplateConfig},
        request::RequestPolicy,
    },
    wire::otpce::IssuingCa,
};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject,
};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{
        admin::{self, Admin},
        authenticate::{Authenticator, Others, Parts},
        command::Commands,
        countersign::Countersigner,
        health::Health,
        issue::{Authority, Ca, IssueError, Profiles},
        ldap_proxy::LdapServerError,
        pin::Argon2Pins,
        publish::{PublishError, PublishSettings, Publisher, addresses},
        renew::{EstSource, Renewer, SigningFiles, Source},
        sign::{Ra, RaSettings},
    },
    audit::{Audit, FileAudit},
    certificate::{self, FileError},
    client::{delivery::ChannelError, http::UrlError, radius::UpstreamTlsError},
    clock::{Clock, SystemClock},
    config::{
        Config,
        file::{CaFile, RaFile, RequestFile, TlsFile},
    },
    directory::DirectoryError,
    listener::{
        control,
        est::{self, Est},
        http::HttpListener,
        inherited::Inherited,
        ldap::{self, LdapAddresses},
        limit::Limiter,
        otpce::{self, Otpce},
        publish::{self, Published},
        radius::{Accepted, BindError, RadiusAddresses},
        tls::{Examiner, TlsError, server_config},
    },
    signer::{
        SignerError,
        file::{AwsVerify, FileSigner},
    },
    store::{Store, StoreError},
    vault::{Vault, VaultError, keys::SiteKeyError},
};

mod back_sock;
mod controlled;
mod keeping;
mod ldap_proxy;
mod radius;

pub(crate) use self::radius::Reloader;
use self::{controlled::Controlled, radius::Serving};

/// The running daemon.
pub struct Daemon {
    /// Where it listens.
    pub addresses: ListenAddresses,
    reloader: Arc<Reloader>,
    radius: Option<Serving>,
    /// Connections that others have accepted for it.
    connections: TaskTracker,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where a daemon listens, with the ports that were free if the config said port 0.
#[derive(Debug, Clone, Default)]
pub struct ListenAddresses {
    /// RADIUS.
    pub radius: RadiusAddresses,
    /// The LDAP proxy.
    pub ldap: LdapAddresses,
    /// MS-OTPCE, TLS.
    pub otpce: Vec<SocketAddr>,
    /// EST, TLS.
    pub est: Vec<SocketAddr>,
    /// Revocation list, CA certificate, health: plain HTTP.
    pub http: Vec<SocketAddr>,
    /// slapd's overlay `sock`.
    pub back_sock: Option<PathBuf>,
}

impl fmt::Display for ListenAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { radius, ldap, otpce, est, http, back_sock } = self;
        let RadiusAddresses { udp, tcp, tls, unix } = radius;
        let all = [
            ("RADIUS", udp),
            ("RADIUS/TCP", tcp),
            ("RADIUS/TLS", tls),
            ("LDAP", &ldap.tcp),
            ("LDAPS", &ldap.tls),
            ("MS-OTPCE", otpce),
            ("EST", est),
            ("HTTP", http),
        ];
        let addresses = all.iter().flat_map(|(name, some)| {
            some.iter().map(move |address| format!("{name} on {address}"))
        });
        let paths = unix.iter().map(|path| ("RADIUS", &**path));
        let paths = paths.chain(ldap.unix.iter().map(|path| ("LDAP", path.as_ref())));
        let paths = paths.chain(back_sock.iter().map(|path| ("back-sock", path.as_path())));
        let paths = paths.map(|(name, path)| format!("{name} on {}", path.display()));
        f.write_str(&addresses.chain(paths).collect::<Vec<_>>().join(", "))
    }
}

/// Why the daemon does not start. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The master key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The private keys for secrets in a directory.
    #[error(transparent)]
    SiteKeys(#[from] SiteKeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A RADIUS address or socket.
    #[error(transparent)]
    Radius(#[from] BindError),
    /// An address or socket of the LDAP proxy.
    #[error(transparent)]
    Ldap(#[from] ldap::BindError),
    /// The directory server behind the LDAP proxy.
    #[error("config ldap-proxy.upstream: {0}")]
    LdapServer(#[from] LdapServerError),
    /// A channel by which OTPs are sent.
    #[error(transparent)]
    Delivery(#[from] ChannelError),
    /// A certificate file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A private key.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A TLS listener.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A certificate profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The embedded CA.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The revocation list.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Certificate or key for the servers of an upstream over TLS.
    #[error("config upstream.{name}.tls: {cause}")]
    Upstream {
        /// Which.
        name: String,
        /// What is wrong.
        cause: UpstreamTlsError,
    },
    /// The address of the other CA's EST service.
    #[error("config ra.est.url: {0}")]
    Url(#[from] UrlError),
    /// A directory server.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file or a socket.
    #[error("{object}: {cause}")]
    Io {
        /// Which.
        object: String,
        /// What is wrong.
        cause: io::Error,
    },
}

/// The parts that listeners share.
struct Shared {
    store: Arc<dyn Store>,
    audit: Arc<dyn Audit>,
    authenticator: Arc<Authenticator>,
    others: Arc<ArcSwap<Others>>,
    /// Ends the watch over the upstreams.
    watch: CancellationToken,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts every part that the config names, on the sockets that were inherited where there
/// are any.
///
/// # Errors
///
/// The first part that cannot be started, and why.
pub async fn start(mut config: Config, mut inherited: Inherited) -> Result<Daemon, StartError> {
    let control_socket = control::bind(&config.control_socket)
        .await
        .map_err(io_error(format!("control socket {}", config.control_socket.display())))?;
    let vault = keeping::vault(&config)?;
    let shared = share(&config, &vault)?;
    let ca = match &config.ca {
        Some(ca) => Some(start_ca(ca, &config.request, &shared).await?),
        None => None,
    };
    let ra = match &config.ra {
        Some(ra) => Some(start_ra(ra, ca.as_ref(), &shared).await?),
        None => None,
    };
    let state_valid = config.policy.challenge.valid;
    let authority = ca.as_ref().map(|ca| ca.publisher.clone());
    let reloading = Reloader::prepare(&config, &shared);
    let radius = config.radius.take().map(|settings| {
        radius::start(settings, state_valid, &vault, &mut inherited, authority, &shared)
    });
    let radius = radius.transpose()?;
    if let Some(settings) = &config.back_sock {
        back_sock::start(settings, config.bind_proxy.as_ref(), &mut inherited, &shared)?;
    }
    let ldap = ldap_proxy::start(config.ldap_proxy.take(), &mut inherited, &shared)?;
    let reloader = Arc::new(reloading.over(radius.as_ref()));
    let connections = TaskTracker::new();
    let controlled = Controlled::new(
        commands(&config, &vault, ca.clone(), &shared),
        reloader.clone(),
        radius.as_ref(),
        connections.clone(),
        shared.stop.clone(),
    );
    shared.tasks.spawn(control::serve(control_socket, Arc::new(controlled), shared.stop.clone()));
    if inherited.left() > 0 {
        let left = inherited.left();
        tracing::warn!(left, "inherited sockets have no listener in the config with their address");
    }
    let addresses = ListenAddresses {
        radius: radius.as_ref().map(|radius| radius.addresses.clone()).unwrap_or_default(),
        ldap,
        otpce: start_otpce(&config, ra.as_ref(), ca.as_ref(), &shared).await?,
        est: start_est(&config, ca.as_ref(), &shared).await?,
        http: start_http(&config, ra, ca.as_ref(), &shared).await?,
        back_sock: config.back_sock.as_ref().map(|settings| settings.socket.path.clone()),
    };
    tracing::info!(config = %config.file.display(), "ready: {addresses}");
    let Shared { stop, tasks, .. } = shared;
    Ok(Daemon { addresses, reloader, radius, connections, stop, tasks })
}

impl Daemon {
    /// Reads the config again and replaces what can be replaced without a restart.
    ///
    /// # Errors
    ///
    /// What is wrong with the config; all is as before then.
    pub fn reload(&self) -> Result<String, String> {
        self.reloader.reload()
    }

    /// Serves a connection that was accepted for us on the socket of a RADIUS client, until it
    /// ends and all that were handed over meanwhile.
    ///
    /// # Errors
    ///
    /// The config has no such client.
    pub async fn serve_connection(
        &self,
        accepted: Accepted,
        stream: UnixStream,
    ) -> Result<(), String> {
        let Serving { control, services, .. } =
            self.radius.as_ref().ok_or("the config has no [radius]")?;
        let stop = self.stop.clone();
        control.serve_connection(accepted, stream, services.clone(), stop).await?;
        self.connections.close();
        self.connections.wait().await;
        Ok(())
    }

    /// Stops: nothing new is taken, what is in flight is answered, the store is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The embedded CA of a config, not yet publishing.
///
/// # Errors
///
/// Its certificate, its key or its profiles cannot be used.
pub fn certificate_authority(
    ca: &CaFile,
    request: &RequestFile,
    store: Arc<dyn Store>,
    audit: Arc<dyn Audit>,
) -> Result<Ca, StartError> {
    let certificate = certificate::load_first(&ca.certificate)?;
    let authority = Arc::new(Authority::new(certificate, Arc::new(FileSigner::load(&ca.key)?))?);
    let profiles = profiles(ca, request)?;
    let settings = PublishSettings {
        file: ca.crl.clone(),
        validity: ca.crl_validity.unwrap_or(Span::days(1)),
        keep_expired: ca.keep_expired.unwrap_or(Span::days(30)),
        signing_validity: profiles.signing.validity(),
    };
    Ok(Ca {
        profiles,
        policy: request_policy(request),
        publisher: Arc::new(Publisher::new(authority.clone(), store.clone(), settings)),
        authority,
        store,
        verify: Arc::new(AwsVerify),
        audit,
    })
}

/// What carries out the commands of the command line while no daemon is running.
///
/// # Errors
///
/// The store, the keys or the CA of the config cannot be used.
pub fn offline_commands(config: &Config) -> Result<Commands, StartError> {
    let vault = keeping::vault(config)?;
    let shared = share(config, &vault)?;
    let ca = config.ca.as_ref().map(|ca| {
        certificate_authority(ca, &config.request, shared.store.clone(), shared.audit.clone())
    });
    let ca = ca.transpose()?.map(Arc::new);
    Ok(commands(config, &vault, ca, &shared))
}

fn commands(config: &Config, vault: &Arc<Vault>, ca: Option<Arc<Ca>>, shared: &Shared) -> Commands {
    let admin = Admin::new(admin::Parts {
        store: shared.store.clone(),
        vault: vault.clone(),
        audit: shared.audit.clone(),
        clock: shared.clock.clone(),
        site: config.site.clone(),
        policy: config.policy.clone(),
        upstreams: config.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
        deliveries: config
            .deliveries
            .iter()
            .map(|delivery| (delivery.name.clone(), delivery.means.kind()))
            .collect(),
    });
    Commands { admin, ca, store: shared.store.clone(), clock: shared.clock.clone() }
}

fn share(config: &Config, vault: &Arc<Vault>) -> Result<Shared, StartError> {
    let store = keeping::store(config, vault)?;
    let audit_log = format!("audit log {}", config.audit_log.display());
    let audit: Arc<dyn Audit> =
        Arc::new(FileAudit::open(&config.audit_log).map_err(io_error(audit_log))?);
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (others, watch) = radius::others(config, &tasks, &stop)?;
    let others = others.shared();
    let authenticator = Arc::new(Authenticator::new(Parts {
        store: store.clone(),
        vault: vault.clone(),
        audit: audit.clone(),
        policy: config.policy.clone(),
        pins: Arc::new(Argon2Pins),
        pin_permits: config.pin_checks,
        others: others.clone(),
    }));
    let clock = Arc::new(SystemClock);
    Ok(Shared { store, audit, authenticator, others, watch, clock, stop, tasks })
}

/// The CA publishes a revocation list before anything else happens.
async fn start_ca(
    ca: &CaFile,
    request: &RequestFile,
    shared: &Shared,
) -> Result<Arc<Ca>, StartError> {
    let ca = certificate_authority(ca, request, shared.store.clone(), shared.audit.clone())?;
    ca.publisher.publish(shared.clock.now()).await?;
    ca.publisher.prune(shared.clock.now()).await?;
    let (publisher, clock, stop) =
        (ca.publisher.clone(), shared.clock.clone(), shared.stop.clone());
    shared.tasks.spawn(async move { publisher.run(&*clock, &stop).await });
    Ok(Arc::new(ca))
}

/// The RA has a signing certificate before the first request comes, if anybody issues one.
async fn start_ra(
    file: &RaFile,
    ca: Option<&Arc<Ca>>,
    shared: &Shared,
) -> Result<Arc<Ra>, StartError> {
    let client_info = file.microsoft_controls.then(|| client_info(&file.name));
    let settings = RaSettings { sha1: file.sha1, client_info };
    let ra = Arc::new(Ra::new(settings, shared.audit.clone()));
    let renewer = Renewer {
        ra: ra.clone(),
        source: renewal_source(file, ca)?,
        host: file.name.clone(),
        key: file.key_type,
        files: SigningFiles { certificate: file.certificate.clone(), key: file.key.clone() },
    };
    renewer.begin(shared.clock.now()).await;
    let (clock, stop) = (shared.clock.clone(), shared.stop.clone());
    shared.tasks.spawn(async move { renewer.run(&*clock, &stop).await });
    Ok(ra)
}

/// What Microsoft's RA says about itself.
fn client_info(host: &str) -> ClientInfo {
    ClientInfo {
        machine: host.to_owned(),
        user: host.to_owned(),
        process: "countersign".to_owned(),
    }
}

/// Another CA if the config names one, or else the embedded one.
fn renewal_source(file: &RaFile, ca: Option<&Arc<Ca>>) -> Result<Source, StartError> {
    if let Some(est) = &file.est {
        return Ok(Source::Est(EstSource {
            url: est.url.parse()?,
            trust: est.trust.clone(),
            certificate: est.certificate.clone(),
            key: est.key.clone(),
        }));
    }
    let ca = ca.expect("a config that was checked has [ra.est] or [ca] beside [ra]");
    Ok(Source::Embedded(ca.clone()))
}

async fn start_otpce(
    config: &Config,
    ra: Option<&Arc<Ra>>,
    ca: Option<&Arc<Ca>>,
    shared: &Shared,
) -> Result<Vec<SocketAddr>, StartError> {
    let (Some(otpce), Some(ra)) = (&config.otpce, ra) else { return Ok(Vec::new()) };
    let countersigner = Countersigner {
        authenticator: shared.authenticator.clone(),
        ra: ra.clone(),
        policy: request_policy(&config.request),
        issuing_ca: otpce.issuing_ca.iter().cloned().map(IssuingCa).collect(),
        verify: Arc::new(AwsVerify),
        audit: shared.audit.clone(),
    };
    let router = otpce::router(Otpce {
        countersigner,
        paths: otpce.aliases.iter().chain([&otpce.path]).cloned().collect(),
        require_version: otpce.require_version_header,
        limit: Limiter::new(otpce.max_requests_per_minute),
        clock: shared.clock.clone(),
    });
    let authority = ca.map(|ca| ca.publisher.clone());
    start_listeners(&otpce.listen, &router, Some(&otpce.tls), authority, shared).await
}

async fn start_est(
    config: &Config,
    ca: Option<&Arc<Ca>>,
    shared: &Shared,
) -> Result<Vec<SocketAddr>, StartError> {
    let (Some(est), Some(ca)) = (&config.est, ca) else { return Ok(Vec::new()) };
    let router = est::router(Est {
        ca: ca.clone(),
        registration_authorities: est.registration_authorities.clone(),
        limit: Limiter::new(est.max_requests_per_minute),
        clock: shared.clock.clone(),
    });
    let authority = Some(ca.publisher.clone());
    start_listeners(&est.listen, &router, Some(&est.tls), authority, shared).await
}

async fn start_http(
    config: &Config,
    ra: Option<Arc<Ra>>,
    ca: Option<&Arc<Ca>>,
    shared: &Shared,
) -> Result<Vec<SocketAddr>, StartError> {
    let Some(http) = &config.http else { return Ok(Vec::new()) };
    let publisher = ca.map(|ca| ca.publisher.clone());
    let health = Health { ra, publisher: publisher.clone(), store: shared.store.clone() };
    let router = publish::router(Published { publisher, health, clock: shared.clock.clone() });
    start_listeners(&http.listen, &router, None, None, shared).await
}

async fn start_listeners(
    listen: &[SocketAddr],
    router: &axum::Router,
    tls: Option<&TlsFile>,
    authority: Option<Arc<Publisher>>,
    shared: &Shared,
) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = Vec::new();
    for address in listen {
        let socket = TcpListener::bind(address);
        let socket = socket.await.map_err(io_error(format!("cannot listen on {address}")))?;
        addresses.push(socket.local_addr().map_err(io_error(address.to_string()))?);
        let listener = HttpListener {
            socket,
            router: router.clone(),
            tls: tls.map(|tls| tls_of(tls, authority.clone())).transpose()?,
            clock: shared.clock.clone(),
        };
        shared.tasks.spawn(listener.serve(shared.stop.clone()));
    }
    Ok(addresses)
}

fn tls_of(
    file: &TlsFile,
    authority: Option<Arc<Publisher>>,
) -> Result<(TlsAcceptor, Examiner), StartError> {
    let (chain, key, examiner) = tls_parts(file, authority)?;
    let config = server_config(chain, key, &examiner, &[b"http/1.1"])?;
    Ok((TlsAcceptor::from(config), examiner))
}

type TlsParts = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Examiner);

fn tls_parts(file: &TlsFile, authority: Option<Arc<Publisher>>) -> Result<TlsParts, StartError> {
    let chain = certificate::for_tls(&certificate::load(&file.certificate)?);
    let anchors = certificate::for_tls(&certificate::load(&file.client_trust)?);
    let mut crls = Vec::new();
    for path in &file.client_revocation {
        let octets = std::fs::read(path).map_err(io_error(path.display().to_string()))?;
        let pem: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&octets).flatten().collect();
        crls.extend(if pem.is_empty() { vec![octets.into()] } else { pem });
    }
    let examiner = Examiner::new(&anchors, crls)?.with_authority(authority);
    let key = FileSigner::load(&file.key)?.pkcs8()?;
    Ok((chain, PrivateKeyDer::Pkcs8(key.expose_bytes().to_vec().into()), examiner))
}

fn request_policy(request: &RequestFile) -> RequestPolicy {
    RequestPolicy {
        template_name: request.template_name.clone(),
        template_oid: request.template_oid,
        allow_sha1: request.allow_sha1,
        minimum_rsa_bits: 2048,
        key_kinds: vec![KeyKind::Rsa, KeyKind::P256, KeyKind::P384],
    }
}

/// The profiles of the config; logon certificates carry the template that requests must name.
fn profiles(ca: &CaFile, request: &RequestFile) -> Result<Profiles, ProfileError> {
    let addresses = addresses(&ca.publish_url);
    let template = TemplateConfig { oid: request.template_oid.to_string(), major: 100, minor: 0 };
    let logon = ProfileConfig {
        template: ca.logon.template.clone().or(Some(template)),
        ..ca.logon.clone()
    };
    let own = ProfileConfig::default();
    let of = |kind| match kind {
        Kind::Logon => &logon,
        Kind::Signing => &ca.signing,
        Kind::Server => &ca.server,
        Kind::Machine => &ca.machine,
        Kind::Kdc => &ca.kdc,
        Kind::Ca => &own,
    };
    Profiles::new(of, &addresses)
}

fn io_error(object: String) -> impl FnOnce(io::Error) -> StartError {
    move |cause| StartError::Io { object, cause }
}
