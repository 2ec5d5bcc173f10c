//! One client, from its first octet to its last, with its connection to the directory server.

use countersign_core::wire::ldap::result::{ResultCode, response};
use tokio::io::{AsyncWriteExt, split};
use tokio_util::sync::CancellationToken;

use super::{
    Service, accept,
    dialogue::Dialogue,
    ended::Ended,
    outlet::{self, Outlet},
    peer::Peer,
    requests::{Next, Requests, Stretch},
    responses::Responses,
};
use crate::app::ldap_proxy::Octets;

struct Connection<'a> {
    service: &'a Service,
    stop: &'a CancellationToken,
    peer: Peer,
    client: Option<Box<dyn Octets>>,
    server: Option<Box<dyn Octets>>,
    requests: Requests,
    responses: Responses,
    dialogue: Dialogue,
}

/// Serves a client until it or the directory server goes, or `stop`.
pub(super) async fn serve(
    client: Box<dyn Octets>,
    peer: Peer,
    service: &Service,
    stop: &CancellationToken,
) {
    tracing::debug!(%peer, "LDAP connection begins");
    let mut connection = Connection {
        service,
        stop,
        peer,
        client: Some(client),
        server: None,
        requests: Requests::new(),
        responses: Responses::new(),
        dialogue: Dialogue::default(),
    };
    let ended = connection.run().await;
    connection.leave(&ended).await;
    tracing::debug!(peer = %connection.peer, cause = %ended, "LDAP connection ended");
}

impl Connection<'_> {
    async fn run(&mut self) -> Ended {
        loop {
            let next = match self.stretch().await {
                Ok(Next::Connect) => self.connect().await,
                Ok(Next::Handshake) => self.handshake().await,
                Err(ended) => Err(ended),
            };
            if let Err(ended) = next {
                return ended;
            }
        }
    }

    /// Passes in both directions what comes. What the client has asked for is finished also
    /// when the directory server goes meanwhile, for a one-time password may be spent by it.
    async fn stretch(&mut self) -> Result<Next, Ended> {
        let Some(client) = &mut self.client else { return Err(Ended::Closed) };
        let (reader, writer) = split(client);
        let client = Outlet::new(writer, self.service.rules.idle_limit);
        let (server_reader, server) = self.server.as_mut().map(split).unzip();
        let dialogue = &self.dialogue;
        let responses = &mut self.responses;
        let cause = std::sync::Mutex::new(None);
        let listening = async {
            if let Some(mut server) = server_reader {
                let ended = responses.run(&mut server, &client, dialogue).await;
                *cause.lock().expect("nobody panics with this lock") = Some(ended);
                dialogue.gone.cancel();
            }
            std::future::pending().await
        };
        let mut stretch = Stretch {
            service: self.service,
            peer: &self.peer,
            requests: &mut self.requests,
            dialogue,
            stop: self.stop,
            reader,
            client: &client,
            server,
        };
        let next = tokio::select! {
            next = stretch.run() => next,
            never = listening => never,
        };
        let cause = cause.into_inner().expect("nobody panics with this lock");
        match (next, cause) {
            (Err(Ended::Gone), Some(cause)) => Err(cause),
            (next, _) => next,
        }
    }

    async fn connect(&mut self) -> Result<(), Ended> {
        match self.service.proxy.server.open().await {
            Ok(server) => {
                self.server = Some(server);
                Ok(())
            }
            Err(cause) => {
                self.answer_unavailable().await?;
                Err(Ended::Unreachable(cause.to_string()))
            }
        }
    }

    /// The request that there is no directory server for.
    async fn answer_unavailable(&mut self) -> Result<(), Ended> {
        let unanswered = self.requests.unanswered();
        let (Some((id, operation)), Some(client)) = (unanswered, &mut self.client) else {
            return Ok(());
        };
        let text = "the directory server cannot be reached";
        let answer = response(id, operation, ResultCode::UNAVAILABLE, text);
        outlet::send(client, &answer, self.service.rules.time_limit).await
    }

    async fn handshake(&mut self) -> Result<(), Ended> {
        let (Some(tls), Some(client)) = (&self.service.tls, self.client.take()) else {
            return Err(Ended::Closed);
        };
        let stream = accept::handshake(client, tls.config.clone()).await;
        self.client = Some(Box::new(stream.map_err(Ended::Handshake)?));
        if let Peer::Tcp { tls, .. } = &mut self.peer {
            *tls = true;
        }
        Ok(())
    }

    /// Says why, unless that would end up within another message.
    async fn leave(&mut self, ended: &Ended) {
        let Some(client) = &mut self.client else { return };
        if let Some(notice) = ended.notice()
            && !self.responses.is_within_message()
        {
            let _ = outlet::send(client, &notice, LAST_WORD).await;
        }
        let _ = tokio::time::timeout(LAST_WORD, client.shutdown()).await;
    }
}

/// For a client that may not listen any more.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(2);
