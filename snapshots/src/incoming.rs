use std::fmt;
use std::io::Write as _;

use position::Tip;
use storage::Stage;

use crate::header::Header;
use crate::shelf::{Shelf, name_of};
use crate::{Flaw, HEADER_BYTES, Opened, SnapshotError};

/// A snapshot that a peer is sending. Dropped unfinished, it leaves nothing behind.
///
/// Chunks are taken in order and hashed on arrival; one that came twice is no harm, one that came too early
/// is not kept.
pub struct Incoming {
    shelf: Shelf,
    tip: Tip,
    file_bytes: u64,
    stage: Stage,
    received: u64,
    header: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Incoming {
    pub(crate) fn begin(shelf: Shelf, tip: Tip, file_bytes: u64, stage: Stage) -> Incoming {
        Incoming {
            shelf,
            tip,
            file_bytes,
            stage,
            received: 0,
            header: Vec::with_capacity(HEADER_BYTES),
            hasher: blake3::Hasher::new(),
        }
    }

    /// How many bytes from the start of the file have arrived without a gap: where the sender goes on.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether all of it is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.received == self.file_bytes
    }

    /// Takes a chunk of the file; the same as [`Incoming::received`] afterwards.
    ///
    /// # Errors
    /// If it reaches beyond the announced end, if the header in it is not the announced one, or if it cannot
    /// be written. Give the whole snapshot up then.
    pub fn write(&mut self, offset: u64, chunk: &[u8]) -> Result<u64, SnapshotError> {
        let end = offset.saturating_add(chunk.len() as u64);
        if end > self.file_bytes {
            return Err(refused(Flaw::Length { expected: self.file_bytes, found: end }));
        }
        let Some(known) = self.received.checked_sub(offset) else { return Ok(self.received) };
        let fresh = usize::try_from(known).ok().and_then(|known| chunk.get(known..)).unwrap_or_default();
        let written = self.stage.write_all(fresh);
        written.map_err(|source| SnapshotError::Write { name: name_of(self.tip.index()), source })?;
        self.received += fresh.len() as u64;

        let (header, archive) = fresh.split_at(fresh.len().min(HEADER_BYTES - self.header.len()));
        self.header.extend_from_slice(header);
        self.hasher.update(archive);
        if !header.is_empty() && self.header.len() == HEADER_BYTES {
            // As early as possible: a hostile or confused peer should not cost a gigabyte of disk.
            self.announced_header()?;
        }
        Ok(self.received)
    }

    /// Verifies the whole, makes it durable under its name, reads it back, and only then removes older
    /// snapshots.
    ///
    /// # Errors
    /// Nothing of it is kept then.
    pub fn finish(self) -> Result<Opened, SnapshotError> {
        if !self.is_complete() {
            return Err(refused(Flaw::Length { expected: self.file_bytes, found: self.received }));
        }
        let header = self.announced_header()?;
        if *self.hasher.finalize().as_bytes() != header.archive_hash {
            return Err(refused(Flaw::Archive));
        }
        self.stage.publish()?;
        self.shelf.accept(&header)
    }

    fn announced_header(&self) -> Result<Header, SnapshotError> {
        let block =
            self.header.first_chunk().ok_or(Flaw::NoHeader { bytes: self.received }).map_err(refused)?;
        let header = Header::decode(block).map_err(refused)?;
        if header.file_bytes() != Some(self.file_bytes) {
            let found = header.archive_bytes.saturating_add(HEADER_BYTES as u64);
            return Err(refused(Flaw::Length { expected: self.file_bytes, found }));
        }
        if header.head.tip != self.tip {
            return Err(refused(Flaw::OtherHistory {
                expected: self.tip.into(),
                found: header.head.tip.into(),
            }));
        }
        Ok(header)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Incoming { tip, received, file_bytes, .. } = self;
        write!(f, "Incoming({tip}, {received} of {file_bytes} bytes)")
    }
}

fn refused(flaw: Flaw) -> SnapshotError {
    SnapshotError::Refused { flaw }
}
