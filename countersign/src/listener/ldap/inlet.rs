//! What was read from a connection and not used yet.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::{Zeroize, Zeroizing};

/// Octets that have come in. Passwords pass through here, so what is done with is wiped.
#[derive(Debug)]
pub(super) struct Inlet {
    octets: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    usual: usize,
}

impl Inlet {
    /// With room for so many octets, and for more only while a message needs it.
    pub(super) fn new(usual: usize) -> Self {
        Self { octets: Zeroizing::new(vec![0; usual]), start: 0, end: 0, usual }
    }

    /// What has come in.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    /// Makes room for so many octets, those that have come in included.
    pub(super) fn make_room(&mut self, total: usize) {
        if total > self.octets.len() {
            self.replace(total);
        }
    }

    /// Reads what there is; 0 at the end. Nothing is lost if this is given up.
    pub(super) async fn fill(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<usize> {
        if self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            self.octets[self.end - self.start..self.end].zeroize();
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.octets.len() {
            self.replace(self.end + self.usual);
        }
        let length = reader.read(&mut self.octets[self.end..]).await?;
        self.end += length;
        Ok(length)
    }

    /// Drops what was used.
    pub(super) fn consume(&mut self, length: usize) {
        self.octets[self.start..self.start + length].zeroize();
        self.start += length;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.octets.len() > self.usual {
                self.replace(self.usual);
            }
        }
    }

    /// Other memory: growing in place would leave a copy behind that nobody wipes.
    fn replace(&mut self, size: usize) {
        let mut octets = Zeroizing::new(vec![0; size]);
        let length = self.end - self.start;
        octets[..length].copy_from_slice(self.octets());
        (self.octets, self.start, self.end) = (octets, 0, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fill(inlet: &mut Inlet, mut octets: &[u8]) -> usize {
        inlet.fill(&mut octets).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_not_used_stays_whatever_comes_behind() {
        let mut inlet = Inlet::new(4);
        assert_eq!(fill(&mut inlet, b"abcdef").await, 4);
        inlet.consume(3);
        assert_eq!(inlet.octets(), b"d");
        assert_eq!(fill(&mut inlet, b"efghij").await, 3);
        assert_eq!(inlet.octets(), b"defg");
        assert_eq!(fill(&mut inlet, b"hijklm").await, 4, "a full one grows");
        assert_eq!(inlet.octets(), b"defghijk");
        assert_eq!(fill(&mut inlet, b"").await, 0);
    }

    #[tokio::test]
    async fn a_long_message_has_room_only_while_it_is_there() {
        let mut inlet = Inlet::new(4);
        inlet.make_room(100);
        assert_eq!(fill(&mut inlet, &[7; 200]).await, 100);
        inlet.consume(60);
        assert_eq!((inlet.octets().len(), inlet.octets.len()), (40, 100));
        inlet.consume(40);
        assert_eq!((inlet.octets().len(), inlet.octets.len()), (0, 4));
    }

    #[tokio::test]
    async fn what_was_used_is_wiped() {
        let mut inlet = Inlet::new(8);
        fill(&mut inlet, b"secretab").await;
        inlet.consume(6);
        assert_eq!(&inlet.octets[..], b"\0\0\0\0\0\0ab");
        fill(&mut inlet, b"").await;
        assert_eq!(&inlet.octets[..], b"ab\0\0\0\0\0\0");
    }
}
