//! Log files of bounded size and number.
//!
//! A full file is followed by one with the next number. Nothing is renamed: on Windows a file that somebody
//! looks at cannot be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// About 25,000 lines.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Older files are removed: logs never take more than 32 MiB.
const FILES_MAX: u64 = 8;

/// `NAME.000001.log`, `NAME.000002.log`, …; the highest number is the newest.
#[derive(Debug)]
pub(crate) struct LogFiles {
    folder: PathBuf,
    name: String,
    file_bytes_max: u64,
    number: u64,
    file: File,
    bytes: u64,
}

impl LogFiles {
    /// Goes on in the newest file of that name, and makes the folder if need be.
    pub(crate) fn open(folder: &Path, name: &str) -> io::Result<LogFiles> {
        LogFiles::open_with(folder, name, FILE_BYTES_MAX)
    }

    fn open_with(folder: &Path, name: &str, file_bytes_max: u64) -> io::Result<LogFiles> {
        fs::create_dir_all(folder)?;
        let number = numbers(folder, name)?.into_iter().max().unwrap_or(1);
        let file = append(&path(folder, name, number))?;
        let bytes = file.metadata()?.len();
        Ok(LogFiles { folder: folder.to_owned(), name: name.to_owned(), file_bytes_max, number, file, bytes })
    }

    fn turn_over(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        self.file = append(&path(&self.folder, &self.name, number))?;
        self.number = number;
        self.bytes = 0;
        for old in numbers(&self.folder, &self.name)? {
            if old + FILES_MAX <= number {
                // Somebody may have it open; it is tried again with the next file.
                drop(fs::remove_file(path(&self.folder, &self.name, old)));
            }
        }
        Ok(())
    }
}

impl Write for LogFiles {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// Takes whole lines, and ends them as Windows' editor expects it.
    fn write_all(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.file_bytes_max {
            self.turn_over()?;
        }
        let mut text = Vec::with_capacity(lines.len() + 1);
        for &byte in lines {
            if byte == b'\n' {
                text.push(b'\r');
            }
            text.push(byte);
        }
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn path(folder: &Path, name: &str, number: u64) -> PathBuf {
    folder.join(format!("{name}.{number:06}.log"))
}

fn numbers(folder: &Path, name: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name();
        let number: Option<u64> = file
            .to_str()
            .and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".log")?.parse().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_in_size_and_number_and_continued_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("other.000009.log"), "not ours").unwrap();
        let line = [b'x'; 39];
        for start in 0..3 {
            let mut files = LogFiles::open_with(folder.path(), "master", 100).unwrap();
            for _ in 0..10 {
                files.write_all(&[&line[..], b"\n"].concat()).unwrap();
            }
            files.flush().unwrap();
            let numbers = numbers(folder.path(), "master").unwrap();
            assert_eq!(numbers.iter().max(), Some(&(5 * (start + 1))), "two lines a file");
            assert!(numbers.len() as u64 <= FILES_MAX, "{numbers:?}");
        }
        let newest = fs::read_to_string(path(folder.path(), "master", 15)).unwrap();
        assert_eq!(newest.matches("x\r\n").count(), 2, "{newest:?}");
        assert!(folder.path().join("other.000009.log").exists());
        // A file is large enough for an hour's worth of trouble.
        let mut files = LogFiles::open(folder.path(), "node").unwrap();
        let (lines, line) = (FILE_BYTES_MAX / 1001, [vec![b'x'; 999], vec![b'\n']].concat());
        (0..lines).for_each(|_| files.write_all(&line).unwrap());
        assert_eq!(numbers(folder.path(), "node").unwrap(), [1]);
    }
}
