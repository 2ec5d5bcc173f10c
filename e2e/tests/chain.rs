//! One-time password in, certificate and Kerberos ticket out; the KDC is MIT's.

use std::path::{Path, PathBuf};

use crate::support::{
    certificate::{check_chain, check_signed_request, enrol, path},
    countersign::{REALM, Site},
    kdc::{Kdc, KdcSetup, kinit, klist},
    oath::OathToken,
    openssl::{Authority, Identity, certificate_text, openssl},
    otpce::{Wish, certificate_request, document, post, signed_request, status_code},
    process::{Ran, Service, run},
};

/// A site with the user `alice`, a machine, and a running daemon.
struct Stage {
    site: Site,
    machine: Identity,
    token: OathToken,
    _daemon: Service,
}

impl Stage {
    fn new() -> Self {
        Self::of(Site::new())
    }

    fn of(site: Site) -> Self {
        site.run(["account", "add", "alice", "--sid", SID, "--dn", DN]).succeeded();
        let token = OathToken::usual(b"a secret of 20 bytes");
        site.add_token("alice", "hotp", &token, &[]);
        let machine = site.issue("machine", "laptop.corp.example");
        let daemon = site.serve();
        Self { site, machine, token, _daemon: daemon }
    }

    /// `countersign login`, with the OTP from a file.
    fn login(&self, user: &str, otp: &str, options: &[&str]) -> Ran {
        let mut command = self.site.command([
            "login",
            "--server",
            &self.site.otpce_url(),
            user,
            "--trust",
            path(&self.site.ca_certificate()),
            "--certificate",
            path(&self.machine.certificate),
            "--key",
            path(&self.machine.key),
            "--otp-file",
            path(&self.site.write("otp", format!("{otp}\n"))),
        ]);
        run(command.args(options), b"")
    }

    /// A logon certificate with its key in a file.
    fn logon_certificate(&self, user: &str, otp: &str) -> Identity {
        let file = self.site.file(&format!("{user}-{otp}.pem"));
        self.login(user, otp, &["--pem", path(&file)]).succeeded();
        Identity { certificate: file.clone(), key: file }
    }

    fn kdc(&self, ahead: Option<&str>) -> Kdc {
        let directory = self.site.file(&format!("kdc{}", ahead.unwrap_or_default()));
        let identity = self.site.issue("kdc", "kdc.corp.example");
        let revocation = self.revocation_list();
        let setup = KdcSetup {
            realm: REALM,
            identity: &identity,
            anchor: &self.site.ca_certificate(),
            // A list that was published now is too old for a KDC of the day after.
            revocation: ahead.is_none().then_some(&revocation),
            ahead,
        };
        Kdc::start(&directory, &setup, &["alice", "bob"])
    }

    fn revocation_list(&self) -> PathBuf {
        let crl = self.site.directory().join(self.site.setting(&["ca", "crl"]));
        let pem = openssl(["crl", "-in", path(&crl), "-outform", "PEM"], b"").succeeded();
        self.site.write("revocation.pem", pem)
    }
}

fn check_logon_certificate(text: &str) {
    for part in [
        "Issuer: CN=Corp Logon CA",
        "Digital Signature",
        "X509v3 CRL Distribution Points",
        "CA Issuers",
        // Smart card logon, client authentication.
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
        check_signed_request(site, &signed);
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
fn login_goes_straight_to_a_ticket() {
    let stage = Stage::new();
    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[&stage.site.ca_certificate()]);
    let cache = stage.site.file("cache");
    let otp = stage.site.write("otp", stage.token.otp(0));
    let mut command = stage.site.command([
        "login",
        "--server",
        &stage.site.otpce_url(),
        "alice",
        "--trust",
        path(&stage.site.ca_certificate()),
        "--certificate",
        path(&stage.machine.certificate),
        "--key",
        path(&stage.machine.key),
        "--otp-file",
        path(&otp),
        "--kinit",
        "--ccache",
        path(&cache),
    ]);
    run(command.env("KRB5_CONFIG", &config), b"").succeeded();
    let tickets = klist(&config, &cache).succeeded();
    assert!(tickets.contains("Default principal: alice@CORP.EXAMPLE"), "{tickets}");
    let again = run(command.env("KRB5_CONFIG", &config), b"");
    assert_eq!(again.status.code(), Some(REFUSED), "the OTP is spent: {again}");
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
    use crate::support::{certificate::path, curl::Curl};
    use data_encoding::BASE64;

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

#[test]
fn est_hands_out_the_ca_certificate() {
    use crate::support::curl::Curl;
    use data_encoding::BASE64;

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

#[test]
fn login_as_pkcs12_is_read_by_openssl() {
    let stage = Stage::new();
    let file = stage.site.file("alice.p12");
    let ran = stage.login("alice", &stage.token.otp(0), &["--pkcs12", path(&file)]);
    let said = ran.succeeded();
    assert!(Path::new(&file).exists(), "{said}");
}

/// The exit code of credentials that were refused.
const REFUSED: i32 = 4;
const SID: &str = "S-1-5-21-1-2-3-1104";
const DN: &str = "CN=Alice Smith,OU=Staff,DC=corp,DC=example";
