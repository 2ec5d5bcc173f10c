//! The way to one server: how it is asked, and whether it answers.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    Patience, Unanswered,
    connection::Connection,
    pool::Pool,
    question::{Answer, Dialect, Question},
    udp,
};

/// The way to one server.
pub(super) struct Link {
    pub(super) channel: Channel,
    /// What it is called in the log.
    pub(super) name: String,
    pub(super) patience: Patience,
    /// How long it is passed over when it stayed silent.
    pub(super) dead_time: Duration,
    dead_until: Mutex<Option<Instant>>,
}

/// How packets get there.
pub(super) enum Channel {
    /// A socket for each request.
    Datagrams { server: SocketAddr, dialect: Dialect },
    /// Connections that last.
    Stream(Arc<Pool>),
}

impl Link {
    /// A way that is taken to be passable.
    pub(super) fn new(
        channel: Channel,
        name: String,
        patience: Patience,
        dead_time: Duration,
    ) -> Self {
        Self { channel, name, patience, dead_time, dead_until: Mutex::default() }
    }

    /// Asks, and remembers whether there was an answer.
    pub(super) async fn ask(self: &Arc<Self>, question: &Question) -> Result<Answer, Unanswered> {
        let answer = match &self.channel {
            Channel::Datagrams { server, dialect } => {
                udp::exchange(*server, question, dialect, self.patience).await
            }
            Channel::Stream(pool) => self.ask_on_stream(pool, question).await,
        };
        match &answer {
            Ok(_) => self.found_alive(),
            Err(
                Unanswered::Silent
                | Unanswered::Unreachable(_)
                | Unanswered::Refused(_)
                | Unanswered::Untrusted(_),
            ) => self.found_dead(&answer),
            // The next connection will show whether anybody is there; often the server has
            // just closed what was not used.
            Err(error @ Unanswered::Broken(_)) => {
                tracing::debug!(server = self.name, %error, "unanswered");
            }
            Err(Unanswered::Busy | Unanswered::Unsendable(_)) => {}
        }
        answer
    }

    /// Sends once (RFC 6613 §2.6.1: a stream loses nothing) and waits as long as all tries
    /// over UDP would take.
    async fn ask_on_stream(
        self: &Arc<Self>,
        pool: &Pool,
        question: &Question,
    ) -> Result<Answer, Unanswered> {
        let mut sent_on = None;
        let asking = async {
            let sent = pool.send(question).await?;
            sent_on = Some((sent.connection.clone(), sent.heard));
            sent.answer().await
        };
        let answer = timeout(self.patience.total(), asking).await;
        answer.unwrap_or_else(|_| {
            if let Some((connection, heard)) = sent_on
                && connection.heard() == heard
            {
                tokio::spawn(self.clone().examine(connection));
            }
            Err(Unanswered::Silent)
        })
    }

    /// Nothing has come on a connection since a request was sent that is not answered. The
    /// server may have a reason for its silence; if it says that it lives, it is asked again.
    async fn examine(self: Arc<Self>, connection: Arc<Connection>) {
        if connection.examine(self.patience.timeout).await == Some(true) {
            self.found_alive();
        }
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.dead_until.lock().is_ok_and(|until| until.is_some_and(|until| now < until))
    }

    fn found_alive(&self) {
        if self.set_dead_until(None).is_some() {
            tracing::info!(server = self.name, "answers again");
        }
    }

    fn found_dead(&self, answer: &Result<Answer, Unanswered>) {
        let until = Instant::now() + self.dead_time;
        if let (None, Err(error)) = (self.set_dead_until(Some(until)), answer) {
            tracing::warn!(server = self.name, %error, "does not answer");
        }
    }

    pub(super) fn set_dead_until(&self, until: Option<Instant>) -> Option<Instant> {
        let mut dead_until = self.dead_until.lock().expect("nobody panics with this lock");
        std::mem::replace(&mut dead_until, until)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}
