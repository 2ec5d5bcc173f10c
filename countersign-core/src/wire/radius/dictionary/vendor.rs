//! Vendor-Specific: attributes of makers (RFC 2865 §5.26).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |  Length       |            Vendor-Id
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!      Vendor-Id (cont)           | Vendor type   | Vendor length |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |    Attribute-Specific...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
//! ```
//!
//! Vendor type and vendor length are one octet each by recommendation; some makers
//! have it otherwise.

use crate::wire::radius::attribute::Attribute;

/// A maker, and how its attributes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vendor {
    /// The number that IANA gave it (SMI Network Management Private Enterprise Code).
    pub id: u32,
    /// How its attributes are packed.
    pub format: Format,
}

/// How the attributes of a maker are packed: the widths of their heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    type_octets: u8,
    length_octets: u8,
    continuation: bool,
}

impl Vendor {
    /// Vendor identifiers have 24 bits.
    pub const MAX_ID: u32 = (1 << 24) - 1;

    /// The longest value that one attribute holds, in octets.
    #[must_use]
    pub fn max_value_length(self) -> usize {
        Attribute::MAX_VALUE_LENGTH - ID_OCTETS - self.format.head()
    }

    /// The value of a Vendor-Specific attribute that holds this one; nothing if the number
    /// or the value is too large for it.
    #[must_use]
    pub fn pack(self, number: u32, value: &[u8]) -> Option<Vec<u8>> {
        if number > self.format.max_number() || value.len() > self.max_value_length() {
            return None;
        }
        let mut packed = self.id.to_be_bytes().to_vec();
        packed.extend_from_slice(last(&number.to_be_bytes(), self.format.type_octets));
        let length = u16::try_from(self.format.head() + value.len()).ok()?;
        packed.extend_from_slice(last(&length.to_be_bytes(), self.format.length_octets));
        if self.format.continuation {
            // Nothing follows: the value is whole.
            packed.push(0);
        }
        packed.extend_from_slice(value);
        Some(packed)
    }
}

impl Format {
    /// One octet each, as RFC 2865 recommends.
    pub const USUAL: Self = Self { type_octets: 1, length_octets: 1, continuation: false };

    /// Nothing if no maker has it so: the type has 1, 2 or 4 octets, the length 0, 1 or 2,
    /// and an octet that tells whether more follows (WiMAX) comes after one of each.
    #[must_use]
    pub fn new(type_octets: u8, length_octets: u8, continuation: bool) -> Option<Self> {
        let known = matches!(type_octets, 1 | 2 | 4) && matches!(length_octets, 0..=2);
        let format = Self { type_octets, length_octets, continuation };
        (known && (!continuation || (type_octets, length_octets) == (1, 1))).then_some(format)
    }

    /// The largest number that an attribute may have.
    #[must_use]
    pub fn max_number(self) -> u32 {
        u32::MAX >> (32 - 8 * u32::from(self.type_octets))
    }

    fn head(self) -> usize {
        usize::from(self.type_octets + self.length_octets) + usize::from(self.continuation)
    }
}

fn last(octets: &[u8], count: u8) -> &[u8] {
    &octets[octets.len().saturating_sub(usize::from(count))..]
}

const ID_OCTETS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vendor(type_octets: u8, length_octets: u8, continuation: bool) -> Vendor {
        Vendor { id: 9, format: Format::new(type_octets, length_octets, continuation).unwrap() }
    }

    #[test]
    fn packs_as_each_maker_has_it() {
        for (vendor, number, packed) in [
            (vendor(1, 1, false), 1, &[0, 0, 0, 9, 1, 4, b'h', b'i'][..]),
            (vendor(2, 1, false), 258, &[0, 0, 0, 9, 1, 2, 5, b'h', b'i']),
            (vendor(2, 2, false), 1, &[0, 0, 0, 9, 0, 1, 0, 6, b'h', b'i']),
            (vendor(4, 0, false), 0x9004, &[0, 0, 0, 9, 0, 0, 0x90, 4, b'h', b'i']),
            (vendor(1, 1, true), 7, &[0, 0, 0, 9, 7, 5, 0, b'h', b'i']),
        ] {
            assert_eq!(vendor.pack(number, b"hi").unwrap(), packed, "{vendor:?}");
        }
    }

    #[test]
    fn knows_no_other_packing() {
        for (type_octets, length_octets, continuation) in
            [(0, 1, false), (3, 1, false), (8, 1, false), (1, 3, false), (2, 2, true)]
        {
            assert_eq!(Format::new(type_octets, length_octets, continuation), None);
        }
    }

    #[test]
    fn packs_nothing_that_does_not_fit() {
        let usual = vendor(1, 1, false);
        assert_eq!(usual.max_value_length(), 247);
        assert_eq!(usual.pack(1, &[0; 247]).unwrap().len(), Attribute::MAX_VALUE_LENGTH);
        assert_eq!(usual.pack(1, &[0; 248]), None);
        assert_eq!(usual.pack(256, b"x"), None);
        assert!(vendor(4, 0, false).pack(u32::MAX, b"x").is_some());
    }

    /// Undoes [`Vendor::pack`].
    fn unpack(vendor: Vendor, packed: &[u8]) -> (u32, Vec<u8>) {
        let (id, rest) = packed.split_at(4);
        assert_eq!(id, vendor.id.to_be_bytes());
        let number_of =
            |octets: &[u8]| octets.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet));
        let (number, after) = rest.split_at(vendor.format.type_octets.into());
        let (length, after) = after.split_at(vendor.format.length_octets.into());
        assert!(length.is_empty() || number_of(length) as usize == rest.len());
        let value = if vendor.format.continuation { &after[1..] } else { after };
        (number_of(number), value.to_vec())
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked_the_same(
            number: u32,
            value in proptest::collection::vec(any::<u8>(), 1..=253),
            format in (any::<u8>(), 0u8..4, any::<bool>()),
        ) {
            let Some(format) = Format::new(format.0 % 5, format.1, format.2) else { return Ok(()) };
            let vendor = Vendor { id: 14_988, format };
            let number = number & format.max_number();
            match vendor.pack(number, &value) {
                Some(packed) => prop_assert_eq!(unpack(vendor, &packed), (number, value)),
                None => prop_assert!(value.len() > vendor.max_value_length()),
            }
        }
    }
}
