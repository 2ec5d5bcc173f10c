//! Logons to a VPN or a Wi-Fi with an OTP: strongSwan asks us about XAUTH's password,
//! FreeRADIUS about the one that it takes out of an EAP tunnel.

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    eap::{Method, logon},
    freeradius::{FreeRadius, Role},
    strongswan::Vpn,
};

#[test]
fn otp_in_eap_opens_the_tunnel_once() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let identity = site.issue("server", "localhost");
    let role = Role::Eap { to: site.radius_port, secret: RADIUS_SECRET, identity: &identity };
    let server = FreeRadius::start(&site.file("access-server"), role);
    for (counter, method) in (0..).zip([Method::TtlsPap, Method::TtlsGtc, Method::PeapGtc]) {
        let log_on = |otp: &str| logon(&site, &server, method, "alice", otp);
        log_on("000000").failed();
        log_on(&token.otp(counter)).succeeded();
        log_on(&token.otp(counter)).failed();
    }
    site.has_accepted(3);
}

#[test]
fn otp_in_xauth_opens_the_vpn_once() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let vpn = Vpn::start(&site.file("vpn"), site.radius_port, RADIUS_SECRET);
    let refused = vpn.log_on("alice", "000000").failed();
    assert!(refused.contains("XAuth authentication of 'alice' (myself) failed"), "{refused}");
    let accepted = vpn.log_on("alice", &token.otp(0)).succeeded();
    assert!(accepted.contains("XAuth authentication of 'alice' (myself) successful"), "{accepted}");
    vpn.log_on("alice", &token.otp(0)).failed();
    site.has_accepted(1);
}
