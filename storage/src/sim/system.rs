use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::contents::Contents;
use super::machine::{Coverage, Machine};
use super::names::FileId;
use crate::FileEntry;
use crate::disk::path_below;
use crate::map::Map;
use crate::system::{Access, System, SystemFile, UncachedFile};

/// A simulated machine, for all who use it.
#[derive(Debug)]
pub(super) struct Shared {
    machine: Mutex<Machine>,
    /// Wakes syncs that wait for a stuck disk.
    released: Condvar,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Shared {
        Shared { machine: Mutex::new(Machine::new(seed)), released: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what may end a wait.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let changed = change(&mut self.lock());
        self.released.notify_all();
        changed
    }
}

/// A process's access to a simulated machine, until the machine restarts.
#[derive(Clone, Debug)]
pub(crate) struct SimSystem {
    shared: Arc<Shared>,
    life: u64,
    removes_mapped_files: bool,
}

impl SimSystem {
    pub(super) fn of(shared: &Arc<Shared>) -> SimSystem {
        let life = shared.lock().life();
        SimSystem { shared: Arc::clone(shared), life, removes_mapped_files: true }
    }

    /// The same machine under Windows, which does not remove a mapped file.
    #[cfg(test)]
    pub(crate) fn like_windows() -> SimSystem {
        SimSystem { removes_mapped_files: false, ..SimSystem::of(&Arc::new(Shared::new(0))) }
    }

    pub(super) fn open_file(&self, name: &str, access: Access) -> io::Result<SimFile> {
        let mut machine = self.alive()?;
        let id = match access {
            Access::Read | Access::Write => machine.open(name)?,
            Access::Create => machine.create(name)?,
        };
        Ok(SimFile { system: self.clone(), id })
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.shared.lock();
        machine.calls += 1;
        self.still_alive(machine)
    }

    fn still_alive<'a>(&self, machine: MutexGuard<'a, Machine>) -> io::Result<MutexGuard<'a, Machine>> {
        if machine.life() == self.life {
            Ok(machine)
        } else {
            Err(io::Error::other("the simulated machine has restarted since this was opened"))
        }
    }

    /// The machine once its disk answers. A process that is killed meanwhile waits no longer.
    fn answering(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.alive()?;
        machine.stuck.meet();
        let life = self.life;
        let waits = |machine: &mut Machine| machine.life() == life && machine.stuck.holds_threads();
        let waited = self.shared.released.wait_while(machine, waits);
        self.still_alive(waited.unwrap_or_else(PoisonError::into_inner))
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
        self.open_file(name, access).map(|file| Box::new(file) as Box<dyn SystemFile>)
    }

    fn open_uncached(&self, name: &str) -> io::Result<Box<dyn UncachedFile>> {
        self.open_file(name, Access::Read).map(|file| Box::new(file) as Box<dyn UncachedFile>)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.alive()?.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.remove(name)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.answering()?.sync_folder(folder)
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

impl SimFile {
    pub(super) fn number(&self) -> u64 {
        self.id.0
    }
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
        self.system.answering()?.sync_file(self.id, Coverage::Everything)
    }

    fn sync_contents(&self) -> io::Result<()> {
        self.system.answering()?.sync_file(self.id, Coverage::Contents)
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

/// What is on the disk, whatever the cache holds.
impl UncachedFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.system.alive()?.file(self.id).durable_bytes())
    }

    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.system.alive()?;
        let contents = readable(machine.file(self.id))?;
        let rest = contents.durable_bytes().saturating_sub(offset);
        let bytes = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        contents.read_durable(offset, &mut buffer[..bytes]);
        Ok(bytes)
    }

    fn why_cached(&self) -> Option<&io::Error> {
        None
    }
}

fn readable(contents: &Contents) -> io::Result<&Contents> {
    if contents.unreadable { Err(io::Error::other("a simulated read failed")) } else { Ok(contents) }
}
