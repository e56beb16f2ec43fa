use std::collections::BTreeSet;
use std::sync::Mutex;

use super::lock;
use crate::DiskError;

/// Folders with changed names that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Unsynced(Mutex<BTreeSet<String>>);

impl Unsynced {
    /// Makes a change of names in this folder.
    ///
    /// The folder is noted before the change, so that one which was interrupted is counted too; and again after
    /// it: another thread may have synced the folder in between and taken it off, and the next sync would then
    /// find nothing to do and call a name durable that is not.
    pub(super) fn change<T>(&self, folder: &str, change: impl FnOnce() -> T) -> T {
        self.note(folder);
        let changed = change();
        self.note(folder);
        changed
    }

    /// Makes a change that may turn out to be none. Another thread that finds it made has it noted before it can
    /// sync anything that relies on it.
    pub(super) fn change_if<E>(
        &self,
        folder: &str,
        change: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut folders = lock(&self.0);
        if change()? {
            folders.insert(folder.to_string());
        }
        Ok(())
    }

    /// Has all of them synced. None counts as synced unless all are.
    pub(super) fn sync(&self, mut sync: impl FnMut(&str) -> Result<(), DiskError>) -> Result<(), DiskError> {
        let mut folders = lock(&self.0);
        folders.iter().try_for_each(|folder| sync(folder))?;
        folders.clear();
        Ok(())
    }

    fn note(&self, folder: &str) {
        lock(&self.0).insert(folder.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syncs, and says what.
    fn check(unsynced: &Unsynced, expected: &[&str]) {
        let mut synced = Vec::new();
        let all = |folder: &str| {
            synced.push(folder.to_string());
            Ok(())
        };
        unsynced.sync(all).unwrap();
        assert_eq!(synced, expected);
    }

    #[test]
    fn a_folder_is_synced_once_after_each_change() {
        let unsynced = Unsynced::default();
        check(&unsynced, &[]);
        unsynced.change("journal", || ());
        unsynced.change("", || ());
        check(&unsynced, &["", "journal"]);
        check(&unsynced, &[]);
    }

    #[test]
    fn a_change_during_which_another_thread_syncs_is_not_taken_for_durable() {
        let unsynced = Unsynced::default();
        unsynced.change("journal", || check(&unsynced, &["journal"]));
        check(&unsynced, &["journal"]);
    }

    #[test]
    fn a_change_that_was_none_needs_no_sync() {
        let unsynced = Unsynced::default();
        unsynced.change_if("", || Ok::<_, ()>(false)).unwrap();
        check(&unsynced, &[]);
        unsynced.change_if("", || Ok::<_, ()>(true)).unwrap();
        check(&unsynced, &[""]);
    }

    #[test]
    fn what_could_not_be_synced_stays() {
        let unsynced = Unsynced::default();
        unsynced.change("journal", || ());
        let refused = unsynced.sync(|_| Err(DiskError::ReadOnly { path: "journal".into() }));
        assert!(refused.is_err());
        check(&unsynced, &["journal"]);
    }
}
