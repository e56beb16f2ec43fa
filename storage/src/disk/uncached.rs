use std::io;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::{Core, Disk, check_name};
use crate::DiskError;
use crate::system::UncachedFile;

/// How much is read by one call. Several megabytes a second need no more.
const BUFFER_BYTES: usize = 256 * 1024;

/// What offsets, lengths and memory must be a multiple of: the sectors of today's disks.
const ALIGNMENT: u64 = 4096;

/// A file that is read from the disk itself, past the system's cache: for verifying that the disk still holds what
/// was written to it. A map or a plain read would verify the cache.
///
/// It takes 256 KiB of memory, whatever is read through it, and no handle is kept that could write. The file must
/// be complete and synced: what only the cache holds is not seen.
#[derive(Debug)]
pub struct Uncached {
    core: Arc<Core>,
    name: String,
    file: Box<dyn UncachedFile>,
    bytes: u64,
    /// Aligned to pages, since it is mapped.
    buffer: MmapMut,
}

impl Disk {
    /// Opens a file of any kind for reads that bypass the cache; `None` if there is no such file.
    ///
    /// On Linux it is opened with `O_DIRECT`, on Windows with `FILE_FLAG_NO_BUFFERING`; a [`crate::SimDisk`] reads what
    /// is durable. Where a file system refuses that, the cache is asked to let go of the file before each read,
    /// which it need not do. Then a warning with the reason is logged, once for each directory.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open_uncached(&self, name: &str) -> Result<Option<Uncached>, DiskError> {
        let core = &self.core;
        check_name(name);
        let path = core.system.path(name);
        if core.open_files.is_going(name) {
            return Ok(None);
        }
        let file = match core.system.open_uncached(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(DiskError::while_trying("open", &path))?,
        };
        let bytes = file.bytes().map_err(DiskError::while_trying("read", &path))?;
        let buffer = MmapOptions::new().len(BUFFER_BYTES).map_anon();
        let buffer = buffer.map_err(DiskError::while_trying("get memory for reading", &path))?;
        let uncached = Uncached { core: Arc::clone(core), name: name.to_string(), file, bytes, buffer };
        uncached.warn_if_cached();
        Ok(Some(uncached))
    }
}

impl Uncached {
    /// The file's length when it was opened.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills the buffer from `offset` on, neither of which need be aligned.
    ///
    /// # Errors
    /// If the disk cannot read it, or the file is shorter: [`DiskError::Io`] with the system's reason. The
    /// file is left as it is, and other parts of it can still be read.
    pub fn read_at(&mut self, offset: u64, target: &mut [u8]) -> Result<(), DiskError> {
        let read = self.fill(offset, target);
        read.map_err(DiskError::while_trying("read past the cache", &self.core.system.path(&self.name)))?;
        self.warn_if_cached();
        Ok(())
    }

    fn fill(&mut self, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < target.len() {
            let at = offset + done as u64;
            let start = at - at % ALIGNMENT;
            let skipped = usize::try_from(at - start).expect("less than the alignment");
            let wanted =
                (skipped + target.len() - done).next_multiple_of(usize::try_from(ALIGNMENT).expect("small"));
            let length = wanted.min(BUFFER_BYTES);
            let read = self.file.read_some(start, &mut self.buffer[..length])?;
            let Some(piece) = self.buffer[..read].get(skipped..).filter(|piece| !piece.is_empty()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let taken = piece.len().min(target.len() - done);
            target[done..done + taken].copy_from_slice(&piece[..taken]);
            done += taken;
        }
        Ok(())
    }

    /// Once for each directory: it will be the same for all its files.
    fn warn_if_cached(&self) {
        if let Some(reason) = self.file.why_cached()
            && self.core.cached_reads_told.set(()).is_ok()
        {
            let path = self.core.system.path(&self.name);
            tracing::warn!(
                path = %path.display(), %reason,
                "this file system offers no reads past the cache: damage on the disk may be found only after a restart of the machine"
            );
        }
    }
}
