//! Requests of others that are passed on.

use std::net::SocketAddr;

use countersign::{
    client::radius::{Forward, Forwarded, Unanswered, Unsendable, Upstream},
    config::upstream::{Radius11, ServerSettings, UpstreamSettings},
};
use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::{Authenticator, Demand},
        concealed::{Concealment, conceal_anew},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Packet, Protection},
        transport::ALPN_RADIUS_1_1,
    },
};
use rustls::ALL_VERSIONS;
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    authority::Authority,
    stream_server::{Does, Heard, StreamServer},
    support::{LIMIT, Server, reply, secret, upstream},
};

/// Between the client of the proxy and the proxy.
fn client() -> Concealment {
    let secret = Secret::new(b"the client's secret".to_vec());
    Concealment::Md5 { authenticator: Authenticator([0x5a; 16]), secret }
}

fn logon() -> Forward {
    let attributes = vec![
        (AttributeNumber::USER_NAME, b"rosa".to_vec()),
        (AttributeNumber::PROXY_STATE, b"theirs".to_vec()),
        (AttributeNumber(241), b"unknown".to_vec()),
    ];
    let password = Some(Secret::new(b"123456".to_vec()));
    Forward { code: Code::ACCESS_REQUEST, attributes, password, client: client() }
}

fn report() -> Forward {
    let attributes = vec![(AttributeNumber::ACCT_STATUS_TYPE, vec![0, 0, 0, 1])];
    let code = Code::ACCOUNTING_REQUEST;
    Forward { code, attributes, password: None, client: client() }
}

async fn forward(upstream: &Upstream, request: Forward) -> Result<Forwarded, Unanswered> {
    timeout(LIMIT, upstream.forward(request)).await.unwrap()
}

fn start(settings: UpstreamSettings) -> Upstream {
    Upstream::new(settings).unwrap()
}

fn attributes(packet: &[u8]) -> Vec<(AttributeNumber, Vec<u8>)> {
    let packet = Packet::read(packet).unwrap();
    packet.attributes().iter().map(|found| (found.number, found.value.to_vec())).collect()
}

/// The answer of a home server: with every Proxy-State, as it must be, and a tunnel password.
fn accept(request: &[u8]) -> Vec<u8> {
    let packet = Packet::read(request).unwrap();
    let (authenticator, secret) = (packet.authenticator(), secret());
    let here = Concealment::Md5 { authenticator, secret: secret.clone() };
    let password = AttributeNumber::TUNNEL_PASSWORD;
    let concealed =
        conceal_anew(password, b"\x01tunnel", &Concealment::Transport, &here, [0x80, 1]).unwrap();
    let protection = Protection::MessageAuthenticator;
    let mut draft = Draft::new(Code::ACCESS_ACCEPT, packet.identifier(), authenticator, protection);
    draft.push(AttributeNumber::CLASS, b"otp").unwrap();
    draft.push(password, &concealed).unwrap();
    for state in packet.attributes().all(AttributeNumber::PROXY_STATE) {
        draft.push(AttributeNumber::PROXY_STATE, state).unwrap();
    }
    draft.finish_reply(&secret)
}

/// What the client is to get of it.
fn assert_accepted(forwarded: Forwarded) {
    assert_eq!(forwarded.code, Code::ACCESS_ACCEPT);
    let [class, (number, password), proxy_state] = &forwarded.attributes[..] else {
        panic!("{forwarded:?}");
    };
    assert_eq!(*class, (AttributeNumber::CLASS, b"otp".to_vec()));
    assert_eq!(*proxy_state, (AttributeNumber::PROXY_STATE, b"theirs".to_vec()));
    let revealed = conceal_anew(*number, password, &client(), &Concealment::Transport, [0; 2]);
    assert_eq!(revealed, Ok(b"\x01tunnel".to_vec()));
}

#[tokio::test]
async fn a_logon_goes_on_signed_anew_and_comes_back_for_the_client() {
    let home = Server::start(|_, request| vec![accept(request)]).await;
    let upstream = start(upstream(&[home.address]));
    assert_accepted(forward(&upstream, logon()).await.unwrap());

    let (_, request) = &home.received()[0];
    let secret = secret();
    let packet = Packet::read(request).unwrap();
    let verified = packet.verify_request(&secret, Demand::Required).unwrap();
    assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"123456".to_vec()))));
    let attributes = attributes(request);
    let numbers: Vec<_> = attributes.iter().map(|(number, _)| number.0).collect();
    assert_eq!(numbers, [80, 2, 1, 33, 241, 33], "no NAS-Identifier of ours");
    assert_eq!(attributes[3].1, b"theirs");
    assert_ne!(attributes[5].1, b"theirs");
}

#[tokio::test]
async fn over_radius_1_1_nothing_is_hidden_on_the_way() {
    let authority = Authority::new();
    let config = authority.server(&[ALPN_RADIUS_1_1], ALL_VERSIONS);
    let home = StreamServer::tls(config, |heard| {
        let packet = Packet::read(&heard.packet).unwrap();
        let mut draft = Draft::new_over_tls(Code::ACCESS_ACCEPT, packet.request_token());
        draft.push(AttributeNumber::CLASS, b"otp").unwrap();
        draft.push(AttributeNumber::TUNNEL_PASSWORD, b"\x01tunnel").unwrap();
        for state in packet.attributes().all(AttributeNumber::PROXY_STATE) {
            draft.push(AttributeNumber::PROXY_STATE, state).unwrap();
        }
        vec![Does::Send(draft.finish_over_tls())]
    })
    .await;
    let server = ServerSettings { address: home.address.clone(), secret: secret() };
    let tls = Some(authority.upstream(Radius11::Require));
    let upstream = start(UpstreamSettings {
        timeout: LIMIT,
        tries: 1,
        servers: vec![server],
        tls,
        ..upstream(&[])
    });
    let chap = (AttributeNumber::CHAP_PASSWORD, vec![7; 17]);
    let mut logon = logon();
    logon.attributes.push(chap);
    assert_accepted(forward(&upstream, logon).await.unwrap());
    let attributes = attributes(&home.heard()[0].packet);
    assert_eq!(attributes[0], (AttributeNumber::USER_PASSWORD, b"123456".to_vec()));
    let challenge = (AttributeNumber::CHAP_CHALLENGE, vec![0x5a; 16]);
    assert!(attributes.contains(&challenge), "that of the client's request");
}

#[tokio::test]
async fn eap_goes_on_with_a_message_authenticator_and_a_challenge_comes_back() {
    let home = Server::start(|_, request| {
        let packet = Packet::read(request).unwrap();
        assert!(packet.verify_request(&secret(), Demand::Required).is_ok());
        let (identifier, authenticator) = (packet.identifier(), packet.authenticator());
        let protection = Protection::MessageAuthenticator;
        let mut draft = Draft::new(Code::ACCESS_CHALLENGE, identifier, authenticator, protection);
        for (number, value) in [
            (AttributeNumber::EAP_MESSAGE, &[1; 253][..]),
            (AttributeNumber::EAP_MESSAGE, &[2; 5]),
            (AttributeNumber::STATE, b"s"),
        ] {
            draft.push(number, value).unwrap();
        }
        vec![draft.finish_reply(&secret())]
    })
    .await;
    let attributes = vec![(AttributeNumber::EAP_MESSAGE, vec![2, 1, 0, 4])];
    let request = Forward { attributes, password: None, ..logon() };
    let upstream = start(upstream(&[home.address]));
    let forwarded = forward(&upstream, request).await.unwrap();
    assert_eq!(forwarded.code, Code::ACCESS_CHALLENGE);
    let numbers: Vec<_> = forwarded.attributes.iter().map(|(number, _)| number.0).collect();
    assert_eq!(numbers, [79, 79, 24]);
}

#[tokio::test]
async fn accounting_goes_to_its_own_port_and_its_silence_does_not_count_for_logons() {
    let home = Server::start(|_, request| vec![reply(request, Code::ACCESS_REJECT)]).await;
    let books = Server::start(|number, request| match number {
        1 => vec![reply(request, Code::ACCESS_ACCEPT), receipt(request)],
        _ => Vec::new(),
    })
    .await;
    let settings = UpstreamSettings {
        accounting_port: Some(books.address.port()),
        ..upstream(&[home.address])
    };
    let upstream = start(settings);
    let forwarded = forward(&upstream, report()).await.unwrap();
    assert_eq!(forwarded.code, Code::ACCOUNTING_RESPONSE);
    let (_, request) = &books.received()[0];
    let secret = secret();
    let packet = Packet::read(request).unwrap();
    assert!(packet.verify_accounting_request(&secret).is_ok());
    assert_eq!(attributes(request).len(), 2, "what came, and our Proxy-State");

    let silence = forward(&upstream, report()).await.unwrap_err();
    assert!(matches!(silence, Unanswered::Silent), "{silence}");
    assert_eq!(forward(&upstream, logon()).await.unwrap().code, Code::ACCESS_REJECT);
    assert_eq!(home.received().len(), 1);
}

fn receipt(request: &[u8]) -> Vec<u8> {
    let packet = Packet::read(request).unwrap();
    let (identifier, authenticator) = (packet.identifier(), packet.authenticator());
    let code = Code::ACCOUNTING_RESPONSE;
    let mut draft = Draft::new(code, identifier, authenticator, Protection::None);
    for state in packet.attributes().all(AttributeNumber::PROXY_STATE) {
        draft.push(AttributeNumber::PROXY_STATE, state).unwrap();
    }
    draft.finish_reply(&secret())
}

#[tokio::test]
async fn accounting_on_a_socket_goes_the_way_of_the_logons() {
    let directory = tempfile::tempdir().unwrap();
    let home =
        StreamServer::unix(
            &directory.path().join("home.sock"),
            |heard: &Heard| match Packet::read(&heard.packet).unwrap().code() {
                Code::ACCOUNTING_REQUEST => vec![Does::Send(receipt(&heard.packet))],
                _ => vec![Does::Send(accept(&heard.packet))],
            },
        );
    let server = ServerSettings { address: home.address.clone(), secret: secret() };
    let upstream =
        start(UpstreamSettings { timeout: LIMIT, servers: vec![server], ..upstream(&[]) });
    assert_accepted(forward(&upstream, logon()).await.unwrap());
    let receipt = forward(&upstream, report()).await.unwrap();
    assert_eq!(receipt, Forwarded { code: Code::ACCOUNTING_RESPONSE, attributes: Vec::new() });
    assert_eq!(home.connections(), [1, 1]);
}

#[tokio::test]
async fn only_silence_leads_to_the_next_server() {
    let closed: SocketAddr = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let first = Server::saying(Code::ACCESS_REJECT).await;
    let second = Server::saying(Code::ACCESS_ACCEPT).await;
    let upstream = start(upstream(&[closed, first.address, second.address]));
    assert_eq!(forward(&upstream, logon()).await.unwrap().code, Code::ACCESS_REJECT);
    assert!(second.received().is_empty());
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_said_and_not_sent() {
    let home = Server::saying(Code::ACCESS_ACCEPT).await;
    let upstream = start(upstream(&[home.address]));
    let full = (0..17).map(|_| (AttributeNumber::CLASS, vec![0; 253])).collect();
    for request in [
        Forward { code: Code::STATUS_SERVER, ..logon() },
        Forward { attributes: full, ..logon() },
        Forward { password: Some(Secret::new(vec![b'1'; 129])), ..logon() },
    ] {
        let error = forward(&upstream, request).await.unwrap_err();
        assert!(matches!(error, Unanswered::Unsendable(_)), "{error}");
    }
    let status = Forward { code: Code::STATUS_SERVER, ..logon() };
    let error = forward(&upstream, status).await.unwrap_err();
    let expected = Unsendable::Code(Code::STATUS_SERVER);
    assert!(matches!(error, Unanswered::Unsendable(found) if found == expected));
    assert!(home.received().is_empty());
}

/// A home server that challenges with a State, and accepts it when it comes back.
async fn challenging(state: &'static [u8]) -> Server {
    Server::start(move |_, request| {
        let packet = Packet::read(request).unwrap();
        let back = packet.attributes().first(AttributeNumber::STATE);
        let code = match back {
            Some(back) if back == state => Code::ACCESS_ACCEPT,
            Some(_) => Code::ACCESS_REJECT,
            None => Code::ACCESS_CHALLENGE,
        };
        let protection = Protection::MessageAuthenticator;
        let mut draft = Draft::new(code, packet.identifier(), packet.authenticator(), protection);
        if code == Code::ACCESS_CHALLENGE {
            draft.push(AttributeNumber::STATE, state).unwrap();
        }
        vec![draft.finish_reply(&secret())]
    })
    .await
}

fn state_of(forwarded: &Forwarded) -> Option<Vec<u8>> {
    let mut all = forwarded.attributes.iter();
    all.find(|(number, _)| *number == AttributeNumber::STATE).map(|(_, value)| value.clone())
}

fn second_round(state: Vec<u8>) -> Forward {
    let mut request = logon();
    request.attributes.push((AttributeNumber::STATE, state));
    request
}

#[tokio::test]
async fn a_second_round_goes_to_the_server_that_challenged() {
    let (silent, second) = (Server::silent().await, challenging(b"of the second").await);
    let home = start(upstream(&[silent.address, second.address]));
    let challenged = forward(&home, logon()).await.unwrap();
    assert_eq!(challenged.code, Code::ACCESS_CHALLENGE);
    let asked_before = silent.received().len();
    // The first would be asked again if only the order of the list counted.
    let fresh = start(upstream(&[silent.address, second.address]));
    let state = state_of(&challenged).unwrap();
    let accepted = forward(&fresh, second_round(state)).await.unwrap();
    assert_eq!(accepted.code, Code::ACCESS_ACCEPT);
    assert_eq!(silent.received().len(), asked_before);
}

#[tokio::test]
async fn one_server_gets_its_state_as_it_gave_it() {
    let only = challenging(&[b's'; 253]).await;
    let home = start(upstream(&[only.address]));
    let state = state_of(&forward(&home, logon()).await.unwrap()).unwrap();
    assert_eq!(state, [b's'; 253]);
    let accepted = forward(&home, second_round(state)).await.unwrap();
    assert_eq!(accepted.code, Code::ACCESS_ACCEPT);
}

#[tokio::test]
async fn a_state_without_room_for_a_mark_ends_the_logon() {
    let (one, two) = (challenging(&[b's'; 253]).await, challenging(b"other").await);
    let rejected = forward(&start(upstream(&[one.address, two.address])), logon()).await.unwrap();
    assert_eq!((rejected.code, state_of(&rejected)), (Code::ACCESS_REJECT, None));
}
