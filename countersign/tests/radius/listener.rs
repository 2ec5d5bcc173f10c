//! The listener.

use std::{collections::HashSet, sync::Arc};

use countersign::{
    client::radius::Upstream,
    config::{
        radius::{RadiusRules, RadiusSettings},
        upstream::UpstreamSettings,
    },
};
use countersign_core::{
    secret::Secret,
    wire::radius::{
        dictionary::{AttributeNumber, Code},
        packet::{Packet, Protection},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Asking, LIMIT, Peer, Server, bind, bind_with, client, eventually, listen, otp, reply, services,
    upstream, vault,
};

#[tokio::test]
async fn accepts_an_otp_once() {
    let running = listen(None).await;
    let peer = Peer::new(1, running.address).await;
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(0)).sign()).await, Code::ACCESS_ACCEPT);
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(0)).sign()).await, Code::ACCESS_REJECT);
    assert_eq!(peer.ask(&Asking::logon("nobody", &otp(1)).sign()).await, Code::ACCESS_REJECT);
    assert_eq!((running.counts.accepted.value(), running.counts.rejected.value()), (1, 2));
}

#[tokio::test]
async fn a_retransmission_gets_the_same_octets_and_spends_nothing() {
    let running = listen(None).await;
    let peer = Peer::new(1, running.address).await;
    let request = Asking::logon("alice", &otp(0)).sign();
    peer.send(&request).await;
    let first = peer.receive().await;
    peer.send(&request).await;
    assert_eq!(peer.receive().await, first);
    assert_eq!((running.counts.accepted.value(), running.counts.repeated.value()), (1, 1));
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(1)).sign()).await, Code::ACCESS_ACCEPT);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_clients_with_the_same_otp_one_is_accepted() {
    let running = listen(None).await;
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let address = running.address;
        answers.spawn(async move {
            let peer = Peer::new(1, address).await;
            peer.ask(&Asking::logon("alice", &otp(0)).sign()).await
        });
    }
    let answers = timeout(LIMIT, answers.join_all()).await.unwrap();
    let accepts = answers.iter().filter(|code| **code == Code::ACCESS_ACCEPT);
    assert_eq!((accepts.count(), answers.len()), (1, 64));
}

#[tokio::test]
async fn a_wrong_secret_and_a_missing_message_authenticator_get_silence() {
    let running = listen(None).await;
    let peer = Peer::new(1, running.address).await;
    let wrong = Secret::new(b"another secret".to_vec());
    peer.send(&Asking::logon("alice", &otp(0)).sign_with(&wrong)).await;
    let bare =
        || Asking::new(Code::ACCESS_REQUEST, Protection::None).credentials("alice", &otp(0)).sign();
    peer.send(&bare()).await;
    assert_eq!(peer.ask(&Asking::logon("nobody", "1").sign()).await, Code::ACCESS_REJECT);
    assert_eq!(running.counts.unauthentic.value(), 2);

    let exempt = Peer::new(2, running.address).await;
    assert_eq!(exempt.ask(&bare()).await, Code::ACCESS_ACCEPT, "nothing was spent until now");
}

#[tokio::test]
async fn a_stranger_gets_silence() {
    let running = listen(None).await;
    let stranger = Peer::new(3, running.address).await;
    let request = Asking::logon("alice", &otp(0)).sign();
    stranger.send(&request).await;
    eventually(|| running.counts.unknown_client.value() == 1).await;
    let peer = Peer::new(1, running.address).await;
    assert_eq!(peer.ask(&request).await, Code::ACCESS_ACCEPT);
}

#[tokio::test]
async fn proxy_state_comes_back_in_order_behind_the_message_authenticator() {
    let running = listen(None).await;
    let peer = Peer::new(1, running.address).await;
    let request = Asking::logon("alice", "wrong")
        .with(AttributeNumber::PROXY_STATE, b"one")
        .with(AttributeNumber::PROXY_STATE, b"two")
        .sign();
    peer.send(&request).await;
    let reply = peer.receive().await;
    let found: Vec<_> = Packet::read(&reply)
        .unwrap()
        .attributes()
        .iter()
        .map(|attribute| (attribute.number, attribute.value.to_vec()))
        .collect();
    assert_eq!(found[0].0, AttributeNumber::MESSAGE_AUTHENTICATOR);
    assert_eq!(found[1], (AttributeNumber::PROXY_STATE, b"one".to_vec()));
    assert_eq!(found[2], (AttributeNumber::PROXY_STATE, b"two".to_vec()));
}

#[tokio::test]
async fn says_that_it_is_alive() {
    let running = listen(None).await;
    let peer = Peer::new(1, running.address).await;
    let status = Asking::new(Code::STATUS_SERVER, Protection::MessageAuthenticator).sign();
    assert_eq!(peer.ask(&status).await, Code::ACCESS_ACCEPT);
    assert_eq!(running.counts.accepted.value(), 0, "that was nobody's logon");
}

#[tokio::test]
async fn tells_what_the_upstream_says() {
    for code in [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE] {
        let server = Server::saying(code).await;
        let running = listen(Some(Upstream::new(upstream(&[server.address])).unwrap())).await;
        let peer = Peer::new(1, running.address).await;
        assert_eq!(peer.ask(&Asking::logon("rosa", "123456").sign()).await, code);
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn is_silent_when_the_upstream_is_and_asks_again_when_asked_again() {
    let closed = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = listen(Some(Upstream::new(upstream(&[closed])).unwrap())).await;
    let peer = Peer::new(1, running.address).await;
    let request = Asking::logon("rosa", "123456").sign();
    for times in 1..=2 {
        peer.send(&request).await;
        eventually(|| running.counts.undecided.value() == times).await;
    }
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(0)).sign()).await, Code::ACCESS_ACCEPT);
}

#[tokio::test]
async fn a_request_in_flight_holds_up_no_other_and_is_answered_after_the_stop() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |_, request| {
        arrived.send(()).unwrap();
        match released.try_recv() {
            Ok(()) => vec![reply(request, Code::ACCESS_ACCEPT)],
            Err(_) => Vec::new(),
        }
    })
    .await;
    let patient = upstream(&[server.address]);
    let running =
        listen(Some(Upstream::new(UpstreamSettings { tries: 1200, ..patient }).unwrap())).await;
    let peer = Peer::new(1, running.address).await;
    let waiting = Asking::logon("rosa", "123456").sign();
    peer.send(&waiting).await;
    timeout(LIMIT, arrivals.recv()).await.unwrap().unwrap();
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(0)).sign()).await, Code::ACCESS_ACCEPT);

    running.stop.cancel();
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    assert_eq!(peer.answer_to(&waiting).await, Code::ACCESS_ACCEPT);
    timeout(LIMIT, running.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_begun_on_a_connection_is_finished_when_that_breaks() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |_, request| {
        arrived.send(()).unwrap();
        released.try_recv().map_or(Vec::new(), |()| vec![reply(request, Code::ACCESS_ACCEPT)])
    })
    .await;
    let patient = UpstreamSettings { tries: 1200, ..upstream(&[server.address]) };
    let running = listen(Some(Upstream::new(patient).unwrap())).await;
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    stream.write_all(&Asking::logon("rosa", "123456").sign().bytes).await.unwrap();
    timeout(LIMIT, arrivals.recv()).await.unwrap().unwrap();
    stream.write_all(b"\x01\0\0\x01").await.unwrap();
    assert_eq!(timeout(LIMIT, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "closed");
    release.send(()).unwrap();
    eventually(|| running.counts.accepted.value() == 1).await;
}

#[tokio::test]
async fn two_listeners_do_not_share_an_address_unnoticed() {
    let running = listen(None).await;
    let settings = RadiusSettings { listen: vec![running.address], ..RadiusSettings::default() };
    let error = bind(settings).err().unwrap();
    let expected = format!("RADIUS cannot listen on UDP {}: ", running.address);
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_from_other_ports_gets_the_same_answer_and_spends_nothing() {
    let running = listen(None).await;
    let request = Arc::new(Asking::logon("alice", &otp(0)).sign());
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (request, address) = (request.clone(), running.address);
        answers.spawn(async move { Peer::new(1, address).await.ask(&request).await });
    }
    let answers = timeout(LIMIT, answers.join_all()).await.unwrap();
    assert_eq!(answers, [Code::ACCESS_ACCEPT; 16]);
    let peer = Peer::new(1, running.address).await;
    let another = Asking::logon("alice", &otp(0)).sign();
    assert_eq!(peer.ask(&another).await, Code::ACCESS_REJECT, "another request with that OTP");
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(1)).sign()).await, Code::ACCESS_ACCEPT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_asked_once_for_a_request_and_its_retries() {
    // The upstream transmits its question again, so both of ours are there before the answer.
    let server = Server::start(|number, request| {
        if number < 3 { Vec::new() } else { vec![reply(request, Code::ACCESS_ACCEPT)] }
    })
    .await;
    let upstream = Upstream::new(upstream(&[server.address])).unwrap();
    let running = listen(Some(upstream)).await;
    let request = Asking::logon("rosa", "123456").sign();
    let (one, two) = (Peer::new(1, running.address).await, Peer::new(1, running.address).await);
    one.send(&request).await;
    two.send(&request).await;
    assert_eq!(one.answer_to(&request).await, Code::ACCESS_ACCEPT);
    assert_eq!(two.answer_to(&request).await, Code::ACCESS_ACCEPT);
    let three = Peer::new(1, running.address).await;
    assert_eq!(three.ask(&request).await, Code::ACCESS_ACCEPT);
    let ports: HashSet<_> = server.received().iter().map(|(from, _)| *from).collect();
    assert_eq!(ports.len(), 1, "each question has a port of its own");
}

/// Two nodes have the store and the master key in common, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_reaches_a_second_node_gets_the_same_answer_and_spends_nothing() {
    let (services, vault) = (services(None).await, vault());
    let nodes = [1, 2].map(|_| {
        let clients = vec![client("default", "127.0.0.1/32")];
        let settings = RadiusSettings {
            listen: vec![([127, 0, 0, 1], 0).into()],
            rules: RadiusRules { clients, ..RadiusRules::default() },
            ..RadiusSettings::default()
        };
        let node = bind_with(settings, &vault).unwrap();
        let address = node.addresses().udp[0];
        tokio::spawn(node.serve(services.clone(), CancellationToken::new()));
        address
    });
    for counter in 0..20 {
        let request = Asking::logon("alice", &otp(counter)).sign();
        let (one, two) = (Peer::new(1, nodes[0]).await, Peer::new(1, nodes[1]).await);
        one.send(&request).await;
        two.send(&request).await;
        assert_eq!(one.answer_to(&request).await, Code::ACCESS_ACCEPT);
        assert_eq!(two.answer_to(&request).await, Code::ACCESS_ACCEPT);
        let another = Asking::logon("alice", &otp(counter)).sign();
        assert_eq!(two.ask(&another).await, Code::ACCESS_REJECT, "spent once");
    }
    let wrong = Asking::logon("alice", "000000").sign();
    for address in nodes {
        assert_eq!(Peer::new(1, address).await.ask(&wrong).await, Code::ACCESS_REJECT);
    }
    // Had it been counted twice, one more failure would make the right OTP wait.
    let peer = Peer::new(1, nodes[0]).await;
    assert_eq!(peer.ask(&Asking::logon("alice", "000000").sign()).await, Code::ACCESS_REJECT);
    assert_eq!(peer.ask(&Asking::logon("alice", &otp(20)).sign()).await, Code::ACCESS_ACCEPT);
}
