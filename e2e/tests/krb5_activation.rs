//! Sockets that systemd opens: a listening one, and one accepted connection per process.

use std::{path::Path, process::Command, thread};

use crate::support::{
    countersign::{Site, program},
    kdc_otp::{OtpRealm, site, socket, token_type},
    process::Service,
    radclient::Answer,
};

/// `systemd-socket-activate` as systemd: it listens, and starts the program at the first
/// connection.
fn activate(site: &Site, path: &Path, options: &[&str], arguments: &[&str]) -> Service {
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(path).args(options).arg(program());
    command.arg("--config").arg(site.config_file()).args(arguments);
    let log = site.file("activated.log");
    let mut service = Service::start("systemd-socket-activate", &mut command, &log);
    service.wait_until("it listens", || path.exists());
    service
}

fn realm_of(site: &Site, path: &Path, options: &[&str]) -> OtpRealm {
    let realm = OtpRealm::with_options(site, &token_type("DEFAULT", path.display(), &[]), options);
    realm.add("alice", "[]");
    realm
}

#[test]
fn listening_socket_of_systemd_is_served() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _activator = activate(&site, &socket(&site), &[], &["serve"]);
    let mut realm = realm_of(&site, &socket(&site), &[]);
    realm.kinit("alice", &token.otp(0)).succeeded(&realm);
    realm.kinit("alice", &token.otp(0)).refused(REFUSED);
    realm.restart();
    realm.kinit("alice", &token.otp(1)).succeeded(&realm);
    assert_eq!(site.logon("alice", &token.otp(1)), Answer::Reject, "it serves the rest as well");
    assert_eq!(site.logon("alice", &token.otp(2)), Answer::Accept);
}

/// `Accept=yes` with the connection as file descriptor 3 or as standard input; a KDC that is
/// started anew, or has two workers, has other connections, and other processes serve them.
#[test]
fn connections_of_systemd_are_served_one_by_one() {
    for options in [&["--accept"][..], &["--accept", "--inetd"]] {
        let site = site();
        let token = site.add_user("alice", "hotp");
        let _activator = activate(&site, &socket(&site), options, &["serve", "--inetd", "kdc"]);
        let mut realm = realm_of(&site, &socket(&site), &[]);
        realm.kinit("alice", &token.otp(0)).succeeded(&realm);
        realm.kinit("alice", &token.otp(0)).refused(REFUSED);
        realm.kinit("alice", &token.otp(1)).succeeded(&realm);
        realm.restart();
        realm.kinit("alice", &token.otp(1)).refused(REFUSED);
        realm.kinit("alice", &token.otp(2)).succeeded(&realm);
    }
}

#[test]
fn connections_of_systemd_are_served_side_by_side() {
    let site = site();
    let users: Vec<_> = (0..4).map(|number| format!("user-{number}")).collect();
    let tokens: Vec<_> = users.iter().map(|name| site.add_user(name, "hotp")).collect();
    let arguments = ["serve", "--inetd", "kdc"];
    let _activator = activate(&site, &socket(&site), &["--accept"], &arguments);
    let realm = realm_of(&site, &socket(&site), &["-w", "3"]);
    users.iter().for_each(|name| realm.add(name, "[]"));
    thread::scope(|scope| {
        for (name, token) in users.iter().zip(&tokens) {
            let realm = &realm;
            scope.spawn(move || {
                for otp in token.otps(0, 3) {
                    realm.kinit(name, &otp).succeeded(realm);
                    realm.kinit(name, &otp).refused(REFUSED);
                }
            });
        }
    });
    site.has_accepted(12);
}

#[test]
fn connection_of_systemd_goes_to_the_daemon_that_runs() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let path = site.file("systemd.sock");
    let _activator = activate(&site, &path, &["--accept"], &["serve", "--inetd", "kdc"]);
    let realm = realm_of(&site, &path, &[]);
    realm.kinit("alice", &token.otp(0)).succeeded(&realm);
    realm.kinit("alice", &token.otp(0)).refused(REFUSED);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Reject, "one store, one counter");
    assert_eq!(site.logon("alice", &token.otp(1)), Answer::Accept);
    realm.kinit("alice", &token.otp(1)).refused(REFUSED);
    realm.kinit("alice", &token.otp(2)).succeeded(&realm);
}

const REFUSED: &str = "Preauthentication failed";
