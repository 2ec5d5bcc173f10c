//! `LDAPResult` (RFC 4511 §4.1.9): how an operation ended.
//!
//! ```text
//! SEQUENCE { resultCode ENUMERATED, matchedDN, diagnosticMessage, referral [3] OPTIONAL, … }
//! ```

use super::{
    ber::{self, ENUMERATED, Elements, OCTET_STRING},
    message::{self, Message, MessageError, MessageId, Operation},
};

/// How an operation ended, as a number that servers may add to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultCode(pub u32);

/// What a response says, as far as a proxy looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LdapResult<'a> {
    /// How it ended.
    pub code: ResultCode,
    /// The value of an `ExtendedResponse` (§4.12).
    pub value: Option<&'a [u8]>,
}

impl ResultCode {
    /// `success`.
    pub const SUCCESS: Self = Self(0);
    /// `operationsError`: the operation is not in order with others.
    pub const OPERATIONS_ERROR: Self = Self(1);
    /// `protocolError`.
    pub const PROTOCOL_ERROR: Self = Self(2);
    /// `compareFalse`: the value is another one.
    pub const COMPARE_FALSE: Self = Self(5);
    /// `compareTrue`: the value is this one.
    pub const COMPARE_TRUE: Self = Self(6);
    /// `authMethodNotSupported`.
    pub const AUTH_METHOD_NOT_SUPPORTED: Self = Self(7);
    /// `referral`: another server could do it.
    pub const REFERRAL: Self = Self(10);
    /// `adminLimitExceeded`.
    pub const ADMIN_LIMIT_EXCEEDED: Self = Self(11);
    /// `confidentialityRequired`.
    pub const CONFIDENTIALITY_REQUIRED: Self = Self(13);
    /// `saslBindInProgress`.
    pub const SASL_BIND_IN_PROGRESS: Self = Self(14);
    /// `invalidCredentials`.
    pub const INVALID_CREDENTIALS: Self = Self(49);
    /// `busy`: too much at once, or it took too long.
    pub const BUSY: Self = Self(51);
    /// `unavailable`: nobody is there who could tell.
    pub const UNAVAILABLE: Self = Self(52);
    /// `unwillingToPerform`.
    pub const UNWILLING_TO_PERFORM: Self = Self(53);
    /// `other`: something went wrong.
    pub const OTHER: Self = Self(80);

    /// A code that somebody else has chosen for a refusal. One that could be taken for consent,
    /// or for something else than the end, becomes `invalidCredentials`.
    #[must_use]
    pub fn as_refusal(self) -> Self {
        let is_refusal = ![
            Self::SUCCESS,
            Self::COMPARE_FALSE,
            Self::COMPARE_TRUE,
            Self::REFERRAL,
            Self::SASL_BIND_IN_PROGRESS,
        ]
        .contains(&self);
        if is_refusal { self } else { Self::INVALID_CREDENTIALS }
    }
}

impl<'a> LdapResult<'a> {
    /// Reads the result of a response.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn read(message: &Message<'a>) -> Result<Self, MessageError> {
        let mut elements = Elements(message.content);
        let code = ResultCode(ber::unsigned(elements.expect(ENUMERATED)?)?);
        elements.expect(OCTET_STRING)?;
        elements.expect(OCTET_STRING)?;
        let mut value = None;
        while let Some((tag, content)) = elements.next()? {
            if tag == RESPONSE_VALUE && message.operation == Operation::EXTENDED_RESPONSE {
                value = Some(content);
            }
        }
        Ok(Self { code, value })
    }

    /// Whether the operation succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == ResultCode::SUCCESS
    }
}

/// A response of this kind, with a diagnostic message for whoever reads it.
#[must_use]
pub fn response(
    id: MessageId,
    operation: Operation,
    code: ResultCode,
    diagnostic: &str,
) -> Vec<u8> {
    message::write(id, operation, &[&result(code, diagnostic)], &[])
}

/// The server is about to close the connection (§4.4.1).
#[must_use]
pub fn notice_of_disconnection(code: ResultCode, diagnostic: &str) -> Vec<u8> {
    let mut name = Vec::new();
    ber::put(&mut name, RESPONSE_NAME, NOTICE_OF_DISCONNECTION.as_bytes());
    let parts = [&result(code, diagnostic)[..], &name];
    message::write(MessageId::UNSOLICITED, Operation::EXTENDED_RESPONSE, &parts, &[])
}

fn result(code: ResultCode, diagnostic: &str) -> Vec<u8> {
    let mut out = Vec::new();
    ber::put_unsigned(&mut out, ENUMERATED, code.0);
    ber::put(&mut out, OCTET_STRING, &[]);
    ber::put(&mut out, OCTET_STRING, diagnostic.as_bytes());
    out
}

const RESPONSE_NAME: u8 = 0x8a;
const RESPONSE_VALUE: u8 = 0x8b;
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

#[cfg(test)]
mod tests {
    use super::{super::ber::BerError, *};

    fn read(octets: &[u8]) -> Result<(u32, Option<Vec<u8>>), MessageError> {
        let message = Message::read(octets)?;
        let result = LdapResult::read(&message)?;
        Ok((result.code.0, result.value.map(<[u8]>::to_vec)))
    }

    #[test]
    fn reads_what_servers_answer() {
        let refused = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00";
        assert_eq!(read(refused), Ok((49, None)));
        let who = b"\x30\x1a\x02\x01\x02\x78\x15\x0a\x01\x00\x04\x00\x04\x00\x8b\x0cdn:cn=a,o=xy";
        assert_eq!(read(who), Ok((0, Some(b"dn:cn=a,o=xy".to_vec()))));
        let credentials = b"\x30\x10\x02\x01\x01\x61\x0b\x0a\x01\x0e\x04\x00\x04\x00\x87\x02ab";
        assert_eq!(read(credentials), Ok((14, None)), "SASL credentials are passed, not read");
    }

    #[test]
    fn writes_what_clients_read() {
        let id = MessageId::new(2).unwrap();
        let written = response(id, Operation::BIND_RESPONSE, ResultCode::INVALID_CREDENTIALS, "");
        assert_eq!(written, b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x31\x04\x00\x04\x00");
        let code = ResultCode(4096);
        let written = response(id, Operation::BIND_RESPONSE, code, "sorry");
        assert_eq!(written, b"\x30\x12\x02\x01\x02\x61\x0d\x0a\x02\x10\x00\x04\x00\x04\x05sorry");
        assert_eq!(read(&written), Ok((4096, None)));
    }

    #[test]
    fn a_notice_of_disconnection_has_number_zero_and_its_name() {
        let written = notice_of_disconnection(ResultCode::UNAVAILABLE, "gone");
        let expected: &[u8] = b"\x30\x28\x02\x01\x00\x78\x23\x0a\x01\x34\x04\x00\x04\x04gone\
            \x8a\x161.3.6.1.4.1.1466.20036";
        assert_eq!(written, expected);
    }

    #[test]
    fn a_refusal_is_a_refusal_whatever_code_was_chosen_for_it() {
        for code in [0, 5, 6, 10, 14] {
            assert_eq!(ResultCode(code).as_refusal(), ResultCode::INVALID_CREDENTIALS, "{code}");
        }
        for code in [1, 7, 49, 50, 53, 80, 4096, u32::MAX] {
            assert_eq!(ResultCode(code).as_refusal(), ResultCode(code));
        }
    }

    #[test]
    fn a_response_without_a_result_is_refused() {
        assert!(read(b"\x30\x05\x02\x01\x01\x61\x00").is_err());
        assert!(read(b"\x30\x0a\x02\x01\x01\x61\x05\x0a\x01\x00\x04\x00").is_err());
        let message = Message::read(b"\x30\x05\x02\x01\x01\x61\x00").unwrap();
        assert_eq!(LdapResult::read(&message), Err(BerError::Truncated.into()));
    }
}
