//! `countersign delivery`: the ways by which OTPs reach their users.

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use countersign_core::secret::Secret;

use super::{Context, output};
use crate::{
    client::delivery::{Channel, DeliveryError, Message},
    config::delivery::{DeliveryKind, DeliverySettings},
    exit::Exit,
};

/// Try the ways by which OTPs are sent
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Delivery {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a sample, "000000", through a delivery channel of the config
    ///
    /// It is sent by this command and not by the daemon. Ends with 0 if the channel took it,
    /// with 1 if it did not.
    #[command(after_help = EXAMPLES)]
    Test {
        /// The channel
        channel: String,
        /// Where to: a mail address, a telephone number, whatever the channel knows
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// The login that the sample is for
        #[arg(long, value_name = "NAME", default_value = "sample")]
        account: String,
    },
}

impl Delivery {
    /// Sends the sample.
    ///
    /// # Errors
    ///
    /// There is no such channel, or it cannot be used, or it did not take the sample.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Command::Test { channel: name, to, account } = self.command;
        let config = context.load_config()?;
        let settings = named(&config.deliveries, &name)?;
        let message = Message { to, account, otp: Secret::new(SAMPLE.to_owned()) };
        Channel::new(settings)?.send(&message).await.map_err(explained)?;
        let taken = serde_json::json!({ "channel": name, "to": message.to, "delivered": true });
        output::show(context.json, &taken, |_| told(settings, &message.to))?;
        Ok(Exit::Success)
    }
}

fn named<'a>(all: &'a [DeliverySettings], name: &str) -> anyhow::Result<&'a DeliverySettings> {
    let names: Vec<_> = all.iter().map(|settings| settings.name.as_str()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    all.iter()
        .find(|settings| settings.name == name)
        .with_context(|| format!("the config has no delivery channel {name:?}; it has {known}"))
}

/// With what a gateway or a program said beside: here it is an administrator who reads it.
fn explained(error: DeliveryError) -> anyhow::Error {
    let said = error.failure.said().map(str::to_owned);
    match said {
        Some(said) => anyhow!("{error}: {said}"),
        None => error.into(),
    }
}

fn told(settings: &DeliverySettings, to: &str) -> String {
    let who = match settings.means.kind() {
        DeliveryKind::Mail => "the mail server",
        DeliveryKind::Http => "the gateway",
        DeliveryKind::Script => "the program",
    };
    format!("{}: {who} took the sample {SAMPLE} for {to}; see whether it arrives", settings.name)
}

/// No token makes it known that it is meant.
const SAMPLE: &str = "000000";

const EXAMPLES: &str = "\
Examples:
  countersign delivery test mail --to alice@example.com
  countersign delivery test sms --to \"+49 170 4711\"";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::delivery::{DeliveryMeans, ScriptSettings};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        delivery: Delivery,
    }

    fn script(name: &str, command: &str) -> DeliverySettings {
        let arguments = vec!["-c".to_owned(), command.to_owned()];
        let script = ScriptSettings { program: "/bin/sh".into(), arguments };
        let (means, timeout) = (DeliveryMeans::Script(script), Duration::from_secs(20));
        DeliverySettings { name: name.into(), means, timeout, max_at_once: 1 }
    }

    #[test]
    fn the_definition_has_no_contradiction() {
        Line::command().debug_assert();
        assert!(Line::try_parse_from(["delivery", "test", "sms"]).is_err(), "where to?");
        Line::try_parse_from(["delivery", "test", "sms", "--to", "4711"]).unwrap();
    }

    #[test]
    fn an_unknown_channel_is_refused_with_those_that_there_are() {
        let all = [script("mail", ""), script("sms", "")];
        assert_eq!(named(&all, "sms").unwrap().name, "sms");
        let error = named(&all, "fax").unwrap_err().to_string();
        assert_eq!(error, "the config has no delivery channel \"fax\"; it has mail, sms");
        assert!(named(&[], "fax").unwrap_err().to_string().ends_with("it has none"));
    }

    #[tokio::test]
    async fn an_administrator_reads_what_a_program_said() {
        let channel = Channel::new(&script("sms", "echo no credit >&2; exit 1")).unwrap();
        let otp = Secret::new(SAMPLE.to_owned());
        let message = Message { to: "4711".into(), account: "a".into(), otp };
        let error = explained(channel.send(&message).await.unwrap_err()).to_string();
        assert_eq!(error, "delivery channel sms: /bin/sh ended with exit status: 1: no credit");
    }

    #[test]
    fn a_sample_that_was_taken_reads_well() {
        let told = told(&script("sms", ""), "4711");
        assert_eq!(
            told,
            "sms: the program took the sample 000000 for 4711; see whether it arrives"
        );
    }
}
