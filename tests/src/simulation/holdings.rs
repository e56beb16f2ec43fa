//! What each voter has promised to have, and that it has it for as long as its word counts.
//!
//! Responsible for: remembering what each voter last had durable, across its processes, and comparing. Damage may take
//! it away; then the voter must notice, and not count before it is back or was never committed.
//! Not responsible for: what the cluster as a whole has committed (`oracle`).

use position::{Amnesia, FrameId, History, Index, MemberId, Standing, Tip};

use super::Simulation;
use super::driver::node_of;
use super::machine::Process;

impl Process {
    /// Whether the journal holds this end of a frame, durably, or a snapshot covers it.
    fn holds(&self, tip: Tip) -> bool {
        let journal = self.replica.journal();
        let is_durable = journal.durable().index() >= tip.index() && journal.tip_at(tip.index()) == Some(tip);
        is_durable || tip.index() <= journal.base().index()
    }

    /// What waits for a good copy.
    pub(super) fn damaged(&self) -> Vec<FrameId> {
        self.replica.journal().damages().map(|damage| damage.id).collect()
    }

    /// What was damaged and has come back is what it was.
    pub(super) fn look_at_repairs(&self, machine: usize, damaged: &[FrameId]) {
        let journal = self.replica.journal();
        let waits = |id: &FrameId| journal.damages().any(|damage| damage.id == *id);
        for id in damaged.iter().filter(|id| id.first > journal.base().index() && !waits(id)) {
            let found = journal.tip_at(id.last);
            assert!(
                found.is_none_or(|tip| tip.hash == id.hash),
                "machine {machine} mends {id:?} with another frame: {found:?}"
            );
        }
    }

    /// Notes what it is by its last step.
    fn note_standing(&mut self) {
        let standing = self.replica.view().standing;
        self.seen.settled = standing == Standing::Settled;
        self.seen.counted |= match standing {
            Standing::Settled => true,
            // A directory that may be a fresh copy does not know what its former self had acknowledged.
            Standing::Unsettled(doubted) => doubted.tail != position::Tail::Clean,
            Standing::Amnesiac(_) | Standing::Removed => false,
        };
    }
}

impl Simulation {
    /// A process has started: it has all that it had, or it is in doubt of it.
    pub(super) fn has_started(&mut self, machine: usize) {
        if self.machines[machine].is_replaced {
            return;
        }
        let (acknowledged, went_back) =
            (self.machines[machine].acknowledged, self.machines[machine].went_back);
        let process = self.machines[machine].process.as_mut().expect("it has just started");
        process.note_standing();
        let standing = process.replica.view().standing;
        let journal = process.replica.journal();
        assert!(
            went_back
                || !matches!(standing, Standing::Amnesiac(_))
                || standing == Standing::Amnesiac(Amnesia::Superseded),
            "machine {machine} starts as amnesiac, with a whole ballot: {standing:?}"
        );
        assert!(
            !process.seen.settled || process.holds(acknowledged),
            "machine {machine} starts without {acknowledged}, which it had durable, and does not doubt it: its \
             journal ends at {}",
            journal.last()
        );
        self.look_at_holdings(machine);
    }

    /// A process has made a step.
    pub(super) fn look_at_holdings(&mut self, machine: usize) {
        let required = self.required_of(machine);
        let found = &mut self.machines[machine];
        if let Some(process) = &found.process {
            let durable = process.replica.journal().durable();
            assert!(
                process.holds(durable),
                "machine {machine} takes {durable} for durable, which it does not have"
            );
        }
        let Some(process) = found.process.as_mut().filter(|_| !found.is_replaced) else { return };
        let was_settled = process.seen.settled;
        process.note_standing();
        if !process.seen.settled {
            return;
        }
        assert!(
            was_settled || process.holds(required),
            "machine {machine} counts again without {required}, which it had acknowledged and which is committed: it \
             has {} durable",
            process.replica.journal().durable()
        );
        // Of a disk that lied the others must tell it first.
        // One of which a sync will fail is yet to lose something.
        let waits = self.agenda.now() < self.quiet_until || found.keeps_power;
        found.ails &= waits || !process.is_sound();
        let journal = process.replica.journal();
        found.acknowledged = journal.durable();
        let committed = self.oracle.committed_at_or_below(found.acknowledged.index());
        if journal.tip_at(committed.index()) == Some(committed) && committed.index() > found.has.index() {
            found.has = committed;
        }
    }

    /// What a voter must have, once it counts: what it acknowledged and what is committed.
    fn required_of(&self, machine: usize) -> Tip {
        let found = &self.machines[machine];
        match self.oracle.committed_at_or_below(found.acknowledged.index()) {
            committed if committed == found.acknowledged => committed,
            _ => found.has,
        }
    }

    /// Whether a voter runs, lacks nothing and has all that was ever committed.
    pub(super) fn has_everything(&self, machine: usize) -> bool {
        let committed = self.oracle.committed_at_or_below(Index(u64::MAX));
        let has_it = |process: &Process| process.is_sound() && process.holds(committed);
        !self.machines[machine].ails && self.process(machine).is_some_and(has_it)
    }

    /// A master has committed: a majority has it durable. Of a voter of which it has not met the present process it
    /// counts what the one before has said.
    pub(super) fn look_at_commit(&self, master: usize) {
        let Some(process) = self.process(master) else { return };
        let commit = process.replica.journal().tip_at_or_below(process.replica.voter().commit());
        let voters = process.replica.membership().voters();
        let counts = |id: MemberId| {
            let (voter, listens_to) = (node_of(id), process.replica.voter().process_of(id));
            let found = &self.machines[voter];
            match &found.process {
                Some(other) if voter == master || listens_to == Some(found.process_number) => {
                    other.seen.counted && other.holds(commit)
                }
                _ => true,
            }
        };
        let count = voters.clone().filter(|voter| counts(voter.member.id)).count();
        assert!(
            count > voters.clone().count() / 2,
            "machine {master} commits {commit}, which counts on {count} of {} voters",
            voters.count()
        );
    }
}
