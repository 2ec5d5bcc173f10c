//! What the embedded store keeps when the power fails, the disk is full, the
//! process is killed, or somebody else wrote into its files.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

#[path = "support/power.rs"]
mod power;

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use countersign::{
    app::health::{Health, State},
    store::{
        CertificateRecord, Committed, Store, StoreError,
        embedded::{Embedded, Files},
    },
};
use countersign_core::domain::{
    account::Account,
    counter::{Change, FailureCounter, Move, TokenCounter},
    id::{AccountId, TokenId},
    name::{LoginName, Site},
    time::UnixTime,
    token::{Token, TokenKind},
};
use power::{Power, PowerFile};
use proptest::prelude::*;

#[test]
fn keeps_every_acknowledged_move_at_each_flush_where_the_power_can_fail() {
    for flushes in 1..=120 {
        survive_power_failures(&[flushes], flushes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Some failures come while the store recovers from the one before.
    #[test]
    fn keeps_every_acknowledged_move_through_many_power_failures(
        failures in prop::collection::vec(prop_oneof![1_u64..8, 8_u64..90], 1..6),
        seed: u64,
    ) {
        survive_power_failures(&failures, seed);
    }
}

/// Works until the power fails after each number of flushes, and looks what is left each time.
fn survive_power_failures(failures: &[u64], seed: u64) {
    let mut files = prepared_files();
    let told = Arc::new(Told::default());
    for (round, flushes) in failures.iter().enumerate() {
        let power = Power::for_flushes(*flushes);
        files = PowerFile::after_failure(&files, &power, seed ^ round as u64);
        // The power may fail while the store opens; that is a failure like any other.
        if let Ok(store) = Embedded::open_on(same(&files), KEY) {
            block_on(work_until_it_fails(Arc::new(store), &power, Arc::clone(&told)));
        }
        assert!(power.is_off());
    }
    let files = PowerFile::after_failure(&files, &Power::for_flushes(u64::MAX), seed);
    let store = Embedded::open_on(files, KEY).unwrap();
    block_on(told.all_of_it_is_in(&store));
}

/// What the store acknowledged.
#[derive(Default)]
struct Told {
    counters: Mutex<[u64; USERS as usize]>,
    certificates: Mutex<HashSet<String>>,
    number: Mutex<u64>,
}

impl Told {
    async fn all_of_it_is_in(&self, store: &Embedded) {
        for user in 0..USERS {
            let told = self.counters.lock().unwrap()[usize::from(user)];
            let (token, failures) = counters(store, user).await;
            assert!(token >= told, "user {user}: {told} was acknowledged, {token} is there");
            assert_eq!(token, failures, "one of two moves of one change is lost");
        }
        let certificates = store.certificates(None, usize::MAX).await.unwrap();
        let serials: HashSet<_> = certificates.into_iter().map(|it| it.serial).collect();
        assert!(self.certificates.lock().unwrap().is_subset(&serials));
        let told = *self.number.lock().unwrap();
        assert!(store.next_number("crl").await.unwrap() > told);
    }
}

/// Users move their counters and certificates are recorded, all at once, until all fail.
async fn work_until_it_fails(store: Arc<Embedded>, power: &Power, told: Arc<Told>) {
    let mut tasks = Vec::new();
    for user in 0..USERS {
        tasks.push(tokio::spawn(move_until_it_fails(Arc::clone(&store), user, Arc::clone(&told))));
    }
    tasks.push(tokio::spawn(record_until_it_fails(Arc::clone(&store), told)));
    for task in tasks {
        task.await.unwrap();
    }
    assert!(power.is_off());
    let error = store.commit(change(0, 0, 1)).await;
    assert!(matches!(error, Err(StoreError::Unusable { .. })), "{error:?}");
    assert!(matches!(store.health(), Err(StoreError::Unusable { .. })));
    let health = Health { ra: None, publisher: None, store };
    let [check] = &health.checks(UnixTime(1))[..] else { panic!("only the store is there") };
    assert_eq!((check.part, check.state), ("store", State::Failing));
}

async fn move_until_it_fails(store: Arc<Embedded>, user: u8, told: Arc<Told>) {
    let (mut at, _) = counters(&store, user).await;
    assert!(at >= told.counters.lock().unwrap()[usize::from(user)]);
    while let Ok(committed) = store.commit(change(user, at, at + 1)).await {
        assert_eq!(committed, Committed::Done);
        at += 1;
        told.counters.lock().unwrap()[usize::from(user)] = at;
    }
}

async fn record_until_it_fails(store: Arc<Embedded>, told: Arc<Told>) {
    while let Ok(number) = store.next_number("crl").await {
        let before = std::mem::replace(&mut *told.number.lock().unwrap(), number);
        assert!(number > before);
        let serial = format!("{number:016x}");
        if store.insert_certificate(certificate(&serial)).await.is_ok() {
            told.certificates.lock().unwrap().insert(serial);
        }
    }
}

#[test]
fn says_that_the_disk_is_full_and_loses_nothing() {
    let power = Power::for_flushes(u64::MAX);
    let files = prepared_files();
    let files = PowerFile::after_failure(&files, &power, 0);
    let store = Arc::new(Embedded::open_on(same(&files), KEY).unwrap());
    let told = Arc::new(Told::default());
    block_on({
        let told = Arc::clone(&told);
        async move {
            power.fill_up();
            let mut error = None;
            for number in 0..20_000 {
                let record = certificate(&format!("{number:0200}"));
                match store.insert_certificate(record).await {
                    Ok(()) => {}
                    Err(failed) => {
                        error = Some(failed.to_string());
                        break;
                    }
                }
            }
            assert!(error.unwrap().contains("no space is left"));
            move_until_it_fails(store, 1, told).await;
        }
    });
    let files = PowerFile::after_failure(&files, &Power::for_flushes(u64::MAX), 1);
    block_on(async move {
        let store = Embedded::open_on(files, KEY).unwrap();
        told.all_of_it_is_in(&store).await;
        store.insert_certificate(certificate("01")).await.unwrap();
    });
}

#[test]
fn everything_is_there_after_closing_and_opening() {
    let directory = tempfile::tempdir().unwrap();
    for at in 0..5 {
        let store = if at == 0 {
            let store = Embedded::create(directory.path(), KEY).unwrap();
            block_on(add_users(&store));
            store
        } else {
            Embedded::open(directory.path(), KEY).unwrap()
        };
        block_on(async {
            assert_eq!(counters(&store, 3).await, (at, at));
            assert_eq!(store.commit(change(3, at, at + 1)).await.unwrap(), Committed::Done);
            assert_eq!(store.next_number("crl").await.unwrap(), at + 1);
        });
    }
}

#[test]
fn says_who_else_has_it_open_what_key_it_needs_and_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let missing = error_of(Embedded::open(directory.path(), KEY));
    assert!(missing.contains("countersign init") && missing.contains("records.redb"), "{missing}");
    let store = Embedded::create(directory.path(), KEY).unwrap();
    let busy = error_of(Embedded::open(directory.path(), KEY));
    assert!(busy.contains("another process has it open"), "{busy}");
    drop(store);
    let foreign = error_of(Embedded::open(directory.path(), "another"));
    assert!(foreign.contains(KEY) && foreign.contains("another"), "{foreign}");
    let again = error_of(Embedded::create(directory.path(), KEY));
    assert!(again.contains("choose another directory"), "{again}");
    fs::write(directory.path().join("records.redb"), b"").unwrap();
    let unfinished = error_of(Embedded::open(directory.path(), KEY));
    assert!(unfinished.contains("never finished"), "{unfinished}");
}

#[test]
fn ignores_a_torn_last_frame_and_reports_damage_before_a_whole_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::create(directory.path(), KEY).unwrap();
    block_on(async {
        add_users(&store).await;
        for at in 0..3 {
            assert_eq!(store.commit(change(0, at, at + 1)).await.unwrap(), Committed::Done);
        }
    });
    drop(store);
    let journal = directory.path().join("counters.1");
    let whole = fs::read(&journal).unwrap();

    spoil(&journal, &whole, 512);
    let damage = Embedded::open(directory.path(), KEY).map(drop).unwrap_err();
    assert!(matches!(damage, StoreError::Damaged { .. }), "{damage}");
    assert!(damage.to_string().contains("counters.1"), "{damage}");

    spoil(&journal, &whole, 1024);
    let store = Embedded::open(directory.path(), KEY).unwrap();
    assert_eq!(block_on(counters(&store, 0)), (2, 2));
}

#[test]
fn refuses_a_journal_that_is_newer_than_the_records() {
    let (older, newer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(Embedded::create(older.path(), KEY).unwrap());
    for name in FILES {
        fs::copy(older.path().join(name), newer.path().join(name)).unwrap();
    }
    for _ in 0..3 {
        let store = Embedded::open(newer.path(), KEY).unwrap();
        block_on(async {
            if counters_of_nobody(&store).await {
                add_users(&store).await;
            }
            let (at, _) = counters(&store, 0).await;
            assert_eq!(store.commit(change(0, at, at + 1)).await.unwrap(), Committed::Done);
        });
    }
    for name in &FILES[1..] {
        fs::copy(newer.path().join(name), older.path().join(name)).unwrap();
    }
    let error = Embedded::open(older.path(), KEY).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

/// The child of [`keeps_what_it_said_when_it_is_killed`]: says each move that is acknowledged.
#[test]
fn accepts_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Embedded::create(Path::new(&directory), KEY).unwrap();
    block_on(async {
        add_users(&store).await;
        for at in 0.. {
            assert_eq!(store.commit(change(0, at, at + 1)).await.unwrap(), Committed::Done);
            println!("\nacknowledged {}", at + 1);
        }
    });
}

#[test]
fn keeps_what_it_said_when_it_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "accepts_until_it_is_killed", "--nocapture"])
        .env(CHILD, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    let mut last = told.find(|number| *number >= 500).unwrap();
    child.kill().unwrap();
    last = told.last().unwrap_or(last);
    child.wait().unwrap();
    let store = Embedded::open(directory.path(), KEY).unwrap();
    let (token, failures) = block_on(counters(&store, 0));
    assert!(token == failures && (last..=last + 1).contains(&token), "{last} {token}");
}

/// A store with its users on a disk that has small segments, so that they fill often.
fn prepared_files() -> Files<PowerFile> {
    let power = Power::for_flushes(u64::MAX);
    let files = PowerFile::fresh(&power, 8 * 512);
    let store = Embedded::create_on(same(&files), KEY).unwrap();
    block_on(add_users(&store));
    drop(store);
    files
}

fn same(files: &Files<PowerFile>) -> Files<PowerFile> {
    Files { records: files.records.clone(), segments: files.segments.clone() }
}

/// One account with one token for each user.
async fn add_users(store: &Embedded) {
    for user in 0..USERS {
        store.insert_account(account(user), Site::default()).await.unwrap();
        store.insert_token(token(user), None, 0).await.unwrap();
    }
}

async fn counters_of_nobody(store: &Embedded) -> bool {
    store.accounts(None, 1).await.unwrap().is_empty()
}

/// The counter of the user's token, and the user's failures.
async fn counters(store: &Embedded, user: u8) -> (u64, u64) {
    let name = LoginName::parse(&account(user).name).unwrap();
    let subject = store.find(name.key()).await.unwrap().unwrap();
    (subject.tokens[0].counter.next, u64::from(subject.failures.failures))
}

/// Moves the counter of the user's token and the user's failures together.
fn change(user: u8, from: u64, to: u64) -> Change {
    let failed = |count: u64| FailureCounter {
        failures: u32::try_from(count).unwrap(),
        last: UnixTime(count),
        ..FailureCounter::default()
    };
    let spent = |next| TokenCounter { next, ..TokenCounter::default() };
    Change {
        failures: Some(Move { id: account(user).id, from: failed(from), to: failed(to) }),
        tokens: vec![Move { id: token(user).id, from: spent(from), to: spent(to) }],
    }
}

fn account(user: u8) -> Account {
    Account::new(AccountId::from_bytes([user; 16]), format!("user{user}"))
}

fn token(user: u8) -> Token {
    let kind = TokenKind::Remote { upstream: "elsewhere".into(), user_name: None };
    Token {
        accounts: vec![AccountId::from_bytes([user; 16])],
        ..Token::new(TokenId::from_bytes([user; 16]), String::new(), kind)
    }
}

fn certificate(serial: &str) -> CertificateRecord {
    CertificateRecord {
        serial: serial.into(),
        profile: "logon".into(),
        subject: "CN=alice".into(),
        account: None,
        request_sha256: "00".into(),
        signer_serial: None,
        not_before: UnixTime(1),
        not_after: UnixTime(2),
        revoked: None,
    }
}

fn spoil(path: &Path, whole: &[u8], at: usize) {
    let mut octets = whole.to_vec();
    octets[at + 40] ^= 1;
    fs::write(path, octets).unwrap();
}

fn error_of(result: Result<Embedded, StoreError>) -> String {
    result.map(drop).unwrap_err().to_string()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(work)
}

const USERS: u8 = 6;
const KEY: &str = "0123456789abcdef";
const FILES: [&str; 3] = ["records.redb", "counters.0", "counters.1"];
const CHILD: &str = "COUNTERSIGN_TEST_CHILD_DIRECTORY";
