//! The data directory: in which order files are written, synced, renamed and their folders synced, so that
//! a power cut at any moment leaves nothing half done under a final name.
//!
//! Responsible for: these orders, temporary files, spare segments, removal of mapped files, and refusing
//! everything after a failed sync.
//! Not responsible for: the system calls themselves; they come from a [`System`].
//!
//! Names are paths relative to the directory, with `/` between folder and file on every platform.

mod file;
mod open_files;
mod rewrite;
mod spares;
mod stage;
mod uncached;
mod unsynced;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use position::Mutant;

use crate::disk::file::Usage;
use crate::disk::open_files::OpenFiles;
use crate::disk::spares::Spares;
use crate::disk::unsynced::Unsynced;
use crate::map::Map;
use crate::segment::Shared;
use crate::system::{Access, System, SystemFile};
use crate::{DiskError, Segment, Slice};

pub(crate) use crate::disk::file::OpenFile;
pub use crate::disk::rewrite::Rewrite;
pub use crate::disk::stage::Stage;
pub use crate::disk::uncached::Uncached;

/// How a file is called that has not got its name yet. What ends so is removed when the directory is opened.
const UNFINISHED: &str = ".unfinished";

/// How much is zeroed by one call.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// Whether changes are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The only writer.
    Owner,
    /// Looking on while another process may be writing.
    Reader,
}

/// Whether the owner may still write to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    /// It is complete. The owner may remove it, or replace it by another of its name.
    Final,
    /// It is complete and never replaced, and its owner tries again to remove it if somebody holds it.
    Closed,
    /// It may be appended to.
    MayGrow,
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name within the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A data directory of which this process is the only writer.
///
/// After one failed sync, of whatever file or folder, every later change fails with
/// [`DiskError::Poisoned`]: the system may have dropped the bytes in question and would report the next sync
/// as a success. Only a new process may go on.
///
/// That one reads the system's cache, which may still show what the disk does not hold, and which takes it for
/// written. So after an unclean end it writes again ([`Disk::rewrite`]) what no successful sync vouches for, and syncs
/// it, before it relies on it. [`Disk::overwrite`] and [`Disk::replace`] write everything anyway. Names are written
/// again, all of them, whenever a directory is opened.
///
/// Cheap to clone: all clones are one directory.
///
/// # Panics
/// All methods panic on a name that leaves the directory: names are made by this program, never by input.
#[derive(Clone, Debug)]
pub struct Disk {
    core: Arc<Core>,
}

/// What open files keep of their directory: as long as one of them can write, the lock in `S` is held.
#[derive(Debug)]
struct Core {
    system: Box<dyn System>,
    rights: Rights,
    /// Set by the first failed sync or append and never cleared.
    poisoned: AtomicBool,
    unsynced: Unsynced,
    open_files: OpenFiles,
    temporaries: AtomicU64,
    spares: Spares,
    /// It has been logged that reads cannot bypass the cache.
    cached_reads_told: OnceLock<()>,
}

impl Disk {
    /// Opens a directory that exists. An owner removes what an earlier process left unfinished, and makes
    /// sure that every name found from now on is durable.
    pub(crate) fn on(system: impl System, rights: Rights) -> Result<Disk, DiskError> {
        let core = Core {
            system: Box::new(system),
            rights,
            poisoned: AtomicBool::new(false),
            unsynced: Unsynced::default(),
            open_files: OpenFiles::new(),
            temporaries: AtomicU64::new(0),
            spares: Spares::default(),
            cached_reads_told: OnceLock::new(),
        };
        if rights == Rights::Owner {
            core.settle_everything()?;
        }
        Ok(Disk { core: Arc::new(core) })
    }

    fn write_in_place(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn SystemFile>, DiskError> {
        let core = &self.core;
        core.check_writable(name)?;
        let path = core.system.path(name);
        let file = core.open_or_create(name)?;
        file.write_at(0, bytes).map_err(DiskError::while_trying("write", &path))?;
        file.truncate(bytes.len() as u64).map_err(DiskError::while_trying("write", &path))?;
        Ok(file)
    }

    /// A whole file in memory, such that nobody changes it under the reader's feet.
    fn view(&self, name: &str, file: &dyn SystemFile, bytes: Bytes) -> Result<Map, DiskError> {
        let path = self.core.system.path(name);
        let failed = |source| DiskError::while_trying("map", &path)(source);
        Ok(match (self.core.rights, bytes) {
            (Rights::Owner, _) => file.map().map_err(failed)?,
            // On Windows a map keeps the owner from removing the file for as long as somebody looks on. A copy of each
            // closed segment would be as much memory as the journal is long.
            (Rights::Reader, Bytes::Closed) => file.map().map_err(failed)?,
            // Where a map would keep the owner from replacing the file, the reader takes a copy too.
            (Rights::Reader, Bytes::Final) if self.core.system.removes_mapped_files() => {
                file.map().map_err(failed)?
            }
            // The owner may be appending to this very file: take a copy, since borrowed bytes must not change.
            (Rights::Reader, Bytes::Final | Bytes::MayGrow) => {
                let bytes = file.bytes().and_then(length_in_memory).map_err(failed)?;
                Map::filled(bytes, |buffer| file.read_at(0, buffer)).map_err(failed)?
            }
        })
    }

    /// What is appended lies in memory, beside a file of zeros.
    fn blank_segment(&self, name: &str, bytes: u64, usage: Usage) -> Result<Segment, DiskError> {
        let blank = length_in_memory(bytes).and_then(Map::blank);
        let map = blank.map_err(DiskError::while_trying("map", &self.core.system.path(name)))?;
        Ok(Segment::new(self.shared(name, map, usage)))
    }

    fn unnamed_segment(
        &self,
        name: &str,
        bytes: u64,
        temporary: Option<String>,
    ) -> Result<Segment, DiskError> {
        self.blank_segment(name, bytes, Usage::Unnamed { temporary, bytes, file: OnceLock::new() })
    }

    fn shared(&self, name: &str, map: Map, usage: Usage) -> Shared {
        Shared::new(map, OpenFile::new(&self.core, name, usage))
    }
}

impl Disk {
    /// Whether it was opened for looking only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.core.rights == Rights::Reader
    }

    /// The files of a folder, sorted by name. A folder that does not exist is empty; temporary files and
    /// files whose removal waits for their last reader are left out.
    pub fn list(&self, folder: &str) -> Result<Vec<FileEntry>, DiskError> {
        let core = &self.core;
        let path = core.system.path(folder);
        let mut entries = core.system.list(folder).map_err(DiskError::while_trying("list", &path))?;
        entries.retain(|entry| {
            !entry.name.ends_with(UNFINISHED) && !core.open_files.is_going(&join(folder, &entry.name))
        });
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// A whole file; `None` if there is no such file. One longer than `bytes_max` is an error and not read.
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(file) = self.core.open_if_there(name, Access::Read)? else { return Ok(None) };
        let path = self.core.system.path(name);
        let failed = |source| DiskError::while_trying("read", &path)(source);
        let bytes = file.bytes().map_err(failed)?;
        if bytes > bytes_max {
            return Err(DiskError::TooLong { path, bytes, bytes_max });
        }
        let mut contents = vec![0; length_in_memory(bytes).map_err(failed)?];
        file.read_at(0, &mut contents).map_err(failed)?;
        Ok(Some(contents))
    }

    /// Writes a small file in place, creating it if need be; durable on return. A power cut in between may
    /// leave any mixture of the old and the new bytes, so the caller keeps two checksummed copies.
    pub fn overwrite(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.write_in_place(name, bytes)?;
        self.core.sync_file(name, &*file)?;
        self.core.sync_changed_folders()
    }

    /// Like [`Disk::overwrite`] without any sync: survives the process, perhaps not the machine.
    pub fn note(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.write_in_place(name, bytes).map(drop)
    }

    /// Like [`Disk::overwrite`] for a file that nobody relies on: a failure, even of its sync, says nothing about any
    /// other file, and the directory goes on.
    pub fn store_hint(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.write_in_place(name, bytes)?;
        file.sync().map_err(DiskError::while_trying("sync", &self.core.system.path(name)))?;
        // Its name is another matter: the folder holds those of others, too.
        self.core.sync_changed_folders()
    }

    /// Replaces a file by `bytes`: after a power cut it holds the old contents or the new, and the new once
    /// this has returned.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut stage = self.stage(name)?;
        let written = stage.write_at(0, bytes);
        written.map_err(DiskError::while_trying("write", &self.core.system.path(name)))?;
        stage.publish()
    }

    /// A temporary file to be filled bit by bit, which becomes `name` when it is published.
    pub fn stage(&self, name: &str) -> Result<Stage, DiskError> {
        self.core.check_writable(name)?;
        Stage::create(Arc::clone(&self.core), name)
    }

    /// A read-only view of a whole file that is never changed again; `None` if there is no such file.
    pub fn map(&self, name: &str) -> Result<Option<Slice>, DiskError> {
        let Some(file) = self.core.open_if_there(name, Access::Read)? else { return Ok(None) };
        let map = self.view(name, &*file, Bytes::Final)?;
        Ok(Some(Slice::whole(self.shared(name, map, Usage::Reading))))
    }

    /// Removes a file; one that does not exist is no error. A power cut soon after may bring it back, which
    /// must be harmless to the caller. Where the system cannot remove a mapped file (Windows), it is hidden
    /// at once and goes with its last [`Slice`].
    pub fn remove(&self, name: &str) -> Result<(), DiskError> {
        let core = &self.core;
        core.check_writable(name)?;
        match core.unsynced.change(folder_of(name), || core.open_files.remove(&*core.system, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::while_trying("remove", &core.system.path(name))(error))
            }
            _ => Ok(()),
        }
    }

    /// A new file of `bytes` zeros to append to. The space is really allocated and the name durable on
    /// return, so that no later append can meet a full disk. Quick if [`Disk::prepare_segment`] made a spare
    /// of the same length.
    pub fn create_segment(&self, name: &str, bytes: u64) -> Result<Segment, DiskError> {
        let core = &self.core;
        core.check_writable(name)?;
        let temporary = match core.spares.take(bytes) {
            Some(spare) => spare,
            None => core.zero_filled(name, bytes)?,
        };
        let file = match core.give_new_name(&temporary, name) {
            Ok(file) => file,
            Err(error) => {
                core.discard(&temporary);
                return Err(error);
            }
        };
        self.blank_segment(name, bytes, Usage::Appending(file))
    }

    /// The same from a spare alone, and without a word to the disk: the file gets its name when it is first
    /// [written to](crate::Flusher). `None` without a spare of this length.
    pub fn begin_segment(&self, name: &str, bytes: u64) -> Result<Option<Segment>, DiskError> {
        self.core.check_writable(name)?;
        let Some(temporary) = self.core.spares.take(bytes) else { return Ok(None) };
        self.unnamed_segment(name, bytes, Some(temporary)).map(Some)
    }

    /// The same without a spare: even the file is only made when it is first [written to](crate::Flusher). If the
    /// disk has no room for it then, the directory is poisoned, since what was appended has no other place to go.
    pub fn begin_segment_without_file(&self, name: &str, bytes: u64) -> Result<Segment, DiskError> {
        self.core.check_writable(name)?;
        self.unnamed_segment(name, bytes, None)
    }

    /// Makes a spare for the next [`Disk::create_segment`] or [`Disk::begin_segment`] of this length, if there is
    /// none: slow, for a background job. It does not survive a restart.
    pub fn prepare_segment(&self, bytes: u64) -> Result<(), DiskError> {
        self.prepare_segments(bytes, 1)
    }

    /// The same until there are so many spares of this length.
    pub fn prepare_segments(&self, bytes: u64, count: usize) -> Result<(), DiskError> {
        self.core.check_writable("spare")?;
        while self.spares(bytes) < count {
            let name = self.core.zero_filled("spare", bytes)?;
            self.core.spares.add(bytes, name);
        }
        Ok(())
    }

    /// How many spares of this length are ready.
    #[must_use]
    pub fn spares(&self, bytes: u64) -> usize {
        self.core.spares.count(bytes)
    }

    /// An existing segment, all of it readable. To append to it, call [`Segment::resume`] first. Whoever only
    /// looks on gets a copy, since the owner may be appending.
    pub fn open_segment(&self, name: &str) -> Result<Segment, DiskError> {
        self.open_existing(name, Bytes::MayGrow)
    }

    /// The same for a segment that is never appended to again: whoever only looks on reads the file through a
    /// map, which costs no memory of the process.
    pub fn open_closed_segment(&self, name: &str) -> Result<Segment, DiskError> {
        self.open_existing(name, Bytes::Closed)
    }

    fn open_existing(&self, name: &str, bytes: Bytes) -> Result<Segment, DiskError> {
        let core = &self.core;
        let access = if core.rights == Rights::Owner { Access::Write } else { Access::Read };
        let missing = || DiskError::Missing { path: core.system.path(name) };
        let file = core.open_if_there(name, access)?.ok_or_else(missing)?;
        let map = self.view(name, &*file, bytes)?;
        let usage = if core.rights == Rights::Owner { Usage::Sealed(file) } else { Usage::Reading };
        Ok(Segment::new(self.shared(name, map, usage)))
    }

    /// Bytes that this process may still allocate.
    pub fn free_bytes(&self) -> Result<u64, DiskError> {
        let free = self.core.system.free_bytes();
        free.map_err(DiskError::while_trying("ask for the free space of", &self.core.system.path("")))
    }
}

impl Core {
    fn check_writable(&self, name: &str) -> Result<(), DiskError> {
        check_name(name);
        match self.rights {
            Rights::Owner => self.check_not_poisoned(name),
            Rights::Reader => Err(DiskError::ReadOnly { path: self.system.path(name) }),
        }
    }

    fn check_not_poisoned(&self, name: &str) -> Result<(), DiskError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(DiskError::Poisoned { path: self.system.path(name) });
        }
        Ok(())
    }

    /// Nobody knows any more what the disk holds: only a new process may go on.
    fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Performs what must not fail, and must not be tried again if it does.
    fn once(
        &self,
        attempted: &'static str,
        name: &str,
        call: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), DiskError> {
        self.check_not_poisoned(name)?;
        call().map_err(|source| {
            self.poison();
            DiskError::while_trying(attempted, &self.system.path(name))(source)
        })
    }

    fn sync_file(&self, name: &str, file: &dyn SystemFile) -> Result<(), DiskError> {
        self.once("sync", name, || file.sync())
    }

    /// Syncs the folders too: without it a power cut can lose a new file's name while keeping its contents,
    /// and recovery would silently stop one segment early.
    fn sync_changed_folders(&self) -> Result<(), DiskError> {
        if Mutant::SkipsFolderSync.is_active() {
            return Ok(());
        }
        self.unsynced.sync(|folder| self.once("sync the folder", folder, || self.system.sync_folder(folder)))
    }

    /// A process that died may have left names that no power cut has tested yet. They are about to be
    /// relied upon, so they are made durable; its temporary files go. Where its sync of a folder failed, the system
    /// takes the names for written, and a sync alone would do nothing: so each folder is changed first.
    fn settle_everything(&self) -> Result<(), DiskError> {
        let root = self.system.path("");
        let mut folders = self.system.folders().map_err(DiskError::while_trying("list", &root))?;
        folders.push(String::new());
        for folder in folders {
            let path = self.system.path(&folder);
            let entries = self.system.list(&folder).map_err(DiskError::while_trying("list", &path))?;
            self.unsynced.change(&folder, || {
                for entry in entries.iter().filter(|entry| entry.name.ends_with(UNFINISHED)) {
                    let path = path.join(&entry.name);
                    let removed = self.system.remove(&join(&folder, &entry.name));
                    removed.map_err(DiskError::while_trying("remove", &path))?;
                }
                self.touch(&folder)
            })?;
        }
        self.sync_changed_folders()
    }

    /// Makes a name and removes it, so that the system has to write the folder's names again.
    fn touch(&self, folder: &str) -> Result<(), DiskError> {
        let name = self.temporary_name(&join(folder, "names"));
        let path = self.system.path(&name);
        match self.system.open(&name, Access::Create) {
            Ok(file) => drop(file),
            // A full disk must not keep a process from starting.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(DiskError::while_trying("create", &path)(error)),
        }
        self.system.remove(&name).map_err(DiskError::while_trying("remove", &path))
    }

    fn open_if_there(&self, name: &str, access: Access) -> Result<Option<Box<dyn SystemFile>>, DiskError> {
        check_name(name);
        if self.open_files.is_going(name) {
            return Ok(None);
        }
        match self.system.open(name, access) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DiskError::while_trying("open", &self.system.path(name))(error)),
        }
    }

    fn open_or_create(&self, name: &str) -> Result<Box<dyn SystemFile>, DiskError> {
        match self.system.open(name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(name),
            opened => opened.map_err(DiskError::while_trying("open", &self.system.path(name))),
        }
    }

    fn create(&self, name: &str) -> Result<Box<dyn SystemFile>, DiskError> {
        self.make_folder_of(name)?;
        let created = self.unsynced.change(folder_of(name), || self.system.open(name, Access::Create));
        created.map_err(DiskError::while_trying("create", &self.system.path(name)))
    }

    fn make_folder_of(&self, name: &str) -> Result<(), DiskError> {
        let folder = folder_of(name);
        if folder.is_empty() {
            return Ok(());
        }
        let made = self.unsynced.change_if(folder_of(folder), || self.system.make_folder(folder));
        made.map_err(DiskError::while_trying("create", &self.system.path(folder)))
    }

    /// A name for something unfinished that no other has had in this process.
    fn temporary_name(&self, name: &str) -> String {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        format!("{name}.{number}{UNFINISHED}")
    }

    /// A new file of zeros under a temporary name. Zeros are written rather than space reserved: a sparse
    /// page in a full volume is a SIGBUS on access, and appends into reserved but unwritten blocks take
    /// three times as long, as each changes the file system's own books.
    fn zero_filled(&self, name: &str, bytes: u64) -> Result<String, DiskError> {
        // To find out by writing until nothing fits any more would take long, each time that somebody tries.
        let path = self.system.path(name);
        let attempt = DiskError::while_trying("allocate", &path);
        if self.system.free_bytes().is_ok_and(|free| free < bytes) {
            return Err(attempt(io::ErrorKind::StorageFull.into()));
        }
        let temporary = self.temporary_name(name);
        let file = self.create(&temporary)?;
        let filled = (|| {
            for offset in (0..bytes).step_by(ZEROS.len()) {
                let rest = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
                file.write_at(offset, &ZEROS[..rest.min(ZEROS.len())])?;
            }
            Ok(())
        })();
        let synced = filled.map_err(attempt).and_then(|()| self.sync_file(&temporary, &*file));
        drop(file);
        match synced {
            Ok(()) => Ok(temporary),
            Err(error) => {
                self.discard(&temporary);
                Err(error)
            }
        }
    }

    /// Turns a synced temporary file into `name`, durably.
    fn give_name(&self, temporary: &str, name: &str) -> Result<(), DiskError> {
        let renamed = self.unsynced.change(folder_of(name), || self.system.rename(temporary, name));
        if let Err(error) = renamed {
            self.discard(temporary);
            return Err(DiskError::while_trying("rename a temporary file to", &self.system.path(name))(
                error,
            ));
        }
        self.sync_changed_folders()
    }

    /// Removes a temporary file. One that resists is removed at the next start, so an error is no news.
    fn discard(&self, temporary: &str) {
        self.system.remove(temporary).ok();
    }
}

/// Locks are never held across code of others, so a panic elsewhere leaves nothing half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_name(name: &str) {
    let inside =
        Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    assert!(inside && !name.is_empty(), "{name:?} is no name within a data directory");
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A file longer than the address space cannot be mapped; that is for 32-bit machines.
fn length_in_memory(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// The whole path of a name below `root`, with the platform's separators.
pub(crate) fn path_below(root: &Path, name: &str) -> PathBuf {
    name.split('/').filter(|part| !part.is_empty()).fold(root.to_path_buf(), |path, part| path.join(part))
}
