//! What passes through: requests, responses, in their order, whatever their size.

use countersign_core::wire::ldap::{message::Operation, result::ResultCode};
use tokio::net::UnixStream;

use crate::support::{ALICE, End, Proxy, Setup, bind, bound, message, otp};

const ENTRY: Operation = Operation(0x64);
const DONE: &[u8] = b"\x0a\x01\x00\x04\x00\x04\x00";

async fn search(proxy: &Proxy) -> (End<UnixStream>, End<UnixStream>) {
    let mut client = proxy.client().await;
    client.send(&message(1, Operation::SEARCH_REQUEST, b"whatever")).await;
    let mut server = proxy.server().await;
    server.expect(&message(1, Operation::SEARCH_REQUEST, b"whatever")).await;
    (client, server)
}

#[tokio::test]
async fn requests_and_responses_pass_as_they_are() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = search(&proxy).await;
    for (number, operation) in [
        (2, Operation::ADD_REQUEST),
        (3, Operation::MODIFY_REQUEST),
        (4, Operation::DELETE_REQUEST),
        (5, Operation::MODIFY_DN_REQUEST),
        (6, Operation::COMPARE_REQUEST),
    ] {
        client.send(&message(number, operation, b"content")).await;
        server.expect(&message(number, operation, b"content")).await;
    }
    let abandon = message(7, Operation::ABANDON_REQUEST, &[1]);
    client.send(&abandon).await;
    server.expect(&abandon).await;
    let extended = message(8, Operation::EXTENDED_REQUEST, b"\x80\x031.2\x81\x01x");
    client.send(&extended).await;
    server.expect(&extended).await;
    for response in [
        message(2, Operation(0x69), DONE),
        message(1, ENTRY, b"entry"),
        message(1, Operation(0x73), b"reference"),
        message(8, Operation(0x79), b"intermediate"),
        message(8, Operation::EXTENDED_RESPONSE, DONE),
        message(1, Operation::SEARCH_RESULT_DONE, DONE),
    ] {
        server.send(&response).await;
        client.expect(&response).await;
    }
    let unbind = message(9, Operation::UNBIND_REQUEST, &[]);
    client.send(&unbind).await;
    server.expect(&unbind).await;
    assert!(server.receive().await.is_none() && client.receive().await.is_none());
}

#[tokio::test]
async fn messages_may_come_in_any_pieces() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = search(&proxy).await;
    let requests = [
        message(2, Operation::ADD_REQUEST, &[7; 300]),
        message(3, Operation::ABANDON_REQUEST, &[1]),
        message(4, Operation::DELETE_REQUEST, b"o=x"),
    ];
    let octets = requests.concat();
    for octet in octets.chunks(1) {
        client.send(octet).await;
    }
    for request in &requests {
        server.expect(request).await;
    }
    server.send(&octets).await;
    client.send(&octets).await;
    for request in requests {
        client.expect(&request).await;
        server.expect(&request).await;
    }
}

#[tokio::test]
async fn what_is_larger_than_any_buffer_flows_through() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = search(&proxy).await;
    let photo: Vec<u8> = (0..900_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let add = message(2, Operation::ADD_REQUEST, &photo);
    let entry = message(1, ENTRY, &photo.repeat(10));
    tokio::join!(client.exchange(&add, &entry), server.exchange(&entry, &add));
}

#[tokio::test]
async fn results_go_on_while_a_bind_is_decided_and_requests_wait() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = search(&proxy).await;
    client.send(&bind(2, ALICE, &format!("secret{}", otp(0)))).await;
    let delete = message(3, Operation::DELETE_REQUEST, b"o=x");
    client.send(&delete).await;
    server.expect(&bind(2, ALICE, "secret")).await;
    let entry = message(1, ENTRY, b"entry");
    server.send(&entry).await;
    client.expect(&entry).await;
    server.send(&bound(2, 0)).await;
    assert_eq!(client.bound(2).await, 0);
    server.expect(&delete).await;
}

#[tokio::test]
async fn nothing_is_written_into_the_middle_of_a_response() {
    let proxy = Proxy::start(Setup::default()).await;
    let (mut client, mut server) = search(&proxy).await;
    let entry = message(1, ENTRY, &[7; 100_000]);
    let (begin, rest) = entry.split_at(50_000);
    server.send(begin).await;
    client.wait_for(begin.len()).await;
    client.send(&bind(2, ALICE, "wrong")).await;
    client.send(&bind(3, ALICE, "wrong")).await;
    server.send(rest).await;
    client.expect(&entry).await;
    let invalid = ResultCode::INVALID_CREDENTIALS.0;
    assert_eq!((client.bound(2).await, client.bound(3).await), (invalid, invalid));
}
