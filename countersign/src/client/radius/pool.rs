//! The connections to one server: opened when they are needed, as few as will do.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Mutex as AsyncMutex;

use super::{
    Unanswered,
    connection::{Connection, Sent},
    dial::Dialer,
    question::Question,
};

/// The connections to one server.
pub(super) struct Pool {
    dialer: Dialer,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held by who opens a connection, so that others wait for it instead of opening more.
    dialing: AsyncMutex<()>,
}

impl Pool {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, connections: Mutex::default(), dialing: AsyncMutex::default() }
    }

    /// Sends a request on a connection that has room, or on a new one.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub(super) async fn send(&self, question: &Question) -> Result<Sent, Unanswered> {
        if let Some(sent) = self.send_on_open(question)? {
            return Ok(sent);
        }
        let _dialing = self.dialing.lock().await;
        if let Some(sent) = self.send_on_open(question)? {
            return Ok(sent);
        }
        if self.connections().len() >= MAX_CONNECTIONS {
            return Err(Unanswered::Busy);
        }
        let connection = self.dialer.dial().await?;
        let sent = connection.send(question)?;
        self.connections().push(connection);
        sent.ok_or_else(|| Unanswered::Refused("at once".into()))
    }

    fn send_on_open(&self, question: &Question) -> Result<Option<Sent>, Unanswered> {
        let mut connections = self.connections();
        connections.retain(|connection| !connection.has_ended());
        for connection in &*connections {
            if let Some(sent) = connection.send(question)? {
                return Ok(Some(sent));
            }
        }
        connections.retain(|connection| !connection.has_ended());
        Ok(None)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().expect("nobody panics with this lock")
    }
}

/// To one server. An upstream has fewer requests under way than these have identifiers.
const MAX_CONNECTIONS: usize = 4;
