//! StartTLS with clients.

use std::sync::Arc;

use countersign::listener::{ldap::TlsService, tls::server_config_for_anybody};
use countersign_core::wire::ldap::{
    extended::{START_TLS, request},
    message::{MessageId, Operation},
    result::ResultCode,
};
use tokio_rustls::TlsConnector;

use crate::{
    authority::Authority,
    support::{ALICE, End, Proxy, Setup, bind, bound, message, otp},
};

fn with_tls(authority: &Authority) -> Setup {
    let (chain, key) = (vec![authority.certificate("server")], authority.key("server"));
    let config = server_config_for_anybody(chain, key).unwrap();
    let mut setup = Setup::default();
    setup.rules.require_tls = true;
    Setup { tls: Some(TlsService { config, start_tls: true }), ..setup }
}

fn start_tls(number: u32) -> Vec<u8> {
    request(MessageId::new(number).unwrap(), START_TLS)
}

fn answered(number: u32, code: ResultCode) -> (u32, Operation, u32) {
    (number, Operation::EXTENDED_RESPONSE, code.0)
}

#[tokio::test]
async fn a_connection_goes_over_to_tls_and_then_passwords_are_taken() {
    let authority = Authority::new();
    let proxy = Proxy::start(with_tls(&authority)).await;
    let mut client = proxy.tcp_client().await;
    // Many look first whether StartTLS is offered.
    client.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    let mut server = proxy.server().await;
    server.expect(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    client.send(&start_tls(2)).await;
    assert_eq!(client.result().await, answered(2, ResultCode::OPERATIONS_ERROR));
    let done = message(1, Operation::SEARCH_RESULT_DONE, b"\x0a\x01\x00\x04\x00\x04\x00");
    server.send(&done).await;
    client.expect(&done).await;
    client.send(&bind(3, ALICE, &format!("secret{}", otp(0)))).await;
    assert_eq!(client.bound(3).await, ResultCode::CONFIDENTIALITY_REQUIRED.0);
    client.send(&start_tls(4)).await;
    assert_eq!(client.result().await, answered(4, ResultCode::SUCCESS));
    let connector = TlsConnector::from(Arc::new(authority.client(&[], rustls::ALL_VERSIONS)));
    let stream = connector.connect("localhost".try_into().unwrap(), client.stream).await;
    let mut client = End::new(stream.unwrap());
    client.send(&start_tls(5)).await;
    assert_eq!(client.result().await, answered(5, ResultCode::OPERATIONS_ERROR));
    client.send(&bind(6, ALICE, &format!("secret{}", otp(0)))).await;
    server.expect(&bind(6, ALICE, "secret")).await;
    server.send(&bound(6, 0)).await;
    assert_eq!(client.bound(6).await, 0);
}

#[tokio::test]
async fn what_somebody_puts_in_front_of_tls_is_not_taken_for_the_clients() {
    let authority = Authority::new();
    let proxy = Proxy::start(with_tls(&authority)).await;
    let mut client = proxy.tcp_client().await;
    let behind = message(2, Operation::DELETE_REQUEST, b"o=x");
    client.send(&[start_tls(1), behind].concat()).await;
    client.is_dismissed(ResultCode::PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn start_tls_is_offered_over_tcp_and_with_a_certificate_alone() {
    let authority = Authority::new();
    let refused = answered(1, ResultCode::PROTOCOL_ERROR);
    let proxy = Proxy::start(with_tls(&authority)).await;
    let mut client = proxy.client().await;
    client.send(&start_tls(1)).await;
    assert_eq!(client.result().await, refused);
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.tcp_client().await;
    client.send(&start_tls(1)).await;
    assert_eq!(client.result().await, refused);
}

#[tokio::test]
async fn who_begins_no_tls_is_let_go() {
    let authority = Authority::new();
    let proxy = Proxy::start(with_tls(&authority)).await;
    let mut client = proxy.tcp_client().await;
    client.send(&start_tls(1)).await;
    assert_eq!(client.result().await, answered(1, ResultCode::SUCCESS));
    client.send(&message(2, Operation::DELETE_REQUEST, b"o=x")).await;
    client.ends().await;
}
