//! Following the chain of frames through the segments, as far as it leads.
//!
//! Responsible for: what lies where, and how the chain gets past damage.
//! Not responsible for: what the damage means (`verdict`).

use position::{ChainHash, FrameId, Index, Tip};
use storage::{Segment, Slice};

use super::JournalError;
use super::link::{Anchor, Anchors};
use super::mark::Mark;
use crate::frame::{FRAME_ALIGNMENT, FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, zero_blocks};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentName};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A segment as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: SegmentName,
    pub(super) segment: Segment,
    pub(super) header: Result<SegmentHeader, SegmentFlaw>,
    /// All of it that can hold frames, as long as somebody looks at it. A file that lost its end may end anywhere.
    whole: Option<Slice>,
}

impl Found {
    /// A start reads all of the journal. It need not all lie in memory at the end.
    fn give_back(&self) {
        self.segment.slice(0..self.segment.written()).give_back();
    }
}

/// A file with a good copy of damaged frames.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) name: SegmentName,
    pub(super) bytes: Slice,
    pub(super) offsets: Vec<u32>,
    pub(super) after: Tip,
    pub(super) tip: Tip,
    /// The highest commit that its headers tell.
    pub(super) committed: Index,
}

/// A part of the journal, in order.
#[derive(Debug)]
pub(super) enum Piece {
    Good(Good),
    Bad(Bad),
}

/// Verified frames one behind the other in one segment, or in a copy.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) segment: usize,
    /// The number of the copy that they lie in.
    pub(super) copy: Option<usize>,
    pub(super) offsets: Vec<u32>,
    pub(super) end: usize,
    pub(super) after: Tip,
    pub(super) tip: Tip,
}

/// Something that should be a frame.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) segment: usize,
    pub(super) offset: usize,
    pub(super) bytes: usize,
    pub(super) after: Tip,
    pub(super) identity: Identity,
    /// A sector of it holds nothing but zeros although something was to be written there.
    pub(super) never_written: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The frame's own header says what it is.
    Told(FrameId),
    /// A header is lost, but something that is beyond doubt names the end of what lay here: one frame or
    /// several. The epoch is the lowest that it can be.
    Linked(FrameId),
    /// Nothing says what lay here. The chain ends.
    Lost(Extent),
}

/// How much lies where nothing says what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// One frame: what is left of its header says where it ends, and only zeros follow.
    OneFrame,
    /// Nobody can tell.
    Unknown,
}

/// What is known for certain apart from the chain itself, so that no bytes that merely look like a frame can
/// take the chain somewhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Certain<'a> {
    /// The newest snapshot.
    pub(super) snapshot: Tip,
    pub(super) mark: Option<&'a Mark>,
    /// The newest segment that the ballot names: nothing in a newer generation was ever acknowledged.
    pub(super) newest: Option<SegmentName>,
}

/// What the walk came upon.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    segments: &'a [Found],
    copies: &'a [Copy],
    certain: Certain<'a>,
    /// What the first piece follows.
    pub(super) base: Tip,
    pub(super) pieces: Vec<Piece>,
    /// Where the last piece ends.
    pub(super) tip: Tip,
    /// What the chain has come through in the segment that is looked at, frame by frame.
    passed: Vec<Passed>,
    /// So many of them lie before the last place that was passed over.
    fixed: usize,
    /// Where the chain came into this segment.
    came_at: Index,
    /// The highest commit that any header tells: so much is not in doubt whatever it looks like here.
    pub(super) committed: Index,
    /// The place behind the last piece, if only zeros follow in the last segment.
    pub(super) blank_from: Option<usize>,
}

/// A frame of a segment that the chain has come through.
#[derive(Clone, Copy, Debug)]
struct Passed {
    at: usize,
    before: Tip,
    tip: Tip,
}

/// Why the walk through one segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The next segment continues here.
    Next,
    /// There is nothing more that the chain leads to.
    Stopped { offset: usize, blank: bool },
}

/// What stands at some place of a segment.
enum Look<'a> {
    Frame(Frame<'a>),
    /// A frame with damaged contents.
    Damaged(FrameHeader),
    /// Nothing that belongs here.
    Nothing,
}

impl Found {
    pub(super) fn new(
        name: SegmentName,
        segment: Segment,
        header: Result<SegmentHeader, SegmentFlaw>,
    ) -> Found {
        let whole = segment.slice(0..segment.capacity() / FRAME_ALIGNMENT * FRAME_ALIGNMENT);
        Found { name, segment, header, whole: Some(whole) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.whole.as_deref().expect("nobody looks at a segment after it was released")
    }

    /// Whether nothing is wrong with the file as such, so that frames may be appended to it.
    pub(super) fn is_whole(&self) -> bool {
        self.header.is_ok() && self.segment.capacity().is_multiple_of(FRAME_ALIGNMENT)
    }

    /// Nobody looks at it any more: the segment may be appended to.
    pub(super) fn release(&mut self) {
        self.whole = None;
    }
}

impl Piece {
    /// Where the history ends with this piece, if anything says so.
    pub(super) fn end(&self) -> Option<Tip> {
        match self {
            Piece::Good(good) => Some(good.tip),
            Piece::Bad(bad) => bad.end(),
        }
    }
}

impl Bad {
    /// Where the history goes on, if anything says so.
    pub(super) fn end(&self) -> Option<Tip> {
        match self.identity {
            Identity::Told(id) | Identity::Linked(id) => Some(id.tip()),
            Identity::Lost(_) => None,
        }
    }
}

impl<'a> Walk<'a> {
    /// Walks from the first segment to the last, or to where nothing leads on.
    pub(super) fn through(
        segments: &'a [Found],
        copies: &'a [Copy],
        certain: Certain<'a>,
    ) -> Result<Walk<'a>, JournalError> {
        let base = certain.snapshot;
        let mut walk = Walk {
            segments,
            copies,
            certain,
            base,
            pieces: Vec::new(),
            tip: base,
            passed: Vec::new(),
            fixed: 0,
            came_at: base.index(),
            committed: Index::NONE,
            blank_from: None,
        };
        if segments.is_empty() {
            return Ok(walk);
        }
        let (mut number, mut offset) = walk.start_from(0);
        loop {
            walk.come_in();
            let limit = segments.get(number + 1).map(|next| next.name.first.previous());
            let ending = walk.scan(number, offset, limit)?;
            segments[number].give_back();
            let Some(limit) = limit else {
                walk.end(number, ending);
                break;
            };
            if segments[number + 1].header.is_ok_and(|next| next.begins_anew) {
                // An installed snapshot has replaced what lies before, which may be of another history.
                (number, offset) = walk.start_from(number + 1);
                continue;
            }
            if ending == Ending::Next && walk.continues(number + 1) {
                (number, offset) = (number + 1, SEGMENT_HEADER_BYTES);
                continue;
            }
            if limit <= certain.snapshot.index() {
                // What lies before is of no use any more: older than the snapshot, and cut off from what follows.
                (number, offset) = walk.start_from(number + 1);
                continue;
            }
            let at = match ending {
                Ending::Stopped { offset, .. } => offset,
                Ending::Next => segments[number].bytes().len(),
            };
            // Nothing leads across: what follows cannot be told from what comes from elsewhere.
            walk.push_bad(
                number,
                at,
                segments[number].bytes().len() - at,
                Identity::Lost(Extent::Unknown),
                None,
            );
            break;
        }
        Ok(walk)
    }

    /// Begins anew at this segment, or at a later one if it is not known what this one follows and the
    /// snapshot covers it. Says which one, and where its first frame is.
    fn start_from(&mut self, first: usize) -> (usize, usize) {
        self.pieces.clear();
        let mut number = first;
        loop {
            if let Some((base, offset)) = self.base_of(number) {
                (self.base, self.tip) = (base, base);
                return (number, offset);
            }
            let snapshot = self.certain.snapshot;
            let next = self.segments.get(number + 1).map(|next| next.name.first.previous());
            if next.is_some_and(|base| base <= snapshot.index()) {
                number += 1;
                continue;
            }
            // Then the journal starts with the snapshot, and whatever lies here is in doubt.
            (self.base, self.tip) = (snapshot, snapshot);
            return (number, SEGMENT_HEADER_BYTES);
        }
    }

    /// What a segment follows, told without what lies before it; and where its first frame is.
    fn base_of(&self, number: usize) -> Option<(Tip, usize)> {
        let Found { name, header, .. } = &self.segments[number];
        let snapshot = self.certain.snapshot;
        match header {
            Ok(header) => Some((header.previous, SEGMENT_HEADER_BYTES)),
            Err(_) if name.first == Index::NONE.next() => Some((Tip::NONE, SEGMENT_HEADER_BYTES)),
            Err(_) if name.first == snapshot.index().next() => Some((snapshot, SEGMENT_HEADER_BYTES)),
            Err(_) => {
                let bytes = self.segments[number].bytes();
                // A frame knows what it follows but for its epoch. So the journal starts one frame later.
                let first = Frame::verify(bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default());
                if let Ok(first) = first.as_ref()
                    && first.header().first_index == name.first
                {
                    return Some((first.tip(), SEGMENT_HEADER_BYTES + first.bytes().len()));
                }
                // The snapshot may stand for what lies before; else it starts where something is certain again.
                let anchors = self.anchors(number);
                let anchor = anchors.first().filter(|_| name.first.previous() > snapshot.index())?;
                anchor.end.map(|end| (end, anchor.at)).and_then(|(end, at)| {
                    let frame = Frame::verify(&bytes[at..]).ok()?;
                    (frame.tip() == end).then(|| (end, at + frame.bytes().len()))
                })
            }
        }
    }

    /// Whether a segment follows what has been walked so far.
    fn continues(&self, number: usize) -> bool {
        match &self.segments[number].header {
            Ok(header) => {
                header.previous.index() == self.tip.index() && header.previous.hash == self.tip.hash
            }
            Err(_) => {
                let bytes = self.segments[number].bytes().get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
                FrameHeader::read(bytes).map_or(true, |frame| frame.follows(&self.tip))
            }
        }
    }

    /// Notes where the last segment ends.
    fn end(&mut self, number: usize, ending: Ending) {
        let Ending::Stopped { offset, blank } = ending else {
            unreachable!("only a segment with a successor has an end that is known beforehand")
        };
        let (rest, mark) = (&self.segments[number].bytes()[offset..], self.certain.mark);
        let ended_cleanly = mark.is_some_and(|mark| mark.clean && mark.durable == self.tip);
        if blank || rest.is_empty() || ended_cleanly {
            // What an orderly stop has left is known to the last byte: whatever lies behind it is not of the journal.
            self.blank_from = blank.then_some(offset);
            return;
        }
        let lone = FrameHeader::lone_frame(rest, &self.tip);
        let ahead = |mark: &&Mark| {
            mark.durable.index() > self.tip.index() && mark.durable.epoch() >= self.tip.epoch()
        };
        let Some(Mark { durable, clean, .. }) = mark.filter(ahead) else {
            let extent = if lone.is_some() { Extent::OneFrame } else { Extent::Unknown };
            return self.push_bad(number, offset, rest.len(), Identity::Lost(extent), None);
        };
        let lone = lone.filter(|(_, entries)| self.tip.index().plus(*entries) == durable.index());
        self.pass(number, offset, lone.map_or(rest.len(), |(bytes, _)| bytes), *durable);
        if lone.is_none() && !clean {
            // The mark may be older than the last sync, and nobody can see how many frames lay here.
            let end = self.segments[number].bytes().len();
            self.push_bad(number, end, 0, Identity::Lost(Extent::Unknown), None);
        }
    }

    /// Goes past a place where frames must have been, to where something else says that it goes on.
    fn pass(&mut self, number: usize, offset: usize, bytes: usize, end: Tip) {
        let snapshot = self.certain.snapshot;
        let id_after = |tip: Tip| FrameId {
            epoch: end.epoch(),
            first: tip.index().next(),
            last: end.index(),
            hash: end.hash,
        };
        if self.push_copy(number, id_after(self.tip)) {
            return;
        }
        if self.tip.index() < snapshot.index() && snapshot.index() < end.index() {
            // The snapshot ends somewhere among the frames that lay here, so only the rest of them is needed.
            // Whether it is of their history shows when they have been fetched: they must lead from it to `end`.
            self.pieces.clear();
            (self.base, self.tip) = (snapshot, snapshot);
            self.come_in();
            if self.push_copy(number, id_after(snapshot)) {
                return;
            }
        }
        self.push_bad(number, offset, bytes, Identity::Linked(id_after(self.tip)), None);
        (self.tip, self.fixed) = (end, self.passed.len());
    }

    /// Nothing of a segment has been passed yet.
    fn come_in(&mut self) {
        self.passed.clear();
        (self.fixed, self.came_at) = (0, self.tip.index());
    }

    /// Follows the chain through one segment.
    fn scan(&mut self, number: usize, start: usize, limit: Option<Index>) -> Result<Ending, JournalError> {
        let segments = self.segments;
        let Found { name, .. } = &segments[number];
        let bytes = segments[number].bytes();
        let (mut offset, mut anchors) = (start.min(bytes.len()), None);
        loop {
            let at_limit = limit == Some(self.tip.index());
            if at_limit && self.meets_the_next(number) {
                return Ok(Ending::Next);
            }
            let rest = &bytes[offset..];
            let blank = is_zero(rest);
            if blank && limit.is_none() {
                return Ok(Ending::Stopped { offset, blank: !rest.is_empty() });
            }
            let look = if at_limit || blank { Ok(Look::Nothing) } else { look(rest, &self.tip, limit) };
            let look = look.map_err(|source| JournalError::NotUnderstood {
                file: *name,
                offset,
                source: Box::new(source),
            })?;
            offset = match look {
                Look::Frame(frame) => self.push_frame(number, offset, &frame),
                Look::Damaged(header) => self.push_damaged(number, offset, &header),
                Look::Nothing => {
                    let anchors = anchors.get_or_insert_with(|| self.anchors(number));
                    match self.go_on(number, offset, anchors) {
                        Some(at) => at,
                        None if at_limit => return Ok(Ending::Next),
                        None => return Ok(Ending::Stopped { offset, blank: blank && !rest.is_empty() }),
                    }
                }
            };
        }
    }

    /// Whether nothing speaks against the next segment's going on where this one has come to.
    fn meets_the_next(&self, number: usize) -> bool {
        let previous =
            self.segments[number + 1].header.ok().filter(|next| !next.begins_anew).map(|next| next.previous);
        previous.is_none_or(|previous| previous.hash == self.tip.hash)
    }

    /// The chain has come to `offset` and finds nothing there that follows. Goes on at the next place that is
    /// certain. Frames that the chain took from here and that what is certain contradicts are not of the journal,
    /// however intact they are: an older frame may lie where a newer one was written.
    fn go_on(&mut self, number: usize, offset: usize, anchors: &Anchors) -> Option<usize> {
        let next = *anchors.next_of(|end| self.has_passed(end))?;
        let mut from = offset;
        while next.first <= self.tip.index()
            || (next.first == self.tip.index().next() && !next.follows(&self.tip))
        {
            from = from.min(self.take_back()?);
        }
        if next.follows(&self.tip) {
            return (next.is_named && next.at != offset).then_some(next.at);
        }
        if !next.may_follow_behind(&self.tip) {
            return None;
        }
        let limit = self.segments.get(number + 1).map(|next| next.name.first);
        if limit.is_some_and(|limit| next.first > limit) {
            return None;
        }
        let end = next.previous(self.tip);
        let is_behind = next.at >= self.segments[number].bytes().len();
        // A good copy that leads from here to there says that nothing was cut off.
        let is_led_on = self.copy_of((end.index(), end.hash)).is_some();
        let mut taken_back = None;
        if is_behind && !is_led_on && self.next_has_replaced_more(number) {
            // The file with which that generation begins is missing, so nobody knows how much it has cut off here. What
            // was committed it has not.
            taken_back = self.take_back_to(self.committed);
        }
        let came_from = self.segments[number].name.first.previous();
        let (place, at) = taken_back.unwrap_or_else(|| match self.pieces.last() {
            // All that lies before this segment is there, so what is lost lay at its start.
            Some(Piece::Good(good)) if good.segment < number && self.tip.index() >= came_from => {
                (number, SEGMENT_HEADER_BYTES)
            }
            Some(Piece::Good(good)) if good.segment < number => (good.segment, good.end),
            Some(Piece::Good(good)) if good.copy.is_none() => (number, from.min(good.end)),
            _ => (number, from.min(next.at)),
        });
        let till = if place == number { next.at } else { self.segments[place].bytes().len() };
        self.pass(place, at.min(till), till.saturating_sub(at), end);
        Some(next.at)
    }

    /// Whether the next segment is of a newer generation that was durable once: with its first segment, all that it
    /// follows was durable. If none of it was, a power cut alone may have left a gap here, and the cut with which it
    /// began may as well not have happened.
    fn next_has_replaced_more(&self, number: usize) -> bool {
        let own = self.segments[number].name.generation;
        let was_durable =
            |generation| self.certain.newest.is_none_or(|newest| generation <= newest.generation);
        let next = self.segments.get(number + 1).map(|next| next.name.generation);
        next.is_some_and(|next| next > own && was_durable(next))
    }

    /// Takes back all frames behind this entry, in whichever segment they lie. Says where the first of them lay.
    fn take_back_to(&mut self, end: Index) -> Option<(usize, usize)> {
        let end = end.max(self.base.index());
        let mut place = None;
        while self.tip.index() > end {
            let Some(last) = self.pieces.pop() else { break };
            let Piece::Good(mut good) = last else {
                // What is damaged is named by what follows it, and that has just been taken back.
                let Piece::Bad(bad) = last else { unreachable!("there are two kinds") };
                (self.tip, place) = (bad.after, Some((bad.segment, bad.offset)));
                continue;
            };
            self.tip = good.after;
            if good.copy.is_some() {
                continue;
            }
            let bytes = self.segments[good.segment].bytes();
            let frames = good.offsets.iter().map(|at| *at as usize);
            let kept = frames.map_while(|at| {
                let header = FrameHeader::read(&bytes[at..]).ok()?;
                (header.id().last <= end).then_some((at + header.frame_bytes(), header.id().tip()))
            });
            let kept: Vec<(usize, Tip)> = kept.collect();
            if let Some(&(at, tip)) = kept.last() {
                place = Some((good.segment, at));
                good.offsets.truncate(kept.len());
                (good.end, good.tip, self.tip) = (at, tip, tip);
                self.pieces.push(Piece::Good(good));
                break;
            }
            place = good.offsets.first().map(|at| (good.segment, *at as usize));
        }
        self.come_in();
        place
    }

    fn has_passed(&self, end: &Tip) -> bool {
        let found = self.passed.binary_search_by_key(&end.index(), |passed| passed.tip.index());
        end.index() <= self.came_at || found.is_ok_and(|at| self.passed[at].tip.hash == end.hash)
    }

    /// Takes back the last frame of this segment, and says where it lay.
    fn take_back(&mut self) -> Option<usize> {
        if self.passed.len() <= self.fixed {
            return None;
        }
        let Passed { at, before, .. } = self.passed.pop()?;
        self.tip = before;
        match self.pieces.last_mut() {
            Some(Piece::Good(good)) if good.copy.is_none() && good.offsets.len() > 1 => {
                good.offsets.pop();
                (good.end, good.tip) = (at, before);
            }
            _ => drop(self.pieces.pop()),
        }
        Some(at)
    }

    /// What is certain within a segment, whatever is damaged there.
    fn anchors(&self, number: usize) -> Anchors {
        // The header of the next segment may be lost too. Then its frames say what they follow.
        let mut last = number;
        while self.segments.get(last + 1).is_some_and(|next| next.header.is_err()) {
            last += 1;
        }
        let known: Vec<Tip> = [self.certain.mark.map(|mark| mark.durable), Some(self.certain.snapshot)]
            .into_iter()
            .flatten()
            .collect();
        let next =
            self.segments.get(last + 1).and_then(|next| next.header.ok()).filter(|next| !next.begins_anew);
        let mut behind = next.map(|next| Anchor::behind(self.segments[last].bytes().len(), next.previous));
        loop {
            let anchors = Anchors::of(self.segments[last].bytes(), &known, behind);
            if last == number {
                return anchors;
            }
            let first = self.segments[last].name.first;
            last -= 1;
            let at = self.segments[last].bytes().len();
            behind = anchors.first().filter(|anchor| anchor.first == first).map(|anchor| anchor.moved_to(at));
        }
    }

    fn push_frame(&mut self, number: usize, offset: usize, frame: &Frame<'_>) -> usize {
        let start = u32::try_from(offset).expect("the length of segments was checked");
        let end = offset + frame.bytes().len();
        self.committed = self.committed.max(frame.header().commit);
        let after = std::mem::replace(&mut self.tip, frame.tip());
        self.passed.push(Passed { at: offset, before: after, tip: self.tip });
        match self.pieces.last_mut() {
            Some(Piece::Good(good))
                if good.segment == number && good.copy.is_none() && good.end == offset =>
            {
                good.offsets.push(start);
                (good.end, good.tip) = (end, self.tip);
            }
            _ => self.pieces.push(Piece::Good(Good {
                segment: number,
                copy: None,
                offsets: vec![start],
                end,
                after,
                tip: self.tip,
            })),
        }
        end
    }

    /// A frame whose header says what it is, and the rest is not that.
    fn push_damaged(&mut self, number: usize, offset: usize, header: &FrameHeader) -> usize {
        self.committed = self.committed.max(header.commit);
        let (id, before) = (header.id(), self.tip);
        if !self.push_copy(number, id) {
            self.push_bad(number, offset, header.frame_bytes(), Identity::Told(id), Some(header));
            self.tip = id.tip();
        }
        self.passed.push(Passed { at: offset, before, tip: self.tip });
        (offset + header.frame_bytes()).min(self.segments[number].bytes().len())
    }

    /// Which good copy leads from here to this end. The hash says it all; the epoch may not be known.
    fn copy_of(&self, end: (Index, ChainHash)) -> Option<usize> {
        let follows =
            |copy: &Copy| copy.after.hash == self.tip.hash && copy.after.index() == self.tip.index();
        self.copies.iter().position(|copy| follows(copy) && (copy.tip.index(), copy.tip.hash) == end)
    }

    /// Uses a good copy of what is damaged here, if there is one.
    fn push_copy(&mut self, number: usize, id: FrameId) -> bool {
        let Some(position) = self.copy_of((id.last, id.hash)) else { return false };
        let copy = &self.copies[position];
        self.committed = self.committed.max(copy.committed);
        self.pieces.push(Piece::Good(Good {
            segment: number,
            copy: Some(position),
            offsets: copy.offsets.clone(),
            end: copy.bytes.len(),
            after: self.tip,
            tip: copy.tip,
        }));
        self.tip = copy.tip;
        true
    }

    fn push_bad(
        &mut self,
        number: usize,
        offset: usize,
        bytes: usize,
        identity: Identity,
        header: Option<&FrameHeader>,
    ) {
        let place = &self.segments[number].bytes()[offset..];
        let place = &place[..bytes.min(place.len())];
        let never_written = match header {
            Some(header) => {
                let found = zero_blocks(&place[FRAME_HEADER_BYTES..]);
                found > header.zero_blocks && sectors(offset, place).any(is_zero)
            }
            // A header is never zero, so where one must begin and the rest of the sector is, none was written.
            None => !place.is_empty() && sectors(offset, place).next().is_some_and(is_zero),
        };
        let after = self.tip;
        self.pieces.push(Piece::Bad(Bad { segment: number, offset, bytes, after, identity, never_written }));
    }
}

/// What stands at the start of these bytes, of which the next frame of the chain is expected.
fn look<'b>(rest: &'b [u8], tip: &Tip, limit: Option<Index>) -> Result<Look<'b>, FrameError> {
    let Ok(header) = FrameHeader::read(rest) else { return Ok(Look::Nothing) };
    if !header.follows(tip) || limit.is_some_and(|limit| header.id().last > limit) {
        return Ok(Look::Nothing);
    }
    match Frame::verify_behind(header, rest) {
        Ok(frame) => Ok(Look::Frame(frame)),
        // The file may have lost its end.
        Err(FrameError::Body { .. } | FrameError::Cut { .. }) => Ok(Look::Damaged(header)),
        Err(newer @ (FrameError::Entries { .. } | FrameError::Count { .. })) => Err(newer),
        Err(_) => Ok(Look::Nothing),
    }
}

/// The parts of the sectors of a file that some bytes at `offset` lie in.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    std::iter::once(head).chain(rest.chunks(SECTOR_BYTES))
}

/// Compares in large pieces: most of a young segment is zeros.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}
