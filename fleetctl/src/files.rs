//! Files on this machine's disk: read with a bound, written as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use app::replace_file;
use fleet::{Configuration, Format, Mapping};

use crate::arguments::FileFormat;

/// Far more than the largest fleet needs.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a configuration.
pub(crate) fn read(
    file: &Path,
    format: Option<FileFormat>,
    mappings: &[Mapping],
) -> anyhow::Result<Configuration> {
    let format = format_of(file, format)?;
    if format == Format::Json && !mappings.is_empty() {
        bail!("--map is for CSV files, and {} is read as JSON. Nothing was changed", file.display());
    }
    let mut bytes = Vec::new();
    let unread = |error: io::Error| anyhow!("cannot read {}: {error}. Nothing was changed", file.display());
    let opened = File::open(file).map_err(unread)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{} is larger than {FILE_BYTES_MAX} bytes. Nothing was changed", file.display());
    }
    Ok(fleet::read(&file.display().to_string(), format, &bytes, mappings)?)
}

/// Writes a configuration: an existing file stays as it was until the new one is complete.
pub(crate) fn write(
    file: &Path,
    format: Option<FileFormat>,
    configuration: &Configuration,
) -> anyhow::Result<()> {
    let format = format_of(file, format)?;
    let text = fleet::write(configuration, format);
    if file == Path::new("-") {
        return io::stdout().write_all(text.as_bytes()).context("cannot write to standard output");
    }
    // What is no file, as a pipe or /dev/null, is written to. It must not be replaced by one.
    let written = match fs::metadata(file) {
        Ok(found) if !found.is_file() && !found.is_dir() => fs::write(file, text),
        _ => replace_file(file, &text),
    };
    written.with_context(|| format!("cannot write {}; what was there is untouched", file.display()))
}

/// The format that was asked for, or else the one that the name tells.
fn format_of(file: &Path, asked: Option<FileFormat>) -> anyhow::Result<Format> {
    match asked.map(Format::from).or_else(|| Format::of(file)) {
        Some(format) => Ok(format),
        None => bail!(
            "{} could be anything; add --format csv or --format json. Nothing was changed",
            file.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wall.csv");
        fs::write(&file, "name,row,column\npc1,1,1\n").unwrap();
        let configuration = read(&file, None, &[]).unwrap();
        for (name, format) in [("a.json", None), ("b.csv", None), ("c", Some(FileFormat::Json))] {
            let copy = folder.path().join(name);
            write(&copy, format, &configuration).unwrap();
            assert_eq!(read(&copy, format, &[]).unwrap().nodes[0].name, "pc1");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "no temporary file stays");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("wall.json");
        fs::create_dir(&taken).unwrap();
        let message = format!("{:#}", write(&taken, None, &Configuration::default()).unwrap_err());
        assert!(message.contains("wall.json") && message.contains("untouched"), "{message}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (reader, named) = (pipe.clone(), pipe.clone());
        let reading = std::thread::spawn(move || fs::read_to_string(reader).unwrap());
        write(&named, Some(FileFormat::Json), &Configuration::default()).unwrap();
        assert!(reading.join().unwrap().contains("nodes"));
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn trouble_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, mappings: &[Mapping], part: &str| {
            let message = format!("{:#}", read(&folder.path().join(name), None, mappings).unwrap_err());
            assert!(message.contains(name) && message.contains(part), "{message}");
        };
        check("missing.csv", &[], "cannot read");
        check("wall", &[], "--format");
        check("wall.json", &["row=PosY".parse().unwrap()], "--map");
        fs::write(folder.path().join("bad.csv"), "name,row\npc1,x\n").unwrap();
        check("bad.csv", &[], "line 2, column 2 (row)");
    }
}
