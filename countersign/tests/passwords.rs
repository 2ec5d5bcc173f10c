//! Values of userPassword that whoever may write it could choose. In the released program a
//! panic ends the process.

use std::panic;

use countersign::app::password::{Checked, check};

const PASSWORDS: [&[u8]; 4] = [b"secret", b"", b"a\0b", &[0xff; 100]];

/// No value makes the check panic, and none is met by chance.
#[track_caller]
fn are_harmless(values: impl IntoIterator<Item = String>) {
    for value in values {
        for password in PASSWORDS {
            let checked = panic::catch_unwind(|| check(value.as_bytes(), password));
            let is_harmless = checked.is_ok_and(|checked| checked != Checked::Matches);
            assert!(is_harmless, "{value} {password:?}");
        }
    }
}

/// All combinations, put together by `format`.
fn each(first: &[&str], second: &[&str], format: impl Fn(&str, &str) -> String) -> Vec<String> {
    first.iter().flat_map(|one| second.iter().map(|other| format(one, other))).collect()
}

#[test]
fn argon2_with_any_parameters_is_harmless() {
    let kinds = ["argon2id", "argon2i", "argon2d", "argon2", ""];
    let versions = ["$v=19", "$v=16", "$v=0", ""];
    let parameters = [
        "m=0,t=0,p=0",
        "m=8,t=1,p=1",
        "m=1,t=1,p=1",
        "m=8,t=0,p=1",
        "m=8,t=1,p=0",
        "m=8,t=1,p=64",
        "m=7,t=1,p=1",
        "m=512,t=1,p=64",
        "m=262144,t=8,p=1",
        "m=99999999999999999999,t=1,p=1",
    ];
    let long = "QUFB".repeat(60);
    let salts = ["", "c2FsdA", "c2FsdHNhbHQ", "x", "c2FsdHNhbHQ=", &long];
    let hashes = ["MTIzNDU2Nzg5MDEyMzQ1Ng", "MTIzNDU2Nzg5MDEyMzQ1", &long, ""];
    let ends = each(&salts, &hashes, |salt, hash| format!("${salt}${hash}"));
    let ends: Vec<_> = ends.iter().map(String::as_str).collect();
    for start in each(&kinds, &versions, |kind, version| format!("{{ARGON2}}${kind}{version}")) {
        are_harmless(each(&parameters, &ends, |parameters, end| {
            format!("{start}${parameters}{end}")
        }));
    }
}

#[test]
fn yescrypt_with_any_parameters_is_harmless() {
    let parameters = [
        "", ".", "j", "j.", "j..", "j/.", "./..", "j0.", "zzz", "jzz", "jD5", "jD5.", "jD5..",
        "jD5zz", "jD50", "AD5", "5.", "/8.", "j8./", "j4.", "j4./", "j4.//", "jz.", "j2.", "j1.",
    ];
    let (long, longer) = ("a".repeat(86), "z".repeat(200));
    let salts = ["", "a", "abcd", ".......", "!!!!", &long, &longer];
    for hash in ["x".repeat(43), ".".repeat(43), "!".repeat(43)] {
        are_harmless(each(&parameters, &salts, |parameters, salt| {
            format!("{{CRYPT}}$y${parameters}${salt}${hash}")
        }));
    }
}

#[test]
fn bcrypt_with_any_cost_and_any_rest_is_harmless() {
    let costs = ["", "0", "00", "03", "04", "4", "+4", " 4", "31", "-1", "99999999999", "x"];
    let rests = [
        String::new(),
        "x".into(),
        "äöü".into(),
        ".".repeat(53),
        "z".repeat(53),
        "é".repeat(27),
        "!".repeat(53),
        ".".repeat(22),
        format!("{}ä", ".".repeat(21)),
        format!("{}ä{}", ".".repeat(21), ".".repeat(30)),
    ];
    let rests: Vec<_> = rests.iter().map(String::as_str).collect();
    for method in ["2a", "2b", "2y"] {
        are_harmless(each(&costs, &rests, |cost, rest| {
            format!("{{CRYPT}}${method}${cost}${rest}")
        }));
        are_harmless(each(&costs, &rests, |cost, rest| format!("{{CRYPT}}${method}${cost}{rest}")));
    }
}

#[test]
fn sha_crypt_with_any_rounds_is_harmless() {
    let rounds = [
        "",
        "rounds=0$",
        "rounds=1$",
        "rounds=999$",
        "rounds=1000$",
        "rounds=$",
        "rounds=-1$",
        "rounds=1$rounds=999999999$",
        "rounds=+5$",
        "rounds=99999999999999999999$",
    ];
    let long = "s".repeat(100);
    let salts = ["", "a", "saltstringsaltst", &long, "ä", "!"];
    let hashes = ["".into(), "x".repeat(43), "x".repeat(86), "ä".repeat(43), ".".repeat(86)];
    for hash in hashes {
        are_harmless(each(&rounds, &salts, |rounds, salt| {
            format!("{{CRYPT}}$6${rounds}{salt}${hash}")
        }));
        are_harmless(each(&rounds, &salts, |rounds, salt| {
            format!("{{CRYPT}}$5${rounds}{salt}${hash}")
        }));
    }
}

#[test]
fn other_schemes_with_anything_behind_them_are_harmless() {
    let schemes = ["SSHA", "SHA", "SMD5", "MD5", "SSHA512", "CLEARTEXT", "X", "ä", ""];
    let long = "QUFB".repeat(30);
    let rests = ["", "=", "====", "QUFB", &long, "ä"];
    are_harmless(each(&schemes, &rests, |scheme, rest| format!("{{{scheme}}}{rest}")));
    let iterations = ["0", "1", "4294967295", "5000000", "x", ""];
    let keys = ["", "QUFB", &"A".repeat(43), &"A".repeat(27), &"A".repeat(86)];
    for (scheme, salt) in [("PBKDF2", "QUFB"), ("PBKDF2-SHA256", ""), ("PBKDF2-SHA512", "....")] {
        are_harmless(each(&iterations, &keys, |iterations, key| {
            format!("{{{scheme}}}{iterations}${salt}${key}")
        }));
    }
}

/// Whoever guesses chooses the password, and each round of SHA-crypt hashes it once more.
#[test]
fn a_long_password_does_not_make_a_hash_costlier() {
    let hash = "x".repeat(86);
    let usual = format!("{{CRYPT}}$6$saltstring${hash}");
    let most = format!("{{CRYPT}}$6$rounds=1000000$saltstring${hash}");
    assert_eq!(check(usual.as_bytes(), &[b'a'; 300_000]), Checked::Differs);
    assert_eq!(check(most.as_bytes(), &[b'a'; 500]), Checked::Differs);
}
