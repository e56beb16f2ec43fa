use std::io;
use std::sync::{Arc, OnceLock};

use super::Core;
use super::open_files::Presence;
use crate::DiskError;
use crate::system::{Access, SystemFile};

/// What a file may still be used for, and the handle that this takes.
#[derive(Debug)]
pub(super) enum Usage {
    /// Reading only: a map lives on without its file's handle.
    Reading,
    /// Reading, syncing what an earlier process left unsynced, and resuming.
    Sealed(Box<dyn SystemFile>),
    /// Appending and syncing.
    Appending(Box<dyn SystemFile>),
    /// The same for a file that has a temporary name until it is first written to, or is only made then.
    Unnamed { temporary: Option<String>, bytes: u64, file: OnceLock<Box<dyn SystemFile>> },
}

/// An open file of a directory.
#[derive(Debug)]
pub(crate) struct OpenFile {
    usage: Usage,
    name: String,
    core: Arc<Core>,
    /// Last, so that a removal that waited happens when everything else has been let go.
    _presence: Arc<Presence>,
}

impl OpenFile {
    pub(super) fn new(core: &Arc<Core>, name: &str, usage: Usage) -> OpenFile {
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
    fn file(&self) -> Result<&dyn SystemFile, DiskError> {
        match &self.usage {
            Usage::Appending(file) => Ok(&**file),
            Usage::Unnamed { temporary, bytes, file } => match file.get() {
                Some(file) => Ok(&**file),
                None => {
                    // What was appended has no other place to go: a failure ends the directory's use.
                    let made = match temporary {
                        Some(temporary) => Ok(temporary.clone()),
                        None => self.core.zero_filled(&self.name, *bytes),
                    };
                    let named = made.and_then(|temporary| self.core.give_new_name(&temporary, &self.name));
                    let opened = named.inspect_err(|_| self.core.poison())?;
                    Ok(&**file.get_or_init(|| opened))
                }
            },
            Usage::Reading | Usage::Sealed(_) => Err(self.read_only()),
        }
    }
}

/// What a segment asks of the file under its map.
impl OpenFile {
    /// Whether anything may be appended.
    pub(crate) fn check_appendable(&self) -> Result<(), DiskError> {
        match &self.usage {
            Usage::Appending(_) | Usage::Unnamed { .. } => self.core.check_not_poisoned(&self.name),
            Usage::Reading | Usage::Sealed(_) => Err(self.read_only()),
        }
    }

    /// Writes appended bytes to the file, to where they belong.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        self.core.check_not_poisoned(&self.name)?;
        let file = self.file()?;
        // The space is allocated, so a failure means a failing disk, and nobody knows what arrived there.
        self.core.once("append to", &self.name, || file.write_at(offset as u64, bytes))
    }

    /// Makes durable what has been written.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.core.once("sync", &self.name, || match &self.usage {
            Usage::Reading => Ok(()),
            Usage::Sealed(file) => file.sync(),
            Usage::Appending(file) => file.sync_contents(),
            // Nothing has been written to a file that has no name yet.
            Usage::Unnamed { file, .. } => file.get().map_or(Ok(()), |file| file.sync_contents()),
        })
    }

    /// Allows appends to an existing file.
    pub(crate) fn resume(&mut self) -> Result<(), DiskError> {
        self.core.check_writable(&self.name)?;
        let Usage::Sealed(file) = std::mem::replace(&mut self.usage, Usage::Reading) else {
            return Err(self.read_only());
        };
        self.usage = Usage::Appending(file);
        Ok(())
    }

    /// For an error about the contents.
    pub(crate) fn not_blank(&self, offset: usize) -> DiskError {
        DiskError::NotBlank { path: self.core.system.path(&self.name), offset }
    }

    /// For an error about the memory.
    pub(crate) fn not_mapped(&self, source: io::Error) -> DiskError {
        DiskError::while_trying("map", &self.core.system.path(&self.name))(source)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // It is as blank as it was, and whoever drops it may be one that never waits for the disk.
        if let Usage::Unnamed { temporary: Some(temporary), bytes, file } = &self.usage
            && file.get().is_none()
        {
            self.core.spares.add(*bytes, temporary.clone());
        }
    }
}

impl Core {
    /// Gives a synced temporary file a name that no file has, durably, and opens it.
    pub(super) fn give_new_name(
        &self,
        temporary: &str,
        name: &str,
    ) -> Result<Box<dyn SystemFile>, DiskError> {
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
