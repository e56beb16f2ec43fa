//! What recovery found, as damage or as notes: damage is where something that counts is missing.

use journal::{Doubt, Finding, FoundMeta, JournalError, Meta, Recovered};
use position::{Amnesia, History, Index, Standing, Tail};

use crate::examined::Examined;
use crate::place::Directory;
use crate::problem::{Problem, Severity};
use crate::snapshot_list::Listing;

/// Everything that is not as it should be.
pub(crate) fn all(directory: &Directory, examined: &Examined) -> anyhow::Result<Vec<Problem>> {
    let mut problems = identity(directory)?;
    match &examined.recovered {
        Ok(_) if examined.is_new(directory) => {
            problems
                .push(Problem::note_of_file("journal", "there is none yet: this voter was never started"));
        }
        Ok(recovered) => {
            problems.extend(promise(directory, recovered)?);
            problems.extend(journal(examined, recovered));
        }
        Err(error @ JournalError::Diverged { .. }) => {
            problems.push(Problem::of_file("snapshots", format!("no voter starts from this: {error}")));
        }
        Err(error) => problems.push(Problem::of_file("journal", format!("no voter starts from it: {error}"))),
    }
    problems.extend(snapshots(directory, examined));
    Ok(problems)
}

/// The identity has two copies: one is enough.
fn identity(directory: &Directory) -> anyhow::Result<Vec<Problem>> {
    if directory.meta == FoundMeta::Missing {
        return Ok(vec![Problem::of_file("meta.0", "there is no identity, neither here nor in meta.1")]);
    }
    let mut damaged = Meta::damaged_copies(&directory.disk);
    if !damaged.is_empty() {
        // One of them may just be written.
        let again = Meta::damaged_copies(&directory.disk);
        damaged.retain(|copy| again.contains(copy));
    }
    let there = directory.disk.list("")?;
    let gone = ["meta.0", "meta.1"].into_iter().filter(|copy| there.iter().all(|file| file.name != *copy));
    let whole = matches!(directory.meta, FoundMeta::Good(_));
    let problem = |copy: &str, state: &str| {
        if whole {
            let what = format!(
                "this copy of the identity is {state}; the other one is good, and the next start writes both"
            );
            Problem::note_of_file(copy, what)
        } else {
            let what = format!(
                "this copy of the identity is {state}, and the other one is no good either: what was voted here is forgotten"
            );
            Problem::of_file(copy, what)
        }
    };
    let damaged = damaged.into_iter().map(|copy| problem(copy, "damaged"));
    Ok(damaged.chain(gone.map(|copy| problem(copy, "gone"))).collect())
}

/// What the ballot says against the journal. It is read after it: a running voter writes it before the first frame of
/// an epoch.
fn promise(directory: &Directory, recovered: &Recovered) -> anyhow::Result<Vec<Problem>> {
    let FoundMeta::Good(meta) = Meta::read(&directory.disk)? else { return Ok(Vec::new()) };
    if recovered.journal.tip().epoch() > meta.ballot.epoch {
        let finding = Finding::LostPromise { amnesia: Amnesia::OldBallot };
        return Ok(vec![Problem::of_file("meta.0", finding)]);
    }
    Ok(match meta.ballot.standing {
        Standing::Unsettled(doubted) => {
            let finding = Finding::still_in_doubt(&doubted);
            finding.into_iter().map(|finding| Problem::note_of_file("meta.0", finding)).collect()
        }
        Standing::Amnesiac(amnesia) => {
            vec![Problem::note_of_file("meta.0", Finding::LostPromise { amnesia })]
        }
        Standing::Settled | Standing::Removed => Vec::new(),
    })
}

fn journal(examined: &Examined, recovered: &Recovered) -> Vec<Problem> {
    let journal = &recovered.journal;
    let mut problems = Vec::new();
    let begins = examined.segments.iter().find(|info| info.visible).map(|info| info.name.first.previous());
    let base = journal.base().index();
    if base > begins.unwrap_or(Index::NONE) && examined.covered().is_some_and(|tip| tip.index() >= base) {
        let what = format!(
            "entries up to {base} are not whole in it; a snapshot covers them, and the journal counts from there"
        );
        problems.push(Problem::note_of_file("journal", what));
    }
    for mended in journal.mended() {
        let what = format!(
            "entries {} to {} are damaged here; a good copy lies in {}",
            mended.first, mended.last, mended.copy
        );
        problems.push(Problem::note(mended.file, mended.offset, what));
    }
    if let Tail::Torn { at, .. } = recovered.tail {
        let what = format!("entry {at} was never written whole, so nobody was told of it; nothing is lost");
        let note = Problem::note_of_file("journal", what);
        problems.push(match recovered.tail_at {
            Some((file, offset)) => Problem { file: file.to_string(), offset: Some(offset), ..note },
            None => note,
        });
    }
    problems.extend(recovered.findings.iter().map(|finding| problem_of(finding, examined, recovered)));
    problems
}

/// A finding of recovery. Its own text names the place, which is taken out of it here.
fn problem_of(finding: &Finding, examined: &Examined, recovered: &Recovered) -> Problem {
    let (file, offset) = place_of(finding);
    let text = finding.to_string();
    let place = match offset {
        Some(offset) => format!("{file} at byte {offset}: "),
        None => format!("{file}: "),
    };
    let rest = text.strip_prefix(&place).or_else(|| Some(text.strip_prefix(&file)?.trim_start()));
    let mut what = rest.unwrap_or(&text).to_owned();
    let mut severity = match finding {
        Finding::Damaged(_)
        | Finding::DamagedAlone(_)
        | Finding::InDoubt { .. }
        | Finding::NoState { .. }
        | Finding::LostPromise { .. } => Severity::Damage,
        Finding::SetAside { .. }
        | Finding::Pristine
        | Finding::Length { .. }
        | Finding::SegmentHeader { .. }
        | Finding::Mark { .. }
        | Finding::Snapshot { .. }
        | Finding::IdentityCopy { .. } => Severity::Note,
    };
    if let Finding::InDoubt { from, reason, .. } = finding {
        let marked = recovered.marked.is_some_and(|marked| marked.index() >= *from);
        if examined.is_being_written && !marked {
            severity = Severity::Note;
            what = format!("entry {from} is being written: everything before it is as of one moment");
        } else if matches!(reason, Doubt::BeforeTheMark(_)) {
            what.push_str(
                ". If this is a copy that was made while the voter ran, its mark is newer than its journal: copy it again",
            );
        }
    }
    Problem { severity, file, offset, what }
}

fn place_of(finding: &Finding) -> (String, Option<usize>) {
    match finding {
        Finding::Damaged(damage) | Finding::DamagedAlone(damage) => {
            (damage.file.to_string(), Some(damage.offset))
        }
        Finding::InDoubt { place: Some((file, offset)), .. } => (file.to_string(), Some(*offset)),
        Finding::InDoubt { place: None, .. } => ("journal".to_owned(), None),
        Finding::SetAside { file } | Finding::Length { file, .. } => (file.to_string(), None),
        Finding::SegmentHeader { file } => (file.to_string(), Some(0)),
        Finding::Mark { .. } => ("mark".to_owned(), None),
        Finding::NoState { .. } | Finding::Snapshot { .. } => ("snapshots".to_owned(), None),
        Finding::IdentityCopy { file } => ((*file).to_owned(), None),
        Finding::Pristine | Finding::LostPromise { .. } => ("meta.0".to_owned(), None),
    }
}

/// A snapshot is missing where the journal builds on it. One that is of no use beside others is a note.
fn snapshots(directory: &Directory, examined: &Examined) -> Vec<Problem> {
    let mut problems = Vec::new();
    let covered = examined.covered().map_or(Index::NONE, |tip| tip.index());
    let base = examined.journal().map_or(Index::NONE, |journal| journal.base().index());
    for listing in &examined.snapshots {
        let Some(why) = listing.why_not() else { continue };
        problems.push(if base > covered && listing.index >= base {
            Problem::of_file(&listing.name, format!("{why}; the journal builds on it"))
        } else {
            Problem::note_of_file(
                &listing.name,
                format!("{why}; it is passed over, and nothing is lost by that"),
            )
        });
    }
    if let Some(cluster) = directory.cluster() {
        let foreign = examined.snapshots.iter().filter_map(|one| Some((&one.name, one.foreign_to(cluster)?)));
        problems.extend(foreign.map(|(name, found)| {
            Problem::of_file(name, format!("it belongs to cluster {found}, and the directory to {cluster}"))
        }));
    }
    problems.extend(other_histories(examined));
    problems
}

/// Snapshots of a position where the journal holds something else.
fn other_histories(examined: &Examined) -> Vec<Problem> {
    let Some(journal) = examined.journal() else { return Vec::new() };
    let judge = |one: &Listing| {
        let tip = one.head()?.tip;
        let there = journal.tip_at(tip.index()).filter(|there| *there != tip)?;
        Some(Problem::of_file(&one.name, format!("it is of {tip}, and the journal holds {there} there")))
    };
    examined.snapshots.iter().filter_map(judge).collect()
}
