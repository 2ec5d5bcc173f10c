//! Entries of accounts and what is read of them.

use super::*;
use crate::{
    domain::{id::AccountId, time::UnixTime},
    ldap::mapping::Profile,
};

const DN: &str = "uid=alice,ou=accounts,dc=example,dc=test";
const UUID: &str = "30313233-3435-3637-3839-616263646566";

fn entry() -> Entry {
    Entry::new(DN).with("entryUUID", UUID).with("uid", "alice")
}

fn plain() -> AccountMapping {
    Profile::InetOrgPerson.mapping().account
}

fn read_plain(entry: &Entry) -> AccountEntry {
    read(entry, &plain(), None).unwrap()
}

#[test]
fn an_account_needs_no_more_than_an_identifier_and_a_name() {
    let found = read_plain(&entry());
    let id = AccountId::from_bytes(*b"0123456789abcdef");
    let expected = Account { dn: Some(DN.into()), ..Account::new(id, "alice".into()) };
    assert_eq!(found.account, expected);
    assert!(found.tokens.is_empty() && found.password.is_empty() && found.person.is_none());
}

#[test]
fn everything_is_read_by_the_names_of_the_mapping() {
    let named = |name: &str| Some(name.to_owned());
    let mapping = AccountMapping {
        upn: named("userPrincipalName"),
        dn: named("adDN"),
        sid: named("objectSid"),
        realm: named("associatedDomain"),
        not_before: named("aeNotBefore"),
        not_after: named("aeNotAfter"),
        person: named("aePerson"),
        ..plain()
    };
    let entry = entry()
        .with("userPrincipalName", "a.liddell@example.org")
        .with("adDN", "CN=Alice,DC=ad")
        .with("objectSid", "S-1-5-21-1-2-3-1104")
        .with("associatedDomain", "example.org")
        .with("aeNotBefore", "20260101000000Z")
        .with("aeNotAfter", "20261231235959Z")
        .with("aePerson", "uniqueIdentifier=7,ou=people")
        .with("memberOf", "cn=vpn,ou=groups")
        .with("memberOf", "cn=staff,ou=groups");
    let found = read(&entry, &mapping, None).unwrap();
    let account = found.account;
    assert_eq!(account.upn.as_deref(), Some("a.liddell@example.org"));
    assert_eq!(account.dn.as_deref(), Some("CN=Alice,DC=ad"));
    assert_eq!(account.sid.as_deref(), Some("S-1-5-21-1-2-3-1104"));
    assert_eq!(account.realm.as_deref(), Some("example.org"));
    assert_eq!(account.validity.not_before, Some(UnixTime(1_767_225_600)));
    assert_eq!(account.validity.not_after, Some(UnixTime(1_798_761_599)));
    assert_eq!(account.groups, ["cn=vpn,ou=groups", "cn=staff,ou=groups"]);
    assert_eq!(found.person.as_deref(), Some("uniqueIdentifier=7,ou=people"));
}

#[test]
fn asks_for_what_it_reads() {
    let mapping = AccountMapping { upn: Some("mail".into()), ..plain() };
    assert_eq!(
        attributes(&mapping),
        [
            "objectClass",
            "entryUUID",
            "oathHOTPToken",
            "oathTOTPToken",
            "userPassword",
            "uid",
            "mail",
            "memberOf",
            "seeAlso"
        ]
    );
}

#[test]
fn of_several_names_the_one_that_was_typed_counts() {
    let entry = entry().with("uid", "Alicia");
    let name = |login| read(&entry, &plain(), login).unwrap().account.name;
    assert_eq!(name(Some("alicia")), "Alicia");
    assert_eq!(name(Some("ALICE")), "alice");
    assert_eq!(name(Some("other")), "alice");
    assert_eq!(name(None), "alice");
    let nameless = Entry::new("cn=backup,dc=example").with("entryUUID", UUID);
    assert_eq!(read_plain(&nameless).account.name, "cn=backup,dc=example");
}

#[test]
fn tokens_with_a_counter_come_first() {
    let entry = entry().with("oathTOTPToken", "cn=t,cn=otp").with("oathHOTPToken", "cn=h,cn=otp");
    let expected = [
        TokenReference { method: Method::Hotp, dn: "cn=h,cn=otp".into() },
        TokenReference { method: Method::Totp, dn: "cn=t,cn=otp".into() },
    ];
    assert_eq!(read_plain(&entry).tokens, expected);
}

#[test]
fn an_account_that_refers_to_no_token_may_be_one() {
    let own = entry().with("objectClass", "oathTOTPToken");
    let expected = [TokenReference { method: Method::Totp, dn: DN.into() }];
    assert_eq!(read_plain(&own).tokens, expected);
    let elsewhere = own.with("oathHOTPToken", "cn=h,cn=otp");
    let expected = [TokenReference { method: Method::Hotp, dn: "cn=h,cn=otp".into() }];
    assert_eq!(read_plain(&elsewhere).tokens, expected);
}

#[test]
fn passwords_may_be_several_and_any_octets() {
    let entry = entry().with("userPassword", "{SSHA}x").with("userPassword", [0xff, 0x00]);
    let found = read_plain(&entry);
    let hashes: Vec<_> = found.password.iter().map(|hash| hash.0.expose_bytes()).collect();
    assert_eq!(hashes, [&b"{SSHA}x"[..], &[0xff, 0x00]]);
    assert!(!format!("{found:?}").contains("SSHA"));
}

#[test]
fn a_binary_security_identifier_is_read() {
    let mapping = AccountMapping { sid: Some("objectSid".into()), ..plain() };
    let sid = |octets: &[u8]| {
        read(&entry().with("objectSid", octets), &mapping, None).map(|found| found.account.sid)
    };
    let binary = [
        1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x50,
        4, 0, 0,
    ];
    let expected = Some("S-1-5-21-1-2-4294967295-1104".to_owned());
    assert_eq!(sid(&binary).unwrap(), expected);
    assert_eq!(sid(&[1, 0, 0, 0, 0, 0, 0, 5]).unwrap().as_deref(), Some("S-1-5"));
    for wrong in [&binary[..27], &binary[..7], &[2, 0, 0, 0, 0, 0, 0, 5], b""] {
        let error = sid(wrong).unwrap_err();
        assert!(error.to_string().ends_with("attribute objectSid is no security identifier"));
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let nobody = Entry::new(DN).with("uid", "alice");
    assert_eq!(read(&nobody, &plain(), None).unwrap_err().attribute, "entryUUID");
    let garbled = entry().with("oathHOTPToken", [0xff]);
    assert_eq!(read(&garbled, &plain(), None).unwrap_err().attribute, "oathHOTPToken");
    let mapping = AccountMapping { not_after: Some("end".into()), ..plain() };
    let badly_timed = entry().with("end", "tomorrow");
    let error = read(&badly_timed, &mapping, None).unwrap_err();
    assert!(error.to_string().contains("attribute end is \"tomorrow\""), "{error}");
}
