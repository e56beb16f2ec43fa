//! The few calls that a data directory makes to the system under it. There are two systems: the machine's
//! own ([`crate::local`]) and the simulated one ([`crate::sim`]).
//!
//! Nothing here is durable by itself; what is synced when is the business of [`crate::disk`].

use std::path::PathBuf;
use std::{fmt, io};

use crate::FileEntry;
use crate::map::Map;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading an existing file.
    Read,
    /// Changing an existing file.
    Write,
    /// Making a file that does not exist.
    Create,
}

/// A directory tree and its names.
pub(crate) trait System: Send + Sync + fmt::Debug + 'static {
    /// Whether a file can be removed, and its name used anew, while it is mapped.
    fn removes_mapped_files(&self) -> bool;
    /// The whole path, for messages.
    fn path(&self, name: &str) -> PathBuf;
    /// The folders below the root, one level deep.
    fn folders(&self) -> io::Result<Vec<String>>;
    /// The files of a folder in any order; a folder that does not exist is empty.
    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>>;
    /// Makes a folder; says whether it was not there before.
    fn make_folder(&self, folder: &str) -> io::Result<bool>;
    /// Opens a file.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SystemFile>>;
    /// Opens an existing file for reads that bypass the cache.
    fn open_uncached(&self, name: &str) -> io::Result<Box<dyn UncachedFile>>;
    /// Renames a file, replacing what had the name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Bytes that may still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait SystemFile: Send + Sync + fmt::Debug + 'static {
    /// Its length.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills the buffer from `offset` on.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all bytes at `offset`, lengthening the file if need be.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off at `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes contents durable; the length and the allocation have not changed since the last [`SystemFile::sync`].
    fn sync_contents(&self) -> io::Result<()>;
    /// Maps the whole file for reading.
    fn map(&self) -> io::Result<Map>;
}

/// A file open for reads that bypass the cache.
pub(crate) trait UncachedFile: Send + Sync + fmt::Debug + 'static {
    /// Its length.
    fn bytes(&self) -> io::Result<u64>;
    /// Reads as much as there is, but at most until the buffer is full, and says how much. Offset, length and
    /// memory are multiples of 4096.
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Why reads may come from the cache all the same, if they may.
    fn why_cached(&self) -> Option<&io::Error>;
}
