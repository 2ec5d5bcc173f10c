//! Start-up, from top to bottom: the only place that wires the parts.

use crate::config::Config;

/// The running daemon.
pub struct Daemon {}

/// Starts every part that the config names.
///
/// # Errors
///
/// The first part that cannot be started, and why.
pub async fn start(_config: Config) -> anyhow::Result<Daemon> {
    Ok(Daemon {})
}

impl Daemon {
    /// Stops: nothing new is taken, what is in flight is answered.
    pub async fn stop(self) {}
}
