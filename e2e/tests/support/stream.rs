//! RADIUS on a stream (RFC 6613): packets back to back over TCP, a UNIX socket, or
//! `openssl s_client` for TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

use super::clock::LIMIT;

/// Reads one packet, framed by its length field alone; `None` at the end of the stream.
pub fn receive(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).ok()?;
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    packet.resize(length.max(4), 0);
    stream.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

/// A connection to a UNIX socket.
#[track_caller]
pub fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("somebody listens on the socket");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream
}

/// A TCP connection to a port on this machine.
#[track_caller]
pub fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens on the port");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream
}

/// `openssl s_client` with a connection to a port on this machine.
#[derive(Debug)]
pub struct TlsClient {
    child: Child,
    input: ChildStdin,
    replies: Receiver<Vec<u8>>,
}

impl TlsClient {
    /// Connects with further options, `-cert`, `-alpn` and such; `-quiet` keeps what comes on
    /// standard output free of words.
    pub fn connect(port: u16, options: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_quiet", "-connect"]);
        command.arg(format!("127.0.0.1:{port}")).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is installed");
        let input = child.stdin.take().expect("it is piped");
        let mut output = child.stdout.take().expect("it is piped");
        let (sender, replies) = channel();
        thread::spawn(move || {
            while let Some(packet) = receive(&mut output) {
                let _ = sender.send(packet);
            }
        });
        Self { child, input, replies }
    }

    /// Sends octets; a connection that is gone shows when nothing comes back.
    pub fn send(&mut self, octets: &[u8]) {
        let _ = self.input.write_all(octets).and_then(|()| self.input.flush());
    }

    /// The next packet; `None` when the other side has closed.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        match self.replies.recv_timeout(LIMIT) {
            Ok(packet) => Some(packet),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("neither a packet nor an end within {LIMIT:?}")
            }
        }
    }
}

impl Drop for TlsClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
