//! Toy keys and ready-made certificates for the tests of this folder.

use data_encoding::HEXLOWER;
use sha1::{Digest as _, Sha1};

use super::{
    algorithm::{Digest, Verify},
    cert::{Certificate, Issuer, Serial, Subject, common_name, prepare},
    extension::Principal,
    profile::{Addresses, Kind, Profile, ProfileConfig},
};
use crate::time::UnixTime;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: UnixTime = UnixTime(1_767_225_600);

/// "Signs" by a hash over public key and message, which is enough to tell keys apart.
pub(crate) struct ToyKey(Vec<u8>);

impl ToyKey {
    pub(crate) fn new(spki: Vec<u8>) -> Self {
        Self(spki)
    }

    pub(crate) fn verifier() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        toy_signature(&self.0, message)
    }
}

impl Verify for ToyKey {
    fn verify(&self, spki: &[u8], _digest: Digest, message: &[u8], signature: &[u8]) -> bool {
        toy_signature(spki, message) == signature
    }
}

fn toy_signature(spki: &[u8], message: &[u8]) -> Vec<u8> {
    // Long, as real ones are, so that the order of SETs is the real one.
    let mut signature = Sha1::new().chain_update(spki).chain_update(message).finalize().to_vec();
    signature.resize(70, 0x55);
    signature
}

pub(crate) fn addresses() -> Addresses {
    Addresses {
        crl_urls: vec!["http://ca.example/ca.crl".into()],
        issuer_urls: vec!["http://ca.example/ca.cer".into()],
    }
}

pub(crate) fn profile(kind: Kind) -> Profile {
    Profile::new(kind, &ProfileConfig::default(), &addresses()).unwrap()
}

pub(crate) fn logon() -> Profile {
    profile(Kind::Logon)
}

pub(crate) fn serial(number: u8) -> Serial {
    let mut octets = [0x11; 16];
    octets[15] = number;
    Serial::from_random(octets).unwrap()
}

/// A CA with the key [`p256`].
pub(crate) fn authority() -> (Certificate, ToyKey) {
    authority_named("Example CA", p256())
}

pub(crate) fn authority_named(name: &str, spki: Vec<u8>) -> (Certificate, ToyKey) {
    let name = common_name(name);
    let issuer = Issuer::itself(name.clone(), &spki).unwrap();
    let subject = Subject::Authority { name };
    let prepared = prepare(&profile(Kind::Ca), &subject, &spki, &issuer, &serial(0), NOW).unwrap();
    let key = ToyKey::new(spki);
    let signature = key.sign(prepared.to_be_signed());
    (prepared.complete(&signature).unwrap(), key)
}

/// A certificate of this kind for `ra.example`, signed by the CA.
pub(crate) fn host(
    kind: Kind,
    number: u8,
    spki: Vec<u8>,
    (ca, key): &(Certificate, ToyKey),
) -> (Certificate, ToyKey) {
    let subject = Subject::Host {
        name: common_name("ra.example"),
        dns: vec!["ra.example".into()],
        ip: vec![],
    };
    let issuer = Issuer::new(ca).unwrap();
    let prepared = prepare(&profile(kind), &subject, &spki, &issuer, &serial(number), NOW).unwrap();
    let signature = key.sign(prepared.to_be_signed());
    (prepared.complete(&signature).unwrap(), ToyKey::new(spki))
}

pub(crate) fn account() -> Subject {
    Subject::Account {
        name: "CN=User 1,CN=Users,DC=example".parse().unwrap(),
        upn: "user1@example".into(),
        principal: Some(Principal::user("user1", "EXAMPLE")),
        sid: Some("S-1-5-21-1-2-3-1001".parse().unwrap()),
    }
}

fn octets(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

pub(crate) fn p256() -> Vec<u8> {
    octets(
        "3059301306072a8648ce3d020106082a8648ce3d0301070342000424cfca8ef31c9cf45ddb32c1b115ef1916\
         ac23f062c097ef5aa5b6e7c85a898bfba0a8d31231e26d7555d11d4a24ecb6ddae3366e733d52b6d23dde178\
         9673be",
    )
}

pub(crate) fn other_p256() -> Vec<u8> {
    octets(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200044bcab48ddcf0fb4ac8924add8d0ac21eaf\
         198d06196f72e3c8550385078a78d033c34a7d233623c99b5a6e36fc527d51b6dabc248f21ecd0d4254acbd2\
         37c5fa",
    )
}

pub(crate) fn rsa_2048() -> Vec<u8> {
    octets(
        "30820122300d06092a864886f70d01010105000382010f003082010a0282010100a2110293a116786bf30701\
         ee4a79cf039fffe8c87843639ac5ec92cab961e98cd9b5be6ac7acb1b3ae72c0e57a1068d62c61e36840d86e\
         e9ef0a136c465298763a2f912038347e0205048170bf0949411fb0f5f1d2a87c9ac8e0f0e1cee02ea66a555c\
         b6e8c70b339b4105cd2009db544bde419176e663dba05ddc76b0d32162ecaa3b148e495b255a5faf5fce25bc\
         d2fd58f937f5dd83b738470960a4930bb427c8e1f0b576ab89b09a9421050ee18605e97cd9e82a1f05471b21\
         69273016c342c3953551e3f40b459a5d2fdbdb8e858a336ed47793688ab3dab4449cea28deac978705ac2485\
         71bd8269b5b44e2296e20b727db7f52b3051aea6de568307d50203010001",
    )
}

pub(crate) fn rsa_1024() -> Vec<u8> {
    octets(
        "30819f300d06092a864886f70d010101050003818d0030818902818100d70a7045c536bface99da26ec23ee9\
         3519b76dcd71a9f6411c96e5d392240252496c3b5cc0f6d8a1d7333abd862058563e46d52518eb4a62a2f41b\
         3c4235235af18d80f89f49fb173f0177066b950dea744c90ff74ecf2aa230dd4a636929af3d9d7b4b7229c86\
         4b6100cb7641bcd7d8226cd9fd0f3dce4dca8d99de413d01690203010001",
    )
}
