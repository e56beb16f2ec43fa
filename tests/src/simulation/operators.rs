//! What operators do while everything else goes wrong: members are taken in, taken out, replaced and readmitted.
//!
//! Responsible for: asking whoever leads for changes, sensible or not, and never for one that leaves more disks that may
//! lose what they held than the protocol promises to survive. Where members change, all disks keep what they hold; where
//! disks lose it, operators only readmit.
//! Not responsible for: what a change means (`quorum`).

use prevalent::Fatal;
use quorum::{Change, ChangeRefused, Word};

use super::conversations::Reader;
use super::coverage::Branch;
use super::{Simulation, Stage};

/// What operators do in a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operators {
    /// Nothing.
    Sleep,
    /// They readmit whoever has lost what it promised.
    Readmit,
    /// They change the members; so many PCs wait to be taken in.
    Change { newcomers: usize },
}

impl Operators {
    /// PCs beyond the founders.
    pub(super) fn newcomers(self) -> usize {
        match self {
            Operators::Change { newcomers } => newcomers,
            Operators::Sleep | Operators::Readmit => 0,
        }
    }
}

fn name(machine: usize) -> String {
    format!("pc{}", machine + 1)
}

impl Simulation {
    /// An operator asks for something.
    pub(super) fn operate(&mut self) {
        let Some(master) = self.leading() else { return };
        let machines = self.machines.len();
        let (one, other) = (name(self.chance.place(machines)), name(self.chance.place(machines)));
        let change = match self.plan.operators {
            Operators::Sleep => return,
            Operators::Readmit => match self.lost(master) {
                Some(name) if self.chance.happens(800) => Change::Readmit { name },
                _ => Change::Readmit { name: one },
            },
            Operators::Change { .. } => match self.chance.below(12) {
                0..=2 => Change::Add { name: one, spare: self.chance.happens(500) },
                3..=4 => Change::Remove { name: one },
                5..=8 => Change::Replace { old: one, with: other },
                9 => Change::Readmit { name: one },
                10 => Change::ReplaceAfter { seconds: u32::try_from(self.chance.below(3)).expect("small") },
                _ => Change::Rank { name: one, rank: u32::try_from(self.chance.below(9)).expect("small") },
            },
        };
        self.order_change(master, &change);
    }

    /// After the storm an operator readmits whoever is still lost.
    pub(super) fn tidy(&mut self) {
        if self.plan.operators != Operators::Sleep
            && let Some(master) = self.leading()
            && let Some(name) = self.lost(master)
        {
            self.order_change(master, &Change::Readmit { name });
        }
    }

    /// Whether everybody who is listed counts again, as far as operators are to see to that.
    pub(super) fn is_tidy(&self) -> bool {
        self.plan.operators == Operators::Sleep
            || self.leading().is_some_and(|master| {
                let process = self.process(master).expect("it leads");
                process.replica.members().iter().all(|view| view.word == Word::Counts)
            })
    }

    fn order_change(&mut self, master: usize, change: &Change) {
        self.tell(|| format!("an operator asks {master}: {change:?}"));
        self.ask(master, |node, now| node.change(now, Reader::Operator, change, None, false));
    }

    fn leading(&self) -> Option<usize> {
        let leads = |machine: &usize| {
            let awake = !self.machines[*machine].is_paused(self.agenda.now());
            awake && self.process(*machine).is_some_and(|process| process.replica.voter().leads())
        };
        let epoch = |machine: &usize| self.process(*machine).map(|process| process.replica.voter().epoch());
        (0..self.machines.len()).filter(leads).max_by_key(epoch)
    }

    /// A member that its master takes for lost.
    fn lost(&self, master: usize) -> Option<String> {
        let members = self.process(master)?.replica.members();
        members.into_iter().find(|view| view.word == Word::Lost).map(|view| view.info.name)
    }

    /// Whether all founders vote, by every list that may count. A list of fewer has less to lose.
    pub(super) fn all_vote(&self) -> bool {
        let is_whole = |machine: &super::Machine| {
            machine.process.as_ref().is_none_or(|process| {
                let list = process.replica.membership();
                list.is_unknown() || list.voter_count() == self.plan.voters
            })
        };
        match self.plan.operators {
            Operators::Sleep => true,
            Operators::Readmit => self.machines.iter().all(is_whole),
            Operators::Change { .. } => false,
        }
    }

    /// What became of a change.
    pub(super) fn is_changed(&mut self, machine: usize, result: &Result<u64, ChangeRefused>) {
        self.tell(|| format!("{machine} answers the operator: {result:?}"));
        self.coverage.count(if result.is_ok() { Branch::ChangeMade } else { Branch::ChangeRefused });
    }

    /// A process speaks as another member than before: what its former self had promised binds it no more.
    pub(super) fn look_at_identity(&mut self, machine: usize) {
        let Some(process) = &mut self.machines[machine].process else { return };
        let me = process.replica.me();
        if std::mem::replace(&mut process.me, me) == me {
            return;
        }
        self.tell(|| format!("{machine} is {me} now"));
        self.coverage.count(Branch::IncarnationTaken);
        self.machines[machine].is_readmitted(me);
    }

    /// `true`: this is how a member ends that was taken out, and it stays so.
    pub(super) fn is_removal(&mut self, machine: usize, error: &Fatal) -> bool {
        let removed = matches!(error, Fatal::Removed { .. });
        if removed {
            self.is_removed(machine);
        }
        removed
    }

    pub(super) fn is_removed(&mut self, machine: usize) {
        let may = matches!(self.plan.operators, Operators::Change { .. });
        assert!(may, "machine {machine} was removed, and nobody asked for that");
        self.coverage.count(Branch::MemberRemoved);
        self.machines[machine].removed = true;
    }

    /// Whether this machine belongs to the cluster, as its master sees it.
    pub(super) fn belongs(&self, machine: usize) -> bool {
        if self.plan.operators == Operators::Sleep || self.stage == Stage::Storm {
            return true;
        }
        let Some(master) = self.leading() else { return false };
        let list = self.process(master).expect("it leads").replica.membership();
        list.members().iter().any(|info| super::driver::node_of(info.member.id) == machine)
    }
}
