//! One connection: TCP, TLS or UNIX, the same for all (RFC 6613, RFC 6614).
//!
//! Requests are worked on as they come, many at once, and answered in the order in which
//! that ends. Whole packets only: a client may never recover from half of one. A
//! connection is not closed because it is idle. It is closed when the stream cannot be
//! read on, when the peer does not read its answers, and when its client is no longer in
//! the config or its certificate no longer good. What was begun by then is finished all
//! the same: an attempt that was decided is in the audit log, whoever hears of it.

use std::{pin::pin, sync::Arc, time::Duration};

use countersign_core::wire::radius::{packet::Packet, stream::Framer};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Services,
    accept::Standing,
    handler::{Common, Handler, Step},
    job::{Done, Job},
    peer::Peer,
};

/// Why a connection was closed by us.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the stream is no longer RADIUS: {0}")]
    Malformed(String),
    #[error("the peer does not know the shared secret, or sends no Message-Authenticator")]
    Unauthentic,
    #[error("no authentic packet came")]
    Unproven,
    #[error("the rest of a packet did not come")]
    Stalled,
    #[error("answers are not read")]
    NotRead,
    #[error("its client is not in the config any more")]
    Unknown,
    #[error("its certificate has expired or was revoked")]
    Certificate,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Serves a connection to its end, or until `stop` and what is under way is answered.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send,
    peer: Peer,
    standing: Option<Standing>,
    common: Arc<Common>,
    services: Services,
    stop: CancellationToken,
) {
    tracing::debug!(%peer, "RADIUS connection begins");
    let handler = Handler::new(common);
    let is_proven = !matches!(peer, Peer::Tcp(_));
    let mut connection = Connection { handler, is_proven, peer, standing, services };
    match connection.run(stream, stop).await {
        Ok(()) => tracing::debug!(peer = %connection.peer, "RADIUS connection ended"),
        Err(cause) => {
            tracing::debug!(peer = %connection.peer, %cause, "RADIUS connection was closed");
        }
    }
}

struct Connection {
    handler: Handler,
    /// Whether the peer has shown that it may ask: by its certificate, as the user that it is,
    /// or by a first packet.
    is_proven: bool,
    peer: Peer,
    standing: Option<Standing>,
    services: Services,
}

impl Connection {
    async fn run(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Send,
        stop: CancellationToken,
    ) -> Result<(), Closed> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut working = FuturesUnordered::new();
        let ended = async {
            let mut framer = Framer::new();
            let mut octets = vec![0; Packet::MAX_LENGTH];
            let mut stopped = pin!(stop.cancelled());
            // When the rest of a packet must be there that has begun.
            let mut patience = None;
            let proof = Instant::now() + FIRST_PACKET;
            loop {
                let proof = (!self.is_proven).then_some(proof);
                let reads = self.handler.has_room(MAX_AT_ONCE);
                tokio::select! {
                    biased;
                    () = &mut stopped => break,
                    Some(done) = working.next() => self.answer(done, &mut writer).await?,
                    () = until(patience), if reads => return Err(Closed::Stalled),
                    () = until(proof) => return Err(Closed::Unproven),
                    read = reader.read(&mut octets), if reads => match read? {
                        0 => break,
                        length => {
                            framer.push(&octets[..length]);
                            let (work, taken) = self.take(&mut framer, &mut writer).await?;
                            for (job, asked) in work {
                                working.push(Job::run(job, self.services.clone(), asked));
                            }
                            patience = (!framer.is_between_packets())
                                .then(|| patience_for(patience, taken, Instant::now()));
                        }
                    },
                }
            }
            while let Some(done) = working.next().await {
                self.answer(done, &mut writer).await?;
            }
            Ok(())
        };
        let ended = ended.await;
        let _ = timeout(WRITE_TIME, writer.shutdown()).await;
        while let Some((asked, done)) = working.next().await {
            let _ = self.handler.finish(&asked, done, self.services.clock.now());
        }
        ended
    }

    /// All whole packets: what needs no work is answered, the rest is returned. And whether
    /// there was a packet.
    async fn take(
        &mut self,
        framer: &mut Framer,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(Vec<(Job, Box<super::handler::Asked>)>, bool), Closed> {
        let (mut work, mut taken) = (Vec::new(), false);
        loop {
            let packet = framer.next_packet().map_err(|error| Closed::Malformed(error.to_string()));
            let Some(packet) = packet? else { return Ok((work, taken)) };
            taken = true;
            if !self.handler.knows(&self.peer) {
                return Err(Closed::Unknown);
            }
            let now = self.services.clock.now();
            if self.standing.as_mut().is_some_and(|standing| !standing.is_good(now)) {
                return Err(Closed::Certificate);
            }
            match self.handler.handle_packet(packet, &self.peer, now) {
                Step::Nothing => {}
                Step::Close => return Err(Closed::Unauthentic),
                Step::Answer(answer) => {
                    self.is_proven = true;
                    write(writer, &answer).await?;
                }
                Step::Work(asked, job) => {
                    self.is_proven = true;
                    work.push((job, asked));
                }
            }
        }
    }

    async fn answer(
        &mut self,
        (asked, done): (Box<super::handler::Asked>, Done),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Closed> {
        let now = self.services.clock.now();
        match self.handler.finish(&asked, done, now) {
            Some(answer) => write(writer, &answer).await,
            None => Ok(()),
        }
    }
}

/// One write for a packet; the system does not split short ones.
async fn write(writer: &mut (impl AsyncWrite + Unpin), packet: &[u8]) -> Result<(), Closed> {
    let written = async {
        writer.write_all(packet).await?;
        writer.flush().await
    };
    timeout(WRITE_TIME, written).await.map_err(|_| Closed::NotRead)??;
    Ok(())
}

/// Until when the rest of a packet is waited for: since it began, and it began anew if one
/// was taken. On a busy connection reading hardly ever ends between two packets.
fn patience_for(before: Option<Instant>, taken: bool, now: Instant) -> Instant {
    before.filter(|_| !taken).unwrap_or(now + REST_OF_PACKET)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Requests of one connection under way; a KDC has 256 at most (RFC 6613 §2.6.5), RADIUS/1.1 any number.
const MAX_AT_ONCE: usize = 1024;
/// A stranger on TCP has so long to show that it is none.
const FIRST_PACKET: Duration = Duration::from_secs(60);
/// A packet that has begun must end within.
const REST_OF_PACKET: Duration = Duration::from_secs(30);
/// Answers must be taken within.
const WRITE_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_packet_is_waited_for_since_it_began() {
        let start = Instant::now();
        let later = start + Duration::from_secs(20);
        let begun = patience_for(None, false, start);
        assert_eq!(begun, start + REST_OF_PACKET);
        assert_eq!(patience_for(Some(begun), false, later), begun, "octet by octet is not enough");
        assert_eq!(patience_for(Some(begun), true, later), later + REST_OF_PACKET, "another one");
    }
}
