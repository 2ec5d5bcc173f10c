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
    let secret = match (inline, file) {
        (Some(secret), None) => secret,
        (None, Some(file)) => {
            let path = base.join(file);
            let read = fs::read_to_string(&path).map(Secret::new);
            let text = read.or_else(|cause| {
                wrong(format!("{key}.secret-file"), format!("{}: {cause}", path.display()))
            })?;
            Secret::new(text.expose().lines().next().unwrap_or_default().to_owned())
        }
        _ => return wrong(key, "give exactly one of secret and secret-file"),
    };
    if secret.expose().is_empty() {
        return wrong(key, "the shared secret is empty");
    }
    Ok(octets(&secret))
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
