#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

pub(crate) const REMOVES_MAPPED_FILES: bool = true;

pub(crate) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

pub(crate) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Reads what there is from `offset` on.
pub(crate) fn read_some_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Opens a file for reading past the page cache. A file system that cannot do so says `EINVAL`.
pub(crate) fn open_uncached(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)
}

/// Asks the page cache to let go of a file. It keeps what somebody maps.
pub(crate) fn drop_cached(file: &File) -> io::Result<()> {
    // SAFETY: a plain call without pointers, on a descriptor that is open.
    let code = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Nothing on Linux keeps others from opening, renaming or removing a file.
pub(crate) fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    call()
}

/// Makes sleeps and timeouts of this process precise while it lives. Linux timers are precise anyway.
#[derive(Debug)]
pub struct FineTimers(());

impl FineTimers {
    /// Asks for precise timers.
    #[must_use]
    pub fn request() -> FineTimers {
        FineTimers(())
    }
}
