//! The layers of the crate: who may call whom (ARCHITECTURE.md).
//!
//! ```text
//! cli        -> hold, run, init, app, client
//! hold       -> listener: takes the door of one of them while nobody else does
//! run        -> all: builds and wires, then waits
//! listener   -> app, core::wire
//! app        -> store, signer, client, vault, audit, clock, core::{domain, pki}
//! store, signer, client -> directory, core
//! directory  -> core: LDAP servers, below who asks them
//! ```
//!
//! Listeners and clients may name the vault, too, which draws random octets for all.
//! Every layer may name [`VALUES`], which call nobody. Tests may look anywhere.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::path::Path;

#[path = "../../countersign-core/tests/support/imports.rs"]
mod imports;

#[test]
fn calls_go_down_only() {
    let mut wrong = Vec::new();
    for (file, code) in imports::sources(&root().join("src")) {
        let layer = layer_of(&file);
        let Some((_, below)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
            panic!("{layer} is a layer that this test does not know; put it into ARROWS");
        };
        for import in imports::imports(&code, "crate") {
            let target = import[0].as_str();
            if target != layer && !below.contains(&target) && !VALUES.contains(&target) {
                wrong.push(format!("{file}: {layer} -> {}", import.join("::")));
            }
        }
        if file.contains('/') && imports::climbs_out(&file, &code) {
            wrong.push(format!("{file}: climbs out of its layer by `super`; write `crate::`"));
        }
    }
    assert!(wrong.is_empty(), "wrong arrows:\n{}", wrong.join("\n"));
}

/// Of the core, `wire` is for those who talk to peers, `pki` for those who handle certificates.
#[test]
fn only_who_talks_to_peers_knows_the_wire() {
    for (file, code) in imports::sources(&root().join("src")) {
        let knows =
            imports::imports(&code, "countersign_core").iter().any(|path| path[0] == "wire");
        let layer = layer_of(&file);
        let may = ["run", "listener", "client", "config"].contains(&layer)
            || EXCEPTIONS.contains(&&*file);
        assert!(may || !knows, "{file}: {layer} -> countersign_core::wire");
    }
}

/// The store never sees a shared secret or a passcode in clear, nor does it decide.
#[test]
fn the_store_decides_nothing_and_opens_nothing() {
    for (file, code) in imports::sources(&root().join("src/store")) {
        for path in imports::imports(&code, "countersign_core") {
            let path = path.join("::");
            for forbidden in
                ["oath", "secret", "domain::validate", "domain::lockout", "domain::step"]
            {
                assert!(!path.starts_with(forbidden), "store/{file} -> {path}");
            }
        }
    }
}

fn layer_of(file: &str) -> &str {
    let (layer, _) = file.split_once('/').unwrap_or((file, ""));
    layer.trim_end_matches(".rs")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each layer, and the layers that it may name.
const ARROWS: [(&str, &[&str]); 20] = [
    ("lib", &[]),
    ("bin", &["cli"]),
    (
        "cli",
        &[
            "harden",
            "hold",
            "run",
            "init",
            "app",
            "client",
            "vault",
            "store",
            "signer",
            "listener",
            "directory",
        ],
    ),
    ("hold", &["listener"]),
    ("init", &["run", "app", "store", "signer", "vault", "audit"]),
    ("run", &["listener", "app", "store", "signer", "client", "vault", "audit", "directory"]),
    ("listener", &["app", "vault"]),
    ("app", &["store", "signer", "client", "vault", "audit", "directory"]),
    ("store", &["directory"]),
    ("signer", &["vault"]),
    ("client", &["vault", "directory"]),
    ("directory", &[]),
    ("vault", &["store"]),
    ("audit", &[]),
    ("config", &["signer"]),
    ("certificate", &[]),
    ("clock", &[]),
    ("exit", &[]),
    ("harden", &[]),
    ("log", &[]),
];

/// What everybody needs and what needs nobody.
const VALUES: &[&str] = &["certificate", "clock", "config", "exit", "log"];

/// The use case behind MS-OTPCE speaks in that protocol's status codes.
const EXCEPTIONS: [&str; 1] = ["app/countersign.rs"];
