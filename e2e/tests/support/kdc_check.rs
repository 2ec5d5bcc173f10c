//! A realm for `countersign krb5 check`: MIT's KDC without PKINIT, whose OTP preauthentication can
//! be made to go wrong in every way. Armour comes from a keytab.

use std::{
    fs,
    io::{Read, Write},
    ops::Deref,
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::Path,
    process::Command,
    thread,
};

use md5::{Digest, Md5};
use tempfile::TempDir;

use super::{
    countersign::program,
    kdc::{KdcSetup, Realm, cache_name},
    process::{Ran, Service, run},
};

/// Such a realm, with no principals but its own and one for armour.
#[derive(Debug)]
pub struct CheckedRealm {
    realm: Realm,
    /// Its directory, removed at the end.
    _home: TempDir,
}

impl CheckedRealm {
    /// Makes one with a section `[otp]` in which `@` stands for its directory.
    #[track_caller]
    pub fn new(otp: &str) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let setup = KdcSetup { realm: REALM, ..KdcSetup::default() };
        let realm = Self { realm: Realm::create(home.path(), &setup), _home: home };
        realm.set_otp(otp);
        realm.admin(&["addprinc", "-randkey", ARMOUR]);
        let keytab = realm.path("armour.keytab");
        realm.admin(&["ktadd", "-q", "-k", keytab.to_str().expect("UTF-8"), ARMOUR]);
        realm
    }

    /// Writes another section `[otp]`; a KDC that runs does not see it.
    #[track_caller]
    pub fn set_otp(&self, otp: &str) {
        let otp = otp.replace('@', &self.directory.display().to_string());
        let sections = format!("[otp]\n{otp}\n");
        self.configure(&KdcSetup { realm: REALM, sections: &sections, ..KdcSetup::default() });
    }

    /// Starts the KDC, and gets armour from it.
    #[track_caller]
    pub fn serve(&self) -> Service {
        self.serve_with(&mut self.command("krb5kdc"))
    }

    /// The same as the packaged unit runs it: root may not open what others own.
    #[track_caller]
    pub fn serve_without_capabilities(&self) -> Service {
        let is_root = fs::metadata("/proc/self").expect("of this process").uid() == 0;
        let mut command = self.command(if is_root { "setpriv" } else { "krb5kdc" });
        if is_root {
            let weak = "-dac_override,-dac_read_search";
            command.args(["--bounding-set", weak, "--inh-caps", weak, "krb5kdc"]);
        }
        self.serve_with(&mut command)
    }

    #[track_caller]
    fn serve_with(&self, command: &mut Command) -> Service {
        let service = self.start(command.arg("-n"), &self.path("log"));
        let mut kinit = self.command("kinit");
        kinit.arg("-k").arg("-t").arg(self.path("armour.keytab"));
        kinit.args(["-c", &cache_name(&self.path("armour")), ARMOUR]);
        run(&mut kinit, b"").succeeded();
        service
    }

    /// Logs on with an OTP, within armour.
    pub fn logon(&self, principal: &str, otp: &str) -> Ran {
        let mut kinit = self.command("kinit");
        kinit.args(["-T", &cache_name(&self.path("armour"))]);
        kinit.args(["-c", &cache_name(&self.path("ticket")), principal]);
        run(&mut kinit, format!("{otp}\n").as_bytes())
    }

    /// Logs on with a password, without armour.
    pub fn logon_with_password(&self, principal: &str, password: &str) -> Ran {
        let mut kinit = self.command("kinit");
        kinit.args(["-c", &cache_name(&self.path("ticket")), principal]);
        run(&mut kinit, format!("{password}\n").as_bytes())
    }

    /// What the KDC has said since the realm was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `countersign krb5 check` on a machine without a config of Countersign.
    pub fn check(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(program());
        command.current_dir(&self.directory).env_remove("COUNTERSIGN_CONFIG");
        run(self.name_files(command.args(["krb5", "check"])).args(words), b"")
    }

    /// Names the files of this realm.
    pub fn name_files<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("--krb5-conf").arg(self.path("krb5.conf"));
        command.arg("--kdc-conf").arg(self.path("kdc.conf"))
    }
}

/// It is a realm like others: with files, commands and principals.
impl Deref for CheckedRealm {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.realm
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

/// The name of such a realm.
pub const REALM: &str = "OTP.TEST";

const ARMOUR: &str = "host/armour";
