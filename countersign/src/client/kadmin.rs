//! `kadmin.local`: what the KDC's database says about principals and policies.
//!
//! Every question is a run of its own with its words as arguments, because kadmin's
//! command language eats double quotes. Only what it shows is read; it changes nothing.

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use countersign_core::krb5::principal::{Lockout, NoPrincipal, Principal};
use tokio::{process::Command, time::timeout};

/// The database of the KDC on this machine.
#[derive(Debug, Clone)]
pub struct Kadmin {
    /// `KRB5_CONFIG`.
    pub krb5_conf: String,
    /// `KRB5_KDC_PROFILE`.
    pub kdc_conf: PathBuf,
    /// The realm, if it is not the default one.
    pub realm: Option<String>,
}

/// Why the database could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KadminError {
    /// The program cannot be started.
    #[error(
        "kadmin.local cannot be started: {0}; it comes with the KDC, on Debian in krb5-admin-server"
    )]
    NotStarted(io::Error),
    /// It did not end.
    #[error("kadmin.local does not end; is the database locked?")]
    Stuck,
    /// It said no.
    #[error("kadmin.local {question}: {answer}")]
    Failed {
        /// What it was asked.
        question: String,
        /// What it said.
        answer: String,
    },
    /// It said something else than expected.
    #[error(transparent)]
    Strange(#[from] NoPrincipal),
}

impl KadminError {
    /// Whether the database could be read, but has no such principal.
    #[must_use]
    pub fn is_unknown_principal(&self) -> bool {
        matches!(self, Self::Failed { answer, .. } if answer.contains("Principal does not exist"))
    }
}

impl Kadmin {
    /// A principal with its strings.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or does not have it.
    pub async fn principal(&self, name: &str) -> Result<Principal, KadminError> {
        let name = argument(name);
        let principal = self.ask(&["getprinc", &name]).await?;
        let strings = self.ask(&["getstrs", &name]).await?;
        Ok(Principal::from_kadmin(&principal, &strings)?)
    }

    /// A policy, as far as it locks principals.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or does not have it.
    pub async fn lockout(&self, policy: &str) -> Result<Lockout, KadminError> {
        Ok(Lockout::from_kadmin(&self.ask(&["getpol", &argument(policy)]).await?))
    }

    /// The names of all principals.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn names(&self) -> Result<Vec<String>, KadminError> {
        Ok(self.ask(&["listprincs"]).await?.lines().map(str::to_owned).collect())
    }

    async fn ask(&self, question: &[&str]) -> Result<String, KadminError> {
        let mut command = Command::new(PROGRAM);
        command.env("LC_ALL", "C").env("KRB5_CONFIG", &self.krb5_conf);
        command.env("KRB5_KDC_PROFILE", &self.kdc_conf);
        // Debian keeps it where only root looks.
        command.env("PATH", search_path());
        if let Some(realm) = &self.realm {
            command.args(["-r", realm]);
        }
        let Output { status, stdout, stderr } = run(command.args(question)).await?;
        let answer = String::from_utf8_lossy(&stdout).into_owned();
        if status.success() {
            return Ok(answer);
        }
        let answer = String::from_utf8_lossy(&stderr).trim().replace('\n', "; ");
        Err(KadminError::Failed { question: question.join(" "), answer })
    }
}

/// The version of the Kerberos library on this machine, as `klist -V` says it: `1.20.1`.
pub async fn library_version() -> Option<String> {
    let output = run(Command::new("klist").arg("-V")).await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.trim().rsplit_once("version ")?.1.to_owned())
}

async fn run(command: &mut Command) -> Result<Output, KadminError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.map_err(|_| KadminError::Stuck)?;
    output.map_err(KadminError::NotStarted)
}

/// A name that begins with `-` is no option; a backslash before a letter stands for the letter.
fn argument(name: &str) -> String {
    if name.starts_with('-') { format!("\\{name}") } else { name.to_owned() }
}

fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")
}

const PROGRAM: &str = "kadmin.local";
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_options() {
        assert_eq!(argument("-x@R"), "\\-x@R");
        assert_eq!(argument("x@R"), "x@R");
    }

    #[tokio::test]
    async fn what_a_program_says_is_read() {
        let output = run(Command::new("echo").arg("hello")).await.unwrap();
        assert_eq!(output.stdout, b"hello\n");
        let missing = run(&mut Command::new("/nowhere/kadmin.local")).await.unwrap_err();
        assert!(missing.to_string().contains("krb5-admin-server"), "{missing}");
    }
}
