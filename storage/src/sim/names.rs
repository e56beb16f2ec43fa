use std::collections::BTreeMap;

use super::chance::{Chance, Survival};

/// A file apart from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// Which name leads to which file.
type Table = BTreeMap<String, FileId>;

/// The directory: as programs see it, and as it is on the disk.
///
/// Every change waits for a sync of its folder. A failed one drops changes: they show until the cache lets go of
/// them, and no sync writes them unless the folder is changed again, since its names share a block. Folders
/// themselves come and go with their files.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    current: Table,
    durable: Table,
    unsynced: Vec<Change>,
}

/// A change of names within one folder. A rename within a folder is one change: both names or neither.
#[derive(Clone, Debug)]
struct Change {
    folder: String,
    add: Option<(String, FileId)>,
    remove: Option<String>,
    dropped: bool,
}

impl Names {
    pub(super) fn settled(current: Table) -> Names {
        Names { durable: current.clone(), current, unsynced: Vec::new() }
    }

    pub(super) fn current(&self) -> &Table {
        &self.current
    }

    pub(super) fn get(&self, name: &str) -> Option<FileId> {
        self.current.get(name).copied()
    }

    pub(super) fn add(&mut self, name: &str, file: FileId) {
        self.change(Change {
            folder: folder_of(name).to_string(),
            add: Some((name.to_string(), file)),
            remove: None,
            dropped: false,
        });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Change {
            folder: folder_of(name).to_string(),
            add: None,
            remove: Some(name.to_string()),
            dropped: false,
        });
    }

    /// Between two folders these are two changes, and a power cut may separate them.
    pub(super) fn rename(&mut self, from: &str, to: &str, file: FileId) {
        if folder_of(from) == folder_of(to) {
            self.change(Change {
                folder: folder_of(to).to_string(),
                add: Some((to.to_string(), file)),
                remove: Some(from.to_string()),
                dropped: false,
            });
        } else {
            self.add(to, file);
            self.remove(from);
        }
    }

    pub(super) fn sync(&mut self, folder: &str) {
        for change in self.unsynced.extract_if(.., |change| change.folder == folder && !change.dropped) {
            change.apply(&mut self.durable);
        }
    }

    /// Part of the folder's changes reach the disk, the rest are dropped.
    pub(super) fn fail_sync(&mut self, folder: &str, random: &mut Chance) {
        let survival = Survival::draw(random);
        let waiting = |change: &mut Change| change.folder == folder && !change.dropped;
        let arrives = |change: &mut Change| waiting(change) && survival.survives(random);
        for change in self.unsynced.extract_if(.., arrives) {
            change.apply(&mut self.durable);
        }
        self.unsynced
            .iter_mut()
            .filter(|change| change.folder == folder)
            .for_each(|change| change.dropped = true);
    }

    /// The process ends and the machine goes on: the cache may let go of what was dropped.
    pub(super) fn lose_process(&mut self, random: &mut Chance) {
        if !self.unsynced.iter().any(|change| change.dropped) {
            return;
        }
        let survival = Survival::draw(random);
        self.unsynced.retain(|change| !change.dropped || survival.survives(random));
        self.current = self.durable.clone();
        self.unsynced.iter().for_each(|change| change.apply(&mut self.current));
    }

    /// Any subset of the unsynced changes reaches the disk, in their order.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Chance) {
        for change in std::mem::take(&mut self.unsynced) {
            if !change.dropped && survival.survives(random) {
                change.apply(&mut self.durable);
            }
        }
        self.current = self.durable.clone();
    }

    /// A name is gone, in the cache and on the disk.
    pub(super) fn lose(&mut self, name: &str) {
        self.current.remove(name);
        self.durable.remove(name);
        self.unsynced.retain(|change| change.add.as_ref().is_none_or(|(added, _)| added != name));
    }

    /// A name is there, in the cache and on the disk.
    pub(super) fn put(&mut self, name: &str, file: FileId) {
        self.current.insert(name.to_string(), file);
        self.durable.insert(name.to_string(), file);
    }

    /// Whether a power cut could leave a name for this file.
    pub(super) fn may_lead_to(&self, file: FileId) -> bool {
        let added = self.unsynced.iter().filter_map(|change| change.add.as_ref().map(|(_, file)| *file));
        self.current.values().chain(self.durable.values()).copied().chain(added).any(|other| other == file)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        let same_folder = |other: &&mut Change| other.folder == change.folder;
        self.unsynced.iter_mut().filter(same_folder).for_each(|other| other.dropped = false);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, names: &mut Table) {
        if let Some(name) = &self.remove {
            names.remove(name);
        }
        if let Some((name, file)) = &self.add {
            names.insert(name.clone(), *file);
        }
    }
}

pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
