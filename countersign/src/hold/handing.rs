//! Sockets that one process hands to another: over a channel that is the standard input of the
//! other one, and that ends with the life of who holds its other end.

use std::{
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::{Domain, Socket, Type};

use crate::listener::inherited::Inherited;

/// Both ends of a channel; messages keep their bounds.
pub(super) fn channel() -> io::Result<(Socket, Socket)> {
    Socket::pair(Domain::UNIX, Type::SEQPACKET, None)
}

/// Hands over the socket that listens on a path, and others.
pub(super) fn hand_over(
    channel: &Socket,
    (path, socket): (&Path, &Socket),
    others: &Inherited,
) -> io::Result<()> {
    send(channel, path.as_os_str().as_bytes(), Some(socket))?;
    for other in others.sockets() {
        send(channel, OTHER, Some(other))?;
    }
    send(channel, END, None)
}

/// What was handed over: the path, the socket that listens there, and others.
pub(super) fn take_over(channel: impl AsFd) -> io::Result<(Vec<u8>, Socket, Vec<Socket>)> {
    let (path, Some(held)) = receive(channel.as_fd())? else { return Err(nothing()) };
    let mut others = Vec::new();
    loop {
        match receive(channel.as_fd())? {
            (text, Some(other)) if text == OTHER => others.push(other),
            (text, None) if text == END => return Ok((path, held, others)),
            _ => return Err(nothing()),
        }
    }
}

/// A path as it was sent.
pub(super) fn path_of(octets: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(octets))
}

fn send(channel: &Socket, text: &[u8], socket: Option<&Socket>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptor = socket.map(|socket| [socket.as_fd()]);
    if let Some(descriptor) = &descriptor {
        control.push(SendAncillaryMessage::ScmRights(descriptor));
    }
    sendmsg(channel, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(channel: impl AsFd) -> io::Result<(Vec<u8>, Option<Socket>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; MAX_TEXT];
    let received =
        recvmsg(channel, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    text.truncate(received.bytes);
    let descriptors = control.drain().filter_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            Some(descriptors)
        } else {
            None
        }
    });
    let descriptor: Option<OwnedFd> = descriptors.flatten().next();
    Ok((text, descriptor.map(Socket::from)))
}

fn nothing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "nobody holds a socket for this process")
}

const OTHER: &[u8] = b"+";
const END: &[u8] = b".";
/// A path has 107 octets at most.
const MAX_TEXT: usize = 128;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_handed_over_with_their_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slapd.sock");
        let (socket, other) = (
            UnixListener::bind(&path).unwrap(),
            Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap().0,
        );
        let (ours, theirs) = channel().unwrap();
        let others = Inherited::from(vec![other]);
        hand_over(&ours, (&path, &socket.into()), &others).unwrap();
        let (text, taken, others) = take_over(&theirs).unwrap();
        assert_eq!(path_of(&text), path);
        assert_eq!(taken.local_addr().unwrap().as_pathname(), Some(&*path));
        assert!(taken.is_listener().unwrap() && others.len() == 1);
    }

    #[test]
    fn anything_else_is_refused() {
        let (ours, theirs) = channel().unwrap();
        send(&ours, END, None).unwrap();
        assert!(take_over(&theirs).is_err());
        let (stream, _) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        send(&ours, b"/path", Some(&stream)).unwrap();
        send(&ours, b"?", Some(&stream)).unwrap();
        assert!(take_over(&theirs).is_err());
        drop(ours);
        assert!(take_over(&theirs).is_err(), "the other end is gone");
    }
}
