//! Connections as they come. Taking one never waits for another.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Service, connection, peer::Peer};
use crate::{
    app::ldap_proxy::Octets,
    listener::{
        places::{Place, Places},
        unix::may_connect,
    },
};

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Front {
    service: Arc<Service>,
    permits: Arc<Semaphore>,
    /// Of the clients over TCP.
    places: Places,
    stop: CancellationToken,
}

impl Front {
    pub(super) fn new(
        service: Arc<Service>,
        max_connections: usize,
        max_connections_per_address: usize,
        stop: CancellationToken,
    ) -> Self {
        let permits = Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS));
        let places = Places::new(max_connections_per_address);
        Self { service, permits: Arc::new(permits), places, stop }
    }

    /// LDAP, which may go over to TLS.
    pub(super) async fn tcp(self, socket: TcpListener) {
        let front = &self;
        self.accept(
            || socket.accept(),
            |(stream, address)| {
                let address = canonical(address);
                let place = front.place(address)?;
                prepare(&stream);
                let peer = Peer::Tcp { address, tls: false };
                let serving = front.clone().serve(Box::new(stream), peer);
                Some(place.while_it_lasts(serving))
            },
        )
        .await;
    }

    /// LDAPS.
    pub(super) async fn tls(self, socket: TcpListener) {
        let Some(tls) = &self.service.tls else { return };
        let (front, handshakes) = (&self, Places::for_handshakes());
        self.accept(
            || socket.accept(),
            |(stream, address)| {
                let address = canonical(address);
                let place = front.place(address)?;
                let handshake = handshakes.take(address.ip())?;
                let peer = Peer::Tcp { address, tls: true };
                let config = tls.config.clone();
                let serving = front.clone().serve_tls(stream, peer, config, handshake);
                Some(place.while_it_lasts(serving))
            },
        )
        .await;
    }

    /// LDAP on a UNIX socket, for these users; for all whom its mode lets if there are none.
    pub(super) async fn unix(self, socket: UnixListener, users: Vec<u32>) {
        let front = &self;
        self.accept(
            || socket.accept(),
            |(stream, _)| {
                let peer = unix_peer(&stream, &users)?;
                Some(front.clone().serve(Box::new(stream), peer))
            },
        )
        .await;
    }

    /// A place for a client over TCP, if its network has one left.
    fn place(&self, address: SocketAddr) -> Option<Place> {
        let place = self.places.take(address.ip());
        if place.is_none() {
            tracing::debug!(%address, "an LDAP connection is turned away: it has too many open");
        }
        place
    }

    /// Takes connections until it is stopped, then waits for those that there are.
    async fn accept<T, A, S>(&self, accept: impl Fn() -> A, begin: impl Fn(T) -> Option<S>)
    where
        A: Future<Output = io::Result<T>>,
        S: Future<Output = ()> + Send + 'static,
    {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept() => accepted,
                () = self.stop.cancelled() => break,
            };
            match accepted {
                Ok(accepted) => {
                    let Ok(permit) = self.permits.clone().try_acquire_owned() else {
                        tracing::debug!("an LDAP connection is turned away: too many are open");
                        continue;
                    };
                    let Some(serving) = begin(accepted) else { continue };
                    connections.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an LDAP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }

    async fn serve_tls(
        self,
        stream: TcpStream,
        peer: Peer,
        config: Arc<ServerConfig>,
        handshaking: Place,
    ) {
        prepare(&stream);
        match handshake(stream, config).await {
            Ok(stream) => {
                drop(handshaking);
                self.serve(Box::new(stream), peer).await;
            }
            Err(cause) => tracing::debug!(%peer, cause, "no TLS"),
        }
    }

    async fn serve(self, stream: Box<dyn Octets>, peer: Peer) {
        connection::serve(stream, peer, &self.service, &self.stop).await;
    }
}

/// TLS with a client, within its time.
pub(super) async fn handshake<S: Octets>(
    stream: S,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<S>, String> {
    match timeout(HANDSHAKE_TIME, TlsAcceptor::from(config).accept(stream)).await {
        Ok(stream) => stream.map_err(|error| error.to_string()),
        Err(_) => Err("the handshake took too long".into()),
    }
}

/// Whatever is sent leaves at once, and a peer that is gone without a word is found out.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

fn canonical(address: SocketAddr) -> SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

/// The peer of a connection; nobody if the user may not connect. The kernel's word counts.
fn unix_peer(stream: &UnixStream, users: &[u32]) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    let peer = Peer::Unix { user: credentials.uid(), process: credentials.pid() };
    let is_welcome = users.is_empty() || may_connect(credentials.uid(), users);
    if !is_welcome {
        tracing::debug!(%peer, "this user may not connect");
    }
    is_welcome.then_some(peer)
}

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(60);
/// After the system was out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
