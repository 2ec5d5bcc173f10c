//! The whole story against a small server of MS-OTPCE and EST, and each of its failures.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::State, http::Request, response::Response};
use countersign_core::{
    pki::{
        cert::{Issuer, Serial, Subject, common_name, prepare},
        cmc::{self, Trust, Wrapping},
        cms,
        csr::CertificateRequest,
        extension::Principal,
        profile::{Addresses, Kind, Profile, ProfileConfig},
    },
    wire::otpce::{IssuingCa, SignCertRequest, SignCertResponse},
};
use data_encoding::BASE64;
use http_body_util::BodyExt;

use super::*;
use crate::{
    client::tests::{Pki, Service, quick},
    clock::{ManualClock, SystemClock},
    signer::file::AwsVerify,
    vault::random_octets,
};

/// What the MS-OTPCE service answers.
#[derive(Debug, Clone)]
enum Otpce {
    /// Signs what it is sent, and names these CAs.
    Signs(Vec<String>),
    /// Signs something else.
    SignsAnother,
    Says(SignCertResponse),
    Status(u16),
}

/// What the EST service answers.
#[derive(Debug, Clone, PartialEq)]
enum Est {
    /// Issues for what the registration authority vouches for.
    Issues,
    /// Issues, and sends no CA certificate along.
    IssuesAlone,
    /// Issues with a signature that is not the CA's.
    IssuesForged,
    /// Issues for another key.
    IssuesAnother,
    Status(u16),
}

struct World {
    pki: Pki,
    otpce: Otpce,
    est: Est,
    asked: Mutex<Vec<String>>,
}

impl World {
    fn new(otpce: Otpce, est: Est) -> Arc<Self> {
        let pki = Pki::new();
        pki.issue("ra", "extendedKeyUsage=1.3.6.1.4.1.311.81.1.1");
        Arc::new(Self { pki, otpce, est, asked: Mutex::default() })
    }

    fn load(&self, name: &str) -> (Certificate, FileSigner) {
        let certificate = certificate::load_first(&self.pki.path(&format!("{name}.pem"))).unwrap();
        (certificate, FileSigner::load(&self.pki.path(&format!("{name}.key"))).unwrap())
    }

    fn answer_otpce(&self, body: &[u8]) -> (u16, String) {
        let request = SignCertRequest::read(body).unwrap();
        assert_eq!(request.one_time_password.expose(), "755224");
        let pkcs10 = request.cert_request.unwrap();
        let (pkcs10, cas) = match &self.otpce {
            Otpce::Signs(cas) => (pkcs10, cas.clone()),
            Otpce::SignsAnother => ([0x30, 0].to_vec(), Vec::new()),
            Otpce::Says(response) => return (200, response.write()),
            Otpce::Status(status) => return (*status, String::new()),
        };
        let (certificate, key) = self.load("ra");
        let digest = natural_digest(key.kind());
        let wrapping = Wrapping { digest, placeholder: true, client_info: None, chain: &[] };
        let prepared = cmc::prepare_request(&pkcs10, &certificate, &wrapping).unwrap();
        let signature = key.sign(digest, prepared.to_be_signed()).unwrap();
        let signed_cert_request = prepared.complete(&signature);
        let issuing_ca = cas.into_iter().map(IssuingCa).collect();
        (200, SignCertResponse::Success { signed_cert_request, issuing_ca }.write())
    }

    fn answer_est(&self, body: &[u8]) -> (u16, String) {
        let (ca, key) = self.load("ca");
        let now = SystemClock.now();
        let trust =
            Trust { ca: &ca, verify: &AwsVerify, now, allow_sha1: false, is_revoked: &|_| false };
        let vouched = cmc::vouch(&BASE64.decode(body).unwrap(), &trust).unwrap();
        let request = CertificateRequest::read(vouched.pkcs10()).unwrap();
        assert!(request.is_signed_by_its_key(&AwsVerify));
        let other = FileSigner::generate(KeySpec::P256).unwrap();
        let public_key = match self.est {
            Est::Issues | Est::IssuesAlone | Est::IssuesForged => request.public_key(),
            Est::IssuesAnother => other.public_key(),
            Est::Status(status) => return (status, String::new()),
        };
        let addresses = Addresses {
            crl_urls: vec!["http://ca.example/ca.crl".into()],
            issuer_urls: vec!["http://ca.example/ca.cer".into()],
        };
        let profile = Profile::new(Kind::Logon, &ProfileConfig::default(), &addresses).unwrap();
        let subject = Subject::Account {
            name: common_name("jane"),
            upn: "jane@example.test".into(),
            principal: Some(Principal::user("jane", "EXAMPLE.TEST")),
            sid: None,
        };
        let issuer = Issuer::new(&ca).unwrap();
        let serial = Serial::from_random(random_octets()).unwrap();
        let prepared = prepare(&profile, &subject, public_key, &issuer, &serial, now).unwrap();
        let signer = if self.est == Est::IssuesForged { &other } else { &key };
        let signature = signer.sign(prepared.digest(), prepared.to_be_signed()).unwrap();
        let certificate = prepared.complete(&signature).unwrap();
        let sent =
            if self.est == Est::IssuesAlone { vec![certificate] } else { vec![ca, certificate] };
        (200, BASE64.encode(&cms::certs_only(&sent)))
    }
}

async fn answer(State(world): State<Arc<World>>, request: Request<Body>) -> Response<String> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    world.asked.lock().unwrap().push(path.clone());
    let (status, text) = match path.as_str() {
        "/otpce" => world.answer_otpce(&body),
        "/.well-known/est/fullcmc" => world.answer_est(&body),
        other => panic!("{other}"),
    };
    Response::builder().status(status).body(text).unwrap()
}

/// A login whose servers are to be filled in.
fn login() -> Login {
    Login {
        servers: Vec::new(),
        est: Vec::new(),
        username: "EXAMPLE\\jane".into(),
        upn: Some("jane@example.test".into()),
        dn: None,
        template: Template { oid: oid::TEMPLATE_ARC, major: 1, minor: 0 },
        key: KeySpec::P256,
        anchors: Vec::new(),
    }
}

fn nobody() -> HttpsUrl {
    "https://127.0.0.1:1/otpce".parse().unwrap()
}

struct Story {
    result: Result<Logon, LoginError>,
    steps: Vec<Step>,
    asked: Vec<String>,
}

/// Runs a login against a world; `change` fills in what the case needs.
async fn run(world: &Arc<World>, change: impl FnOnce(&mut Login, &Service)) -> Story {
    run_at(world, &SystemClock, change).await
}

async fn run_at(
    world: &Arc<World>,
    clock: &dyn Clock,
    change: impl FnOnce(&mut Login, &Service),
) -> Story {
    let router = Router::new().fallback(answer).with_state(world.clone());
    let service = Service::start(&world.pki, router).await;
    let client =
        HttpsClient::new(&world.pki.anchors(), Some(&world.pki.machine()), quick()).unwrap();
    let mut login = Login { servers: vec![service.url("/otpce")], ..login() };
    change(&mut login, &service);
    let steps = Mutex::new(Vec::new());
    let watch = |step: &Step| steps.lock().unwrap().push(step.clone());
    let result = login.run(&client, &Secret::new("755224".into()), clock, &watch).await;
    let asked = world.asked.lock().unwrap().clone();
    Story { result, steps: steps.into_inner().unwrap(), asked }
}

fn use_est(login: &mut Login, service: &Service) {
    login.est = vec![service.url("/")];
}

fn signs() -> Otpce {
    Otpce::Signs(vec!["ca.example\\CA".into()])
}

fn event(story: &Story) -> u16 {
    let error = story.result.as_ref().unwrap_err();
    assert!(!error.remedy().is_empty() && !error.to_string().contains("755224"), "{error}");
    error.event()
}

#[tokio::test]
async fn a_one_time_password_becomes_a_certificate() {
    for spec in [KeySpec::P256, KeySpec::Rsa2048] {
        let world = World::new(signs(), Est::Issues);
        let story = run(&world, |login, service| {
            login.key = spec;
            login.servers.insert(0, nobody());
            login.est = vec![nobody().with_path("/"), service.url("/")];
        })
        .await;
        let logon = story.result.unwrap();
        assert_eq!(logon.certificate.public_key(), logon.key.public_key());
        assert_eq!(logon.chain, world.pki.anchors());
        assert_eq!(story.asked, ["/otpce", "/.well-known/est/fullcmc"]);
        let what: Vec<What> = story.steps.iter().map(|step| step.what).collect();
        use What::{Countersigned, Issued, Key, PassedOver, Request};
        assert_eq!(what, [Key, Request, PassedOver, Countersigned, PassedOver, Issued]);
        let text = format!("{:?}", story.steps);
        assert!(!text.contains("755224") && text.contains("ca.example"), "{text}");
    }
}

#[tokio::test]
async fn the_ca_is_found_by_its_configuration_string() {
    let world = World::new(
        Otpce::Signs(vec!["no backslash".into(), "127.0.0.1:1\\CA".into()]),
        Est::Issues,
    );
    let story = run(&world, |_, _| ()).await;
    assert_eq!(event(&story), 10018);
    let text = story.result.unwrap_err().to_string();
    assert!(
        text.contains("127.0.0.1:1\\CA") && text.contains("/.well-known/est/fullcmc"),
        "{text}"
    );
    let signed = |cas: &[&str]| Signed {
        server: nobody(),
        signed_cert_request: Vec::new(),
        issuing_ca: cas.iter().map(|ca| IssuingCa((*ca).to_owned())).collect(),
    };
    let cas = login().cas(&signed(&["ca.example\\My CA", "b:8443\\x", "c"]));
    let urls: Vec<_> = cas.iter().map(|(_, url)| url.as_ref().map(HttpsUrl::to_string)).collect();
    let url = |text: &str| Some(text.to_owned());
    assert_eq!(urls, [url("https://ca.example/"), url("https://b:8443/"), None]);
}

#[tokio::test]
async fn failures_before_anything_is_sent_have_their_events() {
    let world = World::new(signs(), Est::Issues);
    let no_upn = run(&world, |login, _| login.upn = None).await;
    assert_eq!(event(&no_upn), 10011);
    let bad_dn = run(&world, |login, _| login.dn = Some("nonsense".into())).await;
    assert_eq!(event(&bad_dn), 10012);
    let no_server = run(&world, |login, _| login.servers.clear()).await;
    assert_eq!(event(&no_server), 10014);
    let no_connection = run(&world, |login, _| login.servers = vec![nobody()]).await;
    assert_eq!(event(&no_connection), 10000);
    assert!(no_connection.asked.is_empty());
}

#[test]
fn a_logon_name_stands_for_itself_or_for_a_user_of_the_machines_domain() {
    let pki = Pki::new();
    let machine = pki.machine();
    for (name, upn) in [
        ("jane@example.test", "jane@example.test"),
        ("EXAMPLE\\jane", "jane@example"),
        ("jane", "jane@example"),
    ] {
        assert_eq!(default_upn(name, &machine).as_deref(), Some(upn), "{name}");
    }
    pki.issue("alone", "subjectAltName=DNS:alone");
    let chain = certificate::load(&pki.path("alone.pem")).unwrap();
    assert_eq!(default_upn("jane", &Identity { chain, ..machine }), None);
}

#[tokio::test]
async fn answers_of_the_otpce_server_have_their_events() {
    for (otpce, expected) in [
        (Otpce::Says(SignCertResponse::AuthenticationError), 10005),
        (Otpce::Says(SignCertResponse::OtherError), 10005),
        (Otpce::Says(SignCertResponse::ChallengeResponseRequired), 10006),
        (Otpce::Status(403), 10002),
        (Otpce::Status(500), 10002),
        (Otpce::Status(200), 10002),
        (Otpce::Signs(Vec::new()), 10017),
        (Otpce::SignsAnother, 10020),
        (
            Otpce::Says(SignCertResponse::Success {
                signed_cert_request: b"nonsense".to_vec(),
                issuing_ca: Vec::new(),
            }),
            10020,
        ),
    ] {
        let world = World::new(otpce.clone(), Est::Issues);
        // A second server, which must never be asked with the same one-time password.
        let story = run(&world, |login, service| login.servers.push(service.url("/otpce"))).await;
        assert_eq!(event(&story), expected, "{otpce:?}");
        assert_eq!(story.asked, ["/otpce"], "{otpce:?}");
    }
}

#[tokio::test]
async fn answers_of_the_ca_have_their_events() {
    for (est, expected) in [
        (Est::Status(404), 10018),
        (Est::Status(403), 10019),
        (Est::Status(202), 10019),
        (Est::Status(200), 10021),
        (Est::IssuesAnother, 10021),
    ] {
        let world = World::new(signs(), est.clone());
        let story = run(&world, use_est).await;
        assert_eq!(event(&story), expected, "{est:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let world = World::new(signs(), Est::Issues);
    let clock = ManualClock::new(SystemClock.now().minus(86_400));
    let story = run_at(&world, &clock, use_est).await;
    assert_eq!(event(&story), 10015);
}

#[tokio::test]
async fn a_certificate_that_no_known_ca_signed_is_refused() {
    let forged = World::new(signs(), Est::IssuesForged);
    let story = run(&forged, use_est).await;
    assert_eq!(event(&story), 10015);
    let text = story.result.unwrap_err().to_string();
    assert!(text.contains("CN=jane says that"), "{text}");

    let alone = World::new(signs(), Est::IssuesAlone);
    let anchors = [Vec::new(), Pki::new().anchors(), alone.pki.anchors()];
    let mut events = Vec::new();
    for anchors in anchors {
        let story = run(&alone, |login, service| {
            use_est(login, service);
            login.anchors = anchors;
        })
        .await;
        events.push(story.result.err().map(|error| error.event()));
    }
    // Nobody, a CA of the same name, the CA itself.
    assert_eq!(events, [Some(10015), Some(10015), None]);
}

#[tokio::test]
async fn a_refused_machine_certificate_is_explained() {
    let world = World::new(Otpce::Status(403), Est::Issues);
    let error = run(&world, |_, _| ()).await.result.unwrap_err();
    assert!(error.remedy().contains("403.17"), "{}", error.remedy());
}

#[tokio::test]
async fn a_machine_that_asks_too_often_is_told_to_wait() {
    let world = World::new(Otpce::Status(429), Est::Issues);
    let error = run(&world, |_, _| ()).await.result.unwrap_err();
    assert_eq!(error.event(), 10002);
    assert!(error.remedy().contains("wait a minute"), "{}", error.remedy());
}

#[test]
fn a_machine_certificate_is_checked_before_it_is_shown() {
    let pki = Pki::new();
    let now = SystemClock.now();
    let path = |name: &str| pki.path(name);
    assert!(machine_identity(&path("machine.pem"), &path("machine.key"), now).is_ok());
    for (certificate, key, now, words) in [
        ("none.pem", "machine.key", now, "none.pem"),
        ("machine.pem", "none.key", now, "none.key"),
        ("machine.pem", "server.key", now, "another key"),
        ("machine.pem", "machine.key", now.plus(3 * 86_400), "valid from"),
    ] {
        let error = machine_identity(&path(certificate), &path(key), now).unwrap_err();
        assert!(error.event() == 10016 && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_logon_is_saved_once_and_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new(signs(), Est::Issues);
    let logon = run(&world, use_est).await.result.unwrap();
    let path = |name: &str| world.pki.path(name);
    assert_eq!(logon.principal().as_deref(), Some("jane@EXAMPLE.TEST"));
    logon.save_pem(&path("logon.pem")).unwrap();
    world.pki.openssl("pkey -in logon.pem -pubout -outform DER -out key.der");
    let public_key = std::fs::read(path("key.der")).unwrap();
    assert_eq!(public_key, logon.certificate.public_key());
    world.pki.openssl("x509 -in logon.pem -outform DER -out leaf.der");
    assert_eq!(std::fs::read(path("leaf.der")).unwrap(), logon.certificate.der());
    assert_eq!(logon.save_pem(&path("logon.pem")).unwrap_err().event(), 10007);

    let password = Secret::new("secret".to_owned());
    logon.save_pkcs12(&path("logon.p12"), "jane", &password).unwrap();
    for file in ["logon.pem", "logon.p12"] {
        let mode = std::fs::metadata(path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    world.pki.openssl("pkcs12 -in logon.p12 -passin pass:secret -nokeys -out read.pem");
    assert_eq!(
        logon.save_pkcs12(&path("logon.p12"), "jane", &password).unwrap_err().event(),
        10007
    );
}
