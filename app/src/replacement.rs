//! Small files that a program writes as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file: an existing one stays as it was until the new one is complete. When this returns the file is on the
/// disk under its name: it may be somebody's only backup.
///
/// # Errors
/// If it cannot be written. Then what was there is untouched, and nothing is left beside it.
pub fn replace_file(path: &Path, contents: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let written = write_synced(new, contents.as_bytes()).and_then(|()| fs::rename(new, path));
    if written.is_err() {
        // The first error is the one to tell.
        drop(fs::remove_file(new));
    }
    written.and_then(|()| sync_name(path))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Without it a power cut could bring back what the file was before.
#[cfg(unix)]
fn sync_name(path: &Path) -> io::Result<()> {
    File::open(crate::folder_of(path))?.sync_all()
}

/// Windows has no sync of a folder. NTFS writes changes of names into its log, in order, and a sync of the
/// file waits for that log.
#[cfg(windows)]
fn sync_name(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wall.csv");
        for contents in ["a long first one", "second", ""] {
            replace_file(&path, contents).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");

        replace_file(&path, "kept").unwrap();
        fs::create_dir(folder.path().join("wall.csv.new")).unwrap();
        assert!(replace_file(&path, "cannot be written").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }
}
