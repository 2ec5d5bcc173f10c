//! The peers alone: what they refuse later, they do not refuse for want of a set-up.

use tempfile::tempdir;

use crate::support::{
    clock::LIMIT,
    freeradius::{FreeRadius, Role, SECRET},
    kdc::{Kdc, KdcSetup, Pkinit, kinit, klist},
    oath::OathToken,
    openssl::Authority,
    radclient::{Answer, ask, logon},
    radius::{Request, answer, socket},
};

#[test]
fn kdc_takes_certificates_of_its_ca_and_no_others() {
    let home = tempdir().unwrap();
    let ours = Authority::new(home.path(), "ours");
    let foreign = Authority::new(home.path(), "foreign");
    let identity = ours.issue("kdc", "kdc", "CORP.EXAMPLE");
    let anchor = ours.certificate();
    let pkinit = Some(Pkinit { identity: &identity, anchor: &anchor, revocation: None });
    let setup = KdcSetup { realm: "CORP.EXAMPLE", pkinit, ..KdcSetup::default() };
    let kdc = Kdc::start(&home.path().join("kdc"), &setup, &["alice"]);
    let config = kdc.client_config(&[&anchor, &foreign.certificate()]);
    let cache = home.path().join("cache");

    let refused = kinit(&config, &cache, "alice", &foreign.issue("user", "alice", "CORP.EXAMPLE"));
    refused.failed();
    assert!(kdc.log().contains("unable to get local issuer certificate"), "{}", kdc.log());
    kinit(&config, &cache, "alice", &ours.issue("user", "alice", "CORP.EXAMPLE")).succeeded();
    assert!(klist(&config, &cache).succeeded().contains("krbtgt/CORP.EXAMPLE@CORP.EXAMPLE"));
}

#[test]
fn freeradius_accepts_rejects_challenges_and_proxies() {
    let home = tempdir().unwrap();
    let server = FreeRadius::start(&home.path().join("server"), Role::OtpServer { signs: true });
    let to_server = Role::Proxy { to: server.port, secret: SECRET };
    let proxy = FreeRadius::start(&home.path().join("proxy"), to_server);
    for port in [server.port, proxy.port] {
        assert_eq!(logon(port, SECRET, "alice", "123456"), Answer::Accept);
        assert_eq!(logon(port, SECRET, "CORP\\alice", "123456"), Answer::Accept);
        assert_eq!(logon(port, SECRET, "special", "a&bA <\u{fc}\""), Answer::Accept);
        assert_eq!(logon(port, SECRET, "DOMAIN1\\user1", "Pa$$word1"), Answer::Accept);
        assert_eq!(logon(port, SECRET, "alice", "123457"), Answer::Reject);
        assert_eq!(logon(port, SECRET, "challenged", "1"), Answer::Challenge);
        assert_eq!(ask(port, SECRET, "alice", "123456", "").0, Answer::Silence);
    }
    for (password, expected) in [("123456", Answer::Accept), ("123457", Answer::Reject)] {
        let reply =
            Request::new(SECRET, "alice", password, 7).exchange(&socket(server.port), LIMIT);
        assert_eq!(answer(reply.as_deref()), expected);
    }
}

/// The test vectors of RFC 4226 appendix D and RFC 6238 appendix B.
#[test]
fn oathtool_agrees_with_the_rfcs() {
    let hotp = OathToken::usual(b"12345678901234567890");
    assert_eq!(hotp.otps(0, 3), ["755224", "287082", "359152"]);
    let long = OathToken { digits: 10, ..hotp.clone() };
    assert_eq!(long.otp(0), "1284755224");
    let seed = b"1234567890".repeat(7);
    for (algorithm, length, otp) in
        [("sha1", 20, "94287082"), ("sha256", 32, "46119246"), ("sha512", 64, "90693936")]
    {
        let token = OathToken { secret: seed[..length].into(), algorithm, digits: 8 };
        assert_eq!(token.totp(59, 30), otp);
        let longer = OathToken { digits: 9, ..token };
        assert!(longer.totp(59, 30).ends_with(otp));
    }
}
