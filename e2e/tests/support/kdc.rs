//! MIT Kerberos: a KDC with PKINIT in a temporary directory, `kinit` and `klist`.

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
    directory: PathBuf,
    realm: String,
    port: u16,
    service: Service,
}

/// What a KDC is made of.
#[derive(Debug)]
pub struct KdcSetup<'a> {
    pub realm: &'a str,
    /// The KDC's own certificate.
    pub identity: &'a Identity,
    /// Who may vouch for users.
    pub anchor: &'a Path,
    /// A revocation list in PEM; without a valid one nobody is let in.
    pub revocation: Option<&'a Path>,
    /// How far its clock is ahead of ours, as libfaketime writes it: `+2h`.
    pub ahead: Option<&'a str>,
}

impl Kdc {
    /// Makes a realm with principals that have no key, so that only a certificate helps, and
    /// starts its KDC.
    #[track_caller]
    pub fn start(directory: &Path, setup: &KdcSetup<'_>, users: &[&str]) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let port = ports::free();
        let (directory, realm) = (directory.to_owned(), setup.realm.to_owned());
        fs::write(directory.join("kdc.conf"), kdc_conf(&directory, port, setup)).expect("a file");
        // The database tools want a krb5.conf as well.
        fs::write(directory.join("krb5.conf"), krb5_conf(&realm, port, &[setup.anchor]))
            .expect("a file");
        let tool = |program: &str| {
            let mut command = Command::new(program);
            command.env("KRB5_CONFIG", directory.join("krb5.conf"));
            command.env("KRB5_KDC_PROFILE", directory.join("kdc.conf"));
            command
        };
        let mut create = tool("kdb5_util");
        run(create.args(["create", "-s", "-P", "master", "-r", &realm]), b"").succeeded();
        for user in users {
            let query = format!("addprinc -nokey +requires_preauth {user}");
            run(tool("kadmin.local").args(["-q", &query]), b"").succeeded();
        }
        let mut command = tool("krb5kdc");
        command.arg("-n");
        if let Some(ahead) = setup.ahead {
            with_clock(&mut command, ahead);
        }
        let log = directory.join("log");
        let mut service = Service::start("krb5kdc", &mut command, &log);
        service.wait_until("it answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { directory, realm, port, service }
    }

    /// Its log, which says why somebody was refused.
    pub fn log(&self) -> String {
        self.service.log()
    }

    /// A `krb5.conf` for users who trust these CAs.
    pub fn client_config(&self, anchors: &[&Path]) -> PathBuf {
        let file = self.directory.join(format!("client-{}.conf", anchors.len()));
        fs::write(&file, krb5_conf(&self.realm, self.port, anchors)).expect("a file");
        file
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

fn cache_name(cache: &Path) -> String {
    format!("FILE:{}", cache.display())
}

/// The clocks may differ by a day, so that nothing but the certificate's own validity decides
/// when the KDC lives in the future.
fn krb5_conf(realm: &str, port: u16, anchors: &[&Path]) -> String {
    let anchors =
        anchors.iter().map(|file| format!("  pkinit_anchors = FILE:{}\n", file.display()));
    let anchors: String = anchors.collect();
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
    kdc = 127.0.0.1:{port}
  {anchors}  }}
"
    )
}

fn kdc_conf(directory: &Path, port: u16, setup: &KdcSetup<'_>) -> String {
    let KdcSetup { realm, identity: Identity { certificate, key }, anchor, revocation, .. } = setup;
    let revocation = revocation.map(|file| {
        let file = file.display();
        format!("    pkinit_revoke = FILE:{file}\n    pkinit_require_crl_checking = true\n")
    });
    let (directory, revocation) = (directory.display(), revocation.unwrap_or_default());
    let (certificate, key, anchor) = (certificate.display(), key.display(), anchor.display());
    format!(
        "\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = {directory}/principal
    key_stash_file = {directory}/stash
    acl_file = {directory}/acl
    max_life = 10h
    pkinit_identity = FILE:{certificate},{key}
    pkinit_anchors = FILE:{anchor}
    pkinit_eku_checking = scLogin
{revocation}  }}
[logging]
  kdc = STDERR
"
    )
}
