//! Certificate requests, PKCS#10 (RFC 2986): read, checked, made.
//!
//! What is read keeps the exact octets, since those are what is signed and what
//! a registration authority passes on. Making one takes three steps: prepare the
//! octets, have them signed by whoever holds the key, complete.

use der::{
    Any, Decode, Reader, Sequence, SliceReader,
    asn1::{BitString, BmpString, ObjectIdentifier, SetOfVec, Uint},
};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::{
    attr::{Attribute, Attributes},
    ext::{
        Extension,
        pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, name::GeneralNames},
    },
    name::Name,
    request::{CertReq, CertReqInfo, Version},
};

use super::{
    algorithm::{self, Digest, KeyKind, Verify, der_octets},
    dn::{DistinguishedName, DnError},
    extension, oid,
};

/// A certificate request as it was received.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    der: Vec<u8>,
    signed: Vec<u8>,
    public_key: Vec<u8>,
    key: KeySize,
    info: CertReqInfo,
    extensions: Vec<Extension>,
    algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
}

/// The kind of a public key and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySize {
    /// The kind.
    pub kind: KeyKind,
    /// Bits of the modulus, or of the curve.
    pub bits: usize,
}

/// Why octets are no certificate request that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Longer than [`CertificateRequest::MAX_LENGTH`].
    #[error("the certificate request is longer than {max} octets", max = CertificateRequest::MAX_LENGTH)]
    TooLong,
    /// Not DER, not PKCS#10, or followed by something else.
    #[error("the certificate request is not a DER PKCS#10")]
    Malformed,
    /// Neither RSA nor on P-256 or P-384.
    #[error("the public key of the certificate request is neither RSA nor on P-256 or P-384")]
    UnknownKey,
    /// An attribute without a value or with several ([MS-WCCE] 3.1.1.4.3.1).
    #[error("the attribute {0} of the certificate request has not exactly one value")]
    NotOneValue(ObjectIdentifier),
    /// The extensions cannot be read, or one is there twice.
    #[error("the extensions of the certificate request cannot be read")]
    Extensions,
    /// Extensions are requested in both ways, and differ.
    #[error("the certificate request asks for extensions twice, and not for the same")]
    ExtensionsDisagree,
}

impl CertificateRequest {
    /// Octets of the longest request that is read.
    pub const MAX_LENGTH: usize = 16 * 1024;

    /// Reads a request. Its signature is not verified yet.
    ///
    /// # Errors
    ///
    /// It is too long, malformed, ambiguous, or has a key of another kind.
    pub fn read(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > Self::MAX_LENGTH {
            return Err(CsrError::TooLong);
        }
        let (signed, algorithm, signature) = split(der).map_err(|_| CsrError::Malformed)?;
        let info = CertReqInfo::from_der(signed).map_err(|_| CsrError::Malformed)?;
        let public_key = public_key_octets(signed).map_err(|_| CsrError::Malformed)?;
        let extensions = read_extensions(&info.attributes)?;
        Ok(Self {
            der: der.to_vec(),
            signed: signed.to_vec(),
            public_key: public_key.to_vec(),
            key: KeySize::of(&info.public_key).ok_or(CsrError::UnknownKey)?,
            info,
            extensions,
            algorithm,
            signature: signature.as_bytes().ok_or(CsrError::Malformed)?.to_vec(),
        })
    }

    /// The exact octets of the whole request.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject that it asks for; often empty.
    #[must_use]
    pub fn subject(&self) -> &Name {
        &self.info.subject
    }

    /// The public key, a DER SubjectPublicKeyInfo, as received.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The kind and the size of the public key.
    #[must_use]
    pub fn key(&self) -> KeySize {
        self.key
    }

    /// The attributes, each with exactly one value.
    pub fn attributes(&self) -> impl Iterator<Item = (ObjectIdentifier, &Any)> {
        let attributes = self.info.attributes.iter();
        attributes.filter_map(|attribute| Some((attribute.oid, attribute.values.get(0)?)))
    }

    /// The extensions that it asks for, none of them twice.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The value of an extension that it asks for.
    #[must_use]
    pub fn extension(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|extension| extension.extn_id == id);
        found.map(|extension| extension.extn_value.as_bytes())
    }

    /// The digest of its signature; `None` for algorithms that do not belong to
    /// its key, among them the null signature (RFC 5272).
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let digest = algorithm::digest_of(self.algorithm.oid)?;
        let expected = algorithm::signature_algorithm(self.key.kind, digest);
        (expected.oid == self.algorithm.oid).then_some(digest)
    }

    /// Whether the holder of its key signed exactly these octets (RFC 2986 §4.2).
    #[must_use]
    pub fn is_signed_by_its_key(&self, verify: &dyn Verify) -> bool {
        self.digest().is_some_and(|digest| {
            verify.verify(&self.public_key, digest, &self.signed, &self.signature)
        })
    }
}

impl KeySize {
    /// The kind and the size of a public key; `None` if it is of none of our kinds.
    #[must_use]
    pub fn of(public_key: &SubjectPublicKeyInfoOwned) -> Option<Self> {
        match public_key.algorithm.oid {
            oid::RSA_ENCRYPTION => {
                let octets = public_key.subject_public_key.as_bytes()?;
                let modulus = RsaPublicKey::from_der(octets).ok()?.modulus;
                let leading_zeros = modulus.as_bytes().first()?.leading_zeros();
                let bits = modulus.as_bytes().len() * 8 - usize::try_from(leading_zeros).ok()?;
                Some(Self { kind: KeyKind::Rsa, bits })
            }
            oid::EC_PUBLIC_KEY => {
                let curve: ObjectIdentifier =
                    public_key.algorithm.parameters.as_ref()?.decode_as().ok()?;
                match curve {
                    oid::CURVE_P256 => Some(Self { kind: KeyKind::P256, bits: 256 }),
                    oid::CURVE_P384 => Some(Self { kind: KeyKind::P384, bits: 384 }),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A request that waits for its signature.
#[derive(Debug)]
pub struct PreparedRequest {
    info: CertReqInfo,
    key: KeyKind,
    to_be_signed: Vec<u8>,
}

impl PreparedRequest {
    /// Prepares a request for a subject (or none), a DER SubjectPublicKeyInfo, and extensions.
    ///
    /// # Errors
    ///
    /// [`CsrError::UnknownKey`] for other keys, [`CsrError::Malformed`] for a
    /// subject that cannot be encoded.
    pub fn new(
        subject: &DistinguishedName,
        public_key: &[u8],
        extensions: &[Extension],
    ) -> Result<Self, CsrError> {
        let public_key = SubjectPublicKeyInfoOwned::from_der(public_key);
        let public_key = public_key.map_err(|_| CsrError::UnknownKey)?;
        let key = KeySize::of(&public_key).ok_or(CsrError::UnknownKey)?.kind;
        let subject = subject.to_name().map_err(|_: DnError| CsrError::Malformed)?;
        let attributes = extension_request(extensions).map_err(|_| CsrError::Extensions)?;
        let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
        let to_be_signed = der_octets(&info);
        Ok(Self { info, key, to_be_signed })
    }

    /// What the holder of the key signs.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The request as DER, with the signature over [`Self::to_be_signed`].
    #[must_use]
    pub fn complete(self, digest: Digest, signature: &[u8]) -> Vec<u8> {
        let signature = BitString::from_bytes(signature).expect("a signature is short");
        let algorithm = algorithm::signature_algorithm(self.key, digest);
        der_octets(&CertReq { info: self.info, algorithm, signature })
    }
}

/// What a request for a logon certificate asks for, beside its subject.
#[derive(Debug, Clone, Default)]
pub struct LogonExtensions {
    /// The user principal name.
    pub upn: Option<String>,
    /// The certificate template by its OID.
    pub template: Option<extension::Template>,
    /// The certificate template by its name, as version 1 templates are named.
    pub template_name: Option<String>,
}

impl LogonExtensions {
    /// The extensions: those given, smart card logon, and digital signature.
    ///
    /// # Errors
    ///
    /// [`CsrError::Extensions`] for a template name that no BMPString can hold.
    pub fn to_extensions(&self) -> Result<Vec<Extension>, CsrError> {
        let mut extensions = Vec::new();
        if let Some(template) = &self.template {
            extensions.push(template.to_extension());
        }
        if let Some(name) = &self.template_name {
            let name = BmpString::from_utf8(name).map_err(|_| CsrError::Extensions)?;
            extensions.push(extension::extension(oid::TEMPLATE_NAME, false, &name));
        }
        let usage = ExtendedKeyUsage(vec![oid::SMART_CARD_LOGON]);
        extensions.push(extension::extension(oid::EXTENDED_KEY_USAGE, false, &usage));
        let usage = KeyUsage(KeyUsages::DigitalSignature.into());
        extensions.push(extension::extension(oid::KEY_USAGE, true, &usage));
        extensions.push(extension::application_policies(&[oid::SMART_CARD_LOGON]));
        if let Some(upn) = &self.upn {
            let names: GeneralNames = vec![extension::upn(upn)];
            extensions.push(extension::extension(oid::SUBJECT_ALT_NAME, false, &names));
        }
        Ok(extensions)
    }
}

/// `RSAPublicKey` (RFC 8017 A.1.1).
#[derive(Sequence)]
struct RsaPublicKey {
    modulus: Uint,
    exponent: Uint,
}

/// The three parts of `CertificationRequest`: the first as it is, nothing behind the last.
fn split(der: &[u8]) -> der::Result<(&[u8], AlgorithmIdentifierOwned, BitString)> {
    let mut reader = SliceReader::new(der)?;
    let parts = reader.sequence(|parts: &mut SliceReader<'_>| {
        Ok::<_, der::Error>((parts.tlv_bytes()?, parts.decode()?, parts.decode()?))
    })?;
    reader.finish()?;
    Ok(parts)
}

/// The SubjectPublicKeyInfo inside `CertificationRequestInfo`, as it is.
fn public_key_octets(info: &[u8]) -> der::Result<&[u8]> {
    SliceReader::new(info)?.sequence(|parts: &mut SliceReader<'_>| {
        parts.tlv_bytes()?;
        parts.tlv_bytes()?;
        let public_key = parts.tlv_bytes()?;
        parts.tlv_bytes()?;
        Ok::<_, der::Error>(public_key)
    })
}

fn read_extensions(attributes: &Attributes) -> Result<Vec<Extension>, CsrError> {
    let mut found: Option<Vec<Extension>> = None;
    for attribute in attributes.iter() {
        let [value] = attribute.values.as_slice() else {
            return Err(CsrError::NotOneValue(attribute.oid));
        };
        if ![oid::EXTENSION_REQUEST, oid::CERT_EXTENSIONS].contains(&attribute.oid) {
            continue;
        }
        let read: Vec<Extension> = value.decode_as().map_err(|_| CsrError::Extensions)?;
        if found.as_ref().is_some_and(|earlier| *earlier != read) {
            return Err(CsrError::ExtensionsDisagree);
        }
        found = Some(read);
    }
    let found = found.unwrap_or_default();
    let mut ids: Vec<_> = found.iter().map(|extension| extension.extn_id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(CsrError::Extensions);
    }
    Ok(found)
}

fn extension_request(extensions: &[Extension]) -> der::Result<Attributes> {
    if extensions.is_empty() {
        return Ok(Attributes::default());
    }
    let value = Any::encode_from(&extensions.to_vec())?;
    let values = SetOfVec::try_from(vec![value])?;
    SetOfVec::try_from(vec![Attribute { oid: oid::EXTENSION_REQUEST, values }])
}

#[cfg(test)]
pub(crate) mod tests {
    use der::Encode;

    use super::*;
    use crate::{pki::extension::Template, wire::otpce::SignCertRequest};

    /// The request of [MS-OTPCE] §4.1: RSA 2048, SHA-1.
    pub(crate) fn accepted() -> Vec<u8> {
        let document = include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/otpce/accepted-request.xml"
        ));
        SignCertRequest::read(document).unwrap().cert_request.unwrap()
    }

    /// Believes signatures that equal the message's first octets.
    pub(crate) struct Believer;

    impl Verify for Believer {
        fn verify(&self, _: &[u8], _: Digest, message: &[u8], signature: &[u8]) -> bool {
            message.starts_with(signature)
        }
    }

    /// A P-256 key that exists only as a shape.
    pub(crate) fn public_key() -> Vec<u8> {
        let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
        [head.as_slice(), &[7; 64]].concat()
    }

    /// A request with these extensions that [`Believer`] believes.
    pub(crate) fn request(subject: &str, extensions: &[Extension]) -> Vec<u8> {
        let subject = subject.parse().unwrap();
        let prepared = PreparedRequest::new(&subject, &public_key(), extensions).unwrap();
        let signature = prepared.to_be_signed()[..8].to_vec();
        prepared.complete(Digest::Sha256, &signature)
    }

    /// The same with these attributes in place of extensions.
    pub(crate) fn request_with_attributes(attributes: Vec<Attribute>) -> Vec<u8> {
        let mut prepared =
            PreparedRequest::new(&DistinguishedName::default(), &public_key(), &[]).unwrap();
        prepared.info.attributes = SetOfVec::try_from(attributes).unwrap();
        prepared.to_be_signed = prepared.info.to_der().unwrap();
        let signature = prepared.to_be_signed()[..8].to_vec();
        prepared.complete(Digest::Sha256, &signature)
    }

    pub(crate) fn attribute(oid: ObjectIdentifier, values: Vec<Any>) -> Attribute {
        Attribute { oid, values: SetOfVec::try_from(values).unwrap() }
    }

    fn extensions_of(upn: &str) -> Vec<Extension> {
        let upn = Some(upn.to_owned());
        LogonExtensions { upn, ..LogonExtensions::default() }.to_extensions().unwrap()
    }

    #[test]
    fn reads_the_request_of_the_specification() {
        let der = accepted();
        let request = CertificateRequest::read(&der).unwrap();
        assert_eq!(request.der(), der);
        assert_eq!(request.key(), KeySize { kind: KeyKind::Rsa, bits: 2048 });
        assert_eq!(request.digest(), Some(Digest::Sha1));
        let subject = DistinguishedName::from_name(request.subject()).to_string();
        assert_eq!(subject, "CN=User 1,CN=Users,DC=domain1,DC=corp,DC=company,DC=com");
        let attributes: Vec<_> = request.attributes().map(|(oid, _)| oid).collect();
        assert_eq!(attributes.len(), 4);
        assert!(attributes.contains(&oid::REQUEST_CLIENT_INFO));
        assert_eq!(request.extensions().len(), 6);
        let template = Template::from_extension(request.extension(oid::TEMPLATE).unwrap()).unwrap();
        assert_eq!((template.major, template.minor), (100, 5));
    }

    #[test]
    fn hands_exactly_the_signed_octets_to_the_verifier() {
        struct Recorder;
        impl Verify for Recorder {
            fn verify(&self, key: &[u8], digest: Digest, message: &[u8], signature: &[u8]) -> bool {
                let der = accepted();
                digest == Digest::Sha1
                    && der[4..].starts_with(message)
                    && der.ends_with(signature)
                    && message.windows(key.len()).any(|window| window == key)
                    && signature.len() == 256
            }
        }
        assert!(CertificateRequest::read(&accepted()).unwrap().is_signed_by_its_key(&Recorder));
    }

    #[test]
    fn reads_what_it_makes() {
        let der = request("CN=Jane\\, Doe,DC=example", &extensions_of("jane@example"));
        let request = CertificateRequest::read(&der).unwrap();
        assert_eq!(request.public_key(), public_key());
        assert_eq!(request.key(), KeySize { kind: KeyKind::P256, bits: 256 });
        assert!(request.is_signed_by_its_key(&Believer));
        assert_eq!(request.extensions(), extensions_of("jane@example"));
        assert_eq!(request.extension(oid::KEY_USAGE), Some(&b"\x03\x02\x07\x80"[..]));
    }

    #[test]
    fn a_request_may_have_no_subject_and_no_extensions() {
        let der = request("", &[]);
        let request = CertificateRequest::read(&der).unwrap();
        assert!(request.subject().is_empty() && request.extensions().is_empty());
    }

    #[test]
    fn refuses_truncated_followed_and_long_requests() {
        let der = accepted();
        for length in 0..der.len() {
            assert!(CertificateRequest::read(&der[..length]).is_err(), "{length}");
        }
        let followed = [der.as_slice(), b"\0"].concat();
        assert_eq!(CertificateRequest::read(&followed).unwrap_err(), CsrError::Malformed);
        let long = vec![0x30; CertificateRequest::MAX_LENGTH + 1];
        assert_eq!(CertificateRequest::read(&long).unwrap_err(), CsrError::TooLong);
    }

    #[test]
    fn no_damage_makes_the_reader_panic() {
        let der = accepted();
        for at in 0..der.len() {
            for to in [0x00, 0x7f, 0x80, 0xff, der[at].wrapping_add(1)] {
                let mut damaged = der.clone();
                damaged[at] = to;
                let _ = CertificateRequest::read(&damaged);
            }
        }
    }

    #[test]
    fn refuses_keys_of_other_kinds() {
        let ed25519 =
            [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &[1; 32]].concat();
        let made = PreparedRequest::new(&DistinguishedName::default(), &ed25519, &[]);
        assert_eq!(made.unwrap_err(), CsrError::UnknownKey);
        let mut der = accepted();
        let rsa = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        let at = der.windows(rsa.len()).position(|window| window == rsa).unwrap();
        der[at + 8] = 0x0a;
        assert_eq!(CertificateRequest::read(&der).unwrap_err(), CsrError::UnknownKey);
    }

    #[test]
    fn a_signature_algorithm_of_another_kind_of_key_is_none() {
        let mut der = request("", &[]);
        let ecdsa = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
        let at = der.windows(ecdsa.len()).position(|window| window == ecdsa).unwrap();
        // id-alg-noSignature is as long: 1.3.6.1.5.5.7.6.2.
        der[at..at + 10].copy_from_slice(b"\x06\x08\x2b\x06\x01\x05\x05\x07\x06\x02");
        let request = CertificateRequest::read(&der).unwrap();
        assert_eq!(request.digest(), None);
        assert!(!request.is_signed_by_its_key(&Believer));
    }

    #[test]
    fn takes_both_attributes_of_extensions_if_they_agree() {
        let value = |upn: &str| Any::encode_from(&extensions_of(upn)).unwrap();
        let read = |ours: &str, theirs: &str| {
            CertificateRequest::read(&request_with_attributes(vec![
                attribute(oid::EXTENSION_REQUEST, vec![value(ours)]),
                attribute(oid::CERT_EXTENSIONS, vec![value(theirs)]),
            ]))
        };
        assert_eq!(read("a@b", "a@b").unwrap().extensions(), extensions_of("a@b"));
        assert_eq!(read("a@b", "c@d").unwrap_err(), CsrError::ExtensionsDisagree);
        let old = attribute(oid::CERT_EXTENSIONS, vec![value("a@b")]);
        let old = CertificateRequest::read(&request_with_attributes(vec![old])).unwrap();
        assert_eq!(old.extensions(), extensions_of("a@b"));
    }

    #[test]
    fn refuses_attributes_without_exactly_one_value_and_repeated_extensions() {
        let read = |attribute| {
            CertificateRequest::read(&request_with_attributes(vec![attribute])).unwrap_err()
        };
        let none = attribute(oid::OS_VERSION, vec![]);
        assert_eq!(read(none), CsrError::NotOneValue(oid::OS_VERSION));
        let null = || Any::null();
        let two = attribute(oid::OS_VERSION, vec![null(), Any::encode_from(&true).unwrap()]);
        assert_eq!(read(two), CsrError::NotOneValue(oid::OS_VERSION));
        let twice = [extensions_of("a@b"), extensions_of("c@d")].concat();
        let twice = attribute(oid::EXTENSION_REQUEST, vec![Any::encode_from(&twice).unwrap()]);
        assert_eq!(read(twice), CsrError::Extensions);
        let not = attribute(oid::EXTENSION_REQUEST, vec![null()]);
        assert_eq!(read(not), CsrError::Extensions);
    }

    #[test]
    fn asks_for_a_template_by_oid_and_by_name() {
        let template = Template { oid: oid::TEMPLATE_ARC, major: 1, minor: 0 };
        let wanted = LogonExtensions {
            template: Some(template.clone()),
            template_name: Some("AB".into()),
            upn: None,
        };
        let request = CertificateRequest::read(&request("", &wanted.to_extensions().unwrap()));
        let request = request.unwrap();
        let by_oid = Template::from_extension(request.extension(oid::TEMPLATE).unwrap());
        assert_eq!(by_oid, Some(template));
        assert_eq!(request.extension(oid::TEMPLATE_NAME), Some(&b"\x1e\x04\0A\0B"[..]));
        assert_eq!(request.extension(oid::SUBJECT_ALT_NAME), None);
    }
}
