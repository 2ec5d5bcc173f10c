//! Attributes: a checked set, an iterator, a builder (RFC 2865 §5).
//!
//! ```text
//!  0                   1                   2
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |    Length     |  Value ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::dictionary::AttributeNumber;

/// The attributes of a packet, every length checked once. The values are not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'a>(&'a [u8]);

/// One attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it is.
    pub number: AttributeNumber,
    /// Its value, 0 to 253 octets.
    pub value: &'a [u8],
}

/// Goes through the attributes in the order they were sent.
#[derive(Clone)]
pub struct Iter<'a>(&'a [u8]);

/// Peer: octets that are not a list of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A length below 2, which could not even hold itself.
    #[error("attribute {0} has a length below 2")]
    TooShort(AttributeNumber),
    /// A length that leads out of the packet.
    #[error("the last attribute is cut off")]
    Truncated,
}

/// Caller: an attribute that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The value is longer than [`Attribute::MAX_VALUE_LENGTH`].
    #[error("the value of {0} is longer than 253 octets")]
    ValueTooLong(AttributeNumber),
    /// The packet would be longer than 4096 octets.
    #[error("{0} does not fit into the packet any more")]
    PacketFull(AttributeNumber),
    /// Message-Authenticator is written by who finishes the packet.
    #[error("{0} is not written by hand")]
    Reserved(AttributeNumber),
}

impl<'a> Attributes<'a> {
    /// Checks that `bytes` are whole attributes, one after the other.
    ///
    /// # Errors
    ///
    /// An impossible length, or one that leads beyond the end.
    pub fn read(bytes: &'a [u8]) -> Result<Self, AttributeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split_first(rest)?;
        }
        Ok(Self(bytes))
    }

    /// All of them, in order.
    #[must_use]
    pub fn iter(self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The values of every attribute of this number, in order.
    pub fn all(self, number: AttributeNumber) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |attribute| attribute.number == number).map(|found| found.value)
    }

    /// The value of the first attribute of this number.
    #[must_use]
    pub fn first(self, number: AttributeNumber) -> Option<&'a [u8]> {
        self.all(number).next()
    }

    /// Whether there is an attribute of this number.
    #[must_use]
    pub fn contains(self, number: AttributeNumber) -> bool {
        self.first(number).is_some()
    }

    /// As they travel.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl Attribute<'_> {
    /// Octets.
    pub const MAX_VALUE_LENGTH: usize = 253;
}

impl<'a> Iterator for Iter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, rest) = split_first(self.0).ok()?;
        self.0 = rest;
        Some(attribute)
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Appends one attribute to a packet that may not grow beyond `limit` octets.
pub(super) fn append(
    packet: &mut Vec<u8>,
    limit: usize,
    number: AttributeNumber,
    value: &[u8],
) -> Result<(), Unfit> {
    let length = match u8::try_from(value.len() + OVERHEAD) {
        Ok(length) if packet.len() + usize::from(length) <= limit => length,
        Ok(_) => return Err(Unfit::PacketFull(number)),
        Err(_) => return Err(Unfit::ValueTooLong(number)),
    };
    packet.extend_from_slice(&[number.0, length]);
    packet.extend_from_slice(value);
    Ok(())
}

fn split_first(bytes: &[u8]) -> Result<(Attribute<'_>, &[u8]), AttributeError> {
    let [number, length, ..] = *bytes else { return Err(AttributeError::Truncated) };
    let number = AttributeNumber(number);
    let length = usize::from(length);
    if length < OVERHEAD {
        return Err(AttributeError::TooShort(number));
    }
    let (attribute, rest) = bytes.split_at_checked(length).ok_or(AttributeError::Truncated)?;
    Ok((Attribute { number, value: &attribute[OVERHEAD..] }, rest))
}

/// Type and length.
pub(super) const OVERHEAD: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEMO: &[u8] = &[1, 6, b'n', b'e', b'm', b'o'];

    #[test]
    fn reads_attributes_in_order_and_finds_them_by_number() {
        let bytes = [NEMO, &[33, 3, 1], &[33, 2], &[33, 4, 2, 3]].concat();
        let attributes = Attributes::read(&bytes).unwrap();
        assert_eq!(attributes.first(AttributeNumber::USER_NAME), Some(&b"nemo"[..]));
        let states: Vec<_> = attributes.all(AttributeNumber::PROXY_STATE).collect();
        assert_eq!(states, [&[1][..], &[], &[2, 3]]);
        assert!(!attributes.contains(AttributeNumber::STATE));
    }

    #[test]
    fn refuses_lengths_that_lie() {
        for (bytes, error) in [
            (&[1][..], AttributeError::Truncated),
            (&[1, 0], AttributeError::TooShort(AttributeNumber::USER_NAME)),
            (&[1, 1, 0], AttributeError::TooShort(AttributeNumber::USER_NAME)),
            (&[1, 3], AttributeError::Truncated),
            (&[1, 2, 2], AttributeError::Truncated),
        ] {
            assert_eq!(Attributes::read(bytes).err(), Some(error), "{bytes:?}");
        }
    }

    #[test]
    fn appends_up_to_the_limits_and_not_beyond() {
        let mut packet = Vec::new();
        let number = AttributeNumber::CLASS;
        assert_eq!(append(&mut packet, 300, number, &[7; 254]), Err(Unfit::ValueTooLong(number)));
        assert_eq!(append(&mut packet, 300, number, &[7; 253]), Ok(()));
        assert_eq!(append(&mut packet, 300, number, &[7; 44]), Err(Unfit::PacketFull(number)));
        assert_eq!(append(&mut packet, 300, number, &[7; 43]), Ok(()));
        assert_eq!(packet.len(), 300);
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let Ok(attributes) = Attributes::read(&bytes) else { return Ok(()) };
            let mut written = Vec::new();
            for attribute in attributes {
                append(&mut written, bytes.len(), attribute.number, attribute.value).unwrap();
            }
            prop_assert_eq!(written, bytes);
        }

        #[test]
        fn what_was_written_is_read_the_same(
            values in proptest::collection::vec(
                (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=253)), 0..10)
        ) {
            let mut bytes = Vec::new();
            for (number, value) in &values {
                append(&mut bytes, 4096, AttributeNumber(*number), value).unwrap();
            }
            let read: Vec<_> = Attributes::read(&bytes).unwrap().iter()
                .map(|attribute| (attribute.number.0, attribute.value.to_vec()))
                .collect();
            prop_assert_eq!(read, values);
        }
    }
}
