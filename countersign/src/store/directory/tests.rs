//! The LDAP store without a directory. With one it is tested in `e2e/tests/ldap_store.rs`.

use std::time::Duration;

use countersign_core::{
    domain::{counter::Move, name::LoginName},
    ldap::mapping::Profile,
};

use super::*;
use crate::{clock::ManualClock, config::directory::ServerSettings};

fn settings() -> DirectorySettings {
    DirectorySettings {
        server: ServerSettings {
            url: "ldapi:///nowhere/ldapi".into(),
            trust: None,
            identity: None,
            bind: None,
            authorization_id: None,
            time_limit: Duration::from_secs(3),
        },
        connections: 1,
        parameters_cache: Duration::from_secs(600),
        mapping: Profile::InetOrgPerson.mapping(),
        base: "dc=example,dc=test".into(),
        account_base: "ou=accounts,dc=example,dc=test".into(),
        token_base: "cn=otp,dc=example,dc=test".into(),
        hotp_parameters: None,
        totp_parameters: None,
        keys: Vec::new(),
    }
}

fn open(change: impl FnOnce(&mut DirectorySettings)) -> (DirectoryStore, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let local = Arc::new(Embedded::create(place.path(), "key").unwrap());
    let site = Site { domain: Some("EXAMPLE".into()), realm: Some("example.com".into()) };
    let mut settings = settings();
    change(&mut settings);
    let clock = Arc::new(ManualClock::new(UnixTime(1_000)));
    (DirectoryStore::new(&settings, site, local, clock).unwrap(), place)
}

fn filter_of(store: &DirectoryStore, name: &str) -> Option<String> {
    store.login_filter(LoginName::parse(name).unwrap().key().as_str())
}

#[test]
fn login_names_become_filters() {
    let (store, _place) = open(|_| {});
    let is = |rest: &str| Some(format!("(&(objectClass=inetOrgPerson){rest})"));
    assert_eq!(filter_of(&store, "Alice"), is("(uid=alice)"));
    assert_eq!(filter_of(&store, r"example\alice"), is("(uid=alice)"));
    assert_eq!(filter_of(&store, r"Example.COM\alice"), is("(uid=alice)"));
    assert_eq!(filter_of(&store, "alice@example.com"), is("(|(uid=alice)(uid=alice@example.com))"));
    assert_eq!(filter_of(&store, "alice@other.org"), is("(uid=alice@other.org)"));
    assert_eq!(filter_of(&store, r"OTHER\alice"), None);
    assert_eq!(filter_of(&store, "a*)(uid=b"), is(r"(uid=a\2a\29\28uid=b)"));
}

#[test]
fn names_of_other_domains_are_looked_for_where_the_mapping_has_them() {
    let (store, _place) = open(|settings| {
        settings.mapping.account.realm = Some("associatedDomain".into());
        settings.mapping.account.upn = Some("userPrincipalName".into());
    });
    let filter = filter_of(&store, "alice@other.org").unwrap();
    assert!(filter.contains("(&(uid=alice)(associatedDomain=other.org))"), "{filter}");
    assert!(filter.contains("(userPrincipalName=alice@other.org)"), "{filter}");
    let filter = filter_of(&store, r"other.org\alice").unwrap();
    assert!(filter.ends_with("(&(uid=alice)(associatedDomain=other.org)))"), "{filter}");
}

#[test]
fn a_filter_of_the_site_stands_in_the_place_of_all_others() {
    let (store, _place) = open(|settings| {
        settings.mapping.account.login_filter = Some("(|(uid={name})(mail={name}))".into());
    });
    let expected = r"(&(objectClass=inetOrgPerson)(|(uid=other\5calice)(mail=other\5calice)))";
    assert_eq!(filter_of(&store, r"OTHER\alice").as_deref(), Some(expected));
}

#[tokio::test]
async fn names_outside_of_the_bases_are_nobodys_and_cost_no_request() {
    let (store, _place) = open(|_| {});
    for dn in ["cn=admin,dc=example", "uid=alice,ou=accounts,dc=other"] {
        let name = LoginName::of_dn(dn).unwrap();
        assert!(store.find(name.key()).await.unwrap().is_none(), "{dn}");
    }
    assert!(store.health().is_ok(), "nobody has tried to connect");
}

#[tokio::test]
async fn without_a_directory_nobody_is_found_and_nothing_moves() {
    let (store, _place) = open(|_| {});
    let alice = LoginName::parse("alice").unwrap();
    let error = store.find(alice.key()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
    let id = TokenId::from_bytes([1; 16]);
    let to = TokenCounter { next: 1, ..TokenCounter::default() };
    let tokens = vec![Move { id, from: TokenCounter::default(), to }];
    assert!(store.commit(Change { failures: None, tokens }).await.is_err());
    let error = store.health().unwrap_err().to_string();
    assert!(error.contains("ldapi:///nowhere/ldapi cannot be reached"), "{error}");
}

#[tokio::test]
async fn what_the_directory_keeps_is_refused_with_its_name() {
    let (store, _place) = open(|_| {});
    let person = Person { id: PersonId::from_bytes([1; 16]), name: "A".into(), mail: None };
    let error = store.put_person(person).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "this store has no place for a person: the directory ldapi:///nowhere/ldapi keeps it; change it there, by the directory's own tools"
    );
    let account = Account::new(AccountId::from_bytes([1; 16]), "a".into());
    assert!(store.insert_account(account, Site::default()).await.is_err());
}

#[tokio::test]
async fn numbers_and_certificates_are_kept_here() {
    let (store, _place) = open(|_| {});
    assert_eq!(store.next_number("crl").await.unwrap(), 1);
    assert!(store.certificates(None, 9).await.unwrap().is_empty());
}

#[test]
fn errors_of_entries_say_which_and_what() {
    let entry = countersign_core::ldap::entry::Entry::new("cn=t").with("oathHOTPCounter", "x");
    let error = entry.number::<u64>("oathHOTPCounter", "a counter").unwrap_err();
    let error = StoreError::from(error).to_string();
    assert_eq!(error, "entry cn=t is damaged: attribute oathHOTPCounter is no decimal number");
}
