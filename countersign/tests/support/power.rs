//! A disk in memory whose power fails at a chosen flush.
//!
//! What was flushed is kept. Of what was written since, each sector is kept, lost
//! or torn at random, because a disk is free to write them in any order.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use countersign::store::embedded::Files;
use redb::StorageBackend;

/// What all files of a disk hang on.
#[derive(Debug)]
pub(crate) struct Power {
    flushes_left: AtomicU64,
    full: AtomicBool,
}

/// A file on the disk.
#[derive(Debug, Clone)]
pub(crate) struct PowerFile {
    content: Arc<Mutex<Content>>,
    power: Arc<Power>,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    flushed: Vec<u8>,
    unflushed: Vec<Operation>,
}

#[derive(Debug)]
enum Operation {
    Write { offset: usize, octets: Vec<u8> },
    SetLength(usize),
}

impl Power {
    /// Power for `flushes` flushes; the one after that fails, and everything then.
    pub(crate) fn for_flushes(flushes: u64) -> Arc<Self> {
        Arc::new(Self { flushes_left: AtomicU64::new(flushes), full: AtomicBool::new(false) })
    }

    /// Lets every write to new room fail from now on.
    pub(crate) fn fill_up(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.flushes_left.load(Ordering::SeqCst) == 0
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off() { Err(io::Error::other("the power failed")) } else { Ok(()) }
    }
}

impl PowerFile {
    /// An empty file and two segments of `length` octets.
    pub(crate) fn fresh(power: &Arc<Power>, length: usize) -> Files<Self> {
        let file = |octets: Vec<u8>| Self::holding(octets, power);
        Files {
            records: file(Vec::new()),
            segments: [file(vec![0; length]), file(vec![0; length])],
        }
    }

    /// The files as they are found when the power comes back.
    pub(crate) fn after_failure(files: &Files<Self>, power: &Arc<Power>, seed: u64) -> Files<Self> {
        let mut random = Random(seed);
        let mut survive = |file: &Self| Self::holding(file.survivor(&mut random), power);
        let [first, second] = &files.segments;
        Files { records: survive(&files.records), segments: [survive(first), survive(second)] }
    }

    fn holding(octets: Vec<u8>, power: &Arc<Power>) -> Self {
        let content = Content { now: octets.clone(), flushed: octets, unflushed: Vec::new() };
        Self { content: Arc::new(Mutex::new(content)), power: Arc::clone(power) }
    }

    fn survivor(&self, random: &mut Random) -> Vec<u8> {
        let content = self.content.lock().unwrap();
        let mut octets = content.flushed.clone();
        for operation in &content.unflushed {
            match operation {
                Operation::SetLength(length) if random.below(2) == 0 => octets.resize(*length, 0),
                Operation::SetLength(_) => {}
                Operation::Write { offset, octets: written } => {
                    write_some_sectors(&mut octets, *offset, written, random);
                }
            }
        }
        octets
    }
}

fn write_some_sectors(octets: &mut Vec<u8>, offset: usize, written: &[u8], random: &mut Random) {
    // Now and then a whole write survives or vanishes, not only parts of each.
    let luck = random.below(4);
    for (index, sector) in written.chunks(512).enumerate() {
        let kept = match (luck, random.below(3)) {
            (0, _) | (_, 0) => sector.len(),
            (1, _) | (_, 1) => 0,
            _ => random.below(sector.len()),
        };
        let start = offset + index * 512;
        octets.resize(octets.len().max(start + kept), 0);
        octets[start..start + kept].copy_from_slice(&sector[..kept]);
    }
}

impl StorageBackend for PowerFile {
    fn len(&self) -> io::Result<u64> {
        self.power.check()?;
        Ok(self.content.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.power.check()?;
        let offset = usize::try_from(offset).unwrap();
        let content = self.content.lock().unwrap();
        let octets = content.now.get(offset..offset + out.len());
        out.copy_from_slice(octets.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.power.check()?;
        let length = usize::try_from(length).unwrap();
        let mut content = self.content.lock().unwrap();
        if length > content.now.len() && self.power.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.now.resize(length, 0);
        content.unflushed.push(Operation::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let left = &self.power.flushes_left;
        let mut content = self.content.lock().unwrap();
        let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        self.power.check()?;
        content.flushed = content.now.clone();
        content.unflushed.clear();
        Ok(())
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.power.check()?;
        let offset = usize::try_from(offset).unwrap();
        let mut content = self.content.lock().unwrap();
        let place = content.now.get_mut(offset..offset + octets.len());
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(octets);
        content.unflushed.push(Operation::Write { offset, octets: octets.to_vec() });
        Ok(())
    }
}

/// A generator of numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}
