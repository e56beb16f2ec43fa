#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Removing a mapped file fails with error 1224.
pub(crate) const REMOVES_MAPPED_FILES: bool = false;

const MOVEFILE_REPLACE_EXISTING: u32 = 0x1;
const MOVEFILE_WRITE_THROUGH: u32 = 0x8;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn MoveFileExW(from: *const u16, to: *const u16, flags: u32) -> i32;
}

#[link(name = "winmm")]
unsafe extern "system" {
    fn timeBeginPeriod(milliseconds: u32) -> u32;
    fn timeEndPeriod(milliseconds: u32) -> u32;
}

pub(crate) fn read_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                buffer = &mut buffer[bytes..];
                offset += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(crate) fn write_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `std::fs::rename` replaces too, but returns before the new name is on the disk.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both are strings that end in a zero and outlive the call.
    let moved = unsafe {
        MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)
    };
    if moved == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Windows has no sync of a folder. NTFS writes changes of names into its log, in order, and `rename` waits
/// for that. A name that is lost all the same is found missing by the chain of hashes.
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Virus scanners and indexers open files for a moment without sharing them. Half a second of patience is
/// enough for those; whoever holds a file longer has a reason that a person must look at.
pub(crate) fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    for milliseconds in [1, 2, 5, 10, 20, 50, 100, 300] {
        match call() {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(ACCESS_DENIED | SHARING_VIOLATION | LOCK_VIOLATION)
                ) =>
            {
                std::thread::sleep(Duration::from_millis(milliseconds));
            }
            result => return result,
        }
    }
    call()
}

/// Makes sleeps and timeouts of this process precise to a millisecond while it lives. Without it Windows
/// wakes up to 15 ms late, which is longer than a heartbeat's allowance.
#[derive(Debug)]
pub struct FineTimers(());

impl FineTimers {
    /// Asks for precise timers. A system that refuses leaves them as they were; nothing depends on it but
    /// speed.
    #[must_use]
    pub fn request() -> FineTimers {
        // SAFETY: a plain call without pointers.
        unsafe { timeBeginPeriod(1) };
        FineTimers(())
    }
}

impl Drop for FineTimers {
    fn drop(&mut self) {
        // SAFETY: as above; it ends what `request` began.
        unsafe { timeEndPeriod(1) };
    }
}
