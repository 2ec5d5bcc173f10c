//! Several slapd: two providers that replicate to each other, and a consumer that only reads.

use std::{fmt::Write, path::Path};

use super::{Role, Setup, Slapd};
use crate::support::{
    clock::{LIMIT, poll},
    directory::{Entry, SERVICE_PASSWORD, SUFFIX, service_dn},
    ports,
};

/// Two providers with the same entries, each of which takes changes.
#[track_caller]
pub fn providers(directory: &Path, setups: [Setup; 2], entries: &[Entry]) -> [Slapd; 2] {
    let ports = [ports::free(), ports::free()];
    let url = |index: usize| format!("ldap://127.0.0.1:{}", ports[index]);
    let [first, second] = setups;
    let first = Setup { role: Role::Provider { id: 1, others: vec![url(1)] }, ..first };
    let second = Setup { role: Role::Provider { id: 2, others: vec![url(0)] }, ..second };
    let first = Slapd::start_at(&directory.join("first"), ports[0], &first, entries);
    // The second gets everything from the first.
    let second = Slapd::start_empty_at(&directory.join("second"), ports[1], &second);
    let last = entries.last().map_or(SUFFIX, |entry| entry.dn.as_str());
    assert!(has(&second, last), "{}", second.log());
    [first, second]
}

/// A slapd that gets accounts from providers, but neither tokens nor people.
#[track_caller]
pub fn consumer(directory: &Path, of: &[&Slapd], setup: Setup, account: &str) -> Slapd {
    let of = of.iter().map(|provider| format!("ldap://127.0.0.1:{}", provider.port)).collect();
    let setup = Setup { role: Role::Consumer { of }, ..setup };
    let consumer = Slapd::start_empty_at(directory, ports::free(), &setup);
    assert!(has(&consumer, account), "{}", consumer.log());
    consumer
}

/// Waits until an entry is there.
fn has(slapd: &Slapd, dn: &str) -> bool {
    let found = || (!slapd.values(dn, "entryCSN").is_empty()).then_some(());
    poll(LIMIT, found).is_some()
}

/// Waits until an attribute has the same value everywhere, and says which.
#[track_caller]
pub fn agreed(slapds: &[&Slapd], dn: &str, attribute: &str) -> Vec<String> {
    let agree = || {
        let mut values = slapds.iter().map(|slapd| slapd.values(dn, attribute));
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    };
    poll(LIMIT, agree).unwrap_or_else(|| panic!("{dn}: {attribute} differs"))
}

/// What the config of a database says of replication.
pub(super) fn lines(role: &Role) -> String {
    let (peers, identity) = match role {
        Role::Alone => return String::new(),
        Role::Provider { others, .. } => (others, service_dn("provider")),
        Role::Consumer { of } => (of, service_dn("consumer")),
    };
    let mut text = String::new();
    for (peer, rid) in peers.iter().zip(1..) {
        let _ = writeln!(
            text,
            "olcSyncrepl: rid={rid:03} provider={peer} bindmethod=simple binddn=\"{identity}\" \
             credentials={SERVICE_PASSWORD} searchbase=\"{SUFFIX}\" type=refreshAndPersist \
             retry=\"1 +\" schemachecking=off"
        );
    }
    match role {
        Role::Provider { .. } => {
            text += "olcMultiProvider: TRUE\n";
            let _ = writeln!(
                text,
                "olcLimits: dn.children=\"ou=services,{SUFFIX}\" time=unlimited size=unlimited"
            );
        }
        Role::Consumer { of } => {
            let _ = writeln!(text, "olcUpdateRef: {}", of[0]);
        }
        Role::Alone => {}
    }
    text
}
