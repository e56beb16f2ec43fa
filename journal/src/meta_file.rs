//! The meta of a directory, shared by those who change it independently of each other.
//!
//! Responsible for: that none of them overwrites what another has changed. Not responsible for: what is written
//! ([`Meta`]). Everything that writes here blocks: it belongs on a worker's thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use position::Memory;
use storage::{Disk, DiskError};

use crate::{Meta, SegmentName};

/// The two copies of a directory's meta: the protocol changes the memory in them, the journal the name of its newest
/// segment.
#[derive(Clone, Debug)]
pub struct MetaFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    /// What both copies hold. Locked while they are written: a change goes out on top of the one before.
    durable: Mutex<Meta>,
}

impl MetaFile {
    /// Of a directory in which both copies hold `meta`.
    #[must_use]
    pub fn new(disk: Disk, meta: Meta) -> MetaFile {
        MetaFile { shared: Arc::new(Shared { disk, durable: Mutex::new(meta) }) }
    }

    /// What is durable now.
    #[must_use]
    pub fn durable(&self) -> Meta {
        self.lock().clone()
    }

    /// An order to make `memory` durable.
    #[must_use]
    pub fn remember(&self, memory: Memory) -> MetaOrder {
        MetaOrder { file: self.clone(), memory }
    }

    /// Makes durable which segment is the newest; blocks. This comes before anything in that segment is acknowledged:
    /// else nobody would notice that the disk has lost it. It writes nothing if that stands there already.
    ///
    /// # Errors
    /// If the disk fails: the process must end.
    pub fn note_newest_segment(&self, name: SegmentName) -> Result<(), DiskError> {
        let mut durable = self.lock();
        if durable.newest_segment == Some(name) {
            return Ok(());
        }
        let next = durable.with_newest_segment(name);
        self.write(&mut durable, next)
    }

    fn write(&self, durable: &mut Meta, next: Meta) -> Result<(), DiskError> {
        next.write(&self.shared.disk)?;
        *durable = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Meta> {
        // Nothing that holds it leaves it half changed.
        self.shared.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A memory on its way to the disk.
#[derive(Clone, Debug)]
pub struct MetaOrder {
    file: MetaFile,
    memory: Memory,
}

impl MetaOrder {
    /// Makes the memory durable; blocks. The driver then tells `quorum` so.
    ///
    /// # Errors
    /// If the disk fails: the process must end.
    pub fn perform(self) -> Result<Memory, DiskError> {
        let mut durable = self.file.lock();
        let next = durable.remembering(self.memory.clone());
        self.file.write(&mut durable, next)?;
        drop(durable);
        Ok(self.memory)
    }
}

#[cfg(test)]
mod tests {
    use position::{Ballot, ClusterId, Epoch, Incarnation, Index, Member, MemberId};
    use storage::SimDisk;

    use super::*;
    use crate::{FoundMeta, Generation};

    #[test]
    fn who_changes_one_thing_leaves_the_others_alone() {
        let machine = SimDisk::new(1);
        let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
        let founded = Meta::founded(ClusterId(5), me);
        founded.write(&machine.disk()).unwrap();
        let file = MetaFile::new(machine.disk(), founded.clone());
        // Ordered before the segment is noted, performed after it.
        let ballot = Ballot { epoch: Epoch(9), ..Ballot::founded() };
        let memory = Memory { ballot, ..founded.memory() };
        let order = file.remember(memory.clone());
        let newest = SegmentName::journal(Index(500), Generation(3));
        file.note_newest_segment(newest).unwrap();
        assert_eq!(order.perform().unwrap(), memory);
        let FoundMeta::Good(read) = Meta::read(&machine.disk()).unwrap() else {
            panic!("both copies are good")
        };
        assert_eq!((read.memory(), read.newest_segment), (memory, Some(newest)));
        assert_eq!(read, file.durable());
    }

    #[test]
    fn a_segment_that_is_noted_already_costs_nothing() {
        let machine = SimDisk::new(1);
        let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
        let file = MetaFile::new(machine.disk(), Meta::founded(ClusterId(5), me));
        let newest = SegmentName::journal(Index(500), Generation(3));
        file.note_newest_segment(newest).unwrap();
        let before = file.durable();
        file.note_newest_segment(newest).unwrap();
        assert_eq!(file.durable(), before);
    }
}
