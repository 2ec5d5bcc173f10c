//! KDC and daemon that end, are killed, or are there several times: no OTP is accepted
//! twice, and service resumes by itself.

use std::{
    collections::BTreeMap,
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{
    clock::{LIMIT, poll},
    countersign::Site,
    kdc_otp::{OtpRealm, site, socket, token_type},
    radclient::Answer,
    radius::{Request, answer},
    stream,
};

const OTP: &str = r#"[{"type":"otp"}]"#;
const REFUSED: &str = "Preauthentication failed";

fn types(site: &Site, settings: &[&str]) -> String {
    token_type("otp", socket(site).display(), settings)
}

#[test]
fn restarts_of_kdc_and_daemon_are_not_seen() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let daemon = site.serve();
    let mut realm = OtpRealm::new(&site, &types(&site, &[]));
    realm.add("alice", OTP);
    realm.kinit("alice", &token.otp(0)).succeeded(&realm);
    realm.restart();
    realm.kinit("alice", &token.otp(0)).refused(REFUSED);
    realm.kinit("alice", &token.otp(1)).succeeded(&realm);
    assert!(daemon.stop().success());
    realm.kinit("alice", &token.otp(2)).refused("Preauthentication failed");
    let daemon = site.serve();
    realm.kinit("alice", &token.otp(1)).refused(REFUSED);
    realm.kinit("alice", &token.otp(2)).succeeded(&realm);
    daemon.kill();
    let _daemon = site.serve();
    realm.kinit("alice", &token.otp(2)).refused(REFUSED);
    realm.kinit("alice", &token.otp(3)).succeeded(&realm);
    assert!(!realm.log().contains("Connection timed out"), "{}", realm.log());
}

/// Logons of a few principals, each OTP presented twice, while the daemon dies again and again.
#[test]
fn kill_minus_nine_while_logins_run_lets_no_otp_in_twice() {
    let site = site();
    let users: BTreeMap<String, Vec<String>> = (0..PRINCIPALS)
        .map(|number| format!("user-{number}"))
        .map(|name| (name.clone(), site.add_user(&name, "hotp").otps(0, OTPS)))
        .collect();
    let daemon = Mutex::new(Some(site.serve()));
    let realm = OtpRealm::new(&site, &types(&site, &["timeout = 1"]));
    users.keys().for_each(|name| realm.add(name, OTP));
    let (stop, successes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let accepted: Mutex<Vec<(String, String)>> = Mutex::default();
    thread::scope(|scope| {
        for (name, otps) in &users {
            let (site, realm, accepted) = (&site, &realm, &accepted);
            let (stop, successes) = (&stop, &successes);
            scope.spawn(move || {
                for otp in otps {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let times = (0..2).filter(|_| realm.lets_in(name, otp)).count();
                    assert!(times < 2, "{name} {otp} was accepted twice");
                    if times == 0 {
                        // The daemon is away; the token must not run ahead of it.
                        poll(LIMIT, || UnixStream::connect(socket(site)).ok());
                    } else {
                        successes.fetch_add(1, Ordering::Relaxed);
                        accepted.lock().unwrap().push((name.clone(), otp.clone()));
                    }
                }
                panic!("{name} ran out of OTPs");
            });
        }
        for round in 1..=ROUNDS {
            let goal = successes.load(Ordering::Relaxed) + 2 * PRINCIPALS + round;
            let reached = poll(LIMIT, || (successes.load(Ordering::Relaxed) >= goal).then_some(()));
            if reached.is_none() {
                stop.store(true, Ordering::Relaxed);
                panic!("round {round}: service does not resume\n{}", realm.log());
            }
            daemon.lock().unwrap().take().unwrap().kill();
            *daemon.lock().unwrap() = Some(site.serve());
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (name, otp) in accepted.into_inner().unwrap() {
        let again = Request::of_kdc("", &name, &otp, 1);
        assert_eq!(ask(&site, &again), Answer::Reject, "{name} {otp}: once more");
    }
}

#[test]
fn workers_of_a_kdc_have_connections_of_their_own() {
    let site = site();
    let users: Vec<_> = (0..6).map(|number| format!("user-{number}")).collect();
    let tokens: Vec<_> = users.iter().map(|name| site.add_user(name, "hotp")).collect();
    let _daemon = site.serve();
    let types = types(&site, &[]);
    let realm = OtpRealm::with_options(&site, &types, &["-w", "2"]);
    users.iter().for_each(|name| realm.add(name, OTP));
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
}

/// Two KDCs with an answer slower than a second: the client gives the OTP to both, and one of
/// the two answers would be no.
#[test]
fn retry_grace_says_yes_to_both_kdcs_and_spends_one_otp() {
    let site = site();
    site.configure_with("radius.client.kdc.retry-grace = '10s'");
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let relay = site.file("relay.sock");
    let listener = UnixListener::bind(&relay).unwrap();
    let mut realm = OtpRealm::new(&site, &token_type("otp", relay.display(), &[]));
    realm.add_second_kdc();
    realm.add("alice", OTP);
    let replies = thread::scope(|scope| {
        let logon = scope.spawn(|| realm.kinit("alice", &token.otp(0)));
        // Both requests are held back until both are there.
        let mut kdcs = [(); 2].map(|()| listener.accept().unwrap().0);
        let requests = kdcs.each_mut().map(|kdc| stream::receive(kdc).unwrap());
        assert_ne!(requests[0], requests[1], "the copies have no common mark");
        let replies = requests.map(|request| exchange(&site, &request));
        for (kdc, reply) in kdcs.iter_mut().zip(&replies).rev() {
            std::io::Write::write_all(kdc, reply).unwrap();
        }
        logon.join().unwrap().succeeded(&realm);
        replies
    });
    assert_eq!(replies.map(|reply| reply[0]), [2, 2], "Access-Accept for both");
    site.has_accepted(1);
    // Another OTP is no retry, and nor is the same one after another came.
    assert_eq!(ask(&site, &Request::of_kdc("", "alice", &token.otp(1), 1)), Answer::Accept);
    assert_eq!(ask(&site, &Request::of_kdc("", "alice", &token.otp(0), 2)), Answer::Reject);
}

#[test]
fn without_retry_grace_one_of_two_equal_otps_is_refused() {
    let site = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let start = Barrier::new(8);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (site, token, start) = (&site, &token, &start);
                scope.spawn(move || {
                    let request = Request::of_kdc("", "alice", &token.otp(0), number);
                    start.wait();
                    ask(site, &request)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Accept).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Reject).count(), 7);
}

/// The answer to a request on a connection of its own.
fn ask(site: &Site, request: &Request) -> Answer {
    let reply = exchange(site, request.octets());
    assert!(request.is_answered_by(&reply), "{reply:02x?}");
    answer(Some(&reply))
}

fn exchange(site: &Site, request: &[u8]) -> Vec<u8> {
    let mut stream: UnixStream = stream::unix(&socket(site));
    std::io::Write::write_all(&mut stream, request).unwrap();
    stream::receive(&mut stream).expect("an answer")
}

const PRINCIPALS: usize = 3;
const ROUNDS: usize = 4;
const OTPS: u64 = 1500;
