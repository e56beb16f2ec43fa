use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// A configuration file is written by hand: more than this is another file.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration file that cannot be used. The program has not started to do anything.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {source}. Nothing was started; name another with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no text, or one of another encoding.
    #[error("{} is not UTF-8. Nothing was started; save it anew in that encoding", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// It is too large to be one.
    #[error("{} is larger than {CONFIG_BYTES_MAX} bytes and no configuration. Nothing was started", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{} line {line}, column {column}: {message}. Nothing was started", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in it, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// Reads a TOML file.
///
/// # Errors
/// If it cannot be read, or is not what is expected: then the place in the file is named.
pub fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    // Notepad on Windows 7 saves in the system's code page unless it is told otherwise.
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::Encoding { path: path.to_owned() })?;
    // Windows' editor puts a byte order mark in front.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = &text[..start.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Content {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        }
    })
}

/// The folder that a configuration file's relative paths start from.
#[must_use]
pub fn folder_of(config: &Path) -> &Path {
    match config.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterSettings;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        cluster: ClusterSettings,
    }

    fn read(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.toml");
        std::fs::write(&path, text).unwrap();
        let prefix = format!("{} ", path.display());
        read_config(&path).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    fn check_error(text: &str, start: &str, part: &str) {
        let message = read(text).unwrap_err();
        assert!(message.starts_with(start) && message.contains(part), "{message}");
        assert!(message.ends_with("Nothing was started"), "{message}");
    }

    #[test]
    fn a_good_file_is_read_with_and_without_a_mark() {
        let text = "[cluster]\nvoters = [\"10.0.0.1:7400\"]\ncertificates = \"certificates\"\n";
        for text in [text.to_owned(), format!("\u{FEFF}{text}")] {
            let cluster = read(&text).unwrap().cluster.beside(Path::new("/wall"));
            assert_eq!(cluster.voters_listed(), "10.0.0.1:7400");
            assert_eq!(cluster.certificates, Path::new("/wall/certificates"));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let good = "[cluster]\ncertificates = \"c\"\n";
        check_error(&format!("{good}voters = [\"10.0.0.1\"]\n"), "line 3, column 11: ", "address");
        check_error(&format!("{good}votters = []\n"), "line 3, column 1: ", "votters");
        check_error(&format!("{good}voters = []\n"), "line 3, column 10: ", "no address of a voter");
        let many = vec!["\"10.0.0.1:7400\""; 17].join(", ");
        check_error(&format!("{good}voters = [{many}]\n"), "line 3, column 10: ", "17 addresses");
        for (address, part) in
            [("[::1]:7400", "no IPv4"), ("10.0.0.1:0", "no port"), ("0.0.0.0:7400", "no machine")]
        {
            let voters = format!("voters = [\"10.0.0.1:7400\", \"{address}\"]\n");
            check_error(&format!("{good}{voters}"), "line 3, column 10: ", part);
        }
        check_error("[cluster\n", "line 1, column 9: ", "");
        check_error(good, "line 1, column 1: ", "voters");
        check_error("", "line 1, column 1: ", "cluster");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = read_config::<Config>(Path::new("no/such/app.toml")).unwrap_err().to_string();
        assert!(missing.contains("app.toml"), "{missing}");
        assert_eq!(folder_of(Path::new("app.toml")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/app.toml")), Path::new("a"));
        assert!(read(&"#".repeat(1024 * 1024 + 1)).unwrap_err().contains("larger than"));
        assert!(read(b"# W\xE4nde\n").unwrap_err().contains("is not UTF-8"));
    }
}
