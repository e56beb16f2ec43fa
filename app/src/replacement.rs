//! Small files that a program writes as a whole or not at all.

use std::fs;
use std::io;
use std::path::Path;

/// Writes a file; an existing one stays as it was until the new one is complete.
///
/// It is not synced: a power cut soon after may cost either. What must outlive one lies in a data directory.
///
/// # Errors
/// If it cannot be written. Then the existing file is untouched, and there may be another beside it whose name ends
/// with `.new`: the next attempt takes its place.
pub fn replace_file(path: &Path, contents: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, contents)?;
    fs::rename(&new, path)
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
