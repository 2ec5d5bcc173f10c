//! `countersign ldap config`: what it writes is taken by a real slapd, and works there as meant.

use std::{fs, path::Path, process::Command};

use tempfile::tempdir;

use crate::support::{
    countersign::program,
    directory::{ACCOUNTS, Entry, SUFFIX, Seed, TOKENS, User},
    ldap::As,
    process::run,
    slapd::{ADMIN, ADMIN_PASSWORD, CONFIG_ADMIN, Setup, Slapd, responder::Responder},
};

/// A directory that knows nothing of OTPs, but locks who fails too often.
struct Plain {
    slapd: Slapd,
    home: tempfile::TempDir,
}

impl Plain {
    fn new() -> Self {
        let home = tempdir().unwrap();
        let policy =
            Entry::new(format!("cn=policy,{SUFFIX}"), &["applicationProcess", "pwdPolicy"])
                .with("cn", "policy")
                .with("pwdAttribute", "userPassword")
                .with("pwdLockout", "TRUE");
        let access = vec![
            format!("to attrs=userPassword by self =w by anonymous auth"),
            "to * by users read by anonymous auth".to_owned(),
        ];
        let setup = Setup {
            plain: true,
            password_policy: Some(policy),
            access: Some(access),
            ..Setup::default()
        };
        let bob = User::without_token("bob");
        let slapd = Slapd::start(&home.path().join("slapd"), &setup, &bob.entries());
        Self { slapd, home }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.home.path().join("countersign.socket")
    }

    /// What `countersign ldap config` writes, for the user who runs the test.
    fn config(&self, more: &str, arguments: &[&str]) -> String {
        let file = self.home.path().join("countersign.toml");
        fs::write(&file, config(&self.slapd.ldapi_url(), &self.socket(), more)).unwrap();
        let user = fs::metadata(&file).map(|file| std::os::unix::fs::MetadataExt::uid(&file));
        let mut command = Command::new(program());
        command.arg("--config").arg(&file).args(["ldap", "config"]).args(arguments);
        command.args(["--user", &user.unwrap().to_string()]);
        run(&mut command, b"").succeeded()
    }

    /// Applies all of it, as the administrators of cn=config and of the database.
    fn apply(&self, arguments: &[&str]) {
        self.slapd.configure(&self.config("", &[&["slapd"], arguments].concat()));
        self.slapd.modify(&self.config("", &[&["entries"], arguments].concat()));
    }
}

#[test]
fn slapd_takes_all_of_it_and_stays_as_its_files_say() {
    let mut plain = Plain::new();
    let all = ["--manages-tokens", "--enrolment", "uid=enrolment,ou=services,dc=example,dc=test"];
    plain.apply(&[&all[..], &["--administrators", GROUP]].concat());
    let check = |plain: &Plain| {
        let mut command = Command::new("/usr/sbin/slaptest");
        run(command.arg("-F").arg(plain.slapd.path("config")), b"").succeeded();
    };
    check(&plain);
    plain.slapd.restart();
    check(&plain);
    // The overlay is below the password policy, which refuses who is locked.
    let as_config = As::Simple(CONFIG_ADMIN, ADMIN_PASSWORD);
    let said = plain.slapd.ldapi().search(
        as_config,
        "cn=config",
        "(objectClass=olcOverlayConfig)",
        &["olcOverlay"],
    );
    assert!(said.text.contains("olcOverlay: {0}sock"), "{}", said.text);
    assert!(said.text.contains("olcOverlay: {1}ppolicy"), "{}", said.text);
}

#[test]
fn binds_of_accounts_come_to_the_socket_and_nothing_else_does() {
    let plain = Plain::new();
    let responder = Responder::saying(&plain.socket(), b"CONTINUE\n");
    plain.apply(&[]);
    let (bob, ldap) = (User::without_token("bob"), plain.slapd.ldap());
    assert_eq!(ldap.bind(&bob.dn(), &bob.password), 0);
    assert_eq!(responder.requests().len(), 1);
    assert_eq!(ldap.bind(ADMIN, ADMIN_PASSWORD), 0);
    assert_eq!(ldap.bind(&format!("uid=x\\0Acred: y,{ACCOUNTS}"), "x"), 49);
    assert_eq!(responder.requests().len(), 1);
}

#[test]
fn the_daemon_sees_seeds_and_nobody_else_does() {
    let plain = Plain::new();
    let _responder = Responder::saying(&plain.socket(), b"CONTINUE\n");
    plain.apply(&["--administrators", GROUP]);
    let (bob, ldapi) = (User::without_token("bob"), plain.slapd.ldapi());
    let alice = User { seed: Seed::Base32, ..User::hotp("alice") };
    plain.slapd.add(&alice.entries());
    plain
        .slapd
        .add(&[Entry::new(GROUP, &["groupOfNames"]).with("cn", "otp").with("member", bob.dn())]);
    let token = alice.token_dn();
    assert!(ldapi.whoami(As::External).text.contains("cn=countersign,dc=example,dc=test"));
    assert_eq!(ldapi.values(As::External, &token, "oathSecret"), [alice.token.base32()]);
    assert_eq!(ldapi.values(As::External, &alice.dn(), "userPassword").concat(), alice.stored);
    assert!(ldapi.values(As::External, &bob.dn(), "userPassword").is_empty());
    let count =
        format!("dn: {token}\nchangetype: modify\nreplace: oathHOTPCounter\noathHOTPCounter: 3\n");
    assert_eq!(ldapi.modify(As::External, &count).code, 0);
    // An administrator resets a token without seeing its seed.
    let admin = As::Simple(&bob.dn(), &bob.password);
    assert!(ldapi.values(admin, &token, "oathSecret").is_empty());
    assert_eq!(ldapi.values(admin, &token, "oathHOTPCounter"), ["3"]);
    assert_eq!(ldapi.modify(admin, &count).code, 50);
    let reset = format!("dn: {token}\nchangetype: modify\ndelete: oathHOTPCounter\n");
    assert_eq!(ldapi.modify(admin, &reset).code, 0);
    // slapd never checks the password of an account with a token, not even by CONTINUE.
    assert_eq!(ldapi.bind(&alice.dn(), &alice.password), 49);
}

#[test]
fn hand_back_opens_the_password_to_the_own_socket_of_slapd_alone() {
    let plain = Plain::new();
    let _responder = Responder::saying(&plain.socket(), b"CONTINUE\n");
    let hand_back =
        format!("password = \"directory\"\nhand-back-url = \"{}\"\n", plain.slapd.ldapi_url());
    plain.slapd.configure(&plain.config(&hand_back, &["slapd"]));
    plain.slapd.modify(&plain.config(&hand_back, &["entries"]));
    let alice = User::hotp("alice");
    plain.slapd.add(&alice.entries());
    assert_eq!(plain.slapd.ldapi().bind(&alice.dn(), &alice.password), 0);
    assert_eq!(plain.slapd.ldap().bind(&alice.dn(), &alice.password), 49);
}

#[test]
fn units_are_units_to_systemd() {
    let plain = Plain::new();
    for (part, name) in
        [("socket-unit", "countersign.socket"), ("service-unit", "countersign.service")]
    {
        let file = plain.home.path().join(name);
        // It looks for the program and the units that are named.
        let text = plain.config("", &[part]).replace("/usr/bin/countersign", "/bin/true");
        let text = text.replace("countersign-slapd.socket", "countersign.socket");
        fs::write(&file, text).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no"]);
    let said = run(command.arg(plain.home.path().join("countersign.service")), b"");
    assert!(!said.stderr.contains("countersign.service:"), "{said}");
}

#[test]
fn json_has_the_same_parts() {
    let plain = Plain::new();
    let json = plain.config("", &["--json", "overlay"]);
    let parts: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parts[0]["name"], "overlay");
    assert_eq!(parts[0]["place"], "config");
    assert!(parts[0]["text"].as_str().unwrap().contains("olcOvSocketDNpat"), "{json}");
}

fn config(url: &str, socket: &Path, more: &str) -> String {
    format!(
        r#"master-key = "master.key"
store = "store"
audit-log = "audit.log"
control-socket = "control.sock"
[site]
domain = "EXAMPLE"
realm = "example.test"
[directory]
url = "{url}"
base = "{SUFFIX}"
[back-sock]
socket = "{}"
suffixes = ["{SUFFIX}"]
accounts = ["{ACCOUNTS}"]
tokens = ["{TOKENS}"]
{more}"#,
        socket.display()
    )
}

const GROUP: &str = "cn=otp,ou=groups,dc=example,dc=test";
