//! A real KDC of MIT Kerberos, certificates of ours.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use countersign_core::{
    domain::time::UnixTime,
    pki::{
        cert::{Issuer, Serial, Subject, common_name, prepare},
        extension::Principal,
        profile::{Addresses, Kind, Profile, ProfileConfig},
    },
};
use tokio::process::Child;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    signer::{
        Signer,
        file::{FileSigner, KeySpec},
    },
    vault::random_octets,
};

const REALM: &str = "EXAMPLE.TEST";

/// A CA that issues whatever it is asked for.
struct Authority {
    key: FileSigner,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        let name = common_name("test ca");
        let issuer = Issuer::itself(name.clone(), key.public_key()).unwrap();
        let subject = Subject::Authority { name };
        let certificate = sign(Kind::Ca, &subject, &key, &issuer, &key, now().minus(86_400));
        Self { key, certificate }
    }

    fn issue(&self, kind: Kind, subject: &Subject, key: &FileSigner, at: UnixTime) -> Certificate {
        let issuer = Issuer::new(&self.certificate).unwrap();
        sign(kind, subject, key, &issuer, &self.key, at)
    }

    fn logon(&self, name: &str, key: &FileSigner, at: UnixTime) -> Certificate {
        let subject = Subject::Account {
            name: common_name(name),
            upn: format!("{name}@example.test"),
            principal: Some(Principal::user(name, REALM)),
            sid: None,
        };
        self.issue(Kind::Logon, &subject, key, at)
    }
}

fn sign(
    kind: Kind,
    subject: &Subject,
    key: &FileSigner,
    issuer: &Issuer,
    ca: &FileSigner,
    at: UnixTime,
) -> Certificate {
    let addresses = Addresses {
        crl_urls: vec!["http://ca.example/ca.crl".into()],
        issuer_urls: vec!["http://ca.example/ca.cer".into()],
    };
    let profile = Profile::new(kind, &ProfileConfig::default(), &addresses).unwrap();
    let serial = Serial::from_random(random_octets()).unwrap();
    let prepared = prepare(&profile, subject, key.public_key(), issuer, &serial, at).unwrap();
    let signature = ca.sign(prepared.digest(), prepared.to_be_signed()).unwrap();
    prepared.complete(&signature).unwrap()
}

fn now() -> UnixTime {
    SystemClock.now()
}

/// A KDC of one realm with the principals `jane` and `joe`.
struct Kdc {
    dir: tempfile::TempDir,
    _process: Child,
}

impl Kdc {
    async fn start(authority: &Authority) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let key = FileSigner::generate(KeySpec::Rsa2048).unwrap();
        let subject = Subject::Kdc { dns: vec!["kdc.example.test".into()], realm: REALM.into() };
        let certificate = authority.issue(Kind::Kdc, &subject, &key, now());
        key.save(&dir.path().join("kdc.key")).unwrap();
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        write("kdc.pem", certificate.to_pem());
        write("ca.pem", authority.certificate.to_pem());
        let at = dir.path().display();
        write(
            "krb5.conf",
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n\
                 [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
            ),
        );
        write(
            "kdc.conf",
            format!(
                "[realms]\n {REALM} = {{\n  database_name = {at}/principal\n  key_stash_file = {at}/stash\n\
                 kdc_listen = 127.0.0.1:{port}\n  kdc_tcp_listen = 127.0.0.1:{port}\n\
                 pkinit_identity = FILE:{at}/kdc.pem,{at}/kdc.key\n  pkinit_anchors = FILE:{at}/ca.pem\n }}\n\
                 [logging]\n kdc = FILE:{at}/kdc.log\n"
            ),
        );
        let run = async |program: &str, arguments: &str| {
            let mut command = Self::command(dir.path(), program);
            let output = command.args(arguments.split(' ')).output().await.unwrap();
            assert!(output.status.success(), "{program}: {output:?}");
        };
        run("kdb5_util", &format!("create -s -P master -r {REALM}")).await;
        for name in ["jane", "joe"] {
            run("kadmin.local", &format!("-r {REALM} addprinc -randkey +requires_preauth {name}"))
                .await;
        }
        let process = Self::command(dir.path(), "krb5kdc").arg("-n").spawn().unwrap();
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Self { dir, _process: process }
    }

    fn command(dir: &Path, program: &str) -> Command {
        let mut command = Command::new(format!("/usr/sbin/{program}"));
        command
            .env("KRB5_CONFIG", dir.join("krb5.conf"))
            .env("KRB5_KDC_PROFILE", dir.join("kdc.conf"))
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn kinit<'a>(
        &self,
        principal: &'a str,
        certificate: &'a Certificate,
        key: &'a Secret<String>,
        anchors: &'a [Certificate],
    ) -> Kinit<'a> {
        let path = self.dir.path();
        let cache = Some(format!("FILE:{}", path.join("cache").display()));
        let config = Some(path.join("krb5.conf"));
        Kinit { principal, certificate, key, anchors, cache, config }
    }
}

#[tokio::test]
async fn a_certificate_of_the_trusted_ca_gets_a_ticket_and_others_do_not() {
    let authority = Authority::new();
    let kdc = Kdc::start(&authority).await;
    let anchors = [authority.certificate.clone()];
    let principal = format!("jane@{REALM}");
    let key = FileSigner::generate(KeySpec::Rsa2048).unwrap();
    let pem = key.pkcs8_pem().unwrap();

    let good = authority.logon("jane", &key, now());
    let kinit = kdc.kinit(&principal, &good, &pem, &anchors);
    kinit.run().await.unwrap();
    let list = kinit.list().await.unwrap();
    assert!(list.contains("Default principal: jane@EXAMPLE.TEST"), "{list}");
    assert!(list.contains("krbtgt/EXAMPLE.TEST@EXAMPLE.TEST"), "{list}");

    let stranger = Authority::new();
    // kinit itself refuses what it cannot verify, so it is told of both CAs.
    let both = [authority.certificate.clone(), stranger.certificate.clone()];
    let refused = async |certificate: &Certificate| {
        let kinit = kdc.kinit(&principal, certificate, &pem, &both);
        kinit.run().await.unwrap_err().to_string()
    };
    let error = refused(&stranger.logon("jane", &key, now())).await;
    assert!(error.contains("KDC_ERR_CANT_VERIFY_CERTIFICATE"), "{error}");
    let error = refused(&authority.logon("joe", &key, now())).await;
    assert!(error.contains("KDC_ERR_CLIENT_NAME_MISMATCH"), "{error}");
    let error = refused(&authority.logon("jane", &key, now().minus(2 * 3600))).await;
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn a_key_on_a_curve_gets_a_ticket() {
    let authority = Authority::new();
    let kdc = Kdc::start(&authority).await;
    let anchors = [authority.certificate.clone()];
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let pem = key.pkcs8_pem().unwrap();
    let certificate = authority.logon("joe", &key, now());
    let principal = format!("joe@{REALM}");
    kdc.kinit(&principal, &certificate, &pem, &anchors).run().await.unwrap();
}

#[tokio::test]
async fn without_a_kdc_kinit_says_so() {
    let authority = Authority::new();
    let key = FileSigner::generate(KeySpec::P256).unwrap();
    let certificate = authority.logon("jane", &key, now());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("krb5.conf");
    fs::write(&config, format!("[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:1\n }}\n")).unwrap();
    let kinit = Kinit {
        principal: &format!("jane@{REALM}"),
        certificate: &certificate,
        key: &key.pkcs8_pem().unwrap(),
        anchors: &[],
        cache: Some(format!("FILE:{}/cache", dir.path().display())),
        config: Some(config),
    };
    let error = kinit.run().await.unwrap_err().to_string();
    assert!(error.contains("Cannot contact any KDC"), "{error}");
    assert!(!error.contains("PRIVATE KEY"), "{error}");
}

#[tokio::test]
async fn what_is_started_meanwhile_does_not_inherit_the_key_but_kinit_can_open_it() {
    let file = memory_file("the key").unwrap();
    let run = async |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let inherited = run("ls", &["-l", "/proc/self/fd"]).await;
    assert!(inherited.contains("/proc/") && !inherited.contains("memfd"), "{inherited}");
    // Twice, from its beginning each time.
    let path = path(&file);
    assert_eq!(run("cat", &[&path, &path]).await, "the keythe key");
}

#[test]
fn the_word_of_the_kdc_is_found_in_the_trace() {
    let line = "[1234] 1700000000.1: Received error from KDC: -1765328322/Client not trusted";
    assert_eq!(kdc_error(line).unwrap().name, "KDC_ERR_CLIENT_NOT_TRUSTED");
    let asks =
        "[1] 2.3: Received error from KDC: -1765328359/Additional pre-authentication required";
    assert_eq!(kdc_error(asks), None);
    assert_eq!(kdc_error("kinit: Cannot contact any KDC"), None);
    assert_eq!(kdc_error("Received error from KDC: -99999999999/x"), None);
}

#[test]
fn every_error_has_a_number_of_its_own_with_cause_and_remedy() {
    for (place, error) in KDC_ERRORS.iter().enumerate() {
        assert!(!error.cause.is_empty() && !error.remedy.is_empty(), "{}", error.code);
        assert!(KDC_ERRORS[place + 1..].iter().all(|other| other.code > error.code));
        assert_eq!(KdcError::of_code(error.code), Some(*error));
    }
    assert_eq!(KdcError::of_code(25), None);
}
