//! A RADIUS client of its own, for what radclient cannot do: send the same octets
//! twice, many sockets at once, thousands of requests. Written from RFC 2865 and
//! RFC 3579 alone; it shares no code with the daemon.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::radclient::Answer;

/// An Access-Request, ready to be sent as often as wanted.
#[derive(Debug, Clone)]
pub struct Request {
    octets: Vec<u8>,
    secret: Vec<u8>,
    /// Whether there is a Message-Authenticator, in the request as in the reply.
    signed: bool,
}

impl Request {
    /// A request with User-Name, User-Password and Message-Authenticator.
    ///
    /// The request authenticator is made from the content and a number that the caller
    /// does not use twice, which is all that these tests need of it.
    pub fn new(secret: &str, user: &str, password: &str, number: u64) -> Self {
        let secret = secret.as_bytes();
        let (mut octets, authenticator) = begin(user, password, number);
        push(&mut octets, 80, &[0; 16]);
        push(&mut octets, 1, user.as_bytes());
        push(&mut octets, 2, &hidden(secret, &authenticator, password.as_bytes()));
        push(&mut octets, 4, &Ipv4Addr::LOCALHOST.octets());
        write_length(&mut octets);
        let mac = hmac_md5(secret, &octets);
        octets[22..38].copy_from_slice(&mac);
        Self { octets, secret: secret.into(), signed: true }
    }

    /// What a KDC up to 1.21 sends: NAS-Identifier, Service-Type, User-Password and User-Name;
    /// on a UNIX socket the secret is empty. No Message-Authenticator, and none may come back.
    pub fn of_kdc(secret: &str, user: &str, password: &str, number: u64) -> Self {
        let (mut octets, authenticator) = begin(user, password, number);
        push(&mut octets, 32, b"kdc.corp.example");
        push(&mut octets, 6, &8_u32.to_be_bytes());
        push(&mut octets, 2, &hidden(secret.as_bytes(), &authenticator, password.as_bytes()));
        push(&mut octets, 1, user.as_bytes());
        write_length(&mut octets);
        Self { octets, secret: secret.into(), signed: false }
    }

    /// Sends the request once and waits for the reply; `None` is silence.
    pub fn exchange(&self, socket: &UdpSocket, timeout: Duration) -> Option<Vec<u8>> {
        socket.send(&self.octets).ok()?;
        self.receive(socket, timeout)
    }

    /// The datagram.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Sends the request.
    pub fn send(&self, socket: &UdpSocket) {
        socket.send(&self.octets).expect("a datagram leaves");
    }

    /// Waits for the reply to this request; datagrams that answer another one are passed over.
    #[track_caller]
    pub fn receive(&self, socket: &UdpSocket, timeout: Duration) -> Option<Vec<u8>> {
        socket.set_read_timeout(Some(timeout)).expect("a timeout");
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).ok()?;
            let reply = &buffer[..length];
            if length >= 20 && reply[1] == self.octets[1] {
                assert!(self.is_answered_by(reply), "a reply that is not authentic: {reply:02x?}");
                return Some(reply.to_vec());
            }
        }
    }

    /// Response Authenticator (RFC 2865 §3) and Message-Authenticator (RFC 3579 §3.2), which
    /// must be there and be the first attribute.
    pub fn is_answered_by(&self, reply: &[u8]) -> bool {
        let mut signed = reply.to_vec();
        signed[4..20].copy_from_slice(&self.octets[4..20]);
        let expected: [u8; 16] = Md5::digest([&signed[..], &self.secret].concat()).into();
        if !self.signed {
            // A KDC drops a reply with a Message-Authenticator; nothing at all is best.
            return reply[4..20] == expected && reply.len() == 20;
        }
        if reply[4..20] != expected || reply.get(20..22) != Some(&[80, 18]) {
            return false;
        }
        signed[22..38].fill(0);
        reply[22..38] == hmac_md5(&self.secret, &signed)
    }
}

/// What a reply says.
pub fn answer(reply: Option<&[u8]>) -> Answer {
    match reply.map(|reply| reply[0]) {
        None => Answer::Silence,
        Some(2) => Answer::Accept,
        Some(3) => Answer::Reject,
        Some(11) => Answer::Challenge,
        Some(code) => panic!("a reply of code {code}"),
    }
}

/// The first value of an attribute of a packet.
pub fn attribute(packet: &[u8], number: u8) -> Option<&[u8]> {
    let mut rest = &packet[20..];
    while let [found, length, ..] = *rest {
        let (whole, others) = rest.split_at(usize::from(length));
        if found == number {
            return Some(&whole[2..]);
        }
        rest = others;
    }
    None
}

/// A socket of its own that talks to a port on this machine.
pub fn socket(port: u16) -> UdpSocket {
    socket_from(Ipv4Addr::LOCALHOST.into(), port)
}

/// The same from another address of this machine.
pub fn socket_from(address: IpAddr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).expect("a port");
    socket.connect((Ipv4Addr::LOCALHOST, port)).expect("a local address");
    socket
}

/// Code, identifier, a length that is still to come, Request Authenticator.
fn begin(user: &str, password: &str, number: u64) -> (Vec<u8>, [u8; 16]) {
    let seed = [user.as_bytes(), password.as_bytes(), &number.to_be_bytes()].concat();
    let authenticator: [u8; 16] = Md5::digest(seed).into();
    let mut octets = vec![1, number.to_be_bytes()[7], 0, 0];
    octets.extend(authenticator);
    (octets, authenticator)
}

pub fn write_length(octets: &mut [u8]) {
    let length = u16::try_from(octets.len()).expect("a short request");
    octets[2..4].copy_from_slice(&length.to_be_bytes());
}

pub fn push(octets: &mut Vec<u8>, number: u8, value: &[u8]) {
    octets.push(number);
    octets.push(u8::try_from(value.len() + 2).expect("a short attribute"));
    octets.extend(value);
}

/// User-Password hiding (RFC 2865 §5.2).
fn hidden(secret: &[u8], authenticator: &[u8; 16], password: &[u8]) -> Vec<u8> {
    let mut padded = password.to_vec();
    padded.resize(password.len().max(1).next_multiple_of(16), 0);
    let mut previous = *authenticator;
    for block in padded.chunks_exact_mut(16) {
        let mask: [u8; 16] = Md5::digest([secret, &previous].concat()).into();
        block.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
        previous = (&*block).try_into().expect("16 octets");
    }
    padded
}

fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
