//! Everything that a peer can send, tried without a network.

use std::{num::NonZeroU32, path::Path};

use countersign_core::{
    domain::{
        challenge::{Challenge, Prompt},
        event::What,
        id::TokenId,
        verdict::{Outcome, Verdict},
    },
    wire::radius::{
        authenticator::Authenticator,
        packet::{Draft, Identifier, Protection},
        transport::RequestToken,
    },
};
use proptest::prelude::*;

use super::*;
use crate::{
    app::{authenticate::Answer, proxy::Unforwarded},
    config::{
        radius::{RadiusRules, RealmSettings, Source},
        reply::ReplyRule,
        socket::SocketSettings,
        upstream::ProbeUser,
    },
    listener::radius::{job::Sending, peer::Version},
};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn client(network: &str) -> ClientSettings {
    let source = Source::Network(network.parse().unwrap());
    ClientSettings {
        probe: Some(ProbeUser {
            name: "DAProbeUser".into(),
            password: Secret::new(b"DAProbePass".to_vec()),
        }),
        reply: vec![ReplyRule::fixed(11, b"vpn".to_vec())],
        ..ClientSettings::new(format!("vpn {network}"), source, secret())
    }
}

/// 10.0.0.0/8 as by default, 10.0.0.1 exempted from Message-Authenticator, 10.0.0.2 never
/// challenged, 10.0.0.3 limited; a KDC on a socket, a branch over TLS.
fn clients() -> Vec<ClientSettings> {
    let socket = Source::Socket(SocketSettings {
        path: "/run/kdc.sock".into(),
        mode: 0o600,
        group: None,
        users: Vec::new(),
    });
    vec![
        client("10.0.0.0/8"),
        ClientSettings { require_message_authenticator: false, ..client("10.0.0.1/32") },
        ClientSettings { never_challenge: true, ..client("10.0.0.2/32") },
        ClientSettings { max_requests_per_second: NonZeroU32::new(1), ..client("10.0.0.3/32") },
        ClientSettings {
            is_kdc: true,
            require_message_authenticator: false,
            ..ClientSettings::new("kdc".into(), socket, Secret::new(Vec::new()))
        },
        ClientSettings::new(
            "branch".into(),
            Source::Certificate("radius.branch.example".into()),
            Secret::new(b"radsec".to_vec()),
        ),
    ]
}

fn handler_with(change: impl FnOnce(&mut RadiusRules)) -> Handler {
    let mut rules = RadiusRules { clients: clients(), ..RadiusRules::default() };
    change(&mut rules);
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::create(&directory.path().join("key")).unwrap();
    Handler::new(Arc::new(Common::new(Rules::new(rules).unwrap(), &vault, 120)))
}

fn handler() -> Handler {
    handler_with(|_| {})
}

fn secret() -> Secret<Vec<u8>> {
    Secret::new(b"secret".to_vec())
}

fn peer(last: u8) -> Peer {
    Peer::Udp(([10, 0, 0, last], 40_000).into())
}

fn kdc() -> Peer {
    Peer::Unix { path: Path::new("/run/kdc.sock").into(), user: 0, process: Some(7) }
}

fn branch(version: Version) -> Peer {
    let names = ["radius.branch.example".to_owned()].into();
    Peer::Tls { address: ([192, 0, 2, 1], 40_000).into(), names, version }
}

fn draft(identifier: u8, protection: Protection) -> Draft {
    let authenticator = Authenticator([identifier; 16]);
    Draft::new(Code::ACCESS_REQUEST, Identifier(identifier), authenticator, protection)
}

fn logon(identifier: u8, name: &str, password: &str, protection: Protection) -> Vec<u8> {
    let mut draft = draft(identifier, protection);
    draft.push(AttributeNumber::USER_NAME, name.as_bytes()).unwrap();
    let password = Secret::new(password.as_bytes().to_vec());
    draft.push_user_password(&password, &secret()).unwrap();
    draft.finish_request(&secret())
}

fn alice(identifier: u8) -> Vec<u8> {
    logon(identifier, "alice", "755224", Protection::MessageAuthenticator)
}

fn done(outcome: Outcome) -> Done {
    let verdict = Verdict { outcome, reason: Reason::PasscodeCorrect, account: None, token: None };
    let mut answer = Answer::from(verdict);
    if outcome == Outcome::Challenged {
        answer.challenge = Some(Challenge { prompt: Prompt::Otp, prior: prior() }.into());
    }
    Done::Decided(answer)
}

fn prior() -> Prior {
    Prior::PinRight(vec![TokenId::from_bytes([7; 16])])
}

fn job(step: Step) -> (Asked, Job) {
    match step {
        Step::Work(asked, job) => (*asked, job),
        Step::Nothing | Step::Close | Step::Answer(_) => panic!("{step:?}"),
    }
}

fn asked(step: Step) -> (Asked, Attempt) {
    match job(step) {
        (asked, Job::Decide(attempt)) => (asked, *attempt),
        (_, job) => panic!("{job:?}"),
    }
}

fn answer(step: Step) -> (Code, Vec<u8>) {
    match step {
        Step::Answer(answer) => describe(&answer),
        Step::Nothing | Step::Close | Step::Work(..) => panic!("{step:?}"),
    }
}

fn describe(answer: &[u8]) -> (Code, Vec<u8>) {
    let packet = Packet::read(answer).unwrap();
    let numbers = packet.attributes().iter().map(|found| found.number.0);
    (packet.code(), numbers.collect())
}

#[test]
fn makes_an_attempt_of_a_request() {
    let (_, attempt) = asked(handler().handle(&alice(1), &peer(9), NOW));
    assert_eq!(attempt.login.given(), "alice");
    assert_eq!(attempt.passcode, Secret::new(b"755224".to_vec()));
    assert_eq!((attempt.peer.as_str(), attempt.at), ("vpn 10.0.0.0/8", NOW));
    assert_eq!(attempt.listener, ListenerKind::Radius);
}

#[test]
fn no_two_attempts_have_the_same_correlation() {
    let mut handler = handler();
    let (_, one) = asked(handler.handle(&alice(1), &peer(9), NOW));
    let (_, two) = asked(handler.handle(&alice(2), &peer(9), NOW));
    assert_ne!(one.correlation, two.correlation);
}

#[test]
fn tells_the_verdict_by_code_and_attributes() {
    for (last, outcome, expected) in [
        (9, Outcome::Accepted, (Code::ACCESS_ACCEPT, vec![80, 11])),
        (9, Outcome::Rejected, (Code::ACCESS_REJECT, vec![80, 18])),
        (9, Outcome::Challenged, (Code::ACCESS_CHALLENGE, vec![80, 24, 18])),
        (2, Outcome::Challenged, (Code::ACCESS_REJECT, vec![80, 18])),
    ] {
        let mut handler = handler();
        let (asked, _) = asked(handler.handle(&alice(1), &peer(last), NOW));
        let answer = handler.finish(&asked, done(outcome), NOW).unwrap();
        assert_eq!(describe(&answer), expected, "{outcome:?} for {last}");
    }
}

#[test]
fn a_repeated_request_is_asked_once_and_answered_the_same() {
    let mut handler = handler();
    let (asked, _) = asked(handler.handle(&alice(1), &peer(9), NOW));
    assert!(matches!(handler.handle(&alice(1), &peer(9), NOW), Step::Nothing));
    let first = handler.finish(&asked, done(Outcome::Accepted), NOW).unwrap();
    let Step::Answer(again) = handler.handle(&alice(1), &peer(9), NOW.plus(15)) else { panic!() };
    assert_eq!(first, again);
    let counts = &handler.common.counts;
    assert_eq!(
        (counts.accepted.value(), counts.repeated.value(), counts.in_progress.value()),
        (1, 1, 1)
    );
}

#[test]
fn what_could_not_be_decided_is_not_answered_and_asked_again() {
    let mut handler = handler();
    let (asked_first, _) = asked(handler.handle(&alice(1), &peer(9), NOW));
    assert_eq!(handler.finish(&asked_first, done(Outcome::Unavailable), NOW), None);
    let _ = asked(handler.handle(&alice(1), &peer(9), NOW));
    assert_eq!(handler.common.counts.undecided.value(), 1);
}

#[test]
fn strangers_and_forgers_get_silence() {
    let mut handler = handler();
    let mut forged = alice(3);
    forged[25] ^= 1;
    let bare = logon(4, "alice", "755224", Protection::None);
    let mut accounting = alice(5);
    accounting[0] = Code::ACCOUNTING_REQUEST.0;
    for (datagram, from) in [
        (alice(1), Peer::Udp(([11, 0, 0, 1], 40_000).into())),
        (b"hello".to_vec(), peer(9)),
        (forged, peer(9)),
        (bare, peer(9)),
        (accounting, peer(9)),
    ] {
        assert!(matches!(handler.handle(&datagram, &from, NOW), Step::Nothing | Step::Close));
    }
    let counts = &handler.common.counts;
    let dropped =
        [&counts.unknown_client, &counts.malformed, &counts.unauthentic, &counts.unexpected_code];
    assert_eq!(dropped.map(Counter::value), [1, 1, 3, 0]);
}

#[test]
fn an_exempted_client_may_leave_out_the_message_authenticator_but_not_with_proxy_state() {
    let mut handler = handler();
    let bare = logon(1, "alice", "755224", Protection::None);
    let (asked, _) = asked(handler.handle(&bare, &peer(1), NOW));
    let answer = handler.finish(&asked, done(Outcome::Accepted), NOW).unwrap();
    assert_eq!(describe(&answer), (Code::ACCESS_ACCEPT, vec![11]));

    let mut shaped = draft(2, Protection::None);
    shaped.push(AttributeNumber::USER_NAME, b"alice").unwrap();
    shaped.push(AttributeNumber::PROXY_STATE, b"chosen by a forger").unwrap();
    let shaped = shaped.finish_request(&secret());
    assert!(matches!(handler.handle(&shaped, &peer(1), NOW), Step::Close));
}

#[test]
fn answers_the_probe_user_without_asking_and_without_granting() {
    let mut handler = handler();
    let probe = |identifier, password| {
        logon(identifier, "DAProbeUser", password, Protection::MessageAuthenticator)
    };
    let right = answer(handler.handle(&probe(1, "DAProbePass"), &peer(9), NOW));
    assert_eq!(right, (Code::ACCESS_ACCEPT, vec![80]));
    let wrong = answer(handler.handle(&probe(2, "755224"), &peer(9), NOW));
    assert_eq!(wrong, (Code::ACCESS_REJECT, vec![80, 18]));
    assert_eq!(handler.common.counts.probed.value(), 2);
}

#[test]
fn answers_status_server_every_time() {
    let mut handler = handler();
    let status = || {
        let authenticator = Authenticator([1; 16]);
        let protection = Protection::MessageAuthenticator;
        Draft::new(Code::STATUS_SERVER, Identifier(1), authenticator, protection)
            .finish_request(&secret())
    };
    for _ in 0..2 {
        let answer = answer(handler.handle(&status(), &peer(9), NOW));
        assert_eq!(answer, (Code::ACCESS_ACCEPT, vec![80]));
    }
    assert_eq!(handler.common.counts.status.value(), 2);
}

#[test]
fn rejects_chap_at_once_and_the_same_again() {
    let mut handler = handler();
    let mut chap = draft(1, Protection::MessageAuthenticator);
    chap.push(AttributeNumber::USER_NAME, b"flopsy").unwrap();
    chap.push(AttributeNumber::CHAP_PASSWORD, &[0; 17]).unwrap();
    let chap = chap.finish_request(&secret());
    for _ in 0..2 {
        let answer = answer(handler.handle(&chap, &peer(9), NOW));
        assert_eq!(answer, (Code::ACCESS_REJECT, vec![80, 18]));
    }
    assert_eq!(
        (handler.common.counts.rejected.value(), handler.common.counts.repeated.value()),
        (1, 1)
    );
}

#[test]
fn drops_what_is_too_much_and_takes_it_when_there_is_room() {
    let mut handler = handler();
    handler.in_flight = MAX_IN_FLIGHT;
    assert!(matches!(handler.handle(&alice(1), &peer(9), NOW), Step::Nothing));
    assert_eq!(handler.common.counts.busy.value(), 1);
    handler.in_flight -= 1;
    let _ = asked(handler.handle(&alice(1), &peer(9), NOW));
    assert_eq!(handler.in_flight, MAX_IN_FLIGHT);
}

#[test]
fn a_second_round_brings_back_what_the_first_established() {
    let mut handler = handler();
    let (first, attempt) = asked(handler.handle(&alice(1), &peer(9), NOW));
    assert!(attempt.terms.may_challenge && attempt.terms.prior.is_none());
    let challenge = handler.finish(&first, done(Outcome::Challenged), NOW).unwrap();
    let packet = Packet::read(&challenge).unwrap();
    let state = packet.attributes().first(AttributeNumber::STATE).unwrap().to_vec();
    let second = |identifier, name: &str, state: &[u8]| {
        let mut draft = draft(identifier, Protection::MessageAuthenticator);
        draft.push(AttributeNumber::USER_NAME, name.as_bytes()).unwrap();
        draft.push_user_password(&Secret::new(b"755224".to_vec()), &secret()).unwrap();
        draft.push(AttributeNumber::STATE, state).unwrap();
        draft.finish_request(&secret())
    };
    let (_, attempt) = asked(handler.handle(&second(2, "alice", &state), &peer(9), NOW));
    assert_eq!(attempt.terms.prior, Some(prior()));
    for (identifier, name, state, from, now) in [
        (3, "bob", &state[..], 9, NOW),
        (4, "alice", &state, 2, NOW),
        (5, "alice", b"made up", 9, NOW),
        (6, "alice", &state, 9, NOW.plus(121)),
    ] {
        let step = handler.handle(&second(identifier, name, state), &peer(from), now);
        let (_, job) = job(step);
        assert!(matches!(job, Job::Refuse(_, Reason::StateInvalid)), "{identifier}: {job:?}");
    }
}

#[test]
fn a_kdc_is_answered_bare_always_and_never_challenged() {
    for (outcome, code) in [
        (Outcome::Accepted, Code::ACCESS_ACCEPT),
        (Outcome::Rejected, Code::ACCESS_REJECT),
        (Outcome::Challenged, Code::ACCESS_REJECT),
        (Outcome::Unavailable, Code::ACCESS_REJECT),
    ] {
        let mut handler = handler();
        let none = Secret::new(Vec::new());
        let mut draft = draft(1, Protection::None);
        draft.push(AttributeNumber::NAS_IDENTIFIER, b"kdc1\n").unwrap();
        draft.push_user_password(&Secret::new(b"755224".to_vec()), &none).unwrap();
        draft.push(AttributeNumber::USER_NAME, b"alice/admin@OTP.TEST").unwrap();
        let request = draft.finish_request(&none);
        let (asked, attempt) = asked(handler.handle(&request, &kdc(), NOW));
        assert_eq!(attempt.login.given(), "alice/admin@OTP.TEST");
        assert!(!attempt.terms.may_challenge);
        assert_eq!(attempt.terms.origin.as_deref(), Some("unix uid 0 pid 7 nas kdc1\u{fffd}"));
        let answer = handler.finish(&asked, done(outcome), NOW).unwrap();
        assert_eq!((answer.len(), describe(&answer)), (20, (code, vec![])));
    }
}

#[test]
fn on_a_stream_the_same_packet_is_a_new_request() {
    let mut handler = handler();
    let tcp = Peer::Tcp(([10, 0, 0, 9], 40_000).into());
    let (one, first) = asked(handler.handle(&alice(1), &tcp, NOW));
    assert!(handler.finish(&one, done(Outcome::Accepted), NOW).is_some());
    let (_, second) = asked(handler.handle(&alice(1), &tcp, NOW));
    assert_eq!(first.terms.receipt, second.terms.receipt, "but known by its receipt");
}

#[test]
fn the_receipt_is_of_the_packet_or_where_it_may_be_of_the_passcode() {
    let receipts = |handler: &mut Handler, packets: &[Vec<u8>]| -> Vec<_> {
        let receipts = packets
            .iter()
            .map(|packet| asked(handler.handle(packet, &peer(9), NOW)).1.terms.receipt.unwrap());
        receipts.collect()
    };
    let other = logon(3, "alice", "000000", Protection::MessageAuthenticator);
    let packets = [alice(1), alice(2), other];
    let found = receipts(&mut handler(), &packets);
    assert!(found[0] != found[1] && found[1] != found[2]);
    let graceful = |rules: &mut RadiusRules| rules.clients[0].retry_grace = 3;
    let found = receipts(&mut handler_with(graceful), &packets);
    assert!(found[0] == found[1] && found[1] != found[2]);
}

#[test]
fn the_same_passcode_in_another_round_is_no_retry() {
    let graceful = |rules: &mut RadiusRules| rules.clients[0].retry_grace = 3;
    let mut handler = handler_with(graceful);
    let (first, attempt) = asked(handler.handle(&alice(1), &peer(9), NOW));
    let challenge = handler.finish(&first, done(Outcome::Challenged), NOW).unwrap();
    let state = Packet::read(&challenge).unwrap().attributes().first(AttributeNumber::STATE);
    let mut draft = draft(2, Protection::MessageAuthenticator);
    draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
    draft.push_user_password(&Secret::new(b"755224".to_vec()), &secret()).unwrap();
    draft.push(AttributeNumber::STATE, state.unwrap()).unwrap();
    let second = draft.finish_request(&secret());
    let (_, again) = asked(handler.handle(&second, &peer(9), NOW));
    assert_ne!(attempt.terms.receipt, again.terms.receipt);
}

#[test]
fn over_radius_1_1_nothing_is_hidden_and_the_token_comes_back() {
    let mut handler = handler();
    let mut draft = Draft::new_over_tls(Code::ACCESS_REQUEST, RequestToken(77));
    draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
    draft.push_clear_password(&Secret::new(b"755224".to_vec())).unwrap();
    let request = draft.finish_over_tls();
    let (asked, attempt) = asked(handler.handle(&request, &branch(Version::V1_1), NOW));
    assert_eq!(attempt.passcode, Secret::new(b"755224".to_vec()));
    assert_eq!(attempt.terms.receipt, None, "the packet may come from another person");
    let answer = handler.finish(&asked, done(Outcome::Accepted), NOW).unwrap();
    let packet = Packet::read(&answer).unwrap();
    assert_eq!(packet.request_token(), RequestToken(77));
    let historic = handler.handle(&request, &branch(Version::Historic), NOW);
    assert!(matches!(historic, Step::Close), "without a Message-Authenticator");
}

#[test]
fn a_client_that_asks_too_often_gets_silence() {
    let mut handler = handler();
    let _ = asked(handler.handle(&alice(1), &peer(3), NOW));
    assert!(matches!(handler.handle(&alice(2), &peer(3), NOW), Step::Nothing));
    assert_eq!(handler.common.counts.limited.value(), 1);
}

#[test]
fn a_user_of_another_realm_is_sent_on_with_what_came() {
    let realm = RealmSettings {
        name: "partner.example".into(),
        upstream: Some("partner".into()),
        strip: true,
    };
    let mut handler = handler_with(|rules| rules.realms.push(realm));
    let name = "alice@PARTNER.example";
    let request = |identifier, states: usize| {
        let mut draft = draft(identifier, Protection::MessageAuthenticator);
        draft.push(AttributeNumber::USER_NAME, name.as_bytes()).unwrap();
        draft.push_user_password(&Secret::new(b"755224".to_vec()), &secret()).unwrap();
        for _ in 0..states {
            draft.push(AttributeNumber::PROXY_STATE, b"before").unwrap();
        }
        draft.finish_request(&secret())
    };
    let (asked, job) = job(handler.handle(&request(1, 1), &peer(9), NOW));
    let Job::Forward(sent) = job else { panic!("{job:?}") };
    let Sending { upstream, forward, attempt } = *sent;
    assert_eq!((upstream.as_str(), attempt.unwrap().login.as_str()), ("partner", name));
    assert_eq!(forward.password, Some(Secret::new(b"755224".to_vec())));
    assert_eq!(
        forward.attributes,
        [
            (AttributeNumber::USER_NAME, b"alice".to_vec()),
            (AttributeNumber::PROXY_STATE, b"before".to_vec())
        ]
    );
    let silent = Done::Forwarded(Err(Unforwarded::TooLate));
    assert_eq!(handler.finish(&asked, silent, NOW), None);
    let loops = answer(handler.handle(&request(2, 10), &peer(9), NOW));
    assert_eq!(loops.0, Code::ACCESS_REJECT, "a loop of proxies ends");
}

fn report(identifier: u8) -> Vec<u8> {
    let mut draft = Draft::new_accounting_request(Identifier(identifier));
    draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
    draft.push(AttributeNumber::ACCT_STATUS_TYPE, &[0, 0, 0, 2]).unwrap();
    draft.push(AttributeNumber::ACCT_SESSION_ID, b"s-1").unwrap();
    draft.push(AttributeNumber::ACCT_SESSION_TIME, &[0, 0, 14, 16]).unwrap();
    draft.finish_accounting_request(&secret()).0
}

#[test]
fn accounting_is_recorded_and_answered_where_the_config_says_so() {
    let mut handler = handler_with(|rules| rules.accounting = true);
    let (asked, job) = job(handler.handle(&report(1), &peer(9), NOW));
    let Job::Record(event) = job else { panic!("{job:?}") };
    let What::Accounted { status, login, session, seconds, .. } = event.what else { panic!() };
    assert_eq!(
        (status.as_str(), login.as_deref(), session.as_deref(), seconds),
        ("stop", Some("alice"), Some("s-1"), Some(3600))
    );
    let answer = handler.finish(&asked, Done::Recorded, NOW).unwrap();
    assert_eq!(describe(&answer).0, Code::ACCOUNTING_RESPONSE);
    let mut forged = report(2);
    forged[30] ^= 1;
    assert!(matches!(handler.handle(&forged, &peer(9), NOW), Step::Close));
}

#[test]
fn a_report_that_is_refused_leaves_nothing_in_progress() {
    let mut handler = handler();
    for _ in 0..2 {
        assert!(matches!(handler.handle(&report(1), &peer(9), NOW), Step::Nothing));
    }
    let counts = &handler.common.counts;
    assert_eq!((counts.unexpected_code.value(), counts.in_progress.value()), (2, 0));
    let _ = asked(handler.handle(&alice(1), &peer(8), NOW));
    assert_eq!(handler.repeats.len(), 1, "only the logon is remembered");
}

#[test]
fn a_report_that_nobody_takes_is_not_rejected_as_a_logon() {
    let mut handler = handler_with(|rules| {
        let kdc = rules.clients.iter_mut().find(|client| client.is_kdc).unwrap();
        (kdc.upstream, kdc.secret) = (Some("far".into()), secret());
    });
    let (asked, job) = job(handler.handle(&report(1), &kdc(), NOW));
    assert!(matches!(job, Job::Forward(_)), "{job:?}");
    let nobody = Done::Forwarded(Err(Unforwarded::Unknown("far".into())));
    assert_eq!(handler.finish(&asked, nobody, NOW), None);
}

#[test]
fn accounting_is_refused_in_silence_or_in_words() {
    let mut handler = handler();
    assert!(matches!(handler.handle(&report(1), &peer(9), NOW), Step::Nothing));
    let tcp = Peer::Tcp(([10, 0, 0, 9], 40_000).into());
    let refused = answer(handler.handle(&report(1), &tcp, NOW));
    assert_eq!(refused, (Code::ACCOUNTING_RESPONSE, vec![101]));
}

proptest! {
    #[test]
    fn no_datagram_panics(
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        at in 0usize..80,
        octet: u8,
    ) {
        let mut handler = handler();
        let _ = handler.handle(&noise, &peer(1), NOW);
        let mut mutated = logon(1, "alice", "755224", Protection::None);
        let at = at % mutated.len();
        mutated[at] = octet;
        let _ = handler.handle(&mutated, &peer(1), NOW);
    }
}
