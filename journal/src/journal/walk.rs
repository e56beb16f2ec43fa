//! Following the chain of frames through the segments, as far as it leads.
//!
//! Responsible for: what lies where, and how the chain gets past damage.
//! Not responsible for: what the damage means (`verdict`).

use position::{Epoch, FrameId, Index, Position, Tip};
use storage::{Segment, Slice};

use super::JournalError;
use super::link::LinkSearch;
use super::mark::Mark;
use crate::frame::{FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, zero_blocks};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentFlaw, SegmentHeader, SegmentName};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A segment as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: SegmentName,
    pub(super) segment: Segment,
    pub(super) header: Result<SegmentHeader, SegmentFlaw>,
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
    /// several.
    Linked(FrameId),
    /// Nothing says what lay here. The chain ends.
    Lost,
}

/// What is known for certain apart from the chain itself, so that no bytes that merely look like a frame can
/// take the chain somewhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Certain<'a> {
    /// The newest snapshot.
    pub(super) snapshot: Tip,
    pub(super) mark: Option<&'a Mark>,
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
    /// The highest commit that any header tells: so much is not in doubt whatever it looks like here.
    pub(super) committed: Index,
    /// The place behind the last piece, if only zeros follow in the last segment.
    pub(super) blank_from: Option<usize>,
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
            Identity::Lost => None,
        }
    }
}

impl<'a> Walk<'a> {
    /// Walks from the first segment to the last.
    pub(super) fn through(
        segments: &'a [Found],
        copies: &'a [Copy],
        certain: Certain<'a>,
    ) -> Result<Walk<'a>, JournalError> {
        let mut walk = Walk {
            segments,
            copies,
            certain,
            base: Tip::NONE,
            pieces: Vec::new(),
            tip: Tip::NONE,
            committed: Index::NONE,
            blank_from: None,
        };
        let (mut number, mut offset) = walk.start_from(0)?;
        loop {
            let limit = segments.get(number + 1).map(|next| next.name.first.previous());
            let ending = walk.scan(number, offset, limit)?;
            segments[number].give_back();
            let Some(limit) = limit else {
                walk.end(number, ending);
                break;
            };
            if segments[number + 1].header.is_ok_and(|next| next.begins_anew) {
                // An installed snapshot has replaced what lies before, which may be of another history.
                (number, offset) = walk.start_from(number + 1)?;
                continue;
            }
            if ending == Ending::Next && walk.continues(number + 1) {
                (number, offset) = (number + 1, SEGMENT_HEADER_BYTES);
                continue;
            }
            if limit <= certain.snapshot.index() {
                // What lies before is of no use any more: older than the snapshot, and cut off from what follows.
                (number, offset) = walk.start_from(number + 1)?;
                continue;
            }
            let Ending::Stopped { offset: at, .. } = ending else { return Err(walk.broken(number + 1)) };
            let bytes = segments[number].segment.capacity() - at;
            match segments[number + 1].header {
                Ok(header) if header.previous.epoch() >= walk.tip.epoch() => {
                    walk.pass(number, at, bytes, header.previous);
                }
                _ => {
                    walk.push_bad(number, at, bytes, Identity::Lost, None);
                    break;
                }
            }
            (number, offset) = (number + 1, SEGMENT_HEADER_BYTES);
        }
        Ok(walk)
    }

    /// Begins anew at this segment, or at a later one if it is not known what this one follows and the
    /// snapshot covers it. Says which one, and where its first frame is.
    fn start_from(&mut self, first: usize) -> Result<(usize, usize), JournalError> {
        self.pieces.clear();
        let mut number = first;
        loop {
            if let Some((base, offset)) = self.base_of(number) {
                (self.base, self.tip) = (base, base);
                return Ok((number, offset));
            }
            let snapshot = self.certain.snapshot;
            let next = self.segments.get(number + 1).map(|next| next.name.first.previous());
            if next.is_some_and(|base| base <= snapshot.index()) {
                number += 1;
                continue;
            }
            let base = self.segments[number].name.first.previous();
            if base > snapshot.index() {
                return Err(JournalError::StartsLate { base, snapshot: snapshot.index() });
            }
            // Then the journal starts with the snapshot, and whatever lies here is in doubt.
            (self.base, self.tip) = (snapshot, snapshot);
            return Ok((number, SEGMENT_HEADER_BYTES));
        }
    }

    /// What a segment follows, told without what lies before it; and where its first frame is.
    fn base_of(&self, number: usize) -> Option<(Tip, usize)> {
        let Found { name, segment, header } = &self.segments[number];
        let snapshot = self.certain.snapshot;
        match header {
            Ok(header) => Some((header.previous, SEGMENT_HEADER_BYTES)),
            Err(_) if name.first == Index::NONE.next() => Some((Tip::NONE, SEGMENT_HEADER_BYTES)),
            Err(_) if name.first == snapshot.index().next() => Some((snapshot, SEGMENT_HEADER_BYTES)),
            Err(_) => {
                // A frame knows what it follows but for its epoch. So the journal starts one frame later.
                let bytes = segment.slice(SEGMENT_HEADER_BYTES..segment.capacity());
                let first = Frame::verify(&bytes).ok()?;
                (first.header().first_index == name.first)
                    .then(|| (first.tip(), SEGMENT_HEADER_BYTES + first.bytes().len()))
            }
        }
    }

    /// Whether a segment follows what has been walked so far.
    fn continues(&self, number: usize) -> bool {
        let Found { segment, header, .. } = &self.segments[number];
        match header {
            Ok(header) => header.previous == self.tip,
            Err(_) => {
                let bytes = segment.slice(SEGMENT_HEADER_BYTES..segment.capacity());
                FrameHeader::read(&bytes).map_or(true, |frame| frame.follows(&self.tip))
            }
        }
    }

    fn broken(&self, number: usize) -> JournalError {
        let Found { name, header, .. } = &self.segments[number];
        let unknown = Tip { position: Position::new(Epoch::NONE, name.first.previous()), ..Tip::NONE };
        let found = header.map_or(unknown, |header| header.previous);
        JournalError::Broken { file: *name, found: Box::new(found), after: self.tip }
    }

    /// Notes where the last segment ends.
    fn end(&mut self, number: usize, ending: Ending) {
        let Ending::Stopped { offset, blank } = ending else {
            unreachable!("only a segment with a successor has an end that is known beforehand")
        };
        let bytes = self.segments[number].segment.capacity() - offset;
        if blank {
            self.blank_from = Some(offset);
        } else if bytes > 0 {
            self.push_bad(number, offset, bytes, Identity::Lost, None);
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
            if self.push_copy(number, id_after(snapshot)) {
                return;
            }
        }
        self.push_bad(number, offset, bytes, Identity::Linked(id_after(self.tip)), None);
        self.tip = end;
    }

    /// Follows the chain through one segment.
    fn scan(&mut self, number: usize, start: usize, limit: Option<Index>) -> Result<Ending, JournalError> {
        let Found { name, segment, .. } = &self.segments[number];
        let bytes = segment.slice(0..segment.capacity());
        let mut search = LinkSearch::new(&bytes, self.known_behind(number));
        let mut offset = start;
        loop {
            if limit == Some(self.tip.index()) {
                return Ok(Ending::Next);
            }
            let rest = &bytes[offset..];
            if is_zero(rest) {
                let blank = !rest.is_empty();
                return Ok(Ending::Stopped { offset, blank });
            }
            let look = look(rest, &self.tip, limit).map_err(|source| JournalError::NotUnderstood {
                file: *name,
                offset,
                source: Box::new(source),
            })?;
            offset += match look {
                Look::Frame(frame) => self.push_frame(number, offset, &frame),
                Look::Damaged(header) => {
                    self.committed = self.committed.max(header.commit);
                    let id = header.id();
                    if !self.push_copy(number, id) {
                        self.push_bad(
                            number,
                            offset,
                            header.frame_bytes(),
                            Identity::Told(id),
                            Some(&header),
                        );
                        self.tip = id.tip();
                    }
                    header.frame_bytes()
                }
                Look::Nothing => match search.find(offset, self.tip) {
                    Some((at, end)) => {
                        self.pass(number, offset, at - offset, end);
                        at - offset
                    }
                    None => return Ok(Ending::Stopped { offset, blank: false }),
                },
            };
        }
    }

    fn push_frame(&mut self, number: usize, offset: usize, frame: &Frame<'_>) -> usize {
        let start = u32::try_from(offset).expect("the length of segments was checked");
        let end = offset + frame.bytes().len();
        self.committed = self.committed.max(frame.header().commit);
        let after = std::mem::replace(&mut self.tip, frame.tip());
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
        frame.bytes().len()
    }

    /// Uses a good copy of what is damaged here, if there is one.
    fn push_copy(&mut self, number: usize, id: FrameId) -> bool {
        let fits = |copy: &Copy| copy.after == self.tip && copy.tip == id.tip();
        let Some(position) = self.copies.iter().position(fits) else { return false };
        let copy = &self.copies[position];
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
        let segment = &self.segments[number].segment;
        let place = segment.slice(offset..offset + bytes);
        let never_written = match header {
            Some(header) => {
                let found = zero_blocks(&place[FRAME_HEADER_BYTES..]);
                found > header.zero_blocks && sectors(offset, &place).any(is_zero)
            }
            // A header is never zero, so where one must begin and the rest of the sector is, none was written.
            None => !place.is_empty() && sectors(offset, &place).next().is_some_and(is_zero),
        };
        let after = self.tip;
        self.pieces.push(Piece::Bad(Bad { segment: number, offset, bytes, after, identity, never_written }));
    }

    /// What the chain may lead to behind a lost header in this segment.
    fn known_behind(&self, number: usize) -> Vec<Tip> {
        let next =
            self.segments.get(number + 1).and_then(|next| next.header.ok()).map(|header| header.previous);
        let mark = self.certain.mark.map(|mark| mark.durable);
        [next, mark, Some(self.certain.snapshot)].into_iter().flatten().collect()
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
        Err(FrameError::Body { .. }) => Ok(Look::Damaged(header)),
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
