//! What is sent back: the code, Proxy-State as it came, and for an accept what the config says.

use countersign_core::{
    secret::Secret,
    wire::radius::{
        attribute::Unfit,
        authenticator::{Authenticator, VerifiedRequest},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Protection},
    },
};

/// What a reply must repeat of its request.
#[derive(Debug)]
pub(super) struct ReplyTo {
    pub(super) identifier: Identifier,
    pub(super) authenticator: Authenticator,
    /// A Message-Authenticator is sent to those who sent one. All others are exempted by
    /// the config, and there are some that drop a reply which carries it. Nothing that
    /// a forger could have put into their requests is repeated to them, see
    /// [`Demand::WherePresent`](countersign_core::wire::radius::authenticator::Demand).
    protection: Protection,
    proxy_states: Vec<Vec<u8>>,
}

impl ReplyTo {
    pub(super) fn new(request: &VerifiedRequest<'_>) -> Self {
        let packet = request.packet();
        let proxy_states = packet.attributes().all(AttributeNumber::PROXY_STATE);
        Self {
            identifier: packet.identifier(),
            authenticator: packet.authenticator(),
            protection: request.carried(),
            proxy_states: proxy_states.map(<[u8]>::to_vec).collect(),
        }
    }

    pub(super) fn accept(
        &self,
        attributes: &[(AttributeNumber, Vec<u8>)],
        secret: &Secret<Vec<u8>>,
    ) -> Vec<u8> {
        match self.draft(Code::ACCESS_ACCEPT, attributes) {
            Ok(draft) => draft.finish_reply(secret),
            // An accept without what restricts the session would grant too much.
            Err(error) => {
                tracing::debug!(%error, "rejected, because the accept does not fit");
                self.reject(secret)
            }
        }
    }

    pub(super) fn reject(&self, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        self.refuse(Code::ACCESS_REJECT, "The logon was refused.", secret)
    }

    pub(super) fn challenge(&self, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        self.refuse(Code::ACCESS_CHALLENGE, "Another passcode is needed.", secret)
    }

    /// The text tells nothing that the code does not tell.
    fn refuse(&self, code: Code, text: &str, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        let message = (AttributeNumber::REPLY_MESSAGE, text.as_bytes().to_vec());
        let draft = self.draft(code, &[message]).or_else(|_| self.draft(code, &[]));
        draft.expect("Proxy-State that fitted into the request fits").finish_reply(secret)
    }

    fn draft(&self, code: Code, attributes: &[(AttributeNumber, Vec<u8>)]) -> Result<Draft, Unfit> {
        let mut draft = Draft::new(code, self.identifier, self.authenticator, self.protection);
        for state in &self.proxy_states {
            draft.push(AttributeNumber::PROXY_STATE, state)?;
        }
        for (number, value) in attributes {
            draft.push(*number, value)?;
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::{authenticator::Demand, packet::Packet};

    use super::*;

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn request(protection: Protection, states: &[&[u8]]) -> Vec<u8> {
        let authenticator = Authenticator([7; 16]);
        let mut draft = Draft::new(Code::ACCESS_REQUEST, Identifier(9), authenticator, protection);
        for state in states {
            draft.push(AttributeNumber::PROXY_STATE, state).unwrap();
        }
        draft.finish_request(&secret())
    }

    fn reply_to(request: &[u8]) -> ReplyTo {
        let secret = secret();
        let packet = Packet::read(request).unwrap();
        ReplyTo::new(&packet.verify_request(&secret, Demand::WherePresent).unwrap())
    }

    fn numbers(reply: &[u8]) -> (Code, Vec<u8>) {
        let packet = Packet::read(reply).unwrap();
        let (identifier, authenticator) = (Identifier(9), Authenticator([7; 16]));
        packet.verify_reply(identifier, authenticator, &secret(), Demand::WherePresent).unwrap();
        (packet.code(), packet.attributes().iter().map(|found| found.number.0).collect())
    }

    fn class(octets: usize) -> (AttributeNumber, Vec<u8>) {
        (AttributeNumber::CLASS, vec![b'x'; octets])
    }

    #[test]
    fn repeats_proxy_state_in_order_behind_the_message_authenticator() {
        let reply_to = reply_to(&request(Protection::MessageAuthenticator, &[b"one", b"two"]));
        let accept = reply_to.accept(&[class(3)], &secret());
        assert_eq!(numbers(&accept), (Code::ACCESS_ACCEPT, vec![80, 33, 33, 25]));
        let packet = Packet::read(&accept).unwrap();
        let states: Vec<_> = packet.attributes().all(AttributeNumber::PROXY_STATE).collect();
        assert_eq!(states, [b"one", b"two"]);
    }

    #[test]
    fn sends_a_message_authenticator_to_those_who_sent_one() {
        let reply_to = reply_to(&request(Protection::None, &[]));
        assert_eq!(numbers(&reply_to.accept(&[], &secret())), (Code::ACCESS_ACCEPT, vec![]));
        assert_eq!(numbers(&reply_to.reject(&secret())), (Code::ACCESS_REJECT, vec![18]));
        assert_eq!(numbers(&reply_to.challenge(&secret())), (Code::ACCESS_CHALLENGE, vec![18]));
    }

    #[test]
    fn rejects_where_what_an_accept_must_carry_does_not_fit() {
        let state = [b's'; 253];
        let states = [&state[..]; 15];
        let reply_to = reply_to(&request(Protection::MessageAuthenticator, &states));
        let (code, found) = numbers(&reply_to.accept(&[class(253)], &secret()));
        assert_eq!((code, found.len()), (Code::ACCESS_REJECT, 17));
    }

    #[test]
    fn a_request_full_of_proxy_state_gets_an_answer_without_text() {
        let state = [b's'; 253];
        let mut states = vec![&state[..]; 15];
        let rest = Packet::MAX_LENGTH - 20 - 18 - 15 * 255;
        states.push(&state[..rest - 2]);
        let request = request(Protection::MessageAuthenticator, &states);
        assert_eq!(request.len(), Packet::MAX_LENGTH);
        let (code, found) = numbers(&reply_to(&request).reject(&secret()));
        assert_eq!((code, found.len()), (Code::ACCESS_REJECT, 17));
    }
}
