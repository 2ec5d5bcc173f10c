//! Binds: what reaches the directory server of them, and what the client is told.

use countersign::config::ldap_proxy::{Sasl, WithoutToken};
use countersign_core::{
    domain::{
        name::LoginName,
        verdict::{Outcome, Reason},
    },
    wire::ldap::{
        bind::anonymous,
        message::{MessageId, Operation},
        result::ResultCode,
    },
};
use tokio::net::UnixStream;

use crate::support::{
    ALICE, BOB, End, Proxy, Setup, bind, bound, element, message, otp, sasl, who_am_i, you_are,
};

const INVALID: u32 = ResultCode::INVALID_CREDENTIALS.0;

/// Binds a client as alice, with the OTP of this counter.
async fn bind_alice(proxy: &Proxy, counter: u64) -> (End<UnixStream>, End<UnixStream>) {
    let mut client = proxy.client().await;
    client.send(&bind(1, ALICE, &format!("secret{}", otp(counter)))).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, ALICE, "secret")).await;
    server.send(&bound(1, 0)).await;
    assert_eq!(client.bound(1).await, 0);
    (client, server)
}

#[tokio::test]
async fn the_password_goes_on_alone_and_the_answer_comes_back_with_its_controls() {
    let proxy = Proxy::start(Setup::default()).await;
    let controls = element(0xa0, &element(0x30, &element(0x04, b"1.3.6.1.4.1.42.2.27.8.5.1")));
    let with_controls = |message: &[u8]| element(0x30, &[&message[2..], &controls].concat());
    let mut client = proxy.client().await;
    client.send(&with_controls(&bind(1, ALICE, &format!("secret{}", otp(0))))).await;
    let mut server = proxy.server().await;
    server.expect(&with_controls(&bind(1, ALICE, "secret"))).await;
    server.send(&with_controls(&bound(1, 0))).await;
    client.expect(&with_controls(&bound(1, 0))).await;
    assert_eq!(proxy.reasons(), [Reason::PasscodeCorrect]);
}

#[tokio::test]
async fn what_is_wrong_does_not_reach_the_directory_server() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = bind_alice(&proxy, 0).await;
    let replayed = format!("secret{}", otp(0));
    for (number, password) in [(2, &*replayed), (3, "secret"), (4, "secret000000"), (5, "x")] {
        client.send(&bind(number, ALICE, password)).await;
        if number == 2 {
            // Who fails is nobody from then on, and somebody was bound before.
            server.expect(&anonymous(MessageId::MAX)).await;
            server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
        }
        assert_eq!(client.bound(number).await, INVALID);
    }
    client.send(&message(6, Operation::DELETE_REQUEST, b"o=x")).await;
    server.expect(&message(6, Operation::DELETE_REQUEST, b"o=x")).await;
}

#[tokio::test]
async fn a_directory_that_takes_no_anonymous_bind_has_forgotten_who_was_bound_all_the_same() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = bind_alice(&proxy, 0).await;
    client.send(&bind(2, ALICE, "wrong")).await;
    server.expect(&anonymous(MessageId::MAX)).await;
    server.send(&own_result(Operation::BIND_RESPONSE, 48)).await;
    assert_eq!(client.bound(2).await, INVALID);
}

#[tokio::test]
async fn an_otp_without_a_password_is_refused_here() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, ALICE, &otp(0))).await;
    assert_eq!(client.bound(1).await, INVALID);
    assert_eq!(proxy.reasons(), [Reason::WrongPassword]);
}

#[tokio::test]
async fn a_password_that_the_directory_refuses_is_recorded_and_its_otp_is_spent() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, ALICE, &format!("wrong{}", otp(0)))).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, ALICE, "wrong")).await;
    server.send(&bound(1, INVALID)).await;
    client.expect(&bound(1, INVALID)).await;
    client.send(&bind(2, ALICE, &format!("secret{}", otp(0)))).await;
    assert_eq!(client.bound(2).await, INVALID);
    assert_eq!(proxy.reasons(), [Reason::WrongPassword, Reason::Replayed]);
}

#[tokio::test]
async fn nobody_is_recorded_as_accepted_before_the_directory_has_accepted() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, ALICE, &format!("secret{}", otp(0)))).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, ALICE, "secret")).await;
    assert_eq!(proxy.reasons(), []);
    server.send(&bound(1, 0)).await;
    assert_eq!(client.bound(1).await, 0);
    let accepted = (Outcome::Accepted, Reason::PasscodeCorrect, true);
    assert_eq!(proxy.recorded(1).await, accepted);
}

#[tokio::test]
async fn a_directory_that_goes_away_has_let_nobody_in_and_that_is_no_failure() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut counter = 0;
    // More often than an account may fail.
    for _ in 0..12 {
        let mut client = proxy.client().await;
        client.send(&bind(1, ALICE, &format!("secret{}", otp(counter)))).await;
        let mut server = proxy.server().await;
        server.expect(&bind(1, ALICE, "secret")).await;
        drop(server);
        counter += 1;
        let unavailable = (Outcome::Unavailable, Reason::UpstreamSilent, true);
        assert_eq!(proxy.recorded(counter.try_into().unwrap()).await, unavailable);
    }
    bind_alice(&proxy, counter).await;
}

/// Whoever watches OTPs guesses passwords behind them.
#[tokio::test]
async fn guesses_of_a_password_behind_right_otps_are_failures() {
    let proxy = Proxy::start(Setup::default()).await;
    for counter in 0..3 {
        let mut client = proxy.client().await;
        client.send(&bind(1, ALICE, &format!("guess{}", otp(counter)))).await;
        let mut server = proxy.server().await;
        server.expect(&bind(1, ALICE, "guess")).await;
        server.send(&bound(1, INVALID)).await;
        assert_eq!(client.bound(1).await, INVALID);
    }
    let mut client = proxy.client().await;
    client.send(&bind(1, ALICE, &format!("secret{}", otp(3)))).await;
    assert_eq!(client.bound(1).await, INVALID);
    assert_eq!(proxy.recorded(4).await, (Outcome::Rejected, Reason::Throttled, false));
}

#[tokio::test]
async fn a_right_password_takes_the_failures_back() {
    let proxy = Proxy::start(Setup::default()).await;
    for counter in 0..8 {
        bind_alice(&proxy, counter).await;
    }
}

#[tokio::test]
async fn an_account_without_a_token_binds_by_its_password() {
    let proxy = Proxy::start(Setup::default()).await;
    for (name, identity) in
        [(BOB, "dn:uid=bob,dc=example,dc=test"), ("carol@example.test", "u:EXAMPLE\\carol")]
    {
        let mut client = proxy.client().await;
        client.send(&bind(1, name, "secret")).await;
        let mut server = proxy.server().await;
        server.expect(&bind(1, name, "secret")).await;
        server.send(&bound(1, 0)).await;
        server.expect(&who_am_i()).await;
        server.send(&you_are(identity)).await;
        assert_eq!(client.bound(1).await, 0);
    }
}

/// Active Directory says `u:DOMAIN\\name` of everybody, and the site may have said no domain.
#[tokio::test]
async fn an_unknown_name_that_directories_compare_in_many_ways_does_not_pass() {
    let proxy = Proxy::start(Setup::default()).await;
    let names = ["uid=ａlice", "uid=alíce", r"uid=al\c4\b1ce", "telephoneNumber=1", "uid=al\tice"];
    for name in names {
        let mut client = proxy.client().await;
        client.send(&bind(1, &format!("{name},dc=example,dc=test"), "secret")).await;
        assert_eq!(client.bound(1).await, INVALID, "{name}");
    }
    let expected = [vec![Reason::WrongPasscode], vec![Reason::UnknownAccount; 4]].concat();
    assert_eq!(proxy.reasons(), expected, "the first is alice");
}

#[tokio::test]
async fn another_name_of_an_account_with_a_token_does_not_lead_around_it() {
    let proxy = Proxy::start(Setup::default()).await;
    for identity in [
        "dn:UID=Alice, dc=example,dc=test",
        "dn: uid=alice,dc=example,dc=test",
        "u:alice",
        "u:EXAMPLE\\alice",
        "u:Alice@example.test",
        "u:uid=alice,dc=example,dc=test",
    ] {
        let mut client = proxy.client().await;
        client.send(&bind(1, "CN=Alice Smith,CN=Users", "secret")).await;
        let mut server = proxy.server().await;
        server.expect(&bind(1, "CN=Alice Smith,CN=Users", "secret")).await;
        server.send(&bound(1, 0)).await;
        server.expect(&who_am_i()).await;
        server.send(&you_are(identity)).await;
        server.expect(&anonymous(MessageId::MAX)).await;
        server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
        assert_eq!(client.bound(1).await, INVALID, "{identity}");
    }
}

#[tokio::test]
async fn whose_name_cannot_be_read_must_use_a_token() {
    let proxy = Proxy::start(Setup::default()).await;
    for identity in
        ["", "whatever", "dn:", "dn:bob", "u:", "u:@example.test", "u:A\\B\\bob", "u:@b@c"]
    {
        let mut client = proxy.client().await;
        client.send(&bind(1, BOB, "secret")).await;
        let mut server = proxy.server().await;
        server.expect(&bind(1, BOB, "secret")).await;
        server.send(&bound(1, 0)).await;
        server.expect(&who_am_i()).await;
        server.send(&you_are(identity)).await;
        server.expect(&anonymous(MessageId::MAX)).await;
        server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
        assert_eq!(client.bound(1).await, INVALID, "{identity}");
    }
}

#[tokio::test]
async fn names_that_are_exempt_bind_by_their_password_and_nobody_else() {
    let mut setup = Setup { without_token: WithoutToken::Refuse, ..Setup::default() };
    let names = [LoginName::of_dn(BOB).unwrap(), LoginName::parse("svc@example.test").unwrap()];
    setup.rules.exempt = names.iter().map(|name| name.key().clone()).collect();
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, "svc@example.tes", "secret")).await;
    assert_eq!(client.bound(1).await, INVALID);
    let mut server = proxy.server().await;
    let names = [(2, BOB), (3, "UID=Bob, DC=example,dc=test"), (4, "Svc@example.test")];
    for (number, name) in names {
        for code in [INVALID, 0] {
            client.send(&bind(number, name, "secret")).await;
            server.expect(&bind(number, name, "secret")).await;
            server.send(&bound(number, code)).await;
            client.expect(&bound(number, code)).await;
        }
    }
    client.send(&bind(5, BOB, "")).await;
    server.expect(&anonymous(MessageId::MAX)).await;
    server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
    assert_eq!(client.bound(5).await, ResultCode::UNWILLING_TO_PERFORM.0);
}

#[tokio::test]
async fn a_wrong_password_takes_the_same_steps_as_one_that_is_refused_for_its_token() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, BOB, "wrong")).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, BOB, "wrong")).await;
    server.send(&bound(1, INVALID)).await;
    server.expect(&who_am_i()).await;
    server.send(&you_are("")).await;
    server.expect(&anonymous(MessageId::MAX)).await;
    server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
    client.expect(&bound(1, INVALID)).await;
}

#[tokio::test]
async fn who_cannot_be_told_must_use_a_token() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, BOB, "secret")).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, BOB, "secret")).await;
    server.send(&bound(1, 0)).await;
    server.expect(&who_am_i()).await;
    server.send(&own_result(Operation::EXTENDED_RESPONSE, 2)).await;
    server.expect(&anonymous(MessageId::MAX)).await;
    server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
    assert_eq!(client.bound(1).await, INVALID);
}

#[tokio::test]
async fn a_token_may_be_demanded_of_everybody() {
    let setup = Setup { without_token: WithoutToken::Refuse, ..Setup::default() };
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client().await;
    for (number, name) in [(1, BOB), (2, "uid=nobody"), (3, "\\"), (4, "nobody")] {
        client.send(&bind(number, name, "secret")).await;
        assert_eq!(client.bound(number).await, INVALID, "{name}");
    }
    let _server = proxy.server().await;
    let (_client, _server) = bind_alice(&proxy, 0).await;
}

#[tokio::test]
async fn nobody_is_let_in_by_a_name_alone() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, BOB, "")).await;
    assert_eq!(client.bound(1).await, ResultCode::UNWILLING_TO_PERFORM.0);
    client.send(&bind(2, "", "secret")).await;
    assert_eq!(client.bound(2).await, INVALID);
    client.send(&bind(3, "", "")).await;
    let mut server = proxy.server().await;
    server.expect(&bind(3, "", "")).await;
    server.send(&bound(3, 0)).await;
    assert_eq!(client.bound(3).await, 0);
    assert!(proxy.reasons().is_empty());
}

#[tokio::test]
async fn sasl_passes_by_the_mechanisms_of_the_config_alone() {
    let mut setup = Setup::default();
    setup.rules.sasl = Sasl::Pass(vec!["GSSAPI".into()]);
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client().await;
    for (number, mechanism) in [(1, "PLAIN"), (2, "EXTERNAL"), (3, "GSSAPI2")] {
        client.send(&sasl(number, mechanism)).await;
        assert_eq!(client.bound(number).await, ResultCode::AUTH_METHOD_NOT_SUPPORTED.0);
    }
    client.send(&sasl(4, "GSSAPI")).await;
    let mut server = proxy.server().await;
    for (number, code) in [(4, ResultCode::SASL_BIND_IN_PROGRESS.0), (5, 0)] {
        server.expect(&sasl(number, "GSSAPI")).await;
        server.send(&bound(number, code)).await;
        client.expect(&bound(number, code)).await;
        if number == 4 {
            client.send(&sasl(5, "GSSAPI")).await;
        }
    }
    // A security layer would hide from us what else is bound.
    client.send(b"\x00\x00\x00\x20\x05\x04").await;
    client.is_dismissed(ResultCode::PROTOCOL_ERROR).await;
    assert!(server.receive().await.is_none());
}

#[tokio::test]
async fn what_is_half_way_through_sasl_is_ended_by_a_bind_that_fails() {
    let mut setup = Setup::default();
    setup.rules.sasl = Sasl::Pass(vec!["GSSAPI".into()]);
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client().await;
    client.send(&sasl(1, "GSSAPI")).await;
    let mut server = proxy.server().await;
    server.expect(&sasl(1, "GSSAPI")).await;
    server.send(&bound(1, ResultCode::SASL_BIND_IN_PROGRESS.0)).await;
    assert_eq!(client.bound(1).await, ResultCode::SASL_BIND_IN_PROGRESS.0);
    client.send(&bind(2, ALICE, "wrong")).await;
    server.expect(&anonymous(MessageId::MAX)).await;
    server.send(&own_result(Operation::BIND_RESPONSE, 0)).await;
    assert_eq!(client.bound(2).await, INVALID);
}

#[tokio::test]
async fn other_ways_and_versions_are_refused() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&sasl(1, "GSSAPI")).await;
    assert_eq!(client.bound(1).await, ResultCode::AUTH_METHOD_NOT_SUPPORTED.0);
    let sicily = message(2, Operation::BIND_REQUEST, b"\x02\x01\x03\x04\x00\x8a\x00");
    client.send(&sicily).await;
    assert_eq!(client.bound(2).await, ResultCode::AUTH_METHOD_NOT_SUPPORTED.0);
    let version_2 = message(3, Operation::BIND_REQUEST, b"\x02\x01\x02\x04\x01x\x80\x01y");
    client.send(&version_2).await;
    assert_eq!(client.bound(3).await, ResultCode::PROTOCOL_ERROR.0);
}

#[tokio::test]
async fn passwords_in_clear_are_refused_unlooked_at_where_tls_is_required() {
    let mut setup = Setup::default();
    setup.rules.require_tls = true;
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.tcp_client().await;
    client.send(&bind(1, ALICE, &format!("secret{}", otp(0)))).await;
    assert_eq!(client.bound(1).await, ResultCode::CONFIDENTIALITY_REQUIRED.0);
    assert!(proxy.reasons().is_empty());
    let (_client, _server) = bind_alice(&proxy, 0).await;
}

#[tokio::test]
async fn one_otp_lets_one_of_many_in() {
    let proxy = Proxy::start(Setup { max_connections: 100, ..Setup::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = proxy.client().await;
        client.send(&bind(1, ALICE, &format!("secret{}", otp(0)))).await;
        clients.push((client, proxy.server().await));
    }
    let mut accepted = 0;
    for (mut client, mut server) in clients {
        tokio::select! {
            request = server.receive() => {
                assert_eq!(request, Some(bind(1, ALICE, "secret")));
                accepted += 1;
            }
            code = client.bound(1) => assert_eq!(code, INVALID),
        }
    }
    assert_eq!(accepted, 1);
}

/// A response to a message of the proxy's own.
fn own_result(operation: Operation, code: u32) -> Vec<u8> {
    countersign_core::wire::ldap::result::response(MessageId::MAX, operation, ResultCode(code), "")
}
