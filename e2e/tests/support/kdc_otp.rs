//! A realm whose users log on with one-time passwords: MIT's KDC with its OTP plugin, and
//! `kinit` through a FAST tunnel that anonymous PKINIT opens.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    countersign::{REALM, Site},
    kdc::{Kdc, KdcSetup, Pkinit, Realm, cache_name, kdc_conf, krb5_conf},
    openssl::Identity,
    ports,
    process::{Ran, Service, run},
};

/// Such a realm with its running KDC.
pub struct OtpRealm {
    kdc: Kdc,
    /// A second KDC on the same database, if there is one.
    second: Option<Service>,
    types: String,
    identity: Identity,
    anchor: PathBuf,
    client: PathBuf,
    armor: PathBuf,
    caches: AtomicU32,
}

/// How a logon ended, and the tickets that it gave.
#[derive(Debug)]
pub struct Logon {
    pub ran: Ran,
    cache: PathBuf,
}

impl OtpRealm {
    /// Makes one with these token types, the content of the `[otp]` section.
    #[track_caller]
    pub fn new(site: &Site, types: &str) -> Self {
        Self::with_options(site, types, &[])
    }

    /// The same with options for `krb5kdc`.
    #[track_caller]
    pub fn with_options(site: &Site, types: &str, options: &[&str]) -> Self {
        let directory = site.file("realm");
        let identity = site.issue("kdc", "kdc.corp.example");
        let anchor = site.ca_certificate();
        let types = format!("[otp]\n{types}");
        let realm = Realm::create(&directory, &setup(&identity, &anchor, &types));
        realm.admin(&["addprinc", "-randkey", "WELLKNOWN/ANONYMOUS"]);
        let client = realm.write("client.conf", &krb5_conf(REALM, &[realm.port], &[&anchor]));
        let kdc = start(realm, options);
        let armor = directory.join("armor");
        let caches = AtomicU32::new(0);
        let realm = Self { kdc, second: None, types, identity, anchor, client, armor, caches };
        run(realm.client("kinit").args(["-n", "-c", &cache_name(&realm.armor)]), b"").succeeded();
        realm
    }

    /// Adds a principal without a key, with an `otp` user string.
    #[track_caller]
    pub fn add(&self, principal: &str, otp: &str) {
        self.kdc.realm.add(principal, otp);
    }

    /// Adds a service that wants an authentication indicator in the ticket.
    #[track_caller]
    pub fn add_service(&self, principal: &str, indicator: &str) {
        self.admin(&["addprinc", "-randkey", principal]);
        self.admin(&["setstr", principal, "require_auth", indicator]);
    }

    /// Runs a command of `kadmin.local`.
    #[track_caller]
    pub fn admin(&self, arguments: &[&str]) {
        self.kdc.realm.admin(arguments);
    }

    /// Logs on with an OTP, as a user does who has the armour.
    pub fn kinit(&self, principal: &str, otp: &str) -> Logon {
        let number = self.caches.fetch_add(1, Ordering::Relaxed);
        let cache = self.armor.with_extension(number.to_string());
        let mut command = self.client("kinit");
        command.args(["-T", &cache_name(&self.armor), "-c", &cache_name(&cache), principal]);
        Logon { ran: run(&mut command, format!("{otp}\n").as_bytes()), cache }
    }

    /// Whether such a logon succeeds.
    pub fn lets_in(&self, principal: &str, otp: &str) -> bool {
        self.kinit(principal, otp).ran.status.success()
    }

    /// Asks for a ticket for a service.
    pub fn kvno(&self, logon: &Logon, service: &str) -> Ran {
        let mut command = self.client("kvno");
        run(command.env("KRB5CCNAME", cache_name(&logon.cache)).arg(service), b"")
    }

    /// The KDC's log, which says why somebody was refused.
    pub fn log(&self) -> String {
        self.kdc.log()
    }

    /// Stops the KDC and starts it anew.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kdc.terminate();
        self.kdc = start(self.kdc.realm.clone(), &[]);
    }

    /// Starts a second KDC, which clients ask when the first has not answered for a second.
    #[track_caller]
    pub fn add_second_kdc(&mut self) {
        let Realm { directory, port, .. } = &self.kdc.realm;
        let second = Realm { port: ports::free(), ..self.kdc.realm.clone() };
        let setup = setup(&self.identity, &self.anchor, &self.types);
        let config = second.write("second.conf", &kdc_conf(directory, second.port, &setup));
        let content = krb5_conf(REALM, &[*port, second.port], &[&self.anchor]);
        self.client = second.write("client-of-two.conf", &content);
        let mut command = second.command("krb5kdc");
        command.arg("-n").env("KRB5_KDC_PROFILE", config);
        let log = directory.join("second.log");
        self.second = Some(second.start(&mut command, &log));
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", &self.client).env_remove("KRB5CCNAME");
        command
    }
}

/// Worker processes outlive a KDC that is killed on the spot.
impl Drop for OtpRealm {
    fn drop(&mut self) {
        self.kdc.terminate();
    }
}

impl Logon {
    /// Checks that it succeeded.
    #[track_caller]
    pub fn succeeded(self, realm: &OtpRealm) -> Self {
        assert!(self.ran.status.success(), "{}\n{}", self.ran, realm.log());
        self
    }

    /// Checks that the KDC refused it in the words that users see.
    #[track_caller]
    pub fn refused(self, words: &str) {
        assert!(self.ran.clone().failed().contains(words), "{words}:\n{}", self.ran);
    }
}

/// A site whose daemon is the companion of a KDC, on the socket [`socket`].
#[track_caller]
pub fn site() -> Site {
    let site = Site::new();
    site.configure_with(&format!(
        "radius.client.kdc = {{ socket = {:?}, kdc = true }}",
        socket(&site)
    ));
    site
}

/// Where a KDC reaches the daemon of such a site.
pub fn socket(site: &Site) -> PathBuf {
    site.file("otp.sock")
}

/// A token type for `kdc.conf`: a socket or `host:port`, and further settings.
pub fn token_type(name: &str, server: impl std::fmt::Display, settings: &[&str]) -> String {
    let settings: String = settings.iter().map(|setting| format!("    {setting}\n")).collect();
    format!("  {name} = {{\n    server = {server}\n{settings}  }}\n")
}

fn setup<'a>(identity: &'a Identity, anchor: &'a Path, types: &'a str) -> KdcSetup<'a> {
    let pkinit = Some(Pkinit { identity, anchor, revocation: None });
    KdcSetup { realm: REALM, pkinit, sections: types, ..KdcSetup::default() }
}

#[track_caller]
fn start(realm: Realm, options: &[&str]) -> Kdc {
    let mut command = realm.command("krb5kdc");
    realm.serve(command.arg("-n").args(options))
}
