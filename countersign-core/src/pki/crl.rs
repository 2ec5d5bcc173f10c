//! Certificate revocation lists (RFC 5280 §5): prepared, completed, read.

use der::{Decode, asn1::Uint};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    Version,
    crl::{CertificateList, RevokedCert, TbsCertList},
    ext::pkix::{AuthorityKeyIdentifier, CrlNumber},
};

use super::{
    algorithm::{Digest, Verify, der_octets, digest_of},
    cert::{
        Certificate, CertificateError, Issuer, Serial, octet_string, signed, unix_time, x509_time,
    },
    extension::extension,
    oid,
};
use crate::time::UnixTime;

/// A revocation list as it was read, with its octets.
#[derive(Debug, Clone)]
pub struct RevocationList {
    der: Vec<u8>,
    read: CertificateList,
}

/// A certificate that is revoked, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// When it was revoked.
    pub at: UnixTime,
}

/// A list that waits for its signature.
#[derive(Debug, Clone)]
#[must_use = "it is no revocation list before it is signed"]
pub struct PreparedList {
    to_be_signed: Vec<u8>,
    algorithm: AlgorithmIdentifierOwned,
    digest: Digest,
}

/// Makes a version 2 list that is valid from `this_update` to `next_update`.
///
/// `number` must grow from list to list (RFC 5280 §5.2.3).
///
/// # Errors
///
/// A time lies beyond what a list can say.
pub fn prepare(
    issuer: &Issuer,
    number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
    revoked: &[Revoked],
) -> Result<PreparedList, CertificateError> {
    let entries = revoked.iter().map(|revoked| {
        Ok(RevokedCert {
            serial_number: revoked.serial.number().clone(),
            revocation_date: x509_time(revoked.at)?,
            crl_entry_extensions: None,
        })
    });
    let entries = entries.collect::<Result<Vec<_>, CertificateError>>()?;
    let list = TbsCertList::<x509_cert::certificate::Rfc5280> {
        version: Version::V2,
        signature: issuer.algorithm.clone(),
        issuer: issuer.name.clone(),
        this_update: x509_time(this_update)?,
        next_update: Some(x509_time(next_update)?),
        // RFC 5280 §5.1.2.6: an empty list must be absent.
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(vec![authority(issuer), crl_number(number)]),
    };
    let to_be_signed = der_octets(&list);
    Ok(PreparedList { to_be_signed, algorithm: issuer.algorithm.clone(), digest: issuer.digest })
}

impl PreparedList {
    /// The octets to sign.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The digest to sign over.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Puts the signature under it.
    ///
    /// # Errors
    ///
    /// The result cannot be read back, which is a defect.
    pub fn complete(self, signature: &[u8]) -> Result<RevocationList, CertificateError> {
        RevocationList::from_der(&signed(&self.to_be_signed, self.algorithm, signature))
    }
}

impl RevocationList {
    /// Reads a DER list.
    ///
    /// # Errors
    ///
    /// It is none, or more follows it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let read = CertificateList::from_der(der).map_err(CertificateError::Malformed)?;
        Ok(Self { der: der.to_vec(), read })
    }

    /// The octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> UnixTime {
        unix_time(self.read.tbs_cert_list.this_update)
    }

    /// When the next one will have been made; `None` if it does not say.
    #[must_use]
    pub fn next_update(&self) -> Option<UnixTime> {
        self.read.tbs_cert_list.next_update.map(unix_time)
    }

    /// Whether it names this serial number.
    #[must_use]
    pub fn revokes(&self, serial: &Serial) -> bool {
        let entries = self.read.tbs_cert_list.revoked_certificates.as_deref().unwrap_or_default();
        entries.iter().any(|entry| entry.serial_number == *serial.number())
    }

    /// Whether it is this CA's list.
    #[must_use]
    pub fn is_issued_by(&self, issuer: &Certificate, verify: &dyn Verify) -> bool {
        let list = &self.read.tbs_cert_list;
        if list.issuer != *issuer.subject() || list.signature != self.read.signature_algorithm {
            return false;
        }
        let Some(digest) = digest_of(list.signature.oid) else { return false };
        let Some(signature) = self.read.signature.as_bytes() else { return false };
        verify.verify(issuer.public_key(), digest, &der_octets(list), signature)
    }
}

fn authority(issuer: &Issuer) -> x509_cert::ext::Extension {
    let value = AuthorityKeyIdentifier {
        key_identifier: Some(octet_string(&issuer.key_id)),
        ..AuthorityKeyIdentifier::default()
    };
    extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &value)
}

fn crl_number(number: u64) -> x509_cert::ext::Extension {
    let number = Uint::new(&number.to_be_bytes()).expect("eight octets are a number");
    extension(oid::CRL_NUMBER, false, &CrlNumber(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{NOW, ToyKey, authority, authority_named, other_p256, serial};

    fn list(revoked: &[Revoked]) -> RevocationList {
        let (ca, key) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let prepared = prepare(&issuer, 300, NOW, NOW.plus(86400), revoked).unwrap();
        let signature = key.sign(prepared.to_be_signed());
        prepared.complete(&signature).unwrap()
    }

    #[test]
    fn names_the_revoked_and_nobody_else() {
        let list = list(&[Revoked { serial: serial(7), at: NOW.minus(60) }]);
        assert!(list.revokes(&serial(7)));
        assert!(!list.revokes(&serial(8)));
    }

    #[test]
    fn empty_list_has_no_empty_sequence() {
        let list = list(&[]);
        assert_eq!(list.read.tbs_cert_list.revoked_certificates, None);
        assert!(!list.revokes(&serial(7)));
    }

    #[test]
    fn says_when_the_next_one_comes_and_which_number_it_is() {
        let list = list(&[]);
        assert_eq!(list.this_update(), NOW);
        assert_eq!(list.next_update(), Some(NOW.plus(86400)));
        let extensions = list.read.tbs_cert_list.crl_extensions.as_ref().unwrap();
        let number = extensions.iter().find(|found| found.extn_id == oid::CRL_NUMBER).unwrap();
        assert_eq!(number.extn_value.as_bytes(), [2, 2, 1, 44]);
        assert_eq!(list.read.tbs_cert_list.version, Version::V2);
    }

    #[test]
    fn belongs_to_the_ca_that_signed_it() {
        let list = list(&[]);
        let (ca, _) = authority();
        assert!(list.is_issued_by(&ca, &ToyKey::verifier()));
        let (impostor, _) = authority_named("Example CA", other_p256());
        assert!(!list.is_issued_by(&impostor, &ToyKey::verifier()));
    }

    #[test]
    fn is_read_back_and_truncation_is_refused() {
        let list = list(&[Revoked { serial: serial(7), at: NOW }]);
        assert_eq!(RevocationList::from_der(list.der()).unwrap().der(), list.der());
        for length in 0..list.der().len() {
            assert!(RevocationList::from_der(&list.der()[..length]).is_err(), "{length}");
        }
    }
}
