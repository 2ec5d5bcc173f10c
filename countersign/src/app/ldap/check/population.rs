//! All accounts with tokens, all tokens, all parameters: what is wrong with any of them.
//!
//! There may be thousands; what is wrong with several is one finding with examples.

use std::collections::{BTreeMap, HashMap, HashSet};

use countersign_core::{
    domain::dn::Dn,
    jose::{jwe::Jwe, jwk::PublicJwk},
    ldap::{
        account::{self, AccountEntry},
        entry::Entry,
        mapping::Mapping,
        parameters::{self, ParametersEntry},
        schema::{Method, attribute},
        token::{self, TokenEntry},
    },
    time::UnixTime,
};

use crate::{
    app::examine::{Findings, Grade},
    config::{Config, back_sock::PasswordBy, directory::DirectorySettings},
};

/// Entries as they were read.
#[derive(Debug, Default)]
pub(super) struct Population {
    pub(super) accounts: Vec<Entry>,
    pub(super) tokens: Vec<Entry>,
    pub(super) parameters: Vec<Entry>,
}

/// Names of entries by what is wrong with them.
#[derive(Default)]
struct Wrong(BTreeMap<(Grade, &'static str, String, &'static str), Vec<String>>);

impl Wrong {
    fn add(
        &mut self,
        grade: Grade,
        object: &'static str,
        what: impl Into<String>,
        remedy: &'static str,
        dn: &str,
    ) {
        self.0.entry((grade, object, what.into(), remedy)).or_default().push(dn.to_owned());
    }

    fn report(self, findings: &mut Findings) {
        for ((grade, object, what, remedy), names) in self.0 {
            findings.add(grade, object, format!("{what}: {}", examples(&names)), remedy);
        }
    }
}

/// A few of them, and how many more there are.
pub(super) fn examples(names: &[String]) -> String {
    let shown = names.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join("; ");
    match names.len().saturating_sub(EXAMPLES) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

impl Population {
    /// Examines all of them.
    pub(super) fn examine(
        &self,
        settings: &DirectorySettings,
        config: &Config,
        keys: &[String],
        now: UnixTime,
        findings: &mut Findings,
    ) {
        let mut wrong = Wrong::default();
        let parameters = self.parameters(keys, &mut wrong);
        let owners = self.tokens(&settings.mapping, &parameters, keys, now, &mut wrong);
        let checks = config
            .back_sock
            .as_ref()
            .is_none_or(|back_sock| back_sock.password == PasswordBy::Check);
        self.accounts(&settings.mapping, &owners, checks, &mut wrong);
        let count = format!(
            "{} accounts with tokens, {} tokens, {} entries with parameters",
            self.accounts.len(),
            self.tokens.len(),
            self.parameters.len()
        );
        match (self.accounts.len(), self.tokens.len()) {
            (0, 1..) => findings.error(
                "entries",
                format!(
                    "{count}: we see no account that has a token, so all are let in by their \
                     password alone"
                ),
                "give us read on oathHOTPToken and oathTOTPToken of the accounts: countersign ldap \
                 config access; or correct directory.account.base",
            ),
            (0, _) | (_, 0) => findings.warning(
                "entries",
                count,
                "add tokens (countersign token add), or correct directory.account.base and \
                 directory.token.base",
            ),
            _ => findings.good("entries", count),
        }
        wrong.report(findings);
    }

    /// Whose oathSecret should be visible, but is not; and one whose counter could be moved.
    pub(super) fn initialised(&self) -> impl Iterator<Item = (&Entry, Method)> {
        self.tokens.iter().flat_map(|entry| {
            let has_counter =
                |method: &Method| !entry.values(method.counter_attribute()).is_empty();
            token::methods(entry).filter(has_counter).map(move |method| (entry, method))
        })
    }

    fn parameters(&self, keys: &[String], wrong: &mut Wrong) -> HashMap<Dn, ParametersEntry> {
        let mut all = HashMap::new();
        for entry in &self.parameters {
            let is = |method: &Method| {
                let class = match method {
                    Method::Hotp => "oathHOTPParams",
                    Method::Totp => "oathTOTPParams",
                };
                entry.is_a(class)
            };
            for method in Method::ALL.into_iter().filter(is) {
                match parameters::read(entry, method) {
                    Ok(read) => {
                        bounds(entry.dn(), &read, keys, wrong);
                        if let Ok(dn) = Dn::parse(entry.dn()) {
                            all.insert(dn, read);
                        }
                    }
                    Err(error) => wrong.add(
                        Grade::Error,
                        PARAMETERS,
                        format!("{} {}", error.attribute, error.cause),
                        "correct it; no OTP of their tokens is accepted",
                        entry.dn(),
                    ),
                }
            }
        }
        all
    }

    /// Examines tokens; gives the owner of each.
    fn tokens(
        &self,
        mapping: &Mapping,
        parameters: &HashMap<Dn, ParametersEntry>,
        keys: &[String],
        now: UnixTime,
        wrong: &mut Wrong,
    ) -> HashMap<Dn, Option<Dn>> {
        let used: HashSet<Dn> = self.accounts.iter().flat_map(references).collect();
        let mut owners = HashMap::new();
        for entry in &self.tokens {
            let Ok(dn) = Dn::parse(entry.dn()) else { continue };
            if !used.contains(&dn) {
                wrong.add(Grade::Warning, TOKENS, "no account refers to them", UNUSED, entry.dn());
            }
            for method in token::methods(entry) {
                match token::read(entry, method, &mapping.token) {
                    Ok(read) => {
                        let owner = read.owner.as_deref().and_then(|owner| Dn::parse(owner).ok());
                        owners.insert(dn.clone(), owner);
                        let named = read.parameters.as_deref().and_then(|dn| Dn::parse(dn).ok());
                        let set = named.as_ref().and_then(|dn| parameters.get(dn));
                        one(&read, set, keys, now, wrong);
                    }
                    Err(error) => wrong.add(
                        Grade::Error,
                        TOKENS,
                        format!("{} {}", error.attribute, error.cause),
                        "correct it; no OTP of theirs is accepted",
                        entry.dn(),
                    ),
                }
            }
        }
        owners
    }

    fn accounts(
        &self,
        mapping: &Mapping,
        owners: &HashMap<Dn, Option<Dn>>,
        checks_passwords: bool,
        wrong: &mut Wrong,
    ) {
        for entry in &self.accounts {
            let read = match account::read(entry, &mapping.account, None) {
                Ok(read) => read,
                Err(error) => {
                    let what = format!("{} {}", error.attribute, error.cause);
                    wrong.add(Grade::Error, ACCOUNTS, what, "correct it", entry.dn());
                    continue;
                }
            };
            if checks_passwords && read.password.is_empty() {
                let what = "no userPassword can be seen, so no password is right";
                wrong.add(Grade::Error, ACCOUNTS, what, HASHES, entry.dn());
            }
            links(entry.dn(), &read, owners, wrong);
        }
    }
}

/// What an account refers to.
fn links(dn: &str, read: &AccountEntry, owners: &HashMap<Dn, Option<Dn>>, wrong: &mut Wrong) {
    let person = read.person.as_deref().and_then(|person| Dn::parse(person).ok());
    for reference in &read.tokens {
        let Some(owner) = Dn::parse(&reference.dn).ok().and_then(|dn| owners.get(&dn)) else {
            let what = "they refer to a token that is not there, or that we may not see";
            wrong.add(Grade::Error, ACCOUNTS, what, ABSENT, dn);
            continue;
        };
        if person.is_some() && owner.is_some() && person != *owner {
            let what = "their token belongs to another person";
            wrong.add(
                Grade::Warning,
                ACCOUNTS,
                what,
                "correct the token's owner, or the account's person",
                dn,
            );
        }
    }
}

fn references(entry: &Entry) -> Vec<Dn> {
    let names = [attribute::HOTP_TOKEN, attribute::TOTP_TOKEN];
    let texts = names.into_iter().flat_map(|name| entry.texts(name).unwrap_or_default());
    texts.filter_map(|text| Dn::parse(text).ok()).collect()
}

/// Values that the schema allows and a validator should not.
fn bounds(dn: &str, read: &ParametersEntry, keys: &[String], wrong: &mut Wrong) {
    let set = &read.parameters;
    let mut warn = |what: &str, remedy| wrong.add(Grade::Warning, PARAMETERS, what, remedy, dn);
    if set.look_ahead.is_some_and(|look_ahead| look_ahead > 100) {
        warn(
            "oathHOTPLookAhead is over 100: a guess has that many times the chance",
            "5 to 20; a larger one for a single resynchronisation",
        );
    }
    if set.window.is_some_and(|window| window > 10) {
        warn(
            "oathTOTPTimeStepWindow is over 10: an OTP that was seen is good for minutes",
            "1 or 2",
        );
    }
    if set.success.code.is_some_and(|code| code != 0) {
        warn(
            "oathSuccessResultCode is not 0, so nobody is ever let in",
            "remove it, unless that is meant",
        );
    }
    let Some(key) = &read.encryption_key else { return };
    match PublicJwk::parse(key) {
        Ok(key) if keys.contains(&key.key_id) => {}
        Ok(key) => wrong.add(
            Grade::Error,
            PARAMETERS,
            format!("oathEncKey is the key {}, whose private half is not here", key.key_id),
            "add the file to directory.keys, or replace oathEncKey",
            dn,
        ),
        Err(error) => {
            wrong.add(Grade::Error, PARAMETERS, format!("oathEncKey: {error}"), "replace it", dn);
        }
    }
}

/// One token that could be read.
fn one(
    read: &TokenEntry,
    parameters: Option<&ParametersEntry>,
    keys: &[String],
    now: UnixTime,
    wrong: &mut Wrong,
) {
    let dn = read.dn.as_str();
    let mut add = |grade, what: String, remedy| wrong.add(grade, TOKENS, what, remedy, dn);
    match secret_state(read, keys) {
        SecretState::Usable => {}
        SecretState::Waits => {
            add(Grade::Warning, "they wait for their enrolment".to_owned(), ENROL)
        }
        SecretState::Hidden => {
            add(
                Grade::Error,
                "no oathSecret can be seen".to_owned(),
                "set it, or let the daemon read it",
            );
        }
        SecretState::Damaged(error) => {
            add(Grade::Error, format!("oathSecret: {error}"), "enrol it anew")
        }
        SecretState::Unknown(key) => {
            let what = format!("oathSecret is encrypted to {key}, whose private key is not here");
            add(Grade::Error, what, "add the key to directory.keys");
        }
    }
    match (&read.parameters, parameters) {
        (None, _) => {
            let what = "they refer to no parameters: 6 digits, SHA-1, look-ahead 5 or 30 seconds";
            add(Grade::Warning, what.to_owned(), "set oathHOTPParams or oathTOTPParams");
        }
        (Some(_), None) => {
            let what = "their parameters are not there, or we may not see them";
            add(Grade::Error, what.to_owned(), "correct oathHOTPParams or oathTOTPParams");
        }
        (Some(_), Some(set)) => {
            if let Some(over) = over(read, set, now) {
                add(Grade::Warning, over.to_owned(), "enrol it anew");
            }
        }
    }
    if read.owner.is_none() {
        add(Grade::Warning, "they belong to nobody".to_owned(), "set the owner");
    }
}

/// Why a token is not good any more.
pub(super) fn over(
    read: &TokenEntry,
    set: &ParametersEntry,
    now: UnixTime,
) -> Option<&'static str> {
    let age = read.since.map(|since| now.since(since));
    if set.max_age.zip(age).is_some_and(|(limit, age)| age > limit) {
        return Some("their secret is older than oathSecretMaxAge");
    }
    let next = read.position.counter(None).next;
    let is_used_up = set.parameters.max_uses.is_some_and(|limit| next > limit);
    (is_used_up && read.method == Method::Hotp).then_some("they are used up (oathMaxUsageCount)")
}

/// Whether the secret of a token can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SecretState {
    Usable,
    Waits,
    Hidden,
    Damaged(String),
    Unknown(String),
}

pub(super) fn secret_state(read: &TokenEntry, keys: &[String]) -> SecretState {
    let Some(secret) = &read.secret else {
        let waits = read.method == Method::Hotp && !read.position.has_counter();
        return if waits { SecretState::Waits } else { SecretState::Hidden };
    };
    if !secret.text().starts_with('{') {
        return SecretState::Usable;
    }
    match Jwe::parse(secret.text()) {
        Ok(jwe) if keys.contains(&jwe.key_id) => SecretState::Usable,
        Ok(jwe) => SecretState::Unknown(jwe.key_id),
        Err(error) => SecretState::Damaged(error.to_string()),
    }
}

const EXAMPLES: usize = 3;
const ACCOUNTS: &str = "accounts";
const TOKENS: &str = "tokens";
const PARAMETERS: &str = "parameters";
const UNUSED: &str = "set oathHOTPToken or oathTOTPToken of an account, or remove them";
const ABSENT: &str = "correct oathHOTPToken or oathTOTPToken; countersign ldap config access";
const HASHES: &str = "let the daemon read userPassword (countersign ldap config access), or \
                      password = \"directory\" in [back-sock]";
const ENROL: &str = "nobody can use them until they are enrolled";
