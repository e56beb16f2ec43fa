//! Opening a journal: reading what an earlier process left, whole or not.
//!
//! Responsible for: which files count, in which order they are looked at, and that nothing is changed
//! before all of it has succeeded.
//! Not responsible for: following the chain (`walk`), and what damage means (`verdict`).

use std::collections::VecDeque;

use position::{History, Index, Mutant, Tail, Tip};
use storage::{Disk, DiskError, Segment};

use super::chores::Chores;
use super::mark::{Mark, MarkFile};
use super::repair::chain;
use super::run::{Contents, Damage, GoodFrames, Run};
use super::sync::Syncs;
use super::verdict::{Knowledge, Verdict, judge};
use super::walk::{Bad, Certain, Copy, Found, Good, Identity, Piece, Walk};
use super::{Active, Evidence, Journal, JournalError, Sizes};
use crate::frame::FRAME_ALIGNMENT;
use crate::segment::{
    Generation, JOURNAL_FOLDER, JournalTag, SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentKind,
    SegmentName, visible,
};

/// No segment is longer: offsets within one are held in four bytes.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// An opened journal, and what its machine must know before it may vote or acknowledge anything.
#[derive(Debug)]
pub struct Recovered {
    /// The journal. All of it is durable. Its [damages](Journal::damages) wait for good copies.
    pub journal: Journal,
    /// How it ends. What is in doubt is not part of the journal, and stays in its files untouched until a
    /// [cut](Journal::cut_after) or an append begins a new generation.
    pub tail: Tail,
    /// The journal is shorter than this machine's own mark: the disk has lost what was durable, perhaps
    /// acknowledged.
    pub amnesia: bool,
    /// How far the mark vouches for the frames; `None` without a mark.
    vouched: Option<Index>,
    /// The files that were there.
    pub(super) files: Vec<File>,
}

/// A file in the journal's folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
}

/// The journal's files. Others in its folder are none of our business.
pub(super) fn files(disk: &Disk) -> Result<Vec<File>, DiskError> {
    let entries = disk.list(JOURNAL_FOLDER)?;
    let named = |entry: &storage::FileEntry| {
        SegmentName::parse(&entry.name).map(|name| File { name, bytes: entry.bytes })
    };
    Ok(entries.iter().filter_map(named).collect())
}

impl Journal {
    /// Opens the journal and finds out what is there. `snapshot` is where the newest valid snapshot ends:
    /// the journal must reach back to it, and what it covers is never in doubt.
    ///
    /// # Errors
    /// If there is no journal, it belongs to something else, or what it has lost cannot be told. Nothing is
    /// changed then.
    pub fn open(disk: Disk, tag: JournalTag, snapshot: Option<Tip>) -> Result<Recovered, JournalError> {
        let mut recovered = Journal::recover(disk, tag, snapshot)?;
        recovered.settle_in()?;
        Ok(recovered)
    }

    /// The same without any change to the disk: whoever cannot go on with what was found leaves it as it is.
    /// Everyone else goes on with [`Recovered::settle_in`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn recover(disk: Disk, tag: JournalTag, snapshot: Option<Tip>) -> Result<Recovered, JournalError> {
        let snapshot = snapshot.unwrap_or(Tip::NONE);
        // Before the journal: whoever looks on while the owner writes must find at least what the mark says.
        let mark = Mark::load(&disk)?;
        let files = files(&disk)?;
        if let Some(file) = files.iter().find(|file| file.name.generation > Generation::OPENED_MAX) {
            return Err(JournalError::Generation { file: file.name });
        }
        let segments = load_segments(&disk, &files, &tag)?;
        let copies = load_copies(&disk, &files)?;
        let marked = mark.as_ref().map_or(Index::NONE, |mark| still_marked(mark, &segments));
        let marked = if Mutant::ForgetsMark.is_active() { Index::NONE } else { marked };
        let certain = Certain { snapshot, mark: mark.as_ref().filter(|mark| mark.durable.index() == marked) };
        let walk = Walk::through(&segments, &copies, certain)?;
        let (blank_from, committed) = (walk.blank_from, walk.committed);
        let crashed = mark.as_ref().is_some_and(|mark| !mark.clean);
        let verdict = judge(walk, Knowledge { snapshot: snapshot.index(), marked, crashed });

        let generation = files.iter().map(|file| file.name.generation).max().unwrap_or_default();
        let tail = verdict.tail;
        let mut journal = assemble(disk, tag, verdict, segments, &copies, blank_from)?;
        journal.generation = generation;
        let superseded = journal.is_superseded_by(snapshot, committed)?;
        let amnesia = marked > journal.last.index().max(snapshot.index());
        let tail = if superseded { Tail::Clean } else { tail };
        journal.evidence = match tail {
            _ if amnesia => Evidence::OfAmnesia,
            Tail::Clean => Evidence::NotNeeded,
            Tail::Torn { .. } | Tail::Uncertain { .. } => Evidence::OfTheTail,
        };
        if superseded {
            journal.begin_behind(snapshot);
        }
        Ok(Recovered { journal, tail, amnesia, vouched: mark.map(|_| marked), files })
    }

    /// Whether the snapshot takes the place of the whole journal: it goes further, or it was installed over
    /// frames that were never committed.
    fn is_superseded_by(&self, snapshot: Tip, committed: Index) -> Result<bool, JournalError> {
        if self.base.index() > snapshot.index() {
            return Err(JournalError::StartsLate { base: self.base.index(), snapshot: snapshot.index() });
        }
        if self.last.index() < snapshot.index() {
            return Ok(true);
        }
        let same = self.tip_at(snapshot.index()) == Some(snapshot);
        if !same && committed >= snapshot.index() {
            return Err(JournalError::Diverged { snapshot, committed });
        }
        Ok(!same)
    }

    /// Nothing of what was found counts: the journal is empty and follows `base`, once a generation says so.
    fn begin_behind(&mut self, base: Tip) {
        self.runs.clear();
        self.active = None;
        (self.base, self.last) = (base, base);
        self.syncs.reset(base);
    }
}

impl Recovered {
    /// Gives up what is damaged, in doubt or lost, and all that follows it: a new generation hides it, and says to
    /// the next start that nothing is missing.
    ///
    /// # Errors
    /// If no new segment can be made.
    pub fn salvage(&mut self) -> Result<(), JournalError> {
        self.journal.write_again(self.vouched)?;
        let journal = &mut self.journal;
        let end = journal.damages().next().map_or(journal.last, |damage| damage.after);
        journal.evidence = Evidence::NotNeeded;
        journal.begin_generation_now(end)?;
        (self.tail, self.amnesia) = (Tail::Clean, false);
        Ok(())
    }

    /// The first changes to the disk. What only the cache may hold is written again. Not in doubt: what is not needed goes, and the mark says that a
    /// process is running.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn settle_in(&mut self) -> Result<(), JournalError> {
        self.journal.write_again(self.vouched)?;
        let journal = &mut self.journal;
        if journal.evidence != Evidence::NotNeeded {
            return Ok(());
        }
        if journal.active.is_none() {
            // The newest segment may hide frames that were cut although its own header is lost. And behind a
            // snapshot that goes further than the journal, this is what says that the journal begins there.
            journal.begin_generation_now(journal.last)?;
        }
        journal.mark_file.store(&journal.mark(false))?;
        journal.remove_files(self.files.iter().map(|file| file.name));
        Ok(())
    }
}

/// How much of the journal the mark still vouches for: newer generations may have cut below it.
fn still_marked(mark: &Mark, segments: &[Found]) -> Index {
    let newer = segments.iter().filter(|segment| segment.name.generation > mark.generation);
    newer.map(|segment| segment.name.first.previous()).fold(mark.durable.index(), Index::min)
}

/// Opens the segments that count, and checks that they are ours.
fn load_segments(disk: &Disk, files: &[File], tag: &JournalTag) -> Result<Vec<Found>, JournalError> {
    let names: Vec<SegmentName> = files.iter().map(|file| file.name).collect();
    let shown = visible(&names);
    if shown.is_empty() {
        return Err(JournalError::Missing);
    }
    let mut segments = Vec::new();
    for File { name, bytes } in files.iter().copied().filter(|file| shown.contains(&file.name)) {
        let plausible = (SEGMENT_HEADER_BYTES as u64..=SEGMENT_BYTES_MAX).contains(&bytes)
            && bytes.is_multiple_of(FRAME_ALIGNMENT as u64);
        if !plausible {
            return Err(JournalError::Truncated { file: name, bytes });
        }
        let number = shown.iter().position(|other| *other == name).expect("one of those that count");
        let segment = open(disk, name, is_closed(number, shown.len()))?;
        let header = match SegmentHeader::decode(&segment.slice(0..SEGMENT_HEADER_BYTES)) {
            Ok(header) if (header.first, header.generation) != (name.first, name.generation) => {
                Err(SegmentFlaw::Damaged)
            }
            Err(source @ SegmentFlaw::Format { .. }) => {
                return Err(JournalError::Format { file: name, source });
            }
            header => header,
        };
        if let Ok(header) = &header {
            check_tag(name, &header.tag, tag)?;
        }
        segments.push(Found { name, segment, header });
    }
    segments.sort_by_key(|found| found.name.first);
    Ok(segments)
}

/// Whether nobody writes to the segment with this number among those that count: the last one is appended to, and
/// the end of the one before may be on its way to the file.
pub(super) fn is_closed(number: usize, segments: usize) -> bool {
    number + 2 < segments
}

pub(super) fn open(disk: &Disk, name: SegmentName, closed: bool) -> Result<Segment, DiskError> {
    let name = name.to_string();
    if closed { disk.open_closed_segment(&name) } else { disk.open_segment(&name) }
}

fn check_tag(file: SegmentName, found: &JournalTag, expected: &JournalTag) -> Result<(), JournalError> {
    let pairs = [
        ("cluster", found.cluster.to_string(), expected.cluster.to_string()),
        (
            "the type of state",
            format!("{:016x}", found.archive_tag),
            format!("{:016x}", expected.archive_tag),
        ),
        ("schema", found.schema.0.to_string(), expected.schema.0.to_string()),
    ];
    match pairs.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(JournalError::WrongTag { file, what, found, expected }),
        None => Ok(()),
    }
}

/// Opens the good copies. One that is damaged itself is no use, and is fetched again.
fn load_copies(disk: &Disk, files: &[File]) -> Result<Vec<Copy>, JournalError> {
    let mut copies = Vec::new();
    for File { name, .. } in files.iter().filter(|file| file.name.kind == SegmentKind::Repair) {
        let Some(bytes) = disk.map(&name.to_string())? else { continue };
        let Ok(header) = SegmentHeader::decode(&bytes) else { continue };
        let Ok((offsets, tip)) = chain(header.previous, &bytes[SEGMENT_HEADER_BYTES..]) else { continue };
        copies.push(Copy { name: *name, bytes, offsets, after: header.previous, tip });
    }
    Ok(copies)
}

/// Makes the journal of what was found, and all of it durable: the process before may have died between a
/// write and its sync.
fn assemble(
    disk: Disk,
    tag: JournalTag,
    verdict: Verdict,
    mut segments: Vec<Found>,
    copies: &[Copy],
    blank_from: Option<usize>,
) -> Result<Journal, JournalError> {
    let Verdict { base, pieces, last, tail } = verdict;
    let newest = segments.last_mut().expect("a journal has a segment");
    let resumable = tail == Tail::Clean && newest.header.is_ok() && !disk.is_read_only();
    let active = match blank_from.filter(|_| resumable) {
        Some(offset) => {
            newest.segment.resume(offset)?;
            Some(newest.name)
        }
        None => None,
    };
    let runs = pieces.into_iter().map(|piece| run_of(piece, &segments, copies)).collect::<VecDeque<Run>>();
    for found in &segments {
        if runs.iter().any(|run| run.file == found.name) {
            found.segment.flusher().sync()?;
        }
    }
    let active = active.and_then(|name| segments.pop().map(|found| Active { name, segment: found.segment }));
    Ok(Journal {
        mark_file: MarkFile::new(disk.clone()),
        disk,
        tag,
        base,
        last,
        runs,
        active,
        nameless_before: None,
        generation: Generation::default(),
        syncs: Syncs::new(last),
        evidence: Evidence::NotNeeded,
        filled: false,
        chores: Chores::default(),
        sizes: Sizes::USUAL,
    })
}

fn run_of(piece: Piece, segments: &[Found], copies: &[Copy]) -> Run {
    match piece {
        Piece::Good(Good { segment, copy, offsets, end, after, .. }) => {
            let Found { name, segment, .. } = &segments[segment];
            let copy = copy.map(|copy| &copies[copy]);
            let bytes = copy.map_or_else(|| segment.slice(0..segment.written()), |copy| copy.bytes.clone());
            let copied_to = copy.map(|copy| copy.name);
            let contents = Contents::Good(GoodFrames { bytes, offsets, end, copied_to });
            Run { first: after.index().next(), file: *name, contents }
        }
        Piece::Bad(Bad { segment, offset, bytes, after, identity, .. }) => {
            let (Identity::Told(id) | Identity::Linked(id)) = identity else {
                unreachable!("what has no identity is in doubt and not part of the journal")
            };
            let file = segments[segment].name;
            let damage = Damage { id, after, file, offset, bytes };
            Run { first: id.first, file, contents: Contents::Damaged(damage) }
        }
    }
}
