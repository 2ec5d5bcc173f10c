//! OTPs on their way to the user.

use std::time::Instant;

use countersign_core::domain::{
    account::Account,
    counter::{Change, Move, TokenCounter},
    id::TokenId,
    verdict::{Delivery, Outcome, Reason, Verdict},
};

use super::{Answer, Authenticator};
use crate::client::delivery::{DeliveryError, Message};

/// Why an OTP did not leave.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("the config has no [delivery.{0}]")]
    NoChannel(String),
    #[error("there is no address: the token has none, and the person has no mail address")]
    NoAddress,
    #[error(transparent)]
    Channel(#[from] DeliveryError),
}

impl Authenticator {
    /// Sends an OTP whose counter is in its place. If it does not leave, none is outstanding,
    /// so that the user can ask again at once, and this is the answer.
    pub(super) async fn deliver(
        &self,
        delivery: &Delivery,
        change: Change,
        verdict: Verdict,
        account: &Account,
    ) -> Option<Answer> {
        let error = self.send(delivery, account).await.err()?;
        let (token, channel) = (delivery.token, &delivery.channel);
        if self.complaints.is_due(channel, Instant::now()) {
            tracing::error!(%token, channel, %error, "an OTP was not sent; more are at debug only");
        } else {
            tracing::debug!(%token, channel, %error, "an OTP was not sent");
        }
        if let Err(error) = self.store.commit(not_sent(change, token)).await {
            self.complain("an OTP that was not sent is taken for one that was", &error);
        }
        let (outcome, reason) = (Outcome::Unavailable, Reason::DeliveryFailed);
        Some(Verdict { outcome, reason, ..verdict }.into())
    }

    async fn send(&self, delivery: &Delivery, account: &Account) -> Result<(), Undelivered> {
        let Delivery { channel: name, to, otp, .. } = delivery;
        let channel = self.others.load().channels.get(name).cloned();
        let channel = channel.ok_or_else(|| Undelivered::NoChannel(name.clone()))?;
        let to = match to {
            Some(to) => to.clone(),
            None => self.mail_of(account).await.ok_or(Undelivered::NoAddress)?,
        };
        let message = Message { to, account: account.name.clone(), otp: otp.clone() };
        Ok(channel.send(&message).await?)
    }

    async fn mail_of(&self, account: &Account) -> Option<String> {
        self.store.person(account.person?).await.ok()??.mail
    }
}

/// The move after one that said that an OTP of the token was sent.
fn not_sent(change: Change, token: TokenId) -> Change {
    let moved = change.tokens.into_iter().filter(|moved| moved.id == token);
    let back = moved.map(|Move { id, to, .. }| Move {
        id,
        from: to,
        to: TokenCounter { resync: 0, ..to },
    });
    Change { failures: None, tokens: back.collect() }
}
