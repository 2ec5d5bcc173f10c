//! Sockets that somebody else opened for us: the service manager (`sd_listen_fds(3)`), or the
//! process that holds them.
//!
//! A listener takes the one that has its address or path; then nothing is bound anew, and
//! what came in while we were down is still there.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use socket2::{Domain, Socket, Type};

/// The sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    opened: Vec<Opened>,
    /// Where connections of slapd come from.
    intake: Option<Socket>,
}

#[derive(Debug)]
struct Opened {
    socket: Socket,
    /// Where it can be reached; a UNIX socket may have been moved since it was bound.
    path: Option<PathBuf>,
}

impl Inherited {
    /// Those that the environment names. It is cleared of them, so this is for the start of
    /// the program, before there are threads.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut handed = ListenFd::from_env();
        let kinds = [
            (Domain::UNIX, Type::STREAM),
            (Domain::IPV4, Type::STREAM),
            (Domain::IPV4, Type::DGRAM),
        ];
        let count = handed.len();
        let take = |index| {
            kinds.iter().find_map(|(domain, kind)| {
                // IPv6 passes as IPv4 here.
                let taken = handed.take_custom(index, (*domain).into(), (*kind).into(), "socket");
                taken.ok().flatten()
            })
        };
        Self::from((0..count).filter_map(take).collect::<Vec<Socket>>())
    }

    /// Adds the channel by which connections of slapd come.
    pub fn add_intake(&mut self, intake: Socket) {
        self.intake = Some(intake);
    }

    /// The channel by which connections of slapd come.
    #[must_use]
    pub fn take_intake(&mut self) -> Option<Socket> {
        self.intake.take()
    }

    /// Whether there is a socket that listens on a path.
    #[must_use]
    pub fn has_path(&self, path: &Path) -> bool {
        self.opened.iter().any(|opened| opened.listens_on(path))
    }

    /// The socket that listens on a path.
    #[must_use]
    pub fn take_path(&mut self, path: &Path) -> Option<Socket> {
        self.take(|opened| opened.listens_on(path))
    }

    /// The socket that listens on a TCP address.
    #[must_use]
    pub fn take_tcp(&mut self, address: SocketAddr) -> Option<Socket> {
        self.take(|Opened { socket, .. }| is_listener(socket) && has_address(socket, address))
    }

    /// The socket of a UDP address.
    #[must_use]
    pub fn take_udp(&mut self, address: SocketAddr) -> Option<Socket> {
        self.take(|Opened { socket, .. }| {
            socket.r#type().is_ok_and(|kind| kind == Type::DGRAM) && has_address(socket, address)
        })
    }

    /// A connection on a UNIX socket that was accepted for us.
    #[must_use]
    pub fn take_connection(&mut self) -> Option<Socket> {
        self.take(|Opened { socket, .. }| {
            let is_unix = socket.local_addr().is_ok_and(|address| address.is_unix());
            is_unix && !is_listener(socket)
        })
    }

    /// What nobody has a use for.
    #[must_use]
    pub fn left(&self) -> usize {
        self.opened.len()
    }

    /// All that are left.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.opened.iter().map(|opened| &opened.socket)
    }

    fn take(&mut self, is_it: impl Fn(&Opened) -> bool) -> Option<Socket> {
        let place = self.opened.iter().position(is_it)?;
        Some(self.opened.swap_remove(place).socket)
    }
}

impl Opened {
    fn listens_on(&self, path: &Path) -> bool {
        self.path.as_deref() == Some(path) && is_listener(&self.socket)
    }
}

impl From<Vec<Socket>> for Inherited {
    fn from(sockets: Vec<Socket>) -> Self {
        let opened = |socket: Socket| {
            let address = socket.local_addr().ok();
            let path = address.and_then(|address| address.as_pathname().map(Path::to_owned));
            Opened { socket, path }
        };
        Self { opened: sockets.into_iter().map(opened).collect(), intake: None }
    }
}

fn is_listener(socket: &Socket) -> bool {
    let is_listener: io::Result<bool> = socket.is_listener();
    is_listener.unwrap_or(false)
}

fn has_address(socket: &Socket, address: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|found| found.as_socket() == Some(address))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;

    #[test]
    fn each_socket_goes_to_whom_it_was_opened_for_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdc.sock");
        let unix = UnixListener::bind(&path).unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        let sockets: Vec<Socket> = vec![one.into(), udp.into(), tcp.into(), unix.into()];
        let mut inherited = Inherited::from(sockets);
        assert!(inherited.take_path(Path::new("/elsewhere")).is_none());
        assert!(inherited.take_tcp(udp_at).is_none() && inherited.take_udp(tcp_at).is_none());
        assert!(inherited.take_path(&path).is_some() && inherited.take_path(&path).is_none());
        assert!(inherited.take_tcp(tcp_at).is_some());
        assert!(inherited.take_udp(udp_at).is_some());
        assert_eq!(inherited.left(), 1);
        assert!(inherited.take_connection().is_some());
        assert_eq!(inherited.left(), 0);
    }
}
