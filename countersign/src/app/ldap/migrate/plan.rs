//! Plan: what would change in each entry, and what is wrong with it.

use countersign_core::{
    ldap::mapping::{HotpCounter, Mapping, PlainSecrets, TokenMapping},
    time::UnixTime,
};

use super::{EntryPlan, Plan, Read, Task, parts, survey::Survey, tokens};
use crate::vault::keys::SiteKeys;

/// What a plan is made by.
pub struct Site<'a> {
    /// What is to be done.
    pub task: Task,
    /// The site's names of attributes.
    pub mapping: &'a Mapping,
    /// The site's keys.
    pub keys: &'a SiteKeys,
    /// The time.
    pub now: UnixTime,
    /// Below which tokens are.
    pub token_base: &'a str,
}

/// There is no key that secrets could be encrypted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "directory.keys names no key that secrets could be encrypted to; `countersign ldap genkey` makes one"
)]
pub struct NoKey;

/// Makes a plan: parameters first, because what is wrong with them is wrong with many tokens.
///
/// # Errors
///
/// There is no key.
pub fn plan(survey: &Survey, site: &Site<'_>) -> Result<Plan, NoKey> {
    let key = site.keys.newest().ok_or(NoKey)?.key_id.clone();
    let mut entries: Vec<EntryPlan> =
        survey.parameters.values().map(|entry| parts::parameters(entry, site)).collect();
    entries.extend(survey.tokens.values().map(|entry| tokens::token(entry, survey, site)));
    if site.task != Task::Rekey {
        entries.extend(survey.accounts.values().map(|entry| parts::account(entry, survey, site)));
    }
    let read = Read {
        accounts: survey.accounts.len(),
        tokens: survey.tokens.len(),
        parameters: survey.parameters.len(),
    };
    Ok(Plan { task: site.task, key, read, entries })
}

impl Site<'_> {
    /// How tokens are read that are not migrated yet.
    pub(super) fn token_mapping(&self) -> TokenMapping {
        let (hotp_counter, plain_secrets) = match self.task {
            Task::SlapoOtp => (HotpCounter::Last, PlainSecrets::Raw),
            Task::OathLdap => (HotpCounter::Next, PlainSecrets::Base32),
            Task::Rekey => (self.mapping.token.hotp_counter, self.mapping.token.plain_secrets),
        };
        TokenMapping { hotp_counter, plain_secrets, ..self.mapping.token.clone() }
    }
}
