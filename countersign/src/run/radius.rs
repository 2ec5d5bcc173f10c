//! RADIUS: the listener, whom it asks, and what a reload replaces.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use countersign_core::{
    domain::policy::Policy,
    wire::radius::transport::{ALPN_RADIUS_1_0, ALPN_RADIUS_1_1},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Shared, StartError, tls_parts};
use crate::{
    app::{accounting::Recorder, authenticate::Others, proxy::Proxy, publish::Publisher},
    client::{
        delivery::{self, Channel},
        radius::Upstream,
    },
    config::{
        Config,
        radius::RadiusSettings,
        socket::SocketSettings,
        upstream::{Radius11, UpstreamSettings},
    },
    listener::{
        inherited::Inherited,
        radius::{RadiusAddresses, RadiusControl, RadiusListener, Services, TlsServices},
        tls::server_config,
    },
    vault::Vault,
};
/// A listener that serves.
pub(super) struct Serving {
    pub(super) addresses: RadiusAddresses,
    pub(super) control: RadiusControl,
    pub(super) services: Services,
}

/// Reads the config again and replaces what can be replaced.
pub(crate) struct Reloader {
    file: PathBuf,
    others: Arc<ArcSwap<Others>>,
    ways_in: Option<WaysIn>,
    policy: Policy,
    control: Option<RadiusControl>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the watch over the upstreams of the config that is in force.
    watch: Mutex<CancellationToken>,
}

/// What only a restart changes.
#[derive(Debug, PartialEq, Eq)]
struct WaysIn {
    listen: Vec<std::net::SocketAddr>,
    listen_tcp: Vec<std::net::SocketAddr>,
    listen_tls: Vec<std::net::SocketAddr>,
    sockets: Vec<SocketSettings>,
}

/// Upstreams and channels of the config, and what ends the watch over them.
pub(super) fn others(
    config: &Config,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(Others, CancellationToken), StartError> {
    let watch = stop.child_token();
    let channels = channels(config)?;
    let upstreams = upstreams(&config.upstreams, tasks, &watch)?;
    Ok((Others { upstreams, channels }, watch))
}

fn channels(config: &Config) -> Result<HashMap<String, Arc<Channel>>, StartError> {
    Ok(delivery::channels(&config.deliveries)?)
}

fn upstreams(
    settings: &[UpstreamSettings],
    tasks: &TaskTracker,
    watch: &CancellationToken,
) -> Result<HashMap<String, Arc<Upstream>>, StartError> {
    let mut upstreams = HashMap::new();
    for settings in settings {
        let name = settings.name.clone();
        let upstream = Upstream::new(settings.clone())
            .map_err(|cause| StartError::Upstream { name: name.clone(), cause })?;
        upstreams.insert(name, Arc::new(upstream));
    }
    for upstream in upstreams.values() {
        let (upstream, watch) = (upstream.clone(), watch.clone());
        tasks.spawn(async move { upstream.watch(watch).await });
    }
    Ok(upstreams)
}

/// Listens wherever the config says.
pub(super) fn start(
    settings: RadiusSettings,
    state_valid: u32,
    vault: &Vault,
    inherited: &mut Inherited,
    authority: Option<Arc<Publisher>>,
    shared: &Shared,
) -> Result<Serving, StartError> {
    let tls = settings.tls.as_ref().map(|radsec| {
        let (chain, key, examiner) = tls_parts(&radsec.tls, authority)?;
        let protocols: &[&[u8]] = match radsec.radius_1_1 {
            Radius11::Allow => &[ALPN_RADIUS_1_1, ALPN_RADIUS_1_0],
            Radius11::Require => &[ALPN_RADIUS_1_1],
            Radius11::Forbid => &[ALPN_RADIUS_1_0],
        };
        let config = server_config(chain, key, &examiner, protocols)?;
        Ok::<_, StartError>(TlsServices { config, examiner, radius_1_1: radsec.radius_1_1 })
    });
    let listener = RadiusListener::bind(settings, tls.transpose()?, vault, state_valid, inherited)?;
    let services = Services {
        authenticator: shared.authenticator.clone(),
        proxy: Arc::new(Proxy::new(shared.others.clone())),
        recorder: Arc::new(Recorder::new(shared.audit.clone())),
        clock: shared.clock.clone(),
    };
    let (addresses, control) = (listener.addresses(), listener.control());
    shared.tasks.spawn(listener.serve(services.clone(), shared.stop.clone()));
    Ok(Serving { addresses, control, services })
}

impl Reloader {
    /// Remembers what a reload must leave as it is.
    pub(super) fn prepare(config: &Config, shared: &Shared) -> Self {
        Self {
            file: config.file.clone(),
            others: shared.others.clone(),
            ways_in: config.radius.as_ref().map(WaysIn::of),
            policy: config.policy.clone(),
            control: None,
            tasks: shared.tasks.clone(),
            stop: shared.stop.clone(),
            watch: Mutex::new(shared.watch.clone()),
        }
    }

    pub(super) fn over(self, serving: Option<&Serving>) -> Self {
        Self { control: serving.map(|serving| serving.control.clone()), ..self }
    }

    /// Replaces what can be replaced, or nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the config; all is as before.
    pub(crate) fn reload(&self) -> Result<String, String> {
        // Files are read and names are looked up, while others of this thread go on elsewhere.
        let result = tokio::task::block_in_place(|| self.try_reload());
        match &result {
            Ok(done) => tracing::info!(config = %self.file.display(), "reloaded: {done}"),
            Err(error) => tracing::error!(%error, "not reloaded, all is as before"),
        }
        result
    }

    fn try_reload(&self) -> Result<String, String> {
        // One after the other, so that the config that was read last is in force.
        let mut watched = self.watch.lock().map_err(|error| error.to_string())?;
        let config = Config::load(&self.file).map_err(|error| error.to_string())?;
        let (others, watch) =
            others(&config, &self.tasks, &self.stop).map_err(|error| error.to_string())?;
        let counted = (others.upstreams.len(), others.channels.len());
        let left = match config.policy == self.policy {
            true => "",
            false => "; [policy] has changed, too, and waits for a restart",
        };
        let radius = self.reload_radius(config).inspect_err(|_| watch.cancel())?;
        self.others.store(others.into());
        std::mem::replace(&mut *watched, watch).cancel();
        let (upstreams, channels) = counted;
        Ok(format!("{radius}{upstreams} upstreams, {channels} delivery channels{left}"))
    }

    fn reload_radius(&self, config: Config) -> Result<String, String> {
        if self.ways_in != config.radius.as_ref().map(WaysIn::of) {
            return Err("the addresses or sockets of [radius] changed; that needs a restart".into());
        }
        let (Some(control), Some(settings)) = (&self.control, config.radius) else {
            return Ok(String::new());
        };
        let (clients, realms) = (settings.rules.clients.len(), settings.rules.realms.len());
        control.replace(settings.rules).map_err(|error| error.to_string())?;
        Ok(format!("{clients} RADIUS clients, {realms} realms, "))
    }
}

impl WaysIn {
    fn of(settings: &RadiusSettings) -> Self {
        Self {
            listen: settings.listen.clone(),
            listen_tcp: settings.listen_tcp.clone(),
            listen_tls: settings.tls.as_ref().map(|tls| tls.listen.clone()).unwrap_or_default(),
            sockets: settings.sockets.clone(),
        }
    }
}
