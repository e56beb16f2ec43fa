//! The snapshot file: the state at one position of the journal, as an archive that this package does not
//! look into.
//!
//! Responsible for: the file format (`docs/format/snapshot.md`), its checksums, which files are kept, and
//! finding the newest valid one. A snapshot has its name only when it is complete, synced and read back.
//! Not responsible for: what an archive means, when a snapshot is made, and the journal.
//!
//! ```
//! use std::io::Write;
//! use position::{ChainHash, ClusterId, Epoch, Index, Position, Tip};
//! use snapshots::{Head, Shelf};
//! use storage::SimDisk;
//!
//! let shelf = Shelf::new(SimDisk::new(7).disk());
//! let mut writer = shelf.begin(Head {
//!     archive_tag: 1,
//!     type_name: "counter".into(),
//!     schema: 1,
//!     layout: 1,
//!     cluster: ClusterId(42),
//!     tip: Tip { position: Position::new(Epoch(1), Index(500_000)), ..Tip::NONE },
//!     outcome_hash: ChainHash::NONE,
//!     list: 1,
//!     time: 0,
//! })?;
//! writer.write_all(b"the archived state")?;
//! writer.finish()?;
//!
//! let newest = shelf.newest_valid()?;
//! assert_eq!(&newest.snapshot.unwrap().archive()[..], b"the archived state");
//! assert!(newest.problems.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod header;
mod incoming;
mod opened;
mod rereading;
mod shelf;
mod writer;

pub use error::{Flaw, SnapshotError};
pub use header::{FORMAT_VERSION, HEADER_BYTES, Head, TYPE_NAME_BYTES_MAX};
pub use incoming::Incoming;
pub use opened::{Opened, verify_bytes};
pub use rereading::Rereading;
pub use shelf::{KEPT, Listed, Newest, Problem, Shelf};
pub use writer::SnapshotWriter;
