//! A KDC of the demo's own: a realm in a directory, on a free port, gone with the demo.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

/// What a KDC is made of.
pub(super) struct Realm<'a> {
    /// Where its files go.
    pub(super) directory: &'a Path,
    /// The realm, in upper case.
    pub(super) name: &'a str,
    /// The principals, without realm.
    pub(super) principals: &'a [&'a str],
    /// The trust anchor of logon certificates, PEM.
    pub(super) anchor: &'a Path,
    /// The KDC's certificate, PEM.
    pub(super) certificate: &'a Path,
    /// The KDC's key, PKCS#8 PEM.
    pub(super) key: &'a Path,
}

/// A running KDC; it ends when this is dropped.
pub(super) struct Kdc {
    /// `KRB5_CONFIG` for its clients.
    pub(super) config: PathBuf,
    /// Where it listens.
    pub(super) address: SocketAddr,
    _process: Child,
}

/// The Debian packages without which there is no ticket; empty if all is there.
pub(super) fn missing_packages() -> Vec<&'static str> {
    let needed = [
        ("krb5-user", find("kinit").is_some() && find("klist").is_some()),
        ("krb5-kdc", find("krb5kdc").is_some() && find("kdb5_util").is_some()),
        ("krb5-pkinit", has_pkinit()),
    ];
    needed.into_iter().filter(|(_, there)| !there).map(|(package, _)| package).collect()
}

/// The path of a program, also where administrators' programs are.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

impl Kdc {
    /// Makes the realm and starts its KDC.
    pub(super) async fn start(realm: &Realm<'_>) -> anyhow::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        fs::create_dir_all(realm.directory)?;
        let config = realm.directory.join("krb5.conf");
        let profile = realm.directory.join("kdc.conf");
        fs::write(&config, client_config(realm, address))?;
        fs::write(&profile, kdc_config(realm, address))?;

        let environment = [("KRB5_CONFIG", &config), ("KRB5_KDC_PROFILE", &profile)];
        // The master key of this throw-away database protects nothing: its principals have no keys
        // but random ones, and only PKINIT gets a ticket.
        let create = ["create", "-s", "-P", "throw-away", "-r", realm.name];
        run("kdb5_util", &create, &environment).await?;
        for principal in realm.principals {
            let query = format!("addprinc +requires_preauth -nokey {principal}");
            run("kadmin.local", &["-r", realm.name, "-q", &query], &environment).await?;
        }
        let program = find("krb5kdc").context("krb5kdc is not installed")?;
        let process = Command::new(program)
            .args(["-n", "-r", realm.name])
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(fs::File::create(realm.directory.join("kdc.out"))?)
            .stderr(fs::File::create(realm.directory.join("kdc.err"))?)
            .kill_on_drop(true)
            .spawn()?;
        let mut kdc = Self { config, address, _process: process };
        kdc.wait(realm.directory).await?;
        Ok(kdc)
    }

    /// Waits until the KDC takes connections.
    async fn wait(&mut self, directory: &Path) -> anyhow::Result<()> {
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            ensure!(
                self._process.try_wait()?.is_none(),
                "the KDC ended: {}",
                fs::read_to_string(directory.join("kdc.err")).unwrap_or_default().trim()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the KDC does not take connections on {}", self.address)
    }
}

async fn run(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &PathBuf)],
) -> anyhow::Result<()> {
    let path = find(program).with_context(|| format!("{program} is not installed"))?;
    let output = Command::new(path)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", words.trim());
    Ok(())
}

fn has_pkinit() -> bool {
    let libraries = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let below =
        libraries.iter().filter_map(|library| fs::read_dir(library).ok()).flatten().flatten();
    let below = below.map(|entry| entry.path());
    libraries
        .iter()
        .cloned()
        .chain(below)
        .any(|directory| directory.join("krb5/plugins/preauth/pkinit.so").is_file())
}

fn client_config(realm: &Realm<'_>, address: SocketAddr) -> String {
    let (name, anchor) = (realm.name, realm.anchor.display());
    format!(
        "\
[libdefaults]
    default_realm = {name}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    rdns = false

[realms]
    {name} = {{
        kdc = {address}
        pkinit_anchors = FILE:{anchor}
    }}
"
    )
}

fn kdc_config(realm: &Realm<'_>, address: SocketAddr) -> String {
    let Realm { name, anchor, certificate, key, directory, .. } = realm;
    let (anchor, certificate, key) = (anchor.display(), certificate.display(), key.display());
    let directory = directory.display();
    format!(
        "\
[kdcdefaults]
    kdc_listen = {address}
    kdc_tcp_listen = {address}

[realms]
    {name} = {{
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        acl_file = {directory}/kadm5.acl
        pkinit_identity = FILE:{certificate},{key}
        pkinit_anchors = FILE:{anchor}
    }}
"
    )
}
