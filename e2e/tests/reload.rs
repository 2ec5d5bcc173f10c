//! Changed clients and secrets count without a restart, and no packet is lost meanwhile.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use crate::support::{
    clock::{LIMIT, poll},
    countersign::{RADIUS_SECRET, Site},
    ports,
    process::SILENCE,
    radclient::Answer,
    radius::{Request, answer, socket, socket_from},
    stream::{self, receive},
};

/// How many requests the load has had answered.
struct Load {
    answered: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Asks over UDP again and again; an answer must come to each request, sent once.
    fn over_udp(&self, site: &Site, part: u64) {
        let socket = socket(site.radius_port);
        for number in (part..).step_by(256) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let request = Request::new(RADIUS_SECRET, "nobody", "000000", number);
            let reply = request.exchange(&socket, LIMIT);
            assert_eq!(answer(reply.as_deref()), Answer::Reject, "request {number} was lost");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The same on one connection.
    fn over_tcp(&self, mut connection: TcpStream) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let request = Request::new(RADIUS_SECRET, "nobody", "000000", number);
            connection.write_all(request.octets()).unwrap();
            let reply = receive(&mut connection);
            assert_eq!(answer(reply.as_deref()), Answer::Reject, "request {number} was lost");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until more requests were answered.
    #[track_caller]
    fn goes_on(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + 50;
        let reached = poll(LIMIT, || (self.answered.load(Ordering::Relaxed) >= goal).then_some(()));
        assert!(reached.is_some(), "the load stands still");
    }
}

/// The answer to the client at 127.0.0.2, whose secret changes.
fn answer_to(site: &Site, secret: &str, number: u64, user: &str, passcode: &str) -> Answer {
    let socket = socket_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), site.radius_port);
    let request = Request::new(secret, user, passcode, number);
    answer(request.exchange(&socket, SILENCE).as_deref())
}

#[test]
fn changed_secrets_count_after_a_reload_under_load_and_nothing_is_lost() {
    let site = Site::new();
    let tcp_port = ports::free();
    let token = site.add_user("alice", "hotp");
    let secret_file = site.write("changing.secret", "secret-number-0");
    site.configure_with(&format!(
        "radius.listen-tcp = ['127.0.0.1:{tcp_port}']\n\
         radius.client.changing = {{ address = '127.0.0.2', secret-file = {secret_file:?} }}"
    ));
    let daemon = site.serve();
    let load = Load { answered: AtomicU64::new(0), stop: AtomicBool::new(false) };
    let connection = stream::tcp(tcp_port);
    thread::scope(|scope| {
        for part in 0..3 {
            let (load, site) = (&load, &site);
            scope.spawn(move || load.over_udp(site, part));
        }
        scope.spawn(|| load.over_tcp(connection));
        let stop = StopAtEnd(&load.stop);
        for round in 1..=4_u64 {
            let [old, new] = [round - 1, round].map(|number| format!("secret-number-{number}"));
            let reply = |secret: &str, number: u64| {
                answer_to(&site, secret, 1000 * round + number, "nobody", "000000")
            };
            assert_eq!(reply(&old, 0), Answer::Reject, "round {round}: not yet");
            site.write("changing.secret", &new);
            load.goes_on();
            if round % 2 == 0 {
                site.run(["reload"]).succeeded();
            } else {
                daemon.signal("HUP");
            }
            let mut number = 0;
            let counts = poll(LIMIT, || {
                number += 1;
                (reply(&new, number) == Answer::Reject).then_some(())
            });
            assert!(counts.is_some(), "round {round}: the new secret does not count");
            assert_eq!(reply(&old, 500), Answer::Silence, "round {round}: the old secret");
            load.goes_on();
        }
        drop(stop);
    });
    let last = answer_to(&site, "secret-number-4", 1, "alice", &token.otp(0));
    assert_eq!(last, Answer::Accept);
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Reject, "the store is the same");
}

#[test]
fn clients_come_and_go_with_a_reload() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let log_on = |number: u64, counter: u64| {
        answer_to(&site, "secret-of-new-1a2b", number, "alice", &token.otp(counter))
    };
    assert_eq!(log_on(1, 0), Answer::Silence);
    site.configure_with(
        "radius.client.new = { address = '127.0.0.2', secret = 'secret-of-new-1a2b' }",
    );
    assert_eq!(log_on(2, 0), Answer::Silence, "not before the reload");
    site.run(["reload"]).succeeded();
    assert_eq!(log_on(3, 0), Answer::Accept);
    site.configure(|config| {
        let clients = config["radius"]["client"].as_table_mut().unwrap();
        clients.remove("new");
    });
    site.run(["reload"]).succeeded();
    assert_eq!(log_on(4, 1), Answer::Silence);
    assert_eq!(site.logon("alice", &token.otp(1)), Answer::Accept, "the other one is still there");
}

#[test]
fn broken_config_is_named_and_the_old_one_goes_on() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let daemon = site.serve();
    let good = std::fs::read_to_string(site.config_file()).unwrap();
    for (number, broken, words) in [
        (0, "[radius.client.broken]\naddress = 'not-an-address'\nsecret = 'x'\n", "not-an-address"),
        (1, "[radius.client.broken]\naddress = '127.0.0.3'\ncolour = 'blue'\n", "colour"),
        (
            2,
            "[radius.client.broken]\naddress = '127.0.0.3'\nsecret-file = 'no-such-file'\n",
            "no-such-file",
        ),
    ] {
        std::fs::write(site.config_file(), format!("{good}\n{broken}")).unwrap();
        let said = site.run(["reload"]).failed();
        assert!(said.contains(words), "{words}:\n{said}");
        let already = daemon.log().len();
        daemon.signal("HUP");
        let logged = poll(LIMIT, || daemon.log()[already..].contains(words).then_some(()));
        assert!(logged.is_some(), "{words} is not in the log:\n{}", daemon.log());
        assert_eq!(site.logon("alice", &token.otp(number)), Answer::Accept, "{words}");
    }
    std::fs::write(site.config_file(), good).unwrap();
    site.run(["reload"]).succeeded();
    assert_eq!(site.logon("alice", &token.otp(3)), Answer::Accept);
}

/// Lets the load end also when a check fails, so that the failure is seen.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
