//! `countersign init`: a state directory for real use.

use std::{fmt::Write, net::IpAddr, path::PathBuf};

use anyhow::bail;
use clap::Args;

use super::{Context, output};
use crate::{
    clock::SystemClock,
    config::template::Filling,
    exit::Exit,
    init::{Made, Plan, init},
    signer::file::KeySpec,
};

/// Make a state directory: config, master key, store, embedded CA, certificates
///
/// Nothing that exists is overwritten. What was written is listed, with what to
/// keep safe and what to do next.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// The directory to make
    directory: PathBuf,
    /// The name of this host, as clients reach it [default: the system's host name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The DNS domain of the accounts; in upper case the Kerberos realm
    #[arg(long, value_name = "DOMAIN", default_value = "example.com")]
    realm: String,
    /// The NetBIOS domain of the accounts, as in DOMAIN\user [default: first label of the realm]
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// The name of the embedded CA
    #[arg(long, value_name = "NAME", default_value = "Countersign CA")]
    ca_name: String,
    /// The kind of key of the CA, the RA and the TLS server
    #[arg(long, value_name = "KIND", default_value = "p-256", value_parser = key_spec)]
    key_type: KeySpec,
    /// The address that the listeners bind
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    listen: IpAddr,
    /// UDP port of RADIUS
    #[arg(long, value_name = "PORT", default_value_t = 1812)]
    radius_port: u16,
    /// TCP port of MS-OTPCE
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    otpce_port: u16,
    /// TCP port of EST, where clients fetch their certificates
    #[arg(long, value_name = "PORT", default_value_t = 8444)]
    est_port: u16,
    /// TCP port of plain HTTP, for revocation list, CA certificate and health
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    http_port: u16,
}

impl Init {
    /// Makes the directory and reports.
    ///
    /// # Errors
    ///
    /// The directory is in use, cannot be written, or a name cannot be used.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let plan = self.plan()?;
        let made = init(&plan, &SystemClock).await?;
        output::show(context.json, &made, report)?;
        Ok(Exit::Success)
    }

    fn plan(self) -> anyhow::Result<Plan> {
        let host = match self.host {
            Some(host) => host,
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned(),
        };
        let first_label = self.realm.split('.').next().unwrap_or_default().to_uppercase();
        let domain = self.domain.unwrap_or(first_label);
        for (option, name) in [("--host", &host), ("--realm", &self.realm), ("--domain", &domain)] {
            if name.is_empty()
                || !name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c))
            {
                bail!("{option} {name:?}: a name has letters, digits, dots and hyphens");
            }
        }
        if self.ca_name.is_empty()
            || self.ca_name.chars().any(|c| c.is_control() || "\\'\"/".contains(c))
        {
            bail!("--ca-name {:?}: it must not be empty nor have quotes or slashes", self.ca_name);
        }
        Ok(Plan {
            directory: self.directory,
            key_spec: self.key_type,
            filling: Filling {
                domain,
                realm: self.realm,
                host,
                ca_name: self.ca_name,
                listen: self.listen,
                radius_port: self.radius_port,
                otpce_port: self.otpce_port,
                est_port: self.est_port,
                http_port: self.http_port,
                key_type: self.key_type.to_string(),
            },
        })
    }
}

fn key_spec(text: &str) -> Result<KeySpec, String> {
    text.parse().map_err(|_| "it is one of rsa-2048, rsa-3072, p-256, p-384".into())
}

fn report(made: &Made) -> String {
    let mut text = String::new();
    let directory = made.directory.display();
    let _ = writeln!(text, "Made {directory}:\n");
    for file in made.files {
        let _ = writeln!(text, "  {:26} {}", file.name, file.meaning);
    }
    let config = made.directory.join("countersign.toml");
    let config = config.display();
    let _ = write!(
        text,
        "
Keep copies of master.key and ca/ca.key where only you can reach them: without the
first no token works any more, and whoever has the second can log on as anybody.

Next:
  countersign --config {config} check
  countersign --config {config} account add alice
  countersign --config {config} token add alice --type totp --show-uri
  countersign --config {config} ca issue machine client1.{} --out {directory}/clients
  countersign --config {config} serve
",
        made.realm,
    );
    text
}

const EXAMPLES: &str = "\
Examples:
  countersign init /etc/countersign --host otp.example.com --realm example.com
  countersign init /tmp/try --host localhost --listen 127.0.0.1 --radius-port 11812";
