//! Mending what is damaged with a good copy from another machine.

use position::{Mutant, Tip};
use storage::{Disk, Slice};

use super::run::{Contents, Damage, GoodFrames, Run};
use super::{Journal, JournalError};
use crate::frame::{Frame, FrameError, UnverifiedFrames};
use crate::segment::{JournalTag, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

/// A good copy of what is damaged, verified, that is to be made durable, on whatever thread.
#[derive(Debug)]
#[must_use = "the copy is lost unless the order is performed"]
pub struct RepairOrder {
    disk: Disk,
    damage: Damage,
    name: SegmentName,
    /// The whole file: header block and frames.
    contents: Vec<u8>,
    offsets: Vec<u32>,
}

/// A good copy that is durable.
#[derive(Debug)]
pub struct GoodCopy {
    damage: Damage,
    name: SegmentName,
    bytes: Slice,
    offsets: Vec<u32>,
}

impl RepairOrder {
    /// An order for one frame, which is the damaged one.
    pub(super) fn of(disk: &Disk, tag: JournalTag, damage: Damage, bytes: &[u8]) -> RepairOrder {
        let Damage { id, after: previous, file, .. } = damage;
        let name = SegmentName::repair(id.first, file.generation);
        let header =
            SegmentHeader { tag, first: id.first, generation: file.generation, previous, begins_anew: false };
        let contents = [&header.encode(), bytes].concat();
        let offsets = vec![u32::try_from(SEGMENT_HEADER_BYTES).expect("a sector")];
        RepairOrder { disk: disk.clone(), damage, name, contents, offsets }
    }

    /// Writes and syncs the copy. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn perform(self) -> Result<GoodCopy, JournalError> {
        let RepairOrder { disk, damage, name, contents, offsets } = self;
        let name_on_disk = name.to_string();
        disk.replace(&name_on_disk, &contents)?;
        let bytes = disk.map(&name_on_disk)?.ok_or(JournalError::Missing)?;
        Ok(GoodCopy { damage, name, bytes, offsets })
    }
}

impl Journal {
    /// Takes a good copy of what is [damaged](Journal::damages): the same frames, told by their chain hash. The
    /// damaged bytes stay as they are, since somebody may be reading them; the copy lies in a file of its own beside
    /// them. Once the order is performed, [`Journal::repaired`] puts the copy in their place.
    ///
    /// # Errors
    /// If the bytes are not whole frames or other frames than those that are damaged.
    pub fn order_repair(&self, bytes: &[u8]) -> Result<RepairOrder, JournalError> {
        let id = Frame::verify(bytes).map_err(bad_copy)?.id();
        let not_wanted = JournalError::NotWanted { id };
        let Ok(position) = self.runs.binary_search_by_key(&id.first, |run| run.first) else {
            return Err(not_wanted);
        };
        let Contents::Damaged(damage) = &self.runs[position].contents else { return Err(not_wanted) };
        let (offsets, tip) = chain(damage.after, bytes)?;
        let by_position = Mutant::RepairsByPosition.is_active() && tip.index() == damage.id.last;
        if tip != damage.id.tip() && !by_position {
            return Err(not_wanted);
        }
        let order = RepairOrder::of(&self.disk, self.tag, *damage, bytes);
        Ok(RepairOrder { offsets, ..order })
    }

    /// Reads the copy from now on. `false` if what it was made for has been cut off or given up meanwhile: its file
    /// goes then.
    pub fn repaired(&mut self, copy: GoodCopy) -> bool {
        let GoodCopy { damage, name, bytes, offsets } = copy;
        let is_wanted =
            |run: &&mut Run| matches!(&run.contents, Contents::Damaged(found) if *found == damage);
        let Some(run) = self.runs.iter_mut().find(is_wanted) else {
            self.remove_files(std::iter::once(name));
            return false;
        };
        let end = bytes.len();
        run.contents = Contents::Good(GoodFrames { bytes, offsets, end, copied_to: Some(name) });
        true
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
