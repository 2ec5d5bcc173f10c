//! One connection to a server: many requests under way, one writer, one reader.
//!
//! Whole packets only: a packet that was begun is written to its end by a task of its own,
//! whoever gives up waiting meanwhile. What is wrong with the stream, or an answer that is not
//! authentic, ends the connection (RFC 6613 §2.6.4).

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use countersign_core::{secret::Secret, wire::radius::stream::Framer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
    time::{Duration, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Unanswered,
    flight::Flight,
    question::{Answer, Dialect, Question, Unsendable},
};
use crate::vault::random_octets;

/// A connection, closed when the last who holds it lets go.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    packets: mpsc::UnboundedSender<Secret<Vec<u8>>>,
    is_watched: AtomicBool,
    _close: DropGuard,
}

/// A request that was sent on a connection.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) connection: Arc<Connection>,
    /// How many packets had come before.
    pub(super) heard: u64,
    answer: oneshot::Receiver<Answer>,
}

/// Octets both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a connection ended.
#[derive(Debug, Clone)]
enum End {
    /// It broke, or the server closed it.
    Broken(String),
    /// What came on it cannot be believed.
    Untrusted(String),
}

#[derive(Debug)]
struct Shared {
    dialect: Dialect,
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    flight: Flight,
    end: Option<End>,
}

impl Connection {
    /// Begins to read and to write.
    pub(super) fn start(stream: impl Stream + 'static, dialect: Dialect) -> Arc<Self> {
        let flight = Flight::new(&dialect, u32::from_be_bytes(random_octets()));
        let close = CancellationToken::new();
        let state = Mutex::new(State { flight, end: None });
        let shared = Arc::new(Shared { dialect, state, close: close.clone() });
        // Bounded by the requests under way, each of which is sent once.
        let (packets, to_write) = mpsc::unbounded_channel();
        let (reading, writing) = tokio::io::split(stream);
        tokio::spawn(read(shared.clone(), reading));
        tokio::spawn(write(shared.clone(), writing, to_write));
        let (is_watched, close) = (AtomicBool::new(false), close.drop_guard());
        Arc::new(Self { shared, packets, is_watched, _close: close })
    }

    /// Sends a request; nothing if the connection has ended or has no room.
    pub(super) fn send(self: &Arc<Self>, question: &Question) -> Result<Option<Sent>, Unsendable> {
        let mut state = self.shared.state();
        if state.end.is_some() {
            return Ok(None);
        }
        let heard = state.flight.heard();
        let Some(taken) = state.flight.take_off(question, &self.shared.dialect)? else {
            if state.flight.is_given_up() {
                drop(state);
                self.close("none of its requests is answered".into());
            }
            return Ok(None);
        };
        let is_open = self.packets.send(taken.bytes).is_ok();
        let sent = Sent { connection: self.clone(), heard, answer: taken.answer };
        Ok(is_open.then_some(sent))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.shared.state().end.is_some()
    }

    /// How many packets came.
    pub(super) fn heard(&self) -> u64 {
        self.shared.state().flight.heard()
    }

    pub(super) fn close(&self, cause: String) {
        self.shared.finish(End::Broken(cause));
    }

    /// Asks whether anybody is there, on a connection on which a request was not answered,
    /// and closes it if nothing comes (RFC 6613 §2.6.1). Whether something came; nothing if
    /// somebody else is asking.
    pub(super) async fn examine(self: &Arc<Self>, patience: Duration) -> Option<bool> {
        if self.is_watched.swap(true, Ordering::SeqCst) {
            return None;
        }
        let heard = self.heard();
        if let Ok(Some(sent)) = self.send(&Question::status()) {
            let _ = timeout(patience, sent.answer()).await;
        }
        let is_alive = self.heard() != heard && !self.has_ended();
        if !is_alive {
            self.close("nothing comes on it".into());
        }
        self.is_watched.store(false, Ordering::SeqCst);
        Some(is_alive)
    }
}

impl Sent {
    /// Waits for the answer as long as the connection lasts.
    pub(super) async fn answer(self) -> Result<Answer, Unanswered> {
        let Self { connection, answer, .. } = self;
        answer.await.map_err(|_| {
            let state = connection.shared.state();
            match state.end.clone() {
                Some(End::Untrusted(cause)) => Unanswered::Untrusted(cause),
                Some(End::Broken(cause)) if state.flight.heard() == 0 => Unanswered::Refused(cause),
                Some(End::Broken(cause)) => Unanswered::Broken(cause),
                None => Unanswered::Broken("it was closed".into()),
            }
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with this lock")
    }

    /// The first cause counts.
    fn finish(&self, end: End) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        state.flight.crash();
        self.close.cancel();
    }

    /// Takes the packets that came.
    fn take(&self, framer: &mut Framer) -> Result<(), End> {
        let mut state = self.state();
        let untrusted = |cause: String| End::Untrusted(cause);
        while let Some(packet) =
            framer.next_packet().map_err(|error| untrusted(error.to_string()))?
        {
            let landed = state.flight.land(packet, &self.dialect);
            landed.map_err(|error| untrusted(error.to_string()))?;
        }
        Ok(())
    }
}

async fn read(shared: Arc<Shared>, mut stream: ReadHalf<impl Stream>) {
    let (mut framer, mut octets) = (Framer::new(), vec![0; READ_AT_ONCE]);
    let reading = async {
        loop {
            match stream.read(&mut octets).await {
                Ok(0) => return End::Broken("the server closed it".into()),
                Ok(length) => framer.push(&octets[..length]),
                Err(error) => return End::Broken(error.to_string()),
            }
            if let Err(end) = shared.take(&mut framer) {
                return end;
            }
        }
    };
    if let Some(end) = shared.close.run_until_cancelled(reading).await {
        shared.finish(end);
    }
}

async fn write(
    shared: Arc<Shared>,
    mut stream: WriteHalf<impl Stream>,
    mut packets: mpsc::UnboundedReceiver<Secret<Vec<u8>>>,
) {
    let writing = async {
        while let Some(packet) = packets.recv().await {
            stream.write_all(packet.expose()).await?;
            stream.flush().await?;
        }
        Ok::<_, std::io::Error>(())
    };
    if let Some(Err(error)) = shared.close.run_until_cancelled(writing).await {
        shared.finish(End::Broken(error.to_string()));
    }
    // A server that reads nothing must not keep the task.
    let _ = timeout(FAREWELL, stream.shutdown()).await;
}

const READ_AT_ONCE: usize = 8 * 1024;
const FAREWELL: Duration = Duration::from_secs(1);
