#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, Prefix};
use std::time::Duration;

/// Removing a mapped file fails with error 1224.
pub(crate) const REMOVES_MAPPED_FILES: bool = false;

const FILE_FLAG_NO_BUFFERING: u32 = 0x2000_0000;
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

/// Reads what there is from `offset` on. Without buffering, a read at the very end of a file is an error.
pub(crate) fn read_some_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    const HANDLE_EOF: i32 = 38;
    loop {
        match file.seek_read(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(HANDLE_EOF) => return Ok(0),
            read => return read,
        }
    }
}

/// Opens a file for reading past the cache. What cannot do so says `ERROR_INVALID_PARAMETER`.
pub(crate) fn open_uncached(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_NO_BUFFERING).open(path)
}

/// There is no call for that on Windows.
pub(crate) fn drop_cached(_file: &File) -> io::Result<()> {
    Ok(())
}

/// `std::fs::rename` replaces too, but returns before the new name is on the disk.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (verbatim(from)?, verbatim(to)?);
    // SAFETY: both are strings that end in a zero and outlive the call.
    let moved = unsafe {
        MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)
    };
    if moved == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A path for the system's own functions. They take no more than 260 characters unless it is absolute and
/// marked so; the standard library does the same for its functions.
fn verbatim(path: &Path) -> io::Result<Vec<u16>> {
    let absolute = std::path::absolute(path)?;
    let prefix = match absolute.components().next() {
        Some(Component::Prefix(prefix)) => prefix.kind(),
        _ => return Err(io::ErrorKind::InvalidFilename.into()),
    };
    let letters: Vec<u16> = absolute.as_os_str().encode_wide().collect();
    let (mark, skipped) = match prefix {
        Prefix::Disk(_) => (r"\\?\", 0),
        // \\server\share becomes \\?\UNC\server\share.
        Prefix::UNC(..) => (r"\\?\UNC\", 2),
        _ => ("", 0),
    };
    Ok(mark.encode_utf16().chain(letters[skipped..].iter().copied()).chain([0]).collect())
}

/// Windows has no sync of a folder. NTFS writes changes of names into its log, in order, and `rename` waits
/// for that. A name that is lost all the same is found missing by the chain of hashes.
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// How long to wait before each further attempt: half a second in all.
const PATIENCE_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 300];

/// Virus scanners and indexers open files for a moment without sharing them. Half a second of patience is
/// enough for those; whoever holds a file longer has a reason that a person must look at.
pub(crate) fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for milliseconds in PATIENCE_MS {
        match call() {
            Err(error) if is_held_by_others(&error) => {
                std::thread::sleep(Duration::from_millis(milliseconds));
            }
            result => return result,
        }
    }
    call()
}

fn is_held_by_others(error: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    matches!(error.raw_os_error(), Some(ACCESS_DENIED | SHARING_VIOLATION | LOCK_VIOLATION))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that fails with each of these errors, one after the other, and then succeeds.
    fn check_patience(errors: &[i32], expected: Result<usize, i32>) {
        let mut calls = 0;
        let result = patiently(|| {
            calls += 1;
            errors.get(calls - 1).map_or(Ok(calls), |code| Err(io::Error::from_raw_os_error(*code)))
        });
        assert_eq!(result.map_err(|error| error.raw_os_error().unwrap()), expected, "{errors:?}");
    }

    #[test]
    fn whoever_holds_a_file_for_a_moment_is_waited_for() {
        check_patience(&[], Ok(1));
        check_patience(&[32], Ok(2));
        check_patience(&[5, 33, 32, 32], Ok(5));
        // A missing file, a full disk, a mapped file: time changes none of them.
        for code in [2, 112, 1224] {
            check_patience(&[code], Err(code));
        }
    }

    #[test]
    fn patience_ends() {
        check_patience(&[32; PATIENCE_MS.len()], Ok(PATIENCE_MS.len() + 1));
        check_patience(&[32; PATIENCE_MS.len() + 1], Err(32));
        assert_eq!(PATIENCE_MS.iter().sum::<u64>(), 488, "half a second");
    }

    fn check_verbatim(path: &str, expected: &str) {
        let letters = verbatim(Path::new(path)).unwrap();
        assert_eq!(String::from_utf16(&letters).unwrap(), format!("{expected}\0"));
    }

    #[test]
    fn paths_are_marked_as_absolute_whatever_their_kind() {
        check_verbatim(r"C:\wall\pc 1\Übung", r"\\?\C:\wall\pc 1\Übung");
        check_verbatim(r"C:\wall/data/..\meta", r"\\?\C:\wall\meta");
        check_verbatim(r"\\server\share\data", r"\\?\UNC\server\share\data");
        check_verbatim(r"\\?\C:\wall", r"\\?\C:\wall");
    }
}
