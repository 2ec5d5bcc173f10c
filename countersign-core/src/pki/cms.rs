//! CMS SignedData (RFC 5652): from parts, certs-only, and read.
//!
//! Written is DER; read is BER. Certificates and signers keep their order: the
//! leaf comes first in a certs-only message, the placeholder before the real
//! signer in a request, whatever DER would sort.

use cms::{
    cert::IssuerAndSerialNumber,
    content_info::{CmsVersion, ContentInfo},
    signed_data::{EncapsulatedContentInfo, SignedAttributes, SignerIdentifier, SignerInfo},
};
use der::{
    Any, AnyRef, Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader,
    Sequence, Tag, Tagged, Writer,
    asn1::{ObjectIdentifier, OctetString, OctetStringRef, SetOfVec},
};
use sha1::Digest as _;
use spki::AlgorithmIdentifierOwned;
use x509_cert::{attr::Attribute, serial_number::SerialNumber};

use super::{
    algorithm::{Digest, KeyKind, Verify, der_octets, digest_of, null, signature_algorithm},
    ber,
    cert::{Certificate, CertificateError, key_kind, octet_string, one_attribute, subject_key_id},
    oid,
};

/// SignedData as it was read. What its signers are worth is for the reader to find out.
#[derive(Debug, Clone)]
pub struct SignedData {
    content_type: ObjectIdentifier,
    content: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
    signers: Vec<Signer>,
}

/// One signer of a [`SignedData`].
#[derive(Debug, Clone)]
pub struct Signer(SignerInfo);

/// SignedData that waits for the signature of its one real signer.
#[derive(Debug, Clone)]
#[must_use = "it is worth nothing before it is signed"]
pub struct PreparedSignedData {
    content_type: ObjectIdentifier,
    content: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    digest: Digest,
    placeholder: Option<SignerInfo>,
    signer: SignerInfo,
    to_be_signed: Vec<u8>,
}

/// What [`prepare`] makes SignedData of.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// What kind of content it is.
    pub content_type: ObjectIdentifier,
    /// The content, DER.
    pub content: Vec<u8>,
    /// Whose key will sign.
    pub signer: &'a Certificate,
    /// Certificates to send along, after the signer's own.
    pub chain: &'a [Certificate],
    /// For digests and signature.
    pub digest: Digest,
    /// Whether a signer without signature comes first ([MS-WCCE] 3.1.1.4.3.1.3).
    pub placeholder: bool,
}

/// What can go wrong with CMS objects.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    /// Bytes: not ASN.1.
    #[error(transparent)]
    NotBer(#[from] ber::NotBer),
    /// Bytes: not this structure.
    #[error("not CMS SignedData: {0}")]
    Malformed(#[from] der::Error),
    /// Peer: another kind of CMS object.
    #[error("a CMS object of type {0}, where SignedData is wanted")]
    NotSignedData(ObjectIdentifier),
    /// Peer: content that is no octet string.
    #[error("the content of the SignedData is no octet string")]
    Content,
    /// Peer: a certificate in it cannot be read.
    #[error("a certificate in the SignedData: {0}")]
    Certificate(#[from] CertificateError),
    /// Peer: what a signer says of the content is not so.
    #[error("a signer of the message: {0}")]
    Signer(&'static str),
    /// Caller: the key of the signer's certificate cannot be used.
    #[error("the signing certificate has a public key that cannot be used")]
    Key,
}

/// A degenerate SignedData that only carries certificates, in this order (RFC 8951, RFC 5272 §4.1).
#[must_use]
pub fn certs_only(certificates: &[Certificate]) -> Vec<u8> {
    content_info(&Wire {
        version: CmsVersion::V1,
        digest_algorithms: InOrder(Vec::new()),
        encap_content_info: EncapsulatedContentInfo { econtent_type: oid::DATA, econtent: None },
        certificates: Some(in_order(certificates.iter().map(Certificate::der))),
        crls: None,
        signer_infos: InOrder(Vec::new()),
    })
}

/// Makes the octets that the signer is to sign.
///
/// # Errors
///
/// The key of the signer's certificate is of no known kind.
pub fn prepare(parts: Parts<'_>) -> Result<PreparedSignedData, CmsError> {
    let Parts { content_type, content, signer, chain, digest, placeholder } = parts;
    let attributes = signed_attributes(content_type, &hash(digest, &content));
    let to_be_signed = der_octets(&attributes);
    let placeholder = placeholder
        .then(|| placeholder_signer(digest, attributes.clone(), hash(digest, &to_be_signed)));
    let kind = key_kind(signer.public_key()).ok_or(CmsError::Key)?;
    let certificates = std::iter::once(signer).chain(chain).map(|one| one.der().to_vec());
    Ok(PreparedSignedData {
        certificates: certificates.collect(),
        signer: SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: signer.issuer().clone(),
                serial_number: signer.serial().number().clone(),
            }),
            digest_alg: digest_algorithm(digest),
            signed_attrs: Some(attributes),
            signature_algorithm: signer_algorithm(kind, digest),
            signature: octet_string(&[]),
            unsigned_attrs: None,
        },
        content_type,
        content,
        digest,
        placeholder,
        to_be_signed,
    })
}

impl PreparedSignedData {
    /// The octets to sign: the signed attributes as a SET (RFC 5652 §5.4).
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The digest to sign over.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Puts the signature into it, and writes the whole.
    #[must_use]
    pub fn complete(self, signature: &[u8]) -> Vec<u8> {
        let signer = SignerInfo { signature: octet_string(signature), ..self.signer };
        content_info(&Wire {
            version: CmsVersion::V3,
            digest_algorithms: InOrder(vec![digest_algorithm(self.digest)]),
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: self.content_type,
                econtent: Some(any(&octet_string(&self.content))),
            },
            certificates: Some(in_order(self.certificates.iter().map(Vec::as_slice))),
            crls: None,
            signer_infos: InOrder(self.placeholder.into_iter().chain([signer]).collect()),
        })
    }
}

impl SignedData {
    /// Reads a ContentInfo with SignedData, BER or DER.
    ///
    /// # Errors
    ///
    /// It is none, or a certificate in it cannot be read.
    pub fn read(octets: &[u8]) -> Result<Self, CmsError> {
        let der = ber::to_der(octets)?;
        let info = ContentInfo::from_der(&der)?;
        if info.content_type != oid::SIGNED_DATA {
            return Err(CmsError::NotSignedData(info.content_type));
        }
        let wire: Wire = info.content.decode_as()?;
        let content = wire.encap_content_info.econtent.map(|content| {
            let octets = content.decode_as::<&OctetStringRef>().map_err(|_| CmsError::Content)?;
            Ok::<_, CmsError>(octets.as_bytes().to_vec())
        });
        let certificates = wire.certificates.map(|set| set.0).unwrap_or_default();
        let certificates = certificates.iter().map(|one| Certificate::from_der(&der_octets(one)));
        Ok(Self {
            content_type: wire.encap_content_info.econtent_type,
            content: content.transpose()?,
            certificates: certificates.collect::<Result<_, _>>()?,
            signers: wire.signer_infos.0.into_iter().map(Signer).collect(),
        })
    }

    /// What kind of content it is.
    #[must_use]
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The content.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// The certificates, in their order.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The signers, in their order.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The certificate that a signer means.
    #[must_use]
    pub fn certificate_of(&self, signer: &Signer) -> Option<&Certificate> {
        self.certificates.iter().find(|certificate| match &signer.0.sid {
            SignerIdentifier::IssuerAndSerialNumber(sid) => {
                sid.issuer == *certificate.issuer()
                    && sid.serial_number == *certificate.serial().number()
            }
            SignerIdentifier::SubjectKeyIdentifier(id) => {
                subject_key_id(certificate).is_some_and(|own| own == id.0.as_bytes())
            }
        })
    }
}

impl Signer {
    /// The digest it uses; `None` if it is none of ours.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self.0.digest_alg.oid {
            oid::SHA1 => Some(Digest::Sha1),
            oid::SHA256 => Some(Digest::Sha256),
            oid::SHA384 => Some(Digest::Sha384),
            oid::SHA512 => Some(Digest::Sha512),
            _ => None,
        }
    }

    /// Whether it has a bare hash in the place of a signature (RFC 5272 §4.2).
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.0.signature_algorithm.oid == oid::NO_SIGNATURE
    }

    /// Checks that it speaks of this content: type, digest, and the bare hash of a placeholder.
    ///
    /// # Errors
    ///
    /// Which of them is wrong.
    pub fn check_content(
        &self,
        content_type: ObjectIdentifier,
        content: &[u8],
    ) -> Result<(), CmsError> {
        let digest = self.digest().ok_or(CmsError::Signer("unknown digest algorithm"))?;
        let Some(attributes) = &self.0.signed_attrs else {
            return Err(CmsError::Signer("no signed attributes"));
        };
        let of_type = single(attributes, oid::CONTENT_TYPE)
            .and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
        if of_type != Some(content_type) {
            return Err(CmsError::Signer("its content type is not that of the message"));
        }
        let of_content = single(attributes, oid::MESSAGE_DIGEST)
            .and_then(|value| value.decode_as::<OctetString>().ok());
        if of_content.is_none_or(|value| value.as_bytes() != hash(digest, content)) {
            return Err(CmsError::Signer("its digest is not that of the message"));
        }
        let bare = hash(digest, &der_octets(attributes));
        if self.is_placeholder() && self.0.signature.as_bytes() != bare {
            return Err(CmsError::Signer("the placeholder does not hold the bare hash"));
        }
        Ok(())
    }

    /// Whether the key in `certificate` made its signature. A placeholder is no signature.
    #[must_use]
    pub fn is_signed_by(&self, certificate: &Certificate, verify: &dyn Verify) -> bool {
        let Some(attributes) = &self.0.signed_attrs else { return false };
        let Some(digest) = self.digest() else { return false };
        let algorithm = self.0.signature_algorithm.oid;
        if algorithm != oid::RSA_ENCRYPTION && digest_of(algorithm) != Some(digest) {
            return false;
        }
        let octets = der_octets(attributes);
        verify.verify(certificate.public_key(), digest, &octets, self.0.signature.as_bytes())
    }
}

/// A digest algorithm with NULL parameters, as Windows writes them.
#[must_use]
pub fn digest_algorithm(digest: Digest) -> AlgorithmIdentifierOwned {
    let oid = match digest {
        Digest::Sha1 => oid::SHA1,
        Digest::Sha256 => oid::SHA256,
        Digest::Sha384 => oid::SHA384,
        Digest::Sha512 => oid::SHA512,
    };
    AlgorithmIdentifierOwned { oid, parameters: Some(null()) }
}

/// The digest of a message.
#[must_use]
pub fn hash(digest: Digest, message: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha1 => sha1::Sha1::digest(message).to_vec(),
        Digest::Sha256 => sha2::Sha256::digest(message).to_vec(),
        Digest::Sha384 => sha2::Sha384::digest(message).to_vec(),
        Digest::Sha512 => sha2::Sha512::digest(message).to_vec(),
    }
}

/// With RSA, Windows names the key's algorithm and leaves the digest to `digestAlgorithm`.
fn signer_algorithm(kind: KeyKind, digest: Digest) -> AlgorithmIdentifierOwned {
    match kind {
        KeyKind::Rsa => {
            AlgorithmIdentifierOwned { oid: oid::RSA_ENCRYPTION, parameters: Some(null()) }
        }
        KeyKind::P256 | KeyKind::P384 => signature_algorithm(kind, digest),
    }
}

/// The signer that stands for nobody: serial number 0 of an issuer called Dummy Signer.
fn placeholder_signer(
    digest: Digest,
    attributes: SignedAttributes,
    bare_hash: Vec<u8>,
) -> SignerInfo {
    let name = Any::new(Tag::PrintableString, *b"Dummy Signer").expect("it is short");
    SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: one_attribute(oid::DUMMY_SIGNER, name),
            serial_number: SerialNumber::new(&[0]).expect("zero can be written"),
        }),
        digest_alg: digest_algorithm(digest),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: oid::NO_SIGNATURE,
            parameters: Some(null()),
        },
        signature: octet_string(&bare_hash),
        unsigned_attrs: None,
    }
}

fn signed_attributes(content_type: ObjectIdentifier, digest: &[u8]) -> SignedAttributes {
    let content_type = Any::encode_from(&content_type).expect("an OID is short");
    let digest = Any::encode_from(&octet_string(digest)).expect("a digest is short");
    let attributes =
        vec![attribute(oid::CONTENT_TYPE, content_type), attribute(oid::MESSAGE_DIGEST, digest)];
    SetOfVec::try_from(attributes).expect("two different attributes")
}

/// An attribute with one value.
pub(crate) fn attribute(oid: ObjectIdentifier, value: Any) -> Attribute {
    let mut values = SetOfVec::new();
    values.insert(value).expect("the set was empty");
    Attribute { oid, values }
}

/// A value as ANY; for values whose encoding cannot fail.
pub(crate) fn any(value: &(impl Tagged + EncodeValue)) -> Any {
    Any::encode_from(value).expect("a value made of checked parts can be encoded")
}

/// The one value of the one attribute of this type (RFC 5652 §11.1, §11.2).
fn single(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Option<&Any> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let attribute = found.next().filter(|_| found.next().is_none())?;
    match attribute.values.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}

fn content_info(signed_data: &Wire) -> Vec<u8> {
    der_octets(&ContentInfo { content_type: oid::SIGNED_DATA, content: any(signed_data) })
}

fn in_order<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> InOrder<Any> {
    let any = |der: &[u8]| Any::from(AnyRef::try_from(der).expect("a certificate is DER"));
    InOrder(certificates.map(any).collect())
}

/// `SignedData` (RFC 5652 §5.1), with sets in the order in which they came.
#[derive(Sequence)]
struct Wire {
    version: CmsVersion,
    digest_algorithms: InOrder<AlgorithmIdentifierOwned>,
    encap_content_info: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    certificates: Option<InOrder<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    crls: Option<InOrder<Any>>,
    signer_infos: InOrder<SignerInfo>,
}

/// A SET OF that is neither sorted when written nor when read.
#[derive(Debug, Clone)]
struct InOrder<T>(Vec<T>);

impl<T> FixedTag for InOrder<T> {
    const TAG: Tag = Tag::Set;
}

impl<'a, T: Decode<'a, Error = der::Error>> DecodeValue<'a> for InOrder<T> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _header: Header) -> der::Result<Self> {
        let mut all = Vec::new();
        while !reader.is_finished() {
            all.push(T::decode(reader)?);
        }
        Ok(Self(all))
    }
}

impl<T: Encode> EncodeValue for InOrder<T> {
    fn value_len(&self) -> der::Result<Length> {
        self.0.iter().try_fold(Length::ZERO, |sum, one| sum + one.encoded_len()?)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.iter().try_for_each(|one| one.encode(writer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{ToyKey, authority, other_p256};

    fn message() -> Vec<u8> {
        let (ca, key) = authority();
        let prepared = prepare(Parts {
            content_type: oid::PKI_RESPONSE,
            content: b"\x30\x00".to_vec(),
            signer: &ca,
            chain: &[],
            digest: Digest::Sha384,
            placeholder: false,
        })
        .unwrap();
        assert_eq!(prepared.digest(), Digest::Sha384);
        let signature = key.sign(prepared.to_be_signed());
        prepared.complete(&signature)
    }

    #[test]
    fn what_was_signed_is_read_and_verified() {
        let message = SignedData::read(&message()).unwrap();
        assert_eq!(message.content_type(), oid::PKI_RESPONSE);
        assert_eq!(message.content(), Some(&b"\x30\x00"[..]));
        let [signer] = message.signers() else { panic!("one signer") };
        assert!(!signer.is_placeholder());
        assert_eq!(signer.digest(), Some(Digest::Sha384));
        signer.check_content(oid::PKI_RESPONSE, b"\x30\x00").unwrap();
        let certificate = message.certificate_of(signer).unwrap();
        assert!(signer.is_signed_by(certificate, &ToyKey::verifier()));
    }

    #[test]
    fn signer_speaks_of_no_other_content_and_no_other_type() {
        let message = SignedData::read(&message()).unwrap();
        let signer = &message.signers()[0];
        assert!(signer.check_content(oid::PKI_RESPONSE, b"\x30\x01\x00").is_err());
        assert!(signer.check_content(oid::PKI_DATA, b"\x30\x00").is_err());
    }

    #[test]
    fn signature_of_another_key_is_none() {
        let message = SignedData::read(&message()).unwrap();
        let (other, _) = crate::pki::testing::authority_named("Example CA", other_p256());
        assert!(!message.signers()[0].is_signed_by(&other, &ToyKey::verifier()));
    }

    #[test]
    fn refuses_truncation_and_other_types() {
        let octets = message();
        for length in 0..octets.len() {
            assert!(SignedData::read(&octets[..length]).is_err(), "{length}");
        }
        let data = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 0];
        assert!(SignedData::read(&data).is_err());
    }

    #[test]
    fn certs_only_of_nothing_is_still_signed_data() {
        let message = SignedData::read(&certs_only(&[])).unwrap();
        assert!(message.certificates().is_empty());
        assert!(message.signers().is_empty());
        assert_eq!(message.content(), None);
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // FIPS 180-4 examples for "abc".
        assert_eq!(hash(Digest::Sha1, b"abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(hash(Digest::Sha256, b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(hash(Digest::Sha384, b"abc")[..4], [0xcb, 0x00, 0x75, 0x3f]);
        assert_eq!(hash(Digest::Sha512, b"abc")[..4], [0xdd, 0xaf, 0x35, 0xa1]);
    }
}
