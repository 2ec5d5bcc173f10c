//! What is written for slapd follows from the config; a real slapd judges it in `e2e`.

use std::fs;

use super::*;
use crate::config::Config;

/// Only UNIX sockets, accounts and tokens in slapd.
const PLAIN: &str = r#"
master-key = "master.key"
store = "store"
audit-log = "audit.log"
control-socket = "control.sock"
[site]
domain = "EXAMPLE"
realm = "example.com"
[directory]
url = "ldapi:///run/slapd/ldapi"
base = "dc=Example, dc=test"
[back-sock]
socket = "/run/countersign/slapd.socket"
suffixes = ["dc=example,dc=test"]
accounts = ["ou=accounts,dc=example,dc=test"]
tokens = ["cn=otp,dc=example,dc=test"]
"#;

/// A listener that needs the network.
const RADIUS: &str = "[radius]\nlisten = [\"127.0.0.1:1812\"]\n";

fn config(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn options() -> Options {
    Options { user: ("countersign".into(), Some(998)), ..Options::default() }
}

fn wanted(text: &str, options: Options) -> Wanted {
    Wanted::of(&config(text), options).unwrap()
}

#[track_caller]
fn text_of(parts: &[Part], name: Name) -> String {
    let part = parts.iter().find(|part| part.name == name);
    part.unwrap_or_else(|| panic!("no {name:?}")).text.clone()
}

#[test]
fn everything_follows_from_the_config() {
    let parts = write(&wanted(PLAIN, options()));
    let overlay = text_of(&parts, Name::Overlay);
    for line in [
        "dn: olcOverlay={0}sock,olcDatabase={1}mdb,cn=config",
        "olcDbSocketPath: /run/countersign/slapd.socket",
        "olcOvSocketOps: compare",
        "olcOvSocketDNpat: ^(uid=[a-z0-9._-]+,ou=accounts,dc=example,dc=test|\
         serialnumber=[a-z0-9._-]+,cn=otp,dc=example,dc=test)$",
    ] {
        assert!(overlay.lines().any(|found| found == line), "{line}: {overlay}");
    }
    assert!(text_of(&parts, Name::Identity).contains(
        "{0}gidNumber=[0-9]+\\+uidNumber=998,cn=peercred,cn=external,cn=auth \
         \"cn=countersign,dc=example,dc=test\""
    ));
    assert!(text_of(&parts, Name::Index).contains("olcDbIndex: seeAlso eq"));
    assert!(text_of(&parts, Name::Schema).contains("cn=config\nchangetype: add\nobjectClass"));
    assert!(text_of(&parts, Name::Entries).contains("dn: cn=totp,cn=otp,dc=example,dc=test"));
    let socket = text_of(&parts, Name::SocketUnit);
    assert!(socket.contains("ListenStream=/run/countersign/slapd.socket\nSocketMode=0660\n"));
}

#[test]
fn names_of_the_site_are_names_of_the_rules() {
    let text = PLAIN.replace("[back-sock]", "profile = \"ae-dir\"\n[back-sock]");
    let text = text + "login-attribute = \"cn\"\n";
    let options = Options {
        names: Some("a-z@".into()),
        identity: Some("uid=otp,dc=example,dc=test".into()),
        administrators: Some("cn=admins,dc=example,dc=test".into()),
        enrolment: Some("uid=enrol,dc=example,dc=test".into()),
        manages_tokens: true,
        database: Some("olcDatabase={2}mdb,cn=config".into()),
        ..options()
    };
    let parts = write(&wanted(&text, options));
    assert!(text_of(&parts, Name::Overlay).contains("^(cn=[a-z@]+,ou=accounts,"));
    assert!(text_of(&parts, Name::Index).contains("aeOwner eq"));
    let access = text_of(&parts, Name::Access);
    assert!(access.starts_with("dn: olcDatabase={2}mdb,cn=config\n"), "{access}");
    for who in ["uid=otp", "cn=admins", "uid=enrol"] {
        assert!(access.contains(&format!("\"{who},dc=example,dc=test\"")), "{who}: {access}");
    }
}

#[test]
fn slapd_checks_no_password_of_an_account_with_a_token_unless_it_is_handed_back() {
    let access = text_of(&write(&wanted(PLAIN, options())), Name::Access);
    let net = |access: &str| {
        let rule = access.lines().find(|line| line.contains("(oathToken=*)")).unwrap();
        rule.to_owned()
    };
    assert!(!net(&access).contains("auth"), "{access}");
    for (url, path) in [
        ("ldapi:///run/slapd/ldapi", "peername.regex=\"^PATH=(/var)?/run/slapd/ldapi$\" auth"),
        ("ldapi://%2Fsrv%2Fldapi", "peername.path=\"/srv/ldapi\" auth"),
        ("ldapi:///", "peername.regex=\"^PATH=(/var)?/run/slapd/ldapi$\" auth"),
    ] {
        let text = format!("{PLAIN}password = \"directory\"\nhand-back-url = \"{url}\"\n");
        let access = text_of(&write(&wanted(&text, options())), Name::Access);
        assert!(net(&access).contains(path), "{url}: {}", net(&access));
    }
}

#[test]
fn a_daemon_that_needs_no_network_has_none() {
    let service = |text: &str| text_of(&write(&wanted(text, options())), Name::ServiceUnit);
    let isolated = service(PLAIN);
    for line in ["RestrictAddressFamilies=AF_UNIX\n", "PrivateNetwork=yes\n"] {
        assert!(isolated.contains(line), "{isolated}");
    }
    let served = service(&format!("{PLAIN}{RADIUS}"));
    assert!(!served.contains("PrivateNetwork") && served.contains("AF_INET6"), "{served}");
    let remote = PLAIN.replace("ldapi:///run/slapd/ldapi", "ldaps://ldap.example.com");
    assert!(!service(&remote).contains("PrivateNetwork"));
}

#[test]
fn who_binds_with_a_password_is_no_user_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let bind = format!(
        "bind-dn = \"uid=otp,dc=example,dc=test\"\nbind-password-file = \"{}\"\n[back-sock]",
        password.display()
    );
    let wanted = wanted(&PLAIN.replace("[back-sock]", &bind), Options::default());
    assert_eq!((wanted.user, wanted.identity.as_str()), (None, "uid=otp,dc=example,dc=test"));
    assert!(write(&wanted).iter().all(|part| part.name != Name::Identity));
}

#[test]
fn without_the_socket_there_is_no_overlay() {
    let text = PLAIN.split("[back-sock]").next().unwrap();
    let parts = write(&wanted(&format!("{text}{RADIUS}"), options()));
    let overlay = [Name::Module, Name::Overlay, Name::SocketUnit];
    assert!(parts.iter().all(|part| !overlay.contains(&part.name)));
}

#[test]
fn beside_slapo_otp_only_the_values_are_missing() {
    let parts = write(&wanted(PLAIN, Options { beside_slapo_otp: true, ..options() }));
    let schema = text_of(&parts, Name::Schema);
    assert!(schema.contains("oathTOTPValue") && !schema.contains("oathSecret"), "{schema}");
}

#[test]
fn what_would_be_more_than_a_name_is_refused() {
    let error =
        |text: &str, options: Options| Wanted::of(&config(text), options).unwrap_err().to_string();
    let nobody = Options { user: ("countersign".into(), None), ..Options::default() };
    assert!(error(PLAIN, nobody).contains("--user"));
    let two = Some("cn=x\nolcAccess: to * by * write".to_owned());
    assert!(error(PLAIN, Options { administrators: two, ..options() }).contains("--admin"));
    for names in ["", "a-z]+.*[", "^a", "a\nb", "a,b"] {
        let options = Options { names: Some(names.into()), ..options() };
        assert!(error(PLAIN, options).contains("--names"), "{names:?}");
    }
    let neither = PLAIN.split("[directory]").next().unwrap();
    assert!(error(&format!("{neither}{RADIUS}"), options()).contains("[directory]"));
}

#[test]
fn names_of_entries_are_literal_in_the_pattern() {
    let text = PLAIN.replace("ou=accounts,", "ou=Accounts (old)\\\\, more,");
    let overlay = text_of(&write(&wanted(&text, options())), Name::Overlay);
    assert!(overlay.contains(r"ou=accounts \(old\)\\2C more,dc=example"), "{overlay}");
    let one = text.replace("tokens = [\"cn=otp,dc=example,dc=test\"]", "");
    let one = one.split("[directory]").collect::<Vec<_>>();
    let back_sock = one[1].split("[back-sock]").nth(1).unwrap();
    let by_slapd =
        "password = \"directory\"\nhand-back-url = \"ldapi:///l\"\nlogin-attribute = \"uid\"";
    let alone = format!("{}[back-sock]\n{by_slapd}{back_sock}", one[0]);
    let overlay = text_of(&write(&wanted(&alone, options())), Name::Overlay);
    assert!(overlay.contains("olcOvSocketDNpat: ^uid=["), "{overlay}");
}
