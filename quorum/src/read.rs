//! Linearizable reads without a journal entry: the read index (Ongaro 2014, 6.4).

use std::collections::VecDeque;

use position::{Index, Mutant};

use crate::effect::ReadToken;
use crate::{Effect, Voter};

/// Reads that wait for a round which starts after they arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// Arrived since the last round started.
    waiting: VecDeque<ReadToken>,
    /// (round, what the read must see, read).
    started: VecDeque<(u64, Index, ReadToken)>,
}

impl Reads {
    /// While a round for earlier reads is under way, later ones gather for the next: else every read
    /// would cost a message to everyone.
    pub(crate) fn need_a_round(&self) -> bool {
        !self.waiting.is_empty() && self.started.is_empty()
    }

    /// A round starts: it answers for every read that arrived before it.
    pub(crate) fn round_started(&mut self, round: u64, commit: Index) {
        self.started.extend(self.waiting.drain(..).map(|token| (round, commit, token)));
    }
}

impl Voter {
    pub(crate) fn on_read(&mut self, token: ReadToken) {
        if Mutant::ReadsWithoutRound.is_active() {
            return self.out.push(Effect::ReadReady { token, index: self.commit });
        }
        if let Some(master) = self.role.master_mut() {
            master.reads.waiting.push_back(token);
        }
    }

    /// Names the reads whose round a majority has acknowledged. Before a commit of its own epoch a master
    /// does not know what is committed, and no read passes.
    pub(crate) fn release_reads(&mut self) {
        let acknowledged = self.round_of_majority();
        let commit = self.commit;
        let Some(master) = self.role.master_mut() else { return };
        if commit < master.first_own {
            return;
        }
        while let Some(&(round, index, token)) = master.reads.started.front() {
            if round > acknowledged {
                break;
            }
            master.reads.started.pop_front();
            // A read whose round started before the first own commit must see at least that one.
            self.out.push(Effect::ReadReady { token, index: index.max(master.first_own) });
        }
    }
}
