//! The socket that slapd asks by outlives whoever answers. What slapd makes of that stands in
//! `ldap_crash`.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    clock::{LIMIT, poll},
    countersign::{Site, program},
    directory::SUFFIX,
    process::{Service, run},
};

fn socket(site: &Site) -> PathBuf {
    site.file("slapd.sock")
}

/// A site that slapd may ask about accounts below `ou=accounts`.
fn site() -> Site {
    let site = Site::new();
    site.configure_with(&format!(
        "[back-sock]\nsocket = {:?}\nsocket-mode = \"0600\"\nsuffixes = [{SUFFIX:?}]\n\
         accounts = [\"ou=accounts,{SUFFIX}\"]\nwithout-token = \"refuse\"\n\
         password = \"directory\"\nhand-back-url = \"ldapi:///nowhere/ldapi\"\n",
        socket(&site)
    ));
    site
}

/// What is answered to a request that nobody knows, up to the end of the connection.
fn ask(site: &Site) -> String {
    let mut stream = UnixStream::connect(socket(site)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"NOTHING\n\n").unwrap();
    let (mut answer, mut octet) = (Vec::new(), [0]);
    // slapd closes first.
    while !answer.ends_with(b"\n\n") && stream.read(&mut octet).unwrap() > 0 {
        answer.push(octet[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// The process that works for a holder. There is none for moments.
#[track_caller]
fn worker(holder: &Service) -> u32 {
    let file = format!("/proc/{0}/task/{0}/children", holder.id());
    let found = poll(LIMIT, || {
        let children = fs::read_to_string(&file).unwrap_or_default();
        children.split_whitespace().next().map(|id| id.parse().expect("a number"))
    });
    found.expect("the holder has a worker")
}

fn kill(process: u32) {
    run(Command::new("/bin/kill").args(["-KILL", &process.to_string()]), b"").succeeded();
}

#[test]
fn whoever_asks_a_worker_that_is_killed_reads_a_failure_and_the_next_one_is_answered() {
    let site = site();
    let daemon = site.serve();
    assert_eq!(fs::metadata(socket(&site)).unwrap().permissions().mode() & 0o777, 0o600);
    let first = worker(&daemon);
    let mut waiting = UnixStream::connect(socket(&site)).unwrap();
    waiting.set_read_timeout(Some(LIMIT)).unwrap();
    let mut preamble = [0; 16];
    waiting.read_exact(&mut preamble).unwrap();
    kill(first);
    let mut rest = String::new();
    waiting.read_to_string(&mut rest).unwrap();
    assert_eq!((&preamble[..], &*rest), (&b"RESULT\ncode: 80\n"[..], ""));

    assert_eq!(ask(&site), "RESULT\ncode: 80\ncode: 49\n\n");
    assert_ne!(worker(&daemon), first);
    assert!(daemon.log().contains("the worker died"), "{}", daemon.log());
    assert!(daemon.stop().success());
    assert!(!socket(&site).exists());
}

#[test]
fn a_worker_does_not_outlive_its_holder() {
    let site = site();
    let daemon = site.serve();
    let worker = worker(&daemon);
    daemon.kill();
    let gone = poll(LIMIT, || (!Path::new(&format!("/proc/{worker}")).exists()).then_some(()));
    assert!(gone.is_some(), "the worker goes on");
    assert!(!socket(&site).exists());
    assert!(site.serve().stop().success());
}

#[test]
fn an_error_of_the_config_ends_both_with_its_exit_code() {
    let site = site();
    fs::write(site.directory().join("master.key"), "no key").unwrap();
    let said = site.run(["serve"]);
    assert_eq!(said.status.code(), Some(1), "{said}");
    assert_eq!(said.stderr.matches("master key").count(), 1, "{said}");
    assert!(!socket(&site).exists());
}

/// Then systemd has the socket, and nobody needs to hold it.
#[test]
fn with_a_socket_unit_there_is_one_process() {
    let site = site();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(socket(&site)).arg(program());
    command.arg("--config").arg(site.config_file()).arg("serve");
    let log = site.file("activated.log");
    let mut daemon = Service::start("systemd-socket-activate", &mut command, &log);
    daemon.wait_until("it listens", || socket(&site).exists());
    assert_eq!(ask(&site), "RESULT\ncode: 80\ncode: 49\n\n");
    let threads = format!("/proc/{0}/task/{0}/children", daemon.id());
    assert_eq!(fs::read_to_string(threads).unwrap(), "");
    assert!(daemon.stop().success());
}
