//! Enrolment messages around a PKCS#10 (CMC, RFC 5272): made, vouched for, answered.
//!
//! [`prepare_request`] wraps a checked PKCS#10 the way the Windows OTP server
//! does ([MS-OTPCE] digest §7); [`vouch`] is what the CA does with it before
//! anything is issued.

use std::fmt;

use der::{
    Any, Choice, Decode, Sequence, Tag,
    asn1::{ObjectIdentifier, SetOfVec},
};
use x509_cert::{attr::Attribute, ext::pkix::KeyUsage};

use super::{
    algorithm::{Digest, Verify, der_octets},
    cert::{Certificate, Serial},
    cms::{self, CmsError, Parts, PreparedSignedData, SignedData, Signer, any, attribute},
    extension::read_application_policies,
    oid,
};
use crate::time::UnixTime;

/// How a request is wrapped.
#[derive(Debug, Clone)]
pub struct Wrapping<'a> {
    /// For digests and signature: SHA-256, or SHA-1 for ancient CAs.
    pub digest: Digest,
    /// Whether the placeholder signer comes first. Microsoft's CA demands it.
    pub placeholder: bool,
    /// Who wraps it, in a control that only Microsoft's CA knows.
    pub client_info: Option<&'a ClientInfo>,
    /// Certificates between the signing certificate and the root, where the CA cannot find them.
    pub chain: &'a [Certificate],
}

/// Which program on which machine wraps requests ([MS-WCCE] 2.2.2.7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The DNS name of the machine.
    pub machine: String,
    /// The account it runs as, `DOMAIN\MACHINE$`.
    pub user: String,
    /// The program.
    pub process: String,
}

/// What a CA holds against a full PKI request.
pub struct Trust<'a> {
    /// The CA that must have issued the signing certificate.
    pub ca: &'a Certificate,
    /// Verifies signatures.
    pub verify: &'a dyn Verify,
    /// Whether a certificate of this CA is revoked.
    pub is_revoked: &'a dyn Fn(&Serial) -> bool,
    /// Whether SHA-1 is good enough.
    pub allow_sha1: bool,
    /// The time.
    pub now: UnixTime,
}

/// A PKCS#10 that a registration authority vouches for. Issuing consumes it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request that was vouched for is issued or refused"]
pub struct VouchedRequest {
    pkcs10: Vec<u8>,
    signer: Certificate,
}

/// Why a full PKI request was refused, or a response could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CmcError {
    /// Bytes or peer: not CMS, or a signer that does not speak of the content.
    #[error(transparent)]
    Cms(#[from] CmsError),
    /// Bytes: not the structure of CMC.
    #[error("not a CMC message: {0}")]
    Malformed(#[from] der::Error),
    /// Peer: SignedData around something else.
    #[error("SignedData around {0}, where a CMC message is wanted")]
    ContentType(ObjectIdentifier),
    /// Peer: SignedData without content.
    #[error("the SignedData has no content")]
    NoContent,
    /// Peer: not one request.
    #[error(
        "the message holds {0} certificate requests and other parts, where exactly one PKCS#10 is wanted"
    )]
    NotOneRequest(usize),
    /// Peer: a control that changes the request in a way we do not know.
    #[error("the control {0} is not supported")]
    Control(ObjectIdentifier),
    /// Peer: only placeholders, or no signer at all.
    #[error("nobody signed the message")]
    NoSigner,
    /// Peer: SHA-1 where it is not allowed.
    #[error("the message is signed over SHA-1, which the config does not allow")]
    WeakDigest,
    /// Peer: the signer is not who may vouch.
    #[error("the signer may not vouch for requests: {0}")]
    SignerRefused(SignerFault),
    /// Caller: the PKCS#10 to wrap is not DER.
    #[error("the certificate request is not DER")]
    NotDer,
}

/// What is wrong with a signer of a full PKI request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// No certificate in the message is the signer's.
    #[error("its certificate is not in the message")]
    NoCertificate,
    /// The signature is not by the key in its certificate.
    #[error("its signature is wrong")]
    Signature,
    /// The certificate is not by the trusted CA.
    #[error("its certificate was not issued by this CA")]
    Issuer,
    /// The certificate is not valid now.
    #[error("its certificate is expired or not yet valid")]
    Validity,
    /// The certificate is for something else.
    #[error("its certificate is not for registration authorities (1.3.6.1.4.1.311.81.1.1)")]
    Usage,
    /// The certificate is revoked.
    #[error("its certificate is revoked")]
    Revoked,
}

/// Why a request failed, for the machine that asked (RFC 5272 §6.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailInfo(pub u32);

/// What a CA answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Certificates, in the order in which they came.
    Certificates(Vec<Certificate>),
    /// No certificate.
    Refused {
        /// `cMCStatus` (RFC 5272 §6.1.1): 2 failed, 3 pending, and others.
        status: u32,
        /// Why, as a number.
        fail_info: Option<FailInfo>,
        /// Why, in words.
        text: Option<String>,
    },
}

impl FailInfo {
    /// badAlg: unrecognised or unsupported algorithm.
    pub const BAD_ALGORITHM: Self = Self(0);
    /// badMessageCheck: integrity check failed.
    pub const BAD_MESSAGE_CHECK: Self = Self(1);
    /// badRequest: transaction not permitted or supported.
    pub const BAD_REQUEST: Self = Self(2);
    /// badIdentity: identity check failed.
    pub const BAD_IDENTITY: Self = Self(7);
    /// popFailed: proof of possession failed.
    pub const POP_FAILED: Self = Self(9);
    /// internalCAError: the CA failed.
    pub const INTERNAL: Self = Self(11);
    /// authDataFail: authentication data failed.
    pub const AUTH_DATA_FAIL: Self = Self(13);
}

impl fmt::Display for FailInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "badAlg",
            "badMessageCheck",
            "badRequest",
            "badTime",
            "badCertId",
            "unsupportedExt",
            "mustArchiveKeys",
            "badIdentity",
            "popRequired",
            "popFailed",
            "noKeyReuse",
            "internalCAError",
            "tryLater",
            "authDataFail",
        ];
        let name = usize::try_from(self.0).ok().and_then(|number| names.get(number));
        write!(f, "{} ({})", name.unwrap_or(&"unknown"), self.0)
    }
}

impl CmcError {
    /// The number that tells the requester about it.
    #[must_use]
    pub fn fail_info(&self) -> FailInfo {
        match self {
            Self::Cms(CmsError::Signer(_)) => FailInfo::BAD_MESSAGE_CHECK,
            Self::WeakDigest => FailInfo::BAD_ALGORITHM,
            Self::NoSigner => FailInfo::BAD_IDENTITY,
            Self::SignerRefused(SignerFault::Signature) => FailInfo::BAD_MESSAGE_CHECK,
            Self::SignerRefused(_) => FailInfo::AUTH_DATA_FAIL,
            Self::Cms(_)
            | Self::Malformed(_)
            | Self::ContentType(_)
            | Self::NoContent
            | Self::NotOneRequest(_)
            | Self::Control(_)
            | Self::NotDer => FailInfo::BAD_REQUEST,
        }
    }
}

/// Wraps a PKCS#10 into a full PKI request; what the registration authority signs is inside.
///
/// The octets of the PKCS#10 are embedded as they are.
///
/// # Errors
///
/// They are no DER, or the signer's key cannot be used.
pub fn prepare_request(
    pkcs10: &[u8],
    signer: &Certificate,
    wrapping: &Wrapping<'_>,
) -> Result<PreparedSignedData, CmcError> {
    let request = Any::from_der(pkcs10).map_err(|_| CmcError::NotDer)?;
    let data = PkiData {
        controls: wrapping.client_info.map(add_attributes).into_iter().collect(),
        requests: vec![TaggedRequest::Pkcs10(TaggedCertificationRequest {
            body_part_id: REQUEST_PART,
            request,
        })],
        cms: Vec::new(),
        other: Vec::new(),
    };
    Ok(cms::prepare(Parts {
        content_type: oid::PKI_DATA,
        content: der_octets(&data),
        signer,
        chain: wrapping.chain,
        digest: wrapping.digest,
        placeholder: wrapping.placeholder,
    })?)
}

/// Reads a full PKI request and finds out whether a registration authority vouches for it.
///
/// Every signer but placeholders must be a registration authority of the
/// trusted CA, and there must be one. The own signature of the PKCS#10 is not
/// checked here.
///
/// # Errors
///
/// Whatever is wrong with it, see [`CmcError`].
pub fn vouch(octets: &[u8], trust: &Trust<'_>) -> Result<VouchedRequest, CmcError> {
    let message = SignedData::read(octets)?;
    if message.content_type() != oid::PKI_DATA {
        return Err(CmcError::ContentType(message.content_type()));
    }
    let content = message.content().ok_or(CmcError::NoContent)?;
    let pkcs10 = single_request(content)?;
    if message.signers().len() > MAX_SIGNERS {
        return Err(CmsError::Signer("there are too many of them").into());
    }
    for signer in message.signers() {
        signer.check_content(oid::PKI_DATA, content)?;
        if signer.digest() == Some(Digest::Sha1) && !trust.allow_sha1 {
            return Err(CmcError::WeakDigest);
        }
    }
    let mut vouching = None;
    for signer in message.signers().iter().filter(|signer| !signer.is_placeholder()) {
        let certificate = authority_of(&message, signer, trust).map_err(CmcError::SignerRefused)?;
        vouching.get_or_insert(certificate);
    }
    let signer = vouching.ok_or(CmcError::NoSigner)?.clone();
    Ok(VouchedRequest { pkcs10, signer })
}

impl VouchedRequest {
    /// The PKCS#10 as the registration authority saw it.
    #[must_use]
    pub fn pkcs10(&self) -> &[u8] {
        &self.pkcs10
    }

    /// The certificate of the registration authority.
    #[must_use]
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }
}

/// Makes a response that says a request failed, for the CA to sign (RFC 5272 §6.1).
///
/// # Errors
///
/// The key of the CA's certificate cannot be used.
pub fn prepare_refusal(
    fail_info: FailInfo,
    text: &str,
    signer: &Certificate,
    digest: Digest,
) -> Result<PreparedSignedData, CmcError> {
    let status = CmcStatusInfo {
        status: STATUS_FAILED,
        body_list: vec![REQUEST_PART],
        text: Some(text.to_owned()),
        fail_info: Some(fail_info.0),
    };
    let response = PkiResponse {
        controls: vec![control(REQUEST_PART, oid::CMC_STATUS_INFO, any(&status))],
        cms: Vec::new(),
        other: Vec::new(),
    };
    Ok(cms::prepare(Parts {
        content_type: oid::PKI_RESPONSE,
        content: der_octets(&response),
        signer,
        chain: &[],
        digest,
        placeholder: false,
    })?)
}

/// Reads what a CA answered: certs-only, or a full PKI response.
///
/// Signatures on a response are not checked: a certificate speaks for itself,
/// and a refusal grants nothing.
///
/// # Errors
///
/// It is neither.
pub fn read_response(octets: &[u8]) -> Result<Response, CmcError> {
    let message = SignedData::read(octets)?;
    let certificates = || Response::Certificates(message.certificates().to_vec());
    match message.content_type() {
        oid::DATA => Ok(certificates()),
        oid::PKI_RESPONSE => {
            let content = message.content().ok_or(CmcError::NoContent)?;
            Ok(refusal(&PkiResponse::from_der(content)?)?.unwrap_or_else(certificates))
        }
        other => Err(CmcError::ContentType(other)),
    }
}

/// The first status that is not success.
fn refusal(response: &PkiResponse) -> Result<Option<Response>, CmcError> {
    let controls = response.controls.iter();
    let states = controls.filter(|control| control.attribute_type == oid::CMC_STATUS_INFO);
    for value in states.flat_map(|control| control.values.iter()) {
        let CmcStatusInfo { status, text, fail_info, .. } = value.decode_as()?;
        if status != STATUS_SUCCESS {
            let fail_info = fail_info.map(FailInfo);
            return Ok(Some(Response::Refused { status, fail_info, text }));
        }
    }
    Ok(None)
}

/// The octets of the one PKCS#10 in a PKIData.
fn single_request(content: &[u8]) -> Result<Vec<u8>, CmcError> {
    let PkiData { controls, requests, cms, other } = PkiData::from_der(content)?;
    let known = [oid::CMC_ADD_ATTRIBUTES, oid::CMC_REG_INFO, TRANSACTION_ID, SENDER_NONCE];
    let strange = controls.iter().find(|control| !known.contains(&control.attribute_type));
    if let Some(control) = strange {
        return Err(CmcError::Control(control.attribute_type));
    }
    let [TaggedRequest::Pkcs10(tagged)] = requests.as_slice() else {
        return Err(CmcError::NotOneRequest(requests.len()));
    };
    if !cms.is_empty() || !other.is_empty() {
        return Err(CmcError::NotOneRequest(requests.len() + cms.len() + other.len()));
    }
    Ok(der_octets(&tagged.request))
}

/// The certificate of a signer, if it is a registration authority in good standing.
fn authority_of<'a>(
    message: &'a SignedData,
    signer: &Signer,
    trust: &Trust<'_>,
) -> Result<&'a Certificate, SignerFault> {
    let certificate = message.certificate_of(signer).ok_or(SignerFault::NoCertificate)?;
    if !certificate.is_issued_by(trust.ca, trust.verify) {
        return Err(SignerFault::Issuer);
    }
    if !signer.is_signed_by(certificate, trust.verify) {
        return Err(SignerFault::Signature);
    }
    if !certificate.is_valid_at(trust.now) {
        return Err(SignerFault::Validity);
    }
    if !may_vouch(certificate) {
        return Err(SignerFault::Usage);
    }
    if (trust.is_revoked)(&certificate.serial()) {
        return Err(SignerFault::Revoked);
    }
    Ok(certificate)
}

/// EKU, application policies if there are any, and key usage.
fn may_vouch(certificate: &Certificate) -> bool {
    let wanted = oid::OTP_REGISTRATION_AUTHORITY;
    let policies = certificate.extension_octets(oid::APPLICATION_POLICIES);
    let policies = policies.map(|octets| read_application_policies(octets).unwrap_or_default());
    let usage = certificate.extension::<KeyUsage>();
    certificate.extended_key_usage().contains(&wanted)
        && policies.is_none_or(|policies| policies.contains(&wanted))
        && usage.is_none_or(|usage| usage.digital_signature())
}

/// The control that adds the client info to the request (digest of [MS-OTPCE], §7).
fn add_attributes(info: &ClientInfo) -> TaggedAttribute {
    let text = |text: &str| Any::new(Tag::Utf8String, text.as_bytes()).expect("a name is short");
    let info = RequestClientInfo {
        client_id: DEFAULT_ENROLMENT_CLASSES,
        machine: text(&info.machine),
        user: text(&info.user),
        process: text(&info.process),
    };
    let mut attributes = SetOfVec::new();
    attributes.insert(attribute(oid::REQUEST_CLIENT_INFO, any(&info))).expect("the set was empty");
    let value = AddAttributes { reference: 0, certificates: vec![REQUEST_PART], attributes };
    control(CONTROL_PART, oid::CMC_ADD_ATTRIBUTES, any(&value))
}

fn control(body_part_id: u32, attribute_type: ObjectIdentifier, value: Any) -> TaggedAttribute {
    let values = attribute(attribute_type, value).values;
    TaggedAttribute { body_part_id, attribute_type, values }
}

/// `PKIData` (RFC 5272 §3.2.1).
#[derive(Sequence)]
struct PkiData {
    controls: Vec<TaggedAttribute>,
    requests: Vec<TaggedRequest>,
    cms: Vec<Any>,
    other: Vec<Any>,
}

/// `PKIResponse` (RFC 5272 §4.2).
#[derive(Sequence)]
struct PkiResponse {
    controls: Vec<TaggedAttribute>,
    cms: Vec<Any>,
    other: Vec<Any>,
}

/// `TaggedAttribute` (RFC 5272 §3.2.1.1).
#[derive(Sequence)]
struct TaggedAttribute {
    body_part_id: u32,
    attribute_type: ObjectIdentifier,
    values: SetOfVec<Any>,
}

/// `TaggedRequest` (RFC 5272 §3.2.1.2); the other kinds are read only to be refused.
#[derive(Choice)]
enum TaggedRequest {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    Pkcs10(TaggedCertificationRequest),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Crmf(Opaque),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", constructed = "true")]
    Other(Opaque),
}

/// `TaggedCertificationRequest` (RFC 5272 §3.2.1.2.1).
#[derive(Sequence)]
struct TaggedCertificationRequest {
    body_part_id: u32,
    request: Any,
}

/// A sequence that nobody looks into.
type Opaque = Vec<Any>;

/// The value of `szOID_CMC_ADD_ATTRIBUTES` ([MS-WCCE] 2.2.2.7.10).
#[derive(Sequence)]
struct AddAttributes {
    reference: u32,
    certificates: Vec<u32>,
    attributes: SetOfVec<Attribute>,
}

/// The value of `szOID_REQUEST_CLIENT_INFO` ([MS-WCCE] 2.2.2.7.4).
#[derive(Sequence)]
struct RequestClientInfo {
    client_id: u32,
    machine: Any,
    user: Any,
    process: Any,
}

/// `CMCStatusInfo` (RFC 5272 §6.1) with failInfo only.
#[derive(Sequence)]
struct CmcStatusInfo {
    status: u32,
    body_list: Vec<u32>,
    #[asn1(optional = "true")]
    text: Option<String>,
    #[asn1(optional = "true")]
    fail_info: Option<u32>,
}

/// `id-cmc-transactionId`.
const TRANSACTION_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.7.5");
/// `id-cmc-senderNonce`.
const SENDER_NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.7.6");
/// Every signer costs two verifications; real messages have one or two.
const MAX_SIGNERS: usize = 4;
/// The body part of the PKCS#10.
const REQUEST_PART: u32 = 1;
/// The body part of the control.
const CONTROL_PART: u32 = 2;
/// `cMCStatus` success.
const STATUS_SUCCESS: u32 = 0;
/// `cMCStatus` failed.
const STATUS_FAILED: u32 = 2;
/// What a client writes that enrols by default classes.
const DEFAULT_ENROLMENT_CLASSES: u32 = 5;

#[cfg(test)]
mod tests;
