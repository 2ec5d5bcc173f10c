//! The signing certificate: it renews itself, from the embedded CA or from another one.

use std::fs;

use crate::support::{
    certificate::{check_chain, check_signed_request, enrol, path},
    countersign::{HOST, REALM, Site},
    openssl::{Authority, certificate_text},
    otpce::{Wish, certificate_request, document, post, signed_request, status_code},
};

/// The first site has the CA, the second one the users' OTPCE service; each is a machine of its
/// own in real life.
#[test]
fn signing_certificate_comes_by_est_from_another_ca() {
    let [ca, ra] = [Site::new(), Site::new()];
    ca.configure_with(&format!("est.registration-authorities = ['{RA_HOST}']"));
    ca.add_account("alice");
    let registered = ca.issue("machine", RA_HOST);
    let _ca_daemon = ca.serve();
    ra.configure_with(&format!(
        "ra.name = '{RA_HOST}'\n[ra.est]\nurl = 'https://{HOST}:{}'\ntrust = '{}'\n\
         certificate = '{}'\nkey = '{}'",
        ca.est_port,
        path(&ca.ca_certificate()),
        path(&registered.certificate),
        path(&registered.key),
    ));
    let signing = ra.directory().join(ra.setting(&["ra", "certificate"]));
    let _ = fs::remove_file(&signing);
    let token = ra.add_user("alice", "hotp");
    let mut ra_daemon = ra.serve();
    ra_daemon.wait_until("it has a signing certificate", || signing.exists());
    let text = certificate_text(&signing);
    assert!(text.contains("1.3.6.1.4.1.311.81.1.1"), "{text}");
    check_chain(&ca, &signing);

    let machine = ra.issue("machine", "laptop.corp.example");
    let request = certificate_request(&ra, "alice", &Wish::of(&["alice@corp.example"]));
    let body = document("CORP\\alice", &token.otp(0), &request.der);
    let response = post(&ra, &machine, &body);
    assert_eq!(status_code(&response), "Success");
    let signed = signed_request(&response);
    check_signed_request(&ca, RA_HOST, &signed);
    let machine = ca.issue("machine", "laptop.corp.example");
    let identity = enrol(&ca, &machine, &request, &signed);
    check_chain(&ca, &identity.certificate);
}

#[test]
fn stranger_gets_no_signing_certificate_by_est() {
    use crate::support::curl::Curl;
    use data_encoding::BASE64;

    let site = Site::new();
    site.configure_with(&format!("est.registration-authorities = ['{RA_HOST}']"));
    let machine = site.issue("machine", "laptop.corp.example");
    let _daemon = site.serve();
    let request = certificate_request(&site, "ra", &Wish::of(&[]));
    let response = Curl::new(&site.ca_certificate())
        .with(&machine)
        .header("Content-Type: application/pkcs10")
        .post(&site.est_url("simpleenroll"), BASE64.encode(&request.der).as_bytes());
    assert!((400..500).contains(&response.status), "{response:?}");
    assert!(!response.body.contains("MII"), "{response:?}");
}

/// A server whose signing certificate has expired, and that cannot get another one.
#[test]
fn expired_signing_certificate_signs_nothing() {
    let site = Site::new();
    let outside = Authority::new(site.directory().parent().unwrap(), "outside");
    let expired = outside.issue_at("-3d", "signing", HOST, REALM);
    let registered = site.issue("machine", RA_HOST);
    let nobody = crate::support::ports::free();
    site.configure_with(&format!(
        "ra.certificate = '{}'\nra.key = '{}'\n[ra.est]\nurl = 'https://{HOST}:{nobody}'\n\
         trust = '{}'\ncertificate = '{}'\nkey = '{}'",
        path(&expired.certificate),
        path(&expired.key),
        path(&site.ca_certificate()),
        path(&registered.certificate),
        path(&registered.key),
    ));
    let token = site.add_user("alice", "hotp");
    let machine = site.issue("machine", "laptop.corp.example");
    let checked = site.run(["check"]);
    assert!(!checked.status.success(), "check sees it: {checked}");
    let _daemon = site.serve();
    let request = certificate_request(&site, "alice", &Wish::of(&["alice@corp.example"]));
    let status = |otp: &str| {
        let body = document("CORP\\alice", otp, &request.der);
        status_code(&post(&site, &machine, &body)).to_owned()
    };
    assert_eq!(status("000000"), "AuthenticationError", "the OTP is looked at first");
    assert_eq!(status(&token.otp(0)), "OtherError");
}

const RA_HOST: &str = "ra.corp.example";
