use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a data directory did not do what it was asked.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Another process holds the directory's lock.
    #[error(
        "another process is using the data directory {path}; nothing was touched. \
         Stop that process, or choose another directory"
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The volume has no room. Whatever was begun has been removed again.
    #[error("no room on the disk to {attempted} {path}; what was there before is untouched. Free some space")]
    Full {
        /// What was being done, as a verb.
        attempted: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a call.
    #[error("cannot {attempted} {path}: {source}")]
    Io {
        /// What was being done, as a verb.
        attempted: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that must exist does not.
    #[error("there is no file {path}; nothing was changed")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is longer than anything this program writes under that name.
    #[error(
        "{path} holds {bytes} bytes, but at most {bytes_max} belong there; it was not read and is left as it is"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The longest that would have been accepted.
        bytes_max: u64,
    },
    /// A segment cannot be appended to, since bytes were found where the next ones would go.
    #[error(
        "{path} holds data at byte {offset}, behind the place where writing was to go on; \
         nothing was overwritten"
    )]
    NotBlank {
        /// The segment.
        path: PathBuf,
        /// The first byte that is not zero.
        offset: usize,
    },
    /// The directory was opened for reading.
    #[error("{path} was opened for reading only and is left as it is")]
    ReadOnly {
        /// The file that was to be changed.
        path: PathBuf,
    },
    /// An earlier sync or append failed.
    #[error(
        "an earlier write to this data directory failed, so {path} is not touched any more. \
         Check the disk and start the process again: it writes again whatever the disk may lack"
    )]
    Poisoned {
        /// The file that was to be changed.
        path: PathBuf,
    },
}

impl DiskError {
    /// For `map_err`: says what was attempted on which path.
    pub(crate) fn while_trying(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                DiskError::Full { attempted, path, source }
            }
            io::ErrorKind::NotFound => DiskError::Missing { path },
            _ => DiskError::Io { attempted, path, source },
        }
    }
}
