//! The machine's own disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::MmapOptions;

use crate::disk::{Rights, path_below};
use crate::map::Map;
use crate::system::{Access, System, SystemFile, UncachedFile};
use crate::{Disk, DiskError, FileEntry, os};

/// The file whose lock says that a process is running on a data directory. It is never removed: a lock on a
/// removed file keeps nobody out.
const LOCK: &str = "LOCK";

/// On the machine's own disk.
impl Disk {
    /// Opens a data directory for this process alone, making it if need be.
    ///
    /// It must be a local, uncompressed volume: preallocation writes zeros, which a compressing file system does
    /// not store, and a network share promises neither locks nor syncs.
    ///
    /// What a sync means: on Linux `fdatasync` of the file and `fsync` of the folder. On Windows
    /// `FlushFileBuffers` of the file; there is no sync of a folder there, NTFS writes name changes into its own
    /// log, and renames are made with `MOVEFILE_WRITE_THROUGH`. Files are never written through a map.
    ///
    /// # Errors
    /// [`DiskError::Locked`] if another process (or this one) has it open already.
    pub fn open(directory: impl AsRef<Path>) -> Result<Disk, DiskError> {
        Disk::on(LocalSystem::owning(directory.as_ref())?, Rights::Owner)
    }

    /// Opens a data directory for looking at it, perhaps while a process is running there. Nothing is
    /// changed, not even the lock; everything that would change something returns [`DiskError::ReadOnly`].
    ///
    /// # Errors
    /// [`DiskError::Missing`] if there is no such directory.
    pub fn open_read_only(directory: impl AsRef<Path>) -> Result<Disk, DiskError> {
        let directory = directory.as_ref();
        let metadata = fs::metadata(directory).map_err(DiskError::while_trying("open", directory))?;
        if !metadata.is_dir() {
            return Err(DiskError::while_trying("open", directory)(io::ErrorKind::NotADirectory.into()));
        }
        Disk::on(LocalSystem { root: directory.to_path_buf(), _lock: None }, Rights::Reader)
    }

    /// Whether a process has this data directory open. Nothing is created. The answer may be old at once, and a
    /// process that starts in the very moment of asking is told that the directory is in use: ask seldom.
    ///
    /// # Errors
    /// If the lock cannot be asked for.
    pub fn has_owner(directory: impl AsRef<Path>) -> Result<bool, DiskError> {
        let path = directory.as_ref().join(LOCK);
        let lock = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(DiskError::while_trying("open", &path))?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(DiskError::while_trying("lock", &path)(error)),
        }
    }
}

/// A folder of the machine's file system.
#[derive(Debug)]
pub(crate) struct LocalSystem {
    root: PathBuf,
    /// Let go when the last file that can be written through is closed.
    _lock: Option<File>,
}

impl LocalSystem {
    fn owning(root: &Path) -> Result<LocalSystem, DiskError> {
        let failed = |source| DiskError::while_trying("create", root)(source);
        if !fs::exists(root).map_err(failed)? {
            let made_in = folders_that_change(root, |folder| folder.exists());
            fs::create_dir_all(root).map_err(failed)?;
            for folder in made_in {
                os::sync_folder(folder).map_err(|source| DiskError::while_trying("create", root)(source))?;
            }
        }
        let path = root.join(LOCK);
        let opened =
            os::patiently(|| OpenOptions::new().write(true).create(true).truncate(false).open(&path));
        let lock = opened.map_err(DiskError::while_trying("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(LocalSystem { root: root.to_path_buf(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(DiskError::Locked { path: root.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(DiskError::while_trying("lock", &path)(error)),
        }
    }
}

/// The folders that get a new one when `root` is made with all that is missing above it. Each must be synced: a
/// power cut could else take the topmost, with everything that was made durable below it.
fn folders_that_change(root: &Path, exists: impl Fn(&Path) -> bool) -> Vec<&Path> {
    let above = |folder: &'_ Path| folder.parent().is_some();
    let missing = root.ancestors().take_while(|folder| above(folder) && !exists(folder));
    let parents = missing.filter_map(Path::parent);
    parents.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).collect()
}

impl System for LocalSystem {
    fn removes_mapped_files(&self) -> bool {
        os::REMOVES_MAPPED_FILES
    }

    fn path(&self, name: &str) -> PathBuf {
        path_below(&self.root, name)
    }

    fn folders(&self) -> io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                folders.push(name);
            }
        }
        Ok(folders)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Names that are not Unicode are none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => files.push(FileEntry { name, bytes: metadata.len() }),
                Ok(_) => {}
                // Removed since the folder was read, by the process we are looking at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        match fs::create_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true),
        }
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SystemFile>> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::Write => drop(options.write(true)),
            Access::Create => drop(options.write(true).create_new(true)),
        }
        os::patiently(|| options.open(&path)).map(|file| Box::new(LocalFile(file)) as Box<dyn SystemFile>)
    }

    fn open_uncached(&self, name: &str) -> io::Result<Box<dyn UncachedFile>> {
        LocalUncached::open(&self.path(name)).map(|file| Box::new(file) as Box<dyn UncachedFile>)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        os::patiently(|| os::rename(&self.path(from), &self.path(to)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        os::patiently(|| fs::remove_file(self.path(name)))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        os::sync_folder(&self.path(folder))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        fs4::available_space(&self.root)
    }
}

/// An open file of the machine's file system.
#[derive(Debug)]
pub(crate) struct LocalFile(File);

impl SystemFile for LocalFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        os::read_at(&self.0, offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        os::write_at(&self.0, offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        // A call without a change of length would still change the file's times, and the next sync would
        // have to write them.
        if self.bytes()? == bytes { Ok(()) } else { self.0.set_len(bytes) }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn sync_contents(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(&self) -> io::Result<Map> {
        MmapOptions::new().map_raw_read_only(&self.0).map(Map::of_file)
    }
}

/// A file of the machine's file system, read past the cache where that is possible.
#[derive(Debug)]
struct LocalUncached {
    /// `None` if the file system refused to open it so.
    direct: Option<File>,
    /// The same file through the cache, opened when it is needed.
    cached: OnceLock<File>,
    path: PathBuf,
    refused: OnceLock<io::Error>,
}

impl LocalUncached {
    fn open(path: &Path) -> io::Result<LocalUncached> {
        let refused = OnceLock::new();
        let direct = match os::patiently(|| os::open_uncached(path)) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refused.get_or_init(|| error);
                None
            }
            Err(error) => return Err(error),
        };
        let file = LocalUncached { direct, cached: OnceLock::new(), path: path.to_path_buf(), refused };
        if file.direct.is_none() {
            file.through_the_cache()?;
        }
        Ok(file)
    }

    fn through_the_cache(&self) -> io::Result<&File> {
        if let Some(file) = self.cached.get() {
            return Ok(file);
        }
        let file = os::patiently(|| File::open(&self.path))?;
        Ok(self.cached.get_or_init(|| file))
    }
}

impl UncachedFile for LocalUncached {
    fn bytes(&self) -> io::Result<u64> {
        let file = self.direct.as_ref().or(self.cached.get()).expect("one of them is open");
        Ok(file.metadata()?.len())
    }

    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if let (Some(file), None) = (&self.direct, self.refused.get()) {
            match os::read_some_at(file, offset, buffer) {
                // Some file systems agree to open a file so and refuse to read it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.refused.get_or_init(|| error);
                }
                read => return read,
            }
        }
        let file = self.through_the_cache()?;
        os::drop_cached(file)?;
        os::read_some_at(file, offset, buffer)
    }

    fn why_cached(&self) -> Option<&io::Error> {
        self.refused.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(root: &str, existing: &[&str], expected: &[&str]) {
        let exists = |folder: &Path| existing.iter().any(|known| Path::new(known) == folder);
        let changed = folders_that_change(Path::new(root), exists);
        assert_eq!(changed, expected.iter().map(Path::new).collect::<Vec<_>>());
    }

    /// It takes no memory of whoever looks on, however many segments there are.
    #[test]
    fn a_closed_segment_is_a_map_of_its_file_for_readers_on_every_platform() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Disk::open(folder.path()).unwrap();
        drop(owner.create_segment("journal/a", 4096).unwrap());
        let reader = Disk::open_read_only(folder.path()).unwrap();
        let is_of_file = |segment: crate::Segment| segment.slice(0..4096).is_of_file();
        assert!(is_of_file(reader.open_closed_segment("journal/a").unwrap()));
        assert!(!is_of_file(reader.open_segment("journal/a").unwrap()), "its owner may be writing");
    }

    #[test]
    fn every_folder_that_gets_a_new_one_is_synced() {
        check("/data/store", &["/", "/data"], &["/data"]);
        check("/data/a/b/store", &["/", "/data"], &["/data/a/b", "/data/a", "/data"]);
        check("a/b", &["a"], &["a"]);
        check("a/b", &[], &["a", "."]);
        check("store", &[], &["."]);
    }
}
