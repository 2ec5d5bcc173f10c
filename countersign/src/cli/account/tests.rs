//! What a command line asks for, and how an answer reads.

use clap::{CommandFactory, Parser};
use countersign_core::domain::{id::AccountId, token::TokenKind};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    account: Account,
}

/// The request of a command line, as JSON.
fn request(arguments: &[&str]) -> Result<serde_json::Value, String> {
    let line = Line::try_parse_from([&["account"], arguments].concat());
    let request = line.map_err(|error| error.to_string())?.account.command.into_request();
    serde_json::to_value(request).map_err(|error| error.to_string())
}

fn fields(account: &AccountFields) -> serde_json::Value {
    serde_json::to_value(account).unwrap()
}

#[test]
fn the_definition_has_no_contradiction() {
    Line::command().debug_assert();
}

#[test]
fn add_and_set_take_every_field() {
    let arguments = "--domain LAB --realm lab.example --upn a@b --dn CN=A --sid S-1-5-21-1 \
                     --valid-from 2027-01-15 --valid-until 2027-01-15T08:00:00Z --upstream old \
                     --group admins --group vpn";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let to = |text: &str| Some(Setting::To(text.to_owned()));
    let expected = fields(&AccountFields {
        domain: to("LAB"),
        realm: to("lab.example"),
        upn: to("a@b"),
        dn: to("CN=A"),
        sid: to("S-1-5-21-1"),
        not_before: Some(Setting::To(UnixTime(1_799_971_200))),
        not_after: Some(Setting::To(UnixTime(1_800_000_000))),
        upstream: to("old"),
        groups: Some(Setting::To(vec!["admins".into(), "vpn".into()])),
    });
    let added =
        request(&[&["add", "alice", "--person", "Alice"], &arguments[..]].concat()).unwrap();
    assert_eq!(added["account-add"]["name"], "alice");
    assert_eq!(added["account-add"]["person"]["name"], "Alice");
    assert_eq!(added["account-add"]["fields"], expected);
    let set = request(&[&["set", "alice"], &arguments[..]].concat()).unwrap();
    assert_eq!(set["account-set"]["fields"], expected);
}

#[test]
fn an_empty_value_clears_and_an_absent_one_leaves() {
    let set = request(&["set", "alice", "--upn", "", "--valid-until", "", "--no-groups"]).unwrap();
    let cleared = AccountFields {
        upn: Some(Setting::Clear),
        not_after: Some(Setting::Clear),
        groups: Some(Setting::Clear),
        ..AccountFields::default()
    };
    assert_eq!(set["account-set"]["fields"], fields(&cleared));
}

#[test]
fn every_command_asks_for_its_job() {
    for (arguments, job) in [
        (["show", "alice"], "account-show"),
        (["enable", "alice"], "account-switch"),
        (["disable", "alice"], "account-switch"),
        (["unlock", "alice"], "account-unlock"),
        (["remove", "alice"], "account-remove"),
    ] {
        let request = request(&arguments).unwrap();
        assert_eq!(request[job]["account"], "alice", "{arguments:?}");
        if job == "account-switch" {
            assert_eq!(request[job]["enabled"], arguments[0] == "enable");
        }
    }
    assert!(request(&["list"]).unwrap().is_null());
}

#[test]
fn wrong_usage_is_refused() {
    for (arguments, expected) in [
        (vec!["add"], "<NAME>"),
        (vec!["add", "alice", "--mail", "a@b"], "--person"),
        (vec!["add", "alice", "--valid-until", "soon"], "2027-12-31"),
        (vec!["add", "alice", "--no-groups"], "--no-groups"),
        (vec!["set", "alice", "--no-groups", "--group", "a"], "cannot be used with"),
        (vec!["show"], "<ACCOUNT>"),
        (vec!["add", "alice", "--password", "x"], "--password"),
    ] {
        let error = request(&arguments).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_account_reads_well() {
    let stored: account::Account = serde_json::from_value(serde_json::json!({
        "id": AccountId::from_bytes([7; 16]),
        "name": "alice",
        "domain": "CORP",
        "realm": "corp.example",
        "groups": ["admins", "vpn users"],
        "validity": { "not_after": 1_800_000_000 },
    }))
    .unwrap();
    let token = TokenView {
        id: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
        label: "phone".into(),
        kind: TokenKind::Remote { upstream: "old".into(), user_name: None },
        owner: None,
        accounts: Vec::new(),
        pin: false,
        indicators: Vec::new(),
        disabled: true,
        validity: Validity::default(),
        counter: None,
    };
    let view = AccountView {
        account: stored,
        owner: None,
        logins: vec!["alice".into(), r"corp\alice".into()],
        failures: 10,
        last_failure: Some(UnixTime(1_799_999_000)),
        gate: Gate::LockedOut { until: Some(UnixTime(1_799_999_900)) },
        tokens: vec![token],
    };
    let expected = r#"CORP\alice
  id         07070707-0707-0707-0707-070707070707
  state      enabled
  valid      until 2027-01-15T08:00:00Z
  UPN        alice@corp.example
  logins     alice, corp\alice
  groups     admins, vpn users
  passcodes  decided by its tokens
  failures   10 since the last success, the last at 2027-01-15T07:43:20Z; LOCKED until 2027-01-15T07:58:20Z
  token      "phone" 00000000-0000-0000-0000-000000000001 decided by upstream old, disabled
"#;
    assert_eq!(account(&view), expected);
}
