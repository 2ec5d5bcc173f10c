//! `kill -9` under load: nothing that was accepted is ever accepted again, and nothing
//! that was acknowledged is lost.

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    clock::{LIMIT, poll, unix_time},
    countersign::{RADIUS_SECRET, Site},
    oath::OathToken,
    radclient::Answer,
    radius::{Request, answer, socket},
};

/// Users with HOTP tokens, each with as many OTPs as the load can use.
struct Load {
    users: Vec<User>,
    /// Acceptances that arrived, in all rounds.
    acknowledged: AtomicU64,
    number: AtomicU64,
}

struct User {
    name: String,
    otps: Vec<String>,
    progress: Mutex<Progress>,
}

/// Counters of one token.
#[derive(Debug, Default)]
struct Progress {
    /// The next OTP to be sent.
    next: usize,
    /// Those whose acceptance arrived.
    acknowledged: Vec<usize>,
}

impl Load {
    fn new(site: &Site) -> Self {
        let users = (0..USERS).map(|number| {
            let name = format!("user-{number}");
            let token = site.add_user(&name, "hotp");
            User { name, otps: token.otps(0, OTPS), progress: Mutex::default() }
        });
        let (acknowledged, number) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { users: users.collect(), acknowledged, number }
    }

    fn request(&self, user: &User, counter: usize) -> Request {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Request::new(RADIUS_SECRET, &user.name, &user.otps[counter], number)
    }

    fn ask(&self, socket: &UdpSocket, user: &User, counter: usize) -> Answer {
        let reply = self.request(user, counter).exchange(socket, LIMIT);
        answer(reply.as_deref())
    }

    /// Logs on as every user in turn, until told to stop or the daemon is gone: the request
    /// that it left without an answer stays unacknowledged.
    fn run(&self, site: &Site, part: usize, stop: &AtomicBool) {
        let socket = socket(site.radius_port);
        let mine = || self.users.iter().skip(part).step_by(THREADS);
        for user in mine().cycle() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let mut progress = user.progress.lock().unwrap();
            let counter = progress.next;
            progress.next += 1;
            let reply = self.request(user, counter).exchange(&socket, GONE);
            match answer(reply.as_deref()) {
                Answer::Accept => {
                    progress.acknowledged.push(counter);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Answer::Silence => return,
                refused => panic!("{} {counter}: {refused:?}", user.name),
            }
        }
    }
}

#[test]
fn kill_minus_nine_under_load_loses_nothing_and_repeats_nothing() {
    let site = Site::new();
    let load = Load::new(&site);
    for round in 1..=ROUNDS {
        let daemon = site.serve();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for part in 0..THREADS {
                let (load, site, stop) = (&load, &site, &stop);
                scope.spawn(move || load.run(site, part, stop));
            }
            let goal = round * ACCEPTS_PER_ROUND + round * 7;
            let reached =
                poll(LIMIT, || (load.acknowledged.load(Ordering::Relaxed) >= goal).then_some(()));
            // The load goes on while the daemon dies.
            daemon.kill();
            stop.store(true, Ordering::Relaxed);
            assert!(reached.is_some(), "no progress in round {round}");
        });
        let daemon = site.serve();
        check_after_crash(&site, &load, round);
        daemon.kill();
    }
    let accepted = load.acknowledged.load(Ordering::Relaxed);
    println!("{ROUNDS} rounds, {accepted} acceptances under load");
}

/// Replays every OTP that was ever acknowledged, then goes on with the next one.
fn check_after_crash(site: &Site, load: &Load, round: u64) {
    thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || {
                let socket = socket(site.radius_port);
                for user in load.users.iter().skip(part).step_by(THREADS) {
                    let mut progress = user.progress.lock().unwrap();
                    for counter in &progress.acknowledged {
                        let again = load.ask(&socket, user, *counter);
                        assert_eq!(again, Answer::Reject, "round {round}: {} {counter}", user.name);
                    }
                    // What was in flight may have been spent or not; what comes after is not.
                    let fresh = progress.next;
                    let next = load.ask(&socket, user, fresh);
                    assert_eq!(next, Answer::Accept, "round {round}: {} {fresh}", user.name);
                    progress.acknowledged.push(fresh);
                    progress.next += 1;
                }
            });
        }
    });
}

#[test]
fn kill_minus_nine_right_after_an_acceptance_keeps_the_time_step_spent() {
    let site = Site::new();
    let tokens: BTreeMap<String, OathToken> = (0..8)
        .map(|number| {
            let name = format!("totp-{number}");
            let token = OathToken::usual(format!("{name:*<20}").as_bytes());
            site.add_account(&name);
            // A long step, so that the OTP is still of its time when the daemon is back.
            site.add_token(&name, "totp", &token, &["--period", "600"]);
            (name, token)
        })
        .collect();
    for (name, token) in &tokens {
        let daemon = site.serve();
        let otp = token.totp(unix_time(), 600);
        let socket = socket(site.radius_port);
        let reply = Request::new(RADIUS_SECRET, name, &otp, 1).exchange(&socket, LIMIT);
        daemon.kill();
        assert_eq!(answer(reply.as_deref()), Answer::Accept, "{name}");
        let daemon = site.serve();
        let reply = Request::new(RADIUS_SECRET, name, &otp, 2).exchange(&socket, LIMIT);
        assert_eq!(answer(reply.as_deref()), Answer::Reject, "{name}: a second time");
        daemon.kill();
    }
}

/// After this time without an answer the daemon is gone.
const GONE: Duration = Duration::from_secs(3);
const USERS: usize = 48;
const THREADS: usize = 12;
const ROUNDS: u64 = 6;
/// Acceptances that arrive before the daemon is killed.
const ACCEPTS_PER_ROUND: u64 = 300;
/// OTPs of each user; enough for all rounds even if one thread does most of the work.
const OTPS: u64 = 4000;
