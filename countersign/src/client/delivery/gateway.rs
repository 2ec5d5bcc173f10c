//! Gateways over HTTP: one request for a message, 2xx for delivered.

use std::time::Duration;

use countersign_core::secret::Secret;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::{Failure, Message};
use crate::{
    client::http::{ClientError, HttpError, HttpUrl, HttpsClient, Outgoing, Patience},
    config::delivery::{HttpSettings, percent_encode},
};

/// Asks a gateway to deliver.
pub(super) struct Gateway {
    client: HttpsClient,
    settings: HttpSettings,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway({})", self.settings.gateway)
    }
}

impl Gateway {
    pub(super) fn new(
        settings: &HttpSettings,
        roots: RootCertStore,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        let patience = Patience { connect: patience, answer: patience };
        let client = HttpsClient::with_roots(roots, None, patience)?;
        Ok(Self { client, settings: settings.clone() })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Failure> {
        let gateway = || self.settings.gateway.clone();
        let url = self.settings.url.fill(&message.values(), percent_encode);
        // Neither the URL nor an error about it is shown: the OTP may be in it.
        let url: HttpUrl = url.expose().parse().map_err(|_| Failure::Peer {
            peer: gateway(),
            cause: "url is no address any more with the message in its places".to_owned(),
        })?;
        let answer = self.client.send(&url, self.request(message)).await;
        let answer =
            answer.map_err(|error| Failure::Peer { peer: gateway(), cause: cause_of(error) })?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(Failure::Status {
                gateway: gateway(),
                status,
                said: String::from_utf8_lossy(&answer.body).into_owned(),
            }),
        }
    }

    fn request(&self, message: &Message) -> Outgoing {
        let body = self.settings.body.as_ref();
        let body = body.map(|body| body.text.fill(&message.values(), |v| body.form.escape(v)));
        let octets = |body: Secret<String>| body.expose_bytes().to_vec();
        Outgoing {
            method: self.settings.method.clone(),
            headers: self.settings.headers.clone(),
            body: Zeroizing::new(body.map(octets).unwrap_or_default()),
        }
    }
}

/// How far it got, without the URL.
fn cause_of(error: HttpError) -> String {
    match error {
        HttpError::Connect { cause, .. } => format!("cannot connect: {cause}"),
        HttpError::Send { cause, .. } => format!("cannot send: {cause}"),
        HttpError::Receive { cause, .. } => format!("no answer: {cause}"),
    }
}
