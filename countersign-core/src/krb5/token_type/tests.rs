//! Token types with every mistake that the section `[otp]` allows.

use proptest::prelude::*;

use super::*;
use crate::krb5::{finding::Severity, profile::ProfileReader};

fn types(text: &str) -> (TokenTypes, Vec<Finding>) {
    let mut reader = ProfileReader::new();
    reader.open("kdc.conf", text);
    assert_eq!(reader.advance(), Ok(None));
    let mut profile = Profile::default();
    profile.push(reader.finish());
    TokenTypes::read(&profile, "/run/krb5kdc")
}

/// One type `x` with this body.
fn one(body: &str) -> (TokenType, bool, Vec<Finding>) {
    let (types, findings) = types(&format!("[otp]\nx = {{\n{body}\n}}\n"));
    (types.find("x").unwrap().clone(), types.broken, findings)
}

#[track_caller]
fn only(findings: &[Finding], severity: Severity, word: &str) {
    let [finding] = findings else { panic!("{findings:?}") };
    assert_eq!(finding.severity, severity, "{finding:?}");
    assert!(finding.cause.contains(word) && !finding.cure.is_empty(), "{finding:?}");
}

#[test]
fn without_a_section_there_is_the_built_in_default() {
    let (types, findings) = types("");
    let [default] = &types.types[..] else { panic!("{types:?}") };
    assert_eq!(default.server, Server::Socket("/run/krb5kdc/DEFAULT.socket".into()));
    assert!(!default.strip_realm && default.built_in && default.timeout == 5);
    assert!(findings.is_empty() && !types.broken);
}

#[test]
fn reads_everything_a_type_can_say() {
    let body = "server = 10.0.0.1:1812\nsecret = otp.secret\ntimeout = 7\nretries = 2\nstrip_realm = NO\nindicator = a\nindicator = b";
    let (read, broken, findings) = one(body);
    let expected = TokenType {
        server: Server::Host { host: "10.0.0.1".into(), port: Some("1812".into()) },
        secret_file: Some("otp.secret".into()),
        timeout: 7,
        retries: 2,
        strip_realm: false,
        indicators: vec!["a".into(), "b".into()],
        name: "x".into(),
        built_in: false,
    };
    assert_eq!(read, expected);
    assert!(!broken && findings.is_empty(), "{findings:?}");
}

#[test]
fn an_empty_type_strips_the_realm_and_has_a_socket_of_its_name() {
    let (read, _, findings) = one("");
    assert_eq!(read, TokenType::new("x", Server::Socket("/run/krb5kdc/x.socket".into())));
    assert!(read.strip_realm && findings.is_empty());
}

#[test]
fn a_default_that_is_written_down_changes_the_user_name() {
    let (read, findings) = types("[otp]\nDEFAULT = {\nindicator = otp\n}\n");
    assert!(read.find("DEFAULT").unwrap().strip_realm);
    only(&findings, Severity::Warning, "user@REALM");
    let (read, findings) = types("[otp]\nDEFAULT = {\nstrip_realm = false\n}\n");
    assert!(read.types.len() == 1 && findings.is_empty());
}

#[test]
fn what_breaks_one_type_breaks_all() {
    for (body, word) in [
        ("server = 127.0.0.1:1812", "secret"),
        ("timeout = 5s", "timeout"),
        ("timeout =\n{\n}\nretries = x", "retries"),
        ("strip_realm = maybe", "strip_realm"),
        ("timeout = 99999999999", "timeout"),
    ] {
        let (_, broken, findings) = one(body);
        assert!(broken, "{body}");
        only(&findings, Severity::Error, word);
        assert!(findings[0].cause.contains("nobody"), "{findings:?}");
    }
}

#[test]
fn servers_that_cannot_be_reached_are_seen() {
    let secret = "secret = s";
    for (server, word) in [
        ("[::1]:1812", "IPv6"),
        ("::1", "IPv6"),
        ("2001:db8::1", "IPv6"),
        ("host:", "IPv6"),
        ("run/otp.sock", "begin with /"),
    ] {
        let (_, broken, findings) = one(&format!("server = {server}\n{secret}"));
        only(&findings, Severity::Error, word);
        assert!(!broken, "the plug-in starts all the same");
    }
    let (_, _, findings) = one(&format!("server = otp.example.com\n{secret}"));
    only(&findings, Severity::Warning, "/etc/services");
    let (_, _, findings) = one(&format!("server = /{}", "x".repeat(107)));
    only(&findings, Severity::Error, "108 octets");
    let (_, _, findings) = one(&format!("server = /{}", "x".repeat(106)));
    assert!(findings.is_empty());
}

#[test]
fn times_that_cannot_work_are_seen() {
    only(&one("timeout = 0").2, Severity::Error, "no time");
    only(&one("timeout = -5").2, Severity::Error, "crashes");
    only(&one("timeout = 3000000").2, Severity::Error, "crashes");
    only(&one("timeout = 30").2, Severity::Warning, "18 s");
    let host = "server = 127.0.0.1:1812\nsecret = s\nretries = -1";
    only(&one(host).2, Severity::Error, "crashes");
    assert!(one("retries = -1").2.is_empty(), "nothing is sent again to a socket");
}

#[test]
fn what_the_kdc_ignores_is_said() {
    only(&one("strip-realm = false").2, Severity::Warning, "strip-realm");
    only(&one("indicators = otp").2, Severity::Warning, "ignored");
    only(&one("timeout = 5\ntimeout = 6").2, Severity::Warning, "first");
    let (types, findings) = types("[otp]\nvpn = { server = /x }\n");
    assert!(types.find("vpn").is_none());
    only(&findings, Severity::Error, "no token type");
}

#[test]
fn secret_is_the_first_line_without_space_around_it() {
    assert_eq!(secret_of(b"  abc d \r\nmore\n"), Ok(&b"abc d"[..]));
    assert_eq!(secret_of(b"\nabc"), Ok(&b""[..]));
    assert_eq!(secret_of(b""), Err(EmptySecretFile));
    assert_eq!(secret_of(&[b'x'; 2000]).map(<[u8]>::len), Ok(1023));
}

proptest! {
    #[test]
    fn a_type_that_is_written_is_read_again(
        name in "[A-Za-z0-9_-]{1,8}",
        path in "/[ -~]{0,30}",
        host: bool,
        secret in proptest::option::of("[ -~]{1,20}"),
        timeout in 1..18,
        strip_realm: bool,
        indicators in prop::collection::vec("[ -~]{1,10}", 0..3),
    ) {
        let server = if host { Server::parse("otp.example.com:1812") } else { Server::parse(&path) };
        let secret_file = if host { secret.or(Some("s".into())) } else { secret };
        let written = TokenType {
            secret_file, timeout, strip_realm, indicators, ..TokenType::new(&name, server)
        };
        let text = format!("[otp]\n{}", written.to_profile().unwrap());
        let (read, findings) = types(&text);
        prop_assert_eq!(read.find(&name), Some(&written), "{}", text);
        prop_assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn no_server_panics(text in "[\\[\\]:/a1é]{0,9}") {
        let _ = Server::parse(&text).to_string();
    }
}
