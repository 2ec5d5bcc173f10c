//! `countersign reload`: have the running daemon read its config again.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{Context, output};
use crate::{
    app::command::{Command, Reply},
    client::control::call,
    exit::Exit,
};

/// Have the running daemon read its config again
///
/// RADIUS clients, secrets, realms, replies and dictionaries, upstreams and delivery
/// channels are replaced; requests under way are answered by what they came in by, and
/// no packet is lost. A config with a mistake changes nothing, and the mistake is named.
/// Addresses, sockets, keys and everything else need a restart.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Reload {}

impl Reload {
    /// Asks the daemon.
    ///
    /// # Errors
    ///
    /// It is not running, or the config cannot be used.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        let Reply::Reloaded(done) = call(&config.control_socket, &Command::Reload).await? else {
            bail!("the daemon answered something else; is it of another version?")
        };
        let shown = json!({ "reloaded": done });
        output::show(context.json, &shown, |_| format!("Reloaded: {done}."))?;
        Ok(Exit::Success)
    }
}

const EXAMPLES: &str = "\
Examples:
  countersign check && countersign reload";
