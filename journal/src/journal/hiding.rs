//! Which segments count where several claim the same entries.
//!
//! A newer generation hides what it replaced. But a file can carry any name: one that is empty, or that comes from
//! elsewhere, must not hide what was durable. So a segment hides others only if it continues them, or if this machine
//! itself has noted that it began it.
//!
//! Responsible for: the choice. Not responsible for: following the chain through what was chosen (`walk`).

use position::{ChainHash, Index, Mutant, Tip};

use super::mark::Mark;
use super::walk::Found;
use crate::frame::{FRAME_ALIGNMENT, FrameHeader};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentName};

/// What this machine has noted of its segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted<'a> {
    /// The newest one that its ballot names.
    pub(super) newest: Option<SegmentName>,
    pub(super) mark: Option<&'a Mark>,
    pub(super) snapshot: Tip,
}

/// The segments that count, in order, and those that do not.
pub(super) fn choose(mut found: Vec<Found>, noted: Noted<'_>) -> (Vec<Found>, Vec<Found>) {
    found.sort_by_key(|found| (found.name.generation, found.name.first));
    let (mut shown, mut aside): (Vec<Found>, Vec<Found>) = (Vec::new(), Vec::new());
    let headers = found.iter().filter_map(|found| found.header.ok());
    let mut ends: Vec<Tip> = headers.map(|header| header.previous).collect();
    ends.extend(noted.mark.map(|mark| mark.durable));
    let goes_on = |found: &&Found| found.header.is_ok_and(|header| !header.begins_anew);
    let going_on: Vec<SegmentName> = found.iter().filter(goes_on).map(|found| found.name).collect();
    let signs = Signs { noted, ends: &ends, going_on: &going_on };
    for candidate in found {
        if !shown.is_empty() && !counts(&candidate, &shown, signs) {
            aside.push(candidate);
            continue;
        }
        shown.retain(|older| {
            older.name.first < candidate.name.first || Mutant::KeepsHiddenGeneration.is_active()
        });
        shown.push(candidate);
    }
    shown.sort_by_key(|found| found.name.first);
    (shown, aside)
}

/// What may speak for a segment beside its own bytes.
#[derive(Clone, Copy, Debug)]
struct Signs<'a> {
    noted: Noted<'a>,
    /// Ends of the history that segments follow, or that the mark names.
    ends: &'a [Tip],
    /// Segments whose headers say that they go on where others end.
    going_on: &'a [SegmentName],
}

fn counts(candidate: &Found, shown: &[Found], signs: Signs<'_>) -> bool {
    let noted = signs.noted;
    let first = candidate.name.first;
    let newest = shown.last().expect("asked of a segment with others before it");
    if candidate.header.is_ok()
        && candidate.name.generation == newest.name.generation
        && newest.name.first < first
    {
        // Another one of the same row. Whether it continues it shows when the chain comes there.
        return true;
    }
    let hides = newest.name.first >= first || frames(newest).any(|header| header.first_index >= first);
    if hides {
        return may_hide(candidate, shown, signs);
    }
    if is_cut_off(candidate, shown, noted) {
        return false;
    }
    // One of which nothing was written yet is right behind the last frame. Else it must hold something.
    candidate.header.is_ok()
        || noted.newest == Some(candidate.name)
        || end_at(shown, first.previous(), noted.snapshot).is_some()
        || frames(candidate).any(|header| header.first_index >= first)
}

/// Whether a segment that has lost its header, and with which its generation would begin, follows nothing that is there,
/// while nothing in that generation was ever acknowledged: a power cut has left this much of it.
fn is_cut_off(candidate: &Found, shown: &[Found], noted: Noted<'_>) -> bool {
    let first = candidate.name.first;
    let generation = candidate.name.generation;
    let was_durable = noted.newest.is_none_or(|newest| generation <= newest.generation);
    let goes_on = shown.iter().any(|older| older.name.generation == generation);
    if candidate.header.is_ok() || was_durable || goes_on {
        return false;
    }
    let Some(ends) = end_at(shown, first.previous(), noted.snapshot) else { return true };
    first_frame(candidate).is_some_and(|frame| !ends.contains(&frame.previous_hash))
}

fn may_hide(candidate: &Found, shown: &[Found], signs: Signs<'_>) -> bool {
    let Signs { noted, ends, going_on } = signs;
    let before = candidate.name.first.previous();
    if noted.newest == Some(candidate.name) {
        return true;
    }
    let begins_generation = shown.iter().all(|older| older.name.generation < candidate.name.generation);
    let vouched =
        begins_generation && noted.mark.is_some_and(|mark| mark.generation == candidate.name.generation);
    match candidate.header {
        Ok(header) if header.begins_anew => {
            // A snapshot was installed that goes further. It may have been lost since.
            let further = noted.mark.is_none_or(|mark| mark.durable.index() <= header.previous.index());
            vouched || further || header.previous.index() <= noted.snapshot.index()
        }
        Ok(header) => match end_at(shown, before, noted.snapshot) {
            Some(hashes) => hashes.contains(&header.previous.hash),
            // What it follows is damaged or gone: nothing contradicts it.
            None => true,
        },
        Err(_) => {
            let first = first_frame(candidate);
            let follows = |first: FrameHeader| {
                end_at(shown, before, noted.snapshot)
                    .is_some_and(|hashes| hashes.contains(&first.previous_hash))
            };
            // Its end may be known: the next segment follows it, or the mark names it. Or it was noted to be begun
            // while nothing of it was durable.
            let leads_on = |header: FrameHeader| {
                let tip = header.id().tip();
                ends.iter().any(|end| (end.index(), end.hash) == (tip.index(), tip.hash))
            };
            let is_begun = vouched && noted.mark.is_some_and(|mark| mark.durable.index() <= before);
            // A power cut may leave nothing of it, and something of the next one of its generation. Then only its name
            // says where that generation begins.
            let goes_on_from_it = |name: &SegmentName| {
                name.generation == candidate.name.generation && name.first > candidate.name.first
            };
            let is_gone_on_from = begins_generation && going_on.iter().any(goes_on_from_it);
            first.is_some_and(follows) || is_begun || is_gone_on_from || frames(candidate).any(leads_on)
        }
    }
}

/// The chain hashes with which frames of these segments end at this entry; `None` if none does.
fn end_at(shown: &[Found], index: Index, snapshot: Tip) -> Option<Vec<ChainHash>> {
    let mut hashes: Vec<ChainHash> = Vec::new();
    if index == Index::NONE {
        hashes.push(ChainHash::NONE);
    }
    if index == snapshot.index() {
        hashes.push(snapshot.hash);
    }
    let older = shown.iter().rev().find(|older| older.name.first <= index);
    let ends = older.into_iter().flat_map(frames).map(|header| header.id()).filter(|id| id.last == index);
    hashes.extend(ends.map(|id| id.hash));
    let begins = shown.iter().filter_map(|older| older.header.ok()).map(|header| header.previous);
    hashes.extend(begins.filter(|previous| previous.index() == index).map(|previous| previous.hash));
    (!hashes.is_empty()).then_some(hashes)
}

/// The header of the frame with which a segment must begin, if it does.
fn first_frame(found: &Found) -> Option<FrameHeader> {
    let rest = found.bytes().get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    FrameHeader::read(rest).ok().filter(|first| first.first_index == found.name.first)
}

fn frames(found: &Found) -> impl Iterator<Item = FrameHeader> {
    let bytes = found.bytes();
    let starts = (SEGMENT_HEADER_BYTES..bytes.len()).step_by(FRAME_ALIGNMENT);
    starts.filter_map(|at| FrameHeader::read(&bytes[at..]).ok())
}
