//! Distinguished names: spellings that are one, what is no name, and what is plain.

use proptest::prelude::*;

use super::*;

fn normal(text: &str) -> String {
    Dn::parse(text).unwrap().to_string()
}

#[test]
fn all_spellings_of_a_name_are_one() {
    let cases = [
        ("uid=alice,ou=people,dc=example,dc=test", "UID=Alice, OU = People ,DC=EXAMPLE;dc=test"),
        ("uid=alice,dc=test", "userid=alice,0.9.2342.19200300.100.1.25=test"),
        ("uid=alice,dc=test", r"uid=\61lice,domainComponent=TEST"),
        ("cn=a b,dc=test", "cn=  A   b  ,dc=test"),
        ("cn=a+uid=b,dc=test", "UID=b+CN=a,dc=test"),
        (r"cn=jürgen\, dr.,dc=test", r"cn=J\C3\9Crgen\2C Dr.,dc=test"),
        (r"cn=a\=b\07\\,dc=test", "cn=a\\3Db\u{7}\\5c,dc=test"),
        ("cn=a b,dc=test", "cn=a\n\u{a0}\u{2003}b\t,dc=test"),
        ("uid=alice,dc=test", "uid=ＡL\u{2170}CE,dc=test"),
        ("uid=jürgen,dc=test", "uid=JU\u{308}RGEN,dc=test"),
        ("uid=inci,dc=test", "uid=İNCI,dc=test"),
        ("uid=groß,dc=test", "uid=groẞ,dc=test"),
        ("uid=νικοσ,dc=test", "uid=Νικος,dc=test"),
        ("2.5.4.999=x", "OID.2.5.4.999=X"),
        (r"cn=\#x", r"cn=\#X"),
        ("cn=a,dc=test", r"cn=\ a\ ,dc=test"),
    ];
    for (expected, spelling) in cases {
        assert_eq!(normal(spelling), expected, "{spelling}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let long = format!("cn={}", "a".repeat(Dn::MAX_LENGTH));
    let too_long_as_it_is_compared = format!("cn=a{}", "\u{fdfa}".repeat(200));
    for text in [long, too_long_as_it_is_compared] {
        assert_eq!(Dn::parse(&text), Err(DnError::TooLong));
    }
    for text in [
        "", "alice", "=x", "cn=", "cn=a,", ",cn=a", "c n=a", r"cn=\zz", "cn=a\"b", r"cn=\ff",
        "cn=a\\",
    ] {
        assert!(matches!(Dn::parse(text), Err(DnError::Syntax { .. })), "{text:?}");
    }
}

#[test]
fn an_entry_is_within_its_base_by_whole_rdns() {
    let base = Dn::parse("ou=People,dc=example").unwrap();
    let cases = [
        ("ou=people,dc=example", true),
        ("uid=a,ou=people,dc=example", true),
        ("uid=a,cn=x,ou=people,dc=example", true),
        ("uid=a,dc=example", false),
        ("uid=a,xou=people,dc=example", false),
        (r"uid=a\,ou\=people,dc=example", false),
        ("dc=example", false),
    ];
    for (text, expected) in cases {
        assert_eq!(Dn::parse(text).unwrap().is_within(&base), expected, "{text}");
    }
}

#[test]
fn the_leaf_names_its_values() {
    let name = Dn::parse(r"UID=Alice\2b+cn=x,ou=y").unwrap();
    assert_eq!(name.leaf_value("userid"), Some("alice+"));
    assert_eq!(name.leaf_value("CN"), Some("x"));
    assert_eq!(name.leaf_value("ou"), None);
}

#[test]
fn plain_are_names_of_ascii_letters_and_known_types() {
    let cases = [
        ("uid=alice,ou=People,DC=example", true),
        (r"cn=\61 \2b=b+serialNumber=1, 0.9.2342.19200300.100.1.25=x", true),
        ("gn=a,employeeNumber=1,mail=a@b.c", true),
        ("uid=ａlice,dc=x", false),
        ("uid=alice\u{a0},dc=x", false),
        (r"uid=al\C3\ADce,dc=x", false),
        ("uid=ali\u{212a}e,dc=x", false),
        ("uid=alice,ou=J\u{fc}rgen", false),
        ("uid=ali\tce,dc=x", false),
        (r"uid=ali\7fce,dc=x", false),
        ("telephoneNumber=1 2,dc=x", false),
        ("2.5.4.999=a,dc=x", false),
        ("uid=#616c,dc=x", false),
        (r"uid=\#616c,dc=x", true),
    ];
    for (text, expected) in cases {
        assert_eq!(Dn::parse(text).unwrap().is_plain(), expected, "{text}");
    }
}

#[test]
fn names_in_two_spellings_are_equal_though_one_is_plain() {
    let [one, other] = ["uid=fin", "uid=\u{fb01}n"].map(|text| Dn::parse(text).unwrap());
    assert_eq!((&one, one.is_plain(), other.is_plain()), (&other, true, false));
    assert_eq!(std::collections::HashSet::from([one, other]).len(), 1);
}

#[test]
fn every_letter_is_compared_as_it_is_compared_once_more() {
    for letter in '\0'..='\u{1ffff}' {
        let once = compared(&format!("x{letter}y"));
        assert_eq!(compared(&once), once, "{letter:?}");
    }
}

proptest! {
    #[test]
    fn a_value_is_compared_as_it_is_compared_once_more(text in ".{0,24}") {
        let once = compared(&text);
        prop_assert_eq!(compared(&once), once);
    }

    #[test]
    fn a_normal_name_stays_as_it_is(text in "[a-z]{1,3}=[^\\x00]{1,12}(,[a-z]{1,3}=[ -~]{1,12}){0,3}") {
        if let Ok(name) = Dn::parse(&text) {
            prop_assert_eq!(Dn::parse(name.as_str()).unwrap(), name);
        }
    }

    #[test]
    fn reading_never_panics(text in ".*") {
        let _ = Dn::parse(&text);
    }
}
