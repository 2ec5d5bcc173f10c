//! `countersign ldap migrate` and `countersign ldap rekey`: entries as Countersign can use them.

use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use countersign_core::secret::Secret;

use crate::{
    app::ldap::migrate::{
        Outcome, Plan, Read, Severity, Task,
        apply::apply,
        plan::{Site, plan},
        survey::Survey,
    },
    cli::{Context, output},
    clock::{Clock, SystemClock},
    config::directory::{DirectorySettings, ServerSettings},
    directory::Directory,
    exit::Exit,
    vault::keys::SiteKeys,
};

/// Say what entries of slapo-otp or OATH-LDAP need, and bring them over
///
/// Nothing is changed without --apply. With it, each entry is changed in one modification,
/// and only if it is still as it was read; what was interrupted is simply run again.
///
/// Of slapo-otp, secrets in octets are encrypted and counters get their other meaning. Stop
/// everything that checks OTPs before --apply, and set hotp-counter = "next" and
/// plain-secrets = "refuse" in [directory] before it is started again.
/// Of OATH-LDAP, secrets in base32 are encrypted; all else is used as it is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Migrate {
    /// What made the entries
    #[arg(long, value_name = "WHAT")]
    from: From,
    #[command(flatten)]
    options: Options,
}

/// Encrypt secrets that are for an old key to the newest one
///
/// Secrets and access codes of tokens (oathSecret, oathTokenPIN) for any key of
/// directory.keys are encrypted to the newest of them. Nothing is changed without --apply.
/// After that the old key is needed no more.
#[derive(Debug, Args)]
#[command(after_help = REKEY_EXAMPLES)]
pub(super) struct Rekey {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// OpenLDAP's overlay otp
    SlapoOtp,
    /// OATH-LDAP, Æ-DIR
    OathLdap,
}

#[derive(Debug, Args)]
struct Options {
    /// Make the changes
    #[arg(long)]
    apply: bool,
    /// The directory server, in the place of directory.url; the daemon's own identity may
    /// seldom write secrets
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The name to bind as, in the place of the daemon's
    #[arg(long, value_name = "DN", requires = "bind_password_file")]
    bind_dn: Option<String>,
    /// The file whose first line is its password
    #[arg(long, value_name = "FILE", requires = "bind_dn")]
    bind_password_file: Option<PathBuf>,
}

impl Migrate {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let task = match self.from {
            From::SlapoOtp => Task::SlapoOtp,
            From::OathLdap => Task::OathLdap,
        };
        self.options.run(context, task).await
    }
}

impl Rekey {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        self.options.run(context, Task::Rekey).await
    }
}

impl Options {
    /// Reads, plans, and carries out what was asked for.
    async fn run(self, context: &Context, task: Task) -> anyhow::Result<Exit> {
        let Some(mut settings) = context.load_config()?.directory else {
            bail!("the config has no [directory]; docs/config.md says what belongs there");
        };
        self.server(&mut settings.server)?;
        let keys = SiteKeys::load(&settings.keys)?;
        let directory = Directory::new(&settings.server, 1)?;
        let mut plan = self.plan(task, &directory, &settings, &keys).await?;
        if self.apply {
            apply(&directory, &mut plan, progress(context.json)).await;
        }
        output::show(context.json, &plan, |plan| text(plan, self.apply))?;
        Ok(if plan.has_errors() { Exit::Failure } else { Exit::Success })
    }

    async fn plan(
        &self,
        task: Task,
        directory: &Directory,
        settings: &DirectorySettings,
        keys: &SiteKeys,
    ) -> anyhow::Result<Plan> {
        let survey = Survey::read(directory, settings).await?;
        let now = SystemClock.now();
        Ok(plan(
            &survey,
            &Site { task, mapping: &settings.mapping, keys, now, token_base: &settings.token_base },
        )?)
    }

    /// Whoever names another server or another name does not act as the daemon.
    fn server(&self, server: &mut ServerSettings) -> anyhow::Result<()> {
        if let Some(url) = &self.url {
            server.url.clone_from(url);
            server.bind = None;
            server.authorization_id = None;
        }
        if let (Some(dn), Some(path)) = (&self.bind_dn, &self.bind_password_file) {
            let text = fs::read_to_string(path)
                .map(Secret::new)
                .with_context(|| format!("--bind-password-file {}", path.display()))?;
            let line = text.expose().lines().next().unwrap_or_default().to_owned();
            server.bind = Some((dn.clone(), Secret::new(line)));
            server.authorization_id = None;
        }
        Ok(())
    }
}

/// On a terminal, how far it is.
fn progress(json: bool) -> impl FnMut(usize, usize) {
    let shown = !json && io::stderr().is_terminal();
    move |done, all| {
        if shown && (done % 25 == 0 || done == all) {
            let end = if done == all { "\n" } else { "" };
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r{done} of {all} entries{end}").and_then(|()| err.flush());
        }
    }
}

fn text(plan: &Plan, applied: bool) -> String {
    let mut text = String::new();
    for entry in plan.entries.iter().filter(|entry| entry.is_worth_showing()) {
        let _ = writeln!(text, "{} {}", entry.kind, entry.dn);
        for change in &entry.changes {
            let would = if entry.outcome.is_some() { "change" } else { "would change" };
            let _ = writeln!(text, "  {would}: {}", change.text);
        }
        for finding in &entry.findings {
            let _ = writeln!(text, "  {}: {}", finding.severity, finding.text);
        }
        if let Some(outcome) = &entry.outcome {
            let _ = writeln!(text, "  {outcome}");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(plan, applied));
    text
}

fn summary(plan: &Plan, applied: bool) -> String {
    let Read { accounts, tokens, parameters } = plan.read;
    let unchanged = plan.entries.len() - plan.to_change();
    let (errors, warnings) = (plan.count(Severity::Error), plan.count(Severity::Warning));
    let mut text = format!(
        "Accounts: {accounts}, tokens: {tokens}, parameter entries: {parameters}; used as they are: {unchanged} entries.\n\
         Errors: {errors}, warnings: {warnings}.\n",
    );
    let done = plan.entries.iter().filter(|entry| entry.outcome == Some(Outcome::Done)).count();
    let _ = match (applied, plan.to_change()) {
        (_, 0) => writeln!(text, "There is nothing to change."),
        (false, count) => writeln!(
            text,
            "Entries that would change: {count}; secrets are encrypted to {}. Nothing was changed: --apply does it.",
            plan.key
        ),
        (true, count) if done == count => {
            writeln!(text, "Entries that were changed: {done} of {count}.")
        }
        (true, count) => writeln!(
            text,
            "Entries that were changed: {done} of {count}. ERROR: {} were not; run this again when the cause is gone.",
            plan.not_done()
        ),
    };
    let is_over = applied && done == plan.to_change();
    if let (Task::SlapoOtp, true) = (plan.task, is_over) {
        text.push_str(
            "Now set hotp-counter = \"next\" and plain-secrets = \"refuse\" in [directory], and take\nthe overlay otp out of slapd: it cannot read these entries any more.\n",
        );
    }
    text
}

const EXAMPLES: &str = "\
Examples:
  countersign ldap migrate --from oath-ldap             what would change, what is wrong
  countersign ldap migrate --from slapo-otp --url ldapi:///
  countersign ldap migrate --from slapo-otp --url ldapi:/// --apply
  countersign --json ldap migrate --from oath-ldap --bind-dn cn=admin,dc=example,dc=com --bind-password-file admin.pw";

const REKEY_EXAMPLES: &str = "\
Examples:
  countersign ldap genkey --dir /etc/countersign/keys   the new key; then reload the daemon
  countersign ldap rekey                                which secrets are for an old key
  countersign ldap rekey --apply --url ldapi:///";
