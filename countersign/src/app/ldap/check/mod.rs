//! What slapd and its entries are like, what follows from it, and what to do.
//!
//! [`check`] asks the directory as the daemon would and hands what it got to rules that ask
//! nobody: [`schema`], [`overlay`], [`population`], [`forecast`]. Nothing is changed; a change
//! that must fail shows what the daemon may do ([`access`]). Only [`torn`], which has to be
//! asked for, takes the daemon's place for the time of one bind.

use std::path::PathBuf;

use countersign_core::{
    ldap::{entry::Entry, filter, schema::attribute},
    time::UnixTime,
};

use self::population::Population;
use crate::{
    app::{
        examine::{Finding, Findings},
        krb5::grouped,
        ldap::config::Wanted,
    },
    config::{Config, directory::DirectorySettings},
    directory::{Directory, DirectoryError, Scope, Search},
    vault::keys::SiteKeys,
};

mod access;
mod forecast;
pub mod ldif;
mod overlay;
mod population;
mod schema;
pub mod torn;
mod version;

/// What is to be examined.
#[derive(Debug, Default)]
pub struct Examination {
    /// Whose bind is looked at: distinguished names or login names.
    pub who: Vec<String>,
    /// What `slapcat -n 0` wrote, for a config that the daemon may not read.
    pub config: Option<Vec<Entry>>,
    /// Where slapd has its config, for `slapacl`.
    pub config_directory: PathBuf,
}

/// Examines slapd and its entries. `wanted` is what the config of Countersign wants of it.
pub async fn check(
    config: &Config,
    settings: &DirectorySettings,
    wanted: &Wanted,
    examination: Examination,
    now: UnixTime,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let keys = keys(settings, &mut findings);
    let Some(directory) = reach(settings, wanted, &mut findings).await else {
        return findings.into_vec();
    };
    version::examine(&settings.server.url, &mut findings).await;
    if let Err(error) = root(&directory, settings, wanted, &mut findings).await {
        findings.error(&object(settings), error.to_string(), UNREADABLE);
    }
    let found = match examination.config {
        Some(entries) => Ok(entries),
        None => cn_config(&directory).await,
    };
    overlay::examine(found, config.back_sock.as_ref(), wanted, &mut findings);
    match read(&directory, settings).await {
        Ok(population) => {
            population.examine(settings, config, &keys, now, &mut findings);
            let slapacl = access::Slapacl { directory: examination.config_directory };
            access::examine(&directory, &slapacl, config, &population, &mut findings).await;
            for name in &examination.who {
                let asked = forecast::Asked { config, settings, wanted, keys: &keys, now };
                asked.examine(&directory, &population, name, &mut findings).await;
            }
        }
        Err(error) => findings.error("entries", error.to_string(), UNREADABLE),
    }
    grouped(findings.into_vec())
}

/// The names of the private keys that are there.
fn keys(settings: &DirectorySettings, findings: &mut Findings) -> Vec<String> {
    let object = "directory.keys";
    match SiteKeys::load(&settings.keys) {
        Ok(keys) => {
            let names: Vec<_> = keys.key_ids().map(str::to_owned).collect();
            if !names.is_empty() {
                findings.good(object, format!("private keys: {}", names.join(", ")));
            }
            names
        }
        Err(error) => {
            findings.error(object, error.to_string(), "countersign ldap genkey makes a key");
            Vec::new()
        }
    }
}

/// Connects, and looks as whom.
async fn reach(
    settings: &DirectorySettings,
    wanted: &Wanted,
    findings: &mut Findings,
) -> Option<Directory> {
    let object = object(settings);
    let directory = match Directory::new(&settings.server, settings.connections) {
        Ok(directory) => directory,
        Err(error) => {
            findings.error(&object, error.to_string(), "correct [directory] of the config");
            return None;
        }
    };
    match directory.who_am_i().await {
        Ok(identity) => {
            known_as(&object, &identity, wanted, findings);
            Some(directory)
        }
        Err(error) => {
            findings.error(&object, error.to_string(), remedy(&error));
            None
        }
    }
}

fn known_as(object: &str, identity: &str, wanted: &Wanted, findings: &mut Findings) {
    let name = identity.strip_prefix("dn:").unwrap_or(identity);
    if name.is_empty() {
        findings.error(object, "reached, but we are anonymous there", IDENTITY);
    } else if name.to_lowercase().contains("cn=peercred,cn=external") {
        let finding = format!("reached, but no rule maps us to a name: we are {name}");
        findings.error(object, finding, IDENTITY);
    } else if !name.eq_ignore_ascii_case(&wanted.identity) {
        let finding = format!(
            "reached, as {name}; the access rules that `countersign ldap config` writes are for {}",
            wanted.identity
        );
        findings.warning(
            object,
            finding,
            "run this as the user of the daemon, or name the identity by --identity",
        );
    } else {
        findings.good(object, format!("reached, as {name}"));
    }
}

fn remedy(error: &DirectoryError) -> &'static str {
    match error {
        DirectoryError::Settings { .. } => "correct [directory] of the config",
        DirectoryError::Unreachable { .. } => {
            "start slapd, or correct directory.url; the URLs that slapd listens on are its option \
             -h, on Debian SLAPD_SERVICES of /etc/default/slapd"
        }
        DirectoryError::Busy { .. } | DirectoryError::Unanswered { .. } => {
            "look at slapd's log; all of its threads may be waiting for Countersign"
        }
        DirectoryError::Refused { .. } => {
            "correct bind-dn and bind-password-file, or the mapping of SASL EXTERNAL"
        }
    }
}

/// What the directory says of itself: suffixes and schema.
async fn root(
    directory: &Directory,
    settings: &DirectorySettings,
    wanted: &Wanted,
    findings: &mut Findings,
) -> Result<(), DirectoryError> {
    let attributes = ["namingContexts", "subschemaSubentry"];
    let root = directory.read("", PRESENT, &attributes).await?;
    let Some(root) = root else {
        findings.warning(&object(settings), "its root entry cannot be read", UNREADABLE);
        return Ok(());
    };
    schema::suffixes(&root, &wanted.base, findings);
    let place = root.text("subschemaSubentry").ok().flatten().unwrap_or("cn=Subschema");
    let types = ["attributeTypes", "objectClasses"];
    let subschema = directory.read(place, "(objectClass=subschema)", &types).await?;
    schema::examine(subschema.as_ref(), &settings.mapping, findings);
    Ok(())
}

/// Databases, overlays and what holds for all, as far as we may see them.
async fn cn_config(directory: &Directory) -> Result<Vec<Entry>, String> {
    let search = Search {
        base: "cn=config",
        scope: Scope::Subtree,
        filter: "(|(objectClass=olcGlobal)(objectClass=olcDatabaseConfig)(objectClass=olcOverlayConfig))",
        attributes: &["*"],
        limit: 0,
    };
    directory.search(&search).await.map_err(|error| error.to_string())
}

/// Everything that has to do with OTPs.
async fn read(
    directory: &Directory,
    settings: &DirectorySettings,
) -> Result<Population, DirectoryError> {
    use countersign_core::ldap::{account, parameters, token};
    let any = |names: [&str; 2], of: &str| filter::any(&names.map(|name| format!("({of}={name})")));
    let accounts = [attribute::HOTP_TOKEN, attribute::TOTP_TOKEN].map(|name| format!("({name}=*)"));
    let accounts = filter::any(&accounts);
    let tokens = any(["oathHOTPToken", "oathTOTPToken"], attribute::OBJECT_CLASS);
    let sets = any(["oathHOTPParams", "oathTOTPParams"], attribute::OBJECT_CLASS);
    let classes = [attribute::OBJECT_CLASS];
    let set_attributes = [&parameters::ATTRIBUTES[..], &classes].concat();
    let mapping = &settings.mapping;
    Ok(Population {
        accounts: all(
            directory,
            &settings.account_base,
            &accounts,
            &account::attributes(&mapping.account),
        )
        .await?,
        tokens: all(directory, &settings.token_base, &tokens, &token::attributes(&mapping.token))
            .await?,
        parameters: all(directory, &settings.base, &sets, &set_attributes).await?,
    })
}

async fn all(
    directory: &Directory,
    base: &str,
    filter: &str,
    attributes: &[&str],
) -> Result<Vec<Entry>, DirectoryError> {
    let search = Search { base, scope: Scope::Subtree, filter, attributes, limit: 0 };
    let mut entries = Vec::new();
    directory.search_pages(&search, |entry| entries.push(entry)).await?;
    Ok(entries)
}

fn object(settings: &DirectorySettings) -> String {
    format!("directory {}", settings.server.url)
}

const PRESENT: &str = "(objectClass=*)";
const UNREADABLE: &str =
    "look at slapd's log, and at the access rules: countersign ldap config access";
const IDENTITY: &str =
    "countersign ldap config identity writes the rule; run this as the user of the daemon";

#[cfg(test)]
mod tests;
