//! Sockets that one process hands to another: over a channel that is the standard input of the
//! other one, and that ends with the life of who holds its other end.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use socket2::Socket;

use super::Place;
use crate::listener::{
    inherited::Inherited,
    rights::{receive, send},
};

/// What a worker is handed.
pub(super) struct Handed {
    /// Where slapd connects to.
    pub(super) path: Vec<u8>,
    /// The socket that listens there; the worker is to use it only when the holder is gone.
    pub(super) socket: Socket,
    /// Whether the service manager has that socket, too.
    pub(super) is_lent: bool,
    /// Where connections come from.
    pub(super) intake: Socket,
    /// Sockets of other listeners.
    pub(super) others: Vec<Socket>,
}

/// Hands over the socket that listens on a path, the channel that connections come by, and
/// others.
pub(super) fn hand_over(
    channel: &Socket,
    place: &Place,
    intake: &Socket,
    others: &Inherited,
) -> io::Result<()> {
    let path = place.path.as_os_str().as_bytes();
    send(channel, path, &[place.socket.as_fd(), intake.as_fd()])?;
    if place.is_lent {
        send(channel, LENT, &[])?;
    }
    for other in others.sockets() {
        send(channel, OTHER, &[other.as_fd()])?;
    }
    send(channel, END, &[])
}

/// What was handed over.
pub(super) fn take_over(channel: impl AsFd) -> io::Result<Handed> {
    let (path, descriptors) = receive(channel.as_fd())?;
    let [socket, intake] = <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| nothing())?;
    let (mut is_lent, mut others) = (false, Vec::new());
    loop {
        let (text, descriptors) = receive(channel.as_fd())?;
        match (text.as_slice(), <[OwnedFd; 1]>::try_from(descriptors)) {
            (OTHER, Ok([other])) => others.push(other.into()),
            (LENT, Err(none)) if none.is_empty() => is_lent = true,
            (END, Err(none)) if none.is_empty() => break,
            _ => return Err(nothing()),
        }
    }
    Ok(Handed { path, socket: socket.into(), is_lent, intake: intake.into(), others })
}

/// A path as it was sent.
pub(super) fn path_of(octets: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(octets))
}

fn nothing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "nobody holds a socket for this process")
}

const OTHER: &[u8] = b"+";
const LENT: &[u8] = b"lent";
const END: &[u8] = b".";

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use socket2::{Domain, Type};

    use super::*;
    use crate::listener::rights::channel;

    #[test]
    fn sockets_are_handed_over_with_their_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slapd.sock");
        let (socket, other) = (
            UnixListener::bind(&path).unwrap(),
            Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap().0,
        );
        let ((ours, theirs), (intake, _)) = (channel().unwrap(), channel().unwrap());
        let others = Inherited::from(vec![other]);
        let place = Place { is_lent: true, ..Place::new(socket.into(), path.clone()) };
        hand_over(&ours, &place, &intake, &others).unwrap();
        let handed = take_over(&theirs).unwrap();
        assert!(handed.is_lent);
        assert_eq!(path_of(&handed.path), path);
        assert_eq!(handed.socket.local_addr().unwrap().as_pathname(), Some(&*path));
        assert!(handed.socket.is_listener().unwrap() && handed.others.len() == 1);
    }

    #[test]
    fn anything_else_is_refused() {
        let (ours, theirs) = channel().unwrap();
        send(&ours, END, &[]).unwrap();
        assert!(take_over(&theirs).is_err());
        let (stream, _) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        send(&ours, b"/path", &[stream.as_fd(), stream.as_fd()]).unwrap();
        send(&ours, b"?", &[stream.as_fd()]).unwrap();
        assert!(take_over(&theirs).is_err());
        drop(ours);
        assert!(take_over(&theirs).is_err(), "the other end is gone");
    }
}
