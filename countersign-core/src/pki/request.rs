//! What a certificate request asks for, and whether it may (digest of [MS-OTPCE], §6).
//!
//! The CA trusts whatever the registration authority signs, so nothing is signed
//! that did not pass here: every identity in the request belongs to the account
//! (1a), the template is ours and nothing beyond it is asked for (1b), the holder
//! of the key signed it with algorithms that are still good (1c).

use der::{
    Any, Decode, Sequence, Tag, Tagged,
    asn1::{BmpString, ObjectIdentifier},
};
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage,
    name::{GeneralName, GeneralNames},
};

use super::{
    algorithm::{Digest, KeyKind, Verify},
    csr::CertificateRequest,
    dn::DistinguishedName,
    extension::{self, Sid, Template},
    oid,
};
use crate::domain::{account::Account, id::AccountId};

/// What requests must be like.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// The name (`cn`) of the logon template.
    pub template_name: String,
    /// The object identifier of the logon template (`msPKI-Cert-Template-OID`).
    pub template_oid: ObjectIdentifier,
    /// Whether old clients may sign over SHA-1.
    pub allow_sha1: bool,
    /// Bits of the shortest RSA key.
    pub minimum_rsa_bits: usize,
    /// The kinds of key that are taken.
    pub key_kinds: Vec<KeyKind>,
}

/// A request that passed all checks for one account. Nothing else may be signed.
#[derive(Debug, Clone)]
#[must_use]
pub struct CheckedRequest {
    request: CertificateRequest,
    account: AccountId,
    template: ObjectIdentifier,
}

/// Why a request must not be signed: the step that decided, and the cause in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("check {step} of the certificate request: {cause}")]
pub struct Refusal {
    /// The step of the digest's table.
    pub step: Step,
    /// The cause, for the log; it goes to no peer.
    pub cause: String,
}

/// The steps of the check, as the digest of [MS-OTPCE] (§5.2) numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// 1a: the names are the account's.
    Names,
    /// 1b: the template, and nothing beyond it.
    Template,
    /// 1c: the signature and the key.
    Signature,
}

/// Checks a request for an account.
///
/// # Errors
///
/// The first check that failed, in the order 1a, 1b, 1c.
pub fn check(
    request: &CertificateRequest,
    account: &Account,
    policy: &RequestPolicy,
    verify: &dyn Verify,
) -> Result<CheckedRequest, Refusal> {
    check_names(request, account).map_err(|cause| Refusal { step: Step::Names, cause })?;
    check_beyond_names(request, policy, verify)?;
    Ok(CheckedRequest {
        request: request.clone(),
        account: account.id,
        template: policy.template_oid,
    })
}

/// Checks what can be checked when nobody has the login name that was given.
///
/// A bad request is answered with `OtherError` even then; a good one with
/// `AuthenticationError`. So that the two do not tell who has an account, names
/// that no account of this login name would have are refused here, too.
///
/// # Errors
///
/// The first check that failed, in the order 1a, 1b, 1c.
pub fn check_without_account(
    request: &CertificateRequest,
    login: &str,
    policy: &RequestPolicy,
    verify: &dyn Verify,
) -> Result<(), Refusal> {
    check_names_without_account(request, login)
        .map_err(|cause| Refusal { step: Step::Names, cause })?;
    check_beyond_names(request, policy, verify)
}

/// 1b and 1c.
fn check_beyond_names(
    request: &CertificateRequest,
    policy: &RequestPolicy,
    verify: &dyn Verify,
) -> Result<(), Refusal> {
    check_template(request, policy)
        .and_then(|()| check_attributes(request))
        .and_then(|()| check_extensions(request))
        .and_then(|()| check_purpose(request))
        .map_err(|cause| Refusal { step: Step::Template, cause })?;
    check_signature(request, policy, verify)
        .map_err(|cause| Refusal { step: Step::Signature, cause })
}

impl CheckedRequest {
    /// The octets that were checked.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.request.der()
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &CertificateRequest {
        &self.request
    }

    /// The account whose names are in it.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The template that it names.
    #[must_use]
    pub fn template(&self) -> ObjectIdentifier {
        self.template
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Names => "1a",
            Self::Template => "1b",
            Self::Signature => "1c",
        })
    }
}

/// Somebody whom a request names.
enum Identity {
    Subject(DistinguishedName),
    Upn(String),
    Sid(Sid),
}

/// 1a: by account and not by text.
fn check_names(request: &CertificateRequest, account: &Account) -> Result<(), String> {
    identities(request)?.iter().try_for_each(|identity| match identity {
        Identity::Subject(subject) => check_subject(subject, account),
        Identity::Upn(upn) => check_upn(upn, account),
        Identity::Sid(sid) => check_sid(sid, account),
    })
}

/// 1a, as far as it goes when nobody has the login name.
fn check_names_without_account(request: &CertificateRequest, login: &str) -> Result<(), String> {
    let (_, name) = login.rsplit_once('\\').unwrap_or(("", login));
    let before_realm = |name: &str| name.split('@').next().unwrap_or_default().to_lowercase();
    identities(request)?.iter().try_for_each(|identity| match identity {
        Identity::Upn(upn) => ensure(before_realm(upn) == before_realm(name), || {
            format!("its user principal name {upn} does not belong to {login}, whom nobody knows")
        }),
        Identity::Subject(_) | Identity::Sid(_) => Ok(()),
    })
}

/// Everybody whom the request names, at least one; the name of the machine that
/// sent it ([`oid::REQUEST_CLIENT_INFO`]) is no identity of the user.
fn identities(request: &CertificateRequest) -> Result<Vec<Identity>, String> {
    let mut identities = Vec::new();
    if !request.subject().is_empty() {
        identities.push(Identity::Subject(DistinguishedName::from_name(request.subject())));
    }
    if let Some(value) = request.extension(oid::SUBJECT_ALT_NAME) {
        let names = GeneralNames::from_der(value)
            .map_err(|_| "its subject alternative name cannot be read".to_owned())?;
        for name in &names {
            identities.push(alternative_identity(name)?);
        }
    }
    if let Some(value) = request.extension(oid::SID_EXTENSION) {
        let sid = Sid::from_extension(value)
            .ok_or_else(|| "its security identifier cannot be read".to_owned())?;
        identities.push(Identity::Sid(sid));
    }
    ensure(!identities.is_empty(), || "it names nobody".into())?;
    Ok(identities)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, two kinds are known")]
fn alternative_identity(name: &GeneralName) -> Result<Identity, String> {
    match name {
        GeneralName::OtherName(other) if other.type_id == oid::UPN => {
            let upn = extension::read_upn(other)
                .ok_or_else(|| "its user principal name cannot be read".to_owned())?;
            Ok(Identity::Upn(upn))
        }
        GeneralName::UniformResourceIdentifier(uri) => match Sid::from_uri(uri.as_str()) {
            Some(sid) => Ok(Identity::Sid(sid)),
            None => Err(format!("the URI {uri} in it is no security identifier")),
        },
        _ => Err("it has an alternative name that is neither UPN nor security identifier".into()),
    }
}

fn check_subject(subject: &DistinguishedName, account: &Account) -> Result<(), String> {
    let Some(dn) = &account.dn else {
        return Err(format!(
            "its subject is {subject}, but no distinguished name is known of the account; set it, or let the client leave the subject empty"
        ));
    };
    let dn: DistinguishedName = dn.parse().map_err(|error| {
        format!("the distinguished name of the account cannot be read: {error}")
    })?;
    ensure(dn.names_same_entry(subject), || {
        format!("its subject {subject} is not the account's distinguished name {dn}")
    })
}

fn check_upn(upn: &str, account: &Account) -> Result<(), String> {
    let own = account.effective_upn().ok_or_else(|| {
        format!("it names {upn}, but the account has no user principal name; set a UPN or a realm")
    })?;
    ensure(own.to_lowercase() == upn.to_lowercase(), || {
        format!("its user principal name {upn} is not the account's, {own}")
    })
}

fn check_sid(sid: &Sid, account: &Account) -> Result<(), String> {
    ensure(account.sid.as_deref() == Some(sid.as_str()), || match &account.sid {
        Some(own) => format!("its security identifier {sid} is not the account's, {own}"),
        None => format!("it names {sid}, but no security identifier is known of the account"),
    })
}

/// 1b: every way of naming a template that is used names ours, and one is used.
fn check_template(request: &CertificateRequest, policy: &RequestPolicy) -> Result<(), String> {
    let mut named = 0;
    if let Some(value) = request.extension(oid::TEMPLATE) {
        let template = Template::from_extension(value)
            .ok_or_else(|| "its template extension cannot be read".to_owned())?;
        ensure(template.oid == policy.template_oid, || {
            format!("it asks for the template {}, not for {}", template.oid, policy.template_oid)
        })?;
        named += 1;
    }
    if let Some(value) = request.extension(oid::TEMPLATE_NAME) {
        let name = read_template_name(value)
            .ok_or_else(|| "its template name cannot be read".to_owned())?;
        check_template_name(&name, policy)?;
        named += 1;
    }
    for (_, value) in request.attributes().filter(|(id, _)| *id == oid::NAME_VALUE_PAIR) {
        let (name, value) = read_pair(value)?;
        ensure(name.eq_ignore_ascii_case(TEMPLATE_PAIR), || {
            format!("it sets {name:?}; of names and values only {TEMPLATE_PAIR} is taken")
        })?;
        check_template_name(&value, policy)?;
        named += 1;
    }
    ensure(named > 0, || "it names no template".into())
}

fn check_template_name(name: &str, policy: &RequestPolicy) -> Result<(), String> {
    let ours = name.to_lowercase() == policy.template_name.to_lowercase()
        || name == policy.template_oid.to_string();
    ensure(ours, || format!("it asks for the template {name}, not for {}", policy.template_name))
}

/// 1b: no attribute that would make a CA go beyond the template.
///
/// What is taken is listed, and not what is refused: a Microsoft CA drops blanks
/// and minus signs from the names of pairs before it looks at them
/// ([MS-WCCE] 3.2.1.4.2.1.2), so a list of bad names is easily got around.
fn check_attributes(request: &CertificateRequest) -> Result<(), String> {
    let mut seen = Vec::new();
    for (id, _) in request.attributes() {
        ensure(ATTRIBUTES.contains(&id), || {
            format!("it has the attribute {id}, which no logon needs")
        })?;
        ensure(id == oid::NAME_VALUE_PAIR || !seen.contains(&id), || {
            format!("it has the attribute {id} twice")
        })?;
        seen.push(id);
    }
    Ok(())
}

/// 1b: no extension that the template does not speak of.
fn check_extensions(request: &CertificateRequest) -> Result<(), String> {
    request.extensions().iter().map(|extension| extension.extn_id).try_for_each(|id| {
        ensure(EXTENSIONS.contains(&id), || {
            format!("it asks for the extension {id}, which no logon needs")
        })
    })
}

/// 1b: smart card logon and nothing else, and no CA.
fn check_purpose(request: &CertificateRequest) -> Result<(), String> {
    let only_logon = |ids: Option<Vec<ObjectIdentifier>>, what: &str| {
        ensure(ids.is_some_and(|ids| ids == [oid::SMART_CARD_LOGON]), || {
            format!("its {what} is not smart card logon alone")
        })
    };
    if let Some(value) = request.extension(oid::EXTENDED_KEY_USAGE) {
        only_logon(ExtendedKeyUsage::from_der(value).ok().map(|usage| usage.0), "key purpose")?;
    }
    if let Some(value) = request.extension(oid::APPLICATION_POLICIES) {
        only_logon(extension::read_application_policies(value), "application policy")?;
    }
    if let Some(value) = request.extension(oid::BASIC_CONSTRAINTS) {
        let constraints = BasicConstraints::from_der(value);
        ensure(constraints.is_ok_and(|constraints| !constraints.ca), || {
            "it asks to be a CA".into()
        })?;
    }
    if let Some(value) = request.extension(oid::KEY_USAGE) {
        let usage = KeyUsage::from_der(value);
        ensure(usage.is_ok_and(|usage| !usage.key_cert_sign() && !usage.crl_sign()), || {
            "its key usage would sign certificates".into()
        })?;
    }
    Ok(())
}

/// 1c: what is cheap to check comes before the signature.
fn check_signature(
    request: &CertificateRequest,
    policy: &RequestPolicy,
    verify: &dyn Verify,
) -> Result<(), String> {
    let key = request.key();
    ensure(policy.key_kinds.contains(&key.kind), || {
        format!("keys of the kind {:?} are not taken", key.kind)
    })?;
    let long_enough = key.kind != KeyKind::Rsa || key.bits >= policy.minimum_rsa_bits;
    ensure(long_enough, || {
        format!("its RSA key has {} bits, fewer than {}", key.bits, policy.minimum_rsa_bits)
    })?;
    let digest = request.digest();
    ensure(digest.is_some(), || "it has no signature by its key".into())?;
    ensure(digest != Some(Digest::Sha1) || policy.allow_sha1, || {
        "it is signed over SHA-1; allow-sha1 in the config would take it".into()
    })?;
    ensure(request.is_signed_by_its_key(verify), || "its signature is not valid".into())
}

/// [MS-WCCE] prints SEQUENCE { UTF8String }, Windows sends a bare BMPString.
fn read_template_name(value: &[u8]) -> Option<String> {
    let value = Any::from_der(value).ok()?;
    if value.tag() == Tag::Sequence {
        let [name] = value.decode_as::<Vec<Any>>().ok()?.try_into().ok()?;
        return read_string(&name);
    }
    read_string(&value)
}

/// `EnrollmentNameValuePair` ([MS-WCCE] 2.2.2.7.10).
fn read_pair(value: &Any) -> Result<(String, String), String> {
    let pair = value.decode_as::<NameValuePair>().ok();
    pair.and_then(|pair| Some((read_string(&pair.name)?, read_string(&pair.value)?)))
        .ok_or_else(|| "its name and value pair cannot be read".into())
}

fn read_string(value: &Any) -> Option<String> {
    if value.tag() == Tag::BmpString {
        return value.decode_as::<BmpString>().ok().map(|text| text.to_string());
    }
    let is_text = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String].contains(&value.tag());
    is_text.then(|| String::from_utf8(value.value().to_vec()).ok()).flatten()
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[derive(Sequence)]
struct NameValuePair {
    name: Any,
    value: Any,
}

/// The only name and value pair that is taken, in any case of its letters.
const TEMPLATE_PAIR: &str = "CertificateTemplate";

/// The attributes that are taken; all but the extensions are only about the requester.
const ATTRIBUTES: [ObjectIdentifier; 6] = [
    oid::EXTENSION_REQUEST,
    oid::CERT_EXTENSIONS,
    oid::OS_VERSION,
    oid::REQUEST_CLIENT_INFO,
    oid::CSP_PROVIDER,
    oid::NAME_VALUE_PAIR,
];

/// The extensions that are taken, each with a value that is checked or grants nothing.
const EXTENSIONS: [ObjectIdentifier; 10] = [
    oid::TEMPLATE,
    oid::TEMPLATE_NAME,
    oid::EXTENDED_KEY_USAGE,
    oid::KEY_USAGE,
    oid::APPLICATION_POLICIES,
    oid::SUBJECT_ALT_NAME,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::SID_EXTENSION,
    oid::SMIME_CAPABILITIES,
    oid::BASIC_CONSTRAINTS,
];

#[cfg(test)]
mod tests;
