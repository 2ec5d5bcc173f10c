//! What configs are read, and what is said about the ones that are not.

#![expect(clippy::unwrap_in_result, reason = "these are tests")]

use std::{fs, path::Path};

use super::{Config, template::Filling};

fn filling() -> Filling {
    Filling {
        domain: "EXAMPLE".into(),
        realm: "example.com".into(),
        host: "otp.example.com".into(),
        ca_name: "Example CA".into(),
        listen: "127.0.0.1".parse().unwrap(),
        radius_port: 1812,
        otpce_port: 8443,
        est_port: 8444,
        http_port: 8080,
        key_type: "rsa-2048".into(),
    }
}

fn load(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("radius")).unwrap();
    fs::write(dir.path().join("radius/localhost.secret"), "correct horse\nnot this\n").unwrap();
    let path = dir.path().join("countersign.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path)
        .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
}

/// The template with one line replaced by another.
fn with(line: &str, instead: &str) -> Result<Config, String> {
    let text = filling().render();
    assert!(text.contains(line), "the template has no {line:?}");
    load(&text.replacen(line, instead, 1))
}

#[test]
fn the_template_is_a_config_and_leaves_nothing_open() {
    let text = filling().render();
    let open = text.split('@').skip(1).any(|after| after.starts_with(char::is_uppercase));
    assert!(!open, "{text}");
    let config = load(&text).unwrap();
    let radius = config.radius.unwrap();
    assert_eq!(radius.rules.clients[0].secret.expose(), b"correct horse");
    assert!(radius.rules.clients[0].require_message_authenticator);
    assert_eq!(config.otpce.unwrap().issuing_ca, [r"otp.example.com:8444\Example CA"]);
    assert_eq!(config.policy.lockout.lock_time, 900);
}

#[test]
fn the_template_says_what_the_defaults_are() {
    let text = filling().render();
    let start = text.find("[policy.hotp]").unwrap();
    let end = text.find("[radius]").unwrap();
    let without = format!("{}{}", &text[..start], &text[end..]);
    let (with, without) = (load(&text).unwrap(), load(&without).unwrap());
    assert_eq!(with.policy, without.policy);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_column_and_without_the_line() {
    let error = with("[radius]\n", "[radius]\nsecrte = \"hush\"\n").unwrap_err();
    assert!(error.starts_with("config DIR/countersign.toml:"), "{error}");
    assert!(error.contains("unknown field `secrte`"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn a_delivery_channel_is_read_and_its_errors_have_a_line() {
    let channel = "[delivery.script]\ntype = \"script\"\ncommand = [\"bin/send\"]\n";
    let config = with("[radius]\n", &format!("{channel}[radius]\n")).unwrap();
    assert_eq!(config.deliveries[0].name, "script");
    let wrong = format!("{channel}otp = \"hush\"\n[radius]\n");
    let error = with("[radius]\n", &wrong).unwrap_err();
    let line = 1 + filling().render().split("[radius]\n").next().unwrap().matches('\n').count();
    assert!(error.starts_with(&format!("config DIR/countersign.toml:{line}:1: ")), "{error}");
    assert!(error.contains("unknown field `otp`") && !error.contains("hush"), "{error}");
}

#[test]
fn a_secret_of_the_wrong_type_is_not_repeated() {
    let error = with("secret-file = \"radius/localhost.secret\"", "secret = 271828").unwrap_err();
    assert!(error.contains("a text in quotes") && !error.contains("271828"), "{error}");
}

#[test]
fn values_of_the_wrong_type_are_named_by_their_key_and_without_names_of_types() {
    for (instead, expected) in [
        ("retry-grace = 5", "retry-grace: invalid type: integer `5`, expected a string; write it"),
        ("max-requests-per-second = 0", "integer `0`, expected a number from 1 on"),
        ("reply = [{ attribute = 6, from='x' }]", "from: unknown variant `x`, expected one of"),
        ("kdc = false\nkdc = true", "kdc is there twice; remove one"),
        ("[policy.challenge]", "challenge is there twice; remove one"),
    ] {
        let line = "address = \"127.0.0.1\"\n";
        let error = with(line, &format!("{line}{instead}\n")).unwrap_err();
        assert!(error.contains(expected), "{instead}: {error}");
    }
}

#[test]
fn values_that_make_no_sense_are_named_by_their_key() {
    for (line, instead, expected) in [
        (
            "look-ahead = 10",
            "look-ahead = 5000",
            "policy.hotp.look-ahead: 5000 is too wide, 100 at most",
        ),
        ("lock-time = \"15m\"", "lock-time = \"15\"", "15"),
        (
            "resend-after = \"30s\"",
            "resend-after = \"0s\"",
            "policy.delivery.resend-after: 0 seconds are out of bounds, from 1s to 86400s",
        ),
        ("words = [\"otp\"]", "words = [\"\"]", "policy.delivery.words: \"\" is no word"),
        (
            "address = \"127.0.0.1\"",
            "address = \"localhost\"",
            "neither an IP address nor a prefix",
        ),
        ("secret-file = \"radius/localhost.secret\"", "", "exactly one of secret and secret-file"),
        ("localhost.secret", "missing.secret", "radius.client.localhost.secret-file"),
        (
            "listen = [\"127.0.0.1:1812\"]",
            "tls = { listen = ['[::1]:2083'], certificate = 'a', key = 'b', client-trust = 'c' }",
            "radius.client.localhost.address: there is neither radius.listen nor radius.listen-tcp",
        ),
        (
            "[radius.client.localhost]",
            "[radius.realm.'A.b']\n[radius.realm.'a.B']\n[radius.client.localhost]",
            "radius.realm.\"a.B\": it is the same as radius.realm.\"A.b\"",
        ),
        ("path = \"/otpce\"", "path = \"otpce\"", "does not begin with /"),
        (r"otp.example.com:8444\Example CA", "otp.example.com", r"not of the form 'host\CA name'"),
        ("http://otp", "https://otp", "fetched over plain http://"),
        (
            "key-type = \"rsa-2048\"",
            "key-type = \"p-256\"\nsha1 = true",
            "ra.sha1: it needs an RSA key, and key-type is p-256",
        ),
    ] {
        let error = with(line, instead).unwrap_err();
        assert!(error.contains(expected), "{line} -> {instead}: {error}");
    }
}

#[test]
fn sections_that_need_each_other_are_missed() {
    let text = filling().render();
    let ca = text.find("[ca]").unwrap();
    let est = text.find("[est]").unwrap();
    let error = load(&format!("{}{}", &text[..ca], &text[est..])).unwrap_err();
    assert!(error.contains("ra: it needs [ra.est]"), "{error}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let error = Config::load(Path::new("/nowhere/countersign.toml")).unwrap_err().to_string();
    assert!(error.contains("countersign init DIR"), "{error}");
}

/// The sections of a config that slapd asks by, with more keys of `[back-sock]`.
fn back_sock(more: &str) -> Result<Config, String> {
    let section = "[back-sock]\nsocket = \"x\"\nsuffixes = [\"dc=x\"]\naccounts = [\"ou=a,dc=x\"]";
    load(&format!("{}\n{section}\n{more}\n", filling().render()))
}

#[test]
fn slapd_is_not_answered_by_an_otp_alone() {
    let error = back_sock("").unwrap_err();
    assert!(error.contains("back-sock.password: the embedded store keeps no passwords"), "{error}");
    let directory = "[directory]\nurl = \"ldapi:///l\"\nbase = \"dc=x\"";
    assert!(back_sock(directory).is_ok());
    let proxy =
        "[bind-proxy]\nproviders = [\"ldaps://p\"]\nreplica = \"ldapi:///l\"\nbase = \"dc=x\"";
    assert!(back_sock(proxy).is_ok());
    let strict = format!("{proxy}\nself = \"ldaps://p\"");
    assert!(back_sock(&strict).unwrap_err().contains("back-sock.password"));
}

#[test]
fn accounts_that_no_name_of_slapd_leads_to_are_not_left_to_slapd() {
    let by_directory = "password = \"directory\"\nhand-back-url = \"ldapi:///l\"";
    let error = back_sock(by_directory).unwrap_err();
    assert!(error.contains("back-sock.login-attribute"), "{error}");
    assert!(back_sock(&format!("{by_directory}\nlogin-attribute = \"uid\"")).is_ok());
    assert!(back_sock(&format!("{by_directory}\nwithout-token = \"refuse\"")).is_ok());
}
