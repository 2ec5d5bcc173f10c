//! `countersign token`: with what people log on.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_core::time::UnixTime;

pub(super) use self::view::summary;
use self::{
    add::Add,
    view::{addition, logins, token},
};
use super::{
    Context, control,
    input::{self, end_setting, names_setting, replacing, setting, start_setting},
    output, pages,
};
use crate::{
    app::admin::{AdminReply, AdminRequest, ClearText, MAX_PAGE, Setting, TokenFields, TokenView},
    exit::Exit,
};

mod add;
mod view;

/// Manage the tokens that people log on with
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a token: with a new secret for an app, with the secret of a device, remote, or delivered
    Add(Box<Add>),
    /// List all tokens, or those of an account
    List {
        /// The account, by any of its login names
        account: Option<String>,
    },
    /// Show a token
    Show {
        /// The token, by its id or its label
        token: String,
    },
    /// Change the label, PIN, validity, indicators or address of a token
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The token, by its id or its label
        token: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Accept a token's passcodes again
    Enable {
        /// The token, by its id or its label
        token: String,
    },
    /// Accept a token's passcodes no longer
    Disable {
        /// The token, by its id or its label
        token: String,
    },
    /// Let an account use a token
    Assign {
        /// The token, by its id or its label
        token: String,
        /// The account, by any of its login names
        account: String,
    },
    /// Let an account use a token no longer
    Unassign {
        /// The token, by its id or its label
        token: String,
        /// The account, by any of its login names
        account: String,
    },
    /// Bring a token back into step by two OTPs that it showed one after the other
    Resync {
        /// The token, by its id or its label
        token: String,
        /// Read the two OTPs from a file, both on one line; - is standard input [default: ask]
        #[arg(long, value_name = "FILE")]
        otp_file: Option<PathBuf>,
    },
    /// Remove a token and its secret for ever
    Remove {
        /// The token, by its id or its label
        token: String,
    },
}

#[derive(Debug, Args)]
struct Fields {
    /// What administrators call it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    pin: NewPin,
    /// Ask for no PIN any more
    #[arg(long, conflicts_with_all = ["ask_pin", "pin_file"])]
    no_pin: bool,
    /// A strength that a logon with it has, for Kerberos and for listeners that demand it; may be
    /// given several times, and replaces all indicators it had
    #[arg(long = "indicator", value_name = "NAME", conflicts_with = "no_indicators")]
    indicators: Vec<String>,
    /// It has no indicators any more
    #[arg(long)]
    no_indicators: bool,
    /// Where OTPs are sent (delivered); an empty value ("") means to the owner's mail address
    #[arg(long, value_name = "ADDRESS", value_parser = setting)]
    to: Option<Setting<String>>,
    /// The first day or moment it may be used; an empty value ("") removes it
    #[arg(long, value_name = "TIME", value_parser = start_setting)]
    valid_from: Option<Setting<UnixTime>>,
    /// The last day or moment it may be used; an empty value ("") removes it
    #[arg(long, value_name = "TIME", value_parser = end_setting)]
    valid_until: Option<Setting<UnixTime>>,
}

#[derive(Debug, Args)]
struct NewPin {
    /// Ask at the terminal for a PIN that users type before the OTP
    #[arg(long, conflicts_with = "pin_file")]
    ask_pin: bool,
    /// Read the PIN that users type before the OTP from a file; - is standard input
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

impl Token {
    /// Asks the daemon and shows its answer.
    ///
    /// # Errors
    ///
    /// A secret cannot be read, or the daemon cannot be asked or refuses.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if let Command::List { account } = self.command {
            return list(context, account).await;
        }
        let request = self.command.into_request()?;
        match control::administer(context, request).await? {
            AdminReply::Token(view) => output::show(context.json, &view, token)?,
            AdminReply::TokenAdded { token: view, uri } => {
                let added = serde_json::json!({ "token": view, "uri": uri });
                output::show(context.json, &added, |_| addition(&view, uri.as_ref()))?;
            }
            AdminReply::TokenRemoved(view) => {
                let removed = serde_json::json!({ "removed": view });
                output::show(context.json, &removed, |_| {
                    format!("removed token {:?} {}", view.label, view.id)
                })?;
            }
            AdminReply::Account(_)
            | AdminReply::Accounts(_)
            | AdminReply::AccountRemoved { .. }
            | AdminReply::Tokens(_) => return Err(pages::unexpected()),
        }
        Ok(Exit::Success)
    }
}

async fn list(context: &Context, account: Option<String>) -> anyhow::Result<Exit> {
    let mut tokens = match account {
        Some(account) => tokens_of(context, account).await?,
        None => all_tokens(context).await?,
    };
    tokens.sort_by(|one, other| one.label.cmp(&other.label));
    output::show(context.json, &tokens, |tokens| {
        tokens.iter().map(|token| format!("{}; {}\n", summary(token), logins(token))).collect()
    })?;
    Ok(Exit::Success)
}

async fn tokens_of(context: &Context, account: String) -> anyhow::Result<Vec<TokenView>> {
    let reply = control::administer(context, AdminRequest::AccountShow { account }).await?;
    let AdminReply::Account(view) = reply else { return Err(pages::unexpected()) };
    Ok(view.tokens)
}

async fn all_tokens(context: &Context) -> anyhow::Result<Vec<TokenView>> {
    let request = |after| AdminRequest::TokenList { after, limit: MAX_PAGE };
    let tokens = |reply| {
        let AdminReply::Tokens(page) = reply else { return Err(pages::unexpected()) };
        Ok(page)
    };
    pages::all(context, request, tokens, |token| token.id).await
}

impl Command {
    /// What the daemon is asked; of a list, the first page.
    fn into_request(self) -> anyhow::Result<AdminRequest> {
        Ok(match self {
            Self::List { account: Some(account) } => AdminRequest::AccountShow { account },
            Self::List { account: None } => {
                AdminRequest::TokenList { after: None, limit: MAX_PAGE }
            }
            Self::Add(add) => AdminRequest::TokenAdd(add.read()?),
            Self::Show { token } => AdminRequest::TokenShow { token },
            Self::Set { token, fields } => AdminRequest::TokenSet { token, fields: fields.read()? },
            Self::Enable { token } => AdminRequest::TokenSwitch { token, enabled: true },
            Self::Disable { token } => AdminRequest::TokenSwitch { token, enabled: false },
            Self::Assign { token, account } => {
                AdminRequest::TokenAssign { token, account, assigned: true }
            }
            Self::Unassign { token, account } => {
                AdminRequest::TokenAssign { token, account, assigned: false }
            }
            Self::Resync { token, otp_file } => {
                let [first, second] = input::otps(otp_file.as_deref())?;
                AdminRequest::TokenResync { token, first, second }
            }
            Self::Remove { token } => AdminRequest::TokenRemove { token },
        })
    }
}

impl NewPin {
    fn read(&self) -> anyhow::Result<Option<ClearText>> {
        match &self.pin_file {
            Some(file) => input::read("PIN", file).map(Some),
            None if self.ask_pin => input::prompt_new("PIN").map(Some),
            None => Ok(None),
        }
    }
}

impl Fields {
    fn read(self) -> anyhow::Result<TokenFields> {
        let pin = self.pin.read()?.map(Setting::To);
        Ok(TokenFields {
            label: self.label,
            pin: if self.no_pin { Some(Setting::Clear) } else { pin },
            to: self.to,
            indicators: names_setting(self.no_indicators, replacing(self.indicators)),
            not_before: self.valid_from,
            not_after: self.valid_until,
        })
    }
}

const EXAMPLES: &str = "\
Examples:
  countersign token add alice --show-uri
  countersign token add alice --type hotp --digits 8 --secret-file seed.txt --secret-format hex
  countersign token add alice --show-uri --algorithm sha256 --ask-pin --label \"Alice's phone\"
  countersign token add bob --type remote --upstream old-server
  countersign token add carol --type delivered --via sms --to \"+49 170 4711\"
  countersign token resync \"Alice's phone\"
  countersign token disable \"Alice's phone\"

Secrets, PINs and OTPs are never taken from the command line, where others can read them.";

const SET_EXAMPLES: &str = "\
Examples:
  countersign token set \"Fob 4711\" --label \"Fob 4712\" --valid-until 2027-12-31
  countersign token set \"Fob 4711\" --indicator otp --indicator hardware
  countersign token set \"Fob 4711\" --ask-pin
  countersign token set \"carol sms\" --to \"+49 170 4712\"";

#[cfg(test)]
mod tests;
