//! Accounts and parameters: nothing of them changes, though much can be wrong.

use countersign_core::{
    domain::dn::Dn,
    jose::jwk::PublicJwk,
    ldap::{
        account::{self, TokenReference},
        entry::Entry,
        parameters,
        schema::{Method, attribute},
    },
};

use super::{
    EntryKind, EntryPlan, Task,
    plan::Site,
    survey::{Survey, key},
};
use crate::app::password;

/// What tokens have in common.
pub(super) fn parameters(entry: &Entry, site: &Site<'_>) -> EntryPlan {
    let mut plan = EntryPlan::new(entry.dn(), EntryKind::Parameters);
    if site.task != Task::Rekey {
        bounds(entry, &mut plan);
    }
    match entry.text(attribute::ENCRYPTION_KEY) {
        Err(error) => plan.error(error.to_string()),
        Ok(None) => {}
        Ok(Some(text)) => encryption_key(text, site, &mut plan),
    }
    plan
}

fn bounds(entry: &Entry, plan: &mut EntryPlan) {
    let methods = Method::ALL.into_iter().filter(|method| entry.is_a(parameters_class(*method)));
    let mut methods: Vec<_> = methods.collect();
    if methods.is_empty() {
        plan.error("is neither of the class oathHOTPParams nor of oathTOTPParams");
        methods.push(Method::Hotp);
    }
    for method in methods {
        match parameters::read(entry, method) {
            Err(error) => plan.error(without_dn(&error)),
            Ok(read) => {
                if let Some(ahead) = read.parameters.look_ahead.filter(|ahead| *ahead > MANY) {
                    plan.warn(format!(
                        "oathHOTPLookAhead is {ahead}: whoever guesses has {} tries in one",
                        u64::from(ahead) + 1
                    ));
                }
            }
        }
    }
}

/// The key that enrolment encrypts new secrets to.
fn encryption_key(text: &str, site: &Site<'_>, plan: &mut EntryPlan) {
    let newest = site.keys.newest().map(|key| key.key_id.as_str()).unwrap_or_default();
    match PublicJwk::parse(text) {
        Err(error) => plan.error(format!("oathEncKey cannot be used: {error}")),
        Ok(public) if !site.keys.key_ids().any(|known| known == public.key_id) => {
            plan.error(format!(
                "oathEncKey is {:?}, which is not among directory.keys: what is enrolled now, nobody can open",
                public.key_id
            ));
        }
        Ok(public) if public.key_id != newest => plan.warn(format!(
            "oathEncKey is {:?}: new secrets are still encrypted to it; put {newest}.pub in its place",
            public.key_id
        )),
        Ok(_) => {}
    }
}

/// What binds.
pub(super) fn account(entry: &Entry, survey: &Survey, site: &Site<'_>) -> EntryPlan {
    let mut plan = EntryPlan::new(entry.dn(), EntryKind::Account);
    let read = match account::read(entry, &site.mapping.account, None) {
        Ok(read) => read,
        Err(error) => {
            plan.error(without_dn(&error));
            return plan;
        }
    };
    for token in &read.tokens {
        place(token, entry.dn(), site, &mut plan);
        reference(token, read.person.as_deref(), survey, site, &mut plan);
    }
    passwords(entry.values(attribute::USER_PASSWORD), &mut plan);
    plan
}

/// Whether the token stands where the rights of the validator are meant for.
fn place(token: &TokenReference, account: &str, site: &Site<'_>, plan: &mut EntryPlan) {
    let (attribute, dn, base) = (token.method.token_attribute(), &token.dn, site.token_base);
    if key(dn) == key(account) {
        plan.error(format!(
            "it is its own token, and access rules keep accounts and tokens apart; give the token an entry of its own below {base:?}, and let {attribute} lead there"
        ));
    } else if let (Ok(name), Ok(within)) = (Dn::parse(dn), Dn::parse(base))
        && !name.is_within(&within)
    {
        plan.error(format!(
            "{attribute} leads to {dn:?}, which is not below directory.token.base {base:?}; correct that, or move the token"
        ));
    }
}

/// Whether the token is there, is one of its kind, and is the same person's.
fn reference(
    token: &TokenReference,
    person: Option<&str>,
    survey: &Survey,
    site: &Site<'_>,
    plan: &mut EntryPlan,
) {
    let (attribute, dn) = (token.method.token_attribute(), &token.dn);
    let Some(entry) = survey.tokens.get(&key(dn)) else {
        plan.error(format!(
            "{attribute} leads to {dn:?}, which is not there, or this program may not read it"
        ));
        return;
    };
    if !entry.is_a(token.method.token_class()) {
        let class = token.method.token_class();
        plan.error(format!("{attribute} leads to {dn:?}, which is not of the class {class}"));
    }
    let owner = entry.texts(&site.mapping.token.owner).unwrap_or_default().first().copied();
    if let (Some(owner), Some(person)) = (owner, person)
        && key(owner) != key(person)
    {
        plan.warn(format!(
            "{attribute} leads to {dn:?}, whose owner is {owner:?}; the account's person is {person:?}"
        ));
    }
}

/// Whether one of the stored passwords can be checked.
fn passwords(values: &[Vec<u8>], plan: &mut EntryPlan) {
    let unusable: Vec<_> = values.iter().filter_map(|value| password::examine(value)).collect();
    let all = unusable.len() == values.len();
    for unusable in unusable {
        if all {
            plan.error(format!("{unusable}; without another one nobody logs on"));
        } else {
            plan.warn(unusable.to_string());
        }
    }
    if values.is_empty() {
        plan.note("no userPassword, or this program may not read it; see the guide on passwords");
    }
}

/// An error about an entry whose name stands above it already.
pub(super) fn without_dn(error: &countersign_core::ldap::entry::EntryError) -> String {
    format!("{} {}", error.attribute, error.cause)
}

fn parameters_class(method: Method) -> &'static str {
    match method {
        Method::Hotp => countersign_core::ldap::schema::class::HOTP_PARAMETERS,
        Method::Totp => countersign_core::ldap::schema::class::TOTP_PARAMETERS,
    }
}

/// Æ-DIR has 100 for resynchronisation.
const MANY: u32 = 100;
