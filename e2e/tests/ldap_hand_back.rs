//! The embedded store behind slapd: the OTP is checked here, the password by slapd itself, to
//! which it is handed back by a bind of our own.

use std::thread;

use tempfile::{TempDir, tempdir};

use crate::support::{
    countersign::Site,
    directory::{Entry, User},
    oath::OathToken,
    process::Service,
    slapd::{Setup, Slapd, access},
};

/// A slapd that asks Countersign, and the store here, in which its users have tokens.
struct Rig {
    _home: TempDir,
    site: Site,
    slapd: Slapd,
    daemon: Service,
}

impl Rig {
    fn new(users: &[User], setup: Setup) -> Self {
        Self::with_policy(users, setup, "")
    }

    fn with_policy(users: &[User], setup: Setup, policy: &str) -> Self {
        let home = tempdir().unwrap();
        let (directory, site) = (home.path().join("slapd"), Site::new());
        let socket = site.directory().join("slapd.socket");
        let access = Some(access::with_hand_back(&directory.join("ldapi")));
        let setup = Setup { socket: Some(socket), access, ..setup };
        let entries: Vec<Entry> = users.iter().flat_map(User::entries).collect();
        let slapd = Slapd::start(&directory, &setup, &entries);
        site.configure_with(&format!(
            "[back-sock]\nsocket = \"slapd.socket\"\nsuffixes = [\"dc=example,dc=test\"]\n\
             accounts = [\"ou=accounts,dc=example,dc=test\"]\npassword = \"directory\"\n\
             login-attribute = \"uid\"\nhand-back-url = \"{}\"\n{policy}",
            slapd.ldapi_url()
        ));
        let daemon = site.serve();
        Self { _home: home, site, slapd, daemon }
    }

    /// A token for a user of the directory.
    fn with_token(&self, user: &User) -> OathToken {
        self.site.add_user(&user.name, "hotp")
    }

    fn bind(&self, user: &User, typed: &str) -> i32 {
        self.slapd.ldap().bind(&user.dn(), typed)
    }
}

#[test]
fn password_and_otp_are_both_wanted_and_each_is_checked_by_who_has_it() {
    let alice = User::without_token("alice");
    let rig = Rig::new(std::slice::from_ref(&alice), Setup::default());
    let token = rig.with_token(&alice);
    let typed = |password: &str, factor| format!("{password}{}", token.otp(factor));
    assert_eq!(rig.bind(&alice, &typed("alice-pw", 0)), 0);
    assert_eq!(rig.bind(&alice, &typed("alice-pw", 0)), INVALID, "that OTP is spent");
    assert_eq!(rig.bind(&alice, &typed("wrong", 1)), INVALID);
    assert_eq!(rig.bind(&alice, &typed("alice-pw", 1)), INVALID, "behind a wrong password, too");
    assert_eq!(rig.bind(&alice, "alice-pw"), INVALID, "the password alone");
    assert_eq!(rig.bind(&alice, &typed("", 2)), INVALID, "the OTP alone");
    assert_eq!(rig.bind(&alice, &typed("alice-pw", 3)), 0);
    rig.site.has_recorded("wrong-password");
}

#[test]
fn an_account_without_a_token_binds_by_its_password() {
    let (alice, bob) = (User::without_token("alice"), User::without_token("bob"));
    let rig = Rig::new(&[alice.clone(), bob.clone()], Setup::default());
    let token = rig.with_token(&alice);
    assert_eq!(rig.bind(&bob, "bob-pw"), 0);
    assert_eq!(rig.bind(&bob, &format!("bob-pw{}", token.otp(0))), INVALID);
}

/// Nobody's bind by the password alone is taken for the one that we expect, however often it is
/// tried at the same time.
#[test]
fn the_password_alone_lets_nobody_in_beside_a_bind_of_ours() {
    let alice = User::without_token("alice");
    let rig =
        Rig::new(std::slice::from_ref(&alice), Setup { threads: Some(32), ..Setup::default() });
    let token = rig.with_token(&alice);
    let (ldap, ldapi, dn) = (rig.slapd.ldap(), rig.slapd.ldapi(), alice.dn());
    thread::scope(|scope| {
        let honest = scope.spawn(|| {
            (0..30)
                .filter(|factor| ldap.bind(&dn, &format!("alice-pw{}", token.otp(*factor))) == 0)
                .count()
        });
        let knockers = [&ldap, &ldapi]
            .map(|way| scope.spawn(|| (0..60).filter(|_| way.bind(&dn, "alice-pw") == 0).count()));
        for knocker in knockers {
            assert_eq!(knocker.join().unwrap(), 0, "let in without an OTP");
        }
        let _ = honest.join().unwrap();
    });
    rig.site.run(["account", "unlock", "alice"]).succeeded();
    assert_eq!(rig.bind(&alice, &format!("alice-pw{}", token.otp(30))), 0);
}

#[test]
fn slapd_may_be_restarted() {
    let alice = User::without_token("alice");
    let mut rig = Rig::new(std::slice::from_ref(&alice), Setup::default());
    let token = rig.with_token(&alice);
    let typed = |factor| format!("alice-pw{}", token.otp(factor));
    assert_eq!(rig.bind(&alice, &typed(0)), 0);
    rig.slapd.restart();
    assert_eq!(rig.bind(&alice, &typed(1)), 0);
    assert_eq!(rig.bind(&alice, "alice-pw"), INVALID);
    drop(rig.daemon);
}

/// Who has a token, or watches OTPs, guesses passwords: each guess has a right OTP.
#[test]
fn guesses_of_a_password_behind_right_otps_lock_the_account() {
    let alice = User::without_token("alice");
    let lockout = "[policy.lockout]\nthrottle-after = 1000\nlock-after = 3\n";
    let rig = Rig::with_policy(std::slice::from_ref(&alice), Setup::default(), lockout);
    let token = rig.with_token(&alice);
    for factor in 0..8 {
        assert_eq!(rig.bind(&alice, &format!("guess{}", token.otp(factor))), INVALID);
    }
    let right = format!("alice-pw{}", token.otp(8));
    assert_eq!(rig.bind(&alice, &right), INVALID, "the account is locked");
    rig.site.has_recorded("locked-out");
}

/// A bind whose password the directory refuses let nobody in, and the audit must not say so.
#[test]
fn the_audit_says_accepted_only_of_who_was_let_in() {
    let alice = User::without_token("alice");
    let rig = Rig::new(std::slice::from_ref(&alice), Setup::default());
    let token = rig.with_token(&alice);
    assert_eq!(rig.bind(&alice, &format!("guess{}", token.otp(0))), INVALID);
    rig.site.has_recorded("wrong-password");
    assert!(!rig.site.audit_log().contains("\"accepted\""), "{}", rig.site.audit_log());
    assert_eq!(rig.bind(&alice, &format!("alice-pw{}", token.otp(1))), 0);
    rig.site.has_recorded("\"accepted\"");
}

/// invalidCredentials.
const INVALID: i32 = 49;
