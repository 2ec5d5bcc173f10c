//! OpenLDAP's slapd in a directory of the test, as a process of the test: config in cn=config
//! form, an mdb database with [`directory::base`], access rules as OATH-LDAP has them.
//!
//! ldapi with SASL EXTERNAL is the validator, whoever runs the test. The administrator of
//! the database is [`ADMIN`], that of cn=config [`CONFIG_ADMIN`]. What a slapd consists of
//! stands in `config` and `access`, several that replicate in `replicas`, what may answer in
//! the place of Countersign in `responder`.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    directory::{self, Entry},
    ldap::{As, Ldap},
    openssl::{Authority, Identity},
    ports,
    process::{Service, run},
};

pub mod access;
pub mod config;
pub mod replicas;
pub mod responder;

/// What a slapd is made of, beside its entries.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The socket that overlay sock asks at binds and compares of accounts and tokens.
    pub socket: Option<PathBuf>,
    /// The pattern of DNs that go there, in the place of [`config::DN_PATTERN`].
    pub dn_pattern: Option<String>,
    /// Overlay ppolicy above overlay sock, with this entry as its default policy.
    pub password_policy: Option<Entry>,
    /// slapo-otp, which brings the schema itself.
    pub otp: bool,
    /// No OATH-LDAP schema, as before somebody adds it.
    pub plain: bool,
    /// Certificate, and the CA whose client certificates are taken.
    pub tls: Option<(Identity, PathBuf)>,
    /// Access rules in the place of the usual ones.
    pub access: Option<Vec<String>>,
    /// How it replicates.
    pub role: Role,
    /// Whether a write is on disk before it is confirmed.
    pub durable: bool,
    /// Whether nothing is logged, for measurements.
    pub quiet: bool,
    /// Worker threads, if not 16.
    pub threads: Option<u32>,
    /// Lines for the config of the database.
    pub database: Vec<String>,
    /// Modules with whatever has to be loaded besides.
    pub modules: Vec<String>,
}

/// How a slapd replicates.
#[derive(Debug, Clone, Default)]
pub enum Role {
    #[default]
    Alone,
    /// One of several that take changes; the URLs of the others.
    Provider { id: u32, others: Vec<String> },
    /// Takes what providers give it, and no changes of others.
    Consumer { of: Vec<String> },
}

/// A slapd that runs, with its files.
#[derive(Debug)]
pub struct Slapd {
    pub directory: PathBuf,
    pub port: u16,
    /// The port for TLS from the first octet; nobody listens without a certificate.
    pub tls_port: u16,
    quiet: bool,
    trust: Option<PathBuf>,
    service: Option<Service>,
}

impl Slapd {
    /// Makes one with [`directory::base`] and the entries of users, and starts it.
    #[track_caller]
    pub fn start(directory: &Path, setup: &Setup, entries: &[Entry]) -> Self {
        Self::start_at(directory, ports::free(), setup, entries)
    }

    /// The same on a port that was known before.
    #[track_caller]
    pub fn start_at(directory: &Path, port: u16, setup: &Setup, entries: &[Entry]) -> Self {
        let mut all = directory::base();
        if setup.plain {
            all.retain(|entry| !entry.dn.ends_with(directory::TOKENS));
        }
        all.extend(setup.password_policy.clone());
        all.extend(entries.iter().cloned());
        Self::start_with(directory, port, setup, &all)
    }

    /// The same without any entry, for one that gets them from others.
    #[track_caller]
    pub fn start_empty_at(directory: &Path, port: u16, setup: &Setup) -> Self {
        Self::start_with(directory, port, setup, &[])
    }

    #[track_caller]
    fn start_with(directory: &Path, port: u16, setup: &Setup, entries: &[Entry]) -> Self {
        let mut slapd = Self {
            directory: directory.into(),
            port,
            tls_port: ports::free(),
            quiet: setup.quiet,
            trust: setup.tls.as_ref().map(|(_, trust)| trust.clone()),
            service: None,
        };
        slapd.create(setup, entries);
        slapd.run();
        slapd
    }

    fn create(&self, setup: &Setup, entries: &[Entry]) {
        for name in ["config", "data"] {
            fs::create_dir_all(self.path(name)).expect("a directory");
        }
        self.load(0, "config.ldif", &config::ldif(self, setup));
        if !entries.is_empty() {
            self.load(1, "data.ldif", &directory::ldif(entries));
        }
    }

    /// `slapadd` into a database; `-q`, for the files are new.
    fn load(&self, database: u32, name: &str, ldif: &str) {
        let file = self.path(name);
        fs::write(&file, ldif).expect("a file");
        let mut command = Command::new("/usr/sbin/slapadd");
        command.arg("-q").arg("-F").arg(self.path("config"));
        command.args(["-n", &database.to_string(), "-l"]).arg(file);
        run(&mut command, b"").succeeded();
    }

    /// Starts it, after [`Self::stop`] or [`Self::kill`].
    #[track_caller]
    pub fn run(&mut self) {
        let mut urls = format!("ldap://127.0.0.1:{} {}", self.port, self.ldapi_url());
        if self.trust.is_some() {
            urls += &format!(" ldaps://127.0.0.1:{}", self.tls_port);
        }
        let mut command = Command::new("/usr/sbin/slapd");
        command.arg("-F").arg(self.path("config")).args(["-h", &urls]);
        command.args(["-d", if self.quiet { "0" } else { "stats,sync" }]);
        let mut service = Service::start("slapd", &mut command, &self.path("slapd.log"));
        let socket = self.ldapi_socket();
        let port = self.port;
        service.wait_until("it answers", || {
            UnixStream::connect(&socket).is_ok()
                && Ldap::new(format!("ldap://127.0.0.1:{port}")).whoami(As::Anonymous).code == 0
        });
        self.service = Some(service);
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    #[track_caller]
    pub fn stop(&mut self) {
        let service = self.service.take().expect("it runs");
        assert!(service.stop().success(), "slapd ends with an error");
    }

    /// Kills it on the spot (SIGKILL).
    #[track_caller]
    pub fn kill(&mut self) {
        self.service.take().expect("it runs").kill();
    }

    /// Stops and starts it.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("slapd.log")).unwrap_or_default()
    }

    /// Asks over loopback.
    pub fn ldap(&self) -> Ldap {
        Ldap::new(format!("ldap://127.0.0.1:{}", self.port))
    }

    /// Asks over the UNIX socket.
    pub fn ldapi(&self) -> Ldap {
        Ldap::new(self.ldapi_url())
    }

    /// Asks over TLS.
    pub fn ldaps(&self) -> Ldap {
        Ldap { trust: self.trust.clone(), ..Ldap::new(self.ldaps_url()) }
    }

    /// The URL of the UNIX socket.
    pub fn ldapi_url(&self) -> String {
        format!("ldapi://{}", self.ldapi_socket().display().to_string().replace('/', "%2F"))
    }

    /// The URL over TLS. OpenLDAP takes `localhost` for this machine's real name.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls_port)
    }

    /// The UNIX socket.
    pub fn ldapi_socket(&self) -> PathBuf {
        self.path("ldapi")
    }

    /// A file beside its databases.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Changes entries as their administrator.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let said = self.ldapi().modify(As::Simple(ADMIN, ADMIN_PASSWORD), ldif);
        assert_eq!(said.code, 0, "{}\n{ldif}", said.text);
    }

    /// Replaces the values of an attribute, or removes it.
    #[track_caller]
    pub fn set(&self, dn: &str, attribute: &str, values: &[&str]) {
        let values: String = values.iter().map(|value| format!("{attribute}: {value}\n")).collect();
        self.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{values}"));
    }

    /// Adds entries as their administrator.
    #[track_caller]
    pub fn add(&self, entries: &[Entry]) {
        let ldif = directory::ldif(entries);
        let said = self.ldapi().add(As::Simple(ADMIN, ADMIN_PASSWORD), &ldif);
        assert_eq!(said.code, 0, "{}\n{ldif}", said.text);
    }

    /// The values of an attribute, as the administrator sees them.
    #[track_caller]
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        self.ldapi().values(As::Simple(ADMIN, ADMIN_PASSWORD), dn, attribute)
    }

    /// The one value of an attribute that is a number, if there is one.
    #[track_caller]
    pub fn number(&self, dn: &str, attribute: &str) -> Option<i64> {
        let values = self.values(dn, attribute);
        values.first().map(|value| value.parse().expect("a number"))
    }

    /// Changes the config.
    #[track_caller]
    pub fn configure(&self, ldif: &str) {
        let said = self.ldapi().modify(As::Simple(CONFIG_ADMIN, ADMIN_PASSWORD), ldif);
        assert_eq!(said.code, 0, "{}\n{ldif}", said.text);
    }
}

/// A certificate for `localhost` and the CA that issued it.
#[track_caller]
pub fn tls(directory: &Path) -> (Identity, PathBuf) {
    fs::create_dir_all(directory).expect("a directory");
    let authority = Authority::new(directory, "ldap-ca");
    (authority.issue("server", "localhost", "EXAMPLE"), authority.certificate())
}

/// The administrator of the entries.
pub const ADMIN: &str = "cn=admin,dc=example,dc=test";
/// The administrator of the config.
pub const CONFIG_ADMIN: &str = "cn=admin,cn=config";
/// The password of both.
pub const ADMIN_PASSWORD: &str = "admin-pw";
