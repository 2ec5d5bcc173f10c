//! Tokens of every kind: `oathtool` makes the OTPs, radclient presents them.

use crate::support::{
    clock::unix_time,
    countersign::Site,
    oath::OathToken,
    radclient::Answer::{Accept, Challenge, Reject},
};

const ALGORITHMS: [&str; 3] = ["sha1", "sha256", "sha512"];

/// A token whose secret is as long as its hash, as RFC 6238 §5.1 wants it.
fn token(algorithm: &'static str, digits: u32) -> OathToken {
    let length = match algorithm {
        "sha1" => 20,
        "sha256" => 32,
        _ => 64,
    };
    let secret = (0..length).map(|number| number * 3 + u8::try_from(digits).unwrap()).collect();
    OathToken { secret, algorithm, digits }
}

fn kinds() -> impl Iterator<Item = (String, OathToken)> {
    ALGORITHMS.into_iter().flat_map(|algorithm| {
        (6..=10).map(move |digits| (format!("{algorithm}-{digits}"), token(algorithm, digits)))
    })
}

#[test]
fn hotp_of_every_algorithm_and_length() {
    let site = Site::new();
    let _daemon = site.serve();
    for (user, token) in kinds() {
        site.add_account(&user);
        site.add_token(&user, "hotp", &token, &[]);
        let otps = token.otps(0, 3);
        assert_eq!(site.logon(&user, &otps[0]), Accept, "{user}");
        assert_eq!(site.logon(&user, &otps[0]), Reject, "{user}: the first a second time");
        assert_eq!(site.logon(&user, &otps[2]), Accept, "{user}: within the look-ahead");
        assert_eq!(site.logon(&user, &otps[1]), Reject, "{user}: one that was skipped");
    }
}

#[test]
fn totp_of_every_algorithm_and_length() {
    let site = Site::new();
    let _daemon = site.serve();
    for (user, token) in kinds() {
        site.add_account(&user);
        site.add_token(&user, "totp", &token, &[]);
        let otp = token.totp(unix_time(), 30);
        assert_eq!(site.logon(&user, &otp), Accept, "{user}");
        assert_eq!(site.logon(&user, &otp), Reject, "{user}: a second time");
    }
}

#[test]
fn totp_of_any_period() {
    let site = Site::new();
    let _daemon = site.serve();
    for period in [15, 30, 60, 120, 3600] {
        let user = format!("period-{period}");
        let token = token("sha256", 8);
        site.add_account(&user);
        site.add_token(&user, "totp", &token, &["--period", &period.to_string()]);
        let (now, first) = (unix_time(), token.totp(unix_time(), period));
        let too_late = token.totp(now - 5 * period, period);
        assert_ne!(site.logon(&user, &too_late), Accept, "{user}: five periods ago");
        assert_eq!(site.logon(&user, &first), Accept, "{user}: now");
    }
}

#[test]
fn totp_accepts_one_step_of_drift_and_never_goes_back() {
    let site = Site::new();
    let token = site.add_user("drifting", "totp");
    let _daemon = site.serve();
    // A long way into the future by our clock's measure; the window is one step.
    let step = unix_time() / 30;
    assert_eq!(site.logon("drifting", &token.otp(step + 3)), Challenge, "for the one after it");
    assert_eq!(site.logon("drifting", &token.otp(step + 1)), Accept);
    assert_eq!(site.logon("drifting", &token.otp(step)), Reject, "a step before the last one");
}

#[test]
fn hotp_resynchronises_with_two_otps_in_a_row() {
    let site = Site::new();
    let token = site.add_user("ahead", "hotp");
    let _daemon = site.serve();
    let otps = token.otps(50, 4);
    assert_eq!(site.logon("ahead", &otps[0]), Challenge, "beyond the look-ahead");
    assert_eq!(site.logon("ahead", &otps[2]), Challenge, "not the next one");
    assert_eq!(site.logon("ahead", &otps[3]), Accept, "the next one");
    assert_eq!(site.logon("ahead", &token.otp(54)), Accept, "in step again");
}

#[test]
fn pin_stands_in_front_of_the_otp() {
    let site = Site::new();
    let pin = site.write("pin", "s3same\n");
    let token = OathToken::usual(b"a secret of 20 bytes");
    site.add_account("pinned");
    site.add_token("pinned", "hotp", &token, &["--pin-file", pin.to_str().unwrap()]);
    let _daemon = site.serve();
    let otps = token.otps(0, 5);
    assert_eq!(site.logon("pinned", &otps[0]), Reject, "without the PIN");
    assert_eq!(site.logon("pinned", &format!("wrong!{}", otps[1])), Reject, "a wrong PIN");
    assert_eq!(site.logon("pinned", &format!("s3same{}", otps[1])), Reject, "an OTP tried with it");
    assert_eq!(site.logon("pinned", "s3same"), Reject, "the PIN alone");
    assert_eq!(site.logon("pinned", &format!("s3same{}", otps[2])), Accept);
    assert_eq!(site.logon("pinned", &format!("s3same{}", otps[2])), Reject, "a second time");
}

#[test]
fn any_of_several_tokens_will_do() {
    let site = Site::new();
    let first = site.add_user("two", "hotp");
    let second = token("sha512", 8);
    site.add_token("two", "totp", &second, &[]);
    let _daemon = site.serve();
    assert_eq!(site.logon("two", &second.totp(unix_time(), 30)), Accept);
    assert_eq!(site.logon("two", &first.otp(0)), Accept);
}

#[test]
fn every_form_of_a_name_leads_to_one_account_and_one_counter() {
    let site = Site::new();
    let token = OathToken::usual(b"a secret of 20 bytes");
    site.run(["account", "add", "alice", "--upn", "a.smith@mail.example"]).succeeded();
    site.add_token("alice", "hotp", &token, &[]);
    let _daemon = site.serve();
    let names = ["alice", "ALICE", "CORP\\alice", "alice@corp.example", "A.Smith@mail.example"];
    for (otp, name) in token.otps(0, 5).iter().zip(names) {
        assert_eq!(site.logon(name, otp), Accept, "{name}");
        assert_eq!(site.logon("alice", otp), Reject, "spent as {name}");
    }
}

#[test]
fn lockout_comes_after_failures_and_ends_when_an_administrator_unlocks() {
    let site = Site::new();
    site.configure_with("policy.lockout = { throttle-after = 1000, lock-after = 3 }");
    let token = site.add_user("locked", "hotp");
    let _daemon = site.serve();
    for _ in 0..3 {
        assert_eq!(site.logon("locked", "000000"), Reject);
    }
    assert_eq!(site.logon("locked", &token.otp(0)), Reject, "right, but locked");
    assert!(site.audit_log().contains("locked-out"), "{}", site.audit_log());
    site.run(["account", "unlock", "locked"]).succeeded();
    assert_eq!(site.logon("locked", &token.otp(0)), Accept, "the OTP was not spent by the lock");
}

#[test]
fn disabled_account_is_refused_until_it_is_enabled() {
    let site = Site::new();
    let token = site.add_user("leaver", "hotp");
    let _daemon = site.serve();
    site.run(["account", "disable", "leaver"]).succeeded();
    assert_eq!(site.logon("leaver", &token.otp(0)), Reject);
    site.run(["account", "enable", "leaver"]).succeeded();
    assert_eq!(site.logon("leaver", &token.otp(1)), Accept);
}

#[test]
fn token_is_disabled_resynchronised_and_removed_by_the_command_line() {
    let site = Site::new();
    let token = OathToken::usual(b"a secret of 20 bytes");
    site.add_account("alice");
    site.add_token("alice", "hotp", &token, &["--label", "fob"]);
    let _daemon = site.serve();
    site.run(["token", "disable", "fob"]).succeeded();
    assert_eq!(site.logon("alice", &token.otp(0)), Reject);
    site.run(["token", "enable", "fob"]).succeeded();
    let pair = site.write("pair", format!("{} {}\n", token.otp(900_000), token.otp(900_001)));
    let far = site.run(["token", "resync", "fob", "--otp-file", pair.to_str().unwrap()]);
    assert!(!far.status.success(), "beyond the window: {far}");
    let pair = site.write("pair", format!("{} {}\n", token.otp(60), token.otp(61)));
    site.run(["token", "resync", "fob", "--otp-file", pair.to_str().unwrap()]).succeeded();
    assert_eq!(site.logon("alice", &token.otp(61)), Reject, "spent by the resynchronisation");
    assert_eq!(site.logon("alice", &token.otp(62)), Accept);
    site.run(["token", "remove", "fob"]).succeeded();
    assert_eq!(site.logon("alice", &token.otp(63)), Reject);
    assert!(!site.run(["account", "show", "alice"]).succeeded().contains("fob"));
}
