use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contents::Contents;
use super::machine::Machine;
use super::names::FileId;
use crate::FileEntry;
use crate::disk::path_below;
use crate::map::Map;
use crate::system::{Access, System, SystemFile};

/// A process's access to a simulated machine, until the machine restarts.
#[derive(Clone, Debug)]
pub(crate) struct SimSystem {
    machine: Arc<Mutex<Machine>>,
    life: u64,
    removes_mapped_files: bool,
}

impl SimSystem {
    pub(super) fn of(machine: &Arc<Mutex<Machine>>) -> SimSystem {
        let life = machine.lock().unwrap_or_else(PoisonError::into_inner).life();
        SimSystem { machine: Arc::clone(machine), life, removes_mapped_files: true }
    }

    /// The same machine under Windows, which does not remove a mapped file.
    #[cfg(test)]
    pub(crate) fn like_windows() -> SimSystem {
        let machine = Arc::new(Mutex::new(Machine::new(0)));
        SimSystem { removes_mapped_files: false, ..SimSystem::of(&machine) }
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if machine.life() == self.life {
            Ok(machine)
        } else {
            Err(io::Error::other("the simulated machine has restarted since this was opened"))
        }
    }
}

impl System for SimSystem {
    fn removes_mapped_files(&self) -> bool {
        self.removes_mapped_files
    }

    fn path(&self, name: &str) -> PathBuf {
        path_below(Path::new("simulated"), name)
    }

    fn folders(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.folders())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        Ok(self.alive()?.list(folder))
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        Ok(!self.alive()?.folders().iter().any(|name| name == folder))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SystemFile>> {
        let mut machine = self.alive()?;
        let id = match access {
            Access::Read | Access::Write => machine.open(name)?,
            Access::Create => machine.create(name)?,
        };
        Ok(Box::new(SimFile { system: self.clone(), id }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.alive()?.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.remove(name)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.alive()?.sync_folder(folder)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.alive()?.free_bytes())
    }
}

/// An open file of a simulated machine.
#[derive(Debug)]
pub(crate) struct SimFile {
    system: SimSystem,
    id: FileId,
}

impl SystemFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.system.alive()?.file(self.id).bytes())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut machine = self.system.alive()?;
        readable(machine.file(self.id))?.read(offset, buffer);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.system.alive()?.write(self.id, offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.system.alive()?.file(self.id).truncate(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.system.alive()?.sync_file(self.id)
    }

    fn sync_contents(&self) -> io::Result<()> {
        self.sync()
    }

    /// Memory of its own: it stays readable after a restart, and nothing that happens to the file shows.
    fn map(&self) -> io::Result<Map> {
        let mut machine = self.system.alive()?;
        let contents = readable(machine.file(self.id))?;
        let bytes = usize::try_from(contents.bytes()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Map::filled(bytes, |buffer| {
            contents.read_into_zeros(buffer);
            Ok(())
        })
    }
}

fn readable(contents: &Contents) -> io::Result<&Contents> {
    if contents.unreadable { Err(io::Error::other("a simulated read failed")) } else { Ok(contents) }
}
