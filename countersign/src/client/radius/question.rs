//! What is asked and what is answered, apart from the way it travels.

use std::fmt;

use countersign_core::{
    secret::Secret,
    wire::radius::{
        authenticator::{Authenticator, Demand, Unauthentic},
        concealed::Concealment,
        dictionary::{AttributeNumber, Code},
        packet::{Draft, Identifier, Packet, Protection},
        password::{MAX_PASSWORD_LENGTH, PasswordError},
        transport::RequestToken,
    },
};

use crate::vault::random_octets;

/// A request that has no number, no authenticator and no server yet.
pub(super) struct Question {
    pub(super) code: Code,
    pub(super) parts: Vec<Part>,
}

/// An attribute of a request.
pub(super) enum Part {
    /// As it is.
    Attribute(AttributeNumber, Vec<u8>),
    /// The User-Password, which is hidden on each way as it has to be.
    Password(Secret<Vec<u8>>),
}

/// How packets are protected on the way to a server.
#[derive(Debug, Clone)]
pub(super) enum Dialect {
    /// By MD5 and a shared secret: RADIUS as it was.
    Md5 { secret: Secret<Vec<u8>>, demand: Demand },
    /// By the transport alone: RADIUS/1.1.
    Transport,
}

/// A request as it travels, and what its answer is known by.
#[derive(Debug)]
pub(super) struct Written {
    /// Secret, as RADIUS/1.1 leaves it to the transport to hide anything.
    pub(super) bytes: Secret<Vec<u8>>,
    pub(super) pending: Pending,
}

/// A request whose answer is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    asked: Code,
    identifier: Identifier,
    authenticator: Authenticator,
}

/// The authentic answer to a request.
pub(super) struct Answer {
    pub(super) code: Code,
    /// In their order, without Message-Authenticator.
    pub(super) attributes: Vec<(AttributeNumber, Vec<u8>)>,
    /// What keys among them are concealed with.
    pub(super) concealment: Concealment,
}

/// Caller: what cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The password or an attribute does not fit into a packet.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// RFC 9765 §5.1.1 wants one octet at least.
    #[error("RADIUS/1.1 cannot carry an empty password")]
    EmptyPassword,
    /// A CHAP-Password cannot be checked without.
    #[error("it has a CHAP-Password, but no CHAP-Challenge")]
    NoChapChallenge,
    /// Neither Access-Request nor Accounting-Request.
    #[error("{0} is not passed on")]
    Code(Code),
}

/// Why a packet is not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It is not believed.
    #[error(transparent)]
    Unauthentic(#[from] Unauthentic),
    /// It is authentic, and answers something else.
    #[error("{0} is no answer to {1}")]
    Code(Code, Code),
}

impl fmt::Debug for Answer {
    /// Without values: keys may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("code", &self.code)
            .field("attributes", &numbers(&self.attributes))
            .finish_non_exhaustive()
    }
}

/// What attributes there are, for those who look into a program.
pub(super) fn numbers(attributes: &[(AttributeNumber, Vec<u8>)]) -> Vec<AttributeNumber> {
    attributes.iter().map(|(number, _)| *number).collect()
}

impl Question {
    /// An Access-Request of our own. A State continues an earlier one.
    pub(super) fn about(
        user_name: &str,
        passcode: &Secret<Vec<u8>>,
        nas_identifier: &str,
        state: &[u8],
    ) -> Self {
        let attribute = |number, value: &[u8]| Part::Attribute(number, value.to_vec());
        let mut parts = vec![
            attribute(AttributeNumber::USER_NAME, user_name.as_bytes()),
            Part::Password(passcode.clone()),
            attribute(AttributeNumber::NAS_IDENTIFIER, nas_identifier.as_bytes()),
        ];
        if !state.is_empty() {
            parts.push(attribute(AttributeNumber::STATE, state));
        }
        Self { code: Code::ACCESS_REQUEST, parts }
    }

    /// Whether anybody is there (RFC 5997).
    pub(super) fn status() -> Self {
        Self { code: Code::STATUS_SERVER, parts: Vec::new() }
    }

    /// Writes it under a number: an identifier, or the token of RADIUS/1.1.
    pub(super) fn write(&self, dialect: &Dialect, number: u32) -> Result<Written, Unsendable> {
        match dialect {
            Dialect::Md5 { secret, .. } => {
                let [.., identifier] = number.to_be_bytes();
                self.write_with_md5(Identifier(identifier), secret)
            }
            Dialect::Transport => self.write_over_tls(RequestToken(number)),
        }
    }

    fn write_with_md5(
        &self,
        identifier: Identifier,
        secret: &Secret<Vec<u8>>,
    ) -> Result<Written, Unsendable> {
        let (asked, is_accounting) = (self.code, self.code == Code::ACCOUNTING_REQUEST);
        let random = Authenticator(random_octets());
        let mut draft = match is_accounting {
            true => Draft::new_accounting_request(identifier),
            false => Draft::new(asked, identifier, random, Protection::MessageAuthenticator),
        };
        for part in &self.parts {
            match part {
                Part::Attribute(number, value) => push(&mut draft, *number, value)?,
                Part::Password(password) => draft.push_user_password(password, secret)?,
            }
        }
        let (bytes, authenticator) = match is_accounting {
            true => draft.finish_accounting_request(secret),
            false => (draft.finish_request(secret), random),
        };
        let pending = Pending { asked, identifier, authenticator };
        Ok(Written { bytes: bytes.into(), pending })
    }

    fn write_over_tls(&self, token: RequestToken) -> Result<Written, Unsendable> {
        let mut draft = Draft::new_over_tls(self.code, token);
        for part in &self.parts {
            match part {
                Part::Attribute(number, value) => push(&mut draft, *number, value)?,
                Part::Password(password) => {
                    check_length(password)?;
                    draft.push_clear_password(password)?;
                }
            }
        }
        let (identifier, authenticator) = (Identifier(0), Authenticator([0; 16]));
        let pending = Pending { asked: self.code, identifier, authenticator };
        Ok(Written { bytes: draft.finish_over_tls().into(), pending })
    }
}

impl Dialect {
    /// The number of a packet that came.
    pub(super) fn number_of(&self, packet: &Packet<'_>) -> u32 {
        match self {
            Self::Md5 { .. } => packet.identifier().0.into(),
            Self::Transport => packet.request_token().0,
        }
    }
}

impl Pending {
    /// Reads the answer, if this packet is it.
    pub(super) fn read(&self, packet: Packet<'_>, dialect: &Dialect) -> Result<Answer, NoAnswer> {
        let reply = match dialect {
            Dialect::Transport => packet.trust_transport_of_reply(),
            Dialect::Md5 { secret, .. } if packet.code() == Code::ACCOUNTING_RESPONSE => {
                packet.verify_accounting_response(self.identifier, self.authenticator, secret)?
            }
            Dialect::Md5 { secret, demand } => {
                packet.verify_reply(self.identifier, self.authenticator, secret, *demand)?
            }
        };
        let code = reply.packet().code();
        if !self.is_answered_by(code) {
            return Err(NoAnswer::Code(code, self.asked));
        }
        let attributes = reply.packet().attributes().iter();
        let attributes = attributes
            .filter(|attribute| attribute.number != AttributeNumber::MESSAGE_AUTHENTICATOR)
            .map(|attribute| (attribute.number, attribute.value.to_vec()))
            .collect();
        Ok(Answer { code, attributes, concealment: self.concealment(dialect) })
    }

    fn is_answered_by(&self, code: Code) -> bool {
        match self.asked {
            Code::ACCOUNTING_REQUEST => code == Code::ACCOUNTING_RESPONSE,
            // A port for accounting alone answers with an Accounting-Response (RFC 5997 §4.2).
            Code::STATUS_SERVER => [Code::ACCESS_ACCEPT, Code::ACCOUNTING_RESPONSE].contains(&code),
            _ => {
                let answers = [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE];
                answers.contains(&code)
            }
        }
    }

    fn concealment(&self, dialect: &Dialect) -> Concealment {
        match dialect {
            Dialect::Transport => Concealment::Transport,
            Dialect::Md5 { secret, .. } => {
                Concealment::Md5 { authenticator: self.authenticator, secret: secret.clone() }
            }
        }
    }
}

fn push(draft: &mut Draft, number: AttributeNumber, value: &[u8]) -> Result<(), Unsendable> {
    Ok(draft.push(number, value).map_err(PasswordError::from)?)
}

/// One octet to as many as RADIUS could always carry (RFC 9765 §5.1.1).
fn check_length(password: &Secret<Vec<u8>>) -> Result<(), Unsendable> {
    match password.expose().len() {
        0 => Err(Unsendable::EmptyPassword),
        1..=MAX_PASSWORD_LENGTH => Ok(()),
        _ => Err(PasswordError::TooLong.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(demand: Demand) -> Dialect {
        Dialect::Md5 { secret: secret(), demand }
    }

    fn secret() -> Secret<Vec<u8>> {
        Secret::new(b"secret".to_vec())
    }

    fn question(passcode: &[u8]) -> Question {
        Question::about("alice", &Secret::new(passcode.to_vec()), "countersign", &[])
    }

    fn written(question: &Question) -> Written {
        question.write(&md5(Demand::Required), 0x107).unwrap()
    }

    fn reply(to: &Written, code: Code, protection: Protection) -> Vec<u8> {
        let Pending { identifier, authenticator, .. } = to.pending;
        let mut draft = Draft::new(code, identifier, authenticator, protection);
        draft.push(AttributeNumber::STATE, b"s").unwrap();
        draft.finish_reply(&secret())
    }

    fn read(pending: Pending, reply: &[u8], dialect: &Dialect) -> Option<Code> {
        let answer = pending.read(Packet::read(reply).ok()?, dialect).ok()?;
        assert_eq!(answer.attributes, [(AttributeNumber::STATE, b"s".to_vec())]);
        Some(answer.code)
    }

    #[test]
    fn asks_with_message_authenticator_first_and_the_passcode_verbatim() {
        let mut question = question(b"1234 755224");
        question.parts.push(Part::Attribute(AttributeNumber::STATE, b"state".to_vec()));
        let written = written(&question);
        let secret = secret();
        let packet = Packet::read(written.bytes.expose()).unwrap();
        assert_eq!(packet.identifier(), Identifier(7));
        let numbers: Vec<_> = packet.attributes().iter().map(|found| found.number).collect();
        assert_eq!(
            numbers,
            [
                AttributeNumber::MESSAGE_AUTHENTICATOR,
                AttributeNumber::USER_NAME,
                AttributeNumber::USER_PASSWORD,
                AttributeNumber::NAS_IDENTIFIER,
                AttributeNumber::STATE,
            ]
        );
        let verified = packet.verify_request(&secret, Demand::Required).unwrap();
        assert_eq!(verified.user_password(), Ok(Some(Secret::new(b"1234 755224".to_vec()))));
    }

    #[test]
    fn every_request_has_its_own_authenticator() {
        let question = question(b"1");
        let authenticators =
            [written(&question), written(&question)].map(|one| one.pending.authenticator);
        assert_ne!(authenticators[0], authenticators[1]);
    }

    #[test]
    fn does_not_cut_what_is_too_long() {
        let too_long = Err(Unsendable::Password(PasswordError::TooLong));
        for dialect in [md5(Demand::Required), Dialect::Transport] {
            let write = |passcode: &[u8]| question(passcode).write(&dialect, 1).map(drop);
            assert_eq!(write(&[b'1'; 128]), Ok(()));
            assert_eq!(write(&[b'1'; 129]), too_long);
        }
        assert!(question(b"").write(&md5(Demand::Required), 1).is_ok());
        let empty = question(b"").write(&Dialect::Transport, 1).map(drop);
        assert_eq!(empty, Err(Unsendable::EmptyPassword));
    }

    #[test]
    fn radius_1_1_has_a_token_and_the_password_in_clear() {
        let written = question(b"755224").write(&Dialect::Transport, 0x0102_0304).unwrap();
        let packet = Packet::read(written.bytes.expose()).unwrap();
        assert_eq!(packet.request_token(), RequestToken(0x0102_0304));
        assert_eq!(packet.attributes().first(AttributeNumber::USER_PASSWORD), Some(&b"755224"[..]));
        assert!(!packet.attributes().contains(AttributeNumber::MESSAGE_AUTHENTICATOR));
        let mut draft = Draft::new_over_tls(Code::ACCESS_REJECT, packet.request_token());
        draft.push(AttributeNumber::STATE, b"s").unwrap();
        let reply = draft.finish_over_tls();
        let number = Dialect::Transport.number_of(&Packet::read(&reply).unwrap());
        assert_eq!(number, 0x0102_0304);
        assert_eq!(read(written.pending, &reply, &Dialect::Transport), Some(Code::ACCESS_REJECT));
    }

    #[test]
    fn believes_only_an_authentic_answer_to_this_request() {
        let (ours, other) = (written(&question(b"1")), written(&question(b"1")));
        let read = |reply: &[u8], demand| read(ours.pending, reply, &md5(demand));
        let (with, without) = (Protection::MessageAuthenticator, Protection::None);
        for code in [Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE] {
            assert_eq!(read(&reply(&ours, code, with), Demand::Required), Some(code));
        }
        let bare = reply(&ours, Code::ACCESS_ACCEPT, without);
        assert_eq!(read(&bare, Demand::Required), None, "no Message-Authenticator");
        assert_eq!(read(&bare, Demand::WherePresent), Some(Code::ACCESS_ACCEPT));
        let mut forged = reply(&ours, Code::ACCESS_REJECT, with);
        forged[0] = Code::ACCESS_ACCEPT.0;
        for wrong in [
            forged,
            reply(&other, Code::ACCESS_ACCEPT, with),
            reply(&ours, Code::ACCOUNTING_RESPONSE, with),
            Vec::new(),
        ] {
            assert_eq!(read(&wrong, Demand::WherePresent), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_report_is_answered_by_a_receipt_and_a_status_by_either() {
        let secret = secret();
        let report = Question { code: Code::ACCOUNTING_REQUEST, parts: Vec::new() };
        let report = written(&report);
        let packet = Packet::read(report.bytes.expose()).unwrap();
        assert!(packet.verify_accounting_request(&secret).is_ok());
        let status = written(&Question::status());
        let packet = Packet::read(status.bytes.expose()).unwrap();
        assert!(packet.verify_request(&secret, Demand::Required).is_ok());
        let believed = |to: &Written, code| {
            read(to.pending, &reply(to, code, Protection::None), &md5(Demand::WherePresent))
        };
        assert_eq!(believed(&report, Code::ACCESS_ACCEPT), None);
        for code in [Code::ACCOUNTING_RESPONSE, Code::ACCESS_ACCEPT] {
            assert_eq!(believed(&status, code), Some(code));
        }
        assert_eq!(believed(&report, Code::ACCOUNTING_RESPONSE), Some(Code::ACCOUNTING_RESPONSE));
    }
}
