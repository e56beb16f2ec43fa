//! Which files are mapped. Windows neither removes a mapped file nor creates its name anew (error 1224), so
//! there the removal waits until the last map of it is gone.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::{Core, lock};
use crate::system::System;

/// The mapped files by name.
#[derive(Debug)]
pub(super) struct OpenFiles(Mutex<BTreeMap<String, Weak<Presence>>>);

/// Held by every map of one file.
#[derive(Debug)]
pub(super) struct Presence {
    name: String,
    core: Weak<Core>,
    /// The file is to be removed with its last map.
    going: AtomicBool,
}

impl OpenFiles {
    pub(super) fn new() -> OpenFiles {
        OpenFiles(Mutex::new(BTreeMap::new()))
    }

    /// Registers one more map of a file.
    pub(super) fn enter(&self, core: &Arc<Core>, name: &str) -> Arc<Presence> {
        let mut names = lock(&self.0);
        names.retain(|_, presence| presence.strong_count() > 0);
        if let Some(presence) = names.get(name).and_then(Weak::upgrade) {
            return presence;
        }
        let presence = Arc::new(Presence {
            name: name.to_string(),
            core: Arc::downgrade(core),
            going: AtomicBool::new(false),
        });
        names.insert(name.to_string(), Arc::downgrade(&presence));
        presence
    }

    /// Whether a removed file of this name is still there because somebody reads it.
    pub(super) fn is_going(&self, name: &str) -> bool {
        let presence = lock(&self.0).get(name).and_then(Weak::upgrade);
        presence.is_some_and(|presence| presence.going.load(Ordering::Acquire))
    }

    /// Removes a file, or sees to it that it is removed with its last map.
    pub(super) fn remove(&self, system: &dyn System, name: &str) -> io::Result<()> {
        if !system.removes_mapped_files() {
            let presence = lock(&self.0).get(name).and_then(Weak::upgrade);
            if let Some(presence) = presence {
                presence.going.store(true, Ordering::Release);
                return Ok(());
            }
        }
        system.remove(name)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.going.load(Ordering::Acquire)
            && let Some(core) = self.core.upgrade()
        {
            // A file that resists is found again at the next start, and its owner removes it once more.
            core.system.remove(&self.name).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::DiskError;
    use crate::disk::{Disk, Rights};
    use crate::sim::system::SimSystem;
    use crate::system::System;

    #[test]
    fn a_mapped_file_is_hidden_at_once_and_removed_with_its_last_slice() {
        let system = SimSystem::like_windows();
        let disk = Disk::on(system.clone(), Rights::Owner).unwrap();
        let on_the_disk = || system.list("journal").unwrap().len();

        let mut segment = disk.create_segment("journal/a", 100).unwrap();
        segment.append(b"abc").unwrap();
        let slice = segment.slice(1..2);
        let again = disk.open_segment("journal/a").unwrap();
        disk.remove("journal/a").unwrap();
        assert_eq!(on_the_disk(), 1);
        assert_eq!(disk.list("journal").unwrap(), []);
        assert!(matches!(disk.open_segment("journal/a"), Err(DiskError::Missing { .. })));
        assert!(disk.read("journal/a", 100).unwrap().is_none());

        drop(segment);
        drop(again);
        assert_eq!((on_the_disk(), &slice[..]), (1, &b"b"[..]));
        drop(slice);
        assert_eq!(on_the_disk(), 0);
        disk.create_segment("journal/a", 100).unwrap();
    }

    #[test]
    fn a_file_that_is_not_mapped_is_removed_at_once() {
        let system = SimSystem::like_windows();
        let disk = Disk::on(system.clone(), Rights::Owner).unwrap();
        drop(disk.create_segment("journal/a", 100).unwrap());
        disk.remove("journal/a").unwrap();
        assert_eq!(system.list("journal").unwrap(), []);
    }
}
