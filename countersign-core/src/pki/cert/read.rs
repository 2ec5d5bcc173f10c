//! Certificates as they are read, and what certificates and lists have in common.

use std::time::Duration;

use const_oid::AssociatedOid;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use der::{
    AnyRef, DateTime, Decode, Sequence,
    asn1::{BitString, ObjectIdentifier},
    pem::{self, LineEnding},
};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    ext::pkix::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
        name::GeneralName,
    },
    name::Name,
    serial_number::SerialNumber,
    time::Time,
};

use super::{CertificateError, key_identifier};
use crate::{
    pki::algorithm::{Digest, Verify, der_octets, digest_of},
    time::UnixTime,
};

/// A certificate as it was read, with its octets.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: Vec<u8>,
    to_be_signed: Vec<u8>,
    public_key: Vec<u8>,
    read: x509_cert::Certificate,
}

/// A serial number: positive, 20 octets at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial(SerialNumber);

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    ///
    /// It is none, or more follows it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let read = x509_cert::Certificate::from_der(der).map_err(CertificateError::Malformed)?;
        let parts = Signed::from_der(der).map_err(CertificateError::Malformed)?;
        Ok(Self {
            der: der.to_vec(),
            to_be_signed: der_octets(&parts.to_be_signed),
            public_key: der_octets(read.tbs_certificate().subject_public_key_info()),
            read,
        })
    }

    /// Reads a PEM certificate.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let (label, der) = pem::decode_vec(pem.as_bytes())
            .map_err(|cause| CertificateError::Malformed(cause.into()))?;
        if label != PEM_LABEL {
            return Err(CertificateError::Label(label.to_owned()));
        }
        Self::from_der(&der)
    }

    /// The octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode_string(PEM_LABEL, LineEnding::LF, &self.der).expect("octets become PEM")
    }

    /// The public key, a DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &Name {
        self.read.tbs_certificate().subject()
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        self.read.tbs_certificate().issuer()
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> Serial {
        Serial(self.read.tbs_certificate().serial_number().clone())
    }

    /// The first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        unix_time(self.read.tbs_certificate().validity().not_before)
    }

    /// The last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        unix_time(self.read.tbs_certificate().validity().not_after)
    }

    /// Whether it is valid at this time.
    #[must_use]
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        (self.not_before()..=self.not_after()).contains(&now)
    }

    /// The value of an extension; `None` if it is absent, there twice, or malformed.
    #[must_use]
    pub fn extension<'a, T: Decode<'a> + AssociatedOid>(&'a self) -> Option<T> {
        self.read.tbs_certificate().get_extension().ok().flatten().map(|(_, value)| value)
    }

    /// The octets of an extension that the library does not know.
    #[must_use]
    pub fn extension_octets(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        let all = self.read.tbs_certificate().extensions()?;
        all.iter()
            .find(|extension| extension.extn_id == id)
            .map(|found| found.extn_value.as_bytes())
    }

    /// The extended key usages; empty if there are none.
    #[must_use]
    pub fn extended_key_usage(&self) -> Vec<ObjectIdentifier> {
        self.extension::<ExtendedKeyUsage>().map(|usages| usages.0).unwrap_or_default()
    }

    /// The subject alternative names; empty if there are none.
    #[must_use]
    pub fn alternative_names(&self) -> Vec<GeneralName> {
        self.extension::<SubjectAltName>().map(|names| names.0).unwrap_or_default()
    }

    /// The DNS names among the alternative names.
    #[must_use]
    pub fn dns_names(&self) -> Vec<String> {
        let names = self.alternative_names().into_iter();
        #[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, one kind is DNS")]
        let dns = names.filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            _ => None,
        });
        dns.collect()
    }

    /// Whether `issuer` is a CA of that name and signed this certificate.
    ///
    /// Without a key usage it may sign; with one that cannot be read, or with two, it may not.
    #[must_use]
    pub fn is_issued_by(&self, issuer: &Self, verify: &dyn Verify) -> bool {
        let is_ca = issuer.extension::<BasicConstraints>().is_some_and(|basic| basic.ca);
        let usage = issuer.read.tbs_certificate().get_extension::<KeyUsage>();
        let may_sign =
            usage.is_ok_and(|usage| usage.is_none_or(|(_, usage)| usage.key_cert_sign()));
        if !is_ca || !may_sign || self.issuer() != issuer.subject() {
            return false;
        }
        let Some(digest) = self.signature_digest() else { return false };
        let Some(signature) = self.read.signature().as_bytes() else { return false };
        verify.verify(issuer.public_key(), digest, &self.to_be_signed, signature)
    }

    /// The digest it is signed over; `None` if the two places that name it disagree.
    fn signature_digest(&self) -> Option<Digest> {
        let outer = self.read.signature_algorithm();
        if outer != self.read.tbs_certificate().signature() {
            return None;
        }
        digest_of(outer.oid)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl Serial {
    /// From 16 octets drawn at random; 127 bits of them are used.
    ///
    /// # Errors
    ///
    /// They are all zero.
    pub fn from_random(mut octets: [u8; 16]) -> Result<Self, CertificateError> {
        octets[0] &= 0x7f;
        Self::from_octets(&octets)
    }

    /// From the octets of a positive number.
    ///
    /// # Errors
    ///
    /// Zero, or longer than 20 octets.
    pub fn from_octets(octets: &[u8]) -> Result<Self, CertificateError> {
        if octets.iter().all(|octet| *octet == 0) {
            return Err(CertificateError::Serial);
        }
        SerialNumber::new(octets).map(Self).map_err(|_| CertificateError::Serial)
    }

    /// From the form that certificate records have.
    ///
    /// # Errors
    ///
    /// No lower-case hexadecimal number, or one that is not a serial number.
    pub fn from_hex(hex: &str) -> Result<Self, CertificateError> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b':').collect();
        let octets = HEXLOWER_PERMISSIVE.decode(&digits).map_err(|_| CertificateError::Serial)?;
        Self::from_octets(&octets)
    }

    /// Lower-case hexadecimal, whole octets, no sign octet.
    #[must_use]
    pub fn to_hex(&self) -> String {
        let octets = self.0.as_bytes();
        HEXLOWER.encode(octets.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(octets))
    }

    /// As the library has it.
    pub(crate) fn number(&self) -> &SerialNumber {
        &self.0
    }
}

/// The key identifier that a certificate gives itself, or else the one of its key.
pub(crate) fn subject_key_id(certificate: &Certificate) -> Option<Vec<u8>> {
    match certificate.extension::<SubjectKeyIdentifier>() {
        Some(id) => Some(id.0.into_bytes().into_vec()),
        None => key_identifier(certificate.public_key()),
    }
}

/// A certificate or a list: what was signed, the algorithm, the signature (RFC 5280 §4.1, §5.1).
pub(crate) fn signed(
    to_be_signed: &[u8],
    algorithm: AlgorithmIdentifierOwned,
    signature: &[u8],
) -> Vec<u8> {
    let to_be_signed = AnyRef::try_from(to_be_signed).expect("it was encoded by us");
    let signature = BitString::from_bytes(signature).expect("a signature is short");
    der_octets(&Signed { to_be_signed, algorithm, signature })
}

/// A time of certificates and lists: UTCTime until 2049, then GeneralizedTime (RFC 5280 §4.1.2.5).
pub(crate) fn x509_time(time: UnixTime) -> Result<Time, CertificateError> {
    DateTime::from_unix_duration(Duration::from_secs(time.0))
        .map(Time::from)
        .map_err(|_| CertificateError::Time(time.0))
}

/// The same in seconds since the epoch.
pub(crate) fn unix_time(time: Time) -> UnixTime {
    UnixTime(time.to_unix_duration().as_secs())
}

/// The SIGNED macro of X.509.
#[derive(Sequence)]
struct Signed<'a> {
    to_be_signed: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

const PEM_LABEL: &str = "CERTIFICATE";
