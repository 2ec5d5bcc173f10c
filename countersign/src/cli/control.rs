//! Commands go to the running daemon, or are carried out here if none is running.

use anyhow::bail;

use super::Context;
use crate::{
    app::{
        admin::{AdminReply, AdminRequest},
        command::{Command, Reply},
    },
    client::control::{self, ControlError},
    run,
};

/// Has a command carried out.
///
/// # Errors
///
/// The config or the store cannot be used, or the command is refused.
pub async fn execute(context: &Context, command: Command) -> anyhow::Result<Reply> {
    let config = context.load_config()?;
    match control::call(&config.control_socket, &command).await {
        Ok(reply) => Ok(reply),
        Err(ControlError::NotRunning) => {
            let commands = run::offline_commands(&config)?;
            let by = format!("uid {}", rustix::process::geteuid().as_raw());
            commands.execute(&by, command).await.map_err(anyhow::Error::msg)
        }
        Err(error) => Err(error.into()),
    }
}

/// Has a command about accounts and tokens carried out.
///
/// # Errors
///
/// As [`execute`].
pub async fn administer(context: &Context, request: AdminRequest) -> anyhow::Result<AdminReply> {
    match execute(context, Command::Admin(request)).await? {
        Reply::Admin(reply) => Ok(*reply),
        Reply::Issued { .. } | Reply::Revoked | Reply::Reloaded(_) | Reply::Certificates(_) => {
            bail!("the daemon answered something else; is it of another version?")
        }
    }
}
