//! slapd alone, without Countersign: what it refuses later, it does not refuse for want of a
//! set-up, and what it is known to let through, it lets through here.

use tempfile::tempdir;

use crate::support::{
    directory::{Entry, Kind, RFC_SEED, SERVICE_PASSWORD, SUFFIX, Seed, User, sample, service_dn},
    ldap::{As, Binder},
    oath::OathToken,
    slapd::{ADMIN, ADMIN_PASSWORD, Setup, Slapd, access, replicas, responder::Responder, tls},
};

#[test]
fn slapd_binds_over_tcp_tls_and_the_unix_socket() {
    let home = tempdir().unwrap();
    let tls = Some(tls(&home.path().join("ca")));
    let bob = User::without_token("bob");
    let slapd = Slapd::start(home.path(), &Setup { tls, ..Setup::default() }, &bob.entries());
    for ldap in [slapd.ldap(), slapd.ldaps(), slapd.ldapi()] {
        assert_eq!(ldap.bind(&bob.dn(), &bob.password), 0, "{ldap:?}");
        assert_eq!(ldap.bind(&bob.dn(), "wrong"), INVALID, "{ldap:?}");
    }
    let said = slapd.ldapi().whoami(As::External);
    assert_eq!(said.text.trim(), format!("dn:{}", service_dn("validator")));
    let mut binder = Binder::tcp(slapd.port).unwrap();
    assert_eq!(binder.bind(bob.dn().as_bytes(), b"bob-pw").unwrap().0, 0);
    assert_eq!(binder.bind(bob.dn().as_bytes(), b"bob-p").unwrap().0, INVALID);
    let mut binder = Binder::unix(&slapd.ldapi_socket()).unwrap();
    assert_eq!(binder.bind(bob.dn().as_bytes(), b"bob-pw").unwrap().0, 0);
}

#[test]
fn only_the_validator_sees_seeds_and_moves_counters() {
    let home = tempdir().unwrap();
    let (alice, bob) = (User::hotp("alice").with_identifier(), User::without_token("bob"));
    let entries = [alice.entries(), bob.entries()].concat();
    let slapd = Slapd::start(home.path(), &Setup::default(), &entries);
    let (ldapi, token) = (slapd.ldapi(), alice.token_dn());
    let count = |value: u32| {
        format!(
            "dn: {token}\nchangetype: modify\nreplace: oathHOTPCounter\noathHOTPCounter: {value}\n"
        )
    };

    assert_eq!(ldapi.values(As::External, &token, "oathSecret"), [alice.token.base32()]);
    assert_eq!(ldapi.values(As::External, &alice.dn(), "userPassword"), ["alice-pw"]);
    assert_eq!(ldapi.modify(As::External, &count(7)).code, 0);
    assert_eq!(slapd.number(&token, "oathHOTPCounter"), Some(7));
    let as_bob = As::Simple(&bob.dn(), &bob.password);
    assert!(ldapi.values(as_bob, &token, "oathSecret").is_empty());
    assert_eq!(ldapi.modify(as_bob, &count(8)).code, 50);
    // slapd itself never checks the password of an account with a token.
    assert_eq!(ldapi.bind(&alice.dn(), &alice.password), INVALID);
}

#[test]
fn a_token_that_waits_is_enrolled_by_its_own_password_once() {
    let home = tempdir().unwrap();
    let fresh = User { kind: Some(FRESH), seed: Seed::Missing, ..User::hotp("carol") };
    let slapd = Slapd::start(home.path(), &Setup::default(), &fresh.entries());
    let token = fresh.token_dn();
    slapd.modify(&format!(
        "dn: {token}\nchangetype: modify\nadd: objectClass\nobjectClass: simpleSecurityObject\n-\n\
         add: userPassword\nuserPassword: enrol\n"
    ));
    let as_token = As::Simple(&token, "enrol");
    let enrolment = format!(
        "dn: {token}\nchangetype: modify\nadd: oathSecret\noathSecret: {}\n-\n\
         add: oathHOTPCounter\noathHOTPCounter: 0\n",
        fresh.token.base32()
    );
    assert_eq!(slapd.ldap().modify(as_token, &enrolment).code, 0);
    assert_eq!(slapd.ldap().bind(&token, "enrol"), INVALID);
}

#[test]
fn overlay_sock_asks_about_accounts_and_tokens_and_believes_the_answer() {
    let home = tempdir().unwrap();
    let socket = home.path().join("socket");
    let responder = Responder::yes(&socket);
    let setup = Setup { socket: Some(socket), ..Setup::default() };
    let alice = User::hotp("alice");
    let slapd = Slapd::start(&home.path().join("slapd"), &setup, &alice.entries());
    assert_eq!(slapd.ldap().bind(&alice.dn(), "whatever"), 0);
    // The administrators and the programs are not asked about.
    assert_eq!(slapd.ldap().bind(ADMIN, "whatever"), INVALID);
    assert_eq!(slapd.ldap().bind(&service_dn("consumer"), SERVICE_PASSWORD), 0);
    let injected = format!("uid=x\\0Acred: y,ou=accounts,{SUFFIX}");
    assert_eq!(slapd.ldap().bind(&injected, "whatever"), INVALID);
    let requests = responder.requests();
    assert_eq!(requests.len(), 1);
    let request = String::from_utf8_lossy(&requests[0]);
    for line in ["BIND", "binddn: ", "ssf: 0", "credlen: 8", "cred: whatever"] {
        assert!(request.lines().any(|found| found == line), "{line}: {request}");
    }
}

/// If this fails, slapd was mended, and its administrators can be told so.
#[test]
fn a_torn_answer_is_a_success_to_this_slapd() {
    let home = tempdir().unwrap();
    let socket = home.path().join("socket");
    let _responder = Responder::saying(&socket, b"RESULT\ncod");
    let setup = Setup { socket: Some(socket), ..Setup::default() };
    let alice = User::hotp("alice");
    let slapd = Slapd::start(&home.path().join("slapd"), &setup, &alice.entries());
    assert_eq!(slapd.ldap().bind(&alice.dn(), "whatever"), 0);
}

#[test]
fn a_socket_that_nobody_holds_lets_nobody_in() {
    let home = tempdir().unwrap();
    let setup = Setup { socket: Some(home.path().join("socket")), ..Setup::default() };
    let alice = User::hotp("alice");
    let slapd = Slapd::start(&home.path().join("slapd"), &setup, &alice.entries());
    assert_eq!(slapd.ldap().bind(&alice.dn(), "whatever"), 80);
}

#[test]
fn a_locked_account_is_refused_by_the_password_policy_above_the_socket() {
    let home = tempdir().unwrap();
    let socket = home.path().join("socket");
    let responder = Responder::yes(&socket);
    let policy = Entry::new(format!("cn=policy,{SUFFIX}"), &["applicationProcess", "pwdPolicy"])
        .with("cn", "policy")
        .with("pwdAttribute", "userPassword")
        .with("pwdLockout", "TRUE");
    let setup = Setup { socket: Some(socket), password_policy: Some(policy), ..Setup::default() };
    let alice = User::hotp("alice");
    let mut entries = alice.entries();
    let account = entries.pop().unwrap().with("pwdAccountLockedTime", "000001010000Z");
    entries.push(account);
    let slapd = Slapd::start(&home.path().join("slapd"), &setup, &entries);
    assert_eq!(slapd.ldap().bind(&alice.dn(), "whatever"), INVALID);
    assert!(responder.requests().is_empty());
}

#[test]
fn hand_back_lets_slapd_check_the_password_over_its_own_socket_alone() {
    let home = tempdir().unwrap();
    let directory = home.path().join("slapd");
    let access = Some(access::with_hand_back(&directory.join("ldapi")));
    let alice = User::hotp("alice");
    let slapd = Slapd::start(&directory, &Setup { access, ..Setup::default() }, &alice.entries());
    assert_eq!(slapd.ldapi().bind(&alice.dn(), &alice.password), 0);
    assert_eq!(slapd.ldap().bind(&alice.dn(), &alice.password), INVALID);
}

#[test]
fn providers_give_each_other_everything_and_a_consumer_the_accounts() {
    let home = tempdir().unwrap();
    let alice = User::hotp("alice");
    let setups = [Setup::default(), Setup::default()];
    let providers = replicas::providers(home.path(), setups, &alice.entries());
    let consumer = home.path().join("consumer");
    let consumer =
        replicas::consumer(&consumer, &providers.each_ref(), Setup::default(), &alice.dn());
    let [first, second] = &providers;
    let token = alice.token_dn();
    second.set(&token, "oathHOTPCounter", &["9"]);
    let nine = || first.number(&token, "oathHOTPCounter") == Some(9);
    assert!(
        crate::support::clock::poll(crate::support::clock::LIMIT, || nine().then_some(()))
            .is_some()
    );
    assert_eq!(replicas::agreed(&[first, second], &token, "oathHOTPCounter"), ["9"]);
    first.set(&alice.dn(), "description", &["seen"]);
    assert_eq!(replicas::agreed(&[first, second, &consumer], &alice.dn(), "description"), ["seen"]);
    for hidden in [token, alice.person_dn()] {
        assert!(consumer.values(&hidden, "objectClass").is_empty(), "{hidden}");
    }
    let change = format!("dn: {}\nchangetype: modify\nreplace: description\n", alice.dn());
    let said = consumer.ldap().modify(As::Simple(ADMIN, ADMIN_PASSWORD), &change);
    assert_eq!(said.code, 10, "{}", said.text);
}

#[test]
fn slapo_otp_checks_the_same_tokens_and_counts_the_last_one() {
    let home = tempdir().unwrap();
    let alice = User { seed: Seed::Raw, ..User::hotp("alice") };
    let access = Some(vec!["to * by users read by anonymous auth".to_owned()]);
    let setup = Setup { otp: true, access, ..Setup::default() };
    let slapd = Slapd::start(home.path(), &setup, &alice.entries());
    let ldap = slapd.ldap();
    assert_eq!(ldap.bind(&alice.dn(), &alice.credentials(0)), INVALID);
    assert_eq!(ldap.bind(&alice.dn(), &alice.credentials(1)), 0);
    assert_eq!(ldap.bind(&alice.dn(), &alice.credentials(1)), INVALID);
    assert_eq!(slapd.number(&alice.token_dn(), "oathHOTPCounter"), Some(1));
}

#[test]
fn slapd_survives_a_restart_and_a_kill() {
    let home = tempdir().unwrap();
    let bob = User::without_token("bob");
    let mut slapd = Slapd::start(home.path(), &Setup::default(), &bob.entries());
    slapd.restart();
    assert_eq!(slapd.ldap().bind(&bob.dn(), &bob.password), 0);
    slapd.kill();
    slapd.run();
    assert_eq!(slapd.ldap().bind(&bob.dn(), &bob.password), 0);
}

#[test]
fn sealed_seeds_are_those_of_the_samples() {
    let alice = User::hotp("alice").sealed();
    assert_eq!(alice.credentials(0), "alice-pw755224");
    assert_eq!(alice.token.secret, OathToken::usual(RFC_SEED).secret);
    assert!(sample("seed_jwe").contains("oathldap_primary_key_202601010000"));
}

const INVALID: i32 = 49;
const FRESH: Kind = Kind::Hotp(None);
