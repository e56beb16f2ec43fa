//! Which entry a moment is, and the state there.

use fleet::{Fleet, PastMoment, WallTime};
use journal::{Journal, Located};
use position::Index;
use prevalent::Engine;
use serde::Serialize;

use crate::examined::Examined;
use crate::place::{Directory, Place, SnapshotFile};
use crate::problem::{Problem, is_damage};
use crate::state::{Replayed, Way, read_snapshot, replay};
use crate::survey::Survey;

/// The state that was asked for cannot be made of what lies here.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot show the state at {wanted}: what lies here leads only to {reached}{}",
    .why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
)]
pub(crate) struct CannotReach {
    wanted: Index,
    reached: Index,
    why: Option<String>,
    /// Whether anything is damaged. If nothing is, the entries have been compacted.
    pub(crate) damaged: bool,
}

/// Whether a majority is known to have what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Certainty {
    Committed,
    /// One disk cannot tell: a later master may have written something else there.
    NotKnownCommitted,
}

impl Certainty {
    pub(crate) fn of(index: Index, committed: Index) -> Certainty {
        if index <= committed { Certainty::Committed } else { Certainty::NotKnownCommitted }
    }
}

/// The state at some moment.
pub(crate) struct At {
    pub(crate) engine: Engine<Fleet>,
    pub(crate) certainty: Certainty,
    /// The last entry of the journal.
    pub(crate) end: Index,
    pub(crate) problems: Vec<Problem>,
}

impl At {
    /// The state in a place: at a moment, or as far as it is known to be committed.
    pub(crate) fn of(place: &Place, at: Option<PastMoment>) -> anyhow::Result<At> {
        match place {
            Place::Directory(directory) => At::in_directory(directory, at),
            Place::Snapshot(file) => At::in_snapshot(file, at),
        }
    }

    pub(crate) fn index(&self) -> Index {
        self.engine.applied().index()
    }

    pub(crate) fn time(&self) -> WallTime {
        WallTime(self.engine.wall_time())
    }

    fn in_snapshot(file: &SnapshotFile, at: Option<PastMoment>) -> anyhow::Result<At> {
        let name = file.path.display().to_string();
        let opened = file.opened.as_ref().map_err(|flaw| {
            anyhow::Error::from(flaw.clone())
                .context(format!("{name} is not a valid snapshot; nothing in it was used"))
        })?;
        let engine = read_snapshot(&name, opened)?;
        let end = engine.applied().index();
        anyhow::ensure!(
            at.is_none_or(|at| at == PastMoment::Entry(end)),
            "{name} holds the state at {end} only; name the data directory to see another"
        );
        Ok(At { engine, certainty: Certainty::Committed, end, problems: Vec::new() })
    }

    fn in_directory(directory: &Directory, at: Option<PastMoment>) -> anyhow::Result<At> {
        let mut examined = Examined::of(directory)?;
        examined.refuse_other_commands()?;
        let mut problems = std::mem::take(&mut examined.problems);
        let Some(journal) = examined.journal() else {
            let why = problems.iter().find(|problem| is_damage(problem));
            let why = why.map_or_else(|| "there is no journal".to_owned(), ToString::to_string);
            let (wanted, reached) = (Index::NONE.next(), Index::NONE);
            return Err(CannotReach { wanted, reached, why: Some(why), damaged: true }.into());
        };
        let (survey, end) = (Survey::of(&examined), examined.end());
        let wanted = match at {
            None => survey.committed,
            Some(PastMoment::Entry(index)) => index,
            Some(PastMoment::Time(time)) => index_at(&examined, journal, time)?,
        };
        anyhow::ensure!(wanted <= end, "there is no entry {wanted}: the journal ends with {end}");

        let replayed = replay(directory, journal, Way::to(wanted), &mut |_| Ok(()))?;
        let Replayed { engine: Some(engine), stopped } = replayed else {
            anyhow::bail!("the commands cannot be executed: {}", replayed.stopped.unwrap_or_default());
        };
        let reached = engine.applied().index();
        let damaged = problems.iter().any(is_damage);
        if reached < wanted && at.is_some() {
            let compacted = survey.first.filter(|first| !damaged && *first > reached.next());
            let why = compacted
                .map(|first| format!("the journal begins with {first}, and no snapshot is as old"))
                .or(stopped);
            return Err(CannotReach { wanted, reached, why, damaged }.into());
        }
        if reached < wanted {
            let why = stopped.unwrap_or_else(|| "frames are missing".to_owned());
            let what =
                format!("entries {} to {wanted} are committed and cannot be shown: {why}", reached.next());
            problems.push(Problem::of_file("journal", what));
        }
        Ok(At { engine, certainty: Certainty::of(reached, survey.committed), end, problems })
    }
}

/// The last entry that was written at a time or before.
fn index_at(examined: &Examined, journal: &Journal, time: WallTime) -> anyhow::Result<Index> {
    let (index, base) = (journal.index_at(time.0), journal.base().index());
    if index > base {
        return Ok(index);
    }
    let first = journal.located().find_map(|part| match part {
        Located::Frame { frame, .. } => Some(WallTime(frame.header().wall_time)),
        Located::Damaged(_) => None,
    });
    let heads = examined.snapshots.iter().filter_map(|one| one.usable_head());
    let mut older = heads.filter(|head| head.time <= time.0).map(|head| head.tip.index());
    let nearest = older.next();
    if nearest == Some(base) {
        return Ok(base);
    }
    let begins = first.map_or_else(|| "is empty".to_owned(), |first| format!("begins at {first}"));
    match nearest {
        Some(nearest) => anyhow::bail!(
            "what was at {time} is not kept: the journal {begins}, and the newest snapshot before that time is of \
             entry {nearest}; --at {nearest} shows that"
        ),
        None => {
            anyhow::bail!("what was at {time} is not kept: the journal {begins}, and no snapshot is as old")
        }
    }
}
