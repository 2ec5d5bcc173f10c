//! The layers of the crate: `wire | pki | ldap -> domain | krb5 | jose -> oath -> secret | time`, and
//! what it depends on.
//!
//! Siblings do not see each other, with two exceptions: `domain::time` is a
//! value that everybody may name, and `pki/request.rs` compares the names in a
//! certificate request with those of an account, so it names the account and its
//! id. Tests may look anywhere.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::{fs, path::Path};

#[path = "support/imports.rs"]
mod imports;

#[test]
fn calls_go_down_only() {
    let mut wrong = Vec::new();
    for (file, code) in imports::sources(&root().join("src")) {
        let Some((layer, _)) = file.split_once('/') else { continue };
        let (_, below) = ARROWS.iter().find(|(name, _)| *name == layer).unwrap_or_else(|| {
            panic!("{layer}/ is a layer that this test does not know; put it into ARROWS")
        });
        for import in imports::imports(&code, "crate") {
            let target = import[0].as_str();
            let module = import[..2.min(import.len())].join("::");
            let is_exception = module == "domain::time" || EXCEPTIONS.contains(&(&file, &module));
            if target != layer && !below.contains(&target) && !is_exception {
                wrong.push(format!("{file}: {layer} -> {}", import.join("::")));
            }
        }
        if imports::climbs_out(&file, &code) {
            wrong.push(format!("{file}: climbs out of its layer by `super`; write `crate::`"));
        }
    }
    assert!(wrong.is_empty(), "wrong arrows:\n{}", wrong.join("\n"));
}

#[test]
fn depends_on_nothing_that_acts() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, after) = manifest.split_once("\n[dependencies]\n").unwrap();
    let section = after.split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && !name.starts_with('#')).collect();
    assert_eq!(
        names, DEPENDENCIES,
        "the list proves that the crate is pure; think before it grows"
    );
    assert!(!manifest.contains("[target."), "dependencies of one target are dependencies, too");
    assert!(!manifest.contains("[build-dependencies]"), "a build script does I/O");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each layer, and the layers that it may name.
const ARROWS: [(&str, &[&str]); 7] = [
    ("wire", &["oath", "secret", "time"]),
    ("pki", &["oath", "secret", "time"]),
    ("domain", &["oath", "secret", "time"]),
    ("ldap", &["domain", "oath", "secret", "time"]),
    ("krb5", &["secret", "time"]),
    ("jose", &["secret"]),
    ("oath", &["secret", "time"]),
];

const EXCEPTIONS: [(&str, &str); 2] =
    [("pki/request.rs", "domain::account"), ("pki/request.rs", "domain::id")];

const DEPENDENCIES: [&str; 17] = [
    "cms",
    "const-oid",
    "data-encoding",
    "der",
    "hmac",
    "md-5",
    "quick-xml",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "spki",
    "subtle",
    "thiserror",
    "unicode-normalization",
    "x509-cert",
    "zeroize",
];
