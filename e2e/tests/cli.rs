//! The command line: what is wrong is named, with its cause and what to do about it.

use std::{fs, process::Command};

use crate::support::{
    countersign::{Site, program},
    oath::OathToken,
    process::{Ran, run},
    radclient::Answer,
};

/// Checks that a command failed with one of the documented exit codes and named the object.
#[track_caller]
fn complains(ran: Ran, code: i32, object: &str) {
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    assert!(ran.stderr.contains(object), "{object:?} is not named:\n{ran}");
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("RUST_BACKTRACE"), "{ran}");
}

#[test]
fn wrong_input_is_refused_with_object_and_cause() {
    let site = Site::new();
    site.add_account("alice");
    let empty = site.write("empty", "");
    let garbage = site.write("garbage", "not base32!\n");
    let good = site.write("good", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    let [empty, garbage, good] = [&empty, &garbage, &good].map(|file| file.to_str().unwrap());
    complains(site.run(["account", "add", "alice"]), FAILURE, "alice");
    complains(site.run(["account", "add", "ALICE"]), FAILURE, "alice");
    complains(site.run(["account", "add", ""]), FAILURE, "name");
    complains(site.run(["account", "add", "bob", "--sid", "S-1-x"]), FAILURE, "S-1-x");
    complains(site.run(["account", "add", "bob", "--dn", "Bob"]), FAILURE, "Bob");
    complains(site.run(["account", "add", "bob", "--upstream", "nowhere"]), FAILURE, "nowhere");
    complains(site.run(["account", "show", "ghost"]), FAILURE, "ghost");
    complains(site.run(["account", "disable", "ghost"]), FAILURE, "ghost");
    complains(site.run(["account", "unlock", "ghost"]), FAILURE, "ghost");
    complains(site.run(["token", "add", "ghost", "--secret-file", good]), FAILURE, "ghost");
    let add = |option: &str, value: &str| {
        let secret = if option == "--secret-file" { value } else { good };
        let add = ["token", "add", "alice", "--type", "totp", "--secret-file", secret];
        let option: &[&str] = if option == "--secret-file" { &[] } else { &[option, value] };
        run(site.command(add).args(option), b"")
    };
    complains(add("--digits", "5"), USAGE, "5");
    complains(add("--digits", "11"), USAGE, "11");
    complains(add("--period", "0"), USAGE, "0");
    complains(add("--algorithm", "md5"), USAGE, "md5");
    complains(add("--secret-file", "/nowhere/secret"), FAILURE, "/nowhere/secret");
    complains(add("--secret-file", empty), FAILURE, empty);
    complains(add("--secret-file", garbage), FAILURE, "base32");
    complains(add("--pin-file", "/nowhere/pin"), FAILURE, "/nowhere/pin");
    complains(add("--pin-file", empty), FAILURE, empty);
    complains(site.run(["token", "add", "alice", "--type", "ocra"]), USAGE, "ocra");
    complains(site.run(["ca", "issue", "user", "x", "--out", "/tmp"]), USAGE, "user");
    complains(site.run(["ca", "issue", "server", "bad name", "--out", empty]), FAILURE, "");
    complains(site.run(["frobnicate"]), USAGE, "frobnicate");
}

#[test]
fn init_does_not_touch_what_is_there() {
    let site = Site::new();
    let before = fs::read(site.config_file()).unwrap();
    let directory = site.directory();
    let ran = run(Command::new(program()).arg("init").arg(&directory), b"");
    complains(ran, FAILURE, directory.to_str().unwrap());
    assert_eq!(fs::read(site.config_file()).unwrap(), before);
}

#[test]
fn config_that_cannot_be_used_is_exit_code_3_with_line_and_key() {
    let site = Site::new();
    let good = fs::read_to_string(site.config_file()).unwrap();
    for (change, object) in [
        ("unknown-key = 1", "unknown-key"),
        ("radius.listen = 'nonsense'", "countersign.toml:"),
        ("radius.client.e2e.address = '300.1.1.1'", "300.1.1.1"),
        ("otpce.path = 'otpce'", "otpce.path"),
        ("ca.publish-url = 'https://x/'", "ca.publish-url"),
        ("policy.totp.window = 1000000", "policy.totp.window"),
        ("[upstream.x]\nservers = []\nsecret = 'y'", "upstream.x"),
    ] {
        fs::write(site.config_file(), &good).unwrap();
        site.configure_with(change);
        for command in ["check", "serve"] {
            complains(site.run([command]), CONFIG, object);
        }
    }
    fs::write(site.config_file(), "store = [").unwrap();
    complains(site.run(["check"]), CONFIG, "countersign.toml");
    fs::remove_file(site.config_file()).unwrap();
    complains(site.run(["check"]), CONFIG, "countersign.toml");
}

#[test]
fn check_finds_who_asks_an_upstream_that_is_gone() {
    let site = Site::new();
    site.configure_with("[upstream.old]\nservers = ['127.0.0.1:9']\nsecret = 'sixteen octets!!'");
    site.run(["account", "add", "carol", "--upstream", "old"]).succeeded();
    site.add_account("dave");
    let remote =
        ["token", "add", "dave", "--type", "remote", "--upstream", "old", "--label", "fob"];
    site.run(remote).succeeded();
    site.run(["check"]).succeeded();
    site.configure(|config| drop(config.remove("upstream")));
    let ran = site.run(["check", "--quiet"]);
    assert_eq!(ran.status.code(), Some(FAILURE), "{ran}");
    for object in ["account carol", "token fob", "\"old\""] {
        assert!(ran.stdout.contains(object), "{object}: {ran}");
    }
}

#[test]
fn check_finds_what_would_fail_at_run_time() {
    let site = Site::new();
    site.run(["check"]).succeeded();
    let taken = std::net::TcpListener::bind(("127.0.0.1", site.otpce_port)).unwrap();
    let port = site.otpce_port.to_string();
    let ran = site.run(["check"]);
    assert_eq!(ran.status.code(), Some(FAILURE), "{ran}");
    assert!(ran.stdout.contains(&port), "the port that is taken is named:\n{ran}");
    drop(taken);
    let key = site.directory().join(site.setting(&["ca", "key"]));
    let hidden = key.with_extension("hidden");
    fs::rename(&key, &hidden).unwrap();
    let ran = site.run(["check"]);
    assert_eq!(ran.status.code(), Some(FAILURE), "{ran}");
    assert!(ran.stdout.contains(key.file_name().unwrap().to_str().unwrap()), "{ran}");
    fs::rename(&hidden, &key).unwrap();
    site.run(["check"]).succeeded();
}

#[test]
fn serve_says_which_port_is_taken() {
    let site = Site::new();
    let _taken = std::net::UdpSocket::bind(("127.0.0.1", site.radius_port)).unwrap();
    complains(site.run(["serve"]), FAILURE, &site.radius_port.to_string());
}

#[test]
fn second_daemon_on_one_store_is_refused() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let second = site.run(["serve"]);
    assert!(!second.status.success(), "{second}");
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept, "the first one goes on");
}

#[test]
fn accounts_and_tokens_are_managed_while_the_daemon_runs_and_while_it_does_not() {
    let site = Site::new();
    let before = site.add_user("before", "hotp");
    let daemon = site.serve();
    let during = site.add_user("during", "hotp");
    assert_eq!(site.logon("before", &before.otp(0)), Answer::Accept);
    assert_eq!(site.logon("during", &during.otp(0)), Answer::Accept);
    daemon.stop();
    let listed = site.run(["account", "list"]).succeeded();
    assert!(listed.contains("before") && listed.contains("during"), "{listed}");
    let _daemon = site.serve();
    assert_eq!(site.logon("during", &during.otp(0)), Answer::Reject);
    assert_eq!(site.logon("during", &during.otp(1)), Answer::Accept);
}

#[test]
fn drawn_secret_is_shown_as_key_uri_on_request_only() {
    let site = Site::new();
    site.add_account("alice");
    let refused = site.run(["token", "add", "alice"]).failed();
    assert!(refused.contains("--show-uri"), "{refused}");
    let add = ["token", "add", "alice", "--type", "hotp", "--digits", "8", "--show-uri"];
    let shown = site.run(add).succeeded();
    let (_, secret) = shown.split_once("secret=").unwrap_or_else(|| panic!("{shown}"));
    let secret: String = secret.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(shown.contains("otpauth://hotp/") && shown.contains("digits=8"), "{shown}");
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let token = OathToken { digits: 8, ..OathToken::usual(&secret) };
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
}

#[test]
fn answers_are_json_on_request() {
    let site = Site::new();
    site.add_account("alice");
    for arguments in [&["account", "show", "alice"][..], &["account", "list"]] {
        let ran = run(site.command(["--json"]).args(arguments), b"");
        let value: serde_json::Value = serde_json::from_str(&ran.succeeded()).unwrap();
        assert!(value.to_string().contains("alice"), "{value}");
    }
    let ran = site.run(["account", "show", "ghost", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(value["error"].as_str().unwrap().contains("ghost"), "{ran}");
}

const FAILURE: i32 = 1;
const USAGE: i32 = 2;
const CONFIG: i32 = 3;
