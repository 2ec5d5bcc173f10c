//! Migrate: what entries of slapo-otp or OATH-LDAP need so that Countersign can use them.
//!
//! * [`survey`] reads the entries from the directory.
//! * [`plan`] says of each what would change and what is wrong. It changes nothing and asks
//!   nobody.
//! * [`apply`] carries it out: one modification for each entry, all of it or nothing, and only
//!   if the entry is still as it was read. An entry that is done is known by that its secret is
//!   a JWE for the right key, so an interrupted run is simply run again.

use std::fmt;

use countersign_core::{jose::jwk::PublicJwk, ldap::counter::Modification, secret::Secret};
use serde::{Serialize, Serializer};

use crate::vault::jwe;

pub mod apply;
mod parts;
pub mod plan;
pub mod survey;
mod tokens;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Entries of slapo-otp: secrets in octets, counters that were used last.
    SlapoOtp,
    /// Entries of OATH-LDAP: nearly all is used as it is.
    OathLdap,
    /// Secrets for old keys are encrypted to the newest one.
    Rekey,
}

/// What would change, and what is wrong.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// What is to be done.
    pub task: Task,
    /// The key that secrets are encrypted to, unless the parameters of a token name another.
    pub key: String,
    /// How many entries were read.
    pub read: Read,
    /// Every entry that was read; shown are those of which there is something to say.
    #[serde(serialize_with = "only_worth_showing")]
    pub entries: Vec<EntryPlan>,
}

/// How many entries were read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Read {
    /// What binds.
    pub accounts: usize,
    /// Tokens.
    pub tokens: usize,
    /// What tokens have in common.
    pub parameters: usize,
}

/// What would change in one entry, and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct EntryPlan {
    /// Its name.
    pub dn: String,
    /// What it is.
    pub kind: EntryKind,
    /// What would change, all of it at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What is wrong, or worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What became of the changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// What many tokens have in common.
    Parameters,
    /// A token.
    Token,
    /// What binds.
    Account,
}

/// One change of an entry.
#[derive(Debug, Serialize)]
pub struct Change {
    /// In words.
    pub text: String,
    #[serde(skip)]
    step: Step,
}

/// One change of an entry, as it is carried out.
#[derive(Debug)]
enum Step {
    /// A secret is encrypted.
    Seal { attribute: &'static str, old: Secret<Vec<u8>>, clear: Secret<Vec<u8>>, to: PublicJwk },
    /// A value takes the place of another one, or of none.
    Exchange { attribute: &'static str, old: Option<Vec<u8>>, new: Vec<u8> },
}

/// What is wrong with an entry, or worth knowing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// In words.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, though probably not as it is meant.
    Warning,
    /// Nobody logs on with it.
    Error,
}

/// What became of the changes of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of them were made.
    Done,
    /// None was made: the entry was changed after it had been read.
    ChangedMeanwhile,
    /// None was made, and why.
    Refused(String),
    /// None was made: whoever asks may not write.
    NoRight(String),
    /// They were made or not: the directory did not answer.
    Unknown(String),
}

impl Plan {
    /// How many entries would change.
    #[must_use]
    pub fn to_change(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.changes.is_empty()).count()
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.entries.iter().flat_map(|entry| &entry.findings);
        findings.filter(|finding| finding.severity == severity).count()
    }

    /// How many entries were to change and did not.
    #[must_use]
    pub fn not_done(&self) -> usize {
        let done = |entry: &&EntryPlan| entry.outcome == Some(Outcome::Done);
        self.to_change() - self.entries.iter().filter(done).count()
    }

    /// Whether something is wrong that keeps somebody from logging on, or was not done.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let failed = |entry: &EntryPlan| {
            entry.outcome.as_ref().is_some_and(|outcome| *outcome != Outcome::Done)
        };
        self.count(Severity::Error) > 0 || self.entries.iter().any(failed)
    }
}

impl EntryPlan {
    fn new(dn: &str, kind: EntryKind) -> Self {
        let (changes, findings) = (Vec::new(), Vec::new());
        Self { dn: dn.to_owned(), kind, changes, findings, outcome: None }
    }

    /// Whether there is something to say of it.
    #[must_use]
    pub fn is_worth_showing(&self) -> bool {
        !self.changes.is_empty() || !self.findings.is_empty()
    }

    fn find(&mut self, severity: Severity, text: impl Into<String>) {
        self.findings.push(Finding { severity, text: text.into() });
    }

    fn error(&mut self, text: impl Into<String>) {
        self.find(Severity::Error, text);
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.find(Severity::Warning, text);
    }

    fn note(&mut self, text: impl Into<String>) {
        self.find(Severity::Note, text);
    }

    fn change(&mut self, text: impl Into<String>, step: Step) {
        self.changes.push(Change { text: text.into(), step });
    }
}

impl Change {
    /// As a directory is asked for it: the old value goes out and the new one in, or nothing
    /// happens.
    fn modifications(&self) -> Result<Vec<Modification>, jwe::Refused> {
        let exchange = |attribute: &str, old: Option<&Vec<u8>>, new: Vec<u8>| {
            let delete = old.map(|old| Modification::Delete(attribute.into(), vec![old.clone()]));
            delete.into_iter().chain([Modification::Add(attribute.into(), vec![new])]).collect()
        };
        match &self.step {
            Step::Seal { attribute, old, clear, to } => {
                let sealed = jwe::seal(to, clear.expose())?;
                Ok(exchange(attribute, Some(old.expose()), sealed.into_bytes()))
            }
            Step::Exchange { attribute, old, new } => {
                Ok(exchange(attribute, old.as_ref(), new.clone()))
            }
        }
    }
}

fn only_worth_showing<S: Serializer>(entries: &[EntryPlan], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(entries.iter().filter(|entry| entry.is_worth_showing()))
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameters => "parameters",
            Self::Token => "token",
            Self::Account => "account",
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::ChangedMeanwhile => {
                f.write_str("not done: the entry was changed meanwhile; run this again")
            }
            Self::Refused(why) => write!(f, "not done: {why}"),
            Self::NoRight(why) => write!(
                f,
                "not done: {why}; name somebody who may write, by --bind-dn and --bind-password-file, or by --url ldapi:/// as a user whom slapd maps to an administrator"
            ),
            Self::Unknown(why) => write!(f, "done or not: {why}; run this again"),
        }
    }
}

#[cfg(test)]
mod tests;
