//! Other times: the daemon's clock is moved, ours is not.

use std::{fs, process::Command};

use crate::support::{
    certificate::{fetch, path},
    clock::{LIMIT, poll, unix_time},
    countersign::Site,
    oath::OathToken,
    openssl::openssl,
    otpce::{Wish, certificate_request, document, post, signed_request, status_code},
    process::run,
    radclient::Answer,
};

#[test]
fn signing_certificate_renews_itself_at_half_of_its_life() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let machine = site.issue("machine", "laptop.corp.example");
    let request = certificate_request(&site, "alice", &Wish::of(&["alice@corp.example"]));
    let file = site.directory().join(site.setting(&["ra", "certificate"]));
    let first = fs::read(&file).unwrap();
    for (counter, time, renewed) in [(0, "+20h", false), (1, "+30h", true), (2, "+5d", true)] {
        let mut daemon = site.serve_at(time);
        if renewed {
            daemon.wait_until("it renews", || fs::read(&file).is_ok_and(|now| now != first));
        }
        let body = document("CORP\\alice", &token.otp(counter), &request.der);
        let response = post(&site, &machine, &body);
        assert_eq!(status_code(&response), "Success", "{time}");
        let der = site.file("ra.der");
        let convert = ["x509", "-in", path(&file), "-outform", "DER", "-out", path(&der)];
        openssl(convert, b"").succeeded();
        let der = fs::read(der).unwrap();
        let signed = signed_request(&response);
        assert!(signed.windows(der.len()).any(|part| part == der), "{time}: the one in the file");
        assert_eq!(fs::read(&file).unwrap() != first, renewed, "{time}");
        daemon.stop();
    }
}

#[test]
fn revocation_list_is_signed_anew_before_it_runs_out() {
    let site = Site::new();
    for ahead in [0, 13, 100] {
        let _daemon = site.serve_at(&format!("+{ahead}h"));
        let url = format!("http://localhost:{}/ca.crl", site.http_port);
        let date = |option: &str| {
            let crl = site.write("now.crl", fetch(&site, &url));
            let dates = ["crl", "-in", path(&crl), "-noout", option, "-dateopt", "iso_8601"];
            let said = openssl(dates, b"").succeeded();
            said.split_once('=').unwrap().1.trim().to_owned()
        };
        // The list in force is less than half of its day old.
        let hours = |hours: i64| {
            let mut command = Command::new("date");
            command.args(["-u", "-d", &format!("{hours} hours"), "+%F %TZ"]);
            run(&mut command, b"").succeeded().trim().to_owned()
        };
        let fresh = poll(LIMIT, || (date("-nextupdate") > hours(ahead + 11)).then_some(()));
        assert!(fresh.is_some(), "+{ahead}h: next update at {}", date("-nextupdate"));
        assert!(date("-lastupdate") < hours(ahead + 1), "+{ahead}h: {}", date("-lastupdate"));
    }
}

#[test]
fn otp_stays_spent_when_the_clock_goes_back_or_forth() {
    let site = Site::new();
    let token = OathToken::usual(b"a secret of 20 bytes");
    site.add_account("alice");
    site.add_token("alice", "totp", &token, &["--period", "3600"]);
    let otp = token.totp(unix_time(), 3600);
    let daemon = site.serve();
    assert_eq!(site.logon("alice", &otp), Answer::Accept);
    daemon.stop();
    for time in ["-50m", "+50m", "-2h", "-30d"] {
        let daemon = site.serve_at(time);
        assert_eq!(site.logon("alice", &otp), Answer::Reject, "{time}");
        daemon.stop();
    }
}

#[test]
fn account_is_refused_before_and_after_its_validity() {
    let site = Site::new();
    let token = OathToken::usual(b"a secret of 20 bytes");
    let hours = |hours: &str| {
        let mut command = Command::new("date");
        command.args(["-u", "-d", hours, "+%FT%TZ"]);
        run(&mut command, b"").succeeded().trim().to_owned()
    };
    let [from, until] = ["2 hours", "4 hours"].map(hours);
    let validity = ["account", "add", "temp", "--valid-from", &from, "--valid-until", &until];
    site.run(validity).succeeded();
    site.add_token("temp", "hotp", &token, &[]);
    for (time, expected) in
        [("+1h", Answer::Reject), ("+3h", Answer::Accept), ("+5h", Answer::Reject)]
    {
        let daemon = site.serve_at(time);
        let otp = if time == "+5h" { token.otp(1) } else { token.otp(0) };
        assert_eq!(site.logon("temp", &otp), expected, "{time}");
        daemon.stop();
    }
}

#[test]
fn records_of_expired_certificates_do_not_stay_for_ever() {
    let site = Site::new();
    let logged = |site: &Site| site.run(["ca", "list"]).succeeded();
    site.configure_with("ca = { keep-expired = '1d', machine = { validity = '2d' } }");
    site.issue("machine", "short.corp.example");
    assert!(logged(&site).contains("short"), "{}", logged(&site));
    let daemon = site.serve_at("+70h");
    assert!(
        logged(&site).contains("short"),
        "expired, but kept for as long as a signing certificate lives"
    );
    daemon.stop();
    let mut daemon = site.serve_at("+6d");
    daemon.wait_until("it is forgotten", || !logged(&site).contains("short"));
    assert!(logged(&site).contains("server"), "what is valid stays: {}", logged(&site));
}
