//! Tokens whose OTPs are sent: whether there is a channel, and an address for it.

use countersign_core::domain::{id::PersonId, token::TokenKind};

use super::{Admin, AdminError, listed};
use crate::config::delivery::DeliveryKind;

impl Admin {
    /// Whether the OTPs of such a token would find their way; true of every other kind.
    pub(super) async fn check_delivery(
        &self,
        kind: &TokenKind,
        owner: Option<PersonId>,
    ) -> Result<(), AdminError> {
        let TokenKind::Delivered { channel, to, .. } = kind else { return Ok(()) };
        let known = &self.parts.deliveries;
        let Some(delivery) = known.get(channel) else {
            let known = listed(known.keys());
            return Err(AdminError::ChannelUnknown { name: channel.clone(), known });
        };
        match to {
            Some(to) => check_address(*delivery, to),
            None => {
                let mail = self.mail_of(owner).await?;
                let mail = mail.ok_or_else(|| AdminError::NoAddress(channel.clone()))?;
                check_address(*delivery, &mail)
            }
        }
    }

    async fn mail_of(&self, person: Option<PersonId>) -> Result<Option<String>, AdminError> {
        let Some(person) = person else { return Ok(None) };
        Ok(self.parts.store.person(person).await?.and_then(|person| person.mail))
    }
}

fn check_address(delivery: DeliveryKind, to: &str) -> Result<(), AdminError> {
    let is_right = match delivery {
        DeliveryKind::Mail => to.parse::<lettre::Address>().is_ok(),
        DeliveryKind::Http | DeliveryKind::Script => !to.trim().is_empty(),
    };
    if !is_right || to.len() > MAX_ADDRESS || to.contains(char::is_control) {
        let cause = match delivery {
            DeliveryKind::Mail => "a mail address is wanted, for instance alice@example.com",
            DeliveryKind::Http | DeliveryKind::Script => {
                "an address has 1 to 320 octets and no control characters"
            }
        };
        return Err(AdminError::field("address", to, cause));
    }
    Ok(())
}

/// Octets of the longest mail address: 64 before and 255 behind the sign (RFC 5321 §4.5.3.1).
const MAX_ADDRESS: usize = 320;
