//! Requests of others that are passed on: the proxy (RFC 2865 §2.3, RFC 5080 §2.2.2).

use std::fmt;

use countersign_core::{
    secret::Secret,
    wire::radius::{
        attribute::Attribute,
        concealed::{Concealment, conceal_anew},
        dictionary::{AttributeNumber, Code},
    },
};

use super::{
    Server, Unanswered, Upstream,
    question::{Answer, Part, Question, Unsendable, numbers},
};
use crate::vault::random_octets;

/// A request to be passed on.
pub struct Forward {
    /// Access-Request or Accounting-Request.
    pub code: Code,
    /// Its attributes in their order, without User-Password and Message-Authenticator, with
    /// the User-Name that the server is to read.
    pub attributes: Vec<(AttributeNumber, Vec<u8>)>,
    /// The User-Password in clear, if it has one.
    pub password: Option<Secret<Vec<u8>>>,
    /// What conceals between our client and us. Its authenticator is also the CHAP challenge
    /// of a request without CHAP-Challenge.
    pub client: Concealment,
}

/// What came back, for our client.
#[derive(PartialEq, Eq)]
#[must_use = "the client waits for it"]
pub struct Forwarded {
    /// What it is.
    pub code: Code,
    /// Its attributes in their order, without Message-Authenticator and our Proxy-State. Keys
    /// are concealed for our client.
    pub attributes: Vec<(AttributeNumber, Vec<u8>)>,
}

impl fmt::Debug for Forward {
    /// Without values: a CHAP-Password may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("code", &self.code)
            .field("attributes", &numbers(&self.attributes))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Forwarded {
    /// Without values: over RADIUS/1.1 keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded")
            .field("code", &self.code)
            .field("attributes", &numbers(&self.attributes))
            .finish()
    }
}

impl Upstream {
    /// Passes a request on to the first server that answers, and its answer back.
    ///
    /// # Errors
    ///
    /// No server answered, or the request cannot be passed on.
    pub async fn forward(&self, request: Forward) -> Result<Forwarded, Unanswered> {
        let (client, ours) = (request.client.clone(), random_octets::<8>());
        let way = match request.code {
            Code::ACCESS_REQUEST => Server::access,
            Code::ACCOUNTING_REQUEST => Server::accounting,
            code => return Err(Unsendable::Code(code).into()),
        };
        let (request, asked_by) = self.take_mark(request);
        let question = question(request, &ours)?;
        let _permit = self.permit().await?;
        let (server, answer) = match asked_by {
            None => self.ask_in_order(&question, way).await?,
            Some((index, server)) => (index, way(server).ask(&question).await?),
        };
        Ok(self.mark(server, forwarded(answer, &ours, &client)))
    }

    /// The State of a challenge gets a mark in front of it that says which server it is of,
    /// for that server alone can read it when it comes back. With one server there is no
    /// need. Where a State fills its attribute there is no room, and no second round.
    fn mark(&self, server: usize, mut forwarded: Forwarded) -> Forwarded {
        if self.servers.len() < 2 || forwarded.code != Code::ACCESS_CHALLENGE {
            return forwarded;
        }
        let mut states = forwarded.attributes.iter_mut();
        let state = states.find(|(number, _)| *number == AttributeNumber::STATE);
        match (state, u8::try_from(server)) {
            (Some((_, state)), Ok(mark)) if state.len() < Attribute::MAX_VALUE_LENGTH => {
                state.insert(0, mark);
            }
            (Some(_), _) => {
                tracing::debug!(upstream = self.name, "a State is too long for a second round");
                forwarded.attributes.retain(|(number, _)| *number != AttributeNumber::STATE);
                forwarded.code = Code::ACCESS_REJECT;
            }
            (None, _) => {}
        }
        forwarded
    }

    /// The request without the mark, and the server that it names.
    fn take_mark(&self, mut request: Forward) -> (Forward, Option<(usize, &Server)>) {
        let mut states = request.attributes.iter_mut();
        let state = states.find(|(number, _)| *number == AttributeNumber::STATE);
        match state {
            Some((_, state)) if self.servers.len() > 1 && !state.is_empty() => {
                let index = usize::from(state.remove(0));
                let server = self.servers.get(index).map(|server| (index, server));
                (request, server)
            }
            Some(_) | None => (request, None),
        }
    }
}

fn question(request: Forward, ours: &[u8]) -> Result<Question, Unsendable> {
    let challenge = missing_challenge(&request)?;
    let password = request.password.map(Part::Password);
    let attributes = request.attributes.into_iter();
    // Hidden octets that were not taken off would reach the server under a wrong secret.
    let attributes = attributes.filter(|(number, _)| {
        ![AttributeNumber::MESSAGE_AUTHENTICATOR, AttributeNumber::USER_PASSWORD].contains(number)
    });
    let proxy_state = (AttributeNumber::PROXY_STATE, ours.to_vec());
    let attributes = attributes.chain(challenge).chain([proxy_state]);
    let attributes = attributes.map(|(number, value)| Part::Attribute(number, value));
    Ok(Question { code: request.code, parts: password.into_iter().chain(attributes).collect() })
}

/// The challenge of a CHAP-Password is the Request Authenticator where it is not said
/// (RFC 2865 §5.3). The authenticator does not go on, so it is said from here on.
fn missing_challenge(request: &Forward) -> Result<Option<(AttributeNumber, Vec<u8>)>, Unsendable> {
    let has = |number| request.attributes.iter().any(|(found, _)| *found == number);
    if !has(AttributeNumber::CHAP_PASSWORD) || has(AttributeNumber::CHAP_CHALLENGE) {
        return Ok(None);
    }
    match &request.client {
        Concealment::Md5 { authenticator, .. } => {
            Ok(Some((AttributeNumber::CHAP_CHALLENGE, authenticator.0.to_vec())))
        }
        Concealment::Transport => Err(Unsendable::NoChapChallenge),
    }
}

fn forwarded(answer: Answer, ours: &[u8], client: &Concealment) -> Forwarded {
    let Answer { code, mut attributes, concealment } = answer;
    let is_ours = |(number, value): &(AttributeNumber, Vec<u8>)| {
        *number == AttributeNumber::PROXY_STATE && value == ours
    };
    if let Some(last) = attributes.iter().rposition(is_ours) {
        attributes.remove(last);
    }
    let mut salt = u16::from_be_bytes(random_octets());
    let mut anew = |(number, value): (AttributeNumber, Vec<u8>)| {
        salt = salt.wrapping_add(SALT_STEP);
        match conceal_anew(number, &value, &concealment, client, salt.to_be_bytes()) {
            Ok(value) => Some((number, value)),
            // Passed on as it is it would be another key for the client than for the user.
            Err(error) => {
                tracing::debug!(%error, "left out of the reply");
                None
            }
        }
    };
    let attributes = attributes.into_iter().filter_map(&mut anew).collect();
    Forwarded { code, attributes }
}

/// Another first octet for each attribute, for the last one is counted on within it.
const SALT_STEP: u16 = 0x0101;

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::authenticator::Authenticator;

    use super::*;

    fn hop(authenticator: u8, secret: &[u8]) -> Concealment {
        Concealment::Md5 {
            authenticator: Authenticator([authenticator; 16]),
            secret: Secret::new(secret.to_vec()),
        }
    }

    fn attributes(question: &Question) -> Vec<(u8, Vec<u8>)> {
        let part = |part: &Part| match part {
            Part::Attribute(number, value) => (number.0, value.clone()),
            Part::Password(password) => (2, password.expose().clone()),
        };
        question.parts.iter().map(part).collect()
    }

    fn request(attributes: &[(AttributeNumber, &[u8])], client: Concealment) -> Forward {
        let attributes = attributes.iter().map(|(number, value)| (*number, value.to_vec()));
        let (code, attributes) = (Code::ACCESS_REQUEST, attributes.collect());
        Forward { code, attributes, password: None, client }
    }

    #[test]
    fn a_request_goes_on_in_its_order_with_our_proxy_state_last() {
        let given = [
            (AttributeNumber::MESSAGE_AUTHENTICATOR, &[0; 16][..]),
            (AttributeNumber::PROXY_STATE, b"theirs"),
            (AttributeNumber::USER_NAME, b"alice"),
            (AttributeNumber::USER_PASSWORD, b"hidden"),
            (AttributeNumber(241), b"unknown"),
        ];
        let request = request(&given, hop(1, b"client"));
        let password = Some(Secret::new(b"755224".to_vec()));
        let question = question(Forward { password, ..request }, b"ours").unwrap();
        let expected =
            [(2, &b"755224"[..]), (33, b"theirs"), (1, b"alice"), (241, b"unknown"), (33, b"ours")];
        assert_eq!(attributes(&question), expected.map(|(number, value)| (number, value.to_vec())));
    }

    #[test]
    fn the_challenge_of_chap_is_said_where_it_was_not() {
        let chap = (AttributeNumber::CHAP_PASSWORD, &[7; 17][..]);
        let said = (AttributeNumber::CHAP_CHALLENGE, &b"challenge"[..]);
        let challenge = |given: &[(AttributeNumber, &[u8])], client| {
            let question = question(request(given, client), b"ours")?;
            let mut all = attributes(&question).into_iter();
            Ok(all.find(|(number, _)| *number == 60).map(|(_, value)| value))
        };
        assert_eq!(challenge(&[chap], hop(9, b"c")), Ok(Some(vec![9; 16])));
        assert_eq!(challenge(&[chap, said], hop(9, b"c")), Ok(Some(b"challenge".to_vec())));
        assert_eq!(challenge(&[], hop(9, b"c")), Ok(None));
        assert_eq!(challenge(&[chap], Concealment::Transport), Err(Unsendable::NoChapChallenge));
    }

    #[test]
    fn exactly_our_proxy_state_is_taken_off() {
        let state = |value: &[u8]| (AttributeNumber::PROXY_STATE, value.to_vec());
        let class = (AttributeNumber::CLASS, b"c".to_vec());
        let back = |attributes: Vec<_>| {
            let (code, concealment) = (Code::ACCESS_ACCEPT, hop(1, b"server"));
            let answer = Answer { code, attributes, concealment };
            forwarded(answer, b"ours", &hop(2, b"client")).attributes
        };
        let all = vec![state(b"ours"), state(b"one"), class.clone(), state(b"ours")];
        assert_eq!(back(all), [state(b"ours"), state(b"one"), class.clone()]);
        let without = vec![state(b"one"), class];
        assert_eq!(back(without.clone()), without);
    }

    #[test]
    fn keys_reach_the_client_and_garbage_in_their_place_does_not() {
        let (server, client) = (hop(1, b"server"), hop(2, b"client"));
        let (password, clear) = (AttributeNumber::TUNNEL_PASSWORD, b"\x01tunnel secret");
        let sent = conceal_anew(password, clear, &Concealment::Transport, &server, [1, 2]).unwrap();
        let class = (AttributeNumber::CLASS, b"c".to_vec());
        let attributes = vec![(password, sent), (password, b"\x01garbage".to_vec()), class.clone()];
        let answer = Answer { code: Code::ACCESS_ACCEPT, attributes, concealment: server };
        let forwarded = forwarded(answer, b"ours", &client).attributes;
        let [(number, value), rest] = &forwarded[..] else { panic!("{forwarded:?}") };
        let revealed = conceal_anew(*number, value, &client, &Concealment::Transport, [0; 2]);
        assert_eq!(revealed, Ok(clear.to_vec()));
        assert_eq!(*rest, class);
    }

    #[test]
    fn debug_shows_no_value() {
        let attributes = vec![(AttributeNumber::CLASS, b"zzz".to_vec())];
        let forwarded = Forwarded { code: Code::ACCESS_ACCEPT, attributes };
        let shown = format!("{forwarded:?}");
        assert_eq!(shown, "Forwarded { code: Access-Accept, attributes: [Class] }");
        let request = request(&[(AttributeNumber::CLASS, b"zzz")], hop(1, b"yyy"));
        let shown = format!("{request:?}");
        assert_eq!(shown, "Forward { code: Access-Request, attributes: [Class], .. }");
    }
}
