//! The MS-OTPCE listener, held to the acceptance checks of the digest of [MS-OTPCE] (§17).
//!
//! The OTP server is a RADIUS server on loopback that does as it is told, and
//! writes down what it was sent.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use countersign::{
    app::{
        authenticate::{Authenticator, Others, Parts},
        countersign::Countersigner,
    },
    client::radius::Upstream,
    config::upstream::{ServerSettings, UpstreamSettings, UserNameFormat},
    listener::{
        limit::Limiter,
        otpce::{Otpce, router},
        tls::{ClientCertificate, Refusal},
    },
    signer::file::{AwsVerify, FileSigner, KeySpec},
    vault::Vault,
};
use countersign_core::{
    domain::{
        event::What, password::PasswordHash, policy::Policy, token::PinHash, validate::PinCheck,
        verdict::Outcome,
    },
    pki::{
        cert::Serial,
        cmc::{self, Trust},
        extension,
    },
    secret::Secret,
    wire::{
        otpce::{IssuingCa, SignCertResponse},
        radius::{
            authenticator::Demand,
            dictionary::{AttributeNumber, Code},
            packet::{Draft, Packet, Protection},
        },
    },
};
use data_encoding::BASE64;
use http_body_util::BodyExt;
use tokio::net::UdpSocket;
use tower::ServiceExt;

#[path = "support/site.rs"]
mod site;

use site::{LIMIT, NOW, Names, RA_HOST, Site, UPN, logon_request, machine, policy, request_with};

/// §17.1: the published request is accepted, and comes back inside what the RA signed.
#[tokio::test]
async fn the_published_request_is_accepted() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let answer = bench.post(PUBLISHED).await;
    let (signed, issuing_ca) = success(answer);
    assert_eq!(issuing_ca, [IssuingCa(CA.into())]);
    let vouched = bench.vouch(&signed).unwrap();
    let inside = data_between(PUBLISHED, "certRequest=\"", '"').replace("&#xA;", "");
    assert_eq!(vouched.pkcs10(), BASE64.decode(inside.as_bytes()).unwrap());
    assert_eq!(vouched.signer().dns_names(), [RA_HOST]);
    assert_eq!(bench.asked(), [("DOMAIN1\\user1".to_owned(), "Pa$$word1".to_owned())]);
}

/// §17.2: however the base64 is broken into lines.
#[tokio::test]
async fn line_breaks_in_the_request_mean_nothing() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    for broken in ["\n", " ", "\r\n", "", "&#xD;&#xA;", "\t \n"] {
        let document = PUBLISHED.replace("&#xA;", broken);
        success(bench.post(&document).await);
    }
}

/// §17.3: one octet of the signature changed.
#[tokio::test]
async fn a_request_not_signed_by_its_key_is_refused_unasked() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let inside = data_between(PUBLISHED, "certRequest=\"", '"').replace("&#xA;", "");
    let mut pkcs10 = BASE64.decode(inside.as_bytes()).unwrap();
    *pkcs10.last_mut().unwrap() ^= 1;
    bench.refuses(&pkcs10).await;
}

/// §17.4: names of somebody else, alone or beside the right one.
#[tokio::test]
async fn a_request_for_another_user_is_refused_unasked() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let other = "user2@domain1.corp.company.com";
    bench.refuses(&logon_request(&key, &Names { upn: Some(other), ..Names::default() })).await;
    let subject = "CN=User 2,CN=Users,DC=domain1,DC=corp,DC=company,DC=com";
    bench.refuses(&logon_request(&key, &Names { subject, ..Names::default() })).await;
    bench.refuses(&logon_request(&key, &Names { upn: None, ..Names::default() })).await;
    let names = vec![extension::upn(UPN), extension::upn(other)];
    bench.refuses(&with_names(&key, &names)).await;
    let names = vec![extension::upn(UPN), extension::dns("host.example.org").unwrap()];
    bench.refuses(&with_names(&key, &names)).await;
}

/// §17.5: the template is unknown or missing.
#[tokio::test]
async fn a_request_for_another_template_is_refused_unasked() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    for template in [None, Some("1.3.6.1.4.1.311.21.8.1")] {
        bench.refuses(&logon_request(&key, &Names { template, ..Names::default() })).await;
    }
}

/// §4.4 of [MS-OTPCE]: what is no request at all is an outcome, not an HTTP error.
#[tokio::test]
async fn what_is_no_request_is_answered_in_the_protocol() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    for value in ["asdf", "", "====", "*", "MIIEjzCC"] {
        let document = document("DOMAIN1\\user1", "1", value);
        assert_eq!(bench.post(&document).await, SignCertResponse::OtherError, "{value}");
    }
    assert!(bench.asked().is_empty());
}

/// §17.6: nobody has the name. Nobody is asked, and the answer is that of a wrong passcode.
#[tokio::test]
async fn an_unknown_user_is_refused_unasked() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let names = Names { upn: Some("nobody@domain1.corp.company.com"), ..Names::default() };
    let request = BASE64.encode(&logon_request(&key, &names));
    let answer = bench.post(&document("DOMAIN1\\nobody", "1", &request)).await;
    assert_eq!(answer, SignCertResponse::AuthenticationError);
    assert!(bench.asked().is_empty());
}

/// A foreign name in the request is answered as to a user who has an account,
/// or else every machine could find out who has one.
#[tokio::test]
async fn a_foreign_name_does_not_tell_who_has_an_account() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let names = Names { upn: Some("x@domain1.corp.company.com"), ..Names::default() };
    let request = BASE64.encode(&logon_request(&key, &names));
    for login in ["DOMAIN1\\user1", "DOMAIN1\\nobody", "DOMAIN1\\"] {
        let answer = bench.post(&document(login, "1", &request)).await;
        assert_eq!(answer, SignCertResponse::OtherError, "{login}");
        let last = bench.site.audit.events().pop().unwrap();
        let What::RequestRefused { step, .. } = last.what else { panic!("{last:?}") };
        assert_eq!(step, "1a");
    }
}

/// Digest §5.2: step 1 comes before step 2.
#[tokio::test]
async fn a_bad_request_of_an_unknown_user_is_an_other_error() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let answer = bench.post(&document("DOMAIN1\\nobody", "1", "asdf")).await;
    assert_eq!(answer, SignCertResponse::OtherError);
}

/// §17.7: what the OTP server says decides, and nothing optional is sent on failure.
#[tokio::test]
async fn reject_challenge_and_silence_are_told_apart() {
    for (says, status) in [
        (Says::Code(Code::ACCESS_REJECT), "AuthenticationError"),
        (Says::Code(Code::ACCESS_CHALLENGE), "ChallengeResponseRequired"),
        (Says::Nothing, "OtherError"),
    ] {
        let bench = Bench::new(says).await;
        let response = bench.send(bench.request(PUBLISHED)).await;
        let text = text(response).await;
        assert!(text.contains(&format!("statusCode=\"{status}\"")), "{text}");
        for optional in ["SignedCertRequest", "IssuingCA", "certificate"] {
            assert!(!text.contains(optional), "{text}");
        }
        assert!(!bench.asked().is_empty());
    }
}

/// §17.8: without a valid signing certificate, and without a CA to name.
#[tokio::test]
async fn an_accepted_passcode_is_not_enough() {
    let accept = Says::Code(Code::ACCESS_ACCEPT);
    let bench = Bench::with(accept, |countersigner| {
        countersigner.ra = Arc::new(countersign::app::sign::Ra::new(
            countersign::app::sign::RaSettings::default(),
            countersigner.audit.clone(),
        ));
    });
    assert_eq!(bench.await.post(PUBLISHED).await, SignCertResponse::OtherError);
    let bench = Bench::new(accept).await;
    bench.site.set_time(NOW.plus(3 * 86400));
    assert_eq!(bench.post(PUBLISHED).await, SignCertResponse::OtherError);
    let bench = Bench::with(accept, |countersigner| countersigner.issuing_ca.clear()).await;
    assert_eq!(bench.post(PUBLISHED).await, SignCertResponse::OtherError);
}

/// §17.8: the order of the checks decides which status wins.
#[tokio::test]
async fn a_wrong_passcode_wins_over_a_missing_ca() {
    let reject = Says::Code(Code::ACCESS_REJECT);
    let bench = Bench::with(reject, |countersigner| countersigner.issuing_ca.clear()).await;
    assert_eq!(bench.post(PUBLISHED).await, SignCertResponse::AuthenticationError);
}

/// §17.9: the headers, also on failures.
#[tokio::test]
async fn every_response_has_the_headers() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let mut failing = bench.request(PUBLISHED);
    *failing.method_mut() = Method::GET;
    for request in [bench.request(PUBLISHED), bench.request("<a/>"), failing] {
        let response = bench.send(request).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "Application/xml;charset=utf-8");
        assert_eq!(header("x-otpcep-version"), "1.0");
        assert_eq!(header("cache-control"), "no-store");
    }
}

/// §17.10: the table of HTTP codes (digest §2).
#[tokio::test]
async fn http_codes_are_those_of_the_table() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let code = async |change: &dyn Fn(&mut Request<Body>)| {
        let mut request = bench.request(PUBLISHED);
        change(&mut request);
        bench.send(request).await.status()
    };
    let client = |certificate: ClientCertificate| {
        move |request: &mut Request<Body>| {
            request.extensions_mut().insert(certificate.clone());
            // Nothing of it may be looked at.
            *request.body_mut() = Body::from("no XML");
        }
    };
    assert_eq!(
        code(&|request| {
            request.extensions_mut().remove::<ClientCertificate>();
        })
        .await,
        StatusCode::FORBIDDEN
    );
    for certificate in [
        ClientCertificate::Absent,
        ClientCertificate::Refused(Refusal::Untrusted),
        ClientCertificate::Refused(Refusal::Revoked),
        ClientCertificate::Refused(Refusal::OutOfDate),
    ] {
        assert_eq!(code(&client(certificate)).await, StatusCode::FORBIDDEN);
    }
    for method in [Method::GET, Method::PUT, Method::HEAD] {
        let answer = code(&|request| *request.method_mut() = method.clone()).await;
        assert_eq!(answer, StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = |value: &'static str| {
        move |request: &mut Request<Body>| {
            request.headers_mut().insert(header::CONTENT_TYPE, value.parse().unwrap());
        }
    };
    for value in ["text/xml", "application/xml; charset=latin1", "", "application/xmlx"] {
        let answer = code(&content_type(value)).await;
        assert_eq!(answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{value}");
    }
    for value in ["application/xml", "APPLICATION/XML ; CHARSET=\"UTF-8\""] {
        assert_eq!(code(&content_type(value)).await, StatusCode::OK, "{value}");
    }
    for version in [None, Some("1.1"), Some("")] {
        let change = |request: &mut Request<Body>| {
            request.headers_mut().remove("X-OTPCEP-version");
            if let Some(version) = version {
                request.headers_mut().insert("X-OTPCEP-version", version.parse().unwrap());
            }
        };
        assert_eq!(code(&change).await, StatusCode::BAD_REQUEST, "{version:?}");
    }
    let too_big = " ".repeat(64 * 1024 + 1);
    let answer = code(&|request| *request.body_mut() = Body::from(too_big.clone())).await;
    assert_eq!(answer, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = code(&|request| *request.uri_mut() = "/other".parse().unwrap()).await;
    assert_eq!(answer, StatusCode::NOT_FOUND);
    for path in ["/OTPCE", "/alias", "/Alias?x=y"] {
        let answer = code(&|request| *request.uri_mut() = path.parse().unwrap()).await;
        assert_eq!(answer, StatusCode::OK, "{path}");
    }
}

/// §17.10: documents that are none.
#[tokio::test]
async fn documents_with_dtd_junk_or_gaps_are_bad_requests() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let (declaration, root) = PUBLISHED.split_once('\n').unwrap();
    for document in [
        format!("{declaration}<!DOCTYPE a [<!ENTITY b \"c\">]>{root}"),
        format!("{PUBLISHED}junk"),
        PUBLISHED.replace("otpcep/1.0/protocol", "otpcep/2.0/protocol"),
        PUBLISHED.replace("signCertRequest", "signCertResponse"),
        PUBLISHED.replace("username=", "user="),
        PUBLISHED.replace("oneTimePassword=", "oneTimePassword2="),
        PUBLISHED.replace("username=", "username=\"a\" username="),
        String::new(),
    ] {
        let response = bench.send(bench.request(&document)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{document}");
    }
    assert!(bench.asked().is_empty());
}

/// §17.11: entities are resolved, the rest is passed on octet by octet.
#[tokio::test]
async fn the_passcode_reaches_the_otp_server_as_it_is() {
    for (written, meant) in [
        ("&amp;&#x41;&lt;&quot;", "&A<\""),
        (" 12 34 ", " 12 34 "),
        ("pässwörd€", "pässwörd€"),
        ("&#x9;1", "\t1"),
    ] {
        let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
        success(bench.post(&PUBLISHED.replace("Pa$$word1", written)).await);
        assert_eq!(bench.asked()[0].1, meant);
    }
}

#[tokio::test]
async fn audit_says_what_happened_in_order_and_knows_no_passcode() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let before = bench.site.audit.events().len();
    success(bench.post(PUBLISHED).await);
    let events = bench.site.audit.events().split_off(before);
    let [authenticated, intended, signed] = events.as_slice() else { panic!("{events:?}") };
    assert!(matches!(
        &authenticated.what,
        What::Authenticated { outcome: Outcome::Accepted, peer, .. } if peer == "client2.example.org"
    ));
    assert!(matches!(&intended.what, What::SigningIntended { .. }));
    assert!(matches!(&signed.what, What::Signed { .. }));
    assert!(events.iter().all(|event| event.correlation == signed.correlation));
    assert!(!serde_json::to_string(&events).unwrap().contains("Pa$$word1"));
}

#[tokio::test]
async fn what_is_refused_before_the_passcode_is_audited_with_its_step() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let steps = [
        (Names { upn: Some("a@b"), ..Names::default() }, "1a"),
        (Names { template: None, ..Names::default() }, "1b"),
    ];
    for (names, wanted) in steps {
        bench.refuses(&logon_request(&key, &names)).await;
        let last = bench.site.audit.events().pop().unwrap();
        let What::RequestRefused { step, login, .. } = last.what else { panic!("{last:?}") };
        assert_eq!((step.as_str(), login.as_str()), (wanted, "DOMAIN1\\user1"));
    }
}

#[tokio::test]
async fn forms_of_the_name_lead_to_the_same_account() {
    for name in ["domain1\\USER1", "DOMAIN1.corp.company.com\\user1", UPN] {
        let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
        success(bench.post(&PUBLISHED.replace("DOMAIN1\\user1", name)).await);
    }
}

#[tokio::test]
async fn a_missing_version_is_accepted_where_the_config_says_so() {
    let bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let lenient = bench.router(bench.countersigner(), false);
    let mut request = bench.request(PUBLISHED);
    request.headers_mut().remove("X-OTPCEP-version");
    assert_eq!(lenient.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

/// §14: any machine can try one-time passwords for any user, so each has its limit.
#[tokio::test]
async fn a_machine_that_asks_too_often_is_refused_before_anything_is_read() {
    let mut bench = Bench::new(Says::Code(Code::ACCESS_ACCEPT)).await;
    let limit = Limiter::new(NonZeroU32::MIN);
    let service = Otpce { limit, ..bench.service(bench.countersigner()) };
    bench.router = router(service);
    let send = async |name: &str, document: &str| {
        let mut request = bench.request(document);
        request.extensions_mut().insert(machine(name));
        bench.send(request).await
    };
    assert_eq!(send("one.example.org", PUBLISHED).await.status(), StatusCode::OK);
    let events = bench.site.audit.events().len();
    for document in [PUBLISHED, "no XML"] {
        let refused = send("one.example.org", document).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()["x-otpcep-version"], "1.0");
    }
    assert_eq!(bench.site.audit.events().len(), events, "no one-time password was looked at");
    assert_eq!(send("two.example.org", "no XML").await.status(), StatusCode::BAD_REQUEST);
}

/// The listener with everything behind it, and an OTP server.
struct Bench {
    site: Site,
    server: OtpServer,
    router: Router,
}

impl Bench {
    async fn new(says: Says) -> Self {
        Self::with(says, |_| ()).await
    }

    async fn with(says: Says, change: impl FnOnce(&mut Countersigner)) -> Self {
        let (site, server) = (Site::new().await, OtpServer::start(says).await);
        let mut bench = Self { site, server, router: Router::new() };
        let mut countersigner = bench.countersigner();
        change(&mut countersigner);
        bench.router = bench.router(countersigner, true);
        bench
    }

    fn countersigner(&self) -> Countersigner {
        let upstream = Arc::new(Upstream::new(self.server.settings()).unwrap());
        let authenticator = Authenticator::new(Parts {
            store: self.site.store.clone(),
            vault: Arc::new(Vault::create(&self.new_file("master.key")).unwrap()),
            audit: self.site.audit.clone(),
            policy: Policy::default(),
            pins: Arc::new(NoPins),
            pin_permits: 1,
            others: Others {
                upstreams: HashMap::from([("otp".to_owned(), upstream)]),
                ..Others::default()
            }
            .shared(),
        });
        Countersigner {
            authenticator: Arc::new(authenticator),
            ra: self.site.ra.clone(),
            policy: countersign_core::pki::request::RequestPolicy { allow_sha1: true, ..policy() },
            issuing_ca: vec![IssuingCa(CA.into())],
            verify: Arc::new(AwsVerify),
            audit: self.site.audit.clone(),
        }
    }

    fn new_file(&self, name: &str) -> std::path::PathBuf {
        let directory = tempfile::tempdir_in(self.site.directory.path()).unwrap().keep();
        directory.join(name)
    }

    fn router(&self, countersigner: Countersigner, require_version: bool) -> Router {
        router(Otpce { require_version, ..self.service(countersigner) })
    }

    fn service(&self, countersigner: Countersigner) -> Otpce {
        Otpce {
            countersigner,
            paths: vec!["/otpce".into(), "/alias".into()],
            require_version: true,
            limit: Limiter::new(NonZeroU32::MAX),
            clock: self.site.clock.clone(),
        }
    }

    fn request(&self, document: &str) -> Request<Body> {
        Request::post("/otpce")
            .header("Content-Type", "Application/xml;charset=utf-8")
            .header("X-OTPCEP-version", "1.0")
            .extension(machine("client2.example.org"))
            .body(Body::from(document.to_owned()))
            .unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let sent = self.router.clone().oneshot(request);
        tokio::time::timeout(LIMIT, sent).await.unwrap().unwrap()
    }

    async fn post(&self, document: &str) -> SignCertResponse {
        let response = self.send(self.request(document)).await;
        assert_eq!(response.status(), StatusCode::OK);
        SignCertResponse::read(text(response).await.as_bytes()).unwrap()
    }

    /// `OtherError`, and the OTP server was not asked.
    async fn refuses(&self, pkcs10: &[u8]) {
        let document = document("DOMAIN1\\user1", "1", &BASE64.encode(pkcs10));
        assert_eq!(self.post(&document).await, SignCertResponse::OtherError);
        assert!(self.asked().is_empty());
    }

    /// Names and passcodes that the OTP server was sent.
    fn asked(&self) -> Vec<(String, String)> {
        self.server.asked.lock().unwrap().clone()
    }

    fn vouch(&self, signed: &[u8]) -> Result<cmc::VouchedRequest, cmc::CmcError> {
        let trust = Trust {
            ca: self.site.ca.authority.certificate(),
            verify: &AwsVerify,
            is_revoked: &|serial: &Serial| self.site.publisher.is_revoked(serial),
            allow_sha1: false,
            now: NOW,
        };
        cmc::vouch(signed, &trust)
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

/// What the OTP server says to everything.
#[derive(Clone, Copy)]
enum Says {
    Code(Code),
    Nothing,
}

struct OtpServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl OtpServer {
    async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let written = asked.clone();
        let serving = tokio::spawn(async move {
            let mut datagram = vec![0; Packet::MAX_LENGTH];
            loop {
                let (length, peer) = socket.recv_from(&mut datagram).await.unwrap();
                let packet = Packet::read(&datagram[..length]).unwrap();
                let (identifier, authenticator) = (packet.identifier(), packet.authenticator());
                let secret = secret();
                let verified = packet.verify_request(&secret, Demand::Required).unwrap();
                let name = packet.attributes().first(AttributeNumber::USER_NAME).unwrap();
                let passcode = verified.user_password().unwrap().unwrap();
                let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
                written.lock().unwrap().push((text(name), text(passcode.expose_bytes())));
                if let Says::Code(code) = says {
                    let protection = Protection::MessageAuthenticator;
                    let reply = Draft::new(code, identifier, authenticator, protection);
                    socket.send_to(&reply.finish_reply(&secret), peer).await.unwrap();
                }
            }
        });
        Self { address, asked, serving }
    }

    fn settings(&self) -> UpstreamSettings {
        UpstreamSettings {
            name: "otp".into(),
            servers: vec![ServerSettings { address: self.address.into(), secret: secret() }],
            timeout: std::time::Duration::from_millis(500),
            tries: 1,
            dead_time: std::time::Duration::ZERO,
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign".into(),
            require_message_authenticator: true,
            accounting_port: None,
            tls: None,
            probe: None,
        }
    }
}

impl Drop for OtpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"a shared secret".to_vec())
}

fn success(response: SignCertResponse) -> (Vec<u8>, Vec<IssuingCa>) {
    match response {
        SignCertResponse::Success { signed_cert_request, issuing_ca } => {
            (signed_cert_request, issuing_ca)
        }
        other @ (SignCertResponse::AuthenticationError
        | SignCertResponse::ChallengeResponseRequired
        | SignCertResponse::OtherError) => panic!("{other:?}"),
    }
}

async fn text(response: Response<Body>) -> String {
    let octets = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(octets.to_vec()).unwrap()
}

fn document(username: &str, passcode: &str, cert_request: &str) -> String {
    format!(
        "<signCertRequest xmlns=\"http://schemas.microsoft.com/otpcep/1.0/protocol\" \
         username=\"{username}\" oneTimePassword=\"{passcode}\" certRequest=\"{cert_request}\"/>"
    )
}

fn with_names(key: &FileSigner, names: &[x509_cert::ext::pkix::name::GeneralName]) -> Vec<u8> {
    let template = extension::Template {
        oid: der::asn1::ObjectIdentifier::new_unwrap(site::TEMPLATE),
        major: 100,
        minor: 5,
    };
    request_with(key, "", &[template.to_extension(), extension::subject_alt_name(names, false)])
}

fn data_between<'a>(text: &'a str, start: &str, end: char) -> &'a str {
    text.split_once(start).unwrap().1.split(end).next().unwrap()
}

/// The accepted request of [MS-OTPCE] §4.1.
const PUBLISHED: &str = include_str!("../../testdata/otpce/accepted-request.xml");
const CA: &str = r"DC1.domain1.corp.company.com\RootCA-DC1";
