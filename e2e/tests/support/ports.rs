//! Free loopback ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

/// A port that nothing listens on, TCP or UDP, and that this process gives out only once.
///
/// The ports lie below those that the kernel gives to outgoing connections, so that
/// none of them is taken between this look and the start of the server.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 200).expect("less than 200") * 50;
    for _ in 0..RANGE {
        let port = BASE + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % RANGE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port from {BASE} to {}", BASE + RANGE);
}

const BASE: u16 = 20_000;
const RANGE: u16 = 10_000;
