//! From the client to the directory server: requests pass as they come, one at a time those
//! that are looked at.

use std::{future::Future, io, time::Duration};

use countersign_core::{
    secret::Secret,
    wire::ldap::{
        extended::{START_TLS, request_name},
        message::{Head, Message, MessageId, Operation},
        result::{ResultCode, response},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Service,
    dialogue::Dialogue,
    ended::Ended,
    inlet::Inlet,
    outlet::{self, Outlet},
    peer::Peer,
};

/// What has come from the client, and what that has led to.
pub(super) struct Requests {
    pub(super) inlet: Inlet,
    /// Octets of a message that are still to be passed on.
    remaining: usize,
    /// Whether a message has come at all.
    has_begun: bool,
    /// Whether the directory server takes us for nobody.
    pub(super) is_anonymous: bool,
}

/// What must happen before the next request can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A connection to the directory server.
    Connect,
    /// A TLS handshake with the client, which has been told to begin.
    Handshake,
}

/// One stretch of a connection, from one [`Next`] to another.
pub(super) struct Stretch<'a, R, C, S> {
    pub(super) service: &'a Service,
    pub(super) peer: &'a Peer,
    pub(super) requests: &'a mut Requests,
    pub(super) dialogue: &'a Dialogue,
    pub(super) stop: &'a CancellationToken,
    pub(super) reader: R,
    pub(super) client: &'a Outlet<C>,
    /// Where requests go; none before anything is to be passed on.
    pub(super) server: Option<S>,
}

/// What is to be done with the octets that have come.
enum Step {
    /// So many are passed on.
    Pass(usize),
    /// The message in front is looked at.
    Look(Head),
    /// More must come.
    Read,
    /// There is no directory server yet.
    Connect,
}

impl Requests {
    pub(super) fn new() -> Self {
        let inlet = Inlet::new(USUAL);
        Self { inlet, remaining: 0, has_begun: false, is_anonymous: true }
    }

    /// The message in front, if it is one that can be answered.
    pub(super) fn unanswered(&self) -> Option<(MessageId, Operation)> {
        let head = Head::read(self.inlet.octets()).ok().flatten()?;
        Some((head.id, head.operation.response()?))
    }
}

impl<R, C, S> Stretch<'_, R, C, S>
where
    R: AsyncRead + Unpin,
    C: AsyncWrite + Unpin,
    S: AsyncWrite + Unpin,
{
    /// Takes requests until something else must happen, or the connection ends.
    pub(super) async fn run(&mut self) -> Result<Next, Ended> {
        loop {
            match self.sort()? {
                Step::Pass(length) => self.pass(length).await?,
                Step::Read => self.read().await?,
                Step::Connect => return Ok(Next::Connect),
                Step::Look(head) => {
                    self.collect(&head).await?;
                    if let Some(next) = self.look(&head).await? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    fn sort(&mut self) -> Result<Step, Ended> {
        let octets = self.requests.inlet.octets();
        let mut length = self.requests.remaining.min(octets.len());
        let mut remaining = self.requests.remaining - length;
        while remaining == 0 {
            let Some(head) = Head::read(&octets[length..])? else { break };
            self.check(&head)?;
            if is_looked_at(head.operation) {
                if length == 0 {
                    return Ok(Step::Look(head));
                }
                break;
            }
            if self.server.is_none() {
                return Ok(Step::Connect);
            }
            self.dialogue.begin(&head)?;
            let here = head.length.min(octets.len() - length);
            length += here;
            remaining = head.length - here;
        }
        self.requests.remaining = remaining;
        Ok(if length > 0 { Step::Pass(length) } else { Step::Read })
    }

    /// What nobody would answer, or what would be taken for something of ours.
    fn check(&self, head: &Head) -> Result<(), Ended> {
        if head.id == MessageId::UNSOLICITED || head.id == OWN {
            return Err(Ended::Protocol("this message number is not for requests"));
        }
        let is_request = head.operation.response().is_some()
            || [Operation::UNBIND_REQUEST, Operation::ABANDON_REQUEST].contains(&head.operation);
        if !is_request {
            return Err(Ended::Protocol("this operation is not known"));
        }
        let limit = self.service.rules.max_message;
        let limit = if is_looked_at(head.operation) { limit.min(MAX_LOOKED_AT) } else { limit };
        if head.length > limit { Err(Ended::TooLong(head.length)) } else { Ok(()) }
    }

    async fn look(&mut self, head: &Head) -> Result<Option<Next>, Ended> {
        let octets = self.requests.inlet.octets();
        // Its check has seen that it is here.
        let Some(message) = head.message(octets)? else { return Ok(None) };
        match head.operation {
            Operation::UNBIND_REQUEST => {
                self.pass(head.length).await?;
                Err(Ended::Closed)
            }
            Operation::ABANDON_REQUEST => {
                message.abandoned().inspect(|id| self.dialogue.abandon(*id));
                self.pass(head.length).await?;
                Ok(None)
            }
            Operation::BIND_REQUEST => {
                if self.server.is_none() && !self.is_refused(&message)? {
                    return Ok(Some(Next::Connect));
                }
                let octets = self.take(head);
                self.bind(&octets).await?;
                Ok(None)
            }
            _ => self.extended(head).await,
        }
    }

    async fn extended(&mut self, head: &Head) -> Result<Option<Next>, Ended> {
        let message = Message::read(&self.requests.inlet.octets()[..head.length])?;
        if request_name(&message)? == START_TLS.as_bytes() {
            self.take(head);
            return self.start_tls(head.id).await;
        }
        if self.server.is_none() {
            return Ok(Some(Next::Connect));
        }
        self.dialogue.begin(head)?;
        self.pass(head.length).await?;
        Ok(None)
    }

    /// StartTLS (RFC 4511 §4.14) is between the client and us.
    async fn start_tls(&mut self, id: MessageId) -> Result<Option<Next>, Ended> {
        let (dialogue, client) = (self.dialogue, self.client);
        let is_offered = self.service.tls.as_ref().is_some_and(|tls| tls.start_tls);
        let mut turn = client.turn().await;
        let (code, text) = if !is_offered || !self.peer.is_tcp() {
            (ResultCode::PROTOCOL_ERROR, "StartTLS is not offered here")
        } else if self.peer.is_confidential() {
            (ResultCode::OPERATIONS_ERROR, "TLS has begun already")
        } else if !dialogue.is_quiet() {
            (ResultCode::OPERATIONS_ERROR, "other operations are under way")
        } else if !self.requests.inlet.octets().is_empty() {
            // What somebody has put between request and handshake was never protected.
            return Err(Ended::Protocol("StartTLS must be the last message before TLS"));
        } else {
            (ResultCode::SUCCESS, "")
        };
        turn.send(&response(id, Operation::EXTENDED_RESPONSE, code, text)).await?;
        Ok((code == ResultCode::SUCCESS).then_some(Next::Handshake))
    }

    /// Passes octets on; without a directory server there is nothing that they could be about.
    async fn pass(&mut self, length: usize) -> Result<(), Ended> {
        if let Some(server) = &mut self.server {
            let octets = &self.requests.inlet.octets()[..length];
            let sending = outlet::send(server, octets, self.service.rules.idle_limit);
            tokio::select! {
                sent = sending => sent.map_err(server_fault)?,
                () = self.dialogue.gone.cancelled() => return Err(Ended::Gone),
            }
        }
        self.requests.inlet.consume(length);
        Ok(())
    }

    /// Sends a message of its own to the directory server.
    pub(super) async fn ask(&mut self, message: &[u8]) -> Result<(), Ended> {
        let Some(server) = &mut self.server else { return Err(Ended::Gone) };
        outlet::send(server, message, self.service.rules.time_limit).await.map_err(server_fault)
    }

    fn take(&mut self, head: &Head) -> Secret<Vec<u8>> {
        let octets = Secret::new(self.requests.inlet.octets()[..head.length].to_vec());
        self.requests.inlet.consume(head.length);
        octets
    }

    /// Waits for the rest of a message.
    async fn collect(&mut self, head: &Head) -> Result<(), Ended> {
        self.requests.inlet.make_room(head.length);
        let deadline = Instant::now() + REST_OF_MESSAGE;
        while self.requests.inlet.octets().len() < head.length {
            let read = timeout_at(deadline, self.fill()).await.map_err(|_| Ended::Stalled)?;
            read?;
        }
        Ok(())
    }

    /// Waits for octets: not long within a message, as long as is allowed between two.
    async fn read(&mut self) -> Result<(), Ended> {
        let is_within = self.requests.remaining > 0 || !self.requests.inlet.octets().is_empty();
        let rules = &self.service.rules;
        let patience = if is_within {
            REST_OF_MESSAGE
        } else if self.requests.has_begun {
            rules.idle_limit
        } else {
            rules.idle_limit.min(FIRST_MESSAGE)
        };
        loop {
            let ended = self.dialogue.ended();
            match timeout_at(Instant::now() + patience, self.fill()).await {
                Ok(read) => return read,
                Err(_) if is_within => return Err(Ended::Stalled),
                Err(_) if self.dialogue.is_quiet() && self.dialogue.ended() == ended => {
                    return Err(Ended::Idle);
                }
                Err(_) => {}
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        let reading = self.requests.inlet.fill(&mut self.reader);
        let length = unless_over(reading, self.dialogue, self.stop).await??;
        self.requests.has_begun = true;
        if length == 0 { Err(Ended::Closed) } else { Ok(()) }
    }
}

async fn unless_over<T>(
    doing: impl Future<Output = io::Result<T>>,
    dialogue: &Dialogue,
    stop: &CancellationToken,
) -> Result<io::Result<T>, Ended> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Ended::Stopping),
        () = dialogue.gone.cancelled() => Err(Ended::Gone),
        done = doing => Ok(done),
    }
}

fn is_looked_at(operation: Operation) -> bool {
    [
        Operation::BIND_REQUEST,
        Operation::UNBIND_REQUEST,
        Operation::ABANDON_REQUEST,
        Operation::EXTENDED_REQUEST,
    ]
    .contains(&operation)
}

/// Whatever goes wrong on the way to the directory server is its matter.
fn server_fault(ended: Ended) -> Ended {
    if matches!(ended, Ended::NotRead) { Ended::Silent } else { Ended::Gone }
}

/// The number of messages that are our own. Clients count up from 1 and never get there.
pub(super) const OWN: MessageId = MessageId::MAX;
/// Octets that are read at once.
const USUAL: usize = 4 * 1024;
/// Octets of a message that is looked at as a whole; as many as slapd takes of a stranger.
const MAX_LOOKED_AT: usize = 256 * 1024;
/// A message that has begun must go on within.
const REST_OF_MESSAGE: Duration = Duration::from_secs(30);
/// A stranger has so long to say anything.
const FIRST_MESSAGE: Duration = Duration::from_secs(60);
