use std::io;
use std::sync::{Arc, OnceLock};

use super::Core;
use super::open_files::Presence;
use crate::DiskError;
use crate::segment::Backing;
use crate::system::{Access, System, SystemFile};

/// What a file may still be used for, and the handle that this takes.
#[derive(Debug)]
pub(super) enum Usage<F> {
    /// Reading only: a map lives on without its file's handle.
    Reading,
    /// Reading, syncing what an earlier process left unsynced, and resuming.
    Sealed(F),
    /// Appending and syncing.
    Appending(F),
    /// The same for a file that has a temporary name until it is first written to.
    Unnamed { temporary: String, file: OnceLock<F> },
}

/// An open file of a directory.
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

    /// The file to write to; it gets its name now, if it has none.
    fn file(&self) -> Result<&S::File, DiskError> {
        match &self.usage {
            Usage::Appending(file) => Ok(file),
            Usage::Unnamed { temporary, file } => match file.get() {
                Some(file) => Ok(file),
                None => {
                    // What was appended has no other place to go: a failure ends the directory's use.
                    let named = self.core.give_new_name(temporary, &self.name);
                    let opened = named.inspect_err(|_| self.core.poison())?;
                    Ok(file.get_or_init(|| opened))
                }
            },
            Usage::Reading | Usage::Sealed(_) => Err(self.read_only()),
        }
    }
}

impl<S: System> Backing for OpenFile<S> {
    fn check_appendable(&self) -> Result<(), DiskError> {
        match &self.usage {
            Usage::Appending(_) | Usage::Unnamed { .. } => self.core.check_not_poisoned(&self.name),
            Usage::Reading | Usage::Sealed(_) => Err(self.read_only()),
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        self.core.check_not_poisoned(&self.name)?;
        let file = self.file()?;
        // The space is allocated, so a failure means a failing disk, and nobody knows what arrived there.
        self.core.once("append to", &self.name, || file.write_at(offset as u64, bytes))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.core.once("sync", &self.name, || match &self.usage {
            Usage::Reading => Ok(()),
            Usage::Sealed(file) => file.sync(),
            Usage::Appending(file) => file.sync_contents(),
            // Nothing has been written to a file that has no name yet.
            Usage::Unnamed { file, .. } => file.get().map_or(Ok(()), SystemFile::sync_contents),
        })
    }

    fn resume(&mut self) -> Result<(), DiskError> {
        self.core.check_writable(&self.name)?;
        let Usage::Sealed(file) = std::mem::replace(&mut self.usage, Usage::Reading) else {
            return Err(self.read_only());
        };
        self.usage = Usage::Appending(file);
        Ok(())
    }

    fn not_blank(&self, offset: usize) -> DiskError {
        DiskError::NotBlank { path: self.core.system.path(&self.name), offset }
    }

    fn not_mapped(&self, source: io::Error) -> DiskError {
        DiskError::while_trying("map", &self.core.system.path(&self.name))(source)
    }
}

impl<S: System> Drop for OpenFile<S> {
    fn drop(&mut self) {
        if let Usage::Unnamed { temporary, file } = &self.usage
            && file.get().is_none()
        {
            self.core.discard(temporary);
        }
    }
}

impl<S: System> Core<S> {
    /// Gives a synced temporary file a name that no file has, durably, and opens it.
    pub(super) fn give_new_name(&self, temporary: &str, name: &str) -> Result<S::File, DiskError> {
        let failed = |source| DiskError::while_trying("create", &self.system.path(name))(source);
        // A rename would replace the file, and with it perhaps acknowledged frames.
        if self.open_if_there(name, Access::Read)?.is_some() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        self.make_folder_of(name)?;
        self.give_name(temporary, name)?;
        self.system.open(name, Access::Write).map_err(failed)
    }
}
