//! The upstream client over TLS: RadSec (RFC 6614) and RADIUS/1.1 (RFC 9765).

use std::sync::Arc;

use countersign::{
    client::radius::{Reply, Unanswered, Upstream, UpstreamTlsError},
    clock::{Clock, SystemClock},
    config::upstream::{
        HostPort, ProbeSettings, ProbeUser, Radius11, ServerAddress, ServerSettings,
        UpstreamSettings, UpstreamTls,
    },
    listener::tls::{ClientCertificate, Examiner},
};
use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::Demand,
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Packet, Protection},
        transport::{ALPN_RADIUS_1_0, ALPN_RADIUS_1_1},
    },
};
use rustls::{
    ALL_VERSIONS,
    version::{TLS12, TLS13},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    authority::Authority,
    stream_server::{Does, Heard, StreamServer},
    support::{LIMIT, reply_with, secret, upstream},
};

const BOTH: &[&[u8]] = &[ALPN_RADIUS_1_1, ALPN_RADIUS_1_0];

fn radsec() -> Secret<Vec<u8>> {
    Secret::new(b"radsec".to_vec())
}

/// Says yes as RADIUS/1.0, as most servers do: without Message-Authenticator.
fn accept_1_0(heard: &Heard) -> Vec<Does> {
    let none = Protection::None;
    vec![Does::Send(reply_with(&heard.packet, Code::ACCESS_ACCEPT, none, &radsec()))]
}

/// Says yes as RADIUS/1.1.
fn accept_1_1(heard: &Heard) -> Vec<Does> {
    let token = Packet::read(&heard.packet).unwrap().request_token();
    vec![Does::Send(Draft::new_over_tls(Code::ACCESS_ACCEPT, token).finish_over_tls())]
}

fn settings(address: ServerAddress, tls: UpstreamTls) -> UpstreamSettings {
    UpstreamSettings {
        timeout: LIMIT,
        tries: 1,
        servers: vec![ServerSettings { address, secret: radsec() }],
        tls: Some(tls),
        ..upstream(&[])
    }
}

async fn ask(upstream: &Upstream) -> Reply {
    let passcode = Secret::new(b"123456".to_vec());
    timeout(LIMIT, upstream.ask_by_name("rosa", &passcode)).await.unwrap()
}

async fn asks(server: &StreamServer, tls: UpstreamTls) -> Reply {
    ask(&Upstream::new(settings(server.address.clone(), tls)).unwrap()).await
}

/// Why nobody could be asked.
async fn cause(server: &StreamServer, tls: UpstreamTls) -> String {
    cause_at(server.address.clone(), tls).await
}

async fn cause_at(address: ServerAddress, tls: UpstreamTls) -> String {
    let user = ProbeUser { name: "probe".into(), password: secret() };
    let probe = Some(ProbeSettings { user, interval: LIMIT });
    let upstream = Upstream::new(UpstreamSettings { probe, ..settings(address, tls) }).unwrap();
    let mut probed = timeout(LIMIT, upstream.probe()).await.unwrap();
    let error = probed.remove(0).answer.unwrap_err();
    assert!(matches!(error, Unanswered::Unreachable(_) | Unanswered::Refused(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn speaks_radius_1_0_with_a_server_that_knows_no_other() {
    let authority = Authority::new();
    for (protocols, versions) in
        [(&[][..], &[&TLS12][..]), (&[], &[&TLS13]), (&[ALPN_RADIUS_1_0][..], ALL_VERSIONS)]
    {
        let config = authority.server(protocols, versions);
        let server = StreamServer::tls(config, accept_1_0).await;
        let upstream = settings(server.address.clone(), authority.upstream(Radius11::Allow));
        let upstream = Upstream::new(upstream).unwrap();
        for _ in 0..2 {
            assert_eq!(ask(&upstream).await, Reply::Accepted);
        }
        assert_eq!(server.connections(), [1, 1]);
        let radsec = radsec();
        for heard in server.heard() {
            let packet = Packet::read(&heard.packet).unwrap();
            let verified = packet.verify_request(&radsec, Demand::Required).unwrap();
            assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"123456".to_vec()))));
        }
    }
}

#[tokio::test]
async fn speaks_radius_1_1_where_both_may() {
    let authority = Authority::new();
    let server = StreamServer::tls(authority.server(BOTH, ALL_VERSIONS), accept_1_1).await;
    for radius_1_1 in [Radius11::Allow, Radius11::Require] {
        assert_eq!(asks(&server, authority.upstream(radius_1_1)).await, Reply::Accepted);
    }
    for heard in server.heard() {
        let attributes = Packet::read(&heard.packet).unwrap().attributes();
        assert!(!attributes.contains(AttributeNumber::MESSAGE_AUTHENTICATOR));
        assert_eq!(attributes.first(AttributeNumber::USER_PASSWORD), Some(&b"123456"[..]));
        assert_eq!((heard.packet[1], &heard.packet[8..20]), (0, &[0; 12][..]));
    }
}

#[tokio::test]
async fn radius_1_1_is_left_alone_where_it_is_forbidden() {
    let authority = Authority::new();
    let server = StreamServer::tls(authority.server(BOTH, ALL_VERSIONS), accept_1_0).await;
    assert_eq!(asks(&server, authority.upstream(Radius11::Forbid)).await, Reply::Accepted);
}

#[tokio::test]
async fn without_radius_1_1_nothing_is_sent_where_it_is_required() {
    let authority = Authority::new();
    for protocols in [&[][..], &[ALPN_RADIUS_1_0]] {
        let server = StreamServer::tls(authority.server(protocols, ALL_VERSIONS), accept_1_0).await;
        let cause = cause(&server, authority.upstream(Radius11::Require)).await;
        assert!(cause.contains("RADIUS/1.1") || cause.contains("NoApplicationProtocol"), "{cause}");
        assert!(server.heard().is_empty());
    }
}

#[tokio::test]
async fn radius_1_1_needs_tls_1_3() {
    let authority = Authority::new();
    let server = StreamServer::tls(authority.server(BOTH, &[&TLS12]), accept_1_1).await;
    let cause = cause(&server, authority.upstream(Radius11::Allow)).await;
    assert!(cause.contains("without TLS 1.3"), "{cause}");
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn over_radius_1_1_hundreds_are_under_way_on_one_connection() {
    const MANY: usize = 400;
    let held = std::sync::Mutex::new(Vec::new());
    let authority = Authority::new();
    let server = StreamServer::tls(authority.server(BOTH, ALL_VERSIONS), move |heard| {
        let mut held = held.lock().unwrap();
        held.extend(accept_1_1(heard));
        if held.len() == MANY { held.drain(..).rev().collect() } else { Vec::new() }
    })
    .await;
    let settings = settings(server.address.clone(), authority.upstream(Radius11::Require));
    let upstream = Arc::new(Upstream::new(settings).unwrap());
    let mut asking = JoinSet::new();
    for _ in 0..MANY {
        let upstream = upstream.clone();
        asking.spawn(async move { ask(&upstream).await });
    }
    let replies = asking.join_all().await;
    assert!(replies.iter().all(|reply| *reply == Reply::Accepted), "{replies:?}");
    assert_eq!(server.connections(), [1; MANY]);
}

#[tokio::test]
async fn the_name_of_the_server_has_to_be_in_its_certificate() {
    let authority = Authority::new();
    let server = StreamServer::tls(authority.server(&[], ALL_VERSIONS), accept_1_0).await;
    let ServerAddress::Tls(HostPort { port, .. }) = server.address else { panic!("it is") };
    let by_address = ServerAddress::Tls(HostPort { host: "127.0.0.1".into(), port });
    let tls = || authority.upstream(Radius11::Allow);
    let cause = cause_at(by_address.clone(), tls()).await;
    assert!(cause.contains("ertificate") && cause.contains("127.0.0.1"), "{cause}");
    let named = UpstreamTls { server_name: Some("localhost".into()), ..tls() };
    let upstream = Upstream::new(settings(by_address, named)).unwrap();
    assert_eq!(ask(&upstream).await, Reply::Accepted);
}

#[tokio::test]
async fn strangers_are_not_spoken_to_on_either_side() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = StreamServer::tls(authority.server(&[], ALL_VERSIONS), accept_1_0).await;
    let stranger = other.upstream(Radius11::Allow);
    let cause_here = cause(&server, stranger.clone()).await;
    assert!(cause_here.contains("ertificate"), "{cause_here}");
    let trusting = UpstreamTls { trust: authority.upstream(Radius11::Allow).trust, ..stranger };
    // The server may say so only after the handshake.
    cause(&server, trusting).await;
    assert!(server.heard().is_empty());
}

#[test]
fn a_client_is_known_by_its_dns_names_or_else_its_common_name_and_by_nothing_like_it() {
    let authority = Authority::new();
    let examiner = Examiner::new(&[authority.certificate("ca")], Vec::new()).unwrap();
    let client = "extendedKeyUsage=clientAuth";
    let named = format!("{client}\nsubjectAltName=DNS:Vpn.Example,IP:192.0.2.1");
    for (subject, extensions, names) in [
        ("/CN=Radius.Branch.Example", client, &["radius.branch.example"][..]),
        ("/CN=old.example/CN=new.example", client, &["new.example"]),
        ("/CN=radius.branch.example", &named, &["vpn.example"]),
        ("/O=x,CN=radius.branch.example", client, &[]),
        ("/CN=evil.example/OU=x,CN=radius.branch.example", client, &["evil.example"]),
    ] {
        authority.issue_to("other", subject, extensions);
        let shown = examiner.examine(Some(&[authority.certificate("other")]), SystemClock.now());
        let ClientCertificate::Trusted(machine) = shown else { panic!("{shown:?}") };
        assert_eq!(machine.names(), names, "{subject}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let tls = || authority.upstream(Radius11::Allow);
    let address = || ServerAddress::Tls(HostPort { host: "localhost".into(), port: 1 });
    let error = |tls| Upstream::new(settings(address(), tls)).unwrap_err();
    let missing = || tls().trust.with_file_name("missing");
    for (broken, named) in [
        (UpstreamTls { trust: missing(), ..tls() }, "missing"),
        (UpstreamTls { certificate: missing(), ..tls() }, "missing"),
        (UpstreamTls { key: missing(), ..tls() }, "missing"),
        (UpstreamTls { key: tls().trust, ..tls() }, "PKCS#8"),
        (UpstreamTls { certificate: tls().trust, ..tls() }, "certificate and its key"),
        (UpstreamTls { server_name: Some("a b".into()), ..tls() }, "\"a b\""),
    ] {
        let error: UpstreamTlsError = error(broken);
        assert!(error.to_string().contains(named), "{error}");
    }
}
