//! Principals: from the KDC's database, from a dump, or a user string alone.

use std::{collections::BTreeMap, path::PathBuf};

use countersign_core::krb5::{
    dump::Dump,
    forecast::{Forecast, Step},
    principal::{Lockout, Principal, split_realm},
    token_type::TokenTypes,
};

use super::{add, realm::Realm};
use crate::{app::examine::Findings, client::kadmin::Kadmin};

/// Whose logon is looked at.
#[derive(Debug)]
pub enum Who {
    /// Nobody's; of a realm alone.
    Nobody,
    /// A string attribute `otp` that somebody may set.
    String {
        /// For this principal.
        principal: String,
        /// What would be set.
        otp: String,
    },
    /// Principals of the KDC's database, by `kadmin.local`.
    Database(Named),
    /// Principals of what `kdb5_util dump` wrote.
    Dump {
        /// The file.
        file: PathBuf,
        /// Which.
        named: Named,
    },
}

/// Which principals.
#[derive(Debug)]
pub enum Named {
    /// These; without a realm they belong to the default one.
    These(Vec<String>),
    /// All that have a string `otp`, or `require_auth`.
    All,
}

/// Looks at them; returns whom the KDC asks for each.
pub(super) async fn examine(
    realm: &Realm,
    who: &Who,
    types: &TokenTypes,
    findings: &mut Findings,
) -> Vec<(String, Vec<Step>)> {
    let (principals, policies) = match who {
        Who::Nobody => return Vec::new(),
        Who::String { principal, otp } => (vec![of_string(realm, principal, otp)], BTreeMap::new()),
        Who::Database(named) => {
            let read = from_database(realm, named, findings).await;
            examine_anonymous(realm, findings).await;
            read
        }
        Who::Dump { file, named } => from_dump(realm, file, named, findings),
    };
    let mut steps = Vec::new();
    for principal in principals {
        let lockout = principal.policy.as_ref().and_then(|policy| policies.get(policy));
        let forecast = Forecast::of(&principal, lockout, types);
        add(forecast.findings, findings);
        steps.push((principal.name, forecast.steps));
    }
    steps
}

/// Of a principal that is as it should be but for the string.
fn of_string(realm: &Realm, principal: &str, otp: &str) -> Principal {
    Principal {
        name: qualified(realm, principal),
        requires_preauth: true,
        otp: Some(otp.to_owned()),
        ..Principal::default()
    }
}

/// A KDC with a certificate still needs a principal for anonymous armour.
async fn examine_anonymous(realm: &Realm, findings: &mut Findings) {
    if realm.setting("pkinit_identity").is_none() {
        return;
    }
    let Err(error) = database(realm).principal(ANONYMOUS).await else { return };
    if error.is_unknown_principal() {
        let finding = format!("the realm has no {ANONYMOUS}, so `kinit -n` gets no armour");
        findings.warning("kdc", finding, &format!("kadmin.local addprinc -randkey {ANONYMOUS}"));
    }
}

type Read = (Vec<Principal>, BTreeMap<String, Lockout>);

async fn from_database(realm: &Realm, named: &Named, findings: &mut Findings) -> Read {
    let kadmin = database(realm);
    let names = match named {
        Named::These(names) => names.iter().map(|name| qualified(realm, name)).collect(),
        Named::All => kadmin.names().await.unwrap_or_else(|error| {
            findings.error("database", error.to_string(), UNUSABLE);
            Vec::new()
        }),
    };
    let (mut principals, mut policies) = (Vec::new(), BTreeMap::new());
    for name in names {
        if let (Some(other), Some(own)) = (split_realm(&name).1, &realm.name)
            && other != own
        {
            let finding = format!("its realm is {other}, and this looks at {own}");
            let cure = format!("countersign krb5 check --realm {other} {name}");
            findings.error(&format!("principal {name}"), finding, &cure);
            continue;
        }
        let principal = match kadmin.principal(&name).await {
            Ok(principal) => principal,
            Err(error) => {
                let cure = if error.is_unknown_principal() { ADD } else { UNUSABLE };
                findings.error(&format!("principal {name}"), error.to_string(), cure);
                continue;
            }
        };
        if let Some(policy) = &principal.policy
            && !policies.contains_key(policy)
            && let Ok(lockout) = kadmin.lockout(policy).await
        {
            policies.insert(policy.clone(), lockout);
        }
        principals.push(principal);
    }
    principals.retain(|principal| is_wanted(named, principal));
    (principals, policies)
}

fn database(realm: &Realm) -> Kadmin {
    Kadmin {
        krb5_conf: realm.places.krb5_conf.clone(),
        kdc_conf: realm.places.kdc_conf.clone(),
        realm: realm.places.realm.clone(),
    }
}

fn from_dump(realm: &Realm, file: &PathBuf, named: &Named, findings: &mut Findings) -> Read {
    let object = format!("dump {}", file.display());
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let dump = read.and_then(|text| Dump::parse(&text).map_err(|error| error.to_string()));
    let dump = match dump {
        Ok(dump) => dump,
        Err(error) => {
            findings.error(&object, error, "write one on the KDC: kdb5_util dump FILE");
            return Read::default();
        }
    };
    findings.warning(&object, "it holds every key of the realm", "remove it when this is done");
    let Dump { mut principals, policies } = dump;
    if let Named::These(names) = named {
        let names: Vec<_> = names.iter().map(|name| qualified(realm, name)).collect();
        for name in &names {
            if !principals.iter().any(|principal| principal.name == *name) {
                findings.error(&format!("principal {name}"), "the dump does not have it", ADD);
            }
        }
        principals.retain(|principal| names.contains(&principal.name));
    }
    principals.retain(|principal| is_wanted(named, principal));
    (principals, policies)
}

fn is_wanted(named: &Named, principal: &Principal) -> bool {
    match named {
        Named::These(_) => true,
        Named::All => principal.otp.is_some() || principal.require_auth.is_some(),
    }
}

fn qualified(realm: &Realm, name: &str) -> String {
    match (split_realm(name).1, &realm.name) {
        (None, Some(realm)) => format!("{name}@{realm}"),
        (Some(_), _) | (None, None) => name.to_owned(),
    }
}

const ANONYMOUS: &str = "WELLKNOWN/ANONYMOUS";
const ADD: &str = "kadmin.local listprincs shows all; `countersign krb5 config ACCOUNT` writes \
     the command that makes one";
const UNUSABLE: &str = "run this on the KDC as root; or write a dump there (kdb5_util dump FILE) \
     and give it by --dump; or try a string by --user-string";
