//! Names and extensions of certificates that the library does not know: Microsoft's and Kerberos'.
//!
//! Writers return a [`GeneralName`] or an [`Extension`]; readers take the value
//! and return `None` for anything that is not exactly that structure.

use std::{fmt, net::IpAddr, str::FromStr};

use der::{
    Any, Decode, Encode, Sequence, Tag,
    asn1::{Ia5String, ObjectIdentifier, OctetString},
};
use x509_cert::ext::{
    Extension,
    pkix::{
        AccessDescription, AuthorityInfoAccessSyntax, CrlDistributionPoints,
        certpolicy::{CertificatePolicies, PolicyInformation},
        crl::dp::DistributionPoint,
        name::{DistributionPointName, GeneralName, GeneralNames, OtherName},
    },
};

use super::{algorithm::der_octets, oid};

/// A name or an extension could not be made of what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// A DNS name or URL with characters that certificates cannot carry.
    #[error("{what} {text:?} must be plain ASCII without blanks and not empty")]
    NotPlain {
        /// The kind of name.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// Not a security identifier.
    #[error("{0:?} is not a security identifier like S-1-5-21-1-2-3-1001")]
    NotASid(String),
}

/// A Windows security identifier in its text form, `S-1-5-21-…` ([MS-DTYP] 2.4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sid(String);

/// A Kerberos principal, as the otherName `id-pkinit-san` carries it (RFC 4556 §3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The realm, upper case by custom.
    pub realm: String,
    /// The type of name (RFC 4120 §6.2): [`Principal::USER`] or [`Principal::SERVICE`].
    pub name_type: i32,
    /// The components, for instance `krbtgt` and the realm.
    pub components: Vec<String>,
}

/// A certificate template, as extension 1.3.6.1.4.1.311.21.7 names it ([MS-WCCE] 2.2.2.7.7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// `msPKI-Cert-Template-OID`.
    pub oid: ObjectIdentifier,
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl Sid {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The non-critical extension 1.3.6.1.4.1.311.25.2: one otherName with the SID as ASCII text.
    #[must_use]
    pub fn to_extension(&self) -> Extension {
        let text = OctetString::new(self.0.as_bytes()).expect("a SID is short");
        let name = other_name(oid::OBJECT_SID, Any::encode_from(&text).expect("it is short"));
        extension(oid::SID_EXTENSION, false, &vec![name])
    }

    /// The URI that says the same in a subject alternative name.
    #[must_use]
    pub fn to_uri(&self) -> GeneralName {
        let text = format!("{SID_URI}{}", self.0);
        GeneralName::UniformResourceIdentifier(Ia5String::new(&text).expect("a SID is ASCII"))
    }

    /// Reads the value of extension 1.3.6.1.4.1.311.25.2.
    #[must_use]
    pub fn from_extension(value: &[u8]) -> Option<Self> {
        let names = GeneralNames::from_der(value).ok()?;
        let [GeneralName::OtherName(name)] = names.as_slice() else { return None };
        if name.type_id != oid::OBJECT_SID {
            return None;
        }
        let text = name.value.decode_as::<OctetString>().ok()?;
        std::str::from_utf8(text.as_bytes()).ok()?.parse().ok()
    }

    /// Reads the URI of a subject alternative name; `None` if it is another one.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        uri.strip_prefix(SID_URI)?.parse().ok()
    }
}

impl FromStr for Sid {
    type Err = ExtensionError;

    fn from_str(text: &str) -> Result<Self, ExtensionError> {
        let number = |part: &str| part.len() <= 15 && part.parse::<u64>().is_ok();
        let plain = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        let mut parts = text.strip_prefix("S-1-").unwrap_or_default().split('-');
        let count = parts.clone().count();
        if (2..=16).contains(&count) && parts.all(|part| plain(part) && number(part)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ExtensionError::NotASid(text.to_owned()))
        }
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Principal {
    /// `NT-PRINCIPAL`: a user.
    pub const USER: i32 = 1;
    /// `NT-SRV-INST`: a service and its instance, like `krbtgt/REALM`.
    pub const SERVICE: i32 = 2;

    /// The user `name` of `realm`.
    #[must_use]
    pub fn user(name: &str, realm: &str) -> Self {
        Self { realm: realm.into(), name_type: Self::USER, components: vec![name.into()] }
    }

    /// The ticket-granting service of `realm`, which is what a KDC certificate names.
    #[must_use]
    pub fn kdc(realm: &str) -> Self {
        Self {
            realm: realm.into(),
            name_type: Self::SERVICE,
            components: vec!["krbtgt".into(), realm.into()],
        }
    }

    /// The otherName `id-pkinit-san`.
    #[must_use]
    pub fn to_name(&self) -> GeneralName {
        let value = Krb5PrincipalName {
            realm: general_string(&self.realm),
            principal_name: PrincipalName {
                name_type: self.name_type,
                name_string: self.components.iter().map(|part| general_string(part)).collect(),
            },
        };
        let value = Any::encode_from(&value).expect("a principal made of strings can be encoded");
        other_name(oid::PKINIT_SAN, value)
    }

    /// Reads the otherName `id-pkinit-san`; `None` if it is another one.
    #[must_use]
    pub fn from_name(name: &OtherName) -> Option<Self> {
        if name.type_id != oid::PKINIT_SAN {
            return None;
        }
        let read = name.value.decode_as::<Krb5PrincipalName>().ok()?;
        let parts = read.principal_name.name_string.iter().map(read_general_string);
        Some(Self {
            realm: read_general_string(&read.realm)?,
            name_type: read.principal_name.name_type,
            components: parts.collect::<Option<_>>()?,
        })
    }
}

impl Template {
    /// The non-critical extension 1.3.6.1.4.1.311.21.7.
    #[must_use]
    pub fn to_extension(&self) -> Extension {
        let value =
            CertificateTemplate { id: self.oid, major: Some(self.major), minor: Some(self.minor) };
        extension(oid::TEMPLATE, false, &value)
    }

    /// Reads the value of extension 1.3.6.1.4.1.311.21.7. Absent versions read as 0.
    #[must_use]
    pub fn from_extension(value: &[u8]) -> Option<Self> {
        let CertificateTemplate { id, major, minor } = CertificateTemplate::from_der(value).ok()?;
        Some(Self { oid: id, major: major.unwrap_or(0), minor: minor.unwrap_or(0) })
    }
}

/// The otherName that carries a user principal name.
#[must_use]
pub fn upn(name: &str) -> GeneralName {
    let value = Any::new(Tag::Utf8String, name.as_bytes()).expect("a UPN is short");
    other_name(oid::UPN, value)
}

/// The user principal name in an otherName; `None` if it is another one.
#[must_use]
pub fn read_upn(name: &OtherName) -> Option<String> {
    if name.type_id != oid::UPN {
        return None;
    }
    name.value.decode_as::<String>().ok()
}

/// A dNSName.
///
/// # Errors
///
/// Empty, or not plain ASCII.
pub fn dns(name: &str) -> Result<GeneralName, ExtensionError> {
    plain("DNS name", name).map(GeneralName::DnsName)
}

/// An iPAddress.
#[must_use]
pub fn ip(address: IpAddr) -> GeneralName {
    GeneralName::from(address)
}

/// The subject alternative name; critical where there is no subject (RFC 5280 §4.2.1.6).
#[must_use]
pub fn subject_alt_name(names: &[GeneralName], critical: bool) -> Extension {
    extension(oid::SUBJECT_ALT_NAME, critical, &names.to_vec())
}

/// Application policies: the EKU once more, in the form of certificate policies.
#[must_use]
pub fn application_policies(policies: &[ObjectIdentifier]) -> Extension {
    let policy = |oid: &ObjectIdentifier| PolicyInformation {
        policy_identifier: *oid,
        policy_qualifiers: None,
    };
    let value = CertificatePolicies(policies.iter().map(policy).collect());
    extension(oid::APPLICATION_POLICIES, false, &value)
}

/// Reads the value of an application policies extension.
#[must_use]
pub fn read_application_policies(value: &[u8]) -> Option<Vec<ObjectIdentifier>> {
    let policies = CertificatePolicies::from_der(value).ok()?;
    Some(policies.0.into_iter().map(|policy| policy.policy_identifier).collect())
}

/// CRL distribution points: one point with all the URLs, which lead to the same CRL.
///
/// # Errors
///
/// A URL is empty or not plain ASCII.
pub fn crl_distribution_points(urls: &[String]) -> Result<Extension, ExtensionError> {
    let names = urls.iter().map(|url| uri(url)).collect::<Result<_, _>>()?;
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    };
    Ok(extension(oid::CRL_DISTRIBUTION_POINTS, false, &CrlDistributionPoints(vec![point])))
}

/// The URLs in the value of a CRL distribution points extension.
#[must_use]
pub fn read_crl_distribution_points(value: &[u8]) -> Option<Vec<String>> {
    let points = CrlDistributionPoints::from_der(value).ok()?;
    let names = points.0.into_iter().filter_map(|point| match point.distribution_point? {
        DistributionPointName::FullName(names) => Some(names),
        DistributionPointName::NameRelativeToCRLIssuer(_) => None,
    });
    Some(names.flatten().filter_map(read_uri).collect())
}

/// Authority information access: where the issuer's certificate can be fetched.
///
/// # Errors
///
/// A URL is empty or not plain ASCII.
pub fn authority_info_access(urls: &[String]) -> Result<Extension, ExtensionError> {
    let describe = |url: &String| {
        let access_location = uri(url)?;
        Ok(AccessDescription { access_method: oid::CA_ISSUERS, access_location })
    };
    let value = AuthorityInfoAccessSyntax(urls.iter().map(describe).collect::<Result<_, _>>()?);
    Ok(extension(oid::AUTHORITY_INFO_ACCESS, false, &value))
}

/// The caIssuers URLs in the value of an authority information access extension.
#[must_use]
pub fn read_authority_info_access(value: &[u8]) -> Option<Vec<String>> {
    let access = AuthorityInfoAccessSyntax::from_der(value).ok()?;
    let issuers = access.0.into_iter().filter(|access| access.access_method == oid::CA_ISSUERS);
    Some(issuers.filter_map(|access| read_uri(access.access_location)).collect())
}

/// An extension around a value.
pub(crate) fn extension(
    extn_id: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> Extension {
    let extn_value = OctetString::new(der_octets(value)).expect("an extension is short");
    Extension { extn_id, critical, extn_value }
}

fn other_name(type_id: ObjectIdentifier, value: Any) -> GeneralName {
    GeneralName::OtherName(OtherName { type_id, value })
}

fn uri(url: &str) -> Result<GeneralName, ExtensionError> {
    plain("URL", url).map(GeneralName::UniformResourceIdentifier)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, one kind is a URI")]
fn read_uri(name: GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    }
}

fn plain(what: &'static str, text: &str) -> Result<Ia5String, ExtensionError> {
    let not_plain = || ExtensionError::NotPlain { what, text: text.to_owned() };
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(not_plain());
    }
    Ia5String::new(text).map_err(|_| not_plain())
}

fn general_string(text: &str) -> Any {
    Any::new(Tag::GeneralString, text.as_bytes()).expect("a principal is short")
}

fn read_general_string(value: &Any) -> Option<String> {
    if value.header().tag() != Tag::GeneralString {
        return None;
    }
    String::from_utf8(value.value().to_vec()).ok()
}

/// `KRB5PrincipalName` (RFC 4556 §3.2.2); the module has explicit tags.
#[derive(Sequence)]
struct Krb5PrincipalName {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    realm: Any,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    principal_name: PrincipalName,
}

/// `PrincipalName` (RFC 4120 §5.2.2).
#[derive(Sequence)]
struct PrincipalName {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    name_type: i32,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    name_string: Vec<Any>,
}

/// `CertificateTemplateOID` ([MS-WCCE] 2.2.2.7.7.2).
#[derive(Sequence)]
struct CertificateTemplate {
    id: ObjectIdentifier,
    #[asn1(optional = "true")]
    major: Option<u32>,
    #[asn1(optional = "true")]
    minor: Option<u32>,
}

/// What stands before the SID in its URI form (KB5014754).
const SID_URI: &str = "tag:microsoft.com,2022-09-14:sid:";

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;

    use super::*;

    #[expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]
    fn other(name: GeneralName) -> OtherName {
        match name {
            GeneralName::OtherName(other) => other,
            name => panic!("{name:?} is no otherName"),
        }
    }

    #[test]
    fn upn_is_the_utf8_string_that_windows_writes() {
        let name = upn("Upn_214950130@mil");
        let octets = "a021060a2b060104018237140203a0130c1155706e5f323134393530313330406d696c";
        assert_eq!(HEX.encode(&der_octets(&name)), octets);
        assert_eq!(read_upn(&other(name)).unwrap(), "Upn_214950130@mil");
    }

    #[test]
    fn reads_no_upn_from_other_types_and_from_other_strings() {
        assert_eq!(read_upn(&other(Principal::user("a", "B").to_name())), None);
        let value = Any::new(Tag::Ia5String, b"a@b".to_vec()).unwrap();
        assert_eq!(read_upn(&OtherName { type_id: oid::UPN, value }), None);
    }

    #[test]
    fn principal_has_explicit_tags_and_general_strings() {
        let name = Principal::kdc("EX").to_name();
        // [0] { OID, [0] SEQ { [0] "EX", [1] SEQ { [0] 2, [1] SEQ { "krbtgt", "EX" } } } }
        let octets = "a02b06062b0601050202a021301fa0041b024558\
                      a1173015a003020102a10e300c1b066b72627467741b024558";
        assert_eq!(HEX.encode(&der_octets(&name)), octets);
        assert_eq!(Principal::from_name(&other(name)).unwrap(), Principal::kdc("EX"));
    }

    #[test]
    fn principal_of_another_type_or_with_other_strings_is_none() {
        assert_eq!(Principal::from_name(&other(upn("a@b"))), None);
        let value = Any::new(Tag::Utf8String, b"a".to_vec()).unwrap();
        assert_eq!(Principal::from_name(&OtherName { type_id: oid::PKINIT_SAN, value }), None);
    }

    #[test]
    fn sid_extension_holds_the_text() {
        let sid: Sid = "S-1-5-21-1-2-3-1001".parse().unwrap();
        let extension = sid.to_extension();
        assert!(!extension.critical);
        let octets = "3025a023060a2b060104018237190201a0150413532d312d352d32312d31\
                      2d322d332d31303031";
        assert_eq!(HEX.encode(extension.extn_value.as_bytes()), octets);
        assert_eq!(Sid::from_extension(extension.extn_value.as_bytes()), Some(sid));
    }

    #[test]
    fn sid_uri_is_read_back() {
        let sid: Sid = "S-1-5-21-1-2-3-1001".parse().unwrap();
        let uri = read_uri(sid.to_uri()).unwrap();
        assert_eq!(uri, "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1001");
        assert_eq!(Sid::from_uri(&uri), Some(sid));
        assert_eq!(Sid::from_uri("https://example.org/S-1-5-21-1"), None);
    }

    #[test]
    fn refuses_what_is_no_sid() {
        for text in ["", "S-1-", "S-1-5", "S-2-5-21", "S-1-5-21-", "S-1-5-+1", "S-1-5-x", "s-1-5-1"]
        {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
        assert!("S-1-5-18".parse::<Sid>().is_ok());
        assert!(format!("S-1-5{}", "-1".repeat(16)).parse::<Sid>().is_err());
    }

    #[test]
    fn template_is_read_with_and_without_versions() {
        let template = Template { oid: oid::TEMPLATE_ARC, major: 100, minor: 5 };
        let extension = template.to_extension();
        assert_eq!(Template::from_extension(extension.extn_value.as_bytes()), Some(template));
        let bare = HEX.decode(b"300b06092b0601040182371508").unwrap();
        let read = Template::from_extension(&bare).unwrap();
        assert_eq!((read.oid, read.major, read.minor), (oid::TEMPLATE_ARC, 0, 0));
        assert_eq!(Template::from_extension(b"\x30\x00"), None);
    }

    #[test]
    fn application_policies_have_no_qualifiers() {
        let extension = application_policies(&[oid::OTP_REGISTRATION_AUTHORITY]);
        let octets = "300e300c060a2b060104018237510101";
        assert_eq!(HEX.encode(extension.extn_value.as_bytes()), octets);
        let read = read_application_policies(extension.extn_value.as_bytes()).unwrap();
        assert_eq!(read, [oid::OTP_REGISTRATION_AUTHORITY]);
    }

    #[test]
    fn urls_of_crl_and_issuer_are_read_back() {
        let urls = ["http://ca.example/ca.crl".to_owned(), "http://b.example/ca.crl".to_owned()];
        let points = crl_distribution_points(&urls).unwrap();
        assert_eq!(read_crl_distribution_points(points.extn_value.as_bytes()).unwrap(), urls);
        let access = authority_info_access(&urls).unwrap();
        assert_eq!(read_authority_info_access(access.extn_value.as_bytes()).unwrap(), urls);
    }

    #[test]
    fn refuses_names_that_a_certificate_cannot_carry() {
        for name in ["", "a b", "bücher.example", "a\n"] {
            assert!(dns(name).is_err(), "{name:?}");
            assert!(crl_distribution_points(&[name.to_owned()]).is_err(), "{name:?}");
        }
    }
}
