use std::io;
use std::sync::Arc;

use super::{Core, Disk};
use crate::DiskError;
use crate::system::{Access, SystemFile};

/// Writes bytes of a file a second time, so that the next sync has to write them.
///
/// A process may have ended after a sync that failed, or the system may have failed to write back what a process
/// left. Such bytes can be read as if they were on the disk, and the cache takes them for clean: a sync succeeds and
/// does nothing. Writing the same bytes again makes the cache take them for changed. As they are the same, a power
/// cut in between leaves each sector as it was or right.
#[derive(Debug)]
pub struct Rewrite {
    core: Arc<Core>,
    name: String,
    file: Box<dyn SystemFile>,
    bytes: u64,
}

impl Disk {
    /// Opens a file of which bytes are to be written again.
    ///
    /// # Errors
    /// If there is no such file, or the disk refuses.
    pub fn rewrite(&self, name: &str) -> Result<Rewrite, DiskError> {
        let core = &self.core;
        core.check_writable(name)?;
        let path = core.system.path(name);
        let file = core.open_if_there(name, Access::Write)?;
        let file = file.ok_or_else(|| DiskError::Missing { path: path.clone() })?;
        let bytes = file.bytes().map_err(DiskError::while_trying("read", &path))?;
        Ok(Rewrite { core: Arc::clone(core), name: name.to_string(), file, bytes })
    }
}

impl Rewrite {
    /// Writes bytes that the file holds already at `offset`. The caller has verified them in memory of its own: a
    /// map may show other bytes a moment later, once the cache has let go of what it takes for clean.
    ///
    /// # Errors
    /// A failure is final, as with a sync. Bytes behind the file's end are refused.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.core.once("write again", &self.name, || {
            if offset + bytes.len() as u64 > self.bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.file.write_at(offset, bytes)
        })
    }

    /// Makes durable what has been written again.
    ///
    /// # Errors
    /// A failure is final: this and every later call on the same data directory fails.
    pub fn sync(self) -> Result<(), DiskError> {
        self.core.sync_file(&self.name, &*self.file)
    }
}
