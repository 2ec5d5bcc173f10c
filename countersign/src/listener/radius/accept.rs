//! Connections as they come: TCP, TLS, UNIX. Taking one never waits for another.

use std::{future::Future, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use countersign_core::{domain::time::UnixTime, wire::radius::transport::ALPN_RADIUS_1_1};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, pki_types::CertificateDer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Services,
    handler::Common,
    peer::{Peer, Version},
    stream,
};
use crate::{
    config::upstream::Radius11,
    listener::{
        places::{Place, Places},
        tls::{ClientCertificate, Examiner},
        unix::may_connect,
    },
};

/// The certificate of a client, which is examined anew while its connection lives, for it
/// may expire or be revoked.
pub(super) struct Standing {
    examiner: Examiner,
    chain: Vec<CertificateDer<'static>>,
    last: UnixTime,
}

/// Peer: a TLS connection that is not served.
#[derive(Debug, thiserror::Error)]
enum TurnedAway {
    #[error("it showed no certificate that counts: {0}")]
    Certificate(&'static str),
    #[error("it does not speak RADIUS/1.1")]
    Historic,
    #[error("it wants RADIUS/1.1 without TLS 1.3")]
    OldTls,
    #[error("no RADIUS client has a name of its certificate: {0}")]
    Unknown(String),
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) common: Arc<Common>,
    pub(super) services: Services,
    pub(super) stop: CancellationToken,
}

/// What a TLS connection is judged by.
#[derive(Clone)]
pub(super) struct RadSec {
    pub(super) config: Arc<ServerConfig>,
    pub(super) examiner: Examiner,
    pub(super) radius_1_1: Radius11,
}

impl Front {
    /// RADIUS/TCP.
    pub(super) async fn tcp(self, socket: TcpListener) {
        let front = &self;
        self.accept(
            || socket.accept(),
            |(stream, address)| {
                prepare(&stream);
                let peer = Peer::Tcp(super::rules::canonical(address));
                front.knows(&peer).then(|| front.clone().serve(stream, peer))
            },
        )
        .await;
    }

    /// RADIUS/TLS.
    pub(super) async fn tls(self, socket: TcpListener, radsec: RadSec) {
        let (front, handshakes) = (&self, Places::for_handshakes());
        self.accept(
            || socket.accept(),
            |(stream, address)| {
                let address = super::rules::canonical(address);
                let place = handshakes.take(address.ip())?;
                Some(front.clone().handshake(stream, address, radsec.clone(), place))
            },
        )
        .await;
    }

    /// RADIUS on a UNIX stream socket, for these users.
    pub(super) async fn unix(self, socket: UnixListener, path: Arc<Path>, users: Vec<u32>) {
        let front = &self;
        self.accept(
            || socket.accept(),
            |(stream, _)| {
                let peer = unix_peer(&stream, path.clone(), &users)?;
                Some(front.clone().serve(stream, peer))
            },
        )
        .await;
    }

    /// Takes connections until it is stopped, then waits for what is under way.
    async fn accept<T, A, S>(&self, accept: impl Fn() -> A, begin: impl Fn(T) -> Option<S>)
    where
        A: Future<Output = io::Result<T>>,
        S: Future<Output = ()> + Send + 'static,
    {
        let connections = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = accept() => accepted,
                () = self.stop.cancelled() => break,
            };
            match accepted {
                Ok(accepted) => {
                    let (permit, serving) = (permits.clone().try_acquire_owned(), begin(accepted));
                    let (Ok(permit), Some(serving)) = (permit, serving) else {
                        self.common.counts.turned_away.add();
                        continue;
                    };
                    connections.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a RADIUS connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }

    async fn handshake(self, stream: TcpStream, address: SocketAddr, radsec: RadSec, place: Place) {
        prepare(&stream);
        let acceptor = TlsAcceptor::from(radsec.config.clone());
        let stream = match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
        };
        drop(place);
        match self.judge(stream.get_ref().1, address, radsec) {
            Ok((peer, standing)) => {
                let Self { common, services, stop } = self;
                stream::serve(stream, peer, Some(standing), common, services, stop).await;
            }
            Err(cause) => {
                self.common.counts.turned_away.add();
                tracing::debug!(%address, %cause, "a TLS connection was turned away");
            }
        }
    }

    /// Who is at the other end, and what that is judged by from now on.
    fn judge(
        &self,
        session: &ServerConnection,
        address: SocketAddr,
        radsec: RadSec,
    ) -> Result<(Peer, Standing), TurnedAway> {
        let version = version(session, radsec.radius_1_1)?;
        let now = self.services.clock.now();
        let chain = session.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
        let standing = Standing { examiner: radsec.examiner, chain, last: now };
        let names = standing.names(now)?;
        let shown = names.join(", ");
        let peer = Peer::Tls { address, names: names.into(), version };
        if self.knows(&peer) { Ok((peer, standing)) } else { Err(TurnedAway::Unknown(shown)) }
    }

    fn knows(&self, peer: &Peer) -> bool {
        peer.client(&self.common.rules.load()).is_some()
    }

    fn serve(
        self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
        peer: Peer,
    ) -> impl Future<Output = ()> + Send + 'static {
        stream::serve(stream, peer, None, self.common, self.services, self.stop)
    }
}

impl Standing {
    /// Whether the certificate is good, as far as was examined in the last half minute.
    pub(super) fn is_good(&mut self, now: UnixTime) -> bool {
        if now >= self.last && now.since(self.last) < EXAMINED_FOR {
            return true;
        }
        self.last = now;
        self.names(now).is_ok()
    }

    fn names(&self, now: UnixTime) -> Result<Vec<String>, TurnedAway> {
        match self.examiner.examine(Some(&self.chain), now) {
            ClientCertificate::Trusted(machine) => Ok(machine.names()),
            refused @ (ClientCertificate::Absent | ClientCertificate::Refused(_)) => {
                Err(TurnedAway::Certificate(refused.in_words()))
            }
        }
    }
}

/// What is spoken, as far as it may be. RADIUS/1.1 leans on TLS 1.3 (RFC 9765 §3.4).
fn version(session: &ServerConnection, radius_1_1: Radius11) -> Result<Version, TurnedAway> {
    match (session.alpn_protocol() == Some(ALPN_RADIUS_1_1), radius_1_1) {
        (true, _) if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) => {
            Ok(Version::V1_1)
        }
        (true, _) => Err(TurnedAway::OldTls),
        (false, Radius11::Require) => Err(TurnedAway::Historic),
        (false, Radius11::Allow | Radius11::Forbid) => Ok(Version::Historic),
    }
}

/// Answers leave at once, and a peer that is gone without a word is found out: it would
/// otherwise take up a place for ever.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// The peer of a connection; nobody if the user may not connect. The kernel's word counts.
fn unix_peer(stream: &UnixStream, path: Arc<Path>, users: &[u32]) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    let user = credentials.uid();
    let peer = Peer::Unix { path, user, process: credentials.pid() };
    let may_connect = may_connect(user, users);
    if !may_connect {
        tracing::debug!(%peer, "this user may not connect");
    }
    may_connect.then_some(peer)
}

/// Of one listener.
const MAX_CONNECTIONS: usize = 4096;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For how many seconds the judgement about a certificate holds.
const EXAMINED_FOR: u64 = 30;
const KEEPALIVE: Duration = Duration::from_secs(60);
/// After the system was out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_found_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream);
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
