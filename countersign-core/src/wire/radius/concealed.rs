//! Keys and passwords in replies: concealed hop by hop, so whoever passes a reply on has to
//! conceal them anew (RFC 2868 §3.5, RFC 2548 §2.4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |             Salt              |  length of the clear value, the
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!    value, zeros up to a multiple of 16: all under an MD5 key stream
//! ```
//!
//! Known are Tunnel-Password, with a tag in front of the salt, and of Microsoft's attributes
//! MS-MPPE-Send-Key and MS-MPPE-Recv-Key, and MS-CHAP-MPPE-Keys, which is hidden as a
//! User-Password is. In RADIUS/1.1 all are sent as they are, without salt and length
//! (RFC 9765 §5.1).

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::{
    attribute::{Attribute, OVERHEAD},
    authenticator::Authenticator,
    dictionary::AttributeNumber,
};
use crate::secret::Secret;

/// What conceals on one hop.
#[derive(Debug, Clone)]
pub enum Concealment {
    /// MD5 over the secret and the Request Authenticator of that hop.
    Md5 {
        /// That of the request.
        authenticator: Authenticator,
        /// The secret shared on this hop.
        secret: Secret<Vec<u8>>,
    },
    /// Nothing within the packet: RADIUS/1.1.
    Transport,
}

/// Peer: a value that cannot have been concealed, or that does not fit when concealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value of {0} was not concealed as it has to be, or is too long")]
pub struct Unconcealable(pub AttributeNumber);

/// The value of an attribute of a reply that came `from` one hop, for another hop. Values
/// that nothing conceals stay as they are. `salt` is used where there was none; its last octet
/// is counted on for further keys in the same attribute, so callers give one with both octets
/// one higher for each attribute.
///
/// # Errors
///
/// A length that concealing never makes, or no room for the salt.
pub fn conceal_anew(
    number: AttributeNumber,
    value: &[u8],
    from: &Concealment,
    to: &Concealment,
    salt: [u8; 2],
) -> Result<Vec<u8>, Unconcealable> {
    let anew = match number {
        AttributeNumber::TUNNEL_PASSWORD => {
            let Some((tag, value)) = value.split_first() else { return Err(Unconcealable(number)) };
            salted(value, from, to, salt).map(|value| [&[*tag], &value[..]].concat())
        }
        AttributeNumber::VENDOR_SPECIFIC => match value.split_first_chunk() {
            Some((&MICROSOFT, attributes)) => microsoft(attributes, from, to, salt),
            _ => return Ok(value.to_vec()),
        },
        _ => return Ok(value.to_vec()),
    };
    let anew = anew.filter(|value| value.len() <= Attribute::MAX_VALUE_LENGTH);
    anew.ok_or(Unconcealable(number))
}

/// Attributes of Microsoft's within one Vendor-Specific (RFC 2865 §5.26).
fn microsoft(
    mut attributes: &[u8],
    from: &Concealment,
    to: &Concealment,
    salt: [u8; 2],
) -> Option<Vec<u8>> {
    let (mut anew, [high, mut low]) = (MICROSOFT.to_vec(), salt);
    while let [number, length, ..] = *attributes {
        let (attribute, rest) = attributes.split_at_checked(length.into())?;
        let value = attribute.get(OVERHEAD..)?;
        let value = match number {
            MS_MPPE_SEND_KEY | MS_MPPE_RECV_KEY => {
                // Under the same salt two keys would have the same key stream.
                low = low.wrapping_add(1);
                salted(value, from, to, [high, low])?
            }
            MS_CHAP_MPPE_KEYS => hidden(value, from, to)?,
            _ => value.to_vec(),
        };
        anew.extend([number, u8::try_from(value.len() + OVERHEAD).ok()?]);
        anew.extend(value);
        attributes = rest;
    }
    attributes.is_empty().then_some(anew)
}

fn salted(value: &[u8], from: &Concealment, to: &Concealment, salt: [u8; 2]) -> Option<Vec<u8>> {
    let (salt, clear) = match from {
        Concealment::Md5 { authenticator, secret } => {
            let (salt, concealed) = value.split_first_chunk()?;
            let seed = [&authenticator.0, &salt[..]].concat();
            (*salt, reveal(concealed, &seed, secret)?)
        }
        Concealment::Transport => ([salt[0] | MOST_SIGNIFICANT, salt[1]], value.to_vec().into()),
    };
    match to {
        Concealment::Md5 { authenticator, secret } => {
            let seed = [&authenticator.0, &salt[..]].concat();
            let concealed = conceal(&clear, &seed, secret)?;
            Some([&salt[..], &concealed].concat())
        }
        Concealment::Transport => Some(clear.to_vec()),
    }
}

/// As a User-Password, but with every octet kept.
fn hidden(value: &[u8], from: &Concealment, to: &Concealment) -> Option<Vec<u8>> {
    let mut value = Zeroizing::new(value.to_vec());
    if let Concealment::Md5 { authenticator, secret } = from {
        whole_blocks(&value)?;
        decrypt(&mut value, &authenticator.0, secret);
    }
    if let Concealment::Md5 { authenticator, secret } = to {
        let length = value.len().next_multiple_of(BLOCK);
        value.resize(length, 0);
        encrypt(&mut value, &authenticator.0, secret);
    }
    Some(value.to_vec())
}

fn reveal(concealed: &[u8], seed: &[u8], secret: &Secret<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    whole_blocks(concealed)?;
    let mut clear = Zeroizing::new(concealed.to_vec());
    decrypt(&mut clear, seed, secret);
    let (length, value) = clear.split_first()?;
    value.get(..usize::from(*length)).map(|value| Zeroizing::new(value.to_vec()))
}

fn conceal(clear: &[u8], seed: &[u8], secret: &Secret<Vec<u8>>) -> Option<Vec<u8>> {
    let mut concealed = vec![u8::try_from(clear.len()).ok()?];
    concealed.extend_from_slice(clear);
    concealed.resize(concealed.len().next_multiple_of(BLOCK), 0);
    encrypt(&mut concealed, seed, secret);
    Some(concealed)
}

fn whole_blocks(octets: &[u8]) -> Option<()> {
    (!octets.is_empty() && octets.len().is_multiple_of(BLOCK)).then_some(())
}

fn encrypt(octets: &mut [u8], seed: &[u8], secret: &Secret<Vec<u8>>) {
    let mut stream = key_stream(secret, seed);
    for block in octets.chunks_exact_mut(BLOCK) {
        exclusive_or(block, stream);
        stream = key_stream(secret, block);
    }
}

fn decrypt(octets: &mut [u8], seed: &[u8], secret: &Secret<Vec<u8>>) {
    let mut stream = key_stream(secret, seed);
    for block in octets.chunks_exact_mut(BLOCK) {
        let next = key_stream(secret, block);
        exclusive_or(block, stream);
        stream = next;
    }
}

fn key_stream(secret: &Secret<Vec<u8>>, seed: &[u8]) -> [u8; BLOCK] {
    Md5::new().chain_update(secret.expose()).chain_update(seed).finalize().into()
}

fn exclusive_or(block: &mut [u8], stream: [u8; BLOCK]) {
    for (octet, key) in block.iter_mut().zip(stream) {
        *octet ^= key;
    }
}

const BLOCK: usize = 16;
/// Set in every salt (RFC 2868 §3.5).
const MOST_SIGNIFICANT: u8 = 0x80;
/// Microsoft's number as a vendor: 311.
const MICROSOFT: [u8; 4] = [0, 0, 1, 0x37];
const MS_CHAP_MPPE_KEYS: u8 = 12;
const MS_MPPE_SEND_KEY: u8 = 16;
const MS_MPPE_RECV_KEY: u8 = 17;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::testdata;

    const SALT: [u8; 2] = [0x12, 0x34];

    fn hop(authenticator: u8, secret: &[u8]) -> Concealment {
        Concealment::Md5 {
            authenticator: Authenticator([authenticator; 16]),
            secret: Secret::new(secret.to_vec()),
        }
    }

    fn vendor(number: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len() + 2).unwrap();
        [&MICROSOFT[..], &[number, length], value].concat()
    }

    fn anew(
        number: AttributeNumber,
        value: &[u8],
        from: &Concealment,
        to: &Concealment,
    ) -> Option<Vec<u8>> {
        conceal_anew(number, value, from, to, SALT).ok()
    }

    #[test]
    fn reveals_what_freeradius_concealed() {
        let authenticator = Authenticator([0x5a; 16]);
        let from = Concealment::Md5 { authenticator, secret: testdata::secret() };
        for (number, concealed, clear) in testdata::concealed_attributes() {
            let number = AttributeNumber(number);
            let revealed = anew(number, &concealed, &from, &Concealment::Transport);
            assert_eq!(revealed, Some(clear), "{number}");
        }
    }

    #[test]
    fn a_key_keeps_its_salt_and_its_value_on_the_next_hop() {
        let (one, two) = (hop(1, b"one"), hop(2, b"another secret"));
        let clear = vendor(MS_MPPE_RECV_KEY, &[7; 32]);
        let number = AttributeNumber::VENDOR_SPECIFIC;
        let first = anew(number, &clear, &Concealment::Transport, &one).unwrap();
        assert_eq!(first[6..8], [0x92, 0x35], "the salt with its highest bit set");
        assert_eq!(first.len(), 4 + 2 + 2 + 48);
        let second = anew(number, &first, &one, &two).unwrap();
        assert_eq!(second[..8], first[..8]);
        assert_ne!(second[8..], first[8..]);
        assert_eq!(anew(number, &second, &two, &Concealment::Transport), Some(clear));
    }

    #[test]
    fn several_attributes_of_one_vendor_are_each_concealed_or_left() {
        let (one, two) = (hop(1, b"one"), hop(2, b"two"));
        let keys = vendor(MS_CHAP_MPPE_KEYS, &[3; 32]);
        let clear = [&keys[..], &[26, 6, b'S', b'=', b'1', b'2']].concat();
        let number = AttributeNumber::VENDOR_SPECIFIC;
        let first = anew(number, &clear, &Concealment::Transport, &one).unwrap();
        assert_eq!(first[38..], clear[38..]);
        let second = anew(number, &first, &one, &two).unwrap();
        assert_eq!(anew(number, &second, &two, &Concealment::Transport), Some(clear));
    }

    #[test]
    fn two_keys_in_one_attribute_do_not_share_a_key_stream() {
        let two = [&vendor(MS_MPPE_SEND_KEY, &[7; 32])[..], &[MS_MPPE_RECV_KEY, 34], &[7; 32]];
        let (two, number) = (two.concat(), AttributeNumber::VENDOR_SPECIFIC);
        let sent = anew(number, &two, &Concealment::Transport, &hop(1, b"one")).unwrap();
        let (send, receive) = (&sent[6..56], &sent[58..108]);
        assert_ne!(send[..2], receive[..2], "the salts");
        assert_ne!(send[2..], receive[2..], "the same key, concealed");
    }

    #[test]
    fn what_is_no_secret_stays() {
        let (one, two) = (hop(1, b"one"), hop(2, b"two"));
        let cisco = [0, 0, 0, 9, 1, 6, b'a', b'=', b'b', b'c'];
        for (number, value) in [
            (AttributeNumber::CLASS, &b"otp"[..]),
            (AttributeNumber::VENDOR_SPECIFIC, &cisco),
            (AttributeNumber::VENDOR_SPECIFIC, &[1]),
            (AttributeNumber::STATE, &[]),
        ] {
            assert_eq!(anew(number, value, &one, &two), Some(value.to_vec()));
        }
    }

    #[test]
    fn refuses_lengths_that_concealing_never_makes() {
        let (one, two) = (hop(1, b"one"), hop(2, b"two"));
        let password = AttributeNumber::TUNNEL_PASSWORD;
        for value in [&[][..], &[0], &[0, 0x80], &[0; 3], &[0; 18], &[0; 20]] {
            assert_eq!(anew(password, value, &one, &two), None, "{value:?}");
        }
        let vendor_specific = AttributeNumber::VENDOR_SPECIFIC;
        for value in [
            vendor(MS_MPPE_SEND_KEY, &[0; 17]),
            vendor(MS_CHAP_MPPE_KEYS, &[0; 24]),
            vendor(MS_MPPE_SEND_KEY, &[0; 18])[..20].to_vec(),
            [&MICROSOFT[..], &[1, 1]].concat(),
            [&MICROSOFT[..], &[1]].concat(),
        ] {
            assert_eq!(anew(vendor_specific, &value, &one, &two), None, "{value:?}");
        }
        let long = [&[0][..], &[1; 252]].concat();
        assert_eq!(anew(password, &long, &Concealment::Transport, &two), None, "no room");
    }

    proptest! {
        #[test]
        fn never_panics(
            number in prop_oneof![Just(26u8), Just(69)],
            value in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = anew(AttributeNumber(number), &value, &hop(1, b"one"), &hop(2, b"two"));
            let microsoft = [&MICROSOFT[..], &value].concat();
            let number = AttributeNumber::VENDOR_SPECIFIC;
            let _ = anew(number, &microsoft, &hop(1, b"one"), &hop(2, b"two"));
        }

        #[test]
        fn passwords_survive_two_hops(
            tag: u8, password in proptest::collection::vec(any::<u8>(), 0..=230),
        ) {
            let clear = [&[tag], &password[..]].concat();
            let (one, two) = (hop(1, b"one"), hop(2, b"two"));
            let number = AttributeNumber::TUNNEL_PASSWORD;
            let first = anew(number, &clear, &Concealment::Transport, &one).unwrap();
            let second = anew(number, &first, &one, &two).unwrap();
            prop_assert_eq!(anew(number, &second, &two, &Concealment::Transport), Some(clear));
        }
    }
}
