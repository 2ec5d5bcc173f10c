//! The RADIUS listener: PAP (RFC 2865), Status-Server (RFC 5997), accounting (RFC 2866), over
//! UDP, TCP (RFC 6613), TLS (RFC 6614, RFC 9765) and UNIX sockets.
//!
//! Whatever a packet came by, [`handler`] looks at it, [`job`] is the work that it calls
//! for, and [`answer`] is what that leads to. [`udp`] and [`stream`] carry the octets.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    accept::{Front, RadSec},
    handler::Common,
    peer::Peer,
    udp::Loop,
};
pub use self::{
    clients::SameNetwork,
    counts::{Counter, Counts},
    rules::{Rules, Twins},
    trial::{Trial, TrialPeer},
};
use super::{inherited::Inherited, tls::Examiner, unix};
use crate::{
    app::{accounting::Recorder, authenticate::Authenticator, proxy::Proxy},
    clock::Clock,
    config::{
        radius::{RadiusRules, RadiusSettings},
        upstream::Radius11,
    },
    vault::Vault,
};

mod accept;
mod answer;
mod attributes;
mod clients;
mod counts;
mod handler;
mod job;
mod peer;
mod reply;
mod report;
mod request;
mod rules;
pub(super) mod socket;
mod state;
mod stream;
mod trial;
mod udp;

/// Sockets that are bound and not served yet.
pub struct RadiusListener {
    common: Arc<Common>,
    loops: Vec<Loop>,
    tcp: Vec<TcpListener>,
    tls: Vec<(TcpListener, RadSec)>,
    unix: Vec<(UnixListener, Arc<Path>, Vec<u32>)>,
}

/// What listeners work with.
#[derive(Clone)]
pub struct Services {
    /// Decides.
    pub authenticator: Arc<Authenticator>,
    /// Asks others.
    pub proxy: Arc<Proxy>,
    /// Takes accounting reports.
    pub recorder: Arc<Recorder>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// How TLS connections are taken.
pub struct TlsServices {
    /// TLS with what the config names.
    pub config: Arc<rustls::ServerConfig>,
    /// Judges the certificates of clients.
    pub examiner: Examiner,
    /// Whether RADIUS/1.1 is spoken.
    pub radius_1_1: Radius11,
}

/// A connection that somebody else has accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The client on whose socket.
    pub client: String,
    /// The user at the other end.
    pub user: u32,
    /// The process at the other end.
    pub process: Option<i32>,
}

/// Replaces the rules of a listener that is running, and takes connections for it.
#[derive(Clone)]
pub struct RadiusControl(Arc<Common>);

/// Operator: the listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address or path cannot be had.
    #[error("RADIUS cannot listen on {object}: {cause}")]
    Socket {
        /// The address or path.
        object: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Two clients cannot be told apart.
    #[error(transparent)]
    Twins(#[from] Twins),
}

impl RadiusListener {
    /// Takes the addresses and paths. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// One of them cannot be had, or two clients cannot be told apart.
    pub fn bind(
        settings: RadiusSettings,
        tls: Option<TlsServices>,
        vault: &Vault,
        state_valid: u32,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let RadiusSettings { listen, listen_tcp, tls: radsec, sockets, rules } = settings;
        let common = Arc::new(Common::new(Rules::new(rules)?, vault, state_valid));
        let refused = |object: String| move |cause| BindError::Socket { object, cause };
        let mut loops = Vec::new();
        for address in listen {
            let bound =
                socket::udp(address, inherited).map_err(refused(format!("UDP {address}")))?;
            loops.extend(bound.into_iter().map(|socket| Loop::new(socket, common.clone())));
        }
        let mut tcp = Vec::new();
        for address in listen_tcp {
            let bound = socket::tcp(address, inherited);
            tcp.push(bound.map_err(refused(format!("TCP {address}")))?);
        }
        let mut over_tls = Vec::new();
        if let (Some(radsec), Some(TlsServices { config, examiner, radius_1_1 })) = (radsec, tls) {
            for address in radsec.listen {
                let bound = socket::tcp(address, inherited);
                let bound = bound.map_err(refused(format!("TLS {address}")))?;
                let (config, examiner) = (config.clone(), examiner.clone());
                over_tls.push((bound, RadSec { config, examiner, radius_1_1 }));
            }
        }
        let mut paths = Vec::new();
        for socket in sockets {
            let bound = unix::listen(&socket, inherited)
                .and_then(|bound| UnixListener::from_std(bound.into()));
            let bound = bound.map_err(refused(socket.path.display().to_string()))?;
            paths.push((bound, Arc::from(socket.path), socket.users));
        }
        Ok(Self { common, loops, tcp, tls: over_tls, unix: paths })
    }

    /// The addresses that it listens on; with port 0 in the settings, the port that was free.
    #[must_use]
    pub fn addresses(&self) -> RadiusAddresses {
        let mut udp: Vec<_> = self.loops.iter().filter_map(Loop::address).collect();
        udp.dedup();
        RadiusAddresses {
            udp,
            tcp: self.tcp.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
            tls: self.tls.iter().filter_map(|(socket, _)| socket.local_addr().ok()).collect(),
            unix: self.unix.iter().map(|(_, path, _)| path.to_path_buf()).collect(),
        }
    }

    /// What was done with the packets that came in.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.common.counts.clone()
    }

    /// What replaces its rules while it runs.
    #[must_use]
    pub fn control(&self) -> RadiusControl {
        RadiusControl(self.common.clone())
    }

    /// Answers until `stop`, and then what is still being worked on.
    pub async fn serve(self, services: Services, stop: CancellationToken) {
        let Self { common, loops, tcp, tls, unix } = self;
        let front = Front { common, services: services.clone(), stop: stop.clone() };
        let mut serving = JoinSet::new();
        for one in loops {
            serving.spawn(one.run(services.clone(), stop.clone()));
        }
        for socket in tcp {
            serving.spawn(front.clone().tcp(socket));
        }
        for (socket, radsec) in tls {
            serving.spawn(front.clone().tls(socket, radsec));
        }
        for (socket, path, users) in unix {
            serving.spawn(front.clone().unix(socket, path, users));
        }
        serving.join_all().await;
    }
}

/// Where a listener listens.
#[derive(Debug, Clone, Default)]
pub struct RadiusAddresses {
    /// UDP.
    pub udp: Vec<SocketAddr>,
    /// TCP.
    pub tcp: Vec<SocketAddr>,
    /// TLS.
    pub tls: Vec<SocketAddr>,
    /// UNIX sockets.
    pub unix: Vec<std::path::PathBuf>,
}

impl RadiusControl {
    /// From now on, packets are answered by these rules. What is under way is answered by
    /// those that it came in by.
    ///
    /// # Errors
    ///
    /// Two clients cannot be told apart; nothing was replaced.
    pub fn replace(&self, rules: RadiusRules) -> Result<(), Twins> {
        self.0.rules.store(Rules::new(rules)?.into());
        Ok(())
    }

    /// Serves a connection that somebody else has accepted on a client's socket, of this user
    /// and process, until it ends or `stop`.
    ///
    /// # Errors
    ///
    /// The client has no socket, or the user may not use it.
    pub async fn serve_connection(
        &self,
        accepted: Accepted,
        stream: UnixStream,
        services: Services,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let Accepted { client, user, process } = accepted;
        let socket = self.0.rules.load().socket_of(&client);
        let socket = socket
            .ok_or_else(|| format!("the config has no [radius.client.{client}] with a socket"))?;
        if !unix::may_connect(user, &socket.users) {
            return Err(format!("user {user} is not among socket-users of {client}"));
        }
        let peer = Peer::Unix { path: Arc::from(socket.path), user, process };
        stream::serve(stream, peer, None, self.0.clone(), services, stop).await;
        Ok(())
    }
}
