//! Sockets: taken over from the service manager, or bound.

use std::{fs, io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use crate::{config::socket::SocketSettings, listener::inherited::Inherited, vault::random_octets};

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

/// A socket at a path. It is there with its mode and group at once or not at all, for it
/// is made under another name first; what stood there from an earlier run is replaced.
pub(super) fn unix(
    settings: &SocketSettings,
    inherited: &mut Inherited,
) -> io::Result<UnixListener> {
    let path = &settings.path;
    let socket = match inherited.take_path(path) {
        Some(socket) => socket,
        None if has_listener(path)? => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens on it"));
        }
        None => make(settings)?,
    };
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn make(settings: &SocketSettings) -> io::Result<Socket> {
    let SocketSettings { path, mode, group, .. } = settings;
    refuse_other_files(path)?;
    let [a, b] = random_octets();
    let name = format!(".{a:02x}{b:02x}");
    let making = path.with_file_name(name);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&making)?)?;
    let placed = (|| {
        fs::set_permissions(&making, PermissionsExt::from_mode(*mode))?;
        if let Some(group) = group {
            std::os::unix::fs::chown(&making, None, Some(*group))?;
        }
        socket.listen(BACKLOG)?;
        fs::rename(&making, path)
    })();
    placed.inspect_err(|_| {
        let _ = fs::remove_file(&making);
    })?;
    Ok(socket)
}

/// Whether somebody listens on a path, also if that one is too busy to take us.
fn has_listener(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Nothing but a socket is replaced.
fn refuse_other_files(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;

    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and is no socket"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// For bursts. Each packet takes about 1 KiB of it.
const RECEIVE_BUFFER_OCTETS: usize = 4 * 1024 * 1024;
/// A KDC hangs as a whole while nobody takes its connection.
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(path: &Path, mode: u32) -> SocketSettings {
        SocketSettings { path: path.into(), mode, group: None, users: Vec::new() }
    }

    fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
        unix(&settings(path, mode), &mut Inherited::default())
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_and_takes_the_place_of_a_dead_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdc.sock");
        for mode in [0o600, 0o660] {
            let listener = bind(&path, mode).unwrap();
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
            assert!(UnixStream::connect(&path).is_ok());
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
            drop(listener);
        }
    }

    #[tokio::test]
    async fn neither_a_live_socket_nor_another_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdc.sock");
        let _listener = bind(&path, 0o600).unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(bind(&file, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
