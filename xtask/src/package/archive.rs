//! The zip for Windows: one folder, whose texts can be read in Notepad.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::package::contents::{self, DOCUMENTS, EXAMPLES, Programs, stripped, text};
use crate::package::licences::{self, Linked};
use crate::package::metadata::Metadata;

const STRIP: &str = "x86_64-w64-mingw32-strip";

/// Makes the zip and returns its path.
///
/// # Errors
/// If a part is missing or the file cannot be written.
pub(crate) fn make(folder: &Path, metadata: &Metadata, programs: &Programs) -> anyhow::Result<PathBuf> {
    let name = format!("prevalent-{}-windows-x86_64", metadata.version());
    let path = folder.join(format!("{name}.zip"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(dos_time(metadata.commit_time)?);
    for (file, bytes) in entries(metadata, programs)? {
        let mode = if file.ends_with(".exe") { 0o755 } else { 0o644 };
        zip.start_file(format!("{name}/{file}"), options.unix_permissions(mode))?;
        zip.write_all(&bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    zip.finish()?.flush().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Everything in it by name: sorted, so that the same makes the same.
fn entries(metadata: &Metadata, programs: &Programs) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut entries = BTreeMap::new();
    for (name, path) in programs {
        entries.insert(format!("{name}.exe"), stripped(STRIP, path)?);
    }
    for document in DOCUMENTS {
        let name = Path::new(document).file_stem().context("a document has a name")?.to_string_lossy();
        entries.insert(format!("{}.txt", name.to_lowercase()), for_notepad(&text(document)?));
    }
    for example in EXAMPLES {
        // Programs read these too: no byte order mark.
        let crlf = text(example)?.replace("\r\n", "\n").replace('\n', "\r\n");
        entries.insert(example.to_owned(), crlf.into_bytes());
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        entries.insert(format!("{license}.txt"), for_notepad(&text(license)?));
    }
    let notices = licences::notices(metadata, Linked::WithMingw)?;
    entries.insert("third-party-licences.txt".to_owned(), for_notepad(&notices));
    Ok(entries)
}

/// Windows 7's Notepad needs both characters at a line's end, and a mark to know UTF-8 for sure.
fn for_notepad(text: &str) -> Vec<u8> {
    format!("\u{FEFF}{}", text.replace("\r\n", "\n").replace('\n', "\r\n")).into_bytes()
}

/// A zip's times have no zone; this is UTC.
fn dos_time(seconds: i64) -> anyhow::Result<DateTime> {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let part = |value: i64| u8::try_from(value).context("a part of a time is small");
    let year = u16::try_from(year).context("the commit's year is out of range")?;
    DateTime::from_date_and_time(
        year,
        part(month)?,
        part(day)?,
        part(second / 3600)?,
        part(second / 60 % 60)?,
        part(second % 60)?,
    )
    .context("the commit's time is out of range for a zip")
}

/// The date so many days after 1 January 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Unpacks the zip as a user would, and returns the folder with the programs.
///
/// # Errors
/// If it cannot be unpacked, or does not hold exactly one folder.
pub(crate) fn unpack(package: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let bytes = contents::read(package)?;
    let mut zip = ZipArchive::new(std::io::Cursor::new(bytes)).context("the zip cannot be read")?;
    zip.extract(folder).context("the zip cannot be unpacked")?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let only = entries.next().context("the zip is empty")??.path();
    ensure!(entries.next().is_none(), "the zip holds more than one folder");
    Ok(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |days, expected| assert_eq!(civil(days), expected);
        check(0, (1970, 1, 1));
        check(11_016, (2000, 2, 29));
        check(20_780, (2026, 11, 23));
        check(-1, (1969, 12, 31));
    }

    #[test]
    fn notepad_shows_lines_and_umlauts() {
        assert_eq!(for_notepad("ä\nb\r\n"), "\u{FEFF}ä\r\nb\r\n".as_bytes());
    }
}
