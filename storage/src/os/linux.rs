use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(crate) const REMOVES_MAPPED_FILES: bool = true;

pub(crate) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

pub(crate) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset)
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
