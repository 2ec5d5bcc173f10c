//! MS-OTPCE: certificate requests signed a second over kept-alive mutual TLS, beside the
//! signatures that the machine can make at all.
//!
//! `cargo bench -p countersign --bench otpce`. Each request carries a fresh HOTP, which is
//! spent durably in the embedded store; RSA-2048 and P-256 signing keys. Clients, server
//! and disk share one machine and one process, in turns with the bare signing, several
//! rounds; medians are printed, and ratios. `openssl speed` is run if it is installed.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../tests/support/site.rs"]
mod site;

use std::{
    num::NonZeroU32,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, RsaKeyPair},
};
use countersign::{
    app::{
        authenticate::{Authenticator, Others, Parts},
        countersign::Countersigner,
        pin::Argon2Pins,
    },
    audit::FileAudit,
    certificate,
    listener::{
        http::HttpListener,
        limit::Limiter,
        otpce::{Otpce, router},
        tls::{Examiner, provider, server_config},
    },
    signer::{
        Signer,
        file::{AwsVerify, FileSigner, KeySpec},
    },
    store::{Store, embedded::Embedded},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::Account,
        id::{AccountId, TokenId},
        policy::Policy,
        token::{Token, TokenKind},
    },
    oath::hotp::{Algorithm, Digits, hotp},
    pki::{cert::Subject, profile::Kind},
    secret::Secret,
    wire::otpce::{CONTENT_TYPE, IssuingCa, SignCertRequest, VERSION, VERSION_HEADER},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime as TlsTime},
};
use site::Site;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut served = Vec::new();
    for (name, spec) in [("RSA-2048", KeySpec::Rsa2048), ("P-256", KeySpec::P256)] {
        let bench = runtime.block_on(Bench::start(spec));
        let (mut requests, mut signatures) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let bare = signatures_per_second(spec);
            let rate = runtime.block_on(bench.requests_per_second());
            // The first round warms up.
            if round > 0 {
                signatures.push(bare);
                requests.push(rate);
            }
        }
        let (rate, bare) = (median(requests), median(signatures));
        println!(
            "{name:8}: {rate:7.0} requests/s = {:5.1} % of the {bare:6.0} signatures/s of aws-lc",
            100.0 * rate / bare
        );
        served.push(rate);
    }
    println!("P-256 = {:.1} x RSA-2048", served[1] / served[0]);
    println!("\nopenssl speed, as many processes as processors:\n{}", openssl_speed());
}

/// A server, and clients that are connected to it.
struct Bench {
    clients: Vec<Arc<tokio::sync::Mutex<Client>>>,
    stop: CancellationToken,
    _site: Site,
}

/// One machine's connection, and the user who logs on there.
struct Client {
    connection: http1::SendRequest<Full<Bytes>>,
    user: u8,
    next: u64,
    pkcs10: Vec<u8>,
}

impl Bench {
    async fn start(spec: KeySpec) -> Self {
        let site = Site::with_keys(KeySpec::P256, spec).await;
        let stop = CancellationToken::new();
        let authority = site.ca.authority.certificate().clone();
        let anchors = certificate::for_tls(&[authority]);
        let examiner = Examiner::new(&anchors, Vec::new()).unwrap();
        let examiner = examiner.with_authority(Some(site.publisher.clone()));
        let (chain, key) = infrastructure(&site, Kind::Server).await;
        let tls = TlsAcceptor::from(server_config(chain, key, &examiner, &[b"http/1.1"]).unwrap());
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = HttpListener {
            socket,
            router: router(otpce(&site).await),
            tls: Some((tls, examiner)),
            clock: site.clock.clone(),
        };
        tokio::spawn(listener.serve(stop.clone()));

        let connector = connector(&site, anchors).await;
        let mut clients = Vec::new();
        for user in 0..CLIENTS {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let name = ServerName::try_from(HOST).unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(driver);
            let key = FileSigner::generate(KeySpec::P256).unwrap();
            let upn: &'static str = Box::leak(upn(user).into_boxed_str());
            let names = site::Names { upn: Some(upn), ..site::Names::default() };
            let pkcs10 = site::logon_request(&key, &names);
            let client = Client { connection, user, next: 0, pkcs10 };
            clients.push(Arc::new(tokio::sync::Mutex::new(client)));
        }
        Self { clients, stop, _site: site }
    }

    /// Every client asks again as soon as it was answered.
    async fn requests_per_second(&self) -> f64 {
        let begun = Instant::now();
        let tasks = self.clients.iter().cloned().map(|client| {
            tokio::spawn(async move {
                let mut client = client.lock().await;
                let mut done = 0.0;
                while begun.elapsed() < ROUND {
                    client.ask().await;
                    done += 1.0;
                }
                done
            })
        });
        let mut done = 0.0;
        for task in tasks.collect::<Vec<_>>() {
            done += task.await.unwrap();
        }
        done / begun.elapsed().as_secs_f64()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Client {
    async fn ask(&mut self) {
        let otp = hotp(Algorithm::Sha1, &shared_secret(self.user), self.next, digits());
        let otp = Secret::new(String::from_utf8(otp.as_bytes().to_vec()).unwrap());
        self.next += 1;
        let document = SignCertRequest::write(&user_name(self.user), &otp, &self.pkcs10).unwrap();
        let request = Request::post(PATH)
            .header("host", HOST)
            .header("content-type", CONTENT_TYPE)
            .header(VERSION_HEADER, VERSION)
            .body(Full::new(Bytes::copy_from_slice(document.expose_bytes())));
        self.connection.ready().await.unwrap();
        let answer = self.connection.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("Success"), "{text}");
    }
}

/// The use case with a store on disk, and a HOTP token for each user.
async fn otpce(site: &Site) -> Otpce {
    let vault = Vault::create(&site.directory.path().join("master.key")).unwrap();
    let place = site.directory.path().join("store");
    std::fs::create_dir(&place).unwrap();
    let store = Embedded::create(&place, vault.key_id()).unwrap();
    for user in 0..CLIENTS {
        store.insert_account(account(user), Default::default()).await.unwrap();
        let token = token(user);
        let sealed = vault.seal(token.id, &shared_secret(user)).unwrap();
        store.insert_token(token, Some(sealed), 0).await.unwrap();
    }
    let audit = Arc::new(FileAudit::open(&site.directory.path().join("audit.log")).unwrap());
    let authenticator = Arc::new(Authenticator::new(Parts {
        store: Arc::new(store),
        vault: Arc::new(vault),
        audit: audit.clone(),
        policy: Policy::default(),
        pins: Arc::new(Argon2Pins),
        pin_permits: 1,
        others: Others::default().shared(),
    }));
    let countersigner = Countersigner {
        authenticator,
        ra: site.ra.clone(),
        policy: site::policy(),
        issuing_ca: vec![IssuingCa(r"ca.example.org\Example CA".into())],
        verify: Arc::new(AwsVerify),
        audit,
    };
    let (paths, clock) = (vec![PATH.into()], site.clock.clone());
    let limit = Limiter::new(NonZeroU32::MAX);
    Otpce { countersigner, paths, require_version: true, limit, clock }
}

/// A certificate of the embedded CA for this host, and its key.
async fn infrastructure(
    site: &Site,
    kind: Kind,
) -> (Vec<rustls::pki_types::CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let subject =
        Subject::Host { name: Default::default(), dns: vec![HOST.into()], ip: Vec::new() };
    let (public_key, asked) = (key.public_key(), site.asked());
    let issued = site.ca.issue_infrastructure(kind, subject, public_key, public_key, &asked).await;
    let pkcs8 = PrivatePkcs8KeyDer::from(key.pkcs8().unwrap().expose().clone());
    (certificate::for_tls(&[issued.unwrap()]), pkcs8.into())
}

async fn connector(
    site: &Site,
    anchors: Vec<rustls::pki_types::CertificateDer<'static>>,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(anchors);
    let (chain, key) = infrastructure(site, Kind::Machine).await;
    let config = ClientConfig::builder_with_details(provider(), Arc::new(TimeOfSite))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

/// The clock of the site stands still.
#[derive(Debug)]
struct TimeOfSite;

impl rustls::time_provider::TimeProvider for TimeOfSite {
    fn current_time(&self) -> Option<TlsTime> {
        Some(TlsTime::since_unix_epoch(Duration::from_secs(site::NOW.0)))
    }
}

/// Every processor signs as fast as it can.
fn signatures_per_second(spec: KeySpec) -> f64 {
    let sign: Box<dyn Fn() + Sync> = match spec {
        KeySpec::P256 => {
            let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
            let key = EcdsaKeyPair::generate(algorithm).unwrap();
            Box::new(move || {
                let _ = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
            })
        }
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::P384 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            Box::new(move || {
                let mut signature = [0; 256];
                let encoding = &signature::RSA_PKCS1_SHA256;
                key.sign(encoding, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
            })
        }
    };
    let begun = Instant::now();
    let done: f64 = thread::scope(|scope| {
        let signing = || {
            let mut done = 0.0;
            while begun.elapsed() < ROUND / 3 {
                sign();
                done += 1.0;
            }
            done
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(signing)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    done / begun.elapsed().as_secs_f64()
}

fn openssl_speed() -> String {
    let threads = thread::available_parallelism().map_or(1, usize::from).to_string();
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "2", "-multi", &threads, "rsa2048", "ecdsap256"])
        .output();
    let Ok(output) = output else { return "not installed".into() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains("bits") || line.contains("sign/s"))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn account(user: u8) -> Account {
    Account {
        upn: Some(upn(user)),
        ..Account::new(AccountId::from_bytes([user; 16]), user_name(user))
    }
}

fn token(user: u8) -> Token {
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: digits() };
    Token {
        accounts: vec![AccountId::from_bytes([user; 16])],
        ..Token::new(TokenId::from_bytes([user; 16]), String::new(), kind)
    }
}

fn user_name(user: u8) -> String {
    format!("user{user}")
}

fn upn(user: u8) -> String {
    format!("user{user}@example.org")
}

fn shared_secret(user: u8) -> [u8; 20] {
    [user; 20]
}

/// Ten, because the digits of a six-digit OTP return within the look-ahead once in 100,000 times.
/// The validator spends the later of such twins, so the OTP after the earlier one is refused.
fn digits() -> Digits {
    Digits::try_from(10).unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const CLIENTS: u8 = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);
const HOST: &str = "otp.example.org";
const PATH: &str = "/countersign/signCertRequest";
const MESSAGE: &[u8] = &[7; 1_024];
