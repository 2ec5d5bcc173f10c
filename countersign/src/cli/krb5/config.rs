//! `countersign krb5 config`: what a KDC should read so that it asks Countersign.

use std::fmt::Write;

use anyhow::bail;
use clap::{ArgAction, Args};

use super::shell;
use crate::{
    app::{
        admin::{AccountView, AdminReply, AdminRequest},
        krb5::{
            client::{KdcClient, Way, clients_of},
            stanza::{self, Stanza, StanzaError, Wanted},
        },
    },
    cli::{Context, control, output, pages},
    exit::Exit,
};

/// Write the section [otp] for kdc.conf, and the kadmin.local commands for accounts
///
/// Nothing is changed. The section has a token type for each client of the config that
/// is a KDC (kdc = true); the commands make a principal for each account, without a
/// key, so that nothing but an OTP logs it on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Config {
    /// Accounts, by any of their login names, that are to log on with OTPs
    accounts: Vec<String>,
    /// The client of the config by which the KDC asks [default: all with kdc = true or a
    /// socket; the first one is that of the accounts]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// The name of the token type [default: the client's; DEFAULT for DEFAULT.socket]
    #[arg(long = "type", value_name = "NAME")]
    token_type: Option<String>,
    /// An indicator that tickets get [default: require-indicators of the client]
    #[arg(long = "indicator", value_name = "WORD")]
    indicators: Vec<String>,
    /// Whether the KDC sends names without the realm
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = false)]
    strip_realm: bool,
    /// The realm of the principals [default: that of the account, or of [site], in upper case]
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// Where the KDC finds the daemon, for a client over UDP; a name or an IPv4 address
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// The KDC's file with the shared secret, where one is needed [default: countersign-CLIENT.secret]
    #[arg(long, value_name = "FILE")]
    secret: Option<String>,
    /// How many seconds the KDC waits [default: one more than the client's deadline, at least 5]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(1..=3600))]
    timeout: Option<i32>,
    /// The principals exist: take their keys away instead of making them
    #[arg(long)]
    existing: bool,
}

impl Config {
    /// Writes it on standard output.
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        let clients = chosen(clients_of(&config), self.client.as_deref())?;
        let mut accounts = Vec::new();
        for account in self.accounts {
            accounts.push(account_of(context, account).await?);
        }
        let wanted = Wanted {
            token_type: self.token_type,
            indicators: self.indicators,
            strip_realm: self.strip_realm,
            realm: self.realm,
            server: self.server,
            secret_file: self.secret,
            timeout: self.timeout,
            existing: self.existing,
        };
        let stanza = stanza::write(&clients, &accounts, config.site.realm.as_deref(), &wanted)?;
        output::show(context.json, &stanza, text)?;
        Ok(Exit::Success)
    }
}

/// The client named, or all that are KDCs.
fn chosen(clients: Vec<KdcClient>, named: Option<&str>) -> anyhow::Result<Vec<KdcClient>> {
    let Some(name) = named else {
        let is_kdc =
            |client: &KdcClient| client.settings.is_kdc || matches!(client.way, Way::Socket { .. });
        let chosen: Vec<_> = clients.into_iter().filter(is_kdc).collect();
        return if chosen.is_empty() { Err(StanzaError::NoClient.into()) } else { Ok(chosen) };
    };
    let names =
        clients.iter().map(|client| client.settings.name.as_str()).collect::<Vec<_>>().join(", ");
    let chosen: Vec<_> =
        clients.iter().filter(|client| client.settings.name == name).cloned().collect();
    if chosen.is_empty() {
        bail!("the config has no radius.client.{name} from which a KDC could ask; it has {names}");
    }
    Ok(chosen)
}

async fn account_of(context: &Context, account: String) -> anyhow::Result<AccountView> {
    match control::administer(context, AdminRequest::AccountShow { account }).await? {
        AdminReply::Account(view) => Ok(*view),
        AdminReply::Accounts(_)
        | AdminReply::AccountRemoved { .. }
        | AdminReply::Token(_)
        | AdminReply::TokenAdded { .. }
        | AdminReply::Tokens(_)
        | AdminReply::TokenRemoved(_) => Err(pages::unexpected()),
    }
}

/// Comments and a section that can be copied into `kdc.conf` as they are, then the commands.
fn text(stanza: &Stanza) -> String {
    let mut text = String::new();
    for note in &stanza.notes {
        let _ = writeln!(text, "# {note}");
    }
    let _ = write!(text, "\n{}", stanza.profile);
    if !stanza.commands.is_empty() {
        text.push('\n');
    }
    for command in &stanza.commands {
        let _ = writeln!(text, "{}", shell::line(command));
    }
    text
}

const EXAMPLES: &str = "\
Examples:
  countersign krb5 config                         the section [otp] alone
  countersign krb5 config alice bob               and the commands for new principals
  countersign krb5 config alice --existing        for one that has a password until now
  countersign krb5 config --client kdc --type hard --indicator hardware
  countersign krb5 config --client kdc-udp --server 10.0.0.5:1812 --secret otp.secret";
