//! A site in memory: an embedded CA, a registration authority, an account, and a clock
//! that stands still.

#![allow(dead_code, reason = "every test binary uses another part of it")]

use std::{sync::Arc, time::Duration};

use countersign::{
    app::{
        Asked,
        issue::{Authority, Ca, Profiles},
        publish::{PublishSettings, Publisher, addresses},
        renew::{Renewer, SigningFiles, Source},
        sign::{Ra, RaSettings},
    },
    audit::MemoryAudit,
    clock::{Clock, ManualClock},
    listener::tls::{ClientCertificate, Machine},
    signer::{
        Signer,
        file::{AwsVerify, FileSigner, KeySpec},
    },
    store::{Store, memory::Memory},
};
use countersign_core::{
    domain::{
        account::{Account, Authentication},
        id::{AccountId, CorrelationId},
        name::Site as Domain,
    },
    pki::{
        algorithm::KeyKind,
        cert::{common_name, natural_digest},
        cmc,
        csr::{CertificateRequest, LogonExtensions, PreparedRequest},
        dn::DistinguishedName,
        extension::Template,
        profile::{Kind, ProfileConfig, Span, TemplateConfig},
        request::{self, RequestPolicy},
    },
    time::UnixTime,
};
use der::asn1::ObjectIdentifier;

/// 2026-06-01T00:00:00Z.
pub(crate) const NOW: UnixTime = UnixTime(1_780_272_000);
/// The template of the request in [MS-OTPCE] §4.1.
pub(crate) const TEMPLATE: &str =
    "1.3.6.1.4.1.311.21.8.221803.1567394.12993454.3845153.13972217.75.15653661.6620273";
pub(crate) const UPN: &str = "user1@domain1.corp.company.com";
pub(crate) const SID: &str = "S-1-5-21-1004336348-1177238915-682003330-512";
pub(crate) const RA_HOST: &str = "ra.example.org";

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<Memory>,
    pub(crate) audit: Arc<MemoryAudit>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) ca: Arc<Ca>,
    pub(crate) ra: Arc<Ra>,
    pub(crate) renewer: Renewer,
}

impl Site {
    /// With a P-256 CA, and an RA that has its first signing certificate.
    pub(crate) async fn new() -> Self {
        Self::at(NOW).await
    }

    /// The same at another time, for TLS clients that go by the system's clock.
    pub(crate) async fn at(now: UnixTime) -> Self {
        Self::made(KeySpec::P256, KeySpec::P256, now).await
    }

    pub(crate) async fn with_keys(ca_key: KeySpec, ra_key: KeySpec) -> Self {
        Self::made(ca_key, ra_key, NOW).await
    }

    async fn made(ca_key: KeySpec, ra_key: KeySpec, now: UnixTime) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let (store, audit) = (Arc::new(Memory::new()), Arc::new(MemoryAudit::default()));
        store.insert_account(account(), Domain::default()).await.unwrap();
        let key = Arc::new(FileSigner::generate(ca_key).unwrap());
        let config = ProfileConfig::default();
        let name = common_name("Example CA");
        let authority = Arc::new(Authority::found(name, &config, key, now).unwrap());
        let settings = PublishSettings {
            file: directory.path().join("ca.crl"),
            validity: Span::days(1),
            keep_expired: Span::days(30),
            signing_validity: Span::days(2),
        };
        let publisher = Arc::new(Publisher::new(authority.clone(), store.clone(), settings));
        publisher.publish(now).await.unwrap();
        let template = Some(TemplateConfig { oid: TEMPLATE.into(), major: 100, minor: 5 });
        let logon = ProfileConfig { template, ..ProfileConfig::default() };
        let of = |kind| if kind == Kind::Logon { &logon } else { &config };
        let ca = Arc::new(Ca {
            authority,
            profiles: Profiles::new(of, &addresses("http://ca.example.org:8080/")).unwrap(),
            policy: policy(),
            store: store.clone(),
            publisher: publisher.clone(),
            verify: Arc::new(AwsVerify),
            audit: audit.clone(),
        });
        let ra = Arc::new(Ra::new(RaSettings::default(), audit.clone()));
        let renewer = Renewer {
            ra: ra.clone(),
            source: Source::Embedded(ca.clone()),
            host: RA_HOST.into(),
            key: ra_key,
            files: SigningFiles {
                certificate: directory.path().join("ra.pem"),
                key: directory.path().join("ra.key"),
            },
        };
        renewer.begin(now).await;
        Self { directory, clock, store, audit, publisher, ca, ra, renewer }
    }

    /// Changes what the store knows of the account.
    pub(crate) async fn change_account(&self, change: impl FnOnce(&mut Account)) {
        let before = self.store.accounts(None, 1).await.unwrap().remove(0);
        let mut account = account();
        change(&mut account);
        self.store.replace_account(before, account, Domain::default()).await.unwrap();
    }

    pub(crate) fn set_time(&self, now: UnixTime) {
        self.clock.set(now);
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked {
            peer: "test".into(),
            correlation: CorrelationId::from_bytes([7; 16]),
            at: self.clock.now(),
        }
    }

    /// The request as the RA signs it, for the account as it was set up.
    pub(crate) fn signed_request(&self, key: &FileSigner) -> Vec<u8> {
        self.signed(&logon_request(key, &Names::default()))
    }

    /// A PKCS#10 as the RA signs it.
    pub(crate) fn signed(&self, pkcs10: &[u8]) -> Vec<u8> {
        let read = CertificateRequest::read(pkcs10).unwrap();
        let checked = request::check(&read, &account(), &policy(), &AwsVerify).unwrap();
        let at = self.clock.now();
        self.ra.sign(&checked, CorrelationId::from_bytes([7; 16]), at).unwrap()
    }

    /// A PKCS#10 as the RA would sign it if it were careless.
    pub(crate) fn signed_carelessly(&self, pkcs10: &[u8]) -> Vec<u8> {
        let signing = self.ra.current().unwrap();
        let wrapping = cmc::Wrapping {
            digest: natural_digest(signing.key().kind()),
            placeholder: true,
            client_info: None,
            chain: &[],
        };
        let prepared = cmc::prepare_request(pkcs10, signing.certificate(), &wrapping).unwrap();
        let signature = signing.key().sign(prepared.digest(), prepared.to_be_signed()).unwrap();
        prepared.complete(&signature)
    }
}

/// The account of [MS-OTPCE] §4.1.
pub(crate) fn account() -> Account {
    Account {
        domain: Some("DOMAIN1".into()),
        realm: Some("domain1.corp.company.com".into()),
        upn: Some(UPN.into()),
        dn: Some("CN=User 1,CN=Users,DC=domain1,DC=corp,DC=company,DC=com".into()),
        sid: Some(SID.into()),
        authentication: Authentication::Upstream("otp".into()),
        ..Account::new(AccountId::from_bytes([1; 16]), "user1".into())
    }
}

pub(crate) fn policy() -> RequestPolicy {
    RequestPolicy {
        template_name: "DAOTPLogon".into(),
        template_oid: ObjectIdentifier::new_unwrap(TEMPLATE),
        allow_sha1: false,
        minimum_rsa_bits: 2048,
        key_kinds: vec![KeyKind::Rsa, KeyKind::P256, KeyKind::P384],
    }
}

/// What a request for a logon certificate says.
pub(crate) struct Names {
    pub(crate) subject: &'static str,
    pub(crate) upn: Option<&'static str>,
    pub(crate) template: Option<&'static str>,
}

impl Default for Names {
    fn default() -> Self {
        Self { subject: "", upn: Some(UPN), template: Some(TEMPLATE) }
    }
}

pub(crate) fn logon_request(key: &FileSigner, names: &Names) -> Vec<u8> {
    let extensions = LogonExtensions {
        upn: names.upn.map(str::to_owned),
        template: names.template.map(|oid| Template {
            oid: ObjectIdentifier::new_unwrap(oid),
            major: 100,
            minor: 5,
        }),
        template_name: None,
    };
    request_with(key, names.subject, &extensions.to_extensions().unwrap())
}

pub(crate) fn request_with(
    key: &FileSigner,
    subject: &str,
    extensions: &[x509_cert::ext::Extension],
) -> Vec<u8> {
    let subject: DistinguishedName = subject.parse().unwrap();
    let prepared = PreparedRequest::new(&subject, key.public_key(), extensions).unwrap();
    let digest = natural_digest(key.kind());
    let signature = key.sign(digest, prepared.to_be_signed()).unwrap();
    prepared.complete(digest, &signature)
}

/// A machine whose certificate TLS has found to be good.
pub(crate) fn machine(name: &str) -> ClientCertificate {
    ClientCertificate::Trusted(Arc::new(Machine {
        subject: format!("CN={name}"),
        serial: "01".into(),
        dns_names: vec![name.into()],
        der: Vec::new(),
    }))
}

/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
