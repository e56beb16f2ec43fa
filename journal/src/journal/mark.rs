//! The mark: how far this machine's own journal was durable, beside the journal itself.
//!
//! A bad frame below the mark was whole once, so it is damage. A bad frame above it may never have been
//! written. The mark is noted without a sync after each sync of the journal, so a power cut may leave an
//! older one, never one that says too much.
//!
//! Two threads write it: the one that syncs, and the one that cuts. Neither takes back what the other knows.

use std::sync::{Arc, Mutex, PoisonError};

use position::{ChainHash, Epoch, Index, Position, Tip};
use storage::{Disk, DiskError};

use super::finding::Finding;
use crate::frame::checksum_of;
use crate::segment::Generation;

/// Where the mark lies.
pub(crate) const MARK_FILE: &str = "mark";
/// One sector holds it, so that a power cut leaves the old mark or the new one.
const MARK_BYTES: usize = 80;

const MAGIC: [u8; 8] = *b"PVMARK01";
const CHECKSUM_AT: usize = 8;
const CLEAN_AT: usize = 16;
const GENERATION_AT: usize = 20;
const EPOCH_AT: usize = 24;
const INDEX_AT: usize = 32;
const HASH_AT: usize = 40;
const ZEROS_AT: usize = 72;

/// A machine's own durable frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The end of what was durable.
    pub(crate) durable: Tip,
    /// The journal's generation then. A later one may have cut below the mark.
    pub(crate) generation: Generation,
    /// The process ended in an orderly way, with everything durable.
    pub(crate) clean: bool,
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(CLEAN_AT, &u32::from(self.clean).to_le_bytes());
        put(GENERATION_AT, &self.generation.0.to_le_bytes());
        put(EPOCH_AT, &self.durable.epoch().0.to_le_bytes());
        put(INDEX_AT, &self.durable.index().0.to_le_bytes());
        put(HASH_AT, &self.durable.hash.0);
        let checksum = checksum_of(&[&bytes[CLEAN_AT..]]);
        bytes[CHECKSUM_AT..CLEAN_AT].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
        let bytes: &[u8; MARK_BYTES] = bytes.try_into().ok()?;
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let intact = bytes.starts_with(&MAGIC)
            && u64_at(CHECKSUM_AT) == checksum_of(&[&bytes[CLEAN_AT..]])
            && u32_at(CLEAN_AT) <= 1
            && bytes[ZEROS_AT..].iter().all(|byte| *byte == 0);
        intact.then(|| Mark {
            durable: Tip {
                position: Position::new(Epoch(u64_at(EPOCH_AT)), Index(u64_at(INDEX_AT))),
                hash: ChainHash(std::array::from_fn(|byte| bytes[HASH_AT + byte])),
            },
            generation: Generation(u32_at(GENERATION_AT)),
            clean: u32_at(CLEAN_AT) == 1,
        })
    }

    /// Reads the mark. One that is missing or damaged is no mark: then nothing counts as proof that a frame
    /// was never written.
    pub(crate) fn load(disk: &Disk) -> Result<Option<Mark>, DiskError> {
        match disk.read(MARK_FILE, MARK_BYTES as u64) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| Mark::decode(&bytes))),
            Err(DiskError::TooLong { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same for a start, which does without it whatever is the matter with it, and says so.
    pub(crate) fn find(disk: &Disk) -> (Option<Mark>, Option<Finding>) {
        match disk.read(MARK_FILE, MARK_BYTES as u64) {
            Ok(None) => (None, None),
            Ok(Some(bytes)) => {
                let mark = Mark::decode(&bytes);
                (mark, mark.is_none().then_some(Finding::Mark { error: None }))
            }
            Err(DiskError::TooLong { .. }) => (None, Some(Finding::Mark { error: None })),
            Err(error) => (None, Some(Finding::Mark { error: Some(error.to_string()) })),
        }
    }

    /// Whether it knows of something that happened after the other was made.
    fn is_newer_than(&self, other: &Mark) -> bool {
        let age = |mark: &Mark| (mark.generation, mark.durable.index(), mark.clean);
        age(self) > age(other)
    }
}

/// The file that the mark lies in, for everyone who writes it.
///
/// The mark is a hint. A start that finds none, or an old one, takes less for lost or never written than it could: so
/// a disk that refuses it is worth a warning, and nothing more.
#[derive(Clone, Debug)]
pub(crate) struct MarkFile {
    disk: Disk,
    written: Arc<Mutex<Written>>,
}

#[derive(Debug, Default)]
struct Written {
    newest: Option<Mark>,
    /// Somebody has been told that it cannot be written. Once is enough: it is tried after every sync.
    warned: bool,
}

impl MarkFile {
    pub(crate) fn new(disk: Disk) -> MarkFile {
        MarkFile { disk, written: Arc::default() }
    }

    /// Writes a mark without a sync, unless a newer one is there.
    pub(crate) fn note(&self, mark: &Mark) {
        self.write(mark, |bytes| self.disk.note(MARK_FILE, bytes));
    }

    /// Writes a mark and syncs it, unless a newer one is there.
    pub(crate) fn store(&self, mark: &Mark) {
        self.write(mark, |bytes| self.disk.store_hint(MARK_FILE, bytes));
    }

    fn write(&self, mark: &Mark, write: impl FnOnce(&[u8]) -> Result<(), DiskError>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.newest.is_some_and(|newest| newest.is_newer_than(mark)) {
            return;
        }
        match write(&mark.encode()) {
            Ok(()) => *written = Written { newest: Some(*mark), warned: false },
            Err(error) if !written.warned => {
                written.warned = true;
                tracing::warn!(
                    "mark: it cannot be written ({error}). It is a hint, and the journal goes on without it: the next start may take less for whole than there is, never more. Check the disk"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let position = Position::new(Epoch(3), Index(500));
        Mark { durable: Tip { position, hash: ChainHash([4; 32]) }, generation: Generation(2), clean: true }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        assert_eq!(Mark::decode(&mark().encode()), Some(mark()));
    }

    #[test]
    fn an_older_mark_does_not_replace_a_newer_one() {
        let disk = storage::SimDisk::new(1).disk();
        let file = MarkFile::new(disk.clone());
        let durable = |index| Tip { position: Position::new(Epoch(3), Index(index)), ..mark().durable };
        let at = |generation, index, clean| Mark {
            generation: Generation(generation),
            durable: durable(index),
            clean,
        };
        let check = |written: Mark, expected: Mark| {
            file.note(&written);
            assert_eq!(Mark::load(&disk).unwrap(), Some(expected));
        };
        check(at(1, 50, false), at(1, 50, false));
        check(at(1, 40, false), at(1, 50, false));
        check(at(2, 30, false), at(2, 30, false));
        check(at(1, 60, false), at(2, 30, false));
        check(at(2, 35, true), at(2, 35, true));
        check(at(2, 35, false), at(2, 35, true));
    }

    #[test]
    fn a_mark_that_cannot_be_written_ends_nothing() {
        let machine = storage::SimDisk::new(1);
        let disk = machine.disk();
        let file = MarkFile::new(disk.clone());
        machine.fail_next_sync();
        file.store(&mark());
        disk.overwrite("another", b"file").expect("a mark that was not synced is no reason to stop");
        file.store(&mark());
        assert_eq!(Mark::load(&disk).unwrap(), Some(mark()));
    }

    #[test]
    fn a_damaged_mark_is_no_mark() {
        let good = mark().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&bytes), None, "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(Mark::decode(&good[..length]), None, "{length} bytes");
        }
    }
}
