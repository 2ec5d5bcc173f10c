//! Two providers that replicate to each other, each with a validator, and a read-only consumer
//! with the bind proxy: one OTP is accepted at one place, once.

use std::{os::unix::net::UnixStream, sync::Barrier, thread};

use tempfile::{TempDir, tempdir};

use crate::support::{
    clock::{LIMIT, poll},
    countersign::Site,
    directory::{Entry, User},
    ldap::{As, Binder},
    ldap_stage,
    process::Service,
    slapd::{Setup, Slapd, replicas, tls},
};

/// A slapd with its daemon.
struct Node {
    site: Site,
    slapd: Slapd,
    _daemon: Service,
}

/// Two providers, and a consumer.
struct Rig {
    home: TempDir,
    providers: [Node; 2],
}

impl Rig {
    /// `strict`: every token has one provider, and the others ask that one.
    fn new(users: &[&User], strict: bool) -> Self {
        let home = tempdir().unwrap();
        let tls = Some(tls(&home.path().join("ca")));
        let sites = [Site::new(), Site::new()];
        let setup = |site: &Site| Setup {
            socket: Some(site.file("slapd.socket")),
            tls: tls.clone(),
            ..Setup::default()
        };
        let entries: Vec<Entry> = users.iter().flat_map(|user| user.entries()).collect();
        let slapds = replicas::providers(home.path(), sites.each_ref().map(setup), &entries);
        let all = urls(&slapds);
        let nodes = sites.into_iter().zip(slapds).enumerate().map(|(place, (site, slapd))| {
            ldap_stage::configure(&site, &slapd);
            if strict {
                let own = format!("self = \"{}\"", all[place]);
                bind_proxy(&site, &slapd, &all, home.path(), &own);
            }
            let daemon = serve(&site);
            Node { site, slapd, _daemon: daemon }
        });
        let nodes: Vec<Node> = nodes.collect();
        let providers = nodes.try_into().unwrap_or_else(|_| panic!("there are two"));
        Self { home, providers }
    }

    /// A consumer of both, which has neither tokens nor seeds.
    fn consumer(&self, account: &str) -> Node {
        self.consumer_with(account, Setup::default())
    }

    fn consumer_with(&self, account: &str, setup: Setup) -> Node {
        let site = Site::new();
        let setup = Setup { socket: Some(site.file("slapd.socket")), ..setup };
        let slapds = self.providers.each_ref().map(|node| &node.slapd);
        let all = urls(&slapds);
        let slapd = replicas::consumer(&self.home.path().join("consumer"), &slapds, setup, account);
        site.configure_with(
            "[back-sock]\nsocket = \"../slapd.socket\"\nsuffixes = [\"dc=example,dc=test\"]\n\
             accounts = [\"ou=accounts,dc=example,dc=test\"]\n",
        );
        bind_proxy(&site, &slapd, &all, self.home.path(), "pause = \"1s\"");
        let daemon = serve(&site);
        Node { site, slapd, _daemon: daemon }
    }

    fn slapds(&self) -> [&Slapd; 2] {
        self.providers.each_ref().map(|node| &node.slapd)
    }

    /// The acceptances that each provider has recorded, when there are so many.
    #[track_caller]
    fn acceptances(&self, all: usize) -> [usize; 2] {
        let count = |node: &Node| node.site.audit_log().matches("passcode-correct").count();
        let counts = || self.providers.each_ref().map(count);
        let are_all = || (counts().iter().sum::<usize>() >= all).then(counts);
        let counts = poll(LIMIT, are_all).expect("they are recorded");
        assert_eq!(counts.iter().sum::<usize>(), all);
        counts
    }
}

fn urls(slapds: &[impl std::borrow::Borrow<Slapd>; 2]) -> [String; 2] {
    slapds.each_ref().map(|slapd| format!("ldaps://localhost:{}", slapd.borrow().tls_port))
}

fn bind_proxy(site: &Site, slapd: &Slapd, all: &[String], home: &std::path::Path, more: &str) {
    site.configure_with(&format!(
        "[bind-proxy]\nproviders = {all:?}\ntrust = {:?}\nreplica = {:?}\nnever = [\"unix\"]\n\
         base = \"ou=accounts,dc=example,dc=test\"\nrefresh = \"1s\"\n{more}\n",
        home.join("ca/ldap-ca.pem"),
        slapd.ldapi_url()
    ));
}

fn serve(site: &Site) -> Service {
    let mut daemon = site.serve();
    let socket = site.file("slapd.socket");
    daemon.wait_until("its socket is there", || UnixStream::connect(&socket).is_ok());
    daemon
}

/// Binds, and waits until the consumer knows its accounts.
fn bind(slapd: &Slapd, user: &User, typed: &str) -> i32 {
    let mut binder = Binder::tcp(slapd.port).unwrap();
    binder.bind(user.dn().as_bytes(), typed.as_bytes()).unwrap().0
}

/// Waits until the accounts with tokens are known to the bind proxy of a node.
fn until_known(node: &Node, user: &User) {
    let known = || bind(&node.slapd, user, "no credentials at all") == INVALID;
    assert!(poll(LIMIT, || known().then_some(())).is_some());
}

#[test]
fn a_bind_at_a_consumer_is_decided_by_one_provider_and_its_word_comes_back() {
    let (alice, bob) = (User::hotp("alice").with_identifier(), User::without_token("bob"));
    let rig = Rig::new(&[&alice, &bob], false);
    let consumer = rig.consumer(&bob.dn());
    until_known(&consumer, &alice);
    assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(0)), 0);
    assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(0)), INVALID, "it is spent");
    assert_eq!(bind(&consumer.slapd, &alice, &alice.password), INVALID, "the password alone");
    let spelled = format!("UID=Alice, OU=Accounts,{}", "DC=example,DC=test");
    let said = consumer.slapd.ldap().whoami(As::Simple(&spelled, &alice.password));
    assert_eq!(said.code, INVALID, "in another spelling, too");
    assert_eq!(bind(&consumer.slapd, &bob, &bob.password), 0);
    for factor in 1..6 {
        assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(factor)), 0, "{factor}");
    }
    let mut counts = rig.acceptances(6);
    counts.sort_unstable();
    assert_eq!(counts, [0, 6], "one token, one provider");
    assert!(consumer.slapd.values(&alice.token_dn(), "oathSecret").is_empty());
    assert_eq!(replicas::agreed(&rig.slapds(), &alice.token_dn(), "oathHOTPCounter"), ["6"]);
}

/// slapd compares names after NFKC, and a rule in `never` is no reason to leave it to slapd.
#[test]
fn another_spelling_of_the_name_is_no_way_around_the_provider() {
    let alice = User::hotp("alice");
    let rig = Rig::new(&[&alice], false);
    let is_net = |rule: &String| rule.contains("(oathToken=*)");
    let access = crate::support::slapd::access::usual();
    let access = Some(access.into_iter().filter(|rule| !is_net(rule)).collect());
    let consumer = rig.consumer_with(&alice.dn(), Setup { access, ..Setup::default() });
    until_known(&consumer, &alice);
    assert_eq!(bind(&consumer.slapd, &alice, &alice.password), INVALID);
    let dn = "uid=ａlice,ou=accounts,dc=example,dc=test";
    let said = consumer.slapd.ldap().whoami(As::Simple(dn, &alice.password));
    assert_eq!(said.code, INVALID, "{}", said.text);
}

#[test]
fn when_a_provider_goes_the_other_one_takes_its_tokens_and_spends_no_otp_again() {
    let alice = User::hotp("alice");
    let mut rig = Rig::new(&[&alice], false);
    let consumer = rig.consumer(&alice.dn());
    until_known(&consumer, &alice);
    assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(0)), 0);
    replicas::agreed(&rig.slapds(), &alice.token_dn(), "oathHOTPCounter");
    let counts = rig.acceptances(1);
    let (gone, left) = if counts[0] == 1 { (0, 1) } else { (1, 0) };
    rig.providers[gone].slapd.stop();
    assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(0)), INVALID, "it was spent there");
    assert_eq!(bind(&consumer.slapd, &alice, &alice.credentials(1)), 0);
    assert_eq!(rig.acceptances(2)[left], 1);
    rig.providers[left].slapd.stop();
    let said = consumer.slapd.ldap().whoami(As::Simple(&alice.dn(), &alice.credentials(2)));
    assert_eq!(said.code, UNAVAILABLE, "{}", said.text);
    assert!(said.text.contains("no OATH provider can be reached"), "{}", said.text);
}

#[test]
fn the_same_otp_at_both_providers_at_once_is_accepted_once() {
    const ROUNDS: u64 = 100;
    let alice = User::hotp("alice");
    let rig = Rig::new(&[&alice], true);
    for node in &rig.providers {
        until_known(node, &alice);
    }
    // What was tried meanwhile has counted.
    for slapd in rig.slapds() {
        slapd.set(&alice.token_dn(), "oathFailureCount", &["0"]);
    }
    replicas::agreed(&rig.slapds(), &alice.token_dn(), "oathFailureCount");
    let (start, ports) = (Barrier::new(2), rig.slapds().map(|slapd| slapd.port));
    let otps = alice.token.otps(0, ROUNDS);
    let codes: [Vec<i32>; 2] = thread::scope(|scope| {
        let clients = ports.map(|port| {
            let (alice, otps, start) = (&alice, &otps, &start);
            scope.spawn(move || {
                let mut binder = Binder::tcp(port).unwrap();
                let mut bind = |otp: &String| {
                    start.wait();
                    let typed = alice.credentials_with(otp);
                    binder.bind(alice.dn().as_bytes(), typed.as_bytes()).unwrap().0
                };
                otps.iter().map(&mut bind).collect()
            })
        });
        clients.map(|client| client.join().unwrap())
    });
    for (round, pair) in codes[0].iter().zip(&codes[1]).enumerate() {
        let mut pair = [*pair.0, *pair.1];
        pair.sort_unstable();
        assert_eq!(pair, [0, INVALID], "round {round}");
    }
    let rounds = usize::try_from(ROUNDS).unwrap();
    let mut counts = rig.acceptances(rounds);
    counts.sort_unstable();
    assert_eq!(counts, [0, rounds], "one token, one provider");
}

#[test]
fn where_its_provider_is_gone_a_token_is_refused_by_the_others() {
    let alice = User::hotp("alice");
    let mut rig = Rig::new(&[&alice], true);
    for node in &rig.providers {
        until_known(node, &alice);
    }
    assert_eq!(bind(rig.slapds()[0], &alice, &alice.credentials(0)), 0);
    let counts = rig.acceptances(1);
    let (gone, left) = if counts[0] == 1 { (0, 1) } else { (1, 0) };
    rig.providers[gone].slapd.stop();
    assert_eq!(bind(rig.slapds()[left], &alice, &alice.credentials(1)), UNAVAILABLE);
    assert_eq!(rig.acceptances(1)[left], 0);
}

const INVALID: i32 = 49;
const UNAVAILABLE: i32 = 52;
