//! MS-OTPCE documents: `signCertRequest` and `signCertResponse` ([MS-OTPCE] §2.2).
//!
//! Where the printed schema, text and examples of [MS-OTPCE] disagree, this
//! reads both and writes what the examples of Windows show.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use self::document::{Document, Element};
use crate::secret::Secret;

mod document;

/// The namespace of both documents.
pub const NAMESPACE: &str = "http://schemas.microsoft.com/otpcep/1.0/protocol";
/// The media type of both documents, as [MS-OTPCE] prints it.
pub const CONTENT_TYPE: &str = "Application/xml;charset=utf-8";
/// The header that both messages must have ([MS-OTPCE] §1.7).
pub const VERSION_HEADER: &str = "X-OTPCEP-version";
/// The value of [`VERSION_HEADER`].
pub const VERSION: &str = "1.0";
/// Octets of the longest document that is read.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// A client asks for the signature of the registration authority (§2.2.2).
#[derive(Debug, Clone)]
pub struct SignCertRequest {
    /// The logon name, `domain\username`.
    pub username: String,
    /// What the user typed, unchanged.
    pub one_time_password: Secret<String>,
    /// The octets of the certificate request. That they are no base64 is not an
    /// error of the document: the answer to it is `OtherError` (§4.4).
    pub cert_request: Result<Vec<u8>, NotBase64>,
}

/// The server's answer (§2.2.3). There is no room in it for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignCertResponse {
    /// The one-time password was accepted and the request signed.
    Success {
        /// The certificate request, signed by the registration authority: DER CMS.
        signed_cert_request: Vec<u8>,
        /// The CAs that will take it, best first.
        issuing_ca: Vec<IssuingCa>,
    },
    /// The credentials were refused.
    AuthenticationError,
    /// The server of one-time passwords asked for more, which cannot be carried.
    ChallengeResponseRequired,
    /// Anything else.
    OtherError,
}

/// A CA's configuration string, `host.fqdn\CA name`. It is not a URI, whatever the schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuingCa(pub String);

/// The value is not base64 with padding (RFC 4648 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not base64")]
pub struct NotBase64;

/// What is wrong with a document. None of these repeats what the document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Longer than [`MAX_DOCUMENT`], or with too many attributes or elements.
    #[error("the document is too large")]
    TooLarge,
    /// Not UTF-8, or declared to be something else.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// A character that XML 1.0 does not allow, U+0000 among them.
    #[error("the document has a character that XML 1.0 does not allow")]
    ForbiddenCharacter,
    /// Not well-formed XML 1.0.
    #[error("the document is not well-formed XML 1.0 near octet {position}")]
    Malformed {
        /// Octets from the start.
        position: u64,
    },
    /// A document type declaration, a processing instruction or a CDATA section.
    #[error("the document has a DTD, a processing instruction or a CDATA section")]
    ForbiddenMarkup,
    /// Elements or text where the schema has none.
    #[error("the document has elements or text where there should be none")]
    UnexpectedContent,
    /// Another root element, or another namespace.
    #[error("the root element is not {expected} of {NAMESPACE}")]
    WrongRoot {
        /// The local name that was expected.
        expected: &'static str,
    },
    /// A required attribute is missing.
    #[error("the attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// A status that [MS-OTPCE] does not have.
    #[error("the status code is unknown")]
    UnknownStatus,
    /// `Success` without a readable signed request.
    #[error("the status is Success, but there is no signed request in base64")]
    NoSignedRequest,
}

impl SignCertRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// It is no such document; the HTTP answer to that is 400.
    pub fn read(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = Document::read(octets)?.into_root(REQUEST)?;
        if !root.children.is_empty() {
            return Err(DocumentError::UnexpectedContent);
        }
        let cert_request = root.attribute("certRequest").or(root.attribute("CertRequest"));
        let cert_request = cert_request.ok_or(DocumentError::MissingAttribute("certRequest"))?;
        Ok(Self {
            username: required(&root, "username")?.to_owned(),
            one_time_password: Secret::new(required(&root, "oneTimePassword")?.to_owned()),
            cert_request: read_base64(cert_request),
        })
    }

    /// Writes a request.
    ///
    /// # Errors
    ///
    /// The name or the one-time password has a character that XML cannot carry.
    pub fn write(
        username: &str,
        one_time_password: &Secret<String>,
        cert_request: &[u8],
    ) -> Result<Secret<String>, DocumentError> {
        let otp = one_time_password.expose();
        if !username.chars().chain(otp.chars()).all(document::is_xml_character) {
            return Err(DocumentError::ForbiddenCharacter);
        }
        let cert_request = BASE64.encode(cert_request);
        let attributes = [
            ("username", username),
            ("oneTimePassword", otp.as_str()),
            ("certRequest", &cert_request),
        ];
        Ok(Secret::new(document::write(REQUEST, &attributes, &[])))
    }
}

impl SignCertResponse {
    /// Reads a response, as a client does.
    ///
    /// # Errors
    ///
    /// It is no such document, has an unknown status, or claims success without
    /// a signed request.
    pub fn read(octets: &[u8]) -> Result<Self, DocumentError> {
        let root = Document::read(octets)?.into_root(RESPONSE)?;
        match required(&root, "statusCode")? {
            "Success" => Self::read_success(&root),
            "AuthenticationError" => Ok(Self::AuthenticationError),
            "ChallengeResponseRequired" => Ok(Self::ChallengeResponseRequired),
            "OtherError" => Ok(Self::OtherError),
            _ => Err(DocumentError::UnknownStatus),
        }
    }

    /// The attribute is `SignedCertRequest`; an older draft called it `certificate`.
    fn read_success(root: &Element) -> Result<Self, DocumentError> {
        let value = root.attribute("SignedCertRequest").or(root.attribute("certificate"));
        let signed_cert_request = value
            .and_then(|value| read_base64(value).ok())
            .filter(|octets| !octets.is_empty())
            .ok_or(DocumentError::NoSignedRequest)?;
        let issuing_ca = root.children.iter().filter(|child| child.is_ours("IssuingCA"));
        let issuing_ca = issuing_ca.map(|child| IssuingCa(child.text.trim().to_owned())).collect();
        Ok(Self::Success { signed_cert_request, issuing_ca })
    }

    /// The optional parts that have a content, in a response that is no success: none should.
    ///
    /// [MS-OTPCE] §2.2.3 has them absent or empty. A reader ignores them, and may
    /// want to tell; the names are ours, so that nothing of the peer's is repeated.
    #[must_use]
    pub fn needless_parts(octets: &[u8]) -> Vec<&'static str> {
        let root = Document::read(octets).and_then(|document| document.into_root(RESPONSE));
        let Ok(root) = root else { return Vec::new() };
        if root.attribute("statusCode") == Some("Success") {
            return Vec::new();
        }
        let attributes = ["SignedCertRequest", "certificate"].into_iter();
        let filled = attributes
            .filter(|name| root.attribute(name).is_some_and(|value| !value.trim().is_empty()));
        let has_ca = root.children.iter().any(|child| child.is_ours("IssuingCA"));
        filled.chain(has_ca.then_some("IssuingCA")).collect()
    }

    /// Writes a response: whatever is optional only on success.
    #[must_use]
    pub fn write(&self) -> String {
        match self {
            Self::Success { signed_cert_request, issuing_ca } => {
                let signed = BASE64.encode(signed_cert_request);
                let attributes =
                    [("statusCode", self.status_code()), ("SignedCertRequest", &signed)];
                let children: Vec<_> =
                    issuing_ca.iter().map(|ca| ("IssuingCA", ca.0.as_str())).collect();
                document::write(RESPONSE, &attributes, &children)
            }
            Self::AuthenticationError | Self::ChallengeResponseRequired | Self::OtherError => {
                document::write(RESPONSE, &[("statusCode", self.status_code())], &[])
            }
        }
    }

    /// The value of `statusCode`.
    #[must_use]
    pub fn status_code(&self) -> &'static str {
        match self {
            Self::Success { .. } => "Success",
            Self::AuthenticationError => "AuthenticationError",
            Self::ChallengeResponseRequired => "ChallengeResponseRequired",
            Self::OtherError => "OtherError",
        }
    }
}

impl IssuingCa {
    /// The host and the CA's name: what is before and after the first backslash.
    #[must_use]
    pub fn split(&self) -> Option<(&str, &str)> {
        let (host, name) = self.0.split_once('\\')?;
        (!host.is_empty() && !name.is_empty()).then_some((host, name))
    }
}

fn required<'a>(root: &'a Element, name: &'static str) -> Result<&'a str, DocumentError> {
    root.attribute(name).ok_or(DocumentError::MissingAttribute(name))
}

/// White space anywhere is ignored: Windows breaks the lines, and XML turns raw
/// line breaks into spaces.
fn read_base64(value: &str) -> Result<Vec<u8>, NotBase64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let digits = Zeroizing::new(value.bytes().filter(|byte| !is_space(byte)).collect::<Vec<u8>>());
    BASE64.decode(&digits).map_err(|_| NotBase64)
}

const REQUEST: &str = "signCertRequest";
const RESPONSE: &str = "signCertResponse";

#[cfg(test)]
mod tests;
