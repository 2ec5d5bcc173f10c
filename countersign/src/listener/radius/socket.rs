//! Internet sockets: taken over from the service manager, or bound.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::listener::inherited::Inherited;

/// As many sockets on one address as there are processors. The first one is bound
/// without sharing and let go again: sharing would let a second daemon take half of
/// the packets without anybody noticing.
pub(super) fn udp(address: SocketAddr, inherited: &mut Inherited) -> io::Result<Vec<UdpSocket>> {
    if let Some(socket) = inherited.take_udp(address) {
        socket.set_nonblocking(true)?;
        return Ok(vec![UdpSocket::from_std(socket.into())?]);
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let free = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    free.bind(&address.into())?;
    let address = free.local_addr()?.as_socket().unwrap_or(address);
    drop(free);
    (0..count).map(|_| udp_shared(address)).collect()
}

fn udp_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // A wish: the system grants what it is set up to grant.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

pub(in crate::listener) fn tcp(
    address: SocketAddr,
    inherited: &mut Inherited,
) -> io::Result<TcpListener> {
    let socket = match inherited.take_tcp(address) {
        Some(socket) => socket,
        None => {
            let socket = new_socket(address, Type::STREAM, Protocol::TCP)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            socket
        }
    };
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn new_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// For bursts. Each packet takes about 1 KiB of it.
const RECEIVE_BUFFER_OCTETS: usize = 4 * 1024 * 1024;
const BACKLOG: i32 = 1024;
