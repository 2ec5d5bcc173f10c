//! MIT krb5: profiles with their token types, user strings with what follows from them, dumps.

use countersign_core::krb5::{
    dump::Dump,
    finding::Severity,
    forecast::Forecast,
    log,
    principal::Principal,
    profile::{Profile, ProfileReader},
    token_type::TokenTypes,
    user_string::{UserString, UserStringError},
};

/// `krb5.conf`, which includes nothing: the token types are read again as they are written.
pub fn profile(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let _ = Dump::parse(text);
    let _ = log::summarise(text);
    let Some(profile) = read(text) else { return };
    let (types, findings) = TokenTypes::read(&profile, "/run/krb5kdc");
    let errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert!(errors || !types.broken, "what breaks everything is an error");
    for token_type in types.types {
        let Some(written) = token_type.to_profile() else { continue };
        // The library cuts longer lines.
        if written.lines().any(|line| line.len() > 2000) {
            continue;
        }
        let again = read(&format!("[otp]\n{written}")).expect("it was written here");
        let (again, _) = TokenTypes::read(&again, "/run/krb5kdc");
        let again = again.find(&token_type.name).expect("it was written here");
        assert_eq!(again.strip_realm, token_type.strip_realm);
        assert_eq!(again.timeout, token_type.timeout);
    }
}

/// The string `otp`: what the KDC takes is written and read again; what it does not take
/// has a cure, and where quotes were eaten, the cure is what it takes.
pub fn user_string(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    match UserString::parse(text) {
        Ok(read) => {
            assert!(!read.tokens.is_empty());
            if let Ok(written) = UserString::write(&read.tokens) {
                let again = UserString::parse(&written).expect("it was written here");
                assert_eq!(again.tokens, read.tokens, "{written}");
            }
        }
        Err(error) => {
            assert!(!error.cure().is_empty());
            if let UserStringError::QuotesEaten { repaired } = error {
                assert!(repaired.contains('"'), "{repaired}");
            }
        }
    }
    let principal =
        Principal { name: text.to_owned(), otp: Some(text.to_owned()), ..Principal::default() };
    let (types, _) = TokenTypes::read(&Profile::default(), "/run/krb5kdc");
    assert!(!Forecast::of(&principal, None, &types).findings.is_empty());
    let _ = Principal::from_kadmin(text, text);
}

/// Everything that is included is empty.
fn read(text: &str) -> Option<Profile> {
    let mut reader = ProfileReader::new();
    reader.open("krb5.conf", text);
    while reader.advance().ok()?.is_some() {}
    let mut profile = Profile::default();
    profile.push(reader.finish());
    Some(profile)
}
