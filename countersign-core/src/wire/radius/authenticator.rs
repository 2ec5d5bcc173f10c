//! Request, Response and Message-Authenticator (RFC 2865 §3, RFC 3579 §3.2).
//!
//! A packet is believed only as [`VerifiedRequest`] or [`VerifiedReply`].

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::{
    attribute::OVERHEAD,
    concealed::Concealment,
    dictionary::{AttributeNumber, Code},
    packet::{Draft, HEADER_LENGTH, Identifier, Packet, Protection},
};
use crate::secret::Secret;

/// 16 octets in the header: random in an Access-Request, a digest in its reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authenticator(pub [u8; 16]);

/// Whether a packet without Message-Authenticator is believed. One that is there must
/// be right in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// It is not.
    Required,
    /// It is, where the standards allow it: never Status-Server (RFC 5997 §3) nor EAP
    /// (RFC 3579 §3.2), and no request with a Proxy-State, by which alone a forger can
    /// shape the digest of the reply (CVE-2024-3596).
    WherePresent,
}

/// A request from somebody who knows the shared secret, as far as the [`Demand`] saw to it.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedRequest<'a> {
    packet: Packet<'a>,
    /// Hides the User-Password; nothing does so in RADIUS/1.1.
    secret: Option<&'a Secret<Vec<u8>>>,
    carried: Protection,
}

/// The answer to our request, from the server that we asked.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedReply<'a>(Packet<'a>);

/// Peer: a packet that is not to be believed. It gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// There is no Message-Authenticator, and there must be one.
    #[error("it has no Message-Authenticator")]
    Missing,
    /// There are several, so somebody added one.
    #[error("it has several Message-Authenticators")]
    Several,
    /// It is not as long as a digest, or not made with our secret.
    #[error("its Message-Authenticator is wrong, so the shared secrets may differ")]
    WrongMessageAuthenticator,
    /// Not made with our secret for our request.
    #[error("its Response Authenticator is wrong, so the shared secrets may differ")]
    WrongResponseAuthenticator,
    /// An Accounting-Request that was not made with our secret.
    #[error("its Request Authenticator is wrong, so the shared secrets may differ")]
    WrongRequestAuthenticator,
    /// It answers a request that we did not make.
    #[error("its identifier is not that of the request")]
    WrongIdentifier,
}

impl<'a> Packet<'a> {
    /// Checks a request that came from a client with this shared secret.
    ///
    /// # Errors
    ///
    /// Its Message-Authenticator is wrong, there are several, or there is none and
    /// `demand` calls for one.
    pub fn verify_request(
        self,
        secret: &'a Secret<Vec<u8>>,
        demand: Demand,
    ) -> Result<VerifiedRequest<'a>, Unauthentic> {
        let demand = match self.calls_for_message_authenticator() {
            true => Demand::Required,
            false => demand,
        };
        let carried = self.check_message_authenticator(self.authenticator(), secret, demand)?;
        Ok(VerifiedRequest { packet: self, secret: Some(secret), carried })
    }

    /// Checks the reply to the request that had this identifier and authenticator.
    ///
    /// # Errors
    ///
    /// It answers another request, or was not made with this shared secret.
    pub fn verify_reply(
        self,
        identifier: Identifier,
        authenticator: Authenticator,
        secret: &Secret<Vec<u8>>,
        demand: Demand,
    ) -> Result<VerifiedReply<'a>, Unauthentic> {
        if self.identifier() != identifier {
            return Err(Unauthentic::WrongIdentifier);
        }
        let expected = response_authenticator(self.as_bytes(), authenticator, secret);
        if !bool::from(expected.0.ct_eq(&self.authenticator().0)) {
            return Err(Unauthentic::WrongResponseAuthenticator);
        }
        self.check_message_authenticator(authenticator, secret, demand)?;
        Ok(VerifiedReply(self))
    }

    fn calls_for_message_authenticator(&self) -> bool {
        let attributes = self.attributes();
        self.code() == Code::STATUS_SERVER
            || attributes.contains(AttributeNumber::EAP_MESSAGE)
            || attributes.contains(AttributeNumber::PROXY_STATE)
    }

    fn check_message_authenticator(
        &self,
        request: Authenticator,
        secret: &Secret<Vec<u8>>,
        demand: Demand,
    ) -> Result<Protection, Unauthentic> {
        let mut found = self.message_authenticators();
        let Some((start, value)) = found.next() else {
            return match demand {
                Demand::Required => Err(Unauthentic::Missing),
                Demand::WherePresent => Ok(Protection::None),
            };
        };
        if found.next().is_some() {
            return Err(Unauthentic::Several);
        }
        if value.len() != DIGEST_LENGTH {
            return Err(Unauthentic::WrongMessageAuthenticator);
        }
        message_authenticator(self.as_bytes(), start, request, secret)
            .verify_slice(value)
            .map_err(|_| Unauthentic::WrongMessageAuthenticator)?;
        Ok(Protection::MessageAuthenticator)
    }

    /// Where their values start in the packet, and the values.
    fn message_authenticators(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let starts = self.attributes().iter().scan(HEADER_LENGTH, |at, attribute| {
            let start = *at + OVERHEAD;
            *at = start + attribute.value.len();
            Some((start, attribute))
        });
        starts
            .filter(|(_, attribute)| attribute.number == AttributeNumber::MESSAGE_AUTHENTICATOR)
            .map(|(start, attribute)| (start, attribute.value))
    }
}

impl<'a> VerifiedRequest<'a> {
    /// The packet, which may be believed now.
    #[must_use]
    pub fn packet(&self) -> Packet<'a> {
        self.packet
    }

    /// Whether it carried a Message-Authenticator.
    #[must_use]
    pub fn carried(&self) -> Protection {
        self.carried
    }

    /// What conceals attributes between its sender and us.
    #[must_use]
    pub fn concealment(&self) -> Concealment {
        match self.secret {
            Some(secret) => Concealment::Md5 {
                authenticator: self.packet.authenticator(),
                secret: secret.clone(),
            },
            None => Concealment::Transport,
        }
    }

    pub(super) fn of_trusted_transport(packet: Packet<'a>) -> Self {
        Self { packet, secret: None, carried: Protection::None }
    }

    pub(super) fn of_accounting(packet: Packet<'a>, secret: &'a Secret<Vec<u8>>) -> Self {
        Self { packet, secret: Some(secret), carried: Protection::None }
    }

    pub(super) fn secret(&self) -> Option<&'a Secret<Vec<u8>>> {
        self.secret
    }
}

impl<'a> VerifiedReply<'a> {
    pub(super) fn of_trusted_transport(packet: Packet<'a>) -> Self {
        Self(packet)
    }

    pub(super) fn of_accounting(packet: Packet<'a>) -> Self {
        Self(packet)
    }

    /// The packet, which may be believed now.
    #[must_use]
    pub fn packet(&self) -> Packet<'a> {
        self.0
    }
}

impl Draft {
    /// Completes an Access-Request or a Status-Server.
    #[must_use]
    pub fn finish_request(mut self, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        self.write_length();
        self.write_message_authenticator(secret);
        self.bytes
    }

    /// Completes the reply to a request.
    #[must_use]
    pub fn finish_reply(mut self, secret: &Secret<Vec<u8>>) -> Vec<u8> {
        self.write_length();
        self.write_message_authenticator(secret);
        let response = response_authenticator(&self.bytes, self.authenticator(), secret);
        self.bytes[AUTHENTICATOR_START..HEADER_LENGTH].copy_from_slice(&response.0);
        self.bytes
    }

    /// That of the request.
    pub(super) fn authenticator(&self) -> Authenticator {
        let mut octets = [0; DIGEST_LENGTH];
        octets.copy_from_slice(&self.bytes[AUTHENTICATOR_START..HEADER_LENGTH]);
        Authenticator(octets)
    }

    fn write_message_authenticator(&mut self, secret: &Secret<Vec<u8>>) {
        match self.protection {
            Protection::None => {}
            Protection::MessageAuthenticator => {
                let start = HEADER_LENGTH + OVERHEAD;
                let mac = message_authenticator(&self.bytes, start, self.authenticator(), secret);
                self.bytes[start..start + DIGEST_LENGTH]
                    .copy_from_slice(&mac.finalize().into_bytes());
            }
        }
    }
}

impl fmt::Debug for Authenticator {
    /// Not shown: with it and the secret a password is unhidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator(..)")
    }
}

/// HMAC-MD5 over the packet, with the Request Authenticator in the header and zeros
/// for the value itself, which starts at `start` (RFC 3579 §3.2).
fn message_authenticator(
    packet: &[u8],
    start: usize,
    request: Authenticator,
    secret: &Secret<Vec<u8>>,
) -> Hmac<Md5> {
    Hmac::<Md5>::new_from_slice(secret.expose())
        .expect("HMAC takes keys of any length")
        .chain_update(&packet[..AUTHENTICATOR_START])
        .chain_update(request.0)
        .chain_update(&packet[HEADER_LENGTH..start])
        .chain_update([0; DIGEST_LENGTH])
        .chain_update(&packet[start + DIGEST_LENGTH..])
}

/// MD5 over code, identifier, length, Request Authenticator, attributes and secret (RFC 2865 §3).
pub(super) fn response_authenticator(
    packet: &[u8],
    request: Authenticator,
    secret: &Secret<Vec<u8>>,
) -> Authenticator {
    let digest = Md5::new()
        .chain_update(&packet[..AUTHENTICATOR_START])
        .chain_update(request.0)
        .chain_update(&packet[HEADER_LENGTH..])
        .chain_update(secret.expose())
        .finalize();
    Authenticator(digest.into())
}

const AUTHENTICATOR_START: usize = 4;
const DIGEST_LENGTH: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::testdata::{self, secret};

    const ANSWERED: Authenticator = Authenticator([0x5a; 16]);

    fn authenticator_of(request: &[u8]) -> Authenticator {
        testdata::read(request).authenticator()
    }

    fn verify_reply(reply: &[u8], demand: Demand) -> Result<(), Unauthentic> {
        let packet = testdata::read(reply);
        packet.verify_reply(Identifier(7), ANSWERED, &secret(), demand).map(|_| ())
    }

    fn verify_request(request: &[u8], demand: Demand) -> Result<Protection, Unauthentic> {
        let secret = secret();
        let verified = testdata::read(request).verify_request(&secret, demand)?;
        Ok(verified.carried())
    }

    fn reply(protection: Protection) -> Vec<u8> {
        let mut draft = Draft::new(Code::ACCESS_ACCEPT, Identifier(7), ANSWERED, protection);
        draft.push(AttributeNumber::REPLY_MESSAGE, b"welcome").unwrap();
        draft.finish_reply(&secret())
    }

    #[test]
    fn agrees_with_the_replies_of_rfc_2865_7_and_rfc_5997_6() {
        for (request, reply) in [
            (testdata::telnet_request(), testdata::telnet_accept()),
            (testdata::framed_request(), testdata::framed_accept()),
            (testdata::challenge_request(), testdata::challenge()),
            (testdata::status_request(), testdata::status_accept()),
        ] {
            let request = testdata::read(&request);
            let answer = testdata::read(&reply);
            let asked = (request.identifier(), request.authenticator());
            answer.verify_reply(asked.0, asked.1, &secret(), Demand::WherePresent).unwrap();

            let mut draft = Draft::new(answer.code(), asked.0, asked.1, Protection::None);
            for attribute in answer.attributes() {
                draft.push(attribute.number, attribute.value).unwrap();
            }
            assert_eq!(draft.finish_reply(&secret()), reply);
        }
    }

    #[test]
    fn agrees_with_the_message_authenticator_of_rfc_5997_6_1() {
        let bytes = testdata::status_request();
        assert_eq!(verify_request(&bytes, Demand::Required), Ok(Protection::MessageAuthenticator));
        let packet = testdata::read(&bytes);
        let draft = Draft::new(
            packet.code(),
            packet.identifier(),
            packet.authenticator(),
            Protection::MessageAuthenticator,
        );
        assert_eq!(draft.finish_request(&secret()), bytes);
    }

    #[test]
    fn a_reply_carries_its_message_authenticator_first() {
        let bytes = reply(Protection::MessageAuthenticator);
        assert_eq!(bytes[20..22], [80, 18]);
        assert_eq!(verify_reply(&bytes, Demand::Required), Ok(()));
    }

    #[test]
    fn a_message_authenticator_may_stand_anywhere_in_what_others_send() {
        let mut bytes = [1, 7, 0, 48].to_vec();
        bytes.extend_from_slice(&ANSWERED.0);
        bytes.extend_from_slice(b"\x01\x06nemo\x50\x12");
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&[33, 4, 1, 2]);
        let mac = message_authenticator(&bytes, 28, ANSWERED, &secret()).finalize().into_bytes();
        bytes[28..44].copy_from_slice(&mac);
        assert_eq!(verify_request(&bytes, Demand::Required), Ok(Protection::MessageAuthenticator));
    }

    #[test]
    fn a_missing_message_authenticator_is_refused_where_it_is_required() {
        let request = testdata::telnet_request();
        assert_eq!(verify_request(&request, Demand::Required), Err(Unauthentic::Missing));
        assert_eq!(verify_request(&request, Demand::WherePresent), Ok(Protection::None));
        let reply = reply(Protection::None);
        assert_eq!(verify_reply(&reply, Demand::Required), Err(Unauthentic::Missing));
        assert_eq!(verify_reply(&reply, Demand::WherePresent), Ok(()));
    }

    #[test]
    fn proxy_state_eap_and_status_server_always_need_a_message_authenticator() {
        for number in [AttributeNumber::PROXY_STATE, AttributeNumber::EAP_MESSAGE] {
            let mut draft = testdata::draft(Protection::None);
            draft.push(number, b"chosen by a forger").unwrap();
            let request = draft.finish_request(&secret());
            assert_eq!(verify_request(&request, Demand::WherePresent), Err(Unauthentic::Missing));
        }
        let status = Draft::new(Code::STATUS_SERVER, Identifier(7), ANSWERED, Protection::None);
        let status = status.finish_request(&secret());
        assert_eq!(verify_request(&status, Demand::WherePresent), Err(Unauthentic::Missing));
    }

    #[test]
    fn several_message_authenticators_are_refused() {
        let mut bytes = testdata::status_request();
        let copy = bytes[20..38].to_vec();
        bytes.extend_from_slice(&copy);
        bytes[3] += 18;
        assert_eq!(verify_request(&bytes, Demand::WherePresent), Err(Unauthentic::Several));
    }

    #[test]
    fn a_message_authenticator_of_another_length_is_refused() {
        for length in [2u8, 17, 19] {
            let mut bytes = testdata::status_request();
            bytes.resize(20 + usize::from(length), 0);
            bytes[3] = 20 + length;
            bytes[21] = length;
            let refused = Err(Unauthentic::WrongMessageAuthenticator);
            assert_eq!(verify_request(&bytes, Demand::WherePresent), refused);
        }
    }

    #[test]
    fn another_secret_another_identifier_another_request_are_refused() {
        let bytes = reply(Protection::MessageAuthenticator);
        let packet = testdata::read(&bytes);
        let verify = |identifier, authenticator, secret: &[u8]| {
            let secret = Secret::new(secret.to_vec());
            packet
                .verify_reply(Identifier(identifier), authenticator, &secret, Demand::Required)
                .err()
        };
        assert_eq!(verify(7, ANSWERED, b"xyzzy5461"), None);
        assert_eq!(verify(8, ANSWERED, b"xyzzy5461"), Some(Unauthentic::WrongIdentifier));
        let wrong = Some(Unauthentic::WrongResponseAuthenticator);
        assert_eq!(verify(7, Authenticator([0; 16]), b"xyzzy5461"), wrong);
        assert_eq!(verify(7, ANSWERED, b"xyzzy5462"), wrong);
    }

    #[test]
    fn a_right_response_authenticator_does_not_excuse_a_wrong_message_authenticator() {
        let mut bytes = reply(Protection::MessageAuthenticator);
        bytes[22] ^= 1;
        let response = response_authenticator(&bytes, ANSWERED, &secret());
        bytes[4..20].copy_from_slice(&response.0);
        let refused = Err(Unauthentic::WrongMessageAuthenticator);
        assert_eq!(verify_reply(&bytes, Demand::WherePresent), refused);
    }

    #[test]
    fn an_empty_secret_works() {
        let empty = Secret::new(Vec::new());
        let request = testdata::draft(Protection::MessageAuthenticator).finish_request(&empty);
        assert!(testdata::read(&request).verify_request(&empty, Demand::Required).is_ok());
        let bytes = Draft::new(
            Code::ACCESS_REJECT,
            Identifier(7),
            authenticator_of(&request),
            Protection::MessageAuthenticator,
        )
        .finish_reply(&empty);
        let reply = testdata::read(&bytes);
        let verified =
            reply.verify_reply(Identifier(7), authenticator_of(&request), &empty, Demand::Required);
        assert_eq!(verified.unwrap().packet().code(), Code::ACCESS_REJECT);
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(bit in 0usize..8 * 47) {
            let mut bytes = reply(Protection::MessageAuthenticator);
            prop_assert_eq!(bytes.len(), 47);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(packet) = Packet::read(&bytes) {
                let verified =
                    packet.verify_reply(Identifier(7), ANSWERED, &secret(), Demand::Required);
                prop_assert!(verified.is_err());
            }
        }

        #[test]
        fn never_panics(
            mut bytes in proptest::collection::vec(prop_oneof![Just(80u8), Just(18), any::<u8>()], 20..120)
        ) {
            let length = u16::try_from(bytes.len()).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            if let Ok(packet) = Packet::read(&bytes) {
                let secret = secret();
                let _ = packet.verify_request(&secret, Demand::WherePresent);
                let _ = packet.verify_reply(
                    packet.identifier(), ANSWERED, &secret, Demand::WherePresent);
            }
        }
    }
}
