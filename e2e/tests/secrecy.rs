//! No secret in any log, and none readable by strangers on disk.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};

use crate::support::{
    clock::unix_time,
    countersign::{RADIUS_SECRET, Site},
    freeradius::{FreeRadius, Role, SECRET},
    oath::OathToken,
    otpce::{Wish, certificate_request, document, post},
    process::run,
    radclient::Answer,
};

#[test]
fn no_otp_pin_or_secret_is_in_any_log() {
    let site = Site::new();
    let upstream = FreeRadius::start(&site.file("freeradius"), Role::OtpServer { signs: true });
    site.configure_with(&format!(
        "log.level = 'trace'\nradius.client.e2e.probe = {{ user = 'probe', password = '{PROBE}' }}\n\
         [upstream.otp]\nservers = ['{}']\nsecret = '{SECRET}'",
        upstream.address(),
    ));
    let hotp = OathToken { digits: 10, ..OathToken::usual(b"secret of the first.") };
    let totp = OathToken { digits: 10, ..OathToken::usual(b"secret of the second") };
    let pin = site.write("pin", PIN);
    site.add_account("alice");
    let mut said = String::new();
    for (token, kind) in [(&hotp, "hotp"), (&totp, "totp")] {
        let secret = site.write("secret", token.base32());
        let ran = site.run([
            "token",
            "add",
            "alice",
            "--type",
            kind,
            "--digits",
            "10",
            "--pin-file",
            pin.to_str().unwrap(),
            "--secret-file",
            secret.to_str().unwrap(),
        ]);
        said += &ran.succeeded();
    }
    site.run(["account", "add", "remote", "--upstream", "otp"]).succeeded();
    let machine = site.issue("machine", "laptop.corp.example");
    let daemon = site.serve();

    let otps = hotp.otps(0, 4);
    let time = totp.totp(unix_time(), 30);
    for (user, passcode, expected) in [
        ("alice", format!("{PIN}{}", otps[0]), Answer::Accept),
        ("alice", format!("{PIN}{}", otps[0]), Answer::Reject),
        ("alice", format!("{PIN}{time}"), Answer::Accept),
        ("alice", format!("{WRONG_PIN}{}", otps[1]), Answer::Reject),
        ("alice", format!("{PIN}{WRONG}"), Answer::Reject),
        ("nobody", format!("{PIN}{}", otps[2]), Answer::Reject),
        ("remote", UPSTREAM_OTP.into(), Answer::Reject),
        ("probe", PROBE.into(), Answer::Accept),
    ] {
        assert_eq!(site.logon(user, &passcode), expected, "{user}");
    }
    let request = certificate_request(&site, "alice", &Wish::of(&["alice@corp.example"]));
    for passcode in [&otps[2], &otps[3], WRONG] {
        let body = document("CORP\\alice", &format!("{PIN}{passcode}"), &request.der);
        assert_eq!(post(&site, &machine, &body).status, 200);
        assert_eq!(post(&site, &machine, &body.replace("/>", "")).status, 400);
    }
    said += &site.run(["account", "show", "alice"]).succeeded();
    said += &site.run(["token", "list"]).succeeded();
    said += &site.run(["check"]).stdout;
    daemon.stop();

    let logs = [
        ("the audit log", site.audit_log()),
        ("the daemon's output", fs::read_to_string(site.log_file()).unwrap()),
        ("what the commands said", said),
    ];
    for (name, log) in &logs {
        assert!(log.len() > 200, "there is nothing in {name}: {log}");
    }
    let master_key =
        fs::read_to_string(site.directory().join(site.setting(&["master-key"]))).unwrap();
    let master_key = HEXLOWER.decode(master_key.trim().as_bytes()).unwrap();
    let mut secrets = vec![
        PIN.to_owned(),
        WRONG_PIN.into(),
        WRONG.into(),
        PROBE.into(),
        UPSTREAM_OTP.into(),
        RADIUS_SECRET.into(),
        SECRET.into(),
        time,
    ];
    secrets.extend(otps);
    for secret in [&hotp.secret, &totp.secret, &master_key] {
        secrets.extend([HEXLOWER.encode(secret), BASE64.encode(secret)]);
        secrets.extend(String::from_utf8(secret.clone()));
        secrets.push(BASE32_NOPAD.encode(secret));
        secrets.push(format!("{secret:?}"));
    }
    for (name, log) in &logs {
        let lower = log.to_lowercase();
        for secret in &secrets {
            assert!(!lower.contains(&secret.to_lowercase()), "{secret} is in {name}:\n{log}");
        }
    }
}

#[test]
fn shared_secrets_are_not_in_the_store_and_keys_are_for_their_owner() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let daemon = site.serve();
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
    daemon.stop();
    let files = files(&site.directory());
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let content = fs::read(&file).unwrap();
        let holds = |needle: &[u8]| content.windows(needle.len()).any(|part| part == needle);
        assert!(!holds(&token.secret), "{} holds a shared secret", file.display());
        assert!(!holds(token.base32().as_bytes()), "{} holds a shared secret", file.display());
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let secret = holds(b"PRIVATE KEY") || file.ends_with(site.setting(&["master-key"]));
        assert!(!secret || mode & 0o077 == 0, "{} has mode {mode:o}", file.display());
        assert!(mode & 0o002 == 0, "{} has mode {mode:o}", file.display());
    }
}

#[test]
fn another_master_key_opens_nothing() {
    let [site, other] = [Site::new(), Site::new()];
    let token = site.add_user("alice", "hotp");
    let key = |site: &Site| site.directory().join(site.setting(&["master-key"]));
    let kept = fs::read(key(&site)).unwrap();
    fs::copy(key(&other), key(&site)).unwrap();
    for command in [&["serve"][..], &["account", "show", "alice"]] {
        let refused = run(site.command([]).args(command), b"");
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        assert!(refused.stderr.contains("master key"), "{refused}");
    }
    fs::write(key(&site), kept).unwrap();
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

const PIN: &str = "Kq7-geheim";
const WRONG_PIN: &str = "Xw3-falsch";
const WRONG: &str = "9081726354";
const PROBE: &str = "probe-password-58";
const UPSTREAM_OTP: &str = "8172635409";
