use std::sync::Mutex;

use super::lock;

/// Zero-filled, synced files that have no final name yet, with their lengths.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<(u64, String)>>);

impl Spares {
    /// How many there are of this length.
    pub(super) fn count(&self, bytes: u64) -> usize {
        lock(&self.0).iter().filter(|(length, _)| *length == bytes).count()
    }

    pub(super) fn add(&self, bytes: u64, name: String) {
        lock(&self.0).push((bytes, name));
    }

    pub(super) fn take(&self, bytes: u64) -> Option<String> {
        let mut spares = lock(&self.0);
        let at = spares.iter().position(|(length, _)| *length == bytes)?;
        Some(spares.swap_remove(at).1)
    }
}
