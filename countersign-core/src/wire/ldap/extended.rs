//! `ExtendedRequest` (RFC 4511 §4.12): StartTLS and "who am I" are looked at or made.
//!
//! ```text
//! ExtendedRequest ::= [APPLICATION 23] SEQUENCE { requestName [0], requestValue [1] OPTIONAL }
//! ```

use super::{
    ber::{self, BerError, Elements},
    message::{self, Message, MessageError, MessageId, Operation},
};

/// StartTLS (RFC 4511 §4.14).
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// "Who am I?" (RFC 4532).
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// The name of the operation that a request wants, an OID in dotted form.
///
/// # Errors
///
/// It is no extended request.
pub fn request_name<'a>(message: &Message<'a>) -> Result<&'a [u8], MessageError> {
    let wanted = Operation::EXTENDED_REQUEST.0;
    if message.operation.0 != wanted {
        return Err(BerError::Tag { wanted, found: message.operation.0 }.into());
    }
    let mut elements = Elements(message.content);
    let name = elements.expect(REQUEST_NAME)?;
    if !elements.0.is_empty() {
        elements.expect(REQUEST_VALUE)?;
    }
    elements.end()?;
    Ok(name)
}

/// A request without a value.
#[must_use]
pub fn request(id: MessageId, name: &str) -> Vec<u8> {
    let mut content = Vec::new();
    ber::put(&mut content, REQUEST_NAME, name.as_bytes());
    message::write(id, Operation::EXTENDED_REQUEST, &[&content], &[])
}

const REQUEST_NAME: u8 = 0x80;
const REQUEST_VALUE: u8 = 0x81;

#[cfg(test)]
mod tests {
    use super::*;

    /// `ldapsearch -ZZ` begins so.
    const OF_OPENLDAP: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

    #[test]
    fn start_tls_is_known_and_made() {
        let message = Message::read(OF_OPENLDAP).unwrap();
        assert_eq!(request_name(&message), Ok(START_TLS.as_bytes()));
        assert_eq!(request(message.id, START_TLS), OF_OPENLDAP);
    }

    #[test]
    fn a_value_may_follow_and_nothing_else() {
        let name = |octets| request_name(&Message::read(octets).unwrap()).map(<[u8]>::to_vec);
        let with_value = b"\x30\x0d\x02\x01\x01\x77\x08\x80\x031.2\x81\x01x";
        assert_eq!(name(with_value), Ok(b"1.2".to_vec()));
        let twice = b"\x30\x0c\x02\x01\x01\x77\x07\x80\x031.2\x80\x00";
        assert!(name(twice).is_err());
        assert!(name(b"\x30\x05\x02\x01\x01\x77\x00").is_err());
        assert!(name(b"\x30\x05\x02\x01\x01\x63\x00").is_err());
    }
}
