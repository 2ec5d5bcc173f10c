//! The servers that are compared: how each is set up, started, and what it costs.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use countersign::{
    app::{
        accounting::Recorder,
        authenticate::{Authenticator, Others, Parts},
        proxy::Proxy,
    },
    audit::FileAudit,
    clock::Clock,
    config::radius::{ClientSettings, RadiusRules, RadiusSettings, Source},
    listener::{
        inherited::Inherited,
        radius::{RadiusListener, Services},
    },
    store::{Answer, Store, embedded::Embedded},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::Account,
        id::{AccountId, TokenId},
        name::Site,
        password::PasswordHash,
        policy::Policy,
        time::UnixTime,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
    },
    oath::hotp::{Algorithm, Digits},
    secret::Secret,
};
use data_encoding::BASE32;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::load::Passcodes;

/// A server in a process of its own, ended when this is dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) passcodes: Passcodes,
    pub(crate) start: Duration,
    process: Child,
}

impl Peer {
    pub(crate) fn echo() -> Self {
        Self::ourselves("echo", Passcodes::Repeated, &["echo"])
    }

    pub(crate) fn countersign(directory: &Path, tokens: u64) -> Self {
        let directory = directory.join("countersign");
        fs::create_dir(&directory).expect("a directory");
        fill(&directory, tokens);
        let directory = directory.to_str().expect("a path in UTF-8");
        Self::ourselves("Countersign", Passcodes::Fresh, &["countersign", directory])
    }

    /// This program again, as the server that the arguments name.
    fn ourselves(name: &'static str, passcodes: Passcodes, arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let mut process = Command::new(std::env::current_exe().expect("our own path"))
            .arg(SERVE)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let output = process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { name, address, passcodes, start: begun.elapsed(), process }
    }

    pub(crate) fn freeradius(directory: &Path, tokens: u64) -> Self {
        let directory = directory.join("freeradius");
        fs::create_dir(&directory).expect("a directory");
        let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("a port");
        drop(free);
        let write =
            |name: &str, text: &str| fs::write(directory.join(name), text).expect("written");
        write("dictionary", "");
        write("radiusd.conf", &freeradius_config(&directory, address.port()));
        write("users", &freeradius_users(tokens));
        let begun = Instant::now();
        let process = Command::new("freeradius")
            .arg("-f")
            .arg("-d")
            .arg(&directory)
            .args(["-n", "radiusd"])
            .spawn()
            .expect("freeradius is installed");
        let log = directory.join("radius.log");
        while !fs::read_to_string(&log).unwrap_or_default().contains("Ready to process requests") {
            assert!(begun.elapsed() < Duration::from_secs(60), "see {}", log.display());
            thread::sleep(Duration::from_millis(20));
        }
        let (name, passcodes) = ("FreeRADIUS", Passcodes::Repeated);
        Self { name, address, passcodes, start: begun.elapsed(), process }
    }

    /// What its process and threads have used so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // After the name, which may have blanks: state is the first, utime the 12th, stime the 13th.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.map(|field| field.parse::<f64>().expect("a number")).sum();
        ticks / TICKS_PER_SECOND
    }

    /// Memory in MiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        let kibibytes = line.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        kibibytes.expect("a number") / 1_024
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server process: says its address, then serves until it is killed.
pub(crate) fn serve(arguments: Vec<String>) {
    match arguments.as_slice() {
        [which] if which == "echo" => serve_echo(),
        [which, directory] if which == "countersign" => serve_countersign(Path::new(directory)),
        other => panic!("no such server: {other:?}"),
    }
}

/// The least that a server can do: two threads that give back what they get.
fn serve_echo() {
    let socket = |address: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        socket.set_reuse_port(true).expect("shared");
        socket.bind(&address.into()).expect("bound");
        UdpSocket::from(socket)
    };
    let first = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = first.local_addr().expect("bound");
    let second = socket(address);
    say(address);
    let echo = |socket: UdpSocket| {
        move || {
            let mut datagram = [0; 4096];
            loop {
                let Ok((length, peer)) = socket.recv_from(&mut datagram) else { continue };
                let _ = socket.send_to(&datagram[..length], peer);
            }
        }
    };
    thread::spawn(echo(first));
    echo(second)();
}

/// What `countersign serve` puts together, with a clock that runs fast.
fn serve_countersign(directory: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let vault = Vault::open(&directory.join("master.key")).expect("the key");
        let store = Embedded::open(&directory.join("store"), vault.key_id()).expect("the store");
        let vault = Arc::new(vault);
        let audit = FileAudit::open(&directory.join("audit.log")).expect("the audit log");
        let (audit, others) = (Arc::new(audit), Others::default().shared());
        let authenticator = Authenticator::new(Parts {
            store: Arc::new(store),
            vault: vault.clone(),
            audit: audit.clone(),
            policy: Policy::default(),
            pins: Arc::new(NoPins),
            pin_permits: 1,
            others: others.clone(),
        });
        let network = Source::Network("127.0.0.0/8".parse().expect("a network"));
        let secret = Secret::new(RADIUS_SECRET.to_vec());
        let clients = vec![ClientSettings::new("load".into(), network, secret)];
        let settings = RadiusSettings {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            rules: RadiusRules { clients, ..RadiusRules::default() },
            ..RadiusSettings::default()
        };
        let listener = RadiusListener::bind(settings, None, &vault, 120, &mut Inherited::default());
        let listener = listener.expect("a port");
        say(listener.addresses().udp[0]);
        let services = Services {
            authenticator: Arc::new(authenticator),
            proxy: Arc::new(Proxy::new(others)),
            recorder: Arc::new(Recorder::new(audit)),
            clock: Arc::new(FastClock),
        };
        listener.serve(services, CancellationToken::new()).await;
    });
}

/// A store with one account and one TOTP token for each number.
fn fill(directory: &Path, tokens: u64) {
    let vault = Vault::create(&directory.join("master.key")).expect("a key");
    let place = directory.join("store");
    fs::create_dir(&place).expect("a directory");
    let store = Embedded::create(&place, vault.key_id()).expect("a store");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for start in (0..tokens).step_by(4_096) {
            let numbers = start..tokens.min(start + 4_096);
            let insert = |number| store.insert_account(account(number), Site::default());
            all_of(numbers.clone().map(insert).collect()).await;
            let insert = |number| {
                let token = token(number);
                let sealed = vault.seal(token.id, &shared_secret(number)).expect("sealed");
                store.insert_token(token, Some(sealed), 0)
            };
            all_of(numbers.map(insert).collect()).await;
        }
    });
}

/// Waits for all; changes that wait at the same time share a transaction.
async fn all_of<T>(changes: Vec<Answer<'_, T>>) {
    let mut changes: futures_util::stream::FuturesUnordered<_> = changes.into_iter().collect();
    while let Some(result) = futures_util::StreamExt::next(&mut changes).await {
        result.expect("written");
    }
}

fn account(number: u64) -> Account {
    Account::new(AccountId::from_bytes(id(number)), user_name(number))
}

fn token(number: u64) -> Token {
    let period = std::num::NonZeroU32::MIN;
    let kind = TokenKind::Totp { algorithm: Algorithm::Sha1, digits: six_digits(), period };
    Token {
        accounts: vec![AccountId::from_bytes(id(number))],
        ..Token::new(TokenId::from_bytes(id(number)), format!("token {number}"), kind)
    }
}

/// As good as random, like the ids that are drawn.
fn id(number: u64) -> [u8; 16] {
    let mixed = u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    (mixed ^ (mixed >> 67)).wrapping_mul(0xD134_2543_DE82_EF95).to_be_bytes()
}

pub(crate) fn user_name(number: u64) -> String {
    format!("user{number:07}")
}

/// 20 octets, as RFC 4226 §4 recommends.
pub(crate) fn shared_secret(number: u64) -> Vec<u8> {
    let mut secret = id(number.wrapping_add(1 << 40)).to_vec();
    secret.extend_from_slice(b"TOTP");
    secret
}

pub(crate) fn six_digits() -> Digits {
    Digits::try_from(6).expect("6 is a number of digits")
}

fn freeradius_users(tokens: u64) -> String {
    let mut users = String::new();
    for number in 0..tokens {
        let (name, secret) = (user_name(number), BASE32.encode(&shared_secret(number)));
        let _ = writeln!(users, "{name} Auth-Type := TOTP, TOTP-Secret := \"{secret}\"");
    }
    users
}

/// Debian's defaults, less everything that PAP with TOTP does not need.
fn freeradius_config(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    let secret = str::from_utf8(RADIUS_SECRET).expect("text");
    format!(
        r#"prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = {directory}
logdir = {directory}
run_dir = {directory}
pidfile = {directory}/pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
log {{ destination = files
  file = {directory}/radius.log
  auth = no }}
security {{ allow_core_dumps = no
  max_attributes = 200
  reject_delay = 1
  status_server = yes }}
thread pool {{ start_servers = 5
  max_servers = 32
  min_spare_servers = 3
  max_spare_servers = 10
  max_requests_per_server = 0
  auto_limit_acct = no }}
client load {{ ipaddr = 127.0.0.0/8
  secret = "{secret}" }}
modules {{
  files {{ usersfile = {directory}/users }}
  totp {{
  }}
}}
server default {{
  listen {{ type = auth
    ipaddr = 127.0.0.1
    port = {port} }}
  authorize {{
    files
    update request {{ &TOTP-Password := "%{{User-Password}}" }}
  }}
  authenticate {{
    Auth-Type TOTP {{
      totp
    }}
  }}
}}
"#
    )
}

#[expect(clippy::print_stdout, reason = "the parent process reads it")]
fn say(address: SocketAddr) {
    println!("{address}");
}

/// Seconds of the clock that the load and Countersign go by: 20 pass in one.
pub(crate) fn fast_seconds() -> u64 {
    since_epoch().as_millis() as u64 / 50
}

pub(crate) fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

#[expect(clippy::disallowed_methods, reason = "two processes go by this clock")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

struct FastClock;

impl Clock for FastClock {
    fn now(&self) -> UnixTime {
        UnixTime(fast_seconds())
    }
}

struct NoPins;

impl PinCheck for NoPins {
    fn matches(&self, _: &PinHash, _: &[u8]) -> bool {
        false
    }

    fn password_matches(&self, _: &PasswordHash, _: &[u8]) -> bool {
        false
    }
}

pub(crate) const RADIUS_SECRET: &[u8] = b"a shared secret of some length";
pub(crate) const SERVE: &str = "serve";
const TICKS_PER_SECOND: f64 = 100.0;
