//! Who knows the answers: the validator of this machine, a provider, or slapd itself.

use std::sync::Arc;

use countersign_core::{
    domain::{id::CorrelationId, parameters::Wording},
    secret::Secret,
    wire::backsock::{Answer, Bind, Compare, Origin, Peer, ResultCode},
};

use super::Handler;
use crate::{
    app::{
        Asked,
        bind::{self, Accepted, Binder, Bound},
        bind_proxy::{BindProxy, Client, Proxied, ProxiedBind},
        hand_back::{HandBack, Own},
    },
    clock::Clock,
    config::back_sock::WithoutToken,
    vault::random_octets,
};

/// Answers by what the config has.
pub struct Responder {
    /// Decides here.
    pub binder: Binder,
    /// Passes on what is not decided here.
    pub proxy: Option<Arc<BindProxy>>,
    /// Asks slapd about passwords, if it checks them.
    pub hand_back: Option<Arc<HandBack>>,
    /// What becomes of accounts without a token.
    pub without_token: WithoutToken,
    /// Tells when a request came.
    pub clock: Arc<dyn Clock>,
}

impl Handler for Responder {
    async fn bind(&self, bind: Bind) -> Answer {
        if let Some(proxy) = &self.proxy {
            let (dn, credentials) = (&*bind.dn, &bind.credentials);
            let asked = ProxiedBind { dn, credentials, client: client(&bind.origin) };
            match proxy.bind(&asked).await {
                Proxied::Here => {}
                Proxied::Exempt => return Answer::Continue,
                Proxied::Declined => return self.declined(),
                Proxied::Busy => return Answer::of(ResultCode::BUSY),
                Proxied::Answered(replied) if replied.code == 0 => return Answer::SUCCESS,
                Proxied::Answered(replied) => return refusal(replied.code, Some(replied.text)),
                Proxied::Unavailable(text) => {
                    return refusal(ResultCode::UNAVAILABLE.0, Some(text.to_owned()));
                }
            }
        }
        self.decide(bind).await
    }

    async fn compare(&self, compare: Compare) -> Answer {
        let asked = self.asked();
        let bind = bind::Bind {
            name: compare.dn,
            credentials: compare.value,
            origin: origin(&compare.origin),
        };
        match self.binder.compare(bind, &asked).await {
            Bound::Accepted(_) => Answer::of(ResultCode::COMPARE_TRUE),
            Bound::Rejected(_) | Bound::Declined => Answer::of(ResultCode::COMPARE_FALSE),
            Bound::Unavailable => Answer::of(ResultCode::UNAVAILABLE),
        }
    }

    fn own(&self, bind: &Bind) -> Option<Answer> {
        let (hand_back, number) = (self.hand_back.as_ref()?, bind.origin.connection?);
        let is_local = matches!(bind.origin.peer, Some(Peer::Path(_)));
        match is_local.then(|| hand_back.own(number, &bind.dn, &bind.credentials)).flatten()? {
            Own::Code => Some(Answer::of(ResultCode::INVALID_CREDENTIALS)),
            Own::Expected => Some(Answer::Continue),
        }
    }
}

impl Responder {
    async fn decide(&self, bind: Bind) -> Answer {
        let asked = self.asked();
        let Bind { origin: from, dn, credentials } = bind;
        // The password is wanted again if slapd is asked about it.
        let kept = self.hand_back.as_ref().map(|hand_back| (hand_back, credentials.clone()));
        let bind = bind::Bind { name: dn.clone(), credentials, origin: origin(&from) };
        match self.binder.bind(bind, &asked).await {
            Bound::Accepted(accepted) => match kept {
                Some((hand_back, credentials)) => {
                    self.confirm(hand_back, &dn, &credentials, &accepted).await
                }
                None => Answer::SUCCESS,
            },
            Bound::Rejected(Wording { code, message }) => {
                refusal(code.unwrap_or(ResultCode::INVALID_CREDENTIALS.0), message)
            }
            Bound::Declined => self.declined(),
            Bound::Unavailable => Answer::of(ResultCode::UNAVAILABLE),
        }
    }

    /// The account has no token.
    fn declined(&self) -> Answer {
        match self.without_token {
            WithoutToken::Continue => Answer::Continue,
            WithoutToken::Refuse => Answer::of(ResultCode::INVALID_CREDENTIALS),
        }
    }

    /// The OTP was right; slapd is asked about what stood before it.
    async fn confirm(
        &self,
        hand_back: &HandBack,
        dn: &str,
        credentials: &Secret<Vec<u8>>,
        accepted: &Accepted,
    ) -> Answer {
        let password = credentials.expose_bytes().get(..accepted.password_length);
        let password = Secret::new(password.unwrap_or_default().to_vec());
        match hand_back.ask(dn, &password).await {
            Ok(result) if result.is_success() => Answer::SUCCESS,
            Ok(result) => {
                self.binder.refused_by_directory(accepted);
                refusal(result.code, Some(result.text))
            }
            Err(error) => {
                tracing::error!(%error, "slapd was not asked about a password");
                Answer::of(ResultCode::UNAVAILABLE)
            }
        }
    }

    fn asked(&self) -> Asked {
        Asked {
            peer: "slapd".to_owned(),
            correlation: CorrelationId::from_bytes(random_octets()),
            at: self.clock.now(),
        }
    }
}

fn refusal(code: u32, text: Option<String>) -> Answer {
    Answer::refused(ResultCode(code), text)
}

/// Where the client of slapd is.
fn client(origin: &Origin) -> Client {
    match &origin.peer {
        Some(Peer::Ip(address)) => Client::At(address.ip().to_canonical()),
        Some(Peer::Path(_)) => Client::Local,
        None => Client::Untold,
    }
}

fn origin(origin: &Origin) -> Option<String> {
    origin.peer.as_ref().map(|peer| peer.host().into_owned())
}
