use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::chance::{Chance, Survival};
use super::contents::Contents;
use super::damage::{Damage, FileCopy};
use super::names::{FileId, Names, folder_of};
use super::stuck::Stuck;
use crate::FileEntry;

/// A volume large enough not to matter until a test fills it up.
const VOLUME_BYTES: u64 = 1 << 40;

/// The state of a simulated machine's disk, shared by all handles.
#[derive(Debug)]
pub(super) struct Machine {
    random: Chance,
    /// Counts restarts: handles of an earlier life are dead.
    life: u64,
    names: Names,
    files: BTreeMap<FileId, Contents>,
    next_file: u64,
    volume_bytes: u64,
    pub(super) syncs: u64,
    pub(super) calls: u64,
    pub(super) fail_sync_after: Option<u64>,
    pub(super) lies: u64,
    pub(super) stuck: Stuck,
}

/// A copy of all files, to go back to with [`crate::SimDisk::revert`].
#[derive(Clone, Debug)]
pub struct Image {
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, Contents>,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Machine {
        Machine {
            random: Chance::new(seed),
            life: 0,
            names: Names::default(),
            files: BTreeMap::new(),
            next_file: 0,
            volume_bytes: VOLUME_BYTES,
            syncs: 0,
            calls: 0,
            fail_sync_after: None,
            lies: 0,
            stuck: Stuck::default(),
        }
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn power_cut(&mut self) {
        let survival = Survival::draw(&mut self.random);
        self.names.lose_power(survival, &mut self.random);
        for contents in self.files.values_mut() {
            contents.lose_power(survival, &mut self.random);
        }
        self.begin_a_new_life();
    }

    pub(super) fn crash(&mut self) {
        self.names.lose_process(&mut self.random);
        for contents in self.files.values_mut() {
            contents.lose_process(&mut self.random);
        }
        self.begin_a_new_life();
    }

    pub(super) fn fail_writeback(&mut self, name: &str) {
        let id = self.names.get(name).unwrap_or_else(|| panic!("there is no file {name} to write back"));
        let contents = self.files.get_mut(&id).expect("a name leads to a file");
        contents.fail_sync(&mut self.random);
    }

    pub(super) fn image(&self) -> Image {
        let names = self.names.current().clone();
        let mut files = self.files.clone();
        files.retain(|id, _| names.values().any(|named| named == id));
        files.values_mut().for_each(Contents::settle);
        Image { names, files }
    }

    pub(super) fn revert(&mut self, image: &Image) {
        self.names = Names::settled(image.names.clone());
        self.files = image.files.clone();
        self.begin_a_new_life();
    }

    pub(super) fn fill_up(&mut self, free_bytes: u64) {
        self.volume_bytes = self.used_bytes().saturating_add(free_bytes);
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.volume_bytes.saturating_sub(self.used_bytes())
    }

    pub(super) fn contents(&self, name: &str) -> Option<&Contents> {
        self.names.get(name).and_then(|id| self.files.get(&id))
    }

    /// For faults, which a test orders for files that it knows.
    pub(super) fn contents_mut(&mut self, name: &str) -> &mut Contents {
        self.contents_if_there(name).unwrap_or_else(|| panic!("there is no file {name} to damage"))
    }

    fn contents_if_there(&mut self, name: &str) -> Option<&mut Contents> {
        self.names.get(name).and_then(|id| self.files.get_mut(&id))
    }

    pub(super) fn damage(&mut self, name: &str, damage: &Damage) -> bool {
        match damage {
            Damage::Deleted => {
                let was_there = self.names.get(name).is_some();
                self.names.lose(name);
                was_there
            }
            Damage::Stale(copy) => self.replace(name, &copy.contents),
            in_place => self.contents_if_there(name).is_some_and(|contents| in_place.apply(contents)),
        }
    }

    pub(super) fn damage_under_the_cache(&mut self, name: &str, damage: &Damage) -> bool {
        let contents = self.contents_if_there(name);
        contents.is_some_and(|contents| contents.under_the_cache(|disk| damage.apply(disk)))
    }

    fn replace(&mut self, name: &str, contents: &Contents) -> bool {
        let changed = self.contents(name).is_none_or(|found| found.to_vec() != contents.to_vec());
        let id = self.names.get(name).unwrap_or_else(|| self.new_file());
        self.files.insert(id, contents.clone());
        self.names.put(name, id);
        changed
    }

    pub(super) fn copy_of(&self, name: &str) -> Option<FileCopy> {
        let mut contents = self.contents(name)?.clone();
        contents.settle();
        Some(FileCopy { contents })
    }

    pub(super) fn all_files(&self) -> Vec<FileEntry> {
        let entry =
            |(name, id): (&String, &FileId)| FileEntry { name: name.clone(), bytes: self.files[id].bytes() };
        self.names.current().iter().map(entry).collect()
    }

    /// An open file, which may have lost its name.
    pub(super) fn file(&mut self, id: FileId) -> &mut Contents {
        self.files.get_mut(&id).expect("files outlive their names until the machine restarts")
    }

    pub(super) fn open(&self, name: &str) -> io::Result<FileId> {
        self.names.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<FileId> {
        if self.names.get(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.new_file();
        self.names.add(name, id);
        Ok(id)
    }

    fn new_file(&mut self) -> FileId {
        let id = FileId(self.next_file);
        self.next_file += 1;
        self.files.insert(id, Contents::default());
        id
    }

    pub(super) fn write(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let grown = (offset + bytes.len() as u64).saturating_sub(self.file(id).bytes());
        if grown > 0 && grown > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file(id).write(offset, bytes);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let id = self.open(from)?;
        self.names.rename(from, to, id);
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open(name)?;
        self.names.remove(name);
        Ok(())
    }

    pub(super) fn sync_file(&mut self, id: FileId, coverage: Coverage) -> io::Result<()> {
        let fault = self.sync_fault();
        let contents = self.files.get_mut(&id).expect("files outlive their names until the machine restarts");
        match fault {
            Some(SyncFault::Lie) => Ok(()),
            Some(SyncFault::Fail) => {
                contents.fail_sync(&mut self.random);
                Err(io::Error::other("a simulated sync failed"))
            }
            None => {
                match coverage {
                    Coverage::Everything => contents.sync(),
                    Coverage::Contents => contents.sync_contents(),
                }
                Ok(())
            }
        }
    }

    pub(super) fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        match self.sync_fault() {
            Some(SyncFault::Lie) => Ok(()),
            Some(SyncFault::Fail) => {
                self.names.fail_sync(folder, &mut self.random);
                Err(io::Error::other("a simulated sync failed"))
            }
            None => {
                self.names.sync(folder);
                Ok(())
            }
        }
    }

    pub(super) fn folders(&self) -> Vec<String> {
        let folders: BTreeSet<&str> = self.names.current().keys().map(|name| folder_of(name)).collect();
        folders.into_iter().filter(|folder| !folder.is_empty()).map(str::to_string).collect()
    }

    pub(super) fn list(&self, folder: &str) -> Vec<FileEntry> {
        let names = self.names.current().iter().filter(|(name, _)| folder_of(name) == folder);
        names
            .map(|(name, id)| FileEntry {
                name: name[folder.len()..].trim_start_matches('/').to_string(),
                bytes: self.files[id].bytes(),
            })
            .collect()
    }

    fn used_bytes(&self) -> u64 {
        self.names.current().values().map(|id| self.files[id].bytes()).sum()
    }

    fn sync_fault(&mut self) -> Option<SyncFault> {
        self.syncs += 1;
        if self.lies > 0 {
            self.lies -= 1;
            return Some(SyncFault::Lie);
        }
        match self.fail_sync_after {
            Some(0) => {
                self.fail_sync_after = None;
                Some(SyncFault::Fail)
            }
            Some(successes) => {
                self.fail_sync_after = Some(successes - 1);
                None
            }
            None => None,
        }
    }

    /// The dead process's handles end, so files without a name go, and ordered faults are taken back.
    fn begin_a_new_life(&mut self) {
        self.life += 1;
        self.fail_sync_after = None;
        self.lies = 0;
        self.stuck.release();
        let names = &self.names;
        self.files.retain(|id, _| names.may_lead_to(*id));
    }
}

/// What a sync of a file makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Contents and length.
    Everything,
    /// Contents only, as `fdatasync` may.
    Contents,
}

/// What befalls a sync.
#[derive(Clone, Copy, Debug)]
enum SyncFault {
    /// It reports success and does nothing.
    Lie,
    /// It reports an error and does half of it.
    Fail,
}
