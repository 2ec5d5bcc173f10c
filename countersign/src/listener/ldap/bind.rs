//! One bind, from its request to its response. Nothing else of the client is looked at
//! meanwhile (RFC 4511 §4.2.1); what was under way before, the directory server abandons or
//! finishes when a bind reaches it.

use countersign_core::{
    domain::{id::CorrelationId, parameters::Wording},
    secret::Secret,
    wire::ldap::{
        bind::{Authentication, BindRequest, anonymous},
        extended::{WHO_AM_I, request},
        message::{Message, MessageId, Operation},
        result::{LdapResult, ResultCode, response},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    ended::Ended,
    requests::{OWN, Stretch},
};
use crate::{
    app::{
        Asked,
        bind::{Accepted, Bind, Bound},
    },
    config::ldap_proxy::Sasl,
    vault,
};

/// What becomes of a bind before anybody is asked.
enum Plan<'a> {
    /// It is refused.
    Refuse(ResultCode, &'static str),
    /// The directory server decides about it.
    Pass,
    /// It has a name and a password in which there may be an OTP.
    Ask(&'a str, &'a [u8]),
}

impl<R, C, S> Stretch<'_, R, C, S>
where
    R: AsyncRead + Unpin,
    C: AsyncWrite + Unpin,
    S: AsyncWrite + Unpin,
{
    /// Sees to a bind and answers it.
    pub(super) async fn bind(&mut self, octets: &Secret<Vec<u8>>) -> Result<(), Ended> {
        let message = Message::read(octets.expose())?;
        let bind = BindRequest::read(&message)?;
        match self.plan(&bind) {
            Plan::Refuse(code, text) => self.refuse(message.id, code, text).await,
            Plan::Pass => {
                let answer = self.forward(message.id, octets).await?;
                self.client.send(answer.expose()).await
            }
            Plan::Ask(name, password) => match self.decide(name, password).await {
                Bound::Accepted(accepted) => {
                    let password = &password[..accepted.password_length.min(password.len())];
                    self.accepted(&bind, message.id, password, *accepted).await
                }
                Bound::Rejected(wording) => self.reject(message.id, wording).await,
                Bound::Declined => self.declined(message.id, octets).await,
                Bound::Unavailable => {
                    let text = "the one-time password cannot be checked now";
                    self.refuse(message.id, ResultCode::UNAVAILABLE, text).await
                }
            },
        }
    }

    /// Whether a bind is refused whatever anybody says.
    pub(super) fn is_refused(&self, message: &Message<'_>) -> Result<bool, Ended> {
        Ok(matches!(self.plan(&BindRequest::read(message)?), Plan::Refuse(..)))
    }

    fn plan<'b>(&self, bind: &BindRequest<'b>) -> Plan<'b> {
        let rules = &self.service.rules;
        if bind.version != 3 {
            return Plan::Refuse(ResultCode::PROTOCOL_ERROR, "only version 3 is spoken here");
        }
        let password = match bind.authentication {
            Authentication::Simple(password) => password,
            Authentication::Sasl { mechanism } => return sasl(&rules.sasl, mechanism.as_str()),
            Authentication::Other(_) => return NOT_SUPPORTED,
        };
        match (bind.name.is_empty(), password.is_empty()) {
            (true, true) => Plan::Pass,
            // A client that forgets to ask for a password must not get in without one
            // (RFC 4513 §5.1.2).
            (false, true) => Plan::Refuse(
                ResultCode::UNWILLING_TO_PERFORM,
                "a name without a password proves nothing",
            ),
            (true, false) => Plan::Refuse(ResultCode::INVALID_CREDENTIALS, ""),
            (false, false) if rules.require_tls && !self.peer.is_confidential() => {
                Plan::Refuse(ResultCode::CONFIDENTIALITY_REQUIRED, "passwords need TLS here")
            }
            (false, false) => match std::str::from_utf8(bind.name) {
                Ok(name) if rules.is_exempt(name) => Plan::Pass,
                Ok(name) => Plan::Ask(name, password),
                Err(_) => Plan::Refuse(ResultCode::INVALID_CREDENTIALS, ""),
            },
        }
    }

    async fn decide(&self, name: &str, password: &[u8]) -> Bound {
        let asked = Asked {
            peer: self.peer.host(),
            correlation: CorrelationId::from_bytes(vault::random_octets()),
            at: self.service.clock.now(),
        };
        let bind = Bind {
            name: name.to_owned(),
            credentials: Secret::new(password.to_vec()),
            origin: Some(self.peer.to_string()),
        };
        self.service.proxy.binder.bind(bind, &asked).await
    }

    /// The password alone goes on, and the directory's answer comes back as it is. Were there
    /// none, the directory would take it for no attempt at all, and some call that a success.
    async fn accepted(
        &mut self,
        bind: &BindRequest<'_>,
        id: MessageId,
        password: &[u8],
        accepted: Accepted,
    ) -> Result<(), Ended> {
        if password.is_empty() {
            accepted.refused_by_directory();
            return self.reject(id, Wording::default()).await;
        }
        let answer = match self.forward(id, &bind.with_password(password)).await {
            Ok(answer) => answer,
            Err(ended) => {
                accepted.unanswered_by_directory().await;
                return Err(ended);
            }
        };
        match code(&answer)? {
            ResultCode::SUCCESS => accepted.confirmed_by_directory().await,
            ResultCode::BUSY | ResultCode::UNAVAILABLE => accepted.unanswered_by_directory().await,
            _ => accepted.refused_by_directory(),
        }
        self.client.send(answer.expose()).await
    }

    /// Nobody here knows the name, or a token of it. The directory may know the name as another
    /// way to write that of an account with a token, so it is asked who was let in.
    async fn declined(&mut self, id: MessageId, octets: &Secret<Vec<u8>>) -> Result<(), Ended> {
        let answer = self.forward(id, octets).await?;
        // Who is refused is asked about, too: the time that it takes must not tell that the
        // password of an account with a token was right.
        let is_let_in = !self.requests.is_anonymous;
        let has_token = self.has_token().await?;
        if is_let_in && !has_token {
            return self.client.send(answer.expose()).await;
        }
        self.become_anonymous().await?;
        if !is_let_in {
            return self.client.send(answer.expose()).await;
        }
        tracing::debug!(peer = %self.peer, "another name of an account with a token");
        self.reject(id, Wording::default()).await
    }

    /// Whether the one whom the directory takes us for must use a token. Who cannot be told
    /// must.
    async fn has_token(&mut self) -> Result<bool, Ended> {
        let question = request(OWN, WHO_AM_I);
        let answer = self.exchange(OWN, Operation::EXTENDED_RESPONSE, &question).await?;
        let message = Message::read(answer.expose()).map_err(Ended::Nonsense)?;
        let result = LdapResult::read(&message).map_err(Ended::Nonsense)?;
        let name = result.value.filter(|_| result.is_success());
        match name.map(std::str::from_utf8) {
            Some(Ok(name)) => Ok(self.service.proxy.binder.has_token(name).await),
            Some(Err(_)) | None => {
                tracing::debug!(code = result.code.0, "the directory does not say who is bound");
                Ok(true)
            }
        }
    }

    async fn reject(&mut self, id: MessageId, wording: Wording) -> Result<(), Ended> {
        self.refuse(id, refusal(&wording), wording.message.as_deref().unwrap_or_default()).await
    }

    /// Whose bind fails is nobody from then on (RFC 4511 §4.2.1).
    async fn refuse(&mut self, id: MessageId, code: ResultCode, text: &str) -> Result<(), Ended> {
        if !self.requests.is_anonymous {
            self.become_anonymous().await?;
        }
        self.client.send(&response(id, Operation::BIND_RESPONSE, code, text)).await
    }

    async fn become_anonymous(&mut self) -> Result<(), Ended> {
        self.exchange(OWN, Operation::BIND_RESPONSE, &anonymous(OWN)).await?;
        self.requests.is_anonymous = true;
        Ok(())
    }

    /// A bind, and what the directory server says to it.
    async fn forward(
        &mut self,
        id: MessageId,
        octets: &Secret<Vec<u8>>,
    ) -> Result<Secret<Vec<u8>>, Ended> {
        let answer = self.exchange(id, Operation::BIND_RESPONSE, octets.expose()).await?;
        let code = code(&answer)?;
        // Half-way through SASL it is neither.
        let is_bound = [ResultCode::SUCCESS, ResultCode::SASL_BIND_IN_PROGRESS].contains(&code);
        self.requests.is_anonymous = !is_bound;
        Ok(answer)
    }

    async fn exchange(
        &mut self,
        id: MessageId,
        wanted: Operation,
        message: &[u8],
    ) -> Result<Secret<Vec<u8>>, Ended> {
        self.dialogue.expect(id, wanted);
        self.ask(message).await?;
        let answer = timeout(self.service.rules.time_limit, self.dialogue.answer()).await;
        answer.map_err(|_| Ended::Silent)?.ok_or(Ended::Gone)
    }
}

/// The parameters of a token may say anything, a refusal is one all the same.
fn refusal(wording: &Wording) -> ResultCode {
    wording.code.map_or(ResultCode::INVALID_CREDENTIALS, ResultCode).as_refusal()
}

/// What the directory server says to a bind.
fn code(answer: &Secret<Vec<u8>>) -> Result<ResultCode, Ended> {
    let message = Message::read(answer.expose()).map_err(Ended::Nonsense)?;
    Ok(LdapResult::read(&message).map_err(Ended::Nonsense)?.code)
}

/// A mechanism that stands for the proxy itself would give the client our rights.
fn sasl(sasl: &Sasl, mechanism: &str) -> Plan<'static> {
    match sasl {
        Sasl::Pass(mechanisms) if mechanisms.iter().any(|name| name == mechanism) => Plan::Pass,
        Sasl::Pass(_) if mechanism.is_empty() => Plan::Pass,
        Sasl::Pass(_) | Sasl::Refuse => NOT_SUPPORTED,
    }
}

const NOT_SUPPORTED: Plan<'static> = Plan::Refuse(
    ResultCode::AUTH_METHOD_NOT_SUPPORTED,
    "this way to authenticate is not let through",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_choose_the_code_of_a_refusal_and_never_make_it_something_else() {
        let code = |code| refusal(&Wording { code, message: None }).0;
        assert_eq!((code(None), code(Some(53)), code(Some(4096))), (49, 53, 4096));
        for no_refusal in [0, 5, 6, 10, 14] {
            assert_eq!(code(Some(no_refusal)), 49);
        }
    }
}
