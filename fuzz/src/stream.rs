//! RADIUS packets on a stream: pieces do not matter, and nothing is lost between packets.

use countersign_core::wire::radius::{
    packet::{Packet, PacketError},
    stream::Framer,
};

/// The first octet tells how many of the next are lengths of pieces; what remains is the
/// stream, which comes in these pieces, over and over.
pub fn radius(octets: &[u8]) {
    let Some((count, rest)) = octets.split_first() else { return };
    let (cuts, stream) = rest.split_at(usize::from(*count).min(rest.len()));
    let whole = read(stream, |_| stream.len());
    let mut cuts = cuts.iter().cycle();
    let pieces = read(stream, |_| cuts.next().map_or(1, |cut| usize::from(*cut) + 1));
    assert_eq!(pieces, whole, "in other pieces");
    let wanted = read(stream, |framer| {
        assert!(framer.wanted() > 0 && framer.wanted() <= Packet::MAX_LENGTH);
        framer.wanted()
    });
    assert_eq!(wanted, whole, "as much as it wants");
    let (packets, error) = whole;
    let taken = packets.concat();
    assert!(stream.starts_with(&taken), "packets follow each other");
    let rest = stream.len() - taken.len();
    assert!(error.is_some() || rest < Packet::MAX_LENGTH, "what waits is bounded");
}

/// All packets of a stream that comes in pieces, and what is wrong with it.
fn read(
    mut stream: &[u8],
    mut next: impl FnMut(&Framer) -> usize,
) -> (Vec<Vec<u8>>, Option<PacketError>) {
    let mut framer = Framer::new();
    let mut packets = Vec::new();
    while !stream.is_empty() {
        let (piece, more) = stream.split_at(next(&framer).min(stream.len()));
        framer.push(piece);
        stream = more;
        loop {
            match framer.next_packet() {
                Ok(Some(packet)) => packets.push(packet.as_bytes().to_vec()),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}
