use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};

use crate::map::{Gap, Map};

pub(crate) const REMOVES_MAPPED_FILES: bool = true;

/// Appends are written to the file and read through the map, which share the page cache. Writing through
/// the map and `msync` takes longer, and through a read-only map no stray store can harm what has been
/// acknowledged: `docs/decisions/0005-append-by-platform.md`.
pub(crate) fn map_for_append(file: &File) -> io::Result<MmapRaw> {
    MmapOptions::new().map_raw_read_only(file)
}

pub(crate) fn append(file: &File, gap: &Gap<'_>, parts: &[&[u8]]) -> io::Result<()> {
    let mut offset = gap.start() as u64;
    for part in parts {
        file.write_all_at(part, offset)?;
        offset += part.len() as u64;
    }
    Ok(())
}

/// `fdatasync` suffices: the length and the blocks of a segment do not change after its creation.
pub(crate) fn sync_appended(file: &File, _map: &Map, _through: usize) -> io::Result<()> {
    file.sync_data()
}

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
