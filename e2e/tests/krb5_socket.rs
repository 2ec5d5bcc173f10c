//! The UNIX socket of the KDC's companion daemon: who may connect, how much comes at once,
//! what is no packet, and what systemd hands over.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Shutdown, UdpSocket},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    thread,
};

use crate::support::{
    countersign::Site,
    kdc_otp::{site, socket},
    process::{Ran, run},
    radclient::Answer,
    radius::{Request, answer},
    stream::{receive, unix},
};

#[test]
fn socket_has_the_mode_and_the_group_of_the_config() {
    let site = site();
    let other = site.file("other.sock");
    site.configure_with(&format!(
        "radius.client.other = {{ socket = {other:?}, kdc = true, \
         socket-mode = '0660', socket-group = 'daemon' }}"
    ));
    let _daemon = site.serve();
    let of = |path: &Path| fs::metadata(path).unwrap();
    assert_eq!(of(&socket(&site)).permissions().mode() & 0o7777, 0o600);
    assert_eq!(of(&other).permissions().mode() & 0o7777, 0o660);
    let group = run(Command::new("getent").args(["group", "daemon"]), b"").succeeded();
    assert_eq!(group.split(':').nth(2), Some(of(&other).gid().to_string().as_str()));
}

#[test]
fn stranger_on_this_machine_is_hung_up_on() {
    let site = site();
    // Nothing but the daemon is in the way.
    site.configure_with("radius.client.kdc.socket-mode = '0666'");
    fs::set_permissions(site.file(""), fs::Permissions::from_mode(0o711)).unwrap();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let request = Request::of_kdc("", "alice", &token.otp(0), 1);
    let as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    assert_eq!(exchange_as(&as_nobody, &site, &request).succeeded(), "", "no answer for nobody");
    let ours = exchange_as(&["env"], &site, &request).succeeded();
    assert!(ours.starts_with("02"), "Access-Accept: {ours}");

    // Who is named may, root or not.
    site.configure_with("radius.client.kdc.socket-users = ['nobody']");
    drop(_daemon);
    let _daemon = site.serve();
    let request = Request::of_kdc("", "alice", &token.otp(1), 2);
    assert_eq!(exchange_as(&["env"], &site, &request).succeeded(), "", "root is not named");
    let nobodys = exchange_as(&as_nobody, &site, &request).succeeded();
    assert!(nobodys.starts_with("02"), "Access-Accept: {nobodys}");
}

/// Sends a request from a process of its own, run by another program; the reply is its output.
fn exchange_as(runner: &[&str], site: &Site, request: &Request) -> Ran {
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX)\n\
                  s.connect(sys.argv[1])\n\
                  try:\n    s.sendall(bytes.fromhex(sys.argv[2]))\n    \
                  print(s.recv(4096).hex(), end='')\n\
                  except OSError: pass";
    let hex = data_encoding::HEXLOWER.encode(request.octets());
    let mut command = Command::new(runner[0]);
    command.args(&runner[1..]).args(["/usr/bin/python3", "-c", script]);
    run(command.arg(socket(site)).arg(hex), b"")
}

#[test]
fn three_hundred_connections_are_served_at_once() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut connections: Vec<_> = (0..300).map(|_| unix(&socket(&site))).collect();
    for (number, connection) in (0..).zip(&mut connections) {
        let request = Request::of_kdc("", "nobody", "000000", number);
        connection.write_all(request.octets()).unwrap();
    }
    let good = Request::of_kdc("", "alice", &token.otp(0), 300);
    let mut last = unix(&socket(&site));
    last.write_all(good.octets()).unwrap();
    assert_eq!(answer(receive(&mut last).as_deref()), Answer::Accept);
    for (number, connection) in (0..).zip(&mut connections) {
        let reply = receive(connection).unwrap();
        assert!(Request::of_kdc("", "nobody", "000000", number).is_answered_by(&reply));
    }
}

#[test]
fn two_hundred_fifty_six_requests_are_in_flight_on_one_connection() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut connection = unix(&socket(&site));
    let requests: Vec<_> = (0..256)
        .map(|number| match number {
            77 => Request::of_kdc("", "alice", &token.otp(0), number),
            _ => Request::of_kdc("", "nobody", "000000", number),
        })
        .collect();
    // All in one write; nothing is read until then.
    let octets: Vec<u8> = requests.iter().flat_map(|request| request.octets().to_vec()).collect();
    connection.write_all(&octets).unwrap();
    let replies: Vec<_> = requests.iter().map(|_| receive(&mut connection).unwrap()).collect();
    for reply in &replies {
        assert!(requests[usize::from(reply[1])].is_answered_by(reply));
        assert_eq!(reply[0], if reply[1] == 77 { 2 } else { 3 }, "{reply:02x?}");
    }
    let identifiers: BTreeSet<u8> = replies.iter().map(|reply| reply[1]).collect();
    assert_eq!(identifiers.len(), 256, "each was answered once");
    // An identifier comes again with another authenticator, and is another request.
    let again = Request::of_kdc("", "alice", &token.otp(1), 77 + 256);
    connection.write_all(again.octets()).unwrap();
    assert!(again.is_answered_by(&receive(&mut connection).unwrap()));
    site.has_accepted(2);
}

#[test]
fn packet_may_arrive_in_pieces() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut connection = unix(&socket(&site));
    for octet in Request::of_kdc("", "alice", &token.otp(0), 1).octets() {
        connection.write_all(&[*octet]).unwrap();
    }
    assert_eq!(answer(receive(&mut connection).as_deref()), Answer::Accept);
    let [one, two] =
        [1, 2].map(|counter| Request::of_kdc("", "alice", &token.otp(counter), counter + 1));
    let octets = [one.octets(), two.octets()].concat();
    for place in [1, 19, one.octets().len() - 1, one.octets().len() + 3] {
        let (first, second) = octets.split_at(place);
        connection.write_all(first).unwrap();
        connection.write_all(second).unwrap();
        let mut replies = [(); 2].map(|()| receive(&mut connection).unwrap());
        replies.sort_by_key(|reply| reply[1]);
        assert!(one.is_answered_by(&replies[0]) && two.is_answered_by(&replies[1]));
    }
}

/// A broken frame ends its connection, for nobody knows where the next packet begins; other
/// connections go on, and so does this one after a packet of an unknown code.
#[test]
fn what_is_no_packet_ends_its_connection_alone() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut witness = unix(&socket(&site));
    let request = Request::of_kdc("", "alice", "000000", 1);
    let with = |place: usize, octets: &[u8]| {
        let mut changed = request.octets().to_vec();
        changed[place..place + octets.len()].copy_from_slice(octets);
        changed
    };
    for broken in [with(2, &[0, 19]), with(2, &[0xff, 0xff]), with(21, &[0]), with(21, &[0xff])] {
        let mut connection = unix(&socket(&site));
        connection.write_all(&broken).unwrap();
        assert_eq!(receive(&mut connection), None, "{broken:02x?}");
    }
    let mut connection = unix(&socket(&site));
    connection.write_all(&with(0, &[77])).unwrap();
    let good = Request::of_kdc("", "alice", &token.otp(0), 2);
    connection.write_all(good.octets()).unwrap();
    assert!(good.is_answered_by(&receive(&mut connection).unwrap()));
    let next = Request::of_kdc("", "alice", &token.otp(1), 3);
    witness.write_all(next.octets()).unwrap();
    assert_eq!(answer(receive(&mut witness).as_deref()), Answer::Accept);
}

/// A site whose account `alice` is decided by a server that never says anything.
fn site_with_hung_upstream(deadline: &str) -> (Site, UdpSocket) {
    let site = site();
    let silent = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    site.configure_with(&format!(
        "radius.client.kdc.deadline = '{deadline}'\n\
         [upstream.slow]\nservers = ['{}']\nsecret = 'slow-secret-3c1d'\ntimeout = '30s'\ntries = 1",
        silent.local_addr().unwrap()
    ));
    site.run(["account", "add", "alice", "--upstream", "slow"]).succeeded();
    (site, silent)
}

/// A full backlog would stop the KDC itself, and with it everybody's logons.
#[test]
fn hung_upstream_does_not_keep_new_connections_waiting() {
    let (site, silent) = site_with_hung_upstream("30s");
    let token = site.add_user("bob", "hotp");
    let _daemon = site.serve();
    let mut busy = unix(&socket(&site));
    let hung = (0..256).map(|number| Request::of_kdc("", "alice", "123456", number));
    let octets: Vec<u8> = hung.flat_map(|request| request.octets().to_vec()).collect();
    busy.write_all(&octets).unwrap();
    silent.recv(&mut [0; 4096]).unwrap();
    let others: Vec<_> = (0..100).map(|_| unix(&socket(&site))).collect();
    for (number, mut other) in (0..).zip(others) {
        let request = Request::of_kdc("", "nobody", "000000", number);
        other.write_all(request.octets()).unwrap();
        assert!(request.is_answered_by(&receive(&mut other).unwrap()));
    }
    let good = Request::of_kdc("", "bob", &token.otp(0), 1);
    let mut last = unix(&socket(&site));
    last.write_all(good.octets()).unwrap();
    assert_eq!(answer(receive(&mut last).as_deref()), Answer::Accept);
}

#[test]
fn sigterm_answers_what_is_in_flight_and_then_closes() {
    let (site, silent) = site_with_hung_upstream("1s");
    let daemon = site.serve();
    let mut connection = unix(&socket(&site));
    let request = Request::of_kdc("", "alice", "123456", 1);
    connection.write_all(request.octets()).unwrap();
    silent.recv(&mut [0; 4096]).unwrap();
    let end = thread::spawn(move || daemon.stop());
    assert!(request.is_answered_by(&receive(&mut connection).expect("an answer at the end")));
    assert_eq!(connection.read(&mut [0; 16]).unwrap(), 0, "then the connection is closed");
    assert!(end.join().unwrap().success());
}

#[test]
fn client_that_ends_its_side_still_gets_its_answers() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let mut connection = unix(&socket(&site));
    connection.write_all(Request::of_kdc("", "alice", &token.otp(0), 1).octets()).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(receive(&mut connection).as_deref()), Answer::Accept);
    assert_eq!(receive(&mut connection), None);
}
