//! One-time password in, certificate and Kerberos ticket out; the KDC is MIT's.

use data_encoding::BASE64;

use crate::support::{
    certificate::{check_chain, check_signed_request, enrol, path},
    countersign::{HOST, REALM, Site},
    curl::Curl,
    kdc::{kinit, klist},
    openssl::{Authority, certificate_text, openssl},
    otpce::{Wish, certificate_request, document, post, signed_request, status_code},
    stage::Stage,
};

fn check_logon_certificate(text: &str) {
    for part in [
        "Issuer: CN=Corp Logon CA",
        "Digital Signature",
        "X509v3 CRL Distribution Points",
        "CA Issuers",
        // Smart card logon and client authentication.
        "Microsoft Smartcard Login",
        "TLS Web Client Authentication",
        // UPN and id-pkinit-san, the SID as extension and as URI, the template.
        "UPN::alice@corp.example",
        "1.3.6.1.5.2.2",
        "1.3.6.1.4.1.311.25.2",
        "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104",
        "1.3.6.1.4.1.311.21.7",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains("CA:TRUE"), "{text}");
}

/// The whole chain without a line of our client: curl asks, OpenSSL holds the key.
#[test]
fn strangers_tools_get_a_ticket_for_an_otp() {
    for key_type in ["rsa-2048", "p-256"] {
        let stage = Stage::of(Site::with_key_type(key_type));
        let site = &stage.site;
        let request = certificate_request(site, "alice", &Wish::of(&["alice@corp.example"]));
        let body = document("CORP\\alice", &stage.token.otp(0), &request.der);
        let response = post(site, &stage.machine, &body);
        assert_eq!(status_code(&response), "Success");
        let signed = signed_request(&response);
        check_signed_request(site, HOST, &signed);
        let identity = enrol(site, &stage.machine, &request, &signed);
        check_chain(site, &identity.certificate);
        check_logon_certificate(&certificate_text(&identity.certificate));

        let kdc = stage.kdc(None);
        let config = kdc.client_config(&[&site.ca_certificate()]);
        let cache = site.file("cache");
        let ran = kinit(&config, &cache, "alice", &identity);
        assert!(ran.status.success(), "{ran}\n{}", kdc.log());
        let tickets = klist(&config, &cache).succeeded();
        assert!(tickets.contains("Default principal: alice@CORP.EXAMPLE"), "{tickets}");
    }
}

#[test]
fn login_writes_a_certificate_that_openssl_and_the_kdc_accept() {
    let stage = Stage::new();
    let identity = stage.logon_certificate("CORP\\alice", &stage.token.otp(0));
    check_chain(&stage.site, &identity.certificate);
    check_logon_certificate(&certificate_text(&identity.certificate));
    openssl(["pkey", "-in", path(&identity.key), "-noout", "-check"], b"").succeeded();

    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[&stage.site.ca_certificate()]);
    let cache = stage.site.file("cache");
    kinit(&config, &cache, "alice", &identity).succeeded();
    assert!(klist(&config, &cache).succeeded().contains("krbtgt/CORP.EXAMPLE@CORP.EXAMPLE"));
}

#[test]
fn kdc_refuses_a_certificate_when_its_hour_is_over() {
    let stage = Stage::new();
    let identity = stage.logon_certificate("alice", &stage.token.otp(0));
    let cache = stage.site.file("cache");
    for (ahead, accepted) in [(None, true), (Some("+50m"), true), (Some("+70m"), false)] {
        let kdc = stage.kdc(ahead);
        let config = kdc.client_config(&[&stage.site.ca_certificate()]);
        let ran = kinit(&config, &cache, "alice", &identity);
        assert_eq!(ran.status.success(), accepted, "{ahead:?}: {ran}\n{}", kdc.log());
        assert_eq!(kdc.log().contains("certificate has expired"), !accepted, "{}", kdc.log());
    }
}

#[test]
fn validity_is_what_the_profile_says() {
    let site = Site::new();
    site.configure_with("ca.logon = { validity = '2m', backdate = '1m' }");
    let stage = Stage::of(site);
    let identity = stage.logon_certificate("alice", &stage.token.otp(0));
    let file = path(&identity.certificate);
    openssl(["x509", "-in", file, "-noout", "-checkend", "0"], b"").succeeded();
    openssl(["x509", "-in", file, "-noout", "-checkend", "121"], b"").failed();
}

#[test]
fn kdc_refuses_a_foreign_ca_and_another_users_certificate() {
    let stage = Stage::new();
    let foreign = Authority::new(stage.site.directory().parent().unwrap(), "foreign");
    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[&stage.site.ca_certificate(), &foreign.certificate()]);
    let cache = stage.site.file("cache");
    let stranger = foreign.issue("user", "alice", REALM);
    kinit(&config, &cache, "alice", &stranger).failed();
    assert!(kdc.log().contains("unable to get local issuer certificate"), "{}", kdc.log());
    let alice = stage.logon_certificate("alice", &stage.token.otp(0));
    let as_bob = kinit(&config, &cache, "bob", &alice).failed();
    assert!(as_bob.to_lowercase().contains("mismatch"), "{as_bob}\n{}", kdc.log());
    klist(&config, &cache).failed();
    kinit(&config, &cache, "alice", &alice).succeeded();
}

#[test]
fn ca_gives_nothing_to_whom_no_signing_certificate_vouches_for() {
    let stage = Stage::new();
    let site = &stage.site;
    let request = certificate_request(site, "alice", &Wish::of(&["alice@corp.example"]));
    let body = document("CORP\\alice", &stage.token.otp(0), &request.der);
    let signed = signed_request(&post(site, &stage.machine, &body));
    let mut forged = signed.clone();
    *forged.last_mut().unwrap() ^= 1;
    // The same request, signed by a machine certificate of the right CA, by OpenSSL.
    let file = site.write("bare.der", &request.der);
    let by_machine = openssl(
        [
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-outform",
            "DER",
            "-econtent_type",
            "1.3.6.1.5.5.7.12.2",
            "-signer",
            path(&stage.machine.certificate),
            "-inkey",
            path(&stage.machine.key),
            "-in",
            path(&file),
            "-out",
            path(&site.file("cms.der")),
        ],
        b"",
    );
    by_machine.succeeded();
    let by_machine = std::fs::read(site.file("cms.der")).unwrap();
    for (what, body) in
        [("forged", &forged), ("bare", &request.der), ("signed by a machine", &by_machine)]
    {
        let response = Curl::new(&site.ca_certificate())
            .with(&stage.machine)
            .header("Content-Type: application/pkcs7-mime; smime-type=CMC-request")
            .post(&site.est_url("fullcmc"), BASE64.encode(body).as_bytes());
        assert!((400..500).contains(&response.status), "{what}: {response:?}");
    }
}

/// Otherwise whoever keeps a signed request has a new certificate every hour, for as long as
/// the signing certificate is valid.
#[test]
fn signed_request_is_good_for_one_certificate() {
    let stage = Stage::new();
    let site = &stage.site;
    let request = certificate_request(site, "alice", &Wish::of(&["alice@corp.example"]));
    let body = document("CORP\\alice", &stage.token.otp(0), &request.der);
    let signed = signed_request(&post(site, &stage.machine, &body));
    enrol(site, &stage.machine, &request, &signed);
    let again = Curl::new(&site.ca_certificate())
        .with(&stage.machine)
        .header("Content-Type: application/pkcs7-mime; smime-type=CMC-request")
        .post(&site.est_url("fullcmc"), BASE64.encode(&signed).as_bytes());
    assert!((400..500).contains(&again.status), "{again:?}");
}

#[test]
fn est_hands_out_the_ca_certificate() {
    let stage = Stage::new();
    let site = &stage.site;
    let response =
        Curl::new(&site.ca_certificate()).with(&stage.machine).get(&site.est_url("cacerts"));
    assert_eq!(response.status, 200, "{response:?}");
    let base64 = response.body.split_whitespace().collect::<String>();
    let file = site.write("cacerts.p7", BASE64.decode(base64.as_bytes()).unwrap());
    let listed = ["pkcs7", "-inform", "DER", "-in", path(&file), "-print_certs", "-noout"];
    let listed = openssl(listed, b"").succeeded();
    assert!(listed.contains("Corp Logon CA"), "{listed}");
}
