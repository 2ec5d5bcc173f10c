//! Whether the directory knows the attributes of OATH-LDAP, and those that the config names.

use std::collections::HashSet;

use countersign_core::{
    domain::dn::Dn,
    ldap::{entry::Entry, mapping::Mapping},
};

use crate::app::{examine::Findings, ldap::config::SCHEMA};

/// Whether the tree is one of the directory's.
pub(super) fn suffixes(root: &Entry, base: &str, findings: &mut Findings) {
    let contexts = root.texts("namingContexts").unwrap_or_default();
    let holds = |context: &&str| match (Dn::parse(context), Dn::parse(base)) {
        (Ok(context), Ok(base)) => base.is_within(&context),
        _ => false,
    };
    if !contexts.is_empty() && !contexts.iter().any(holds) {
        let finding =
            format!("it is below none of the directory's suffixes: {}", contexts.join("; "));
        findings.error(&format!("directory.base {base}"), finding, "correct it");
    }
}

/// What is missing of the schema.
pub(super) fn examine(subschema: Option<&Entry>, mapping: &Mapping, findings: &mut Findings) {
    let object = "schema";
    let Some(subschema) = subschema else {
        let remedy = "let the daemon read cn=Subschema";
        findings.warning(object, "it cannot be read, so nothing is known of it", remedy);
        return;
    };
    let known = known(subschema);
    let missing: Vec<_> = ours().filter(|name| !known.contains(&name.to_lowercase())).collect();
    match &missing[..] {
        [] => findings.good(object, "OATH-LDAP is there"),
        names if names.iter().all(|name| name.ends_with("Value")) => findings.warning(
            object,
            format!("no {}: an OTP cannot be checked by a compare", names.join(", ")),
            "countersign ldap config schema --beside-slapo-otp",
        ),
        names => findings.error(
            object,
            format!("of OATH-LDAP are missing: {}", names.join(", ")),
            "countersign ldap config schema | ldapmodify -Y EXTERNAL -H ldapi:///",
        ),
    }
    for (key, name, needed) in names(mapping) {
        let (name, _options) = name.split_once(';').unwrap_or((name, ""));
        if known.contains(&name.to_lowercase()) {
            continue;
        }
        let finding = format!("the directory has no attribute {name}");
        let key = format!("directory.{key}");
        if needed {
            findings.error(&key, finding, "name an attribute that is there");
        } else {
            let remedy = "name an attribute that is there, or \"\" for none";
            findings.warning(&key, finding, remedy);
        }
    }
}

/// All names of attributes and classes, in lower case.
fn known(subschema: &Entry) -> HashSet<String> {
    let values = ["attributeTypes", "objectClasses"].map(|name| subschema.values(name));
    let definitions = values.into_iter().flatten();
    let names = definitions.flat_map(|value| defined(&String::from_utf8_lossy(value)));
    names.map(|name| name.to_lowercase()).collect()
}

/// The names in a definition (RFC 4512 §4.1): `NAME 'a'` or `NAME ( 'a' 'b' )`.
fn defined(definition: &str) -> Vec<String> {
    let Some((_, rest)) = definition.split_once(" NAME ") else { return Vec::new() };
    let rest = rest.trim_start();
    let quoted = |text: &str| text.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    match rest.strip_prefix('(') {
        Some(list) => quoted(list.split(')').next().unwrap_or_default()),
        None => quoted(rest).into_iter().take(1).collect::<Vec<_>>(),
    }
}

/// Every name that our own file of the schema defines.
fn ours() -> impl Iterator<Item = String> {
    let unfolded = SCHEMA.replace("\n ", "");
    let lines: Vec<String> = unfolded.lines().flat_map(defined).collect();
    lines.into_iter()
}

/// The site's own names: key, name, and whether nothing works without it.
fn names(mapping: &Mapping) -> Vec<(&'static str, &str, bool)> {
    let account = &mapping.account;
    let optional = [
        ("account.upn", &account.upn),
        ("account.dn", &account.dn),
        ("account.sid", &account.sid),
        ("account.realm", &account.realm),
        ("account.groups", &account.groups),
        ("account.person", &account.person),
        ("account.not-before", &account.not_before),
        ("account.not-after", &account.not_after),
        ("person.mail", &mapping.person.mail),
    ];
    let needed = [
        ("account.name", account.name.as_str(), true),
        ("token.owner", &mapping.token.owner, true),
        ("token.rdn", &mapping.token.rdn, true),
        ("person.name", &mapping.person.name, true),
    ];
    let optional =
        optional.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?, false)));
    needed.into_iter().chain(optional).collect()
}

#[cfg(test)]
mod tests {
    use countersign_core::ldap::mapping::Profile;

    use super::*;
    use crate::app::examine::{Finding, Grade};

    fn subschema(leave_out: &str) -> Entry {
        let mut entry = Entry::new("cn=Subschema").with(
            "attributeTypes",
            "( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) SUP name )",
        );
        for name in ["cn", "mail", "seeAlso", "owner", "serialNumber", "memberOf"] {
            entry = entry.with("attributeTypes", format!("( 2.5 NAME '{name}' DESC 'NAME it' )"));
        }
        for name in ours().filter(|name| leave_out.is_empty() || !name.contains(leave_out)) {
            entry = entry.with("attributeTypes", format!("( 1.3 NAME '{name}' )"));
        }
        entry
    }

    fn examined(subschema: Option<&Entry>, mapping: &Mapping) -> Vec<Finding> {
        let mut findings = Findings::default();
        examine(subschema, mapping, &mut findings);
        findings.into_vec()
    }

    #[test]
    fn whole_schemas_are_good() {
        let found = examined(Some(&subschema("")), &Profile::default().mapping());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].grade, Grade::Good);
        assert!(ours().count() > 40);
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let mapping = Profile::default().mapping();
        let found = examined(Some(&subschema("TimeStep")), &mapping);
        assert_eq!(found[0].grade, Grade::Error);
        assert!(found[0].finding.contains("oathTOTPLastTimeStep"), "{found:?}");
        assert!(found[0].remedy.contains("ldap config schema"));
        let found = examined(Some(&subschema("Value")), &mapping);
        assert_eq!(found[0].grade, Grade::Warning, "{found:?}");
        assert_eq!(examined(None, &mapping)[0].grade, Grade::Warning);
    }

    #[test]
    fn attributes_of_the_config_must_be_there_unless_one_can_do_without() {
        let found = examined(Some(&subschema("")), &Profile::AeDir.mapping());
        let errors: Vec<_> = found.iter().filter(|found| found.grade == Grade::Error).collect();
        assert!(errors.iter().any(|found| found.object == "directory.token.owner"), "{found:?}");
        let warning = |key: &str| {
            found.iter().any(|found| found.object == key && found.grade == Grade::Warning)
        };
        assert!(warning("directory.account.person") && warning("directory.account.not-after"));
    }

    #[test]
    fn a_base_must_be_below_a_suffix() {
        let root = Entry::new("").with("namingContexts", "dc=Example,dc=test");
        let mut findings = Findings::default();
        suffixes(&root, "ou=a,DC=example, dc=test", &mut findings);
        assert!(findings.into_vec().is_empty());
        let mut findings = Findings::default();
        suffixes(&root, "dc=test", &mut findings);
        assert_eq!(findings.into_vec()[0].grade, Grade::Error);
    }
}
