//! Writing to a connection that may be read slowly.

use std::time::Duration;

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use super::ended::Ended;

/// Where responses go. Whoever holds it writes whole messages.
pub(super) struct Outlet<W> {
    writer: Mutex<W>,
    limit: Duration,
}

/// The right to write, for as long as it is held.
pub(super) struct Turn<'a, W> {
    writer: MutexGuard<'a, W>,
    limit: Duration,
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    /// What is not taken within the limit never will be.
    pub(super) fn new(writer: W, limit: Duration) -> Self {
        Self { writer: Mutex::new(writer), limit }
    }

    /// Waits for the end of the message that is being written.
    pub(super) async fn turn(&self) -> Turn<'_, W> {
        Turn { writer: self.writer.lock().await, limit: self.limit }
    }

    /// Writes whole messages.
    pub(super) async fn send(&self, messages: &[u8]) -> Result<(), Ended> {
        self.turn().await.send(messages).await
    }
}

impl<W: AsyncWrite + Unpin> Turn<'_, W> {
    /// Writes all of it, and on.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), Ended> {
        send(&mut *self.writer, octets, self.limit).await
    }
}

/// Writes all of it, and on.
pub(super) async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    octets: &[u8],
    limit: Duration,
) -> Result<(), Ended> {
    let sending = async {
        writer.write_all(octets).await?;
        writer.flush().await
    };
    timeout(limit, sending).await.map_err(|_| Ended::NotRead)??;
    Ok(())
}
