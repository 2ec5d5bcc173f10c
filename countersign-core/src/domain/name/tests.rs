//! Login names and their keys: every form, who has which, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::domain::id::AccountId;

fn account(name: &str, domain: Option<&str>, realm: Option<&str>) -> Account {
    Account {
        domain: domain.map(Into::into),
        realm: realm.map(Into::into),
        ..Account::new(AccountId::from_bytes([1; 16]), name.into())
    }
}

fn site(domain: Option<&str>, realm: Option<&str>) -> Site {
    Site { domain: domain.map(Into::into), realm: realm.map(Into::into) }
}

fn corp() -> Site {
    site(Some("CORP"), Some("corp.example"))
}

fn finds(account: &Account, site: &Site, text: &str) -> bool {
    let name = LoginName::parse(text).unwrap();
    account.login_keys(site).contains(name.key())
}

#[test]
fn every_form_leads_to_the_account() {
    let mut alice = account("Alice", Some("CORP"), Some("corp.example"));
    alice.upn = Some("Alice.Smith@example.com".into());
    for text in [
        "alice",
        "ALICE",
        r"corp\alice",
        r"CORP\Alice",
        r"corp.example\alice",
        "alice@corp",
        "alice@CORP.EXAMPLE",
        "alice.smith@EXAMPLE.com",
    ] {
        assert!(finds(&alice, &corp(), text), "{text}");
    }
    for text in ["alice.smith", r"other\alice", "alice@example.com", r"alice\corp", "corp"] {
        assert!(!finds(&alice, &corp(), text), "{text}");
    }
}

#[test]
fn bare_names_belong_to_the_site() {
    let cases = [
        (account("alice", None, None), corp(), true),
        (account("alice", None, None), site(None, None), true),
        (account("alice", Some("corp"), None), corp(), true),
        (account("alice", None, Some("CORP.example")), corp(), true),
        (
            account("alice", Some("CORP"), Some("corp.example")),
            site(None, Some("corp.example")),
            true,
        ),
        (account("alice", Some("OTHER"), None), corp(), false),
        (account("alice", None, Some("other.example")), corp(), false),
        (account("alice", Some("CORP"), Some("other.example")), corp(), false),
        (account("alice", Some("OTHER"), Some("corp.example")), corp(), false),
        (account("alice", Some("CORP"), None), site(None, None), false),
    ];
    for (account, site, expected) in cases {
        assert_eq!(finds(&account, &site, "alice"), expected, "{account:?} at {site:?}");
    }
}

#[test]
fn accounts_of_the_site_are_found_under_both_its_names() {
    for account in [account("alice", None, None), account("alice", Some("CORP"), None)] {
        for text in [r"CORP\alice", "alice@corp.example", r"corp.example\alice"] {
            assert!(finds(&account, &corp(), text), "{text}");
        }
    }
    let foreign = account("alice", Some("OTHER"), None);
    assert!(!finds(&foreign, &corp(), r"CORP\alice"));
}

#[test]
fn a_distinguished_name_leads_to_the_account_in_any_spelling() {
    let mut alice = account("alice", None, None);
    alice.dn = Some("UID=alice, OU=People, DC=example".into());
    let name = LoginName::of_dn("userid=Alice,ou=people,dc=EXAMPLE").unwrap();
    assert!(alice.login_keys(&corp()).contains(name.key()));
    assert_eq!(name.given(), "userid=Alice,ou=people,dc=EXAMPLE");
    assert!(LoginName::of_dn("alice").is_err());
}

#[test]
fn a_key_is_compared_by_its_folded_name_and_knows_the_given_one() {
    let [one, other] =
        ["UID=GROẞ, dc=x", "uid=groß,dc=x"].map(|text| LoginName::of_dn(text).unwrap());
    assert_eq!((one.key(), one.key().as_str()), (other.key(), other.given()));
    assert_eq!(one.key().as_given(), "UID=GROẞ, dc=x");
    assert_eq!(other.key().as_given(), other.given());
    let keys = std::collections::HashSet::from([one.key(), other.key()]);
    assert_eq!(keys.len(), 1);
    assert_eq!(LoginName::parse("Alice").unwrap().key().as_given(), "Alice");
}

#[test]
fn refuses_what_no_form_has() {
    let long = "a".repeat(LoginName::MAX_LENGTH + 1);
    let cases = [
        ("", LoginNameError::Empty),
        ("@", LoginNameError::Empty),
        ("@realm", LoginNameError::Empty),
        ("user@", LoginNameError::Empty),
        (r"\user", LoginNameError::Empty),
        (r"\\user", LoginNameError::Empty),
        (r"DOMAIN\", LoginNameError::Empty),
        (r"DOMAIN\@realm", LoginNameError::Empty),
        (r"A\B\user", LoginNameError::ManyBackslashes),
        ("us\0er", LoginNameError::ControlCharacter),
        ("user\r\n", LoginNameError::ControlCharacter),
        ("us\u{85}er", LoginNameError::ControlCharacter),
        (&long, LoginNameError::TooLong),
    ];
    for (text, error) in cases {
        assert_eq!(LoginName::parse(text), Err(error), "{text:?}");
    }
    assert!(LoginName::parse(&long[1..]).is_ok());
}

#[test]
fn a_bare_name_has_no_separator() {
    assert!(LoginName::parse_bare("alice.smith-2").is_ok());
    for text in [r"CORP\alice", "alice@corp.example"] {
        assert_eq!(LoginName::parse_bare(text), Err(LoginNameError::NotBare));
    }
    assert_eq!(LoginName::parse_bare(""), Err(LoginNameError::Empty));
}

#[test]
fn a_upn_may_have_an_at_sign_before_its_last() {
    let mut alice = account("alice", None, None);
    alice.upn = Some("alice@home@corp.example".into());
    assert!(finds(&alice, &corp(), "Alice@Home@corp.example"));
    assert!(!finds(&alice, &corp(), "alice@home"));
}

#[test]
fn folding_does_not_depend_on_the_neighbour() {
    let nikos = account("ΝΙΚΟΣ", None, None);
    for text in ["νικος", "νικοσ", "ΝΙΚΟΣ", "Νικος@corp.example", r"CORP\νικοσ"]
    {
        assert!(finds(&nikos, &corp(), text), "{text}");
    }
    assert!(!finds(&account("ian", None, None), &corp(), "ıan"));
    assert!(finds(&account("ÅSA", None, None), &corp(), "åsa"));
}

proptest! {
    #[test]
    fn reading_never_panics_and_keeps_what_was_given(text in ".*") {
        if let Ok(name) = LoginName::parse(&text) {
            prop_assert_eq!(name.given(), text);
        }
    }

    #[test]
    fn folding_twice_is_folding_once(text in ".{1,40}") {
        let once = LoginKey::fold(&text);
        prop_assert_eq!(LoginKey::fold(once.as_str()), once);
    }

    #[test]
    fn case_of_ascii_does_not_matter(text in "[ -~]{1,40}") {
        let key = LoginKey::fold(&text);
        prop_assert_eq!(LoginKey::fold(&text.to_ascii_uppercase()), key);
    }

    #[test]
    fn accounts_of_different_names_share_no_key(
        first in "[a-z]{1,8}",
        second in "[a-z]{1,8}",
        domain in proptest::option::of("[a-z]{1,8}"),
        realm in proptest::option::of("[a-z]{1,8}\\.[a-z]{2,3}"),
    ) {
        prop_assume!(first != second);
        let keys = |name: &str| account(name, domain.as_deref(), realm.as_deref()).login_keys(&corp());
        let others = keys(&second);
        prop_assert!(keys(&first).iter().all(|key| !others.contains(key)));
    }
}
