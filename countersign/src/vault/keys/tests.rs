//! Key files: which are taken, which of them is the newest, and what is remembered.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::vault::jwe::{NewKey, generate};

#[test]
fn all_files_of_a_pattern_are_loaded_and_open_what_is_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["oathldap_primary_key_202601010000", "old", "oathldap_primary_key_202512312359"];
    let keys = keys.map(|name| put(dir.path(), name));
    fs::write(dir.path().join("other.pub"), "no key").unwrap();
    fs::write(dir.path().join(".hidden.priv"), "no key").unwrap();
    let loaded = load(dir.path(), "*.priv").unwrap();
    assert_eq!(loaded.key_ids().count(), 3);
    for key in &keys {
        let sealed = jwe::seal(&key.to_public(), b"seed").unwrap();
        assert_eq!(loaded.open(&sealed).unwrap().expose_bytes(), b"seed");
    }
    assert_eq!(loaded.newest(), Some(&keys[0].to_public()));
    let sealed = loaded.seal(b"new").unwrap();
    assert_eq!(Jwe::parse(&sealed).unwrap().key_id, keys[0].key_id);
    assert!(!format!("{loaded:?}").contains("Secret"));
}

#[test]
fn a_key_without_a_time_in_its_name_is_older_than_one_with() {
    assert!(age("key_202601010000") < age("akey_202601010001"));
    assert!(age("zzz") < age("key_202601010000"));
    assert!(age("a") < age("b"));
    assert!(age("zzz_2026") < age("key_202601010000"));
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "key");
    let path = dir.path().join("key.priv");
    for (mode, allowed) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o604, false),
        (0o644, false),
        (0o660, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(dir.path(), "key.priv");
        assert_eq!(loaded.is_ok(), allowed, "{mode:o}");
        let Err(error) = loaded else { continue };
        let error = error.to_string();
        assert!(error.contains("chmod 0600") && error.contains("key.priv"), "{error}");
    }
}

#[test]
fn what_is_wrong_is_named_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path(), "*.priv"), Err(SiteKeyError::None(_))));
    assert!(matches!(load(dir.path(), "*.*"), Err(SiteKeyError::Pattern(_))));
    assert!(matches!(load(&dir.path().join("*"), "k"), Err(SiteKeyError::Pattern(_))));
    assert!(matches!(load(dir.path(), "k.priv"), Err(SiteKeyError::Unreadable { .. })));
    write(&dir.path().join("a.priv"), "{}");
    assert!(matches!(load(dir.path(), "a.priv"), Err(SiteKeyError::Jwk { .. })));
    let key = put(dir.path(), "b");
    let json = key.to_json();
    let damaged = json.expose().replacen("\"x\":\"", "\"x\":\"_\",\"_\":\"", 1);
    write(&dir.path().join("a.priv"), &damaged);
    assert!(matches!(load(dir.path(), "a.priv"), Err(SiteKeyError::Jwk { .. })));
    write(&dir.path().join("a.priv"), json.expose());
    let twice = load(dir.path(), "*.priv").unwrap_err();
    assert!(matches!(&twice, SiteKeyError::Twice { key_id, .. } if key_id == "b"), "{twice}");
}

#[test]
fn a_file_named_by_two_patterns_is_loaded_once() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "key");
    let patterns = [dir.path().join("*.priv"), dir.path().join("key.priv")];
    assert_eq!(SiteKeys::load(&patterns).unwrap().key_ids().collect::<Vec<_>>(), ["key"]);
}

#[test]
fn an_unknown_key_and_one_of_the_same_name_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "key");
    let loaded = load(dir.path(), "*.priv").unwrap();
    let foreign = |name: &str| {
        let key = generate(NewKey::P256, name.into()).unwrap();
        loaded.open(&jwe::seal(&key.to_public(), b"seed").unwrap()).unwrap_err()
    };
    assert_eq!(foreign("other"), OpenError::UnknownKey("other".into()));
    assert_eq!(foreign("key"), OpenError::DoesNotOpen("key".into()));
    assert_eq!(loaded.open("x"), Err(OpenError::Jwe(JweError::Malformed)));
}

#[test]
fn what_was_opened_is_remembered_by_its_text_up_to_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "key");
    let mut loaded = load(dir.path(), "*.priv").unwrap();
    let sealed = loaded.seal(b"seed").unwrap();
    assert!(loaded.open(&sealed).is_ok());
    loaded.keys.clear();
    assert_eq!(loaded.open(&sealed).unwrap().expose_bytes(), b"seed");
    assert!(loaded.open(&format!("{sealed} ")).is_err());

    let mut opened = Opened::default();
    let digest = |number: usize| digest_of(&number.to_string());
    for number in 0..=MAX_OPENED {
        opened.keep(digest(number), Secret::new(vec![0]));
        opened.keep(digest(number), Secret::new(vec![1]));
    }
    assert_eq!((opened.secrets.len(), opened.order.len()), (MAX_OPENED, MAX_OPENED));
    assert!(opened.find(&digest(0)).is_none());
    assert_eq!(opened.find(&digest(1)), Some(Secret::new(vec![1])));
}

fn put(dir: &Path, name: &str) -> PrivateJwk {
    let key = generate(NewKey::P256, name.into()).unwrap();
    write(&dir.join(format!("{name}.priv")), key.to_json().expose());
    key
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn load(dir: &Path, pattern: &str) -> Result<SiteKeys, SiteKeyError> {
    SiteKeys::load(&[dir.join(pattern)])
}
