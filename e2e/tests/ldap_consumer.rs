//! Two providers that replicate, and a consumer that passes binds on to them: one OTP is good
//! once, wherever it is presented.

use std::{path::Path, thread};

use tempfile::TempDir;

use crate::support::{
    clock::{LIMIT, poll},
    countersign::Site,
    directory::{ACCOUNTS, SUFFIX, User},
    ldap::Binder,
    ldap_stage::configure,
    process::Service,
    slapd::{Setup, Slapd, replicas, tls},
};

/// Providers with a daemon each, and a consumer with one.
struct Landscape {
    _home: TempDir,
    providers: [Slapd; 2],
    _sites: [Site; 2],
    _daemons: [Service; 2],
    consumer: Slapd,
    _consumer: (Site, Service),
}

impl Landscape {
    #[track_caller]
    fn new(users: &[&User]) -> Self {
        Self::with(users, |_| String::new())
    }

    /// With more config of the providers, who are told the URLs of both.
    #[track_caller]
    fn with(users: &[&User], more: impl Fn(&[String; 2]) -> String) -> Self {
        let home = TempDir::new().unwrap();
        let identity = tls(&home.path().join("ca"));
        let sites = [Site::new(), Site::new()];
        let setup = |site: &Site| Setup {
            socket: Some(site.file("slapd.socket")),
            tls: Some(identity.clone()),
            ..Setup::default()
        };
        let entries: Vec<_> = users.iter().flat_map(|user| user.entries()).collect();
        let setups = [setup(&sites[0]), setup(&sites[1])];
        let providers = replicas::providers(home.path(), setups, &entries);
        let urls = [providers[0].ldaps_url(), providers[1].ldaps_url()];
        let daemons = [0, 1].map(|index| {
            let site: &Site = &sites[index];
            configure(site, &providers[index]);
            let more = more(&urls).replace("SELF", &urls[index]);
            let more = more.replace("TRUST", &identity.1.display().to_string());
            site.configure_with(&more.replace("REPLICA", &providers[index].ldapi_url()));
            serve(site)
        });
        let site = Site::new();
        let setup = Setup { socket: Some(site.file("slapd.socket")), ..Setup::default() };
        let directory = home.path().join("consumer");
        let account = users.last().expect("somebody").dn();
        let consumer = replicas::consumer(&directory, &providers, setup, &account);
        site.configure_with(&consumer_config(&site, &consumer, &urls, &identity.1));
        let daemon = serve(&site);
        let landscape = Self {
            _home: home,
            providers,
            _sites: sites,
            _daemons: daemons,
            consumer,
            _consumer: (site, daemon),
        };
        landscape.knows_accounts(users[0]);
        landscape
    }

    /// Until then everything gets code 52.
    #[track_caller]
    fn knows_accounts(&self, user: &User) {
        let known = || (bind(&self.consumer, user, "x") == INVALID).then_some(());
        assert!(poll(LIMIT, known).is_some(), "the consumer does not look for accounts");
    }
}

#[track_caller]
fn serve(site: &Site) -> Service {
    let mut daemon = site.serve();
    let socket = site.file("slapd.socket");
    daemon.wait_until("its socket is there", || socket.exists());
    daemon
}

fn bind(slapd: &Slapd, user: &User, typed: &str) -> i32 {
    let mut binder = Binder::tcp(slapd.port).unwrap();
    binder.bind(user.dn().as_bytes(), typed.as_bytes()).unwrap().0
}

fn consumer_config(site: &Site, consumer: &Slapd, urls: &[String; 2], trust: &Path) -> String {
    format!(
        r#"
[back-sock]
socket = "{}"
suffixes = ["{SUFFIX}"]
accounts = ["{ACCOUNTS}"]
[bind-proxy]
providers = {urls:?}
trust = "{}"
replica = "{}"
base = "{ACCOUNTS}"
never = ["unix"]
pause = "1s"
"#,
        site.file("slapd.socket").display(),
        trust.display(),
        consumer.ldapi_url(),
    )
}

#[test]
fn binds_at_a_consumer_are_decided_by_a_provider_and_good_once_everywhere() {
    let (alice, bob) = (User::hotp("alice"), User::without_token("bob"));
    let landscape = Landscape::new(&[&alice, &bob]);
    let Landscape { consumer, providers, .. } = &landscape;
    assert_eq!(bind(consumer, &alice, &alice.credentials(0)), 0);
    assert_eq!(bind(consumer, &alice, &alice.credentials(0)), INVALID);
    let everywhere = [&providers[0], &providers[1]];
    replicas::agreed(&everywhere, &alice.token_dn(), "oathHOTPCounter");
    for provider in everywhere {
        assert_eq!(bind(provider, &alice, &alice.credentials(0)), INVALID);
    }
    assert_eq!(bind(consumer, &alice, &alice.credentials(1)), 0);
    // The password alone opens nothing at the consumer either, and who has no token stays there.
    assert_eq!(bind(consumer, &alice, &alice.password), INVALID);
    assert_eq!(bind(consumer, &bob, &bob.password), 0);
    let spelled = format!("UID=Alice, OU=Accounts,{SUFFIX}");
    let mut binder = Binder::tcp(consumer.port).unwrap();
    assert_eq!(binder.bind(spelled.as_bytes(), alice.password.as_bytes()).unwrap().0, INVALID);
}

#[test]
fn a_provider_that_is_gone_is_passed_over_and_nobody_is_let_in_twice() {
    let alice = User::hotp("alice");
    let mut landscape = Landscape::new(&[&alice]);
    for (index, factor) in [(0, 0), (1, 2)] {
        landscape.providers[index].stop();
        let typed = alice.credentials(factor);
        let bound = poll(LIMIT, || (bind(&landscape.consumer, &alice, &typed) == 0).then_some(()));
        assert!(bound.is_some(), "nobody answers without provider {index}");
        assert_eq!(bind(&landscape.consumer, &alice, &typed), INVALID);
        landscape.providers[index].run();
        let everywhere = [&landscape.providers[0], &landscape.providers[1]];
        replicas::agreed(&everywhere, &alice.token_dn(), "oathHOTPCounter");
    }
    for provider in &mut landscape.providers {
        provider.stop();
    }
    assert_eq!(bind(&landscape.consumer, &alice, &alice.credentials(5)), UNAVAILABLE);
}

/// With `self` each token has one provider, whoever is asked.
#[test]
fn one_otp_at_two_providers_at_once_is_accepted_once() {
    let alice = User::hotp("alice");
    let landscape = Landscape::with(&[&alice], |urls| {
        format!(
            "[bind-proxy]\nproviders = {urls:?}\nself = 'SELF'\nreplica = 'REPLICA'\n\
             base = '{ACCOUNTS}'\nnever = ['unix']\ntrust = 'TRUST'\n"
        )
    });
    let otps = alice.token.otps(0, 50);
    for (number, otp) in otps.iter().enumerate() {
        let typed = alice.credentials_with(otp);
        let codes: Vec<i32> = thread::scope(|scope| {
            let asked: Vec<_> = landscape
                .providers
                .iter()
                .map(|provider| scope.spawn(|| bind(provider, &alice, &typed)))
                .collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let accepted = codes.iter().filter(|code| **code == 0).count();
        assert_eq!(accepted, 1, "round {number}: {codes:?}");
    }
}

const INVALID: i32 = 49;
const UNAVAILABLE: i32 = 52;
