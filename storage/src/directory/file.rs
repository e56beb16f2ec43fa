use std::sync::Arc;

use memmap2::MmapRaw;

use super::Core;
use super::open_files::Presence;
use crate::DiskError;
use crate::map::{Gap, Map};
use crate::segment::Backing;
use crate::system::{System, SystemFile};

/// What a mapped file may still be used for, and the handle that this takes.
#[derive(Debug)]
pub(super) enum Usage<F> {
    /// Reading only: a map lives on without its file's handle.
    Reading,
    /// Reading, syncing what an earlier process left unsynced, and resuming.
    Sealed(F),
    /// Appending and syncing.
    Appending(F),
}

/// A mapped file of a directory.
#[derive(Debug)]
pub(super) struct OpenFile<S: System> {
    usage: Usage<S::File>,
    name: String,
    core: Arc<Core<S>>,
    /// Last, so that a removal that waited happens when everything else has been let go.
    _presence: Arc<Presence<S>>,
}

impl<S: System> OpenFile<S> {
    pub(super) fn new(core: &Arc<Core<S>>, name: &str, usage: Usage<S::File>) -> OpenFile<S> {
        OpenFile {
            usage,
            name: name.to_string(),
            core: Arc::clone(core),
            _presence: core.open_files.enter(core, name),
        }
    }

    fn read_only(&self) -> DiskError {
        DiskError::ReadOnly { path: self.core.system.path(&self.name) }
    }
}

impl<S: System> Backing for OpenFile<S> {
    fn append(&self, gap: &Gap<'_>, parts: &[&[u8]]) -> Result<(), DiskError> {
        let Usage::Appending(file) = &self.usage else { return Err(self.read_only()) };
        // The space is allocated, so a failure means a failing disk, and nobody knows what arrived there.
        self.core.once("append to", &self.name, || file.append(gap, parts))
    }

    fn sync(&self, map: &Map, through: usize) -> Result<(), DiskError> {
        self.core.once("sync", &self.name, || match &self.usage {
            Usage::Reading => Ok(()),
            Usage::Sealed(file) => file.sync(),
            Usage::Appending(file) => file.sync_appended(map, through),
        })
    }

    fn resume(&mut self) -> Result<MmapRaw, DiskError> {
        self.core.check_writable(&self.name)?;
        let Usage::Sealed(file) = std::mem::replace(&mut self.usage, Usage::Reading) else {
            return Err(self.read_only());
        };
        let mapped = file.map_for_append();
        self.usage = Usage::Appending(file);
        mapped.map_err(DiskError::while_trying("map", &self.core.system.path(&self.name)))
    }

    fn not_blank(&self, offset: usize) -> DiskError {
        DiskError::NotBlank { path: self.core.system.path(&self.name), offset }
    }
}
