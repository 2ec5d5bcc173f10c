//! RADIUS over IPv6: radclient asks over UDP and TCP.

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    ports,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask_at},
};

#[test]
fn radclient_is_answered_over_ipv6() {
    let site = Site::new();
    let tcp_port = ports::free();
    site.configure_with(&format!(
        "radius.listen = ['127.0.0.1:{port}', '[::1]:{port}']\n\
         radius.listen-tcp = ['[::1]:{tcp_port}']\n\
         radius.client.six = {{ address = '::1', secret = '{RADIUS_SECRET}' }}",
        port = site.radius_port
    ));
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let log_on = |port: u16, transport: &str, otp: &str| {
        let server = format!("[::1]:{port}");
        let options = ["-6", "-P", transport];
        ask_at(&server, &options, RADIUS_SECRET, "alice", otp, MESSAGE_AUTHENTICATOR).0
    };
    assert_eq!(log_on(site.radius_port, "udp", "000000"), Answer::Reject);
    assert_eq!(log_on(site.radius_port, "udp", &token.otp(0)), Answer::Accept);
    assert_eq!(log_on(tcp_port, "tcp", &token.otp(0)), Answer::Reject);
    assert_eq!(log_on(tcp_port, "tcp", &token.otp(1)), Answer::Accept);
    assert_eq!(site.logon("alice", &token.otp(1)), Answer::Reject, "and over IPv4");
    site.has_recorded("::1");
}
