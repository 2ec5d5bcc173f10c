//! Accounts over a store in memory, with a validator as the judge.

use countersign_core::domain::{account::Validity, lockout::Gate, verdict::Reason};

use super::*;
use crate::app::admin::{
    AdminRequest,
    testing::{Desk, START, add_account, event_token, otp, show_account},
};

fn set(account: &str, fields: AccountFields) -> AdminRequest {
    AdminRequest::AccountSet { account: account.into(), fields }
}

fn to(value: &str) -> Option<Setting<String>> {
    Some(Setting::To(value.into()))
}

#[tokio::test]
async fn a_new_account_belongs_to_the_site_and_is_found_by_every_name() {
    let desk = Desk::new();
    let person = NewPerson { name: "Alice Smith".into(), mail: Some("a@example.com".into()) };
    let fields = AccountFields { upn: to("Alice.Smith@example.com"), ..AccountFields::default() };
    let request = AdminRequest::AccountAdd { name: "alice".into(), person: Some(person), fields };
    let added = desk.account(request).await;
    assert_eq!(added.account.domain.as_deref(), Some("CORP"));
    assert_eq!(added.account.realm.as_deref(), Some("corp.example"));
    assert_eq!(added.owner.unwrap().name, "Alice Smith");
    for name in ["ALICE", r"corp\alice", "alice@CORP.example", "alice.smith@EXAMPLE.com"] {
        assert_eq!(desk.account(show_account(name)).await.account.id, added.account.id, "{name}");
    }
    let object = format!(r"account CORP\alice {}", added.account.id);
    assert_eq!(desk.actions(), [("account add".to_owned(), object)]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_by_name() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    let refusal = desk.refusal(add_account("Alice")).await;
    assert!(refusal.contains("is taken by account"), "{refusal}");
    let fields = AccountFields { upn: to("alice@corp.example"), ..AccountFields::default() };
    let request = AdminRequest::AccountAdd { name: "bob".into(), person: None, fields };
    assert!(desk.refusal(request).await.contains("is taken by account"));
    assert!(desk.refusal(show_account("bob")).await.contains("no account \"bob\""));
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_with_the_reason() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    let default = AccountFields::default;
    let cases = [
        (AccountFields { upn: to("alice"), ..default() }, "like alice@example.com"),
        (AccountFields { upn: to(r"CORP\a@b"), ..default() }, "like alice@example.com"),
        (AccountFields { upn: to("@b"), ..default() }, "nothing before or after"),
        (AccountFields { domain: to(r"A\B"), ..default() }, "must stand alone"),
        (AccountFields { realm: to(""), ..default() }, "empty"),
        (
            AccountFields {
                realm: to(&"r".repeat(253)),
                domain: Some(Setting::Clear),
                ..default()
            },
            "longer than 253",
        ),
        (AccountFields { dn: to("Alice"), ..default() }, "RFC 4514"),
        (AccountFields { dn: to(" "), ..default() }, "empty"),
        (AccountFields { sid: to("1001"), ..default() }, "S-1-5-21"),
        (AccountFields { upstream: to("new"), ..default() }, "no upstream \"new\"; it has old"),
        (
            AccountFields {
                not_before: Some(Setting::To(START)),
                not_after: Some(Setting::To(START.minus(1))),
                ..default()
            },
            "before it begins",
        ),
        (default(), "nothing to change"),
    ];
    for (fields, expected) in cases {
        let refusal = desk.refusal(set("alice", fields)).await;
        assert!(refusal.contains(expected), "{refusal} / {expected}");
    }
    for name in ["", r"CORP\bob", "bob@corp.example", "b\nob"] {
        assert!(desk.refusal(add_account(name)).await.starts_with("name "), "{name:?}");
    }
}

#[tokio::test]
async fn fields_are_set_and_cleared() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    let fields = AccountFields {
        dn: to("CN=Alice,DC=corp,DC=example"),
        sid: to("S-1-5-21-1-2-3-1001"),
        not_after: Some(Setting::To(START)),
        upstream: to("old"),
        ..AccountFields::default()
    };
    let account = desk.account(set("alice", fields)).await.account;
    assert_eq!(account.dn.as_deref(), Some("CN=Alice,DC=corp,DC=example"));
    assert_eq!(account.authentication, Authentication::Upstream("old".into()));
    let cleared = AccountFields {
        sid: Some(Setting::Clear),
        not_after: Some(Setting::Clear),
        upstream: Some(Setting::Clear),
        ..AccountFields::default()
    };
    let account = desk.account(set("alice", cleared)).await.account;
    assert_eq!((account.sid, account.validity), (None, Validity::default()));
    assert_eq!(account.authentication, Authentication::Tokens);
    assert!(account.dn.is_some());
}

#[tokio::test]
async fn groups_are_set_replaced_and_cleared() {
    let desk = Desk::new();
    let groups = |setting| AccountFields { groups: Some(setting), ..AccountFields::default() };
    let names = |names: &[&str]| {
        Setting::To(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    let fields = groups(names(&["admins", "vpn", "admins"]));
    let request = AdminRequest::AccountAdd { name: "alice".into(), person: None, fields };
    assert_eq!(desk.account(request).await.account.groups, ["admins", "vpn"]);
    let account = desk.account(set("alice", groups(names(&["vpn"])))).await.account;
    assert_eq!(account.groups, ["vpn"]);
    assert!(desk.refusal(set("alice", groups(names(&["a,b"])))).await.starts_with("group "));
    let account = desk.account(set("alice", groups(Setting::Clear))).await.account;
    assert!(account.groups.is_empty());
}

#[tokio::test]
async fn a_new_realm_brings_new_names() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    let fields =
        AccountFields { domain: to("LAB"), realm: to("lab.example"), ..AccountFields::default() };
    let moved = desk.account(set("alice", fields)).await;
    assert_eq!(
        moved.logins,
        ["alice@lab", "alice@lab.example", r"lab.example\alice", r"lab\alice"]
    );
    assert!(desk.refusal(show_account("alice")).await.contains("no account"));
    desk.account(add_account("alice")).await;
}

#[tokio::test]
async fn a_disabled_account_logs_nobody_on() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let switch = |enabled| AdminRequest::AccountSwitch { account: "alice".into(), enabled };
    assert!(desk.account(switch(false)).await.account.disabled);
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::AccountDisabled);
    assert!(!desk.account(switch(true)).await.account.disabled);
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::PasscodeCorrect);
    let actions: Vec<_> = desk.actions().into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["account add", "token add", "account disable", "account enable"]);
}

#[tokio::test]
async fn unlocking_forgets_the_failures() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    for round in 1..=10 {
        desk.clock.set(START.plus(60 * round));
        assert_eq!(desk.attempt("alice", b"000000").await, Reason::WrongPasscode);
    }
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::LockedOut);
    let shown = desk.account(show_account("alice")).await;
    assert_eq!((shown.failures, shown.last_failure), (10, Some(START.plus(600))));
    assert_eq!(shown.gate, Gate::LockedOut { until: Some(START.plus(1500)) });

    let unlock = || AdminRequest::AccountUnlock { account: "alice".into() };
    let unlocked = desk.account(unlock()).await;
    assert_eq!((unlocked.failures, unlocked.last_failure), (0, None));
    assert_eq!(unlocked.gate, Gate::Open);
    desk.account(unlock()).await;
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::PasscodeCorrect);
}

#[tokio::test]
async fn removing_an_account_names_the_tokens_left_behind() {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    desk.account(add_account("bob")).await;
    let left = desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let mut shared = event_token("alice");
    shared.accounts.push("bob".into());
    desk.token(AdminRequest::TokenAdd(shared)).await;

    let remove = AdminRequest::AccountRemove { account: "alice".into() };
    let AdminReply::AccountRemoved { account, left: orphans } = desk.ask(remove).await.unwrap()
    else {
        panic!("not removed");
    };
    assert_eq!(account.name, "alice");
    assert_eq!(orphans.iter().map(|token| token.id).collect::<Vec<_>>(), [left.id]);
    assert!(desk.refusal(show_account("alice")).await.contains("no account"));
    assert_eq!(desk.account(show_account("bob")).await.tokens.len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let desk = Desk::new();
    for name in ["a", "b", "c"] {
        desk.account(add_account(name)).await;
    }
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let list = AdminRequest::AccountList { after, limit: 2 };
        let AdminReply::Accounts(page) = desk.ask(list).await.unwrap() else { panic!("no list") };
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        names.extend(page.into_iter().map(|account| account.name));
    }
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
}
