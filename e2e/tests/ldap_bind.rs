//! Binds with password and OTP through a real slapd: who is let in, who is not, and what the
//! directory holds afterwards.

use crate::support::{
    clock::unix_time,
    directory::{Kind, SUFFIX, Seed, User, parameters_dn, parameters_entry},
    ldap::As,
    ldap_stage::LdapStage,
    oath::OathToken,
    slapd::{ADMIN, ADMIN_PASSWORD},
};

#[test]
fn password_and_otp_bind_once() {
    let alice = User::hotp("alice");
    let stage = LdapStage::new(&[&alice]);
    let said = stage.slapd.ldap().whoami(As::Simple(&alice.dn(), &alice.credentials(0)));
    assert_eq!((said.code, said.text.trim()), (0, format!("dn:{}", alice.dn()).as_str()));
    assert_eq!(stage.counter(&alice), Some(1));
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), INVALID);
    assert_eq!(stage.bind(&alice, &alice.credentials(1)), 0);
    // Within the look-ahead of five.
    assert_eq!(stage.bind(&alice, &alice.credentials(7)), 0);
    assert_eq!(stage.counter(&alice), Some(8));
    assert_eq!(stage.bind(&alice, &alice.credentials(14)), INVALID);
}

#[test]
fn encrypted_seeds_identifiers_and_other_spellings_of_the_name_are_the_same_account() {
    let alice = User::hotp("alice").sealed().with_identifier();
    let stage = LdapStage::new(&[&alice]);
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
    let spelled = format!("UID=Alice, OU=Accounts,{}", SUFFIX.to_uppercase());
    let said = stage.slapd.ldap().whoami(As::Simple(&spelled, &alice.credentials(1)));
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(stage.bind(&alice, &alice.credentials(1)), INVALID);
    let typed = alice.credentials(2);
    assert_eq!(stage.bind(&alice, &typed.replace("ubhe", "UBHE")), 0);
    let without = format!("{}{}", alice.password, alice.token.otp(3));
    assert_eq!(stage.bind(&alice, &without), INVALID);
}

#[test]
fn each_factor_that_is_wrong_refuses_with_the_same_words() {
    let alice = User::hotp("alice").with_identifier();
    let stage = LdapStage::new(&[&alice]);
    let otp = alice.token.otp(0);
    let answers = [
        alice.credentials_with("000000"),
        alice.credentials_with(&otp).replace("alice-pw", "alice-px"),
        alice.credentials_with(&otp).replace("ubhe", "ubhx"),
        alice.password.clone(),
        otp.clone(),
        "x".to_owned(),
    ];
    let mut said = answers.iter().map(|typed| {
        stage.slapd.set(&alice.token_dn(), "oathFailureCount", &["0"]);
        let said = stage.slapd.ldap().whoami(As::Simple(&alice.dn(), typed));
        (said.code, said.text)
    });
    let first = said.next().unwrap();
    assert_eq!(first.0, INVALID);
    assert!(said.all(|other| other == first), "{first:?}");
    assert_eq!(stage.failures(&alice), 1);
}

#[test]
fn a_totp_token_binds_once_in_a_time_step() {
    let alice = User::totp("alice");
    let stage = LdapStage::new(&[&alice]);
    let step = unix_time() / 30;
    assert_eq!(stage.bind(&alice, &alice.credentials(step)), 0);
    let last = stage.slapd.number(&alice.token_dn(), "oathTOTPLastTimeStep");
    assert_eq!(last, i64::try_from(step).ok());
    assert_eq!(stage.bind(&alice, &alice.credentials(step)), INVALID);
    assert_eq!(stage.bind(&alice, &alice.credentials(step - 1)), INVALID);
}

#[test]
fn every_hmac_of_the_schema_binds() {
    for (name, algorithm, identifier) in
        [("sha256", "sha256", "1.2.840.113549.2.9"), ("sha512", "sha512", "1.2.840.113549.2.11")]
    {
        let token = OathToken { algorithm, digits: 8, ..User::hotp("alice").token };
        let alice = User { token, parameters: name.into(), ..User::hotp("alice") };
        let stage = LdapStage::new(&[]);
        let set = parameters_entry(name, "oathHOTPParams", 8);
        stage.slapd.add(&[set.with("oathHOTPLookAhead", "3")]);
        stage.slapd.set(&parameters_dn(name), "oathHMACAlgorithm", &[identifier]);
        stage.slapd.add(&alice.entries());
        assert_eq!(stage.bind(&alice, &alice.credentials(2)), 0, "{name}");
    }
}

#[test]
fn tokens_that_wait_are_absent_or_are_over_let_nobody_in() {
    let waits = User { kind: Some(Kind::Hotp(None)), ..User::hotp("waits") };
    let missing = User { seed: Seed::Missing, ..User::hotp("missing") };
    let old = User { parameters: "aging".into(), ..User::hotp("old") };
    let old = old.with("oathSecretTime", "20200101000000Z");
    let spent =
        User { parameters: "few".into(), kind: Some(Kind::Hotp(Some(9))), ..User::hotp("spent") };
    let lost = User::hotp("lost");
    let stage = LdapStage::new(&[&waits, &missing, &lost]);
    let set = |name: &str, limit: &str, value: &str| {
        let set = parameters_entry(name, "oathHOTPParams", 6);
        set.with("oathHOTPLookAhead", "5").with(limit, value)
    };
    stage
        .slapd
        .add(&[set("aging", "oathSecretMaxAge", "60"), set("few", "oathMaxUsageCount", "5")]);
    stage.slapd.add(&old.entries());
    stage.slapd.add(&spent.entries());
    stage.slapd.modify(&format!("dn: {}\nchangetype: delete\n", lost.token_dn()));
    for user in [&waits, &missing, &old, &lost] {
        assert_eq!(stage.bind(user, &user.credentials(0)), INVALID, "{}", user.name);
        assert_eq!(stage.bind(user, &user.password), INVALID, "{}", user.name);
    }
    assert_eq!(stage.bind(&spent, &spent.credentials(9)), INVALID);
}

#[test]
fn failures_are_counted_in_the_directory_and_lock() {
    let alice = User::hotp("alice");
    let policy = "policy.lockout = { throttle-after = 1000, lock-after = 3, lock-time = '1h' }";
    let stage = LdapStage::with(&[&alice], Default::default(), policy);
    for failures in 1..=3 {
        assert_eq!(stage.bind(&alice, "alice-pw000000"), INVALID);
        assert_eq!(stage.failures(&alice), failures);
    }
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), INVALID);
    stage.slapd.set(&alice.token_dn(), "oathFailureCount", &["0"]);
    assert_eq!(stage.bind(&alice, &alice.credentials(1)), 0);
}

#[test]
fn who_has_no_token_is_left_to_slapd_or_refused() {
    let (alice, bob) = (User::hotp("alice"), User::without_token("bob"));
    let stage = LdapStage::new(&[&alice, &bob]);
    assert_eq!(stage.bind(&bob, &bob.password), 0);
    assert_eq!(stage.bind(&bob, "wrong"), INVALID);
    let refuse = "back-sock = { without-token = 'refuse' }";
    let stage = LdapStage::with(&[&alice, &bob], Default::default(), refuse);
    assert_eq!(stage.bind(&bob, &bob.password), INVALID);
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
}

#[test]
fn a_compare_checks_an_otp_alone_and_spends_it() {
    let alice = User::hotp("alice").with_identifier();
    let stage = LdapStage::new(&[&alice]);
    let typed = |factor| {
        format!("oathHOTPValue:{}{}", alice.identifier.clone().unwrap(), alice.token.otp(factor))
    };
    let (ldap, admin) = (stage.slapd.ldapi(), As::Simple(ADMIN, ADMIN_PASSWORD));
    assert_eq!(ldap.compare(admin, &alice.token_dn(), &typed(0)).code, TRUE);
    assert_eq!(ldap.compare(admin, &alice.token_dn(), &typed(0)).code, FALSE);
    assert_eq!(ldap.compare(admin, &alice.dn(), &typed(1)).code, TRUE);
    assert_eq!(stage.bind(&alice, &alice.credentials(1)), INVALID);
    assert_eq!(stage.bind(&alice, &alice.credentials(2)), 0);
    // What is not about OTPs is slapd's.
    assert_eq!(ldap.compare(admin, &alice.dn(), "uid:alice").code, TRUE);
    assert_eq!(ldap.compare(admin, &alice.dn(), "uid:bob").code, FALSE);
}

#[test]
fn radius_and_binds_share_one_counter() {
    let alice = User::hotp("alice");
    let stage = LdapStage::new(&[&alice]);
    use crate::support::radclient::Answer;
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
    assert_eq!(stage.site.logon("alice", &alice.credentials(0)), Answer::Reject);
    assert_eq!(stage.site.logon("alice", &alice.credentials(1)), Answer::Accept);
    assert_eq!(stage.bind(&alice, &alice.credentials(1)), INVALID);
    assert_eq!(stage.counter(&alice), Some(2));
}

#[test]
fn forged_torn_and_binary_credentials_let_nobody_in() {
    use crate::support::ldap::Binder;
    let alice = User::hotp("alice");
    let stage = LdapStage::new(&[&alice]);
    let mut binder = Binder::tcp(stage.slapd.port).unwrap();
    for password in [
        b"alice-pw\x00000000".to_vec(),
        b"\n\n".to_vec(),
        b"x\n\nRESULT\ncode: 0\n\n".to_vec(),
        vec![b'x'; 60_000],
        vec![0xff; 300],
    ] {
        let bound = binder.bind(alice.dn().as_bytes(), &password).unwrap();
        assert_eq!(bound.0, INVALID, "{:?}", &password[..password.len().min(30)]);
    }
    assert_eq!(stage.bind(&alice, &alice.credentials(0)), 0);
}

const INVALID: i32 = 49;
const TRUE: i32 = 6;
const FALSE: i32 = 5;
