//! `LDAPMessage` (RFC 4511 §4.1.1): the envelope of every request and response.
//!
//! ```text
//! LDAPMessage ::= SEQUENCE { messageID, protocolOp CHOICE { … }, controls [0] OPTIONAL }
//! ```

use std::ops::Range;

use super::ber::{self, BerError, Elements, Header, INTEGER, SEQUENCE};

/// The number by which responses are known, chosen by the client; 0 is the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(u32);

/// The kind of a request or response, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation(pub u8);

/// What the first octets of a message tell: enough to pass the rest on unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number.
    pub id: MessageId,
    /// The kind.
    pub operation: Operation,
    /// Octets of the whole message.
    pub length: usize,
    /// Where the content of the operation stands.
    content: Range<usize>,
}

/// A message that has come in whole.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The number.
    pub id: MessageId,
    /// The kind.
    pub operation: Operation,
    /// What the operation consists of.
    pub(super) content: &'a [u8],
    /// The controls, tag and length included; empty if there are none.
    pub(super) controls: &'a [u8],
}

/// Peer: what is no LDAPMessage. Nobody can tell where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The stream does not go on with a SEQUENCE.
    #[error("octet {0:#04x} where a message begins")]
    NotAMessage(u8),
    /// Something within it.
    #[error(transparent)]
    Ber(#[from] BerError),
}

impl MessageId {
    /// Of unsolicited notifications (§4.4).
    pub const UNSOLICITED: Self = Self(0);
    /// The largest one.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// A number from 0 to maxInt.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }
}

impl Operation {
    /// `BindRequest`.
    pub const BIND_REQUEST: Self = Self(0x60);
    /// `BindResponse`.
    pub const BIND_RESPONSE: Self = Self(0x61);
    /// `UnbindRequest`.
    pub const UNBIND_REQUEST: Self = Self(0x42);
    /// `SearchRequest`.
    pub const SEARCH_REQUEST: Self = Self(0x63);
    /// `SearchResultDone`.
    pub const SEARCH_RESULT_DONE: Self = Self(0x65);
    /// `ModifyRequest`.
    pub const MODIFY_REQUEST: Self = Self(0x66);
    /// `AddRequest`.
    pub const ADD_REQUEST: Self = Self(0x68);
    /// `DelRequest`.
    pub const DELETE_REQUEST: Self = Self(0x4a);
    /// `ModifyDNRequest`.
    pub const MODIFY_DN_REQUEST: Self = Self(0x6c);
    /// `CompareRequest`.
    pub const COMPARE_REQUEST: Self = Self(0x6e);
    /// `AbandonRequest`.
    pub const ABANDON_REQUEST: Self = Self(0x50);
    /// `ExtendedRequest`.
    pub const EXTENDED_REQUEST: Self = Self(0x77);
    /// `ExtendedResponse`.
    pub const EXTENDED_RESPONSE: Self = Self(0x78);

    /// The response that ends this request; `None` if it is none that is answered.
    #[must_use]
    pub fn response(self) -> Option<Self> {
        Some(match self {
            Self::BIND_REQUEST => Self::BIND_RESPONSE,
            Self::SEARCH_REQUEST => Self::SEARCH_RESULT_DONE,
            Self::MODIFY_REQUEST => Self(0x67),
            Self::ADD_REQUEST => Self(0x69),
            Self::DELETE_REQUEST => Self(0x6b),
            Self::MODIFY_DN_REQUEST => Self(0x6d),
            Self::COMPARE_REQUEST => Self(0x6f),
            Self::EXTENDED_REQUEST => Self::EXTENDED_RESPONSE,
            _ => return None,
        })
    }

    /// Whether it is a response after which no other comes: entries, references and
    /// intermediate responses are none.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self.0, 0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78)
    }
}

impl Head {
    /// Octets within which the head of any message ends.
    pub const MAX_LENGTH: usize = 3 * Header::MAX_LENGTH + 4;

    /// Reads the head of the message that begins here; `None` if more octets are needed.
    ///
    /// # Errors
    ///
    /// It is no message.
    pub fn read(octets: &[u8]) -> Result<Option<Self>, MessageError> {
        match octets.first() {
            None => return Ok(None),
            Some(&SEQUENCE) => {}
            Some(other) => return Err(MessageError::NotAMessage(*other)),
        }
        let Some(message) = Header::read(octets)? else { return Ok(None) };
        let rest = &octets[message.octets..octets.len().min(message.total())];
        let is_whole = octets.len() >= message.total();
        let more = || if is_whole { Err(BerError::Truncated.into()) } else { Ok(None) };
        let Some(number) = Header::read(rest)? else { return more() };
        if number.tag != INTEGER {
            return Err(BerError::Tag { wanted: INTEGER, found: number.tag }.into());
        }
        if number.content > 4 {
            return Err(BerError::Range.into());
        }
        let Some(id) = rest.get(number.octets..number.total()) else { return more() };
        let id = MessageId(ber::unsigned(id)?);
        let Some(operation) = Header::read(&rest[number.total()..])? else { return more() };
        let content = message.octets + number.total() + operation.octets;
        let content = content..content + operation.content;
        if content.end > message.total() {
            return Err(BerError::Truncated.into());
        }
        let operation = Operation(operation.tag);
        Ok(Some(Self { id, operation, length: message.total(), content }))
    }

    /// The message of this head, which these octets begin with; `None` if it has not come in
    /// whole.
    ///
    /// # Errors
    ///
    /// Behind the operation stand not controls alone.
    pub fn message<'a>(&self, octets: &'a [u8]) -> Result<Option<Message<'a>>, MessageError> {
        let Some(octets) = octets.get(..self.length) else { return Ok(None) };
        let controls = &octets[self.content.end..];
        let mut elements = Elements(controls);
        if !controls.is_empty() {
            elements.expect(CONTROLS)?;
        }
        elements.end()?;
        let content = &octets[self.content.clone()];
        Ok(Some(Message { id: self.id, operation: self.operation, content, controls }))
    }
}

impl<'a> Message<'a> {
    /// Reads a message that has come in whole, and nothing else.
    ///
    /// # Errors
    ///
    /// It is no message, not whole, or followed by something.
    pub fn read(octets: &'a [u8]) -> Result<Self, MessageError> {
        let head = Head::read(octets)?.ok_or(BerError::Truncated)?;
        if octets.len() > head.length {
            return Err(BerError::Trailing.into());
        }
        Ok(head.message(octets)?.ok_or(BerError::Truncated)?)
    }

    /// The message that an `AbandonRequest` is about (§4.11).
    #[must_use]
    pub fn abandoned(&self) -> Option<MessageId> {
        let is_abandon = self.operation == Operation::ABANDON_REQUEST;
        is_abandon.then(|| ber::unsigned(self.content).ok().map(MessageId)).flatten()
    }
}

/// A message with this operation, whose content is put together from `parts`. It is
/// written at once into memory of the right size, for it may hold a password.
pub(super) fn write(
    id: MessageId,
    operation: Operation,
    parts: &[&[u8]],
    controls: &[u8],
) -> Vec<u8> {
    let content: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = Vec::with_capacity(Head::MAX_LENGTH);
    ber::put_unsigned(&mut head, INTEGER, id.0);
    ber::put_header(&mut head, operation.0, content);
    let length = head.len() + content + controls.len();
    let mut out = Vec::with_capacity(Header::MAX_LENGTH + length);
    ber::put_header(&mut out, SEQUENCE, length);
    out.extend_from_slice(&head);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(controls);
    out
}

const CONTROLS: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use super::*;

    /// `ldapsearch -x` of OpenLDAP 2.5 binds so.
    const ANONYMOUS: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
    /// Active Directory writes every length in four octets.
    const LONG_LENGTHS: &[u8] = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x61\x84\x00\x00\x00\x07\
        \x0a\x01\x00\x04\x00\x04\x00";
    /// A DelRequest with the control ManageDsaIT (RFC 3296 §3).
    const WITH_CONTROL: &[u8] = b"\x30\x28\x02\x01\x05\x4a\x04o=ab\
        \xa0\x1d\x30\x1b\x04\x172.16.840.1.113730.3.4.2\x04\x00";

    #[test]
    fn reads_messages_of_several_makers() {
        let message = Message::read(ANONYMOUS).unwrap();
        assert_eq!((message.id, message.operation), (MessageId(1), Operation::BIND_REQUEST));
        assert_eq!(message.content, &ANONYMOUS[7..]);
        let message = Message::read(LONG_LENGTHS).unwrap();
        assert_eq!((message.id, message.operation), (MessageId(1), Operation::BIND_RESPONSE));
        assert_eq!(message.content, b"\x0a\x01\x00\x04\x00\x04\x00");
        let message = Message::read(WITH_CONTROL).unwrap();
        assert_eq!(message.operation, Operation::DELETE_REQUEST);
        assert_eq!((message.content, message.controls.len()), (&b"o=ab"[..], 31));
    }

    #[test]
    fn a_head_may_come_octet_by_octet() {
        for message in [ANONYMOUS, LONG_LENGTHS, WITH_CONTROL] {
            let whole = Head::read(message).unwrap().unwrap();
            assert_eq!(whole.length, message.len());
            for end in 0..message.len() {
                let part = Head::read(&message[..end]).unwrap();
                assert!(part.is_none() || part.as_ref() == Some(&whole), "{end}");
                assert!(part.is_some() || end < Head::MAX_LENGTH, "{end}");
                assert!(whole.message(&message[..end]).unwrap().is_none());
            }
        }
    }

    #[test]
    fn what_lies_behind_the_head_is_not_needed_to_pass_it_on() {
        let head = Head::read(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x07\x68\x84\x7f\xff\xff\xf6");
        let head = head.unwrap().unwrap();
        assert_eq!((head.id, head.operation), (MessageId(7), Operation::ADD_REQUEST));
        assert_eq!(head.length, 0x7fff_ffff + 6);
    }

    #[test]
    fn the_envelope_holds_what_it_says() {
        let cases: [(&[u8], MessageError); 9] = [
            (b"GET / HTTP/1.1", MessageError::NotAMessage(b'G')),
            (b"\x16\x03\x01\x02", MessageError::NotAMessage(0x16)),
            (b"\x30\x80\x02\x01\x01", BerError::Indefinite.into()),
            (b"\x30\x03\x02\x01\x01", BerError::Truncated.into()),
            (b"\x30\x00\x02\x01\x01", BerError::Truncated.into()),
            (b"\x30\x05\x02\x01\x01\x60\x01\x00", BerError::Truncated.into()),
            (b"\x30\x05\x02\x01\xff\x60\x00", BerError::Range.into()),
            (b"\x30\x09\x02\x05\x00\x00\x00\x00\x01\x60\x00", BerError::Range.into()),
            (
                b"\x30\x05\x04\x01\x01\x60\x00",
                BerError::Tag { wanted: INTEGER, found: 0x04 }.into(),
            ),
        ];
        for (octets, expected) in cases {
            assert_eq!(Head::read(octets), Err(expected), "{octets:02x?}");
        }
    }

    #[test]
    fn behind_the_operation_stand_controls_or_nothing() {
        let read = |octets| Message::read(octets).map(|_| ()).unwrap_err();
        let wrong = BerError::Tag { wanted: CONTROLS, found: 0x60 };
        assert_eq!(read(b"\x30\x07\x02\x01\x01\x42\x00\x60\x00"), wrong.into());
        let two = b"\x30\x09\x02\x01\x01\x42\x00\xa0\x00\xa0\x00";
        assert_eq!(read(two), BerError::Trailing.into());
        assert_eq!(read(b"\x30\x05\x02\x01\x01\x42\x00\x30"), BerError::Trailing.into());
        assert_eq!(read(b"\x30\x05\x02\x01\x01\x42"), BerError::Truncated.into());
    }

    #[test]
    fn an_abandon_names_the_message_that_it_is_about() {
        let message = Message::read(b"\x30\x06\x02\x01\x06\x50\x01\x05").unwrap();
        assert_eq!(message.abandoned(), MessageId::new(5));
        assert_eq!(Message::read(ANONYMOUS).unwrap().abandoned(), None);
    }

    #[test]
    fn a_response_fits_its_request() {
        assert_eq!(Operation::SEARCH_REQUEST.response(), Some(Operation::SEARCH_RESULT_DONE));
        assert_eq!(Operation::ABANDON_REQUEST.response(), None);
        for request in 0..=u8::MAX {
            let response = Operation(request).response();
            assert!(response.is_none_or(Operation::is_final), "{request:#04x}");
        }
        assert!(!Operation(0x64).is_final() && !Operation(0x73).is_final());
    }

    #[test]
    fn writes_what_others_write() {
        let written = write(MessageId(1), Operation::BIND_REQUEST, &[&ANONYMOUS[7..]], &[]);
        assert_eq!(written, ANONYMOUS);
        let controls = Message::read(WITH_CONTROL).unwrap().controls;
        let written = write(MessageId(5), Operation::DELETE_REQUEST, &[b"o=", b"ab"], controls);
        assert_eq!(written, WITH_CONTROL);
        assert!(MessageId::new(0x8000_0000).is_none());
    }
}
