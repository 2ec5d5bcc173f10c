//! `countersign token`: with what people log on.

use std::{
    fmt::Write,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use countersign_core::{
    domain::token::TokenKind,
    oath::hotp::{Algorithm, Digits},
    time::UnixTime,
};

use super::{
    Context,
    account::validity,
    control,
    input::{self, end, end_setting, start, start_setting},
    output, pages,
};
use crate::{
    app::admin::{
        AdminReply, AdminRequest, ClearText, MAX_PAGE, NewKind, NewSecret, NewToken, Setting,
        TokenFields, TokenView,
    },
    exit::Exit,
};

/// Manage the tokens that people log on with
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a token: with a new secret for an app, with the secret of a device, or remote
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
    /// Change the label, PIN or validity of a token
    Set {
        /// The token, by its id or its label
        token: String,
        #[command(flatten)]
        fields: Fields,
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
struct Add {
    /// The accounts that may use it, by any of their login names
    #[arg(required = true)]
    accounts: Vec<String>,
    /// How its passcodes come about
    #[arg(long = "type", value_enum, default_value = "totp")]
    kind: Kind,
    /// What administrators call it [default: the first account and the type]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// The HMAC's hash: sha1, sha256 or sha512
    #[arg(long, value_name = "HASH", default_value = "sha1", value_parser = algorithm)]
    algorithm: Algorithm,
    /// Length of an OTP, 6 to 10
    #[arg(long, value_name = "NUMBER", default_value = "6", value_parser = digits)]
    digits: Digits,
    /// Length of a time step in seconds, for type totp [default: 30]
    #[arg(long, value_name = "SECONDS")]
    period: Option<NonZeroU32>,
    /// The first counter to accept, for type hotp [default: 0]
    #[arg(long, value_name = "NUMBER")]
    counter: Option<u64>,
    /// Show the secret that is drawn here, this once, as an otpauth URI for an app
    #[arg(long, conflicts_with_all = ["ask_secret", "secret_file"])]
    show_uri: bool,
    /// The issuer that the app shows [default: the site's realm]
    #[arg(long, value_name = "TEXT", requires = "show_uri")]
    issuer: Option<String>,
    /// Ask at the terminal for the secret of a device
    #[arg(long, conflicts_with = "secret_file")]
    ask_secret: bool,
    /// Read the secret of a device from a file; - is standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the secret of a device is written
    #[arg(long, value_enum, default_value = "base32")]
    secret_format: Format,
    #[command(flatten)]
    pin: NewPin,
    /// The upstream of the config that decides (remote)
    #[arg(long, value_name = "NAME", required_if_eq("kind", "remote"))]
    upstream: Option<String>,
    /// The first day or moment it may be used (2027-01-01, 2027-01-01T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = start)]
    valid_from: Option<UnixTime>,
    /// The last day or moment it may be used
    #[arg(long, value_name = "TIME", value_parser = end)]
    valid_until: Option<UnixTime>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// By time, RFC 6238
    Totp,
    /// By counter, RFC 4226
    Hotp,
    /// By an upstream RADIUS server
    Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Letters and 2 to 7, as apps show it
    Base32,
    /// Hexadecimal, as seed files have it
    Hex,
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

impl Add {
    /// The token as asked for, with its secrets from where they are kept.
    fn read(self) -> anyhow::Result<NewToken> {
        self.check()?;
        let (algorithm, digits) = (self.algorithm, self.digits);
        let kind = match self.kind {
            Kind::Remote => NewKind::Remote { upstream: self.upstream.unwrap_or_default() },
            Kind::Hotp => {
                let counter = self.counter.unwrap_or(0);
                NewKind::Hotp { algorithm, digits, counter, secret: self.secret()? }
            }
            Kind::Totp => {
                let period = self.period.unwrap_or(DEFAULT_PERIOD);
                NewKind::Totp { algorithm, digits, period, secret: self.secret()? }
            }
        };
        Ok(NewToken {
            label: self.label,
            accounts: self.accounts,
            kind,
            pin: self.pin.read()?,
            not_before: self.valid_from,
            not_after: self.valid_until,
        })
    }

    /// Refuses arguments that would have no effect.
    fn check(&self) -> anyhow::Result<()> {
        let has_secret = self.show_uri || self.ask_secret || self.secret_file.is_some();
        let (is_hotp, is_totp) = (self.kind == Kind::Hotp, self.kind == Kind::Totp);
        for (argument, given, fits) in [
            ("--counter", self.counter.is_some(), is_hotp),
            ("--period", self.period.is_some(), is_totp),
            ("--upstream", self.upstream.is_some(), self.kind == Kind::Remote),
            ("--show-uri, --ask-secret or --secret-file", has_secret, is_hotp || is_totp),
        ] {
            let kind = self.kind.to_possible_value();
            let kind = kind.as_ref().map_or("", |kind| kind.get_name());
            ensure!(!given || fits, "{argument} is not for a token of type {kind}");
        }
        let standard_input = Some(Path::new("-"));
        ensure!(
            [&self.secret_file, &self.pin.pin_file]
                .iter()
                .any(|file| file.as_deref() != standard_input),
            "secret and PIN cannot both come from standard input; give one of them by a file"
        );
        Ok(())
    }

    fn secret(&self) -> anyhow::Result<NewSecret> {
        let (given, source) = match &self.secret_file {
            Some(file) => (input::read("secret", file)?, file.display().to_string()),
            None if self.ask_secret => (input::prompt("Secret of the device")?, "as typed".into()),
            None if self.show_uri => {
                return Ok(NewSecret::DrawAndShow { issuer: self.issuer.clone() });
            }
            None => bail!(
                "whose secret is it? --show-uri draws one and shows it once for an app to take \
                 over, --ask-secret and --secret-file take over that of a device"
            ),
        };
        let secret = match self.secret_format {
            Format::Base32 => NewSecret::Base32(given),
            Format::Hex => NewSecret::Hex(given),
        };
        secret.given().with_context(|| format!("secret: {source}"))?;
        Ok(secret)
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
            not_before: self.valid_from,
            not_after: self.valid_until,
        })
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text.to_ascii_lowercase().replace('-', "").as_str() {
        "sha1" => Ok(Algorithm::Sha1),
        "sha256" => Ok(Algorithm::Sha256),
        "sha512" => Ok(Algorithm::Sha512),
        _ => Err("sha1, sha256 or sha512 is wanted".to_owned()),
    }
}

fn digits(text: &str) -> Result<Digits, String> {
    let digits = text.parse::<u8>().map_err(|_| "a number from 6 to 10 is wanted".to_owned())?;
    Digits::try_from(digits).map_err(|error| error.to_string())
}

/// A token on one line.
pub(super) fn summary(token: &TokenView) -> String {
    let mut text = format!("{:?} {} {}", token.label, token.id, kind(&token.kind));
    if token.pin {
        text.push_str(", PIN");
    }
    if token.disabled {
        text.push_str(", disabled");
    }
    if let Some(validity) = validity(token.validity) {
        let _ = write!(text, ", valid {validity}");
    }
    text
}

fn kind(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Hotp { algorithm, digits } => {
            format!("HOTP {}, {} digits", name_of(*algorithm), u8::from(*digits))
        }
        TokenKind::Totp { algorithm, digits, period } => {
            format!("TOTP {}, {} digits, {period} s", name_of(*algorithm), u8::from(*digits))
        }
        TokenKind::Remote { upstream, user_name: None } => {
            format!("decided by upstream {upstream}")
        }
        TokenKind::Remote { upstream, user_name: Some(name) } => {
            format!("decided by upstream {upstream}, asked about {name}")
        }
        TokenKind::Delivered { channel, to, digits } => {
            let to = to.as_deref().unwrap_or("the person's mail address");
            format!("delivered by {channel} to {to}, {} digits", digits.length())
        }
    }
}

fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "SHA-1",
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha512 => "SHA-512",
    }
}

fn logins(token: &TokenView) -> String {
    let logins: Vec<_> = token.accounts.iter().map(|account| account.login.as_str()).collect();
    if logins.is_empty() { "assigned to nobody".to_owned() } else { logins.join(", ") }
}

fn token(view: &TokenView) -> String {
    let mut rows = vec![
        ("id", view.id.to_string()),
        ("type", kind(&view.kind)),
        ("state", if view.disabled { "disabled" } else { "enabled" }.to_owned()),
        ("accounts", logins(view)),
        ("PIN", if view.pin { "asked for" } else { "none" }.to_owned()),
    ];
    rows.extend(validity(view.validity).map(|validity| ("valid", validity)));
    if let Some(counter) = &view.counter {
        rows.push(("next", counter.next.to_string()));
        if counter.drift != 0 {
            rows.push(("drift", format!("{} time steps", counter.drift)));
        }
        if counter.resynchronising {
            rows.push(("resync", "begun; the next OTP in a row completes it".to_owned()));
        }
    }
    let mut text = format!("{:?}\n", view.label);
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    text
}

fn addition(view: &TokenView, uri: Option<&ClearText>) -> String {
    let mut text = token(view);
    if let Some(uri) = uri {
        let _ = writeln!(
            text,
            "\nFor the app, shown this once only; who has it can log on:\n  {}",
            uri.0.expose()
        );
    }
    text
}

const DEFAULT_PERIOD: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");

const EXAMPLES: &str = "\
Examples:
  countersign token add alice --show-uri
  countersign token add alice --type hotp --digits 8 --secret-file seed.txt --secret-format hex
  countersign token add alice --show-uri --algorithm sha256 --ask-pin --label \"Alice's phone\"
  countersign token add bob --type remote --upstream old-server
  countersign token resync \"Alice's phone\"
  countersign token disable \"Alice's phone\"

Secrets, PINs and OTPs are never taken from the command line, where others can read them.";

#[cfg(test)]
mod tests;
