//! `countersign reload`: have the running daemon read its config again.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;

use super::{Context, output};
use crate::{
    app::command::{Command, Reply},
    client::control::{ControlError, call},
    exit::Exit,
};

/// Have the running daemon read its config again
///
/// RADIUS clients, secrets, realms, replies and dictionaries, upstreams and delivery
/// channels are replaced; requests under way are answered by what they came in by, and
/// no packet is lost. A config with a mistake changes nothing, and the mistake is named.
/// Addresses, sockets, keys, `[policy]` and everything else need a restart.
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
        let reply = call(&config.control_socket, &Command::Reload).await.map_err(explained)?;
        let Reply::Reloaded(done) = reply else {
            bail!("the daemon answered something else; is it of another version?")
        };
        let shown = json!({ "reloaded": done });
        output::show(context.json, &shown, |_| format!("Reloaded: {done}."))?;
        Ok(Exit::Success)
    }
}

fn explained(error: ControlError) -> anyhow::Error {
    match error {
        ControlError::NotRunning => anyhow!(
            "{error}, so there is nothing to reload; `countersign serve` starts it with this config"
        ),
        ControlError::Unusable { .. } | ControlError::Silent { .. } | ControlError::Refused(_) => {
            error.into()
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  countersign check && countersign reload
  countersign reload --json
  systemctl reload countersign          the same, if its unit sends SIGHUP";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_does_not_run_is_to_be_started() {
        let error = explained(ControlError::NotRunning).to_string();
        assert!(error.contains("`countersign serve` starts it"), "{error}");
        let refused = explained(ControlError::Refused("no".into())).to_string();
        assert_eq!(refused, "no");
    }
}
