//! `countersign ldap check` with a real slapd: what is whole, what is wrong, and what is tried.

use crate::support::{
    directory::{ACCOUNTS, Entry, Kind, SUFFIX, Seed, User, service_dn},
    ldap_stage::LdapStage,
    process::run,
    slapd::{ADMIN, Setup, access},
};

/// The whole output of a check, of a stage whose daemon is called `validator` by slapd.
fn check(stage: &LdapStage, arguments: &[&str]) -> (Option<i32>, String) {
    let identity = service_dn("validator");
    let mut command = stage.site.command(["ldap", "check", "--identity", &identity]);
    command.arg("--slapd-directory").arg(stage.slapd.path("config")).args(arguments);
    let ran = run(&mut command, b"");
    (ran.status.code(), format!("{}{}", ran.stdout, ran.stderr))
}

#[track_caller]
fn says(said: &str, mark: &str, words: &[&str]) {
    let found = said
        .lines()
        .any(|line| line.starts_with(mark) && words.iter().all(|word| line.contains(word)));
    assert!(found, "{mark} {words:?}:\n{said}");
}

#[test]
fn a_whole_set_up_is_good_and_a_bind_is_foretold() {
    let (alice, bob) = (User::hotp("alice").sealed().with_identifier(), User::totp("bob"));
    let stage = LdapStage::new(&[&alice, &bob]);
    let (code, said) = check(&stage, &["alice", &bob.dn()]);
    says(&said, "ok", &["directory ldapi", &service_dn("validator")]);
    says(&said, "ok", &["schema", "OATH-LDAP is there"]);
    says(&said, "ok", &["overlay sock", "slapd asks through"]);
    says(&said, "ok", &["access to accounts", "we see which tokens"]);
    says(&said, "ok", &["access to counters", "we may move them"]);
    says(&said, "ok", &["access to passwords", "slapd checks no password"]);
    says(&said, "ok", &["directory.keys", "oathldap_primary_key_202601010000"]);
    says(&said, "warning", &["slapd", "ITS#10559"]);
    let typed = format!("password, {:?}, OTP of 6 digits", alice.identifier.clone().unwrap());
    says(&said, "ok", &["bind alice", &typed, "counters 0 to 5"]);
    says(&said, "ok", &["bind uid=bob", "OTP of 6 digits", "another one every 30 s"]);
    assert!(!said.contains("ERROR"), "{said}");
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&alice.password), "{said}");
    // Nothing was changed by it.
    assert_eq!(stage.counter(&alice), Some(0));
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
}

#[test]
fn rules_that_let_too_much_or_too_little_happen_are_found() {
    let alice = User::hotp("alice");
    let open = vec!["to * by users read by anonymous auth".to_owned()];
    let setup = Setup { access: Some(open), ..Setup::default() };
    let stage = LdapStage::with(&[&alice], setup, "");
    let (code, said) = check(&stage, &[]);
    says(&said, "ERROR", &["access to passwords", &alice.dn(), "CONTINUE"]);
    says(&said, "ERROR", &["access to counters", "we may not move"]);
    assert_eq!(code, Some(1), "{said}");

    let hidden = access::usual().into_iter().filter(|rule| !rule.contains("attrs=oathSecret "));
    let hidden = hidden.map(|rule| rule.replace("oathLastFailure", "oathLastFailure,oathSecret"));
    let blind = hidden.map(|rule| rule.replace(&service_dn("validator"), "cn=nobody"));
    let setup = Setup { access: Some(blind.collect()), ..Setup::default() };
    let stage = LdapStage::with(&[&alice], setup, "");
    let (_, said) = check(&stage, &["alice"]);
    says(&said, "ERROR", &["accounts", "no userPassword can be seen"]);
    says(&said, "ERROR", &["bind alice", "no userPassword"]);
}

#[test]
fn accounts_and_tokens_of_theirs_that_we_may_not_read_are_found() {
    let alice = User::hotp("alice");
    let hidden = |rule: String| {
        let access = vec![
            "to attrs=userPassword by anonymous auth".to_owned(),
            rule,
            "to * by users read by anonymous auth".to_owned(),
        ];
        LdapStage::with(&[&alice], Setup { access: Some(access), ..Setup::default() }, "")
    };
    let stage = hidden("to attrs=oathHOTPToken,oathTOTPToken by anonymous auth".to_owned());
    let (code, said) = check(&stage, &[]);
    says(&said, "warning", &["access to accounts", "oathHOTPToken", &alice.dn()]);
    says(&said, "ERROR", &["entries", "no account that has a token"]);
    assert_eq!(code, Some(1), "{said}");
    let stage = hidden(format!("to dn.subtree=\"{ACCOUNTS}\" by anonymous auth"));
    let (_, said) = check(&stage, &[]);
    says(&said, "ERROR", &["access to accounts", ACCOUNTS, "code 52"]);
}

#[test]
fn a_slapd_that_asks_in_another_way_is_found() {
    let policy = Entry::new(format!("cn=policy,{SUFFIX}"), &["applicationProcess", "pwdPolicy"])
        .with("cn", "policy")
        .with("pwdAttribute", "userPassword");
    let setup = Setup {
        dn_pattern: Some(format!("uid=.*,{SUFFIX}")),
        password_policy: Some(policy),
        threads: Some(8),
        ..Setup::default()
    };
    let stage = LdapStage::with(&[&User::hotp("alice")], setup, "");
    let (code, said) = check(&stage, &["--quiet"]);
    says(&said, "ERROR", &["overlay sock", "loose"]);
    says(&said, "ERROR", &["max-requests", "8 threads"]);
    assert!(!said.lines().any(|line| line.starts_with("ok")), "{said}");
    assert_eq!(code, Some(1));
    let (_, said) = check(&stage, &[]);
    says(&said, "ok", &["overlay sock", "ppolicy stands above"]);
    // The same from a file, as where only root may read cn=config.
    let ldif = run(
        std::process::Command::new("/usr/sbin/slapcat")
            .arg("-F")
            .arg(stage.slapd.path("config"))
            .args(["-n", "0"]),
        b"",
    );
    let file = stage.site.write("config.ldif", ldif.succeeded());
    let (_, said) = check(&stage, &["--slapd-config", file.to_str().unwrap()]);
    says(&said, "ERROR", &["overlay sock", "loose"]);
}

#[test]
fn tokens_and_accounts_that_cannot_work_are_found() {
    let waits = User { kind: Some(Kind::Hotp(None)), seed: Seed::Missing, ..User::hotp("waits") };
    let lost = User::hotp("lost");
    let stage = LdapStage::new(&[&waits, &lost]);
    stage.slapd.modify(&format!("dn: {}\nchangetype: delete\n", lost.token_dn()));
    let (code, said) = check(&stage, &["waits", "lost", "nobody", ADMIN]);
    says(&said, "warning", &["tokens", "wait for their enrolment", &waits.token_dn()]);
    says(&said, "ERROR", &["accounts", "a token that is not there", &lost.dn()]);
    says(&said, "ERROR", &["bind waits", "waits for its enrolment"]);
    says(&said, "ERROR", &["bind lost", "is not there"]);
    says(&said, "ERROR", &["bind nobody", "no such account"]);
    assert_eq!(code, Some(1));
}

#[test]
fn a_torn_answer_is_tried_for_real() {
    let alice = User::hotp("alice");
    let mut stage = LdapStage::new(&[&alice]);
    let (_, said) = check(&stage, &["--try-torn", &alice.dn()]);
    says(&said, "ERROR", &["torn answer", "somebody listens"]);
    stage.stop();
    let (_, said) = check(&stage, &["--try-torn", &alice.dn()]);
    says(&said, "warning", &["torn answer", "a wrong password was let in", "ITS#10559"]);
    assert!(!stage.socket().exists());
    stage.serve();
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
}

#[test]
fn a_slapd_that_is_not_there_is_said_with_what_to_do() {
    let mut stage = LdapStage::new(&[&User::hotp("alice")]);
    stage.slapd.stop();
    let (code, said) = check(&stage, &[]);
    says(&said, "ERROR", &["directory ldapi"]);
    assert!(said.contains("start slapd"), "{said}");
    assert_eq!(code, Some(1));
    let (_, json) = check(&stage, &["--json"]);
    let findings: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(findings.as_array().unwrap().last().unwrap()["grade"], "error", "{json}");
}
