//! `BindRequest` (RFC 4511 §4.2).
//!
//! ```text
//! BindRequest ::= [APPLICATION 0] SEQUENCE { version, name, authentication CHOICE {
//!     simple [0] OCTET STRING, sasl [3] SEQUENCE { mechanism, credentials OPTIONAL }, … } }
//! ```

use std::fmt;

use super::{
    ber::{self, BerError, Elements, INTEGER, OCTET_STRING},
    message::{self, Message, MessageError, MessageId, Operation},
};
use crate::secret::Secret;

/// Who wants to be whom, and by what.
#[derive(Debug, Clone, Copy)]
pub struct BindRequest<'a> {
    /// The version of the protocol; only 3 is in use.
    pub version: u32,
    /// The name as octets: a DN; in some directories other names, too.
    pub name: &'a [u8],
    /// By what.
    pub authentication: Authentication<'a>,
    /// What stands before the authentication, as it came.
    before: &'a [u8],
    message: &'a MessageId,
    controls: &'a [u8],
}

/// By what somebody is authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// A password; none if it is empty.
    Simple(&'a [u8]),
    /// A mechanism of SASL.
    Sasl {
        /// Its name.
        mechanism: Mechanism<'a>,
    },
    /// What is not in RFC 4511, such as Microsoft's `sicily` ([MS-ADTS] §5.1.1.1.3).
    Other(u8),
}

/// The name of a SASL mechanism, as RFC 4422 §3.1 has it: upper case, digits, `-`, `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanism<'a>(&'a str);

impl<'a> BindRequest<'a> {
    /// Reads the request of a message.
    ///
    /// # Errors
    ///
    /// It is none, or has something that belongs to no bind.
    pub fn read(message: &'a Message<'a>) -> Result<Self, MessageError> {
        let wanted = Operation::BIND_REQUEST.0;
        if message.operation.0 != wanted {
            return Err(BerError::Tag { wanted, found: message.operation.0 }.into());
        }
        let mut elements = Elements(message.content);
        let version = ber::unsigned(elements.expect(INTEGER)?)?;
        let name = elements.expect(OCTET_STRING)?;
        let before = &message.content[..message.content.len() - elements.0.len()];
        let (tag, content) = elements.next()?.ok_or(BerError::Truncated)?;
        elements.end()?;
        let authentication = Authentication::read(tag, content)?;
        let (message, controls) = (&message.id, message.controls);
        Ok(Self { version, name, authentication, before, message, controls })
    }

    /// The same message with another password; all else is as it was, controls included.
    #[must_use]
    pub fn with_password(&self, password: &[u8]) -> Secret<Vec<u8>> {
        let mut header = Vec::new();
        ber::put_header(&mut header, SIMPLE, password.len());
        let parts = [self.before, &header, password];
        message::write(*self.message, Operation::BIND_REQUEST, &parts, self.controls).into()
    }
}

/// A bind that makes the connection anonymous (RFC 4513 §5.1.1).
#[must_use]
pub fn anonymous(id: MessageId) -> Vec<u8> {
    let content = [INTEGER, 1, 3, OCTET_STRING, 0, SIMPLE, 0];
    message::write(id, Operation::BIND_REQUEST, &[&content], &[])
}

impl<'a> Authentication<'a> {
    fn read(tag: u8, content: &'a [u8]) -> Result<Self, BerError> {
        Ok(match tag {
            SIMPLE => Self::Simple(content),
            SASL => {
                let mut elements = Elements(content);
                let mechanism = Mechanism::read(elements.expect(OCTET_STRING)?)?;
                if !elements.0.is_empty() {
                    elements.expect(OCTET_STRING)?;
                }
                elements.end()?;
                Self::Sasl { mechanism }
            }
            other => Self::Other(other),
        })
    }
}

impl<'a> Mechanism<'a> {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Some servers compare names without regard to case or take an empty one to end a
    /// negotiation, so that nothing but a proper name, or none, gets through.
    fn read(octets: &'a [u8]) -> Result<Self, BerError> {
        let is_proper = |octet: &u8| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
        let is_name = octets.len() <= MAX_MECHANISM && octets.iter().all(is_proper);
        let text = std::str::from_utf8(octets).ok().filter(|_| is_name);
        text.map(Self).ok_or(BerError::Range)
    }
}

/// A password is not shown.
impl fmt::Debug for Authentication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(_) => f.write_str("Simple(..)"),
            Self::Sasl { mechanism } => write!(f, "Sasl({})", mechanism.as_str()),
            Self::Other(tag) => write!(f, "Other({tag:#04x})"),
        }
    }
}

const SIMPLE: u8 = 0x80;
const SASL: u8 = 0xa3;
/// RFC 4422 §3.1.
const MAX_MECHANISM: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// `ldapwhoami -x -D cn=a -w secret123456`, with a control behind it.
    const SIMPLE_BIND: &[u8] = b"\x30\x3e\x02\x01\x01\x60\x17\x02\x01\x03\x04\x04cn=a\
        \x80\x0csecret123456\xa0\x20\x30\x1e\x04\x191.3.6.1.4.1.42.2.27.8.5.1\x04\x01x";
    /// `ldapwhoami -Y EXTERNAL`.
    const EXTERNAL: &[u8] = b"\x30\x18\x02\x01\x01\x60\x13\x02\x01\x03\x04\x00\
        \xa3\x0c\x04\x08EXTERNAL\x04\x00";

    fn read(octets: &[u8]) -> Result<String, MessageError> {
        let message = Message::read(octets)?;
        let request = BindRequest::read(&message)?;
        let name = String::from_utf8_lossy(request.name).into_owned();
        Ok(format!("{} {name} {:?}", request.version, request.authentication))
    }

    #[test]
    fn reads_simple_and_sasl_binds() {
        assert_eq!(read(SIMPLE_BIND).unwrap(), "3 cn=a Simple(..)");
        assert_eq!(read(EXTERNAL).unwrap(), "3  Sasl(EXTERNAL)");
        let sicily = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x89\x00";
        assert_eq!(read(sicily).unwrap(), "3  Other(0x89)");
        assert_eq!(read(&anonymous(MessageId::MAX)).unwrap(), "3  Simple(..)");
    }

    #[test]
    fn another_password_changes_nothing_else() {
        let message = Message::read(SIMPLE_BIND).unwrap();
        let request = BindRequest::read(&message).unwrap();
        assert_eq!(request.authentication, Authentication::Simple(b"secret123456"));
        assert_eq!(request.with_password(b"secret123456").expose(), SIMPLE_BIND);
        let cut = request.with_password(b"secret");
        let expected: &[u8] = b"\x30\x38\x02\x01\x01\x60\x11\x02\x01\x03\x04\x04cn=a\
            \x80\x06secret\xa0\x20\x30\x1e\x04\x191.3.6.1.4.1.42.2.27.8.5.1\x04\x01x";
        assert_eq!(cut.expose(), expected);
        let long = vec![b'x'; 300];
        let long = request.with_password(&long);
        assert_eq!(read(long.expose()).unwrap(), "3 cn=a Simple(..)");
    }

    #[test]
    fn nothing_may_hide_in_a_bind() {
        let behind = b"\x30\x0e\x02\x01\x01\x60\x09\x02\x01\x03\x04\x00\x80\x00\x80\x00";
        assert_eq!(read(behind), Err(BerError::Trailing.into()));
        let no_password = b"\x30\x0a\x02\x01\x01\x60\x05\x02\x01\x03\x04\x00";
        assert_eq!(read(no_password), Err(BerError::Truncated.into()));
        let search = b"\x30\x05\x02\x01\x01\x63\x00";
        assert!(read(search).is_err());
    }

    #[test]
    fn a_mechanism_has_a_proper_name() {
        let named = |name: &[u8]| {
            let mut sasl = Vec::new();
            ber::put(&mut sasl, OCTET_STRING, name);
            Authentication::read(SASL, &sasl).is_ok()
        };
        assert!(named(b"GSS-SPNEGO") && named(b"") && named(b"SCRAM-SHA-256-PLUS"));
        for name in [&b"External"[..], b"EXTERNAL\0", b"PLAIN ", b"A23456789012345678901", b"\xff"]
        {
            assert!(!named(name), "{name:?}");
        }
    }
}
