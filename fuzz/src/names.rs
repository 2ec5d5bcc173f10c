//! Texts: distinguished names, key URIs, login names.

use countersign_core::{
    domain::name::LoginName, oath::key_uri::KeyUri, pki::dn::DistinguishedName,
};

/// RFC 4514 text: what was read names the same entry when it is written and read again,
/// as text and as DER.
pub fn distinguished_name(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let Ok(read) = text.parse::<DistinguishedName>() else { return };
    let written = read.to_string();
    let again: DistinguishedName = written.parse().expect("it was written here");
    assert!(read.names_same_entry(&again), "{written}");
    if let Ok(name) = read.to_name() {
        let der = DistinguishedName::from_name(&name);
        assert!(read.names_same_entry(&der), "{written} is {der} in DER");
    }
}

/// An `otpauth` URI: what was read is what is written.
pub fn key_uri(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let Ok(read) = KeyUri::parse(text) else { return };
    let again = KeyUri::parse(read.to_uri().expose());
    assert!(again == Ok(read), "another key was read than was written");
}

/// A login name: kept as given, and found by the same key however it is written.
pub fn login_name(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let Ok(read) = LoginName::parse(text) else { return };
    assert_eq!(read.given(), text);
    if let Ok(folded) = LoginName::parse(read.key().as_str()) {
        assert_eq!(folded.key(), read.key());
    }
    if let Ok(upper) = LoginName::parse(&text.to_ascii_uppercase()) {
        assert_eq!(upper.key(), read.key());
    }
    if let Ok(bare) = LoginName::parse_bare(text) {
        assert_eq!(bare.key(), read.key());
        assert!(!text.contains(['@', '\\']));
    }
}
