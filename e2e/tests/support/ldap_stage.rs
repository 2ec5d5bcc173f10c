//! A directory whose users bind with OTPs: slapd with overlay sock, and Countersign behind it,
//! whose store is that directory.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
};

use super::{
    countersign::Site,
    directory::{ACCOUNTS, PRIVATE_KEY, PRIVATE_KEY_FILE, SUFFIX, TOKENS, User},
    ldap::Binder,
    process::Service,
    slapd::{Setup, Slapd},
};

/// slapd and the daemon, both running.
pub struct LdapStage {
    pub site: Site,
    pub slapd: Slapd,
    daemon: Option<Service>,
}

impl LdapStage {
    /// With these users.
    #[track_caller]
    pub fn new(users: &[&User]) -> Self {
        Self::with(users, Setup::default(), "")
    }

    /// With another slapd, and another config of Countersign on top of the usual one.
    #[track_caller]
    pub fn with(users: &[&User], setup: Setup, config: &str) -> Self {
        let site = Site::new();
        let socket = Some(socket(&site));
        let entries = users.iter().flat_map(|user| user.entries()).collect::<Vec<_>>();
        let setup = Setup { socket, ..setup };
        let slapd = Slapd::start(&site.file("slapd"), &setup, &entries);
        configure(&site, &slapd);
        site.configure_with(config);
        let mut stage = Self { site, slapd, daemon: None };
        stage.serve();
        stage
    }

    /// Starts the daemon.
    #[track_caller]
    pub fn serve(&mut self) {
        let mut daemon = self.site.serve();
        let socket = socket(&self.site);
        daemon.wait_until("its socket is there", || UnixStream::connect(&socket).is_ok());
        self.daemon = Some(daemon);
    }

    /// Stops the daemon; its socket goes with it.
    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.take().expect("it runs").stop();
    }

    /// The daemon.
    pub fn daemon(&self) -> &Service {
        self.daemon.as_ref().expect("it runs")
    }

    /// The socket between slapd and the daemon.
    pub fn socket(&self) -> PathBuf {
        socket(&self.site)
    }

    /// The result code of a bind with what is typed, over loopback.
    #[track_caller]
    pub fn bind(&self, user: &User, credentials: &str) -> i32 {
        let mut binder = Binder::tcp(self.slapd.port).expect("slapd listens");
        let bound = binder.bind(user.dn().as_bytes(), credentials.as_bytes());
        bound.expect("slapd answers").0
    }

    /// The counter of a user's token, as it stands in the directory.
    #[track_caller]
    pub fn counter(&self, user: &User) -> Option<i64> {
        self.slapd.number(&user.token_dn(), "oathHOTPCounter")
    }

    /// The failures of a user's token, as they stand in the directory.
    #[track_caller]
    pub fn failures(&self, user: &User) -> i64 {
        self.slapd.number(&user.token_dn(), "oathFailureCount").unwrap_or_default()
    }
}

/// Adds directory and back-sock listener to the config of a site.
#[track_caller]
pub fn configure(site: &Site, slapd: &Slapd) {
    let keys = site.directory().join("keys");
    fs::create_dir_all(&keys).expect("a directory");
    let key = keys.join(PRIVATE_KEY_FILE);
    fs::write(&key, PRIVATE_KEY).expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    site.configure_with(&format!(
        r#"
[directory]
url = "{url}"
base = "{SUFFIX}"
keys = ["keys/*.priv"]
plain-secrets = "base32"
account = {{ base = "{ACCOUNTS}", filter = "(objectClass=account)" }}
token = {{ base = "{TOKENS}" }}
[back-sock]
socket = "{socket}"
suffixes = ["{SUFFIX}"]
accounts = ["{ACCOUNTS}"]
tokens = ["{TOKENS}"]
"#,
        url = slapd.ldapi_url(),
        socket = socket(site).display(),
    ));
}

fn socket(site: &Site) -> PathBuf {
    site.file("slapd.socket")
}
