//! The documents name everything that there is: reasons, events, config keys, exit codes.
//!
//! Lists are taken from the source, so a variant or a key that is added without a
//! word in the documents fails here.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::{fs, path::Path};

#[test]
fn every_reason_is_in_the_error_catalogue() {
    let catalogue = section(&read("docs/errors.md"), "## Reasons of a verdict");
    let reasons = variants(&read("countersign-core/src/domain/verdict.rs"), "pub enum Reason {");
    assert!(reasons.contains(&"PasscodeCorrect".to_owned()), "{reasons:?}");
    missing(&catalogue, reasons.iter().map(|reason| format!("| `{}` |", kebab(reason))));
}

#[test]
fn every_reason_in_the_error_catalogue_exists() {
    let catalogue = section(&read("docs/errors.md"), "## Reasons of a verdict");
    let reasons = variants(&read("countersign-core/src/domain/verdict.rs"), "pub enum Reason {");
    let reasons: Vec<_> = reasons.iter().map(|reason| kebab(reason)).collect();
    let rows = catalogue.lines().filter_map(|line| line.strip_prefix("| `"));
    for documented in rows.filter_map(|row| row.split('`').next()) {
        assert!(reasons.iter().any(|reason| reason == documented), "{documented} is no reason");
    }
}

#[test]
fn every_event_of_a_login_is_in_the_error_catalogue() {
    let catalogue = section(&read("docs/errors.md"), "## Client events 10000 to 10022");
    let source = read("countersign/src/app/login/error.rs");
    let digits = source.split(|c: char| !c.is_ascii_digit());
    let events: Vec<_> = digits.filter(|word| word.len() == 5).collect();
    assert!(events.contains(&"10000") && events.contains(&"10022"), "{events:?}");
    missing(&catalogue, events.iter().map(|event| format!("| {event} |")));
}

#[test]
fn every_error_of_a_kdc_is_in_the_error_catalogue() {
    let catalogue = section(&read("docs/errors.md"), "## Kerberos");
    let source = read("countersign/src/client/kerberos.rs");
    let names = source.split('"').filter(|text| {
        text.starts_with("KDC_ERR_") || text.starts_with("KRB_") && text.contains("_ERR_")
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    missing(&catalogue, names.iter().map(|name| format!("| {name} |")));
}

#[test]
fn every_line_of_a_kdc_log_that_is_explained_is_in_the_error_catalogue() {
    let catalogue = section(&read("docs/errors.md"), "## Log of the KDC");
    let source = read("countersign-core/src/krb5/log.rs");
    let texts = source.split("text: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let texts: Vec<_> = texts.collect();
    assert!(texts.contains(&"Connection timed out") && texts.len() > 10, "{texts:?}");
    missing(&catalogue, texts.iter().map(|text| format!("| `{text}` |")));
}

#[test]
fn every_kind_of_audit_event_is_in_the_guide_of_the_auditor() {
    let guide = read("docs/guide/auditor.md");
    let kinds = variants(&read("countersign-core/src/domain/event.rs"), "pub enum What {");
    assert!(kinds.contains(&"Authenticated".to_owned()), "{kinds:?}");
    missing(&guide, kinds.iter().map(|kind| format!("`{}`", kebab(kind))));
}

#[test]
fn every_exit_code_is_in_the_error_catalogue() {
    let catalogue = section(&read("docs/errors.md"), "## Exit codes");
    let source = read("countersign/src/exit.rs");
    let codes = source.lines().filter_map(|line| line.trim().strip_prefix("/// "));
    let codes: Vec<_> =
        codes.filter_map(|line| line.split_once(':')).map(|(code, _)| code).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4"]);
    missing(&catalogue, codes.iter().map(|code| format!("| {code} |")));
}

#[test]
fn every_key_of_the_config_is_in_its_reference() {
    let reference = read("docs/config.md");
    let mut keys = Vec::new();
    for file in [
        "countersign/src/config/file.rs",
        "countersign/src/config/back_sock.rs",
        "countersign/src/config/ldap_proxy.rs",
        "countersign/src/config/radius.rs",
        "countersign/src/config/reply.rs",
        "countersign/src/config/upstream.rs",
        "countersign/src/config/delivery.rs",
        "countersign/src/config/delivery/http.rs",
        "countersign/src/config/delivery/mail.rs",
        "countersign-core/src/pki/profile.rs",
        "countersign-core/src/domain/policy.rs",
        "countersign-core/src/domain/name.rs",
    ] {
        keys.extend(structs_of_the_config(&read(file)).flat_map(fields_of));
    }
    assert!(keys.contains(&"look-ahead".to_owned()) && keys.contains(&"issuing-ca".to_owned()));
    let words: Vec<_> =
        reference.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    let absent: Vec<_> = keys.iter().filter(|key| !words.contains(&key.as_str())).collect();
    assert!(absent.is_empty(), "docs/config.md does not name {absent:?}");
}

#[test]
fn every_key_of_the_template_is_in_the_reference() {
    let reference = read("docs/config.md");
    let template = read("countersign/src/config/template.toml");
    let lines = template.lines().map(|line| line.trim_start_matches("# "));
    let keys = lines.filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    for key in keys.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || "-.".contains(c))) {
        assert!(reference.contains(key), "docs/config.md does not name {key}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = root();
    let mut files = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    files.extend([root.join("SECURITY.md"), root.join("ARCHITECTURE.md")]);
    for directory in ["docs", "docs/guide", "docs/format"] {
        let entries = fs::read_dir(root.join(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let target = file.parent().unwrap().join(link);
            let elsewhere = link.contains("://") || link.starts_with("mailto:");
            assert!(elsewhere || target.exists(), "{}: {link}", file.display());
        }
    }
}

fn missing(text: &str, wanted: impl Iterator<Item = String>) {
    let absent: Vec<_> = wanted.filter(|word| !text.contains(word)).collect();
    assert!(absent.is_empty(), "not documented: {absent:?}");
}

/// From a heading to the next one of the same depth.
fn section(text: &str, heading: &str) -> String {
    let (_, rest) = text.split_once(heading).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The names of an enum's variants: what stands at the first level of indentation.
fn variants(source: &str, head: &str) -> Vec<String> {
    let (_, rest) = source.split_once(head).unwrap();
    let body = rest.split("\n}").next().unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.split([',', ' ', '(', '{']).next().unwrap().to_owned()).collect()
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// The bodies of the structs that serde reads with keys in kebab-case.
fn structs_of_the_config(source: &str) -> impl Iterator<Item = &str> {
    let below = source.split("rename_all = \"kebab-case\")]\n").skip(1);
    let structs = below.filter(|rest| rest.starts_with("pub struct"));
    // Made of `ca.publish-url`; nobody writes it.
    let structs = structs.filter(|rest| !rest.starts_with("pub struct Addresses"));
    structs.filter_map(|rest| rest.split("\n}").next())
}

fn fields_of(body: &str) -> Vec<String> {
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    let names = lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
    names.map(|name| name.replace('_', "-")).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
