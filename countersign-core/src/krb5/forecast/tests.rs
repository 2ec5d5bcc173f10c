//! What is foretold of principals, case by case.

use super::*;
use crate::krb5::finding::Severity;

fn types() -> TokenTypes {
    let mut vpn = TokenType::new("vpn", Server::Socket("/run/vpn".into()));
    vpn.indicators = vec!["otp".into()];
    TokenTypes { types: vec![TokenType::built_in("/run/krb5kdc"), vpn], broken: false }
}

fn alice(otp: &str) -> Principal {
    Principal {
        name: "alice@OTP.TEST".into(),
        requires_preauth: true,
        otp: Some(otp.into()),
        ..Principal::default()
    }
}

fn forecast(principal: &Principal) -> Forecast {
    Forecast::of(principal, None, &types())
}

fn worst(forecast: &Forecast) -> Severity {
    forecast.findings.iter().map(|finding| finding.severity).max().unwrap()
}

#[track_caller]
fn says(forecast: &Forecast, severity: Severity, word: &str) {
    let is_it = |finding: &&Finding| finding.severity == severity && finding.cause.contains(word);
    assert!(forecast.findings.iter().any(|f| is_it(&f)), "{word}: {forecast:#?}");
    let cured = |finding: &&Finding| !finding.cure.is_empty() || finding.severity == Severity::Good;
    assert!(forecast.findings.iter().all(|finding| cured(&finding)), "{forecast:#?}");
}

#[test]
fn a_principal_with_nothing_but_otp_is_good() {
    let read = forecast(&alice(r#"[{"type":"vpn"}]"#));
    assert_eq!(worst(&read), Severity::Good, "{read:#?}");
    let step = Step {
        token_type: "vpn".into(),
        server: Server::Socket("/run/vpn".into()),
        user_name: "alice".into(),
        indicators: vec!["otp".into()],
        timeout: 5,
    };
    assert_eq!(read.steps, [step]);
    says(&read, Severity::Good, "\"alice\"");
}

#[test]
fn a_token_overrides_name_and_indicators_of_its_type() {
    let read = forecast(&alice(r#"[{"type":"vpn","username":"al@x","indicators":[]}]"#));
    assert_eq!((&*read.steps[0].user_name, read.steps[0].indicators.len()), ("al@x", 0));
    let read = forecast(&alice("[]"));
    assert_eq!(read.steps[0].user_name, "alice@OTP.TEST", "the built-in type keeps the realm");
}

#[test]
fn several_tokens_are_no_fail_over() {
    let read = forecast(&alice(r#"[{"type":"vpn"},{}]"#));
    assert_eq!(read.steps.len(), 2);
    says(&read, Severity::Warning, "silent");
    says(&read, Severity::Good, "the same OTP goes to /run/krb5kdc/DEFAULT.socket");
}

#[test]
fn strings_that_fail_every_logon_are_errors() {
    for (otp, word) in [
        ("[{type:vpn}]", "quotes are gone"),
        (r#"[{"type":"vpm"}]"#, "does not have"),
        (r#"[{"type":"vpn","username":""}]"#, "0 octets"),
        ("{}", "no array"),
        ("", "empty"),
    ] {
        says(&forecast(&alice(otp)), Severity::Error, word);
    }
    says(&forecast(&alice(r#"[{"type":"vpn","username":5}]"#)), Severity::Warning, "ignores");
    let broken = TokenTypes { broken: true, ..types() };
    says(&Forecast::of(&alice("[]"), None, &broken), Severity::Error, "nobody");
}

#[test]
fn ways_around_the_otp_are_warned_of() {
    let with_key = Principal { keys: 2, ..alice("[]") };
    says(&forecast(&with_key), Severity::Warning, "bypassed");
    let mut cures = forecast(&with_key).findings.into_iter().map(|finding| finding.cure);
    let purge = cures.find(|cure| cure.starts_with("kadmin.local purgekeys")).unwrap();
    assert!(purge.contains(" -all alice@OTP.TEST;"), "{purge}");
    let open = Principal { requires_preauth: false, ..alice("[]") };
    says(&forecast(&open), Severity::Warning, "preauthentication");
    let disabled = Principal { disabled: true, ..alice("[]") };
    says(&forecast(&disabled), Severity::Error, "DISALLOW_ALL_TIX");
    let hardware = Principal { requires_hwauth: true, ..alice("[]") };
    says(&forecast(&hardware), Severity::Error, "REQUIRES_HW_AUTH");
    let without = Principal { otp: None, keys: 1, ..alice("") };
    says(&forecast(&without), Severity::Warning, "not offered");
    let nothing = Principal { otp: None, ..alice("") };
    says(&forecast(&nothing), Severity::Warning, "PKINIT");
}

#[test]
fn the_lockout_of_the_kdc_is_warned_of() {
    let principal = Principal { policy: Some("strict".into()), failures: 3, ..alice("[]") };
    let strict = Lockout { max_failures: 3, duration: "5 min".into() };
    let read = Forecast::of(&principal, Some(&strict), &types());
    says(&read, Severity::Warning, "policy strict");
    says(&read, Severity::Error, "locked");
    let mild = Lockout { max_failures: 0, ..strict };
    let read = Forecast::of(&principal, Some(&mild), &types());
    assert_eq!(worst(&read), Severity::Good);
}

#[test]
fn a_service_is_told_which_types_let_in() {
    let service =
        |words: &str| Principal { otp: None, require_auth: Some(words.into()), ..alice("") };
    says(&forecast(&service("strong otp")), Severity::Good, "vpn");
    says(&forecast(&service("strong")), Severity::Warning, "no token type");
}
