//! What must be true of a cluster as a whole, held against every step.

use std::collections::{BTreeMap, BTreeSet};

use position::{ChainHash, Epoch, FrameId, History, Index, Member, MemberId, Tip};
use quorum::{Envelope, MemberInfo, Membership, Message, ReadToken};

use super::journal::Journal;
use super::machine::Disk;

#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    masters: BTreeMap<Epoch, Member>,
    votes: BTreeMap<(Member, Epoch), Member>,
    /// What each frame follows.
    parents: BTreeMap<ChainHash, ChainHash>,
    /// The list of members that a frame brings, and the newest one before each base.
    lists: BTreeMap<ChainHash, Membership>,
    base_lists: BTreeMap<ChainHash, (Index, Membership)>,
    /// Everything a master ever committed, by last index.
    committed: BTreeMap<Index, FrameId>,
    /// What each read must see.
    reads: BTreeMap<ReadToken, Index>,
    /// Machines whose disks the script made lose something: they held it once, which is all that the
    /// protocol can rely on.
    pub(crate) damaged: BTreeSet<MemberId>,
}

impl Oracle {
    pub(crate) fn committed(&self) -> Index {
        self.committed.last_key_value().map_or(Index::NONE, |(&last, _)| last)
    }

    pub(crate) fn masters(&self) -> &BTreeMap<Epoch, Member> {
        &self.masters
    }

    pub(crate) fn wrote(&mut self, prev: Tip, frame: &FrameId) {
        let known = self.parents.insert(frame.hash, prev.hash);
        assert!(known.is_none_or(|parent| parent == prev.hash), "a hash of two histories");
    }

    pub(crate) fn brings(&mut self, frame: &FrameId, list: Membership) {
        self.lists.insert(frame.hash, list);
    }

    pub(crate) fn list_in(&self, frame: &FrameId) -> Option<Membership> {
        self.lists.get(&frame.hash).cloned()
    }

    /// The list that counts at the base of a journal.
    pub(crate) fn list_before(&self, base: Tip) -> Option<(Index, Membership)> {
        self.base_lists.get(&base.hash).cloned()
    }

    /// All lists of a journal, with the entries that brought them.
    pub(crate) fn lists_of(&self, journal: &Journal) -> Vec<(Index, Membership)> {
        let brought = |frame: &FrameId| self.list_in(frame).map(|list| (frame.last, list));
        let before = self.list_before(journal.base());
        before.into_iter().chain(journal.frames().iter().filter_map(brought)).collect()
    }

    /// A snapshot of what this journal holds up to there is made.
    pub(crate) fn note_base(&mut self, journal: &Journal, base: Tip) {
        let newest = self.lists_of(journal).into_iter().rfind(|(at, _)| *at <= base.index());
        if let Some(newest) = newest {
            self.base_lists.insert(base.hash, newest);
        }
    }

    /// The driver's check of what came with a message.
    pub(crate) fn check_chain(&self, mut prev: ChainHash, frames: &[FrameId]) {
        for frame in frames {
            assert_eq!(self.parents.get(&frame.hash), Some(&prev), "frames that are no chain were sent");
            prev = frame.hash;
        }
    }

    pub(crate) fn leads(&mut self, member: Member, epoch: Epoch, journal: &Journal) {
        let (_, list) = self.lists_of(journal).pop().expect("a master has a list");
        let votes =
            list.voters().filter(|voter| self.votes.get(&(voter.member, epoch)) == Some(&member)).count();
        let voters = list.voter_count();
        // A cluster of one asks nobody.
        assert!(
            votes > voters / 2 || voters == 1,
            "{member} leads epoch {epoch} with {votes} votes of {voters}"
        );
        let known = self.masters.insert(epoch, member);
        assert!(known.is_none(), "{member} leads epoch {epoch}, and so does {known:?}");
        for frame in self.committed.values() {
            assert!(journal.holds(frame), "{member} leads epoch {epoch} without the committed {frame:?}");
        }
    }

    pub(crate) fn commits(
        &mut self,
        leads: bool,
        through: Index,
        journal: &Journal,
        disks: &[(MemberId, &Disk)],
    ) {
        for frame in journal.frames().iter().filter(|frame| frame.last <= through) {
            if let Some(known) = self.committed.get(&frame.last) {
                assert_eq!(known, frame, "two histories were committed");
                continue;
            }
            assert!(leads, "a standby commits what no master has");
            assert!(frame.first > self.committed(), "two histories were committed: {frame:?}");
            let (_, list) = self.lists_of(journal).pop().expect("a master has a list");
            let durable = |(id, disk): &&(MemberId, &Disk)| {
                let held_once =
                    self.damaged.contains(id) && list.member(*id).is_some_and(MemberInfo::is_voter);
                held_once || (list.counts(disk.member) && disk.durable.holds(frame))
            };
            let copies = disks.iter().filter(durable).count();
            assert!(
                copies >= list.majority(),
                "{frame:?} is committed and durable on {copies} machines only"
            );
            self.committed.insert(frame.last, *frame);
        }
    }

    /// Whatever a message promises must be durable when it leaves.
    pub(crate) fn promises(&mut self, envelope: &Envelope, disk: &Disk, written: &Journal) {
        let (from, epoch) = (envelope.from, envelope.epoch);
        let voted_for = match &envelope.message {
            Message::VoteReply { refused: None, .. } => envelope.to,
            Message::VoteRequest { .. } => from,
            Message::AppendAck(ack) => {
                assert!(disk.ballot.epoch >= epoch, "{from} acknowledges in an epoch that is not durable");
                let end = ack.durable_match;
                let holds = end <= disk.durable.base().index()
                    || disk.durable.tip_at(end).is_some_and(|tip| written.tip_at(end) == Some(tip));
                assert!(holds, "{from} acknowledges {end} before it is durable");
                return;
            }
            _ => return,
        };
        assert_eq!(
            (disk.ballot.epoch, disk.ballot.voted_for.map(|vote| vote.candidate)),
            (epoch, Some(voted_for)),
            "{from} speaks of a vote that is not durable"
        );
        let known = *self.votes.entry((from, epoch)).or_insert(voted_for);
        assert_eq!(known, voted_for, "{from} votes twice in epoch {epoch}");
    }

    pub(crate) fn vote(&mut self, from: Member, epoch: Epoch, to: Member) {
        self.votes.insert((from, epoch), to);
    }

    /// Whether this journal holds everything that was ever committed.
    pub(crate) fn is_held_by(&self, journal: &Journal) -> bool {
        self.committed.values().all(|frame| journal.holds(frame))
    }

    /// The script has taken from a majority of the disks what was committed.
    pub(crate) fn forget_what_was_committed(&mut self) {
        self.committed.clear();
    }

    pub(crate) fn read_arrives(&mut self, token: ReadToken) {
        self.reads.insert(token, self.committed());
    }

    pub(crate) fn read_passes(&mut self, token: ReadToken, index: Index) {
        let must_see = self.reads.remove(&token).expect("a read passes once");
        assert!(index >= must_see, "a stale read: sees {index}, {must_see} was committed before it arrived");
    }

    pub(crate) fn reads_pending(&self) -> usize {
        self.reads.len()
    }
}
