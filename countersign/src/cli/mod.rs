//! The command line: one file per command, text for people or JSON for machines.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, ConfigError},
    exit::Exit,
};

pub mod account;
pub mod ca;
pub mod check;
pub mod control;
pub mod delivery;
pub mod demo;
pub mod init;
pub mod input;
pub mod krb5;
pub mod ldap;
pub mod login;
pub mod output;
pub mod pages;
pub mod reload;
pub mod serve;
pub mod token;

/// One-time passwords in, what a network already trusts out.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// The config file [default: $COUNTERSIGN_CONFIG, ./countersign.toml, /etc/countersign/countersign.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, one object on standard output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Check(check::Check),
    Serve(serve::Serve),
    Reload(reload::Reload),
    Login(Box<login::Login>),
    Account(account::Account),
    Token(token::Token),
    Delivery(delivery::Delivery),
    Ca(ca::Ca),
    Krb5(krb5::Krb5),
    Ldap(ldap::Ldap),
}

/// What every command gets beside its own arguments.
#[derive(Debug)]
pub struct Context {
    config: Option<PathBuf>,
    /// Whether the answer is to be JSON.
    pub json: bool,
}

impl Context {
    /// The config file: the one named, or the first of the usual places that exists.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        let named = self.config.clone();
        let from_environment = || std::env::var_os("COUNTERSIGN_CONFIG").map(PathBuf::from);
        named.or_else(from_environment).unwrap_or_else(|| {
            let here = PathBuf::from("countersign.toml");
            if here.exists() { here } else { PathBuf::from("/etc/countersign/countersign.toml") }
        })
    }

    /// Whether somebody said which config is meant.
    #[must_use]
    pub fn config_is_named(&self) -> bool {
        self.config.is_some() || std::env::var_os("COUNTERSIGN_CONFIG").is_some()
    }

    /// Reads the config.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn load_config(&self) -> Result<Config, ConfigError> {
        Config::load(&self.config_file())
    }
}

/// Runs a command line and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
    };
    let context = Context { config: arguments.config, json: arguments.json };
    let result = arguments.command.run(&context);
    result.unwrap_or_else(|error| output::failure(&error, context.json)).into()
}

impl Command {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        // Before there are threads, for the environment is cleared of them.
        let sockets = if let Self::Serve(command) = &self {
            command.sockets()?
        } else {
            serve::Sockets::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let exit = runtime.block_on(async {
            match self {
                Self::Demo(command) => command.run(context).await,
                Self::Init(command) => command.run(context).await,
                Self::Check(command) => command.run(context).await,
                Self::Serve(command) => command.run(context, sockets).await,
                Self::Reload(command) => command.run(context).await,
                Self::Login(command) => command.run(context).await,
                Self::Account(command) => command.run(context).await,
                Self::Token(command) => command.run(context).await,
                Self::Delivery(command) => command.run(context).await,
                Self::Ca(command) => command.run(context).await,
                Self::Krb5(command) => command.run(context).await,
                Self::Ldap(command) => command.run(context).await,
            }
        });
        // A password that is still being hashed decides about nothing any more.
        runtime.shutdown_timeout(HASHES_END);
        exit
    }
}

const HASHES_END: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  countersign demo                      see the whole chain run on this machine
  countersign init /etc/countersign     make a state directory for real use
  countersign check                     say what the config means and what is wrong
  countersign serve                     run every listener the config names
  countersign account add alice --upn alice@example.com
  countersign token add alice --type totp --show-uri
  countersign krb5 check alice          say what an MIT KDC will do when alice logs on
  countersign ldap config               say what slapd needs so that it asks here at binds
  countersign delivery test mail --to alice@example.com

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 config unusable, 4 credentials refused.";
