use std::collections::BTreeSet;
use std::io;

use position::{Index, Tip};
use storage::{Disk, DiskError};

use crate::header::Header;
use crate::{Flaw, HEADER_BYTES, Head, Incoming, Opened, SnapshotError, SnapshotWriter, TYPE_NAME_BYTES_MAX};

/// How many snapshots are kept. With three, two can rot unnoticed and the journal is still not replayed from
/// its beginning.
pub const KEPT: usize = 3;

const FOLDER: &str = "snapshots";
const EXTENSION: &str = ".snapshot";

/// The snapshots of a data directory.
#[derive(Clone, Debug)]
pub struct Shelf {
    disk: Disk,
    keep_from: Index,
    /// What was found to be no good although it looks right.
    flawed: BTreeSet<Index>,
}

/// A file that has the name of a snapshot. It has not been looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The position its name says.
    pub index: Index,
    /// Its name in the data directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// What a look at the shelf gives.
#[derive(Debug)]
pub struct Newest {
    /// The newest snapshot that is valid.
    pub snapshot: Option<Opened>,
    /// Newer ones that are not, newest first. Each should be reported.
    pub problems: Vec<Problem>,
}

/// A snapshot that was passed over.
#[derive(Debug)]
pub struct Problem {
    /// The position its name says.
    pub index: Index,
    /// Why.
    pub error: SnapshotError,
}

impl Shelf {
    /// The shelf of this data directory.
    #[must_use]
    pub fn new(disk: Disk) -> Shelf {
        Shelf { disk, keep_from: Index(u64::MAX), flawed: BTreeSet::new() }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The same shelf, which removes no snapshot at this position or behind it, however many there are.
    #[must_use]
    pub fn keeping(self, from: Index) -> Shelf {
        Shelf { keep_from: from, ..self }
    }

    /// The same shelf, which does not count these among the newest three: somebody has looked into them.
    #[must_use]
    pub fn not_counting(self, flawed: BTreeSet<Index>) -> Shelf {
        Shelf { flawed, ..self }
    }

    /// Begins a new snapshot.
    ///
    /// # Errors
    /// If the data directory refuses; nothing has changed then.
    ///
    /// # Panics
    /// If the type's name is longer than [`TYPE_NAME_BYTES_MAX`].
    pub fn begin(&self, head: Head) -> Result<SnapshotWriter, SnapshotError> {
        assert!(head.type_name.len() <= TYPE_NAME_BYTES_MAX, "the name {:?} is too long", head.type_name);
        let name = name_of(head.tip.index());
        let stage = self.disk.stage(&name)?;
        SnapshotWriter::begin(self.clone(), head, stage)
            .map_err(|source| SnapshotError::Write { name, source })
    }

    /// Begins to receive a snapshot file of `file_bytes` bytes that ends the history `tip`.
    ///
    /// # Errors
    /// If there is no room for it, or the data directory refuses; nothing has changed then.
    pub fn receive(&self, tip: Tip, file_bytes: u64) -> Result<Incoming, SnapshotError> {
        let name = name_of(tip.index());
        if file_bytes > self.disk.free_bytes()? {
            return Err(SnapshotError::Write { name, source: io::ErrorKind::StorageFull.into() });
        }
        Ok(Incoming::begin(self.clone(), tip, file_bytes, self.disk.stage(&name)?))
    }

    /// All files with a snapshot's name, newest first.
    ///
    /// # Errors
    /// If the folder cannot be read. That there is none is no error.
    pub fn list(&self) -> Result<Vec<Listed>, DiskError> {
        let listed = self.disk.list(FOLDER)?.into_iter().filter_map(|entry| {
            let index = index_of(&entry.name)?;
            Some(Listed { index, name: name_of(index), bytes: entry.bytes })
        });
        let mut listed: Vec<Listed> = listed.collect();
        listed.sort_by_key(|one| std::cmp::Reverse(one.index));
        Ok(listed)
    }

    /// Opens the snapshot at this position and verifies all of it.
    ///
    /// # Errors
    /// If there is none, or it is not valid.
    pub fn open(&self, index: Index) -> Result<Opened, SnapshotError> {
        let name = name_of(index);
        let file = self.disk.map(&name)?.ok_or(SnapshotError::Missing { index })?;
        let verified = Opened::verify(file).and_then(|opened| match opened.index() {
            found if found == index => Ok(opened),
            found => Err(Flaw::OtherPosition { expected: index, found }),
        });
        verified.map_err(|flaw| SnapshotError::Flawed { name, flaw })
    }

    /// Looks for the newest snapshot that is valid.
    ///
    /// # Errors
    /// If the folder cannot be read. A file that is not valid is no error but a [`Problem`].
    pub fn newest_valid(&self) -> Result<Newest, SnapshotError> {
        let mut problems = Vec::new();
        for Listed { index, .. } in self.list()? {
            match self.open(index) {
                Ok(opened) => return Ok(Newest { snapshot: Some(opened), problems }),
                Err(error) => problems.push(Problem { index, error }),
            }
        }
        Ok(Newest { snapshot: None, problems })
    }

    /// Reads a file back that has just been published, and removes older ones if it is what was written.
    pub(crate) fn accept(&self, header: &Header) -> Result<Opened, SnapshotError> {
        let index = header.head.tip.index();
        let opened = self.open(index)?;
        if opened.archive_hash() != header.archive_hash {
            return Err(SnapshotError::Flawed { name: name_of(index), flaw: Flaw::Archive });
        }
        self.remove_older()?;
        Ok(opened)
    }

    /// Keeps the newest three that look right, and whatever is newer than the third or asked for. Files that do
    /// not look right don't count, so that a series of bad ones cannot push out the last good one.
    fn remove_older(&self) -> Result<(), SnapshotError> {
        let mut kept = 0;
        for listed in self.list()? {
            if kept < KEPT {
                kept += usize::from(self.looks_right(&listed)?);
            } else if listed.index < self.keep_from {
                self.disk.remove(&listed.name)?;
            }
        }
        Ok(())
    }

    /// The header and the length only: the archives of three snapshots are too much to read for this.
    fn looks_right(&self, listed: &Listed) -> Result<bool, SnapshotError> {
        if self.flawed.contains(&listed.index) {
            return Ok(false);
        }
        let Some(file) = self.disk.map(&listed.name)? else { return Ok(false) };
        let header = file.first_chunk::<HEADER_BYTES>().and_then(|block| Header::decode(block).ok());
        Ok(header.is_some_and(|header| {
            header.file_bytes() == Some(listed.bytes) && header.head.tip.index() == listed.index
        }))
    }
}

/// All names of snapshots are made here.
pub(crate) fn name_of(index: Index) -> String {
    format!("{FOLDER}/{:020}{EXTENSION}", index.0)
}

/// The reverse, for a name within the folder; none if no snapshot is called so.
fn index_of(name: &str) -> Option<Index> {
    let digits = name.strip_suffix(EXTENSION)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok().map(Index) } else { None }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use position::{ChainHash, ClusterId, Epoch, Position};
    use storage::SimDisk;

    use super::*;

    fn head(index: u64) -> Head {
        Head {
            archive_tag: 1,
            type_name: "counter".into(),
            schema: 1,
            layout: 1,
            cluster: ClusterId(1),
            tip: Tip { position: Position::new(Epoch(1), Index(index)), ..Tip::NONE },
            outcome_hash: ChainHash::NONE,
            list: 1,
            time: 0,
        }
    }

    #[test]
    fn what_is_asked_for_is_kept_beside_the_newest_three() {
        let shelf = Shelf::new(SimDisk::new(1).disk());
        let make = |shelf: Shelf, index| {
            let mut writer = shelf.begin(head(index)).unwrap();
            writer.write_all(b"state").unwrap();
            writer.finish().unwrap();
            shelf.list().unwrap().iter().map(|listed| listed.index.0).collect::<Vec<_>>()
        };
        for index in [10, 20, 30, 40] {
            make(shelf.clone().keeping(Index(15)), index);
        }
        assert_eq!(make(shelf.clone().keeping(Index(15)), 50), [50, 40, 30, 20]);
        assert_eq!(make(shelf.clone().keeping(Index(45)), 60), [60, 50, 40]);
        assert_eq!(make(shelf, 70), [70, 60, 50]);
    }

    /// The disk can have taken everything and give back something else.
    #[test]
    fn nothing_goes_before_the_new_one_was_read_back() {
        let machine = SimDisk::new(1);
        let shelf = Shelf::new(machine.disk());
        for index in [10, 20, 30] {
            let mut writer = shelf.begin(head(index)).unwrap();
            writer.write_all(b"state").unwrap();
            writer.finish().unwrap();
        }
        let header =
            Header { head: head(40), archive_bytes: 5, archive_hash: *blake3::hash(b"state").as_bytes() };
        let bad = [&header.encode()[..], b"stale"].concat();
        machine.disk().replace(&name_of(Index(40)), &bad).unwrap();
        assert!(matches!(shelf.accept(&header), Err(SnapshotError::Flawed { flaw: Flaw::Archive, .. })));
        assert_eq!(shelf.list().unwrap().len(), 4);
        assert_eq!(shelf.newest_valid().unwrap().snapshot.unwrap().index(), Index(30));
    }
}
