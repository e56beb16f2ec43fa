//! Mending what is damaged with a good copy from another machine.

use position::{Mutant, Tip};

use super::run::{Contents, Damage, GoodFrames};
use super::{Journal, JournalError};
use crate::frame::{Frame, FrameError, UnverifiedFrames};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

impl Journal {
    /// Takes a good copy of what is [damaged](Journal::damages): the same frames, told by their chain hash.
    /// It is durable on return. The damaged bytes stay as they are, since somebody may be reading them; the
    /// copy lies in a file of its own beside them.
    ///
    /// # Errors
    /// If the bytes are not whole frames or other frames than those that are damaged, nothing is changed.
    pub fn repair(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let id = Frame::verify(bytes).map_err(bad_copy)?.id();
        let not_wanted = JournalError::NotWanted { id };
        let Ok(position) = self.runs.binary_search_by_key(&id.first, |run| run.first) else {
            return Err(not_wanted);
        };
        let run = &self.runs[position];
        let Contents::Damaged(damage) = &run.contents else { return Err(not_wanted) };
        let (offsets, tip) = chain(damage.after, bytes)?;
        // The hash says it all: where a header is lost, the epoch may not be known.
        let is_the_same = (tip.index(), tip.hash) == (damage.id.last, damage.id.hash);
        let by_position = Mutant::RepairsByPosition.is_active() && tip.index() == damage.id.last;
        if !is_the_same && !by_position {
            return Err(not_wanted);
        }
        let Damage { after: previous, file, .. } = *damage;
        let name = SegmentName::repair(id.first, file.generation);
        let (tag, first, generation) = (self.tag, id.first, file.generation);
        let header = SegmentHeader { tag, first, generation, previous, begins_anew: false };
        let name_on_disk = name.to_string();
        self.disk.replace(&name_on_disk, &[&header.encode(), bytes].concat())?;
        let bytes = self.disk.map(&name_on_disk)?.ok_or(JournalError::Missing)?;
        let end = bytes.len();
        self.runs[position].contents =
            Contents::Good(GoodFrames { bytes, offsets, end, copied_to: Some(name) });
        Ok(())
    }
}

/// Verifies frames that must follow `after`. Says where they start in a file of their own, and where the
/// history ends with them.
pub(super) fn chain(after: Tip, bytes: &[u8]) -> Result<(Vec<u32>, Tip), JournalError> {
    let (mut offsets, mut at, mut tip) = (Vec::new(), SEGMENT_HEADER_BYTES, after);
    for frame in UnverifiedFrames::after(after, bytes) {
        let frame = frame.map_err(bad_copy)?;
        offsets.push(u32::try_from(at).expect("a copy is far below 4 GiB"));
        at += frame.bytes().len();
        tip = frame.tip();
    }
    Ok((offsets, tip))
}

fn bad_copy(source: FrameError) -> JournalError {
    JournalError::BadCopy(Box::new(source))
}
