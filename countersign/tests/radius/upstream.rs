//! The upstream client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use countersign::{
    client::radius::{Reply, Unanswered, Upstream},
    config::upstream::{ProbeSettings, ProbeUser, UpstreamSettings},
};
use countersign_core::{
    domain::{account::Authentication, id::AccountId, name::LoginName},
    secret::Secret,
    wire::radius::{
        dictionary::{AttributeNumber, Code},
        packet::{Packet, Protection},
    },
};
use tokio::{net::UdpSocket, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{LIMIT, Server, account, reply, reply_with, secret, upstream};

async fn ask(upstream: &Upstream) -> Reply {
    let account = account(AccountId::from_bytes([2; 16]), "rosa", Authentication::Tokens);
    let login = LoginName::parse("rosa").unwrap();
    let passcode = Secret::new(b"123456".to_vec());
    timeout(LIMIT, upstream.ask(&account, &login, &passcode)).await.unwrap()
}

/// An address where nobody listens.
async fn closed() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn reports_what_the_first_server_says_and_asks_no_other() {
    for (code, expected) in [
        (Code::ACCESS_ACCEPT, Reply::Accepted),
        (Code::ACCESS_REJECT, Reply::Rejected),
        (Code::ACCESS_CHALLENGE, Reply::Challenged { server: 0, state: Vec::new(), message: None }),
    ] {
        let first = Server::saying(code).await;
        let second = Server::saying(Code::ACCESS_ACCEPT).await;
        let upstream = Upstream::new(upstream(&[first.address, second.address])).unwrap();
        assert_eq!(ask(&upstream).await, expected);
        assert!(second.received().is_empty());
    }
}

#[tokio::test]
async fn sends_the_same_octets_again_from_the_same_port() {
    let server = Server::start(|number, request| match number {
        3 => vec![reply(request, Code::ACCESS_ACCEPT)],
        _ => Vec::new(),
    })
    .await;
    assert_eq!(ask(&Upstream::new(upstream(&[server.address])).unwrap()).await, Reply::Accepted);
    let received = server.received();
    assert!(received.len() >= 3);
    assert!(received.iter().all(|copy| *copy == received[0]), "same port, same octets");
}

#[tokio::test]
async fn takes_the_late_answer_to_an_earlier_transmission() {
    let server = Server::start(|number, request| match number {
        2 => vec![reply(request, Code::ACCESS_REJECT), reply(request, Code::ACCESS_ACCEPT)],
        _ => Vec::new(),
    })
    .await;
    assert_eq!(ask(&Upstream::new(upstream(&[server.address])).unwrap()).await, Reply::Rejected);
}

#[tokio::test]
async fn goes_on_to_the_next_server_on_silence_and_passes_over_the_silent_one() {
    let silent = Server::silent().await;
    let second = Server::saying(Code::ACCESS_ACCEPT).await;
    let upstream = Upstream::new(upstream(&[silent.address, second.address])).unwrap();
    assert_eq!(ask(&upstream).await, Reply::Accepted);
    silent.receives(20).await;
    assert_ne!(silent.received()[0].1[4..20], second.received()[0].1[4..20], "a fresh request");
    assert_eq!(ask(&upstream).await, Reply::Accepted);
    assert_eq!(silent.received().len(), 20, "it was passed over");
}

#[tokio::test]
async fn goes_on_at_once_where_nobody_listens() {
    let second = Server::saying(Code::ACCESS_REJECT).await;
    let settings =
        UpstreamSettings { timeout: LIMIT * 2, ..upstream(&[closed().await, second.address]) };
    assert_eq!(ask(&Upstream::new(settings).unwrap()).await, Reply::Rejected);
}

#[tokio::test]
async fn is_silent_when_all_are_and_still_asks_them_next_time() {
    let server = Server::silent().await;
    let settings = UpstreamSettings { tries: 1, ..upstream(&[server.address, closed().await]) };
    let upstream = Upstream::new(settings).unwrap();
    assert_eq!(ask(&upstream).await, Reply::Silent);
    assert_eq!(ask(&upstream).await, Reply::Silent);
    server.receives(2).await;
}

#[tokio::test]
async fn waits_on_when_a_reply_is_not_authentic() {
    let server = Server::start(|_, request| {
        let protection = Protection::MessageAuthenticator;
        let wrong = Secret::new(b"another secret".to_vec());
        let mut other_identifier = reply(request, Code::ACCESS_ACCEPT);
        other_identifier[1] ^= 1;
        vec![
            reply_with(request, Code::ACCESS_ACCEPT, protection, &wrong),
            reply_with(request, Code::ACCESS_ACCEPT, Protection::None, &secret()),
            other_identifier,
            b"noise".to_vec(),
            reply(request, Code::ACCESS_REJECT),
        ]
    })
    .await;
    assert_eq!(ask(&Upstream::new(upstream(&[server.address])).unwrap()).await, Reply::Rejected);
}

#[tokio::test]
async fn believes_a_reply_without_message_authenticator_only_where_told_to() {
    let server = Server::start(|_, request| {
        vec![reply_with(request, Code::ACCESS_ACCEPT, Protection::None, &secret())]
    })
    .await;
    let strict = UpstreamSettings { tries: 2, ..upstream(&[server.address]) };
    assert_eq!(ask(&Upstream::new(strict).unwrap()).await, Reply::Silent);
    let lenient =
        UpstreamSettings { require_message_authenticator: false, ..upstream(&[server.address]) };
    assert_eq!(ask(&Upstream::new(lenient).unwrap()).await, Reply::Accepted);
}

#[tokio::test]
async fn many_requests_are_under_way_at_once() {
    let server = Server::saying(Code::ACCESS_ACCEPT).await;
    let upstream = Arc::new(Upstream::new(upstream(&[server.address])).unwrap());
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let upstream = upstream.clone();
        asking.spawn(async move { ask(&upstream).await });
    }
    let replies = asking.join_all().await;
    assert!(replies.iter().all(|reply| *reply == Reply::Accepted), "{replies:?}");
}

fn probing(servers: &[SocketAddr], interval: Duration) -> Upstream {
    let user = ProbeUser { name: "probe".into(), password: secret() };
    Upstream::new(UpstreamSettings {
        tries: 1,
        probe: Some(ProbeSettings { user, interval }),
        ..upstream(servers)
    })
    .unwrap()
}

#[tokio::test]
async fn probes_every_server_and_takes_a_reject_as_life() {
    let alive = Server::saying(Code::ACCESS_REJECT).await;
    let silent = Server::silent().await;
    let upstream = probing(&[silent.address, closed().await, alive.address], LIMIT);
    let found = upstream.probe().await;
    assert!(matches!(found[0].answer, Err(Unanswered::Silent)), "{found:?}");
    assert!(matches!(found[1].answer, Err(Unanswered::Unreachable(_))), "{found:?}");
    assert!(matches!(found[2].answer, Ok(Code::ACCESS_REJECT)), "{found:?}");
    let (_, request) = &alive.received()[0];
    let name = Packet::read(request).unwrap().attributes().first(AttributeNumber::USER_NAME);
    assert_eq!(name, Some(&b"probe"[..]));

    assert_eq!(ask(&upstream).await, Reply::Rejected);
    silent.receives(1).await;
    assert_eq!(silent.received().len(), 1, "the probe has shown that it is dead");
}

#[tokio::test]
async fn watches_until_it_is_stopped() {
    let (probed, mut probes) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |_, request| {
        let _ = probed.send(());
        vec![reply(request, Code::ACCESS_REJECT)]
    })
    .await;
    let upstream = Arc::new(probing(&[server.address], Duration::from_millis(1)));
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (upstream, stop) = (upstream.clone(), stop.clone());
        async move { upstream.watch(stop).await }
    });
    for _ in 0..3 {
        timeout(LIMIT, probes.recv()).await.unwrap().unwrap();
    }
    stop.cancel();
    timeout(LIMIT, watching).await.unwrap().unwrap();
}
