//! Persons: who owns tokens, and where mail for them goes.

use super::{
    entry::{Entry, EntryError},
    mapping::PersonMapping,
    schema::attribute,
};
use crate::domain::account::Person;

/// The attributes that are read of a person.
#[must_use]
pub fn attributes(mapping: &PersonMapping) -> Vec<&str> {
    [attribute::ENTRY_UUID, &mapping.name].into_iter().chain(mapping.mail.as_deref()).collect()
}

/// Reads a person. One without a name has that of its entry; of several values the first counts.
///
/// # Errors
///
/// The entry has no identifier, or something that is no text.
pub fn read(entry: &Entry, mapping: &PersonMapping) -> Result<Person, EntryError> {
    let first = |name: &str| Ok(entry.texts(name)?.first().map(|text| (*text).to_owned()));
    let mail = mapping.mail.as_deref().map(first).transpose()?.flatten();
    Ok(Person {
        id: entry.identifier(attribute::ENTRY_UUID)?,
        name: first(&mapping.name)?.unwrap_or_else(|| entry.dn().to_owned()),
        mail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::id::PersonId, ldap::mapping::Profile};

    const UUID: &str = "30313233-3435-3637-3839-616263646566";

    #[test]
    fn a_person_has_the_first_of_its_names_and_addresses() {
        let entry = Entry::new("uid=alice,ou=people")
            .with("entryUUID", UUID)
            .with("cn", "Alice Liddell")
            .with("cn", "Alice")
            .with("mail", "alice@example.org")
            .with("mail", "a@example.org");
        let person = read(&entry, &Profile::InetOrgPerson.mapping().person).unwrap();
        let id = PersonId::from_bytes(*b"0123456789abcdef");
        let mail = Some("alice@example.org".into());
        assert_eq!(person, Person { id, name: "Alice Liddell".into(), mail });
    }

    #[test]
    fn a_person_may_have_nothing_but_an_identifier() {
        let mapping = PersonMapping { name: "cn".into(), mail: None };
        let person = read(&Entry::new("uid=a").with("entryUUID", UUID), &mapping).unwrap();
        assert_eq!((person.name.as_str(), person.mail), ("uid=a", None));
        assert!(read(&Entry::new("uid=a").with("cn", "a"), &mapping).is_err());
        assert_eq!(attributes(&mapping), ["entryUUID", "cn"]);
    }
}
