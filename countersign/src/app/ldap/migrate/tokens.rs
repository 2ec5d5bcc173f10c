//! Tokens: their secrets are encrypted, their counters get the meaning that OATH-LDAP gives them.

use countersign_core::{
    jose::{jwe::Jwe, jwk::PublicJwk},
    ldap::{
        counter::counter_value,
        entry::Entry,
        mapping::HotpCounter,
        parameters::{self, ParametersEntry},
        schema::{Method, attribute},
        time,
        token::{self, TokenEntry},
    },
    secret::Secret,
};
use data_encoding::BASE64URL_NOPAD;

use super::{
    EntryKind, EntryPlan, Step, Task,
    parts::without_dn,
    plan::Site,
    survey::{Survey, TOKEN_PIN, key},
};
use crate::vault::{PLAIN, keys::OpenError};

/// What would change in a token, and what is wrong with it.
pub(super) fn token(entry: &Entry, survey: &Survey, site: &Site<'_>) -> EntryPlan {
    let mut plan = EntryPlan::new(entry.dn(), EntryKind::Token);
    if site.task == Task::Rekey {
        rekey(entry, site, &mut plan);
        return plan;
    }
    let methods: Vec<_> = token::methods(entry).collect();
    if methods.is_empty() {
        plan.error("is neither of the class oathHOTPToken nor of oathTOTPToken");
    }
    let (mut sealed, mut broken) = (false, false);
    for method in methods {
        match token::read(entry, method, &site.token_mapping()) {
            Err(error) => {
                plan.error(unreadable(&without_dn(&error), site.task));
                broken = true;
            }
            Ok(read) => {
                let parameters = parameters_of(&read, survey, &mut plan);
                facts(entry, &read, parameters.as_ref(), site, &mut plan);
                // An entry that is a token of both kinds has one secret for both.
                let key = (!sealed).then(|| key_for(parameters.as_ref(), site)).flatten();
                secret(entry, &read, key, site, &mut plan);
                sealed = true;
            }
        }
    }
    // Half of the changes would look as if the entry were done.
    if broken {
        plan.changes.clear();
    }
    if !survey.referred_to.contains(&key(entry.dn())) {
        plan.note("no account refers to it");
    }
    plan
}

/// The errors of reading say how the config could be changed; here it is the other task.
fn unreadable(error: &str, task: Task) -> String {
    match task {
        Task::OathLdap if error.starts_with(attribute::SECRET) => {
            format!("{error}; octets are what slapo-otp has: --from slapo-otp")
        }
        Task::OathLdap | Task::SlapoOtp | Task::Rekey => error.to_owned(),
    }
}

fn parameters_of(
    read: &TokenEntry,
    survey: &Survey,
    plan: &mut EntryPlan,
) -> Option<ParametersEntry> {
    let name = read.method.parameters_attribute();
    let Some(dn) = &read.parameters else {
        plan.note(format!("has no {name}: 6 digits, SHA-1 and OATH-LDAP's other defaults count"));
        return None;
    };
    let Some(entry) = survey.parameters.get(&key(dn)) else {
        plan.error(format!(
            "{name} leads to {dn:?}, which is not there, or this program may not read it"
        ));
        return None;
    };
    // What is wrong with them is said of them.
    parameters::read(entry, read.method).ok()
}

/// What is worth knowing of a token, whoever made it.
fn facts(
    entry: &Entry,
    read: &TokenEntry,
    parameters: Option<&ParametersEntry>,
    site: &Site<'_>,
    plan: &mut EntryPlan,
) {
    match &read.identifier {
        None => plan.note("has no oathTokenIdentifier: the OTP follows the password at once"),
        Some(identifier) if identifier.len() > MAX_IDENTIFIER => plan.warn(format!(
            "oathTokenIdentifier has {} octets; with an OTP it does not fit into oathOTPValue (20)",
            identifier.len()
        )),
        Some(_) => {}
    }
    let failures = read.position.failures(None).failures;
    if failures > 0 {
        plan.note(format!(
            "oathFailureCount is {failures}: after many failures an attempt has to wait here; the next success ends that"
        ));
    }
    let Some(parameters) = parameters else { return };
    let next = read.position.counter(None).next;
    if parameters.parameters.max_uses.is_some_and(|most| next > most) {
        plan.error(format!("its counter {next} is beyond oathMaxUsageCount"));
    }
    let end = read.since.zip(parameters.max_age).map(|(since, age)| since.plus(age));
    if let Some(end) = end.filter(|end| *end < site.now && entry_has_secret(entry)) {
        plan.error(format!(
            "its secret is older than oathSecretMaxAge allows, since {}; initialise it anew",
            time::write(end)
        ));
    }
}

fn entry_has_secret(entry: &Entry) -> bool {
    !entry.values(attribute::SECRET).is_empty()
}

/// Encrypts a secret that is not, and opens one that is.
fn secret(
    entry: &Entry,
    read: &TokenEntry,
    key: Option<&PublicJwk>,
    site: &Site<'_>,
    plan: &mut EntryPlan,
) {
    let Some(stored) = &read.secret else {
        plan.note("waits to be initialised: it has no secret that is used");
        return;
    };
    let Some(plain) = stored.text().strip_prefix(PLAIN) else {
        opens(attribute::SECRET, stored.text(), site, plan);
        return;
    };
    let clear = BASE64URL_NOPAD.decode(plain.as_bytes()).unwrap_or_default();
    let (clear, old) = (Secret::new(clear), entry.values(attribute::SECRET)[0].clone());
    let length = clear.expose().len();
    if let Some(key) = key {
        if length < SHORTEST {
            plan.warn(format!("its secret has {length} octets; RFC 4226 asks for 16 at least"));
        }
        if site.task == Task::SlapoOtp && looks_like_base32(clear.expose()) {
            plan.warn(
                "its secret looks like base32 text; slapo-otp takes the text itself for the secret, OATH-LDAP what it stands for: is --from oath-ldap meant?",
            );
        }
        plan.change(
            format!("oathSecret: {length} octets in clear are encrypted to {}", key.key_id),
            Step::Seal {
                attribute: attribute::SECRET,
                old: Secret::new(old),
                clear,
                to: key.clone(),
            },
        );
    }
    if site.task == Task::SlapoOtp {
        counter(entry, read, plan);
    }
}

/// slapo-otp keeps the counter that was used last, OATH-LDAP the next one. The counter moves
/// with the secret, so a secret that is encrypted tells that the counter was moved.
fn counter(entry: &Entry, read: &TokenEntry, plan: &mut EntryPlan) {
    let value = |attribute| entry.octets(attribute).ok().flatten().map(<[u8]>::to_vec);
    let next = read.position.counter(None).next;
    if read.method == Method::Hotp
        && let Some(new) = counter_value(Method::Hotp, HotpCounter::Next, next)
    {
        let old = value(attribute::HOTP_COUNTER);
        let before = old.as_deref().map_or("absent".into(), String::from_utf8_lossy);
        plan.change(
            format!("oathHOTPCounter: {before} (last used) becomes {next} (next expected)"),
            Step::Exchange { attribute: attribute::HOTP_COUNTER, old, new },
        );
    }
    let is_new = plan.changes.iter().all(|change| !change.text.starts_with("oathFailureCount"));
    if value(attribute::FAILURE_COUNT).is_none() && is_new {
        let new = b"0".to_vec();
        plan.change(
            "oathFailureCount: absent becomes 0",
            Step::Exchange { attribute: attribute::FAILURE_COUNT, old: None, new },
        );
    }
}

/// Secret and access code for an old key are encrypted to the newest one.
fn rekey(entry: &Entry, site: &Site<'_>, plan: &mut EntryPlan) {
    let Some(newest) = site.keys.newest() else { return };
    for attribute in [attribute::SECRET, TOKEN_PIN] {
        let Ok(octets) = entry.octets(attribute) else {
            plan.error(format!("{attribute} has several values"));
            continue;
        };
        let Some(octets) = octets else { continue };
        let text = str::from_utf8(octets).unwrap_or_default();
        match Jwe::parse(text) {
            Err(_) => plan.note(format!(
                "{attribute} is not encrypted; `countersign ldap migrate` encrypts secrets"
            )),
            Ok(jwe) if jwe.key_id == newest.key_id => {}
            Ok(jwe) => {
                let Some(clear) = opens(attribute, text, site, plan) else { continue };
                plan.change(
                    format!("{attribute}: from {} to {}", jwe.key_id, newest.key_id),
                    Step::Seal {
                        attribute,
                        old: Secret::new(octets.to_vec()),
                        clear,
                        to: newest.clone(),
                    },
                );
            }
        }
    }
}

/// The secret in a JWE, or what keeps it shut.
fn opens(
    attribute: &str,
    text: &str,
    site: &Site<'_>,
    plan: &mut EntryPlan,
) -> Option<Secret<Vec<u8>>> {
    match site.keys.open(text) {
        Ok(clear) => Some(clear),
        Err(error @ OpenError::UnknownKey(_)) => {
            plan.error(format!(
                "{attribute} does not open: {error}; name its file in directory.keys, or initialise the token anew"
            ));
            None
        }
        Err(error @ (OpenError::Jwe(_) | OpenError::DoesNotOpen(_))) => {
            plan.error(format!("{attribute} does not open: {error}; initialise the token anew"));
            None
        }
    }
}

/// The key that the token's parameters name, if it is one of ours; or else the newest one.
fn key_for<'a>(parameters: Option<&ParametersEntry>, site: &Site<'a>) -> Option<&'a PublicJwk> {
    let named = parameters.and_then(|parameters| parameters.encryption_key.as_deref());
    let named = named.and_then(|text| PublicJwk::parse(text).ok());
    named.and_then(|named| site.keys.public(&named.key_id)).or(site.keys.newest())
}

fn looks_like_base32(octets: &[u8]) -> bool {
    octets.len() >= SHORTEST
        && octets.iter().all(|octet| matches!(octet, b'A'..=b'Z' | b'2'..=b'7' | b'='))
}

/// Octets of the shortest secret (RFC 4226 §4, R6).
const SHORTEST: usize = 16;
/// With an OTP of 8 digits it fits into `oathOTPValue`, which has 20.
const MAX_IDENTIFIER: usize = 12;
