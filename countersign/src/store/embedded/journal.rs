//! The counter journal: frames of counter moves in two preallocated segments.
//!
//! `docs/format/store.md` has the bytes. Each generation fills one segment from
//! its start; generation `g` lives in segment `g % 2`. A frame begins at a
//! multiple of [`ALIGNMENT`] octets, so writing one never touches a sector of
//! another. The next frame is written only after the one before was flushed;
//! hence after a crash only the last frame can be incomplete, and whatever
//! stands whole behind an incomplete one is damage, not a crash.

use std::io;

use countersign_core::{
    domain::{
        counter::COUNTER_LENGTH,
        id::{AccountId, TokenId},
    },
    ldap::token::MarkKey,
};
use redb::StorageBackend;
use sha2::{Digest, Sha256};

/// Names a counter: what it counts, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CounterKey(pub(super) [u8; KEY_LENGTH]);

/// The octets of a counter, as the domain encodes them.
pub(super) type CounterValue = [u8; COUNTER_LENGTH];

/// A frame under construction: room for its header, then the moves.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

/// Where a generation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The generation.
    pub(super) generation: u64,
    /// The number of its first frame; frames are counted through all generations.
    pub(super) sequence: u64,
}

/// The journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal<B> {
    segments: [B; 2],
    store: StoreIdentity,
    next: Mark,
    offset: u64,
    capacity: u64,
}

/// 16 random octets that a store is given at creation; frames of another store are never valid.
pub(super) type StoreIdentity = [u8; 16];

/// What can be wrong with a journal when it is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// The disk does not give it back.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A whole frame stands where none can be after a crash.
    #[error(
        "frame {sequence} of generation {generation} at octet {offset} is whole, but frames before it are not, so moves that were acknowledged are lost; this is no power failure: check the disk and restore the whole directory from one backup"
    )]
    FrameOutOfPlace {
        /// Its generation.
        generation: u64,
        /// Its number.
        sequence: u64,
        /// Where it stands.
        offset: usize,
    },
}

impl<B: StorageBackend> Journal<B> {
    /// A journal that goes on with a generation at the start of its segment.
    pub(super) fn begin(segments: [B; 2], store: StoreIdentity, next: Mark) -> io::Result<Self> {
        let capacity = segments[0].len()?.min(segments[1].len()?);
        Ok(Self { segments, store, next, offset: 0, capacity })
    }

    /// How many octets a frame may have at most.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether the frame fits into what is left of the segment.
    pub(super) fn fits(&self, frame: &Frame) -> bool {
        self.offset + frame.aligned_length() <= self.capacity
    }

    /// Goes to the start of the other segment, whose moves must all be in the records.
    pub(super) fn rotate(&mut self) -> Mark {
        self.next.generation += 1;
        self.offset = 0;
        self.next
    }

    /// Writes a frame and flushes it. After an error the journal must not be written again.
    pub(super) fn append(&mut self, frame: &mut Frame) -> io::Result<()> {
        let octets = frame.seal(&self.store, self.next);
        let segment = &self.segments[segment_of(self.next.generation)];
        segment.write(self.offset, octets)?;
        segment.sync_data()?;
        self.offset += frame.aligned_length();
        self.next.sequence += 1;
        Ok(())
    }
}

/// Reads the moves of a generation in their order; returns where the next generation begins.
pub(super) fn replay(
    segment: &impl StorageBackend,
    store: &StoreIdentity,
    start: Mark,
    mut each: impl FnMut(CounterKey, CounterValue),
) -> Result<Mark, ReplayError> {
    let mut octets = vec![0; usize::try_from(segment.len()?).map_err(io::Error::other)?];
    segment.read(0, &mut octets)?;
    let mut rest = octets.as_slice();
    let mut sequence = start.sequence;
    while let Some(frame) = Found::at(rest, store)
        && (frame.mark == Mark { sequence, ..start })
    {
        for entry in frame.moves.chunks_exact(MOVE_LENGTH) {
            each(CounterKey(part(entry, 0)), part(entry, KEY_LENGTH));
        }
        rest = &rest[frame.aligned_length.min(rest.len())..];
        sequence += 1;
    }
    refuse_later_frames(rest, octets.len(), store, start.generation)?;
    Ok(Mark { generation: start.generation + 1, sequence })
}

/// Frames of older generations are left from before; others cannot stand here after a crash.
fn refuse_later_frames(
    rest: &[u8],
    length: usize,
    store: &StoreIdentity,
    generation: u64,
) -> Result<(), ReplayError> {
    for at in (0..rest.len()).step_by(ALIGNMENT) {
        if let Some(frame) = Found::at(&rest[at..], store)
            && frame.mark.generation >= generation
        {
            let Mark { generation, sequence } = frame.mark;
            let offset = length - rest.len() + at;
            return Err(ReplayError::FrameOutOfPlace { generation, sequence, offset });
        }
    }
    Ok(())
}

impl CounterKey {
    /// The counter of a token.
    pub(super) fn token(id: TokenId) -> Self {
        Self::of(b't', id.as_bytes())
    }

    /// The failures of an account.
    pub(super) fn failures(id: AccountId) -> Self {
        Self::of(b'f', id.as_bytes())
    }

    /// The mark of what was seen spent of a token that is kept elsewhere.
    pub(super) fn mark(key: MarkKey) -> Self {
        Self::of(b'm', &key.0)
    }

    /// The last failure of an account that is kept elsewhere.
    pub(super) fn last_failure(id: AccountId) -> Self {
        Self::of(b'l', id.as_bytes())
    }

    fn of(kind: u8, id: &[u8; 16]) -> Self {
        let mut octets = [kind; KEY_LENGTH];
        octets[1..].copy_from_slice(id);
        Self(octets)
    }
}

impl Frame {
    /// A frame without moves.
    pub(super) fn empty() -> Self {
        Self(vec![0; HEADER_LENGTH])
    }

    /// Takes the moves out, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.truncate(HEADER_LENGTH);
    }

    /// Adds a move.
    pub(super) fn push(&mut self, key: &CounterKey, value: &CounterValue) {
        self.0.extend_from_slice(&key.0);
        self.0.extend_from_slice(value);
    }

    /// How many octets of a segment it would take with `more` moves.
    pub(super) fn length_with(&self, more: usize) -> u64 {
        aligned(self.0.len() + more * MOVE_LENGTH) as u64
    }

    fn aligned_length(&self) -> u64 {
        aligned(self.0.len()) as u64
    }

    /// Writes the header, pads to the alignment.
    fn seal(&mut self, store: &StoreIdentity, mark: Mark) -> &[u8] {
        let length = u32::try_from(self.0.len() - HEADER_LENGTH)
            .expect("a frame is never larger than a segment");
        self.0[..4].copy_from_slice(&MAGIC);
        self.0[4..8].copy_from_slice(&length.to_be_bytes());
        self.0[8..16].copy_from_slice(&mark.generation.to_be_bytes());
        self.0[16..24].copy_from_slice(&mark.sequence.to_be_bytes());
        let checksum = checksum(store, &self.0[..24], &self.0[HEADER_LENGTH..]);
        self.0[24..HEADER_LENGTH].copy_from_slice(&checksum);
        self.0.resize(aligned(self.0.len()), 0);
        &self.0
    }
}

/// A whole frame as it stands in a segment.
struct Found<'a> {
    mark: Mark,
    moves: &'a [u8],
    aligned_length: usize,
}

impl<'a> Found<'a> {
    /// The frame at the start of `octets`, if a whole one stands there.
    fn at(octets: &'a [u8], store: &StoreIdentity) -> Option<Self> {
        let (header, rest) = octets.split_at_checked(HEADER_LENGTH)?;
        if header[..4] != MAGIC {
            return None;
        }
        let length = usize::try_from(u64::from(u32::from_be_bytes(part(header, 4)))).ok()?;
        let moves = rest.get(..length)?;
        if !length.is_multiple_of(MOVE_LENGTH)
            || checksum(store, &header[..24], moves) != header[24..]
        {
            return None;
        }
        let generation = u64::from_be_bytes(part(header, 8));
        let sequence = u64::from_be_bytes(part(header, 16));
        let aligned_length = aligned(HEADER_LENGTH + length);
        Some(Self { mark: Mark { generation, sequence }, moves, aligned_length })
    }
}

fn checksum(store: &StoreIdentity, header: &[u8], moves: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(store).chain_update(header).chain_update(moves);
    part(&digest.finalize(), 0)
}

/// `N` octets from `at`; both ends are constants inside a header, a move or a digest.
fn part<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&octets[at..at + N]);
    out
}

/// The segment that a generation lives in.
pub(super) fn segment_of(generation: u64) -> usize {
    usize::from(!generation.is_multiple_of(2))
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// The smallest unit that disks write whole.
pub(super) const ALIGNMENT: usize = 512;
const MAGIC: [u8; 4] = *b"CSJ1";
const HEADER_LENGTH: usize = 32;
pub(super) const KEY_LENGTH: usize = 17;
const MOVE_LENGTH: usize = KEY_LENGTH + COUNTER_LENGTH;

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const STORE: StoreIdentity = [7; 16];
    const FIRST: Mark = Mark { generation: 4, sequence: 10 };

    fn segment() -> InMemoryBackend {
        let segment = InMemoryBackend::new();
        segment.set_len(8192).unwrap();
        segment
    }

    fn key(number: u8) -> CounterKey {
        CounterKey::token(TokenId::from_bytes([number; 16]))
    }

    fn journal() -> Journal<InMemoryBackend> {
        Journal::begin([segment(), segment()], STORE, FIRST).unwrap()
    }

    /// Appends a frame with `moves` moves of counter `number`.
    fn append(journal: &mut Journal<InMemoryBackend>, number: u8, moves: usize) {
        let mut frame = Frame::empty();
        for _ in 0..moves {
            frame.push(&key(number), &[number; 24]);
        }
        journal.append(&mut frame).unwrap();
    }

    fn read(
        segment: &InMemoryBackend,
        start: Mark,
    ) -> Result<(Vec<CounterKey>, Mark), ReplayError> {
        let mut keys = Vec::new();
        let end = replay(segment, &STORE, start, |key, value| {
            assert_eq!(value, [key.0[1]; 24]);
            keys.push(key);
        })?;
        Ok((keys, end))
    }

    #[test]
    fn gives_back_every_move_in_order() {
        let mut journal = journal();
        append(&mut journal, 1, 1);
        append(&mut journal, 2, 30);
        append(&mut journal, 3, 1);
        let (keys, end) = read(&journal.segments[0], FIRST).unwrap();
        assert_eq!(keys.len(), 32);
        assert_eq!((keys[0], keys[1], keys[31]), (key(1), key(2), key(3)));
        assert_eq!(end, Mark { generation: 5, sequence: 13 });
    }

    #[test]
    fn stops_at_an_incomplete_last_frame() {
        let mut journal = journal();
        append(&mut journal, 1, 1);
        append(&mut journal, 2, 30);
        journal.segments[0].write(512 + 900, &[0xFF]).unwrap();
        let (keys, end) = read(&journal.segments[0], FIRST).unwrap();
        assert_eq!((keys, end.sequence), (vec![key(1)], 11));
    }

    #[test]
    fn reports_a_damaged_frame_before_a_whole_one() {
        let mut journal = journal();
        for number in 1..4 {
            append(&mut journal, number, 1);
        }
        journal.segments[0].write(512 + 40, &[0xFF]).unwrap();
        let error = read(&journal.segments[0], FIRST).unwrap_err();
        assert!(matches!(error, ReplayError::FrameOutOfPlace { sequence: 12, offset: 1024, .. }));
    }

    #[test]
    fn ignores_frames_of_an_older_generation() {
        let mut journal = journal();
        for number in 1..4 {
            append(&mut journal, number, 1);
        }
        journal.rotate();
        let start = journal.rotate();
        assert_eq!(start, Mark { generation: 6, sequence: 13 });
        assert_eq!(read(&journal.segments[0], start).unwrap().0, []);
        append(&mut journal, 9, 1);
        assert_eq!(read(&journal.segments[0], start).unwrap().0, [key(9)]);
    }

    #[test]
    fn refuses_a_generation_newer_than_expected() {
        let mut journal = journal();
        append(&mut journal, 1, 1);
        let older = Mark { generation: 2, sequence: 10 };
        assert!(matches!(
            read(&journal.segments[0], older),
            Err(ReplayError::FrameOutOfPlace { generation: 4, .. })
        ));
    }

    #[test]
    fn never_reads_the_frames_of_another_store() {
        let mut journal = journal();
        append(&mut journal, 1, 1);
        let end = replay(&journal.segments[0], &[8; 16], FIRST, |_, _| panic!("a foreign move"));
        assert_eq!(end.unwrap().sequence, FIRST.sequence);
    }

    #[test]
    fn knows_what_still_fits() {
        let mut journal = journal();
        let mut frame = Frame::empty();
        for _ in 0..11 {
            frame.push(&key(1), &[1; 24]);
        }
        assert_eq!((frame.length_with(0), frame.length_with(1)), (512, 1024));
        for _ in 0..15 {
            append(&mut journal, 1, 1);
        }
        assert!(journal.fits(&frame));
        frame.push(&key(1), &[1; 24]);
        assert!(!journal.fits(&frame));
        journal.rotate();
        assert!(journal.fits(&frame));
    }
}
