//! OpenSSL reads what we make, and we read what OpenSSL makes.

#![expect(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use countersign::{
    app::sign::{Ra, RaSettings, SigningCertificate},
    signer::{
        Signer,
        file::{AwsVerify, FileSigner, KeySpec},
    },
};
use countersign_core::pki::{
    algorithm::Digest,
    cert::{Certificate, Subject},
    cmc::{self, CmcError, Trust, Wrapping},
    cms, oid,
    profile::Kind,
};
use x509_cert::name::Name;

#[path = "support/site.rs"]
mod site;

use site::{NOW, Names, RA_HOST, SID, Site, UPN, logon_request};

#[tokio::test]
async fn openssl_verifies_every_kind_of_certificate_of_every_kind_of_ca() {
    for ca_key in [KeySpec::P256, KeySpec::P384, KeySpec::Rsa2048] {
        let bench = Bench::new(ca_key, KeySpec::P256).await;
        for kind in [Kind::Signing, Kind::Server, Kind::Machine, Kind::Kdc] {
            bench.verify(&bench.infrastructure(kind).await);
        }
        bench.verify(&bench.logon().await);
    }
}

#[tokio::test]
async fn openssl_reads_in_the_logon_certificate_what_the_account_says() {
    let bench = Bench::new(KeySpec::P256, KeySpec::Rsa2048).await;
    let text = bench.text(&bench.logon().await);
    for wanted in [
        "Subject: DC = com, DC = company, DC = corp, DC = domain1, CN = Users, CN = User 1",
        &format!("othername: UPN::{UPN}"),
        "othername: 1.3.6.1.5.2.2::",
        &format!("URI:tag:microsoft.com,2022-09-14:sid:{SID}"),
        "1.3.6.1.4.1.311.25.2:",
        SID,
        "Microsoft Smartcard Login, TLS Web Client Authentication, PKINIT Client Auth",
        "1.3.6.1.4.1.311.21.7:",
        "1.3.6.1.4.1.311.21.10:",
        "URI:http://ca.example.org:8080/ca.crl",
        "CA Issuers - URI:http://ca.example.org:8080/ca.cer",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "Not Before: May 31 23:50:00 2026 GMT",
        "Not After : Jun  1 01:00:00 2026 GMT",
        "Signature Algorithm: ecdsa-with-SHA256",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(!text.contains("CA:TRUE"), "{text}");
}

#[tokio::test]
async fn openssl_reads_the_other_profiles() {
    let bench = Bench::new(KeySpec::P256, KeySpec::P256).await;
    let signing = bench.text(&bench.infrastructure(Kind::Signing).await);
    for wanted in [
        "1.3.6.1.4.1.311.81.1.1, CMC Registration Authority",
        "X509v3 Subject Alternative Name: critical\n                DNS:ra.example.org",
        "Not After : Jun  3 00:00:00 2026 GMT",
    ] {
        assert!(signing.contains(wanted), "{wanted}\n{signing}");
    }
    let kdc = bench.text(&bench.infrastructure(Kind::Kdc).await);
    for wanted in ["Signing KDC Response, TLS Web Server Authentication", "DNS:ra.example.org"] {
        assert!(kdc.contains(wanted), "{wanted}\n{kdc}");
    }
    let ca = bench.text(bench.site.ca.authority.certificate());
    for wanted in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign"] {
        assert!(ca.contains(wanted), "{wanted}\n{ca}");
    }
}

#[tokio::test]
async fn openssl_sees_revocation() {
    let bench = Bench::new(KeySpec::Rsa2048, KeySpec::P256).await;
    let machine = bench.infrastructure(Kind::Machine).await;
    bench.verify(&machine);
    bench.site.publisher.revoke(&machine.serial(), NOW).await.unwrap();
    let output = bench.try_verify(&machine);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("certificate revoked"), "{output:?}");
    let list = bench.site.directory.path().join("ca.crl");
    let output = bench.openssl(&[
        "crl",
        "-inform",
        "DER",
        "-in",
        name(&list),
        "-CAfile",
        name(&bench.ca_file),
        "-noout",
        "-text",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(String::from_utf8_lossy(&output.stderr).contains("verify OK"), "{output:?}");
    let serial = machine.serial().to_hex().to_uppercase();
    let number = "X509v3 CRL Number: \n                2";
    for wanted in ["Version 2", "X509v3 Authority Key Identifier", number, &serial] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
}

#[tokio::test]
async fn openssl_verifies_a_signed_request_without_the_placeholder() {
    for key in [KeySpec::Rsa2048, KeySpec::P256] {
        let bench = Bench::new(KeySpec::P256, key).await;
        let signing = bench.site.ra.current().unwrap();
        let pkcs10 = logon_request(&bench.key, &Names::default());
        let wrapping = |placeholder| Wrapping {
            digest: Digest::Sha256,
            placeholder,
            client_info: None,
            chain: &[],
        };
        let wrap = |placeholder| {
            let prepared =
                cmc::prepare_request(&pkcs10, signing.certificate(), &wrapping(placeholder))
                    .unwrap();
            let signature = signing.key().sign(prepared.digest(), prepared.to_be_signed()).unwrap();
            bench.file("request.cms", &prepared.complete(&signature))
        };
        let plain = wrap(false);
        let output = bench.openssl(&[
            "cms",
            "-verify",
            "-inform",
            "DER",
            "-in",
            name(&plain),
            "-CAfile",
            name(&bench.ca_file),
            "-purpose",
            "any",
            "-attime",
            &AT.to_string(),
            "-binary",
        ]);
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.windows(pkcs10.len()).any(|window| window == pkcs10));
        let with_placeholder = wrap(true);
        let output = bench.openssl(&[
            "cms",
            "-cmsout",
            "-print",
            "-inform",
            "DER",
            "-in",
            name(&with_placeholder),
        ]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        let placeholder = text.find("Dummy Signer").unwrap();
        let real = text.rfind("Example CA").unwrap();
        assert!(placeholder < real, "{text}");
        assert!(text.contains("id-alg-noSignature"), "{text}");
    }
}

/// OpenSSL signs the PKIData in BER, with lengths that are not known beforehand.
#[tokio::test]
async fn a_streamed_request_of_openssl_is_vouched_for() {
    let bench = Bench::new(KeySpec::P256, KeySpec::Rsa2048).await;
    let ours = cms::SignedData::read(&bench.site.signed_request(&bench.key)).unwrap();
    let content = bench.file("content.der", ours.content().unwrap());
    let streamed = bench.site.directory.path().join("streamed.cms");
    let files = &bench.site.renewer.files;
    let output = bench.openssl(&[
        "cms",
        "-sign",
        "-binary",
        "-nodetach",
        "-stream",
        "-outform",
        "DER",
        "-md",
        "sha256",
        "-econtent_type",
        "1.3.6.1.5.5.7.12.2",
        "-signer",
        name(&files.certificate),
        "-inkey",
        name(&files.key),
        "-in",
        name(&content),
        "-out",
        name(&streamed),
    ]);
    assert!(output.status.success(), "{output:?}");
    let octets = std::fs::read(streamed).unwrap();
    assert_eq!(octets[1], 0x80, "the length is indefinite");
    let trust = Trust {
        ca: bench.site.ca.authority.certificate(),
        verify: &AwsVerify,
        is_revoked: &|_| false,
        allow_sha1: false,
        now: NOW,
    };
    let vouched = cmc::vouch(&octets, &trust).unwrap();
    assert_eq!(vouched.signer().dns_names(), [RA_HOST]);
}

#[tokio::test]
async fn openssl_signs_over_sha1_octet_by_octet_as_we_do() {
    let bench = Bench::new(KeySpec::P256, KeySpec::P256).await;
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072] {
        let key = FileSigner::generate(spec).unwrap();
        let key_file = bench.site.directory.path().join(format!("{spec}.key"));
        key.save(&key_file).unwrap();
        let message = bench.file("message", b"signed attributes");
        let output = bench.openssl(&["dgst", "-sha1", "-sign", name(&key_file), name(&message)]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(key.sign(Digest::Sha1, b"signed attributes").unwrap(), output.stdout);
    }
}

#[tokio::test]
async fn with_sha1_a_signed_request_is_over_sha1_in_all_four_places() {
    let mut bench = Bench::new(KeySpec::P256, KeySpec::Rsa2048).await;
    let signing = bench.site.ra.current().unwrap();
    let key = FileSigner::load(&bench.site.renewer.files.key).unwrap();
    let certificate = signing.certificate().clone();
    let settings = RaSettings { sha1: true, client_info: None };
    let ra = Ra::new(settings, bench.site.audit.clone());
    ra.install(SigningCertificate::new(certificate, Vec::new(), Arc::new(key)).unwrap());
    bench.site.ra = Arc::new(ra);
    let signed = bench.site.signed_request(&bench.key);

    let file = bench.file("sha1.cms", &signed);
    let output = bench.openssl(&["cms", "-cmsout", "-print", "-inform", "DER", "-in", name(&file)]);
    let text = String::from_utf8(output.stdout).unwrap();
    // digestAlgorithms has one entry, and each of the two signers its own.
    assert_eq!(text.matches("algorithm: sha1 (1.3.14.3.2.26)\n").count(), 3, "{text}");
    assert_eq!(text.matches("algorithm: rsaEncryption (1.2.840.113549.1.1.1)\n").count(), 2);
    assert_eq!(text.matches("algorithm: id-alg-noSignature").count(), 1, "{text}");

    let message = cms::SignedData::read(&signed).unwrap();
    let [placeholder, signer] = message.signers() else { panic!("two signers") };
    for one in [placeholder, signer] {
        assert_eq!(one.digest(), Some(Digest::Sha1));
        // The message digest within the signed attributes.
        one.check_content(oid::PKI_DATA, message.content().unwrap()).unwrap();
    }
    assert!(placeholder.is_placeholder());
    assert!(signer.is_signed_by(signing.certificate(), &AwsVerify), "the fourth is the signature");

    let trust = |allow_sha1| Trust {
        ca: bench.site.ca.authority.certificate(),
        verify: &AwsVerify,
        is_revoked: &|_| false,
        allow_sha1,
        now: NOW,
    };
    assert!(cmc::vouch(&signed, &trust(true)).is_ok());
    assert!(matches!(cmc::vouch(&signed, &trust(false)), Err(CmcError::WeakDigest)));
}

#[tokio::test]
async fn openssl_verifies_a_refusal() {
    let bench = Bench::new(KeySpec::P256, KeySpec::P256).await;
    let error = bench.site.ca.issue_logon(b"", &bench.site.asked()).await.unwrap_err();
    let refusal = bench.file("refusal.cms", &bench.site.ca.refusal(&error).unwrap());
    let output = bench.openssl(&[
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        name(&refusal),
        "-CAfile",
        name(&bench.ca_file),
        "-purpose",
        "any",
        "-attime",
        &AT.to_string(),
        "-binary",
    ]);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn openssl_finds_the_leaf_first_in_certs_only() {
    let bench = Bench::new(KeySpec::P256, KeySpec::P256).await;
    let chain = [bench.logon().await, bench.site.ca.authority.certificate().clone()];
    let file = bench.file("chain.p7", &cms::certs_only(&chain));
    let output =
        bench.openssl(&["pkcs7", "-inform", "DER", "-in", name(&file), "-print_certs", "-noout"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let (leaf, ca) = (text.find("User 1").unwrap(), text.find("subject=CN = Example CA").unwrap());
    assert!(leaf < ca, "{text}");
}

#[tokio::test]
async fn a_request_of_openssl_becomes_a_logon_certificate() {
    let bench = Bench::new(KeySpec::P256, KeySpec::P256).await;
    let config = format!(
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\n\
         0.DC=com\n1.DC=company\n2.DC=corp\n3.DC=domain1\n0.CN=Users\n1.CN=User 1\n[v3]\n\
         extendedKeyUsage=1.3.6.1.4.1.311.20.2.2\n\
         subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:{UPN}\n\
         1.3.6.1.4.1.311.21.7=ASN1:SEQUENCE:template\n[template]\na=OID:{}\nb=INTEGER:100\n",
        site::TEMPLATE,
    );
    let config = bench.file("req.cnf", config.as_bytes());
    let key = bench.site.directory.path().join("user.key");
    let request = bench.site.directory.path().join("user.csr");
    let output = bench.openssl(&[
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-utf8",
        "-keyout",
        name(&key),
        "-config",
        name(&config),
        "-outform",
        "DER",
        "-out",
        name(&request),
    ]);
    assert!(output.status.success(), "{output:?}");
    let signed = bench.site.signed(&std::fs::read(request).unwrap());
    let issued = bench.site.ca.issue_logon(&signed, &bench.site.asked()).await.unwrap();
    bench.verify(&issued);
    assert_eq!(issued.public_key(), FileSigner::load(&key).unwrap().public_key());
}

/// A site, and files for OpenSSL.
struct Bench {
    site: Site,
    ca_file: PathBuf,
    key: FileSigner,
}

impl Bench {
    async fn new(ca_key: KeySpec, ra_key: KeySpec) -> Self {
        let site = Site::with_keys(ca_key, ra_key).await;
        let ca_file = site.directory.path().join("ca.pem");
        std::fs::write(&ca_file, site.ca.authority.certificate().to_pem()).unwrap();
        Self { site, ca_file, key: FileSigner::generate(KeySpec::P256).unwrap() }
    }

    async fn logon(&self) -> Certificate {
        let signed = self.site.signed_request(&self.key);
        self.site.ca.issue_logon(&signed, &self.site.asked()).await.unwrap()
    }

    async fn infrastructure(&self, kind: Kind) -> Certificate {
        let dns = vec![RA_HOST.to_owned()];
        let subject = if kind == Kind::Kdc {
            Subject::Kdc { dns, realm: "EXAMPLE.ORG".into() }
        } else {
            Subject::Host { name: Name::default(), dns, ip: Vec::new() }
        };
        let key = self.key.public_key();
        let asked = self.site.asked();
        self.site.ca.issue_infrastructure(kind, subject, key, key, &asked).await.unwrap()
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.site.directory.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    fn text(&self, certificate: &Certificate) -> String {
        let file = self.file("certificate.pem", certificate.to_pem().as_bytes());
        let output = self.openssl(&["x509", "-in", name(&file), "-noout", "-text"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn verify(&self, certificate: &Certificate) {
        let output = self.try_verify(certificate);
        assert!(output.status.success(), "{output:?}");
    }

    /// Path, signature, time, strictness of RFC 5280, and revocation.
    fn try_verify(&self, certificate: &Certificate) -> Output {
        let file = self.file("certificate.pem", certificate.to_pem().as_bytes());
        let list = self.site.publisher.current().unwrap();
        let list = data_encoding::BASE64_MIME.encode(list.der());
        let list = format!("-----BEGIN X509 CRL-----\n{list}-----END X509 CRL-----\n");
        let list = self.file("list.pem", list.as_bytes());
        self.openssl(&[
            "verify",
            "-x509_strict",
            "-crl_check",
            "-attime",
            &AT.to_string(),
            "-CAfile",
            name(&self.ca_file),
            "-CRLfile",
            name(&list),
            name(&file),
        ])
    }

    fn openssl(&self, arguments: &[&str]) -> Output {
        Command::new("openssl").args(arguments).output().unwrap()
    }
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A moment within the validity of everything.
const AT: u64 = NOW.0 + 60;
