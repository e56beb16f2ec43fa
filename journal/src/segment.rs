//! Segments: the files that frames lie in.
//!
//! Responsible for: what they are called, and their header block.
//! Not responsible for: the frames in them (`frame`), which of several generations counts (`hiding`), and when a new one is begun (`journal`).

use std::fmt;

use position::{ChainHash, ClusterId, ClusterLife, Epoch, Index, Position, Tip};
use thiserror::Error;

use crate::frame::checksum_of;

/// The folder of all segments.
pub(crate) const JOURNAL_FOLDER: &str = "journal";
/// What stands before the first frame. A whole sector, so that no power cut tears it.
pub const SEGMENT_HEADER_BYTES: usize = 512;
/// The length of a segment: small enough to be zero-filled ahead of need and to be removed often, large
/// enough that a new one is rare under load.
pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// The length of the first segment and of one that follows a cut: those are begun while somebody waits.
pub const FIRST_SEGMENT_BYTES: u64 = 64 * 1024;
/// The version of the format of segments and of the frames in them.
pub const JOURNAL_FORMAT: u32 = 1;

const _: () = assert!((crate::frame::FRAME_BYTES_MAX + SEGMENT_HEADER_BYTES) as u64 <= SEGMENT_BYTES);
const _: () = assert!(SEGMENT_HEADER_BYTES.is_multiple_of(crate::frame::FRAME_ALIGNMENT));

const MAGIC: [u8; 8] = *b"PVJRNL01";
const CHECKSUM_AT: usize = 8;
const FORMAT_AT: usize = 16;
const SCHEMA_AT: usize = 20;
const ARCHIVE_TAG_AT: usize = 24;
const CLUSTER_AT: usize = 32;
const FIRST_INDEX_AT: usize = 48;
const GENERATION_AT: usize = 56;
const BEGINS_ANEW_AT: usize = 60;
const PREVIOUS_EPOCH_AT: usize = 64;
const PREVIOUS_INDEX_AT: usize = 72;
const PREVIOUS_HASH_AT: usize = 80;
const LAYOUT_AT: usize = 112;
const LIFE_AT: usize = 120;
const ZEROS_AT: usize = 128;

/// How often the journal has been cut: a segment hides everything of lower generations from its own first
/// index on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    /// A journal that is opened has been cut less often: there are generations left for as long as it runs.
    pub(crate) const OPENED_MAX: Generation = Generation(u32::MAX / 2);

    pub(crate) fn next(self) -> Generation {
        Generation(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Version of a state's type's archives: its state, commands, outcomes and rejections.
///
/// Archives of another schema are refused, since bytes of a newer struct can validate as an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema(pub u32);

/// Whose commands a journal holds. A journal with another tag is refused, since its commands would be
/// misread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalTag {
    /// The cluster.
    pub cluster: ClusterId,
    /// Stands for the layout of the archives.
    pub archive_tag: u64,
    /// The version of the state's type.
    pub schema: Schema,
    /// A fingerprint of how the archives are laid out. It changes with a type whose schema nobody raised.
    pub layout: u64,
}

/// What a file in the journal's folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SegmentKind {
    /// Frames from its first index on.
    Journal,
    /// Good copies of frames that are damaged in the segment of the same generation.
    Repair,
}

/// What a segment is called: `journal/{first:020}-{generation:08}.journal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// Its first entry.
    pub first: Index,
    /// Its generation.
    pub generation: Generation,
    /// Its kind, which is the ending.
    pub kind: SegmentKind,
}

impl SegmentName {
    pub(crate) fn journal(first: Index, generation: Generation) -> SegmentName {
        SegmentName { first, generation, kind: SegmentKind::Journal }
    }

    pub(crate) fn repair(first: Index, generation: Generation) -> SegmentName {
        SegmentName { first, generation, kind: SegmentKind::Repair }
    }

    /// Reads a file name without its folder; `None` for a file that is not ours.
    pub fn parse(file: &str) -> Option<SegmentName> {
        let (stem, ending) = file.split_once('.')?;
        let (first, generation) = stem.split_once('-')?;
        let kind = match ending {
            "journal" => SegmentKind::Journal,
            "repair" => SegmentKind::Repair,
            _ => return None,
        };
        let name = SegmentName {
            first: Index(first.parse().ok()?),
            generation: Generation(generation.parse().ok()?),
            kind,
        };
        // Only the very name that we would have written: `+1` and `1` parse too.
        (name.to_string().strip_prefix(JOURNAL_FOLDER)?.strip_prefix('/')? == file
            && name.first > Index::NONE)
            .then_some(name)
    }
}

/// The name within the data directory.
impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match self.kind {
            SegmentKind::Journal => "journal",
            SegmentKind::Repair => "repair",
        };
        write!(f, "{JOURNAL_FOLDER}/{:020}-{:08}.{ending}", self.first.0, self.generation.0)
    }
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose commands it holds.
    pub tag: JournalTag,
    /// Its first entry.
    pub first: Index,
    /// Its generation.
    pub generation: Generation,
    /// What its first frame follows.
    pub previous: Tip,
    /// The journal begins here: a snapshot ends at `previous`, and whatever segments there are before this one
    /// may be of another history.
    pub begins_anew: bool,
}

/// Why a segment's header block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SegmentFlaw {
    /// Nothing but zeros: the power went before it was written.
    #[error("its header was never written")]
    Blank,
    /// It is damaged.
    #[error("its header is damaged")]
    Damaged,
    /// Another version of this program wrote it.
    #[error("it is of format {found}, this program reads format {JOURNAL_FORMAT}")]
    Format {
        /// The format.
        found: u32,
    },
    /// The cluster has begun again, and this version of the program cannot know what that means.
    #[error("it is of life {found} of its cluster, this program knows life {} only", ClusterLife::FIRST)]
    Life {
        /// The life.
        found: ClusterLife,
    },
}

impl SegmentHeader {
    /// The header block.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(FORMAT_AT, &JOURNAL_FORMAT.to_le_bytes());
        put(SCHEMA_AT, &self.tag.schema.0.to_le_bytes());
        put(ARCHIVE_TAG_AT, &self.tag.archive_tag.to_le_bytes());
        put(CLUSTER_AT, &self.tag.cluster.0.to_le_bytes());
        put(FIRST_INDEX_AT, &self.first.0.to_le_bytes());
        put(GENERATION_AT, &self.generation.0.to_le_bytes());
        put(BEGINS_ANEW_AT, &u32::from(self.begins_anew).to_le_bytes());
        put(PREVIOUS_EPOCH_AT, &self.previous.epoch().0.to_le_bytes());
        put(PREVIOUS_INDEX_AT, &self.previous.index().0.to_le_bytes());
        put(PREVIOUS_HASH_AT, &self.previous.hash.0);
        put(LAYOUT_AT, &self.tag.layout.to_le_bytes());
        put(LIFE_AT, &ClusterLife::FIRST.0.to_le_bytes());
        let checksum = checksum_of(&[&block[FORMAT_AT..]]);
        block[CHECKSUM_AT..FORMAT_AT].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    /// Reads the header block at the start of a segment.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, SegmentFlaw> {
        let block = bytes.first_chunk::<SEGMENT_HEADER_BYTES>().ok_or(SegmentFlaw::Damaged)?;
        if block.iter().all(|byte| *byte == 0) {
            return Err(SegmentFlaw::Blank);
        }
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| block[at + byte]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| block[at + byte]));
        let intact = block.starts_with(&MAGIC) && u64_at(CHECKSUM_AT) == checksum_of(&[&block[FORMAT_AT..]]);
        if !intact {
            return Err(SegmentFlaw::Damaged);
        }
        if u32_at(FORMAT_AT) != JOURNAL_FORMAT {
            return Err(SegmentFlaw::Format { found: u32_at(FORMAT_AT) });
        }
        let life = ClusterLife(u64_at(LIFE_AT));
        // Lives were not counted at first: such a segment says 0.
        if life > ClusterLife::FIRST {
            return Err(SegmentFlaw::Life { found: life });
        }
        let position = Position::new(Epoch(u64_at(PREVIOUS_EPOCH_AT)), Index(u64_at(PREVIOUS_INDEX_AT)));
        let hash = ChainHash(std::array::from_fn(|byte| block[PREVIOUS_HASH_AT + byte]));
        let header = SegmentHeader {
            tag: JournalTag {
                cluster: ClusterId(u128::from_le_bytes(std::array::from_fn(|byte| block[CLUSTER_AT + byte]))),
                archive_tag: u64_at(ARCHIVE_TAG_AT),
                schema: Schema(u32_at(SCHEMA_AT)),
                layout: u64_at(LAYOUT_AT),
            },
            first: Index(u64_at(FIRST_INDEX_AT)),
            generation: Generation(u32_at(GENERATION_AT)),
            previous: Tip { position, hash },
            begins_anew: u32_at(BEGINS_ANEW_AT) == 1,
        };
        let sound = header.previous.index().0.checked_add(1) == Some(header.first.0)
            && u32_at(BEGINS_ANEW_AT) <= 1
            && block[ZEROS_AT..].iter().all(|byte| *byte == 0);
        if sound { Ok(header) } else { Err(SegmentFlaw::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            tag: JournalTag {
                cluster: ClusterId(0x0123_4567),
                archive_tag: 99,
                schema: Schema(2),
                layout: 5,
            },
            first: Index(41),
            generation: Generation(3),
            previous: Tip { position: Position::new(Epoch(7), Index(40)), hash: ChainHash([8; 32]) },
            begins_anew: true,
        }
    }

    #[test]
    fn names_are_read_only_as_they_are_written() {
        let largest = SegmentName::repair(Index(u64::MAX), Generation(u32::MAX));
        for name in [SegmentName::journal(Index(1), Generation(0)), largest] {
            let written = name.to_string();
            assert_eq!(SegmentName::parse(written.strip_prefix("journal/").unwrap()), Some(name));
        }
        let wrong = [
            "",
            "x",
            "1-1.journal",
            "00000000000000000001-00000001.snapshot",
            "00000000000000000000-00000001.journal",
            "+0000000000000000001-00000001.journal",
            "00000000000000000001-00000001.journal.unfinished",
        ];
        for file in wrong {
            assert_eq!(SegmentName::parse(file), None, "{file}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
        assert_eq!(SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES]), Err(SegmentFlaw::Blank));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_of_a_header_is_noticed() {
        let good = header().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Err(SegmentFlaw::Damaged), "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(SegmentHeader::decode(&good[..length]), Err(SegmentFlaw::Damaged), "{length} bytes");
        }
    }

    #[test]
    fn another_format_and_another_life_are_named() {
        for (at, flaw) in [
            (FORMAT_AT, SegmentFlaw::Format { found: 9 }),
            (LIFE_AT, SegmentFlaw::Life { found: ClusterLife(9) }),
        ] {
            let mut bytes = header().encode();
            bytes[at] = 9;
            let checksum = checksum_of(&[&bytes[FORMAT_AT..]]);
            bytes[CHECKSUM_AT..FORMAT_AT].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(SegmentHeader::decode(&bytes), Err(flaw));
        }
    }
}
