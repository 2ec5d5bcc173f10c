//! A provider in strict mode (`self` in the bind proxy) is stricter, never laxer, than one
//! without; and what slapd does not tell is not taken for the best.

use crate::support::{
    clock,
    directory::{ACCOUNTS, User, service_dn},
    ldap_stage::LdapStage,
    slapd::{Setup, access},
};

/// Accounts with tokens, behind access rules without the safety net: whoever is told CONTINUE
/// gets in by the password alone.
fn without_net(users: &[&User], config: &str) -> LdapStage {
    let is_net = |rule: &String| rule.contains("(oathToken=*)");
    let access: Vec<_> = access::usual().into_iter().filter(|rule| !is_net(rule)).collect();
    let read = format!(
        "to dn.subtree=\"{ACCOUNTS}\" attrs=userPassword by dn.exact=\"{}\" read by anonymous auth",
        service_dn("validator")
    );
    let access = Some([vec![read], access].concat());
    LdapStage::with(users, Setup { access, ..Setup::default() }, config)
}

/// A provider in strict mode, which is the only one: all tokens are validated here.
fn strict(users: &[&User], more: &str) -> LdapStage {
    let mut stage = without_net(users, "");
    stage.stop();
    stage.site.configure_with(&format!(
        "[bind-proxy]\nproviders = [\"ldaps://localhost:1\"]\nself = \"ldaps://localhost:1\"\n\
         replica = {:?}\nbase = {ACCOUNTS:?}\nrefresh = \"1h\"\n{more}\n",
        stage.slapd.ldapi_url()
    ));
    stage.serve();
    stage
}

/// Waits until the bind proxy has searched the accounts.
fn until_searched(stage: &LdapStage, user: &User) {
    let known = || (stage.bind(user, "nothing") != UNAVAILABLE).then_some(());
    assert!(clock::poll(clock::LIMIT, known).is_some());
}

/// The strict mode is to make a provider stricter: what `never` leaves to a read-only replica
/// (by default all clients on the machine) has an OTP to show here, where it can be validated.
#[test]
fn strict_mode_does_not_excuse_clients_on_the_provider_from_their_otp() {
    let alice = User::hotp("alice");
    let stage = strict(&[&alice], "");
    until_searched(&stage, &alice);
    assert_eq!(stage.bind(&alice, &alice.password), INVALID);
}

/// An account that got its token after the last search has none for the bind proxy; the store
/// beside it knows better and is not asked.
#[test]
fn strict_mode_does_not_excuse_who_got_a_token_a_minute_ago() {
    let (alice, bob) = (User::hotp("alice"), User::hotp("bob"));
    let stage = strict(&[&bob], "never = []");
    until_searched(&stage, &bob);
    assert_eq!(stage.bind(&bob, &bob.password), INVALID);
    stage.slapd.add(&alice.entries());
    assert_eq!(stage.bind(&alice, &alice.password), INVALID);
}

/// A bind proxy in a config says nothing against `without-token = "refuse"` beside it.
#[test]
fn who_has_no_token_is_refused_beside_a_bind_proxy_as_well() {
    let (alice, bob) = (User::hotp("alice"), User::without_token("bob"));
    let stage = strict(&[&alice, &bob], "never = []\n[back-sock]\nwithout-token = \"refuse\"\n");
    until_searched(&stage, &alice);
    assert_eq!(stage.bind(&bob, &bob.password), INVALID);
}

/// invalidCredentials.
const INVALID: i32 = 49;
/// unavailable.
const UNAVAILABLE: i32 = 52;
