//! Connections that outlive the worker. slapd before 2.6.14 takes a connection that is cut off
//! for success, and a process that is killed cuts off all that it has.
//!
//! So the process that holds the socket takes each connection, writes the preamble, and passes
//! it on to the worker, but keeps it, too, until the worker says that slapd has its answer. A
//! worker that dies before says nothing, and slapd is told that nobody is there.

use std::{
    io,
    io::Write,
    os::{fd::AsFd, unix::net::UnixStream as StdStream},
};

use countersign_core::wire::backsock::{Answer, ResultCode};
use socket2::Socket;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::UnixStream,
};
use tokio_util::task::TaskTracker;

use super::door::{Door, finish};
use crate::listener::rights;

/// The holder's side: passes connections on, and keeps them.
#[derive(Debug)]
pub struct Guard {
    worker: Socket,
    kept: TaskTracker,
}

/// The worker's side: where connections come from.
#[derive(Debug)]
pub struct Intake(UnixStream);

/// A connection that somebody else keeps, too.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) lifeline: Lifeline,
}

/// Tells whoever keeps the connection that it is over. Dropped, it tells that it is not.
#[derive(Debug)]
pub(super) struct Lifeline(StdStream);

impl Guard {
    /// Passes on over this end of a channel ([`rights::channel`]). What is kept is counted by
    /// `kept`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(worker: Socket, kept: TaskTracker) -> io::Result<Self> {
        worker.set_nonblocking(true)?;
        Ok(Self { worker, kept })
    }

    /// Takes connections and passes them on, for ever.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn pass_on(&self, door: &Door) -> io::Result<()> {
        loop {
            // Nobody reads here, so the system need not tell when there is something to read.
            let stream = door.next().await?.into_std()?;
            match self.pass(&stream) {
                Ok(lifeline) => drop(self.kept.spawn(keep(stream, lifeline))),
                Err(error) => {
                    tracing::debug!(%error, "a connection of slapd was not passed on");
                    let is_full = error.kind() == io::ErrorKind::WouldBlock;
                    let code = if is_full { ResultCode::BUSY } else { ResultCode::UNAVAILABLE };
                    self.kept.spawn(refuse(stream, code));
                }
            }
        }
    }

    fn pass(&self, stream: &StdStream) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        rights::send(&self.worker, CONNECTION, &[stream.as_fd(), theirs.as_fd()])?;
        Ok(ours)
    }
}

/// Keeps a connection until the worker says that it is over, or nothing any more.
async fn keep(stream: StdStream, mut lifeline: UnixStream) {
    if lifeline.read_u8().await.is_err() {
        refuse(stream, ResultCode::UNAVAILABLE).await;
    }
}

async fn refuse(stream: StdStream, code: ResultCode) {
    let refused = async { finish(UnixStream::from_std(stream)?, &Answer::of(code)).await };
    if let Err(error) = refused.await {
        tracing::debug!(%error, "slapd did not take its answer");
    }
}

impl Intake {
    /// Takes connections from this end of a channel.
    ///
    /// # Errors
    ///
    /// The system cannot watch it.
    pub fn new(holder: Socket) -> io::Result<Self> {
        holder.set_nonblocking(true)?;
        Ok(Self(UnixStream::from_std(holder.into())?))
    }

    /// The next connection; none when the holder passes on no more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) async fn next(&self) -> io::Result<Option<Connection>> {
        let received = self.0.async_io(Interest::READABLE, || rights::receive(&self.0));
        let (text, descriptors) = received.await?;
        if text.is_empty() {
            return Ok(None);
        }
        let descriptors = <[_; 2]>::try_from(descriptors);
        let [stream, lifeline] = descriptors.map_err(|_| io::ErrorKind::InvalidData)?;
        let stream = UnixStream::from_std(stream.into())?;
        Ok(Some(Connection { stream, lifeline: Lifeline(lifeline.into()) }))
    }
}

impl Lifeline {
    /// slapd has got its answer, and has closed.
    pub(super) fn over(mut self) {
        // If nobody keeps the connection any more, nobody has to know.
        let _ = self.0.write_all(&[1]);
    }
}

const CONNECTION: &[u8] = b"connection";

#[cfg(test)]
mod tests {
    use socket2::{Domain, SockAddr, Type};
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A holder that passes on, and both ends of what it passes on by.
    fn guarded() -> (tempfile::TempDir, std::path::PathBuf, Intake) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slapd.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(8).unwrap();
        let (ours, theirs) = rights::channel().unwrap();
        let guard = Guard::new(ours, TaskTracker::new()).unwrap();
        let door = Door::new(socket).unwrap();
        tokio::spawn(async move { guard.pass_on(&door).await });
        (directory, path, Intake::new(theirs).unwrap())
    }

    async fn read(mut stream: UnixStream) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n\n") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn what_the_worker_drops_is_answered_by_the_holder() {
        let (_directory, path, intake) = guarded();
        let mut slapd = UnixStream::connect(&path).await.unwrap();
        let connection = intake.next().await.unwrap().unwrap();
        drop(connection);
        slapd.write_all(b"BIND\n").await.unwrap();
        assert_eq!(read(slapd).await, "RESULT\ncode: 80\ncode: 52\n\n");
    }

    #[tokio::test]
    async fn what_a_dead_worker_never_took_is_answered_by_the_holder() {
        let (_directory, path, intake) = guarded();
        let slapd = UnixStream::connect(&path).await.unwrap();
        intake.0.readable().await.unwrap();
        drop(intake);
        assert_eq!(read(slapd).await, "RESULT\ncode: 80\ncode: 52\n\n");
        let late = UnixStream::connect(&path).await.unwrap();
        assert_eq!(read(late).await, "RESULT\ncode: 80\ncode: 52\n\n", "nobody takes it");
    }

    #[tokio::test]
    async fn what_is_over_is_closed() {
        let (_directory, path, intake) = guarded();
        let slapd = UnixStream::connect(&path).await.unwrap();
        let Connection { mut stream, lifeline } = intake.next().await.unwrap().unwrap();
        stream.write_all(b"code: 0\n\n").await.unwrap();
        drop(stream);
        lifeline.over();
        let mut whole = String::new();
        let mut slapd = slapd;
        slapd.read_to_string(&mut whole).await.unwrap();
        assert_eq!(whole, "RESULT\ncode: 80\ncode: 0\n\n");
    }
}
