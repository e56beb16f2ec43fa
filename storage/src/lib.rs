//! Disks and memory maps: the only package that calls the operating system about files, and the only one
//! with `unsafe`.
//!
//! Responsible for: preallocated files that are never sparse, memory maps whose written bytes never
//! change, syncs that are never retried after a failure, writing again what only the cache may hold, reads past the
//! cache, atomic replacement with the directory synced, the lock on a data directory, and [`SimDisk`], the same in memory
//! with faults.
//! Not responsible for: anything about the contents of a file.
//!
//! A [`Disk`] is a data directory on the machine's own disk or on a [`SimDisk`]. Both run the same code down to
//! the single system call, so what the simulation shows about the order of writes,
//! syncs and renames holds for the code that runs on real machines.
//!
//! ```
//! use storage::SimDisk;
//!
//! let machine = SimDisk::new(7);
//! let disk = machine.disk();
//! let mut segment = disk.create_segment("journal/1", 64 * 1024)?;
//! let flusher = segment.flusher();
//! segment.append(b"acknowledged")?;
//! assert_eq!(flusher.sync()?, 12);
//! segment.append(b"perhaps lost")?;
//!
//! machine.power_cut();
//! let segment = machine.disk().open_segment("journal/1")?;
//! assert_eq!(&segment.slice(0..12)[..], b"acknowledged");
//! # Ok::<(), storage::DiskError>(())
//! ```

mod disk;
mod error;
mod local;
mod map;
mod os;
mod pass_through;
mod segment;
mod sim;
mod system;

pub use disk::{Disk, FileEntry, Rewrite, Stage, Uncached};
pub use error::DiskError;
pub use os::FineTimers;
pub use segment::{Flusher, Segment, Slice};
pub use sim::{Damage, FileCopy, Image, SimCalls, SimDisk, SimHandle, StuckSync};
