//! Encrypted secrets: what OATH-LDAP and jwcrypto write, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::jose::jwk::Curve;

const SAMPLES: &str = include_str!("../../../../testdata/oath-ldap/jwe-samples.json");

#[test]
fn what_oath_ldap_writes_has_no_additional_data() {
    for name in ["seed_jwe", "pin_jwe"] {
        let jwe = Jwe::parse(&sample(name)).unwrap();
        assert_eq!(jwe.key_id, "oathldap_primary_key_202601010000", "{name}");
        assert_eq!(jwe.method, KeyMethod::RsaOaep, "{name}");
        assert_eq!((jwe.encrypted_key.len(), jwe.additional_data.len()), (256, 0), "{name}");
    }
    assert_eq!(Jwe::parse(&sample("seed_jwe")).unwrap().ciphertext.len(), 20);
}

#[test]
fn a_protected_header_is_additional_data_in_both_forms() {
    let flattened = Jwe::parse(&sample("seed_jwe_protected")).unwrap();
    assert!(flattened.additional_data.starts_with(b"eyJhbGciOiAi"));
    assert_eq!(Jwe::parse(&sample("seed_jwe_compact")), Ok(flattened));
    let oaep = Jwe::parse(&sample("seed_jwe_oaep256_protected")).unwrap();
    assert_eq!(oaep.method, KeyMethod::RsaOaep256);
}

#[test]
fn parameters_may_be_spread_over_the_headers() {
    let jwe = Jwe::parse(&sample("seed_jwe_ecdh")).unwrap();
    assert_eq!(jwe.key_id, "oathldap_primary_key_ec");
    let KeyMethod::EcdhEsA256Kw { ephemeral, party_u, party_v } = jwe.method else {
        panic!("it is ECDH-ES+A256KW");
    };
    assert_eq!(ephemeral.curve(), Curve::P256);
    assert_eq!((party_u.len(), party_v.len()), (0, 0));
}

#[test]
fn one_recipient_may_stand_in_a_list() {
    let mut value = flat();
    let header = value.as_object_mut().unwrap().remove("header").unwrap();
    let key = value.as_object_mut().unwrap().remove("encrypted_key").unwrap();
    value["recipients"] = json!([{ "header": header, "encrypted_key": key }]);
    assert_eq!(Jwe::parse(&value.to_string()), Jwe::parse(&sample("seed_jwe")));
    let one = value["recipients"][0].clone();
    value["recipients"] = json!([one, one]);
    assert_eq!(Jwe::parse(&value.to_string()), Err(JweError::Recipients(2)));
    value["recipients"] = json!([]);
    assert_eq!(Jwe::parse(&value.to_string()), Err(JweError::Recipients(0)));
    value["recipients"] = json!([one]);
    value["encrypted_key"] = one["encrypted_key"].clone();
    assert_eq!(Jwe::parse(&value.to_string()), Err(JweError::Malformed));
}

#[test]
fn more_additional_data_follows_the_protected_header() {
    let mut value: Value = serde_json::from_str(&sample("seed_jwe_protected")).unwrap();
    value["aad"] = json!("YWFk");
    let protected = value["protected"].as_str().unwrap().to_owned();
    let jwe = Jwe::parse(&value.to_string()).unwrap();
    assert_eq!(jwe.additional_data, format!("{protected}.YWFk").into_bytes());
    value["aad"] = json!("*");
    assert_eq!(Jwe::parse(&value.to_string()), Err(JweError::Part("aad")));
}

#[test]
fn what_is_not_allowed_is_refused_and_says_for_which_key_it_was() {
    let key_id = || "oathldap_primary_key_202601010000".to_owned();
    let algorithm = |name: &str| JweError::Algorithm { key_id: key_id(), algorithm: name.into() };
    let encryption =
        |name: &str| JweError::Encryption { key_id: key_id(), encryption: name.into() };
    let cases = [
        ("alg", json!("RSA1_5"), algorithm("RSA1_5")),
        ("alg", json!("dir"), algorithm("dir")),
        ("alg", json!("ECDH-ES"), algorithm("ECDH-ES")),
        ("alg", Value::Null, algorithm("")),
        ("alg", json!("ECDH-ES+A256KW"), JweError::Part("epk")),
        ("enc", json!("A128CBC-HS256"), encryption("A128CBC-HS256")),
        ("enc", Value::Null, encryption("")),
        ("kid", Value::Null, JweError::NoKeyId),
        ("kid", json!(""), JweError::NoKeyId),
        ("kid", json!("a\nb"), JweError::NoKeyId),
        ("kid", json!("x".repeat(257)), JweError::NoKeyId),
        ("crit", json!(["exp"]), JweError::Critical),
        ("crit", Value::Null, JweError::Critical),
        ("zip", json!("DEF"), JweError::Compressed),
        ("kid", json!(7), JweError::Malformed),
    ];
    for (name, value, expected) in cases {
        let mut jwe = flat();
        jwe["header"][name] = value.clone();
        assert_eq!(Jwe::parse(&jwe.to_string()), Err(expected), "{name}: {value}");
    }
}

#[test]
fn a_parameter_in_two_headers_is_refused() {
    for name in ["alg", "enc", "kid"] {
        let mut jwe = flat();
        jwe["unprotected"][name] = jwe["header"][name].clone();
        assert_eq!(Jwe::parse(&jwe.to_string()), Err(JweError::Repeated(name)));
    }
    let twice = sample("seed_jwe").replace("\"alg\":", "\"alg\":\"RSA1_5\",\"alg\":");
    assert_eq!(Jwe::parse(&twice), Err(JweError::Malformed));
}

#[test]
fn every_part_must_be_there_and_of_its_length() {
    for name in ["ciphertext", "encrypted_key", "iv", "tag"] {
        let values = [Value::Null, json!(""), json!("A"), json!("AA=="), json!("+/8")];
        for value in values {
            let mut jwe = flat();
            jwe[name] = value.clone();
            assert_eq!(Jwe::parse(&jwe.to_string()), Err(JweError::Part(name)), "{value}");
        }
    }
    for name in ["iv", "tag"] {
        let mut jwe = flat();
        jwe[name] = json!(encode(&[0; 13]));
        assert_eq!(Jwe::parse(&jwe.to_string()), Err(JweError::Part(name)));
    }
}

#[test]
fn what_is_no_jwe_is_refused() {
    let compact = sample("seed_jwe_compact");
    for text in ["", "x", "{", "{}x", "[]", "....", &compact[1..], &compact.replace('.', ":")] {
        let error = Jwe::parse(text).unwrap_err();
        assert!(matches!(error, JweError::Malformed | JweError::Header), "{text}: {error}");
    }
    assert_eq!(Jwe::parse(&format!("{compact}.x")), Err(JweError::Malformed));
    assert_eq!(Jwe::parse(&"x".repeat(MAX_TEXT + 1)), Err(JweError::TooLong));
    assert_eq!(Jwe::parse("{}"), Err(JweError::NoKeyId));
}

#[test]
fn deep_nesting_is_passed_over_without_recursion() {
    let deep = format!("{{\"jwk\":{}{},", "[".repeat(5000), "]".repeat(5000));
    let jwe = sample("seed_jwe").replacen('{', &deep, 1);
    assert_eq!(Jwe::parse(&jwe), Jwe::parse(&sample("seed_jwe")));
}

#[test]
fn what_is_written_is_read_again() {
    let KeyMethod::EcdhEsA256Kw { ephemeral, .. } =
        Jwe::parse(&sample("seed_jwe_ecdh")).unwrap().method
    else {
        panic!("it is ECDH-ES+A256KW");
    };
    let agreed = |party_u: &[u8], party_v: &[u8]| KeyMethod::EcdhEsA256Kw {
        ephemeral: ephemeral.clone(),
        party_u: party_u.to_vec(),
        party_v: party_v.to_vec(),
    };
    let methods =
        [KeyMethod::RsaOaep, KeyMethod::RsaOaep256, agreed(b"", b""), agreed(b"us", b"you")];
    for method in methods {
        let prepared = PreparedJwe::new("a \"key\"", &method);
        let additional_data = prepared.additional_data().to_vec();
        let text = prepared.complete(b"key", &[1; IV_LENGTH], b"ciphertext", &[2; TAG_LENGTH]);
        let expected = Jwe {
            key_id: "a \"key\"".into(),
            method,
            encrypted_key: b"key".to_vec(),
            iv: [1; IV_LENGTH],
            ciphertext: b"ciphertext".to_vec(),
            tag: [2; TAG_LENGTH],
            additional_data,
        };
        assert_eq!(Jwe::parse(&text), Ok(expected), "{text}");
    }
}

fn sample(name: &str) -> String {
    let samples: Value = serde_json::from_str(SAMPLES).unwrap();
    samples[name].as_str().unwrap().to_owned()
}

fn flat() -> Value {
    serde_json::from_str(&sample("seed_jwe")).unwrap()
}
