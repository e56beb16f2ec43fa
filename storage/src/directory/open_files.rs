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
pub(super) struct OpenFiles<S: System>(Mutex<BTreeMap<String, Weak<Presence<S>>>>);

/// Held by every map of one file.
#[derive(Debug)]
pub(super) struct Presence<S: System> {
    name: String,
    core: Weak<Core<S>>,
    /// The file is to be removed with its last map.
    going: AtomicBool,
}

impl<S: System> OpenFiles<S> {
    pub(super) fn new() -> OpenFiles<S> {
        OpenFiles(Mutex::new(BTreeMap::new()))
    }

    /// Registers one more map of a file.
    pub(super) fn enter(&self, core: &Arc<Core<S>>, name: &str) -> Arc<Presence<S>> {
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
    pub(super) fn remove(&self, system: &S, name: &str) -> io::Result<()> {
        if !S::REMOVES_MAPPED_FILES {
            let presence = lock(&self.0).get(name).and_then(Weak::upgrade);
            if let Some(presence) = presence {
                presence.going.store(true, Ordering::Release);
                return Ok(());
            }
        }
        system.remove(name)
    }
}

impl<S: System> Drop for Presence<S> {
    fn drop(&mut self) {
        if self.going.load(Ordering::Acquire)
            && let Some(core) = self.core.upgrade()
        {
            // A file that resists is found again at the next start, and its owner removes it once more.
            core.system.remove(&self.name).ok();
        }
    }
}
