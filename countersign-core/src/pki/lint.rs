//! What a certificate must fulfil before it is signed. Every lint has a name.
//!
//! The lints read the octets that are about to be signed, not the values that
//! they were made of, so a mistake in the making is found as well.

use der::{Decode, Encode, asn1::ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    TbsCertificate,
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
        SubjectKeyIdentifier,
        name::{GeneralName, OtherName},
    },
};

use super::{
    algorithm::der_octets,
    cert::{Issuer, key_identifier, key_kind, unix_time},
    extension::{
        Principal, Sid, read_application_policies, read_crl_distribution_points, read_upn,
    },
    oid,
    profile::{Kind, Profile},
};

/// The names of the lints that these octets break; empty if they may be signed.
pub(crate) fn check(
    to_be_signed: &[u8],
    outer_algorithm: &AlgorithmIdentifierOwned,
    profile: &Profile,
    issuer: &Issuer,
) -> Vec<&'static str> {
    let Ok(tbs) = TbsCertificate::from_der(to_be_signed) else { return vec!["readable"] };
    let draft = Draft { octets: to_be_signed, tbs, outer_algorithm, profile, issuer };
    LINTS.iter().filter(|lint| !(lint.holds)(&draft)).map(|lint| lint.name).collect()
}

struct Lint {
    name: &'static str,
    holds: fn(&Draft<'_>) -> bool,
}

/// A certificate that nobody has signed yet.
struct Draft<'a> {
    octets: &'a [u8],
    tbs: TbsCertificate,
    outer_algorithm: &'a AlgorithmIdentifierOwned,
    profile: &'a Profile,
    issuer: &'a Issuer,
}

const LINTS: &[Lint] = &[
    Lint { name: "reads-back-equal", holds: reads_back_equal },
    Lint { name: "extensions-unique", holds: extensions_unique },
    Lint { name: "serial-positive-and-random", holds: serial_positive_and_random },
    Lint { name: "algorithm-inside-and-outside", holds: algorithm_inside_and_outside },
    Lint { name: "issuer-named", holds: issuer_named },
    Lint { name: "validity-in-order", holds: validity_in_order },
    Lint { name: "validity-not-longer-than-profile", holds: validity_not_longer },
    Lint { name: "validity-within-issuer", holds: validity_within_issuer },
    Lint { name: "public-key-usable", holds: public_key_usable },
    Lint { name: "key-usage-of-profile", holds: key_usage_of_profile },
    Lint { name: "extended-key-usage-of-profile", holds: extended_key_usage_of_profile },
    Lint { name: "application-policies-agree", holds: application_policies_agree },
    Lint { name: "subject-or-critical-names", holds: subject_or_critical_names },
    Lint { name: "names-of-profile", holds: names_of_profile },
    Lint { name: "sid-extension-and-uri-agree", holds: sid_extension_and_uri_agree },
    Lint { name: "key-identifiers-agree", holds: key_identifiers_agree },
    Lint { name: "authority-only-for-ca", holds: authority_only_for_ca },
    Lint { name: "logon-has-crl", holds: logon_has_crl },
];

fn reads_back_equal(draft: &Draft<'_>) -> bool {
    draft.tbs.to_der().is_ok_and(|again| again == draft.octets)
}

fn extensions_unique(draft: &Draft<'_>) -> bool {
    let mut ids: Vec<_> = draft.extensions().map(|(id, _)| id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    ids.len() == count
}

fn serial_positive_and_random(draft: &Draft<'_>) -> bool {
    let octets = draft.tbs.serial_number().as_bytes();
    let positive = octets.first().is_some_and(|octet| *octet < 0x80);
    positive && (8..=20).contains(&octets.len())
}

fn algorithm_inside_and_outside(draft: &Draft<'_>) -> bool {
    draft.tbs.signature() == draft.outer_algorithm
}

fn issuer_named(draft: &Draft<'_>) -> bool {
    *draft.tbs.issuer() == draft.issuer.name && !draft.tbs.issuer().is_empty()
}

fn validity_in_order(draft: &Draft<'_>) -> bool {
    let validity = draft.tbs.validity();
    unix_time(validity.not_before) < unix_time(validity.not_after)
}

fn validity_not_longer(draft: &Draft<'_>) -> bool {
    let validity = draft.tbs.validity();
    let length = unix_time(validity.not_after).since(unix_time(validity.not_before));
    length <= draft.profile.validity().as_seconds() + draft.profile.backdate().as_seconds()
}

fn validity_within_issuer(draft: &Draft<'_>) -> bool {
    let validity = draft.tbs.validity();
    draft.issuer.validity.is_none_or(|(first, last)| {
        first <= unix_time(validity.not_before) && unix_time(validity.not_after) <= last
    })
}

fn public_key_usable(draft: &Draft<'_>) -> bool {
    key_kind(&draft.public_key()).is_some()
}

fn key_usage_of_profile(draft: &Draft<'_>) -> bool {
    let usage = draft.tbs.get_extension::<KeyUsage>().ok().flatten();
    usage == Some((true, draft.profile.key_usage()))
}

fn extended_key_usage_of_profile(draft: &Draft<'_>) -> bool {
    let usages = draft.tbs.get_extension::<ExtendedKeyUsage>().ok().flatten();
    usages.map(|(_, usages)| usages.0).unwrap_or_default() == draft.profile.extended_key_usage()
}

fn application_policies_agree(draft: &Draft<'_>) -> bool {
    let Some(policies) = draft.extension(oid::APPLICATION_POLICIES) else { return true };
    read_application_policies(policies)
        .is_some_and(|read| read == draft.profile.extended_key_usage())
}

/// RFC 5280 §4.1.2.6: an empty subject demands critical alternative names.
fn subject_or_critical_names(draft: &Draft<'_>) -> bool {
    let names = draft.tbs.get_extension::<SubjectAltName>().ok().flatten();
    !draft.tbs.subject().is_empty() || names.is_some_and(|(critical, _)| critical)
}

fn names_of_profile(draft: &Draft<'_>) -> bool {
    let names = draft.names();
    let dns = names.iter().any(|name| matches!(name, GeneralName::DnsName(_)));
    let host = dns || names.iter().any(|name| matches!(name, GeneralName::IpAddress(_)));
    let others = || names.iter().filter_map(other_name);
    match draft.profile.kind() {
        Kind::Logon => others().filter_map(read_upn).filter(|upn| !upn.is_empty()).count() == 1,
        Kind::Signing | Kind::Machine => dns,
        Kind::Server => host,
        Kind::Kdc => dns && others().filter_map(Principal::from_name).count() == 1,
        Kind::Ca => names.is_empty() && draft.tbs.subject() == draft.tbs.issuer(),
    }
}

fn sid_extension_and_uri_agree(draft: &Draft<'_>) -> bool {
    let extension = draft.extension(oid::SID_EXTENSION).map(Sid::from_extension);
    let names = draft.names();
    #[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, one kind is a URI")]
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(Sid::from_uri(uri.as_str())),
        _ => None,
    });
    let uri = uris.next();
    let readable = extension != Some(None) && uri != Some(None);
    readable && extension == uri && uris.next().is_none()
}

fn key_identifiers_agree(draft: &Draft<'_>) -> bool {
    let own = draft.tbs.get_extension::<SubjectKeyIdentifier>().ok().flatten();
    let own = own.map(|(_, id)| id.0.into_bytes().into_vec());
    let authority = draft.tbs.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
    let authority = authority.and_then(|(_, id)| id.key_identifier);
    let authority = authority.map(|id| id.into_bytes().into_vec());
    own.is_some()
        && own == key_identifier(&draft.public_key())
        && authority.as_ref() == Some(&draft.issuer.key_id)
}

fn authority_only_for_ca(draft: &Draft<'_>) -> bool {
    let basic = draft.tbs.get_extension::<BasicConstraints>();
    match draft.profile.kind() {
        Kind::Ca => {
            basic.is_ok_and(|basic| basic.is_some_and(|(critical, basic)| critical && basic.ca))
        }
        Kind::Logon | Kind::Signing | Kind::Server | Kind::Machine | Kind::Kdc => {
            basic.is_ok_and(|basic| basic.is_none_or(|(_, basic)| !basic.ca))
        }
    }
}

fn logon_has_crl(draft: &Draft<'_>) -> bool {
    let points = draft.extension(oid::CRL_DISTRIBUTION_POINTS);
    let points = points.and_then(read_crl_distribution_points).unwrap_or_default();
    draft.profile.kind() != Kind::Logon || !points.is_empty()
}

impl Draft<'_> {
    fn extensions(&self) -> impl Iterator<Item = (ObjectIdentifier, &[u8])> {
        let all = self.tbs.extensions().into_iter().flatten();
        all.map(|extension| (extension.extn_id, extension.extn_value.as_bytes()))
    }

    fn extension(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        self.extensions().find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    fn names(&self) -> Vec<GeneralName> {
        let names = self.tbs.get_extension::<SubjectAltName>().ok().flatten();
        names.map(|(_, names)| names.0).unwrap_or_default()
    }

    fn public_key(&self) -> Vec<u8> {
        der_octets(self.tbs.subject_public_key_info())
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a library's enum, one kind is otherName")]
fn other_name(name: &GeneralName) -> Option<&OtherName> {
    match name {
        GeneralName::OtherName(other) => Some(other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::OctetString;
    use x509_cert::{
        ext::pkix::KeyUsages, name::Name, serial_number::SerialNumber, time::Validity,
    };

    use super::*;
    use crate::pki::{
        algorithm::ECDSA_WITH_SHA384,
        cert::{TbsCertificate as Tbs, common_name, octet_string, to_be_signed, x509_time},
        extension::{dns, extension},
        testing::{NOW, account, authority, logon, other_p256, p256, rsa_1024, serial},
    };

    fn good() -> (Tbs, Issuer) {
        let issuer = Issuer::new(&authority().0).unwrap();
        let tbs = to_be_signed(&logon(), &account(), &p256(), &issuer, &serial(1), NOW).unwrap();
        (tbs, issuer)
    }

    /// What a logon certificate breaks after `change`.
    fn broken(change: impl FnOnce(&mut Tbs)) -> Vec<&'static str> {
        let (mut tbs, issuer) = good();
        change(&mut tbs);
        check(&der_octets(&tbs), &issuer.algorithm, &logon(), &issuer)
    }

    fn replace(tbs: &mut Tbs, id: ObjectIdentifier, octets: Vec<u8>) {
        let found = tbs.extensions.iter_mut().find(|extension| extension.extn_id == id).unwrap();
        found.extn_value = OctetString::new(octets).unwrap();
    }

    fn remove(tbs: &mut Tbs, id: ObjectIdentifier) {
        tbs.extensions.retain(|extension| extension.extn_id != id);
    }

    #[test]
    fn good_certificate_breaks_nothing() {
        assert_eq!(broken(|_| ()), Vec::<&str>::new());
    }

    #[test]
    fn finds_octets_that_are_no_certificate() {
        let (_, issuer) = good();
        assert_eq!(check(b"\x30\x00", &issuer.algorithm, &logon(), &issuer), ["readable"]);
    }

    #[test]
    fn finds_octets_that_are_not_der() {
        // `critical` FALSE is the default and must not be written.
        let (tbs, issuer) = good();
        let octets = der_octets(&tbs);
        let eku = b"\x06\x03\x55\x1d\x25";
        let at = octets.windows(5).position(|window| window == eku).unwrap();
        let mut written = octets.clone();
        written.splice(at + 5..at + 5, [1, 1, 0]);
        written[at - 1] += 3;
        // The three lengths around it: certificate, [3], extensions; all have two octets.
        let wrapper = octets.windows(2).rposition(|window| window == [0xa3, 0x82]).unwrap();
        for length in [2, wrapper + 2, wrapper + 6] {
            let old = u16::from_be_bytes([written[length], written[length + 1]]);
            written[length..length + 2].copy_from_slice(&(old + 3).to_be_bytes());
        }
        let found = check(&written, &issuer.algorithm, &logon(), &issuer);
        assert!(found == ["reads-back-equal"] || found == ["readable"], "{found:?}");
    }

    #[test]
    fn finds_an_extension_that_is_there_twice() {
        let found = broken(|tbs| tbs.extensions.push(tbs.extensions[0].clone()));
        assert!(found.contains(&"extensions-unique"), "{found:?}");
    }

    #[test]
    fn finds_a_short_serial_number() {
        let found = broken(|tbs| tbs.serial_number = SerialNumber::new(&[1; 7]).unwrap());
        assert_eq!(found, ["serial-positive-and-random"]);
    }

    #[test]
    fn finds_another_algorithm_outside() {
        let found = broken(|tbs| tbs.signature.oid = ECDSA_WITH_SHA384);
        assert_eq!(found, ["algorithm-inside-and-outside"]);
    }

    #[test]
    fn finds_another_issuer() {
        assert_eq!(broken(|tbs| tbs.issuer = common_name("Mallory")), ["issuer-named"]);
    }

    #[test]
    fn finds_validity_that_is_turned_round_too_long_or_outside() {
        let span = |begin, end| Validity::new(x509_time(begin).unwrap(), x509_time(end).unwrap());
        let found = broken(|tbs| tbs.validity = span(NOW.plus(60), NOW));
        assert_eq!(found, ["validity-in-order"]);
        let found = broken(|tbs| tbs.validity = span(NOW.minus(600), NOW.plus(3601)));
        assert_eq!(found, ["validity-not-longer-than-profile"]);
        let end = authority().0.not_after();
        let found = broken(|tbs| tbs.validity = span(end.minus(60), end.plus(1)));
        assert_eq!(found, ["validity-within-issuer"]);
    }

    #[test]
    fn finds_a_weak_key_and_a_key_that_is_not_the_identified_one() {
        let weak = der::Any::from_der(&rsa_1024()).unwrap();
        let found = broken(|tbs| tbs.subject_public_key_info = weak);
        assert_eq!(found, ["public-key-usable", "key-identifiers-agree"]);
        let other = der::Any::from_der(&other_p256()).unwrap();
        let found = broken(|tbs| tbs.subject_public_key_info = other);
        assert_eq!(found, ["key-identifiers-agree"]);
    }

    #[test]
    fn finds_a_foreign_authority_key_identifier() {
        let id = AuthorityKeyIdentifier {
            key_identifier: Some(octet_string(&[1; 20])),
            ..AuthorityKeyIdentifier::default()
        };
        let found = broken(|tbs| replace(tbs, oid::AUTHORITY_KEY_IDENTIFIER, der_octets(&id)));
        assert_eq!(found, ["key-identifiers-agree"]);
    }

    #[test]
    fn finds_missing_and_other_usages() {
        let usage = KeyUsage(KeyUsages::KeyCertSign.into());
        let found = broken(|tbs| replace(tbs, oid::KEY_USAGE, der_octets(&usage)));
        assert_eq!(found, ["key-usage-of-profile"]);
        assert_eq!(broken(|tbs| remove(tbs, oid::KEY_USAGE)), ["key-usage-of-profile"]);
        let usages = ExtendedKeyUsage(vec![oid::SERVER_AUTH]);
        let found = broken(|tbs| replace(tbs, oid::EXTENDED_KEY_USAGE, der_octets(&usages)));
        assert_eq!(found, ["extended-key-usage-of-profile"]);
    }

    #[test]
    fn finds_application_policies_that_differ_from_the_usages() {
        let found = broken(|tbs| {
            let other = crate::pki::extension::application_policies(&[oid::SERVER_AUTH]);
            replace(tbs, oid::APPLICATION_POLICIES, other.extn_value.into_bytes().into_vec());
        });
        assert_eq!(found, ["application-policies-agree"]);
    }

    #[test]
    fn finds_an_empty_subject_whose_names_are_not_critical() {
        assert_eq!(broken(|tbs| tbs.subject = Name::default()), ["subject-or-critical-names"]);
    }

    #[test]
    fn finds_a_logon_certificate_without_upn() {
        let names = vec![dns("host.example").unwrap()];
        let found = broken(|tbs| {
            replace(tbs, oid::SUBJECT_ALT_NAME, der_octets(&names));
            remove(tbs, oid::SID_EXTENSION);
        });
        assert_eq!(found, ["names-of-profile"]);
    }

    #[test]
    fn finds_a_sid_that_is_in_one_place_only() {
        let found = broken(|tbs| remove(tbs, oid::SID_EXTENSION));
        assert_eq!(found, ["sid-extension-and-uri-agree"]);
        let found = broken(|tbs| replace(tbs, oid::SID_EXTENSION, vec![0x30, 0]));
        assert_eq!(found, ["sid-extension-and-uri-agree"]);
    }

    #[test]
    fn finds_a_leaf_that_would_be_an_authority() {
        let basic = BasicConstraints { ca: true, path_len_constraint: None };
        let found =
            broken(|tbs| tbs.extensions.push(extension(oid::BASIC_CONSTRAINTS, true, &basic)));
        assert_eq!(found, ["authority-only-for-ca"]);
    }

    #[test]
    fn finds_a_logon_certificate_without_crl() {
        assert_eq!(broken(|tbs| remove(tbs, oid::CRL_DISTRIBUTION_POINTS)), ["logon-has-crl"]);
    }
}
