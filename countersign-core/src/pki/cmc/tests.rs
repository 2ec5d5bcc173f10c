//! Requests compared tag by tag, and every reason not to vouch.

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
        NOW, ToyKey, account, authority, authority_named, host, logon, other_p256, p256, profile,
        rsa_2048, serial,
    },
};

type Holder = (Certificate, ToyKey);

/// The PKCS#10 of [MS-OTPCE] §4.1.
fn pkcs10() -> Vec<u8> {
    let document = include_str!("../../../../testdata/otpce/accepted-request.xml");
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
    let prepared = prepare(&logon(), &account(), &rsa_2048(), &issuer, &serial(9), NOW).unwrap();
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
    let mut tbs = to_be_signed(&signing, &subject, &rsa_2048(), &issuer, &serial(2), NOW).unwrap();
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
