//! MIT Kerberos: a realm in a directory with its KDC, with or without PKINIT; `kinit` and `klist`.
//! What tests of one kind need besides is in `kdc_otp` and `kdc_check`.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    clock::with_clock,
    openssl::Identity,
    ports,
    process::{Ran, Service, run},
};

/// A running KDC.
#[derive(Debug)]
pub struct Kdc {
    pub realm: Realm,
    service: Service,
}

/// A realm: config and database, in a directory.
#[derive(Debug, Clone)]
pub struct Realm {
    pub directory: PathBuf,
    pub name: String,
    /// Where its KDC listens.
    pub port: u16,
}

/// What a KDC is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct KdcSetup<'a> {
    pub realm: &'a str,
    /// What it knows of certificates; without it, nobody logs on with one.
    pub pkinit: Option<Pkinit<'a>>,
    /// How far its clock is ahead of ours, as libfaketime writes it: `+2h`.
    pub ahead: Option<&'a str>,
    /// Further sections of `kdc.conf`.
    pub sections: &'a str,
}

/// The certificates of a KDC.
#[derive(Debug, Clone, Copy)]
pub struct Pkinit<'a> {
    /// The KDC's own.
    pub identity: &'a Identity,
    /// Who may vouch for users.
    pub anchor: &'a Path,
    /// A revocation list in PEM; without a valid one nobody is let in.
    pub revocation: Option<&'a Path>,
}

impl Realm {
    /// Makes a realm with an empty database.
    #[track_caller]
    pub fn create(directory: &Path, setup: &KdcSetup<'_>) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let (directory, name) = (directory.to_owned(), setup.realm.to_owned());
        let realm = Self { directory, name, port: ports::free() };
        realm.configure(setup);
        // The database tools want a krb5.conf as well.
        let anchor = setup.pkinit.map(|pkinit| pkinit.anchor);
        realm.write("krb5.conf", &krb5_conf(&realm.name, &[realm.port], anchor.as_slice()));
        let mut create = realm.command("kdb5_util");
        create.args(["create", "-s", "-P", "master", "-r", &realm.name]);
        run(&mut create, b"").succeeded();
        realm
    }

    /// Writes `kdc.conf`, also another one than before; a KDC that runs does not see it.
    #[track_caller]
    pub fn configure(&self, setup: &KdcSetup<'_>) {
        self.write("kdc.conf", &kdc_conf(&self.directory, self.port, setup));
    }

    /// A program that reads the files of this realm.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        command.env("KRB5_KDC_PROFILE", self.path("kdc.conf"));
        command.env("KRB5RCACHENAME", format!("dfl:{}", self.path("rcache").display()));
        command
    }

    /// Runs a command of `kadmin.local`, whose own language would eat quotation marks.
    #[track_caller]
    pub fn admin(&self, arguments: &[&str]) -> String {
        run(self.command("kadmin.local").args(arguments), b"").succeeded()
    }

    /// Adds a principal without a key, so that its password does not help.
    #[track_caller]
    pub fn add_keyless(&self, principal: &str) {
        self.admin(&["addprinc", "-nokey", "+requires_preauth", principal]);
    }

    /// Adds such a principal with an `otp` user string.
    #[track_caller]
    pub fn add(&self, principal: &str, otp: &str) {
        self.add_keyless(principal);
        self.admin(&["setstr", principal, "otp", otp]);
    }

    /// Starts the KDC and waits until it answers.
    #[track_caller]
    pub fn serve(self, command: &mut Command) -> Kdc {
        let service = self.start(command, &self.path("log"));
        Kdc { realm: self, service }
    }

    /// The same, as a process alone.
    #[track_caller]
    pub fn start(&self, command: &mut Command, log: &Path) -> Service {
        let mut service = Service::start("krb5kdc", command, log);
        service.wait_until("it answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        service
    }

    /// A file beside the database.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes such a file.
    #[track_caller]
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, content).expect("a file");
        file
    }
}

impl Kdc {
    /// Makes a realm with principals that have no key, so that only a certificate helps, and
    /// starts its KDC.
    #[track_caller]
    pub fn start(directory: &Path, setup: &KdcSetup<'_>, users: &[&str]) -> Self {
        let realm = Realm::create(directory, setup);
        for user in users {
            realm.add_keyless(user);
        }
        let mut command = realm.command("krb5kdc");
        command.arg("-n");
        if let Some(ahead) = setup.ahead {
            with_clock(&mut command, ahead);
        }
        realm.serve(&mut command)
    }

    /// Its log, which says why somebody was refused.
    pub fn log(&self) -> String {
        self.service.log()
    }

    /// Asks it to stop and waits for its end.
    pub fn terminate(&mut self) {
        self.service.terminate();
    }

    /// A `krb5.conf` for users who trust these CAs.
    pub fn client_config(&self, anchors: &[&Path]) -> PathBuf {
        let Realm { name, port, .. } = &self.realm;
        let content = krb5_conf(name, &[*port], anchors);
        self.realm.write(&format!("client-{}.conf", anchors.len()), &content)
    }
}

/// Asks for a ticket with a certificate.
pub fn kinit(config: &Path, cache: &Path, user: &str, identity: &Identity) -> Ran {
    let Identity { certificate, key } = identity;
    let identity = format!("FILE:{},{}", certificate.display(), key.display());
    let mut command = Command::new("kinit");
    command.args(["-X", &format!("X509_user_identity={identity}"), user]);
    run(command.env("KRB5_CONFIG", config).env("KRB5CCNAME", cache_name(cache)), b"")
}

/// The tickets in a credential cache.
pub fn klist(config: &Path, cache: &Path) -> Ran {
    let mut command = Command::new("klist");
    run(command.env("KRB5_CONFIG", config).env("KRB5CCNAME", cache_name(cache)), b"")
}

/// A credential cache as an argument of Kerberos' programs.
pub fn cache_name(cache: &Path) -> String {
    format!("FILE:{}", cache.display())
}

/// The clocks may differ by a day, so that nothing but the certificate's own validity decides
/// when the KDC lives in the future.
pub fn krb5_conf(realm: &str, ports: &[u16], anchors: &[&Path]) -> String {
    let kdcs = ports.iter().map(|port| format!("    kdc = 127.0.0.1:{port}\n"));
    let anchors =
        anchors.iter().map(|file| format!("    pkinit_anchors = FILE:{}\n", file.display()));
    let lines: String = kdcs.chain(anchors).collect();
    format!(
        "\
[libdefaults]
  default_realm = {realm}
  clockskew = 86400
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  {realm} = {{
{lines}  }}
"
    )
}

/// The config of a KDC on a port.
pub fn kdc_conf(directory: &Path, port: u16, setup: &KdcSetup<'_>) -> String {
    let KdcSetup { realm, pkinit, sections, .. } = setup;
    let (directory, pkinit) = (directory.display(), pkinit.map(pkinit_conf).unwrap_or_default());
    format!(
        "\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
  restrict_anonymous_to_tgt = true
[realms]
  {realm} = {{
    database_name = {directory}/principal
    key_stash_file = {directory}/stash
    acl_file = {directory}/acl
    max_life = 10h
{pkinit}  }}
{sections}[logging]
  kdc = STDERR
"
    )
}

fn pkinit_conf(Pkinit { identity, anchor, revocation }: Pkinit<'_>) -> String {
    let Identity { certificate, key } = identity;
    let revocation = revocation.map(|file| {
        let file = file.display();
        format!("    pkinit_revoke = FILE:{file}\n    pkinit_require_crl_checking = true\n")
    });
    let (certificate, key, anchor) = (certificate.display(), key.display(), anchor.display());
    format!(
        "    pkinit_identity = FILE:{certificate},{key}
    pkinit_anchors = FILE:{anchor}
    pkinit_eku_checking = scLogin
{}",
        revocation.unwrap_or_default()
    )
}
