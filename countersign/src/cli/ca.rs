//! `countersign ca`: certificates of the embedded CA.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use countersign_core::pki::profile::Kind;
use serde::Serialize;

use super::{Context, control::execute, output};
use crate::{
    app::command::{Command, IssueOrder, Reply},
    certificate::{self, readable},
    exit::Exit,
    signer::{
        Signer,
        file::{FileSigner, KeySpec},
    },
    store::CertificateRecord,
};

/// Issue, list and revoke certificates of the embedded CA
///
/// Logon certificates are not issued here: they are given for a one-time
/// password only (`countersign login`).
#[derive(Debug, Args)]
pub struct Ca {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    Issue(Issue),
    /// List the certificates that were issued and have not been forgotten
    List,
    /// Revoke a certificate and publish the list that says so
    Revoke {
        /// Its serial number, as `countersign ca list` shows it
        serial: String,
    },
}

/// Make a key and have it certified
///
/// The key never leaves this machine: it is written to NAME.key, the certificate
/// to NAME.pem.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Issue {
    /// What the certificate is for
    pub(super) profile: ProfileName,
    /// The DNS name of the host, or its IP address
    pub(super) name: String,
    /// The directory for the two files
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(super) out: PathBuf,
    /// Further DNS names
    #[arg(long, value_name = "NAME")]
    pub(super) dns: Vec<String>,
    /// IP addresses
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Vec<IpAddr>,
    /// The Kerberos realm, for a KDC [default: the site's]
    #[arg(long)]
    pub(super) realm: Option<String>,
    /// The kind of key
    #[arg(long, value_name = "KIND", default_value = "p-256")]
    pub(super) key_type: KeySpec,
}

/// The profiles that this command issues by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ProfileName {
    /// A TLS server: OTPCE, EST, anything else
    Server,
    /// A machine that people log on from: the TLS client of `countersign login`
    Machine,
    /// An MIT Kerberos KDC with PKINIT
    Kdc,
    /// A registration authority
    Signing,
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Written {
    serial: String,
    certificate: PathBuf,
    key: PathBuf,
    valid_until: String,
}

impl Ca {
    /// Carries out the subcommand.
    ///
    /// # Errors
    ///
    /// There is no embedded CA, or it refuses.
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            CaCommand::Issue(issue) => {
                let written = issue.issue(context).await?;
                output::show(context.json, &written, report)?;
                Ok(Exit::Success)
            }
            CaCommand::List => list(context).await,
            CaCommand::Revoke { serial } => {
                execute(context, Command::Revoke { serial: serial.clone() }).await?;
                let text = format!("revoked {serial}; the revocation list says so");
                output::show(context.json, &text, Clone::clone)?;
                Ok(Exit::Success)
            }
        }
    }
}

impl Issue {
    /// Makes the key, has it certified, writes both.
    ///
    /// # Errors
    ///
    /// A file is there already or cannot be written, or the CA refuses.
    pub async fn issue(&self, context: &Context) -> anyhow::Result<Written> {
        let stem = self.out.join(self.name.replace(['/', '*'], "_"));
        let (pem, key_file) = (with_extension(&stem, "pem"), with_extension(&stem, "key"));
        for file in [&pem, &key_file] {
            if file.exists() {
                bail!("{}: it exists; move it away first, nothing was changed", file.display());
            }
        }
        let key = FileSigner::generate(self.key_type)?;
        let order = self.order(context, &key)?;
        let Reply::Issued { serial, certificate, .. } =
            execute(context, Command::Issue(order)).await?
        else {
            bail!("the daemon answered something else; is it of another version?");
        };
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        key.save(&key_file)?;
        certificate::replace(&pem, certificate.as_bytes())?;
        let valid_until = readable(certificate::load_first(&pem)?.not_after());
        Ok(Written { serial, certificate: pem, key: key_file, valid_until })
    }

    fn order(&self, context: &Context, key: &FileSigner) -> anyhow::Result<IssueOrder> {
        let (mut dns, mut ip) = (self.dns.clone(), self.ip.clone());
        match self.name.parse() {
            Ok(address) => ip.insert(0, address),
            Err(_) => dns.insert(0, self.name.clone()),
        }
        let kind = match self.profile {
            ProfileName::Server => Kind::Server,
            ProfileName::Machine => Kind::Machine,
            ProfileName::Kdc => Kind::Kdc,
            ProfileName::Signing => Kind::Signing,
        };
        let realm = match &self.realm {
            Some(realm) if realm.is_empty() => bail!("--realm is empty"),
            Some(realm) => Some(realm.clone()),
            None => context.load_config()?.site.realm,
        };
        let public_key = data_encoding::BASE64.encode(key.public_key());
        Ok(IssueOrder { kind, dns, ip, realm, public_key })
    }
}

fn report(written: &Written) -> String {
    let Written { serial, certificate, key, valid_until } = written;
    let (certificate, key) = (certificate.display(), key.display());
    format!("{certificate}\n{key}\nserial {serial}, valid until {valid_until}")
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let mut all: Vec<CertificateRecord> = Vec::new();
    loop {
        let after = all.last().map(|record| record.serial.clone());
        let command = Command::Certificates { after, limit: PAGE };
        let Reply::Certificates(page) = execute(context, command).await? else {
            bail!("the daemon answered something else; is it of another version?");
        };
        let last = page.len() < PAGE;
        all.extend(page);
        if last {
            break;
        }
    }
    output::show(context.json, &all, |all| all.iter().map(line).collect())?;
    Ok(Exit::Success)
}

fn line(record: &CertificateRecord) -> String {
    let state = if record.revoked.is_some() { "revoked" } else { "until" };
    let subject = if record.subject.is_empty() { "-" } else { &record.subject };
    format!(
        "{}  {:8} {state} {}  {subject}\n",
        record.serial,
        record.profile,
        readable(record.not_after)
    )
}

/// `Path::with_extension` would take `client1` from `client1.example.com`.
fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

const PAGE: usize = 500;

const EXAMPLES: &str = "\
Examples:
  countersign ca issue machine client1.example.com --out /etc/countersign/clients
  countersign ca issue server otp.example.com --ip 10.0.0.5
  countersign ca issue kdc kdc1.example.com --realm EXAMPLE.COM --out /etc/krb5kdc";
