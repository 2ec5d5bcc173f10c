//! The embedded CA behind its EST listener: what is issued, what is refused, what is renewed.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use countersign::{
    app::{
        health::{Health, State},
        issue::{Authority, IssueError},
        publish::{PublishSettings, Publisher},
        renew::{EstSource, RenewError, Source},
        sign::Standing,
    },
    certificate,
    clock::{Clock, SystemClock},
    listener::{
        est::{self, Est},
        http::{HttpListener, Peer},
        limit::Limiter,
        publish::{self, Published},
        tls::{ClientCertificate, Examiner, Refusal, server_config},
    },
    signer::{
        Signer, SignerError,
        file::{FileSigner, KeySpec},
    },
    store::Store,
};
use countersign_core::{
    domain::{account::Validity, event::What},
    pki::{
        algorithm::{Digest, KeyKind},
        cert::{Certificate, Subject},
        cmc::{self, FailInfo, Response as Answer},
        extension,
        profile::{Kind, Span},
    },
    time::UnixTime,
};
use data_encoding::{BASE64, BASE64_MIME};
use http_body_util::BodyExt;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use x509_cert::name::Name;

#[path = "support/site.rs"]
mod site;

use site::{NOW, Names, RA_HOST, Site, account, logon_request, machine, request_with};

#[tokio::test]
async fn cacerts_gives_the_ca_to_everybody() {
    let bench = Bench::new().await;
    for path in ["/.well-known/est/cacerts", "/.well-known/est/any-label/cacerts"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = bench.send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let media_type = "application/pkcs7-mime; smime-type=certs-only";
        assert_eq!(response.headers()["content-type"], media_type);
        let expected = vec![bench.site.ca.authority.certificate().clone()];
        assert_eq!(answer(response).await, Answer::Certificates(expected));
    }
}

#[tokio::test]
async fn fullcmc_turns_a_signed_request_into_a_logon_certificate() {
    let bench = Bench::new().await;
    let with_line_end = |octets: &[u8]| BASE64.encode(octets) + "\n";
    // However the base64 is broken into lines (RFC 8951).
    for written in [
        &|octets: &[u8]| BASE64.encode(octets),
        &|octets| BASE64_MIME.encode(octets),
        &with_line_end,
    ] as [&dyn Fn(&[u8]) -> String; 3]
    {
        let signed = bench.site.signed_request(&bench.key);
        let response = bench.send(full_cmc(written(&signed))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let Answer::Certificates(chain) = answer(response).await else { panic!("refused") };
        let [leaf, ca] = chain.as_slice() else { panic!("{chain:?}") };
        assert_eq!(leaf.public_key(), bench.key.public_key());
        assert_eq!(ca, bench.site.ca.authority.certificate());
    }
}

#[tokio::test]
async fn fullcmc_answers_a_refusal_with_a_cmc_response() {
    let bench = Bench::new().await;
    let names = Names { template: None, ..Names::default() };
    let signed = bench.site.signed_carelessly(&logon_request(&bench.key, &names));
    let response = bench.send(full_cmc(BASE64.encode(&signed))).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let media_type = "application/pkcs7-mime; smime-type=CMC-response";
    assert_eq!(response.headers()["content-type"], media_type);
    let refused = answer(response).await;
    let Answer::Refused { status: 2, fail_info, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(fail_info, Some(FailInfo::BAD_IDENTITY));
    assert!(matches!(bench.last_event(), What::IssueRefused { .. }));
}

/// Anybody may send it: it costs neither a signature nor a line in the audit log.
#[tokio::test]
async fn fullcmc_that_nobody_vouches_for_is_answered_plainly_and_not_audited() {
    let bench = Bench::new().await;
    let signed = bench.site.signed_request(&bench.key);
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let stranger = Site::new().await.signed_request(&bench.key);
    let pkcs10 = logon_request(&bench.key, &Names::default());
    let before = bench.site.audit.events().len();
    for body in [changed, stranger, pkcs10, b"\x30\x00".to_vec(), Vec::new()] {
        let response = bench.send(full_cmc(BASE64.encode(&body))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    }
    assert_eq!(bench.site.audit.events().len(), before);
}

#[tokio::test]
async fn fullcmc_wants_its_media_type_and_base64() {
    let bench = Bench::new().await;
    for (media_type, code) in [
        ("application/pkcs7-mime", StatusCode::OK),
        ("application/pkcs7-mime; smime-type=\"CMC-Request\"", StatusCode::OK),
        ("application/pkcs7-mime; smime-type=certs-only", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/pkcs10", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let signed = BASE64.encode(&bench.site.signed_request(&bench.key));
        let request = Request::post("/.well-known/est/fullcmc").header("Content-Type", media_type);
        let request = request.body(Body::from(signed)).unwrap();
        assert_eq!(bench.send(request).await.status(), code, "{media_type}");
    }
    assert_eq!(bench.send(full_cmc("%".into())).await.status(), StatusCode::BAD_REQUEST);
    let huge = bench.send(full_cmc("A".repeat(64 * 1024 + 1))).await;
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn fullcmc_from_one_address_is_limited_and_the_rest_is_not() {
    let mut bench = Bench::new().await;
    bench.router = limited(&bench.site, NonZeroU32::MIN);
    let send = async |address: [u8; 4], request: Request<Body>| {
        let mut request = request;
        request.extensions_mut().insert(Peer((address, 40_000).into()));
        bench.router.clone().oneshot(request).await.unwrap().status()
    };
    let signed = || full_cmc(BASE64.encode(&bench.site.signed_request(&bench.key)));
    assert_eq!(send([192, 0, 2, 1], signed()).await, StatusCode::OK);
    assert_eq!(send([192, 0, 2, 1], signed()).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send([192, 0, 2, 2], signed()).await, StatusCode::OK);
    let ca = Request::get("/.well-known/est/cacerts").body(Body::empty()).unwrap();
    assert_eq!(send([192, 0, 2, 1], ca).await, StatusCode::OK);
}

#[tokio::test]
async fn a_registration_authority_enrols_for_itself() {
    let bench = Bench::new().await;
    let names = vec![extension::dns("RA.example.org").unwrap()];
    for (operation, pkcs10) in [
        ("simpleenroll", host_request(&bench.key, "", &names)),
        ("simplereenroll", host_request(&bench.key, "CN=ra.example.org", &[])),
    ] {
        let response = bench.send(enrol(operation, machine(RA_HOST), &pkcs10)).await;
        assert_eq!(response.status(), StatusCode::OK, "{operation}");
        let Answer::Certificates(chain) = answer(response).await else { panic!("refused") };
        let [leaf] = chain.as_slice() else { panic!("{chain:?}") };
        assert_eq!(leaf.dns_names(), [RA_HOST]);
        assert_eq!(leaf.public_key(), bench.key.public_key());
        assert!(
            leaf.extended_key_usage()
                .contains(&countersign_core::pki::oid::OTP_REGISTRATION_AUTHORITY)
        );
    }
}

#[tokio::test]
async fn nobody_else_enrols_for_a_signing_certificate() {
    let bench = Bench::new().await;
    let names = vec![extension::dns(RA_HOST).unwrap()];
    let pkcs10 = host_request(&bench.key, "", &names);
    for client in [
        ClientCertificate::Absent,
        ClientCertificate::Refused(Refusal::Untrusted),
        ClientCertificate::Refused(Refusal::Revoked),
        machine("client.example.org"),
        machine("ra.example.org.evil.example"),
    ] {
        let response = bench.send(enrol("simpleenroll", client.clone(), &pkcs10)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{client:?}");
    }
}

#[tokio::test]
async fn a_registration_authority_enrols_for_nobody_else() {
    let bench = Bench::new().await;
    let dns = |name| extension::dns(name).unwrap();
    let mut unsigned = host_request(&bench.key, "CN=ra.example.org", &[]);
    *unsigned.last_mut().unwrap() ^= 1;
    for pkcs10 in [
        host_request(&bench.key, "", &[dns("other.example.org")]),
        host_request(&bench.key, "", &[dns(RA_HOST), dns("other.example.org")]),
        host_request(&bench.key, "CN=other.example.org", &[dns(RA_HOST)]),
        host_request(&bench.key, "", &[dns(RA_HOST), extension::upn("user1@example.org")]),
        host_request(&bench.key, "", &[]),
        unsigned,
        b"asdf".to_vec(),
    ] {
        let before = bench.records().await;
        let response = bench.send(enrol("simpleenroll", machine(RA_HOST), &pkcs10)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(bench.records().await, before);
        assert!(matches!(bench.last_event(), What::IssueRefused { .. }));
    }
}

#[tokio::test]
async fn names_come_from_the_account_and_not_from_the_request() {
    let bench = Bench::new().await;
    // The request has only a UPN in another case; distinguished name, SID and principal are ours.
    let names = Names { upn: Some("USER1@DOMAIN1.CORP.COMPANY.COM"), ..Names::default() };
    let signed = bench.site.signed_carelessly(&logon_request(&bench.key, &names));
    let issued = bench.issue(&signed).await.unwrap();
    let upn = extension::upn(site::UPN);
    assert!(issued.alternative_names().contains(&upn));
    assert!(issued.subject().to_string().starts_with("CN=User 1,CN=Users"));
    bench
        .site
        .change_account(|account| {
            (account.dn, account.sid, account.upn) = (None, None, None);
        })
        .await;
    let names = Names { upn: Some("user1@domain1.corp.company.com"), ..Names::default() };
    let signed = bench.site.signed_carelessly(&logon_request(&bench.key, &names));
    let issued = bench.issue(&signed).await.unwrap();
    assert_eq!(issued.subject().to_string(), "CN=user1");
    let sid = countersign_core::pki::oid::SID_EXTENSION;
    assert_eq!(issued.extension_octets(sid), None);
}

#[tokio::test]
async fn a_careless_ra_gets_no_certificate_for_names_that_are_not_the_accounts() {
    let bench = Bench::new().await;
    let carelessly = |names| bench.site.signed_carelessly(&logon_request(&bench.key, &names));
    let subject = "CN=Administrator,CN=Users,DC=domain1,DC=corp,DC=company,DC=com";
    let error = bench.issue(&carelessly(Names { subject, ..Names::default() })).await;
    assert!(matches!(error, Err(IssueError::Refused(_))), "{error:?}");
    let error = bench.issue(&carelessly(Names { upn: None, ..Names::default() })).await;
    assert!(matches!(error, Err(IssueError::NoUpn)), "{error:?}");
    let error = bench.issue(&carelessly(Names { upn: Some("x@y"), ..Names::default() })).await;
    assert!(matches!(error, Err(IssueError::NoAccount(_))), "{error:?}");
    assert_eq!(error.unwrap_err().fail_info(), FailInfo::BAD_IDENTITY);
    let error = bench.issue(&carelessly(Names { template: None, ..Names::default() })).await;
    assert!(matches!(error, Err(IssueError::Refused(_))), "{error:?}");
}

#[tokio::test]
async fn closed_accounts_get_no_certificate() {
    let bench = Bench::new().await;
    let signed = bench.site.signed_request(&bench.key);
    let expired = Validity { not_before: None, not_after: Some(NOW.minus(1)) };
    let early = Validity { not_before: Some(NOW.plus(1)), not_after: None };
    for (disabled, validity, wanted) in [
        (true, Validity::default(), "disabled"),
        (false, expired, "expired"),
        (false, early, "not yet valid"),
    ] {
        bench
            .site
            .change_account(|account| (account.disabled, account.validity) = (disabled, validity))
            .await;
        let error = bench.issue(&signed).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        let refusal = bench.site.ca.refusal(&error).unwrap();
        let Answer::Refused { text, .. } = cmc::read_response(&refusal).unwrap() else {
            panic!("issued")
        };
        assert!(!text.unwrap().contains(wanted), "peers are told nothing about accounts");
    }
}

#[tokio::test]
async fn an_account_that_lacks_what_a_certificate_needs_is_our_fault() {
    let bench = Bench::new().await;
    let signed = bench.site.signed_request(&bench.key);
    bench.site.change_account(|account| account.sid = Some("S-x".into())).await;
    let error = bench.issue(&signed).await.unwrap_err();
    assert!(error.is_ours(), "{error}");
    let response = bench.send(full_cmc(BASE64.encode(&signed))).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let Answer::Refused { fail_info, text, .. } = answer(response).await else { panic!("issued") };
    assert_eq!(fail_info, Some(FailInfo::INTERNAL));
    assert!(!text.unwrap().contains("S-x"));
}

#[tokio::test]
async fn every_issue_is_recorded_and_audited_before_it_is_signed() {
    let mut bench = Bench::new().await;
    let issued = bench.issue(&bench.site.signed_request(&bench.key)).await.unwrap();
    let records = bench.site.store.certificates(None, 100).await.unwrap();
    let record = records.iter().find(|record| record.profile == "logon").unwrap();
    assert_eq!(record.serial, issued.serial().to_hex());
    assert_eq!(record.account, Some(account().id));
    assert_eq!((record.not_before, record.not_after), (NOW.minus(600), NOW.plus(3600)));
    let signer = bench.site.ra.current().unwrap().certificate().serial().to_hex();
    assert_eq!(record.signer_serial, Some(signer));
    assert!(record.subject.starts_with("CN=User 1"), "{record:?}");

    // A key that does not sign: the record and the intent are there, the certificate is not.
    let broken = Arc::new(Broken(bench.site.ca.authority.key().public_key().to_vec()));
    let certificate = bench.site.ca.authority.certificate().clone();
    let signed = bench.site.signed_request(&bench.key);
    bench.change_ca(|ca| ca.authority = Arc::new(Authority::new(certificate, broken).unwrap()));
    let before = bench.records().await;
    let error = bench.issue(&signed).await.unwrap_err();
    assert!(matches!(error, IssueError::Key(_)), "{error}");
    assert_eq!(bench.records().await, before + 1);
    let events = bench.site.audit.events();
    let [.., intended, refused] = events.as_slice() else { panic!("{events:?}") };
    assert!(matches!(&intended.what, What::IssueIntended { profile, .. } if profile == "logon"));
    assert!(matches!(&refused.what, What::IssueRefused { .. }));
}

#[tokio::test]
async fn a_signed_request_is_good_for_one_certificate() {
    let bench = Bench::new().await;
    let pkcs10 = logon_request(&bench.key, &Names::default());
    let signed = bench.site.signed(&pkcs10);
    bench.issue(&signed).await.unwrap();
    // As long as anybody vouches for it, whatever is pruned, and whoever signs it anew.
    let end = bench.site.ra.current().unwrap().certificate().not_after();
    for now in [NOW, end] {
        bench.site.set_time(now);
        bench.site.publisher.prune(now).await.unwrap();
        let before = bench.records().await;
        let error = bench.issue(&signed).await.unwrap_err();
        assert!(matches!(error, IssueError::Submitted), "{error}");
        let response = bench.send(full_cmc(BASE64.encode(&bench.site.signed(&pkcs10)))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let Answer::Refused { fail_info, text, .. } = answer(response).await else {
            panic!("issued")
        };
        assert_eq!(fail_info, Some(FailInfo::BAD_REQUEST));
        assert!(text.unwrap().contains("log on again"));
        assert_eq!(bench.records().await, before);
        assert!(matches!(bench.last_event(), What::IssueRefused { .. }));
    }
    // The next logon has a request of its own.
    bench.issue(&bench.site.signed_request(&bench.key)).await.unwrap();
}

#[tokio::test]
async fn records_outlive_what_a_signing_certificate_vouched_for() {
    let bench = Bench::new().await;
    let issued = bench.issue(&bench.site.signed_request(&bench.key)).await.unwrap();
    let settings = PublishSettings {
        file: bench.site.directory.path().join("other.crl"),
        validity: Span::hours(1),
        keep_expired: Span::hours(1),
        signing_validity: Span::days(2),
    };
    let authority = bench.site.ca.authority.clone();
    let publisher = Publisher::new(authority, bench.site.store.clone(), settings);
    let kept_until = issued.not_after().plus(3 * 86_400);
    assert_eq!(publisher.prune(kept_until).await.unwrap(), 0);
    assert_eq!(publisher.prune(kept_until.plus(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_revoked_or_expired_signing_certificate_vouches_no_more() {
    let bench = Bench::new().await;
    let signed = bench.site.signed_request(&bench.key);
    assert!(bench.issue(&signed).await.is_ok());
    let serial = bench.site.ra.current().unwrap().certificate().serial();
    bench.site.publisher.revoke(&serial, NOW).await.unwrap();
    let error = bench.issue(&signed).await.unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    let other = Bench::new().await;
    let signed = other.site.signed_request(&other.key);
    other.site.set_time(NOW.plus(2 * 86400 + 1));
    let error = other.issue(&signed).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn logon_certificates_are_for_accounts_only() {
    let bench = Bench::new().await;
    let subject = Subject::Authority { name: countersign_core::pki::cert::common_name("x") };
    let key = bench.key.public_key();
    for kind in [Kind::Logon, Kind::Ca] {
        let asked = bench.site.asked();
        let ca = &bench.site.ca;
        let error = ca.issue_infrastructure(kind, subject.clone(), key, key, &asked).await;
        assert!(error.is_err(), "{kind}");
    }
}

#[tokio::test]
async fn the_signing_certificate_is_renewed_at_half_life_and_used_at_once() {
    let bench = Bench::new().await;
    let site = &bench.site;
    let first = site.ra.current().unwrap().certificate().clone();
    let half = first.not_before().plus(first.not_after().since(first.not_before()) / 2);
    assert!(!site.renewer.is_due(half.minus(1)));
    assert!(site.renewer.is_due(half));
    site.set_time(half);
    site.renewer.begin(half).await;
    let second = site.ra.current().unwrap().certificate().clone();
    assert_ne!(second.serial(), first.serial());
    assert_ne!(second.public_key(), first.public_key());
    assert!(!site.renewer.is_due(half));
    let signed = site.signed_request(&bench.key);
    assert!(bench.issue(&signed).await.is_ok());
    // The files are what the next start begins with.
    let loaded = site.renewer.files.load().unwrap();
    assert_eq!(*loaded.certificate(), second);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&site.renewer.files.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The RA of another site, over TLS: its machine certificate is what admits it.
#[tokio::test]
async fn the_signing_certificate_comes_from_another_ca_by_est() {
    let now = SystemClock.now();
    let bench = Bench::at(now).await;
    let address = bench.serve().await;
    let other = Site::at(now).await;
    let source = |host: &'static str| {
        let address = address.port();
        async move |bench: &Bench| {
            let key = FileSigner::generate(KeySpec::P256).unwrap();
            let certificate = bench.infrastructure(Kind::Machine, host, &key).await;
            let file = |name: &str| bench.site.directory.path().join(format!("{host}.{name}"));
            let ca = bench.site.ca.authority.certificate().clone();
            certificate::save(&file("ca"), &[ca]).unwrap();
            certificate::save(&file("pem"), &[certificate]).unwrap();
            key.save(&file("key")).unwrap();
            Source::Est(EstSource {
                url: format!("https://localhost:{address}").parse().unwrap(),
                trust: file("ca"),
                certificate: file("pem"),
                key: file("key"),
            })
        }
    };
    let mut renewer = other.renewer;
    renewer.source = source("stranger.example.org")(&bench).await;
    let refused = renewer.renew(now).await.unwrap_err();
    assert!(matches!(refused, RenewError::Est(_)), "{refused}");
    renewer.source = source(RA_HOST)(&bench).await;
    let certificate = renewer.renew(now).await.unwrap();
    let ca = bench.site.ca.authority.certificate();
    assert!(certificate.is_issued_by(ca, &countersign::signer::file::AwsVerify));
    assert_eq!(certificate.dns_names(), [RA_HOST]);
    assert_eq!(*other.ra.current().unwrap().certificate(), certificate);
    let written = certificate::load(&renewer.files.certificate).unwrap();
    assert_eq!(written, [certificate], "the leaf alone");
}

#[tokio::test]
async fn files_that_do_not_belong_together_are_mended_by_a_renewal() {
    let bench = Bench::new().await;
    let files = &bench.site.renewer.files;
    let other = FileSigner::generate(KeySpec::P256).unwrap();
    std::fs::remove_file(&files.key).unwrap();
    other.save(&files.key).unwrap();
    assert!(files.load().is_err());
    let mut site = bench.site;
    site.ra = Arc::new(countersign::app::sign::Ra::new(
        countersign::app::sign::RaSettings::default(),
        site.audit.clone(),
    ));
    site.renewer.ra = site.ra.clone();
    assert_eq!(site.ra.standing(NOW), Standing::Missing);
    site.renewer.begin(NOW).await;
    assert!(matches!(site.ra.standing(NOW), Standing::ValidUntil(_)));
    assert!(site.renewer.files.load().is_ok());
}

#[tokio::test]
async fn a_failed_renewal_keeps_what_is_there_and_shows_in_health() {
    let mut bench = Bench::new().await;
    let broken = Arc::new(Broken(bench.site.ca.authority.key().public_key().to_vec()));
    let certificate = bench.site.ca.authority.certificate().clone();
    bench.change_ca(|ca| ca.authority = Arc::new(Authority::new(certificate, broken).unwrap()));
    bench.site.renewer.source = Source::Embedded(bench.site.ca.clone());
    let first = bench.site.ra.current().unwrap().certificate().clone();
    let late = first.not_after().minus(3600);
    assert!(bench.site.renewer.renew(late).await.is_err());
    assert_eq!(*bench.site.ra.current().unwrap().certificate(), first);
    let state = |now| bench.health().checks(now)[0].state;
    assert_eq!(state(NOW), State::Good);
    assert_eq!(state(late), State::Warning);
    assert_eq!(state(first.not_after().plus(1)), State::Failing);
}

#[tokio::test]
async fn the_revocation_list_is_due_at_half_of_its_validity() {
    let bench = Bench::new().await;
    let publisher = &bench.site.publisher;
    assert!(!publisher.is_due(NOW.plus(43_199)));
    assert!(publisher.is_due(NOW.plus(43_200)));
    assert!(publisher.is_due(NOW.minus(1)), "a clock that was set back");
    publisher.publish(NOW.plus(43_200)).await.unwrap();
    let list = publisher.current().unwrap();
    assert_eq!(list.next_update(), Some(NOW.plus(43_200 + 86_400)));
    let written = std::fs::read(bench.site.directory.path().join("ca.crl")).unwrap();
    assert_eq!(written, list.der());
}

#[tokio::test]
async fn expired_records_are_pruned_and_leave_the_list() {
    let bench = Bench::new().await;
    let issued = bench.issue(&bench.site.signed_request(&bench.key)).await.unwrap();
    let publisher = &bench.site.publisher;
    publisher.revoke(&issued.serial(), NOW).await.unwrap();
    assert!(publisher.is_revoked(&issued.serial()));
    let shown = issued.not_after().plus(86_400);
    publisher.publish(shown).await.unwrap();
    assert!(publisher.is_revoked(&issued.serial()), "one list after its end still shows it");
    publisher.publish(shown.plus(1)).await.unwrap();
    assert!(!publisher.is_revoked(&issued.serial()));
    let keep = issued.not_after().plus(30 * 86_400);
    assert_eq!(publisher.prune(keep).await.unwrap(), 0);
    assert_eq!(publisher.prune(keep.plus(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn plain_http_shows_list_certificate_and_health() {
    let bench = Bench::new().await;
    let router = publish::router(Published {
        publisher: Some(bench.site.publisher.clone()),
        health: bench.health(),
        clock: bench.site.clock.clone(),
    });
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let media_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
        let media_type = media_type.unwrap_or_default().to_owned();
        (head.status, media_type, body.collect().await.unwrap().to_bytes().to_vec())
    };
    let (code, media_type, list) = get("/ca.crl").await;
    assert_eq!((code, media_type.as_str()), (StatusCode::OK, "application/pkix-crl"));
    assert_eq!(list, bench.site.publisher.current().unwrap().der());
    let (code, media_type, certificate) = get("/ca.cer").await;
    assert_eq!((code, media_type.as_str()), (StatusCode::OK, "application/pkix-cert"));
    let ca = bench.site.ca.authority.certificate();
    assert_eq!(Certificate::from_der(&certificate).unwrap(), *ca);
    let (code, _, body) = get("/healthz").await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((code, &body["state"]), (StatusCode::OK, &"good".into()));
    assert_eq!(body["checks"].as_array().unwrap().len(), 4);
    bench.site.set_time(NOW.plus(3 * 86_400));
    let (code, _, body) = get("/healthz").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8(body).unwrap().contains("expired on 2026-06-03 00:00:00 UTC"));
}

/// A site with its EST listener.
struct Bench {
    site: Site,
    router: Router,
    key: FileSigner,
}

impl Bench {
    async fn new() -> Self {
        Self::at(NOW).await
    }

    async fn at(now: UnixTime) -> Self {
        let site = Site::at(now).await;
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        Self { router: listener(&site), site, key }
    }

    async fn infrastructure(&self, kind: Kind, host: &str, key: &FileSigner) -> Certificate {
        let dns = vec![host.to_owned()];
        let subject = Subject::Host { name: Name::default(), dns, ip: Vec::new() };
        let (key, asked) = (key.public_key(), self.site.asked());
        self.site.ca.issue_infrastructure(kind, subject, key, key, &asked).await.unwrap()
    }

    /// The listener behind TLS on loopback, until the test ends.
    async fn serve(&self) -> SocketAddr {
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        let server = self.infrastructure(Kind::Server, "localhost", &key).await;
        let ca = self.site.ca.authority.certificate().clone();
        let examiner = Examiner::new(&certificate::for_tls(&[ca]), Vec::new()).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.pkcs8().unwrap().expose_bytes().to_vec().into());
        let config =
            server_config(certificate::for_tls(&[server]), key, &examiner, &[b"http/1.1"]).unwrap();
        let socket = TcpListener::bind("localhost:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = HttpListener {
            socket,
            router: self.router.clone(),
            tls: Some((config.into(), examiner)),
            clock: self.site.clock.clone(),
        };
        tokio::spawn(listener.serve(CancellationToken::new()));
        address
    }

    fn change_ca(&mut self, change: impl FnOnce(&mut countersign::app::issue::Ca)) {
        let ca = &*self.site.ca;
        let mut changed = countersign::app::issue::Ca {
            authority: ca.authority.clone(),
            profiles: ca.profiles.clone(),
            policy: ca.policy.clone(),
            store: ca.store.clone(),
            publisher: ca.publisher.clone(),
            verify: ca.verify.clone(),
            audit: ca.audit.clone(),
        };
        change(&mut changed);
        self.site.ca = Arc::new(changed);
        self.router = listener(&self.site);
    }

    async fn issue(&self, message: &[u8]) -> Result<Certificate, IssueError> {
        self.site.ca.issue_logon(message, &self.site.asked()).await
    }

    async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        let peer: SocketAddr = ([127, 0, 0, 1], 40_000).into();
        request.extensions_mut().insert(Peer(peer));
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn records(&self) -> usize {
        self.site.store.certificates(None, 1000).await.unwrap().len()
    }

    fn last_event(&self) -> What {
        self.site.audit.events().pop().unwrap().what
    }

    fn health(&self) -> Health {
        Health {
            ra: Some(self.site.ra.clone()),
            publisher: Some(self.site.publisher.clone()),
            store: self.site.store.clone(),
        }
    }
}

fn listener(site: &Site) -> Router {
    limited(site, NonZeroU32::MAX)
}

fn limited(site: &Site, per_minute: NonZeroU32) -> Router {
    est::router(Est {
        ca: site.ca.clone(),
        registration_authorities: vec!["RA.example.org".into()],
        limit: Limiter::new(per_minute),
        clock: site.clock.clone(),
    })
}

/// A key that knows who it is, but does not sign.
struct Broken(Vec<u8>);

impl Signer for Broken {
    fn public_key(&self) -> &[u8] {
        &self.0
    }

    fn kind(&self) -> KeyKind {
        KeyKind::P256
    }

    fn sign(&self, digest: Digest, _: &[u8]) -> Result<Vec<u8>, SignerError> {
        Err(SignerError::Refused { kind: KeyKind::P256, digest })
    }
}

fn full_cmc(body: String) -> Request<Body> {
    Request::post("/.well-known/est/fullcmc")
        .header("Content-Type", "application/pkcs7-mime; smime-type=CMC-request")
        .body(Body::from(body))
        .unwrap()
}

fn enrol(operation: &str, client: ClientCertificate, pkcs10: &[u8]) -> Request<Body> {
    Request::post(format!("/.well-known/est/{operation}"))
        .header("Content-Type", "application/pkcs10")
        .extension(client)
        .body(Body::from(BASE64_MIME.encode(pkcs10)))
        .unwrap()
}

fn host_request(
    key: &FileSigner,
    subject: &str,
    names: &[x509_cert::ext::pkix::name::GeneralName],
) -> Vec<u8> {
    if names.is_empty() {
        return request_with(key, subject, &[]);
    }
    request_with(key, subject, &[extension::subject_alt_name(names, false)])
}

async fn answer(response: Response<Body>) -> Answer {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    cmc::read_response(&BASE64.decode(&body).unwrap()).unwrap()
}
