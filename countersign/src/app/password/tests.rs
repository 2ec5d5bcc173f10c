//! Hashes that OpenLDAP, libxcrypt and libargon2 made; and values that nothing may match.

use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../testdata/oath-ldap/passwords.json");

#[test]
fn every_hash_that_openldap_and_crypt_make_takes_its_password_and_no_other() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let known = vectors["known"].as_array().unwrap();
    assert_eq!(known.len(), 75);
    for vector in known {
        let (hash, password) = (field(vector, "hash"), field(vector, "password"));
        assert_eq!(check(hash.as_bytes(), password.as_bytes()), Checked::Matches, "{hash}");
        let octets = password.as_bytes();
        for wrong in [b"", &b"Correct horse"[..], &octets[1..], &octets[..octets.len() - 1]] {
            // bcrypt looks at 72 octets.
            let looks_the_same = hash.contains("}$2") && wrong.len() > 72;
            let expected = if looks_the_same { Checked::Matches } else { Checked::Differs };
            assert_eq!(check(hash.as_bytes(), wrong), expected, "{hash}");
        }
    }
}

#[test]
fn a_scheme_that_is_not_known_is_named_without_the_hash() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let expected = [
        "{CRYPT}$gy$",
        "{CRYPT}$7$",
        "{CRYPT}$md5$",
        "{CRYPT}$1$",
        "{CRYPT} of an old method",
        "{CRYPT} of an old method",
        "{CRYPT}$3$",
    ];
    let unknown = vectors["unknown"].as_array().unwrap();
    assert_eq!(unknown.len(), expected.len());
    for (vector, scheme) in unknown.iter().zip(expected) {
        let hash = field(vector, "hash");
        let unusable = Unusable { scheme: scheme.into(), cause: Cause::Unknown };
        let password = field(vector, "password");
        assert_eq!(check(hash.as_bytes(), password.as_bytes()), Checked::Unusable(unusable));
    }
    assert_eq!(named_scheme(b"{SASL}alice@EXAMPLE.TEST"), "{SASL}");
    assert_eq!(named_scheme(b"{foo\nbar}x"), "{FOO?BAR}");
    assert_eq!(named_scheme(b"{ssha}\xff").as_str(), "{SSHA}");
    assert_eq!(named_scheme(&[b"{".to_vec(), vec![b'a'; 99], b"}".to_vec()].concat()).len(), 34);
}

#[test]
fn the_name_of_a_scheme_is_read_without_regard_to_case() {
    for scheme in ["{SHA}", "{sha}", "{Sha}"] {
        let hash = format!("{scheme}L55TUjtiq8FBorTWAZ0jy6g129A=");
        assert_eq!(check(hash.as_bytes(), b"correct horse"), Checked::Matches);
    }
}

#[test]
fn a_value_without_a_scheme_is_a_password_in_clear() {
    for clear in [&b"geheim"[..], b"{", b"{}", b"{}x", b"{open", b"\xff\xfe"] {
        assert_eq!(check(clear, clear), Checked::Matches, "{clear:?}");
        assert_eq!(check(clear, b"other"), Checked::Differs, "{clear:?}");
    }
    assert_eq!(check(b"{CLEARTEXT}geheim", b"geheim"), Checked::Matches);
    assert_eq!(check(b"{cleartext}\xff", b"\xff"), Checked::Matches);
    assert_eq!(check(b"{SSHA}", b"{SSHA}"), check(b"{SSHA}", b"x"));
}

#[test]
fn no_password_is_never_right_in_clear() {
    for stored in [&b""[..], b"{CLEARTEXT}"] {
        assert_eq!(check(stored, b""), Checked::Differs);
    }
}

#[test]
fn what_asks_for_too_much_work_is_refused_before_it_is_done() {
    let costly = [
        "{ARGON2}$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{ARGON2}$argon2id$v=19$m=65536,t=1000,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{ARGON2}$argon2id$v=19$m=65536,t=18446744073709551615,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{ARGON2}$argon2id$v=19$m=65536,t=1,p=65$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{PBKDF2-SHA256}4294967295$WN3caU/Eg0g8NNVh7EbKDA$LewYDtCKvnN0h4S1yrKAJwrcb4Jj36AjkWeSkEmE7Nc",
        "{CRYPT}$6$rounds=999999999$N6X3pO7sLV9o8Gg4$PWvQdd5AQ",
        "{CRYPT}$5$rounds=1000001$N6X3pO7sLV9o8Gg4$PWvQdd5AQ",
        // N = 2^32 with r = 32.
        "{CRYPT}$y$jTT$2LoJb3rSIyv8OA2QBYaQu.$iYQMmeqRWenGwj3JlEPgSuIohWfRK41JZKcwT7q//D2",
        // t = 1.
        "{CRYPT}$y$j9T/.$2LoJb3rSIyv8OA2QBYaQu.$iYQMmeqRWenGwj3JlEPgSuIohWfRK41JZKcwT7q//D2",
        "{CRYPT}$2b$31$kxDEth1RNoi6x5uvfOEXvOHbe1Iuvc5tFTrC6W5gjLj1masjK90cm",
    ];
    for hash in costly {
        assert_eq!(cause(hash), Some(Cause::TooCostly), "{hash}");
        assert_eq!(examine(hash.as_bytes()).unwrap().cause, Cause::TooCostly, "{hash}");
    }
}

/// Above all a hash that is empty or cut short, which more than one password would match.
#[test]
fn what_is_not_in_its_form_matches_nothing() {
    let malformed = [
        "{SSHA}",
        "{SSHA}*",
        "{SSHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
        "{SHA}Z7SOk9oeJflO+Wmq1IVGoYdJyxQ/7SeM",
        "{SHA}L55TUjtiq8FBorTWAZ0jy6g12w==",
        "{SHA512}QQTTb42iwlQ0n4WDZ5Pr4CngyVcGOjTJHC6SAxh7VjE=",
        "{ARGON2}",
        "{ARGON2}$argon2id$v=19$m=1024,t=2,p=2$c29tZXNhbHQ$",
        "{ARGON2}$argon2id$v=19$m=1024,t=2,p=2$c29tZXNhbHQ",
        "{ARGON2}$argon2id$v=19$m=1024,t=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{ARGON2}$other$v=19$m=1024,t=2,p=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "{PBKDF2-SHA256}",
        "{PBKDF2-SHA256}10000$WN3caU/Eg0g8NNVh7EbKDA$",
        "{PBKDF2-SHA256}10000$WN3caU/Eg0g8NNVh7EbKDA$LewYDtCKvnN0",
        "{PBKDF2-SHA256}0$WN3caU/Eg0g8NNVh7EbKDA$LewYDtCKvnN0h4S1yrKAJwrcb4Jj36AjkWeSkEmE7Nc",
        "{CRYPT}$6$",
        "{CRYPT}$6$rounds=x$N6X3pO7sLV9o8Gg4$PWvQdd5AQ",
        "{CRYPT}$6$salt$",
        "{CRYPT}$y$j9T$2LoJb3rSIyv8OA2QBYaQu.$",
        "{CRYPT}$y$j9T$2LoJb3rSIyv8OA2QBYaQu.$iYQMmeqR",
        "{CRYPT}$y$$2LoJb3rSIyv8OA2QBYaQu.$iYQMmeqRWenGwj3JlEPgSuIohWfRK41JZKcwT7q//D2",
        "{CRYPT}$2b$05$kxDEth1RNoi6x5uvfOEXvO",
        "{CRYPT}$2b$xx$kxDEth1RNoi6x5uvfOEXvOHbe1Iuvc5tFTrC6W5gjLj1masjK90cm",
    ];
    for hash in malformed {
        assert_eq!(cause(hash), Some(Cause::Malformed), "{hash}");
    }
}

#[test]
fn a_cut_hash_never_matches_the_password_of_the_whole_one() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let slow = ["{CRYPT}", "{ARGON2}", "{PBKDF2"];
    for vector in vectors["known"].as_array().unwrap() {
        let (hash, password) = (field(vector, "hash"), field(vector, "password"));
        let Some(start) = hash.find('}') else { continue };
        let step = if slow.iter().any(|scheme| hash.starts_with(scheme)) { 5 } else { 1 };
        for end in (start + 1..hash.len()).step_by(step) {
            let cut = &hash[..end];
            // Padding may be missing.
            if cut.trim_end_matches('=') != hash.trim_end_matches('=') && hash.is_char_boundary(end)
            {
                let checked = check(cut.as_bytes(), password.as_bytes());
                assert_ne!(checked, Checked::Matches, "{cut}");
            }
        }
    }
}

#[test]
fn a_value_is_examined_without_a_password() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors["known"].as_array().unwrap() {
        assert_eq!(examine(field(vector, "hash").as_bytes()), None);
    }
    let unusable = examine(b"{SASL}alice").unwrap().to_string();
    assert_eq!(unusable, "a userPassword with the scheme {SASL} cannot be checked here");
}

fn named_scheme(stored: &[u8]) -> String {
    examine(stored).unwrap().scheme
}

fn cause(hash: &str) -> Option<Cause> {
    match check(hash.as_bytes(), b"") {
        Checked::Unusable(unusable) => Some(unusable.cause),
        Checked::Matches | Checked::Differs => None,
    }
}

fn field<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}
