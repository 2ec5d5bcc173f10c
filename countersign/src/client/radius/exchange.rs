//! One request to one server: sent, sent again, and the first authentic answer.

use std::{io, net::SocketAddr, time::Duration};

use aws_lc_rs::rand;
use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::{Authenticator, Demand},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Packet, Protection},
        password::PasswordError,
    },
};
use tokio::{net::UdpSocket, time::timeout};

use crate::config::upstream::ServerSettings;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) user_name: &'a str,
    pub(super) passcode: &'a Secret<Vec<u8>>,
    pub(super) nas_identifier: &'a str,
}

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Between two transmissions, and after the last.
    pub(super) timeout: Duration,
    /// Transmissions.
    pub(super) tries: u32,
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The server: no authentic answer came in time.
    #[error("no authentic answer; check address, shared secret and what the server logs")]
    Silent,
    /// The server or the way to it: the packet could not be delivered.
    #[error("not reachable: {0}")]
    Unreachable(#[from] io::Error),
    /// Caller: the name or the passcode does not fit into a RADIUS packet.
    #[error("cannot be sent: {0}")]
    Unsendable(#[from] PasswordError),
}

struct Request {
    identifier: Identifier,
    authenticator: Authenticator,
    bytes: Vec<u8>,
}

/// Sends a request from a fresh port, the same octets again after each time-out, and
/// waits for Accept, Reject or Challenge from this server for this request. Whatever
/// else arrives is ignored: anybody may have sent it.
///
/// A socket of its own makes the source port as hard to guess as the identifier and
/// the authenticator, and lets any number of requests be under way.
pub(super) async fn exchange(
    server: &ServerSettings,
    credentials: Credentials<'_>,
    patience: Patience,
    demand: Demand,
) -> Result<Code, Unanswered> {
    let request = write_request(credentials, &server.secret)?;
    let socket = connect(server.address).await?;
    for _ in 0..patience.tries {
        socket.send(&request.bytes).await?;
        let answer = authentic_answer(&socket, &request, &server.secret, demand);
        if let Ok(answer) = timeout(patience.timeout, answer).await {
            return Ok(answer?);
        }
    }
    Err(Unanswered::Silent)
}

impl Patience {
    /// For one server.
    pub(super) fn total(self) -> Duration {
        self.timeout.saturating_mul(self.tries)
    }
}

fn write_request(
    credentials: Credentials<'_>,
    secret: &Secret<Vec<u8>>,
) -> Result<Request, Unanswered> {
    let (identifier, authenticator) = unpredictable();
    let protection = Protection::MessageAuthenticator;
    let mut draft = Draft::new(Code::ACCESS_REQUEST, identifier, authenticator, protection);
    let name = credentials.user_name.as_bytes();
    draft.push(AttributeNumber::USER_NAME, name).map_err(PasswordError::from)?;
    draft.push_user_password(credentials.passcode, secret)?;
    let nas = credentials.nas_identifier.as_bytes();
    draft.push(AttributeNumber::NAS_IDENTIFIER, nas).map_err(PasswordError::from)?;
    Ok(Request { identifier, authenticator, bytes: draft.finish_request(secret) })
}

fn unpredictable() -> (Identifier, Authenticator) {
    let mut octets = [0; 17];
    rand::fill(&mut octets).expect("the operating system gives randomness once it has started");
    let [identifier, authenticator @ ..] = octets;
    (Identifier(identifier), Authenticator(authenticator))
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
    request: &Request,
    secret: &Secret<Vec<u8>>,
    demand: Demand,
) -> io::Result<Code> {
    let mut datagram = vec![0; Packet::MAX_LENGTH];
    loop {
        let length = socket.recv(&mut datagram).await?;
        match read_answer(&datagram[..length], request, secret, demand) {
            Ok(code) => return Ok(code),
            Err(cause) => tracing::debug!(server = ?socket.peer_addr().ok(), cause, "ignored"),
        }
    }
}

fn read_answer(
    datagram: &[u8],
    request: &Request,
    secret: &Secret<Vec<u8>>,
    demand: Demand,
) -> Result<Code, String> {
    let packet = Packet::read(datagram).map_err(|error| error.to_string())?;
    let reply = packet
        .verify_reply(request.identifier, request.authenticator, secret, demand)
        .map_err(|error| error.to_string())?;
    match reply.packet().code() {
        code @ (Code::ACCESS_ACCEPT | Code::ACCESS_REJECT | Code::ACCESS_CHALLENGE) => Ok(code),
        code => Err(format!("{code} is no answer to an Access-Request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn request(passcode: &[u8]) -> Result<Request, Unanswered> {
        let passcode = Secret::new(passcode.to_vec());
        let credentials =
            Credentials { user_name: "alice", passcode: &passcode, nas_identifier: "countersign" };
        write_request(credentials, &secret())
    }

    fn reply(request: &Request, code: Code, protection: Protection) -> Vec<u8> {
        Draft::new(code, request.identifier, request.authenticator, protection)
            .finish_reply(&secret())
    }

    #[test]
    fn asks_with_message_authenticator_first_and_the_passcode_verbatim() {
        let request = request(b"1234 755224").unwrap();
        let secret = secret();
        let packet = Packet::read(&request.bytes).unwrap();
        let numbers: Vec<_> = packet.attributes().iter().map(|found| found.number).collect();
        assert_eq!(
            numbers,
            [
                AttributeNumber::MESSAGE_AUTHENTICATOR,
                AttributeNumber::USER_NAME,
                AttributeNumber::USER_PASSWORD,
                AttributeNumber::NAS_IDENTIFIER,
            ]
        );
        let verified = packet.verify_request(&secret, Demand::Required).unwrap();
        assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"1234 755224".to_vec()))));
    }

    #[test]
    fn every_request_has_its_own_authenticator() {
        assert_ne!(request(b"1").unwrap().authenticator, request(b"1").unwrap().authenticator);
    }

    #[test]
    fn does_not_cut_what_is_too_long() {
        assert!(request(&[b'1'; 128]).is_ok());
        assert!(matches!(
            request(&[b'1'; 129]),
            Err(Unanswered::Unsendable(PasswordError::TooLong))
        ));
    }

    #[test]
    fn believes_only_an_authentic_answer_to_this_request() {
        let (ours, other) = (request(b"1").unwrap(), request(b"1").unwrap());
        let read = |reply: &[u8], demand| read_answer(reply, &ours, &secret(), demand);
        let (with, without) = (Protection::MessageAuthenticator, Protection::None);
        for code in [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE] {
            assert_eq!(read(&reply(&ours, code, with), Demand::Required), Ok(code));
        }
        let bare = reply(&ours, Code::ACCESS_ACCEPT, without);
        assert!(read(&bare, Demand::Required).is_err(), "no Message-Authenticator");
        assert_eq!(read(&bare, Demand::WherePresent), Ok(Code::ACCESS_ACCEPT));
        let mut forged = reply(&ours, Code::ACCESS_REJECT, with);
        forged[0] = Code::ACCESS_ACCEPT.0;
        for wrong in [
            forged,
            reply(&other, Code::ACCESS_ACCEPT, with),
            reply(&ours, Code::ACCOUNTING_RESPONSE, with),
            Vec::new(),
        ] {
            assert!(read(&wrong, Demand::WherePresent).is_err(), "{wrong:?}");
        }
    }
}
