use std::io;
use std::sync::Arc;

use super::Core;
use crate::system::{System, SystemFile};
use crate::{DiskError, Stage};

/// A temporary file that becomes `name` when it is published.
#[derive(Debug)]
pub(super) struct Staged<S: System> {
    core: Arc<Core<S>>,
    name: String,
    temporary: String,
    /// None once it has been published or discarded.
    file: Option<S::File>,
    end: u64,
}

impl<S: System> Staged<S> {
    pub(super) fn create(core: Arc<Core<S>>, name: &str) -> Result<Staged<S>, DiskError> {
        let temporary = core.temporary_name(name);
        let file = core.create(&temporary)?;
        Ok(Staged { core, name: name.to_string(), temporary, file: Some(file), end: 0 })
    }
}

impl<S: System> Stage for Staged<S> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_ref().expect("publishing consumes the stage");
        file.write_at(offset, bytes)?;
        self.end = self.end.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<(), DiskError> {
        let file = self.file.take().expect("publishing consumes the stage");
        let synced = self.core.sync_file(&self.temporary, &file);
        drop(file);
        if let Err(error) = synced {
            self.core.discard(&self.temporary);
            return Err(error);
        }
        self.core.give_name(&self.temporary, &self.name)
    }
}

impl<S: System> io::Write for Staged<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_at(self.end, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: System> Drop for Staged<S> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            self.core.discard(&self.temporary);
        }
    }
}
