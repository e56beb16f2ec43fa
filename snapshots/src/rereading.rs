use std::fmt;

use position::Index;
use storage::Uncached;

use crate::header::Header;
use crate::shelf::{Shelf, name_of};
use crate::{Flaw, HEADER_BYTES, SnapshotError};

/// How much is read at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// A snapshot that is read again from the disk itself, past the system's cache, bit by bit: whether the next start
/// will find it valid.
pub struct Rereading {
    index: Index,
    file: Uncached,
    header: Header,
    hasher: blake3::Hasher,
    at: u64,
}

impl Shelf {
    /// Begins to read the snapshot at this position again. `None` if there is none: it was removed.
    ///
    /// # Errors
    /// If its header cannot be read, or is not valid.
    pub fn reread(&self, index: Index) -> Result<Option<Rereading>, SnapshotError> {
        let name = name_of(index);
        let Some(mut file) = self.disk().open_uncached(&name)? else { return Ok(None) };
        let flawed = |flaw| SnapshotError::Flawed { name: name.clone(), flaw };
        let bytes = file.bytes();
        if bytes < HEADER_BYTES as u64 {
            return Err(flawed(Flaw::NoHeader { bytes }));
        }
        let mut block = [0; HEADER_BYTES];
        file.read_at(0, &mut block)?;
        let header = Header::decode(&block).map_err(flawed)?;
        match header.file_bytes() {
            Some(expected) if expected == bytes => {
                let (hasher, at) = (blake3::Hasher::new(), HEADER_BYTES as u64);
                Ok(Some(Rereading { index, file, header, hasher, at }))
            }
            _ => {
                Err(flawed(Flaw::Length { expected: header.file_bytes().unwrap_or(u64::MAX), found: bytes }))
            }
        }
    }
}

impl Rereading {
    /// Which snapshot.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// Reads on, about so many bytes. `true`: all of it has been read, and is valid.
    ///
    /// # Errors
    /// If it cannot be read, or is not valid.
    pub fn go_on(&mut self, bytes: u64) -> Result<bool, SnapshotError> {
        let end = self.file.bytes();
        let stop = end.min(self.at.saturating_add(bytes));
        let mut piece = Vec::new();
        while self.at < stop {
            let length = PIECE_BYTES.min(stop - self.at);
            piece.resize(usize::try_from(length).expect("a piece is small"), 0);
            self.file.read_at(self.at, &mut piece)?;
            self.hasher.update(&piece);
            self.at += length;
        }
        if self.at < end {
            return Ok(false);
        }
        if *self.hasher.finalize().as_bytes() != self.header.archive_hash {
            return Err(SnapshotError::Flawed { name: name_of(self.index), flaw: Flaw::Archive });
        }
        Ok(true)
    }
}

impl fmt::Debug for Rereading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rereading({}, {} of {} bytes)", self.index, self.at, self.file.bytes())
    }
}
