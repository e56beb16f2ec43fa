use std::io;

use super::SimDisk;
use super::system::{SimFile, SimSystem};
use crate::FileEntry;
use crate::system::{Access, System, SystemFile, UncachedFile};

/// The system calls of one process on a simulated machine, for a file system that real programs use. After a
/// restart of the machine all of them fail: the next process has calls of its own.
#[derive(Clone, Debug)]
pub struct SimCalls {
    system: SimSystem,
}

/// An open file, which may have lost its name.
#[derive(Debug)]
pub struct SimHandle {
    file: SimFile,
}

impl SimDisk {
    /// The calls of the process that is running now.
    #[must_use]
    pub fn system_calls(&self) -> SimCalls {
        SimCalls { system: SimSystem::of(&self.machine) }
    }
}

impl SimCalls {
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn open(&self, name: &str) -> io::Result<SimHandle> {
        self.system.open_file(name, Access::Write).map(|file| SimHandle { file })
    }

    /// Makes a file.
    ///
    /// # Errors
    /// If there is one of this name.
    pub fn create(&self, name: &str) -> io::Result<SimHandle> {
        self.system.open_file(name, Access::Create).map(|file| SimHandle { file })
    }

    /// Renames a file, replacing what had the name.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.system.rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.system.remove(name)
    }

    /// The files of a folder, in any order.
    ///
    /// # Errors
    /// If the machine has restarted.
    pub fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        self.system.list(folder)
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// If that was ordered.
    pub fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.system.sync_folder(folder)
    }

    /// Bytes that may still be allocated.
    ///
    /// # Errors
    /// If the machine has restarted.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.system.free_bytes()
    }
}

impl SimHandle {
    /// The file's number, which is that of no other file and stays the same when it is renamed.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.file.number()
    }

    /// Its length.
    ///
    /// # Errors
    /// If the machine has restarted.
    pub fn bytes(&self) -> io::Result<u64> {
        SystemFile::bytes(&self.file)
    }

    /// Reads what there is from `offset` on, at most this much.
    ///
    /// # Errors
    /// If the file was made unreadable.
    pub fn read(&self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let rest = usize::try_from(self.bytes()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(bytes_max)];
        self.file.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The same from the disk, past the cache.
    ///
    /// # Errors
    /// If the file was made unreadable.
    pub fn read_uncached(&self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; bytes_max];
        let read = self.file.read_some(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Writes all bytes at `offset`, lengthening the file if need be.
    ///
    /// # Errors
    /// If there is no room.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    /// Cuts the file off, or lengthens it.
    ///
    /// # Errors
    /// If the machine has restarted.
    pub fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    /// `fsync`: contents and length are durable.
    ///
    /// # Errors
    /// If that was ordered.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// `fdatasync`: contents are durable.
    ///
    /// # Errors
    /// If that was ordered.
    pub fn sync_contents(&self) -> io::Result<()> {
        self.file.sync_contents()
    }
}
