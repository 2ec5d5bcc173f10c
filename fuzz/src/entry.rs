//! Entries of a directory: `attribute:value` lines, the first the DN.

use countersign_core::{
    domain::counter::TokenCounter,
    ldap::{
        account,
        counter::Wanted,
        entry::Entry,
        mapping::{HotpCounter, Mapping, PlainSecrets, Profile, TokenMapping},
        parameters, person,
        schema::Method,
        time, token,
    },
    time::UnixTime,
};

/// Whatever an entry has, reading it is a value or an error that names it; and a counter that was
/// read can be moved on by one.
pub fn read(octets: &[u8]) {
    let Some(entry) = entry(octets) else { return };
    for profile in [Profile::InetOrgPerson, Profile::AeDir] {
        let mapping = profile.mapping();
        let named = |error: countersign_core::ldap::entry::EntryError| {
            assert_eq!(error.dn, entry.dn());
        };
        let _ = account::read(&entry, &mapping.account, Some("alice")).map_err(named);
        let _ = person::read(&entry, &mapping.person).map_err(named);
        for method in Method::ALL {
            let _ = parameters::read(&entry, method).map_err(named);
            each_token(&entry, method, &mapping);
        }
    }
}

fn each_token(entry: &Entry, method: Method, mapping: &Mapping) {
    for plain_secrets in [PlainSecrets::Refuse, PlainSecrets::Base32, PlainSecrets::Raw] {
        for hotp_counter in [HotpCounter::Next, HotpCounter::Last] {
            let mapping = TokenMapping { plain_secrets, hotp_counter, ..mapping.token.clone() };
            let Ok(read) = token::read(entry, method, &mapping) else { continue };
            let from = read.position.counter(None);
            let Some(next) = from.next.checked_add(1) else { continue };
            let to = TokenCounter { next, ..from };
            let wanted = Wanted { counter: Some(to), ..Wanted::default() };
            assert!(!read.position.modifications(&wanted).is_empty());
            assert_eq!(read.position.moved(&wanted).counter(None), to);
            assert_eq!(read.position.counter(Some(to)).next, next, "a mark ahead counts");
        }
    }
}

/// Generalized time: what was read is written as the same second.
pub fn generalized_time(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let Some(read) = time::read(text) else { return };
    let end = UnixTime(253_402_300_799);
    assert_eq!(time::read(&time::write(read)), Some(read.min(end)));
}

fn entry(octets: &[u8]) -> Option<Entry> {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let mut entry = Entry::new(str::from_utf8(lines.next()?).ok()?);
    for line in lines {
        let at = line.iter().position(|octet| *octet == b':')?;
        entry.add(str::from_utf8(&line[..at]).ok()?, [line[at + 1..].to_vec()]);
    }
    Some(entry)
}
