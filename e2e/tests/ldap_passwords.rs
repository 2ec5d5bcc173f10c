//! Static passwords in front of the OTP, hashed as OpenLDAP's own tools hash them.

use std::process::Command;

use crate::support::{directory::User, ldap_stage::LdapStage, process::run};

const PASSWORD: &str = "correct höhse";

/// Every scheme of slappasswd, and of crypt(3) by mkpasswd, made here and now.
#[test]
fn passwords_that_slappasswd_and_mkpasswd_hash_are_taken_and_no_others() {
    let slapd = ["{SSHA}", "{SHA}", "{SMD5}", "{MD5}", "{CLEARTEXT}"].map(|scheme| (scheme, None));
    let modules = [
        ("{SSHA256}", Some("pw-sha2")),
        ("{SSHA512}", Some("pw-sha2")),
        ("{PBKDF2-SHA256}", Some("pw-pbkdf2")),
        ("{PBKDF2-SHA512}", Some("pw-pbkdf2")),
        ("{ARGON2}", Some("argon2")),
    ];
    let by_slapd = slapd.into_iter().chain(modules).map(|(name, module)| slappasswd(name, module));
    let methods = ["yescrypt", "sha512crypt", "sha256crypt", "bcrypt"];
    let hashes: Vec<_> = by_slapd.chain(methods.map(mkpasswd)).collect();
    let users: Vec<_> = hashes
        .iter()
        .enumerate()
        .map(|(number, stored)| User {
            password: PASSWORD.into(),
            stored: stored.clone(),
            ..User::hotp(&format!("user{number}"))
        })
        .collect();
    let stage = LdapStage::new(&users.iter().collect::<Vec<_>>());
    for user in &users {
        let wrong = User { password: "correct horse".into(), ..user.clone() };
        assert_eq!(stage.bind(user, &wrong.credentials(0)), INVALID, "{}", user.stored);
        assert_eq!(stage.bind(user, &user.credentials(1)), 0, "{}", user.stored);
    }
}

/// slapd has a value with a scheme of its own for no password, and so have we.
#[test]
fn a_hash_of_an_unknown_scheme_lets_nobody_in_and_is_told_once() {
    let alice = User { stored: "{SASL}alice@EXAMPLE.TEST".into(), ..User::hotp("alice") };
    let stage = LdapStage::new(&[&alice]);
    for counter in 0..2 {
        let typed = alice.credentials_with(&alice.token.otp(counter));
        assert_eq!(stage.bind(&alice, &typed), INVALID);
    }
    let log = stage.daemon().log();
    assert_eq!(log.matches("{SASL} cannot be checked here").count(), 1, "{log}");
}

fn slappasswd(scheme: &str, module: Option<&str>) -> String {
    let mut command = Command::new("/usr/sbin/slappasswd");
    if let Some(module) = module {
        command.args(["-o", &format!("module-load={module}")]);
    }
    run(command.args(["-h", scheme, "-s", PASSWORD]), b"").succeeded().trim().to_owned()
}

fn mkpasswd(method: &str) -> String {
    let mut command = Command::new("mkpasswd");
    let hash = run(command.args(["-m", method, PASSWORD]), b"").succeeded();
    format!("{{CRYPT}}{}", hash.trim())
}

const INVALID: i32 = 49;

/// Whoever may write his own password may write many, each as costly as is allowed.
#[test]
fn many_costly_passwords_of_one_account_do_not_keep_others_out() {
    let (alice, bob) = (User::hotp("alice"), User::hotp("bob"));
    let stage = LdapStage::new(&[&alice, &bob]);
    let costly = |salt| {
        format!("{{ARGON2}}$argon2id$v=19$m=262144,t=2,p=1$c2FsdHNhbH{salt}$MTIzNDU2Nzg5MDEyMzQ1Ng")
    };
    let values: Vec<_> = (10..22).map(costly).collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    stage.slapd.set(&alice.dn(), "userPassword", &values);
    std::thread::scope(|scope| {
        let guesses = [(); 12].map(|()| scope.spawn(|| stage.bind(&alice, "guess000000")));
        assert_eq!(stage.bind(&bob, &bob.credentials(0)), 0, "while alice is guessed at");
        assert!(guesses.into_iter().all(|guess| guess.join().unwrap() != 0));
    });
    assert_eq!(stage.bind(&bob, &bob.credentials(1)), 0, "everybody else is kept out");
}
