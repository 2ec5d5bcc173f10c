//! What the local socket of the daemon reaches: the commands, the reload, the listener.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::radius::{Reloader, Serving};
use crate::{
    app::command::{Command, Commands, Reply},
    listener::{
        control::Control,
        radius::{Accepted, RadiusControl, Services},
    },
};

/// All that may be asked of a running daemon.
pub(super) struct Controlled {
    commands: Commands,
    reloader: Arc<Reloader>,
    radius: Option<(RadiusControl, Services)>,
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Controlled {
    pub(super) fn new(
        commands: Commands,
        reloader: Arc<Reloader>,
        serving: Option<&Serving>,
        connections: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let radius = serving.map(|serving| (serving.control.clone(), serving.services.clone()));
        Self { commands, reloader, radius, connections, stop }
    }
}

impl Control for Controlled {
    type Request = Command;
    type Reply = Reply;

    async fn execute(&self, by: String, command: Command) -> Result<Reply, String> {
        match command {
            Command::Reload => self.reloader.reload().map(Reply::Reloaded),
            Command::Connect { .. } => Err("the config has no [radius]".into()),
            command @ (Command::Admin(_)
            | Command::Issue(_)
            | Command::Revoke { .. }
            | Command::Certificates { .. }) => self.commands.execute(&by, command).await,
        }
    }

    fn is_handover(&self, request: &Command) -> bool {
        self.radius.is_some() && matches!(request, Command::Connect { .. })
    }

    async fn take_over(&self, request: Command, stream: UnixStream) {
        let (Command::Connect { client, user, process }, Some((control, services))) =
            (request, &self.radius)
        else {
            return;
        };
        let accepted = Accepted { client, user, process };
        let serving =
            control.serve_connection(accepted, stream, services.clone(), self.stop.clone());
        if let Err(error) = self.connections.track_future(serving).await {
            tracing::warn!(%error, "a connection handed over was not served");
        }
    }
}
