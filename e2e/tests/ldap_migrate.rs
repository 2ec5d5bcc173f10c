//! `countersign ldap genkey | migrate | rekey` with a real slapd: what slapo-otp counted is
//! carried on, nothing is done twice, nothing without being asked for.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::{
    countersign::program,
    directory::{ACCOUNTS, Entry, Kind, PRIVATE_KEY, PRIVATE_KEY_FILE, SUFFIX, Seed, TOKENS, User},
    ldap::As,
    ldap_stage::LdapStage,
    process::{Ran, run},
    slapd::{ADMIN, ADMIN_PASSWORD, Setup, Slapd},
};

/// A slapd, and the config of a daemon that has its own key files.
struct Site {
    slapd: Slapd,
    home: TempDir,
}

impl Site {
    fn new(setup: &Setup, entries: &[Entry]) -> Self {
        let home = tempdir().unwrap();
        let slapd = Slapd::start(&home.path().join("slapd"), setup, entries);
        let site = Self { slapd, home };
        fs::create_dir(site.path("keys")).unwrap();
        fs::write(site.path("admin.pw"), ADMIN_PASSWORD).unwrap();
        let url = site.slapd.ldapi_url();
        let config = format!(
            "master-key = \"master.key\"\nstore = \"store\"\naudit-log = \"audit.log\"\n\
             control-socket = \"control.sock\"\n[site]\ndomain = \"EXAMPLE\"\n\
             realm = \"example.test\"\n[directory]\nurl = \"{url}\"\nbase = \"{SUFFIX}\"\n\
             keys = [\"keys/*.priv\"]\n[directory.account]\nfilter = \"(objectClass=account)\"\n\
             [back-sock]\nsocket = \"countersign.socket\"\nsuffixes = [\"{SUFFIX}\"]\n\
             accounts = [\"{ACCOUNTS}\"]\ntokens = [\"{TOKENS}\"]\n"
        );
        fs::write(site.path("countersign.toml"), config).unwrap();
        site
    }

    /// The same with a key that `genkey` has made.
    fn with_key(setup: &Setup, entries: &[Entry]) -> Self {
        let site = Self::new(setup, entries);
        site.genkey();
        site
    }

    fn genkey(&self) -> Value {
        let keys = self.path("keys");
        let arguments = ["--json", "ldap", "genkey", "--type", "p256", "--dir"];
        let mut command = self.command(&arguments);
        serde_json::from_str(&run(command.arg(&keys), b"").succeeded()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--config").arg(self.path("countersign.toml")).args(arguments);
        command
    }

    /// As the administrator, because the validator must not write secrets.
    fn as_administrator(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.args(["--bind-dn", ADMIN, "--bind-password-file"]).arg(self.path("admin.pw"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.as_administrator(arguments), b"")
    }

    fn migrate(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[&["--json", "ldap", "migrate"], arguments].concat());
        serde_json::from_str(&ran.succeeded()).unwrap()
    }

    fn value(&self, user: &User, attribute: &str) -> String {
        let as_admin = As::Simple(ADMIN, ADMIN_PASSWORD);
        self.slapd.ldapi().values(as_admin, &user.token_dn(), attribute).join("|")
    }
}

#[test]
fn what_slapo_otp_counted_is_carried_on() {
    let access = Some(vec!["to * by users read by anonymous auth".to_owned()]);
    let setup = Setup { otp: true, access, ..Setup::default() };
    let alice = User { seed: Seed::Raw, kind: Some(Kind::Hotp(None)), ..User::hotp("alice") };
    let bob = User { seed: Seed::Raw, ..User::totp("bob") }.with("oathTOTPLastTimeStep", 7);
    let site = Site::with_key(&setup, &[alice.entries(), bob.entries()].concat());
    for counter in [0, 1] {
        assert_eq!(site.slapd.ldap().bind(&alice.dn(), &alice.credentials(counter)), 0);
    }
    assert_eq!(site.value(&alice, "oathHOTPCounter"), "1");
    let raw = site.value(&alice, "oathSecret");

    let said = site.run(&["ldap", "migrate", "--from", "slapo-otp"]).succeeded();
    for words in [
        "1 (last used) becomes 2 (next expected)",
        "Entries that would change: 2",
        "Nothing was changed",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains(&alice.token.base32()) && !said.contains("alice*"), "{said}");
    assert_eq!(site.value(&alice, "oathSecret"), raw);

    let said = site.run(&["ldap", "migrate", "--from", "slapo-otp", "--apply"]).succeeded();
    assert!(said.contains("Entries that were changed: 2 of 2"), "{said}");
    assert_eq!(site.value(&alice, "oathHOTPCounter"), "2");
    assert_eq!(site.value(&bob, "oathTOTPLastTimeStep"), "7");
    for user in [&alice, &bob] {
        assert!(site.value(user, "oathSecret").starts_with("{\"ciphertext\":"));
        assert_eq!(site.value(user, "oathFailureCount"), "0");
    }
    for from in ["slapo-otp", "oath-ldap"] {
        let said = site.run(&["ldap", "migrate", "--from", from, "--apply"]).succeeded();
        assert!(said.contains("There is nothing to change"), "{said}");
    }
}

/// Raw seeds are refused by the daemon, so nobody is let in before, and the OTP that slapo-otp
/// took last is let in never.
#[test]
fn the_daemon_goes_on_where_slapo_otp_stopped() {
    let alice = User { seed: Seed::Raw, kind: Some(Kind::Hotp(Some(41))), ..User::hotp("alice") };
    let stage = LdapStage::with(
        &[&alice],
        Setup::default(),
        "[directory]\nplain-secrets = \"refuse\"\nhotp-counter = \"next\"\n",
    );
    assert_ne!(stage.bind(&alice, &alice.credentials(42)), 0);
    let password = stage.site.write("admin.pw", ADMIN_PASSWORD);
    let mut migrate =
        stage.site.command(["ldap", "migrate", "--from", "slapo-otp", "--apply", "--bind-dn"]);
    run(migrate.arg(ADMIN).arg("--bind-password-file").arg(password), b"").succeeded();
    assert_eq!(stage.counter(&alice), Some(42));
    assert_ne!(stage.bind(&alice, &alice.credentials(41)), 0);
    assert_eq!(stage.bind(&alice, &alice.credentials(42)), 0);
    assert_ne!(stage.bind(&alice, &alice.credentials(42)), 0);
    assert_eq!(stage.counter(&alice), Some(43));
}

#[test]
fn an_entry_is_changed_as_a_whole_or_not_at_all_however_often_it_is_killed() {
    let setup = Setup::default();
    let users: Vec<_> = (0..150_u64)
        .map(|number| User {
            seed: Seed::Raw,
            kind: Some(Kind::Hotp(Some(number))),
            serial: number,
            ..User::hotp(&format!("user{number}"))
        })
        .collect();
    let entries: Vec<_> = users.iter().flat_map(User::entries).collect();
    let site = Site::with_key(&setup, &entries);
    let changed = || {
        let as_admin = As::Simple(ADMIN, ADMIN_PASSWORD);
        let encrypted = "(oathSecret={*)";
        let found = site.slapd.ldapi().search(as_admin, TOKENS, encrypted, &["1.1"]);
        found.text.matches("dn: ").count()
    };
    for goal in [1, 40, 80] {
        let mut command =
            site.as_administrator(&["ldap", "migrate", "--from", "slapo-otp", "--apply"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        while changed() < goal && is_running(&mut child) {}
        let _ = child.kill();
        child.wait().unwrap();
    }
    site.migrate(&["--from", "slapo-otp", "--apply"]);
    for (number, user) in users.iter().enumerate() {
        assert_eq!(site.value(user, "oathHOTPCounter"), (number + 1).to_string());
        assert!(site.value(user, "oathSecret").starts_with('{'), "{number}");
    }
}

#[test]
fn a_directory_of_oath_ldap_is_used_as_it_is_and_says_what_is_wrong() {
    let sealed = User { kind: Some(Kind::Hotp(Some(4))), ..User::hotp("alice").sealed() };
    let clear = User::hotp("bob");
    let lost = Entry::new(format!("uid=carol,ou=accounts,{SUFFIX}"), &["account"])
        .with("objectClass", "oathHOTPUser")
        .with("uid", "carol")
        .with("oathHOTPToken", format!("cn=gone,{TOKENS}"));
    let entries = [sealed.entries(), clear.entries(), vec![lost]].concat();
    let site = Site::with_key(&Setup::default(), &entries);
    let said = site.run(&["ldap", "migrate", "--from", "oath-ldap"]).failed();
    for words in [
        "oathHOTPToken leads to \"cn=gone,cn=otp,dc=example,dc=test\", which is not there",
        "for the key \"oathldap_primary_key_202601010000\", which is not among the keys",
        "20 octets in clear are encrypted to",
        "Entries that would change: 1",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The validator's own identity may read and must not write secrets.
    let mut own = site.command(&["ldap", "migrate", "--from", "oath-ldap", "--apply"]);
    let said = run(&mut own, b"").failed();
    assert!(said.contains("not done: directory") && said.contains("result code 50"), "{said}");
    let jwe = site.value(&sealed, "oathSecret");
    let said = site.run(&["ldap", "migrate", "--from", "oath-ldap", "--apply"]).failed();
    assert!(said.contains("Entries that were changed: 1 of 1"), "{said}");
    assert_eq!(site.value(&sealed, "oathSecret"), jwe);
    assert!(site.value(&clear, "oathSecret").starts_with('{'));
}

#[test]
fn after_rekeying_the_old_key_is_needed_no_more() {
    let alice = User::hotp("alice").sealed().with("oathTokenPIN", sample_pin());
    let site = Site::new(&Setup::default(), &alice.entries());
    let old = site.path("keys").join(PRIVATE_KEY_FILE);
    fs::write(&old, PRIVATE_KEY).unwrap();
    let said = site.run(&["ldap", "rekey"]).failed();
    assert!(said.contains("chmod 0600"), "{said}");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o600)).unwrap();
    let made = site.genkey();
    let new = made["kid"].as_str().unwrap();

    let said = site.run(&["ldap", "rekey"]).succeeded();
    for attribute in ["oathSecret", "oathTokenPIN"] {
        let words = format!("{attribute}: from oathldap_primary_key_202601010000 to {new}");
        assert!(said.contains(&words), "{said}");
    }
    site.run(&["ldap", "rekey", "--apply"]).succeeded();
    fs::remove_file(&old).unwrap();
    for arguments in [&["ldap", "rekey"][..], &["ldap", "migrate", "--from", "oath-ldap"]] {
        let said = site.run(arguments).succeeded();
        assert!(said.contains("There is nothing to change"), "{said}");
    }
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

fn sample_pin() -> String {
    crate::support::directory::sample("pin_jwe")
}
