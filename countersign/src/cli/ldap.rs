//! `countersign ldap`: OpenLDAP's slapd, and OATH-LDAP entries in directories.

use clap::{Args, Subcommand};

use super::Context;
use crate::exit::Exit;

mod check;
mod config;
mod genkey;
mod migrate;

/// Make slapd ask Countersign at binds, and see what it will do
#[derive(Debug, Args)]
pub struct Ldap {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(Box<config::Config>),
    Check(Box<check::Check>),
    Genkey(genkey::Genkey),
    Migrate(migrate::Migrate),
    Rekey(migrate::Rekey),
}

impl Ldap {
    /// Writes or examines.
    ///
    /// # Errors
    ///
    /// The config cannot be used, or something that was asked for is missing.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::Config(command) => command.run(context),
            Command::Check(command) => command.run(context).await,
            Command::Genkey(command) => command.run(context),
            Command::Migrate(command) => command.run(context).await,
            Command::Rekey(command) => command.run(context).await,
        }
    }
}
