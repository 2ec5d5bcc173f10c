//! Entries of tokens and what is read of them.

use super::*;
use crate::{
    domain::token::TokenKind,
    ldap::{mapping::Profile, parameters},
};

const DN: &str = "serialNumber=yubikey-42,cn=otp,dc=example,dc=test";
const UUID: &str = "30313233-3435-3637-3839-616263646566";
const JWE: &str = r#"{"ciphertext":"AAAAAAAAAAAAAAAAAAAAAAAAAAA","encrypted_key":"BBBB","header":{"alg":"RSA-OAEP","enc":"A256GCM","kid":"k"},"iv":"C","tag":"D"}"#;
const ID: TokenId = TokenId::from_bytes(*b"0123456789abcdef");

fn bare() -> Entry {
    Entry::new(DN)
        .with("objectClass", "oathHOTPToken")
        .with("entryUUID", UUID)
        .with("serialNumber", "yubikey-42")
        .with("createTimestamp", "20260101000000Z")
}

fn initialised() -> Entry {
    bare().with("oathHOTPCounter", "7").with("oathSecret", JWE)
}

fn mapping(plain_secrets: PlainSecrets) -> TokenMapping {
    TokenMapping { plain_secrets, ..Profile::InetOrgPerson.mapping().token }
}

fn read_hotp(entry: &Entry) -> TokenEntry {
    read(entry, Method::Hotp, &mapping(PlainSecrets::Refuse)).unwrap()
}

fn secret_text(entry: &Entry, plain: PlainSecrets) -> Result<Option<String>, EntryError> {
    let token = read(entry, Method::Totp, &mapping(plain))?;
    Ok(token.secret.map(|secret| secret.text().to_owned()))
}

#[test]
fn a_token_is_read_with_all_that_it_refers_to() {
    let entry = initialised()
        .with("owner", "uid=alice,ou=people")
        .with("oathHOTPParams", "cn=params,cn=otp")
        .with("oathTokenIdentifier", "ubhe00000042")
        .with("oathSecretTime", "20261124115633Z");
    let token = read_hotp(&entry);
    assert_eq!((token.id, token.label.as_str(), token.dn.as_str()), (ID, "yubikey-42", DN));
    assert_eq!(token.owner.as_deref(), Some("uid=alice,ou=people"));
    assert_eq!(token.parameters.as_deref(), Some("cn=params,cn=otp"));
    assert_eq!(token.identifier.as_deref(), Some("ubhe00000042"));
    assert_eq!(token.since, Some(UnixTime(1_795_521_393)));
    assert_eq!(token.secret.as_ref().map(StoredSecret::text), Some(JWE));
    assert_eq!(token.position.counter(None).next, 7);
    assert!(!format!("{token:?}").contains("ciphertext"));
}

#[test]
fn a_token_without_a_counter_waits_to_be_initialised() {
    let waiting = bare().with("oathSecret", JWE);
    assert_eq!(read_hotp(&waiting).secret, None);
    assert_eq!(read_hotp(&bare().with("oathHOTPCounter", "0")).secret, None);
    assert!(read_hotp(&initialised()).secret.is_some());
    let mapping = TokenMapping { hotp_counter: HotpCounter::Last, ..mapping(PlainSecrets::Refuse) };
    assert!(read(&waiting, Method::Hotp, &mapping).unwrap().secret.is_some());
    assert!(secret_text(&waiting, PlainSecrets::Refuse).unwrap().is_some());
}

#[test]
fn secrets_that_are_not_encrypted_are_read_as_the_site_says() {
    let with = |value: &[u8]| bare().with("oathSecret", value);
    let base32 = with(b"gezd gnbv-GY3TQOJQGEZDGNBVGY3TQOJQ==");
    let expected = Some("plain:MTIzNDU2Nzg5MDEyMzQ1Njc4OTA".to_owned());
    assert_eq!(secret_text(&base32, PlainSecrets::Base32), Ok(expected.clone()));
    let raw = with(b"12345678901234567890");
    assert_eq!(secret_text(&raw, PlainSecrets::Raw), Ok(expected));
    let braces = with(b"{2345678901234567890}");
    assert_eq!(secret_text(&braces, PlainSecrets::Raw).unwrap().unwrap().len(), 34);
    for plain in [PlainSecrets::Refuse, PlainSecrets::Base32, PlainSecrets::Raw] {
        let padded = format!(" {JWE}\n");
        assert_eq!(secret_text(&with(padded.as_bytes()), plain), Ok(Some(JWE.to_owned())));
        assert_eq!(secret_text(&with(b""), plain), Ok(None));
    }
    let compact = format!("eyJhbGciOiJSU0EtT0FFUCJ9.{}.b.c.d", "a".repeat(100));
    assert_eq!(
        secret_text(&with(compact.as_bytes()), PlainSecrets::Refuse),
        Ok(Some(compact.clone()))
    );
}

#[test]
fn secrets_in_another_form_are_refused_and_not_shown() {
    let secret = "GEZDGNBVGY3TQOJQ1890";
    for (plain, expected) in [
        (PlainSecrets::Refuse, "is no JWE; directory.plain-secrets says"),
        (PlainSecrets::Base32, "is neither a JWE nor base32"),
    ] {
        let error = secret_text(&bare().with("oathSecret", secret), plain).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with(&format!("entry {DN}: attribute oathSecret {expected}")));
        assert!(!error.contains(secret));
    }
    let padding = bare().with("oathSecret", "====");
    assert!(secret_text(&padding, PlainSecrets::Base32).is_err());
}

#[test]
fn a_secret_may_grow_too_old() {
    let end = |entry: Entry, max_age: &str| {
        let parameters = Entry::new("cn=p")
            .with("oathOTPLength", "6")
            .with("oathHMACAlgorithm", "1.2.840.113549.2.7")
            .with("oathSecretMaxAge", max_age);
        let parameters = parameters::read(&parameters, Method::Hotp).unwrap();
        read_hotp(&entry).token(&parameters, Vec::new(), None).validity.not_after
    };
    let renewed = initialised().with("oathSecretTime", "20261124115633Z");
    assert_eq!(end(renewed.clone(), "3600"), Some(UnixTime(1_795_524_993)));
    assert_eq!(end(renewed, "0"), None);
    assert_eq!(end(initialised(), "3600"), Some(UnixTime(1_767_229_200)));
}

#[test]
fn the_token_is_what_entry_and_parameters_make_of_it() {
    let token = read_hotp(&initialised().with("oathTokenIdentifier", "ubhe00000042"));
    let (account, person) = (AccountId::from_bytes([1; 16]), PersonId::from_bytes([2; 16]));
    let made = token.token(&ParametersEntry::absent(Method::Hotp), vec![account], Some(person));
    assert_eq!((made.id, made.label.as_str()), (ID, "yubikey-42"));
    assert_eq!((made.accounts, made.owner), (vec![account], Some(person)));
    assert_eq!(made.identifier.as_deref(), Some("ubhe00000042"));
    assert!(matches!(made.kind, TokenKind::Hotp { .. }));
}

#[test]
fn another_secret_has_another_mark() {
    let mark =
        |entry: &Entry, method| read(entry, method, &mapping(PlainSecrets::Raw)).unwrap().mark;
    let first = mark(&initialised(), Method::Hotp);
    let moved = bare().with("oathHOTPCounter", "9").with("oathSecret", JWE);
    assert_eq!(mark(&moved, Method::Hotp), first);
    assert_ne!(mark(&initialised(), Method::Totp), first);
    let again = bare().with("oathHOTPCounter", "7").with("oathSecret", "another secret");
    assert_ne!(mark(&again, Method::Hotp), first);
}

#[test]
fn an_entry_of_both_kinds_is_two_tokens() {
    let both = initialised().with("objectClass", "oathTOTPToken");
    let id = |entry, method| read(entry, method, &mapping(PlainSecrets::Refuse)).unwrap().id;
    assert_eq!(id(&both, Method::Hotp), ID);
    assert_ne!(id(&both, Method::Totp), ID);
    assert_eq!(id(&initialised(), Method::Totp), ID);
    assert_eq!(methods(&both).collect::<Vec<_>>(), Method::ALL);
    assert_eq!(methods(&Entry::new("cn=x")).count(), 0);
}

#[test]
fn a_token_that_is_not_there_is_one_that_nobody_can_use() {
    let account = AccountId::from_bytes([1; 16]);
    let token = missing(DN, Method::Totp, account);
    assert!(token.disabled && token.accounts == [account] && token.label == DN);
    assert_ne!(token.id, missing("cn=other", Method::Totp, account).id);
    assert_eq!(filter(), "(|(objectClass=oathHOTPToken)(objectClass=oathTOTPToken))");
    assert_eq!(reference_filter(), "(|(oathHOTPToken=*)(oathTOTPToken=*))");
}

#[test]
fn a_name_below_a_base_is_read_back_as_it_was_given() {
    use crate::domain::dn::Dn;
    for value in ["yubikey-42", "Alice's phone", " a, b+c=\"d\"\\ ", "#1", "Zoë;<>", "a\0b"] {
        let name = dn_below("serialNumber", value, "cn=otp,dc=example");
        let name = Dn::parse(&name).unwrap();
        assert!(name.is_within(&Dn::parse("cn=otp,dc=example").unwrap()), "{value}");
        let squeezed: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
        let expected = squeezed.join(" ").to_lowercase();
        assert_eq!(name.leaf_value("serialNumber"), Some(expected.as_str()));
    }
}

#[test]
fn asks_for_what_it_reads() {
    let mapping = Profile::AeDir.mapping().token;
    let asked = attributes(&mapping);
    for name in ["oathSecret", "entryUUID", "createTimestamp", "aeOwner", "serialNumber"] {
        assert!(asked.contains(&name), "{name}");
    }
}
