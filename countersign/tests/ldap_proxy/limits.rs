//! What ends a connection, and how the client hears of it.

use std::time::Duration;

use countersign_core::wire::ldap::{message::Operation, result::ResultCode};

use tokio::io::AsyncWriteExt;

use crate::support::{ALICE, BOB, Proxy, Setup, bind, message, otp};

#[tokio::test]
async fn what_is_no_ldap_ends_a_connection_with_a_word() {
    let proxy = Proxy::start(Setup::default()).await;
    for octets in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x30\x80\x02\x01\x01",
        b"\x30\x05\x02\x01\x01\x60\x00",
        b"\x30\x05\x02\x01\x01\x64\x00",
        b"\x30\x05\x02\x01\x00\x4a\x00",
        b"\x30\x08\x02\x04\x7f\xff\xff\xff\x4a\x00",
        b"\x30\x05\x02\x01\x01\x77\x00",
    ] {
        let mut client = proxy.client().await;
        client.send(octets).await;
        client.is_dismissed(ResultCode::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn long_requests_are_refused_before_they_have_come() {
    let proxy = Proxy::start(Setup::default()).await;
    for head in [
        &b"\x30\x84\x00\x20\x00\x00\x02\x01\x01\x68\x84\x00\x10\x00\x00"[..],
        b"\x30\x84\x00\x08\x00\x00\x02\x01\x01\x60\x84\x00\x07\x00\x00",
    ] {
        let mut client = proxy.client().await;
        client.send(head).await;
        client.is_dismissed(ResultCode::ADMIN_LIMIT_EXCEEDED).await;
    }
}

#[tokio::test]
async fn without_a_directory_server_every_request_is_told_so_and_no_otp_is_spent() {
    let proxy = Proxy::start(Setup::default()).await;
    proxy.without_server();
    let unavailable = ResultCode::UNAVAILABLE;
    for (request, response) in [
        (bind(1, ALICE, &format!("secret{}", otp(0))), Operation::BIND_RESPONSE),
        (message(1, Operation::SEARCH_REQUEST, b"x"), Operation::SEARCH_RESULT_DONE),
        (message(1, Operation::EXTENDED_REQUEST, b"\x80\x011"), Operation::EXTENDED_RESPONSE),
    ] {
        let mut client = proxy.client().await;
        client.send(&request).await;
        assert_eq!(client.result().await, (1, response, unavailable.0));
        client.is_dismissed(unavailable).await;
    }
    assert!(proxy.reasons().is_empty());
}

#[tokio::test]
async fn a_directory_server_that_goes_takes_its_client_along() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    drop(proxy.server().await);
    client.is_dismissed(ResultCode::UNAVAILABLE).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, BOB, "secret")).await;
    let mut server = proxy.server().await;
    server.expect(&bind(1, BOB, "secret")).await;
    drop(server);
    client.is_dismissed(ResultCode::UNAVAILABLE).await;
}

#[tokio::test]
async fn a_directory_server_that_stays_silent_is_not_waited_for_without_end() {
    let mut setup = Setup::default();
    setup.rules.time_limit = Duration::from_millis(1);
    let proxy = Proxy::start(setup).await;
    let mut client = proxy.client().await;
    client.send(&bind(1, BOB, "secret")).await;
    client.is_dismissed(ResultCode::UNAVAILABLE).await;
}

#[tokio::test]
async fn a_client_that_goes_takes_the_connection_to_the_directory_along() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    client.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    let mut server = proxy.server().await;
    server.expect(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    drop(client);
    assert!(server.receive().await.is_none());
}

#[tokio::test]
async fn silence_is_ended() {
    let mut setup = Setup::default();
    setup.rules.idle_limit = Duration::from_millis(1);
    let proxy = Proxy::start(setup).await;
    proxy.client().await.is_dismissed(ResultCode::UNAVAILABLE).await;
}

#[tokio::test]
async fn more_connections_than_may_be_are_turned_away() {
    let proxy = Proxy::start(Setup { max_connections: 1, ..Setup::default() }).await;
    let mut first = proxy.client().await;
    first.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    let _server = proxy.server().await;
    assert!(proxy.client().await.receive().await.is_none());
    assert!(proxy.tcp_client().await.receive().await.is_none());
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_leaves_the_others_to_others() {
    let proxy = Proxy::start(Setup { max_connections_per_address: 1, ..Setup::default() }).await;
    let mut first = proxy.tcp_client().await;
    first.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    let mut server = proxy.server().await;
    assert!(proxy.tcp_client().await.receive().await.is_none());
    let mut local = [proxy.client().await, proxy.client().await];
    for client in &mut local {
        client.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
        let _server = proxy.server().await;
    }
    first.send(&message(2, Operation::UNBIND_REQUEST, b"")).await;
    first.ends().await;
    while server.receive().await.is_some() {}
    // The place is free a moment after the connection has ended.
    for _ in 0..10_000 {
        if is_served(&proxy).await {
            return;
        }
    }
    panic!("the place is not given back");
}

/// Whether a client over TCP is not turned away.
async fn is_served(proxy: &Proxy) -> bool {
    let mut client = proxy.tcp_client().await;
    let _ = client.stream.write_all(b"no LDAP").await;
    client.receive().await.is_some()
}

#[tokio::test]
async fn a_client_cannot_have_requests_without_end_under_way() {
    let proxy = Proxy::start(Setup::default()).await;
    let mut client = proxy.client().await;
    let requests: Vec<u8> = (1..=1001u16)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            [0x30, 7, 0x02, 2, high, low, 0x4a, 1, b'x']
        })
        .collect();
    let (_server, ()) = tokio::join!(
        async {
            let mut server = proxy.server().await;
            while server.receive().await.is_some() {}
        },
        async {
            client.send(&requests).await;
            client.is_dismissed(ResultCode::BUSY).await;
        }
    );
}

#[tokio::test]
async fn clients_are_told_when_the_daemon_stops() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut new, mut busy) = (proxy.client().await, proxy.client().await);
    busy.send(&message(1, Operation::SEARCH_REQUEST, b"x")).await;
    let _server = proxy.server().await;
    proxy.stop.cancel();
    busy.is_dismissed(ResultCode::UNAVAILABLE).await;
    // It may not have been taken yet.
    let _ = new.receive().await;
    proxy.served.await.unwrap();
}
