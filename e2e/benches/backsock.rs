//! Binds a second through slapd, with Countersign behind its overlay sock, beside others on the
//! same machine.
//!
//! `cargo build --release && cargo bench -p countersign-e2e --bench backsock`. Needs what
//! `admin/test` installs. Everything runs on loopback, servers and load on the same
//! processors, in turns, several rounds; medians are printed, and ratios. It tells how
//! set-ups compare on one machine in one run, nothing else.
//!
//! The peers: slapd alone with passwords; slapd that asks a responder which says yes to
//! everybody, the ceiling of overlay sock; slapo-otp, which is a part of slapd; Countersign,
//! whose store is the directory. The last two spend OTPs, each of them written to disk
//! before the answer. Passwords are kept in clear, so that no hash is measured.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{
    directory::{Seed, User},
    ldap::Binder,
    ldap_stage::LdapStage,
    slapd::{Setup, Slapd},
};

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let peers = [
        Peer::alone(&home.path().join("alone")),
        Peer::yes(&home.path().join("yes")),
        Peer::slapo_otp(&home.path().join("otp")),
        Peer::countersign(),
    ];
    for connections in CONNECTIONS {
        println!("\n{connections} connections, {ROUNDS} rounds of {ROUND:?} after one to warm up:");
        let mut rates = vec![Vec::new(); peers.len()];
        for round in 0..=ROUNDS {
            for (peer, rates) in peers.iter().zip(&mut rates) {
                let rate = peer.flood(connections);
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        let medians: Vec<_> = rates.into_iter().map(median).collect();
        for (peer, rate) in peers.iter().zip(&medians) {
            let ratios = medians.iter().map(|other| format!("{:6.2}", rate / other));
            let ratios = ratios.collect::<Vec<_>>().join(" ");
            println!("  {:24} {rate:9.0} binds/s   to the others {ratios}", peer.name);
        }
    }
}

/// A slapd, and what its users type.
struct Peer {
    name: &'static str,
    port: u16,
    users: Vec<Typing>,
    refused: AtomicUsize,
    _running: Running,
}

/// A user, with all that is ever typed; once through, or the same again and again.
struct Typing {
    dn: String,
    typed: Vec<String>,
    next: AtomicUsize,
}

/// What ends with the measurement.
enum Running {
    Slapd { _slapd: Box<Slapd>, _responder: Option<Responder> },
    Stage { _stage: Box<LdapStage> },
}

impl Peer {
    fn alone(directory: &Path) -> Self {
        let users = users(User::without_token);
        let slapd = Slapd::start(directory, &setup(), &entries(&users));
        let typings = users.iter().map(|user| typing(user, vec![user.password.clone()]));
        let (port, users) = (slapd.port, typings.collect());
        let running = Running::Slapd { _slapd: Box::new(slapd), _responder: None };
        Self::new("slapd alone", port, users, running)
    }

    fn yes(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a directory");
        let users = users(User::without_token);
        let socket = directory.join("socket");
        let responder = Responder::start(&socket);
        let setup = Setup { socket: Some(socket), ..setup() };
        let slapd = Slapd::start(&directory.join("slapd"), &setup, &entries(&users));
        let typings = users.iter().map(|user| typing(user, vec![user.password.clone()]));
        let (port, users) = (slapd.port, typings.collect());
        let running = Running::Slapd { _slapd: Box::new(slapd), _responder: Some(responder) };
        Self::new("slapd, always yes", port, users, running)
    }

    fn slapo_otp(directory: &Path) -> Self {
        let users = users(|name| User { seed: Seed::Raw, ..User::hotp(name) });
        let access = Some(vec!["to * by users read by anonymous auth".to_owned()]);
        let setup = Setup { otp: true, access, ..setup() };
        let slapd = Slapd::start(directory, &setup, &entries(&users));
        // It counts the last one that was used.
        let (port, users) = (slapd.port, spending(&users, 1));
        let running = Running::Slapd { _slapd: Box::new(slapd), _responder: None };
        Self::new("slapo-otp", port, users, running)
    }

    fn countersign() -> Self {
        let users = users(User::hotp);
        let all: Vec<_> = users.iter().collect();
        let stage = LdapStage::with(&all, setup(), "");
        let (port, users) = (stage.slapd.port, spending(&users, 0));
        Self::new("slapd and Countersign", port, users, Running::Stage { _stage: Box::new(stage) })
    }

    fn new(name: &'static str, port: u16, users: Vec<Typing>, running: Running) -> Self {
        Self { name, port, users, refused: AtomicUsize::new(0), _running: running }
    }

    /// Binds on so many connections at once, each as a user of its own; binds a second.
    fn flood(&self, connections: usize) -> f64 {
        self.refused.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        let bound: usize = thread::scope(|scope| {
            let clients = self.users.iter().take(connections);
            let clients: Vec<_> =
                clients.map(|user| scope.spawn(|| self.client(user, begun))).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        let refused = self.refused.load(Ordering::Relaxed);
        if refused > 0 {
            println!("  {}: {refused} binds were told to come again", self.name);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let bound = bound as f64;
        bound / begun.elapsed().as_secs_f64()
    }

    fn client(&self, user: &Typing, begun: Instant) -> usize {
        let mut binder = Binder::tcp(self.port).expect("slapd listens");
        let mut bound = 0;
        while begun.elapsed() < ROUND {
            let index = user.next.load(Ordering::Relaxed);
            let typed = &user.typed[index % user.typed.len()];
            let answer = binder.bind(user.dn.as_bytes(), typed.as_bytes()).expect("an answer");
            match answer.0 {
                0 => bound += 1,
                BUSY => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                code => panic!("{}: {} got code {code}: {}", self.name, user.dn, answer.1),
            }
            user.next.store(index + 1, Ordering::Relaxed);
        }
        bound
    }
}

fn setup() -> Setup {
    Setup { durable: true, quiet: true, ..Setup::default() }
}

fn users(make: impl Fn(&str) -> User) -> Vec<User> {
    let most = CONNECTIONS.into_iter().max().expect("there is one");
    (0..most).map(|number| make(&format!("user{number}"))).collect()
}

fn entries(users: &[User]) -> Vec<support::directory::Entry> {
    users.iter().flat_map(User::entries).collect()
}

fn typing(user: &User, typed: Vec<String>) -> Typing {
    Typing { dn: user.dn(), typed, next: AtomicUsize::new(0) }
}

/// The first user binds alone as well, so it needs more OTPs than the others.
fn spending(users: &[User], first: u64) -> Vec<Typing> {
    let typings = users.iter().enumerate().map(|(number, user)| {
        let count = if number == 0 { MANY } else { SOME };
        let otps = user.token.otps(first, count);
        typing(user, otps.iter().map(|otp| user.credentials_with(otp)).collect())
    });
    typings.collect()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A responder as cheap as can be: a few threads that take, read, and say yes.
struct Responder {
    stop: Arc<AtomicBool>,
}

impl Responder {
    fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..RESPONDERS {
            let (listener, stop) = (listener.try_clone().expect("a socket"), stop.clone());
            thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok((mut stream, _)) = listener.accept() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut length = 0;
                    while !request[..length].ends_with(b"\n\n") {
                        match stream.read(&mut request[length..]) {
                            Ok(0) | Err(_) => break,
                            Ok(more) => length += more,
                        }
                    }
                    let _ = stream.write_all(b"RESULT\ncode: 0\n\n");
                }
            });
        }
        Self { stop }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One after the other, and as many at once as Countersign takes beside slapd's 16 threads.
const CONNECTIONS: [usize; 2] = [1, 12];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const RESPONDERS: usize = 4;
/// More than anybody can bind in all rounds.
const MANY: u64 = 60_000;
const SOME: u64 = 15_000;
const BUSY: i32 = 51;
