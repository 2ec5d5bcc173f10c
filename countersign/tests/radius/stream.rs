//! The upstream client on streams: TCP and UNIX sockets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::{
    client::radius::{Reply, Unanswered, Upstream},
    config::upstream::{
        HostPort, ProbeSettings, ProbeUser, ServerAddress, ServerSettings, UpstreamSettings,
    },
};
use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::Demand,
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Packet, Protection},
    },
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    stream_server::{Does, Heard, StreamServer},
    support::{LIMIT, reply, reply_with, secret, upstream},
};

/// Asks about a user.
async fn ask(upstream: &Upstream, user: &str) -> Reply {
    let passcode = Secret::new(b"123456".to_vec());
    timeout(LIMIT, upstream.ask_by_name(user, &passcode)).await.unwrap()
}

fn settings(servers: &[&StreamServer]) -> UpstreamSettings {
    let addresses: Vec<_> = servers.iter().map(|server| server.address.clone()).collect();
    settings_of(&addresses)
}

fn settings_of(addresses: &[ServerAddress]) -> UpstreamSettings {
    let server =
        |address: &ServerAddress| ServerSettings { address: address.clone(), secret: secret() };
    UpstreamSettings {
        timeout: LIMIT,
        tries: 1,
        servers: addresses.iter().map(server).collect(),
        ..upstream(&[])
    }
}

/// Impatient where silence is what is tested.
fn impatient(servers: &[&StreamServer]) -> UpstreamSettings {
    UpstreamSettings { timeout: Duration::from_secs(1), ..settings(servers) }
}

fn start(settings: UpstreamSettings) -> Arc<Upstream> {
    Arc::new(Upstream::new(settings).unwrap())
}

fn accept(heard: &Heard) -> Vec<u8> {
    reply(&heard.packet, Code::ACCESS_ACCEPT)
}

fn code(heard: &Heard) -> Code {
    Packet::read(&heard.packet).unwrap().code()
}

fn user(packet: &[u8]) -> Vec<u8> {
    let packet = Packet::read(packet).unwrap();
    packet.attributes().first(AttributeNumber::USER_NAME).unwrap().to_vec()
}

async fn accepting() -> StreamServer {
    StreamServer::tcp(|heard| vec![Does::Send(accept(heard))]).await
}

/// Probes, to learn why there was no answer.
async fn cause(settings: UpstreamSettings) -> Unanswered {
    let user = ProbeUser { name: "probe".into(), password: secret() };
    let probe = Some(ProbeSettings { user, interval: LIMIT });
    let upstream = start(UpstreamSettings { probe, ..settings });
    let mut probed = timeout(LIMIT, upstream.probe()).await.unwrap();
    probed.remove(0).answer.unwrap_err()
}

#[tokio::test]
async fn many_logons_go_over_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let says = |heard: &Heard| {
        let codes = [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT];
        vec![Does::Send(reply(&heard.packet, codes[heard.number % 2]))]
    };
    let tcp = StreamServer::tcp(says).await;
    let unix = StreamServer::unix(&directory.path().join("server.sock"), says);
    for server in [tcp, unix] {
        let upstream = start(settings(&[&server]));
        for expected in [Reply::Rejected, Reply::Accepted, Reply::Rejected, Reply::Accepted] {
            assert_eq!(ask(&upstream, "rosa").await, expected);
        }
        assert_eq!(server.connections(), [1; 4]);
        let secret = secret();
        for heard in server.heard() {
            let packet = Packet::read(&heard.packet).unwrap();
            let verified = packet.verify_request(&secret, Demand::Required).unwrap();
            assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"123456".to_vec()))));
        }
    }
}

#[tokio::test]
async fn answers_in_reverse_order_find_who_asked() {
    const MANY: usize = 100;
    let held = Mutex::new(Vec::new());
    let server = StreamServer::tcp(move |heard| {
        let says = match user(&heard.packet)[0] % 2 {
            0 => Code::ACCESS_ACCEPT,
            _ => Code::ACCESS_REJECT,
        };
        let mut held = held.lock().unwrap();
        held.push(Does::Send(reply(&heard.packet, says)));
        match held.len() {
            MANY => held.drain(..).rev().collect(),
            _ => Vec::new(),
        }
    })
    .await;
    let upstream = start(settings(&[&server]));
    let mut asking = JoinSet::new();
    for index in 0..MANY {
        let upstream = upstream.clone();
        asking.spawn(async move {
            let user = if index % 2 == 0 { "bob" } else { "carol" };
            (user, ask(&upstream, user).await)
        });
    }
    for (user, found) in asking.join_all().await {
        let expected = if user == "bob" { Reply::Accepted } else { Reply::Rejected };
        assert_eq!(found, expected);
    }
    assert_eq!(server.connections(), [1; MANY]);
}

#[tokio::test]
async fn more_than_there_are_identifiers_take_a_second_connection() {
    let server = StreamServer::tcp(|_| Vec::new()).await;
    let upstream = start(settings(&[&server]));
    let mut asking = JoinSet::new();
    for _ in 0..300 {
        let upstream = upstream.clone();
        asking.spawn(async move { ask(&upstream, "rosa").await });
    }
    server.hears(300).await;
    let connections = server.connections();
    let on = |number| connections.iter().filter(|one| **one == number).count();
    assert_eq!((on(1), on(2)), (256, 44));
}

#[tokio::test]
async fn a_torn_answer_is_whole_in_the_end() {
    let server = StreamServer::tcp(|heard| vec![Does::SendTorn(accept(heard))]).await;
    let upstream = start(settings(&[&server]));
    for _ in 0..2 {
        assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
    }
    assert_eq!(server.connections(), [1, 1]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_silence_and_nothing_is_sent_to_that_server_again() {
    let endings: [fn(&Heard) -> Vec<Does>; 2] = [
        |_| vec![Does::Close],
        |heard| vec![Does::Send(accept(heard)[..10].to_vec()), Does::Close],
    ];
    for ending in endings {
        let first = StreamServer::tcp(move |heard| match heard.number {
            1 => ending(heard),
            _ => vec![Does::Send(reply(&heard.packet, Code::ACCESS_REJECT))],
        })
        .await;
        let second = accepting().await;
        let settings = settings(&[&first, &second]);
        let upstream = start(UpstreamSettings { dead_time: Duration::ZERO, ..settings });
        assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
        assert_eq!((first.heard().len(), second.heard().len()), (1, 1));
        assert_eq!(ask(&upstream, "rosa").await, Reply::Rejected, "it is asked again");
        assert_eq!(first.connections(), [1, 2]);
    }
}

#[tokio::test]
async fn a_server_that_closes_without_a_word_is_passed_over_and_one_that_had_spoken_is_not() {
    let closing_at = |last| {
        StreamServer::tcp(move |heard| match heard.number {
            number if number == last => vec![Does::Close],
            _ => vec![Does::Send(reply(&heard.packet, Code::ACCESS_REJECT))],
        })
    };
    let second = accepting().await;
    let wordless = closing_at(1).await;
    assert!(matches!(cause(settings(&[&wordless])).await, Unanswered::Refused(_)));
    let wordless = closing_at(1).await;
    let upstream = start(settings(&[&wordless, &second]));
    for _ in 0..2 {
        assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
    }
    assert_eq!(wordless.heard().len(), 1);
    let spoken = closing_at(2).await;
    let upstream = start(settings(&[&spoken, &second]));
    for expected in [Reply::Rejected, Reply::Accepted, Reply::Rejected] {
        assert_eq!(ask(&upstream, "rosa").await, expected);
    }
}

#[tokio::test]
async fn requests_under_way_fail_over_when_the_connection_breaks() {
    let first = StreamServer::tcp(|heard| match heard.number {
        50 => vec![Does::Close],
        _ => Vec::new(),
    })
    .await;
    let second = accepting().await;
    let upstream = start(settings(&[&first, &second]));
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let upstream = upstream.clone();
        asking.spawn(async move { ask(&upstream, "rosa").await });
    }
    let replies = asking.join_all().await;
    assert!(replies.iter().all(|reply| *reply == Reply::Accepted), "{replies:?}");
    assert_eq!((first.heard().len(), second.heard().len()), (50, 50));
}

#[tokio::test]
async fn what_is_no_packet_ends_the_connection() {
    let mut torn_attribute = vec![2, 0, 0, 22];
    torn_attribute.resize(22, 0);
    let short = vec![2, 0, 0, 19];
    let long = vec![2, 0, 0x10, 1];
    for garbage in [torn_attribute, short, long] {
        let first = StreamServer::tcp(move |heard| {
            vec![Does::Send(garbage.clone()), Does::Send(accept(heard))]
        })
        .await;
        let error = cause(settings(&[&first])).await;
        assert!(matches!(&error, Unanswered::Untrusted(_)), "{error}");
        let second =
            StreamServer::tcp(|heard| vec![Does::Send(reply(&heard.packet, Code::ACCESS_REJECT))])
                .await;
        let upstream = start(settings(&[&first, &second]));
        assert_eq!(ask(&upstream, "rosa").await, Reply::Rejected);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_authentic_ends_the_connection() {
    let server = StreamServer::tcp(|heard| {
        let wrong = Secret::new(b"another secret".to_vec());
        let protection = Protection::MessageAuthenticator;
        let forged = reply_with(&heard.packet, Code::ACCESS_ACCEPT, protection, &wrong);
        vec![Does::Send(forged), Does::Send(accept(heard))]
    })
    .await;
    let error = cause(settings(&[&server])).await;
    assert!(error.to_string().contains("shared secret"), "{error}");
}

#[tokio::test]
async fn a_message_authenticator_is_demanded_over_tcp_and_not_on_a_socket_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let bare = |heard: &Heard| {
        let bare = reply_with(&heard.packet, Code::ACCESS_ACCEPT, Protection::None, &secret());
        vec![Does::Send(bare)]
    };
    let tcp = StreamServer::tcp(bare).await;
    assert_eq!(ask(&start(settings(&[&tcp])), "rosa").await, Reply::Silent);
    let lenient = UpstreamSettings { require_message_authenticator: false, ..settings(&[&tcp]) };
    assert_eq!(ask(&start(lenient), "rosa").await, Reply::Accepted);
    let unix = StreamServer::unix(&directory.path().join("server.sock"), bare);
    assert_eq!(ask(&start(settings(&[&unix])), "rosa").await, Reply::Accepted);
}

#[tokio::test]
async fn what_answers_nothing_is_passed_over() {
    let server = StreamServer::tcp(|heard| {
        let mut to_nothing = accept(heard);
        to_nothing[1] ^= 1;
        let rejected = reply(&heard.packet, Code::ACCESS_REJECT);
        let report = reply(&heard.packet, Code::ACCOUNTING_RESPONSE);
        vec![Does::Send(to_nothing), Does::Send(report), Does::Send(rejected)]
    })
    .await;
    assert_eq!(ask(&start(settings(&[&server])), "rosa").await, Reply::Rejected);
}

#[tokio::test]
async fn silence_leads_to_the_next_server_and_ends_a_connection_on_which_nothing_comes() {
    let first = StreamServer::tcp(|_| Vec::new()).await;
    let second = accepting().await;
    let settings = UpstreamSettings { dead_time: Duration::ZERO, ..impatient(&[&first, &second]) };
    let upstream = start(settings);
    assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
    first.hears(2).await;
    assert_eq!(code(&first.heard()[1]), Code::STATUS_SERVER, "it is asked whether it lives");
    let moved_on = async {
        while first.connections().last() == Some(&1) {
            assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
        }
    };
    timeout(LIMIT, moved_on).await.unwrap();
    let logons = first.heard().into_iter().filter(|heard| code(heard) == Code::ACCESS_REQUEST);
    let packets: Vec<_> = logons.map(|heard| heard.packet).collect();
    let mut different = packets.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), packets.len(), "nothing is sent twice on a stream");
}

#[tokio::test]
async fn a_server_that_says_that_it_lives_keeps_its_connection_and_its_place() {
    let first = StreamServer::tcp(|heard| {
        let says = match (code(heard), &user_or_none(heard)[..]) {
            (Code::STATUS_SERVER, _) => Code::ACCESS_ACCEPT,
            (_, b"lost") => return Vec::new(),
            _ => Code::ACCESS_REJECT,
        };
        vec![Does::Send(reply(&heard.packet, says))]
    })
    .await;
    let second = accepting().await;
    let upstream = start(impatient(&[&first, &second]));
    assert_eq!(ask(&upstream, "lost").await, Reply::Accepted, "the second one answers");
    first.hears(2).await;
    let back = async { while ask(&upstream, "rosa").await != Reply::Rejected {} };
    timeout(LIMIT, back).await.unwrap();
    assert!(first.connections().iter().all(|connection| *connection == 1));
}

fn user_or_none(heard: &Heard) -> Vec<u8> {
    let packet = Packet::read(&heard.packet).unwrap();
    packet.attributes().first(AttributeNumber::USER_NAME).unwrap_or_default().to_vec()
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_that_of_another_request() {
    let late = Mutex::new(None);
    let server = StreamServer::tcp(move |heard| {
        if heard.number == 1 {
            late.lock().unwrap().replace(Does::Send(accept(heard)));
            return Vec::new();
        }
        let rejected = Does::Send(reply(&heard.packet, Code::ACCESS_REJECT));
        late.lock().unwrap().take().into_iter().chain([rejected]).collect()
    })
    .await;
    let upstream = start(settings(&[&server]));
    let given_up = tokio::spawn({
        let upstream = upstream.clone();
        async move { ask(&upstream, "late").await }
    });
    server.hears(1).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    for _ in 0..2 {
        assert_eq!(ask(&upstream, "rosa").await, Reply::Rejected);
    }
    assert_eq!(server.connections(), [1; 3]);
}

#[tokio::test]
async fn where_nobody_listens_the_next_server_is_asked_at_once() {
    let nowhere = ServerAddress::Unix("/nonexistent/server.sock".into());
    let error = cause(settings_of(std::slice::from_ref(&nowhere))).await;
    assert!(matches!(error, Unanswered::Unreachable(_)), "{error}");
    let closed = HostPort { host: "127.0.0.1".into(), port: 1 };
    let second = accepting().await;
    let addresses = [nowhere, ServerAddress::Tcp(closed), second.address.clone()];
    assert_eq!(ask(&start(settings_of(&addresses)), "rosa").await, Reply::Accepted);
}

#[tokio::test]
async fn a_connection_is_closed_when_the_upstream_goes() {
    let server = accepting().await;
    let upstream = start(settings(&[&server]));
    assert_eq!(ask(&upstream, "rosa").await, Reply::Accepted);
    assert_eq!(server.open_connections(), 1);
    drop(upstream);
    crate::support::eventually(|| server.open_connections() == 0).await;
}

#[tokio::test]
async fn a_challenge_is_answered_to_the_server_that_asked_with_its_state() {
    let second = StreamServer::tcp(|heard| {
        let packet = Packet::read(&heard.packet).unwrap();
        let (identifier, authenticator) = (packet.identifier(), packet.authenticator());
        let protection = Protection::MessageAuthenticator;
        let draft = |code| Draft::new(code, identifier, authenticator, protection);
        let answer = match packet.attributes().first(AttributeNumber::STATE) {
            Some(b"round two") => draft(Code::ACCESS_ACCEPT),
            Some(_) => draft(Code::ACCESS_REJECT),
            None => {
                let mut challenge = draft(Code::ACCESS_CHALLENGE);
                challenge.push(AttributeNumber::REPLY_MESSAGE, b"The next code").unwrap();
                challenge.push(AttributeNumber::REPLY_MESSAGE, b"please").unwrap();
                challenge.push(AttributeNumber::STATE, b"round two").unwrap();
                challenge
            }
        };
        vec![Does::Send(answer.finish_reply(&secret()))]
    })
    .await;
    let first = StreamServer::tcp(|heard| match heard.number {
        1 => vec![Does::Close],
        _ => vec![Does::Send(accept(heard))],
    })
    .await;
    let upstream = start(settings(&[&first, &second]));
    let Reply::Challenged { server, state, message } = ask(&upstream, "rosa").await else {
        panic!("it is no challenge");
    };
    assert_eq!((server, &state[..]), (1, &b"round two"[..]));
    assert_eq!(message.as_deref(), Some("The next code\nplease"));

    let passcode = Secret::new(b"654321".to_vec());
    let answered = upstream.answer_challenge(server, &state, "rosa", &passcode).await;
    assert_eq!(answered, Reply::Accepted);
    let wrong = upstream.answer_challenge(server, b"other", "rosa", &passcode).await;
    assert_eq!(wrong, Reply::Rejected);
    assert_eq!(upstream.answer_challenge(7, &state, "rosa", &passcode).await, Reply::Silent);
    assert_eq!(first.heard().len(), 1);
    assert_eq!(user(&second.heard()[1].packet), b"rosa");
}
