//! Verifying again, while a voter runs, what the disk holds of closed segments.
//!
//! Responsible for: which frames are read, past the system's cache, and what follows for the journal from one that
//! the disk has spoiled. Not responsible for: when and how fast (`prevalent`), and for getting a good copy from
//! others, if this machine's own memory has none (`quorum`).

use position::{FrameId, History, Index, Tip};
use storage::{Disk, DiskError, Slice};

use super::repair::{GoodCopy, RepairOrder};
use super::run::{Contents, Damage, GoodFrames, Run};
use super::{Journal, JournalError};
use crate::frame::Frame;
use crate::segment::{JournalTag, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

/// Some frames of one file, to be read again on whatever thread.
#[derive(Debug)]
#[must_use = "nothing is verified unless the order is performed"]
pub struct ScrubOrder {
    disk: Disk,
    journal: ScrubbedJournal,
    /// The file that is read: the segment, or the file of good copies.
    read_from: SegmentName,
    /// The header before the first of the frames is read as well.
    with_header: bool,
    frames: Vec<Expected>,
}

/// What a repair needs to know of the journal.
#[derive(Clone, Copy, Debug)]
struct ScrubbedJournal {
    tag: JournalTag,
    /// The segment.
    file: SegmentName,
}

/// A frame as the journal knows it.
#[derive(Debug)]
struct Expected {
    id: FrameId,
    after: Tip,
    offset: usize,
    /// The frame in memory: written from there, or read from the disk at some earlier time.
    held: Slice,
}

/// What came of a [`ScrubOrder`].
#[derive(Debug)]
pub struct Scrubbed {
    /// How many bytes were read.
    pub bytes: usize,
    /// The last entry that was looked at.
    pub through: Index,
    /// The segment of which the disk has spoiled the header.
    pub spoiled_header: Option<SegmentName>,
    /// The first frame that the disk has spoiled; what follows it was not looked at.
    pub spoiled: Option<Spoiled>,
}

/// A frame that the disk does not return as it was written.
#[derive(Debug)]
pub struct Spoiled {
    damage: Damage,
    /// From this machine's own memory, where the frame was still whole.
    copy: Option<GoodCopy>,
}

impl Spoiled {
    /// Which frame.
    #[must_use]
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    #[cfg(test)]
    pub(super) fn forget_copy(&mut self) {
        self.copy = None;
    }

    /// Whether its good copy lies beside it already.
    #[must_use]
    pub fn is_mended(&self) -> bool {
        self.copy.is_some()
    }
}

impl ScrubOrder {
    /// Reads and verifies the frames. A frame that is spoiled on the disk and whole in memory is written again, into a
    /// file of its own.
    ///
    /// # Errors
    /// If that copy cannot be written. A read that fails is no error: the frame counts as spoiled.
    pub fn perform(self) -> Result<Scrubbed, JournalError> {
        let mut file = self.disk.open_uncached(&self.read_from.to_string())?;
        let (mut bytes, mut through) = (0, Index::NONE);
        let mut buffer = Vec::new();
        let mut spoiled_header = None;
        if let (true, Some(file)) = (self.with_header, file.as_mut()) {
            buffer.resize(SEGMENT_HEADER_BYTES, 0);
            bytes += buffer.len();
            let is_read = file.read_at(0, &mut buffer).is_ok();
            spoiled_header = (!is_read || !is_header_of(&buffer, self.read_from)).then_some(self.read_from);
        }
        for expected in &self.frames {
            buffer.resize(expected.held.len(), 0);
            through = expected.id.last;
            bytes += buffer.len();
            let read = file.as_mut().map(|file| file.read_at(expected.offset as u64, &mut buffer));
            let cause = match read {
                Some(Ok(())) if is_frame(&buffer, expected.id) => continue,
                Some(Ok(())) => None,
                Some(Err(error)) => Some(error),
                None => Some(DiskError::Missing { path: self.read_from.to_string().into() }),
            };
            let cause = cause.map_or_else(|| "its checksum is wrong".to_owned(), |error| error.to_string());
            let spoiled = self.spoiled(expected, &cause)?;
            return Ok(Scrubbed { bytes, through, spoiled_header, spoiled: Some(spoiled) });
        }
        Ok(Scrubbed { bytes, through, spoiled_header, spoiled: None })
    }

    fn spoiled(&self, expected: &Expected, cause: &str) -> Result<Spoiled, JournalError> {
        let Expected { id, after, offset, held } = expected;
        let file = self.journal.file;
        let damage = Damage { id: *id, after: *after, file, offset: *offset, bytes: held.len() };
        let is_held = is_frame(held, *id);
        tracing::warn!(
            file = %self.read_from, offset, first = %id.first, last = %id.last, cause,
            "the disk has spoiled entries of the journal; {}",
            if is_held { "they are written again from memory. Check the disk" } else { "a good copy is needed. Check the disk" }
        );
        let copy = is_held.then(|| RepairOrder::of(&self.disk, self.journal.tag, damage, held).perform());
        Ok(Spoiled { damage, copy: copy.transpose()? })
    }
}

/// Whose journal it is was checked when the segment was opened, or begun.
fn is_header_of(block: &[u8], name: SegmentName) -> bool {
    SegmentHeader::decode(block)
        .is_ok_and(|header| (header.first, header.generation) == (name.first, name.generation))
}

fn is_frame(bytes: &[u8], id: FrameId) -> bool {
    Frame::verify(bytes).is_ok_and(|frame| frame.id() == id && frame.bytes().len() == bytes.len())
}

impl Journal {
    /// An order to read again some of the frames after `after`, at least one and as many more as fit into `bytes_max`,
    /// all of one file. `None` once only the segment is left that is being written.
    #[must_use]
    pub fn order_scrub(&self, after: Index, bytes_max: usize) -> Option<ScrubOrder> {
        let closed = |run: &&Run| {
            self.active.as_ref().is_none_or(|active| active.name != run.file)
                && run.tip().index() <= self.durable().index()
                && run.tip().index() > after
        };
        let run = self.runs.iter().find(|run| closed(run) && matches!(run.contents, Contents::Good(_)))?;
        let Contents::Good(frames) = &run.contents else { return None };
        let first = frames.containing(run.first.max(after.next()));
        let range = frames.reach(first, bytes_max);
        let mut previous = self.tip_before(frames.header(first).first_index);
        let expected = |frame: usize| {
            let (id, held) = (frames.header(frame).id(), frames.slice(frame..frame + 1));
            let after = std::mem::replace(&mut previous, id.tip());
            Expected { id, after, offset: frames.offsets[frame] as usize, held }
        };
        Some(ScrubOrder {
            disk: self.disk.clone(),
            journal: ScrubbedJournal { tag: self.tag, file: run.file },
            read_from: frames.copied_to.unwrap_or(run.file),
            // A good copy that is damaged is fetched again, header and all.
            with_header: frames.copied_to.is_none() && frames.offsets[first] as usize == SEGMENT_HEADER_BYTES,
            frames: range.map(expected).collect(),
        })
    }

    /// Takes note of a frame that the disk has spoiled, if the journal still holds it. With a good copy it is read from
    /// there from now on. Without one it is [damaged](Journal::damages), and the answer is what to ask others for.
    pub fn note_spoiled(&mut self, spoiled: Spoiled) -> Option<FrameId> {
        let Spoiled { damage, copy } = spoiled;
        if !self.mark_damaged(damage) {
            if let Some(copy) = copy {
                self.repaired(copy);
            }
            return None;
        }
        match copy {
            Some(copy) => {
                assert!(self.repaired(copy), "it was just marked");
                None
            }
            None => Some(damage.id),
        }
    }

    fn tip_before(&self, first: Index) -> Tip {
        self.tip_at(first.previous()).expect("a frame follows another, or the base")
    }

    /// Parts a run at a damaged frame. `false` if the frame is not there, or not as it was.
    fn mark_damaged(&mut self, damage: Damage) -> bool {
        let is_it = |run: &Run| run.first <= damage.id.first && damage.id.first <= run.tip().index();
        let Some(position) = self.runs.iter().position(|run| is_it(run) && run.file == damage.file) else {
            return false;
        };
        let Contents::Good(frames) = &self.runs[position].contents else { return false };
        let frame = frames.containing(damage.id.first);
        if frames.header(frame).id() != damage.id {
            return false;
        }
        let run = self.runs.remove(position).expect("just found");
        let Contents::Good(frames) = run.contents else { unreachable!("just looked at") };
        let part = |first: Index, range: std::ops::Range<usize>| Run {
            first,
            file: run.file,
            contents: Contents::Good(GoodFrames {
                bytes: frames.bytes.clone(),
                offsets: frames.offsets[range.clone()].to_vec(),
                end: frames.end_of(range.end - 1),
                copied_to: frames.copied_to,
            }),
        };
        let mut parts = Vec::new();
        if frame > 0 {
            parts.push(part(run.first, 0..frame));
        }
        parts.push(Run { first: damage.id.first, file: run.file, contents: Contents::Damaged(damage) });
        if frame + 1 < frames.offsets.len() {
            parts.push(part(damage.id.last.next(), frame + 1..frames.offsets.len()));
        }
        parts.into_iter().rev().for_each(|part| self.runs.insert(position, part));
        true
    }
}
