//! A site on which `alice` can log on: accounts, a machine, a daemon, and a KDC on request.

use std::{path::PathBuf, process::Command};

use super::{
    certificate::path,
    countersign::{REALM, Site},
    kdc::{Kdc, KdcSetup, Pkinit},
    oath::OathToken,
    openssl::{Identity, openssl},
    process::{Ran, Service, run},
};

/// A site with the user `alice`, a machine, and a running daemon.
pub struct Stage {
    pub site: Site,
    pub machine: Identity,
    pub token: OathToken,
    daemon: Service,
}

impl Stage {
    pub fn new() -> Self {
        Self::of(Site::new())
    }

    pub fn of(site: Site) -> Self {
        site.run(["account", "add", "alice", "--sid", SID, "--dn", DN]).succeeded();
        let token = OathToken::usual(b"a secret of 20 bytes");
        site.add_token("alice", "hotp", &token, &[]);
        let machine = site.issue("machine", "laptop.corp.example");
        let daemon = site.serve();
        Self { site, machine, token, daemon }
    }

    /// `countersign login`, with the OTP from a file.
    pub fn login(&self, user: &str, otp: &str, options: &[&str]) -> Ran {
        run(self.login_command(user, otp).args(options), b"")
    }

    /// The command line of it; the name of the file with the OTP comes last.
    pub fn login_command(&self, user: &str, otp: &str) -> Command {
        let Identity { certificate, key } = &self.machine;
        let mut command = self.site.command(["login", user, "--server", &self.site.otpce_url()]);
        command.arg("--trust").arg(self.site.ca_certificate());
        command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        command.arg("--otp-file").arg(self.site.write("otp", format!("{otp}\n")));
        command
    }

    /// Starts the daemon anew, with the config as it is now.
    pub fn restart(self) -> Self {
        let Self { site, machine, token, daemon } = self;
        daemon.stop();
        let daemon = site.serve();
        Self { site, machine, token, daemon }
    }

    /// A logon certificate with its key in a file.
    pub fn logon_certificate(&self, user: &str, otp: &str) -> Identity {
        let file = self.site.file(&format!("{user}-{otp}.pem"));
        self.login(user, otp, &["--pem", path(&file)]).succeeded();
        Identity { certificate: file.clone(), key: file }
    }

    pub fn kdc(&self, ahead: Option<&str>) -> Kdc {
        let directory = self.site.file(&format!("kdc{}", ahead.unwrap_or_default()));
        let name = format!("kdc{}.corp.example", ahead.unwrap_or_default().replace('+', "-"));
        let identity = self.site.issue("kdc", &name);
        let revocation = self.revocation_list();
        let pkinit = Pkinit {
            identity: &identity,
            anchor: &self.site.ca_certificate(),
            // A list that was published now is too old for a KDC of the day after.
            revocation: ahead.is_none().then_some(&revocation),
        };
        let setup = KdcSetup { realm: REALM, pkinit: Some(pkinit), ahead, sections: "" };
        Kdc::start(&directory, &setup, &["alice", "bob"])
    }

    pub fn revocation_list(&self) -> PathBuf {
        let crl = self.site.directory().join(self.site.setting(&["ca", "crl"]));
        let pem = openssl(["crl", "-in", path(&crl), "-outform", "PEM"], b"").succeeded();
        self.site.write("revocation.pem", pem)
    }
}

const SID: &str = "S-1-5-21-1-2-3-1104";
const DN: &str = "CN=Alice Smith,OU=Staff,DC=corp,DC=example";
