//! Elements of BER: tag, length, content (X.690 §8.1), restricted by RFC 4511 §5.1.

/// BOOLEAN and so on are of no use here; these are.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// What is no element. The stream cannot be read on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// A tag of more than one octet; LDAP has none.
    #[error("a tag of several octets")]
    LongTag,
    /// An indefinite length, which LDAP forbids.
    #[error("an indefinite length")]
    Indefinite,
    /// A length that takes more than four octets.
    #[error("a length of more than four octets")]
    LongLength,
    /// Less content than the length says.
    #[error("an element is longer than what holds it")]
    Truncated,
    /// An integer that is negative, empty, or larger than LDAP has any.
    #[error("an integer out of its range")]
    Range,
    /// Another element than the one that belongs there.
    #[error("an element with tag {found:#04x} where {wanted:#04x} belongs")]
    Tag {
        /// What belongs there.
        wanted: u8,
        /// What is there.
        found: u8,
    },
    /// Something behind the last element.
    #[error("octets behind the last element")]
    Trailing,
}

/// The first octets of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tag: u8,
    /// Octets of tag and length.
    pub(super) octets: usize,
    /// Octets of the content.
    pub(super) content: usize,
}

impl Header {
    /// The longest header.
    pub(super) const MAX_LENGTH: usize = 6;

    /// Reads tag and length; `None` if they have not come in whole.
    pub(super) fn read(octets: &[u8]) -> Result<Option<Self>, BerError> {
        let Some((tag, rest)) = octets.split_first() else { return Ok(None) };
        if tag & 0x1f == 0x1f {
            return Err(BerError::LongTag);
        }
        let Some((first, rest)) = rest.split_first() else { return Ok(None) };
        let count = match first {
            0..0x80 => {
                return Ok(Some(Self { tag: *tag, octets: 2, content: usize::from(*first) }));
            }
            0x80 => return Err(BerError::Indefinite),
            0x81..=0x84 => usize::from(first & 0x7f),
            0x85.. => return Err(BerError::LongLength),
        };
        let Some(length) = rest.get(..count) else { return Ok(None) };
        let content = length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        Ok(Some(Self { tag: *tag, octets: 2 + count, content }))
    }

    /// Octets of the whole element.
    pub(super) fn total(&self) -> usize {
        self.octets + self.content
    }
}

/// Takes elements off the front of octets that have come in whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The next element: its tag and content; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, BerError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let header = Header::read(self.0)?.ok_or(BerError::Truncated)?;
        let (element, rest) = self.0.split_at_checked(header.total()).ok_or(BerError::Truncated)?;
        self.0 = rest;
        Ok(Some((header.tag, &element[header.octets..])))
    }

    /// The next element, which has this tag.
    pub(super) fn expect(&mut self, wanted: u8) -> Result<&'a [u8], BerError> {
        let (found, content) = self.next()?.ok_or(BerError::Truncated)?;
        if found == wanted { Ok(content) } else { Err(BerError::Tag { wanted, found }) }
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), BerError> {
        if self.0.is_empty() { Ok(()) } else { Err(BerError::Trailing) }
    }
}

/// An integer from 0 to maxInt (RFC 4511 §4.1.1).
pub(super) fn unsigned(content: &[u8]) -> Result<u32, BerError> {
    let is_in_range = matches!(content, [first, ..] if *first < 0x80) && content.len() <= 4;
    if !is_in_range {
        return Err(BerError::Range);
    }
    Ok(content.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)))
}

/// Appends tag and length.
pub(super) fn put_header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => out.push(short),
        _ => {
            let octets = length.to_be_bytes();
            let significant = significant(&octets);
            let count = u8::try_from(significant.len()).expect("a length has eight octets at most");
            out.push(0x80 | count);
            out.extend_from_slice(significant);
        }
    }
}

/// Appends an integer, as short as it can be.
pub(super) fn put_unsigned(out: &mut Vec<u8>, tag: u8, value: u32) {
    let octets = [&[0][..], &value.to_be_bytes()].concat();
    let mut rest = &octets[..];
    while let [0, next, ..] = rest
        && *next < 0x80
    {
        rest = &rest[1..];
    }
    put(out, tag, rest);
}

/// Appends an element.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    put_header(out, tag, content.len());
    out.extend_from_slice(content);
}

fn significant(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    &octets[zeros..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(octets: &[u8]) -> Result<Option<(usize, usize)>, BerError> {
        Ok(Header::read(octets)?.map(|header| (header.octets, header.content)))
    }

    #[test]
    fn reads_every_form_of_a_length() {
        assert_eq!(header(&[0x30, 0x0c]), Ok(Some((2, 12))));
        assert_eq!(header(&[0x30, 0x81, 0xc8]), Ok(Some((3, 200))));
        assert_eq!(header(&[0x30, 0x82, 0x01, 0x00]), Ok(Some((4, 256))));
        // Active Directory writes all lengths so.
        assert_eq!(header(&[0x30, 0x84, 0, 0, 0, 0x10]), Ok(Some((6, 16))));
        for part in 0..6 {
            assert_eq!(header(&[0x30, 0x84, 0, 0, 0, 0x10][..part]), Ok(None), "{part}");
        }
    }

    #[test]
    fn refuses_what_ldap_forbids() {
        assert_eq!(header(&[0x30, 0x80]), Err(BerError::Indefinite));
        assert_eq!(header(&[0x30, 0x85, 0, 0, 0, 0, 1]), Err(BerError::LongLength));
        assert_eq!(header(&[0x3f, 0x81]), Err(BerError::LongTag));
    }

    #[test]
    fn an_element_stays_within_what_holds_it() {
        let mut elements = Elements(&[0x04, 3, b'a', b'b']);
        assert_eq!(elements.next(), Err(BerError::Truncated));
        let mut elements = Elements(&[0x04, 1, b'a', 0x02, 1, 5]);
        assert_eq!(elements.expect(OCTET_STRING), Ok(&b"a"[..]));
        assert_eq!(elements.end(), Err(BerError::Trailing));
        let wrong = BerError::Tag { wanted: OCTET_STRING, found: INTEGER };
        assert_eq!(elements.expect(OCTET_STRING), Err(wrong));
        assert_eq!(elements.expect(OCTET_STRING), Err(BerError::Truncated));
        assert_eq!((elements.end(), elements.next()), (Ok(()), Ok(None)));
    }

    #[test]
    fn integers_are_neither_negative_nor_large() {
        assert_eq!(unsigned(&[0]), Ok(0));
        assert_eq!(unsigned(&[0x7f, 0xff, 0xff, 0xff]), Ok(0x7fff_ffff));
        for wrong in [&[][..], &[0x80], &[0xff, 1], &[0, 1, 2, 3, 4]] {
            assert_eq!(unsigned(wrong), Err(BerError::Range), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0u8..0x1f, length in 0usize..100_000, value in 0u32..=0x7fff_ffff) {
            let mut out = Vec::new();
            put_header(&mut out, tag, length);
            prop_assert!(out.len() <= Header::MAX_LENGTH);
            let read = Header::read(&out).unwrap().unwrap();
            prop_assert_eq!(read, Header { tag, octets: out.len(), content: length });
            out.clear();
            put_unsigned(&mut out, INTEGER, value);
            let content = Elements(&out).expect(INTEGER).unwrap();
            prop_assert_eq!(unsigned(content), Ok(value));
            prop_assert!(content.len() == 1 || content[0] != 0 || content[1] >= 0x80);
        }
    }
}
