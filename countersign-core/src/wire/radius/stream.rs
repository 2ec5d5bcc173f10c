//! Packets on a stream: TCP, TLS, a UNIX socket (RFC 6613 §2.6.2).
//!
//! They follow each other without anything between them; the length field is the only
//! framing. Whatever is wrong with it is final: nobody can tell where the next begins.

use super::packet::{HEADER_LENGTH, Packet, PacketError, length_of};

/// Takes packets out of octets that come in any pieces.
///
/// It holds less than [`Packet::MAX_LENGTH`] octets of an unfinished packet, beside what
/// was pushed since the last one was taken.
#[derive(Debug, Default)]
pub struct Framer {
    octets: Vec<u8>,
    taken: usize,
}

impl Framer {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read from the stream.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.taken);
        self.taken = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next packet that has come in whole. All are to be taken before more is read.
    ///
    /// # Errors
    ///
    /// The stream cannot be read on: an impossible length, or attributes that do not fill
    /// their packet. The connection is to be closed (RFC 6613 §2.6.4).
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, PacketError> {
        let rest = &self.octets[self.taken..];
        let Some([_, _, high, low]) = rest.first_chunk() else { return Ok(None) };
        let length = length_of([*high, *low])?;
        let start = self.taken;
        if rest.len() < length {
            return Ok(None);
        }
        self.taken += length;
        Packet::read(&self.octets[start..self.taken]).map(Some)
    }

    /// Whether the stream may end here: after a packet, not within one.
    #[must_use]
    pub fn is_between_packets(&self) -> bool {
        self.taken == self.octets.len()
    }

    /// How many octets are missing at least until there is another packet.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let rest = &self.octets[self.taken..];
        let length = match rest.first_chunk() {
            Some([_, _, high, low]) => length_of([*high, *low]).unwrap_or(HEADER_LENGTH),
            None => HEADER_LENGTH,
        };
        length.saturating_sub(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::radius::testdata;

    fn taken(framer: &mut Framer) -> Result<Vec<Vec<u8>>, PacketError> {
        let mut packets = Vec::new();
        while let Some(packet) = framer.next_packet()? {
            packets.push(packet.as_bytes().to_vec());
        }
        Ok(packets)
    }

    #[test]
    fn a_packet_may_come_split_at_every_octet() {
        let request = testdata::kdc_request();
        for at in 0..=request.len() {
            let mut framer = Framer::new();
            framer.push(&request[..at]);
            let mut packets = taken(&mut framer).unwrap();
            assert_eq!(framer.is_between_packets(), at == 0 || at == request.len());
            assert!(framer.wanted() <= request.len() - at || at == request.len(), "{at}");
            framer.push(&request[at..]);
            packets.extend(taken(&mut framer).unwrap());
            assert_eq!(packets, std::slice::from_ref(&request), "{at}");
        }
    }

    #[test]
    fn several_packets_may_come_at_once() {
        let (one, two) = (testdata::telnet_request(), testdata::kdc_request());
        let mut framer = Framer::new();
        framer.push(&[&one[..], &two, &one, &two[..5]].concat());
        assert_eq!(taken(&mut framer).unwrap(), [one.clone(), two.clone(), one]);
        assert!(!framer.is_between_packets());
        framer.push(&two[5..]);
        assert_eq!(taken(&mut framer).unwrap(), [two]);
        assert!(framer.is_between_packets());
    }

    #[test]
    fn an_impossible_length_and_torn_attributes_are_final() {
        let mut torn = testdata::telnet_request();
        torn[21] = 0;
        for octets in [&[1, 0, 0, 19][..], &[1, 0, 16, 1], &[1, 0, 0, 0], &torn] {
            let mut framer = Framer::new();
            framer.push(octets);
            assert!(taken(&mut framer).is_err(), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            requests in 0usize..4,
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let stream = [testdata::kdc_request().repeat(requests), octets].concat();
            let mut whole = Framer::new();
            whole.push(&stream);
            let expected = taken(&mut whole);
            let (mut pieces, mut found) = (Framer::new(), Ok(Vec::new()));
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while let (false, Ok(packets)) = (rest.is_empty(), &mut found) {
                let (piece, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                pieces.push(piece);
                rest = more;
                match taken(&mut pieces) {
                    Ok(some) => packets.extend(some),
                    Err(error) => found = Err(error),
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
