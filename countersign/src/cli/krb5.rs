//! `countersign krb5`: MIT krb5's OTP preauthentication beside Countersign.

use clap::{Args, Subcommand};

use super::Context;
use crate::exit::Exit;

mod check;
mod config;
mod shell;

/// Make an MIT KDC ask Countersign, and see what it will do
#[derive(Debug, Args)]
pub struct Krb5 {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(Box<config::Config>),
    Check(check::Check),
}

impl Krb5 {
    /// Writes or examines.
    ///
    /// # Errors
    ///
    /// The config cannot be used, or something that was asked for is missing.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::Config(command) => command.run(context).await,
            Command::Check(command) => command.run(context).await,
        }
    }
}
