//! A disk in memory, with the faults of real ones, reproducible from a seed.
//!
//! Responsible for: what a power cut leaves (any subset of unsynced 512-byte sectors, each in any version it
//! had since its last sync, and any subset of unsynced changes of names), what the cache keeps when only a
//! process ends, failing, lying and stuck syncs, a full volume, damage at rest, files that cannot be read, and going back
//! to an old image.
//! Not responsible for: time. Nothing here takes any; a simulation delays the effects of a sync itself.
//!
//! The cache is that of Linux. It holds pages of 4096 bytes, and writes back whole ones. A sync that fails drops
//! pages: they can still be read, and the cache takes them for clean, so the next sync succeeds without writing
//! them. A write to any byte of such a page makes the whole of it wait for a sync again. When a process ends, the
//! cache stays; it may let go of clean pages, and then the disk's older bytes are read.

mod calls;
mod chance;
mod contents;
mod damage;
mod machine;
mod names;
mod stuck;
pub(crate) mod system;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::Rights;
use crate::sim::machine::Machine;
use crate::sim::system::{Shared, SimSystem};
use crate::{Disk, FileEntry};

pub use crate::sim::calls::{SimCalls, SimHandle};
pub use crate::sim::damage::{Damage, FileCopy};
pub use crate::sim::machine::Image;
pub use crate::sim::stuck::StuckSync;

/// A simulated machine's disk.
///
/// Whatever was opened before [`SimDisk::power_cut`], [`SimDisk::crash`] or [`SimDisk::revert`] belongs to a
/// process that is dead: all it can still do is read what it had mapped. These three also take back every
/// fault that was ordered and has not happened yet.
#[derive(Debug)]
pub struct SimDisk {
    machine: Arc<Shared>,
    disk: Mutex<Disk>,
}

impl SimDisk {
    /// An empty disk. Everything that is left to chance follows from the seed and from the calls made.
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        let machine = Arc::new(Shared::new(seed));
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

    /// The process dies and starts again, and the power stays on: all that it wrote is still there, synced or
    /// not. Only of what a failed sync dropped any part may be gone, and none of it is on the disk.
    pub fn crash(&self) {
        self.restart(Machine::crash);
    }

    /// The next sync fails, and with it every later one of this process.
    pub fn fail_next_sync(&self) {
        self.fail_sync_after(0);
    }

    /// The sync after the next `successes` ones fails. What it should have made durable is partly durable.
    /// The rest can still be read, and the cache takes it for clean: a second try would succeed and do nothing.
    pub fn fail_sync_after(&self, successes: u64) {
        self.lock().fail_sync_after = Some(successes);
    }

    /// The system writes a file back on its own, and fails as a sync does. Nobody is told, as where the process has
    /// ended and the system has forgotten the file since.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn fail_writeback(&self, name: &str) {
        self.lock().fail_writeback(name);
    }

    /// From now on no sync gets an answer, until [`SimDisk::answer_syncs`] or a restart.
    pub fn stick_syncs(&self, how: StuckSync) {
        self.lock().stuck.begin(how);
    }

    /// Syncs get answers again.
    pub fn answer_syncs(&self) {
        self.machine.change(|machine| machine.stuck.release());
    }

    /// Whether a sync that begins now gets no answer. A simulation asks before it performs one, and performs it
    /// when the disk answers.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.lock().stuck.is_stuck()
    }

    /// How many syncs have begun while the disk was stuck.
    #[must_use]
    pub fn stuck_syncs(&self) -> u64 {
        self.lock().stuck.met
    }

    /// The next `count` syncs report success and do nothing.
    pub fn lie_about_syncs(&self, count: u64) {
        self.lock().lies = count;
    }

    /// Leaves room for `free_bytes` more.
    pub fn fill_up(&self, free_bytes: u64) {
        self.lock().fill_up(free_bytes);
    }

    /// Damages a file, in the cache and on the disk, and says whether anything has changed. Damage to a place or a
    /// file that is not there changes nothing. Maps that exist keep what they have read.
    pub fn damage(&self, name: &str, damage: &Damage) -> bool {
        self.lock().damage(name, damage)
    }

    /// Damages a file on the disk while the cache keeps its good pages: it shows in reads that bypass the cache, and to
    /// everyone once the cache has let go of them, at the latest after a power cut. A page that is written to heals.
    ///
    /// # Panics
    /// If the damage is to a file's length, its name or the whole of it: the cache knows of such.
    pub fn damage_under_the_cache(&self, name: &str, damage: &Damage) -> bool {
        self.lock().damage_under_the_cache(name, damage)
    }

    /// A file as it can be read now, to come back as [`Damage::Stale`]; `None` if there is no such file.
    #[must_use]
    pub fn copy_of(&self, name: &str) -> Option<FileCopy> {
        self.lock().copy_of(name)
    }

    /// All files, sorted by name, with the lengths that can be read now. Temporary ones are among them.
    #[must_use]
    pub fn files(&self) -> Vec<FileEntry> {
        self.lock().all_files()
    }

    /// [`Damage::Flipped`], for a byte that must be there.
    ///
    /// # Panics
    /// If there is no such byte, or nothing would be changed.
    pub fn rot(&self, name: &str, offset: u64, xor: u8) {
        let rotten = self.damage(name, &Damage::Flipped { offset, xor });
        assert!(rotten, "rot of {xor} at byte {offset} of {name} changes nothing");
    }

    /// [`Damage::Zeroed`], for a file that must be there.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn zero_sector(&self, name: &str, sector: u64) {
        self.lock().contents_mut(name).zero(sector);
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
        self.machine.change(how);
        *disk = start(&self.machine);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock()
    }
}

fn start(machine: &Arc<Shared>) -> Disk {
    let system = SimSystem::of(machine);
    Disk::on(system, Rights::Owner).expect("a machine starts without any fault ordered")
}
