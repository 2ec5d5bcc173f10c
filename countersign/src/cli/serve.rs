//! `countersign serve`: run every listener the config names.

use clap::Args;

use super::Context;
use crate::{exit::Exit, harden, log, run};

/// Run every listener the config names
///
/// Ends at SIGTERM or SIGINT: listeners take nothing new, requests in flight are
/// answered, then the program exits.
#[derive(Debug, Args)]
pub struct Serve {}

impl Serve {
    /// Starts the daemon and waits for the signal to stop.
    ///
    /// # Errors
    ///
    /// A part cannot be started; the error says which and why.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        log::start(&config.log);
        if let Err(error) = harden::keep_memory_private() {
            tracing::warn!(%error, "core dumps of the daemon cannot be prevented");
        }
        let daemon = run::start(config).await?;
        wait_for_signal().await?;
        daemon.stop().await;
        Ok(Exit::Success)
    }
}

async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    Ok(())
}
