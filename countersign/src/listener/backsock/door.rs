//! Connections of slapd, from the first octet to the last.
//!
//! Both ends of a conversation are dangerous with slapd before 2.6.14. An answer that never
//! begins is success, so the preamble is written in the same breath in which the connection
//! is taken. And slapd, when it cannot write its request to the end, reads no answer at all,
//! which is the same to it; so a connection is closed by slapd first.

use std::{io, time::Duration};

use countersign_core::wire::backsock::{Answer, PREAMBLE, ResultCode};
use socket2::{SockRef, Socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};
use zeroize::Zeroizing;

/// A socket on which slapd knocks.
#[derive(Debug)]
pub struct Door(UnixListener);

impl Door {
    /// Over a socket that listens. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// The system cannot watch it.
    pub fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(UnixListener::from_std(socket.into())?))
    }

    /// The next connection; the preamble is written.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn next(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.0.accept().await?;
            // The system is asked by ourselves: the runtime would first wait for word that
            // the connection is writable.
            if SockRef::from(&stream).send(PREAMBLE).is_ok() {
                return Ok(stream);
            }
        }
    }

    /// Says that nobody is there who could tell, to all who come, for ever.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn refuse(&self) -> io::Result<()> {
        loop {
            let stream = self.next().await?;
            tokio::spawn(async move { finish(stream, &Answer::of(ResultCode::UNAVAILABLE)).await });
        }
    }

    /// Lets nobody knock any more, from whatever process, and says the same to all who wait.
    ///
    /// Whoever has found the path already is refused by the system from now on, which slapd
    /// tells its client as code 80. No process may wait for connections any more then: the
    /// system would say again and again that there is one.
    pub async fn close(self) {
        let Ok(socket) = self.0.into_std().map(Socket::from) else { return };
        let _ = socket.shutdown(std::net::Shutdown::Read);
        let mut farewells = JoinSet::new();
        while let Ok((stream, _)) = socket.accept() {
            farewells.spawn(farewell(stream));
        }
        farewells.join_all().await;
    }
}

async fn farewell(socket: Socket) -> io::Result<()> {
    socket.send(PREAMBLE)?;
    socket.set_nonblocking(true)?;
    finish(UnixStream::from_std(socket.into())?, &Answer::of(ResultCode::UNAVAILABLE)).await
}

/// Writes the answer, and closes when slapd has read it.
///
/// # Errors
///
/// slapd is gone.
pub(super) async fn finish(mut stream: UnixStream, answer: &Answer) -> io::Result<()> {
    let octets = answer.to_octets();
    let rest = async {
        stream.write_all(&octets).await?;
        let mut unread = Zeroizing::new([0; 1024]);
        while stream.read(&mut unread[..]).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, rest).await.unwrap_or(Ok(()))
}

/// So long slapd may take to finish its request and to read the answer.
const LINGER: Duration = Duration::from_secs(1);
