//! The RADIUS listener, judged by pyrad.

use std::fs;

use serde_json::json;

use crate::support::{
    clock::{LIMIT, poll},
    countersign::{RADIUS_SECRET, Site},
    pyrad::Pyrad,
    radclient::Answer,
};

#[test]
fn pyrad_is_accepted_once_and_rejected_otherwise() {
    let site = Site::new();
    site.configure_with("radius.client.e2e.reply = [{ attribute = 25, text = 'vpn' }]");
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut client = Pyrad::start(site.radius_port, RADIUS_SECRET);
    assert_eq!(client.log_on("pap", "alice", "000000").answer(), Answer::Reject);
    let accepted = client.log_on("pap", "alice", &token.otp(0));
    assert_eq!(accepted.answer(), Answer::Accept);
    assert_eq!(accepted.attribute(25), Some("76706e"));
    assert_eq!(client.log_on("pap", "alice", &token.otp(0)).answer(), Answer::Reject);
    let status = client.ask(&json!({ "code": 12 }));
    assert_eq!(status.answer(), Answer::Accept, "Status-Server");
    let mut stranger = Pyrad::start(site.radius_port, "another-secret");
    assert_eq!(stranger.log_on("pap", "alice", &token.otp(1)).answer(), Answer::Silence);
    assert_eq!(client.log_on("pap", "alice", &token.otp(1)).answer(), Answer::Accept);
}

#[test]
fn pyrad_answers_a_challenge() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut client = Pyrad::start(site.radius_port, RADIUS_SECRET);
    let challenge = client.log_on("pap", "alice", &token.otp(30));
    assert_eq!(challenge.answer(), Answer::Challenge);
    let state = challenge.attribute(24).expect("a State");
    assert!(challenge.attribute(18).is_some(), "Reply-Message says what is wanted");
    assert_eq!(client.answer("alice", &token.otp(31), state).answer(), Answer::Accept);
    assert_eq!(client.answer("alice", &token.otp(31), state).answer(), Answer::Reject);
}

/// What these methods need is the password as the user has it; a store of OTPs has none.
#[test]
fn chap_and_ms_chap_are_refused_with_the_reason_in_the_log() {
    let site = Site::new();
    site.configure_with("log.level = 'debug'");
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut client = Pyrad::start(site.radius_port, RADIUS_SECRET);
    for (method, word) in [("chap", "CHAP"), ("ms-chap-v2", "MS-CHAP")] {
        let reply = client.log_on(method, "alice", &token.otp(0));
        assert_eq!(reply.answer(), Answer::Reject, "{method}");
        let log = || fs::read_to_string(site.log_file()).unwrap();
        let said = poll(LIMIT, || {
            let is_it = |line: &&str| line.contains(word) && line.contains("PAP");
            log().lines().find(is_it).map(str::to_owned)
        });
        assert!(said.is_some(), "{word} is not explained:\n{}", log());
    }
    assert_eq!(client.log_on("pap", "alice", &token.otp(0)).answer(), Answer::Accept, "unspent");
}

#[test]
fn accounting_is_answered_or_refused_as_the_config_says() {
    let start = json!({ "code": 4, "user": "alice", "attributes": {
        "Acct-Status-Type": 1, "Acct-Session-Id": "0000001f", "NAS-Identifier": "vpn" } });
    for (settings, code) in [("accounting = 'answer'", Some(5)), ("", None)] {
        let site = Site::new();
        site.configure_with(&format!("[radius]\n{settings}"));
        site.add_account("alice");
        let daemon = site.serve();
        let mut client = Pyrad::start(site.radius_port, RADIUS_SECRET);
        assert_eq!(client.ask(&start).code(), code, "{settings}");
        daemon.stop();
        let audit = site.audit_log();
        assert_eq!(audit.contains("0000001f"), code.is_some(), "the session:\n{audit}");
    }
}
