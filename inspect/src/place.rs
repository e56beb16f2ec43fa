//! What the command line names: a data directory or a snapshot file, opened for reading only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fleet::{PastMoment, WallTime};
use journal::{FoundMeta, Journal, Meta};
use position::ClusterId;
use snapshots::{Flaw, Opened, Shelf};
use storage::Disk;

/// What to look into.
pub(crate) enum Place {
    Directory(Directory),
    Snapshot(SnapshotFile),
}

/// `PLACE` or `PLACE@MOMENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedMoment {
    pub(crate) path: PathBuf,
    /// None: as far as it is known to be committed.
    pub(crate) at: Option<PastMoment>,
}

impl NamedMoment {
    /// Reads it from the command line. A path that is there is taken as it is, whatever is in its name.
    pub(crate) fn parse(text: &str) -> Result<NamedMoment, String> {
        let whole = || NamedMoment { path: app::plain(Path::new(text)), at: None };
        match text.rsplit_once('@') {
            Some((path, moment)) if !path.is_empty() && !Path::new(text).exists() => {
                let now = WallTime(prevalent::wall_time());
                let at = PastMoment::parse(moment, now).map_err(|error| error.to_string())?;
                Ok(NamedMoment { path: app::plain(Path::new(path)), at: Some(at) })
            }
            _ => Ok(whole()),
        }
    }
}

/// A voter's or a store's data directory.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) meta: FoundMeta,
}

/// A snapshot wherever it lies: in a directory, in a backup, on a stick.
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) opened: Result<Opened, Flaw>,
}

impl Place {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Place> {
        let found = fs::metadata(path).with_context(|| format!("cannot look into {}", path.display()))?;
        if found.is_dir() {
            return Directory::open(path).map(Place::Directory);
        }
        SnapshotFile::open(path, found.len()).map(Place::Snapshot)
    }
}

impl Directory {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Directory> {
        let disk: Disk = Disk::open_read_only(path)?;
        let meta = Meta::read(&disk)?;
        let empty = meta == FoundMeta::Missing
            && Journal::check_absent(&disk).is_ok()
            && Shelf::new(disk.clone()).list()?.is_empty();
        if empty {
            bail!(
                "{} is no data directory: it has no identity (meta.0, meta.1), no journal and no snapshots",
                path.display()
            );
        }
        Ok(Directory { path: path.to_owned(), disk, meta })
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::new(self.disk.clone())
    }

    /// Whose directory it is, if it still knows.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        match &self.meta {
            FoundMeta::Good(meta) => Some(meta.cluster),
            FoundMeta::Missing | FoundMeta::Damaged => None,
        }
    }
}

impl SnapshotFile {
    fn open(path: &Path, bytes: u64) -> anyhow::Result<SnapshotFile> {
        let named = || format!("{} cannot be opened as a snapshot file", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).with_context(named)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let disk = Disk::open_read_only(folder.unwrap_or(Path::new(".")))?;
        let file = disk.map(name)?.with_context(named)?;
        Ok(SnapshotFile { path: path.to_owned(), bytes, opened: Opened::verify(file) })
    }
}
