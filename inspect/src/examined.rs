//! One look at a data directory: what the next start of its owner would make of it.
//!
//! Responsible for: reading all of it as of one moment while its owner may be writing.
//! Not responsible for: judging. Recovery's own code does that (`Journal::recover`), and changes nothing as long
//! as nobody goes on with what it found; `findings` puts it into words.

use std::thread;
use std::time::Duration;

use fleet::Fleet;
use journal::{
    Beside, FoundHeader, FoundMark, FoundMeta, Journal, JournalError, JournalTag, Meta, Recovered,
    SegmentHeader, SegmentInfo, list_headers, list_segments, view_mark,
};
use position::{ClusterId, History, Incarnation, Index, Tail, Tip};
use prevalent::journal_tag;
use storage::{Disk, DiskError};

use crate::findings;
use crate::place::Directory;
use crate::problem::{Problem, is_damage};
use crate::progress::Progress;
use crate::snapshot_list::{self, Listing};
use crate::state::OtherState;

/// How often a directory is looked at whose owner seems to be writing.
const LOOKS_MAX: u32 = 6;
/// A frame is written in far less.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A data directory at one moment.
pub(crate) struct Examined {
    /// Newest first, each verified to the last byte.
    pub(crate) snapshots: Vec<Listing>,
    /// All files of the journal.
    pub(crate) segments: Vec<SegmentInfo>,
    /// What the segments say of themselves, hidden ones too.
    pub(crate) headers: Vec<FoundHeader>,
    pub(crate) mark: FoundMark,
    /// What recovery makes of it; an error if it can make nothing of it.
    pub(crate) recovered: Result<Recovered, JournalError>,
    /// A process has the directory open and was writing at every look.
    pub(crate) is_being_written: bool,
    pub(crate) problems: Vec<Problem>,
}

impl Examined {
    pub(crate) fn of(directory: &Directory) -> anyhow::Result<Examined> {
        let mut before: Option<Vec<Problem>> = None;
        let mut look = 1;
        loop {
            let mut examined = match Examined::once(directory) {
                // What went between two calls was removed by the owner.
                Err(error) if went(&error) && look < LOOKS_MAX => {
                    look += 1;
                    continue;
                }
                examined => examined?,
            };
            if examined.is_quiet() || !Disk::has_owner(&directory.path)? {
                return Ok(examined);
            }
            // Bad in the same way twice: that is no frame on its way to the disk.
            if before.as_ref() == Some(&examined.problems) {
                return Ok(examined);
            }
            if look == LOOKS_MAX {
                examined.is_being_written = true;
                examined.problems = findings::all(directory, &examined)?;
                return Ok(examined);
            }
            before = Some(examined.problems);
            look += 1;
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The mark first, then the journal: a running owner has then written at least what the mark says.
    fn once(directory: &Directory) -> anyhow::Result<Examined> {
        let disk = &directory.disk;
        let mark = view_mark(disk)?;
        Progress::read_ahead(disk);
        let headers = list_headers(disk)?;
        let snapshots = snapshot_list::look(directory)?;
        let recovered = recover(directory, &headers, &snapshots)?;
        let segments = match &recovered {
            Ok(recovered) => recovered.segments(),
            Err(_) => list_segments(disk)?,
        };
        let is_being_written = false;
        let mut examined = Examined {
            snapshots,
            segments,
            headers,
            mark,
            recovered,
            is_being_written,
            problems: Vec::new(),
        };
        examined.problems = findings::all(directory, &examined)?;
        Ok(examined)
    }

    fn is_quiet(&self) -> bool {
        let clean = self.recovered.as_ref().is_ok_and(|recovered| recovered.tail == Tail::Clean);
        clean && !self.problems.iter().any(is_damage)
    }

    /// The journal as far as it goes on without doubt; `None` if there is none.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.recovered.as_ref().ok().map(|recovered| &recovered.journal)
    }

    /// Where the newest snapshot ends that this directory can start from.
    pub(crate) fn covered(&self) -> Option<Tip> {
        usable(&self.snapshots)
    }

    /// The last entry there is.
    pub(crate) fn end(&self) -> Index {
        let journal = self.journal().map_or(Index::NONE, |journal| journal.tip().index());
        journal.max(self.covered().map_or(Index::NONE, |tip| tip.index()))
    }

    /// Whether the commands are a fleet's. Where no segment says whose they are, the snapshots do.
    pub(crate) fn is_fleet(&self) -> bool {
        let mut tags = self.headers.iter().filter_map(|(_, header)| header.as_ref().ok());
        tags.all(|header| is_fleet(&header.tag))
    }

    /// Refuses a journal with other commands: they would be misread.
    pub(crate) fn refuse_other_commands(&self) -> Result<(), OtherState> {
        let of_others =
            |header: &Result<SegmentHeader, _>| header.as_ref().is_ok_and(|header| !is_fleet(&header.tag));
        match self.headers.iter().find(|(_, header)| of_others(header)) {
            Some((name, _)) => Err(OtherState { file: name.to_string() }),
            None => Ok(()),
        }
    }

    /// A directory that has learnt nothing yet has no journal.
    pub(crate) fn is_new(&self, directory: &Directory) -> bool {
        let unknown =
            matches!(&directory.meta, FoundMeta::Good(meta) if meta.me.incarnation == Incarnation::UNKNOWN);
        unknown && self.segments.is_empty() && self.mark == FoundMark::Missing
    }
}

fn is_fleet(tag: &JournalTag) -> bool {
    // Segments from before there were fingerprints of the layout say 0.
    let ours = journal_tag::<Fleet>(tag.cluster);
    *tag == ours || *tag == JournalTag { layout: 0, ..ours }
}

/// The end of the newest snapshot that can be used.
fn usable(snapshots: &[Listing]) -> Option<Tip> {
    snapshots.iter().find_map(|one| one.usable_head().map(|head| head.tip))
}

fn recover(
    directory: &Directory,
    headers: &[FoundHeader],
    snapshots: &[Listing],
) -> anyhow::Result<Result<Recovered, JournalError>> {
    let oldest = headers.iter().find_map(|(_, header)| header.as_ref().ok());
    let cluster = directory.cluster().or_else(|| oldest.map(|header| header.tag.cluster));
    let cluster = cluster.unwrap_or(ClusterId(0));
    // Whatever program it is: its own header says so.
    let tag =
        oldest.map_or_else(|| journal_tag::<Fleet>(cluster), |header| JournalTag { cluster, ..header.tag });
    let newest = match Meta::read(&directory.disk)? {
        FoundMeta::Good(meta) => meta.newest_segment,
        FoundMeta::Missing | FoundMeta::Damaged => None,
    };
    let beside = Beside { snapshot: usable(snapshots), newest };
    match Journal::recover(directory.disk.clone(), tag, beside) {
        // Neither tells anything about the disk's contents.
        Err(error @ (JournalError::Format { .. } | JournalError::NotUnderstood { .. })) => Err(error.into()),
        Err(JournalError::Disk(error)) => Err(error.into()),
        recovered => Ok(recovered),
    }
}

fn went(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(DiskError::Missing { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::Command;
    use prevalent::Store;

    fn place(node: &str, column: u16) -> Command {
        Command::Place { node: node.into(), row: 1, column }
    }

    /// What is written later must not change what was seen: several passes over it tell the same.
    #[test]
    fn what_is_written_later_is_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::<Fleet>::open(folder.path()).unwrap();
        store.execute(place("pc1", 1)).unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let examined = Examined::of(&directory).unwrap();
        let count = |examined: &Examined| examined.journal().unwrap().located().count();
        let before = count(&examined);
        store.execute(place("pc2", 2)).unwrap();
        assert_eq!(count(&examined), before);
        assert_eq!(count(&Examined::of(&directory).unwrap()), before + 1);
    }
}
