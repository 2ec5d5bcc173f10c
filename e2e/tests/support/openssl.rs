//! OpenSSL: reads what we make, and makes what a stranger would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    clock::with_clock,
    process::{Ran, run},
};

/// Runs `openssl` with an input.
#[track_caller]
pub fn openssl<const N: usize>(arguments: [&str; N], input: &[u8]) -> Ran {
    run(Command::new("openssl").args(arguments), input)
}

/// A certificate as text.
#[track_caller]
pub fn certificate_text(certificate: &Path) -> String {
    let file = certificate.to_str().expect("a path in UTF-8");
    openssl(["x509", "-in", file, "-noout", "-text", "-nameopt", "RFC2253,utf8"], b"").succeeded()
}

/// A CA made by OpenSSL, for what another organisation would have: its certificates name the
/// same people as ours.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    name: String,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Makes a CA in a directory.
    #[track_caller]
    pub fn new(directory: &Path, name: &str) -> Self {
        let authority = Self { directory: directory.into(), name: name.into() };
        let ca = authority.identity(name);
        fs::write(authority.extensions(), EXTENSIONS).expect("a file");
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
        command.args(["-subj", &format!("/CN={name}"), "-extensions", "ca", "-config"]);
        command.arg(authority.extensions()).arg("-keyout").arg(&ca.key);
        command.arg("-out").arg(&ca.certificate);
        run(&mut command, b"").succeeded();
        authority
    }

    /// The CA certificate.
    pub fn certificate(&self) -> PathBuf {
        self.identity(&self.name).certificate
    }

    /// Issues a certificate of a kind: `kdc`, `user`, `machine`, `server` or `signing`. The
    /// principal is `user@realm`.
    #[track_caller]
    pub fn issue(&self, kind: &str, user: &str, realm: &str) -> Identity {
        self.issue_at("+0", kind, user, realm)
    }

    /// The same at another time, with a validity of a day from then on.
    #[track_caller]
    pub fn issue_at(&self, time: &str, kind: &str, user: &str, realm: &str) -> Identity {
        let identity = self.identity(&format!("{}-{kind}-{user}", self.name));
        let ca = self.identity(&self.name);
        let request = identity.key.with_extension("csr");
        let mut command = Command::new("openssl");
        command.args(["req", "-new", "-newkey", "rsa:2048", "-nodes"]);
        command.args(["-subj", &format!("/CN={user}"), "-config"]).arg(self.extensions());
        command.arg("-keyout").arg(&identity.key).arg("-out").arg(&request);
        run(&mut command, b"").succeeded();
        let mut command = Command::new("openssl");
        command.args(["x509", "-req", "-days", "1", "-CAcreateserial", "-extensions", kind]);
        command.arg("-extfile").arg(self.extensions()).arg("-in").arg(&request);
        command.arg("-CA").arg(&ca.certificate).arg("-CAkey").arg(&ca.key);
        command.arg("-out").arg(&identity.certificate).env("USER_NAME", user).env("REALM", realm);
        run(with_clock(&mut command, time), b"").succeeded();
        identity
    }

    fn identity(&self, name: &str) -> Identity {
        let file = |extension| self.directory.join(format!("{name}.{extension}"));
        Identity { certificate: file("pem"), key: file("key") }
    }

    fn extensions(&self) -> PathBuf {
        self.directory.join(format!("{}.cnf", self.name))
    }
}

/// Certificate profiles in OpenSSL's words; the principal's names come from the environment.
const EXTENSIONS: &str = "\
USER_NAME = nobody
REALM = NOWHERE
[req]
distinguished_name = empty
[empty]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[machine]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = DNS:${ENV::USER_NAME}
[signing]
keyUsage = critical, digitalSignature
extendedKeyUsage = 1.3.6.1.4.1.311.81.1.1
subjectAltName = DNS:${ENV::USER_NAME}
[kdc]
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = 1.3.6.1.5.2.3.5
subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:kdc_principal
[user]
keyUsage = critical, digitalSignature
extendedKeyUsage = 1.3.6.1.4.1.311.20.2.2, clientAuth
subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:principal, otherName:1.3.6.1.4.1.311.20.2.3;UTF8:${ENV::USER_NAME}@${ENV::REALM}
[principal]
realm = EXPLICIT:0,GeneralString:${ENV::REALM}
name = EXPLICIT:1,SEQUENCE:principal_name
[principal_name]
type = EXPLICIT:0,INTEGER:1
string = EXPLICIT:1,SEQUENCE:principal_components
[principal_components]
one = GeneralString:${ENV::USER_NAME}
[kdc_principal]
realm = EXPLICIT:0,GeneralString:${ENV::REALM}
name = EXPLICIT:1,SEQUENCE:kdc_principal_name
[kdc_principal_name]
type = EXPLICIT:0,INTEGER:2
string = EXPLICIT:1,SEQUENCE:kdc_principal_components
[kdc_principal_components]
one = GeneralString:krbtgt
two = GeneralString:${ENV::REALM}
";
