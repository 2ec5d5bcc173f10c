//! `countersign token add`: what a new token is, and where its secrets come from.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use countersign_core::{
    oath::hotp::{Algorithm, Digits},
    time::UnixTime,
};

use super::NewPin;
use crate::{
    app::admin::{NewKind, NewSecret, NewToken},
    cli::input::{self, end, start},
};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Add {
    /// The accounts that may use it, by any of their login names
    #[arg(required = true)]
    accounts: Vec<String>,
    /// How its passcodes come about
    #[arg(long = "type", value_enum, default_value = "totp")]
    kind: Kind,
    /// What administrators call it [default: the first account and the type, upstream or channel]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// The HMAC's hash, for types totp and hotp: sha1, sha224, sha256, sha384 or sha512 [default: sha1]
    #[arg(long, value_name = "HASH", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
    /// Length of an OTP, 6 to 10 [default: 6]
    #[arg(long, value_name = "NUMBER", value_parser = digits)]
    digits: Option<Digits>,
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
    /// The User-Name to ask the upstream with, in the place of one made of the login (remote)
    #[arg(long, value_name = "NAME")]
    user_name: Option<String>,
    /// The delivery channel of the config by which OTPs are sent (delivered)
    #[arg(long, value_name = "CHANNEL", required_if_eq("kind", "delivered"))]
    via: Option<String>,
    /// Where OTPs are sent (delivered) [default: the mail address of the person]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// A strength that a logon with it has, for Kerberos and for listeners that demand it; may be
    /// given several times
    #[arg(long = "indicator", value_name = "NAME")]
    indicators: Vec<String>,
    /// The first day or moment it may be used (2027-01-01, 2027-01-01T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = start)]
    valid_from: Option<UnixTime>,
    /// The last day or moment it may be used
    #[arg(long, value_name = "TIME", value_parser = end)]
    valid_until: Option<UnixTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// By time, RFC 6238
    Totp,
    /// By counter, RFC 4226
    Hotp,
    /// By an upstream RADIUS server
    Remote,
    /// Made here, and sent by mail, SMS or a script
    Delivered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Letters and 2 to 7, as apps show it
    Base32,
    /// Hexadecimal, as seed files have it
    Hex,
}

impl Add {
    /// The token as asked for, with its secrets from where they are kept.
    pub(super) fn read(self) -> anyhow::Result<NewToken> {
        self.check()?;
        let algorithm = self.algorithm.unwrap_or(Algorithm::Sha1);
        let digits = self.digits.unwrap_or(Digits::SIX);
        let kind = match self.kind {
            Kind::Remote => NewKind::Remote {
                upstream: self.upstream.unwrap_or_default(),
                user_name: self.user_name,
            },
            Kind::Delivered => {
                NewKind::Delivered { channel: self.via.unwrap_or_default(), to: self.to, digits }
            }
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
            indicators: self.indicators,
            not_before: self.valid_from,
            not_after: self.valid_until,
        })
    }

    /// Refuses arguments that would have no effect.
    fn check(&self) -> anyhow::Result<()> {
        let has_secret = self.show_uri || self.ask_secret || self.secret_file.is_some();
        let (is_hotp, is_totp) = (self.kind == Kind::Hotp, self.kind == Kind::Totp);
        let is_remote = self.kind == Kind::Remote;
        let is_delivered = self.kind == Kind::Delivered;
        for (argument, given, fits) in [
            ("--algorithm", self.algorithm.is_some(), is_hotp || is_totp),
            ("--digits", self.digits.is_some(), !is_remote),
            ("--counter", self.counter.is_some(), is_hotp),
            ("--period", self.period.is_some(), is_totp),
            ("--upstream", self.upstream.is_some(), is_remote),
            ("--user-name", self.user_name.is_some(), is_remote),
            ("--via", self.via.is_some(), is_delivered),
            ("--to", self.to.is_some(), is_delivered),
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

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text.to_ascii_lowercase().replace('-', "").as_str() {
        "sha1" => Ok(Algorithm::Sha1),
        "sha224" => Ok(Algorithm::Sha224),
        "sha256" => Ok(Algorithm::Sha256),
        "sha384" => Ok(Algorithm::Sha384),
        "sha512" => Ok(Algorithm::Sha512),
        _ => Err("sha1, sha224, sha256, sha384 or sha512 is wanted".to_owned()),
    }
}

fn digits(text: &str) -> Result<Digits, String> {
    let digits = text.parse::<u8>().map_err(|_| "a number from 6 to 10 is wanted".to_owned())?;
    Digits::try_from(digits).map_err(|error| error.to_string())
}

pub(super) const DEFAULT_PERIOD: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");

const EXAMPLES: &str = "\
Examples:
  countersign token add alice --show-uri
  countersign token add alice --type hotp --digits 8 --secret-file seed.txt --secret-format hex
  countersign token add alice --show-uri --algorithm sha256 --ask-pin --label \"Alice's phone\"
  countersign token add alice --show-uri --indicator hardware
  countersign token add bob --type remote --upstream old-server --user-name bsmith
  countersign token add carol --type delivered --via mail
  countersign token add carol --type delivered --via sms --to \"+49 170 4711\" --ask-pin

Secrets, PINs and OTPs are never taken from the command line, where others can read them.";
