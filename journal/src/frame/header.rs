use std::time::Duration;

use position::{ChainHash, Epoch, FrameId, Index, Tip};

use super::{FRAME_ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameError, checksum_of, hash_of};
use crate::entry::ENTRY_HEADER_BYTES;

/// "PVFR": where a frame starts.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"PVFR";
pub(super) const BODY_BYTES_AT: usize = 4;
pub(super) const ENTRIES_AT: usize = 8;
pub(super) const ZERO_BLOCKS_AT: usize = 12;
pub(super) const EPOCH_AT: usize = 16;
pub(super) const FIRST_INDEX_AT: usize = 24;
pub(super) const COMMIT_AT: usize = 32;
pub(super) const CLUSTER_TIME_AT: usize = 40;
pub(super) const WALL_TIME_AT: usize = 48;
pub(super) const HEADER_CHECKSUM_AT: usize = 56;
pub(super) const PREVIOUS_HASH_AT: usize = 64;
pub(super) const HASH_AT: usize = 96;

/// What a frame says of itself. Its own checksum covers it, so that a frame whose contents are damaged can
/// still be asked for by its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the entries.
    pub(super) body_bytes: u32,
    /// How many entries there are; at least one.
    pub entries: u32,
    /// How many 128-byte blocks of the padded body hold zeros only. Where more are found, some were never
    /// written.
    pub zero_blocks: u32,
    /// The mastership that wrote it.
    pub epoch: Epoch,
    /// The index of the first entry.
    pub first_index: Index,
    /// What the master knew to be committed when it wrote the frame.
    pub commit: Index,
    /// The cluster's clock.
    pub cluster_time: Duration,
    /// The master's wall clock, in nanoseconds since 1970: for people.
    pub wall_time: i64,
    /// The chain hash of the frame before.
    pub previous_hash: ChainHash,
    /// The chain hash up to the end of this frame.
    pub hash: ChainHash,
}

impl FrameHeader {
    /// Reads and checks a header. It may promise a body that is damaged or not there.
    pub(crate) fn read(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
        let Some(block) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(FrameError::Cut { needed: FRAME_HEADER_BYTES, available: bytes.len() });
        };
        if !block.starts_with(&FRAME_MAGIC) {
            return Err(FrameError::Header);
        }
        let checksum = checksum_of(&[&block[..HEADER_CHECKSUM_AT], &block[PREVIOUS_HASH_AT..]]);
        if block[HEADER_CHECKSUM_AT..PREVIOUS_HASH_AT] != checksum.to_le_bytes() {
            return Err(FrameError::Header);
        }
        let header = FrameHeader::read_verified(block);
        if header.is_plausible() { Ok(header) } else { Err(FrameError::Header) }
    }

    /// Reads a header that has been checked before.
    ///
    /// # Panics
    /// If the bytes are too few.
    pub(crate) fn read_verified(bytes: &[u8]) -> FrameHeader {
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let hash_at = |at: usize| ChainHash(std::array::from_fn(|byte| bytes[at + byte]));
        FrameHeader {
            body_bytes: u32_at(BODY_BYTES_AT),
            entries: u32_at(ENTRIES_AT),
            zero_blocks: u32_at(ZERO_BLOCKS_AT),
            epoch: Epoch(u64_at(EPOCH_AT)),
            first_index: Index(u64_at(FIRST_INDEX_AT)),
            commit: Index(u64_at(COMMIT_AT)),
            cluster_time: Duration::from_nanos(u64_at(CLUSTER_TIME_AT)),
            wall_time: i64::from_le_bytes(u64_at(WALL_TIME_AT).to_le_bytes()),
            previous_hash: hash_at(PREVIOUS_HASH_AT),
            hash: hash_at(HASH_AT),
        }
    }

    /// How long the only frame in these bytes seems to be, whose header is damaged, and how many entries it holds: it
    /// looks like the one that follows `tip`, header and entries agree, and nothing but zeros lies behind it. `None`
    /// where more may have been.
    pub(crate) fn lone_frame(bytes: &[u8], tip: &Tip) -> Option<(usize, u64)> {
        let header = FrameHeader::read_verified(bytes.first_chunk::<FRAME_HEADER_BYTES>()?);
        let is_next = bytes.starts_with(&FRAME_MAGIC) && header.first_index == tip.index().next();
        if !is_next && header.previous_hash != tip.hash {
            return None;
        }
        // Either field may be what is damaged: the entries say both once more.
        let room = &bytes[FRAME_HEADER_BYTES..];
        let by_length = |(body, _): &(usize, u64)| *body == header.body_bytes();
        let by_count = |(_, count): &(usize, u64)| *count == u64::from(header.entries);
        let (body, count) = entry_ends(room).find(by_length).or_else(|| entry_ends(room).find(by_count))?;
        let length = FRAME_HEADER_BYTES + body.next_multiple_of(FRAME_ALIGNMENT);
        let (frame, rest) = bytes.split_at_checked(length)?;
        let mut starts = (FRAME_ALIGNMENT..frame.len()).step_by(FRAME_ALIGNMENT);
        let is_another = |other: FrameHeader| other.first_index > tip.index();
        let another = starts.any(|at| FrameHeader::read(&frame[at..]).is_ok_and(is_another));
        (!another && rest.iter().all(|byte| *byte == 0)).then_some((length, count))
    }

    /// Completes the header from the body: hashes both and writes the header's 128 bytes.
    pub(super) fn complete(mut self, block: &mut [u8], body: &[u8]) -> FrameHeader {
        let cluster_time = u64::try_from(self.cluster_time.as_nanos()).expect("below 584 years");
        block[..BODY_BYTES_AT].copy_from_slice(&FRAME_MAGIC);
        block[BODY_BYTES_AT..ENTRIES_AT].copy_from_slice(&self.body_bytes.to_le_bytes());
        block[ENTRIES_AT..ZERO_BLOCKS_AT].copy_from_slice(&self.entries.to_le_bytes());
        block[ZERO_BLOCKS_AT..EPOCH_AT].copy_from_slice(&self.zero_blocks.to_le_bytes());
        block[EPOCH_AT..FIRST_INDEX_AT].copy_from_slice(&self.epoch.0.to_le_bytes());
        block[FIRST_INDEX_AT..COMMIT_AT].copy_from_slice(&self.first_index.0.to_le_bytes());
        block[COMMIT_AT..CLUSTER_TIME_AT].copy_from_slice(&self.commit.0.to_le_bytes());
        block[CLUSTER_TIME_AT..WALL_TIME_AT].copy_from_slice(&cluster_time.to_le_bytes());
        block[WALL_TIME_AT..HEADER_CHECKSUM_AT].copy_from_slice(&self.wall_time.to_le_bytes());
        block[PREVIOUS_HASH_AT..HASH_AT].copy_from_slice(&self.previous_hash.0);
        self.hash = self.hash_over(block, body);
        block[HASH_AT..FRAME_HEADER_BYTES].copy_from_slice(&self.hash.0);
        let checksum = checksum_of(&[&block[..HEADER_CHECKSUM_AT], &block[PREVIOUS_HASH_AT..]]);
        block[HEADER_CHECKSUM_AT..PREVIOUS_HASH_AT].copy_from_slice(&checksum.to_le_bytes());
        self
    }

    /// The chain hash that a frame with this header's bytes and that body should have.
    pub(super) fn hash_over(&self, header: &[u8], body: &[u8]) -> ChainHash {
        hash_of(&[&header[..HEADER_CHECKSUM_AT], &self.previous_hash.0, body])
    }

    /// Which frame this is.
    #[must_use]
    pub fn id(&self) -> FrameId {
        let last = self.first_index.plus(u64::from(self.entries) - 1);
        FrameId { epoch: self.epoch, first: self.first_index, last, hash: self.hash }
    }

    /// Whether it is the next one after `tip`. Epochs never fall along a journal.
    #[must_use]
    pub fn follows(&self, tip: &Tip) -> bool {
        self.first_index == tip.index().next() && self.previous_hash == tip.hash && self.epoch >= tip.epoch()
    }

    /// Bytes of the entries.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes as usize
    }

    /// Bytes of the whole frame, header and padding included.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body_bytes().next_multiple_of(FRAME_ALIGNMENT)
    }

    /// A checksum of 64 bits is no proof of sense: nothing may be computed from absurd numbers.
    fn is_plausible(&self) -> bool {
        let entries_bytes_min = u64::from(self.entries) * ENTRY_HEADER_BYTES as u64;
        self.body_bytes() <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES
            && self.entries > 0
            && entries_bytes_min <= u64::from(self.body_bytes)
            && self.first_index > self.commit
            && self.first_index.0.checked_add(u64::from(self.entries)).is_some()
    }
}

/// Where each of the entries at the start of these bytes ends by its own length, and how many there are up to there.
fn entry_ends(body: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    let (mut end, mut count) = (0_usize, 0);
    std::iter::from_fn(move || {
        let length = body.get(end..)?.first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        end = end.checked_add(ENTRY_HEADER_BYTES)?.checked_add(length.checked_next_multiple_of(8)?)?;
        count += 1;
        (end <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES).then_some((end, count))
    })
}
