//! What a hostile peer tries. Each test held a hole open once.

#![expect(clippy::unwrap_used, reason = "these are tests from end to end")]

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use countersign::{
    app::{
        Asked,
        authenticate::{Authenticator, Others, Parts},
        countersign::Countersigner,
        issue::{Authority, Ca, Profiles},
        publish::{PublishSettings, Publisher, addresses},
        sign::{Ra, RaSettings, SigningCertificate},
    },
    audit::MemoryAudit,
    client::radius::Upstream,
    clock::ManualClock,
    config::upstream::{ServerSettings, UpstreamSettings, UserNameFormat},
    listener::{
        limit::Limiter,
        otpce::{self, Otpce},
        tls::{ClientCertificate, Examiner, Machine},
    },
    signer::{
        Signer,
        file::{AwsVerify, FileSigner, KeySpec},
    },
    store::{SealedSecret, Store, memory::Memory},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::Account,
        attempt::{Attempt, ListenerKind, Terms},
        id::{AccountId, CorrelationId, TokenId},
        lockout::OUT_OF_ORDER,
        name::{LoginName, Site},
        password::PasswordHash,
        policy::Policy,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
        verdict::{Outcome, Reason, Verdict},
    },
    oath::hotp::{Algorithm, Digits, hotp},
    pki::{
        algorithm::KeyKind,
        cert::{Subject, common_name, natural_digest},
        csr::{CertificateRequest, LogonExtensions, PreparedRequest},
        dn::DistinguishedName,
        extension::Template,
        profile::{Kind, ProfileConfig, Span},
        request::{self, RequestPolicy},
    },
    secret::Secret,
    time::UnixTime,
    wire::radius::{
        dictionary::Code,
        packet::{Draft, Packet, Protection},
    },
};
use der::asn1::ObjectIdentifier;
use futures_util::stream;
use tokio::net::UdpSocket;
use tower::ServiceExt;

const NOW: UnixTime = UnixTime(1_800_000_000);
const SEED: &[u8] = b"12345678901234567890";
const TEMPLATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.8.1.2.3");

/// One OTP, one certificate: not one at every request until the signing certificate ends.
#[tokio::test]
async fn a_countersigned_request_is_issued_once() {
    let site = site().await;
    let message = site.countersigned().await;
    site.ca.issue_logon(&message, &asked(NOW)).await.unwrap();
    let again = site.ca.issue_logon(&message, &asked(NOW.plus(47 * 3600))).await;
    assert!(again.is_err(), "the same OTP bought a second certificate, 47 hours later");
}

/// A passcode counts at the time at which it is known, not when the headers came.
#[tokio::test]
async fn a_slow_body_does_not_bring_an_old_time_with_it() {
    let site = site().await;
    let clock = Arc::new(ManualClock::new(NOW));
    let router = otpce::router(Otpce {
        countersigner: Countersigner {
            authenticator: site.authenticator.clone(),
            ra: site.ra.clone(),
            policy: policy(),
            issuing_ca: Vec::new(),
            verify: Arc::new(AwsVerify),
            audit: site.audit.clone(),
        },
        paths: vec!["/otp".into()],
        require_version: false,
        clock: clock.clone(),
        limit: Limiter::new(NonZeroU32::MAX),
    });
    let document = include_bytes!("../../testdata/otpce/accepted-request.xml");
    let later = NOW.plus(3600);
    let body = stream::once(async move {
        clock.set(later);
        Ok::<_, std::io::Error>(Bytes::from_static(document))
    });
    let machine = Machine {
        subject: String::new(),
        serial: "1".into(),
        dns_names: vec!["client".into()],
        der: Vec::new(),
    };
    let request = axum::http::Request::post("/otp")
        .header("content-type", "application/xml")
        .extension(ClientCertificate::Trusted(Arc::new(machine)))
        .body(Body::from_stream(body))
        .unwrap();
    router.oneshot(request).await.unwrap();
    assert_eq!(site.audit.events().last().unwrap().at, later);
}

/// An attempt that was held up, by as much as one can be, must not turn the lock back.
#[tokio::test]
async fn a_late_attempt_does_not_unlock() {
    let site = site().await;
    let mut now = NOW;
    loop {
        let verdict = site.attempt("000000", now).await;
        if verdict.reason == Reason::LockedOut {
            break;
        }
        now = now.plus(31);
    }
    assert_eq!(site.attempt("000000", now.minus(OUT_OF_ORDER)).await.reason, Reason::LockedOut);
    assert_eq!(site.attempt("000000", now.plus(1)).await.reason, Reason::LockedOut);
}

/// Guesses at a local token are counted although another token of the account is remote.
#[tokio::test]
async fn a_remote_token_is_no_way_around_the_lock() {
    let site = site().await;
    let remote = Token {
        id: TokenId::from_bytes([8; 16]),
        kind: TokenKind::Remote { upstream: "otp".into(), user_name: None },
        ..token()
    };
    site.store.insert_token(remote, None, 0).await.unwrap();
    for _ in 0..20 {
        let _ = site.attempt("000000", NOW).await;
    }
    let verdict = site.attempt(&otp(0), NOW).await;
    assert_ne!(verdict.outcome, Outcome::Accepted, "after twenty wrong guesses in one second");
}

/// One damaged record must not lock an account out of its other tokens.
#[tokio::test]
async fn a_secret_that_does_not_open_stops_its_own_token_alone() {
    let site = site().await;
    let damaged = Token { id: TokenId::from_bytes([8; 16]), ..token() };
    let unreadable = Some(SealedSecret("AAAA".into()));
    site.store.insert_token(damaged.clone(), unreadable.clone(), 0).await.unwrap();
    assert_eq!(site.attempt(&otp(0), NOW).await.reason, Reason::PasscodeCorrect);
    site.store.remove_token(token().id).await.unwrap();
    let verdict = site.attempt(&otp(1), NOW).await;
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Unavailable, Reason::SecretUnreadable));
}

/// With the embedded CA as trust anchor, as `init` sets it up, users are no machines.
#[tokio::test]
async fn a_logon_certificate_is_no_machine_certificate() {
    let site = site().await;
    let message = site.countersigned().await;
    let logon = site.ca.issue_logon(&message, &asked(NOW)).await.unwrap();
    let anchor = site.ca.authority.certificate().der().to_vec().into();
    let examiner = Examiner::new(&[anchor], Vec::new()).unwrap();
    let shown = examiner.examine(Some(&[logon.der().to_vec().into()]), NOW);
    assert!(!matches!(shown, ClientCertificate::Trusted(_)), "{shown:?}");
}

struct SiteOfTest {
    store: Arc<Memory>,
    audit: Arc<MemoryAudit>,
    authenticator: Arc<Authenticator>,
    ca: Ca,
    ra: Arc<Ra>,
}

impl SiteOfTest {
    async fn attempt(&self, passcode: &str, at: UnixTime) -> Verdict {
        let attempt = Attempt {
            correlation: CorrelationId::from_bytes([0; 16]),
            login: LoginName::parse("alice").unwrap(),
            passcode: Secret::new(passcode.as_bytes().to_vec()),
            listener: ListenerKind::Radius,
            peer: "vpn".into(),
            at,
            terms: Terms::default(),
        };
        self.authenticator.authenticate(attempt).await.verdict
    }

    /// What the RA gives alice for an OTP.
    async fn countersigned(&self) -> Vec<u8> {
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        let extensions = LogonExtensions {
            upn: Some("alice@corp.example".into()),
            template: Some(Template { oid: TEMPLATE, major: 100, minor: 0 }),
            template_name: None,
        };
        let prepared = PreparedRequest::new(
            &DistinguishedName::default(),
            key.public_key(),
            &extensions.to_extensions().unwrap(),
        );
        let prepared = prepared.unwrap();
        let digest = natural_digest(KeyKind::P256);
        let signature = key.sign(digest, prepared.to_be_signed()).unwrap();
        let request = CertificateRequest::read(&prepared.complete(digest, &signature)).unwrap();
        let checked = request::check(&request, &account(), &policy(), &AwsVerify).unwrap();
        self.ra.sign(&checked, CorrelationId::from_bytes([0; 16]), NOW).unwrap()
    }
}

async fn site() -> SiteOfTest {
    let directory = tempfile::tempdir().unwrap().keep();
    let vault = Vault::create(&directory.join("key")).unwrap();
    let store = Arc::new(Memory::new());
    let audit = Arc::new(MemoryAudit::default());
    store.insert_account(account(), Site::default()).await.unwrap();
    let sealed = vault.seal(token().id, SEED).unwrap();
    store.insert_token(token(), Some(sealed), 0).await.unwrap();
    let upstreams = HashMap::from([("otp".to_owned(), Arc::new(rejecting_upstream().await))]);
    let authenticator = Arc::new(Authenticator::new(Parts {
        store: store.clone(),
        vault: Arc::new(vault),
        audit: audit.clone(),
        policy: Policy::default(),
        pins: Arc::new(NoPins),
        pin_permits: 1,
        others: Others { upstreams, ..Others::default() }.shared(),
    }));

    let key = Arc::new(FileSigner::generate(KeySpec::P256).unwrap());
    let config = ProfileConfig::default();
    let authority = Authority::found(common_name("Example CA"), &config, key, NOW).unwrap();
    let authority = Arc::new(authority);
    let settings = PublishSettings {
        file: directory.join("ca.crl"),
        validity: Span::days(7),
        keep_expired: Span::days(1),
        signing_validity: Span::days(2),
    };
    let publisher = Arc::new(Publisher::new(authority.clone(), store.clone(), settings));
    publisher.publish(NOW).await.unwrap();
    let ca = Ca {
        authority,
        profiles: Profiles::new(|_| &config, &addresses("http://ca.example")).unwrap(),
        policy: policy(),
        store: store.clone(),
        publisher,
        verify: Arc::new(AwsVerify),
        audit: audit.clone(),
    };
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let subject =
        Subject::Host { name: Default::default(), dns: vec!["ra.example".into()], ip: Vec::new() };
    let spki = key.public_key().to_vec();
    let asked = asked(NOW);
    let issued = ca.issue_infrastructure(Kind::Signing, subject, &spki, &spki, &asked);
    let signing = SigningCertificate::new(issued.await.unwrap(), Vec::new(), Arc::new(key));
    let ra = Arc::new(Ra::new(RaSettings::default(), audit.clone()));
    ra.install(signing.unwrap());
    SiteOfTest { store, audit, authenticator, ca, ra }
}

/// A server that says no to everybody.
async fn rejecting_upstream() -> Upstream {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let secret = || Secret::new(b"secret".to_vec());
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
            let packet = Packet::read(&datagram[..length]).unwrap();
            let reject = Draft::new(
                Code::ACCESS_REJECT,
                packet.identifier(),
                packet.authenticator(),
                Protection::MessageAuthenticator,
            );
            socket.send_to(&reject.finish_reply(&secret()), peer).await.unwrap();
        }
    });
    Upstream::new(UpstreamSettings {
        name: "otp".into(),
        servers: vec![ServerSettings { address: address.into(), secret: secret() }],
        timeout: Duration::from_secs(30),
        tries: 1,
        dead_time: Duration::from_secs(60),
        user_name: UserNameFormat::AsGiven,
        nas_identifier: "countersign".into(),
        require_message_authenticator: true,
        accounting_port: None,
        tls: None,
        probe: None,
    })
    .unwrap()
}

fn account() -> Account {
    Account {
        upn: Some("alice@corp.example".into()),
        ..Account::new(AccountId::from_bytes([1; 16]), "alice".into())
    }
}

fn token() -> Token {
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    Token {
        accounts: vec![AccountId::from_bytes([1; 16])],
        ..Token::new(TokenId::from_bytes([7; 16]), "device".into(), kind)
    }
}

fn otp(counter: u64) -> String {
    let otp = hotp(Algorithm::Sha1, SEED, counter, Digits::SIX);
    String::from_utf8(otp.as_bytes().to_vec()).unwrap()
}

fn policy() -> RequestPolicy {
    RequestPolicy {
        template_name: "Logon".into(),
        template_oid: TEMPLATE,
        allow_sha1: false,
        minimum_rsa_bits: 2048,
        key_kinds: vec![KeyKind::Rsa, KeyKind::P256],
    }
}

fn asked(at: UnixTime) -> Asked {
    Asked { peer: "client".into(), correlation: CorrelationId::from_bytes([0; 16]), at }
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
