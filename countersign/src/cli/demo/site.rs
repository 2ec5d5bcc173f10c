//! The site of the demo: its directory, its daemon, its people, its machine.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use countersign_core::{
    oath::{
        hotp::{Algorithm, Digits, hotp},
        totp::time_step,
    },
    pki::{cert::Certificate, extension::Template},
    secret::Secret,
};
use data_encoding::BASE32_NOPAD;
use der::asn1::ObjectIdentifier;

use super::{Story, kerberos};
use crate::{
    app::{
        admin::{
            AccountFields, AdminReply, AdminRequest, ClearText, NewKind, NewPerson, NewSecret,
            NewToken, Setting,
        },
        login::{Login, LoginError, Logon, Step},
    },
    certificate,
    cli::{
        Context,
        ca::{Issue, ProfileName},
        control::administer,
        login::describe,
    },
    client::{
        http::{HttpsClient, Identity, Patience},
        radius::{Reply, Upstream},
    },
    clock::{Clock, SystemClock},
    config::{
        Config,
        file::TEMPLATE_OID,
        template::Filling,
        upstream::{ServerSettings, UpstreamSettings, UserNameFormat},
    },
    init::{Plan, init},
    listener::inherited::Inherited,
    log,
    run::{self, Daemon},
    signer::file::{FileSigner, KeySpec},
    vault,
};

/// A state directory with Alice, Bob, a machine and a KDC's certificate.
pub(super) struct Site {
    /// The state directory.
    pub(super) directory: PathBuf,
    ports: Ports,
    secret: Secret<Vec<u8>>,
    step: u64,
}

struct Ports {
    radius: u16,
    otpce: u16,
    est: u16,
    http: u16,
}

impl Site {
    /// Makes the directory and everything in it.
    pub(super) async fn make(directory: &Path, story: &mut Story) -> anyhow::Result<Self> {
        story.chapter("A site, made as `countersign init` makes one")?;
        let ports = Ports::free()?;
        let made = init(&plan(directory, &ports), &SystemClock).await?;
        for file in made.files {
            story.line(&format!("  {:24} {}", file.name, file.meaning))?;
        }
        let secret = Secret::new(vault::random_octets::<20>().to_vec());
        let step = time_step(SystemClock.now().0, PERIOD);
        let site = Self { directory: directory.to_owned(), ports, secret, step };
        site.add_people(story).await?;
        site.issue(ProfileName::Machine, "client1.example.com").await?;
        site.issue(ProfileName::Kdc, "kdc.example.com").await?;
        Ok(site)
    }

    /// Starts the daemon in this process.
    pub(super) async fn serve(&self, story: &mut Story) -> anyhow::Result<Daemon> {
        let config = Config::load(&self.config())?;
        log::start(&config.log);
        let daemon = run::start(config, Inherited::default()).await?;
        let Ports { radius, otpce, est, http } = self.ports;
        story.chapter("The daemon, as `countersign serve` runs it")?;
        story.line(&format!("  RADIUS   127.0.0.1:{radius}, UDP"))?;
        story.line(&format!("  MS-OTPCE https://localhost:{otpce}/otpce, mutual TLS"))?;
        story.line(&format!("  EST      https://localhost:{est}/.well-known/est"))?;
        story.line(&format!("  HTTP     http://localhost:{http}/ca.crl, /ca.cer, /healthz"))?;
        Ok(daemon)
    }

    /// The one-time password of the token `ahead` time steps after the demo began. The window
    /// of the validator takes it as long as the demo does not take longer than a time step.
    pub(super) fn otp(&self, ahead: u64) -> Secret<String> {
        let otp = hotp(Algorithm::Sha1, self.secret.expose(), self.step + ahead, Digits::SIX);
        Secret::new(String::from_utf8_lossy(otp.as_bytes()).into_owned())
    }

    /// Six digits that the token does not show anywhere near now.
    pub(super) fn wrong_otp(&self) -> Secret<String> {
        let near = |digits: &str| {
            let steps = self.step.saturating_sub(30)..self.step + 30;
            steps.into_iter().any(|factor| {
                hotp(Algorithm::Sha1, self.secret.expose(), factor, Digits::SIX)
                    .matches(digits.as_bytes())
            })
        };
        let wrong = (0..1_000_000_u32).map(|number| format!("{number:06}"));
        let wrong = wrong.into_iter().find(|digits| !near(digits));
        Secret::new(wrong.expect("sixty of a million numbers are near"))
    }

    /// A login that may fail.
    pub(super) async fn login(
        &self,
        user: &str,
        upn: &str,
        otp: &Secret<String>,
        story: &mut Story,
    ) -> anyhow::Result<Result<Logon, LoginError>> {
        let login = Login {
            servers: vec![format!("https://localhost:{}/otpce", self.ports.otpce).parse()?],
            est: Vec::new(),
            username: format!("EXAMPLE\\{user}"),
            upn: Some(upn.to_owned()),
            dn: None,
            template: Template {
                oid: ObjectIdentifier::new_unwrap(TEMPLATE_OID),
                major: 100,
                minor: 0,
            },
            key: KeySpec::P256,
            anchors: Vec::new(),
        };
        let steps = Mutex::new(Vec::new());
        let watch = |step: &Step| {
            if let Ok(mut steps) = steps.lock() {
                steps.push(describe(step));
            }
        };
        let result = login.run(&self.client()?, otp, &SystemClock, &watch).await;
        for step in steps.into_inner().unwrap_or_default() {
            story.line(&step)?;
        }
        Ok(result)
    }

    /// A login that must fail; how it did.
    pub(super) async fn refused(
        &self,
        user: &str,
        upn: &str,
        otp: &Secret<String>,
        story: &mut Story,
    ) -> anyhow::Result<LoginError> {
        match self.login(user, upn, otp, story).await? {
            Ok(logon) => bail!(
                "certificate {} was issued where none must be",
                logon.certificate.serial().to_hex()
            ),
            Err(error) => Ok(error),
        }
    }

    /// The RADIUS listener's word about a one-time password.
    pub(super) async fn ask_radius(
        &self,
        user: &str,
        otp: &Secret<String>,
    ) -> anyhow::Result<Reply> {
        let secret = std::fs::read(self.directory.join("radius/localhost.secret"))?;
        let secret = Secret::new(secret.trim_ascii_end().to_vec());
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.radius)).into();
        let upstream = Upstream::new(UpstreamSettings {
            name: "demo".into(),
            servers: vec![ServerSettings { address, secret }],
            timeout: Duration::from_secs(3),
            tries: 2,
            dead_time: Duration::from_secs(1),
            user_name: UserNameFormat::AsGiven,
            nas_identifier: "countersign-demo".into(),
            require_message_authenticator: true,
            accounting_port: None,
            tls: None,
            probe: None,
        })?;
        let passcode = Secret::new(otp.expose().as_bytes().to_vec());
        Ok(upstream.ask_by_name(user, &passcode).await)
    }

    /// A KDC that trusts the demo's CA.
    pub(super) async fn start_kdc(&self) -> anyhow::Result<kerberos::Kdc> {
        let (clients, anchor) = (self.clients(), self.directory.join("ca/ca.pem"));
        let realm = kerberos::Realm {
            directory: &self.directory.join("kdc"),
            name: "EXAMPLE.COM",
            principals: &["alice"],
            anchor: &anchor,
            certificate: &clients.join("kdc.example.com.pem"),
            key: &clients.join("kdc.example.com.key"),
        };
        kerberos::Kdc::start(&realm).await
    }

    /// How to go on in a kept directory.
    pub(super) fn commands(&self) -> Vec<String> {
        let (config, directory) = (self.config(), self.directory.display());
        let config = config.display();
        vec![
            format!("countersign --config {config} check"),
            format!("countersign --config {config} serve"),
            format!("countersign --config {config} account show alice"),
            format!("countersign --config {config} token add bob --type totp --show-uri"),
            format!(
                "countersign login bob --server https://localhost:{}/otpce --trust {directory}/ca/ca.pem \
                 --certificate {directory}/clients/client1.example.com.pem \
                 --key {directory}/clients/client1.example.com.key --verbose",
                self.ports.otpce
            ),
        ]
    }

    fn config(&self) -> PathBuf {
        self.directory.join("countersign.toml")
    }

    fn clients(&self) -> PathBuf {
        self.directory.join("clients")
    }

    fn context(&self) -> Context {
        Context { config: Some(self.config()), json: false }
    }

    async fn add_people(&self, story: &mut Story) -> anyhow::Result<()> {
        for (name, person, rid) in [("alice", "Alice Example", 1104), ("bob", "Bob Example", 1105)]
        {
            let sid = Some(Setting::To(format!("S-1-5-21-1004336348-1177238915-682003330-{rid}")));
            let fields = AccountFields { sid, ..AccountFields::default() };
            let person = Some(NewPerson { name: person.into(), mail: None });
            let request = AdminRequest::AccountAdd { name: name.into(), person, fields };
            administer(&self.context(), request).await?;
            story
                .line(&format!("  account {name:8}         EXAMPLE\\{name}, {name}@example.com"))?;
        }
        let secret = BASE32_NOPAD.encode(self.secret.expose());
        let kind = NewKind::Totp {
            algorithm: Algorithm::Sha1,
            digits: Digits::SIX,
            period: PERIOD,
            secret: NewSecret::Base32(ClearText(Secret::new(secret))),
        };
        let token = NewToken {
            label: Some("Alice's phone".into()),
            accounts: vec!["alice".into()],
            kind,
            pin: None,
            indicators: Vec::new(),
            not_before: None,
            not_after: None,
        };
        let reply = administer(&self.context(), AdminRequest::TokenAdd(token)).await?;
        ensure!(matches!(reply, AdminReply::TokenAdded { .. }), "the token was not added");
        story.line("  token Alice's phone      TOTP, SHA-1, 6 digits, 30 s, for alice")
    }

    async fn issue(&self, profile: ProfileName, host: &str) -> anyhow::Result<()> {
        let issue = Issue {
            profile,
            name: host.into(),
            out: self.clients(),
            dns: Vec::new(),
            ip: Vec::new(),
            realm: None,
            key_type: KeySpec::P256,
        };
        issue.issue(&self.context()).await.map(drop)
    }

    /// The CA of everything in the demo.
    pub(super) fn anchors(&self) -> anyhow::Result<Vec<Certificate>> {
        Ok(certificate::load(&self.directory.join("ca/ca.pem"))?)
    }

    fn client(&self) -> anyhow::Result<HttpsClient> {
        let stem = self.clients().join("client1.example.com");
        let file = |extension: &str| PathBuf::from(format!("{}.{extension}", stem.display()));
        let identity = Identity {
            chain: certificate::load(&file("pem"))?,
            key: FileSigner::load(&file("key"))?.pkcs8()?,
        };
        let anchors = self.anchors()?;
        let second = Duration::from_secs;
        let patience = Patience { connect: second(5), answer: second(30) };
        HttpsClient::new(&anchors, Some(&identity), patience).context("the client of the demo")
    }
}

impl Ports {
    /// Ports that are free now. Another program may take one before the daemon does; then the
    /// daemon says so.
    fn free() -> anyhow::Result<Self> {
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        let [otpce, est, http] = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let (otpce, est, http) = (otpce?, est?, http?);
        Ok(Self {
            radius: udp.local_addr()?.port(),
            otpce: otpce.local_addr()?.port(),
            est: est.local_addr()?.port(),
            http: http.local_addr()?.port(),
        })
    }
}

fn plan(directory: &Path, ports: &Ports) -> Plan {
    Plan {
        directory: directory.to_owned(),
        key_spec: KeySpec::P256,
        filling: Filling {
            domain: "EXAMPLE".into(),
            realm: "example.com".into(),
            host: "localhost".into(),
            ca_name: "Countersign Demo CA".into(),
            listen: std::net::Ipv4Addr::LOCALHOST.into(),
            radius_port: ports.radius,
            otpce_port: ports.otpce,
            est_port: ports.est,
            http_port: ports.http,
            key_type: KeySpec::P256.to_string(),
        },
    }
}

/// Seconds of a time step.
const PERIOD: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");
