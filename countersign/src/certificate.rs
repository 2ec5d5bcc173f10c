//! Certificates in PEM files: read, and the facts about them that matter.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use countersign_core::domain::time::UnixTime;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_cert::{
    Certificate,
    der::{Decode, Encode, asn1::ObjectIdentifier},
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName},
    time::Time,
};

/// What a certificate says, as far as operators ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The subject, RFC 4514; may be empty.
    pub subject: String,
    /// The issuer, RFC 4514.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// The extended key usages.
    pub usages: Vec<ObjectIdentifier>,
    /// dNSNames and iPAddresses of the subject alternative name, as text.
    pub hosts: Vec<String>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
}

/// A certificate file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("certificate {}: {cause}", file.display())]
pub struct CertificateError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub cause: String,
}

/// Reads all certificates of a PEM file, in their order; there is at least one.
///
/// # Errors
///
/// The file cannot be read or holds no certificate.
pub fn load(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let error = |cause: &dyn fmt::Display| CertificateError {
        file: path.to_owned(),
        cause: cause.to_string(),
    };
    let text = std::fs::read(path).map_err(|cause| error(&cause))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|cause| error(&cause))?;
    if certificates.is_empty() {
        return Err(error(&"it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// Writes certificates as PEM, replacing the file at once or not at all.
///
/// # Errors
///
/// The file cannot be written.
pub fn save<'a>(
    path: &Path,
    chain: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), CertificateError> {
    let text: String = chain.into_iter().map(pem).collect();
    replace(path, text.as_bytes())
        .map_err(|cause| CertificateError { file: path.to_owned(), cause: cause.to_string() })
}

/// A certificate as PEM (RFC 7468).
#[must_use]
pub fn pem(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
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

impl Facts {
    /// Reads a DER certificate; `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let usages = tbs.get_extension::<ExtendedKeyUsage>().ok()?;
        let names = tbs.get_extension::<SubjectAltName>().ok()?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        Some(Self {
            subject: tbs.subject().to_string(),
            issuer: tbs.issuer().to_string(),
            serial: data_encoding::HEXLOWER.encode(tbs.serial_number().as_bytes()),
            not_before: unix_time(&tbs.validity().not_before),
            not_after: unix_time(&tbs.validity().not_after),
            usages: usages.map(|(_, usages)| usages.0).unwrap_or_default(),
            hosts: names.iter().filter_map(host).collect(),
            public_key: tbs.subject_public_key_info().to_der().ok()?,
        })
    }

    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no certificate.
    pub fn of_file(path: &Path) -> Result<Self, CertificateError> {
        let chain = load(path)?;
        Self::read(&chain[0]).ok_or_else(|| CertificateError {
            file: path.to_owned(),
            cause: "it is not a certificate of RFC 5280".into(),
        })
    }
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

fn unix_time(time: &Time) -> UnixTime {
    UnixTime(time.to_unix_duration().as_secs())
}

fn host(name: &GeneralName) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only two of nine kinds are hosts")]
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            &[a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            octets => {
                let octets: [u8; 16] = octets.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(octets).to_string())
            }
        },
        _ => None,
    }
}
