//! A trap for whoever settles a doubt too early: the newest committed frame is on two of three machines; one of them
//! loses it, and the other is out of reach.
//!
//! A standby is cut off. The master commits a frame with the other standby alone, whose disk is a bad one. That disk
//! loses the frame and the power goes, while the master is cut off and the first standby comes back. So the two that
//! hear each other are a majority without the frame: they must wait for the master.

use std::time::Duration;

use position::Index;

use super::agenda::SimTime;
use super::misfortune::Relief;
use super::plan::Ambush;
use super::{Event, Simulation};

/// The trap is taken away if nothing was committed by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long the only one with the frame is out of reach.
const AWAY: Duration = Duration::from_secs(3);

/// Who is who.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWitness {
    master: usize,
    forgetful: usize,
    absent: usize,
    /// What was committed before.
    committed: Index,
    until: SimTime,
}

impl Simulation {
    /// A voter has made a step, and leads or does not.
    pub(super) fn spring_last_witness(&mut self, machine: usize, leads: bool) {
        let Some(trap) = self.last_witness else {
            if leads {
                self.lay_last_witness(machine);
            }
            return;
        };
        if self.agenda.now() > trap.until || (machine == trap.master && !leads) {
            self.last_witness = None;
            return self.network.heal();
        }
        let commit = self.process(machine).map_or(Index::NONE, |process| process.replica.voter().commit());
        if machine != trap.master || commit <= trap.committed {
            return;
        }
        self.last_witness = None;
        self.tell(|| format!("only {machine} and {} hold {commit}", trap.forgetful));
        self.network.heal();
        self.network.split(&[machine], &[trap.forgetful, trap.absent]);
        self.rot_the_end(trap.forgetful);
        let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(100));
        self.agenda.after(soon, Event::Relief(Relief::Start(trap.forgetful)));
        self.repeat_old_heartbeat(trap.forgetful);
        self.quiet_until = self.agenda.now() + AWAY;
        self.agenda.after(AWAY, Event::Relief(Relief::Network));
    }

    fn lay_last_witness(&mut self, master: usize) {
        let forgetful = self.plan.bad_disks.first().copied();
        let (3, Some(forgetful)) = (self.machines.len(), forgetful) else { return };
        let sound = |machine: usize| !self.machines[machine].is_ailing() && !self.machines[machine].doomed;
        let apt = forgetful != master && self.network.is_whole() && (0..3).all(sound);
        if !apt || !self.is_founded() || !self.ambush(Ambush::LastWitness) {
            return;
        }
        let absent = 3 - master - forgetful;
        let committed = self.process(master).map_or(Index::NONE, |process| process.replica.voter().commit());
        let until = self.agenda.now() + PATIENCE;
        self.last_witness = Some(LastWitness { master, forgetful, absent, committed, until });
        self.quiet_until = self.quiet_until.max(until);
        self.network.split(&[absent], &[master, forgetful]);
        self.tell(|| format!("{absent} is cut off, {master} and {forgetful} go on"));
    }
}
