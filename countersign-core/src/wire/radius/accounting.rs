//! Request Authenticators of accounting (RFC 2866 §3): digests, not random.
//!
//! MD5 over the packet with zeros for the authenticator, and the shared secret. It proves
//! who sent the request and that nobody changed it. Message-Authenticator is not defined for
//! accounting, and who sends it all the same does not agree on how; it is not looked at.

use subtle::ConstantTimeEq;

use super::{
    authenticator::{
        Authenticator, Unauthentic, VerifiedReply, VerifiedRequest, response_authenticator,
    },
    dictionary::Code,
    packet::{Draft, HEADER_LENGTH, Identifier, Packet, Protection},
};
use crate::secret::Secret;

impl<'a> Packet<'a> {
    /// Checks an Accounting-Request that came from a client with this shared secret.
    ///
    /// # Errors
    ///
    /// It was not made with this shared secret.
    pub fn verify_accounting_request(
        self,
        secret: &'a Secret<Vec<u8>>,
    ) -> Result<VerifiedRequest<'a>, Unauthentic> {
        let expected = response_authenticator(self.as_bytes(), ZERO, secret);
        if !bool::from(expected.0.ct_eq(&self.authenticator().0)) {
            return Err(Unauthentic::WrongRequestAuthenticator);
        }
        Ok(VerifiedRequest::of_accounting(self, secret))
    }

    /// Checks the Accounting-Response to the request that had this identifier and
    /// authenticator.
    ///
    /// # Errors
    ///
    /// It answers another request, or was not made with this shared secret.
    pub fn verify_accounting_response(
        self,
        identifier: Identifier,
        authenticator: Authenticator,
        secret: &Secret<Vec<u8>>,
    ) -> Result<VerifiedReply<'a>, Unauthentic> {
        if self.identifier() != identifier {
            return Err(Unauthentic::WrongIdentifier);
        }
        let expected = response_authenticator(self.as_bytes(), authenticator, secret);
        if !bool::from(expected.0.ct_eq(&self.authenticator().0)) {
            return Err(Unauthentic::WrongResponseAuthenticator);
        }
        Ok(VerifiedReply::of_accounting(self))
    }
}

impl Draft {
    /// Begins an Accounting-Request.
    #[must_use]
    pub fn new_accounting_request(identifier: Identifier) -> Self {
        Self::new(Code::ACCOUNTING_REQUEST, identifier, ZERO, Protection::None)
    }

    /// Completes an Accounting-Request. Its authenticator is the digest over all of it, by
    /// which the response is to be verified.
    #[must_use]
    pub fn finish_accounting_request(
        mut self,
        secret: &Secret<Vec<u8>>,
    ) -> (Vec<u8>, Authenticator) {
        self.write_length();
        let authenticator = response_authenticator(&self.bytes, ZERO, secret);
        self.bytes[HEADER_LENGTH - authenticator.0.len()..HEADER_LENGTH]
            .copy_from_slice(&authenticator.0);
        (self.bytes, authenticator)
    }
}

const ZERO: Authenticator = Authenticator([0; 16]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::radius::{
        dictionary::AttributeNumber,
        testdata::{self, secret},
    };

    fn request() -> (Vec<u8>, Authenticator) {
        let mut draft = Draft::new_accounting_request(Identifier(9));
        draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
        draft.push(AttributeNumber::ACCT_STATUS_TYPE, &[0, 0, 0, 1]).unwrap();
        draft.finish_accounting_request(&secret())
    }

    #[test]
    fn agrees_with_what_radclient_sends() {
        let request = testdata::accounting_request();
        let packet = testdata::read(&request);
        assert!(packet.verify_accounting_request(&secret()).is_ok());
        let mut draft = Draft::new_accounting_request(packet.identifier());
        for attribute in packet.attributes() {
            draft.push(attribute.number, attribute.value).unwrap();
        }
        assert_eq!(draft.finish_accounting_request(&secret()).0, request);
    }

    #[test]
    fn believes_no_octet_that_was_changed() {
        let (request, authenticator) = request();
        assert_eq!(testdata::read(&request).authenticator(), authenticator);
        assert!(testdata::read(&request).verify_accounting_request(&secret()).is_ok());
        let other = Secret::new(b"other".to_vec());
        let found = testdata::read(&request).verify_accounting_request(&other).map(|_| ());
        assert_eq!(found, Err(Unauthentic::WrongRequestAuthenticator));
        for at in (0..2).chain(4..20).chain(22..27) {
            let mut changed = request.clone();
            changed[at] ^= 1;
            let found = testdata::read(&changed).verify_accounting_request(&secret()).map(|_| ());
            assert_eq!(found, Err(Unauthentic::WrongRequestAuthenticator), "{at}");
        }
    }

    #[test]
    fn a_response_belongs_to_its_request_whatever_its_message_authenticator() {
        let (_, authenticator) = request();
        let code = Code::ACCOUNTING_RESPONSE;
        let reply = |authenticator, protection| {
            Draft::new(code, Identifier(9), authenticator, protection).finish_reply(&secret())
        };
        let verify = |reply: &[u8], identifier| {
            let packet = testdata::read(reply);
            packet.verify_accounting_response(identifier, authenticator, &secret()).map(|_| ())
        };
        let bare = reply(authenticator, Protection::None);
        assert_eq!(verify(&bare, Identifier(9)), Ok(()));
        assert_eq!(verify(&bare, Identifier(8)), Err(Unauthentic::WrongIdentifier));
        let other = reply(Authenticator([1; 16]), Protection::None);
        let wrong = Err(Unauthentic::WrongResponseAuthenticator);
        assert_eq!(verify(&other, Identifier(9)), wrong);
        // Signed over zeros, as FreeRADIUS does, or over the authenticator of the request.
        assert_eq!(
            verify(&reply(authenticator, Protection::MessageAuthenticator), Identifier(9)),
            Ok(())
        );
    }
}
