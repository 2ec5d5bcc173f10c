//! The program itself: a state directory, its daemon, its command line.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use toml::{Table, Value};

use super::{
    clock::{LIMIT, poll, with_clock},
    oath::OathToken,
    openssl::Identity,
    ports,
    process::{Ran, Service, run},
    radclient::{self, Answer},
};

/// A state directory made by `countersign init`, in a temporary directory.
#[derive(Debug)]
pub struct Site {
    home: TempDir,
    pub radius_port: u16,
    pub otpce_port: u16,
    pub est_port: u16,
    pub http_port: u16,
}

impl Site {
    /// Makes one with the RADIUS client [`RADIUS_SECRET`], and with no lockout, so that the
    /// tests may fail as often as they want.
    #[track_caller]
    pub fn new() -> Self {
        Self::with_key_type("p-256")
    }

    /// The same, with keys of a kind.
    #[track_caller]
    pub fn with_key_type(key_type: &str) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let site = Self {
            home,
            radius_port: ports::free(),
            otpce_port: ports::free(),
            est_port: ports::free(),
            http_port: ports::free(),
        };
        let mut command = Command::new(program());
        command.arg("init").arg(site.directory()).args(["--host", HOST, "--listen", "127.0.0.1"]);
        command.args(["--realm", REALM, "--domain", "CORP", "--ca-name", "Corp Logon CA"]);
        command.args(["--key-type", key_type]);
        for (option, port) in [
            ("--radius-port", site.radius_port),
            ("--otpce-port", site.otpce_port),
            ("--est-port", site.est_port),
            ("--http-port", site.http_port),
        ] {
            command.args([option, &port.to_string()]);
        }
        run(&mut command, b"").succeeded();
        site.configure(|config| {
            // One client for this machine, whose secret the tests know.
            config["radius"].as_table_mut().expect("a table").remove("client");
            merge(config, table(SETTINGS));
        });
        site
    }

    /// The state directory.
    pub fn directory(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// A file of the test's own, outside the state directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes such a file.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, content).expect("a file");
        file
    }

    /// The config file.
    pub fn config_file(&self) -> PathBuf {
        self.directory().join("countersign.toml")
    }

    /// Changes the config.
    #[track_caller]
    pub fn configure(&self, change: impl FnOnce(&mut Table)) {
        let text = fs::read_to_string(self.config_file()).expect("init writes a config");
        let mut config: Table = text.parse().expect("init writes TOML");
        change(&mut config);
        fs::write(self.config_file(), config.to_string()).expect("a file");
    }

    /// Adds to the config, or overrides what is there.
    #[track_caller]
    pub fn configure_with(&self, addition: &str) {
        self.configure(|config| merge(config, table(addition)));
    }

    /// A command line of the program for this state directory.
    pub fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(program());
        command.arg("--config").arg(self.config_file()).args(arguments);
        command
    }

    /// Runs a command line.
    #[track_caller]
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Ran {
        run(&mut self.command(arguments), b"")
    }

    /// Starts the daemon and waits until all its listeners answer.
    #[track_caller]
    pub fn serve(&self) -> Service {
        self.serve_at("+0")
    }

    /// The same at another time, written as libfaketime has it: `+2h`.
    #[track_caller]
    pub fn serve_at(&self, time: &str) -> Service {
        let log = self.log_file();
        let already = fs::read_to_string(&log).unwrap_or_default().len();
        let mut command = self.command(["serve"]);
        if time != "+0" {
            with_clock(&mut command, time);
        }
        let mut service = Service::start("countersign", &mut command, &log);
        let ports = [self.otpce_port, self.est_port, self.http_port];
        service.wait_until("its listeners answer", || {
            ports.iter().all(|port| TcpStream::connect((HOST_ADDRESS, *port)).is_ok())
                && fs::read_to_string(&log).is_ok_and(|log| log.len() > already)
        });
        service
    }

    /// Standard output and error of every daemon so far.
    pub fn log_file(&self) -> PathBuf {
        self.file("daemon.log")
    }

    /// The audit log.
    pub fn audit_log(&self) -> String {
        fs::read_to_string(self.directory().join("audit.log")).unwrap_or_default()
    }

    /// Waits until so many passcodes were recorded as correct, and checks that no more are.
    #[track_caller]
    pub fn has_accepted(&self, times: usize) {
        let count = || self.audit_log().matches("passcode-correct").count();
        poll(LIMIT, || (count() >= times).then_some(()));
        assert_eq!(count(), times, "{}", self.audit_log());
    }

    /// Waits until the audit log has these words.
    #[track_caller]
    pub fn has_recorded(&self, words: &str) {
        let found = poll(LIMIT, || self.audit_log().contains(words).then_some(()));
        assert!(found.is_some(), "{words}:\n{}", self.audit_log());
    }

    /// Adds an account with a name alone.
    #[track_caller]
    pub fn add_account(&self, name: &str) {
        self.run(["account", "add", name]).succeeded();
    }

    /// Adds a token of a type, `hotp` or `totp`, to an account, with further options.
    #[track_caller]
    pub fn add_token(&self, account: &str, kind: &str, token: &OathToken, options: &[&str]) {
        let secret = self.write(&format!("{account}.secret"), token.base32());
        let mut command = self.command(["token", "add", account, "--type", kind]);
        command.args(["--algorithm", token.algorithm, "--digits", &token.digits.to_string()]);
        command.arg("--secret-file").arg(secret).args(options);
        run(&mut command, b"").succeeded();
    }

    /// An account with a token of SHA-1 and six digits, whose secret is made from its name.
    #[track_caller]
    pub fn add_user(&self, name: &str, kind: &str) -> OathToken {
        let token = OathToken::usual(format!("{name:*<20}").as_bytes());
        self.add_account(name);
        self.add_token(name, kind, &token, &[]);
        token
    }

    /// Logs on through RADIUS.
    pub fn logon(&self, user: &str, passcode: &str) -> Answer {
        radclient::logon(self.radius_port, RADIUS_SECRET, user, passcode)
    }

    /// A certificate from the embedded CA: `server`, `machine` or `kdc`.
    #[track_caller]
    pub fn issue(&self, kind: &str, name: &str) -> Identity {
        let directory = self.file(kind);
        let path = directory.to_str().expect("a path in UTF-8");
        self.run(["ca", "issue", kind, name, "--out", path]).succeeded();
        let file = |extension| directory.join(format!("{name}.{extension}"));
        Identity { certificate: file("pem"), key: file("key") }
    }

    /// The certificate of the embedded CA.
    #[track_caller]
    pub fn ca_certificate(&self) -> PathBuf {
        self.directory().join(self.setting(&["ca", "certificate"]))
    }

    /// A setting of the config that is a text.
    #[track_caller]
    pub fn setting(&self, path: &[&str]) -> String {
        let text = fs::read_to_string(self.config_file()).expect("init writes a config");
        let config = Value::Table(text.parse().expect("init writes TOML"));
        let value = path.iter().fold(&config, |value, key| &value[*key]);
        value.as_str().expect("a text").to_owned()
    }

    /// The URL of the OTPCE service.
    pub fn otpce_url(&self) -> String {
        format!("https://{HOST}:{}/otpce", self.otpce_port)
    }

    /// The URL of an EST operation.
    pub fn est_url(&self, operation: &str) -> String {
        format!("https://{HOST}:{}/.well-known/est/{operation}", self.est_port)
    }
}

/// The program: `$COUNTERSIGN`, or what `cargo build` left beside this test's own binary.
pub fn program() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
        profile.join("countersign")
    };
    let program = std::env::var_os("COUNTERSIGN").map_or_else(built, PathBuf::from);
    assert!(program.exists(), "{} is not there; admin/test builds it first", program.display());
    program
}

/// Merges tables of tables; everything else is overridden.
pub fn merge(into: &mut Table, addition: Table) {
    for (key, value) in addition {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(addition)) => merge(into, addition),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// A piece of config.
#[track_caller]
pub fn table(text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The secret shared with the RADIUS client `e2e`, which is this machine.
pub const RADIUS_SECRET: &str = "radius-secret-71c0";
/// The DNS name of the daemon.
pub const HOST: &str = "localhost";
/// The Kerberos realm of the accounts.
pub const REALM: &str = "CORP.EXAMPLE";

const SETTINGS: &str = "
radius.client.e2e = { address = '127.0.0.1', secret = 'radius-secret-71c0' }
policy.lockout = { throttle-after = 1000, lock-after = 0 }
";
const HOST_ADDRESS: &str = "127.0.0.1";
