//! `countersign ldap check`: what slapd and its entries are like, and what is wrong.

use std::{fs, io::Read, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use countersign_core::secret::Secret;

use super::config::Naming;
use crate::{
    app::{
        examine::{Finding, Grade},
        ldap::check::{Examination, check, ldif, torn},
    },
    cli::{Context, check as report, output},
    clock::{Clock, SystemClock},
    config::Config,
    exit::Exit,
    vault::random_octets,
};

/// Say what slapd, its access rules and its entries are like, and what is wrong
///
/// Asks the directory as the daemon would, so it is best run as the daemon's user on the
/// machine of slapd. Nothing is changed. For names it is said what would become of a bind,
/// without any OTP or secret.
///
/// Ends with 0 if nothing will fail, with 1 if something will.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Whose bind is looked at: distinguished names or login names
    #[arg(value_name = "NAME")]
    who: Vec<String>,
    /// What `slapcat -n 0` wrote, if the daemon may not read cn=config; - is standard input
    #[arg(long, value_name = "FILE")]
    slapd_config: Option<PathBuf>,
    /// The directory of slapd's config, for slapacl
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/ldap/slapd.d")]
    slapd_directory: PathBuf,
    /// Try whether slapd takes an answer that breaks off for a success: the DN of a test
    /// account; the daemon must not run meanwhile
    #[arg(long, value_name = "DN")]
    try_torn: Option<String>,
    #[command(flatten)]
    naming: Naming,
    /// Show only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

impl Check {
    /// Examines and reports.
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = context.load_config()?;
        let Some(settings) = &config.directory else {
            bail!(
                "the config has no [directory]; without one accounts and tokens are in the \
                 embedded store, and `countersign check` says what is wrong there"
            );
        };
        let mut findings = match &self.try_torn {
            Some(dn) => torn_answer(&config, dn).await?,
            None => Vec::new(),
        };
        let examination = Examination {
            who: self.who,
            config: self.slapd_config.as_deref().map(read_config).transpose()?,
            config_directory: self.slapd_directory,
        };
        let wanted = self.naming.wanted(&config)?;
        let now = SystemClock.now();
        findings.extend(check(&config, settings, &wanted, examination, now).await);
        findings.retain(|finding| !self.quiet || finding.grade != Grade::Good);
        output::show(context.json, &findings, |findings| report::report(findings))?;
        let failing = findings.iter().any(|finding| finding.grade == Grade::Error);
        Ok(if failing { Exit::Failure } else { Exit::Success })
    }
}

async fn torn_answer(config: &Config, dn: &str) -> anyhow::Result<Vec<Finding>> {
    let (Some(settings), Some(back_sock)) = (&config.directory, &config.back_sock) else {
        bail!("--try-torn needs [directory] and [back-sock] in the config");
    };
    let octets: [u8; 16] = random_octets();
    let password = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let password = Secret::new(password);
    Ok(torn::try_torn(&back_sock.socket.path, &settings.server, dn, password).await)
}

fn read_config(
    file: &std::path::Path,
) -> anyhow::Result<Vec<countersign_core::ldap::entry::Entry>> {
    let mut octets = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut octets)?;
    } else {
        octets = fs::read(file).with_context(|| format!("--slapd-config {}", file.display()))?;
    }
    Ok(ldif::entries(&String::from_utf8_lossy(&octets)))
}

const EXAMPLES: &str = "\
Examples:
  countersign ldap check                                    slapd, access rules, all entries
  countersign ldap check alice                              and what becomes of a bind of alice
  slapcat -n 0 | countersign ldap check --slapd-config -    where only root may read cn=config
  countersign ldap check --try-torn uid=nobody,ou=accounts,dc=example,dc=com";
