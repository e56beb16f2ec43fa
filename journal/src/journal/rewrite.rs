//! After an unclean end: writing again what the disk may lack.
//!
//! The process before may have ended after a sync that failed, or the system may have failed to write back what that
//! process left. Frames then stay readable in the system's cache, which takes them for written. They look like any
//! others, and a sync of their file succeeds. So whatever no successful sync vouches for is written a second time,
//! into the same place, and synced, before this process says anything of it.
//!
//! Responsible for: which frames and headers those are.
//! Not responsible for: what is in doubt, which stays as it is; snapshots, copies in `.repair` files, meta and
//! mark, which get their names, or are believed, only after a sync of their own (`docs/decisions/0012`).

use position::{Index, Mutant};
use storage::{Rewrite, Slice};

use super::run::{Contents, GoodFrames};
use super::{Journal, JournalError};
use crate::frame::Frame;
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

/// Frames that lie one behind the other are written together up to this length.
const PIECE_BYTES: usize = 256 * 1024;

impl Journal {
    /// Makes sure that every frame of the journal is on the disk. `vouched` is how far this machine's own mark, which
    /// is written after a sync has succeeded, says that they were durable; `None` without a mark.
    ///
    /// Most of the time these are the frames of the last sync. After a power cut an older mark may have come back:
    /// one is synced with each segment that is filled, so they are a segment's at most.
    ///
    /// A power cut meanwhile leaves each sector as it was or right: what is written is what was read.
    pub(super) fn write_again(&self, vouched: Option<Index>) -> Result<(), JournalError> {
        if Mutant::TrustsCache.is_active() {
            return Ok(());
        }
        let from = vouched.unwrap_or_else(|| self.vouched_by_order());
        let mut open: Option<(SegmentName, Rewrite)> = None;
        for run in self.runs.iter().filter(|run| run.tip().index() > from) {
            let Contents::Good(frames) = &run.contents else { continue };
            if frames.copied_to.is_some() {
                continue;
            }
            let rewrite = match open.take() {
                Some((file, rewrite)) if file == run.file => rewrite,
                other => {
                    other.map_or(Ok(()), |(_, done)| done.sync())?;
                    self.begin_rewrite(run.file, &frames.bytes, from)?
                }
            };
            write_frames(&rewrite, run.file, frames, from)?;
            open = Some((run.file, rewrite));
        }
        open.map_or(Ok(()), |(_, done)| done.sync())?;
        self.write_empty_segment_again(from)
    }

    /// The end of what is durable since something else was written after it: a segment gets its name and its first
    /// bytes only once the one before it has been synced. So the newest file with frames and, to be on the safe
    /// side, the one before it may hold what is not durable; no more. This takes the place of a mark that is lost.
    fn vouched_by_order(&self) -> Index {
        let newest = self.runs.back().map(|run| run.file);
        let mut older = self.runs.iter().rev().skip_while(|run| Some(run.file) == newest);
        let Some(before) = older.next().map(|run| run.file) else { return Index::NONE };
        let first = self.runs.iter().find(|run| run.file == before).expect("it was just found");
        first.first.previous()
    }

    /// Begins with the header, if no sync vouches for any frame in this file.
    fn begin_rewrite(&self, file: SegmentName, bytes: &Slice, from: Index) -> Result<Rewrite, JournalError> {
        let rewrite = self.disk.rewrite(&file.to_string())?;
        if file.first > from {
            write_header(&rewrite, bytes)?;
        }
        Ok(rewrite)
    }

    /// The newest segment may hold nothing but its header.
    fn write_empty_segment_again(&self, from: Index) -> Result<(), JournalError> {
        let Some(active) = &self.active else { return Ok(()) };
        let has_frames = self.runs.iter().any(|run| run.file == active.name);
        if has_frames || active.name.first <= from {
            return Ok(());
        }
        let rewrite = self.disk.rewrite(&active.name.to_string())?;
        write_header(&rewrite, &active.segment.slice(0..SEGMENT_HEADER_BYTES))?;
        Ok(rewrite.sync()?)
    }
}

/// A header that is damaged stays as it is.
fn write_header(rewrite: &Rewrite, segment: &[u8]) -> Result<(), JournalError> {
    let header = segment[..SEGMENT_HEADER_BYTES].to_vec();
    if SegmentHeader::decode(&header).is_ok() {
        rewrite.write(0, &header)?;
    }
    Ok(())
}

/// Writes the frames behind `from`.
fn write_frames(
    rewrite: &Rewrite,
    file: SegmentName,
    frames: &GoodFrames,
    from: Index,
) -> Result<(), JournalError> {
    let mut piece = Vec::new();
    let mut at = 0;
    for number in 0..frames.offsets.len() {
        let id = frames.header(number).id();
        if id.last <= from {
            continue;
        }
        let (start, end) = (frames.offsets[number] as usize, frames.end_of(number));
        if piece.is_empty() {
            at = start;
        }
        piece.extend_from_slice(&frames.bytes[start..end]);
        // They were verified in the map, of which the cache may have let go since: what it reads then is something
        // else, and must not be written over what the disk may still hold.
        let copied = &piece[start - at..];
        if !Frame::verify(copied).is_ok_and(|frame| frame.id() == id) {
            return Err(JournalError::Unsteady { file, offset: start });
        }
        if piece.len() >= PIECE_BYTES {
            rewrite.write(at as u64, &piece)?;
            piece.clear();
        }
    }
    Ok(rewrite.write(at as u64, &piece)?)
}
