//! A trap for whoever counts what a standby acknowledged before its restart.
//!
//! The master's disk hangs, one standby is cut off, and the other one acknowledges a frame. It loses the frame and
//! starts again, and the master meets it. Then the master's disk goes on: the frame is on that disk alone, and must
//! not be committed before the standby has it again.

use std::time::Duration;

use position::Index;
use storage::Damage;

use super::agenda::SimTime;
use super::misfortune::Relief;
use super::plan::Ambush;
use super::{Event, Simulation};

/// So long the master's disk hangs. Its standby must have acknowledged, died and come back by then.
const HANGS: Duration = Duration::from_millis(150);
/// So long the standby's disk hangs after its start.
const SLOW: Duration = Duration::from_millis(400);

/// Who is who.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldAcknowledgement {
    master: usize,
    standby: usize,
    /// What was written when it was laid.
    written: Index,
    until: SimTime,
}

impl Simulation {
    /// A voter has made a step, and leads or does not.
    pub(super) fn spring_old_acknowledgement(&mut self, machine: usize, leads: bool) {
        let Some(trap) = self.old_acknowledgement else {
            if leads {
                self.lay_old_acknowledgement(machine);
            }
            return;
        };
        if self.agenda.now() > trap.until || (machine == trap.master && !leads) {
            self.old_acknowledgement = None;
            return self.network.heal();
        }
        let Some(process) = self.process(trap.master).filter(|_| machine == trap.master) else { return };
        let id = self.machines[trap.standby].member.id;
        let acknowledged =
            process.replica.view().matched.iter().any(|(other, end)| *other == id && *end > trap.written);
        if !acknowledged {
            return;
        }
        self.old_acknowledgement = None;
        let Some((name, end)) = self.end_of_journal(trap.standby) else { return };
        if !self.may_lose(trap.standby) {
            return self.network.heal();
        }
        self.tell(|| format!("{} loses what it has acknowledged to {}", trap.standby, trap.master));
        let offset = end.saturating_sub(self.chance.place(100)) as u64;
        let xor = 1 << self.chance.below(8);
        self.strike(trap.standby, &[(name, Damage::Flipped { offset, xor })]);
        let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(20));
        self.agenda.after(soon, Event::Relief(Relief::Start(trap.standby)));
        self.machines[trap.standby].hangs_until = self.agenda.now() + SLOW;
        self.agenda.after(SLOW, Event::Relief(Relief::Network));
    }

    fn lay_old_acknowledgement(&mut self, master: usize) {
        if self.machines.len() != 3 || !self.network.is_whole() || !self.ambush(Ambush::OldAcknowledgement) {
            return;
        }
        let is_founded = self.is_founded();
        let sound = |machine: usize| self.has_everything(machine) && !self.machines[machine].doomed;
        if !is_founded || !(0..3).all(sound) {
            return;
        }
        let standby = (master + self.chance.one_of(&[1, 2])) % 3;
        let absent = 3 - master - standby;
        let written = self.process(master).map_or(Index::NONE, |process| process.replica.last().index());
        let until = self.agenda.now() + HANGS;
        self.old_acknowledgement = Some(OldAcknowledgement { master, standby, written, until });
        self.quiet_until = self.quiet_until.max(until + SLOW);
        self.machines[master].hangs_until = until;
        self.network.split(&[absent], &[master, standby]);
        self.tell(|| format!("{absent} is cut off, and the disk of {master} hangs"));
    }
}
