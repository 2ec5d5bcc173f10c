//! The packet: header, reading, writing (RFC 2865 §3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Code      |  Identifier   |            Length             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                     Authenticator, 16 octets                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Attributes ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-
//! ```

use std::fmt;

use super::{
    attribute::{self, AttributeError, Attributes, Unfit},
    authenticator::Authenticator,
    dictionary::{AttributeNumber, Code},
};

/// A packet that was read and is not believed yet: well-formed, from anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    code: Code,
    identifier: Identifier,
    authenticator: Authenticator,
    attributes: Attributes<'a>,
    bytes: &'a [u8],
}

/// Tells the requests of one client socket apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identifier(pub u8);

/// A packet that is being written, up to [`Packet::MAX_LENGTH`] octets.
///
/// It is finished, and gets its authenticators, by
/// [`finish_request`](Draft::finish_request) or [`finish_reply`](Draft::finish_reply).
#[derive(Clone)]
pub struct Draft {
    pub(super) bytes: Vec<u8>,
    pub(super) protection: Protection,
}

/// Whether a packet that is written carries a Message-Authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// It does, before all other attributes, so that nobody can choose what stands in
    /// front of it (CVE-2024-3596).
    MessageAuthenticator,
    /// It does not. For peers that choke on it, and for transports that protect by themselves.
    None,
}

/// Peer: octets that are not a packet. They are to be discarded silently (RFC 2865 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer octets than a header has, or than the length field promises.
    #[error("the packet is cut off")]
    Truncated,
    /// The length field is not within 20 to 4096.
    #[error("the length field says {0}, which no packet has")]
    Length(u16),
    /// The attributes do not fill the packet.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
}

impl<'a> Packet<'a> {
    /// Code, identifier, length, authenticator; octets.
    pub const HEADER_LENGTH: usize = 20;
    /// The longest packet, in octets.
    pub const MAX_LENGTH: usize = 4096;

    /// Reads the packet at the start of a datagram. Octets beyond its length field are
    /// padding and ignored (RFC 2865 §3).
    ///
    /// # Errors
    ///
    /// Cut off, an impossible length, attributes that do not fill it.
    pub fn read(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (header, _) =
            datagram.split_first_chunk::<HEADER_LENGTH>().ok_or(PacketError::Truncated)?;
        let [code, identifier, high, low, authenticator @ ..] = *header;
        let length = length_of([high, low])?;
        let bytes = datagram.get(..length).ok_or(PacketError::Truncated)?;
        Ok(Self {
            code: Code(code),
            identifier: Identifier(identifier),
            authenticator: Authenticator(authenticator),
            attributes: Attributes::read(&bytes[HEADER_LENGTH..])?,
            bytes,
        })
    }

    /// What it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> Identifier {
        self.identifier
    }

    /// Request Authenticator or Response Authenticator, as the code may be.
    #[must_use]
    pub fn authenticator(&self) -> Authenticator {
        self.authenticator
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }

    /// As it travels, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl Draft {
    /// Begins a packet. `authenticator` is that of the request, also in a reply to it.
    #[must_use]
    pub fn new(
        code: Code,
        identifier: Identifier,
        authenticator: Authenticator,
        protection: Protection,
    ) -> Self {
        let mut bytes = Vec::with_capacity(TYPICAL_LENGTH);
        bytes.extend_from_slice(&[code.0, identifier.0, 0, 0]);
        bytes.extend_from_slice(&authenticator.0);
        if protection == Protection::MessageAuthenticator {
            bytes.extend_from_slice(&[AttributeNumber::MESSAGE_AUTHENTICATOR.0, 18]);
            bytes.extend_from_slice(&[0; 16]);
        }
        Self { bytes, protection }
    }

    /// Appends an attribute.
    ///
    /// # Errors
    ///
    /// The value or the packet would be too long, or it is the Message-Authenticator.
    pub fn push(&mut self, number: AttributeNumber, value: &[u8]) -> Result<(), Unfit> {
        if number == AttributeNumber::MESSAGE_AUTHENTICATOR {
            return Err(Unfit::Reserved(number));
        }
        attribute::append(&mut self.bytes, Packet::MAX_LENGTH, number, value)
    }

    pub(super) fn write_length(&mut self) {
        let length = u16::try_from(self.bytes.len()).expect("a draft is bounded by 4096 octets");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

impl fmt::Debug for Packet<'_> {
    /// The attributes are left out: hidden is not secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("code", &self.code)
            .field("identifier", &self.identifier.0)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The octets of a packet, from its length field. A stream has no other framing (RFC 6613 §2.6.2).
///
/// # Errors
///
/// Not within 20 to 4096.
pub fn length_of(field: [u8; 2]) -> Result<usize, PacketError> {
    let length = u16::from_be_bytes(field);
    match usize::from(length) {
        octets @ Packet::HEADER_LENGTH..=Packet::MAX_LENGTH => Ok(octets),
        _ => Err(PacketError::Length(length)),
    }
}

pub(super) const HEADER_LENGTH: usize = Packet::HEADER_LENGTH;

/// Most packets of a logon are shorter than this.
const TYPICAL_LENGTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::testdata;

    #[test]
    fn reads_the_request_of_rfc_2865_7_1() {
        let bytes = testdata::telnet_request();
        let packet = testdata::read(&bytes);
        assert_eq!(packet.code(), Code::ACCESS_REQUEST);
        assert_eq!(packet.identifier(), Identifier(0));
        let read: Vec<_> = packet.attributes().iter().map(|a| (a.number, a.value.len())).collect();
        assert_eq!(
            read,
            [
                (AttributeNumber::USER_NAME, 4),
                (AttributeNumber::USER_PASSWORD, 16),
                (AttributeNumber::NAS_IP_ADDRESS, 4),
                (AttributeNumber::NAS_PORT, 4),
            ]
        );
    }

    #[test]
    fn ignores_padding_beyond_the_length_field() {
        let mut bytes = testdata::telnet_request();
        let length = bytes.len();
        bytes.extend_from_slice(b"padding");
        assert_eq!(testdata::read(&bytes).as_bytes(), &bytes[..length]);
    }

    #[test]
    fn refuses_every_truncation() {
        let bytes = testdata::telnet_request();
        for length in 0..bytes.len() {
            assert_eq!(Packet::read(&bytes[..length]), Err(PacketError::Truncated), "{length}");
        }
    }

    #[test]
    fn refuses_lengths_no_packet_has() {
        for length in [0u16, 19, 4097, u16::MAX] {
            let mut bytes = vec![1; 70_000];
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            assert_eq!(Packet::read(&bytes), Err(PacketError::Length(length)));
        }
    }

    #[test]
    fn refuses_attributes_that_do_not_fill_the_packet() {
        let mut bytes = testdata::telnet_request();
        bytes[3] -= 1;
        assert_eq!(Packet::read(&bytes), Err(PacketError::Attribute(AttributeError::Truncated)));
    }

    #[test]
    fn debug_shows_no_attribute() {
        let bytes = testdata::telnet_request();
        let text = format!("{:?}", testdata::read(&bytes));
        assert_eq!(text, "Packet { code: Access-Request, identifier: 0, length: 56, .. }");
    }

    #[test]
    fn a_draft_takes_no_message_authenticator_by_hand() {
        let mut draft = Draft::new(
            Code::ACCESS_ACCEPT,
            Identifier(1),
            Authenticator([0; 16]),
            Protection::MessageAuthenticator,
        );
        let number = AttributeNumber::MESSAGE_AUTHENTICATOR;
        assert_eq!(draft.push(number, &[0; 16]), Err(Unfit::Reserved(number)));
    }

    #[test]
    fn a_draft_ends_at_4096_octets() {
        let mut draft = testdata::draft(Protection::None);
        while draft.push(AttributeNumber::CLASS, &[0; 4]).is_ok() {}
        assert_eq!(draft.bytes.len(), 20 + 6 * 679);
        assert_eq!(draft.push(AttributeNumber::CLASS, &[]), Ok(()));
        assert_eq!(
            draft.push(AttributeNumber::CLASS, &[]),
            Err(Unfit::PacketFull(AttributeNumber::CLASS))
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::read(&bytes);
        }

        #[test]
        fn what_was_read_is_written_the_same(
            code: u8, identifier: u8, authenticator: [u8; 16],
            mut attributes in proptest::collection::vec(any::<u8>(), 0..100),
            padding in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            for first in attributes.chunks_mut(7) {
                // Lengths that are right more often than chance would have it.
                if let [number, length, ..] = first {
                    *number = (*number).saturating_sub(80);
                    *length = 7;
                }
            }
            let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
            let whole =
                [&[code, identifier], &length[..], &authenticator, &attributes].concat();
            let datagram = [&whole[..], &padding].concat();
            let Ok(packet) = Packet::read(&datagram) else { return Ok(()) };
            let mut draft = Draft::new(
                packet.code(), packet.identifier(), packet.authenticator(), Protection::None);
            for attribute in packet.attributes() {
                let pushed = draft.push(attribute.number, attribute.value);
                prop_assume!(pushed.is_ok());
            }
            draft.write_length();
            prop_assert_eq!(&draft.bytes, &whole);
            prop_assert_eq!(packet.as_bytes(), &whole);
        }
    }
}
