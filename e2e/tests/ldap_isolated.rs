//! The daemon needs nothing but UNIX sockets: it works in a network namespace that has no
//! interface, as the service unit of `countersign ldap config` puts it.

use std::{fs, process::Command};

use crate::support::{
    countersign::{Site, program},
    directory::User,
    ldap::Binder,
    ldap_stage::configure,
    process::{Service, run},
    slapd::{Setup, Slapd},
};

/// A program without a network; the user keeps the name that the peer of a socket sees.
fn without_network(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("unshare");
    let is_root = fs::metadata("/proc/self").map(|file| std::os::unix::fs::MetadataExt::uid(&file));
    if is_root.is_ok_and(|user| user != 0) {
        command.arg("--map-current-user");
    }
    command.arg("--net").arg(program);
    command
}

#[test]
fn binds_are_decided_without_any_network() {
    let site = Site::new();
    let alice = User::hotp("alice");
    let setup = Setup { socket: Some(site.file("slapd.socket")), ..Setup::default() };
    let slapd = Slapd::start(&site.file("slapd"), &setup, &alice.entries());
    configure(&site, &slapd);
    site.configure(|config| {
        for listener in ["radius", "otpce", "est", "http", "ra", "ca"] {
            config.remove(listener);
        }
    });
    // slapd listens on loopback, and there is none in there.
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", slapd.port);
    let refused = run(without_network("bash").args(["-c", &connect]), b"").failed();
    assert!(refused.contains("unreachable"), "{refused}");

    let mut command = without_network(program());
    command.arg("--config").arg(site.config_file()).arg("serve");
    let mut daemon = Service::start("countersign", &mut command, &site.log_file());
    let socket = site.file("slapd.socket");
    daemon.wait_until("its socket is there", || socket.exists());
    let mut binder = Binder::unix(&slapd.ldapi_socket()).unwrap();
    let mut bind = |typed: &str| binder.bind(alice.dn().as_bytes(), typed.as_bytes()).unwrap().0;
    assert_eq!(bind(&alice.credentials(0)), 0);
    assert_eq!(bind(&alice.credentials(0)), 49);
    assert_eq!(bind(&alice.credentials(1)), 0);
    assert!(daemon.stop().success());
}
