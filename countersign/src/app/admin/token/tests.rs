//! Tokens over a store in memory, with a validator as the judge.

use std::num::NonZeroU32;

use countersign_core::{
    domain::verdict::Reason,
    oath::hotp::{Digits, HotpKey},
};

use super::*;
use crate::app::admin::{
    AdminRequest, NewPerson,
    testing::{Desk, START, add_account, clear, event_token, otp, show_account},
};

fn drawn(account: &str, algorithm: Algorithm, digits: u8, period: u32) -> NewToken {
    let kind = NewKind::Totp {
        algorithm,
        digits: Digits::try_from(digits).unwrap(),
        period: NonZeroU32::new(period).unwrap(),
        secret: NewSecret::DrawAndShow { issuer: None },
    };
    NewToken { kind, ..event_token(account) }
}

fn with_secret(secret: NewSecret) -> NewToken {
    let (algorithm, digits) = (Algorithm::Sha1, Digits::SIX);
    NewToken {
        kind: NewKind::Hotp { algorithm, digits, counter: 0, secret },
        ..event_token("alice")
    }
}

fn remote(upstream: &str) -> NewToken {
    let kind = NewKind::Remote { upstream: upstream.into(), user_name: None };
    NewToken { kind, ..event_token("alice") }
}

fn delivered(channel: &str, to: Option<&str>) -> NewToken {
    let (channel, to) = (channel.to_owned(), to.map(str::to_owned));
    let kind = NewKind::Delivered { channel, to, digits: Digits::try_from(8).unwrap() };
    NewToken { kind, ..event_token("alice") }
}

fn show(token: &str) -> AdminRequest {
    AdminRequest::TokenShow { token: token.into() }
}

fn resync(token: &str, first: u64, second: u64) -> AdminRequest {
    let (first, second) = (clear(&otp(first)), clear(&otp(second)));
    AdminRequest::TokenResync { token: token.into(), first, second }
}

async fn desk_with_alice() -> Desk {
    let desk = Desk::new();
    desk.account(add_account("alice")).await;
    desk
}

#[tokio::test]
async fn a_drawn_secret_is_shown_once_and_works() {
    let desk = desk_with_alice().await;
    for (algorithm, digits, period) in
        [(Algorithm::Sha1, 6, 30), (Algorithm::Sha256, 8, 60), (Algorithm::Sha512, 10, 1)]
    {
        let new = drawn("alice", algorithm, digits, period);
        let reply = desk.ask(AdminRequest::TokenAdd(new)).await.unwrap();
        let AdminReply::TokenAdded { token, uri: Some(uri) } = reply else { panic!("no URI") };
        let key = KeyUri::parse(uri.0.expose()).unwrap();
        assert_eq!((key.algorithm, u8::from(key.digits)), (algorithm, digits));
        assert_eq!(key.secret.expose().len(), algorithm.output_length());
        assert_eq!(key.issuer.as_deref(), Some("corp.example"));
        assert_eq!(key.account, "alice@corp.example");
        let hotp = HotpKey::new(algorithm, key.secret.expose_bytes());
        let otp = hotp.otp(START.0 / u64::from(period), key.digits);
        assert_eq!(desk.attempt("alice", otp.as_bytes()).await, Reason::PasscodeCorrect);
        assert_eq!(desk.attempt("alice", otp.as_bytes()).await, Reason::Replayed);
        let shown = serde_json::to_string(&desk.ask(show(&token.id.to_string())).await.unwrap());
        assert!(!shown.unwrap().contains("otpauth"));
    }
}

#[tokio::test]
async fn a_given_secret_works_and_is_never_shown() {
    let desk = desk_with_alice().await;
    let hex = "31:32:33:34:35:36:37:38:39:30 31323334353637383930";
    for secret in [
        NewSecret::Base32(clear("gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n")),
        NewSecret::Base32(clear("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====")),
        NewSecret::Hex(clear(hex)),
    ] {
        let reply = desk.ask(AdminRequest::TokenAdd(with_secret(secret))).await.unwrap();
        let AdminReply::TokenAdded { token, uri: None } = reply else { panic!("{reply:?}") };
        assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::PasscodeCorrect);
        let remove = AdminRequest::TokenRemove { token: token.id.to_string() };
        desk.ask(remove).await.unwrap();
    }
}

#[tokio::test]
async fn secrets_that_cannot_be_are_refused_and_not_repeated() {
    let desk = desk_with_alice().await;
    let cases = [
        (NewSecret::Base32(clear("GEZDGNBV1")), "not base32"),
        (NewSecret::Base32(clear("")), "0 octets"),
        (NewSecret::Base32(clear("GEZDGNBVGY3TQ")), "8 octets"),
        (NewSecret::Hex(clear("GEZDGNBVGY3TQOJQ")), "not hexadecimal"),
        (NewSecret::Hex(clear("313")), "not hexadecimal"),
        (NewSecret::Hex(clear(&"31".repeat(129))), "129 octets"),
    ];
    for (secret, expected) in cases {
        let refusal = desk.refusal(AdminRequest::TokenAdd(with_secret(secret))).await;
        assert!(refusal.contains(expected), "{refusal} / {expected}");
        assert!(!refusal.contains("GEZD") && !refusal.contains("3131"), "{refusal}");
    }
}

#[tokio::test]
async fn a_counter_token_begins_where_it_is_told() {
    let desk = desk_with_alice().await;
    let mut new = event_token("alice");
    let NewKind::Hotp { counter, .. } = &mut new.kind else { panic!("no HOTP") };
    *counter = 7;
    let token = desk.token(AdminRequest::TokenAdd(new)).await;
    assert_eq!(token.counter.unwrap().next, 7);
    assert_eq!(desk.attempt("alice", otp(6).as_bytes()).await, Reason::Replayed);
    assert_eq!(desk.attempt("alice", otp(7).as_bytes()).await, Reason::PasscodeCorrect);
    assert_eq!(desk.token(show("alice hotp")).await.counter.unwrap().next, 8);
}

#[tokio::test]
async fn pin_is_set_changed_and_removed() {
    let desk = desk_with_alice().await;
    let new = NewToken { pin: Some(clear("4711")), ..event_token("alice") };
    assert!(desk.token(AdminRequest::TokenAdd(new)).await.pin);
    let with_pin = |pin: &str, factor| [pin.as_bytes(), otp(factor).as_bytes()].concat();
    assert_eq!(desk.attempt("alice", &with_pin("4711", 0)).await, Reason::PasscodeCorrect);
    let set = |pin| {
        let fields = TokenFields { pin: Some(pin), ..TokenFields::default() };
        AdminRequest::TokenSet { token: "alice hotp".into(), fields }
    };
    desk.token(set(Setting::To(clear("geheim")))).await;
    assert_eq!(desk.attempt("alice", &with_pin("4711", 1)).await, Reason::WrongPin);
    assert_eq!(desk.attempt("alice", &with_pin("geheim", 2)).await, Reason::PasscodeCorrect);
    assert!(!desk.token(set(Setting::Clear)).await.pin);
    assert_eq!(desk.attempt("alice", otp(3).as_bytes()).await, Reason::PasscodeCorrect);
    for pin in ["471", &"1".repeat(65)] {
        let refusal = desk.refusal(set(Setting::To(clear(pin)))).await;
        assert!(refusal.contains("4 to 64") && !refusal.contains(pin), "{refusal}");
    }
}

/// While the PIN is hashed, somebody else switches the token off: it stays off.
#[tokio::test]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let desk = desk_with_alice().await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let token = || "alice hotp".to_owned();
    let fields = TokenFields { pin: Some(Setting::To(clear("4711"))), ..TokenFields::default() };
    let set = desk.ask(AdminRequest::TokenSet { token: token(), fields });
    let switch = desk.ask(AdminRequest::TokenSwitch { token: token(), enabled: false });
    let (set, switched) = tokio::join!(set, switch);
    assert!(set.is_ok() && switched.is_ok());
    let shown = desk.token(show("alice hotp")).await;
    assert!(shown.pin && shown.disabled);
}

#[tokio::test]
async fn no_reply_has_room_for_the_hash_of_a_pin() {
    let desk = desk_with_alice().await;
    let new = NewToken { pin: Some(clear("4711")), ..event_token("alice") };
    let list = AdminRequest::TokenList { after: None, limit: 9 };
    for request in [AdminRequest::TokenAdd(new), show("alice hotp"), list, show_account("alice")] {
        let reply = serde_json::to_string(&desk.ask(request).await.unwrap()).unwrap();
        assert!(!reply.contains("argon2") && !reply.contains("4711"), "{reply}");
    }
}

#[tokio::test]
async fn switched_off_or_expired_tokens_are_not_used() {
    let desk = desk_with_alice().await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let switch = |enabled| AdminRequest::TokenSwitch { token: "alice hotp".into(), enabled };
    assert!(desk.token(switch(false)).await.disabled);
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::NoUsableToken);
    assert!(!desk.token(switch(true)).await.disabled);
    let fields =
        TokenFields { not_after: Some(Setting::To(START.minus(1))), ..TokenFields::default() };
    desk.token(AdminRequest::TokenSet { token: "alice hotp".into(), fields }).await;
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::NoUsableToken);
}

#[tokio::test]
async fn a_token_follows_its_assignments() {
    let desk = desk_with_alice().await;
    desk.account(add_account("bob")).await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let assign = |account: &str, assigned| AdminRequest::TokenAssign {
        token: "alice hotp".into(),
        account: account.into(),
        assigned,
    };
    let logins: Vec<_> =
        desk.token(assign("bob", true)).await.accounts.into_iter().map(|name| name.login).collect();
    assert_eq!(logins, [r"CORP\alice", r"CORP\bob"]);
    assert_eq!(desk.attempt("bob", otp(0).as_bytes()).await, Reason::PasscodeCorrect);
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::Replayed);
    desk.token(assign("alice", false)).await;
    assert_eq!(desk.attempt("alice", otp(1).as_bytes()).await, Reason::NoToken);
    let nobody = desk.token(assign("bob", false)).await;
    assert!(nobody.accounts.is_empty() && nobody.counter.is_none());
    let refusal = desk.refusal(resync("alice hotp", 5, 6)).await;
    assert!(refusal.contains("countersign token assign"), "{refusal}");
    assert!(desk.actions().iter().any(|(action, _)| action == "token unassign from bob"));
}

#[tokio::test]
async fn two_otps_bring_a_token_back_and_are_spent() {
    let desk = desk_with_alice().await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let refusal = desk.refusal(resync("alice hotp", 501, 500)).await;
    assert!(refusal.contains("its next 1000 OTPs"), "{refusal}");
    let token = desk.token(resync("alice hotp", 500, 501)).await;
    assert_eq!(token.counter.unwrap().next, 502);
    assert_eq!(desk.attempt("alice", otp(501).as_bytes()).await, Reason::Replayed);
    assert_eq!(desk.attempt("alice", otp(502).as_bytes()).await, Reason::PasscodeCorrect);
}

#[tokio::test]
async fn remote_tokens_have_an_upstream_and_nothing_to_keep() {
    let desk = desk_with_alice().await;
    let refusal = desk.refusal(AdminRequest::TokenAdd(remote("new"))).await;
    assert!(refusal.contains("no upstream \"new\"; it has old"), "{refusal}");
    let pinned = NewToken { pin: Some(clear("4711")), ..remote("old") };
    assert!(desk.refusal(AdminRequest::TokenAdd(pinned)).await.contains("kept by its upstream"));
    let token = desk.token(AdminRequest::TokenAdd(remote("old"))).await;
    assert_eq!((token.label.as_str(), token.counter), ("alice old", None));
    assert!(desk.refusal(resync("alice old", 0, 1)).await.contains("kept by its upstream"));
    let fields = TokenFields { pin: Some(Setting::To(clear("4711"))), ..TokenFields::default() };
    let set = AdminRequest::TokenSet { token: "alice old".into(), fields };
    assert!(desk.refusal(set).await.contains("kept by its upstream"));
}

#[tokio::test]
async fn a_remote_token_may_be_asked_about_by_another_name() {
    let desk = desk_with_alice().await;
    let with = |name: &str| {
        let kind = NewKind::Remote { upstream: "old".into(), user_name: Some(name.into()) };
        AdminRequest::TokenAdd(NewToken { kind, ..event_token("alice") })
    };
    let token = desk.token(with("asmith")).await;
    let user_name = Some("asmith".to_owned());
    assert_eq!(token.kind, TokenKind::Remote { upstream: "old".into(), user_name });
    for name in ["", " ", "a\nb", &"x".repeat(254)] {
        assert!(desk.refusal(with(name)).await.starts_with("user name "), "{name:?}");
    }
}

#[tokio::test]
async fn a_delivered_token_has_a_secret_that_nobody_sees() {
    let desk = desk_with_alice().await;
    let pinned = NewToken { pin: Some(clear("4711")), ..delivered("sms", Some("+49 170 4711")) };
    let reply = desk.ask(AdminRequest::TokenAdd(pinned)).await.unwrap();
    let AdminReply::TokenAdded { token, uri: None } = reply else { panic!("{reply:?}") };
    assert_eq!((token.label.as_str(), token.pin), ("alice sms", true));
    assert_eq!(token.counter.unwrap().next, 0);
    let stored = desk.stored("alice").await.tokens.remove(0);
    assert!(stored.secret.is_some(), "it is sealed and kept");
    let refusal = desk.refusal(resync("alice sms", 0, 1)).await;
    assert!(refusal.contains("cannot be out of step"), "{refusal}");
}

#[tokio::test]
async fn a_delivered_token_needs_a_channel_and_an_address_for_it() {
    let desk = desk_with_alice().await;
    for (new, expected) in [
        (delivered("fax", Some("4711")), "no delivery channel \"fax\"; it has mail, sms"),
        (delivered("mail", None), "needs an address, and the owner of the token has no mail"),
        (delivered("sms", None), "give one by --to"),
        (delivered("mail", Some("+49 170 4711")), "a mail address is wanted"),
        (delivered("mail", Some("a@b\r\nBcc: c@d")), "a mail address is wanted"),
        (delivered("sms", Some("")), "an address has 1 to 320 octets"),
        (delivered("sms", Some("47\n11")), "no control characters"),
        (delivered("sms", Some(&"1".repeat(321))), "an address has 1 to 320 octets"),
    ] {
        let refusal = desk.refusal(AdminRequest::TokenAdd(new)).await;
        assert!(refusal.contains(expected), "{refusal} / {expected}");
    }
}

#[tokio::test]
async fn without_an_address_it_goes_to_the_mail_address_of_the_owner() {
    let desk = Desk::new();
    let mail = Some("alice@example.com".to_owned());
    let person = Some(NewPerson { name: "Alice Smith".into(), mail });
    let AdminRequest::AccountAdd { name, fields, .. } = add_account("alice") else { panic!() };
    desk.account(AdminRequest::AccountAdd { name, person, fields }).await;
    let token = desk.token(AdminRequest::TokenAdd(delivered("mail", None))).await;
    let TokenKind::Delivered { to: None, .. } = token.kind else { panic!("{token:?}") };

    let set = |to| {
        let fields = TokenFields { to: Some(to), ..TokenFields::default() };
        AdminRequest::TokenSet { token: "alice mail".into(), fields }
    };
    let moved = desk.token(set(Setting::To("a@example.org".into()))).await;
    let TokenKind::Delivered { to: Some(to), .. } = moved.kind else { panic!("{moved:?}") };
    assert_eq!(to, "a@example.org");
    assert!(desk.refusal(set(Setting::To("alice".into()))).await.contains("a mail address"));
    desk.token(set(Setting::Clear)).await;
}

#[tokio::test]
async fn only_a_delivered_token_has_an_address() {
    let desk = desk_with_alice().await;
    desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let to = Some(Setting::To("a@example.org".to_owned()));
    let fields = TokenFields { to, ..TokenFields::default() };
    let set = AdminRequest::TokenSet { token: "alice hotp".into(), fields };
    assert!(desk.refusal(set).await.contains("has no address"));
}

#[tokio::test]
async fn indicators_are_set_replaced_and_cleared() {
    let desk = desk_with_alice().await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let new = NewToken { indicators: names(&["otp", "hardware"]), ..event_token("alice") };
    let token = desk.token(AdminRequest::TokenAdd(new)).await;
    assert_eq!(token.indicators, ["otp", "hardware"]);
    let set = |setting| {
        let fields = TokenFields { indicators: Some(setting), ..TokenFields::default() };
        AdminRequest::TokenSet { token: "alice hotp".into(), fields }
    };
    assert_eq!(desk.token(set(Setting::To(names(&["strong"])))).await.indicators, ["strong"]);
    assert!(desk.refusal(set(Setting::To(names(&["a,b"])))).await.starts_with("indicator "));
    assert!(desk.token(set(Setting::Clear)).await.indicators.is_empty());
    let wrong = NewToken { indicators: names(&[""]), ..event_token("alice") };
    assert!(desk.refusal(AdminRequest::TokenAdd(wrong)).await.starts_with("indicator "));
}

#[tokio::test]
async fn tokens_are_named_by_id_or_by_a_label_of_their_own() {
    let desk = desk_with_alice().await;
    let first = desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    assert_eq!(desk.token(show("alice hotp")).await.id, first.id);
    let second = desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let refusal = desk.refusal(show("alice hotp")).await;
    assert!(refusal.contains("several tokens"), "{refusal}");
    assert!([first.id, second.id].iter().any(|id| refusal.contains(&id.to_string())));
    for id in [first.id, second.id] {
        assert_eq!(desk.token(show(&id.to_string())).await.id, id);
    }
    let none = TokenId::from_bytes([0; 16]).to_string();
    for name in ["alice", none.as_str()] {
        assert!(desk.refusal(show(name)).await.contains("there is no token"), "{name}");
    }
    for label in ["", " ", "a\nb", none.as_str()] {
        let fields = TokenFields { label: Some(label.into()), ..TokenFields::default() };
        let set = AdminRequest::TokenSet { token: first.id.to_string(), fields };
        assert!(desk.refusal(set).await.starts_with("label "), "{label:?}");
    }
}

#[tokio::test]
async fn the_owner_is_the_person_behind_the_first_account() {
    let desk = Desk::new();
    let person = Some(NewPerson { name: "Alice Smith".into(), mail: None });
    let AdminRequest::AccountAdd { name, fields, .. } = add_account("alice") else { panic!() };
    let alice = desk.account(AdminRequest::AccountAdd { name, person, fields }).await;
    let token = desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    assert_eq!(token.owner, alice.account.person);
    assert!(token.owner.is_some());
}

#[tokio::test]
async fn a_token_for_an_unknown_account_is_not_added() {
    let desk = desk_with_alice().await;
    let refusal = desk.refusal(AdminRequest::TokenAdd(event_token("bob"))).await;
    assert!(refusal.contains("no account \"bob\""), "{refusal}");
    let list = AdminRequest::TokenList { after: None, limit: usize::MAX };
    let AdminReply::Tokens(tokens) = desk.ask(list).await.unwrap() else { panic!("no list") };
    assert!(tokens.is_empty());
}

#[tokio::test]
async fn a_removed_token_is_gone() {
    let desk = desk_with_alice().await;
    let token = desk.token(AdminRequest::TokenAdd(event_token("alice"))).await;
    let remove = AdminRequest::TokenRemove { token: "alice hotp".into() };
    let AdminReply::TokenRemoved(removed) = desk.ask(remove).await.unwrap() else { panic!() };
    assert_eq!(removed.id, token.id);
    assert_eq!(desk.attempt("alice", otp(0).as_bytes()).await, Reason::NoToken);
    assert!(desk.refusal(show(&token.id.to_string())).await.contains("there is no token"));
}
