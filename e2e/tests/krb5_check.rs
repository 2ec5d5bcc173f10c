//! `countersign krb5`: every way in which a realm's OTP set-up goes wrong is made for real, with a
//! real KDC where it shows there, and is found with its cause and its cure.

use std::{
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::support::{
    clock::unix_time,
    countersign::Site,
    kdc_check::{CheckedRealm, REALM, answer_everything},
    oath::OathToken,
    process::{Ran, run},
};

/// Checks that something of a grade is said about an object, with words of cause and cure.
#[track_caller]
fn says(ran: &Ran, grade: &str, object: &str, cause: &str, cure: &str) {
    let lines: Vec<_> = ran.stdout.lines().collect();
    let head = format!("{grade:<8}{object}: ");
    let found = lines.iter().enumerate().any(|(index, line)| {
        let next = lines.get(index + 1).unwrap_or(&"");
        line.starts_with(&head) && line.contains(cause) && next.contains(cure)
    });
    assert!(found, "{head}…{cause}… -> …{cure}…:\n{ran}");
}

#[track_caller]
fn ends_with(ran: &Ran, code: i32) {
    assert_eq!(ran.status.code(), Some(code), "{ran}");
}

const VPN: &str = "vpn = {\nserver = @/otp.sock\nindicator = otp\ntimeout = 1\n}\n";
const STRING: &str = r#"[{"type":"vpn"}]"#;
const REJECT: u8 = 3;
const ACCEPT: u8 = 2;

#[test]
fn a_realm_as_it_should_be_is_good_and_a_logon_does_what_was_said() {
    let realm = CheckedRealm::new(VPN);
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    fs::set_permissions(realm.path("otp.sock"), Permissions::from_mode(0o600)).unwrap();
    realm.add("alice", STRING);
    realm.admin(&["addprinc", "-randkey", "svc/web"]);
    realm.admin(&["setstr", "svc/web", "require_auth", "strong otp"]);
    let _kdc = realm.serve();
    let ran = realm.check(&["alice", "svc/web"]);
    ends_with(&ran, 0);
    says(&ran, "ok", "otp type vpn", "somebody listens", "");
    says(&ran, "ok", "principal alice@OTP.TEST", "for the user \"alice\"", "");
    says(&ran, "ok", "principal alice@OTP.TEST", "the indicators otp", "");
    says(&ran, "ok", "principal svc/web@OTP.TEST", "promise one: vpn", "");
    realm.logon("alice", "123456").succeeded();
    let kvno = || {
        let mut kvno = realm.command("kvno");
        run(kvno.env("KRB5CCNAME", realm.path("ticket")).arg("svc/web"), b"")
    };
    kvno().succeeded();
    realm.admin(&["setstr", "alice", "otp", r#"[{"type":"vpn","indicators":[]}]"#]);
    says(&realm.check(&["alice"]), "ok", "principal alice@OTP.TEST", "gets no indicator", "");
    realm.logon("alice", "123456").succeeded();
    assert!(kvno().failed().contains("KDC policy rejects request"));
}

#[test]
fn quotes_eaten_by_kadmin_are_recognised_and_the_cure_works() {
    let realm = CheckedRealm::new(VPN);
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.add("alice", "[]");
    realm.admin(&["-q", &format!("setstr alice otp {STRING}")]);
    let _kdc = realm.serve();
    realm.logon("alice", "123456").failed();
    let ran = realm.check(&["alice"]);
    ends_with(&ran, 1);
    let cure = format!("kadmin.local setstr alice@OTP.TEST otp '{STRING}'");
    says(&ran, "ERROR", "principal alice@OTP.TEST", "quotes are gone", &cure);
    run(realm.command("sh").args(["-c", &cure]), b"").succeeded();
    ends_with(&realm.check(&["alice"]), 0);
    realm.logon("alice", "123456").succeeded();
    explains(&realm, "Can't decode otp config string");
}

/// The table of what the KDC makes of user strings.
#[test]
fn user_strings_are_judged_as_the_kdc_judges_them() {
    let realm =
        CheckedRealm::new(&format!("{VPN}DEFAULT = {{\nserver = @/otp.sock\ntimeout = 1\n}}\n"));
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    let _kdc = realm.serve();
    let good = [
        "[]",
        "[{}]",
        r#"[{"type":5}]"#,
        r#"[{"username":5,"other":true}]"#,
        r#"[{"type":"vpn","indicators":[]}]"#,
        r#"[{"type":"\u0076pn"}]"#,
    ];
    let bad = [
        "",
        "{}",
        "null",
        "[5]",
        "nonsense",
        r#"[{"username":""}]"#,
        r#"[{"type":"vpm"}]"#,
        r#"[{"indicators":"x"}]"#,
        r#"[{"x":1.5}]"#,
        r#"[{"x":"\u0105"}]"#,
        r#"[{"x":"\u004a"}]"#,
    ];
    realm.add("alice", "[]");
    for (strings, is_good) in [(&good[..], true), (&bad, false)] {
        for string in strings {
            realm.admin(&["setstr", "alice", "otp", string]);
            let logon = realm.logon("alice", "123456");
            assert_eq!(logon.status.success(), is_good, "{string}: {logon}");
            for ran in [realm.check(&["alice"]), realm.check(&["--user-string", string, "alice"])] {
                assert_eq!(ran.status.success(), is_good, "{string}: {ran}");
            }
        }
    }
}

#[test]
fn one_broken_type_disables_all() {
    let realm = CheckedRealm::new(VPN);
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.add("alice", STRING);
    realm.write("empty", "");
    for (broken, cause) in [
        ("server = 127.0.0.1:1812", "no secret"),
        ("server = 127.0.0.1:1812\nsecret = @/nowhere", "No such file"),
        ("secret = @/empty", "the file is empty"),
        ("timeout = 5s", "no whole number"),
        ("strip_realm = perhaps", "neither true nor false"),
    ] {
        realm.set_otp(&format!("{VPN}other = {{\n{broken}\n}}\n"));
        let _kdc = realm.serve();
        realm.logon("alice", "123456").failed();
        assert!(realm.log().contains("preauth otp failed to initialize"), "{}", realm.log());
        let ran = realm.check(&["alice"]);
        ends_with(&ran, 1);
        says(&ran, "ERROR", "otp type other", cause, "");
        says(&ran, "ERROR", "principal alice@OTP.TEST", "nobody can log on", "restart the KDC");
    }
    explains(&realm, "preauth otp failed to initialize");
}

#[test]
fn servers_that_cannot_be_reached_are_found_before_anybody_logs_on() {
    let long = format!("/{}", "x".repeat(120));
    let realm = CheckedRealm::new(&format!(
        "none = {{\nserver = @/none.sock\n}}\ndead = {{\nserver = @/dead.sock\n}}\n\
         six = {{\nserver = [::1]:1812\nsecret = @/secret\n}}\nlong = {{\nserver = {long}\n}}\n\
         line = {{ server = /x }}\n"
    ));
    realm.write("secret", "secret\n");
    drop(UnixListener::bind(realm.path("dead.sock")).unwrap());
    let _kdc = realm.serve();
    for (name, cause, cure, log) in [
        ("none", "there is no", "start the daemon", "No such file or directory"),
        ("dead", "nobody listens", "start the daemon", "Connection refused"),
        ("six", "IPv6", "host name", "Cannot assign requested address"),
        ("long", "octets", "shorter", ""),
        ("line", "no token type", "brace", "Can't decode otp config string"),
    ] {
        let string = format!("[{{\"type\":\"{name}\"}}]");
        realm.add(name, &string);
        realm.logon(name, "123456").failed();
        let ran = realm.check(&[name]);
        ends_with(&ran, 1);
        says(&ran, "ERROR", &format!("otp type {name}"), cause, cure);
        if !log.is_empty() {
            explains(&realm, log);
        }
    }
}

#[test]
fn a_socket_that_root_without_capabilities_may_not_use_is_found() {
    let realm = CheckedRealm::new(VPN);
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.add("alice", STRING);
    fs::set_permissions(realm.path("otp.sock"), Permissions::from_mode(0o000)).unwrap();
    let kdc = realm.serve_without_capabilities();
    realm.logon("alice", "123456").failed();
    let ran = realm.check(&["alice"]);
    ends_with(&ran, 1);
    says(&ran, "ERROR", "otp type vpn", "CAP_DAC_OVERRIDE", "SocketMode=0600");
    explains(&realm, "Permission denied");
    fs::set_permissions(realm.path("otp.sock"), Permissions::from_mode(0o600)).unwrap();
    ends_with(&realm.check(&["alice"]), 0);
    realm.logon("alice", "123456").succeeded();
    kdc.kill();
}

/// Negative numbers are not only wrong, they end the KDC for everybody.
#[test]
fn a_type_that_crashes_the_kdc_is_found_before_it_does() {
    let realm = CheckedRealm::new("");
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.write("secret", "secret\n");
    realm.add("alice", STRING);
    for number in ["server = 127.0.0.1:9\nsecret = @/secret\nretries = -1", "timeout = -5"] {
        realm.set_otp(&format!("vpn = {{\n{number}\nserver = @/otp.sock\n}}\n"));
        let ran = realm.check(&["alice"]);
        ends_with(&ran, 1);
        says(&ran, "ERROR", "otp type vpn", "the KDC itself crashes", "write");
        let mut kdc = realm.serve();
        realm.logon("alice", "123456").failed();
        kdc.wait_for_its_end();
    }
}

#[test]
fn silence_is_a_timeout_and_a_refusal_is_none() {
    let realm = CheckedRealm::new(&format!("{VPN}no = {{\nserver = @/no.sock\n}}\n"));
    let _silent = UnixListener::bind(realm.path("otp.sock")).unwrap();
    answer_everything(&realm.path("no.sock"), REJECT);
    realm.add("alice", STRING);
    realm.add("bob", r#"[{"type":"no"}]"#);
    let _kdc = realm.serve();
    realm.logon("alice", "123456").failed();
    explains(&realm, "Connection timed out");
    realm.logon("bob", "123456").failed();
    explains(&realm, "Generic preauthentication failure");
    realm.logon("bob", "").failed();
    explains(&realm, "Message too long");
}

#[test]
fn several_tokens_are_no_fail_over() {
    let realm = CheckedRealm::new(
        "away = {\nserver = @/away.sock\n}\nno = {\nserver = @/no.sock\n}\nyes = {\nserver = @/yes.sock\n}\n",
    );
    answer_everything(&realm.path("no.sock"), REJECT);
    answer_everything(&realm.path("yes.sock"), ACCEPT);
    realm.add("alice", r#"[{"type":"no"},{"type":"yes"}]"#);
    realm.add("bob", r#"[{"type":"away"},{"type":"yes"}]"#);
    let _kdc = realm.serve();
    realm.logon("alice", "123456").succeeded();
    realm.logon("bob", "123456").failed();
    let ran = realm.check(&["alice", "bob"]);
    for principal in ["principal alice@OTP.TEST", "principal bob@OTP.TEST"] {
        says(&ran, "warning", principal, "asked only after an answer", "fail-over");
    }
    says(&ran, "ok", "principal alice@OTP.TEST", "the same OTP goes to", "");
}

#[test]
fn a_password_goes_around_the_otp_until_its_key_is_gone() {
    let realm = CheckedRealm::new(VPN);
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.admin(&["addprinc", "-pw", "secret", "bob"]);
    realm.admin(&["setstr", "bob", "otp", STRING]);
    let _kdc = realm.serve();
    realm.logon_with_password("bob", "secret").succeeded();
    let ran = realm.check(&["bob"]);
    ends_with(&ran, 0);
    says(&ran, "warning", "principal bob@OTP.TEST", "bypassed", "purgekeys -all bob@OTP.TEST");
    says(&ran, "warning", "principal bob@OTP.TEST", "does not require", "+requires_preauth");
    realm.admin(&["purgekeys", "-all", "bob@OTP.TEST"]);
    realm.admin(&["modprinc", "+requires_preauth", "bob@OTP.TEST"]);
    realm.logon_with_password("bob", "secret").failed();
    realm.logon("bob", "123456").succeeded();
    let ran = realm.check(&["bob", "--quiet"]);
    assert!(!ran.stdout.contains("principal"), "{ran}");
}

#[test]
fn the_lockout_of_the_kdc_counts_outages() {
    let realm = CheckedRealm::new(VPN);
    realm.admin(&["addpol", "-maxfailure", "2", "-lockoutduration", "5min", "strict"]);
    realm.add("alice", STRING);
    realm.admin(&["modprinc", "-policy", "strict", "alice"]);
    let _kdc = realm.serve();
    let ran = realm.check(&["alice"]);
    says(
        &ran,
        "warning",
        "principal alice@OTP.TEST",
        "policy strict",
        "modpol -maxfailure 0 strict",
    );
    realm.logon("alice", "123456").failed();
    realm.logon("alice", "123456").failed();
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.logon("alice", "123456").failed();
    let ran = realm.check(&["alice"]);
    ends_with(&ran, 1);
    let cure = "kadmin.local modprinc -unlock alice@OTP.TEST";
    says(&ran, "ERROR", "principal alice@OTP.TEST", "it is locked by the KDC", cure);
    explains(&realm, "LOCKED_OUT");
    run(realm.command("sh").args(["-c", cure]), b"").succeeded();
    realm.logon("alice", "123456").succeeded();
}

#[test]
fn a_default_that_is_written_down_strips_the_realm() {
    let realm = CheckedRealm::new("DEFAULT = {\nserver = @/otp.sock\n}\n");
    answer_everything(&realm.path("otp.sock"), ACCEPT);
    realm.add("alice", "[]");
    let ran = realm.check(&["alice"]);
    says(&ran, "warning", "otp type DEFAULT", "User-Name is now `user`", "strip_realm = false");
    says(&ran, "ok", "principal alice@OTP.TEST", "for the user \"alice\"", "");
    realm.set_otp("");
    let ran = realm.check(&["alice"]);
    says(&ran, "ok", "principal alice@OTP.TEST", "for the user \"alice@OTP.TEST\"", "");
}

#[test]
fn a_kdc_that_has_not_read_the_newest_files_is_told_of() {
    let realm = CheckedRealm::new(VPN);
    let _kdc = realm.serve();
    let ran = realm.check(&[]);
    says(&ran, "ok", "kdc", "it runs as process", "");
    assert!(!ran.stdout.contains("was changed after"), "{ran}");
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_time() + 60);
    let file = File::options().write(true).open(realm.path("kdc.conf")).unwrap();
    file.set_modified(later).unwrap();
    says(&realm.check(&[]), "warning", "kdc", "was changed after it started", "restart the KDC");
}

#[test]
fn files_that_the_kdc_does_not_take_are_named_by_line() {
    let realm = CheckedRealm::new("");
    realm.set_otp("vpn = {\nserver\n}\n");
    let ran = realm.check(&[]);
    ends_with(&ran, 1);
    let file = realm.path("kdc.conf").display().to_string();
    says(&ran, "ERROR", &format!("file {file}"), &format!("{file}:14: this is no relation"), "");
    run(realm.command("kadmin.local").arg("listprincs"), b"").failed();
}

#[test]
fn whoever_has_no_database_reads_a_dump() {
    let realm = CheckedRealm::new(VPN);
    realm.add("alice", "[{type:vpn}]");
    realm.admin(&["addprinc", "-pw", "secret", "bob"]);
    let dump = realm.path("realm.dump");
    run(realm.command("kdb5_util").arg("dump").arg(&dump), b"").succeeded();
    let dump = dump.to_str().unwrap();
    for words in [&["--dump", dump][..], &["--dump", dump, "alice"], &["--all"]] {
        let ran = realm.check(words);
        ends_with(&ran, 1);
        says(&ran, "ERROR", "principal alice@OTP.TEST", "quotes are gone", "setstr");
        assert!(!ran.stdout.contains("bob"), "{ran}");
    }
    fs::remove_file(realm.path("principal")).unwrap();
    let ran = realm.check(&["alice"]);
    says(&ran, "ERROR", "principal alice@OTP.TEST", "kadmin.local getprinc", "--dump");
    let ran = realm.check(&["--dump", "/nowhere/dump", "--json"]);
    let findings: Value = serde_json::from_str(&ran.stdout).unwrap();
    let objects = findings.as_array().unwrap().iter().map(|finding| &finding["object"]);
    assert!(objects.clone().any(|object| object == "dump /nowhere/dump"), "{ran}");
}

#[test]
fn both_sides_are_compared_over_udp_down_to_account_and_token() {
    let site = Site::new();
    let otp = "udp = {\nserver = 127.0.0.1:PORT\nsecret = @/secret\n}\n";
    let realm = CheckedRealm::new(&otp.replace("PORT", &site.radius_port.to_string()));
    realm.write("secret", "another secret\n");
    realm.add("alice", r#"[{"type":"udp"}]"#);
    let check = || run(realm.name_files(&mut site.command(["krb5", "check", "alice"])), b"");
    let ran = check();
    ends_with(&ran, 1);
    says(
        &ran,
        "ERROR",
        "otp type udp",
        "its secret is not that of radius.client.e2e",
        "same secret",
    );
    says(&ran, "ERROR", "otp type udp", "demands Message-Authenticator", "= false");
    says(&ran, "ERROR", "principal alice@OTP.TEST", "there is no account", "add the account");
    realm.write("secret", "radius-secret-71c0\n");
    site.configure_with("radius.client.e2e.require-message-authenticator = false");
    site.add_account("alice");
    let ran = check();
    ends_with(&ran, 1);
    says(&ran, "ok", "principal alice@OTP.TEST", "\"alice\" is the account alice", "");
    says(&ran, "ERROR", "principal alice@OTP.TEST", "has no token", "token add");
    site.add_token("alice", "hotp", &OathToken::usual(b"12345678901234567890"), &[]);
    let ran = check();
    ends_with(&ran, 1);
    says(&ran, "ERROR", "otp type udp", "nobody listens on 127.0.0.1", "start the daemon");
    let _daemon = site.serve();
    ends_with(&check(), 0);
}

#[test]
fn what_config_writes_is_what_check_finds_good() {
    let site = Site::new();
    site.configure_with("radius.client.e2e.require-message-authenticator = false");
    site.add_user("alice", "hotp");
    site.add_user("it's me", "hotp");
    let realm = CheckedRealm::new("");
    let secret = realm.path("secret");
    let secret = secret.to_str().unwrap();
    realm.write("secret", "radius-secret-71c0");
    let words = [
        "krb5", "config", "alice", "it's me", "--client", "e2e", "--realm", REALM, "--secret",
        secret,
    ];
    let ran = run(site.command(words).args(["--indicator", "otp"]), b"");
    let text = ran.succeeded();
    let (profile, commands) = text.split_once("\nkadmin.local").unwrap();
    realm.set_otp(profile.split_once("[otp]\n").unwrap().1);
    let commands = format!("set -e\nkadmin.local{commands}");
    run(realm.command("sh").args(["-c", &commands]), b"").succeeded();
    let _daemon = site.serve();
    let mut check = site.command(["krb5", "check", "alice", "it's me", "--quiet"]);
    let ran = run(realm.name_files(&mut check), b"");
    ends_with(&ran, 0);
    assert!(!ran.stdout.contains("principal"), "{ran}");
    let ran = site.run(["krb5", "config", "alice", "--client", "e2e", "--existing", "--json"]);
    let stanza: Value = serde_json::from_str(&ran.succeeded()).unwrap();
    assert_eq!(stanza["commands"][2][3], "purgekeys", "{stanza}");
}

/// From the config of Countersign to a ticket, by nothing but what the commands say.
#[test]
fn what_config_writes_for_a_socket_logs_on() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let realm = CheckedRealm::new("");
    let socket = realm.path("otp.sock").display().to_string();
    site.configure_with(&format!("radius.client.kdc = {{ socket = '{socket}', kdc = true }}"));
    let text = site.run(["krb5", "config", "alice", "--realm", REALM]).succeeded();
    let (profile, commands) = text.split_once("\nkadmin.local").unwrap();
    realm.set_otp(profile.split_once("[otp]\n").unwrap().1);
    let commands = format!("set -e\nkadmin.local{commands}");
    run(realm.command("sh").args(["-c", &commands]), b"").succeeded();
    let check = || run(realm.name_files(&mut site.command(["krb5", "check", "alice"])), b"");
    says(&check(), "ERROR", "otp type kdc", "there is no", "start the daemon");
    let _daemon = site.serve();
    let _kdc = realm.serve();
    let ran = check();
    ends_with(&ran, 0);
    says(&ran, "ok", "otp type kdc", "radius.client.kdc of Countersign answers it", "");
    says(&ran, "ok", "principal alice@OTP.TEST", "is the account alice", "");
    realm.logon("alice", &token.otp(0)).succeeded();
    realm.logon("alice", &token.otp(0)).failed();
    realm.logon("alice", &token.otp(1)).succeeded();
    explains(&realm, "Generic preauthentication failure");
}

#[test]
fn config_says_what_is_missing() {
    let site = Site::new();
    for (words, object) in [
        (&["krb5", "config"][..], "radius.client.NAME"),
        (&["krb5", "config", "--client", "nobody"], "e2e"),
        (&["krb5", "config", "--client", "e2e", "ghost"], "ghost"),
        (&["krb5", "config", "--client", "e2e", "--type", "a b"], "--type"),
    ] {
        let ran = run(site.command([]).args(words), b"");
        ends_with(&ran, 1);
        assert!(ran.stderr.contains(object), "{object}: {ran}");
    }
}

/// Checks that a line of the KDC's log is explained.
#[track_caller]
fn explains(realm: &CheckedRealm, text: &str) {
    let log = realm.log();
    assert!(log.contains(text), "the KDC did not say {text:?}:\n{log}");
    realm.write("all.log", &log);
    let path = realm.path("all.log");
    let ran = realm.check(&["--log", path.to_str().unwrap()]);
    says(&ran, "warning", &format!("log {}", path.display()), &format!("{text:?}, "), "");
}
