//! What is published and recorded: revocation, health, the audit log.

use data_encoding::BASE64;
use serde_json::Value;

use crate::support::{
    certificate::{check_chain, fetch, path, url_after},
    clock::{LIMIT, poll},
    countersign::Site,
    curl::Curl,
    kdc::kinit,
    openssl::{certificate_text, openssl},
    otpce::{Wish, certificate_request, client, document, post, status_code},
    stage::Stage,
};

/// The serial number of a certificate as OpenSSL prints it.
fn serial(site: &Site, certificate: &str) -> String {
    let said = openssl(["x509", "-in", certificate, "-noout", "-serial"], b"").succeeded();
    let serial = said.trim().trim_start_matches("serial=").to_lowercase();
    let listed = site.run(["ca", "list"]).succeeded();
    assert!(listed.contains(&serial), "{serial} was recorded:\n{listed}");
    serial
}

#[test]
fn revoked_logon_certificate_gets_no_ticket() {
    let stage = Stage::new();
    let site = &stage.site;
    let identity = stage.logon_certificate("alice", &stage.token.otp(0));
    check_chain(site, &identity.certificate);
    let other = stage.logon_certificate("alice", &stage.token.otp(1));
    let serial = serial(site, path(&identity.certificate));
    site.run(["ca", "revoke", &serial]).succeeded();

    let text = certificate_text(&identity.certificate);
    let crl = fetch(site, url_after(&text, "CRL Distribution Points"));
    let crl = site.write("after.crl", crl);
    let listed = openssl(["crl", "-in", path(&crl), "-noout", "-text"], b"").succeeded();
    assert!(listed.to_lowercase().contains(&serial), "{listed}");

    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[&site.ca_certificate()]);
    let cache = site.file("cache");
    kinit(&config, &cache, "alice", &identity).failed();
    assert!(kdc.log().contains("certificate revoked"), "{}", kdc.log());
    kinit(&config, &cache, "alice", &other).succeeded();
}

#[test]
fn revoked_machine_is_refused_at_once() {
    let stage = Stage::new();
    let site = &stage.site;
    let thief = site.issue("machine", "stolen.corp.example");
    let get = || client(site).with(&thief).get(&site.otpce_url()).status;
    assert_eq!(get(), 405, "its certificate is good");
    site.run(["ca", "revoke", &serial(site, path(&thief.certificate))]).succeeded();
    assert_eq!(get(), 403);
    let body = document("CORP\\alice", &stage.token.otp(0), b"anything");
    assert_eq!(post(site, &thief, &body).status, 403);
    let request = certificate_request(site, "alice", &Wish::of(&["alice@corp.example"]));
    let body = document("CORP\\alice", &stage.token.otp(0), &request.der);
    assert_eq!(status_code(&post(site, &stage.machine, &body)), "Success", "the other one works");
}

#[test]
fn ca_certificate_is_where_certificates_say() {
    let stage = Stage::new();
    let identity = stage.logon_certificate("alice", &stage.token.otp(0));
    let text = certificate_text(&identity.certificate);
    let issuer = stage.site.write("issuer.cer", fetch(&stage.site, url_after(&text, "CA Issuers")));
    let fetched = openssl(["x509", "-in", path(&issuer)], b"").succeeded();
    let own = std::fs::read_to_string(stage.site.ca_certificate()).unwrap();
    assert_eq!(fetched, own);
}

#[test]
fn health_is_good_as_long_as_logons_get_through() {
    let stage = Stage::new();
    let url = format!("http://localhost:{}/healthz", stage.site.http_port);
    let response = Curl::new(&stage.site.ca_certificate()).get(&url);
    assert_eq!(response.status, 200, "{response:?}");
    let value: Value = serde_json::from_str(&response.body).unwrap();
    assert!(value.to_string().contains("signing"), "{value}");
}

#[test]
fn audit_log_tells_who_logged_on_where_and_what_was_signed() {
    let stage = Stage::new();
    stage.login("alice", "000000", &[]);
    stage.login("alice", &stage.token.otp(0), &[]).succeeded();
    stage.site.run(["account", "disable", "alice"]).succeeded();
    let events = || -> Vec<Value> {
        let log = stage.site.audit_log();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let of = |events: &[Value], name: &str| -> Vec<Value> {
        events.iter().filter(|event| event["event"] == name).cloned().collect()
    };
    poll(LIMIT, || events().last()?["action"].as_str()?.contains("disable").then_some(()))
        .expect("the last event is written");
    let events = events();
    let attempts = of(&events, "authenticated");
    let outcomes: Vec<_> =
        attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["rejected", "accepted"], "{attempts:?}");
    let accepted = &attempts[1];
    assert_eq!(accepted["listener"], "otpce", "{accepted}");
    assert_eq!(accepted["reason"], "passcode-correct", "{accepted}");
    assert!(accepted["peer"].as_str().unwrap().contains("laptop.corp.example"), "{accepted}");
    assert!(accepted["token"].is_string() && accepted["account"].is_string(), "{accepted}");
    // What the RA did belongs to the attempt, and was announced before.
    let [intended, signed] = ["signing-intended", "signed"].map(|name| of(&events, name));
    assert_eq!((intended.len(), signed.len()), (1, 1));
    assert_eq!(intended[0]["correlation"], accepted["correlation"]);
    assert_eq!(intended[0]["request_sha256"], signed[0]["request_sha256"]);
    let logons: Vec<_> = of(&events, "issue-intended")
        .into_iter()
        .filter(|intended| intended["profile"] == "logon")
        .collect();
    assert_eq!(logons.len(), 1, "{events:?}");
    assert_eq!(logons[0]["request_sha256"], signed[0]["request_sha256"]);
    let issued = of(&events, "issued");
    assert!(issued.iter().any(|issued| issued["serial"] == logons[0]["serial"]), "{issued:?}");
}

/// Whoever has a valid machine certificate can send anything to EST.
#[test]
fn est_refuses_what_is_no_request() {
    let stage = Stage::new();
    let site = &stage.site;
    let ask = |operation: &str, body: &[u8]| {
        let est = Curl::new(&site.ca_certificate()).with(&stage.machine);
        est.header(MEDIA_TYPE).post(&site.est_url(operation), body).status
    };
    for body in [&b""[..], b"!", b"AAAA", BASE64.encode(&[0x30; 5000]).as_bytes()] {
        let status = ask("fullcmc", body);
        assert!((400..500).contains(&status), "{status}");
    }
    assert!((400..500).contains(&ask("fullcmc", &[b'A'; 70_000])));
    assert_eq!(ask("serverkeygen", b"AAAA"), 404);
    let nobody = Curl::new(&site.ca_certificate()).header(MEDIA_TYPE);
    let nobody = nobody.post(&site.est_url("fullcmc"), b"AAAA");
    assert!((400..500).contains(&nobody.status), "{nobody:?}");
}

const MEDIA_TYPE: &str = "Content-Type: application/pkcs7-mime; smime-type=CMC-request";
