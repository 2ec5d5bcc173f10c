//! Certificates in PEM files: read, and the facts about them that matter.

use std::{
    io,
    path::{Path, PathBuf},
};

use countersign_core::{domain::time::UnixTime, pki::cert::Certificate};
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// A certificate file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("certificate {}: {cause}", file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub cause: String,
}

/// Reads all certificates of a PEM file, in their order; there is at least one. Other
/// things in it, a key for instance, are passed over.
///
/// # Errors
///
/// The file cannot be read or holds something else.
pub fn load(path: &Path) -> Result<Vec<Certificate>, FileError> {
    let error = |cause: String| FileError { file: path.to_owned(), cause };
    let text = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let mut chain = Vec::new();
    for der in CertificateDer::pem_slice_iter(&text) {
        let der = der.map_err(|cause| error(cause.to_string()))?;
        chain.push(Certificate::from_der(&der).map_err(|cause| error(cause.to_string()))?);
    }
    if chain.is_empty() {
        return Err(error("it holds no certificate in PEM form".into()));
    }
    Ok(chain)
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
///
/// The file cannot be read or holds something else.
pub fn load_first(path: &Path) -> Result<Certificate, FileError> {
    Ok(load(path)?.swap_remove(0))
}

/// Certificates as the TLS library takes them.
#[must_use]
pub fn for_tls(chain: &[Certificate]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect()
}

/// Writes certificates as PEM, replacing the file at once or not at all.
///
/// # Errors
///
/// The file cannot be written.
pub fn save(path: &Path, chain: &[Certificate]) -> Result<(), FileError> {
    let text: String = chain.iter().map(Certificate::to_pem).collect();
    replace(path, text.as_bytes())
        .map_err(|cause| FileError { file: path.to_owned(), cause: cause.to_string() })
}

/// Replaces a file at once: written beside it, flushed, renamed.
///
/// # Errors
///
/// The file cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, content)?;
    file.as_file().sync_all()?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path)?;
    std::fs::File::open(directory)?.sync_all()
}

/// A moment for people: `2026-11-22 08:14:00 UTC`.
#[must_use]
pub fn readable(time: UnixTime) -> String {
    let timestamp = i64::try_from(time.0).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    match timestamp {
        Some(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        None => "the end of time".into(),
    }
}
