//! A disk of our own under real programs: a FUSE file system over the simulated disk, with its volatile cache.
//!
//! Responsible for: handing the system calls of real programs to a [`SimDisk`], and taking the file system away and
//! back when the power goes.
//! Not responsible for: what a failed sync or a power cut leaves. That is the same code as in the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use storage::{SimCalls, SimDisk, SimHandle};

/// Nothing changes behind the kernel's back while it is mounted.
const VALID: Duration = Duration::from_secs(3600);

/// The numbers of files follow those of folders.
const FIRST_FILE: u64 = 1 << 32;

/// A disk that is mounted at a folder.
pub(crate) struct MountedDisk {
    machine: Arc<SimDisk>,
    place: PathBuf,
    /// Made once and durable at once, unlike files: real programs make theirs at the beginning.
    folders: Arc<Mutex<BTreeSet<String>>>,
    delay: SyncDelay,
    session: Option<BackgroundSession>,
}

/// How long each sync takes before it does anything, in milliseconds.
#[derive(Clone, Debug, Default)]
struct SyncDelay(Arc<AtomicU64>);

impl SyncDelay {
    fn wait(&self) {
        std::thread::sleep(Duration::from_millis(self.0.load(Ordering::Relaxed)));
    }
}

/// What the power cut or the end of a process leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What was not synced may be gone.
    Power,
    /// The cache survives.
    Process,
}

impl MountedDisk {
    /// Why no disk can be mounted here, if that is so.
    pub(crate) fn missing() -> Option<String> {
        let place = tempfile::tempdir().expect("a temporary folder");
        let mounted = mount(&SimDisk::new(0), Arc::default(), SyncDelay::default(), place.path());
        mounted.err().map(|error| format!("no FUSE file system can be mounted: {error}"))
    }

    /// Takes over what lies in a folder, durably, and mounts itself there.
    pub(crate) fn over(place: &Path, seed: u64) -> MountedDisk {
        let machine = Arc::new(SimDisk::new(seed));
        let mut folders = BTreeSet::new();
        take_over(&machine, place, "", &mut folders);
        let mut disk = MountedDisk {
            machine,
            place: place.to_path_buf(),
            folders: Arc::new(Mutex::new(folders)),
            delay: SyncDelay::default(),
            session: None,
        };
        disk.mount();
        disk
    }

    /// Where faults are ordered.
    pub(crate) fn machine(&self) -> &SimDisk {
        &self.machine
    }

    /// From now on each sync takes so long, until the next end.
    pub(crate) fn slow_syncs(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).expect("a test is short");
        self.delay.0.store(milliseconds, Ordering::Relaxed);
    }

    /// The power goes while processes use it. Whatever they ask for from now on fails, and so do syncs under way: a
    /// process that waits for one could not be killed before it returns.
    pub(crate) fn cut_under_the_living(&self) {
        self.machine.power_cut();
    }

    /// After all processes that use it are dead: what they left is decided, and the next ones find it.
    pub(crate) fn end(&mut self, end: End) {
        self.unmount();
        self.slow_syncs(Duration::ZERO);
        match end {
            End::Power => self.machine.power_cut(),
            End::Process => self.machine.crash(),
        }
        self.mount();
    }

    fn mount(&mut self) {
        let session = mount(&self.machine, Arc::clone(&self.folders), self.delay.clone(), &self.place);
        self.session = Some(session.expect("it could be mounted before"));
    }

    fn unmount(&mut self) {
        if let Some(session) = self.session.take() {
            session.umount_and_join().expect("nobody uses it any more");
        }
    }
}

fn mount(
    machine: &SimDisk,
    folders: Arc<Mutex<BTreeSet<String>>>,
    delay: SyncDelay,
    place: &Path,
) -> io::Result<BackgroundSession> {
    let volume = Volume { calls: machine.system_calls(), folders, delay, open: Mutex::default() };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("prevalent-tests".to_owned())];
    fuser::spawn_mount(volume, place, &config)
}

/// Copies what a program has made before.
fn take_over(machine: &SimDisk, place: &Path, folder: &str, folders: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let entry = entry.unwrap();
        let name = join(folder, entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            take_over(machine, &entry.path(), &name, folders);
            folders.insert(name);
        } else {
            machine.disk().replace(&name, &std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// The file system, from one mount to its end.
struct Volume {
    calls: SimCalls,
    folders: Arc<Mutex<BTreeSet<String>>>,
    delay: SyncDelay,
    open: Mutex<Open>,
}

/// What the kernel knows by number.
#[derive(Default)]
struct Open {
    folders: BTreeMap<u64, String>,
    files: BTreeMap<u64, Arc<SimHandle>>,
}

impl Volume {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made_folders(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, number: INodeNo) -> Result<String, Errno> {
        match number {
            INodeNo::ROOT => Ok(String::new()),
            number => self.open().folders.get(&number.0).cloned().ok_or(Errno::ENOENT),
        }
    }

    fn path(&self, parent: INodeNo, name: &OsStr) -> Result<String, Errno> {
        Ok(join(&self.folder(parent)?, name.to_str().ok_or(Errno::EINVAL)?))
    }

    fn file(&self, number: INodeNo) -> Result<Arc<SimHandle>, Errno> {
        self.open().files.get(&number.0).cloned().ok_or(Errno::ENOENT)
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        if number == INodeNo::ROOT || self.open().folders.contains_key(&number.0) {
            return Ok(attributes(number, 0, FileType::Directory));
        }
        let bytes = self.file(number)?.bytes().map_err(number_of)?;
        Ok(attributes(number, bytes, FileType::RegularFile))
    }

    fn know_file(&self, file: SimHandle) -> Result<FileAttr, Errno> {
        let number = FIRST_FILE + file.number();
        self.open().files.entry(number).or_insert_with(|| Arc::new(file));
        self.attributes(INodeNo(number))
    }

    fn know_folder(&self, path: &str) -> FileAttr {
        let mut open = self.open();
        let known = open.folders.iter().find(|(_, name)| *name == path).map(|(number, _)| *number);
        let number = known.unwrap_or(INodeNo::ROOT.0 + 1 + open.folders.len() as u64);
        open.folders.insert(number, path.to_owned());
        attributes(INodeNo(number), 0, FileType::Directory)
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let path = self.path(parent, name)?;
        if self.made_folders().contains(&path) {
            return Ok(self.know_folder(&path));
        }
        self.know_file(self.calls.open(&path).map_err(number_of)?)
    }

    fn make(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let path = self.path(parent, name)?;
        self.know_file(self.calls.create(&path).map_err(number_of)?)
    }

    fn move_file(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let (from, to) = (self.path(from.0, from.1)?, self.path(to.0, to.1)?);
        self.calls.rename(&from, &to).map_err(number_of)
    }

    fn names(&self, number: INodeNo) -> Result<Vec<(u64, FileType, String)>, Errno> {
        let folder = self.folder(number)?;
        let mut names = vec![
            (number.0, FileType::Directory, ".".to_owned()),
            (INodeNo::ROOT.0, FileType::Directory, "..".to_owned()),
        ];
        let within = |path: &str| path.strip_prefix(&folder)?.strip_prefix('/').map(str::to_owned);
        let name_in = |path: &str| if folder.is_empty() { Some(path.to_owned()) } else { within(path) };
        let folders = self.made_folders().iter().filter_map(|path| name_in(path)).collect::<Vec<_>>();
        names.extend(folders.into_iter().map(|name| (FIRST_FILE - 1, FileType::Directory, name)));
        let files = self.calls.list(&folder).map_err(number_of)?;
        names.extend(files.into_iter().map(|file| (FIRST_FILE, FileType::RegularFile, file.name)));
        names.retain(|(_, _, name)| !name.contains('/'));
        Ok(names)
    }
}

impl Filesystem for Volume {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name) {
            Ok(found) => reply.entry(&VALID, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Ok(found) => reply.attr(&VALID, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = match size {
            Some(bytes) => self.file(number).and_then(|file| file.truncate(bytes).map_err(number_of)),
            None => Ok(()),
        };
        match changed.and_then(|()| self.attributes(number)) {
            Ok(found) => reply.attr(&VALID, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        match self.path(parent, name) {
            Ok(path) if self.made_folders().insert(path.clone()) => {
                reply.entry(&VALID, &self.know_folder(&path), Generation(0));
            }
            Ok(_) => reply.error(Errno::EEXIST),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.path(parent, name).and_then(|path| self.calls.remove(&path).map_err(number_of)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.move_file((parent, name), (new_parent, new_name)));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name) {
            Ok(made) => {
                reply.created(&VALID, &made, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE)
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let past_the_cache = flags.0 & libc::O_DIRECT != 0;
        let read = self.file(number).and_then(|file| {
            let read = if past_the_cache { SimHandle::read_uncached } else { SimHandle::read };
            read(&file, offset, size as usize).map_err(number_of)
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(number).and_then(|file| file.write_at(offset, data).map_err(number_of)) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("a request is short")),
            Err(error) => reply.error(error),
        }
    }

    /// On a thread of its own: while the disk is stuck, everything but syncs goes on.
    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, contents_only: bool, reply: ReplyEmpty) {
        let (file, delay) = (self.file(number), self.delay.clone());
        std::thread::spawn(move || {
            delay.wait();
            let sync = if contents_only { SimHandle::sync_contents } else { SimHandle::sync };
            answer(reply, file.and_then(|file| sync(&file).map_err(number_of)));
        });
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let folder = self.folder(number);
        let (calls, delay) = (self.calls.clone(), self.delay.clone());
        std::thread::spawn(move || {
            delay.wait();
            answer(reply, folder.and_then(|folder| calls.sync_folder(&folder).map_err(number_of)));
        });
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.names(number) {
            Ok(names) => {
                let seen = usize::try_from(offset).expect("a folder is small");
                for (at, (number, kind, name)) in names.into_iter().enumerate().skip(seen) {
                    if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = self.calls.free_bytes().unwrap_or(0) / 4096;
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}

/// The system's number of an error.
fn number_of(error: io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound => Errno::ENOENT,
        io::ErrorKind::AlreadyExists => Errno::EEXIST,
        io::ErrorKind::StorageFull => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn attributes(number: INodeNo, bytes: u64, kind: FileType) -> FileAttr {
    FileAttr {
        ino: number,
        size: bytes,
        blocks: bytes.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: if kind == FileType::Directory { 0o700 } else { 0o600 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
