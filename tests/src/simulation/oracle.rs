//! What must be true of the cluster as a whole, whatever happens to its parts.
//!
//! Responsible for: remembering everything that any voter ever committed, applied or said, and comparing.
//! Not responsible for: what must be true of one voter alone (`quorum::check_state`), and what clients were
//! told (`promises`). An oracle that is contradicted panics: the simulation ends there and then.

use std::collections::BTreeMap;

use journal::Journal;
use position::{ChainHash, Epoch, History, Index, Position, Tip};
use prevalent::Engine;

use super::ledger::{Ledger, LedgerRow};
use super::machine::{Life, Process};

#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// Who led which epoch: the machine, and its process.
    masters: BTreeMap<Epoch, (usize, Life)>,
    /// The history up to each end of a journal that was ever seen.
    written: BTreeMap<Position, ChainHash>,
    /// The end of each committed frame.
    committed: BTreeMap<Index, Tip>,
    /// The hash over all answers, after each frame.
    answered: BTreeMap<Index, ChainHash>,
    /// The ledger that everybody must have.
    pub(super) lines: Vec<LedgerRow>,
    appended: BTreeMap<(u32, u64), u64>,
    /// Snapshots by name, as first seen.
    snapshots: BTreeMap<String, Vec<u8>>,
}

impl Oracle {
    /// Looks at a voter after each of its steps.
    pub(super) fn look_at(&mut self, machine: usize, life: Life, process: &mut Process) {
        let replica = &process.replica;
        let (voter, journal) = (replica.voter(), replica.journal());
        quorum::check_state(voter, journal);
        let seen = &mut process.seen;
        if journal.last().index() != seen.last {
            self.is_written(journal.last());
            seen.last = journal.last().index();
        }
        if voter.commit() != seen.commit {
            assert!(voter.commit() > seen.commit, "machine {machine}: the commit fell within one process");
            self.is_committed(machine, journal, seen.commit, voter.commit());
            seen.commit = voter.commit();
        }
        if voter.leads() && !seen.led {
            self.leads(machine, life, voter.epoch(), journal);
        }
        seen.led = voter.leads();
    }

    /// I2: equal positions mean equal histories.
    fn is_written(&mut self, tip: Tip) {
        let known = *self.written.entry(tip.position).or_insert(tip.hash);
        assert_eq!(known, tip.hash, "two different histories end at {}", tip.position);
    }

    /// I1: one master per epoch. I3: every master's journal holds all that was ever committed.
    fn leads(&mut self, machine: usize, life: Life, epoch: Epoch, journal: &Journal) {
        let known = *self.masters.entry(epoch).or_insert((machine, life));
        assert_eq!(known, (machine, life), "two masters of epoch {epoch}");
        if let Some((&last, &tip)) = self.committed.last_key_value() {
            let covered = last <= journal.base().index() || journal.tip_at(last) == Some(tip);
            assert!(
                covered,
                "machine {machine} leads epoch {epoch} without the committed {tip}: its journal ends at {}",
                journal.last()
            );
        }
    }

    fn is_committed(&mut self, machine: usize, journal: &Journal, from: Index, to: Index) {
        let mut index = from.max(journal.base().index()).next();
        while index <= to {
            let Some(frame) = journal.frame_containing(index) else { break };
            let known = *self.committed.entry(frame.last).or_insert(frame.tip());
            assert_eq!(
                known,
                frame.tip(),
                "machine {machine} commits another frame than was committed before"
            );
            index = frame.last.next();
        }
    }

    /// I4: equal answers at equal positions, and equal ledgers.
    pub(super) fn has_applied(&mut self, machine: usize, seen_lines: &mut usize, engine: &Engine<Ledger>) {
        let (applied, hash) = (engine.applied(), engine.outcome_hash());
        let known = *self.answered.entry(applied.index()).or_insert(hash);
        assert_eq!(known, hash, "machine {machine} gave other answers up to entry {}", applied.index());
        let lines = &engine.state().lines;
        // A rebuild or an installed snapshot may have fewer lines than were looked at before.
        let from = (*seen_lines).min(lines.len()).min(self.lines.len());
        let start = from.saturating_sub(1);
        for (place, line) in lines.iter().enumerate().skip(start) {
            match self.lines.get(place) {
                Some(known) => {
                    assert_eq!(known, line, "machine {machine}: another line {place} of the ledger")
                }
                None => self.add_line(*line),
            }
        }
        *seen_lines = lines.len();
    }

    /// I8: nothing is executed twice.
    fn add_line(&mut self, line: LedgerRow) {
        let before = self.appended.insert((line.client, line.number), line.index);
        assert_eq!(
            before, None,
            "number {} of client {} was executed twice, the second time as entry {}",
            line.number, line.client, line.index
        );
        self.lines.push(line);
    }

    /// Snapshots of equal positions are equal, byte by byte.
    pub(super) fn has_snapshot(&mut self, machine: usize, name: &str, bytes: Vec<u8>) {
        let Some(known) = self.snapshots.get(name) else {
            self.snapshots.insert(name.to_owned(), bytes);
            return;
        };
        let differs = known.iter().zip(&bytes).position(|(one, other)| one != other);
        assert!(
            *known == bytes,
            "machine {machine}: {name} has {} bytes, others made one of {}; they differ from byte {differs:?} on",
            bytes.len(),
            known.len()
        );
    }

    /// The last end of a frame at or below this entry of which it is known that it is committed.
    pub(super) fn committed_at_or_below(&self, index: Index) -> Tip {
        self.committed.range(..=index).next_back().map_or(Tip::NONE, |(_, tip)| *tip)
    }

    pub(super) fn masterships(&self) -> usize {
        self.masters.len()
    }

    /// Ends of journals that were seen: how much was written.
    pub(super) fn frames(&self) -> usize {
        self.committed.len()
    }
}
