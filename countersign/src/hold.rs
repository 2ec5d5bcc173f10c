//! The process that holds the socket of slapd, so that it outlives the one that answers.
//!
//! slapd before 2.6.14 takes a connection that is cut off for success. Connections that wait
//! to be taken are cut off when the last process that has the socket ends. So a small
//! process has it, which does nothing that could fail: it starts the program once more as
//! its worker, hands the socket over, and starts another worker when that one is killed.
//! When it ends itself, it first answers all who wait. And it takes every connection itself and
//! keeps it until it is over ([`Guard`]), also those of a socket that the service manager opened.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use socket2::Socket;
use tokio::{
    process::{Child, Command},
    sync::mpsc::Receiver,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use self::pause::Pauses;
use crate::{
    config::socket::SocketSettings,
    listener::{
        backsock::{Door, Guard},
        inherited::Inherited,
        rights, unix,
    },
};

mod handing;
mod pause;
mod signals;
#[cfg(test)]
mod tests;
mod worker;

pub use self::{signals::orders, worker::Held};

/// Has the socket, and workers who use it.
#[derive(Debug)]
pub struct Holder {
    place: Place,
    /// Sockets of other listeners, which every worker gets.
    others: Inherited,
    /// The connections that are not over.
    kept: TaskTracker,
}

/// A socket, and what it is found by.
#[derive(Debug)]
struct Place {
    socket: Socket,
    path: PathBuf,
    file: Option<(u64, u64)>,
    /// Somebody else opened it, and has it when we end: the service manager.
    is_lent: bool,
}

/// How a worker ended.
enum Ended {
    /// By itself, or because it was told to.
    Done(u8),
    /// Somebody killed it, or it did itself.
    Died(ExitStatus),
}

impl Holder {
    /// Binds the socket.
    ///
    /// # Errors
    ///
    /// Somebody listens there, or it cannot be made.
    pub fn bind(settings: &SocketSettings, mut others: Inherited) -> io::Result<Self> {
        let is_lent = others.has_path(&settings.path);
        let socket = unix::listen(settings, &mut others)?;
        let place = Place { is_lent, ..Place::new(socket, settings.path.clone()) };
        Ok(Self { place, others, kept: TaskTracker::new() })
    }

    /// Has workers started by this command until one ends by itself or `orders` say so;
    /// returns its exit code. Orders are handed on to the worker.
    ///
    /// # Errors
    ///
    /// No worker can be started.
    pub async fn run(
        self,
        command: impl Fn() -> Command,
        mut orders: Receiver<Signal>,
    ) -> io::Result<u8> {
        let ended = self.keep_working(command, &mut orders).await;
        self.place.close().await;
        self.kept.close();
        self.kept.wait().await;
        ended
    }

    async fn keep_working(
        &self,
        command: impl Fn() -> Command,
        orders: &mut Receiver<Signal>,
    ) -> io::Result<u8> {
        let mut pauses = Pauses::default();
        loop {
            let started = Instant::now();
            // The channel ends with this process, by which the worker knows.
            let (mut worker, _channel, guard) = self.start(command())?;
            let status = match self.watch(&mut worker, guard, orders).await? {
                Ended::Done(code) => return Ok(code),
                Ended::Died(status) => status,
            };
            let pause = pauses.after(started.elapsed());
            tracing::error!(%status, ?pause, "the worker died; another one is started");
            if !pause.is_zero()
                && let Some(code) = self.refuse(pause, orders).await
            {
                return Ok(code);
            }
        }
    }

    fn start(&self, mut command: Command) -> io::Result<(Child, Socket, Guard)> {
        let ((ours, theirs), (guard, intake)) = (rights::channel()?, rights::channel()?);
        handing::hand_over(&ours, &self.place, &intake, &self.others)?;
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        Ok((command.spawn()?, ours, Guard::new(guard, self.kept.clone())?))
    }

    /// Waits for the end of a worker, hands connections and orders on to it.
    async fn watch(
        &self,
        worker: &mut Child,
        guard: Guard,
        orders: &mut Receiver<Signal>,
    ) -> io::Result<Ended> {
        // Ends, and lets go of the socket, when the worker is told to stop.
        let mut passing = Some(Box::pin(self.pass_on(guard)));
        loop {
            let is_stopping = passing.is_none();
            tokio::select! {
                status = worker.wait() => return Ok(ended(status?, is_stopping)),
                Some(signal) = orders.recv() => {
                    tell(worker, signal);
                    if is_stop(signal) {
                        passing = None;
                        self.place.close().await;
                    }
                }
                () = async {
                    match &mut passing {
                        Some(passing) => passing.await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Passes connections on, whatever the system says meanwhile.
    async fn pass_on(&self, guard: Guard) {
        loop {
            let passed = async { guard.pass_on(&self.place.door()?).await };
            if let Err(error) = passed.await {
                tracing::warn!(%error, "a connection of slapd could not be taken");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Answers in the place of a worker for a while; the exit code, if it is told to stop.
    async fn refuse(&self, pause: Duration, orders: &mut Receiver<Signal>) -> Option<u8> {
        let stop = async {
            while let Some(signal) = orders.recv().await {
                if is_stop(signal) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = stop => Some(0),
            _ = timeout(pause, self.place.refuse()) => None,
        }
    }
}

impl Place {
    fn new(socket: Socket, path: PathBuf) -> Self {
        let file = file_at(&path);
        Self { socket, path, file, is_lent: false }
    }

    /// Says that nobody is there who could tell, to all who come.
    async fn refuse(&self) -> io::Result<()> {
        self.door()?.refuse().await
    }

    /// Removes the path, unless it is another socket's by now.
    fn leave(&self) {
        if self.file.is_some() && file_at(&self.path) == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Answers all who wait. No other process takes connections any more. Those of a socket
    /// that is not ours wait for the next one.
    async fn close(&self) {
        if self.is_lent {
            return;
        }
        self.leave();
        match self.door() {
            Ok(door) => door.close().await,
            Err(error) => tracing::error!(%error, "slapd could not be told that this is the end"),
        }
    }

    /// Only while it is needed: the system would wake this process up at each connection.
    fn door(&self) -> io::Result<Door> {
        Door::new(self.socket.try_clone()?)
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn ended(status: ExitStatus, is_stopping: bool) -> Ended {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        // It was told to end before it could listen to that.
        None if is_stopping && status.signal().is_some_and(is_stop_number) => Ended::Done(0),
        None if is_stopping => Ended::Done(1),
        None | Some(PANICKED) => Ended::Died(status),
        Some(code) => Ended::Done(code),
    }
}

fn tell(worker: &Child, signal: Signal) {
    let process = worker.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(process) = process
        && let Err(error) = kill_process(process, signal)
    {
        tracing::warn!(%error, ?signal, "the worker could not be told");
    }
}

fn is_stop(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT].contains(&signal)
}

fn is_stop_number(number: i32) -> bool {
    [Signal::TERM, Signal::INT].iter().any(|signal| signal.as_raw() == number)
}

/// After the system was out of something.
const PAUSE: Duration = Duration::from_millis(100);
/// The exit code of a program that panics and is not built to abort then.
const PANICKED: u8 = 101;
