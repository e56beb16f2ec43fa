//! The fleet as of some entry: a snapshot, and the journal behind it through an engine of our own.
//!
//! Responsible for: which snapshot to begin with, how far to replay, and saying what stood in the way.
//! Not responsible for: reading files (`journal`), and how a state looks (`show`).

use std::collections::BTreeSet;

use fleet::Fleet;
use journal::{FrameBuilder, JournalTag};
use position::{ClusterId, Index};
use prevalent::{Answers, ApplyError, Engine, Prevalent, is_snapshot_of, journal_tag};
use snapshots::{Opened, Shelf};

use crate::journal::{Finding, JournalFiles};
use crate::place::Directory;
use crate::problem::Problem;

/// So many commands that panic are passed over, as a voter does. More of them are another program's.
const PANICS_MAX: usize = 1024;

/// What replaying begins with.
pub(crate) struct Base {
    pub(crate) engine: Engine<Fleet>,
    /// Newer snapshots that could not be used.
    pub(crate) problems: Vec<Problem>,
}

/// The state that was asked for cannot be made of what lies here.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot show the state at {wanted}: what lies here leads only to {reached}{}",
    .why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
)]
pub(crate) struct CannotReach {
    pub(crate) wanted: Index,
    pub(crate) reached: Index,
    pub(crate) why: Option<String>,
    /// Whether anything is damaged. If nothing is, the entries have been compacted.
    pub(crate) damaged: bool,
}

/// Something was found that is intact and not a fleet's.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} holds another program's state, or another version's: this one reads {:?} in schema {}; use the program that wrote it",
    Fleet::NAME, Fleet::SCHEMA.0
)]
pub(crate) struct OtherState {
    pub(crate) file: String,
}

/// Whether a journal's commands are a fleet's.
pub(crate) fn is_fleet(tag: &JournalTag) -> bool {
    *tag == journal_tag::<Fleet>(tag.cluster)
}

/// Refuses a journal with other commands: they would be misread.
pub(crate) fn refuse_other_commands(files: &JournalFiles) -> Result<(), OtherState> {
    match files.tags().find(|(_, tag)| !is_fleet(tag)) {
        Some((name, _)) => Err(OtherState { file: name.to_string() }),
        None => Ok(()),
    }
}

/// The engine in a snapshot whose bytes are verified.
pub(crate) fn read_snapshot(file: &str, opened: &Opened) -> anyhow::Result<Engine<Fleet>> {
    let head = opened.head();
    if !is_snapshot_of::<Fleet>(head) {
        return Err(OtherState { file: file.to_owned() }.into());
    }
    Ok(Engine::of_snapshot(head, &opened.archive())?)
}

impl Base {
    /// The newest usable snapshot at or before `at`, or nothing at all to begin with.
    pub(crate) fn find(directory: &Directory, at: Index) -> anyhow::Result<Base> {
        let mut problems = Vec::new();
        let shelf = directory.shelf();
        for listed in shelf.list()?.into_iter().filter(|listed| listed.index <= at) {
            match Base::usable(&shelf, listed.index, &listed.name, directory.cluster()) {
                Ok(engine) => return Ok(Base { engine, problems }),
                Err(error) if error.is::<OtherState>() => return Err(error),
                Err(error) => problems.push(Problem::of_file(listed.name, format!("{error:#}"))),
            }
        }
        Ok(Base { engine: Engine::new(), problems })
    }

    fn usable(
        shelf: &Shelf,
        index: Index,
        name: &str,
        cluster: Option<ClusterId>,
    ) -> anyhow::Result<Engine<Fleet>> {
        let opened = shelf.open(index)?;
        let found = opened.head().cluster;
        let ours = cluster.is_none_or(|cluster| cluster == found);
        anyhow::ensure!(ours, "it is of cluster {found}, and the directory is not");
        read_snapshot(name, &opened)
    }

    /// Where replaying begins.
    pub(crate) fn index(&self) -> Index {
        self.engine.applied().index()
    }
}

/// Where a replay came to.
pub(crate) struct Replayed {
    pub(crate) engine: Engine<Fleet>,
    /// Why it went no further, if not because everything wanted was executed.
    pub(crate) stopped: Option<String>,
}

/// Brings a state forward through the journal, up to exactly `through`.
pub(crate) fn replay(
    directory: &Directory,
    files: &JournalFiles,
    through: Index,
) -> anyhow::Result<Replayed> {
    let mut panics = BTreeSet::new();
    loop {
        let base = Base::find(directory, through)?;
        let mut replayed = Replayed { engine: base.engine.with_panics(&panics), stopped: None };
        match replayed.advance(files, through) {
            Ok(()) => return Ok(replayed),
            // A voter undoes such a command in the same way: it begins anew and passes over it.
            Err(ApplyError::Panicked { index, .. }) if panics.len() < PANICS_MAX => {
                panics.insert(index);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Replayed {
    fn advance(&mut self, files: &JournalFiles, through: Index) -> Result<(), ApplyError> {
        let mut answers = Answers::default();
        for finding in files.findings(self.engine.applied().index()) {
            let applied = self.engine.applied();
            if applied.index() >= through {
                break;
            }
            let placed = match finding {
                Finding::Frame(placed) => placed,
                Finding::Problem(problem) => {
                    self.stopped = Some(problem.to_string());
                    continue;
                }
            };
            let frame = placed.frame;
            if frame.tip().index() <= applied.index() {
                // Whatever was wrong before lies before the snapshot.
                self.stopped = None;
                continue;
            }
            if !frame.follows(&applied) {
                let what = format!(
                    "the frame in {} at byte {} does not follow {applied}",
                    placed.file, placed.offset
                );
                self.stopped.get_or_insert(what);
                return Ok(());
            }
            self.stopped = None;
            answers.clear();
            if frame.tip().index() <= through {
                self.engine.apply(&frame, &mut answers)?;
            } else {
                let mut builder = FrameBuilder::new();
                self.engine.apply(&builder.front(&frame, applied, through), &mut answers)?;
            }
        }
        Ok(())
    }
}
