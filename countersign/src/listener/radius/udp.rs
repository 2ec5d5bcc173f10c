//! Datagrams.
//!
//! A few sockets share each address, and each is served by a loop of its own that
//! does everything: it reads a datagram, lets the handler look at it, holds what has
//! to be worked on until that is done, and answers. There is no task per datagram.
//! The system gives all packets of one client port to the same socket, so a loop sees
//! the retransmissions of its own requests and needs no lock to know them.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use countersign_core::{domain::time::UnixTime, wire::radius::packet::Packet};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::{
    Services,
    handler::{Asked, Common, Handler, Step},
    job::Done,
    peer::Peer,
    rules::canonical,
};

/// A socket and what is known of its packets.
pub(super) struct Loop {
    socket: UdpSocket,
    handler: Handler,
}

impl Loop {
    pub(super) fn new(socket: UdpSocket, common: Arc<Common>) -> Self {
        Self { socket, handler: Handler::new(common) }
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    pub(super) async fn run(mut self, services: Services, stop: CancellationToken) {
        let mut working = FuturesUnordered::new();
        let mut datagram = vec![0; Packet::MAX_LENGTH];
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some((asked, done)) = working.next() => {
                    self.finish(asked, done, services.clock.now()).await;
                }
                readable = self.socket.readable() => if readable.is_err() { break },
            }
            for _ in 0..DATAGRAMS_AT_ONCE {
                let Ok((length, address)) = self.socket.try_recv_from(&mut datagram) else { break };
                let peer = Peer::Udp(canonical(address));
                match self.handler.handle(&datagram[..length], &peer, services.clock.now()) {
                    Step::Nothing | Step::Close => {}
                    Step::Answer(answer) => self.send(&answer, address).await,
                    Step::Work(asked, job) => working.push(job.run(services.clone(), asked)),
                }
            }
        }
        while let Some((asked, done)) = working.next().await {
            self.finish(asked, done, services.clock.now()).await;
        }
    }

    async fn finish(&mut self, asked: Box<Asked>, done: Done, now: UnixTime) {
        let answer = self.handler.finish(&asked, done, now);
        if let (Some(answer), Some(address)) = (answer, asked.peer.datagram_address()) {
            self.send(&answer, address).await;
        }
    }

    async fn send(&self, answer: &[u8], peer: SocketAddr) {
        if let Err(error) = self.socket.send_to(answer, peer).await {
            tracing::debug!(%peer, %error, "an answer could not be sent");
        }
    }
}

/// Datagrams read before finished work is looked after again.
const DATAGRAMS_AT_ONCE: usize = 32;
