//! Datagrams: a request is sent, sent again, and the first authentic answer counts.

use std::{io, net::SocketAddr};

use countersign_core::wire::radius::packet::Packet;
use tokio::{net::UdpSocket, time::timeout};

use super::{
    Patience, Unanswered,
    question::{Answer, Dialect, Question, Written},
};
use crate::vault::random_octets;

/// Sends a request from a fresh port, the same octets again after each time-out, and
/// waits for an answer from this server to this request. Whatever else arrives is ignored:
/// anybody may have sent it.
///
/// A socket of its own makes the source port as hard to guess as the identifier and
/// the authenticator, and lets any number of requests be under way.
pub(super) async fn exchange(
    server: SocketAddr,
    question: &Question,
    dialect: &Dialect,
    patience: Patience,
) -> Result<Answer, Unanswered> {
    let [identifier] = random_octets::<1>();
    let request = question.write(dialect, identifier.into())?;
    let socket = connect(server).await?;
    for _ in 0..patience.tries {
        socket.send(request.bytes.expose()).await?;
        let answer = authentic_answer(&socket, &request, dialect);
        if let Ok(answer) = timeout(patience.timeout, answer).await {
            return Ok(answer?);
        }
    }
    Err(Unanswered::Silent)
}

async fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn authentic_answer(
    socket: &UdpSocket,
    request: &Written,
    dialect: &Dialect,
) -> io::Result<Answer> {
    let mut datagram = vec![0; Packet::MAX_LENGTH];
    loop {
        let length = socket.recv(&mut datagram).await?;
        let cause = match Packet::read(&datagram[..length]) {
            Ok(packet) => match request.pending.read(packet, dialect) {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause.to_string(),
            },
            Err(cause) => cause.to_string(),
        };
        tracing::debug!(server = ?socket.peer_addr().ok(), cause, "ignored");
    }
}
