//! The contract of every store, as tests that take a store.

#![allow(dead_code, unused_imports, reason = "a store that keeps less is held to less")]

use std::{collections::HashSet, future::Future, sync::Arc};

use countersign::store::{
    CERTIFICATE_REQUEST, CertificateRecord, Committed, SealedSecret, Store, StoreError,
};
use countersign_core::{
    domain::{
        account::{Account, Person},
        counter::{Change, FailureCounter, Move, TokenCounter},
        id::{AccountId, PersonId, TokenId},
        name::{LoginName, Site},
        receipt::Stamp,
        subject::Subject,
        time::UnixTime,
        token::{Token, TokenKind},
    },
    oath::hotp::{Algorithm, Digits},
};

/// Runs tests of the contract against the store that `$open` makes, together with what must
/// outlive it. Where it is used, this module is in scope as `contract`.
macro_rules! hold_to_contract {
    ($name:ident, $open:expr; $($test:ident),* $(,)?) => {
        mod $name {
            use super::*;
            $(#[test]
            fn $test() {
                let (store, _keep) = $open;
                contract::block_on(contract::$test(std::sync::Arc::new(store)));
            })*
        }
    };
}
pub(crate) use hold_to_contract;

pub(crate) async fn finds_an_account_by_each_of_its_names(store: Arc<impl Store>) {
    let alice = account(1, "alice");
    store.insert_account(alice.clone(), site()).await.unwrap();
    for name in ["alice", "ALICE", r"EXAMPLE\alice", "alice@example.com", "a.liddell@example.org"] {
        let subject = find(&*store, name).await.unwrap();
        assert_eq!((subject.account, subject.failures), (alice.clone(), FailureCounter::default()));
        assert!(subject.tokens.is_empty());
    }
    assert!(find(&*store, "bob").await.is_none());
}

pub(crate) async fn refuses_a_taken_name_and_changes_nothing(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    store.insert_account(account(2, "bob"), site()).await.unwrap();
    let thief = Account { upn: Some("ALICE@example.com".into()), ..account(3, "mallory") };
    let error = store.insert_account(thief, site()).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { account, .. } if account == account_id(1)));
    assert!(find(&*store, "mallory").await.is_none());

    let renamed = Account { upn: Some("alice@example.com".into()), ..account(2, "robert") };
    let error = store.replace_account(account(2, "bob"), renamed, site()).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { account, .. } if account == account_id(1)));
    assert!(find(&*store, "robert").await.is_none());
    assert_eq!(find(&*store, "bob").await.unwrap().account, account(2, "bob"));
}

pub(crate) async fn refuses_an_account_or_token_twice(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    let again = store.insert_account(account(1, "other"), site()).await;
    assert!(matches!(again, Err(StoreError::Exists { what: "account", .. })));
    assert!(find(&*store, "other").await.is_none());

    store.insert_token(token(1, &[1]), Some(secret(1)), 5).await.unwrap();
    let again = store.insert_token(token(1, &[1]), Some(secret(2)), 9).await;
    assert!(matches!(again, Err(StoreError::Exists { what: "token", .. })));
    let holding = find(&*store, "alice").await.unwrap().tokens.remove(0);
    assert_eq!((holding.secret, holding.counter.next), (Some(secret(1)), 5));
}

pub(crate) async fn frees_the_names_that_an_account_had(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    assert!(find(&*store, "alice").await.is_some());
    let elsewhere = Site { domain: Some("OTHER".into()), realm: None };
    store.replace_account(account(1, "alice"), account(1, "alicia"), elsewhere).await.unwrap();
    for gone in ["alice", r"EXAMPLE\alice", "a.liddell@example.org", "alicia"] {
        assert!(find(&*store, gone).await.is_none(), "{gone}");
    }
    assert!(find(&*store, r"example\alicia").await.is_some());
    store.insert_account(account(2, "alice"), site()).await.unwrap();
    assert_eq!(find(&*store, "alice").await.unwrap().account.id, account_id(2));
}

pub(crate) async fn says_what_is_not_there(store: Arc<impl Store>) {
    let nobody = |result: Result<(), StoreError>, expected: &str| {
        assert!(matches!(result, Err(StoreError::NotFound { what, .. }) if what == expected));
    };
    let alice = account(1, "alice");
    nobody(store.replace_account(alice.clone(), alice, site()).await, "account");
    nobody(store.remove_account(account_id(1)).await, "account");
    nobody(store.insert_token(token(1, &[1]), None, 0).await.map(drop), "account");
    nobody(store.replace_token(token(1, &[]), token(1, &[])).await, "token");
    nobody(store.remove_token(token_id(1)).await, "token");
    nobody(store.revoke_certificate("01".into(), UnixTime(1)).await, "certificate");
    assert!(store.tokens(None, 9).await.unwrap().is_empty());

    store.insert_token(token(1, &[]), None, 0).await.unwrap();
    nobody(store.replace_token(token(1, &[]), token(1, &[7])).await, "account");
    assert_eq!(store.tokens(None, 9).await.unwrap(), [token(1, &[])]);
}

pub(crate) async fn replaces_an_account_only_as_it_was_read(store: Arc<impl Store>) {
    let (alice, renamed) = (account(1, "alice"), account(1, "alicia"));
    store.insert_account(alice.clone(), site()).await.unwrap();
    let disabled = Account { disabled: true, ..alice.clone() };
    store.replace_account(alice.clone(), disabled.clone(), site()).await.unwrap();
    let late = store.replace_account(alice, renamed.clone(), site()).await;
    assert!(matches!(late, Err(StoreError::Changed { what: "account", .. })), "{late:?}");
    assert_eq!(find(&*store, "alice").await.unwrap().account, disabled);
    assert!(find(&*store, "alicia").await.is_none());
    store.replace_account(disabled, renamed, site()).await.unwrap();
    assert!(find(&*store, "alicia").await.is_some());
}

pub(crate) async fn replaces_a_token_only_as_it_was_read(store: Arc<impl Store>) {
    with_token(&*store, 0).await;
    let read = token(1, &[1]);
    let disabled = Token { disabled: true, ..read.clone() };
    store.replace_token(read.clone(), disabled.clone()).await.unwrap();
    let late = store.replace_token(read, token(1, &[])).await;
    assert!(matches!(late, Err(StoreError::Changed { what: "token", .. })), "{late:?}");
    assert_eq!(find(&*store, "alice").await.unwrap().tokens[0].token, disabled);
}

pub(crate) async fn lets_one_of_16_replace_what_all_have_read(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    let done = all_at_once(16, |number| {
        let store = Arc::clone(&store);
        let dn = Some(format!("CN={number}"));
        let to = Account { dn, ..account(1, "alice") };
        async move { store.replace_account(account(1, "alice"), to, site()).await.is_ok() }
    });
    assert_eq!(done.await.into_iter().filter(|done| *done).count(), 1);
}

pub(crate) async fn removes_an_account_with_its_names_and_assignments(store: Arc<impl Store>) {
    with_token(&*store, 0).await;
    store.insert_account(account(2, "bob"), site()).await.unwrap();
    store.replace_token(token(1, &[1]), token(1, &[1, 2])).await.unwrap();
    let failed = FailureCounter { failures: 3, last: UnixTime(9), ..FailureCounter::default() };
    assert_eq!(store.commit(failures(FailureCounter::default(), failed)).await.unwrap(), DONE);
    store.remove_account(account_id(1)).await.unwrap();
    assert!(find(&*store, "alice").await.is_none());
    assert_eq!(store.accounts(None, 9).await.unwrap(), [account(2, "bob")]);
    assert_eq!(store.tokens(None, 9).await.unwrap(), [token(1, &[2])]);

    store.insert_account(account(1, "alice"), site()).await.unwrap();
    let back = find(&*store, "alice").await.unwrap();
    assert_eq!((back.failures, back.tokens.len()), (FailureCounter::default(), 0));
}

pub(crate) async fn keeps_persons(store: Arc<impl Store>) {
    let id = PersonId::from_bytes([1; 16]);
    assert_eq!(store.person(id).await.unwrap(), None);
    let mut person = Person { id, name: "Alice Liddell".into(), mail: None };
    store.put_person(person.clone()).await.unwrap();
    person.mail = Some("alice@example.org".into());
    store.put_person(person.clone()).await.unwrap();
    assert_eq!(store.person(id).await.unwrap(), Some(person));
}

pub(crate) async fn gives_tokens_in_order_with_their_secrets(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    store.insert_account(account(2, "bob"), site()).await.unwrap();
    for (number, accounts) in [(3, &[1][..]), (1, &[2, 1]), (2, &[1])] {
        let secret = (number != 2).then(|| secret(number));
        store.insert_token(token(number, accounts), secret, u64::from(number) * 10).await.unwrap();
    }
    let held = |subject: Subject<SealedSecret>| -> Vec<_> {
        let tokens = subject.tokens.into_iter();
        tokens.map(|held| (held.token.id, held.secret, held.counter.next)).collect()
    };
    let expected = [
        (token_id(1), Some(secret(1)), 10),
        (token_id(2), None, 20),
        (token_id(3), Some(secret(3)), 30),
    ];
    assert_eq!(held(find(&*store, "alice").await.unwrap()), expected);
    assert_eq!(held(find(&*store, "bob").await.unwrap()), expected[..1]);

    store.remove_token(token_id(1)).await.unwrap();
    assert_eq!(held(find(&*store, "alice").await.unwrap()), expected[1..]);
    assert!(held(find(&*store, "bob").await.unwrap()).is_empty());
}

pub(crate) async fn replaces_a_token_but_not_its_secret_or_counter(store: Arc<impl Store>) {
    with_token(&*store, 7).await;
    assert_eq!(store.commit(spend(7, 8)).await.unwrap(), DONE);
    store.insert_account(account(2, "bob"), site()).await.unwrap();
    let changed = Token { label: "other".into(), disabled: true, ..token(1, &[2]) };
    store.replace_token(token(1, &[1]), changed.clone()).await.unwrap();
    assert!(find(&*store, "alice").await.unwrap().tokens.is_empty());
    let holding = find(&*store, "bob").await.unwrap().tokens.remove(0);
    assert_eq!((holding.token, holding.secret), (changed, Some(secret(1))));
    assert_eq!(holding.counter, at(8));
}

pub(crate) async fn moves_a_counter_only_from_its_value(store: Arc<impl Store>) {
    with_token(&*store, 7).await;
    assert_eq!(store.commit(spend(6, 9)).await.unwrap(), Committed::Conflict);
    assert_eq!(store.commit(spend(7, 9)).await.unwrap(), DONE);
    assert_eq!(store.commit(spend(7, 9)).await.unwrap(), Committed::Conflict);
    let drifting = TokenCounter { next: 9, drift: -2, resync: 5, receipt: Stamp(7) };
    assert_eq!(store.commit(moves(at(9), drifting)).await.unwrap(), DONE);
    assert_eq!(store.commit(spend(9, 10)).await.unwrap(), Committed::Conflict);
    assert_eq!(find(&*store, "alice").await.unwrap().tokens[0].counter, drifting);
}

pub(crate) async fn moves_all_counters_or_none(store: Arc<impl Store>) {
    with_token(&*store, 7).await;
    let none = FailureCounter::default();
    let one = FailureCounter { failures: 1, last: UnixTime(50), ..FailureCounter::default() };
    let wrong_token = Change { tokens: spend(6, 9).tokens, ..failures(none, one) };
    assert_eq!(store.commit(wrong_token).await.unwrap(), Committed::Conflict);
    let wrong_failures = Change { tokens: spend(7, 9).tokens, ..failures(one, none) };
    assert_eq!(store.commit(wrong_failures).await.unwrap(), Committed::Conflict);
    let subject = find(&*store, "alice").await.unwrap();
    assert_eq!((subject.failures, subject.tokens[0].counter), (none, at(7)));

    let right = Change { tokens: spend(7, 9).tokens, ..failures(none, one) };
    assert_eq!(store.commit(right).await.unwrap(), DONE);
    let subject = find(&*store, "alice").await.unwrap();
    assert_eq!((subject.failures, subject.tokens[0].counter), (one, at(9)));
}

pub(crate) async fn moves_no_counter_that_is_not_there(store: Arc<impl Store>) {
    assert_eq!(store.commit(spend(0, 1)).await.unwrap(), Committed::Conflict);
    let none = FailureCounter::default();
    assert_eq!(store.commit(failures(none, none)).await.unwrap(), Committed::Conflict);
}

pub(crate) async fn does_nothing_when_there_is_nothing_to_do(store: Arc<impl Store>) {
    assert_eq!(store.commit(Change::default()).await.unwrap(), DONE);
}

pub(crate) async fn accepts_one_of_64_equal_moves(store: Arc<impl Store>) {
    with_token(&*store, 7).await;
    for next in 7..27 {
        let done = all_at_once(64, |_| {
            let store = Arc::clone(&store);
            async move { store.commit(spend(next, next + 1)).await.unwrap() == DONE }
        });
        assert_eq!(done.await.into_iter().filter(|done| *done).count(), 1);
    }
}

pub(crate) async fn loses_no_move_of_many_at_once(store: Arc<impl Store>) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    for number in 1..=32 {
        store.insert_token(token(number, &[1]), None, 0).await.unwrap();
    }
    all_at_once(32, |number| {
        let store = Arc::clone(&store);
        async move {
            let id = token_id(number + 1);
            for next in 0..50 {
                let step = Move { id, from: at(next), to: at(next + 1) };
                let change = Change { failures: None, tokens: vec![step] };
                assert_eq!(store.commit(change).await.unwrap(), DONE);
            }
        }
    })
    .await;
    let subject = find(&*store, "alice").await.unwrap();
    assert!(subject.tokens.iter().all(|held| held.counter == at(50)));
}

pub(crate) async fn goes_on_where_a_removed_token_stopped(store: Arc<impl Store>) {
    with_token(&*store, 7).await;
    assert_eq!(store.commit(spend(7, 30)).await.unwrap(), DONE);
    store.remove_token(token_id(1)).await.unwrap();
    store.insert_token(token(1, &[1]), Some(secret(1)), 7).await.unwrap();
    assert_eq!(find(&*store, "alice").await.unwrap().tokens[0].counter, at(30));
    store.remove_token(token_id(1)).await.unwrap();
    store.insert_token(token(1, &[1]), Some(secret(1)), 44).await.unwrap();
    assert_eq!(find(&*store, "alice").await.unwrap().tokens[0].counter, at(44));
}

pub(crate) async fn lists_accounts_and_tokens_page_by_page(store: Arc<impl Store>) {
    for number in [4, 2, 5, 1, 3] {
        store.insert_account(account(number, &format!("user{number}")), site()).await.unwrap();
        store.insert_token(token(number, &[number]), None, 0).await.unwrap();
    }
    let ids = |page: Vec<Account>| page.into_iter().map(|account| account.id).collect::<Vec<_>>();
    let page = store.accounts(None, 2).await.unwrap();
    assert_eq!(ids(page), [account_id(1), account_id(2)]);
    let page = store.accounts(Some(account_id(2)), 9).await.unwrap();
    assert_eq!(ids(page), [account_id(3), account_id(4), account_id(5)]);
    assert!(store.accounts(Some(account_id(5)), 9).await.unwrap().is_empty());
    assert_eq!(store.tokens(Some(token_id(3)), 1).await.unwrap(), [token(4, &[4])]);
}

pub(crate) async fn keeps_certificates_until_they_are_pruned(store: Arc<impl Store>) {
    for (serial, not_after) in [("0b", 30), ("0a", 10), ("0c", 20)] {
        store.insert_certificate(certificate(serial, not_after)).await.unwrap();
    }
    let again = store.insert_certificate(certificate("0a", 99)).await;
    assert!(matches!(again, Err(StoreError::Exists { what: "certificate", .. })));
    store.revoke_certificate("0b".into(), UnixTime(5)).await.unwrap();
    store.revoke_certificate("0b".into(), UnixTime(6)).await.unwrap();

    let revoked = CertificateRecord { revoked: Some(UnixTime(5)), ..certificate("0b", 30) };
    let page = store.certificates(None, 2).await.unwrap();
    assert_eq!(page, [certificate("0a", 10), revoked.clone()]);
    let page = store.certificates(Some("0b".into()), 9).await.unwrap();
    assert_eq!(page, [certificate("0c", 20)]);

    assert_eq!(store.prune_certificates(UnixTime(10)).await.unwrap(), 0);
    assert_eq!(store.prune_certificates(UnixTime(21)).await.unwrap(), 2);
    assert_eq!(store.certificates(None, 9).await.unwrap(), [revoked]);
}

pub(crate) async fn takes_one_certificate_of_an_account_per_request(store: Arc<impl Store>) {
    let for_request = |serial: &str, not_after, account| CertificateRecord {
        account,
        request_sha256: "ab".into(),
        ..certificate(serial, not_after)
    };
    let (alice, bob) = (Some(account_id(1)), Some(account_id(2)));
    // Those of the infrastructure are renewed for the same key, and stand in nobody's way.
    for serial in ["0a", "0b"] {
        store.insert_certificate(for_request(serial, 10, None)).await.unwrap();
    }
    store.insert_certificate(for_request("0c", 20, alice)).await.unwrap();
    for account in [alice, bob] {
        let again = store.insert_certificate(for_request("0d", 30, account)).await;
        let refused = matches!(
            &again,
            Err(StoreError::Exists { what: CERTIFICATE_REQUEST, id }) if id == "ab"
        );
        assert!(refused, "{again:?}");
    }
    store.insert_certificate(for_request("0e", 30, None)).await.unwrap();
    assert_eq!(store.certificates(None, 9).await.unwrap().len(), 4);

    assert_eq!(store.prune_certificates(UnixTime(20)).await.unwrap(), 2);
    assert!(store.insert_certificate(for_request("0d", 30, alice)).await.is_err());
    assert_eq!(store.prune_certificates(UnixTime(21)).await.unwrap(), 1);
    store.insert_certificate(for_request("0d", 30, alice)).await.unwrap();
    assert!(store.insert_certificate(for_request("0f", 30, bob)).await.is_err());
}

pub(crate) async fn takes_one_of_32_certificates_for_the_same_request(store: Arc<impl Store>) {
    let taken = all_at_once(32, |number| {
        let store = Arc::clone(&store);
        let record = certificate(&format!("{number:02x}"), 10);
        let record = CertificateRecord { request_sha256: "ab".into(), ..record };
        async move { store.insert_certificate(record).await.is_ok() }
    });
    assert_eq!(taken.await.into_iter().filter(|taken| *taken).count(), 1);
    assert_eq!(store.certificates(None, 99).await.unwrap().len(), 1);
}

pub(crate) async fn never_gives_a_number_twice(store: Arc<impl Store>) {
    let numbers = all_at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.next_number("crl").await.unwrap() }
    });
    let numbers: HashSet<_> = numbers.await.into_iter().collect();
    assert_eq!(numbers.len(), 16);
    let next = store.next_number("crl").await.unwrap();
    assert!(numbers.iter().all(|number| *number < next));
    assert!(store.next_number("delta").await.unwrap() < next);
}

pub(crate) async fn is_healthy_as_long_as_counters_move(store: Arc<impl Store>) {
    assert!(store.health().is_ok());
    with_token(&*store, 7).await;
    assert_eq!(store.commit(spend(7, 8)).await.unwrap(), DONE);
    assert!(store.health().is_ok());
}

/// Alice with one token whose counter is at `first`.
async fn with_token(store: &impl Store, first: u64) {
    store.insert_account(account(1, "alice"), site()).await.unwrap();
    store.insert_token(token(1, &[1]), Some(secret(1)), first).await.unwrap();
}

async fn find(store: &impl Store, name: &str) -> Option<Subject<SealedSecret>> {
    store.find(LoginName::parse(name).unwrap().key()).await.unwrap()
}

async fn all_at_once<F>(count: u8, task: impl Fn(u8) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(task(number))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(test);
}

fn spend(from: u64, to: u64) -> Change {
    moves(at(from), at(to))
}

fn moves(from: TokenCounter, to: TokenCounter) -> Change {
    Change { failures: None, tokens: vec![Move { id: token_id(1), from, to }] }
}

fn failures(from: FailureCounter, to: FailureCounter) -> Change {
    Change { failures: Some(Move { id: account_id(1), from, to }), tokens: Vec::new() }
}

fn at(next: u64) -> TokenCounter {
    TokenCounter { next, ..TokenCounter::default() }
}

pub(crate) fn site() -> Site {
    Site { domain: Some("EXAMPLE".into()), realm: Some("example.com".into()) }
}

fn account(number: u8, name: &str) -> Account {
    Account {
        domain: Some("EXAMPLE".into()),
        realm: Some("example.com".into()),
        upn: (name == "alice").then(|| "a.liddell@example.org".into()),
        dn: Some(format!("CN={name},DC=example,DC=com")),
        ..Account::new(account_id(number), name.into())
    }
}

/// Of a kind that every store has a place for.
fn token(number: u8, accounts: &[u8]) -> Token {
    let kind = TokenKind::Hotp { algorithm: Algorithm::Sha1, digits: Digits::SIX };
    Token {
        accounts: accounts.iter().copied().map(account_id).collect(),
        ..Token::new(token_id(number), format!("token {number}"), kind)
    }
}

fn certificate(serial: &str, not_after: u64) -> CertificateRecord {
    CertificateRecord {
        serial: serial.into(),
        profile: "logon".into(),
        subject: "CN=alice".into(),
        account: Some(account_id(1)),
        request_sha256: format!("request {serial}"),
        signer_serial: None,
        not_before: UnixTime(1),
        not_after: UnixTime(not_after),
        revoked: None,
    }
}

fn secret(number: u8) -> SealedSecret {
    SealedSecret(format!("sealed {number}"))
}

fn account_id(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn token_id(number: u8) -> TokenId {
    TokenId::from_bytes([number; 16])
}

const DONE: Committed = Committed::Done;
