//! The MS-OTPCE service, judged by curl and OpenSSL: the acceptance checks of the
//! protocol as far as they can be made from outside.

use std::net::{Ipv4Addr, UdpSocket};

use data_encoding::BASE64;

use crate::support::{
    countersign::{REALM, Site},
    freeradius::{FreeRadius, Role, SECRET},
    oath::OathToken,
    openssl::{Authority, Identity, openssl},
    otpce::{
        CertificateRequest, Wish, certificate_request, client, document, issuing_cas, post,
        raw_document, signed_request, status_code,
    },
    process::{SILENCE, Service},
    radclient::Answer,
};

/// A site with the user `alice`, a machine, and a running daemon.
struct Stage {
    site: Site,
    machine: Identity,
    token: OathToken,
    request: CertificateRequest,
    daemon: Service,
}

impl Stage {
    fn new() -> Self {
        Self::of(Site::new())
    }

    fn of(site: Site) -> Self {
        let token = site.add_user("alice", "hotp");
        let machine = site.issue("machine", "laptop.corp.example");
        let request = certificate_request(&site, "alice", &Wish::of(&["alice@corp.example"]));
        let daemon = site.serve();
        Self { site, machine, token, request, daemon }
    }

    fn status(&self, document: &str) -> String {
        status_code(&post(&self.site, &self.machine, document)).to_owned()
    }

    /// Asks for a certificate request other than the right one.
    fn status_of(&self, name: &str, wish: &Wish<'_>, otp: &str) -> String {
        let request = certificate_request(&self.site, name, wish);
        self.status(&document("CORP\\alice", otp, &request.der))
    }
}

#[test]
fn correct_request_comes_back_signed_and_its_otp_is_spent() {
    let stage = Stage::new();
    let body = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);
    let response = post(&stage.site, &stage.machine, &body);
    assert_eq!(status_code(&response), "Success");
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    let [issuing_ca] = issuing_cas(&response)[..] else { panic!("{response:?}") };
    assert!(issuing_ca.ends_with("\\Corp Logon CA"), "{issuing_ca}");
    let signed = signed_request(&response);
    let embedded = signed.windows(stage.request.der.len()).any(|part| part == stage.request.der);
    assert!(embedded, "the certificate request is inside, octet for octet");

    let again = post(&stage.site, &stage.machine, &body);
    assert_eq!(status_code(&again), "AuthenticationError");
    assert!(!again.body.contains("SignedCertRequest") && issuing_cas(&again).is_empty());
    assert_eq!(stage.site.logon("alice", &stage.token.otp(0)), Answer::Reject, "spent everywhere");
}

#[test]
fn base64_may_be_broken_in_any_way_that_xml_allows() {
    let stage = Stage::new();
    let base64 = BASE64.encode(&stage.request.der);
    let broken = |separator: &str| {
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
        lines.map(|line| format!("{line}{separator}")).collect::<String>()
    };
    for (counter, separator) in (0..).zip(["", "\n", "\r\n", " ", "&#xA;", "&#13;&#10;\t"]) {
        let otp = stage.token.otp(counter);
        let body = raw_document("CORP\\alice", &otp, &broken(separator));
        assert_eq!(stage.status(&body), "Success", "{separator:?}");
    }
}

#[test]
fn certificate_request_is_checked_before_the_otp_is_looked_at() {
    let stage = Stage::new();
    let (right, otp) = (&stage.request.der, stage.token.otp(0));
    let mut forged = right.clone();
    *forged.last_mut().unwrap() ^= 1;
    let trailing = [&right[..], &[0]].concat();
    let cut = &right[..right.len() - 1];
    for (what, der) in [("forged", &forged[..]), ("trailing", &trailing), ("cut", cut)] {
        assert_eq!(stage.status(&document("CORP\\alice", &otp, der)), "OtherError", "{what}");
    }
    let asdf = raw_document("CORP\\alice", &otp, "asdf");
    assert_eq!(stage.status(&asdf), "OtherError", "three octets that are no DER");

    let upn = &["alice@corp.example"][..];
    for (name, wish) in [
        ("foreign", Wish::of(&["bob@corp.example"])),
        ("one-foreign", Wish::of(&["alice@corp.example", "bob@corp.example"])),
        ("nobody", Wish::of(&[])),
        ("no-template", Wish { template: None, ..Wish::of(upn) }),
        ("other-template", Wish { template: Some("1.3.6.1.4.1.311.21.8.1.2.3"), ..Wish::of(upn) }),
        ("weak", Wish { key: "rsa:1024", ..Wish::of(upn) }),
        ("subject", Wish { subject: "CN = Bob", ..Wish::of(upn) }),
    ] {
        assert_eq!(stage.status_of(name, &wish, &otp), "OtherError", "{name}");
    }
    assert_eq!(
        stage.status(&document("CORP\\alice", &otp, right)),
        "Success",
        "none spent the OTP"
    );
}

#[test]
fn names_are_matched_by_account_and_not_by_text() {
    let stage = Stage::new();
    stage
        .site
        .run([
            "account",
            "add",
            "bob",
            "--upn",
            "b@x.example",
            "--dn",
            "CN=Bob,OU=Staff,DC=corp,DC=example",
        ])
        .succeeded();
    stage.site.add_token("bob", "hotp", &stage.token, &[]);
    let subject = "0.DC = EXAMPLE\n1.DC = corp\nOU = staff\nCN = bob";
    let wish = Wish { subject, key: "ec", ..Wish::of(&["B@X.example"]) };
    let request = certificate_request(&stage.site, "bob", &wish);
    for (counter, name) in (0..).zip(["CORP\\bob", "corp.example\\BOB", "b@x.example", "bob"]) {
        let body = document(name, &stage.token.otp(counter), &request.der);
        assert_eq!(stage.status(&body), "Success", "{name}");
    }
    let body = document("CORP\\alice", &stage.token.otp(0), &request.der);
    assert_eq!(stage.status(&body), "OtherError", "of somebody else");
}

#[test]
fn unknown_user_and_wrong_otp_look_the_same() {
    let stage = Stage::new();
    let ask = |user: &str, upn: &str| {
        let request = certificate_request(&stage.site, "asked", &Wish::of(&[upn]));
        post(&stage.site, &stage.machine, &document(user, "000000", &request.der))
    };
    let (wrong, unknown) =
        (ask("CORP\\alice", "alice@corp.example"), ask("CORP\\ghost", "ghost@corp.example"));
    assert_eq!(status_code(&wrong), "AuthenticationError");
    assert_eq!(wrong.body, unknown.body);
}

#[test]
fn machine_without_a_good_certificate_gets_403_before_anything_is_read() {
    let stage = Stage::new();
    let (site, body) = (&stage.site, document("CORP\\alice", "000000", &stage.request.der));
    let refused = |response: crate::support::curl::Response| {
        assert_eq!(response.status, 403, "{response:?}");
        assert_eq!(response.header("X-OTPCEP-version"), Some("1.0"));
    };
    refused(client(site).post(&site.otpce_url(), body.as_bytes()));
    refused(client(site).post(&site.otpce_url(), b"<not xml"));
    refused(client(site).get(&site.otpce_url()));
    let foreign = Authority::new(site.directory().parent().unwrap(), "foreign");
    let stranger = foreign.issue("machine", "laptop.corp.example", REALM);
    refused(client(site).with(&stranger).post(&site.otpce_url(), body.as_bytes()));
}

#[test]
fn http_is_answered_as_the_protocol_wants_it() {
    let stage = Stage::new();
    let (site, url) = (&stage.site, stage.site.otpce_url());
    let with = || client(site).with(&stage.machine);
    let body = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);

    let get = with().get(&url);
    assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
    let bare = || crate::support::curl::Curl::new(&site.ca_certificate()).with(&stage.machine);
    let json = bare().header("Content-Type: application/json").header("X-OTPCEP-version: 1.0");
    assert_eq!(json.post(&url, body.as_bytes()).status, 415);
    let latin = bare()
        .header("Content-Type: application/xml; charset=iso-8859-1")
        .header("X-OTPCEP-version: 1.0");
    assert_eq!(latin.post(&url, body.as_bytes()).status, 415);
    let unversioned = bare().header("Content-Type: application/xml");
    assert_eq!(unversioned.post(&url, body.as_bytes()).status, 400);
    assert_eq!(with().post(&url, &[b' '; 70_000]).status, 413);
    let elsewhere = with().post(&url.replace("/otpce", "/elsewhere"), body.as_bytes());
    assert_eq!(elsewhere.status, 404);
    for response in [&get, &elsewhere] {
        assert_eq!(response.header("X-OTPCEP-version"), Some("1.0"), "{response:?}");
    }
    let shouted = with().post(&url.replace("/otpce", "/OTPCE"), body.as_bytes());
    assert_eq!(status_code(&shouted), "Success", "paths have no case here");
}

#[test]
fn a_machine_that_asks_too_often_gets_429_and_spends_no_otp() {
    let site = Site::new();
    site.configure_with("otpce.max-requests-per-minute = 1");
    let stage = Stage::of(site);
    assert_eq!(post(&stage.site, &stage.machine, "no document").status, 400);
    let body = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);
    let refused = post(&stage.site, &stage.machine, &body);
    assert_eq!((refused.status, refused.header("X-OTPCEP-version")), (429, Some("1.0")));
    let other = stage.site.issue("machine", "desktop.corp.example");
    assert_eq!(status_code(&post(&stage.site, &other, &body)), "Success");
}

#[test]
fn what_is_no_sign_cert_request_gets_400() {
    let stage = Stage::new();
    let right = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);
    let doctype = "?>\n<!DOCTYPE signCertRequest [<!ENTITY a \"b\">]>";
    for (what, body) in [
        ("nothing", String::new()),
        ("text", "hello".into()),
        ("DTD", right.replacen("?>", doctype, 1)),
        ("another namespace", right.replace("otpcep/1.0", "otpcep/2.0")),
        ("another element", right.replace("signCertRequest ", "signCertResponse ")),
        ("no OTP", right.replace("oneTimePassword", "password")),
        ("OTP twice", right.replace(" username", " oneTimePassword=\"1\" username")),
        ("something behind it", format!("{right}<more/>")),
        ("an open end", right.replace("/>", ">")),
        ("NUL", right.replace("CORP", "CO\0RP")),
    ] {
        assert_eq!(post(&stage.site, &stage.machine, &body).status, 400, "{what}: {body}");
    }
    assert_eq!(stage.status(&right), "Success", "none spent the OTP");
}

#[test]
fn empty_ca_list_is_noticed_only_after_the_otp_was_right() {
    let site = Site::new();
    site.configure_with("otpce.issuing-ca = []");
    let stage = Stage::of(site);
    let wrong = document("CORP\\alice", "000000", &stage.request.der);
    assert_eq!(stage.status(&wrong), "AuthenticationError");
    let right = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);
    assert_eq!(stage.status(&right), "OtherError");
}

#[test]
fn upstream_becomes_a_status_code_and_gets_the_passcode_as_typed() {
    let site = Site::new();
    let upstream = FreeRadius::start(&site.file("freeradius"), Role::OtpServer { signs: true });
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    site.configure_with(&format!(
        "[upstream.otp]\nservers = ['{}']\nsecret = '{SECRET}'\n\
         [upstream.silent]\nservers = ['{}']\nsecret = '{SECRET}'\ntimeout = '1s'\ntries = 1",
        upstream.address(),
        silent.local_addr().unwrap(),
    ));
    for (name, upstream) in [("special", "otp"), ("challenged", "otp"), ("unlucky", "silent")] {
        site.run(["account", "add", name, "--upstream", upstream]).succeeded();
    }
    let stage = Stage::of(site);
    let status = |user: &str, passcode: &str| {
        let upn = format!("{user}@corp.example");
        let request = certificate_request(&stage.site, user, &Wish::of(&[&upn]));
        let body = raw_document(user, passcode, &BASE64.encode(&request.der));
        let response = post(&stage.site, &stage.machine, &body);
        let status = status_code(&response).to_owned();
        let success = status == "Success";
        assert_eq!(response.body.contains("SignedCertRequest"), success, "{response:?}");
        assert_eq!(!issuing_cas(&response).is_empty(), success, "{response:?}");
        status
    };
    assert_eq!(status("special", "a&amp;b&#x41; &lt;\u{fc}&quot;"), "Success");
    assert_eq!(status("special", "a&amp;amp;b"), "AuthenticationError");
    assert_eq!(status("challenged", "1"), "ChallengeResponseRequired");
    assert_eq!(status("unlucky", "1"), "OtherError");
}

#[test]
fn nobody_is_asked_about_a_bad_request_or_an_unknown_user() {
    let site = Site::new();
    let upstream = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    upstream.set_read_timeout(Some(SILENCE)).unwrap();
    let address = upstream.local_addr().unwrap();
    site.configure_with(&format!("[upstream.otp]\nservers = ['{address}']\nsecret = '{SECRET}'"));
    site.run(["account", "add", "remote", "--upstream", "otp"]).succeeded();
    let stage = Stage::of(site);
    let foreign = document("CORP\\remote", "123456", &stage.request.der);
    assert_eq!(stage.status(&foreign), "OtherError", "the UPN is another user's");
    let ghost = certificate_request(&stage.site, "ghost", &Wish::of(&["ghost@corp.example"]));
    let unknown = document("CORP\\ghost", "123456", &ghost.der);
    assert_eq!(stage.status(&unknown), "AuthenticationError");
    assert!(upstream.recv(&mut [0; 4096]).is_err(), "the OTP server was asked");
}

/// The published request, which is signed over SHA-1 and names a template of its time.
#[test]
fn published_request_is_accepted_when_the_account_it_names_exists() {
    let vector = include_str!("../../testdata/otpce/accepted-request.xml");
    let site = Site::new();
    let upstream = FreeRadius::start(&site.file("freeradius"), Role::OtpServer { signs: true });
    site.configure_with(&format!(
        "request = {{ template-name = 'OTPLogon', template-oid = '{PUBLISHED_TEMPLATE}', \
         allow-sha1 = true }}\n\
         site = {{ domain = 'DOMAIN1', realm = 'domain1.corp.company.com' }}\n\
         [upstream.otp]\nservers = ['{}']\nsecret = '{SECRET}'",
        upstream.address(),
    ));
    let dn = "CN=User 1,CN=Users,DC=domain1,DC=corp,DC=company,DC=com";
    let upn = "user1@domain1.corp.company.com";
    site.run(["account", "add", "user1", "--upn", upn, "--dn", dn, "--upstream", "otp"])
        .succeeded();
    let machine = site.issue("machine", "client2.domain1.corp.company.com");
    let _daemon = site.serve();
    let response = post(&site, &machine, vector);
    assert_eq!(status_code(&response), "Success", "{}", upstream.log());
    let signed = site.write("signed.der", signed_request(&response));
    let file = signed.to_str().unwrap();
    let text = openssl(["cms", "-cmsout", "-print", "-inform", "DER", "-in", file], b"");
    assert!(text.succeeded().contains("Dummy Signer"));
}

#[test]
fn client_certificate_that_is_cut_off_does_not_stop_the_daemon() {
    let mut stage = Stage::new();
    for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff], &[0; 3000]] {
        let mut connection =
            std::net::TcpStream::connect(("127.0.0.1", stage.site.otpce_port)).unwrap();
        let _ = std::io::Write::write_all(&mut connection, junk);
    }
    let body = document("CORP\\alice", &stage.token.otp(0), &stage.request.der);
    assert_eq!(stage.status(&body), "Success");
    stage.daemon.wait_until("it is still there", || true);
}

const PUBLISHED_TEMPLATE: &str =
    "1.3.6.1.4.1.311.21.8.221803.1567394.12993454.3845153.13972217.75.15653661.6620273";
