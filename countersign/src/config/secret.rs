//! Secrets in the config: in the file itself, or in a file of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign_core::secret::Secret;
use serde::{Deserialize, Deserializer};

use super::{Wrong, wrong};

/// The secret itself, or the first line of its file.
pub(super) fn shared_secret(
    key: &str,
    inline: Option<Secret<String>>,
    file: Option<PathBuf>,
    base: &Path,
) -> Result<Secret<Vec<u8>>, Wrong> {
    either_secret(key, "secret", inline, file, base).map(|secret| octets(&secret))
}

/// What is given as `name`, or as the first line of the file that `name-file` is.
pub(super) fn either_secret(
    key: &str,
    name: &str,
    inline: Option<Secret<String>>,
    file: Option<PathBuf>,
    base: &Path,
) -> Result<Secret<String>, Wrong> {
    let secret = match (inline, file) {
        (Some(secret), None) => secret,
        (None, Some(file)) => first_line(&format!("{key}.{name}-file"), &base.join(file))?,
        _ => return wrong(key, format!("give exactly one of {name} and {name}-file")),
    };
    if secret.expose().is_empty() {
        return wrong(key, format!("the {name} is empty"));
    }
    Ok(secret)
}

/// The first line of a file.
pub(super) fn first_line(key: &str, path: &Path) -> Result<Secret<String>, Wrong> {
    let read = fs::read_to_string(path).map(Secret::new);
    let text = read.or_else(|cause| wrong(key, format!("{}: {cause}", path.display())))?;
    Ok(Secret::new(text.expose().lines().next().unwrap_or_default().to_owned()))
}

pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret<String>>, D::Error> {
    some_secret(deserializer).map(Some)
}

pub(super) fn some_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Secret<String>, D::Error> {
    let wrong_type = |_| serde::de::Error::custom("a secret is a text in quotes");
    String::deserialize(deserializer).map(Secret::new).map_err(wrong_type)
}

/// As the bytes that go into a digest.
pub(super) fn octets(secret: &Secret<String>) -> Secret<Vec<u8>> {
    Secret::new(secret.expose().as_bytes().to_vec())
}
