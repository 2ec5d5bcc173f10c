//! Keys: files of OATH-LDAP, the example of RFC 7638, and texts that are refused.

use super::*;

const RSA_PRIVATE: &str =
    include_str!("../../../../testdata/oath-ldap/oathldap_primary_key_202601010000.priv");
const RSA_PUBLIC: &str =
    include_str!("../../../../testdata/oath-ldap/oathldap_primary_key_202601010000.pub");
const EC_PRIVATE: &str =
    include_str!("../../../../testdata/oath-ldap/oathldap_primary_key_ec.priv");

#[test]
fn the_files_of_oath_ldap_are_a_pair() {
    let private = PrivateJwk::parse(RSA_PRIVATE).unwrap();
    let public = PublicJwk::parse(RSA_PUBLIC).unwrap();
    assert_eq!(public.key_id, "oathldap_primary_key_202601010000");
    assert_eq!(private.to_public(), public);
    let PublicKey::Rsa(key) = &public.key else { panic!("it is RSA") };
    assert_eq!((key.modulus.len(), key.exponent.as_slice()), (256, &[1, 0, 1][..]));
}

#[test]
fn a_public_key_is_written_as_oath_ldap_writes_it() {
    assert_eq!(PublicJwk::parse(RSA_PUBLIC).unwrap().to_json(), RSA_PUBLIC.trim());
}

#[test]
fn a_private_key_is_read_as_it_was_written() {
    for text in [RSA_PRIVATE, EC_PRIVATE] {
        let read = PrivateJwk::parse(text).unwrap();
        let written = read.to_json();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(written.expose()), value(text));
        assert_eq!(PrivateJwk::parse(written.expose()).unwrap().to_public(), read.to_public());
    }
}

#[test]
fn a_point_has_the_length_of_its_curve() {
    let key = PrivateJwk::parse(EC_PRIVATE).unwrap();
    let PrivateKey::Ec(key) = key.key else { panic!("it is on a curve") };
    assert_eq!(key.public.curve(), Curve::P256);
    let octets = key.public.uncompressed();
    assert_eq!(EcPoint::from_uncompressed(Curve::P256, octets), Some(key.public.clone()));
    assert_eq!(EcPoint::from_uncompressed(Curve::P384, octets), None);
    assert_eq!(EcPoint::from_uncompressed(Curve::P256, &octets[1..]), None);
    let short = EC_PRIVATE.replace("hVK1W_t4J74X976rX6OyZ4GJHHBmwn6CVztJbzoEQh0", "hVK1");
    assert_eq!(PublicJwk::parse(&without_d(&short)), Err(JwkError::Member("x")));
}

/// The key and the thumbprint of RFC 7638 §3.1, with a `use` that is ours.
#[test]
fn the_thumbprint_is_that_of_the_rfc() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let text =
        format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RSA-OAEP","kid":"2011-04-29"}}"#);
    let key = PublicJwk::parse(&text).unwrap();
    assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn what_is_no_key_for_secrets_is_refused_with_the_reason() {
    let cases = [
        (edit("\"use\":\"enc\"", "\"use\":\"sig\""), JwkError::Usage("sig".into())),
        (edit("\"kty\":\"RSA\"", "\"kty\":\"oct\""), JwkError::KeyType("oct".into())),
        (edit("\"kid\":", "\"kit\":"), JwkError::NoKeyId),
        (edit("oathldap_primary_key_202601010000", ""), JwkError::NoKeyId),
        (edit("oathldap_primary_key_202601010000", "a\\nb"), JwkError::NoKeyId),
        (edit("AQAB", "AQ"), JwkError::Member("e")),
        (edit("AQAB", "BA"), JwkError::Member("e")),
        (edit("AQAB", "*"), JwkError::Member("e")),
        (edit("\"e\":", "\"alg\":\"RSA1_5\",\"e\":"), JwkError::Algorithm("RSA1_5".into())),
        (edit("\"e\":", "\"oth\":[],\"e\":"), JwkError::NotPublic),
        (edit("\"e\":", "\"d\":\"AQAB\",\"e\":"), JwkError::NotPublic),
        (RSA_PRIVATE.to_owned(), JwkError::NotPublic),
        (format!("{RSA_PUBLIC}{}", " ".repeat(MAX_TEXT)), JwkError::TooLong),
    ];
    for (text, expected) in cases {
        assert_eq!(PublicJwk::parse(&text), Err(expected), "{text}");
    }
    let short = format!(r#"{{"e":"AQAB","kid":"k","kty":"RSA","n":"{}"}}"#, encode(&[255; 128]));
    assert_eq!(PublicJwk::parse(&short), Err(JwkError::Size(1024)));
    let curve = without_d(EC_PRIVATE).replace("P-256", "P-521");
    assert_eq!(PublicJwk::parse(&curve), Err(JwkError::Curve("P-521".into())));
}

#[test]
fn a_private_key_needs_all_of_its_numbers() {
    let error = |text: &str| PrivateJwk::parse(text).unwrap_err();
    assert_eq!(error(RSA_PUBLIC), JwkError::NotPrivate);
    assert_eq!(error(&without_d(EC_PRIVATE)), JwkError::NotPrivate);
    for name in ["p", "q", "dp", "dq", "qi"] {
        let text = RSA_PRIVATE.replace(&format!("\"{name}\":"), &format!("\"_{name}\":"));
        assert_eq!(error(&text), JwkError::Member(name));
    }
    let many = RSA_PRIVATE.replace("\"e\":", "\"oth\":[{}],\"e\":");
    assert_eq!(error(&many), JwkError::ManyPrimes);
}

#[test]
fn other_members_are_passed_over_however_deep_and_a_member_twice_is_refused() {
    let deep = format!("\"x5c\":{}{},\"e\":", "[".repeat(5000), "]".repeat(5000));
    assert!(PublicJwk::parse(&edit("\"e\":", &deep)).is_ok());
    let twice = edit("\"e\":", "\"kid\":\"other\",\"e\":");
    assert!(matches!(PublicJwk::parse(&twice), Err(JwkError::Malformed { line: 1, .. })));
}

#[test]
fn errors_and_debug_show_nothing_of_a_private_key() {
    let escaped = EC_PRIVATE.replace("AXMEroRjOKKMkVxR", "AXMEroRj\\u004fKKMkVxR");
    let shown = format!("{0} {0:?}", PrivateJwk::parse(&escaped).unwrap_err());
    assert!(shown.contains("line 1, column") && !shown.contains("AXMEroRj"), "{shown}");
    let shown = format!("{:?}", PrivateJwk::parse(EC_PRIVATE).unwrap());
    assert!(shown.contains("Secret(..)") && !shown.contains("115, 4"), "{shown}");
}

fn edit(from: &str, to: &str) -> String {
    assert!(RSA_PUBLIC.contains(from), "{from}");
    RSA_PUBLIC.replace(from, to)
}

fn without_d(text: &str) -> String {
    text.replace("\"d\":", "\"_\":")
}
