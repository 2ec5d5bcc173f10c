//! RADIUS/1.1: TLS protects, MD5 is gone (RFC 9765).
//!
//! Both sides agree on it by ALPN. The header keeps its shape:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Code      |  Reserved-1   |            Length             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                             Token                             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Reserved-2, 12 octets                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Reserved fields are zero when sent and not looked at when received (§4.1).
//! Message-Authenticator is not sent, and ignored when it comes (§5.2). User-Password is
//! the password itself (§5.1.1).

use super::{
    authenticator::{Authenticator, VerifiedReply, VerifiedRequest},
    dictionary::{AttributeNumber, Code},
    packet::{Draft, Identifier, Packet, Protection},
    password::PasswordError,
};
use crate::secret::Secret;

/// The name of RADIUS/1.1 in ALPN (RFC 9765 §3.2).
pub const ALPN_RADIUS_1_1: &[u8] = b"radius/1.1";
/// The name of historic RADIUS over TLS in ALPN.
pub const ALPN_RADIUS_1_0: &[u8] = b"radius/1.0";

/// Tells the requests of one connection apart; the reply has that of its request (§4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestToken(pub u32);

impl<'a> Packet<'a> {
    /// Believes a request because it came over a connection of RADIUS/1.1, on which the
    /// peer has shown its certificate.
    #[must_use]
    pub fn trust_transport(self) -> VerifiedRequest<'a> {
        VerifiedRequest::of_trusted_transport(self)
    }

    /// Believes a reply for the same reason. Whose reply it is, its token says.
    #[must_use]
    pub fn trust_transport_of_reply(self) -> VerifiedReply<'a> {
        VerifiedReply::of_trusted_transport(self)
    }

    /// The token, in a packet of RADIUS/1.1.
    #[must_use]
    pub fn request_token(&self) -> RequestToken {
        let [a, b, c, d, ..] = self.authenticator().0;
        RequestToken(u32::from_be_bytes([a, b, c, d]))
    }
}

impl Draft {
    /// Begins a packet of RADIUS/1.1.
    #[must_use]
    pub fn new_over_tls(code: Code, RequestToken(token): RequestToken) -> Self {
        let mut field = [0; 16];
        field[..4].copy_from_slice(&token.to_be_bytes());
        Self::new(code, Identifier(0), Authenticator(field), Protection::None)
    }

    /// Appends the User-Password as it is.
    ///
    /// # Errors
    ///
    /// It is longer than an attribute, or the packet is full.
    pub fn push_clear_password(&mut self, password: &Secret<Vec<u8>>) -> Result<(), PasswordError> {
        Ok(self.push(AttributeNumber::USER_PASSWORD, password.expose_bytes())?)
    }

    /// Completes a packet of RADIUS/1.1, request or reply.
    #[must_use]
    pub fn finish_over_tls(mut self) -> Vec<u8> {
        self.write_length();
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::radius::testdata;

    fn request(password: &[u8]) -> Vec<u8> {
        let mut draft = Draft::new_over_tls(Code::ACCESS_REQUEST, RequestToken(0x0102_0304));
        draft.push(AttributeNumber::USER_NAME, b"alice").unwrap();
        draft.push_clear_password(&Secret::new(password.to_vec())).unwrap();
        draft.finish_over_tls()
    }

    #[test]
    fn a_request_is_written_as_rfc_9765_4_1_draws_it() {
        let header = [1, 0, 0, 35, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let attributes = b"\x01\x07alice\x02\x08755224";
        assert_eq!(request(b"755224"), [&header[..], attributes].concat());
    }

    #[test]
    fn the_password_is_taken_as_it_is() {
        for password in [&b"755224"[..], &[b'x'; 253], b"", b"with\0nul"] {
            let request = request(password);
            let read = testdata::read(&request).trust_transport();
            assert_eq!(read.user_password(), Ok(Some(Secret::new(password.to_vec()))));
            assert_eq!(read.carried(), Protection::None);
            assert_eq!(read.packet().request_token(), RequestToken(0x0102_0304));
        }
        let mut draft = Draft::new_over_tls(Code::ACCESS_REQUEST, RequestToken(1));
        assert!(draft.push_clear_password(&Secret::new(vec![b'x'; 254])).is_err());
    }

    #[test]
    fn a_message_authenticator_and_reserved_octets_are_not_looked_at() {
        let mut octets = [&request(b"755224")[..], &[80, 18], &[7; 16]].concat();
        octets[3] = 53;
        octets[1] = 9;
        octets[8..20].fill(9);
        let read = testdata::read(&octets).trust_transport();
        assert_eq!(read.carried(), Protection::None);
        assert_eq!(read.packet().request_token(), RequestToken(0x0102_0304));
        assert_eq!(read.user_password(), Ok(Some(Secret::new(b"755224".to_vec()))));
    }
}
