//! Certificates (RFC 5280): read, prepared, linted, completed. The key signs elsewhere.
//!
//! [`prepare`] makes what is to be signed from a [`Profile`], a [`Subject`] and a
//! public key; only what passes every lint becomes [`Prepared`].

use std::{net::IpAddr, ops::RangeInclusive};

use der::{
    Any, Decode, Sequence,
    asn1::{ObjectIdentifier, OctetString, SetOfVec},
};
use sha1::{Digest as _, Sha1};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::{
    attr::AttributeTypeAndValue,
    ext::{
        Extension,
        pkix::{AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, name::GeneralName},
    },
    name::Name,
    serial_number::SerialNumber,
    time::Validity,
};

use super::{
    algorithm::{Digest, KeyKind, der_octets, signature_algorithm},
    csr::KeySize,
    extension::{self, ExtensionError, Principal, Sid, extension},
    lint, oid,
    profile::{Kind, Profile},
};
use crate::time::UnixTime;

pub use self::read::{Certificate, Serial};
pub(crate) use self::read::{signed, subject_key_id, unix_time, x509_time};

mod read;

/// Who a certificate is for. Names come from what the CA knows, never from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account, for [`Kind::Logon`].
    Account {
        /// The distinguished name in the directory, or a common name.
        name: Name,
        /// The user principal name.
        upn: String,
        /// The Kerberos principal.
        principal: Option<Principal>,
        /// The security identifier.
        sid: Option<Sid>,
    },
    /// A host, for [`Kind::Signing`], [`Kind::Server`] and [`Kind::Machine`].
    Host {
        /// The distinguished name; empty is usual.
        name: Name,
        /// DNS names.
        dns: Vec<String>,
        /// IP addresses.
        ip: Vec<IpAddr>,
    },
    /// A KDC, for [`Kind::Kdc`].
    Kdc {
        /// DNS names of the host, and of the domain for Windows clients.
        dns: Vec<String>,
        /// The realm it serves.
        realm: String,
    },
    /// A certificate authority, for [`Kind::Ca`].
    Authority {
        /// Its name.
        name: Name,
    },
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct Issuer {
    pub(crate) name: Name,
    pub(crate) key_id: Vec<u8>,
    /// The validity of the issuer's own certificate; `None` for a self-signed one.
    pub(crate) validity: Option<(UnixTime, UnixTime)>,
    pub(crate) digest: Digest,
    pub(crate) algorithm: AlgorithmIdentifierOwned,
}

/// A linted certificate that waits for its signature.
#[derive(Debug, Clone)]
#[must_use = "it is no certificate before it is signed"]
pub struct Prepared {
    to_be_signed: Vec<u8>,
    validity: (UnixTime, UnixTime),
    algorithm: AlgorithmIdentifierOwned,
    digest: Digest,
}

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Bytes: this is no certificate.
    #[error("not a certificate: {0}")]
    Malformed(der::Error),
    /// Operator: a PEM file with something else in it.
    #[error("the PEM block holds \"{0}\" where \"CERTIFICATE\" is wanted")]
    Label(String),
    /// Peer: the public key cannot be used.
    #[error("the public key is none of RSA (2048 to 8192 bits), P-256, P-384")]
    Key,
    /// Caller: the profile is for another kind of subject.
    #[error("the {0} profile is not for this kind of subject")]
    WrongSubject(Kind),
    /// Caller: a serial number that certificates cannot carry.
    #[error("a serial number is positive and has 20 octets at most")]
    Serial,
    /// Operator: a name that certificates cannot carry.
    #[error(transparent)]
    Name(#[from] ExtensionError),
    /// Operator or us: the certificate breaks rules. Nothing was signed.
    #[error("the certificate was not signed, because it breaks: {}", .0.join(", "))]
    Lint(Vec<&'static str>),
    /// Us: the time lies beyond what a certificate can say.
    #[error("the time {0} cannot be written in a certificate")]
    Time(u64),
}

/// Makes what is to be signed, and lints it.
///
/// The certificate begins `backdate` before `now` and ends `validity` after it,
/// and never lies outside the validity of the issuer. `spki` is a DER
/// SubjectPublicKeyInfo.
///
/// # Errors
///
/// The key or a name cannot be used, or the result breaks a lint.
pub fn prepare(
    profile: &Profile,
    subject: &Subject,
    spki: &[u8],
    issuer: &Issuer,
    serial: &Serial,
    now: UnixTime,
) -> Result<Prepared, CertificateError> {
    let tbs = to_be_signed(profile, subject, spki, issuer, serial, now)?;
    let prepared = Prepared {
        to_be_signed: der_octets(&tbs),
        validity: (unix_time(tbs.validity.not_before), unix_time(tbs.validity.not_after)),
        algorithm: issuer.algorithm.clone(),
        digest: issuer.digest,
    };
    let broken = lint::check(&prepared.to_be_signed, &prepared.algorithm, profile, issuer);
    if broken.is_empty() { Ok(prepared) } else { Err(CertificateError::Lint(broken)) }
}

impl Prepared {
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

    /// The first and the last second of validity.
    #[must_use]
    pub fn validity(&self) -> (UnixTime, UnixTime) {
        self.validity
    }

    /// Puts the signature under it.
    ///
    /// # Errors
    ///
    /// The result cannot be read back, which is a defect.
    pub fn complete(self, signature: &[u8]) -> Result<Certificate, CertificateError> {
        Certificate::from_der(&signed(&self.to_be_signed, self.algorithm, signature))
    }
}

impl Subject {
    /// The subject and the alternative names, if the subject is one for this kind of profile.
    fn names(&self, kind: Kind) -> Result<(Name, Vec<GeneralName>), CertificateError> {
        match (kind, self) {
            (Kind::Logon, Self::Account { name, upn, principal, sid }) => {
                let upn = Some(extension::upn(upn));
                let principal = principal.as_ref().map(Principal::to_name);
                let sid = sid.as_ref().map(Sid::to_uri);
                Ok((name.clone(), [upn, principal, sid].into_iter().flatten().collect()))
            }
            (Kind::Signing | Kind::Server | Kind::Machine, Self::Host { name, dns, ip }) => {
                let dns = dns.iter().map(|name| extension::dns(name));
                let ip = ip.iter().map(|address| Ok(extension::ip(*address)));
                Ok((name.clone(), dns.chain(ip).collect::<Result<_, _>>()?))
            }
            (Kind::Kdc, Self::Kdc { dns, realm }) => {
                let dns = dns.iter().map(|name| extension::dns(name));
                let principal = std::iter::once(Ok(Principal::kdc(realm).to_name()));
                Ok((Name::default(), dns.chain(principal).collect::<Result<_, _>>()?))
            }
            (Kind::Ca, Self::Authority { name }) => Ok((name.clone(), Vec::new())),
            (
                kind,
                Self::Account { .. }
                | Self::Host { .. }
                | Self::Kdc { .. }
                | Self::Authority { .. },
            ) => Err(CertificateError::WrongSubject(kind)),
        }
    }

    fn sid(&self) -> Option<&Sid> {
        match self {
            Self::Account { sid, .. } => sid.as_ref(),
            Self::Host { .. } | Self::Kdc { .. } | Self::Authority { .. } => None,
        }
    }
}

impl Issuer {
    /// The CA with this certificate and a key of this kind.
    ///
    /// # Errors
    ///
    /// The public key in the certificate cannot be used.
    pub fn new(certificate: &Certificate) -> Result<Self, CertificateError> {
        let key = key_kind(certificate.public_key()).ok_or(CertificateError::Key)?;
        Ok(Self {
            name: certificate.subject().clone(),
            key_id: subject_key_id(certificate).ok_or(CertificateError::Key)?,
            validity: Some((certificate.not_before(), certificate.not_after())),
            digest: natural_digest(key),
            algorithm: signature_algorithm(key, natural_digest(key)),
        })
    }

    /// A CA that signs its own certificate.
    ///
    /// # Errors
    ///
    /// The public key cannot be used.
    pub fn itself(name: Name, spki: &[u8]) -> Result<Self, CertificateError> {
        let key = key_kind(spki).ok_or(CertificateError::Key)?;
        Ok(Self {
            name,
            key_id: key_identifier(spki).ok_or(CertificateError::Key)?,
            validity: None,
            digest: natural_digest(key),
            algorithm: signature_algorithm(key, natural_digest(key)),
        })
    }
}

/// The name that consists of one common name.
#[must_use]
pub fn common_name(text: &str) -> Name {
    let value = Any::new(der::Tag::Utf8String, text.as_bytes()).expect("a name is short");
    one_attribute(oid::COMMON_NAME, value)
}

/// The name that consists of one attribute.
pub(crate) fn one_attribute(oid: ObjectIdentifier, value: Any) -> Name {
    let mut attributes = SetOfVec::new();
    attributes.insert(AttributeTypeAndValue { oid, value }).expect("the set was empty");
    Name::from_der(&der_octets(&vec![attributes])).expect("a sequence of sets is a name")
}

/// What kind of key a DER SubjectPublicKeyInfo holds, if it is one that we sign for.
#[must_use]
pub fn key_kind(spki: &[u8]) -> Option<KeyKind> {
    let info = SubjectPublicKeyInfoOwned::from_der(spki).ok()?;
    let KeySize { kind, bits } = KeySize::of(&info)?;
    (kind != KeyKind::Rsa || RSA_BITS.contains(&bits)).then_some(kind)
}

/// The digest that goes with a kind of key.
#[must_use]
pub fn natural_digest(key: KeyKind) -> Digest {
    match key {
        KeyKind::Rsa | KeyKind::P256 => Digest::Sha256,
        KeyKind::P384 => Digest::Sha384,
    }
}

/// SHA-1 of the public key, by which it is named (RFC 5280 §4.2.1.2, method 1).
pub(crate) fn key_identifier(spki: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    Some(Sha1::digest(info.subject_public_key.as_bytes()?).to_vec())
}

/// The certificate as it would be signed, before the lints have seen it.
pub(super) fn to_be_signed(
    profile: &Profile,
    subject: &Subject,
    spki: &[u8],
    issuer: &Issuer,
    serial: &Serial,
    now: UnixTime,
) -> Result<TbsCertificate, CertificateError> {
    let key_id = key_identifier(spki).ok_or(CertificateError::Key)?;
    let (name, alternative) = subject.names(profile.kind())?;
    Ok(TbsCertificate {
        version: VERSION_3,
        serial_number: serial.number().clone(),
        signature: issuer.algorithm.clone(),
        issuer: issuer.name.clone(),
        validity: validity(profile, issuer, now)?,
        extensions: extensions(profile, subject, &key_id, issuer, &name, &alternative),
        subject: name,
        subject_public_key_info: Any::from_der(spki).map_err(CertificateError::Malformed)?,
    })
}

fn validity(
    profile: &Profile,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<Validity, CertificateError> {
    let mut begin = now.minus(profile.backdate().as_seconds());
    let mut end = now.plus(profile.validity().as_seconds());
    if let Some((first, last)) = issuer.validity {
        begin = begin.max(first);
        end = end.min(last);
    }
    Ok(Validity::new(x509_time(begin)?, x509_time(end)?))
}

fn extensions(
    profile: &Profile,
    subject: &Subject,
    key_id: &[u8],
    issuer: &Issuer,
    name: &Name,
    alternative: &[GeneralName],
) -> Vec<Extension> {
    let mut all = Vec::new();
    if profile.kind() == Kind::Ca {
        let basic = BasicConstraints { ca: true, path_len_constraint: Some(0) };
        all.push(extension(oid::BASIC_CONSTRAINTS, true, &basic));
    }
    all.push(extension(oid::KEY_USAGE, true, &profile.key_usage()));
    let usages = ExtendedKeyUsage(profile.extended_key_usage().to_vec());
    if !usages.0.is_empty() {
        all.push(extension(oid::EXTENDED_KEY_USAGE, false, &usages));
    }
    if !alternative.is_empty() {
        all.push(extension::subject_alt_name(alternative, name.is_empty()));
    }
    all.push(extension(oid::SUBJECT_KEY_IDENTIFIER, false, &octet_string(key_id)));
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(octet_string(&issuer.key_id)),
        ..AuthorityKeyIdentifier::default()
    };
    all.push(extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &authority));
    all.extend(subject.sid().map(Sid::to_extension));
    all.extend(profile.further_extensions());
    all
}

pub(crate) fn octet_string(octets: &[u8]) -> OctetString {
    OctetString::new(octets).expect("an identifier or a digest is short")
}

/// `TBSCertificate` (RFC 5280 §4.1) of version 3, without unique identifiers.
#[derive(Clone, Sequence)]
pub(super) struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) version: u8,
    pub(super) serial_number: SerialNumber,
    pub(super) signature: AlgorithmIdentifierOwned,
    pub(super) issuer: Name,
    pub(super) validity: Validity,
    pub(super) subject: Name,
    pub(super) subject_public_key_info: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    pub(super) extensions: Vec<Extension>,
}

/// The RSA keys that certificates are made for.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Version 3, counted from 0.
const VERSION_3: u8 = 2;

#[cfg(test)]
mod tests {
    use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

    use super::*;
    use crate::pki::testing::{
        NOW, ToyKey, account, authority, host, logon, other_p256, p256, profile, rsa_1024,
        rsa_2048, serial,
    };

    #[test]
    fn logon_certificate_says_what_the_account_says() {
        let (ca, key) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let prepared =
            prepare(&logon(), &account(), &other_p256(), &issuer, &serial(1), NOW).unwrap();
        assert_eq!(prepared.digest(), Digest::Sha256);
        let signature = key.sign(prepared.to_be_signed());
        let certificate = prepared.complete(&signature).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=User 1,CN=Users,DC=example");
        assert_eq!(certificate.not_before(), NOW.minus(600));
        assert_eq!(certificate.not_after(), NOW.plus(3600));
        assert!(certificate.is_issued_by(&ca, &ToyKey::verifier()));
        let usages = [oid::SMART_CARD_LOGON, oid::CLIENT_AUTH, oid::PKINIT_CLIENT];
        assert_eq!(certificate.extended_key_usage(), usages);
        let sid = certificate.extension_octets(oid::SID_EXTENSION).unwrap();
        assert_eq!(Sid::from_extension(sid).unwrap().as_str(), "S-1-5-21-1-2-3-1001");
        assert_eq!(certificate.alternative_names().len(), 3);
    }

    #[test]
    fn certificate_never_outlives_its_issuer() {
        let (ca, _) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let late = ca.not_after().minus(60);
        let tbs = to_be_signed(&logon(), &account(), &p256(), &issuer, &serial(1), late).unwrap();
        assert_eq!(unix_time(tbs.validity.not_after), ca.not_after());
        let gone = ca.not_after().plus(3600);
        let result = prepare(&logon(), &account(), &p256(), &issuer, &serial(1), gone);
        assert!(matches!(result, Err(CertificateError::Lint(_))), "{result:?}");
    }

    #[test]
    fn subject_must_be_of_the_profiles_kind() {
        let (ca, _) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let server = profile(Kind::Server);
        let result = prepare(&server, &account(), &p256(), &issuer, &serial(1), NOW);
        assert!(matches!(result, Err(CertificateError::WrongSubject(Kind::Server))));
    }

    #[test]
    fn every_kind_can_be_made() {
        let (ca, _) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let host = Subject::Host {
            name: Name::default(),
            dns: vec!["ra.example".into()],
            ip: vec!["127.0.0.1".parse().unwrap()],
        };
        for kind in [Kind::Signing, Kind::Server, Kind::Machine] {
            let made = prepare(&profile(kind), &host, &rsa_2048(), &issuer, &serial(1), NOW);
            assert!(made.is_ok(), "{kind}: {made:?}");
        }
        let kdc = Subject::Kdc { dns: vec!["kdc.example".into()], realm: "EXAMPLE".into() };
        let made = prepare(&profile(Kind::Kdc), &kdc, &p256(), &issuer, &serial(1), NOW);
        assert!(made.is_ok(), "{made:?}");
    }

    #[test]
    fn certificate_of_another_ca_of_the_same_name_is_not_ours() {
        let (ca, key) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let prepared = prepare(&logon(), &account(), &p256(), &issuer, &serial(1), NOW).unwrap();
        let mut signature = key.sign(prepared.to_be_signed());
        signature[0] ^= 1;
        let certificate = prepared.complete(&signature).unwrap();
        assert!(!certificate.is_issued_by(&ca, &ToyKey::verifier()));
    }

    /// Name and signature are right, but a leaf is no CA, and a CA without the usage may not sign.
    #[test]
    fn leaf_that_is_called_like_the_ca_issues_nothing() {
        let (ca, _) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let child = host(Kind::Server, 2, other_p256(), &authority()).0;
        assert!(child.is_issued_by(&ca, &ToyKey::verifier()));
        let altered = |change: &dyn Fn(&mut TbsCertificate)| {
            let subject = Subject::Authority { name: common_name("Example CA") };
            let ca = profile(Kind::Ca);
            let mut tbs = to_be_signed(&ca, &subject, &p256(), &issuer, &serial(9), NOW).unwrap();
            change(&mut tbs);
            Certificate::from_der(&signed(&der_octets(&tbs), issuer.algorithm.clone(), b""))
                .unwrap()
        };
        assert!(child.is_issued_by(&altered(&|_| ()), &ToyKey::verifier()));
        let leaf = altered(&|tbs| {
            tbs.extensions.retain(|extension| extension.extn_id != oid::BASIC_CONSTRAINTS);
        });
        assert!(!child.is_issued_by(&leaf, &ToyKey::verifier()));
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        let without_usage = altered(&|tbs| {
            tbs.extensions.retain(|extension| extension.extn_id != oid::KEY_USAGE);
            tbs.extensions.push(extension(oid::KEY_USAGE, true, &usage));
        });
        assert!(!child.is_issued_by(&without_usage, &ToyKey::verifier()));
        for id in [oid::KEY_USAGE, oid::BASIC_CONSTRAINTS] {
            let doubled = altered(&|tbs| {
                let again = tbs.extensions.iter().find(|extension| extension.extn_id == id);
                let again = again.unwrap().clone();
                tbs.extensions.push(again);
            });
            assert!(!child.is_issued_by(&doubled, &ToyKey::verifier()), "{id} stands twice");
            let malformed = altered(&|tbs| {
                tbs.extensions.retain(|extension| extension.extn_id != id);
                tbs.extensions.push(extension(id, true, &7));
            });
            assert!(!child.is_issued_by(&malformed, &ToyKey::verifier()), "{id} is no such thing");
        }
        let no_usage = altered(&|tbs| {
            tbs.extensions.retain(|extension| extension.extn_id != oid::KEY_USAGE);
        });
        assert!(child.is_issued_by(&no_usage, &ToyKey::verifier()));
    }

    #[test]
    fn keys_that_are_too_short_or_strange_are_refused() {
        assert_eq!(key_kind(&rsa_2048()), Some(KeyKind::Rsa));
        assert_eq!(key_kind(&p256()), Some(KeyKind::P256));
        assert_eq!(key_kind(&rsa_1024()), None);
        assert_eq!(key_kind(b""), None);
        let (ca, _) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let result = prepare(&logon(), &account(), &rsa_1024(), &issuer, &serial(1), NOW);
        let Err(CertificateError::Lint(broken)) = result else { panic!("{result:?}") };
        assert_eq!(broken, ["public-key-usable"]);
    }

    #[test]
    fn serial_numbers_are_positive_and_short() {
        assert!(Serial::from_random([0; 16]).is_err());
        let serial = Serial::from_random([0xff; 16]).unwrap();
        assert_eq!(serial.to_hex(), "7fffffffffffffffffffffffffffffff");
        assert_eq!(Serial::from_hex(&serial.to_hex()).unwrap(), serial);
        assert_eq!(Serial::from_octets(&[0x80]).unwrap().to_hex(), "80");
        assert!(Serial::from_octets(&[0x7f; 21]).is_err());
        assert!(Serial::from_octets(&[0xff; 20]).is_err());
        assert_eq!(Serial::from_hex("0A:FF").unwrap(), Serial::from_hex("0aff").unwrap());
        assert!(Serial::from_hex("-1").is_err());
    }

    #[test]
    fn pem_is_read_back() {
        let (ca, _) = authority();
        let pem = ca.to_pem();
        assert_eq!(Certificate::from_pem(&pem).unwrap(), ca);
        assert!(matches!(
            Certificate::from_pem(&pem.replace("CERTIFICATE", "PRIVATE KEY")),
            Err(CertificateError::Label(_))
        ));
    }

    #[test]
    fn refuses_trailing_octets_and_truncation() {
        let (ca, _) = authority();
        let longer = [ca.der(), b"\0"].concat();
        assert!(Certificate::from_der(&longer).is_err());
        for length in 0..ca.der().len() {
            assert!(Certificate::from_der(&ca.der()[..length]).is_err(), "{length}");
        }
    }
}
