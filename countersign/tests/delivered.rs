//! Delivered OTPs on two nodes over one store: sent once, good once.

#![expect(clippy::unwrap_used, reason = "these are tests from end to end")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use countersign::{
    app::authenticate::{Authenticator, Others, Parts},
    audit::MemoryAudit,
    client::delivery,
    config::delivery::{DeliveryMeans, DeliverySettings, ScriptSettings},
    store::{Store, memory::Memory},
    vault::Vault,
};
use countersign_core::{
    domain::{
        account::Account,
        attempt::{Attempt, ListenerKind, Terms},
        id::{AccountId, CorrelationId, TokenId},
        name::{LoginName, Site},
        password::PasswordHash,
        policy::Policy,
        token::{PinHash, Token, TokenKind},
        validate::PinCheck,
        verdict::{Outcome, Reason},
    },
    oath::hotp::Digits,
    secret::Secret,
    time::UnixTime,
};
use tokio::task::JoinSet;

const NOW: UnixTime = UnixTime(1_800_000_000);
const MANY: usize = 16;

/// Two nodes whose channel writes OTPs into a file, and one whose config lacks the channel.
struct Nodes {
    directory: tempfile::TempDir,
    with_channel: [Arc<Authenticator>; 2],
    without: Arc<Authenticator>,
}

impl Nodes {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::create(&directory.path().join("key")).unwrap());
        let store = Arc::new(Memory::new());
        store.insert_account(account(), Site::default()).await.unwrap();
        let sealed = vault.seal(token().id, b"12345678901234567890").unwrap();
        store.insert_token(token(), Some(sealed), 0).await.unwrap();
        let node = |others| node(&store, &vault, others);
        let file = directory.path().join("sent");
        let with_channel = [node(channel(&file)), node(channel(&file))];
        Self { with_channel, without: node(Others::default()), directory }
    }

    /// What the user has received.
    fn sent(&self) -> Vec<String> {
        let sent = fs::read_to_string(self.directory.path().join("sent")).unwrap_or_default();
        sent.lines().map(str::to_owned).collect()
    }

    /// Many say the same at once, to one node and the other.
    async fn all_at_once(&self, passcode: &str) -> Vec<(Outcome, Reason)> {
        let mut attempts = JoinSet::new();
        for node in self.with_channel.iter().cycle().take(MANY) {
            let (node, passcode) = (node.clone(), passcode.to_owned());
            attempts.spawn(async move { says(&node, &passcode).await });
        }
        attempts.join_all().await
    }
}

fn node(store: &Arc<Memory>, vault: &Arc<Vault>, others: Others) -> Arc<Authenticator> {
    Arc::new(Authenticator::new(Parts {
        store: store.clone(),
        vault: vault.clone(),
        audit: Arc::new(MemoryAudit::default()),
        policy: Policy::default(),
        pins: Arc::new(NoPins),
        pin_permits: 1,
        others: others.shared(),
    }))
}

fn channel(file: &Path) -> Others {
    let arguments = vec!["-c".into(), format!("cat >> {}", file.display())];
    let script = ScriptSettings { program: "/bin/sh".into(), arguments };
    let settings = DeliverySettings {
        name: "script".into(),
        means: DeliveryMeans::Script(script),
        timeout: Duration::from_secs(60),
        max_at_once: MANY,
    };
    Others { channels: delivery::channels(&[settings]).unwrap(), ..Others::default() }
}

async fn says(node: &Authenticator, passcode: &str) -> (Outcome, Reason) {
    let attempt = Attempt {
        correlation: CorrelationId::from_bytes([0; 16]),
        login: LoginName::parse("alice").unwrap(),
        passcode: Secret::new(passcode.as_bytes().to_vec()),
        listener: ListenerKind::Radius,
        peer: "vpn".into(),
        at: NOW,
        terms: Terms { may_challenge: true, ..Terms::default() },
    };
    let verdict = node.authenticate(attempt).await.verdict;
    (verdict.outcome, verdict.reason)
}

fn account() -> Account {
    Account::new(AccountId::from_bytes([1; 16]), "alice".into())
}

fn token() -> Token {
    let (channel, to) = ("script".to_owned(), Some("+49 30 1234".to_owned()));
    let kind = TokenKind::Delivered { channel, to, digits: Digits::SIX };
    Token {
        accounts: vec![account().id],
        ..Token::new(TokenId::from_bytes([7; 16]), "telephone".into(), kind)
    }
}

struct NoPins;

impl PinCheck for NoPins {
    fn matches(&self, _: &PinHash, _: &[u8]) -> bool {
        false
    }

    fn password_matches(&self, _: &PasswordHash, _: &[u8]) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_one_has_it_sent_and_of_many_who_have_it_one_is_let_in() {
    let nodes = Nodes::start().await;
    let asked = nodes.all_at_once("otp").await;
    assert_eq!(asked, [(Outcome::Challenged, Reason::OtpSent); MANY]);
    let sent = nodes.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let found = nodes.all_at_once(&sent[0]).await;
    let accepted = found.iter().filter(|(outcome, _)| *outcome == Outcome::Accepted);
    assert_eq!(accepted.count(), 1, "{found:?}");
}

#[tokio::test]
async fn an_otp_that_did_not_leave_is_good_for_nothing_and_asked_for_again_at_once() {
    let nodes = Nodes::start().await;
    let failed = says(&nodes.without, "otp").await;
    assert_eq!(failed, (Outcome::Unavailable, Reason::DeliveryFailed));
    let node = &nodes.with_channel[0];
    let guessed = says(node, "755224").await;
    assert_eq!(guessed, (Outcome::Rejected, Reason::WrongPasscode), "HOTP 0, which was not sent");
    assert_eq!(says(node, "otp").await, (Outcome::Challenged, Reason::OtpSent));
    let sent = nodes.sent();
    assert_eq!((sent.len(), says(node, &sent[0]).await.0), (1, Outcome::Accepted));
    assert_eq!(says(node, &sent[0]).await, (Outcome::Rejected, Reason::Replayed));
}
