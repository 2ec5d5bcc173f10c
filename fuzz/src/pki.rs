//! Certificates, requests, revocation lists, and the CMS messages around them.
//!
//! Every signature is taken to be right, so that what stands behind it is reached;
//! who was asked to verify what is written down and looked at.

use std::{cell::RefCell, sync::LazyLock};

use countersign_core::{
    domain::{account::Account, id::AccountId},
    pki::{
        algorithm::{Digest, KeyKind, Verify},
        ber,
        cert::{Certificate, Issuer, Serial, Subject, common_name, prepare},
        cmc::{Response, Trust, read_response, vouch},
        cms::{SignedData, hash},
        crl::RevocationList,
        csr::CertificateRequest,
        dn::DistinguishedName,
        profile::{Addresses, Kind, Profile, ProfileConfig},
        request::{RequestPolicy, check, check_without_account},
    },
    time::UnixTime,
};
use der::asn1::ObjectIdentifier;

/// PKCS#10: what passes the checks is what came, and its own key was asked about it.
pub fn certificate_request(octets: &[u8]) {
    let Ok(request) = CertificateRequest::read(octets) else { return };
    assert_eq!(request.der(), octets);
    let asked = Recorder::default();
    let checked = check(&request, &ACCOUNT, &POLICY, &asked);
    let nameless = check_without_account(&request, &ACCOUNT.name, &POLICY, &Recorder::default());
    let Ok(checked) = checked else { return };
    assert!(nameless.is_ok(), "check does all that check_without_account does");
    assert_eq!(checked.der(), octets);
    assert_eq!(checked.account(), ACCOUNT.id);
    let asked = asked.0.into_inner();
    let [Asked { spki, message }] = asked.as_slice() else { panic!("one signature") };
    assert_eq!(spki, request.public_key());
    assert!(contains(octets, message) && contains(message, spki));
}

/// A full PKI request: nothing is vouched for but by the RA, over octets that hold it.
pub fn full_request(octets: &[u8]) {
    let asked = Recorder::default();
    let trust = Trust {
        ca: &AUTHORITY,
        verify: &asked,
        is_revoked: &|serial| *serial == serial_number(REVOKED),
        allow_sha1: false,
        now: NOW,
    };
    let Ok(vouched) = vouch(octets, &trust) else { return };
    let signer = vouched.signer();
    assert!(signer.is_valid_at(NOW) && signer.serial() != serial_number(REVOKED));
    let message = SignedData::read(octets).expect("it was read before");
    let content = message.content().expect("there was content");
    assert!(contains(content, vouched.pkcs10()));
    let asked = asked.0.into_inner();
    let of_authority = |one: &&Asked| one.spki == AUTHORITY.public_key();
    let by_authority = asked.iter().find(of_authority).expect("the CA was asked");
    assert!(contains(signer.der(), &by_authority.message));
    let says = |one: &Asked| {
        let digests = [Digest::Sha256, Digest::Sha384, Digest::Sha512];
        let of_content = |digest| contains(&one.message, &hash(digest, content));
        one.spki == signer.public_key() && digests.into_iter().any(of_content)
    };
    assert!(asked.iter().any(says), "the signature is about the content");
    certificate_request(vouched.pkcs10());
}

/// What a CA answers; and BER, which becomes DER once and for all.
pub fn full_response(octets: &[u8]) {
    if let Ok(der) = ber::to_der(octets) {
        assert!(der.len() <= octets.len());
        assert_eq!(ber::to_der(&der), Ok(der));
    }
    if let Ok(Response::Certificates(certificates)) = read_response(octets) {
        certificates.iter().for_each(examine);
    }
    if let Ok(message) = SignedData::read(octets) {
        for signer in message.signers() {
            let content = message.content().unwrap_or_default();
            let _ = signer.check_content(message.content_type(), content);
            let found = message.certificate_of(signer);
            let _ = found.map(|found| signer.is_signed_by(found, &Recorder::default()));
        }
    }
}

/// A certificate, DER or PEM.
pub fn certificate(octets: &[u8]) {
    if let Ok(certificate) = Certificate::from_der(octets) {
        assert_eq!(certificate.der(), octets);
        examine(&certificate);
        let pem = certificate.to_pem();
        assert!(Certificate::from_pem(&pem).is_ok_and(|again| again == certificate));
    }
    if let Ok(text) = str::from_utf8(octets) {
        let _ = Certificate::from_pem(text).map(|certificate| examine(&certificate));
    }
}

/// A certificate revocation list.
pub fn revocation_list(octets: &[u8]) {
    let Ok(list) = RevocationList::from_der(octets) else { return };
    assert_eq!(list.der(), octets);
    let _ = (list.this_update(), list.next_update());
    let _ = list.revokes(&serial_number(REVOKED));
    let _ = list.is_issued_by(&AUTHORITY, &Recorder::default());
}

/// All that can be asked of a certificate.
fn examine(certificate: &Certificate) {
    let asked = Recorder::default();
    if certificate.is_issued_by(&AUTHORITY, &asked) {
        let asked = asked.0.into_inner();
        let [Asked { spki, message }] = asked.as_slice() else { panic!("one signature") };
        assert_eq!(spki, AUTHORITY.public_key());
        assert!(contains(certificate.der(), message));
    }
    let _ = certificate.is_issued_by(certificate, &Recorder::default());
    let _ = (certificate.extended_key_usage(), certificate.dns_names());
    let _ = certificate.is_valid_at(NOW);
    let _ = Issuer::new(certificate);
    // Not the same name always: the library writes arcs of 33 bits and more cut off.
    let name = DistinguishedName::from_name(certificate.subject());
    assert!(name.to_string().parse::<DistinguishedName>().is_ok(), "{name}");
    let hex = certificate.serial().to_hex();
    if let Ok(serial) = Serial::from_hex(&hex) {
        assert_eq!(serial.to_hex(), hex);
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && whole.windows(part.len()).any(|window| window == part)
}

/// Says yes, and keeps what it was asked.
#[derive(Default)]
struct Recorder(RefCell<Vec<Asked>>);

struct Asked {
    spki: Vec<u8>,
    message: Vec<u8>,
}

impl Verify for Recorder {
    fn verify(&self, spki: &[u8], _digest: Digest, message: &[u8], _signature: &[u8]) -> bool {
        self.0.borrow_mut().push(Asked { spki: spki.to_vec(), message: message.to_vec() });
        true
    }
}

fn serial_number(last: u8) -> Serial {
    let mut octets = [0x11; 16];
    octets[15] = last;
    Serial::from_random(octets).expect("it is not zero")
}

/// The CA that is trusted. Nobody has its key, nor needs to.
static AUTHORITY: LazyLock<Certificate> = LazyLock::new(|| {
    let name = common_name("Example CA");
    let config = ProfileConfig::default();
    let profile = Profile::new(Kind::Ca, &config, &Addresses::default()).expect("it is sound");
    let issuer = Issuer::itself(name.clone(), &P256).expect("the key is known");
    let (subject, serial) = (Subject::Authority { name }, serial_number(0));
    let prepared = prepare(&profile, &subject, &P256, &issuer, &serial, NOW).expect("it is sound");
    prepared.complete(&[0x55; 70]).expect("it can be read")
});

static ACCOUNT: LazyLock<Account> = LazyLock::new(|| Account {
    domain: Some("DOMAIN1".into()),
    realm: Some("DOMAIN1.CORP.company.com".into()),
    dn: Some("cn=user 1,CN=Users,DC=Domain1,DC=corp,DC=company,DC=com".into()),
    sid: Some("S-1-5-21-1-2-3-1001".into()),
    ..Account::new(AccountId::from_bytes([1; 16]), "user1".into())
});

static POLICY: LazyLock<RequestPolicy> = LazyLock::new(|| RequestPolicy {
    template_name: "DAOTPLogon".into(),
    template_oid: ObjectIdentifier::new_unwrap(
        "1.3.6.1.4.1.311.21.8.221803.1567394.12993454.3845153.13972217.75.15653661.6620273",
    ),
    allow_sha1: true,
    minimum_rsa_bits: 2048,
    key_kinds: vec![KeyKind::Rsa, KeyKind::P256],
});

/// 2026-01-01T00:00:00Z.
const NOW: UnixTime = UnixTime(1_767_225_600);
const REVOKED: u8 = 9;

/// A SubjectPublicKeyInfo on P-256.
const P256: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x24, 0xcf, 0xca, 0x8e, 0xf3,
    0x1c, 0x9c, 0xf4, 0x5d, 0xdb, 0x32, 0xc1, 0xb1, 0x15, 0xef, 0x19, 0x16, 0xac, 0x23, 0xf0, 0x62,
    0xc0, 0x97, 0xef, 0x5a, 0xa5, 0xb6, 0xe7, 0xc8, 0x5a, 0x89, 0x8b, 0xfb, 0xa0, 0xa8, 0xd3, 0x12,
    0x31, 0xe2, 0x6d, 0x75, 0x55, 0xd1, 0x1d, 0x4a, 0x24, 0xec, 0xb6, 0xdd, 0xae, 0x33, 0x66, 0xe7,
    0x33, 0xd5, 0x2b, 0x6d, 0x23, 0xdd, 0xe1, 0x78, 0x96, 0x73, 0xbe,
];
