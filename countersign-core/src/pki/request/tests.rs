//! Every check of the table, each with the request that fails it alone.

#![expect(clippy::unwrap_in_result, reason = "what is refused is the result, the rest must work")]

use der::{
    Encode,
    asn1::{Ia5String, OctetString, Utf8StringRef},
};
use x509_cert::ext::{
    Extension,
    pkix::{KeyUsages, name::OtherName},
};

use super::*;
use crate::pki::csr::{
    LogonExtensions,
    tests::{Believer, accepted, attribute, request as make, request_with_attributes},
};

const TEMPLATE: ObjectIdentifier = ObjectIdentifier::new_unwrap(
    "1.3.6.1.4.1.311.21.8.221803.1567394.12993454.3845153.13972217.75.15653661.6620273",
);
const SID: &str = "S-1-5-21-1-2-3-1001";

fn account() -> Account {
    Account {
        domain: Some("DOMAIN1".into()),
        realm: Some("DOMAIN1.CORP.company.com".into()),
        dn: Some("cn=user 1,CN=Users,DC=Domain1,DC=corp,DC=company,DC=com".into()),
        sid: Some(SID.into()),
        ..Account::new(AccountId::from_bytes([1; 16]), "user1".into())
    }
}

fn policy() -> RequestPolicy {
    RequestPolicy {
        template_name: "DAOTPLogon".into(),
        template_oid: TEMPLATE,
        allow_sha1: false,
        minimum_rsa_bits: 2048,
        key_kinds: vec![KeyKind::Rsa, KeyKind::P256],
    }
}

const UPN: &str = "User1@domain1.corp.company.com";

/// What a good client asks for.
fn logon() -> Vec<Extension> {
    let template = Template { oid: TEMPLATE, major: 7, minor: 1 };
    let wanted =
        LogonExtensions { upn: Some(UPN.into()), template: Some(template), template_name: None };
    wanted.to_extensions().unwrap()
}

/// What a good client asks for, with this in place of the extension of the same kind.
fn logon_but(changed: Extension) -> Vec<Extension> {
    let mut extensions = logon();
    extensions.retain(|extension| extension.extn_id != changed.extn_id);
    extensions.push(changed);
    extensions
}

fn logon_without(id: ObjectIdentifier) -> Vec<Extension> {
    logon().into_iter().filter(|extension| extension.extn_id != id).collect()
}

fn with(id: ObjectIdentifier, value: &impl Encode) -> Extension {
    extension::extension(id, false, value)
}

fn names(names: Vec<GeneralName>) -> Vec<Extension> {
    logon_but(with(oid::SUBJECT_ALT_NAME, &names))
}

fn check_der(der: &[u8], account: &Account) -> Result<CheckedRequest, Refusal> {
    check(&CertificateRequest::read(der).unwrap(), account, &policy(), &Believer)
}

fn refusal(extensions: &[Extension]) -> (Step, String) {
    let refusal = check_der(&make("", extensions), &account()).unwrap_err();
    (refusal.step, refusal.cause)
}

fn assert_refused(extensions: &[Extension], step: Step, words: &str) {
    let (actual, cause) = refusal(extensions);
    assert_eq!(actual, step, "{cause}");
    assert!(cause.contains(words), "{cause}");
}

fn pair(name: &str, value: &str) -> Any {
    let text = |text| Any::encode_from(&BmpString::from_utf8(text).unwrap()).unwrap();
    Any::encode_from(&NameValuePair { name: text(name), value: text(value) }).unwrap()
}

fn check_with_attribute(id: ObjectIdentifier, value: Any) -> Result<CheckedRequest, Refusal> {
    let extensions = Any::encode_from(&logon()).unwrap();
    let der = request_with_attributes(vec![
        attribute(oid::EXTENSION_REQUEST, vec![extensions]),
        attribute(id, vec![value]),
    ]);
    check_der(&der, &account())
}

#[test]
fn the_request_of_the_specification_passes_with_sha1_allowed() {
    struct Yes;
    impl Verify for Yes {
        fn verify(&self, _: &[u8], _: Digest, _: &[u8], _: &[u8]) -> bool {
            true
        }
    }
    let request = CertificateRequest::read(&accepted()).unwrap();
    let allowing = RequestPolicy { allow_sha1: true, ..policy() };
    let checked = check(&request, &account(), &allowing, &Yes).unwrap();
    assert_eq!(checked.der(), accepted());
    assert_eq!((checked.account(), checked.template()), (account().id, TEMPLATE));
    let refusal = check(&request, &account(), &policy(), &Yes).unwrap_err();
    assert_eq!(refusal.step, Step::Signature);
    assert!(refusal.to_string().starts_with("check 1c") && refusal.cause.contains("allow-sha1"));
}

#[test]
fn a_upn_alone_passes_and_so_does_a_subject_alone() {
    assert!(check_der(&make("", &logon()), &account()).is_ok());
    let subject = "CN=User  1,CN=USERS,DC=domain1,DC=corp,DC=company,DC=com";
    assert!(check_der(&make(subject, &logon_without(oid::SUBJECT_ALT_NAME)), &account()).is_ok());
}

#[test]
fn a_foreign_upn_is_refused_even_beside_the_own() {
    assert_refused(&names(vec![extension::upn("admin@x")]), Step::Names, "admin@x");
    let both = names(vec![extension::upn(UPN), extension::upn("admin@x")]);
    assert_refused(&both, Step::Names, "admin@x");
}

#[test]
fn a_upn_set_in_the_account_replaces_the_implicit_one() {
    let upn = Some("someone@else".to_owned());
    let renamed = Account { upn, ..account() };
    assert_eq!(check_der(&make("", &logon()), &renamed).unwrap_err().step, Step::Names);
    let nameless = Account { upn: None, realm: None, ..account() };
    let refusal = check_der(&make("", &logon()), &nameless).unwrap_err();
    assert!(refusal.cause.contains("no user principal name"), "{refusal}");
}

#[test]
fn a_foreign_subject_is_refused() {
    for subject in [
        "CN=User 2,CN=Users,DC=domain1,DC=corp,DC=company,DC=com",
        "CN=User 1,DC=domain1,DC=corp,DC=company,DC=com",
        "CN=user1",
    ] {
        let refusal = check_der(&make(subject, &logon()), &account()).unwrap_err();
        assert_eq!(refusal.step, Step::Names, "{subject}");
    }
}

#[test]
fn a_subject_is_refused_when_no_name_is_known_to_compare_it_with() {
    for dn in [None, Some("not a name".to_owned())] {
        let unknown = Account { dn, ..account() };
        let refusal = check_der(&make("CN=user1", &logon()), &unknown).unwrap_err();
        assert_eq!(refusal.step, Step::Names);
        assert!(refusal.cause.contains("distinguished name"), "{refusal}");
        assert!(check_der(&make("", &logon()), &unknown).is_ok());
    }
}

#[test]
fn a_security_identifier_must_be_the_accounts() {
    let own: Sid = SID.parse().unwrap();
    let foreign: Sid = "S-1-5-21-1-2-3-500".parse().unwrap();
    assert!(check_der(&make("", &logon_but(own.to_extension())), &account()).is_ok());
    assert!(check_der(&make("", &names(vec![own.to_uri()])), &account()).is_ok());
    assert_refused(&logon_but(foreign.to_extension()), Step::Names, "-500");
    assert_refused(&names(vec![foreign.to_uri()]), Step::Names, "-500");
    assert_refused(&logon_but(with(oid::SID_EXTENSION, &true)), Step::Names, "cannot be read");
    let unknown = Account { sid: None, ..account() };
    assert!(check_der(&make("", &logon_but(own.to_extension())), &unknown).is_err());
}

#[test]
fn names_of_other_kinds_are_refused() {
    let kerberos = extension::Principal::user("user1", "DOMAIN1").to_name();
    let mail = GeneralName::Rfc822Name(Ia5String::new("user1@company.com").unwrap());
    let uri = GeneralName::UniformResourceIdentifier(Ia5String::new("https://x/").unwrap());
    let address = extension::ip([127, 0, 0, 1].into());
    for name in [kerberos, mail, uri, address, extension::dns("host").unwrap()] {
        assert_eq!(refusal(&names(vec![extension::upn(UPN), name])).0, Step::Names);
    }
    let octets = OctetString::new(UPN.as_bytes()).unwrap();
    let wrong_string = OtherName { type_id: oid::UPN, value: Any::encode_from(&octets).unwrap() };
    let wrong_string = names(vec![GeneralName::OtherName(wrong_string)]);
    assert_refused(&wrong_string, Step::Names, "cannot be read");
    assert_refused(&logon_but(with(oid::SUBJECT_ALT_NAME, &true)), Step::Names, "cannot be read");
}

#[test]
fn a_request_that_names_nobody_is_refused() {
    assert_refused(&logon_without(oid::SUBJECT_ALT_NAME), Step::Names, "nobody");
    assert_refused(&names(vec![]), Step::Names, "nobody");
}

#[test]
fn the_template_must_be_named_and_ours() {
    assert_refused(&logon_without(oid::TEMPLATE), Step::Template, "names no template");
    let other = Template { oid: oid::TEMPLATE_ARC, major: 1, minor: 0 };
    assert_refused(&logon_but(other.to_extension()), Step::Template, "asks for the template");
    assert_refused(&logon_but(with(oid::TEMPLATE, &true)), Step::Template, "cannot be read");
}

#[test]
fn the_template_may_be_named_by_name() {
    let named = |value: &dyn Fn() -> Extension| {
        let mut extensions = logon_without(oid::TEMPLATE);
        extensions.push(value());
        extensions
    };
    let bmp = |name: &str| with(oid::TEMPLATE_NAME, &BmpString::from_utf8(name).unwrap());
    let sequence = || with(oid::TEMPLATE_NAME, &vec![Utf8StringRef::new("daotplogon").unwrap()]);
    assert!(check_der(&make("", &named(&|| bmp("DAOTPLogon"))), &account()).is_ok());
    assert!(check_der(&make("", &named(&sequence)), &account()).is_ok());
    assert_refused(&named(&|| bmp("Other")), Step::Template, "Other");
    assert_refused(&logon_but(bmp("Other")), Step::Template, "Other");
    assert_refused(&named(&|| with(oid::TEMPLATE_NAME, &true)), Step::Template, "cannot be read");
}

#[test]
fn the_template_may_be_named_by_a_pair() {
    let der = |value: &str| {
        let extensions = Any::encode_from(&logon_without(oid::TEMPLATE)).unwrap();
        request_with_attributes(vec![
            attribute(oid::EXTENSION_REQUEST, vec![extensions]),
            attribute(oid::NAME_VALUE_PAIR, vec![pair("certificatetemplate", value)]),
        ])
    };
    assert!(check_der(&der("DaOtpLogon"), &account()).is_ok());
    assert!(check_der(&der(&TEMPLATE.to_string()), &account()).is_ok());
    assert_eq!(check_der(&der("Other"), &account()).unwrap_err().step, Step::Template);
    let contradiction =
        check_with_attribute(oid::NAME_VALUE_PAIR, pair("CertificateTemplate", "Other"));
    assert_eq!(contradiction.unwrap_err().step, Step::Template);
}

/// A Microsoft CA takes blanks and minus signs out of names before it compares them
/// ([MS-WCCE] 3.2.1.4.2.1.2).
#[test]
fn refuses_pairs_however_a_microsoft_ca_would_read_their_names() {
    for name in [
        "RequesterName",
        "Requester-Name",
        "SAN",
        " SAN",
        "S-A-N",
        "ValidityPeriod",
        "Validity Period",
        "ExpirationDate",
        "CertificateUsage",
        "RequestId",
        "CertType",
        "Certificate-Template",
        "",
    ] {
        let value = "DAOTPLogon";
        let refusal = check_with_attribute(oid::NAME_VALUE_PAIR, pair(name, value)).unwrap_err();
        assert_eq!(refusal.step, Step::Template, "{name}");
        assert!(refusal.cause.contains(name), "{refusal}");
    }
    assert!(check_with_attribute(oid::NAME_VALUE_PAIR, Any::null()).is_err());
}

#[test]
fn attributes_that_only_speak_of_the_requester_are_taken_and_no_others() {
    for id in [oid::OS_VERSION, oid::REQUEST_CLIENT_INFO, oid::CSP_PROVIDER] {
        assert!(check_with_attribute(id, Any::null()).is_ok(), "{id}");
    }
    for id in [oid::RENEWAL_CERTIFICATE, oid::CMC_ADD_ATTRIBUTES, oid::COMMON_NAME] {
        let refusal = check_with_attribute(id, Any::null()).unwrap_err();
        assert_eq!(refusal.step, Step::Template, "{id}");
        assert!(refusal.cause.contains(&id.to_string()), "{refusal}");
    }
}

#[test]
fn extensions_that_no_logon_needs_are_refused() {
    for id in [oid::SUBJECT_KEY_IDENTIFIER, oid::SMIME_CAPABILITIES] {
        assert!(check_der(&make("", &logon_but(with(id, &true))), &account()).is_ok(), "{id}");
    }
    for id in [oid::CRL_DISTRIBUTION_POINTS, oid::AUTHORITY_KEY_IDENTIFIER, oid::CRL_NUMBER] {
        assert_refused(&logon_but(with(id, &true)), Step::Template, &id.to_string());
    }
}

#[test]
fn attributes_that_come_twice_are_refused() {
    let twice = |value: bool| attribute(oid::OS_VERSION, vec![Any::encode_from(&value).unwrap()]);
    let extensions = Any::encode_from(&logon()).unwrap();
    let der = request_with_attributes(vec![
        attribute(oid::EXTENSION_REQUEST, vec![extensions]),
        twice(true),
        twice(false),
    ]);
    assert!(check_der(&der, &account()).unwrap_err().cause.contains("twice"));
}

#[test]
fn purposes_beyond_smart_card_logon_are_refused() {
    let usage = |ids: &[ObjectIdentifier]| {
        logon_but(with(oid::EXTENDED_KEY_USAGE, &ExtendedKeyUsage(ids.to_vec())))
    };
    assert_refused(&usage(&[oid::CLIENT_AUTH]), Step::Template, "key purpose");
    let both = [oid::SMART_CARD_LOGON, oid::OTP_REGISTRATION_AUTHORITY];
    assert_refused(&usage(&both), Step::Template, "key purpose");
    assert_refused(&usage(&[]), Step::Template, "key purpose");
    let policies = extension::application_policies(&both);
    assert_refused(&logon_but(policies), Step::Template, "application policy");
    assert!(check_der(&make("", &logon_without(oid::EXTENDED_KEY_USAGE)), &account()).is_ok());
}

#[test]
fn a_request_to_become_a_ca_is_refused() {
    let constraints = |ca| BasicConstraints { ca, path_len_constraint: None };
    let asks = |ca| logon_but(with(oid::BASIC_CONSTRAINTS, &constraints(ca)));
    assert_refused(&asks(true), Step::Template, "CA");
    assert!(check_der(&make("", &asks(false)), &account()).is_ok());
    for usage in [KeyUsages::KeyCertSign, KeyUsages::CRLSign] {
        let usage = KeyUsage(KeyUsages::DigitalSignature | usage);
        assert_refused(&logon_but(with(oid::KEY_USAGE, &usage)), Step::Template, "key usage");
    }
}

#[test]
fn a_bad_signature_is_refused() {
    let mut der = make("", &logon());
    *der.last_mut().unwrap() ^= 1;
    let refusal = check_der(&der, &account()).unwrap_err();
    assert_eq!((refusal.step, refusal.cause.contains("not valid")), (Step::Signature, true));
}

#[test]
fn keys_that_the_policy_does_not_take_are_refused() {
    let request = CertificateRequest::read(&make("", &logon())).unwrap();
    let only_rsa = RequestPolicy { key_kinds: vec![KeyKind::Rsa], ..policy() };
    let refusal = check(&request, &account(), &only_rsa, &Believer).unwrap_err();
    assert_eq!(refusal.step, Step::Signature);
    let request = CertificateRequest::read(&accepted()).unwrap();
    let long = RequestPolicy { minimum_rsa_bits: 3072, allow_sha1: true, ..policy() };
    let refusal = check(&request, &account(), &long, &Believer).unwrap_err();
    assert!(refusal.cause.contains("2048 bits"), "{refusal}");
}

#[test]
fn the_order_of_the_checks_decides_what_is_said() {
    let der = make("", &[with(oid::EXTENDED_KEY_USAGE, &ExtendedKeyUsage(vec![]))]);
    assert_eq!(check_der(&der, &account()).unwrap_err().step, Step::Names);
    let request = CertificateRequest::read(&der).unwrap();
    let refusal = check_without_account(&request, "user1", &policy(), &Believer).unwrap_err();
    assert_eq!(refusal.step, Step::Names);
    let mut template = logon_without(oid::TEMPLATE);
    assert_eq!(without_account(&make("", &template), "user1"), Err(Step::Template));
    template.clear();
    assert_eq!(without_account(&make("CN=anybody", &template), "user1"), Err(Step::Template));
}

/// Or else the answer would tell who has an account.
#[test]
fn without_an_account_a_foreign_name_is_refused_as_with_one() {
    let der = make("CN=anybody", &logon());
    for login in ["user1", "USER1", r"OTHER\User1", "user1@elsewhere"] {
        assert_eq!(without_account(&der, login), Ok(()), "{login}");
    }
    for login in ["user2", r"user1\user2", "user", "", "user1x@domain1.corp.company.com"] {
        assert_eq!(without_account(&der, login), Err(Step::Names), "{login}");
    }
    let nobody = make("", &logon_without(oid::SUBJECT_ALT_NAME));
    assert_eq!(without_account(&nobody, "user1"), Err(Step::Names));
    let host = make("", &names(vec![extension::upn(UPN), extension::dns("host").unwrap()]));
    assert_eq!(without_account(&host, "user1"), Err(Step::Names));
    let mut forged = make("", &logon());
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(without_account(&forged, "user1"), Err(Step::Signature));
}

fn without_account(der: &[u8], login: &str) -> Result<(), Step> {
    let request = CertificateRequest::read(der).unwrap();
    check_without_account(&request, login, &policy(), &Believer).map_err(|refusal| refusal.step)
}
