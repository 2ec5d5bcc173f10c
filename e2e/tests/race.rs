//! One OTP, many clients at once: one acceptance.

use std::{sync::Barrier, thread};

use crate::support::{
    clock::{LIMIT, unix_time},
    countersign::{RADIUS_SECRET, Site},
    otpce::{Wish, certificate_request, client, document},
    radclient::Answer,
    radius::{Request, answer, socket},
};

/// Presents an OTP through 64 sockets at once, with a request of its own each.
fn answers(site: &Site, user: &str, otp: &str, start: &Barrier) -> Vec<Answer> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let socket = socket(site.radius_port);
                    let request = Request::new(RADIUS_SECRET, user, otp, number);
                    start.wait();
                    request.send(&socket);
                    answer(request.receive(&socket, LIMIT).as_deref())
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

fn count(answers: &[Answer], wanted: Answer) -> usize {
    answers.iter().filter(|answer| **answer == wanted).count()
}

#[test]
fn of_64_clients_with_one_otp_one_is_accepted() {
    let site = Site::new();
    let hotp = site.add_user("event", "hotp");
    let totp = site.add_user("time", "totp");
    let _daemon = site.serve();
    let start = || Barrier::new(usize::try_from(CLIENTS).unwrap());
    let rounds = hotp.otps(0, 10).into_iter().map(|otp| ("event", otp));
    for (user, otp) in rounds.chain([("time", totp.totp(unix_time(), 30))]) {
        let answers = answers(&site, user, &otp, &start());
        assert_eq!(count(&answers, Answer::Accept), 1, "{user}: {answers:?}");
        assert_eq!(count(&answers, Answer::Reject), answers.len() - 1, "{user}: {answers:?}");
    }
}

#[test]
fn of_clients_at_two_listeners_one_is_accepted() {
    let site = Site::new();
    // More of one machine in a minute than the limit for guessing machines has it.
    site.configure_with("otpce.max-requests-per-minute = 1000");
    let token = site.add_user("alice", "hotp");
    let machine = site.issue("machine", "laptop.corp.example");
    let request = certificate_request(&site, "alice", &Wish::of(&["alice@corp.example"]));
    let _daemon = site.serve();
    for otp in token.otps(0, 6) {
        let body = site.write("body.xml", document("CORP\\alice", &otp, &request.der));
        let data = format!("@{}", body.display());
        let start = Barrier::new(usize::try_from(CLIENTS + 1).unwrap());
        let (at_radius, at_otpce) = thread::scope(|scope| {
            let at_radius = scope.spawn(|| answers(&site, "alice", &otp, &start));
            start.wait();
            // One curl, sixteen connections at once.
            let mut curl = client(&site).with(&machine).options([
                "--parallel",
                "--parallel-immediate",
                "--data-binary",
                &data,
            ]);
            for _ in 1..CONNECTIONS {
                curl = curl.options([&site.otpce_url()]);
            }
            let said = curl.run(&site.otpce_url(), b"").succeeded();
            (at_radius.join().unwrap(), said)
        });
        let accepted = count(&at_radius, Answer::Accept);
        let signed = at_otpce.matches("statusCode=\"Success\"").count();
        let refused = at_otpce.matches("statusCode=\"AuthenticationError\"").count();
        assert_eq!(accepted + signed, 1, "{at_radius:?}\n{at_otpce}");
        assert_eq!(signed + refused, CONNECTIONS, "{at_otpce}");
    }
}

const CLIENTS: u64 = 64;
const CONNECTIONS: usize = 16;
