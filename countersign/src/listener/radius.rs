//! The RADIUS listener on UDP: PAP only (RFC 2865), Status-Server (RFC 5997).
//!
//! A few sockets share each address, and each is served by a loop of its own that
//! does everything: it reads a datagram, lets [`handler`] look at it, holds what has
//! to be decided until the decision is there, and answers. There is no task per
//! datagram. The system gives all packets of one client port to the same socket, so
//! a loop sees the retransmissions of its own requests and needs no lock to know them.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use countersign_core::{
    domain::{attempt::Attempt, time::UnixTime, verdict::Verdict},
    wire::radius::packet::Packet,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::handler::{Asked, Handler, Step};
pub use self::{
    clients::{Clients, SameNetwork},
    counts::{Counter, Counts},
    trial::Trial,
};
use crate::{app::authenticate::Authenticator, clock::Clock, config::radius::RadiusSettings};

mod attributes;
mod clients;
mod counts;
mod handler;
mod reply;
mod request;
mod trial;

/// Sockets that are bound and not served yet.
pub struct RadiusListener {
    loops: Vec<Loop>,
    counts: Arc<Counts>,
}

/// What the loops work with.
#[derive(Clone)]
pub struct Services {
    /// Decides.
    pub authenticator: Arc<Authenticator>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Operator: the listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error("RADIUS cannot listen on {address}: {cause}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Two clients cannot be told apart.
    #[error(transparent)]
    SameNetwork(#[from] SameNetwork),
}

struct Loop {
    socket: UdpSocket,
    handler: Handler,
}

impl RadiusListener {
    /// Takes the addresses. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// An address cannot be had, or two clients have the same network.
    pub fn bind(settings: RadiusSettings) -> Result<Self, BindError> {
        let clients = Arc::new(Clients::new(settings.clients)?);
        let counts = Arc::new(Counts::default());
        let mut loops = Vec::new();
        for address in settings.listen {
            let refused = |cause| BindError::Address { address, cause };
            for socket in bind_sockets(address).map_err(refused)? {
                let handler = Handler::new(clients.clone(), counts.clone());
                loops.push(Loop { socket, handler });
            }
        }
        Ok(Self { loops, counts })
    }

    /// The addresses that it listens on; with port 0 in the settings, the port that was free.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.loops.iter().filter_map(|one| one.socket.local_addr().ok());
        let mut addresses: Vec<_> = bound.collect();
        addresses.dedup();
        addresses
    }

    /// What was done with the packets that came in.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Answers until `stop`, and then what is still being decided.
    pub async fn serve(self, services: Services, stop: CancellationToken) {
        let loops = self.loops.into_iter();
        loops
            .map(|one| one.run(services.clone(), stop.clone()))
            .collect::<JoinSet<()>>()
            .join_all()
            .await;
    }
}

impl Loop {
    async fn run(mut self, services: Services, stop: CancellationToken) {
        let mut in_flight = FuturesUnordered::new();
        let mut datagram = vec![0; Packet::MAX_LENGTH];
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some((asked, verdict)) = in_flight.next() => {
                    self.finish(asked, verdict, services.clock.now()).await;
                }
                readable = self.socket.readable() => if readable.is_err() { break },
            }
            for _ in 0..DATAGRAMS_AT_ONCE {
                let Ok((length, peer)) = self.socket.try_recv_from(&mut datagram) else { break };
                match self.handler.handle(&datagram[..length], peer, services.clock.now()) {
                    Step::Nothing => {}
                    Step::Answer(answer) => self.send(&answer, peer).await,
                    Step::Ask(asked, attempt) => {
                        in_flight.push(decide(services.authenticator.clone(), *asked, *attempt));
                    }
                }
            }
        }
        while let Some((asked, verdict)) = in_flight.next().await {
            self.finish(asked, verdict, services.clock.now()).await;
        }
    }

    async fn finish(&mut self, asked: Asked, verdict: Verdict, now: UnixTime) {
        let peer = asked.peer;
        if let Some(answer) = self.handler.finish(&asked, verdict, now) {
            self.send(&answer, peer).await;
        }
    }

    async fn send(&self, answer: &[u8], peer: SocketAddr) {
        if let Err(error) = self.socket.send_to(answer, peer).await {
            tracing::debug!(%peer, %error, "an answer could not be sent");
        }
    }
}

async fn decide(
    authenticator: Arc<Authenticator>,
    asked: Asked,
    attempt: Attempt,
) -> (Asked, Verdict) {
    let verdict = authenticator.authenticate(attempt).await;
    (asked, verdict)
}

/// As many sockets on one address as there are processors. The first one is bound
/// without sharing and let go again: sharing would let a second daemon take half of
/// the packets without anybody noticing.
fn bind_sockets(address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let free = new_socket(address)?;
    free.bind(&address.into())?;
    let address = free.local_addr()?.as_socket().unwrap_or(address);
    drop(free);
    (0..count).map(|_| bind_shared(address)).collect()
}

fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // A wish: the system grants what it is set up to grant.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Datagrams read before decisions are looked after again.
const DATAGRAMS_AT_ONCE: usize = 32;
/// For bursts. Each packet takes about 1 KiB of it.
const RECEIVE_BUFFER_OCTETS: usize = 4 * 1024 * 1024;
