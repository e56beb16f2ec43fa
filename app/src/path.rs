//! Paths as people write and read them.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// Takes a path from the command line. Windows' `\\?\` in front is dropped where it means nothing, so that
/// no message shows it.
#[must_use]
pub fn path_argument() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| plain(&path))
}

/// The path without `\\?\`, unless it is one that cannot do without.
#[must_use]
pub fn plain(path: &Path) -> PathBuf {
    dunce::simplified(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        assert_eq!(plain(Path::new(path)), Path::new(expected));
    }

    #[test]
    fn ordinary_paths_stay_as_they_are() {
        check("wall/Über uns/master.toml", "wall/Über uns/master.toml");
        check("", "");
    }

    #[cfg(windows)]
    #[test]
    fn the_prefix_goes_where_it_means_nothing() {
        check(r"\\?\C:\Wand Süd\master.toml", r"C:\Wand Süd\master.toml");
        check(r"\\?\C:\Wand\aux", r"\\?\C:\Wand\aux");
        check(r"\\?\UNC\pc1\wall", r"\\?\UNC\pc1\wall");
    }
}
