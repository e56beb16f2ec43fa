//! A disk in memory, with the faults of real ones, reproducible from a seed.
//!
//! Responsible for: what a power cut leaves (any subset of unsynced 512-byte sectors, each in any version it
//! had since its last sync, and any subset of unsynced changes of names), failing and lying syncs, a full
//! volume, rot, files that cannot be read, and going back to an old image.
//! Not responsible for: time. Nothing here takes any; a simulation delays the effects of a sync itself.

mod contents;
mod machine;
mod names;
mod random;
pub(crate) mod system;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Disk;
use crate::disk::Rights;
use crate::sim::machine::Machine;
use crate::sim::system::SimSystem;

pub use crate::sim::machine::Image;

/// A simulated machine's disk.
///
/// Whatever was opened before [`SimDisk::power_cut`], [`SimDisk::crash`] or [`SimDisk::revert`] belongs to a
/// process that is dead: all it can still do is read what it had mapped. These three also take back every
/// fault that was ordered and has not happened yet.
#[derive(Debug)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
    disk: Mutex<Disk>,
}

impl SimDisk {
    /// An empty disk. Everything that is left to chance follows from the seed and from the calls made.
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        let machine = Arc::new(Mutex::new(Machine::new(seed)));
        let disk = Mutex::new(start(&machine));
        SimDisk { machine, disk }
    }

    /// The data directory as the process that is running now sees it.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The machine loses power and starts again: of everything that was not synced any part may be gone.
    pub fn power_cut(&self) {
        self.restart(Machine::power_cut);
    }

    /// The process dies and starts again: all that it wrote is still there, synced or not.
    pub fn crash(&self) {
        self.restart(Machine::crash);
    }

    /// The next sync fails, and with it every later one of this process.
    pub fn fail_next_sync(&self) {
        self.fail_sync_after(0);
    }

    /// The sync after the next `successes` ones fails. What it should have made durable is partly durable
    /// and partly dropped from the cache, as Linux does it: a second try would succeed and do nothing.
    pub fn fail_sync_after(&self, successes: u64) {
        self.lock().fail_sync_after = Some(successes);
    }

    /// The next `count` syncs report success and do nothing.
    pub fn lie_about_syncs(&self, count: u64) {
        self.lock().lies = count;
    }

    /// Leaves room for `free_bytes` more.
    pub fn fill_up(&self, free_bytes: u64) {
        self.lock().fill_up(free_bytes);
    }

    /// Changes bits of a byte at rest. Maps that exist keep what they have read.
    ///
    /// # Panics
    /// If there is no such byte, or nothing would be changed.
    pub fn rot(&self, name: &str, offset: u64, xor: u8) {
        assert_ne!(xor, 0, "rot that changes nothing");
        self.lock().contents_mut(name).rot(offset, xor);
    }

    /// Zeroes the 512-byte sector with this number at rest. Maps that exist keep what they have read.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn zero_sector(&self, name: &str, sector: u64) {
        self.lock().contents_mut(name).zero_sector(sector);
    }

    /// Reading this file fails from now on, until it is written to.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn make_unreadable(&self, name: &str) {
        self.lock().contents_mut(name).unreadable = true;
    }

    /// All files as they can be read now, to go back to.
    #[must_use]
    pub fn image(&self) -> Image {
        self.lock().image()
    }

    /// The machine starts again with an older disk: a restored backup, or a write filter that threw
    /// everything away.
    pub fn revert(&self, image: &Image) {
        self.restart(|machine| machine.revert(image));
    }

    /// How many syncs of files and folders there have been, including those that failed or lied.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// How many calls of any kind there have been: whoever must not wait for the disk makes none.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// A file's contents as they can be read now; `None` if there is no such file.
    #[must_use]
    pub fn bytes_of(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().contents(name).map(contents::Contents::to_vec)
    }

    fn restart(&self, how: impl FnOnce(&mut Machine)) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        how(&mut self.lock());
        *disk = start(&self.machine);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(machine: &Arc<Mutex<Machine>>) -> Disk {
    let system = SimSystem::of(machine);
    Disk::on(system, Rights::Owner).expect("a machine starts without any fault ordered")
}
