//! One OTP in many binds at once, through one slapd and through two that replicate: one is
//! let in.

use std::{sync::Barrier, thread};

use crate::support::{directory::User, ldap::Binder, ldap_stage::LdapStage};

/// Binds with the same credentials on so many connections at once, round after round, and
/// gives the result codes of each round.
fn rounds(port: u16, user: &User, clients: usize, credentials: &[String]) -> Vec<Vec<i32>> {
    let (start, dn) = (Barrier::new(clients), user.dn());
    let of_clients: Vec<Vec<i32>> = thread::scope(|scope| {
        let client = || {
            let mut binder = Binder::tcp(port).unwrap();
            let bind = |typed: &String| {
                start.wait();
                binder.bind(dn.as_bytes(), typed.as_bytes()).unwrap().0
            };
            credentials.iter().map(bind).collect()
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let round = |round: usize| of_clients.iter().map(|codes| codes[round]).collect();
    (0..credentials.len()).map(round).collect()
}

#[track_caller]
fn one_of_each(clients: usize, rounds_wanted: u64) {
    let alice = User::hotp("alice");
    let stage = LdapStage::new(&[&alice]);
    let otps = alice.token.otps(0, rounds_wanted);
    let credentials: Vec<_> = otps.iter().map(|otp| alice.credentials_with(otp)).collect();
    for (number, codes) in
        rounds(stage.slapd.port, &alice, clients, &credentials).iter().enumerate()
    {
        let accepted = codes.iter().filter(|code| **code == 0).count();
        assert_eq!(accepted, 1, "round {number}: {codes:?}");
        assert!(
            codes.iter().all(|code| [0, INVALID, BUSY, UNAVAILABLE].contains(code)),
            "{codes:?}"
        );
    }
    assert_eq!(stage.counter(&alice), i64::try_from(rounds_wanted).ok());
}

#[test]
fn of_6_binds_with_one_otp_one_is_let_in() {
    one_of_each(6, 200);
}

/// slapd has 16 threads. It must neither stand still nor let two in.
#[test]
fn of_64_binds_with_one_otp_one_is_let_in() {
    one_of_each(64, 200);
}

const INVALID: i32 = 49;
const BUSY: i32 = 51;
/// Too many have the hash of one account checked.
const UNAVAILABLE: i32 = 52;
