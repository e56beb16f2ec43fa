//! What the rest of the project may ask of a data directory.
//!
//! Names are paths relative to it, with `/` between folder and file on every platform.

use std::{fmt, io};

use crate::{DiskError, Segment, Slice};

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name within the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A data directory of which this process is the only writer.
///
/// After one failed sync, of whatever file or folder, every later change fails with
/// [`DiskError::Poisoned`]: the system may have dropped the bytes in question and would report the next sync
/// as a success. Only a new process, which reads what the disk really holds, may go on.
///
/// # Panics
/// All methods panic on a name that leaves the directory: names are made by this program, never by input.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The files of a folder, sorted by name. A folder that does not exist is empty; temporary files and
    /// files whose removal waits for their last reader are left out.
    fn list(&self, folder: &str) -> Result<Vec<FileEntry>, DiskError>;

    /// A whole file; `None` if there is no such file. One longer than `bytes_max` is an error and not read.
    fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, DiskError>;

    /// Writes a small file in place, creating it if need be; durable on return. A power cut in between may
    /// leave any mixture of the old and the new bytes, so the caller keeps two checksummed copies.
    fn overwrite(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Like [`Disk::overwrite`] without any sync: survives the process, perhaps not the machine.
    fn note(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Replaces a file by `bytes`: after a power cut it holds the old contents or the new, and the new once
    /// this has returned.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// A temporary file to be filled bit by bit, which becomes `name` when it is published.
    fn stage(&self, name: &str) -> Result<Box<dyn Stage>, DiskError>;

    /// A read-only view of a whole file that is never changed again; `None` if there is no such file.
    fn map(&self, name: &str) -> Result<Option<Slice>, DiskError>;

    /// Removes a file; one that does not exist is no error. A power cut soon after may bring it back, which
    /// must be harmless to the caller. Where the system cannot remove a mapped file (Windows), it is hidden
    /// at once and goes with its last [`Slice`].
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// A new file of `bytes` zeros to append to. The space is really allocated and the name durable on
    /// return, so that no later append can meet a full disk. Quick if [`Disk::prepare_segment`] made a spare
    /// of the same length.
    fn create_segment(&self, name: &str, bytes: u64) -> Result<Segment, DiskError>;

    /// The same from the spare alone, and without a word to the disk: the file gets its name when it is first
    /// [written to](crate::Flusher). `None` without a spare of this length.
    fn begin_segment(&self, name: &str, bytes: u64) -> Result<Option<Segment>, DiskError>;

    /// Makes the spare that the next [`Disk::create_segment`] of this length takes: slow, for a background
    /// job. At most one spare is kept; it does not survive a restart.
    fn prepare_segment(&self, bytes: u64) -> Result<(), DiskError>;

    /// An existing segment, all of it readable. To append to it, call [`Segment::resume`] first.
    fn open_segment(&self, name: &str) -> Result<Segment, DiskError>;

    /// Bytes that this process may still allocate.
    fn free_bytes(&self) -> Result<u64, DiskError>;
}

/// A file in the making. Writing appends, without a buffer in between; dropped unpublished, it is removed.
pub trait Stage: io::Write + Send + Sync {
    /// Writes at a place of its own, which may be beyond the end. What is appended goes behind the end as
    /// before, or behind these bytes if they reach further.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Syncs the file, gives it its name, replacing what had it, and syncs the folder.
    fn publish(self: Box<Self>) -> Result<(), DiskError>;
}
