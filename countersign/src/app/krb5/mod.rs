//! MIT krb5 beside Countersign: what a realm's OTP set-up does, and what it should be.
//!
//! [`check`] reads what the KDC reads and says what will happen; [`stanza`] writes what
//! it should read. Nothing is changed, and nothing is sent but a connection to each
//! socket, which is closed at once.

use std::path::PathBuf;

use countersign_core::krb5::{finding::Severity, forecast::Step, log, token_type::TokenTypes};

pub use self::principals::{Named, Who};
use self::{client::KdcClient, realm::Realm};
use crate::{
    app::examine::{Finding, Findings, Grade},
    client::kadmin,
};

pub mod account;
pub mod client;
mod kdc;
mod principals;
pub mod realm;
mod socket;
pub mod stanza;
mod types;

/// What is to be examined.
#[derive(Debug)]
pub struct Examination {
    /// Where the KDC has its files.
    pub places: realm::Places,
    /// Whose logon is looked at.
    pub who: Who,
    /// A log of the KDC.
    pub log: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Examined {
    /// What is to be said.
    pub findings: Vec<Finding>,
    /// Every request that the KDC would send to Countersign, for whom.
    pub asked: Vec<Asked>,
}

/// A request that the KDC would send.
#[derive(Debug)]
pub struct Asked {
    /// Who logs on.
    pub principal: String,
    /// What is sent.
    pub step: Step,
    /// Which client of the config it comes from.
    pub client: KdcClient,
}

/// Examines a realm. `clients` are those of Countersign's own config, if there is one.
pub async fn check(examination: &Examination, clients: Option<&[KdcClient]>) -> Examined {
    let mut findings = Findings::default();
    let mut asked = Vec::new();
    if let Some(realm) = Realm::read(&examination.places, &mut findings) {
        let version = kadmin::library_version().await;
        kdc::examine(&realm, version.as_deref(), &mut findings);
        let types = types::read(&realm, clients, &mut findings);
        let who = principals::examine(&realm, &examination.who, &types.types, &mut findings).await;
        let steps = who.iter().flat_map(|(_, steps)| steps);
        let used: Vec<_> = steps.map(|step| step.token_type.as_str()).collect();
        let version = version.as_deref();
        types::examine(&realm, &types, &used, clients, version, &mut findings).await;
        for (principal, steps) in who {
            let clients = clients.unwrap_or_default();
            asked.extend(requests(&principal, steps, &types.types, clients));
        }
    }
    if let Some(file) = &examination.log {
        summarise_log(file, &mut findings);
    }
    let mut findings = grouped(findings.into_vec());
    if let Some(realm) = &examination.places.realm {
        findings.iter_mut().for_each(|finding| name_realm(realm, &mut finding.remedy));
    }
    Examined { findings, asked }
}

/// Commands without a realm are about the default one, and this is another.
fn name_realm(realm: &str, remedy: &mut String) {
    *remedy = remedy.replace("kadmin.local ", &format!("kadmin.local -r {realm} "));
}

fn requests(
    principal: &str,
    steps: Vec<Step>,
    types: &TokenTypes,
    clients: &[KdcClient],
) -> Vec<Asked> {
    let client_of = |step: &Step| {
        let token_type = types.find(&step.token_type)?;
        client::serving(token_type, clients).cloned()
    };
    let asked = steps.into_iter().filter_map(|step| {
        let client = client_of(&step)?;
        Some(Asked { principal: principal.to_owned(), step, client })
    });
    asked.collect()
}

fn summarise_log(file: &PathBuf, findings: &mut Findings) {
    let object = format!("log {}", file.display());
    let text = match std::fs::read(file) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            findings.error(
                &object,
                error.to_string(),
                "name a log that can be read; [logging] of kdc.conf says where the KDC writes",
            );
            return;
        }
    };
    let found = log::summarise(&text);
    if found.is_empty() {
        findings.good(&object, "no line about OTP that says of a failure");
    }
    for log::Found { meaning, count, last, principals, .. } in found {
        let who = match &principals[..] {
            [] => String::new(),
            names => format!(" ({})", names.join(", ")),
        };
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let (text, cause) = (meaning.text, meaning.cause);
        let finding = format!("{text:?}, {times}{who}, the last one {last:?}: {cause}");
        findings.warning(&object, finding, meaning.cure);
    }
}

/// What belongs to one object stands together, in the order in which objects first appear.
#[must_use]
pub fn grouped(findings: Vec<Finding>) -> Vec<Finding> {
    let mut objects: Vec<String> = Vec::new();
    for finding in &findings {
        if !objects.contains(&finding.object) {
            objects.push(finding.object.clone());
        }
    }
    let place = |finding: &Finding| objects.iter().position(|object| *object == finding.object);
    let mut grouped = findings;
    grouped.sort_by_key(place);
    grouped
}

fn add(found: Vec<countersign_core::krb5::finding::Finding>, findings: &mut Findings) {
    for finding in found {
        let grade = match finding.severity {
            Severity::Good => Grade::Good,
            Severity::Warning => Grade::Warning,
            Severity::Error => Grade::Error,
        };
        findings.add(grade, &finding.object, finding.cause, &finding.cure);
    }
}

#[cfg(test)]
mod tests;
