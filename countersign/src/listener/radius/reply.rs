//! What is sent back: the code, Proxy-State as it came, and for an accept what the config says.

use countersign_core::{
    domain::challenge::Prompt,
    secret::Secret,
    wire::radius::{
        attribute::Unfit,
        authenticator::{Authenticator, VerifiedRequest},
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Protection},
        transport::RequestToken,
    },
};

/// Attributes of a reply, in order.
pub(super) type Attributes = Vec<(AttributeNumber, Vec<u8>)>;

/// What a reply must repeat of its request.
#[derive(Debug)]
pub(super) struct ReplyTo {
    pub(super) identifier: Identifier,
    pub(super) authenticator: Authenticator,
    form: Form,
    /// A Message-Authenticator is sent to those who sent one. All others are exempted by
    /// the config, and there are some that drop a reply which carries it. Nothing that
    /// a forger could have put into their requests is repeated to them, see
    /// [`Demand::WherePresent`](countersign_core::wire::radius::authenticator::Demand).
    protection: Protection,
    proxy_states: Vec<Vec<u8>>,
}

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As RFC 2865 has it.
    Usual,
    /// The same with the header alone: a KDC drops replies with attributes that it does not
    /// know, and looks at none of them.
    Bare,
    /// RADIUS/1.1.
    OverTls(RequestToken),
}

impl ReplyTo {
    pub(super) fn new(request: &VerifiedRequest<'_>, form: Form) -> Self {
        let packet = request.packet();
        let proxy_states = packet.attributes().all(AttributeNumber::PROXY_STATE);
        Self {
            identifier: packet.identifier(),
            authenticator: packet.authenticator(),
            form,
            protection: request.carried(),
            proxy_states: proxy_states.map(<[u8]>::to_vec).collect(),
        }
    }

    pub(super) fn accept(&self, attributes: &Attributes, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        match self.draft(Code::ACCESS_ACCEPT, attributes) {
            Ok(draft) => self.finish(draft, secret),
            // An accept without what restricts the session would grant too much.
            Err(error) => {
                tracing::debug!(%error, "rejected, because the accept does not fit");
                self.reject(secret)
            }
        }
    }

    pub(super) fn reject(&self, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        // The text tells nothing that the code does not tell.
        let text = message("The logon was refused.");
        self.least(Code::ACCESS_REJECT, &vec![text], secret)
    }

    pub(super) fn challenge(
        &self,
        prompt: &Prompt,
        state: Vec<u8>,
        secret: &Secret<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let state = (AttributeNumber::STATE, state);
        let draft = self.draft(Code::ACCESS_CHALLENGE, &vec![state, message(words(prompt))]);
        draft.ok().map(|draft| self.finish(draft, secret))
    }

    /// Without anything but what identifies it: the answer to a Status-Server or an
    /// Accounting-Request.
    pub(super) fn plain(&self, code: Code, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        self.least(code, &Vec::new(), secret)
    }

    /// What is not done here (RFC 6614 §2.5, RFC 5176 §3.5).
    pub(super) fn unsupported(&self, code: Code, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        let cause = (AttributeNumber::ERROR_CAUSE, UNSUPPORTED_EXTENSION.to_vec());
        self.least(code, &vec![cause], secret)
    }

    /// What an upstream answered, with the Proxy-States that it repeated.
    pub(super) fn forwarded(
        &self,
        code: Code,
        attributes: &Attributes,
        secret: &Secret<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut draft = self.begin(code);
        if self.form != Form::Bare {
            for (number, value) in attributes {
                draft.push(*number, value).ok()?;
            }
        }
        Some(self.finish(draft, secret))
    }

    /// With these attributes if they fit, without them if not.
    fn least(&self, code: Code, attributes: &Attributes, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        let draft = self.draft(code, attributes).or_else(|_| self.draft(code, &Vec::new()));
        self.finish(draft.expect("Proxy-State that fitted into the request fits"), secret)
    }

    fn draft(&self, code: Code, attributes: &Attributes) -> Result<Draft, Unfit> {
        let mut draft = self.begin(code);
        for state in &self.proxy_states {
            draft.push(AttributeNumber::PROXY_STATE, state)?;
        }
        if self.form != Form::Bare {
            for (number, value) in attributes {
                draft.push(*number, value)?;
            }
        }
        Ok(draft)
    }

    fn begin(&self, code: Code) -> Draft {
        match self.form {
            Form::OverTls(token) => Draft::new_over_tls(code, token),
            Form::Usual | Form::Bare => {
                Draft::new(code, self.identifier, self.authenticator, self.protection)
            }
        }
    }

    fn finish(&self, draft: Draft, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        match self.form {
            Form::OverTls(_) => draft.finish_over_tls(),
            Form::Usual | Form::Bare => draft.finish_reply(secret),
        }
    }
}

fn message(text: &str) -> (AttributeNumber, Vec<u8>) {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (AttributeNumber::REPLY_MESSAGE, text.as_bytes()[..end].to_vec())
}

/// What a user reads who is challenged.
fn words(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Otp => "Enter your one-time password.",
        Prompt::NextOtp => "Enter the next one-time password of your token.",
        Prompt::Delivered => "Enter the one-time password that was sent to you.",
        Prompt::Upstream(text) if text.is_empty() => "Another passcode is needed.",
        Prompt::Upstream(text) => text,
    }
}

/// Error-Cause 406 (RFC 5176 §3.5).
const UNSUPPORTED_EXTENSION: [u8; 4] = 406_u32.to_be_bytes();
/// Octets of a Reply-Message.
const MAX_TEXT: usize = 253;

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

    fn reply_in(form: Form, request: &[u8]) -> ReplyTo {
        let secret = secret();
        let packet = Packet::read(request).unwrap();
        ReplyTo::new(&packet.verify_request(&secret, Demand::WherePresent).unwrap(), form)
    }

    fn reply_to(request: &[u8]) -> ReplyTo {
        reply_in(Form::Usual, request)
    }

    fn numbers(reply: &[u8]) -> (Code, Vec<u8>) {
        let packet = Packet::read(reply).unwrap();
        let (identifier, authenticator) = (Identifier(9), Authenticator([7; 16]));
        packet.verify_reply(identifier, authenticator, &secret(), Demand::WherePresent).unwrap();
        (packet.code(), packet.attributes().iter().map(|found| found.number.0).collect())
    }

    fn class(octets: usize) -> Attributes {
        vec![(AttributeNumber::CLASS, vec![b'x'; octets])]
    }

    fn challenged(reply_to: &ReplyTo, prompt: &Prompt) -> (Code, Vec<u8>) {
        numbers(&reply_to.challenge(prompt, b"state".to_vec(), &secret()).unwrap())
    }

    #[test]
    fn repeats_proxy_state_in_order_behind_the_message_authenticator() {
        let reply_to = reply_to(&request(Protection::MessageAuthenticator, &[b"one", b"two"]));
        let accept = reply_to.accept(&class(3), &secret());
        assert_eq!(numbers(&accept), (Code::ACCESS_ACCEPT, vec![80, 33, 33, 25]));
        let packet = Packet::read(&accept).unwrap();
        let states: Vec<_> = packet.attributes().all(AttributeNumber::PROXY_STATE).collect();
        assert_eq!(states, [b"one", b"two"]);
    }

    #[test]
    fn sends_a_message_authenticator_to_those_who_sent_one() {
        let reply_to = reply_to(&request(Protection::None, &[]));
        let accept = reply_to.accept(&Vec::new(), &secret());
        assert_eq!(numbers(&accept), (Code::ACCESS_ACCEPT, vec![]));
        assert_eq!(numbers(&reply_to.reject(&secret())), (Code::ACCESS_REJECT, vec![18]));
        let challenge = challenged(&reply_to, &Prompt::NextOtp);
        assert_eq!(challenge, (Code::ACCESS_CHALLENGE, vec![24, 18]));
    }

    #[test]
    fn a_kdc_gets_twenty_octets() {
        for protection in [Protection::None, Protection::MessageAuthenticator] {
            let reply_to = reply_in(Form::Bare, &request(protection, &[]));
            let length = if protection == Protection::None { 20 } else { 38 };
            assert_eq!(reply_to.accept(&class(3), &secret()).len(), length);
            assert_eq!(reply_to.reject(&secret()).len(), length);
            let forwarded = reply_to.forwarded(Code::ACCESS_ACCEPT, &class(3), &secret());
            assert_eq!(forwarded.unwrap().len(), length);
        }
    }

    #[test]
    fn over_radius_1_1_the_token_comes_back_and_nothing_is_signed() {
        let request = request(Protection::None, &[]);
        let packet = Packet::read(&request).unwrap().trust_transport();
        let token = RequestToken(0x0102_0304);
        let reply = ReplyTo::new(&packet, Form::OverTls(token)).accept(&class(1), &secret());
        let read = Packet::read(&reply).unwrap();
        assert_eq!((read.code(), read.request_token()), (Code::ACCESS_ACCEPT, token));
        assert_eq!(&reply[8..20], &[0; 12]);
    }

    #[test]
    fn rejects_where_what_an_accept_must_carry_does_not_fit() {
        let state = [b's'; 253];
        let states = [&state[..]; 15];
        let reply_to = reply_to(&request(Protection::MessageAuthenticator, &states));
        let (code, found) = numbers(&reply_to.accept(&class(253), &secret()));
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

    #[test]
    fn what_an_upstream_says_to_the_user_is_cut_at_a_letter() {
        let reply_to = reply_to(&request(Protection::None, &[]));
        for text in [String::new(), "ö".repeat(127), "What is it?".into()] {
            let challenge = challenged(&reply_to, &Prompt::Upstream(text));
            assert_eq!(challenge, (Code::ACCESS_CHALLENGE, vec![24, 18]));
        }
    }
}
