//! An MIT realm in a temporary directory: its database, `kadmin.local`, and a KDC whose OTP
//! preauthentication can be made to go wrong in every way. Armour comes from a keytab.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use md5::{Digest, Md5};
use tempfile::TempDir;

use super::{
    countersign::program,
    ports,
    process::{Ran, Service, run},
};

/// A realm with a database and no principals but its own and one for armour.
#[derive(Debug)]
pub struct Realm {
    home: TempDir,
    port: u16,
}

impl Realm {
    /// Makes one with a section `[otp]` in which `@` stands for its directory.
    #[track_caller]
    pub fn new(otp: &str) -> Self {
        let realm =
            Self { home: TempDir::new().expect("a temporary directory"), port: ports::free() };
        realm.write("krb5.conf", &KRB5_CONF.replace("PORT", &realm.port.to_string()));
        realm.set_otp(otp);
        let create = ["create", "-s", "-P", "master", "-r", REALM];
        run(realm.tool("kdb5_util").args(create), b"").succeeded();
        realm.kadmin(&["addprinc", "-randkey", "host/armour"]);
        let keytab = realm.path("armour.keytab");
        realm.kadmin(&["ktadd", "-q", "-k", keytab.to_str().expect("UTF-8"), "host/armour"]);
        realm
    }

    /// Writes another section `[otp]`; a KDC that runs does not see it.
    #[track_caller]
    pub fn set_otp(&self, otp: &str) {
        let directory = self.path("").display().to_string();
        let conf = KDC_CONF
            .replace("PORT", &self.port.to_string())
            .replace("REALM", REALM)
            .replace("TYPES", otp);
        self.write("kdc.conf", &conf.replace('@', directory.trim_end_matches('/')));
    }

    /// A file of the realm.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes such a file.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// A program that reads the files of this realm.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        command.env("KRB5_KDC_PROFILE", self.path("kdc.conf"));
        command.env("KRB5RCACHENAME", format!("dfl:{}", self.path("rcache").display()));
        command
    }

    /// Changes the database.
    #[track_caller]
    pub fn kadmin(&self, words: &[&str]) {
        run(self.tool("kadmin.local").args(words), b"").succeeded();
    }

    /// Adds a principal without a key, with a string `otp`.
    #[track_caller]
    pub fn add(&self, principal: &str, otp: &str) {
        self.kadmin(&["addprinc", "-nokey", "+requires_preauth", principal]);
        self.kadmin(&["setstr", principal, "otp", otp]);
    }

    /// Starts the KDC, and gets armour from it.
    #[track_caller]
    pub fn serve(&self) -> Service {
        self.serve_with(&mut self.tool("krb5kdc"))
    }

    /// The same as the packaged unit runs it: root may not open what others own.
    #[track_caller]
    pub fn serve_without_capabilities(&self) -> Service {
        let is_root = fs::metadata("/proc/self").expect("of this process").uid() == 0;
        let mut command = self.tool(if is_root { "setpriv" } else { "krb5kdc" });
        if is_root {
            let weak = "-dac_override,-dac_read_search";
            command.args(["--bounding-set", weak, "--inh-caps", weak, "krb5kdc"]);
        }
        self.serve_with(&mut command)
    }

    fn serve_with(&self, command: &mut Command) -> Service {
        let log = self.path("output");
        let mut service = Service::start("krb5kdc", command.arg("-n"), &log);
        let port = self.port;
        service.wait_until("it answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let mut kinit = self.tool("kinit");
        kinit.arg("-k").arg("-t").arg(self.path("armour.keytab"));
        kinit.arg("-c").arg(self.path("armour")).arg("host/armour");
        run(&mut kinit, b"").succeeded();
        service
    }

    /// Logs on with an OTP, within armour.
    pub fn logon(&self, principal: &str, otp: &str) -> Ran {
        let mut kinit = self.tool("kinit");
        kinit.arg("-T").arg(self.path("armour")).arg("-c").arg(self.path("ticket"));
        run(kinit.arg(principal), format!("{otp}\n").as_bytes())
    }

    /// Logs on with a password, without armour.
    pub fn logon_with_password(&self, principal: &str, password: &str) -> Ran {
        let mut kinit = self.tool("kinit");
        kinit.arg("-c").arg(self.path("ticket")).arg(principal);
        run(&mut kinit, format!("{password}\n").as_bytes())
    }

    /// The log of the KDC.
    pub fn log(&self) -> String {
        let written = fs::read_to_string(self.path("kdc.log")).unwrap_or_default();
        let said = fs::read_to_string(self.path("output")).unwrap_or_default();
        written + &said
    }

    /// `countersign krb5 check` on a machine without a config of Countersign.
    pub fn check(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(program());
        command.current_dir(self.home.path()).env_remove("COUNTERSIGN_CONFIG");
        run(self.name_files(command.args(["krb5", "check"])).args(words), b"")
    }

    /// Names the files of this realm.
    pub fn name_files<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("--krb5-conf").arg(self.path("krb5.conf"));
        command.arg("--kdc-conf").arg(self.path("kdc.conf"))
    }
}

/// Says one thing to everybody who asks by a socket with an empty secret, until the test ends.
#[track_caller]
pub fn answer_everything(path: &Path, code: u8) {
    let listener = UnixListener::bind(path).expect("a socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = [0; 20];
                while stream.read_exact(&mut head).is_ok() {
                    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
                    let mut rest = vec![0; length - head.len()];
                    stream.read_exact(&mut rest).expect("a whole request");
                    let mut reply = [code, head[1], 0, 20].to_vec();
                    let authenticator = Md5::new().chain_update(&reply).chain_update(&head[4..]);
                    reply.extend(authenticator.finalize());
                    stream.write_all(&reply).expect("a reply");
                }
            });
        }
    });
}

/// Its name.
pub const REALM: &str = "OTP.TEST";

const KRB5_CONF: &str = "\
[libdefaults]
    default_realm = OTP.TEST
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
[realms]
    OTP.TEST = {
        kdc = 127.0.0.1:PORT
    }
";
const KDC_CONF: &str = "\
[kdcdefaults]
    kdc_listen = 127.0.0.1:PORT
    kdc_tcp_listen = 127.0.0.1:PORT
[realms]
    REALM = {
        database_name = @/principal
        key_stash_file = @/stash
        acl_file = @/acl
    }
[logging]
    kdc = FILE:@/kdc.log
[otp]
TYPES
";
