//! `countersign login`: what it makes of a one-time password, and what it says when it fails.

use std::{net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use crate::support::{
    certificate::path,
    countersign::{HOST, REALM, Site},
    freeradius::{FreeRadius, Role, SECRET},
    kdc::klist,
    openssl::{Authority, openssl},
    ports,
    process::{Ran, run},
    radclient::Answer,
    stage::Stage,
};

/// Checks a failure by its exit code and by the event number of the Windows client.
#[track_caller]
fn fails(ran: &Ran, code: i32, event: u32) {
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    assert!(ran.stderr.contains(&event.to_string()), "event {event}:\n{ran}");
    assert!(ran.stderr.contains("->"), "there is no next step:\n{ran}");
}

/// A login at a server of choice.
fn login_at(stage: &Stage, server: &str, otp: &str, options: &[&str]) -> Ran {
    let otp = stage.site.write("otp", otp);
    let mut command = stage.site.command(["login", "alice", "--server", server]);
    command.args(["--trust", path(&stage.site.ca_certificate())]);
    command.args(["--certificate", path(&stage.machine.certificate)]);
    command.args(["--key", path(&stage.machine.key), "--otp-file", path(&otp)]);
    run(command.args(options), b"")
}

#[test]
fn login_goes_straight_to_a_ticket() {
    let stage = Stage::new();
    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[&stage.site.ca_certificate()]);
    let cache = stage.site.file("cache");
    let name = format!("FILE:{}", cache.display());
    let kinit = |otp: &str| {
        let mut command = stage.login_command("alice", otp);
        run(command.args(["--kinit", "--ccache", &name]).env("KRB5_CONFIG", &config), b"")
    };
    let said = kinit(&stage.token.otp(0)).succeeded();
    assert!(said.contains("krbtgt/CORP.EXAMPLE@CORP.EXAMPLE"), "{said}\n{}", kdc.log());
    let tickets = klist(&config, &cache).succeeded();
    assert!(tickets.contains("Default principal: alice@CORP.EXAMPLE"), "{tickets}");
    fails(&kinit(&stage.token.otp(0)), REFUSED, 10005);
    assert!(klist(&config, &cache).succeeded().contains("krbtgt/"), "the ticket stays");
}

/// The CA that issues logon certificates may not say which KDC is the right one.
#[test]
fn kdc_is_trusted_for_the_anchors_given_alone() {
    let stage = Stage::new();
    let kdc = stage.kdc(None);
    let config = kdc.client_config(&[]);
    let name = format!("FILE:{}", stage.site.file("cache").display());
    let kinit = |otp: &str, trust: &std::path::Path| {
        let mut command = stage.login_command("alice", otp);
        command.args(["--kinit", "--ccache", &name, "--kdc-trust", path(trust)]);
        run(command.env("KRB5_CONFIG", &config), b"")
    };
    let other = Site::new();
    let refused = kinit(&stage.token.otp(0), &other.ca_certificate());
    refused.failed();
    let accepted = kinit(&stage.token.otp(1), &stage.site.ca_certificate()).succeeded();
    assert!(accepted.contains("krbtgt/CORP.EXAMPLE"), "{accepted}\n{}", kdc.log());
}

#[test]
fn pkcs12_file_is_for_its_owner_and_openssl_reads_it() {
    let stage = Stage::new();
    let (file, password) = (stage.site.file("alice.p12"), stage.site.write("password", "p12-pass"));
    let options = ["--pkcs12", path(&file), "--pkcs12-password-file", path(&password)];
    stage.login("alice", &stage.token.otp(0), &options).succeeded();
    let mode = file.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let read = ["pkcs12", "-in", path(&file), "-passin", "pass:p12-pass", "-nodes"];
    let content = openssl(read, b"").succeeded();
    assert!(content.contains("PRIVATE KEY") && content.contains("BEGIN CERTIFICATE"));
    openssl(["pkcs12", "-in", path(&file), "-passin", "pass:wrong", "-nodes"], b"").failed();
}

#[test]
fn nothing_is_written_that_was_not_asked_for_and_nothing_is_overwritten() {
    let stage = Stage::new();
    let empty = stage.site.file("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut command = stage.login_command("alice", &stage.token.otp(0));
    run(command.current_dir(&empty), b"").succeeded();
    assert_eq!(empty.read_dir().unwrap().count(), 0);
    let taken = stage.site.write("taken.pem", "something dear");
    let ran = stage.login("alice", &stage.token.otp(1), &["--pem", path(&taken)]);
    assert_eq!(ran.status.code(), Some(FAILURE), "{ran}");
    assert!(ran.stderr.contains("taken.pem"), "{ran}");
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "something dear");
}

#[test]
fn otp_is_read_from_standard_input() {
    let stage = Stage::new();
    let mut command = stage.login_command("alice", "unused");
    let mut words: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let last = words.len() - 1;
    words[last] = "-".into();
    let otp = format!("{}\n", stage.token.otp(0));
    command = Command::new(command.get_program());
    run(command.args(words), otp.as_bytes()).succeeded();
}

#[test]
fn key_is_of_the_kind_that_was_asked_for() {
    let stage = Stage::new();
    for (counter, kind, wanted) in
        [(0, "rsa-2048", "Public-Key: (2048 bit)"), (1, "p-256", "ASN1 OID: prime256v1")]
    {
        let file = stage.site.file(kind);
        let options = ["--pem", path(&file), "--key-type", kind];
        stage.login("alice", &stage.token.otp(counter), &options).succeeded();
        let text = crate::support::openssl::certificate_text(&file);
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn refused_credentials_are_event_10005_and_exit_code_4() {
    let stage = Stage::new();
    fails(&stage.login("alice", "000000", &[]), REFUSED, 10005);
    fails(&stage.login("ghost", "000000", &[]), REFUSED, 10005);
    stage.site.run(["account", "disable", "alice"]).succeeded();
    fails(&stage.login("alice", &stage.token.otp(0), &[]), REFUSED, 10005);
}

#[test]
fn challenge_is_event_10006() {
    let site = Site::new();
    let upstream = FreeRadius::start(&site.file("freeradius"), Role::OtpServer { signs: true });
    let servers = format!("[upstream.otp]\nservers = ['{}']\n", upstream.address());
    site.configure_with(&format!("{servers}secret = '{SECRET}'"));
    site.run(["account", "add", "challenged", "--upstream", "otp"]).succeeded();
    let stage = Stage::of(site);
    let ran = stage.login("challenged", "1", &[]);
    assert!(ran.stderr.contains("10006"), "{ran}");
    assert!(!ran.status.success(), "{ran}");
}

#[test]
fn server_that_is_not_there_is_event_10000_and_the_next_one_is_asked() {
    let stage = Stage::new();
    let nobody = format!("https://{HOST}:{}/otpce", ports::free());
    let otp = stage.token.otp(0);
    fails(&login_at(&stage, &nobody, &otp, &[]), FAILURE, 10000);
    let then = ["--server", &stage.site.otpce_url()];
    login_at(&stage, &nobody, &otp, &then).succeeded();
}

#[test]
fn otp_goes_to_no_second_server_after_an_answer() {
    let stage = Stage::new();
    let second = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    second.set_nonblocking(true).unwrap();
    let url = format!("https://{HOST}:{}/otpce", second.local_addr().unwrap().port());
    let ran = login_at(&stage, &stage.site.otpce_url(), "000000", &["--server", &url]);
    fails(&ran, REFUSED, 10005);
    assert!(second.accept().is_err(), "the second server was asked");
}

#[test]
fn machine_certificate_that_is_missing_or_foreign_is_told_apart_from_a_wrong_otp() {
    let stage = Stage::new();
    let otp = stage.token.otp(0);
    let foreign = Authority::new(stage.site.directory().parent().unwrap(), "foreign");
    let stranger = foreign.issue("machine", "laptop.corp.example", REALM);
    let with = |certificate: &str, key: &str| {
        let mut command = stage.site.command(["login", "alice", "--server"]);
        command.args([&stage.site.otpce_url(), "--trust", path(&stage.site.ca_certificate())]);
        command.args(["--certificate", certificate, "--key", key]);
        run(command.args(["--otp-file", path(&stage.site.write("otp", &otp))]), b"")
    };
    let missing = with("/nowhere/machine.pem", "/nowhere/machine.key");
    assert_eq!(missing.status.code(), Some(FAILURE), "{missing}");
    assert!(missing.stderr.contains("/nowhere/machine"), "{missing}");
    let refused = with(path(&stranger.certificate), path(&stranger.key));
    assert_eq!(refused.status.code(), Some(FAILURE), "{refused}");
    assert!(refused.stderr.contains("->"), "{refused}");
    let ours = stage.login("alice", &otp, &[]);
    assert!(ours.status.success(), "neither spent the OTP: {ours}");
}

#[test]
fn server_that_cannot_be_trusted_gets_no_otp() {
    let stage = Stage::new();
    let foreign = Authority::new(stage.site.directory().parent().unwrap(), "foreign");
    let otp = stage.token.otp(0);
    let mut command = stage.site.command(["login", "alice", "--server"]);
    command.args([&stage.site.otpce_url(), "--trust", path(&foreign.certificate())]);
    command.args(["--certificate", path(&stage.machine.certificate)]);
    command.args(["--key", path(&stage.machine.key)]);
    let ran = run(command.args(["--otp-file", path(&stage.site.write("otp", &otp))]), b"");
    fails(&ran, FAILURE, 10000);
    assert_eq!(stage.site.logon("alice", &otp), Answer::Accept, "the OTP was not spent");
}

#[test]
fn ca_that_is_not_there_is_event_10018() {
    let stage = Stage::new();
    let nobody = format!("https://{HOST}:{}", ports::free());
    fails(&stage.login("alice", &stage.token.otp(0), &["--ca", &nobody]), FAILURE, 10018);
    let there = format!("https://{HOST}:{}", stage.site.est_port);
    let cas = ["--ca", &nobody, "--ca", &there];
    stage.login("alice", &stage.token.otp(1), &cas).succeeded();
}

/// The first of the chain's CAs does not know the RA.
#[test]
fn ca_that_refuses_is_event_10019() {
    let stage = Stage::new();
    let other = Stage::new();
    let there = format!("https://{HOST}:{}", other.site.est_port);
    // It has to be reachable at all: one that trusts both CAs, with a machine of the other.
    let both = [&stage.site, &other.site].map(|site| std::fs::read(site.ca_certificate()).unwrap());
    let trust = stage.site.write("both.pem", both.concat());
    other.site.configure_with(&format!("est.tls.client-trust = '{}'", path(&trust)));
    let _other = other.restart();
    let otp = stage.site.write("otp", stage.token.otp(0));
    let mut command = stage.site.command(["login", "alice", "--server"]);
    command.args([&stage.site.otpce_url(), "--trust", path(&trust), "--ca", &there]);
    command.args(["--certificate", path(&stage.machine.certificate)]);
    command.args(["--key", path(&stage.machine.key), "--otp-file", path(&otp)]);
    fails(&run(&mut command, b""), FAILURE, 10019);
}

/// The exit code of credentials that were refused, and that of everything else.
const REFUSED: i32 = 4;
const FAILURE: i32 = 1;
