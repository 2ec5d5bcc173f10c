//! Programs of slapd on this machine: which version it is, and what its access rules let happen.

use std::{
    io,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

/// A version of OpenLDAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// What access rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may be.
    Allowed,
    /// It may not.
    Denied,
}

/// Why a program said nothing that helps.
#[derive(Debug, thiserror::Error)]
pub enum SlapdError {
    /// It cannot be started.
    #[error("{0} cannot be started: {1}")]
    NotStarted(&'static str, io::Error),
    /// It did not end.
    #[error("{0} does not end")]
    Stuck(&'static str),
    /// It said something else than expected.
    #[error("{0}: {1}")]
    Strange(&'static str, String),
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version of the slapd on this machine.
///
/// # Errors
///
/// There is none.
pub async fn version() -> Result<Version, SlapdError> {
    let output = run("slapd", &["-VV"]).await?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    parse_version(&text).ok_or(SlapdError::Strange("slapd", text))
}

/// `@(#) $OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12) $`
fn parse_version(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("slapd ")?;
    let word = rest.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next()?;
    let mut numbers = word.split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Version(next()?, next()?, next()?))
}

/// Whether anybody may have the password of an entry checked.
///
/// # Errors
///
/// The config of slapd cannot be read by us, or has no such entry.
pub async fn anonymous_auth(config: &Path, dn: &str) -> Result<Access, SlapdError> {
    let config = config.display().to_string();
    let output = run("slapacl", &["-F", &config, "-b", dn, "userPassword/auth"]).await?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    parse_access(&text).ok_or_else(|| {
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no answer");
        SlapdError::Strange("slapacl", last.to_owned())
    })
}

/// `auth access to userPassword: ALLOWED`
fn parse_access(text: &str) -> Option<Access> {
    let line = text.lines().find(|line| line.contains("access to userPassword"))?;
    match line.rsplit(' ').next()? {
        "ALLOWED" => Some(Access::Allowed),
        "DENIED" => Some(Access::Denied),
        _ => None,
    }
}

async fn run(program: &'static str, arguments: &[&str]) -> Result<Output, SlapdError> {
    // They are in a directory that only root has in its PATH.
    let path = format!("/usr/sbin/{program}");
    let path = if Path::new(&path).exists() { path } else { program.to_owned() };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(SlapdError::NotStarted(program, error)),
        Err(_) => Err(SlapdError::Stuck(program)),
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_of_three_parts() {
        let debian = "@(#) $OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12) $\n\tDebian";
        assert_eq!(parse_version(debian), Some(Version(2, 5, 13)));
        assert_eq!(parse_version("@(#) $OpenLDAP: slapd 2.6.14 (x) $"), Some(Version(2, 6, 14)));
        assert!(Version(2, 6, 14) > Version(2, 6, 9) && Version(2, 6, 0) > Version(2, 5, 20));
        for strange in ["", "slapd", "slapd 2", "slapd x.y.z", "slapd 2.6."] {
            assert_eq!(parse_version(strange), None, "{strange}");
        }
    }

    #[test]
    fn access_is_what_slapacl_says_in_capitals() {
        let said = |word: &str| {
            parse_access(&format!("authcDN: \"\"\nauth access to userPassword: {word}\n"))
        };
        assert_eq!(said("ALLOWED"), Some(Access::Allowed));
        assert_eq!(said("DENIED"), Some(Access::Denied));
        assert_eq!(said("perhaps"), None);
        assert_eq!(parse_access("slapacl: could not open"), None);
    }
}
