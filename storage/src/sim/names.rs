use std::collections::BTreeMap;

use super::random::{Random, Survival};

/// A file apart from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// Which name leads to which file.
type Table = BTreeMap<String, FileId>;

/// The directory: as programs see it, and as it is on the disk.
///
/// Every change waits for a sync of its folder. Folders themselves come and go with their files.
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
        });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Change {
            folder: folder_of(name).to_string(),
            add: None,
            remove: Some(name.to_string()),
        });
    }

    /// Between two folders these are two changes, and a power cut may separate them.
    pub(super) fn rename(&mut self, from: &str, to: &str, file: FileId) {
        if folder_of(from) == folder_of(to) {
            self.change(Change {
                folder: folder_of(to).to_string(),
                add: Some((to.to_string(), file)),
                remove: Some(from.to_string()),
            });
        } else {
            self.add(to, file);
            self.remove(from);
        }
    }

    pub(super) fn sync(&mut self, folder: &str) {
        for change in self.unsynced.extract_if(.., |change| change.folder == folder) {
            change.apply(&mut self.durable);
        }
    }

    /// Any subset of the unsynced changes reaches the disk, in their order.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Random) {
        for change in std::mem::take(&mut self.unsynced) {
            if survival.survives(random) {
                change.apply(&mut self.durable);
            }
        }
        self.current = self.durable.clone();
    }

    /// Whether a power cut could leave a name for this file.
    pub(super) fn may_lead_to(&self, file: FileId) -> bool {
        let added = self.unsynced.iter().filter_map(|change| change.add.as_ref().map(|(_, file)| *file));
        self.current.values().chain(self.durable.values()).copied().chain(added).any(|other| other == file)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
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
