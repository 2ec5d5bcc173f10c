//! The LDAP store on a real slapd: the contract of every store, and what a directory adds to it.

use std::sync::Arc;

use countersign::store::{Committed, Store, StoreError, directory::DirectoryStore};
use countersign_core::domain::{
    counter::{Change, FailureCounter, Move, TokenCounter},
    id::{AccountId, TokenId},
    receipt::Stamp,
    time::UnixTime,
    token::TokenKind,
};

use crate::support::{
    directory::{Kind, Seed, User, parameters_dn},
    directory_store::{Kept, Rig, as_administrator, key, open, server, settings},
    slapd::{self, Setup},
};

#[path = "../../countersign/tests/support/contract.rs"]
mod contract;

mod connections;
mod keeping;

// What a directory keeps by its own tools, and what the schema has one place for, is left out.
contract::hold_to_contract!(held, (Kept::new(), ());
    moves_a_counter_only_from_its_value,
    moves_all_counters_or_none,
    moves_no_counter_that_is_not_there,
    does_nothing_when_there_is_nothing_to_do,
    accepts_one_of_64_equal_moves,
    goes_on_where_a_removed_token_stopped,
    lists_accounts_and_tokens_page_by_page,
    keeps_certificates_until_they_are_pruned,
    takes_one_certificate_of_an_account_per_request,
    takes_one_of_32_certificates_for_the_same_request,
    never_gives_a_number_twice,
    is_healthy_as_long_as_counters_move,
);

#[test]
fn an_account_is_found_by_its_login_names_and_its_dn_in_any_spelling() {
    let rig = Rig::new(&[User::hotp("alice"), User::without_token("bob")]);
    block_on(async {
        for name in [
            "alice",
            "ALICE",
            r"EXAMPLE\alice",
            r"example.com\alice",
            "alice@example.com",
            "Alice@EXAMPLE",
            "uid=alice,ou=accounts,dc=example,dc=test",
            "UID=Alice , OU=accounts, DC=example, DC=test",
        ] {
            let subject = rig.find(name).await.unwrap_or_else(|| panic!("{name}"));
            assert_eq!(subject.account.name, "alice", "{name}");
            assert_eq!(subject.tokens.len(), 1, "{name}");
        }
        for nobody in [
            "carol",
            "*",
            "alice)(uid=*",
            r"OTHER\alice",
            "alice@other.example",
            "ou=accounts,dc=example,dc=test",
            "uid=nobody,ou=accounts,dc=example,dc=test",
            "uid=validator,ou=services,dc=example,dc=test",
        ] {
            assert!(rig.find(nobody).await.is_none(), "{nobody}");
        }
        assert!(rig.find("bob").await.unwrap().tokens.is_empty());
    });
}

#[test]
fn a_subject_has_all_that_a_decision_needs() {
    let alice = User::hotp("alice")
        .with_identifier()
        .with("oathFailureCount", 2)
        .with("oathLastFailure", "20261124115633Z");
    let rig = Rig::new(&[User { kind: Some(Kind::Hotp(Some(7))), ..alice }]);
    block_on(async {
        let subject = rig.find("alice").await.unwrap();
        let account = &subject.account;
        assert_eq!(account.dn.as_deref(), Some("uid=alice,ou=accounts,dc=example,dc=test"));
        assert_eq!((subject.failures.failures, subject.failures.last.0), (2, 1_795_521_393));
        let hashes = subject.password.unwrap();
        assert_eq!(hashes.len(), 1);
        assert_eq!(hashes[0].0.expose_bytes(), b"alice-pw");
        let held = &subject.tokens[0];
        assert_eq!((held.counter.next, held.parameters.look_ahead), (7, Some(5)));
        assert!(held.token.identifier.as_deref().unwrap().starts_with("ubhe"));
        assert!(matches!(held.token.kind, TokenKind::Hotp { .. }));
        assert!(held.secret.as_ref().unwrap().0.starts_with("plain:"));

        let person = rig.store.person(account.person.unwrap()).await.unwrap().unwrap();
        assert_eq!(
            (person.name.as_str(), person.mail.as_deref()),
            ("alice", Some("alice@example.test"))
        );
        assert_eq!(held.token.owner, account.person);
    });
}

#[test]
fn a_token_is_found_by_its_own_name_for_whoever_compares() {
    let alice = User::hotp("alice");
    let rig = Rig::new(std::slice::from_ref(&alice));
    block_on(async {
        let of_token = rig.find(&alice.token_dn()).await.unwrap();
        let of_account = rig.find("alice").await.unwrap();
        assert_eq!(of_token.tokens[0].token.id, of_account.tokens[0].token.id);
        assert!(of_token.password.unwrap().is_empty(), "nobody logs on by it");
        let change = spend(of_token.tokens[0].token.id, 0, 1);
        assert_eq!(rig.store.commit(change).await.unwrap(), DONE);
        assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter.next, 1);
    });
}

#[test]
fn tokens_that_cannot_be_used_are_there_all_the_same() {
    let waiting = User { kind: Some(Kind::Hotp(None)), ..User::hotp("waiting") };
    let lost = User::hotp("lost");
    let rig = Rig::new(&[waiting, lost.clone()]);
    rig.slapd.modify(&format!("dn: {}\nchangetype: delete\n", lost.token_dn()));
    block_on(async {
        for name in ["waiting", "lost"] {
            let subject = rig.find(name).await.unwrap();
            assert_eq!(subject.tokens.len(), 1, "{name}");
            assert!(subject.tokens[0].secret.is_none(), "{name}");
        }
        assert!(rig.find("lost").await.unwrap().tokens[0].token.disabled);
    });
}

#[test]
fn whoever_has_a_token_is_somebody_even_where_the_filter_says_otherwise() {
    let (alice, bob) = (User::hotp("alice"), User::without_token("bob"));
    let rig = Rig::with(&Setup::default(), &[alice.clone(), bob.clone()], |settings| {
        settings.mapping.account.filter = "(objectClass=person)".into();
    });
    block_on(async {
        let subject = rig.find(&alice.dn()).await.unwrap();
        assert!(subject.account.disabled && subject.tokens.len() == 1);
        assert!(rig.find(&bob.dn()).await.is_none());
        assert!(rig.find("alice").await.is_none(), "by a login name nobody is nobody");
    });
}

#[test]
fn a_name_is_compared_by_the_directory_itself() {
    let users = ["Νίκο", "groẞ", "İnci", "\u{10a0}ia"].map(User::hotp);
    let rig = Rig::new(&users);
    block_on(async {
        for user in &users {
            assert!(rig.find(&user.dn()).await.is_some(), "{}", user.name);
        }
        let greek = users[0].dn().to_uppercase();
        assert!(rig.find(&greek).await.is_some(), "{greek}");
    });
}

#[test]
fn an_entry_that_makes_no_sense_is_named() {
    let broken = User::hotp("broken").with("oathTokenIdentifier", "x");
    let rig =
        Rig::new(&[broken.clone(), User { parameters: "gone".into(), ..User::hotp("astray") }]);
    rig.slapd.set(&parameters_dn("hotp"), "oathHMACAlgorithm", &["1.2.3"]);
    block_on(async {
        let error = rig.store.find(key("broken").key()).await.unwrap_err().to_string();
        assert!(error.contains(&parameters_dn("hotp")), "{error}");
        assert!(error.contains("oathHMACAlgorithm"), "{error}");
        let error = rig.store.find(key("astray").key()).await.unwrap_err().to_string();
        assert!(error.contains("oathHOTPParams refers to cn=gone"), "{error}");
    });
}

#[test]
fn a_counter_moves_in_the_directory_with_failures_and_last_login() {
    let alice = User::hotp("alice");
    let rig = Rig::new(std::slice::from_ref(&alice));
    let number = |attribute| rig.slapd.number(&alice.token_dn(), attribute);
    block_on(async {
        let subject = rig.find("alice").await.unwrap();
        let (account, token) = (subject.account.id, subject.tokens[0].token.id);
        let failed =
            FailureCounter { failures: 1, last: UnixTime(1_795_521_393), receipt: Stamp(77) };
        let none = FailureCounter::default();
        assert_eq!(rig.store.commit(failures(account, none, failed)).await.unwrap(), DONE);
        assert_eq!(number("oathFailureCount"), Some(1));
        let last = rig.slapd.values(&alice.token_dn(), "oathLastFailure");
        assert_eq!(last, ["20261124115633Z"]);
        assert!(rig.slapd.values(&alice.token_dn(), "oathLastLogin").is_empty());
        assert_eq!(rig.find("alice").await.unwrap().failures, failed, "with its receipt");

        let change =
            Change { tokens: spend(token, 0, 4).tokens, ..failures(account, failed, none) };
        assert_eq!(rig.store.commit(change).await.unwrap(), DONE);
        assert_eq!((number("oathHOTPCounter"), number("oathFailureCount")), (Some(4), Some(0)));
        assert_eq!(rig.slapd.values(&alice.token_dn(), "oathLastLogin").len(), 1);
        let subject = rig.find("alice").await.unwrap();
        assert_eq!((subject.failures, subject.tokens[0].counter), (none, at(4)));
    });
}

#[test]
fn an_administrator_who_clears_failures_in_the_directory_is_heard() {
    let alice =
        User::hotp("alice").with("oathFailureCount", 12).with("oathLastFailure", "20261124115633Z");
    let rig = Rig::new(std::slice::from_ref(&alice));
    block_on(async {
        assert_eq!(rig.find("alice").await.unwrap().failures.failures, 12);
        rig.slapd.set(&alice.token_dn(), "oathFailureCount", &[]);
        assert_eq!(rig.find("alice").await.unwrap().failures, FailureCounter::default());
    });
}

#[test]
fn a_counter_that_the_directory_puts_back_stays_spent() {
    let alice = User::hotp("alice");
    let rig = Rig::new(std::slice::from_ref(&alice));
    block_on(async {
        let token = rig.find("alice").await.unwrap().tokens[0].token.id;
        assert_eq!(rig.store.commit(spend(token, 0, 7)).await.unwrap(), DONE);
        rig.slapd.set(&alice.token_dn(), "oathHOTPCounter", &["3"]);
        assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter, at(7));
        assert_eq!(rig.store.commit(spend(token, 3, 4)).await.unwrap(), Committed::Conflict);
        assert_eq!(rig.slapd.number(&alice.token_dn(), "oathHOTPCounter"), Some(3));

        assert_eq!(rig.store.commit(spend(token, 7, 8)).await.unwrap(), DONE);
        assert_eq!(rig.slapd.number(&alice.token_dn(), "oathHOTPCounter"), Some(8), "repaired");
    });
}

#[test]
fn a_token_that_was_initialised_anew_begins_anew() {
    let alice = User::hotp("alice");
    let rig = Rig::new(std::slice::from_ref(&alice));
    block_on(async {
        let token = rig.find("alice").await.unwrap().tokens[0].token.id;
        assert_eq!(rig.store.commit(spend(token, 0, 70)).await.unwrap(), DONE);
        rig.slapd.modify(&format!(
            "dn: {}\nchangetype: modify\nreplace: oathSecret\noathSecret: GEZDGNBVGY3TQOJQ\n-\nreplace: oathHOTPCounter\noathHOTPCounter: 0\n",
            alice.token_dn()
        ));
        assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter, at(0));
        assert_eq!(rig.store.commit(spend(token, 0, 1)).await.unwrap(), DONE);
        assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter, at(1));
    });
}

#[test]
fn two_validators_on_one_directory_accept_once() {
    let rig = Rig::new(&[User::hotp("alice")]);
    let other = Arc::new(rig.other());
    block_on(async {
        let token = rig.find("alice").await.unwrap().tokens[0].token.id;
        for next in 0..40 {
            assert!(other.find(key("alice").key()).await.unwrap().is_some());
            let both = [rig.store.clone(), other.clone()].map(|store: Arc<DirectoryStore>| {
                tokio::spawn(
                    async move { store.commit(spend(token, next, next + 1)).await.unwrap() },
                )
            });
            let mut done = 0;
            for one in both {
                done += usize::from(one.await.expect("no panic") == DONE);
            }
            assert_eq!(done, 1, "{next}");
            assert_eq!(rig.find("alice").await.unwrap().tokens[0].counter.next, next + 1);
        }
    });
}

#[test]
fn an_account_may_have_a_token_of_each_kind() {
    let (mut alice, clock) = (User::hotp("alice"), User::totp("clock"));
    alice.more.push(("oathFailureCount", "0".into()));
    let rig = Rig::new(&[alice.clone(), clock.clone()]);
    rig.slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: oathTOTPUser\n-\nadd: oathTOTPToken\noathTOTPToken: {}\n",
        alice.dn(),
        clock.token_dn()
    ));
    block_on(async {
        let subject = rig.find("alice").await.unwrap();
        assert_eq!(subject.tokens.len(), 2);
        let is_clock = |kind: &TokenKind| matches!(kind, TokenKind::Totp { .. });
        let clock_id =
            subject.tokens.iter().find(|held| is_clock(&held.token.kind)).unwrap().token.id;
        let drifting = TokenCounter { drift: -1, receipt: Stamp(5), ..at(59_850_714) };
        let one = FailureCounter { failures: 1, last: UnixTime(9), receipt: Stamp(0) };
        let tokens = vec![Move { id: clock_id, from: at(0), to: drifting }];
        let account = subject.account.id;
        let change = Change { tokens, ..failures(account, FailureCounter::default(), one) };
        assert_eq!(rig.store.commit(change).await.unwrap(), DONE);
        let step = rig.slapd.number(&clock.token_dn(), "oathTOTPLastTimeStep");
        let drift = rig.slapd.number(&clock.token_dn(), "oathTOTPTimeStepDrift");
        assert_eq!((step, drift), (Some(59_850_713), Some(-1)));
        let counted = rig.slapd.number(&alice.token_dn(), "oathFailureCount");
        assert_eq!(counted, Some(1), "at the token with a counter");
        let subject = rig.find("alice").await.unwrap();
        let held = subject.tokens.iter().find(|held| held.token.id == clock_id).unwrap();
        assert_eq!((held.counter, subject.failures), (drifting, one));
    });
}

#[test]
fn a_success_stands_when_others_fail_at_the_same_time() {
    let (alice, clock) = (User::hotp("alice"), User::totp("clock"));
    let rig = Rig::new(&[alice.clone(), clock.clone()]);
    rig.slapd.set(&alice.token_dn(), "oathFailureCount", &["3"]);
    rig.slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: oathTOTPUser\n-\nadd: oathTOTPToken\noathTOTPToken: {}\n",
        alice.dn(),
        clock.token_dn()
    ));
    block_on(async {
        let subject = rig.find("alice").await.unwrap();
        let is_clock = |kind: &TokenKind| matches!(kind, TokenKind::Totp { .. });
        let clock = subject.tokens.iter().find(|held| is_clock(&held.token.kind)).unwrap();
        rig.slapd.set(&alice.token_dn(), "oathFailureCount", &["4"]);
        let change = Change {
            tokens: spend(clock.token.id, 0, 100).tokens,
            ..failures(subject.account.id, subject.failures, FailureCounter::default())
        };
        assert_eq!(rig.store.commit(change).await.unwrap(), DONE);
        assert_eq!(rig.find("alice").await.unwrap().failures.failures, 4, "their failures stand");
    });
}

#[test]
fn tokens_of_slapo_otp_count_in_their_own_way() {
    let user = User { seed: Seed::Raw, ..User::hotp("alice") };
    let user = User { kind: Some(Kind::Hotp(Some(6))), ..user };
    let users = std::slice::from_ref(&user);
    let rig = Rig::with(&Setup::default(), users, |settings| {
        settings.mapping.token.plain_secrets = countersign_core::ldap::mapping::PlainSecrets::Raw;
        settings.mapping.token.hotp_counter = countersign_core::ldap::mapping::HotpCounter::Last;
    });
    block_on(async {
        let held = rig.find("alice").await.unwrap().tokens.remove(0);
        assert_eq!(held.counter.next, 7);
        assert_eq!(rig.store.commit(spend(held.token.id, 7, 9)).await.unwrap(), DONE);
        assert_eq!(rig.slapd.number(&user.token_dn(), "oathHOTPCounter"), Some(8));
    });
}

#[test]
fn many_tokens_move_at_once_and_none_is_lost() {
    let users: Vec<_> = (0..24).map(|number| User::hotp(&format!("user{number:02}"))).collect();
    let rig = Rig::new(&users);
    block_on(async {
        let tasks = users.iter().map(|user| {
            let (store, name) = (rig.store.clone(), user.name.clone());
            tokio::spawn(async move {
                for next in 0..10 {
                    let found = store.find(key(&name).key()).await.unwrap().unwrap();
                    assert_eq!(found.tokens[0].counter.next, next);
                    let change = spend(found.tokens[0].token.id, next, next + 1);
                    assert_eq!(store.commit(change).await.unwrap(), DONE);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
    });
    assert!(rig.store.directory().connections_opened() <= 8);
    for user in &users {
        assert_eq!(rig.slapd.number(&user.token_dn(), "oathHOTPCounter"), Some(10));
    }
}

fn block_on(test: impl Future<Output = ()>) {
    contract::block_on(test);
}

fn at(next: u64) -> TokenCounter {
    TokenCounter { next, ..TokenCounter::default() }
}

fn spend(id: TokenId, from: u64, to: u64) -> Change {
    Change { failures: None, tokens: vec![Move { id, from: at(from), to: at(to) }] }
}

fn failures(id: AccountId, from: FailureCounter, to: FailureCounter) -> Change {
    Change { failures: Some(Move { id, from, to }), tokens: Vec::new() }
}

const DONE: Committed = Committed::Done;
