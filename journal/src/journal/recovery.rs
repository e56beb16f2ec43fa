//! Opening a journal: reading what an earlier process left, whole or not.
//!
//! Responsible for: what counts of all that is found, and that nothing is changed before all of it is read.
//! Not responsible for: the files (`loading`), which of them hide others (`hiding`), following the chain (`walk`), and
//! what damage means (`verdict`).

use std::collections::VecDeque;

use position::{History, Index, Mutant, Tail, Tip};
use storage::{Disk, DiskError};

use super::chores::Chores;
use super::finding::{Doubt, Finding};
use super::hiding::{Noted, choose};
use super::loading::{File, files, load_copies, load_segments};
use super::mark::{Mark, MarkFile};
use super::run::{Contents, Damage, GoodFrames, Run};
use super::sync::Syncs;
use super::verdict::{Knowledge, Verdict, judge};
use super::walk::{Bad, Certain, Copy, Found, Good, Identity, Piece, Walk};
use super::{Active, Evidence, Journal, JournalError, Sizes};
use crate::frame::{FRAME_ALIGNMENT, FrameHeader};
use crate::segment::{Generation, JournalTag, SEGMENT_HEADER_BYTES, SegmentKind, SegmentName};

/// What lies beside the journal and says what it must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Where the newest valid snapshot ends: what it covers is never in doubt.
    pub snapshot: Option<Tip>,
    /// The newest segment that the ballot names.
    pub newest: Option<SegmentName>,
}

impl From<Option<Tip>> for Beside {
    fn from(snapshot: Option<Tip>) -> Beside {
        Beside { snapshot, newest: None }
    }
}

/// An opened journal, and what its machine must know before it may vote or acknowledge anything.
#[derive(Debug)]
pub struct Recovered {
    /// The journal. All of it is durable. Its [damages](Journal::damages) wait for good copies. It may begin behind
    /// the newest snapshot: then there is no state for it.
    pub journal: Journal,
    /// How it ends. What is in doubt is not part of the journal, and stays in its files untouched until a
    /// [cut](Journal::cut_after) or an append begins a new generation. Whatever is missing of the end is in doubt.
    pub tail: Tail,
    /// Where the tail begins in a file, if it does.
    pub tail_at: Option<(SegmentName, usize)>,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// How far the mark says that the journal was durable, whatever has hidden that since.
    pub marked: Option<Tip>,
    /// How far the mark vouches for the frames; `None` without a mark.
    vouched: Option<Index>,
    /// The files that were there.
    pub(super) files: Vec<File>,
    /// The segments that count, in order.
    pub(super) shown: Vec<SegmentName>,
    /// Those that hide nothing and may hold something.
    aside: Vec<SegmentName>,
}

impl Journal {
    /// Opens the journal and finds out what is there. It gives what there is: whatever is missing or damaged at its
    /// end is in doubt, and no reason to refuse.
    ///
    /// # Errors
    /// If it belongs to something else, or the disk refuses. Nothing is changed then.
    pub fn open(disk: Disk, tag: JournalTag, beside: impl Into<Beside>) -> Result<Recovered, JournalError> {
        let mut recovered = Journal::recover(disk, tag, beside)?;
        recovered.settle_in()?;
        recovered.remove_unneeded();
        Ok(recovered)
    }

    /// The same without any change to the disk: whoever cannot go on with what was found leaves it as it is.
    /// Everyone else goes on with [`Recovered::settle_in`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn recover(
        disk: Disk,
        tag: JournalTag,
        beside: impl Into<Beside>,
    ) -> Result<Recovered, JournalError> {
        let Beside { snapshot, newest } = beside.into();
        let snapshot = snapshot.unwrap_or(Tip::NONE);
        let mut findings = Vec::new();
        let (mark, unusable) = Mark::find(&disk);
        findings.extend(unusable);
        let mark = mark.as_ref();
        let files = files(&disk)?;
        let loaded = load_segments(&disk, &files, Some(&tag), &mut findings)?;
        let copies = load_copies(&disk, &files)?;
        let nothing = loaded.is_empty();
        let (segments, aside) = choose(loaded, Noted { newest, mark, snapshot });
        findings.extend(aside.iter().map(|found| Finding::SetAside { file: found.name }));
        let lost_header = |found: &&Found| found.header == Err(crate::segment::SegmentFlaw::Damaged);
        findings.extend(
            segments.iter().filter(lost_header).map(|found| Finding::SegmentHeader { file: found.name }),
        );
        let taken: Vec<SegmentName> = aside.iter().map(|found| found.name).collect();
        let aside =
            aside.iter().filter(|found| found.bytes().iter().any(|byte| *byte != 0)).map(|found| found.name);
        let aside: Vec<SegmentName> = aside.collect();

        let marked = mark.map_or(Index::NONE, |mark| still_marked(mark, &segments));
        let marked = if Mutant::ForgetsMark.is_active() { Index::NONE } else { marked };
        let vouched = mark.filter(|mark| mark.durable.index() == marked);
        let walk = Walk::through(&segments, &copies, Certain { snapshot, mark: vouched, newest })?;
        let (blank_from, committed) = (walk.blank_from, walk.committed);
        let crashed = mark.is_some_and(|mark| !mark.clean);
        let verdict = judge(walk, Knowledge { snapshot: snapshot.index(), marked, crashed });
        let tail = verdict.tail;
        let place = verdict.place.map(|place| (segments[place.file].name, place.offset));

        let shown: Vec<SegmentName> = segments.iter().map(|found| found.name).collect();
        let mut journal = assemble(disk, tag, verdict, segments, &copies, blank_from)?;
        let generations =
            files.iter().map(|file| file.name.generation).filter(|it| *it <= Generation::OPENED_MAX);
        let noted = newest.map(|name| name.generation).into_iter().chain(mark.map(|mark| mark.generation));
        journal.taken = taken;
        journal.highest = generations.chain(noted).max().unwrap_or_default();
        journal.generation = shown.iter().map(|name| name.generation).max().unwrap_or_default();

        let mut ending = Ending { tail, place, reason: Doubt::Damaged };
        if nothing {
            ending.lose_from(&mut journal, snapshot.index().next(), Doubt::NothingThere);
        }
        ending.hold_against_the_mark(
            &mut journal,
            mark,
            marked,
            committed.max(snapshot.index()),
            &shown,
            newest,
        );
        ending.hold_against_the_ballot(&mut journal, &shown, newest);
        if journal.is_superseded_by(snapshot, committed)? {
            journal.begin_behind(snapshot);
            ending.move_behind(snapshot, marked);
        }
        ending.place = ending.place.filter(|_| ending.reason == Doubt::Damaged);
        journal.evidence = match ending.tail {
            Tail::Clean => Evidence::NotNeeded,
            Tail::Torn { .. } | Tail::Uncertain { .. } => Evidence::OfTheTail,
        };
        findings.extend(journal.damages().copied().map(Finding::Damaged));
        if let Tail::Uncertain { at, .. } = ending.tail {
            findings.push(Finding::InDoubt { from: at, place: ending.place, reason: ending.reason });
        }
        if journal.base.index() > snapshot.index() {
            findings.push(Finding::NoState { base: journal.base, snapshot: snapshot.index() });
        }
        Ok(Recovered {
            journal,
            tail: ending.tail,
            tail_at: ending.place,
            findings,
            marked: mark.map(|mark| mark.durable),
            vouched: mark.map(|_| marked),
            files,
            shown,
            aside,
        })
    }

    /// Whether the snapshot takes the place of the whole journal: it goes further, or it was installed over
    /// frames that were never committed.
    fn is_superseded_by(&self, snapshot: Tip, committed: Index) -> Result<bool, JournalError> {
        if self.base.index() > snapshot.index() {
            return Ok(false);
        }
        if self.last.index() < snapshot.index() {
            return Ok(true);
        }
        let same = self.tip_at(snapshot.index()).is_some_and(|tip| tip.hash == snapshot.hash);
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

    /// What lies behind this entry does not count. Nothing is changed on the disk.
    fn forget_after(&mut self, index: Index) {
        let end = self.tip_at_or_below(index);
        self.runs.retain(|run| run.first <= end.index());
        if let Some(run) = self.runs.back_mut() {
            run.cut_after(end.index());
        }
        self.active = None;
        self.last = end;
        self.syncs.reset(end);
    }
}

/// How the journal ends, as far as it has been found out.
#[derive(Debug)]
struct Ending {
    tail: Tail,
    place: Option<(SegmentName, usize)>,
    reason: Doubt,
}

impl Ending {
    /// From this entry on, if not before, something is missing.
    fn lose_from(&mut self, journal: &mut Journal, from: Index, reason: Doubt) {
        if journal.last.index() >= from {
            journal.forget_after(from.previous());
        }
        let (at, after) = (journal.last.index().next(), journal.last.epoch());
        self.tail = Tail::Uncertain { frame: None, at, after, more: true };
        self.reason = reason;
        journal.active = None;
    }

    /// The mark says how far the journal was durable, and with which frame.
    fn hold_against_the_mark(
        &mut self,
        journal: &mut Journal,
        mark: Option<&Mark>,
        marked: Index,
        certain: Index,
        shown: &[SegmentName],
        newest: Option<SegmentName>,
    ) {
        let Some(Mark { durable, generation, .. }) = mark else { return };
        if marked > journal.last.index() {
            return self.lose_from(journal, journal.last.index().next(), Doubt::BeforeTheMark(marked));
        }
        if marked < durable.index() || marked <= journal.base.index() {
            return;
        }
        let frame = journal.frame_containing(marked).expect("it lies within the journal");
        let within_damage = journal.read_frame(marked).is_err() && frame.last > marked;
        let is_same = frame.last == marked && frame.hash == durable.hash;
        if !is_same && !within_damage {
            // The frames of the newest generation are gone, and older ones have come to light again. Nobody knows
            // where they part from what was durable, but for what is committed.
            self.lose_from(journal, certain.next(), Doubt::AgainstTheMark(marked));
        } else if newest.is_none() && shown.iter().all(|name| name.generation < *generation) {
            // What lies behind the mark was cut off by that generation.
            self.lose_from(journal, marked.next(), Doubt::AgainstTheMark(marked));
        }
    }

    /// The ballot names the newest segment. Without it nobody knows how much it held.
    fn hold_against_the_ballot(
        &mut self,
        journal: &mut Journal,
        shown: &[SegmentName],
        newest: Option<SegmentName>,
    ) {
        let Some(newest) = newest else { return };
        let replaced = |name: &SegmentName| {
            let goes_on = name.generation == newest.generation && name.first > newest.first;
            goes_on || (name.generation > newest.generation && name.first <= newest.first)
        };
        // An installed snapshot has replaced all there was, and nothing has been acknowledged since.
        let begun_anew = shown.first().is_some_and(|name| name.generation > newest.generation);
        if !begun_anew && !shown.iter().any(|name| *name == newest || replaced(name)) {
            self.lose_from(journal, newest.first, Doubt::SegmentMissing(newest));
        }
    }

    /// A snapshot has taken the place of the journal. What may have lain behind it is as much in doubt as before.
    fn move_behind(&mut self, snapshot: Tip, marked: Index) {
        let (at, after) = (snapshot.index().next(), snapshot.epoch());
        self.tail = match self.tail {
            Tail::Uncertain { .. } if self.reason != Doubt::BeforeTheMark(marked) || marked >= at => {
                Tail::Uncertain { frame: None, at, after, more: true }
            }
            _ => Tail::Clean,
        };
    }
}

impl Recovered {
    /// Gives up what is damaged, in doubt or lost, and all that follows it: a new generation hides it, and says to
    /// the next start that nothing is missing. Before that, every file that holds any of it is copied to
    /// `{file}.given-up`, which nothing reads or removes.
    ///
    /// # Errors
    /// If a copy or a new segment cannot be made.
    pub fn salvage(&mut self) -> Result<(), JournalError> {
        self.journal.write_again(self.vouched)?;
        let journal = &mut self.journal;
        let end = journal.damages().next().map_or(journal.last, |damage| damage.after);
        let damaged: Vec<SegmentName> = journal.damages().map(|damage| damage.file).collect();
        for File { name, bytes } in &self.files {
            if name.kind != SegmentKind::Journal || *bytes == 0 {
                continue;
            }
            let Some(bytes) = journal.disk.map(&name.to_string())? else { continue };
            if damaged.contains(name) || holds_frames_behind(&bytes, end.index()) {
                journal.disk.replace(&format!("{name}.given-up"), &bytes)?;
            }
        }
        journal.evidence = Evidence::NotNeeded;
        journal.begin_generation_now(end)?;
        self.tail = Tail::Clean;
        Ok(())
    }

    /// The first changes to the disk. What only the cache may hold is written again. Not in doubt: the ballot names the
    /// segment that is gone on in, and the mark says that a process is running.
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
        // The process before may have begun this segment and ended before its first order was performed. Its bytes are
        // durable only now, and what the ballot names instead may be removed next.
        if let (Some(meta), Some(active)) = (&journal.meta, &journal.active) {
            meta.note_newest_segment(active.name)?;
        }
        journal.mark_file.store(&journal.mark(false));
        Ok(())
    }

    /// Has the files removed that nothing needs. Only for a voter whose word counts: as long as something is in
    /// doubt, whatever is there may be of use to somebody.
    pub fn remove_unneeded(&mut self) {
        if self.journal.evidence == Evidence::NotNeeded {
            let names = self.files.iter().map(|file| file.name).filter(|name| !self.aside.contains(name));
            self.journal.remove_files(names);
        }
    }
}

fn holds_frames_behind(bytes: &[u8], end: Index) -> bool {
    let mut starts = (SEGMENT_HEADER_BYTES..bytes.len()).step_by(FRAME_ALIGNMENT);
    starts.any(|at| FrameHeader::read(&bytes[at..]).is_ok_and(|header| header.id().last > end))
}

/// How much of the journal the mark still vouches for: newer generations may have cut below it.
fn still_marked(mark: &Mark, segments: &[Found]) -> Index {
    let newer = segments.iter().filter(|segment| segment.name.generation > mark.generation);
    newer.map(|segment| segment.name.first.previous()).fold(mark.durable.index(), Index::min)
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
    let Verdict { base, pieces, last, tail, .. } = verdict;
    segments.iter_mut().for_each(Found::release);
    let active = match (segments.last_mut(), blank_from) {
        (Some(newest), Some(offset)) if tail == Tail::Clean && newest.is_whole() => {
            match newest.segment.resume(offset) {
                Ok(()) => Some(newest.name),
                // Whoever looks at the journal of another process appends nothing.
                Err(DiskError::ReadOnly { .. }) => None,
                Err(error) => return Err(error.into()),
            }
        }
        _ => None,
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
        highest: Generation::default(),
        taken: Vec::new(),
        syncs: Syncs::new(last),
        evidence: Evidence::NotNeeded,
        meta: None,
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
