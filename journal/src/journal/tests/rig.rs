//! A journal on a simulated disk beside a plain list of what it should hold.

use std::time::Duration;

use position::{
    ChainHash, ClusterId, Epoch, History, Incarnation, Index, Member, MemberId, Position, Tail, Tip,
};
use storage::SimDisk;

use super::super::{Beside, Journal, JournalError, Recovered, Sizes, SyncOrder};
use crate::entry::{Entry, EntryKind};
use crate::frame::{Frame, FrameBuilder, Stamp, UnverifiedFrames};
use crate::segment::JournalTag;
use crate::{FoundMeta, Meta, MetaFile, Schema, Sequence, SessionId};

/// Small, so that a few frames fill a segment.
pub(super) const SMALL: Sizes = Sizes { first: 2560, later: 8704, reserve: 512, unsynced_segments_max: 20 };

pub(super) const TAG: JournalTag =
    JournalTag { cluster: ClusterId(77), archive_tag: 5, schema: Schema(1), layout: 6 };

/// What a test says of a frame's contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling {
    pub(super) entries: usize,
    pub(super) payload_bytes: usize,
    /// Every byte; zero looks like what was never written.
    pub(super) byte: u8,
}

pub(super) const PLAIN: Filling = Filling { entries: 1, payload_bytes: 300, byte: 0xaa };

/// A frame that follows `previous`.
pub(super) fn build(previous: Tip, epoch: Epoch, commit: Index, filling: Filling) -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    let payload = vec![filling.byte; filling.payload_bytes];
    for number in 0..filling.entries as u64 {
        let entry = Entry {
            kind: EntryKind::Command,
            session: SessionId(1),
            sequence: Sequence(number),
            lowest_unacknowledged: Sequence(0),
            payload: &payload,
        };
        builder.push(&entry).unwrap();
    }
    let (cluster_time, wall_time) = (Duration::from_millis(previous.index().0), -1);
    builder.seal(&Stamp { previous, epoch, commit, cluster_time, wall_time }).bytes().to_vec()
}

/// What the journal should hold.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Where the journal may start at the latest.
    pub(super) snapshot: Tip,
    /// All frames since the beginning or the last reset, with where each ends.
    pub(super) frames: Vec<(Tip, Vec<u8>)>,
    pub(super) start: Tip,
    pub(super) durable: Index,
}

impl Model {
    pub(super) fn last(&self) -> Tip {
        self.frames.last().map_or(self.start, |(tip, _)| *tip)
    }

    pub(super) fn ends(&self) -> Vec<Tip> {
        std::iter::once(self.start).chain(self.frames.iter().map(|(tip, _)| *tip)).collect()
    }

    pub(super) fn cut_after(&mut self, index: Index) {
        self.frames.retain(|(tip, _)| tip.index() <= index);
        self.durable = self.durable.min(index);
    }

    /// What is wrong if this is what a power cut was to leave of the model: a part from its start, with at
    /// least everything that was durable.
    pub(super) fn misfit(&self, journal: &Journal) -> Option<String> {
        if journal.base().index() > self.snapshot.index() {
            return Some(format!("the journal starts after {}, behind its snapshot", journal.base()));
        }
        let (last, durable) = (journal.last(), self.durable.max(self.snapshot.index()));
        if last.index() < durable {
            return Some(format!("the journal ends at {last}, {durable} was durable"));
        }
        let mut at = last;
        while at.index() > journal.base().index().max(self.start.index()) {
            let Ok(frame) = journal.read_frame(at.index()) else {
                return Some(format!("the frame at {at} cannot be read"));
            };
            let expected = self.frames.iter().find(|(tip, _)| *tip == at);
            if expected.is_none_or(|(_, bytes)| bytes != frame.bytes()) {
                return Some(format!("{at} is not a frame of the model"));
            }
            at = journal.tip_at(frame.header().first_index.previous()).unwrap();
        }
        let known = self.ends().contains(&at) || at == self.snapshot;
        (!known).then(|| format!("the journal follows {at}, which the model does not know"))
    }
}

/// A machine with a journal.
pub(super) struct Rig {
    pub(super) machine: SimDisk,
    /// None while the machine is down.
    pub(super) journal: Option<Journal>,
    pub(super) model: Model,
    pub(super) epoch: Epoch,
    pub(super) in_flight: Vec<SyncOrder>,
    /// What a crash may still bring back: the model before each cut or reset that no sync has reached.
    pub(super) uncut: Vec<Model>,
    /// Every frame there ever was.
    pub(super) written: Vec<Vec<u8>>,
}

impl Rig {
    pub(super) fn new(seed: u64) -> Rig {
        let machine = SimDisk::new(seed);
        let mut journal = Journal::create_with(machine.disk(), TAG, Tip::NONE, SMALL).unwrap();
        let me = Member { id: MemberId(1), incarnation: Incarnation(1) };
        let newest = journal.newest_segment().expect("it has just been begun");
        let meta = Meta::founded(TAG.cluster, me).with_newest_segment(newest);
        meta.write(&machine.disk()).unwrap();
        journal.note_newest_in(MetaFile::new(machine.disk(), meta));
        let model = Model { snapshot: Tip::NONE, frames: Vec::new(), start: Tip::NONE, durable: Index::NONE };
        Rig {
            machine,
            journal: Some(journal),
            model,
            epoch: Epoch(1),
            in_flight: Vec::new(),
            uncut: Vec::new(),
            written: Vec::new(),
        }
    }

    /// A machine whose journal holds these many plain frames, all durable.
    pub(super) fn with_frames(seed: u64, frames: usize) -> Rig {
        let mut rig = Rig::new(seed);
        (0..frames).for_each(|_| rig.append(PLAIN).unwrap());
        rig.sync().unwrap();
        rig
    }

    pub(super) fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().expect("the machine is up")
    }

    /// Appends a frame that knows what is durable to be committed, as in a cluster of one.
    pub(super) fn append(&mut self, filling: Filling) -> Result<(), JournalError> {
        let commit = self.model.durable.min(self.model.last().index());
        self.append_knowing(commit, filling)
    }

    pub(super) fn append_knowing(&mut self, commit: Index, filling: Filling) -> Result<(), JournalError> {
        let bytes = build(self.model.last(), self.epoch, commit, filling);
        let frame = Frame::verify(&bytes).unwrap();
        let slice = match self.journal().append(&frame) {
            Err(JournalError::NotReady { .. }) => {
                self.make_spares();
                self.journal().append(&frame)?
            }
            appended => appended?,
        };
        assert_eq!(&slice[..], bytes);
        self.write()?;
        self.written.push(bytes.clone());
        self.model.frames.push((frame.tip(), bytes));
        Ok(())
    }

    /// Appends without a word to the disk. `false`: there is no room.
    pub(super) fn append_in_memory(&mut self, filling: Filling) -> bool {
        let bytes = build(self.model.last(), self.epoch, self.model.durable, filling);
        let frame = Frame::verify(&bytes).unwrap();
        match self.journal().append(&frame) {
            Err(JournalError::NotReady { .. }) => return false,
            appended => appended.unwrap(),
        };
        self.written.push(bytes.clone());
        self.model.frames.push((frame.tip(), bytes));
        true
    }

    /// Hands what was appended to the system: a power cut may then leave any part of it.
    fn write(&mut self) -> Result<(), JournalError> {
        let active = self.journal().active.as_ref().expect("it was just appended to");
        active.segment.flusher().write().map_err(JournalError::Disk)?;
        Ok(())
    }

    /// What the chores could not do before they try again.
    pub(super) fn make_spares(&mut self) {
        self.journal().try_again();
        self.do_chores();
    }

    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        let order = self.journal().ticket();
        order.perform()?;
        self.complete(&order)
    }

    /// An order has been performed: its completion arrives.
    pub(super) fn complete(&mut self, order: &SyncOrder) -> Result<(), JournalError> {
        let durable = self.journal().synced(order.ticket());
        if self.journal().nameless_before.is_none() {
            self.uncut.clear();
        }
        assert!(durable.index() >= self.model.durable, "what was durable is no longer");
        assert!(self.model.ends().contains(&durable), "{durable} is said to be durable");
        self.model.durable = durable.index();
        order.note_mark();
        self.do_chores();
        Ok(())
    }

    pub(super) fn do_chores(&mut self) {
        while let Some(chore) = self.journal().next_chore() {
            let done = chore.perform();
            self.journal().chore_done(done);
        }
    }

    /// A cut of which the disk knows.
    pub(super) fn cut_after(&mut self, index: Index) -> Result<(), JournalError> {
        self.cut_in_memory(index)?;
        self.write()
    }

    /// A cut that a crash takes back.
    pub(super) fn cut_in_memory(&mut self, index: Index) -> Result<(), JournalError> {
        self.uncut.push(self.model.clone());
        self.journal().cut_after(index)?;
        self.model.cut_after(index);
        self.epoch = self.epoch.next();
        self.do_chores();
        Ok(())
    }

    /// A snapshot of everything up to `tip` has become durable.
    pub(super) fn compact(&mut self, tip: Tip) {
        self.model.snapshot = tip;
        self.journal().compact(tip.index());
        self.do_chores();
    }

    pub(super) fn reset(&mut self, base: Tip) -> Result<(), JournalError> {
        self.reset_in_memory(base)?;
        self.write()
    }

    /// A reset that a crash takes back, but for the snapshot.
    pub(super) fn reset_in_memory(&mut self, base: Tip) -> Result<(), JournalError> {
        self.model.snapshot = base;
        if let Err(JournalError::NotReady { .. }) = self.journal().reset(base) {
            self.make_spares();
            self.journal().reset(base)?;
        }
        self.do_chores();
        self.model = Model { snapshot: base, frames: Vec::new(), start: base, durable: base.index() };
        Ok(())
    }

    /// Starts the machine again.
    pub(super) fn open(&mut self) -> Recovered {
        self.try_open().unwrap()
    }

    pub(super) fn try_open(&mut self) -> Result<Recovered, JournalError> {
        self.in_flight.clear();
        self.journal = None;
        let snapshot = Some(self.model.snapshot).filter(|tip| *tip != Tip::NONE);
        let FoundMeta::Good(meta) = Meta::read(&self.machine.disk())? else { panic!("the meta is lost") };
        let beside = Beside { snapshot, newest: meta.newest_segment };
        let mut recovered = Journal::recover(self.machine.disk(), TAG, beside)?;
        recovered.journal.note_newest_in(MetaFile::new(self.machine.disk(), meta));
        recovered.settle_in()?;
        recovered.remove_unneeded();
        recovered.journal.sizes = SMALL;
        Ok(recovered)
    }

    /// What is wrong if this is what a power cut has left: of the model, or of the one before a cut of which nothing on
    /// the disk was sure to say that it belongs to this journal.
    pub(super) fn misfit(&self, journal: &Journal) -> Option<String> {
        let misfit = self.model.misfit(journal)?;
        let is_uncut = self.uncut.iter().any(|uncut| uncut.misfit(journal).is_none());
        (!is_uncut).then_some(misfit)
    }

    /// Takes over what a power cut has left.
    pub(super) fn take(&mut self, recovered: Recovered) {
        let uncut = std::mem::take(&mut self.uncut);
        if self.model.misfit(&recovered.journal).is_some()
            && let Some(uncut) = uncut.into_iter().find(|uncut| uncut.misfit(&recovered.journal).is_none())
        {
            self.model = Model { snapshot: self.model.snapshot, ..uncut };
        }
        let last = recovered.journal.last().index();
        if last < self.model.start.index() {
            panic!("the journal ends before it starts");
        }
        if self.model.last().index() < recovered.journal.last().index() {
            // The snapshot has taken the place of what was lost.
            assert_eq!(recovered.journal.last(), self.model.snapshot);
        }
        self.model.frames.retain(|(tip, _)| tip.index() <= last);
        if self.model.last() != recovered.journal.last() {
            self.model.frames.clear();
            self.model.start = recovered.journal.last();
        }
        self.model.durable = last;
        self.journal = Some(recovered.journal);
    }

    /// Compares everything that can be read.
    pub(super) fn check(&self) {
        let journal = self.journal.as_ref().expect("the machine is up");
        assert_eq!(journal.last(), self.model.last());
        assert_eq!(journal.durable().index(), self.model.durable);
        assert!(journal.base().index() <= self.model.snapshot.index());
        assert_eq!(self.model.misfit(journal), None);
        let held: Vec<_> =
            self.model.frames.iter().filter(|(tip, _)| tip.index() > journal.base().index()).collect();
        let all: Vec<u8> = held.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let base = journal.base().index();
        assert_eq!(journal.frames_between(base, journal.last().index()).concat_bytes(), all);
        let mut at = base;
        for (tip, bytes) in held {
            let frame = Frame::verify(bytes).unwrap();
            for (index, _) in frame.entries() {
                assert_eq!(journal.frame_containing(index), Some(frame.id()));
                assert_eq!(journal.read_frame(index).unwrap().bytes(), bytes);
            }
            assert_eq!(journal.tip_at(tip.index()), Some(*tip));
            assert_eq!(journal.reach(at, 1), Some((tip.index(), bytes.len())));
            at = tip.index();
        }
        assert_eq!(journal.reach(at, usize::MAX), None);
        assert_eq!(journal.frame_containing(journal.last().index().next()), None);
        assert_eq!(journal.frame_containing(base), None);
    }

    pub(super) fn power_cut(&mut self) -> Recovered {
        self.machine.power_cut();
        self.open()
    }

    pub(super) fn crash(&mut self) -> Recovered {
        self.machine.crash();
        self.open()
    }

    /// The file that entry `index` lies in, and where its frame starts.
    pub(super) fn place_of(&self, index: u64) -> (String, u64) {
        let bytes = &self.model.frames.iter().find(|(tip, _)| tip.index() >= Index(index)).unwrap().1;
        let disk = self.machine.disk();
        for entry in disk.list("journal").unwrap() {
            let name = format!("journal/{}", entry.name);
            let file = self.machine.bytes_of(&name).unwrap();
            let at = (512..file.len().saturating_sub(bytes.len() - 1))
                .step_by(128)
                .find(|at| file[*at..].starts_with(bytes));
            if let Some(at) = at {
                return (name, at as u64);
            }
        }
        panic!("entry {index} is in no file");
    }
}

impl Journal {
    /// Takes a good copy at once.
    pub(super) fn repair(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let copy = self.order_repair(bytes)?.perform()?;
        assert!(self.repaired(copy), "nothing has changed meanwhile");
        Ok(())
    }
}

/// For comparing slices as one.
pub(super) trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for Vec<storage::Slice> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.to_vec()).collect()
    }
}

pub(super) fn elsewhere(epoch: u64, index: u64) -> Tip {
    Tip { position: Position::new(Epoch(epoch), Index(index)), hash: ChainHash([9; 32]) }
}

/// That a power cut without any rot leaves nothing but what was never synced in doubt.
pub(super) fn assert_only_torn(recovered: &Recovered) {
    assert_eq!(recovered.journal.damages().count(), 0);
    assert!(matches!(recovered.tail, Tail::Clean | Tail::Torn { .. }), "{:?}", recovered.findings);
    let bytes = recovered.journal.frames_after(recovered.journal.base().index(), usize::MAX).concat_bytes();
    assert!(UnverifiedFrames::new(&bytes).all(|frame| frame.is_ok()));
}
