//! The fleet as of some entry: a snapshot, and the journal behind it through an engine of our own.
//!
//! Responsible for: which snapshot to begin with, how far to replay, and saying what stood in the way.
//! Not responsible for: what counts in the journal (`examined`), and how a state looks (`show`).

use std::collections::BTreeSet;

use fleet::Fleet;
use journal::{Damage, Frame, FrameBuilder, Journal, Located, SegmentName};
use position::{ClusterId, Index, Tip};
use prevalent::{Answers, ApplyError, Engine, Prevalent, is_snapshot_of};
use snapshots::{Listed, Opened};

use crate::place::Directory;
use crate::progress::Progress;

/// So many commands that panic are passed over, as a voter does. More of them are another program's.
const PANICS_MAX: usize = 1024;

/// Something was found that is intact and not a fleet's.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} holds another program's state, or another version's: this one reads {:?} in schema {}; use the program that wrote it",
    Fleet::NAME, Fleet::SCHEMA.0
)]
pub(crate) struct OtherState {
    pub(crate) file: String,
}

/// The engine in a snapshot whose bytes are verified.
pub(crate) fn read_snapshot(file: &str, opened: &Opened) -> anyhow::Result<Engine<Fleet>> {
    let head = opened.head();
    if !is_snapshot_of::<Fleet>(head) {
        return Err(OtherState { file: file.to_owned() }.into());
    }
    Ok(Engine::of_snapshot(head, &opened.archive())?)
}

/// Where a replay begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// As late as possible: the newest usable snapshot at or before this entry.
    Before(Index),
    /// Early enough to see what every entry from this one on did, as far as the snapshots allow it.
    ToSee(Index),
}

impl Begin {
    /// The state to begin with. Snapshots that are no good are passed over: the examination has told of them.
    pub(crate) fn engine(self, directory: &Directory, journal: &Journal) -> anyhow::Result<Engine<Fleet>> {
        let base = position::History::base(journal).index();
        let found = match self {
            Begin::Before(at) => first_usable(directory, |listed| listed.index <= at, false)?,
            Begin::ToSee(first) => {
                let leads_on = |listed: &Listed| listed.index >= base;
                let early = first_usable(directory, |one| leads_on(one) && one.index < first, false)?;
                if early.is_none() && base > Index::NONE {
                    first_usable(directory, leads_on, true)?
                } else {
                    early
                }
            }
        };
        Ok(found.unwrap_or_default())
    }
}

/// The newest usable snapshot among some, or the oldest.
fn first_usable(
    directory: &Directory,
    is_wanted: impl Fn(&Listed) -> bool,
    oldest: bool,
) -> anyhow::Result<Option<Engine<Fleet>>> {
    let shelf = directory.shelf();
    let mut listed = shelf.list()?;
    listed.retain(is_wanted);
    if oldest {
        listed.reverse();
    }
    for one in listed {
        let Ok(opened) = shelf.open(one.index) else { continue };
        if !is_ours(&opened, directory.cluster()) {
            continue;
        }
        match read_snapshot(&one.name, &opened) {
            Ok(engine) => return Ok(Some(engine)),
            Err(error) if error.is::<OtherState>() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

fn is_ours(opened: &Opened, cluster: Option<ClusterId>) -> bool {
    cluster.is_none_or(|cluster| cluster == opened.head().cluster)
}

/// A part of the journal on the way of a replay.
pub(crate) enum Part<'a> {
    /// A frame, where it lies, and what executing it led to; `None` if it could not be executed.
    Frame { file: SegmentName, offset: usize, frame: Frame<'a>, applied: Option<Applied<'a>> },
    /// Frames without a good copy.
    Damaged(&'a Damage),
}

/// The state right after a frame, and the answers of its entries.
pub(crate) struct Applied<'a> {
    pub(crate) engine: &'a Engine<Fleet>,
    pub(crate) answers: &'a Answers,
}

/// Where a replay came to.
pub(crate) struct Replayed {
    /// `None` if an entry cannot be executed at all.
    pub(crate) engine: Option<Engine<Fleet>>,
    /// Why it went no further, if not because everything wanted was executed.
    pub(crate) stopped: Option<String>,
}

/// What is shown on the way.
pub(crate) type Observe<'a> = dyn FnMut(&Part<'_>) -> anyhow::Result<()> + 'a;

/// What is executed in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A frame, as voters do.
    Frames,
    /// An entry, for whoever wants to see what a single one did. It is shown as a frame of its own.
    Entries,
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) begin: Begin,
    /// The last entry that is executed.
    pub(crate) through: Index,
    pub(crate) pace: Pace,
}

impl Way {
    /// To the state right after an entry.
    pub(crate) fn to(through: Index) -> Way {
        Way { begin: Begin::Before(through), through, pace: Pace::Frames }
    }
}

/// Brings a state forward through the journal, and shows every part of the journal on the way, once.
pub(crate) fn replay(
    directory: &Directory,
    journal: &Journal,
    way: Way,
    observe: &mut Observe<'_>,
) -> anyhow::Result<Replayed> {
    let (mut panics, mut shown) = (BTreeSet::new(), Index::NONE);
    loop {
        let engine = way.begin.engine(directory, journal)?.with_panics(&panics);
        let (at, engine) = (engine.applied(), Some(engine));
        let mut replay = Replay { directory, way, shown, at, engine, stopped: None };
        let panicked = replay.advance(journal, observe)?;
        shown = replay.shown;
        match panicked {
            // A voter undoes such a command in the same way: it begins anew and passes over it.
            Some(index) if panics.len() < PANICS_MAX => drop(panics.insert(index)),
            Some(index) => anyhow::bail!("command {index} panics, as too many before it do"),
            None => return Ok(Replayed { engine: replay.engine, stopped: replay.stopped }),
        }
    }
}

struct Replay<'a> {
    directory: &'a Directory,
    way: Way,
    /// The last entry that was shown.
    shown: Index,
    /// Where in the journal the engine is. Its own chain is another one where it executes entry by entry.
    at: Tip,
    engine: Option<Engine<Fleet>>,
    stopped: Option<String>,
}

impl Replay<'_> {
    /// Goes through the journal. Says which command panicked, if one did.
    fn advance(&mut self, journal: &Journal, observe: &mut Observe<'_>) -> anyhow::Result<Option<Index>> {
        let mut progress = Progress::start("executing", journal.bytes());
        let mut answers = Answers::default();
        for part in journal.located() {
            match part {
                Located::Frame { file, offset, frame } => {
                    if frame.header().first_index > self.way.through {
                        break;
                    }
                    progress.advance(frame.bytes().len());
                    let panicked = if !self.leads_to(&frame) {
                        self.show(
                            frame.tip().index(),
                            &Part::Frame { file, offset, frame, applied: None },
                            observe,
                        )?;
                        None
                    } else if self.way.pace == Pace::Entries || frame.tip().index() > self.way.through {
                        self.by_entry(file, offset, &frame, &mut answers, observe)?
                    } else {
                        self.apply(file, offset, frame, &mut answers, observe)?
                    };
                    if panicked.is_some() {
                        return Ok(panicked);
                    }
                }
                Located::Damaged(damage) => {
                    self.show(damage.id.last, &Part::Damaged(damage), observe)?;
                    self.pass(damage)?;
                }
            }
        }
        Ok(None)
    }

    fn show(&mut self, last: Index, part: &Part<'_>, observe: &mut Observe<'_>) -> anyhow::Result<()> {
        if last > self.shown {
            self.shown = last;
            observe(part)?;
        }
        Ok(())
    }

    /// Whether a frame is the next to be executed.
    fn leads_to(&mut self, frame: &Frame<'_>) -> bool {
        if self.engine.is_none() || frame.tip().index() <= self.at.index() {
            return false;
        }
        if !frame.follows(&self.at) {
            let (next, first) = (self.at.index().next(), frame.header().first_index);
            self.stopped
                .get_or_insert_with(|| format!("entry {next} is not here; entry {first} is the next"));
            return false;
        }
        true
    }

    fn by_entry(
        &mut self,
        file: SegmentName,
        offset: usize,
        frame: &Frame<'_>,
        answers: &mut Answers,
        observe: &mut Observe<'_>,
    ) -> anyhow::Result<Option<Index>> {
        let through = self.way.through;
        for (index, _) in frame.entries().take_while(|(index, _)| *index <= through) {
            let Some(engine) = &self.engine else { break };
            let mut builder = FrameBuilder::new();
            let single = builder.single(frame, engine.applied(), index);
            let panicked = self.apply(file, offset, single, answers, observe)?;
            if panicked.is_some() {
                return Ok(panicked);
            }
        }
        if self.engine.is_some() {
            self.at = frame.tip();
        }
        Ok(None)
    }

    /// Executes a frame and shows it. Says which command panicked, if one did.
    fn apply(
        &mut self,
        file: SegmentName,
        offset: usize,
        frame: Frame<'_>,
        answers: &mut Answers,
        observe: &mut Observe<'_>,
    ) -> anyhow::Result<Option<Index>> {
        let Some(mut engine) = self.engine.take() else { return Ok(None) };
        answers.clear();
        let applied = match engine.apply(&frame, answers) {
            Ok(()) => Some(Applied { engine: &engine, answers }),
            Err(ApplyError::Panicked { index, .. }) => return Ok(Some(index)),
            Err(error) => {
                // Nothing behind it can be executed either. What was before it can be looked at, if it is whole.
                self.stopped = Some(error.to_string());
                None
            }
        };
        let is_applied = applied.is_some();
        let last = frame.tip().index();
        self.at = if is_applied { frame.tip() } else { self.at };
        self.show(last, &Part::Frame { file, offset, frame, applied }, observe)?;
        if is_applied || engine.broken().is_none() {
            self.engine = Some(engine);
        }
        Ok(None)
    }

    /// Goes on behind damage from a snapshot that holds what lay there, if there is one.
    fn pass(&mut self, damage: &Damage) -> anyhow::Result<()> {
        let (first, last) = (damage.id.first, damage.id.last);
        if self.engine.is_some() && self.at.index() >= last {
            return Ok(());
        }
        let behind = |listed: &Listed| (last..=self.way.through).contains(&listed.index);
        match first_usable(self.directory, behind, true)? {
            Some(engine) => {
                (self.at, self.stopped) = (engine.applied(), None);
                self.engine = Some(engine);
            }
            None => self.stopped = Some(format!("entries {first} to {last} are damaged")),
        }
        Ok(())
    }
}
