//! RADIUS PAP and TOTP: accepts a second, each of them durable, beside others on the same machine.
//!
//! `cargo bench -p countersign --bench radius [-- TOKENS]` (default 10,000). Needs
//! `freeradius`. Everything runs on loopback, servers and load on the same
//! processors, in turns, several rounds; medians are printed, and ratios. It
//! tells how servers compare on one machine in one run, nothing else.
//!
//! The peers: an echo that does nothing; FreeRADIUS with its TOTP module, which
//! keeps nothing, so one OTP is accepted again and again; Countersign. A token
//! gives Countersign one accept per time step, so its clock (and that of the
//! load) runs fast: periods of 1 s pass in 50 ms.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a benchmark fails by panicking; its numbers are small"
)]

mod load;
mod peers;

use std::time::Duration;

use load::Load;
use peers::Peer;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(peers::SERVE) {
        return peers::serve(arguments.collect());
    }
    let tokens = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let tokens: u64 = tokens.unwrap_or(10_000);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let peers = [
        Peer::echo(),
        Peer::freeradius(directory.path(), tokens),
        Peer::countersign(directory.path(), tokens),
    ];
    for peer in &peers {
        println!("{:12} ready after {:.1?}, {} MiB", peer.name, peer.start, peer.resident());
    }
    let loads: Vec<_> = peers.iter().map(|peer| Load::new(peer, tokens)).collect();

    println!("\n{WINDOW} requests outstanding, {ROUNDS} rounds of {ROUND:?} after one to warm up:");
    let mut rates = vec![Vec::new(); peers.len()];
    let mut costs = vec![Vec::new(); peers.len()];
    for round in 0..=ROUNDS {
        for (index, (peer, load)) in peers.iter().zip(&loads).enumerate() {
            let before = peer.cpu_seconds();
            let outcome = load.flood(WINDOW, ROUND);
            let cpu = peer.cpu_seconds() - before;
            if round == 0 {
                continue;
            }
            rates[index].push(outcome.accepted / outcome.seconds);
            costs[index].push(cpu * 100_000.0 / outcome.accepted.max(1.0));
            if outcome.refused + outcome.lost > 0 {
                println!("  {}: {} refused, {} lost", peer.name, outcome.refused, outcome.lost);
            }
        }
    }
    let medians: Vec<_> =
        rates.into_iter().zip(costs).map(|(r, c)| (median(r), median(c))).collect();
    let reference = medians[1];
    for (peer, (rate, cost)) in peers.iter().zip(&medians) {
        println!(
            "  {:12} {rate:8.0}/s = {:5.2} x FreeRADIUS; {cost:5.2} CPU-s per 100,000 = {:5.2} x",
            peer.name,
            rate / reference.0,
            cost / reference.1
        );
    }

    for rate in [500, 2_000] {
        println!("\n{rate} requests/s:");
        for (peer, load) in peers.iter().zip(&loads) {
            let mut times = load.paced(rate, ROUND);
            times.sort();
            let at = |percent: usize| times[times.len() * percent / 100];
            println!("  {:12} p50 {:8.1?}  p99 {:8.1?}", peer.name, at(50), at(99));
        }
    }
    for peer in &peers {
        println!("{:12} {} MiB at the end", peer.name, peer.resident());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const WINDOW: usize = 512;
