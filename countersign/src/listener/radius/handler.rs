//! What is to be done about a packet: nothing, an answer, or some work first.
//!
//! No socket is seen from here, and the time is told, so everything that a peer can
//! send is tried without a network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use countersign_core::{
    domain::{
        attempt::{Attempt, ListenerKind, Terms},
        challenge::Prior,
        id::CorrelationId,
        name::LoginName,
        receipt::Receipt,
        time::UnixTime,
        verdict::Reason,
    },
    secret::Secret,
    wire::radius::{
        authenticator::{Demand, Unauthentic, VerifiedRequest},
        dictionary::{AttributeNumber, Code},
        packet::{Packet, PacketError},
        repeat::{Limits, Repeats, Seen},
    },
};

use super::{
    counts::{Counter, Counts},
    job::{Done, Job, SentOn},
    peer::Peer,
    reply::{Form, ReplyTo},
    report,
    request::{self, Question, Refusal},
    rules::{Client, Rules},
    state::{Bearer, States},
};
use crate::{
    config::radius::ClientSettings,
    vault::{Marker, Vault, random_octets},
};

/// What the handlers of a listener have in common.
pub(super) struct Common {
    pub(super) rules: ArcSwap<Rules>,
    pub(super) counts: Arc<Counts>,
    pub(super) states: States,
    retries: Marker,
}

/// Knows what was asked and answered of late on one socket or connection.
pub(super) struct Handler {
    common: Arc<Common>,
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
    /// Nothing, and nothing any more on this connection: its peer does not know the secret
    /// (RFC 6613 §2.6.4). For datagrams it is the same as nothing.
    Close,
    /// This is to be sent.
    Answer(Vec<u8>),
    /// This has to be done; then [`Handler::finish`] wants to know.
    Work(Box<Asked>, Job),
}

/// What has to be known to answer when the work is done.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) peer: Peer,
    pub(super) client: Arc<Client>,
    /// What kind of request it is.
    code: Code,
    pub(super) reply_to: ReplyTo,
    /// Who logs on, as far as a next round must know.
    pub(super) login: Option<LoginName>,
}

/// Why a packet gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Dropped {
    #[error("no client has this address, certificate or socket")]
    UnknownClient,
    #[error(transparent)]
    Malformed(#[from] PacketError),
    #[error("{0} is not answered here")]
    UnexpectedCode(Code),
    #[error(transparent)]
    Unauthentic(#[from] Unauthentic),
    #[error("it is still being worked on")]
    InProgress,
    #[error("too much is being worked on")]
    Busy,
    #[error("the client asks more often than it may")]
    Limited,
}

impl Common {
    pub(super) fn new(rules: Rules, vault: &Vault, state_valid: u32) -> Self {
        Self {
            rules: ArcSwap::from_pointee(rules),
            counts: Arc::default(),
            states: States::new(vault, state_valid),
            retries: vault.marker_for("RADIUS retries"),
        }
    }
}

impl Handler {
    pub(super) fn new(common: Arc<Common>) -> Self {
        let repeats = Repeats::new(REMEMBERED);
        Self { common, repeats, in_flight: 0, correlations: Correlations::new() }
    }

    /// Looks at a datagram.
    pub(super) fn handle(&mut self, datagram: &[u8], peer: &Peer, now: UnixTime) -> Step {
        let packet = Packet::read(datagram).map_err(Dropped::from);
        let step = packet.and_then(|packet| self.step(packet, peer, now));
        self.counted(step, peer)
    }

    /// Looks at a packet from a stream.
    pub(super) fn handle_packet(&mut self, packet: Packet<'_>, peer: &Peer, now: UnixTime) -> Step {
        let step = self.step(packet, peer, now);
        self.counted(step, peer)
    }

    /// Whether the peer may ask at all, by the rules of now.
    pub(super) fn knows(&self, peer: &Peer) -> bool {
        peer.client(&self.common.rules.load()).is_some()
    }

    /// Whether more can be taken on.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.in_flight < limit
    }

    /// Hears what the work led to. If it led to no decision there is no answer, but for a
    /// KDC: others may ask another server, or again.
    pub(super) fn finish(&mut self, asked: &Asked, done: Done, now: UnixTime) -> Option<Vec<u8>> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let common = self.common.clone();
        let (counter, answer) = match super::answer::write(&common, asked, done, now) {
            Some(answered) => answered,
            None if asked.client.settings.is_kdc && asked.code == Code::ACCESS_REQUEST => {
                let secret = &asked.client.settings.secret;
                (&common.counts.undecided, asked.reply_to.reject(secret))
            }
            None => {
                common.counts.undecided.add();
                self.forget(asked);
                return None;
            }
        };
        counter.add();
        self.remember(&asked.peer, &asked.reply_to, &answer, now);
        Some(answer)
    }

    fn counted(&self, step: Result<Step, Dropped>, peer: &Peer) -> Step {
        step.unwrap_or_else(|dropped| {
            tracing::debug!(%peer, cause = %dropped, "a RADIUS packet was dropped");
            self.counter_of(dropped).add();
            match dropped {
                Dropped::Unauthentic(_) => Step::Close,
                Dropped::UnknownClient
                | Dropped::Malformed(_)
                | Dropped::UnexpectedCode(_)
                | Dropped::InProgress
                | Dropped::Busy
                | Dropped::Limited => Step::Nothing,
            }
        })
    }

    fn step(&mut self, packet: Packet<'_>, peer: &Peer, now: UnixTime) -> Result<Step, Dropped> {
        let rules = self.common.rules.load_full();
        let client = peer.client(&rules).ok_or(Dropped::UnknownClient)?;
        let code = packet.code();
        let settings = &client.settings;
        let request = match code {
            Code::ACCESS_REQUEST | Code::STATUS_SERVER | Code::ACCOUNTING_REQUEST
                if peer.is_trusted_transport() =>
            {
                packet.trust_transport()
            }
            Code::ACCESS_REQUEST | Code::STATUS_SERVER => {
                packet.verify_request(&settings.secret, demand(settings))?
            }
            Code::ACCOUNTING_REQUEST => packet.verify_accounting_request(&settings.secret)?,
            code => return Err(Dropped::UnexpectedCode(code)),
        };
        let reply_to = ReplyTo::new(&request, form(&request, peer, settings));
        if code == Code::STATUS_SERVER {
            self.common.counts.status.add();
            return Ok(Step::Answer(reply_to.plain(Code::ACCESS_ACCEPT, &settings.secret)));
        }
        if !client.may_ask() {
            return Err(Dropped::Limited);
        }
        let asked =
            Asked { peer: peer.clone(), client: client.clone(), code, reply_to, login: None };
        match self.seen(&asked, now)? {
            Some(answer) => Ok(Step::Answer(answer)),
            None if code == Code::ACCESS_REQUEST => {
                self.access_request(&request, asked, &rules, now)
            }
            None => self.accounting_request(&request, asked, &rules, now),
        }
    }

    /// The answer to a datagram that was answered before.
    fn seen(&mut self, asked: &Asked, now: UnixTime) -> Result<Option<Vec<u8>>, Dropped> {
        let Some(address) = asked.peer.datagram_address() else { return Ok(None) };
        let ReplyTo { identifier, authenticator, .. } = asked.reply_to;
        match self.repeats.begin(address, identifier, authenticator, since_epoch(now)) {
            Seen::New => Ok(None),
            Seen::InProgress => Err(Dropped::InProgress),
            Seen::Answered(answer) => {
                self.common.counts.repeated.add();
                Ok(Some(answer))
            }
            Seen::Full => Err(Dropped::Busy),
        }
    }

    fn access_request(
        &mut self,
        request: &VerifiedRequest<'_>,
        mut asked: Asked,
        rules: &Rules,
        now: UnixTime,
    ) -> Result<Step, Dropped> {
        let settings = &asked.client.settings;
        match Question::read(request, settings, rules) {
            Ok(Question::Logon { login, passcode, state }) => {
                let bearer = Bearer { client: &settings.name, login: &login };
                let prior =
                    state.map(|state| self.common.states.read(&state, bearer, now).ok_or(()));
                let attempt = self.attempt(request, &asked, &login, passcode, now);
                asked.login = Some(login);
                self.work(asked, decision(attempt, prior.transpose()))
            }
            Ok(Question::Elsewhere { upstream, user_name }) => {
                let attempt = SentOn {
                    correlation: self.correlations.next(),
                    at: now,
                    login: request::user_name(request).map(str::to_owned).unwrap_or_default(),
                    origin: origin(request, &asked.peer),
                };
                match Job::forward(upstream, &user_name, request, Some(attempt)) {
                    Some(job) => self.work(asked, job),
                    None => Ok(self.answered_now(&asked, Answered::Rejected, now)),
                }
            }
            Ok(Question::Probe(right)) => {
                let client = settings.name.as_str();
                tracing::debug!(target: "countersign::probe", client, right, "probed");
                Ok(self.answered_now(&asked, Answered::Probe(right), now))
            }
            Err(refusal) => {
                complain(&asked.client, refusal, now);
                Ok(self.answered_now(&asked, Answered::Rejected, now))
            }
        }
    }

    fn attempt(
        &mut self,
        request: &VerifiedRequest<'_>,
        asked: &Asked,
        login: &LoginName,
        passcode: Secret<Vec<u8>>,
        now: UnixTime,
    ) -> Attempt {
        let client = &asked.client.settings;
        Attempt {
            correlation: self.correlations.next(),
            terms: Terms {
                origin: Some(origin(request, &asked.peer)),
                may_challenge: !client.never_challenge && !client.is_kdc,
                prior: None,
                indicators: client.indicators.clone(),
                receipt: self.receipt(request, asked, login, &passcode),
                ..Terms::default()
            },
            login: login.clone(),
            passcode,
            listener: ListenerKind::Radius,
            peer: client.name.clone(),
            at: now,
        }
    }

    /// By what a retry is known on another socket, or another node: by the packet, or where
    /// the config allows it by whom it is about, what was typed and in which round. A packet
    /// of RADIUS/1.1 has nothing random in it, so two persons may send the same one; it is no
    /// mark.
    fn receipt(
        &self,
        request: &VerifiedRequest<'_>,
        asked: &Asked,
        login: &LoginName,
        passcode: &Secret<Vec<u8>>,
    ) -> Option<Receipt> {
        let (marker, client) = (&self.common.retries, &asked.client.settings);
        let name = client.name.as_bytes();
        if client.retry_grace == 0 {
            let mark = || marker.mark(&[b"packet", name, request.packet().as_bytes()]);
            return (!asked.peer.is_trusted_transport())
                .then(|| Receipt::new(mark(), REMEMBERED_SECONDS));
        }
        let login = login.key().as_str().as_bytes();
        let state = request.packet().attributes().first(AttributeNumber::STATE);
        let state = state.unwrap_or_default();
        let mark = marker.mark(&[b"passcode", name, login, passcode.expose_bytes(), state]);
        Some(Receipt::new(mark, client.retry_grace))
    }

    fn accounting_request(
        &mut self,
        request: &VerifiedRequest<'_>,
        asked: Asked,
        rules: &Rules,
        now: UnixTime,
    ) -> Result<Step, Dropped> {
        let name = request::user_name(request).ok();
        let (name, upstream) = name
            .map(|name| request::route(name, &asked.client.settings, rules))
            .unwrap_or_else(|| (String::new(), asked.client.settings.upstream.clone()));
        if let Some(job) =
            upstream.and_then(|upstream| Job::forward(upstream, &name, request, None))
        {
            return self.work(asked, job);
        }
        if rules.accounting {
            let correlation = self.correlations.next();
            let report = report::read(request, &asked, correlation, now);
            return self.work(asked, Job::Record(report.into()));
        }
        match asked.peer {
            Peer::Udp(_) => {
                self.forget(&asked);
                Err(Dropped::UnexpectedCode(Code::ACCOUNTING_REQUEST))
            }
            Peer::Tcp(_) | Peer::Tls { .. } | Peer::Unix { .. } => {
                Ok(self.answered_now(&asked, Answered::Unsupported, now))
            }
        }
    }

    fn work(&mut self, asked: Asked, job: Job) -> Result<Step, Dropped> {
        if self.in_flight >= MAX_IN_FLIGHT {
            self.forget(&asked);
            return Err(Dropped::Busy);
        }
        self.in_flight += 1;
        Ok(Step::Work(asked.into(), job))
    }

    fn answered_now(&mut self, asked: &Asked, answered: Answered, now: UnixTime) -> Step {
        let (counts, secret) = (&self.common.counts, &asked.client.settings.secret);
        let (counter, answer) = match answered {
            Answered::Probe(true) => {
                (&counts.probed, asked.reply_to.plain(Code::ACCESS_ACCEPT, secret))
            }
            Answered::Probe(false) => (&counts.probed, asked.reply_to.reject(secret)),
            Answered::Rejected => (&counts.rejected, asked.reply_to.reject(secret)),
            Answered::Unsupported => (
                &counts.unexpected_code,
                asked.reply_to.unsupported(Code::ACCOUNTING_RESPONSE, secret),
            ),
        };
        counter.add();
        self.remember(&asked.peer, &asked.reply_to, &answer, now);
        Step::Answer(answer)
    }

    fn remember(&mut self, peer: &Peer, reply_to: &ReplyTo, answer: &[u8], now: UnixTime) {
        let Some(address) = peer.datagram_address() else { return };
        let ReplyTo { identifier, authenticator, .. } = *reply_to;
        let answer = answer.to_vec();
        self.repeats.answered(address, identifier, authenticator, answer, since_epoch(now));
    }

    /// There will be no answer; if the request comes again it is a new one.
    fn forget(&mut self, asked: &Asked) {
        let Some(address) = asked.peer.datagram_address() else { return };
        let ReplyTo { identifier, authenticator, .. } = asked.reply_to;
        self.repeats.withdrawn(address, identifier, authenticator);
    }

    fn counter_of(&self, dropped: Dropped) -> &Counter {
        let counts = &self.common.counts;
        match dropped {
            Dropped::UnknownClient => &counts.unknown_client,
            Dropped::Malformed(_) => &counts.malformed,
            Dropped::UnexpectedCode(_) => &counts.unexpected_code,
            Dropped::Unauthentic(_) => &counts.unauthentic,
            Dropped::InProgress => &counts.in_progress,
            Dropped::Busy => &counts.busy,
            Dropped::Limited => &counts.limited,
        }
    }
}

/// What is answered without any work.
#[derive(Clone, Copy)]
enum Answered {
    Probe(bool),
    Rejected,
    Unsupported,
}

/// A State that is none of ours is refused without a look at the passcode.
fn decision(mut attempt: Attempt, prior: Result<Option<Prior>, ()>) -> Job {
    match prior {
        Ok(prior) => {
            attempt.terms.prior = prior;
            Job::Decide(attempt.into())
        }
        Err(()) => Job::Refuse(attempt.into(), Reason::StateInvalid),
    }
}

fn form(request: &VerifiedRequest<'_>, peer: &Peer, client: &ClientSettings) -> Form {
    if peer.is_trusted_transport() {
        Form::OverTls(request.packet().request_token())
    } else if client.is_kdc {
        Form::Bare
    } else {
        Form::Usual
    }
}

/// Where a request came from, for the audit.
pub(super) fn origin(request: &VerifiedRequest<'_>, peer: &Peer) -> String {
    let nas = request.packet().attributes().first(AttributeNumber::NAS_IDENTIFIER);
    match nas {
        None => peer.to_string(),
        Some(nas) => format!("{peer} nas {}", report::readable(nas)),
    }
}

/// What cannot work here whoever logs on is told the operator, once an hour; anything else is
/// worth a line for who looks for it.
fn complain(client: &Client, refusal: Refusal, now: UnixTime) {
    let name = client.settings.name.as_str();
    if refusal.is_about_the_client() && client.is_time_to_complain(now) {
        tracing::warn!(client = name, cause = %refusal, "requests of a RADIUS client are rejected");
    } else {
        tracing::debug!(client = name, cause = %refusal, "a request was rejected");
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
const REMEMBERED_SECONDS: u32 = 15;
const REMEMBERED: Limits =
    Limits { keep: Duration::from_secs(REMEMBERED_SECONDS as u64), entries: 131_072 };
/// Work that one loop waits for. Most waits for a disk flush, some for an upstream.
const MAX_IN_FLIGHT: usize = 8192;

#[cfg(test)]
mod tests;
