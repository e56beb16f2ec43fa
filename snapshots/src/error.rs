use std::io;

use position::{ClusterLife, Index, Tip};
use storage::DiskError;
use thiserror::Error;

/// Why a snapshot was not written or not opened.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The data directory refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A temporary file could not be written; it has been removed, and all earlier snapshots are untouched.
    #[error("cannot write {name}: {source}. All earlier snapshots are untouched")]
    Write {
        /// The file it was to become.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no snapshot at this position.
    #[error("there is no snapshot at index {index}")]
    Missing {
        /// The position asked for.
        index: Index,
    },
    /// The file is not a valid snapshot.
    #[error("{name} is not a valid snapshot: {flaw}. It was left as it is and nothing in it was used")]
    Flawed {
        /// The file.
        name: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// What a peer sent is not the snapshot it announced; nothing of it was kept.
    #[error("the snapshot that a peer sent is not valid: {flaw}. Nothing of it was kept")]
    Refused {
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What is wrong with the bytes of a snapshot file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Flaw {
    /// It ends within the header.
    #[error("it holds {bytes} bytes, less than a header")]
    NoHeader {
        /// Its length.
        bytes: u64,
    },
    /// It does not begin like a snapshot.
    #[error("it does not begin with the mark of a snapshot")]
    Magic,
    /// It was written by another version of this program.
    #[error(
        "it has format version {found}, and this program reads version {known}. Use the program that wrote it"
    )]
    Version {
        /// The file's.
        found: u32,
        /// The one that can be read.
        known: u32,
    },
    /// The header does not match its checksum.
    #[error("its header does not match the header's checksum")]
    Header,
    /// The cluster has begun again since this program was written, which cannot know what that means.
    #[error(
        "it is of life {found} of its cluster, and this program knows life {} only. Use the program that wrote it",
        ClusterLife::FIRST
    )]
    Life {
        /// The file's.
        found: ClusterLife,
    },
    /// The header is intact and says what no writer writes.
    #[error("its header holds an invalid {field}")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// It is longer or shorter than the header says.
    #[error("it holds {found} bytes instead of {expected}")]
    Length {
        /// By its header, or by its announcement.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// The archive does not match its hash.
    #[error("its archive does not match the hash in the header")]
    Archive,
    /// It is a snapshot of another position than its name or its announcement says.
    #[error("it is the snapshot at {found}, not at {expected}")]
    OtherPosition {
        /// Where it should be from.
        expected: Index,
        /// Where it is from.
        found: Index,
    },
    /// It is a snapshot of another history than was announced.
    #[error("it belongs to the history {found}, not to {expected}")]
    OtherHistory {
        /// The announced end of the history.
        expected: Box<Tip>,
        /// The header's.
        found: Box<Tip>,
    },
}
