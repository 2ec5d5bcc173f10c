//! Object identifiers of the field, by their names.
//!
//! Signature algorithms are in [`super::algorithm`].

use der::asn1::ObjectIdentifier;

const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

// Microsoft: certificate templates, logon, one-time passwords ([MS-WCCE], [MS-OTPCE]).

/// DirectAccess OTP registration authority: EKU and application policy of a signing certificate.
pub const OTP_REGISTRATION_AUTHORITY: ObjectIdentifier = oid("1.3.6.1.4.1.311.81.1.1");
/// Smart card logon, an EKU.
pub const SMART_CARD_LOGON: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.2");
/// User principal name, an otherName.
pub const UPN: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.3");
/// Certificate request agent, an EKU: enrols on behalf of others. Never ours.
pub const CERTIFICATE_REQUEST_AGENT: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2.1");
/// Certificate template by name (version 1), an extension.
pub const TEMPLATE_NAME: ObjectIdentifier = oid("1.3.6.1.4.1.311.20.2");
/// Certificate template by OID (version 2), an extension.
pub const TEMPLATE: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.7");
/// The arc under which Active Directory makes template OIDs.
pub const TEMPLATE_ARC: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.8");
/// RDN attribute that names the placeholder signer.
pub const DUMMY_SIGNER: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.9");
/// Application policies, an extension that repeats the EKU in the form of policies.
pub const APPLICATION_POLICIES: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.10");
/// Hash of the issued certificate, an attribute of CMC responses.
pub const ISSUED_CERT_HASH: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.17");
/// Who made the request on which machine, an attribute.
pub const REQUEST_CLIENT_INFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.21.20");
/// Name and value pair, an attribute.
pub const NAME_VALUE_PAIR: ObjectIdentifier = oid("1.3.6.1.4.1.311.13.2.1");
/// Cryptographic provider of the requester, an attribute.
pub const CSP_PROVIDER: ObjectIdentifier = oid("1.3.6.1.4.1.311.13.2.2");
/// Operating system version of the requester, an attribute.
pub const OS_VERSION: ObjectIdentifier = oid("1.3.6.1.4.1.311.13.2.3");
/// The certificate that a request renews, an attribute.
pub const RENEWAL_CERTIFICATE: ObjectIdentifier = oid("1.3.6.1.4.1.311.13.1");
/// Requested extensions, the attribute of Microsoft's older clients.
pub const CERT_EXTENSIONS: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.14");
/// CMC control that adds attributes to a request.
pub const CMC_ADD_ATTRIBUTES: ObjectIdentifier = oid("1.3.6.1.4.1.311.10.10.1");
/// Security identifier of the account, an extension (KB5014754).
pub const SID_EXTENSION: ObjectIdentifier = oid("1.3.6.1.4.1.311.25.2");
/// objectSid, the otherName inside [`SID_EXTENSION`].
pub const OBJECT_SID: ObjectIdentifier = oid("1.3.6.1.4.1.311.25.2.1");

// Kerberos (RFC 4556).

/// KRB5PrincipalName, an otherName.
pub const PKINIT_SAN: ObjectIdentifier = oid("1.3.6.1.5.2.2");
/// PKINIT client, an EKU.
pub const PKINIT_CLIENT: ObjectIdentifier = oid("1.3.6.1.5.2.3.4");
/// PKINIT KDC, an EKU.
pub const PKINIT_KDC: ObjectIdentifier = oid("1.3.6.1.5.2.3.5");

// CMS and PKCS#9 (RFC 5652, RFC 2985).

/// Plain content.
pub const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
/// SignedData.
pub const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// Content type, a signed attribute.
pub const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// Message digest, a signed attribute.
pub const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
/// Requested extensions, an attribute.
pub const EXTENSION_REQUEST: ObjectIdentifier = oid("1.2.840.113549.1.9.14");
/// Ciphers that a mail program knows (RFC 8551), an extension.
pub const SMIME_CAPABILITIES: ObjectIdentifier = oid("1.2.840.113549.1.9.15");
/// SHA-1.
pub const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
/// SHA-256.
pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
/// SHA-384.
pub const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
/// SHA-512.
pub const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
/// RSA keys, and RSA signatures whose digest is named elsewhere.
pub const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// Keys on elliptic curves.
pub const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
/// The curve P-256.
pub const CURVE_P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
/// The curve P-384.
pub const CURVE_P384: ObjectIdentifier = oid("1.3.132.0.34");

// CMC (RFC 5272, RFC 6402).

/// PKIData, the content of a full PKI request.
pub const PKI_DATA: ObjectIdentifier = oid("1.3.6.1.5.5.7.12.2");
/// PKIResponse, the content of a full PKI response.
pub const PKI_RESPONSE: ObjectIdentifier = oid("1.3.6.1.5.5.7.12.3");
/// A bare hash in the place of a signature.
pub const NO_SIGNATURE: ObjectIdentifier = oid("1.3.6.1.5.5.7.6.2");
/// Status of a request, a control.
pub const CMC_STATUS_INFO: ObjectIdentifier = oid("1.3.6.1.5.5.7.7.1");
/// Registration information, a control.
pub const CMC_REG_INFO: ObjectIdentifier = oid("1.3.6.1.5.5.7.7.18");

// Extended key usages (RFC 5280, RFC 6402).

/// TLS server.
pub const SERVER_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.1");
/// TLS client.
pub const CLIENT_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.2");
/// CMC registration authority.
pub const CMC_RA: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.28");

// Extensions (RFC 5280).

/// Subject key identifier.
pub const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.14");
/// Key usage.
pub const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
/// Subject alternative name.
pub const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
/// Basic constraints.
pub const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
/// CRL number.
pub const CRL_NUMBER: ObjectIdentifier = oid("2.5.29.20");
/// CRL distribution points.
pub const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = oid("2.5.29.31");
/// Authority key identifier.
pub const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.35");
/// Extended key usage.
pub const EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
/// Authority information access.
pub const AUTHORITY_INFO_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.1.1");
/// Where the issuer's certificate is, an access method.
pub const CA_ISSUERS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.2");
/// Common name, an RDN attribute (X.520).
pub const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
