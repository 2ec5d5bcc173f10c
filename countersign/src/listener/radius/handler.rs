//! What is to be done about a packet: nothing, an answer, or a decision first.
//!
//! No socket is seen from here, and the time is told, so everything that a peer can
//! send is tried without a network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use countersign_core::{
    domain::{
        attempt::{Attempt, ListenerKind, Terms},
        id::CorrelationId,
        time::UnixTime,
        verdict::{Outcome, Verdict},
    },
    wire::radius::{
        authenticator::{Demand, Unauthentic, VerifiedRequest},
        dictionary::Code,
        packet::{Packet, PacketError},
        repeat::{Limits, Repeats, Seen},
    },
};

use super::{
    attributes::{Facts, attributes},
    clients::Clients,
    counts::{Counter, Counts},
    reply::ReplyTo,
    request::Question,
};
use crate::{
    config::{radius::ClientSettings, reply::Listener},
    vault::random_octets,
};

/// Knows the clients, and what was asked and answered of late.
pub(super) struct Handler {
    clients: Arc<Clients>,
    counts: Arc<Counts>,
    repeats: Repeats<SocketAddr>,
    in_flight: usize,
    correlations: Correlations,
}

/// What is to be done now.
#[derive(Debug)]
#[must_use]
pub(super) enum Step {
    /// Nothing. It was counted.
    Nothing,
    /// This is to be sent.
    Answer(Vec<u8>),
    /// The attempt has to be decided; then [`Handler::finish`] wants to know.
    Ask(Box<Asked>, Box<Attempt>),
}

/// What has to be known to answer when the decision is there.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) peer: SocketAddr,
    client: Arc<ClientSettings>,
    reply_to: ReplyTo,
}

/// Why a packet gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Dropped {
    #[error("no client has this address")]
    UnknownClient,
    #[error(transparent)]
    Malformed(#[from] PacketError),
    #[error("{0} is not answered here")]
    UnexpectedCode(Code),
    #[error(transparent)]
    Unauthentic(#[from] Unauthentic),
    #[error("it is still being decided")]
    InProgress,
    #[error("too much is being decided")]
    Busy,
}

impl Handler {
    pub(super) fn new(clients: Arc<Clients>, counts: Arc<Counts>) -> Self {
        let repeats = Repeats::new(REMEMBERED);
        Self { clients, counts, repeats, in_flight: 0, correlations: Correlations::new() }
    }

    /// Looks at a datagram.
    pub(super) fn handle(&mut self, datagram: &[u8], peer: SocketAddr, now: UnixTime) -> Step {
        match self.step(datagram, peer, now) {
            Ok(step) => step,
            Err(dropped) => {
                tracing::debug!(%peer, cause = %dropped, "a RADIUS packet was dropped");
                self.counter_of(dropped).add();
                Step::Nothing
            }
        }
    }

    /// Hears the verdict about an attempt. If no decision could be made there is no
    /// answer: the client may ask another server, or again.
    pub(super) fn finish(
        &mut self,
        asked: &Asked,
        verdict: Verdict,
        now: UnixTime,
    ) -> Option<Vec<u8>> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Asked { peer, client, reply_to } = asked;
        let (counter, answer) = match verdict.outcome {
            Outcome::Accepted => {
                let facts = facts(&verdict);
                let attributes = attributes(client.reply_attributes.iter(), &facts);
                (&self.counts.accepted, reply_to.accept(&attributes, &client.secret))
            }
            Outcome::Challenged if !client.never_challenge => {
                (&self.counts.challenged, reply_to.challenge(&client.secret))
            }
            Outcome::Challenged => {
                tracing::debug!(client = client.name, "a challenge was turned into a reject");
                (&self.counts.rejected, reply_to.reject(&client.secret))
            }
            Outcome::Rejected => (&self.counts.rejected, reply_to.reject(&client.secret)),
            Outcome::Unavailable => {
                self.counts.undecided.add();
                self.repeats.withdrawn(*peer, reply_to.identifier, reply_to.authenticator);
                return None;
            }
        };
        counter.add();
        self.remember(*peer, reply_to, &answer, now);
        Some(answer)
    }

    fn step(&mut self, datagram: &[u8], peer: SocketAddr, now: UnixTime) -> Result<Step, Dropped> {
        let client = self.clients.find(peer.ip()).ok_or(Dropped::UnknownClient)?.clone();
        let packet = Packet::read(datagram)?;
        let code = packet.code();
        if !matches!(code, Code::ACCESS_REQUEST | Code::STATUS_SERVER) {
            return Err(Dropped::UnexpectedCode(code));
        }
        let request = packet.verify_request(&client.secret, demand(&client))?;
        if code == Code::STATUS_SERVER {
            self.counts.status.add();
            return Ok(Step::Answer(ReplyTo::new(&request).accept(&[], &client.secret)));
        }
        self.access_request(&request, &client, peer, now)
    }

    fn access_request(
        &mut self,
        request: &VerifiedRequest<'_>,
        client: &Arc<ClientSettings>,
        peer: SocketAddr,
        now: UnixTime,
    ) -> Result<Step, Dropped> {
        let reply_to = ReplyTo::new(request);
        let (identifier, authenticator) = (reply_to.identifier, reply_to.authenticator);
        match self.repeats.begin(peer, identifier, authenticator, since_epoch(now)) {
            Seen::New => {}
            Seen::InProgress => return Err(Dropped::InProgress),
            Seen::Answered(answer) => {
                self.counts.repeated.add();
                return Ok(Step::Answer(answer));
            }
            Seen::Full => return Err(Dropped::Busy),
        }
        let (counter, answer) = match Question::read(request, client.probe.as_ref()) {
            Ok(Question::Logon(..)) if self.in_flight >= MAX_IN_FLIGHT => {
                self.repeats.withdrawn(peer, identifier, authenticator);
                return Err(Dropped::Busy);
            }
            Ok(Question::Logon(login, passcode)) => {
                self.in_flight += 1;
                let attempt = Attempt {
                    correlation: self.correlations.next(),
                    login,
                    passcode,
                    listener: ListenerKind::Radius,
                    peer: client.name.clone(),
                    at: now,
                    terms: Terms::default(),
                };
                let asked = Asked { peer, client: client.clone(), reply_to };
                return Ok(Step::Ask(asked.into(), attempt.into()));
            }
            Ok(Question::Probe(right)) => {
                tracing::debug!(target: "countersign::probe", client = client.name, right, "probed");
                let answer = match right {
                    true => reply_to.accept(&[], &client.secret),
                    false => reply_to.reject(&client.secret),
                };
                (&self.counts.probed, answer)
            }
            Err(refusal) => {
                tracing::debug!(client = client.name, cause = %refusal, "a request was rejected");
                (&self.counts.rejected, reply_to.reject(&client.secret))
            }
        };
        counter.add();
        self.remember(peer, &reply_to, &answer, now);
        Ok(Step::Answer(answer))
    }

    fn remember(&mut self, peer: SocketAddr, reply_to: &ReplyTo, answer: &[u8], now: UnixTime) {
        let ReplyTo { identifier, authenticator, .. } = *reply_to;
        self.repeats.answered(peer, identifier, authenticator, answer.to_vec(), since_epoch(now));
    }

    fn counter_of(&self, dropped: Dropped) -> &Counter {
        match dropped {
            Dropped::UnknownClient => &self.counts.unknown_client,
            Dropped::Malformed(_) => &self.counts.malformed,
            Dropped::UnexpectedCode(_) => &self.counts.unexpected_code,
            Dropped::Unauthentic(_) => &self.counts.unauthentic,
            Dropped::InProgress => &self.counts.in_progress,
            Dropped::Busy => &self.counts.busy,
        }
    }
}

/// Draws identifiers: eight random octets for the handler, eight that count.
#[derive(Debug)]
struct Correlations {
    prefix: [u8; 8],
    count: u64,
}

impl Correlations {
    fn new() -> Self {
        Self { prefix: random_octets(), count: 0 }
    }

    fn next(&mut self) -> CorrelationId {
        self.count = self.count.wrapping_add(1);
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.prefix);
        octets[8..].copy_from_slice(&self.count.to_be_bytes());
        CorrelationId::from_bytes(octets)
    }
}

fn facts(verdict: &Verdict) -> Facts<'static> {
    Facts {
        listener: Listener::Udp,
        account: None,
        groups: &[],
        token_label: None,
        token_id: verdict.token,
        indicators: &[],
    }
}

fn demand(client: &ClientSettings) -> Demand {
    match client.require_message_authenticator {
        true => Demand::Required,
        false => Demand::WherePresent,
    }
}

fn since_epoch(now: UnixTime) -> Duration {
    Duration::from_secs(now.0)
}

/// RFC 5080 §2.2.2 recommends 5 to 30 seconds; most clients have given up after 15.
const REMEMBERED: Limits = Limits { keep: Duration::from_secs(15), entries: 131_072 };
/// Decisions that one loop waits for. Most wait for a disk flush, some for an upstream.
const MAX_IN_FLIGHT: usize = 8192;

#[cfg(test)]
mod tests {
    use countersign_core::{
        domain::verdict::Reason,
        secret::Secret,
        wire::radius::{
            authenticator::Authenticator,
            dictionary::AttributeNumber,
            packet::{Draft, Identifier, Protection},
        },
    };
    use proptest::prelude::*;

    use super::*;
    use crate::config::{reply::ReplyRule, upstream::ProbeUser};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn client(network: &str) -> ClientSettings {
        ClientSettings {
            name: format!("vpn {network}"),
            network: network.parse().unwrap(),
            secret: secret(),
            require_message_authenticator: true,
            never_challenge: false,
            probe: Some(ProbeUser {
                name: "DAProbeUser".into(),
                password: Secret::new(b"DAProbePass".to_vec()),
            }),
            reply_attributes: vec![ReplyRule::fixed(11, b"vpn".to_vec())],
        }
    }

    /// 10.0.0.0/8 as by default, 10.0.0.1 exempted from Message-Authenticator, 10.0.0.2 never challenged.
    fn handler() -> Handler {
        let exempt =
            ClientSettings { require_message_authenticator: false, ..client("10.0.0.1/32") };
        let unchallenged = ClientSettings { never_challenge: true, ..client("10.0.0.2/32") };
        let clients = Clients::new(vec![client("10.0.0.0/8"), exempt, unchallenged]).unwrap();
        Handler::new(Arc::new(clients), Arc::new(Counts::default()))
    }

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn peer(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 40_000).into()
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

    fn verdict(outcome: Outcome) -> Verdict {
        Verdict { outcome, reason: Reason::PasscodeCorrect, account: None, token: None }
    }

    fn asked(step: Step) -> (Asked, Attempt) {
        match step {
            Step::Ask(asked, attempt) => (*asked, *attempt),
            Step::Nothing | Step::Answer(_) => panic!("{step:?}"),
        }
    }

    fn answer(step: Step) -> (Code, Vec<u8>) {
        match step {
            Step::Answer(answer) => describe(&answer),
            Step::Nothing | Step::Ask(..) => panic!("{step:?}"),
        }
    }

    fn describe(answer: &[u8]) -> (Code, Vec<u8>) {
        let packet = Packet::read(answer).unwrap();
        let numbers = packet.attributes().iter().map(|found| found.number.0);
        (packet.code(), numbers.collect())
    }

    #[test]
    fn makes_an_attempt_of_a_request() {
        let (_, attempt) = asked(handler().handle(&alice(1), peer(9), NOW));
        assert_eq!(attempt.login.given(), "alice");
        assert_eq!(attempt.passcode, Secret::new(b"755224".to_vec()));
        assert_eq!((attempt.peer.as_str(), attempt.at), ("vpn 10.0.0.0/8", NOW));
        assert_eq!(attempt.listener, ListenerKind::Radius);
    }

    #[test]
    fn no_two_attempts_have_the_same_correlation() {
        let mut handler = handler();
        let (_, one) = asked(handler.handle(&alice(1), peer(9), NOW));
        let (_, two) = asked(handler.handle(&alice(2), peer(9), NOW));
        assert_ne!(one.correlation, two.correlation);
    }

    #[test]
    fn tells_the_verdict_by_code_and_attributes() {
        for (last, outcome, expected) in [
            (9, Outcome::Accepted, (Code::ACCESS_ACCEPT, vec![80, 11])),
            (9, Outcome::Rejected, (Code::ACCESS_REJECT, vec![80, 18])),
            (9, Outcome::Challenged, (Code::ACCESS_CHALLENGE, vec![80, 18])),
            (2, Outcome::Challenged, (Code::ACCESS_REJECT, vec![80, 18])),
        ] {
            let mut handler = handler();
            let (asked, _) = asked(handler.handle(&alice(1), peer(last), NOW));
            let answer = handler.finish(&asked, verdict(outcome), NOW).unwrap();
            assert_eq!(describe(&answer), expected, "{outcome:?} for {last}");
        }
    }

    #[test]
    fn a_repeated_request_is_asked_once_and_answered_the_same() {
        let mut handler = handler();
        let (asked, _) = asked(handler.handle(&alice(1), peer(9), NOW));
        assert!(matches!(handler.handle(&alice(1), peer(9), NOW), Step::Nothing));
        let first = handler.finish(&asked, verdict(Outcome::Accepted), NOW).unwrap();
        let Step::Answer(again) = handler.handle(&alice(1), peer(9), NOW.plus(15)) else {
            panic!()
        };
        assert_eq!(first, again);
        let counts = &handler.counts;
        assert_eq!(
            (counts.accepted.value(), counts.repeated.value(), counts.in_progress.value()),
            (1, 1, 1)
        );
    }

    #[test]
    fn what_could_not_be_decided_is_not_answered_and_asked_again() {
        let mut handler = handler();
        let (asked_first, _) = asked(handler.handle(&alice(1), peer(9), NOW));
        assert_eq!(handler.finish(&asked_first, verdict(Outcome::Unavailable), NOW), None);
        let _ = asked(handler.handle(&alice(1), peer(9), NOW));
        assert_eq!(handler.counts.undecided.value(), 1);
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
            (alice(1), ([11, 0, 0, 1], 40_000).into()),
            (b"hello".to_vec(), peer(9)),
            (forged, peer(9)),
            (bare, peer(9)),
            (accounting, peer(9)),
        ] {
            assert!(matches!(handler.handle(&datagram, from, NOW), Step::Nothing));
        }
        let counts = &handler.counts;
        let dropped = [
            &counts.unknown_client,
            &counts.malformed,
            &counts.unauthentic,
            &counts.unexpected_code,
        ];
        assert_eq!(dropped.map(Counter::value), [1, 1, 2, 1]);
    }

    #[test]
    fn an_exempted_client_may_leave_out_the_message_authenticator_but_not_with_proxy_state() {
        let mut handler = handler();
        let bare = logon(1, "alice", "755224", Protection::None);
        let (asked, _) = asked(handler.handle(&bare, peer(1), NOW));
        let answer = handler.finish(&asked, verdict(Outcome::Accepted), NOW).unwrap();
        assert_eq!(describe(&answer), (Code::ACCESS_ACCEPT, vec![11]));

        let mut shaped = draft(2, Protection::None);
        shaped.push(AttributeNumber::USER_NAME, b"alice").unwrap();
        shaped.push(AttributeNumber::PROXY_STATE, b"chosen by a forger").unwrap();
        let shaped = shaped.finish_request(&secret());
        assert!(matches!(handler.handle(&shaped, peer(1), NOW), Step::Nothing));
    }

    #[test]
    fn answers_the_probe_user_without_asking_and_without_granting() {
        let mut handler = handler();
        let probe = |identifier, password| {
            logon(identifier, "DAProbeUser", password, Protection::MessageAuthenticator)
        };
        let right = answer(handler.handle(&probe(1, "DAProbePass"), peer(9), NOW));
        assert_eq!(right, (Code::ACCESS_ACCEPT, vec![80]));
        let wrong = answer(handler.handle(&probe(2, "755224"), peer(9), NOW));
        assert_eq!(wrong, (Code::ACCESS_REJECT, vec![80, 18]));
        assert_eq!(handler.counts.probed.value(), 2);
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
            let answer = answer(handler.handle(&status(), peer(9), NOW));
            assert_eq!(answer, (Code::ACCESS_ACCEPT, vec![80]));
        }
        assert_eq!(handler.counts.status.value(), 2);
    }

    #[test]
    fn rejects_chap_at_once_and_the_same_again() {
        let mut handler = handler();
        let mut chap = draft(1, Protection::MessageAuthenticator);
        chap.push(AttributeNumber::USER_NAME, b"flopsy").unwrap();
        chap.push(AttributeNumber::CHAP_PASSWORD, &[0; 17]).unwrap();
        let chap = chap.finish_request(&secret());
        for _ in 0..2 {
            let answer = answer(handler.handle(&chap, peer(9), NOW));
            assert_eq!(answer, (Code::ACCESS_REJECT, vec![80, 18]));
        }
        assert_eq!((handler.counts.rejected.value(), handler.counts.repeated.value()), (1, 1));
    }

    #[test]
    fn drops_what_is_too_much_and_takes_it_when_there_is_room() {
        let mut handler = handler();
        handler.in_flight = MAX_IN_FLIGHT;
        assert!(matches!(handler.handle(&alice(1), peer(9), NOW), Step::Nothing));
        assert_eq!(handler.counts.busy.value(), 1);
        handler.in_flight -= 1;
        let _ = asked(handler.handle(&alice(1), peer(9), NOW));
        assert_eq!(handler.in_flight, MAX_IN_FLIGHT);
    }

    proptest! {
        #[test]
        fn no_datagram_panics(
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            at in 0usize..80,
            octet: u8,
        ) {
            let mut handler = handler();
            let _ = handler.handle(&noise, peer(1), NOW);
            let mut mutated = logon(1, "alice", "755224", Protection::None);
            let at = at % mutated.len();
            mutated[at] = octet;
            let _ = handler.handle(&mutated, peer(1), NOW);
        }
    }
}
