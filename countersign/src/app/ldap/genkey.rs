//! Genkey: makes a key pair for secrets in the directory, in the files that OATH-LDAP has.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use countersign_core::time::UnixTime;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::vault::{
    self,
    jwe::{self, NewKey},
};

/// A key pair that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    /// The name of the key.
    pub kid: String,
    /// The kind of key.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The thumbprint of the public key (RFC 7638), to compare it by.
    pub thumbprint: String,
    /// The file with the private key, which the validator reads.
    pub private_key: PathBuf,
    /// The file with the public key.
    pub public_key: PathBuf,
    /// The public key, as it goes into `oathEncKey`.
    #[serde(rename = "oathEncKey")]
    pub encryption_key: String,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum GenkeyError {
    /// The library could not make one.
    #[error("no {0} key could be made: the cryptographic library refuses")]
    NotMade(&'static str),
    /// A file of this name is there already.
    #[error(
        "{0} is there already; a key is never overwritten, for what is encrypted to it would be lost. A name has the minute in it: wait for the next one, or name another directory by --dir"
    )]
    Exists(String),
    /// A file cannot be written.
    #[error("{path}: {cause}")]
    Unwritable {
        /// The file.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
}

/// Makes a key pair and writes both files. Neither is overwritten.
///
/// # Errors
///
/// There is a file of that name, or one cannot be written.
pub fn make(directory: &Path, kind: NewKey, now: UnixTime) -> Result<Made, GenkeyError> {
    let kid = format!("{PREFIX}{}", minute_of(now));
    let private_key = directory.join(format!("{kid}.priv"));
    let public_key = directory.join(format!("{kid}.pub"));
    if public_key.exists() {
        return Err(GenkeyError::Exists(public_key.display().to_string()));
    }
    let refused = |_| GenkeyError::NotMade(kind.name());
    let key = jwe::generate(kind, kid.clone()).map_err(refused)?;
    let public = key.to_public();
    let encryption_key = public.to_json();
    let written = vault::write_new(&private_key, key.to_json().expose_bytes());
    written.map_err(|cause| unwritable(&private_key, cause))?;
    write_public(&public_key, &encryption_key).map_err(|cause| unwritable(&public_key, cause))?;
    let thumbprint = public.thumbprint();
    Ok(Made { kid, kind: kind.name(), thumbprint, private_key, public_key, encryption_key })
}

/// The minute in UTC, `YYYYMMDDhhmm`.
fn minute_of(now: UnixTime) -> String {
    let seconds = i64::try_from(now.0).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M").to_string()
}

/// Everybody may read it, whatever the umask is.
fn write_public(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    vault::write_new(path, text.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(PUBLIC_MODE))
}

fn unwritable(path: &Path, cause: io::Error) -> GenkeyError {
    let path = path.display().to_string();
    if cause.kind() == io::ErrorKind::AlreadyExists {
        GenkeyError::Exists(path)
    } else {
        GenkeyError::Unwritable { path, cause }
    }
}

/// OATH-LDAP's tools name keys so.
const PREFIX: &str = "oathldap_primary_key_";
const PUBLIC_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use countersign_core::jose::jwk::PublicJwk;

    use super::*;
    use crate::vault::keys::SiteKeys;

    /// 2026-11-24 11:56:33 UTC.
    const NOW: UnixTime = UnixTime(1_795_521_393);

    #[test]
    fn the_files_are_named_by_the_minute_and_are_a_pair() {
        let dir = tempfile::tempdir().unwrap();
        for (name, kind) in [("rsa-2048", NewKey::Rsa2048), ("p256", NewKey::P256)] {
            let dir = dir.path().join(name);
            fs::create_dir(&dir).unwrap();
            let made = make(&dir, kind, NOW).unwrap();
            assert_eq!((made.kid.as_str(), made.kind), ("oathldap_primary_key_202611241156", name));
            let public = fs::read_to_string(dir.join(format!("{}.pub", made.kid))).unwrap();
            assert_eq!(public, made.encryption_key);
            let keys = SiteKeys::load(&[dir.join("*.priv")]).unwrap();
            let public = PublicJwk::parse(&public).unwrap();
            assert_eq!((keys.newest(), made.thumbprint), (Some(&public), public.thumbprint()));
        }
    }

    #[test]
    fn the_private_key_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path(), NewKey::P384, NOW).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&made.private_key), mode(&made.public_key)), (0o600, 0o644));
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path(), NewKey::P256, NOW).unwrap();
        for (kept, removed) in
            [(&made.private_key, &made.public_key), (&made.public_key, &made.private_key)]
        {
            let before = fs::read(kept).unwrap();
            let content = fs::read(removed).unwrap();
            fs::remove_file(removed).unwrap();
            let error = make(dir.path(), NewKey::P256, NOW).unwrap_err().to_string();
            assert!(error.contains(&kept.display().to_string()), "{error}");
            assert_eq!(fs::read(kept).unwrap(), before);
            assert!(!removed.exists());
            fs::write(removed, content).unwrap();
        }
        assert!(make(dir.path(), NewKey::P256, UnixTime(NOW.0 + 60)).is_ok());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = make(Path::new("/nonexistent"), NewKey::P256, NOW).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/oathldap_primary_key_"), "{error}");
    }
}
