//! How many counter moves a second the embedded store makes durable, beside the disk alone.
//!
//! `cargo bench -p countersign --bench store [-- TOKENS]`. Prints ratios to a
//! flush of the same file system in the same run; read those, not the absolutes.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::store::{Committed, SealedSecret, Store, embedded::Embedded};
use countersign_core::domain::{
    account::Account,
    counter::{Change, Move},
    id::{AccountId, TokenId},
    name::{LoginName, Site},
    token::{Token, TokenKind},
};

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let tokens = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let tokens: u64 = tokens.unwrap_or(1_000);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Embedded::create(directory.path(), "bench").expect("a store");
    let begun = Instant::now();
    let store = runtime.block_on(fill(store, tokens));
    println!("{tokens} accounts and tokens written in {:.1?}", begun.elapsed());
    drop(store);
    let begun = Instant::now();
    let store = Arc::new(Embedded::open(directory.path(), "bench").expect("the store"));
    println!("opened in {:.1?}, {} MiB resident", begun.elapsed(), resident_mebibytes());

    for waiting in [1, 32, 256, 512] {
        let (mut rates, mut flushes) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            flushes.push(flushes_per_second(directory.path()));
            rates.push(runtime.block_on(moves_per_second(&store, tokens, waiting)));
        }
        let (rate, flush) = (median(rates), median(flushes));
        println!(
            "{waiting:4} waiting: {rate:9.0} finds and moves/s = {:6.2} x the {flush:.0} flushes/s of the disk",
            rate / flush
        );
    }
    println!("{} MiB resident at the end", resident_mebibytes());
    drop(store);
    let begun = Instant::now();
    drop(Embedded::open(directory.path(), "bench").expect("the store"));
    println!("opened and closed again in {:.1?}", begun.elapsed());
}

async fn fill(store: Embedded, tokens: u64) -> Embedded {
    let store = Arc::new(store);
    let mut next = 0;
    while next < tokens {
        let end = tokens.min(next + 4_096);
        let numbers = || next..end;
        let accounts = numbers().map(|number| store.insert_account(account(number), site()));
        all(accounts.collect()).await;
        let secret = || Some(SealedSecret("x".repeat(64)));
        all(numbers().map(|number| store.insert_token(token(number), secret(), 0)).collect()).await;
        next = end;
    }
    Arc::into_inner(store).expect("nobody else has it")
}

async fn all<T>(work: Vec<countersign::store::Answer<'_, T>>) {
    // Each future has queued its change when it is first polled.
    let mut work = work;
    std::future::poll_fn(|context| {
        work.retain_mut(|each| match each.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                result.expect("written");
                false
            }
            std::task::Poll::Pending => true,
        });
        if work.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Each of `waiting` tasks finds accounts and moves the counters of their tokens, one by one.
async fn moves_per_second(store: &Arc<Embedded>, tokens: u64, waiting: u64) -> f64 {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..waiting)
        .map(|task| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let (mut done, mut number) = (0_u64, task);
                while begun.elapsed() < ROUND {
                    move_one(&*store, number % tokens).await;
                    // A stride that visits every token, in no order that a tree likes.
                    number = number.wrapping_add(waiting.wrapping_mul(7_919));
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("the task ends");
    }
    f64::from(u32::try_from(done).expect("fewer than 2^32")) / begun.elapsed().as_secs_f64()
}

async fn move_one(store: &impl Store, number: u64) {
    let name = LoginName::parse(&account(number).name).expect("a name");
    loop {
        let subject = store.find(name.key()).await.expect("found").expect("there");
        let held = &subject.tokens[0];
        let mut to = held.counter;
        to.next += 1;
        let step = Move { id: held.token.id, from: held.counter, to };
        let change = Change { failures: None, tokens: vec![step] };
        if store.commit(change).await.expect("committed") == Committed::Done {
            return;
        }
    }
}

fn flushes_per_second(directory: &Path) -> f64 {
    let path = directory.join("flush");
    let mut file = File::create(&path).expect("a file");
    file.write_all(&[0; 1 << 20]).expect("written");
    file.sync_all().expect("flushed");
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < ROUND / 4 {
        let at = u64::from(count % 2_048) * 512;
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; 512], at).expect("written");
        file.sync_data().expect("flushed");
        count += 1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    fs::remove_file(path).expect("removed");
    rate
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn resident_mebibytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1_024
}

fn account(number: u64) -> Account {
    Account {
        domain: Some("EXAMPLE".into()),
        realm: Some("example.com".into()),
        ..Account::new(AccountId::from_bytes(id(number)), format!("user{number:07}"))
    }
}

fn token(number: u64) -> Token {
    let kind = TokenKind::Remote { upstream: "elsewhere".into(), user_name: None };
    Token {
        accounts: vec![AccountId::from_bytes(id(number))],
        ..Token::new(TokenId::from_bytes(id(number)), format!("token {number}"), kind)
    }
}

/// As good as random, like the ids that are drawn.
fn id(number: u64) -> [u8; 16] {
    let mixed = u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    (mixed ^ (mixed >> 67)).wrapping_mul(0xD134_2543_DE82_EF95).to_be_bytes()
}

fn site() -> Site {
    Site { domain: Some("EXAMPLE".into()), realm: Some("example.com".into()) }
}

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
