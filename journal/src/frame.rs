//! Frames: what is appended, hashed, shipped, acknowledged and cut as one.
//!
//! Responsible for: how a frame is laid out, its chain hash, and that bytes become a [`Frame`] only once
//! hash and structure are verified.
//! Not responsible for: where a frame lies in a file (`segment`), and what its entries mean (`engine`).

mod builder;
mod header;
mod unverified;

use position::{ChainHash, FrameId, Index, Tip};
use thiserror::Error;

use crate::entry::{Entries, Entry, EntryError};

pub use builder::{FrameBuilder, FrameFull, Stamp};
pub use header::FrameHeader;
pub use unverified::UnverifiedFrames;

/// What stands before a frame's entries.
pub const FRAME_HEADER_BYTES: usize = 128;
/// Frames start at multiples of this, in files as on the wire.
pub const FRAME_ALIGNMENT: usize = 128;
/// The longest frame, header and padding included. It bounds what a reader must hold at once.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

const _: () = assert!(FRAME_BYTES_MAX.is_multiple_of(FRAME_ALIGNMENT));
const _: () =
    assert!(crate::entry::PAYLOAD_BYTES_MAX + crate::entry::ENTRY_HEADER_BYTES < FRAME_BYTES_MAX / 2);

/// Bytes that are no frame, or not the one that belongs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes end too early.
    #[error("a frame of {needed} bytes was cut off after {available}")]
    Cut {
        /// The frame's length, or that of its header if not even this is there.
        needed: usize,
        /// How many bytes there are.
        available: usize,
    },
    /// No header whose checksum is right: what was written here is unknown.
    #[error("there is no frame header, or a damaged one")]
    Header,
    /// The header is right, the rest is not.
    #[error("the contents of frame {}..={} of epoch {} are damaged", .id.first, .id.last, .id.epoch)]
    Body {
        /// Which frame it was.
        id: FrameId,
    },
    /// The frame is as it was written, but its entries are not well-formed: whoever wrote it is another
    /// version.
    #[error("frame {}..={} of epoch {} is intact, but {source}", .id.first, .id.last, .id.epoch)]
    Entries {
        /// Which frame it is.
        id: FrameId,
        /// What is wrong.
        source: EntryError,
    },
    /// The frame is intact, but holds another number of entries than its header says.
    #[error("frame {}..={} of epoch {} holds {found} entries", .id.first, .id.last, .id.epoch)]
    Count {
        /// Which frame it is.
        id: FrameId,
        /// How many entries there are.
        found: u32,
    },
    /// The frame belongs to another history, or somewhere else in this one.
    #[error("frame {}..={} of epoch {} does not follow {after}", .id.first, .id.last, .id.epoch)]
    Unchained {
        /// Which frame it is.
        id: FrameId,
        /// What it was to follow.
        after: Tip,
    },
}

/// A frame whose hash and structure have been verified.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    header: FrameHeader,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Verifies the frame at the start of these bytes, which may go on behind it.
    ///
    /// # Errors
    /// If there is no frame, or anything about it is wrong.
    pub fn verify(bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        Frame::verify_behind(FrameHeader::read(bytes)?, bytes)
    }

    /// Verifies the frame at the start of these bytes, whose header has been read.
    pub(crate) fn verify_behind(header: FrameHeader, bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let (needed, available) = (header.frame_bytes(), bytes.len());
        let bytes = bytes.get(..needed).ok_or(FrameError::Cut { needed, available })?;
        let id = header.id();
        let (body, padding) = bytes[FRAME_HEADER_BYTES..].split_at(header.body_bytes());
        if header.hash_over(bytes, body) != header.hash || padding.iter().any(|byte| *byte != 0) {
            return Err(FrameError::Body { id });
        }
        let entries = Entries::check(body).map_err(|source| FrameError::Entries { id, source })?;
        if entries.count() != header.entries {
            return Err(FrameError::Count { id, found: entries.count() });
        }
        Ok(Frame { header, bytes })
    }

    /// A frame that was verified when it came into this process's memory, and cannot have changed since.
    pub(crate) fn verified_before(bytes: &'a [u8]) -> Frame<'a> {
        let header = FrameHeader::read_verified(bytes);
        Frame { header, bytes: &bytes[..header.frame_bytes()] }
    }

    /// What the header says.
    #[must_use]
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// All of it, header and padding included: what is written and sent.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Which frame this is.
    #[must_use]
    pub fn id(&self) -> FrameId {
        self.header.id()
    }

    /// Where the history ends with this frame.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.id().tip()
    }

    /// Whether it is the next one after `tip`.
    #[must_use]
    pub fn follows(&self, tip: &Tip) -> bool {
        self.header.follows(tip)
    }

    /// The entries in order, each with its index.
    pub fn entries(&self) -> impl Iterator<Item = (Index, Entry<'a>)> + use<'a> {
        let body = &self.bytes[FRAME_HEADER_BYTES..][..self.header.body_bytes()];
        let indices = (self.header.first_index.0..).map(Index);
        indices.zip(Entries::checked(body, self.header.entries).iter())
    }
}

/// How many blocks of [`FRAME_ALIGNMENT`] bytes hold nothing but zeros; an incomplete last one counts as if
/// it were filled up with zeros.
pub(crate) fn zero_blocks(bytes: &[u8]) -> u32 {
    let zero = bytes.chunks(FRAME_ALIGNMENT).filter(|block| block.iter().all(|byte| *byte == 0)).count();
    u32::try_from(zero).expect("a frame has few blocks")
}

/// Blake3 over the parts.
pub(crate) fn hash_of(parts: &[&[u8]]) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    ChainHash(*hasher.finalize().as_bytes())
}

/// The first 8 bytes of blake3 over the parts.
pub(crate) fn checksum_of(parts: &[&[u8]]) -> u64 {
    let ChainHash(hash) = hash_of(parts);
    u64::from_le_bytes(std::array::from_fn(|byte| hash[byte]))
}

#[cfg(test)]
mod tests;
