//! `kill -9` under load: slapd takes a connection that is cut off for success, so nothing may
//! ever be cut off. Whoever comes with a wrong password is never let in.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::support::{
    clock::{LIMIT, poll},
    directory::User,
    ldap::Binder,
    ldap_stage::LdapStage,
    process::run,
};

/// Clients that bind with a wrong password again and again, and what they were told.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicU64,
    codes: Mutex<BTreeMap<i32, u64>>,
}

impl Load {
    fn client(&self, port: u16, dn: &str) {
        while !self.stop.load(Ordering::Relaxed) {
            // A connection for each bind, as most clients have it.
            let bound = Binder::tcp(port)
                .and_then(|mut binder| binder.bind(dn.as_bytes(), b"wrong-000000"));
            let code = bound.expect("slapd answers").0;
            *self.codes.lock().unwrap().entry(code).or_default() += 1;
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until so many more were answered.
    #[track_caller]
    fn goes_on(&self, more: u64) {
        let end = self.answered.load(Ordering::Relaxed) + more;
        let there = poll(LIMIT, || (self.answered.load(Ordering::Relaxed) >= end).then_some(()));
        assert!(there.is_some(), "slapd stands still: {:?}", self.codes.lock().unwrap());
    }

    #[track_caller]
    fn let_nobody_in(&self) {
        let codes = self.codes.lock().unwrap();
        assert_eq!(codes.get(&0), None, "{codes:?}");
        assert!(codes.get(&INVALID).is_some_and(|count| *count > 50), "{codes:?}");
    }
}

/// Runs a load while something is done.
fn under_load(stage: &LdapStage, user: &User, act: impl FnOnce(&Load)) -> Load {
    let (load, port, dn) = (Load::default(), stage.slapd.port, user.dn());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.client(port, &dn));
        }
        // Whatever fails, the clients end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&load)));
        load.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    load
}

/// The processes that a process started.
fn children(of: u32) -> Vec<u32> {
    let file = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(|id| id.parse().expect("a number")).collect()
}

fn kill(process: u32) {
    run(Command::new("/bin/kill").args(["-KILL", &process.to_string()]), b"");
}

#[test]
fn killing_the_worker_again_and_again_lets_no_wrong_password_in() {
    let alice = User::hotp("alice");
    let stage = LdapStage::new(&[&alice]);
    let holder = stage.daemon().id();
    let load = under_load(&stage, &alice, |load| {
        let mut before = Vec::new();
        for _ in 0..KILLS {
            let workers = poll(LIMIT, || {
                let workers = children(holder);
                (!workers.is_empty() && workers != before).then_some(workers)
            });
            let workers = workers.expect("the holder starts another worker");
            load.goes_on(20);
            workers.iter().copied().for_each(kill);
            before = workers;
        }
        // The last worker answers again.
        load.goes_on(200);
    });
    load.let_nobody_in();
    let otp = alice.credentials(0);
    let bound = poll(LIMIT, || (stage.bind(&alice, &otp) == 0).then_some(()));
    assert!(bound.is_some(), "nobody is let in any more");
}

#[test]
fn restarting_the_daemon_under_load_lets_no_wrong_password_in() {
    let alice = User::hotp("alice");
    let mut stage = LdapStage::new(&[&alice]);
    for _ in 0..5 {
        let holder = stage.daemon().id();
        let load = under_load(&stage, &alice, |load| {
            load.goes_on(150);
            run(Command::new("/bin/kill").args(["-TERM", &holder.to_string()]), b"");
            load.goes_on(100);
        });
        load.let_nobody_in();
        stage.stop();
        stage.serve();
    }
}

const CLIENTS: usize = 8;
const KILLS: usize = 10;
const INVALID: i32 = 49;
