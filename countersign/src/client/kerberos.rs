//! kinit with PKINIT: the key is handed over in memory (RFC 4556).
//!
//! Certificate and key are written to anonymous memory files that are closed at
//! exec, so no program that happens to be started meanwhile inherits them. kinit
//! opens them among the files of this process, which it may do as the same user.
//! Neither ever has a name on a disk.
//!
//! A process that is not dumpable has files that root alone can open, so this is
//! for the command line and not for the daemon, which makes itself so.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{self, Stdio},
};

use countersign_core::{pki::cert::Certificate, secret::Secret};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::process::Command;

/// One ticket-granting ticket, got with a certificate.
#[derive(Debug)]
pub struct Kinit<'a> {
    /// Whose ticket, `user@REALM`.
    pub principal: &'a str,
    /// The logon certificate.
    pub certificate: &'a Certificate,
    /// Its key, PKCS#8 PEM.
    pub key: &'a Secret<String>,
    /// Whom the KDC's certificate must chain to.
    pub anchors: &'a [Certificate],
    /// The credential cache, as `KRB5CCNAME` has it; the default one if `None`.
    pub cache: Option<String>,
    /// The Kerberos configuration; the system's if `None`.
    pub config: Option<PathBuf>,
}

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub enum KinitError {
    /// The program cannot be started.
    #[error(
        "{program} cannot be started: {cause}; on Debian it is in the package krb5-user, and PKINIT in krb5-pkinit"
    )]
    NotStarted {
        /// The program.
        program: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// There is no memory file to be had.
    #[error("the key cannot be handed over in memory: {0}")]
    Memory(io::Error),
    /// The KDC refused.
    #[error("the KDC refused {principal}: {error}")]
    Refused {
        /// Whose ticket.
        principal: String,
        /// Its word.
        error: KdcError,
    },
    /// kinit failed without a word of the KDC.
    #[error("kinit failed for {principal}: {output}")]
    Failed {
        /// Whose ticket.
        principal: String,
        /// What it said.
        output: String,
    },
}

/// An error code of a KDC (RFC 4120 §7.5.9, RFC 4556 §3.1.3) in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdcError {
    /// The number in the protocol.
    pub code: i32,
    /// The name in the standard.
    pub name: &'static str,
    /// What is wrong.
    pub cause: &'static str,
    /// What helps.
    pub remedy: &'static str,
}

impl Kinit<'_> {
    /// Gets the ticket.
    ///
    /// # Errors
    ///
    /// kinit cannot be started, or gets no ticket.
    pub async fn run(&self) -> Result<(), KinitError> {
        let certificate = memory_file(&self.certificate.to_pem())?;
        let key = memory_file(self.key.expose())?;
        let anchors: String = self.anchors.iter().map(Certificate::to_pem).collect();
        let anchors = memory_file(&anchors)?;

        let identity = format!("{},{}", path(&certificate), path(&key));
        let mut command = self.command("kinit");
        command
            .args(["-X", &format!("X509_user_identity=FILE:{identity}")])
            .args(["-X", &format!("X509_anchors=FILE:{}", path(&anchors))])
            .arg(self.principal)
            // The trace is where the KDC's own error stands; kinit goes on to
            // ask for a password, which there is none to read.
            .env("KRB5_TRACE", "/dev/stderr");
        let (succeeded, output) = run("kinit", command).await?;
        if succeeded { Ok(()) } else { Err(self.failure(&output)) }
    }

    /// What klist says about the cache.
    ///
    /// # Errors
    ///
    /// klist cannot be started, or finds no ticket.
    pub async fn list(&self) -> Result<String, KinitError> {
        let (succeeded, output) = run("klist", self.command("klist")).await?;
        let principal = self.principal.to_owned();
        if succeeded { Ok(output) } else { Err(KinitError::Failed { principal, output }) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        if let Some(cache) = &self.cache {
            command.env("KRB5CCNAME", cache);
        }
        if let Some(config) = &self.config {
            command.env("KRB5_CONFIG", config);
        }
        command
    }

    fn failure(&self, output: &str) -> KinitError {
        let principal = self.principal.to_owned();
        match output.lines().filter_map(kdc_error).next_back() {
            Some(error) => KinitError::Refused { principal, error },
            None => KinitError::Failed { principal, output: summary(output) },
        }
    }
}

impl std::fmt::Display for KdcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}; {}", self.name, self.code, self.cause, self.remedy)
    }
}

impl KdcError {
    /// The error of this number, if it is one that logons with certificates meet.
    #[must_use]
    pub fn of_code(code: i32) -> Option<Self> {
        KDC_ERRORS.iter().find(|error| error.code == code).copied()
    }
}

/// Closed at exec: whoever is to read it opens it by its [`path`].
fn memory_file(content: &str) -> Result<File, KinitError> {
    let file = memfd_create("countersign", MemfdFlags::CLOEXEC);
    let mut file = File::from(file.map_err(|error| KinitError::Memory(error.into()))?);
    file.write_all(content.as_bytes()).map_err(KinitError::Memory)?;
    Ok(file)
}

/// Where another process of the same user opens it, as long as it is open here.
fn path(file: &File) -> String {
    format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd())
}

async fn run(program: &'static str, mut command: Command) -> Result<(bool, String), KinitError> {
    let output = command.output().await;
    let output = output.map_err(|cause| KinitError::NotStarted { program, cause })?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// `[123] 1.2: Received error from KDC: -1765328322/Client not trusted`, except
/// for those that only ask for preauthentication.
fn kdc_error(line: &str) -> Option<KdcError> {
    let (_, rest) = line.split_once("Received error from KDC: ")?;
    let (number, _) = rest.split_once('/')?;
    let code = number.parse::<i32>().ok()?.checked_sub(MIT_ERROR_BASE)?;
    KdcError::of_code(code)
}

/// What of the trace helps: complaints of PKINIT, and kinit's own last words.
fn summary(output: &str) -> String {
    let is_complaint = |line: &str| {
        line.starts_with("kinit:")
            || line.contains("PKINIT error")
            || line.contains("PKINIT OpenSSL error")
            || line.contains("PKINIT client could not")
    };
    let complaints = output.lines().filter(|line| is_complaint(line));
    let words = complaints.map(|line| line.split_once(": ").map_or(line, |(_, words)| words));
    let words: Vec<&str> = words.take(MAX_COMPLAINTS).collect();
    if words.is_empty() { "it said nothing".into() } else { words.join("; ") }
}

/// Error numbers of the MIT library are those of the protocol and this.
const MIT_ERROR_BASE: i32 = -1_765_328_384;
const MAX_COMPLAINTS: usize = 8;

const fn error(
    code: i32,
    name: &'static str,
    cause: &'static str,
    remedy: &'static str,
) -> KdcError {
    KdcError { code, name, cause, remedy }
}

const KDC_ERRORS: [KdcError; 21] = [
    error(
        6,
        "KDC_ERR_C_PRINCIPAL_UNKNOWN",
        "the KDC does not know the principal",
        "create it, or check name and realm of the account",
    ),
    error(
        12,
        "KDC_ERR_POLICY",
        "the policy of the KDC does not allow it",
        "look into the KDC's log",
    ),
    error(
        16,
        "KDC_ERR_PADATA_TYPE_NOSUPP",
        "the KDC does not do PKINIT, or has no certificate for it",
        "give the KDC a certificate (pkinit_identity, pkinit_anchors; on Windows the template Kerberos Authentication)",
    ),
    error(
        18,
        "KDC_ERR_CLIENT_REVOKED",
        "the principal is disabled, expired or locked",
        "enable it in the directory",
    ),
    error(
        24,
        "KDC_ERR_PREAUTH_FAILED",
        "the KDC did not accept the certificate",
        "look into the KDC's log; the certificate may not name the principal (SAN)",
    ),
    error(
        37,
        "KRB_AP_ERR_SKEW",
        "the clocks of client and KDC are too far apart",
        "set both clocks",
    ),
    error(
        62,
        "KDC_ERR_CLIENT_NOT_TRUSTED",
        "the KDC does not trust the issuer of the certificate, or it has expired",
        "add the CA to pkinit_anchors (on Windows to NTAuth), and look at the validity",
    ),
    error(
        63,
        "KDC_ERR_KDC_NOT_TRUSTED",
        "the KDC has no certificate that the client trusts",
        "give the client the CA of the KDC's certificate",
    ),
    error(
        64,
        "KDC_ERR_INVALID_SIG",
        "the signature of the request is not valid",
        "certificate and key may not belong together; or the KDC does not know this kind of key",
    ),
    error(
        65,
        "KDC_ERR_DH_KEY_PARAMETERS_NOT_ACCEPTED",
        "the KDC wants a larger Diffie-Hellman group",
        "set pkinit_dh_min_bits on both sides",
    ),
    error(
        66,
        "KDC_ERR_CERTIFICATE_MISMATCH",
        "the certificate is not strongly mapped to the account (KB5014754)",
        "set the SID of the account, so that the certificate carries it",
    ),
    error(
        68,
        "KDC_ERR_WRONG_REALM",
        "the principal belongs to another realm",
        "ask for it in that realm",
    ),
    error(
        70,
        "KDC_ERR_CANT_VERIFY_CERTIFICATE",
        "the KDC cannot build the chain of the certificate",
        "give the KDC the CA certificates",
    ),
    error(
        71,
        "KDC_ERR_INVALID_CERTIFICATE",
        "the KDC cannot use a certificate of the chain",
        "look at validity and signatures of the chain",
    ),
    error(
        72,
        "KDC_ERR_REVOKED_CERTIFICATE",
        "a certificate of the chain is revoked",
        "log on again for a new one",
    ),
    error(
        73,
        "KDC_ERR_REVOCATION_STATUS_UNKNOWN",
        "the KDC cannot tell whether the certificate is revoked",
        "publish a fresh revocation list where the certificate says",
    ),
    error(
        74,
        "KDC_ERR_REVOCATION_STATUS_UNAVAILABLE",
        "the KDC cannot get the revocation list",
        "make the CRL reachable for the KDC",
    ),
    error(
        75,
        "KDC_ERR_CLIENT_NAME_MISMATCH",
        "the certificate names another principal",
        "compare UPN and id-pkinit-san of the certificate with the principal",
    ),
    error(
        76,
        "KDC_ERR_KDC_NAME_MISMATCH",
        "the KDC's certificate names another realm or host",
        "give the KDC a certificate for its realm",
    ),
    error(
        77,
        "KDC_ERR_INCONSISTENT_KEY_PURPOSE",
        "the certificate is not for logons",
        "it needs the EKU smart card logon or id-pkinit-KPClientAuth",
    ),
    error(
        79,
        "KDC_ERR_PA_CHECKSUM_MUST_BE_INCLUDED",
        "the KDC wants a checksum that the client did not send",
        "update the Kerberos client",
    ),
];

#[cfg(test)]
mod tests;
