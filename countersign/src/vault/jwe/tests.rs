//! Opening what others encrypted, and what is encrypted here.

use serde_json::Value;

use super::*;

const SAMPLES: &str = include_str!("../../../../testdata/oath-ldap/jwe-samples.json");
const MORE: &str = include_str!("../../../../testdata/oath-ldap/jwe-more.json");
const RSA: &str =
    include_str!("../../../../testdata/oath-ldap/oathldap_primary_key_202601010000.priv");
const EC: &str = include_str!("../../../../testdata/oath-ldap/oathldap_primary_key_ec.priv");
const SEED: &[u8] = b"12345678901234567890";

#[test]
fn opens_every_sample_of_the_published_tool_and_of_jwcrypto() {
    let samples = read(SAMPLES);
    let encrypted: Vec<_> = samples.iter().filter(|(name, _)| name.contains("_jwe")).collect();
    assert_eq!(encrypted.len(), 6);
    for (name, text) in encrypted {
        let key = if name.ends_with("ecdh") { EC } else { RSA };
        let clear = open(key, text.as_str().unwrap()).unwrap();
        let expected = if name.starts_with("pin") { b"k7m2xq" } else { SEED };
        assert_eq!(clear.expose_bytes(), expected, "{name}");
    }
}

#[test]
fn opens_other_curves_parties_and_additional_data() {
    let more = read(MORE);
    let p384 = more["p384"].to_string();
    let cases =
        [("ecdh_p384", &*p384), ("ecdh_parties", EC), ("ecdh_compact", EC), ("rsa_aad", RSA)];
    for (name, key) in cases {
        let clear = open(key, more[name].as_str().unwrap());
        assert_eq!(clear.unwrap().expose_bytes(), SEED, "{name}");
    }
}

#[test]
fn what_is_not_on_the_allow_list_is_refused_before_any_cryptography() {
    for (name, text) in read(MORE)["refused"].as_object().unwrap() {
        assert!(Jwe::parse(text.as_str().unwrap()).is_err(), "{name}");
    }
}

#[test]
fn every_part_is_covered() {
    for (key, name) in [(RSA, "seed_jwe"), (RSA, "seed_jwe_protected"), (EC, "seed_jwe_ecdh")] {
        let jwe = Jwe::parse(read(SAMPLES)[name].as_str().unwrap()).unwrap();
        let opening = OpeningKey::new(&PrivateJwk::parse(key).unwrap()).unwrap();
        assert!(opening.open(&jwe).is_ok());
        let damage: [fn(&mut Jwe); 6] = [
            |jwe| jwe.ciphertext[0] ^= 1,
            |jwe| jwe.tag[15] ^= 1,
            |jwe| jwe.iv[0] ^= 1,
            |jwe| jwe.encrypted_key[3] ^= 1,
            |jwe| jwe.encrypted_key.truncate(39),
            |jwe| jwe.additional_data.push(b'x'),
        ];
        for (number, damage) in damage.into_iter().enumerate() {
            let mut damaged = jwe.clone();
            damage(&mut damaged);
            assert!(opening.open(&damaged).is_err(), "{name} {number}");
        }
    }
}

#[test]
fn a_key_opens_nothing_of_another_kind() {
    let samples = read(SAMPLES);
    assert_eq!(open(EC, samples["seed_jwe"].as_str().unwrap()), Err(Refused));
    assert_eq!(open(RSA, samples["seed_jwe_ecdh"].as_str().unwrap()), Err(Refused));
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut jwe = Jwe::parse(read(SAMPLES)["seed_jwe_ecdh"].as_str().unwrap()).unwrap();
    let mut octets = vec![7; 65];
    octets[0] = 4;
    jwe.method = KeyMethod::EcdhEsA256Kw {
        ephemeral: EcPoint::from_uncompressed(Curve::P256, &octets).unwrap(),
        party_u: Vec::new(),
        party_v: Vec::new(),
    };
    let opening = OpeningKey::new(&PrivateJwk::parse(EC).unwrap()).unwrap();
    assert!(opening.open(&jwe).is_err());
}

#[test]
fn numbers_that_do_not_belong_together_are_no_key() {
    let other = generate(NewKey::P256, "k".into()).unwrap();
    let mixed = PrivateJwk::parse(EC).unwrap();
    let (PrivateKey::Ec(other), PrivateKey::Ec(mut key)) = (other.key, mixed.key.clone()) else {
        panic!("both are on a curve");
    };
    key.scalar = other.scalar;
    assert!(OpeningKey::new(&PrivateJwk { key: PrivateKey::Ec(key), ..mixed }).is_err());
    let mixed = PrivateJwk::parse(RSA).unwrap();
    let PrivateKey::Rsa(mut key) = mixed.key.clone() else { panic!("it is RSA") };
    key.primes[0] = key.primes[1].clone();
    assert!(OpeningKey::new(&PrivateJwk { key: PrivateKey::Rsa(key), ..mixed }).is_err());
}

#[test]
fn every_kind_of_key_opens_what_is_sealed_to_it() {
    // Making a larger RSA key takes seconds.
    for spec in [NewKey::Rsa2048, NewKey::P256, NewKey::P384] {
        let mut key = generate(spec, "key".into()).unwrap();
        for prefers_sha256 in [false, true] {
            key.prefers_sha256 = prefers_sha256 && spec == NewKey::Rsa2048;
            let sealed = seal(&key.to_public(), SEED).unwrap();
            assert!(sealed.contains("\"protected\":") && !sealed.contains("\"header\""));
            let opened = open(key.to_json().expose(), &sealed).unwrap();
            assert_eq!(opened.expose_bytes(), SEED);
            assert_ne!(seal(&key.to_public(), SEED).unwrap(), sealed);
        }
    }
}

#[test]
fn keys_are_asked_for_by_the_names_they_have() {
    for (name, spec) in NewKey::NAMES {
        assert_eq!((name.parse(), spec.name()), (Ok(spec), name));
    }
    let error = "rsa-1024".parse::<NewKey>().unwrap_err();
    assert!(error.contains("rsa-4096, p256"), "{error}");
}

fn open(key: &str, text: &str) -> Result<Secret<Vec<u8>>, Refused> {
    let key = PrivateJwk::parse(key).map_err(|_| Refused)?;
    OpeningKey::new(&key)?.open(&Jwe::parse(text).map_err(|_| Refused)?)
}

fn read(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap()
}
