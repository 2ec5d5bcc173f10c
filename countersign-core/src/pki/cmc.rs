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
mod tests {
    use std::cell::Cell;

    use data_encoding::BASE64;
    use der::AnyRef;
    use proptest::prelude::*;

    use super::*;
    use crate::pki::{
        cert::{Issuer, Subject, TbsCertificate, common_name, prepare, signed, to_be_signed},
        extension::application_policies,
        profile::Kind,
        testing::{
            NOW, ToyKey, account, authority, authority_named, host, logon, other_p256, p256,
            profile, rsa_2048, serial,
        },
    };

    type Holder = (Certificate, ToyKey);

    /// The PKCS#10 of [MS-OTPCE] §4.1.
    fn pkcs10() -> Vec<u8> {
        let document = include_str!("../../../testdata/otpce/accepted-request.xml");
        let (_, rest) = document.split_once("certRequest=\"").unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        let value: String = value.replace("&#xA;", "").split_whitespace().collect();
        BASE64.decode(value.as_bytes()).unwrap()
    }

    fn ra() -> Holder {
        host(Kind::Signing, 2, rsa_2048(), &authority())
    }

    const WINDOWS: Wrapping<'_> =
        Wrapping { digest: Digest::Sha256, placeholder: true, client_info: None, chain: &[] };

    fn request(wrapping: &Wrapping<'_>, (certificate, key): &Holder) -> Vec<u8> {
        let prepared = prepare_request(&pkcs10(), certificate, wrapping).unwrap();
        let signature = key.sign(prepared.to_be_signed());
        prepared.complete(&signature)
    }

    fn trusting<T>(then: impl FnOnce(&mut Trust<'_>) -> T) -> T {
        let (ca, _) = authority();
        then(&mut Trust {
            ca: &ca,
            verify: &ToyKey::verifier(),
            is_revoked: &|_| false,
            allow_sha1: false,
            now: NOW,
        })
    }

    fn refused(octets: &[u8]) -> CmcError {
        trusting(|trust| vouch(octets, trust)).unwrap_err()
    }

    /// The elements in a content: each whole, and what is inside it.
    fn elements(mut octets: &[u8]) -> Vec<(&[u8], &[u8])> {
        let mut all = Vec::new();
        while !octets.is_empty() {
            let (element, rest) = AnyRef::from_der_partial(octets).unwrap();
            all.push((&octets[..octets.len() - rest.len()], element.value()));
            octets = rest;
        }
        all
    }

    /// The structure, one element a line. Known octets are shown by name.
    fn outline(octets: &[u8], known: &[(&[u8], &str)], depth: usize, lines: &mut Vec<String>) {
        for (whole, inside) in elements(octets) {
            let known_as = known.iter().find(|(octets, _)| *octets == whole);
            let nested = whole[0] & 0x20 != 0 && known_as.is_none();
            let holds_der = whole[0] == 4 && inside.len() > 100;
            let text = match (known_as, whole[0]) {
                (Some((_, name)), _) => (*name).to_owned(),
                (None, 2) => format!("02 {}", inside[0]),
                (None, 6) => format!("06 {}", ObjectIdentifier::from_bytes(inside).unwrap()),
                (None, tag @ (0x0c | 0x13)) => {
                    format!("{tag:02x} {}", String::from_utf8(inside.to_vec()).unwrap())
                }
                (None, 4) if holds_der => "04 holds".to_owned(),
                (None, tag) if nested => format!("{tag:02x}"),
                (None, tag) => format!("{tag:02x} [{}]", inside.len()),
            };
            lines.push(format!("{}{text}", "  ".repeat(depth)));
            if nested || holds_der {
                outline(inside, known, depth + 1, lines);
            }
        }
    }

    #[test]
    fn request_has_every_tag_of_the_windows_one() {
        let (certificate, _) = &ra();
        let info = ClientInfo {
            machine: "DA1.domain1.corp.company.com".into(),
            user: "DOMAIN1\\DA1$".into(),
            process: "w3wp.exe".into(),
        };
        let wrapping = Wrapping { digest: Digest::Sha1, client_info: Some(&info), ..WINDOWS };
        let octets = request(&wrapping, &ra());
        let pkcs10 = pkcs10();
        let issuer = der_octets(certificate.issuer());
        let number = der_octets(certificate.serial().number());
        let known: &[(&[u8], &str)] = &[
            (&pkcs10, "PKCS10"),
            (certificate.der(), "RA-CERTIFICATE"),
            (&issuer, "RA-ISSUER"),
            (&number, "RA-SERIAL"),
        ];
        let mut lines = Vec::new();
        outline(&octets, known, 0, &mut lines);
        let attributes = "
          a0
            30
              06 1.2.840.113549.1.9.3
              31
                06 1.3.6.1.5.5.7.12.2
            30
              06 1.2.840.113549.1.9.4
              31
                04 [20]";
        let expected = "
30
  06 1.2.840.113549.1.7.2
  a0
    30
      02 3
      31
        30
          06 1.3.14.3.2.26
          05 [0]
      30
        06 1.3.6.1.5.5.7.12.2
        a0
          04 holds
            30
              30
                30
                  02 2
                  06 1.3.6.1.4.1.311.10.10.1
                  31
                    30
                      02 0
                      30
                        02 1
                      31
                        30
                          06 1.3.6.1.4.1.311.21.20
                          31
                            30
                              02 5
                              0c DA1.domain1.corp.company.com
                              0c DOMAIN1\\DA1$
                              0c w3wp.exe
              30
                a0
                  02 1
                  PKCS10
              30
              30
      a0
        RA-CERTIFICATE
      31
        30
          02 1
          30
            30
              31
                30
                  06 1.3.6.1.4.1.311.21.9
                  13 Dummy Signer
            02 0
          30
            06 1.3.14.3.2.26
            05 [0]ATTRIBUTES
          30
            06 1.3.6.1.5.5.7.6.2
            05 [0]
          04 [20]
        30
          02 1
          30
            RA-ISSUER
            RA-SERIAL
          30
            06 1.3.14.3.2.26
            05 [0]ATTRIBUTES
          30
            06 1.2.840.113549.1.1.1
            05 [0]
          04 [70]"
            .replace("ATTRIBUTES", attributes);
        assert_eq!(lines.join("\n"), expected.trim_start());
    }

    #[test]
    fn request_is_vouched_for_with_the_octets_it_had() {
        let vouched = trusting(|trust| vouch(&request(&WINDOWS, &ra()), trust)).unwrap();
        assert_eq!(vouched.pkcs10(), pkcs10());
        assert_eq!(*vouched.signer(), ra().0);
    }

    #[test]
    fn plain_cmc_and_microsofts_control_and_a_chain_are_accepted() {
        let info = ClientInfo { machine: "a".into(), user: "b".into(), process: "c".into() };
        let chain = [authority().0];
        for wrapping in [
            Wrapping { placeholder: false, ..WINDOWS },
            Wrapping { client_info: Some(&info), ..WINDOWS },
            Wrapping { chain: &chain, digest: Digest::Sha512, ..WINDOWS },
        ] {
            let octets = request(&wrapping, &ra());
            assert!(trusting(|trust| vouch(&octets, trust)).is_ok(), "{wrapping:?}");
        }
    }

    #[test]
    fn ecdsa_authority_keeps_the_placeholder_first() {
        let ra = host(Kind::Signing, 2, other_p256(), &authority());
        let octets = request(&WINDOWS, &ra);
        let message = SignedData::read(&octets).unwrap();
        let placeholders: Vec<_> = message.signers().iter().map(Signer::is_placeholder).collect();
        assert_eq!(placeholders, [true, false]);
        assert!(trusting(|trust| vouch(&octets, trust)).is_ok());
    }

    #[test]
    fn sha1_is_accepted_only_where_it_is_allowed() {
        let octets = request(&Wrapping { digest: Digest::Sha1, ..WINDOWS }, &ra());
        assert!(matches!(refused(&octets), CmcError::WeakDigest));
        let result = trusting(|trust| {
            trust.allow_sha1 = true;
            vouch(&octets, trust)
        });
        assert!(result.is_ok());
    }

    #[test]
    fn every_changed_octet_of_content_and_signers_is_noticed() {
        let octets = request(&WINDOWS, &ra());
        let pkcs10 = pkcs10();
        let begin = octets.windows(pkcs10.len()).position(|window| window == pkcs10).unwrap();
        for at in (begin..begin + pkcs10.len()).step_by(7).chain(octets.len() - 70..octets.len()) {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            assert!(trusting(|trust| vouch(&changed, trust)).is_err(), "{at}");
        }
    }

    #[test]
    fn a_placeholder_alone_vouches_for_nothing() {
        let octets = request(&WINDOWS, &ra());
        let info = elements(elements(&octets)[0].1);
        let signed_data = elements(elements(info[1].1)[0].1);
        let [before @ .., (_, signers)] = signed_data.as_slice() else { panic!("no signers") };
        let placeholder = elements(signers)[0].0;
        // The same message with the first signer only, in BER, where no length must be mended.
        let mut lonely = [&[0x30, 0x80][..], info[0].0, &[0xa0, 0x80, 0x30, 0x80]].concat();
        lonely.extend(before.iter().flat_map(|(whole, _)| *whole));
        lonely.extend([&[0x31, 0x80][..], placeholder, &[0; 8]].concat());
        assert!(matches!(refused(&lonely), CmcError::NoSigner));
        assert!(matches!(refused(&cms::certs_only(&[ra().0])), CmcError::ContentType(_)));
    }

    #[test]
    fn a_placeholder_with_another_hash_is_refused() {
        let octets = request(&WINDOWS, &ra());
        let id = der_octets(&oid::NO_SIGNATURE);
        let at = octets.windows(id.len()).position(|window| window == id).unwrap();
        let mut changed = octets;
        changed[at + id.len() + 4] ^= 1;
        assert!(matches!(refused(&changed), CmcError::Cms(CmsError::Signer(_))));
    }

    #[test]
    fn signers_that_may_not_vouch_are_refused() {
        let fault = |holder: &Holder| {
            let error = refused(&request(&WINDOWS, holder));
            let CmcError::SignerRefused(fault) = error else { panic!("{error}") };
            fault
        };
        let machine = host(Kind::Machine, 3, rsa_2048(), &authority());
        assert_eq!(fault(&machine), SignerFault::Usage);
        let impostor = authority_named("Example CA", other_p256());
        let foreign = host(Kind::Signing, 2, rsa_2048(), &impostor);
        assert_eq!(fault(&foreign), SignerFault::Issuer);
        assert_eq!(fault(&impostor), SignerFault::Issuer);
        let (certificate, _) = ra();
        assert_eq!(fault(&(certificate, ToyKey::new(p256()))), SignerFault::Signature);
    }

    #[test]
    fn a_logon_certificate_cannot_vouch() {
        let (ca, key) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let prepared =
            prepare(&logon(), &account(), &rsa_2048(), &issuer, &serial(9), NOW).unwrap();
        let signature = key.sign(prepared.to_be_signed());
        let user = (prepared.complete(&signature).unwrap(), ToyKey::new(rsa_2048()));
        let error = refused(&request(&WINDOWS, &user));
        assert!(matches!(error, CmcError::SignerRefused(SignerFault::Usage)), "{error}");
    }

    #[test]
    fn expired_early_and_revoked_signers_are_refused() {
        let octets = request(&WINDOWS, &ra());
        let at = |now| {
            trusting(|trust| {
                trust.now = now;
                vouch(&octets, trust).err().map(|error| error.to_string())
            })
        };
        assert!(at(NOW.plus(2 * 86400)).is_none());
        assert!(at(NOW.plus(2 * 86400 + 1)).unwrap().contains("expired"));
        assert!(at(NOW.minus(601)).unwrap().contains("expired"));
        let asked = Cell::new(false);
        let revoked = |number: &Serial| {
            asked.set(true);
            *number == serial(2)
        };
        let result = trusting(|trust| vouch(&octets, &Trust { is_revoked: &revoked, ..*trust }));
        assert!(matches!(result, Err(CmcError::SignerRefused(SignerFault::Revoked))));
        assert!(asked.get());
    }

    #[test]
    fn no_request_two_requests_and_other_parts_are_refused() {
        let message = |data: &PkiData| {
            let (certificate, key) = &ra();
            let prepared = cms::prepare(Parts {
                content_type: oid::PKI_DATA,
                content: der_octets(data),
                signer: certificate,
                chain: &[],
                digest: Digest::Sha256,
                placeholder: false,
            })
            .unwrap();
            let signature = key.sign(prepared.to_be_signed());
            prepared.complete(&signature)
        };
        let tagged = || {
            TaggedRequest::Pkcs10(TaggedCertificationRequest {
                body_part_id: 1,
                request: Any::from_der(&pkcs10()).unwrap(),
            })
        };
        let data = |requests| PkiData { controls: vec![], requests, cms: vec![], other: vec![] };
        let refusal = |data: &PkiData| refused(&message(data));
        assert!(matches!(refusal(&data(vec![])), CmcError::NotOneRequest(0)));
        assert!(matches!(refusal(&data(vec![tagged(), tagged()])), CmcError::NotOneRequest(2)));
        let crmf = TaggedRequest::Crmf(vec![]);
        assert!(matches!(refusal(&data(vec![crmf])), CmcError::NotOneRequest(1)));
        let with_cms = PkiData { cms: vec![Any::null()], ..data(vec![tagged()]) };
        assert!(matches!(refusal(&with_cms), CmcError::NotOneRequest(2)));
        let unknown = control(2, oid::UPN, Any::null());
        let with_control = PkiData { controls: vec![unknown], ..data(vec![tagged()]) };
        assert!(matches!(refusal(&with_control), CmcError::Control(oid::UPN)));
    }

    #[test]
    fn refusal_is_read_back() {
        let (ca, key) = authority();
        let prepared =
            prepare_refusal(FailInfo::AUTH_DATA_FAIL, "not you", &ca, Digest::Sha256).unwrap();
        let signature = key.sign(prepared.to_be_signed());
        let response = read_response(&prepared.complete(&signature)).unwrap();
        let text = Some("not you".to_owned());
        let fail_info = Some(FailInfo::AUTH_DATA_FAIL);
        assert_eq!(response, Response::Refused { status: 2, fail_info, text });
        assert_eq!(FailInfo::AUTH_DATA_FAIL.to_string(), "authDataFail (13)");
    }

    #[test]
    fn certs_only_is_read_back_in_its_order_and_has_no_crls() {
        let certificates = [ra().0, authority().0];
        let octets = cms::certs_only(&certificates);
        let response = read_response(&octets).unwrap();
        assert_eq!(response, Response::Certificates(certificates.to_vec()));
        let turned = [authority().0, ra().0];
        let response = read_response(&cms::certs_only(&turned)).unwrap();
        assert_eq!(response, Response::Certificates(turned.to_vec()));
        // signerInfos, an empty SET, follows the certificates at once.
        assert_eq!(octets[octets.len() - 2..], [0x31, 0]);
        let set = octets.len() - 2 - certificates.iter().map(|one| one.der().len()).sum::<usize>();
        assert_eq!(octets[set - 4], 0xa0);
    }

    #[test]
    fn indefinite_lengths_are_read() {
        // ContentInfo and its [0] with indefinite lengths around a certs-only SignedData.
        let octets = cms::certs_only(&[authority().0]);
        let info = cms_content(&octets);
        let mut ber = vec![0x30, 0x80];
        ber.extend(der_octets(&oid::SIGNED_DATA));
        ber.extend([0xa0, 0x80]);
        ber.extend(info);
        ber.extend([0; 4]);
        let expected = Response::Certificates(vec![authority().0]);
        assert_eq!(read_response(&ber).unwrap(), expected);
    }

    fn cms_content(octets: &[u8]) -> Vec<u8> {
        let info = ::cms::content_info::ContentInfo::from_der(octets).unwrap();
        der_octets(&info.content)
    }

    #[test]
    fn refuses_to_wrap_what_is_not_der() {
        let result = prepare_request(b"asdf", &ra().0, &WINDOWS);
        assert!(matches!(result, Err(CmcError::NotDer)));
    }

    /// Policies narrow what the extended key usage allows.
    #[test]
    fn application_policies_must_allow_it_as_well() {
        let (ca, key) = authority();
        let issuer = Issuer::new(&ca).unwrap();
        let dns = vec!["ra.example".into()];
        let subject = Subject::Host { name: common_name("ra.example"), dns, ip: vec![] };
        let signing = profile(Kind::Signing);
        let mut tbs =
            to_be_signed(&signing, &subject, &rsa_2048(), &issuer, &serial(2), NOW).unwrap();
        tbs.extensions.retain(|extension| extension.extn_id != oid::APPLICATION_POLICIES);
        let signed_by_ca = |tbs: &TbsCertificate| {
            let octets = der_octets(tbs);
            let signature = key.sign(&octets);
            let der = signed(&octets, issuer.algorithm.clone(), &signature);
            (Certificate::from_der(&der).unwrap(), ToyKey::new(rsa_2048()))
        };
        let without = request(&WINDOWS, &signed_by_ca(&tbs));
        assert!(trusting(|trust| vouch(&without, trust)).is_ok());
        tbs.extensions.push(application_policies(&[oid::SERVER_AUTH]));
        let error = refused(&request(&WINDOWS, &signed_by_ca(&tbs)));
        assert!(matches!(error, CmcError::SignerRefused(SignerFault::Usage)), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics_on_what_a_peer_sends(
            at in 0usize..4000, octet: u8, cut in 0usize..4000,
        ) {
            let mut octets = request(&WINDOWS, &ra());
            let length = octets.len();
            octets[at % length] = octet;
            octets.truncate(cut.max(1));
            let _ = trusting(|trust| vouch(&octets, trust).map(|_| ()));
            let _ = read_response(&octets);
        }
    }
}
