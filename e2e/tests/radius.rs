//! The RADIUS listener, judged by radclient and FreeRADIUS.

use std::net::UdpSocket;

use crate::support::{
    clock::{LIMIT, poll},
    countersign::{RADIUS_SECRET, Site},
    freeradius::{FreeRadius, Role, SECRET},
    process::SILENCE,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask},
    radius::{Request, answer, socket},
};

#[test]
fn radclient_is_accepted_once_and_rejected_otherwise() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "000000"), Answer::Reject);
    assert_eq!(site.logon("alice", ""), Answer::Reject);
    assert_eq!(site.logon("nobody", &token.otp(0)), Answer::Reject);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Reject);
}

#[test]
fn request_without_message_authenticator_meets_silence() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let (old_style, _) = ask(site.radius_port, RADIUS_SECRET, "alice", &token.otp(0), "");
    assert_eq!(old_style, Answer::Silence);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept, "silence spends nothing");
}

#[test]
fn exempt_client_may_leave_the_message_authenticator_out() {
    let site = Site::new();
    site.configure_with(&format!(
        "radius.client.old = {{ address = '127.0.0.2', secret = '{RADIUS_SECRET}', \
         require-message-authenticator = false }}"
    ));
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let from_old = |otp: &str, more: &str| {
        let more = format!("Packet-Src-IP-Address = 127.0.0.2\n{more}");
        ask(site.radius_port, RADIUS_SECRET, "alice", otp, &more).0
    };
    assert_eq!(from_old(&token.otp(0), ""), Answer::Accept);
    assert_eq!(from_old(&token.otp(1), MESSAGE_AUTHENTICATOR), Answer::Accept);
}

#[test]
fn stranger_and_wrong_secret_meet_silence() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let otp = token.otp(0);
    let from_stranger = format!("Packet-Src-IP-Address = 127.0.0.9\n{MESSAGE_AUTHENTICATOR}");
    let (stranger, _) = ask(site.radius_port, RADIUS_SECRET, "alice", &otp, &from_stranger);
    assert_eq!(stranger, Answer::Silence);
    let (wrong, _) = ask(site.radius_port, "wrong", "alice", &otp, MESSAGE_AUTHENTICATOR);
    assert_eq!(wrong, Answer::Silence);
    assert_eq!(site.logon("alice", &otp), Answer::Accept, "silence spends nothing");
}

#[test]
fn retransmission_gets_the_same_answer_and_spends_nothing() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let socket = socket(site.radius_port);
    let request = Request::new(RADIUS_SECRET, "alice", &token.otp(0), 1);
    let first = request.exchange(&socket, LIMIT).unwrap();
    assert_eq!(answer(Some(&first)), Answer::Accept);
    for _ in 0..3 {
        assert_eq!(request.exchange(&socket, LIMIT).unwrap(), first);
    }
    // A request of its own with the same OTP is no retransmission.
    let another = Request::new(RADIUS_SECRET, "alice", &token.otp(0), 2);
    let reply = another.exchange(&socket, LIMIT);
    assert_eq!(answer(reply.as_deref()), Answer::Reject);
    site.has_accepted(1);
}

#[test]
fn reply_carries_proxy_state_and_the_clients_attributes() {
    let site = Site::new();
    site.configure_with(
        "radius.client.e2e.reply = [{ attribute = 25, text = 'vpn-users' }, \
         { attribute = 27, integer = 3600 }]",
    );
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let more = format!("{MESSAGE_AUTHENTICATOR}\nProxy-State = 0xfeed\nProxy-State = 0xbeef");
    let (accepted, ran) = ask(site.radius_port, RADIUS_SECRET, "alice", &token.otp(0), &more);
    assert_eq!(accepted, Answer::Accept);
    let reply = ran.stdout.split("Received").nth(1).unwrap();
    for line in [
        "Proxy-State = 0xfeed",
        "Proxy-State = 0xbeef",
        "Class = 0x76706e2d7573657273",
        "Session-Timeout = 3600",
    ] {
        assert!(reply.contains(line), "{line} is missing:\n{reply}");
    }
    let (rejected, ran) = ask(site.radius_port, RADIUS_SECRET, "alice", "000000", &more);
    assert_eq!(rejected, Answer::Reject);
    let reply = ran.stdout.split("Received").nth(1).unwrap();
    assert!(reply.contains("Proxy-State = 0xfeed"), "{reply}");
    assert!(!reply.contains("Session-Timeout"), "only an Accept carries them:\n{reply}");
}

#[test]
fn freeradius_proxies_to_the_daemon() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let role = Role::Proxy { to: site.radius_port, secret: RADIUS_SECRET };
    let proxy = FreeRadius::start(&site.file("proxy"), role);
    let through_proxy =
        |passcode: &str| ask(proxy.port, SECRET, "alice", passcode, MESSAGE_AUTHENTICATOR).0;
    assert_eq!(through_proxy(&token.otp(0)), Answer::Accept);
    assert_eq!(through_proxy(&token.otp(0)), Answer::Reject);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Reject, "spent at the daemon itself");
    assert_eq!(through_proxy(&token.otp(1)), Answer::Accept);
}

#[test]
fn datagrams_of_any_shape_do_not_stop_the_daemon() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let socket = socket(site.radius_port);
    let request = Request::new(RADIUS_SECRET, "alice", "000000", 3);
    for length in 0..request.octets().len() {
        let _ = socket.send(&request.octets()[..length]);
    }
    for place in 0..request.octets().len() {
        let mut changed = request.octets().to_vec();
        changed[place] ^= 0x81;
        let _ = socket.send(&changed);
    }
    let _ = socket.send(&[0xff; 5000]);
    assert!(is_silent(&socket), "none of these is authentic");
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.recv(&mut [0; 64]).is_err()
}

#[test]
fn sigterm_ends_the_daemon_and_its_state_outlives_it() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let daemon = site.serve();
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept);
    assert!(daemon.stop().success());
    let written = poll(LIMIT, || site.audit_log().contains("passcode-correct").then_some(()));
    assert!(written.is_some(), "the audit log is written at the end");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Reject);
    assert_eq!(site.logon("alice", &token.otp(1)), Answer::Accept);
}
