//! What a command line asks for, where its secrets come from, and how an answer reads.

use clap::{CommandFactory, Parser};
use countersign_core::{
    domain::{account::Validity, token::TokenKind},
    oath::hotp::{Algorithm, Digits},
};

use super::{add::DEFAULT_PERIOD, *};
use crate::app::admin::CounterView;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    token: Token,
}

/// The request of a command line, as JSON.
fn request(arguments: &[&str]) -> Result<serde_json::Value, String> {
    let line = Line::try_parse_from([&["token"], arguments].concat());
    let request = line.map_err(|error| error.to_string())?.token.command.into_request();
    let request = request.map_err(|error| format!("{error:#}"))?;
    serde_json::to_value(request).map_err(|error| error.to_string())
}

#[test]
fn the_definition_has_no_contradiction() {
    Line::command().debug_assert();
}

#[test]
fn add_takes_the_usual_token_without_more_arguments() {
    let added = request(&["add", "alice", "--show-uri"]).unwrap();
    let added = &added["token-add"];
    assert_eq!(added["accounts"], serde_json::json!(["alice"]));
    let kind = serde_json::json!({
        "type": "totp",
        "algorithm": "SHA1",
        "digits": 6,
        "period": 30,
        "secret": { "draw-and-show": { "issuer": null } },
    });
    assert_eq!(added["kind"], kind);
    assert!(added["pin"].is_null());
}

#[test]
fn add_takes_every_kind_of_token() {
    let cases = [
        ("--show-uri --algorithm SHA-256 --digits 10 --period 1", "SHA256", 10, "period", 1),
        ("--show-uri --algorithm sha512 --digits 8 --period 60", "SHA512", 8, "period", 60),
        ("--show-uri --type hotp", "SHA1", 6, "counter", 0),
        ("--show-uri --type hotp --counter 7", "SHA1", 6, "counter", 7),
    ];
    for (arguments, algorithm, digits, field, value) in cases {
        let arguments: Vec<_> = ["add", "alice"].into_iter().chain(arguments.split(' ')).collect();
        let added = request(&arguments).unwrap();
        let kind = &added["token-add"]["kind"];
        assert_eq!(kind["algorithm"], algorithm);
        assert_eq!((&kind["digits"], &kind[field]), (&digits.into(), &value.into()));
    }
    let remote = request(&["add", "bob", "--type", "remote", "--upstream", "old"]).unwrap();
    assert_eq!(remote["token-add"]["kind"]["upstream"], "old");
    let arguments = "add bob --type remote --upstream old --user-name rsmith";
    let remote = request(&arguments.split(' ').collect::<Vec<_>>()).unwrap();
    assert_eq!(remote["token-add"]["kind"]["user_name"], "rsmith");
}

#[test]
fn add_takes_tokens_whose_otps_are_sent() {
    let request = |arguments: &str| request(&arguments.split(' ').collect::<Vec<_>>());
    let added = request("add bob --type delivered --via sms --to +491704711 --digits 8").unwrap();
    let kind = serde_json::json!({
        "type": "delivered",
        "channel": "sms",
        "to": "+491704711",
        "digits": 8,
    });
    assert_eq!(added["token-add"]["kind"], kind);
    let added = request("add bob --type delivered --via mail").unwrap();
    assert!(added["token-add"]["kind"]["to"].is_null());
    let set = request("set phone --to +491704712").unwrap();
    assert_eq!(set["token-set"]["fields"]["to"]["to"], "+491704712");
    let set = self::request(&["set", "phone", "--to", ""]).unwrap();
    assert_eq!(set["token-set"]["fields"]["to"], "clear");
}

#[test]
fn indicators_may_be_given_several_times() {
    let request = |arguments: &str| request(&arguments.split(' ').collect::<Vec<_>>()).unwrap();
    let added = request("add bob --show-uri --indicator otp --indicator hardware");
    assert_eq!(added["token-add"]["indicators"], serde_json::json!(["otp", "hardware"]));
    let set = request("set phone --indicator otp --indicator strong");
    let replaced = serde_json::json!({ "to": ["otp", "strong"] });
    assert_eq!(set["token-set"]["fields"]["indicators"], replaced);
    let set = request("set phone --no-indicators");
    assert_eq!(set["token-set"]["fields"]["indicators"], "clear");
    let set = request("set phone --label x");
    assert!(set["token-set"]["fields"]["indicators"].is_null());
}

#[test]
fn secrets_come_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (seed, pin) = (path("seed", "3132333435363738393031\n"), path("pin", "4711\n"));
    let arguments =
        ["add", "alice", "--secret-file", &seed, "--secret-format", "hex", "--pin-file", &pin];
    let added = request(&arguments).unwrap();
    assert_eq!(added["token-add"]["kind"]["secret"]["hex"], "3132333435363738393031");
    assert_eq!(added["token-add"]["pin"], "4711");

    let otps = path("otps", "755224 287082\n");
    let resync = request(&["resync", "phone", "--otp-file", &otps]).unwrap();
    assert_eq!(resync["token-resync"]["second"], "287082");
    let set = request(&["set", "phone", "--pin-file", &pin]).unwrap();
    assert_eq!(set["token-set"]["fields"]["pin"]["to"], "4711");
}

#[test]
fn a_secret_that_is_none_is_refused_by_the_name_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("garbage");
    std::fs::write(&path, "not base32!").unwrap();
    let path = path.to_str().unwrap();
    let error = request(&["add", "alice", "--secret-file", path]).unwrap_err();
    assert!(error.contains(path) && error.contains("base32 (letters"), "{error}");
    assert!(!error.contains("not base32!"), "{error}");
}

#[test]
fn what_would_have_no_effect_on_this_type_is_refused() {
    for (arguments, expected) in [
        ("--type remote --upstream old --digits 8", "--digits is not for a token of type remote"),
        ("--type delivered --via sms --algorithm sha256", "--algorithm is not for a token of type"),
        ("--show-uri --via sms", "--via is not for a token of type totp"),
    ] {
        let arguments: Vec<_> = ["add", "bob"].into_iter().chain(arguments.split(' ')).collect();
        let error = request(&arguments).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_token_whose_secret_nobody_would_have_is_refused() {
    let error = request(&["add", "alice"]).unwrap_err();
    assert!(error.contains("--show-uri") && error.contains("--secret-file"), "{error}");
}

/// Other users can read arguments; whatever takes a secret must take the name of a file.
#[test]
fn no_argument_takes_a_secret() {
    for secret in ["--secret", "--pin", "--otp", "--seed", "--password"] {
        let error = request(&["add", "alice", secret, "x"]).unwrap_err();
        assert!(error.contains("unexpected argument"), "{error}");
    }
    let error = request(&["resync", "phone", "755224", "287082"]).unwrap_err();
    assert!(error.contains("unexpected argument"), "{error}");
}

#[test]
fn arguments_without_effect_are_refused() {
    for (arguments, expected) in [
        ("add --show-uri", "<ACCOUNTS>"),
        ("add alice --show-uri --counter 1", "--counter is not for a token of type totp"),
        (
            "add alice --show-uri --type hotp --period 60",
            "--period is not for a token of type hotp",
        ),
        ("add alice --show-uri --upstream old", "--upstream is not for"),
        ("add alice --type remote --upstream old --show-uri", "--show-uri, --ask-secret or"),
        ("add alice --type remote", "--upstream"),
        ("add alice --show-uri --secret-file x", "cannot be used with"),
        ("add alice --ask-secret --secret-file x", "cannot be used with"),
        ("add alice --secret-file - --pin-file -", "standard input"),
        ("add alice --issuer ACME", "--show-uri"),
        ("add alice --show-uri --digits 5", "6 to 10"),
        ("add alice --show-uri --period 0", "--period"),
        ("add alice --show-uri --algorithm md5", "sha1, sha224, sha256, sha384 or sha512"),
        ("set phone --no-pin --ask-pin", "cannot be used with"),
        ("set phone --no-indicators --indicator otp", "cannot be used with"),
        ("add alice --show-uri --to a@b", "--to is not for a token of type totp"),
        ("add alice --show-uri --via sms", "--via is not for"),
        ("add alice --show-uri --user-name a", "--user-name is not for"),
        ("add alice --type delivered", "--via"),
        ("add alice --type delivered --via sms --show-uri", "--show-uri, --ask-secret or"),
        ("add alice --type delivered --via sms --digits 11", "6 to 10"),
        ("add alice --type delivered --via sms --counter 1", "--counter is not for"),
    ] {
        let error = request(&arguments.split(' ').collect::<Vec<_>>()).unwrap_err();
        assert!(error.contains(expected), "{arguments}: {error}");
    }
}

#[test]
fn every_command_asks_for_its_job() {
    for (arguments, job) in [
        ("show phone", "token-show"),
        ("set phone --no-pin", "token-set"),
        ("enable phone", "token-switch"),
        ("disable phone", "token-switch"),
        ("assign phone bob", "token-assign"),
        ("unassign phone bob", "token-assign"),
        ("remove phone", "token-remove"),
    ] {
        let request = request(&arguments.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!(request[job]["token"], "phone", "{arguments}");
        if job == "token-assign" {
            assert_eq!(request[job]["assigned"], arguments.starts_with("assign"));
            assert_eq!(request[job]["account"], "bob");
        }
    }
    assert!(request(&["list"]).unwrap()["token-list"].is_object());
    assert_eq!(request(&["list", "alice"]).unwrap()["account-show"]["account"], "alice");
}

#[test]
fn a_token_reads_well() {
    let view = TokenView {
        id: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
        label: "Alice's phone".into(),
        kind: TokenKind::Totp {
            algorithm: Algorithm::Sha256,
            digits: Digits::SIX,
            period: DEFAULT_PERIOD,
        },
        owner: None,
        accounts: Vec::new(),
        pin: true,
        indicators: vec!["otp".into(), "hardware".into()],
        disabled: false,
        validity: Validity { not_before: None, not_after: Some(UnixTime(1_800_000_000)) },
        counter: Some(CounterView { next: 60_000_001, drift: -2, resynchronising: true }),
    };
    let expected = r#""Alice's phone"
  id         00000000-0000-0000-0000-000000000001
  type       TOTP SHA-256, 6 digits, 30 s
  state      enabled
  accounts   assigned to nobody
  PIN        asked for
  indicators otp, hardware
  valid      until 2027-01-15T08:00:00Z
  next       60000001
  drift      -2 time steps
  resync     begun; the next OTP in a row completes it
"#;
    assert_eq!(token(&view), expected);
    let uri = ClearText::from("otpauth://totp/x".to_owned());
    assert!(addition(&view, Some(&uri)).ends_with("who has it can log on:\n  otpauth://totp/x\n"));
}

#[test]
fn every_type_of_token_reads_well() {
    let view = |kind| TokenView {
        id: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
        label: "x".into(),
        kind,
        owner: None,
        accounts: Vec::new(),
        pin: false,
        indicators: Vec::new(),
        disabled: false,
        validity: Validity::default(),
        counter: None,
    };
    let (upstream, channel) = ("old".to_owned(), "sms".to_owned());
    for (kind, expected) in [
        (
            TokenKind::Remote { upstream, user_name: Some("rsmith".into()) },
            "decided by upstream old, asked about rsmith",
        ),
        (
            TokenKind::Delivered { channel, to: Some("+49 170".into()), digits: Digits::SIX },
            "delivered by sms to +49 170, 6 digits",
        ),
        (
            TokenKind::Delivered { channel: "mail".into(), to: None, digits: Digits::SIX },
            "delivered by mail to the person's mail address, 6 digits",
        ),
    ] {
        assert!(summary(&view(kind)).ends_with(expected), "{expected}");
    }
}
