use std::io;
use std::sync::Arc;

use position::Mutant;

use super::Core;
use crate::DiskError;
use crate::system::SystemFile;

/// A file in the making, which gets its name when it is published. Writing appends, without a buffer in between;
/// dropped unpublished, the file is removed.
#[derive(Debug)]
pub struct Stage {
    core: Arc<Core>,
    name: String,
    temporary: String,
    /// None once it has been published or discarded.
    file: Option<Box<dyn SystemFile>>,
    end: u64,
}

impl Stage {
    pub(super) fn create(core: Arc<Core>, name: &str) -> Result<Stage, DiskError> {
        let temporary = core.temporary_name(name);
        let file = core.create(&temporary)?;
        Ok(Stage { core, name: name.to_string(), temporary, file: Some(file), end: 0 })
    }
}

impl Stage {
    /// Writes at a place of its own, which may be beyond the end. What is appended goes behind the end as
    /// before, or behind these bytes if they reach further.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_ref().expect("publishing consumes the stage");
        file.write_at(offset, bytes)?;
        self.end = self.end.max(offset + bytes.len() as u64);
        Ok(())
    }

    /// Syncs the file, gives it its name, replacing what had it, and syncs the folder.
    ///
    /// # Errors
    /// If the disk refuses; the temporary file is then gone.
    pub fn publish(mut self) -> Result<(), DiskError> {
        let file = self.file.take().expect("publishing consumes the stage");
        let synced = match Mutant::PublishesUnsynced.is_active() {
            true => Ok(()),
            false => self.core.sync_file(&self.temporary, &*file),
        };
        drop(file);
        if let Err(error) = synced {
            self.core.discard(&self.temporary);
            return Err(error);
        }
        self.core.give_name(&self.temporary, &self.name)
    }
}

impl io::Write for Stage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_at(self.end, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            self.core.discard(&self.temporary);
        }
    }
}
