//! What recovery found, in words: damage where something that counts is missing, notes for the rest.

use journal::{FoundMark, FoundMeta, JournalError, Meta, Recovered, SegmentFlaw};
use position::{History, Index, Tail};

use crate::examined::Examined;
use crate::place::Directory;
use crate::problem::Problem;

/// Everything that is not as it should be.
pub(crate) fn all(directory: &Directory, examined: &Examined) -> anyhow::Result<Vec<Problem>> {
    let mut problems = identity(directory)?;
    if examined.mark == FoundMark::Damaged {
        problems.push(Problem::note_of_file("mark", "its checksum is wrong; recovery does without it"));
    }
    problems.extend(headers(examined));
    match &examined.recovered {
        Ok(recovered) => problems.extend(journal(examined, recovered)),
        Err(JournalError::Missing) if examined.is_new(directory) => {
            problems
                .push(Problem::note_of_file("journal", "there is none yet: this voter was never started"));
        }
        Err(JournalError::Missing) => {
            problems.push(Problem::of_file("journal", "there is no journal; no voter starts without one"));
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
                "this copy of the identity is {state}, and so is the other: what was voted here is forgotten"
            );
            Problem::of_file(copy, what)
        }
    };
    let damaged = damaged.into_iter().map(|copy| problem(copy, "damaged"));
    Ok(damaged.chain(gone.map(|copy| problem(copy, "gone"))).collect())
}

/// A segment is read without its header too: its name and its frames tell the same.
fn headers(examined: &Examined) -> Vec<Problem> {
    let newest = examined.headers.last().map(|(name, _)| *name);
    let flawed = examined.headers.iter().filter_map(|(name, header)| Some((*name, *header.as_ref().err()?)));
    let problem = |(name, flaw)| match flaw {
        SegmentFlaw::Blank if Some(name) == newest => Problem::note(
            name,
            0,
            "its header was never written: the process ended at that moment, and the next start puts it right",
        ),
        flaw => Problem::note(name, 0, format!("{flaw}; the frames in it are read all the same")),
    };
    flawed.map(problem).collect()
}

fn journal(examined: &Examined, recovered: &Recovered) -> Vec<Problem> {
    let journal = &recovered.journal;
    let mut problems = Vec::new();
    let begins = examined.headers.first().map_or(Index::NONE, |(name, _)| name.first.previous());
    if journal.base().index() > begins && examined.covered().is_some() {
        let what = format!(
            "entries up to {} are not whole in it; a snapshot covers them, and the journal counts from there",
            journal.base().index()
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
    for damage in journal.damages() {
        let (first, last, epoch) = (damage.id.first, damage.id.last, damage.id.epoch);
        let what = format!(
            "entries {first} to {last} of epoch {epoch} are damaged, and no good copy is here; another voter has one"
        );
        problems.push(Problem::damage(damage.file, damage.offset, what));
    }
    problems.extend(tail(examined, recovered));
    problems.extend(below_the_mark(examined, recovered));
    problems
}

/// What stands behind the last frame that counts.
fn tail(examined: &Examined, recovered: &Recovered) -> Option<Problem> {
    let (at, more) = match recovered.tail {
        Tail::Clean => return None,
        Tail::Torn { at, .. } => (at, None),
        Tail::Uncertain { at, more, .. } => (at, Some(more)),
    };
    let (file, offset) = recovered
        .in_doubt_at()
        .map_or(("journal".to_owned(), None), |(file, at)| (file.to_string(), Some(at)));
    let place = |problem: Problem| Problem { offset, ..problem };
    let is_marked = durable(examined).is_some_and(|durable| durable >= at);
    if examined.is_being_written && !is_marked {
        let what = format!("entry {at} is being written: everything before it is as of one moment");
        return Some(place(Problem::note_of_file(file, what)));
    }
    Some(place(match more {
        None => {
            let what =
                format!("entry {at} was never written whole, so nobody was told of it; nothing is lost");
            Problem::note_of_file(file, what)
        }
        Some(more) => {
            let behind = if more { ", and more lies behind it" } else { "" };
            let what = format!(
                "what follows entry {} is damaged{behind}: it may have been acknowledged; other voters know",
                at.previous()
            );
            Problem::of_file(file, what)
        }
    }))
}

fn below_the_mark(examined: &Examined, recovered: &Recovered) -> Option<Problem> {
    if !recovered.amnesia {
        return None;
    }
    let FoundMark::Good { durable, clean, .. } = examined.mark else { return None };
    let last = recovered.journal.tip();
    let mut what = format!("it says that {durable} was durable, and the journal ends with {last}");
    if recovered.tail == Tail::Clean && !clean {
        what.push_str("; the disk has lost the rest, or this is a copy that was made while the voter ran");
    }
    Some(Problem::of_file("mark", what))
}

fn durable(examined: &Examined) -> Option<Index> {
    match examined.mark {
        FoundMark::Good { durable, .. } => Some(durable.index()),
        FoundMark::Missing | FoundMark::Damaged => None,
    }
}

/// A snapshot is missing where the journal builds on it. One that is of no use beside others is a note.
fn snapshots(directory: &Directory, examined: &Examined) -> Vec<Problem> {
    let mut problems = Vec::new();
    let covered = examined.covered().map_or(Index::NONE, |tip| tip.index());
    let base = examined.headers.first().map_or(Index::NONE, |(name, _)| name.first.previous());
    let base = examined.journal().map_or(base, |journal| journal.base().index());
    let without = base > covered;
    for listing in &examined.snapshots {
        let Some(why) = listing.why_not() else { continue };
        problems.push(if without && listing.index >= base {
            Problem::of_file(&listing.name, format!("{why}; the journal builds on it"))
        } else {
            Problem::note_of_file(
                &listing.name,
                format!("{why}; it is passed over, and nothing is lost by that"),
            )
        });
    }
    if without {
        let what = format!(
            "it begins behind entry {base}, and the newest usable snapshot ends at entry {covered}: the state \
             between is missing here; another voter has it"
        );
        problems.push(Problem::of_file("journal", what));
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
    let judge = |one: &crate::snapshot_list::Listing| {
        let tip = one.found.as_ref().ok()?.head().tip;
        let there = journal.tip_at(tip.index()).filter(|there| *there != tip)?;
        Some(Problem::of_file(&one.name, format!("it is of {tip}, and the journal holds {there} there")))
    };
    examined.snapshots.iter().filter_map(judge).collect()
}
