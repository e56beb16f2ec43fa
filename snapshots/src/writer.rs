use std::io::{self, Write};

use storage::Stage;

use crate::header::Header;
use crate::shelf::{Shelf, name_of};
use crate::{HEADER_BYTES, Head, Opened, SnapshotError};

/// An archive arrives in very small pieces; hashing and writing want large ones.
const BUFFER_BYTES: usize = 256 * 1024;

/// A snapshot in the making: write the archive into it, then [`SnapshotWriter::finish`]. Dropped unfinished,
/// it leaves nothing behind.
pub struct SnapshotWriter {
    shelf: Shelf,
    head: Head,
    stage: Stage,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    archive_bytes: u64,
}

impl SnapshotWriter {
    pub(crate) fn begin(shelf: Shelf, head: Head, mut stage: Stage) -> io::Result<SnapshotWriter> {
        // Zeros are no header: the file means nothing before its header is written last.
        stage.write_all(&[0; HEADER_BYTES])?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(SnapshotWriter { shelf, head, stage, buffer, hasher: blake3::Hasher::new(), archive_bytes: 0 })
    }

    /// How much of the archive has been written.
    #[must_use]
    pub fn archive_bytes(&self) -> u64 {
        self.archive_bytes + self.buffer.len() as u64
    }

    /// Completes the header, makes the file durable under its name, reads it back, and only then removes
    /// older snapshots.
    ///
    /// # Errors
    /// Older snapshots are then all still there.
    pub fn finish(mut self) -> Result<Opened, SnapshotError> {
        let name = name_of(self.head.tip.index());
        let write_failed = |source| SnapshotError::Write { name: name.clone(), source };
        self.write_buffer().map_err(write_failed)?;
        let header = Header {
            archive_bytes: self.archive_bytes,
            archive_hash: *self.hasher.finalize().as_bytes(),
            head: self.head,
        };
        self.stage.write_at(0, &header.encode()).map_err(write_failed)?;
        self.stage.publish()?;
        self.shelf.accept(&header)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.stage.write_all(&self.buffer)?;
        self.archive_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for SnapshotWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BUFFER_BYTES {
            self.write_buffer()?;
        }
        let taken = bytes.len().min(BUFFER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Does nothing: only [`SnapshotWriter::finish`] makes anything durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
