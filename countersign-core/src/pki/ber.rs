//! BER to DER, as far as CMS objects need it (X.690 §8.1, §10).
//!
//! Peers send SignedData with indefinite lengths and with content octets in
//! segments (RFC 5652 allows BER). Everything behind this file reads DER only.
//! The content octets themselves are opaque here and stay what they are.

/// What cannot be read as BER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ASN.1 structure: truncated, nested too deeply, or with lengths that do not fit")]
pub struct NotBer;

/// The same structure with definite, shortest lengths and octet strings in one piece.
///
/// The result is at most as long as the input. Elements of a SET stay in their order.
///
/// # Errors
///
/// Truncated, trailing octets, nested deeper than 32 levels, or a segmented
/// string with something else in it.
pub fn to_der(octets: &[u8]) -> Result<Vec<u8>, NotBer> {
    let mut input = octets;
    let mut output = Vec::with_capacity(octets.len());
    element(&mut input, &mut output, MAX_DEPTH)?;
    if input.is_empty() { Ok(output) } else { Err(NotBer) }
}

/// Transcodes one element.
fn element(input: &mut &[u8], output: &mut Vec<u8>, depth: u8) -> Result<(), NotBer> {
    let depth = depth.checked_sub(1).ok_or(NotBer)?;
    let identifier = identifier(input)?;
    let constructed = identifier[0] & CONSTRUCTED != 0;
    let length = length(input)?;
    if identifier == [OCTET_STRING | CONSTRUCTED] {
        let mut whole = Vec::new();
        segments(input, length, &mut whole, depth)?;
        return write(output, &[OCTET_STRING], &whole);
    }
    if !constructed {
        let content = take(input, length.ok_or(NotBer)?)?;
        return write(output, identifier, content);
    }
    let mut content = Vec::new();
    each(input, length, |input| element(input, &mut content, depth))?;
    write(output, identifier, &content)
}

/// Joins the segments of an octet string (X.690 §8.7.3).
fn segments(
    input: &mut &[u8],
    length: Option<usize>,
    whole: &mut Vec<u8>,
    depth: u8,
) -> Result<(), NotBer> {
    let depth = depth.checked_sub(1).ok_or(NotBer)?;
    each(input, length, |input| match *identifier(input)? {
        [OCTET_STRING] => {
            let length = self::length(input)?.ok_or(NotBer)?;
            whole.extend_from_slice(take(input, length)?);
            Ok(())
        }
        [0x24] => {
            let length = self::length(input)?;
            segments(input, length, whole, depth)
        }
        _ => Err(NotBer),
    })
}

/// Calls `one` for every element of a content of definite or indefinite length.
fn each(
    input: &mut &[u8],
    length: Option<usize>,
    mut one: impl FnMut(&mut &[u8]) -> Result<(), NotBer>,
) -> Result<(), NotBer> {
    if let Some(length) = length {
        let mut content = take(input, length)?;
        while !content.is_empty() {
            one(&mut content)?;
        }
        return Ok(());
    }
    loop {
        if let Some(rest) = input.strip_prefix(END_OF_CONTENTS) {
            *input = rest;
            return Ok(());
        }
        one(input)?;
    }
}

fn identifier<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], NotBer> {
    let first = *input.first().ok_or(NotBer)?;
    // Tag 0 of the universal class marks the end of contents and is no element.
    if first == 0 || first & LONG_TAG == LONG_TAG {
        return Err(NotBer);
    }
    take(input, 1)
}

/// `None` means indefinite.
fn length(input: &mut &[u8]) -> Result<Option<usize>, NotBer> {
    let [first] = *take(input, 1)? else { return Err(NotBer) };
    match first {
        0..=0x7f => Ok(Some(usize::from(first))),
        0x80 => Ok(None),
        0x81..=0x84 => {
            let octets = take(input, usize::from(first & 0x7f))?;
            Ok(Some(octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))))
        }
        _ => Err(NotBer),
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], NotBer> {
    let (taken, rest) = input.split_at_checked(count).ok_or(NotBer)?;
    *input = rest;
    Ok(taken)
}

fn write(output: &mut Vec<u8>, identifier: &[u8], content: &[u8]) -> Result<(), NotBer> {
    output.extend_from_slice(identifier);
    let length = u32::try_from(content.len()).map_err(|_| NotBer)?.to_be_bytes();
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    match length[zeros..] {
        [] => output.push(0),
        [short @ 0..=0x7f] => output.push(short),
        ref long => {
            output.push(0x80 | u8::try_from(long.len()).map_err(|_| NotBer)?);
            output.extend_from_slice(long);
        }
    }
    output.extend_from_slice(content);
    Ok(())
}

const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;
/// Tag numbers above 30 are written long; CMS has none.
const LONG_TAG: u8 = 0x1f;
const END_OF_CONTENTS: &[u8] = &[0, 0];
const MAX_DEPTH: u8 = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn indefinite_lengths_become_definite() {
        let ber = [0x30, 0x80, 0x02, 0x01, 0x05, 0x31, 0x80, 0, 0, 0, 0];
        assert_eq!(to_der(&ber).unwrap(), [0x30, 5, 0x02, 1, 5, 0x31, 0]);
    }

    #[test]
    fn segments_become_one_string() {
        let ber = [0x24, 0x80, 0x04, 1, b'a', 0x24, 3, 0x04, 1, b'b', 0x04, 0, 0, 0];
        assert_eq!(to_der(&ber).unwrap(), [0x04, 2, b'a', b'b']);
    }

    #[test]
    fn long_lengths_become_short() {
        assert_eq!(to_der(&[0x04, 0x82, 0, 1, b'a']).unwrap(), [0x04, 1, b'a']);
        let long = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(to_der(&long).unwrap(), long);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for octets in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x04, 0x80, 0, 0],
            &[0x04, 0xff],
            &[0x30, 0, 0],
            &[0x24, 3, 0x02, 1, 5],
            &[0x3f, 0x81, 0x01, 0],
            &[0, 0],
        ] {
            assert_eq!(to_der(octets), Err(NotBer), "{octets:?}");
        }
    }

    #[test]
    fn refuses_deep_nesting() {
        assert_eq!(to_der(&[0x30, 0x80].repeat(100_000)), Err(NotBer));
        assert_eq!(to_der(&[0x24, 0x80].repeat(100_000)), Err(NotBer));
    }

    proptest! {
        #[test]
        fn never_panics_and_what_it_wrote_stays(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(der) = to_der(&octets) {
                prop_assert!(der.len() <= octets.len());
                prop_assert_eq!(to_der(&der), Ok(der.clone()));
            }
        }
    }
}
