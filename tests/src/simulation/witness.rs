//! A trap for whoever settles a doubt too early: the newest committed frame is on two of three machines; one of them
//! loses it, and the other is out of reach.
//!
//! A standby is cut off. The master commits a frame with the other standby alone. That one's disk loses the frame, in
//! one of several ways, while the master is cut off and the first standby comes back. So the two that hear each other
//! are a majority without the frame: they must wait for the master.

use std::time::Duration;

use position::Index;
use storage::Damage;

use super::agenda::SimTime;
use super::damage::SECTOR;
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
        self.forget(trap.forgetful);
        let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(100));
        self.agenda.after(soon, Event::Relief(Relief::Start(trap.forgetful)));
        self.repeat_old_heartbeat(trap.forgetful);
        self.quiet_until = self.agenda.now() + AWAY;
        self.agenda.after(AWAY, Event::Relief(Relief::Network));
    }

    fn lay_last_witness(&mut self, master: usize) {
        if self.machines.len() != 3 || !self.network.is_whole() || !self.is_last_witness_due() {
            return;
        }
        let mut forgetful = (master + self.chance.one_of(&[1, 2])) % 3;
        if let Some((one, other)) = self.network.strangers.filter(|pair| ![pair.0, pair.1].contains(&master))
        {
            forgetful = if self.plan.bad_disks.contains(&one) { one } else { other };
        }
        let is_founded = self.is_founded();
        let sound = |machine: usize| self.has_everything(machine) && !self.machines[machine].doomed;
        if !is_founded || !(0..3).all(sound) {
            return;
        }
        if self.machines[forgetful].image.is_none() {
            // For the next time: this one is too young.
            self.take_an_image(forgetful);
        }
        let absent = 3 - master - forgetful;
        let committed = self.process(master).map_or(Index::NONE, |process| process.replica.voter().commit());
        let until = self.agenda.now() + PATIENCE;
        self.last_witness = Some(LastWitness { master, forgetful, absent, committed, until });
        self.quiet_until = self.quiet_until.max(until);
        self.network.split(&[absent], &[master, forgetful]);
        self.tell(|| format!("{absent} is cut off, {master} and {forgetful} go on"));
    }

    fn is_last_witness_due(&mut self) -> bool {
        match self.network.strangers {
            Some(_) => self.ambush(Ambush::Strangers),
            None => self.ambush(Ambush::LastWitness),
        }
    }

    /// A voter loses what it has acknowledged last.
    fn forget(&mut self, machine: usize) {
        if !self.may_lose(machine) {
            return;
        }
        if self.network.strangers.take().is_some_and(|pair| [pair.0, pair.1].contains(&machine)) {
            return self.replace_folder(machine);
        }
        let has_image = self.plan.bad_disks.contains(&machine) && self.told_by_all(machine);
        match self.chance.below(4) {
            _ if has_image && self.chance.happens(700) => self.go_back(machine),
            0 => self.rot_the_end(machine),
            1 => self.rot_the_last_frames(machine),
            _ => self.lose_the_end(machine),
        }
    }

    /// In clusters of three, one voter never hears the one with the bad disk.
    pub(super) fn estrange(&mut self) {
        let bad = self.plan.bad_disks.first().copied();
        let (3, Some(bad), true) =
            (self.machines.len(), bad, self.plan.ambushes.contains(&Ambush::Strangers))
        else {
            return;
        };
        if !self.plan.is_without("Strangers") {
            let other = (bad + self.chance.one_of(&[1, 2])) % 3;
            self.network.strangers = Some((bad.min(other), bad.max(other)));
        }
    }

    /// Bits flip in the last frames.
    fn rot_the_last_frames(&mut self, machine: usize) {
        let Some((name, written)) = self.end_of_journal(machine) else { return };
        let blows = (0..3_u64).filter_map(|piece| {
            let back = usize::try_from(piece * 160 + self.chance.below(160)).expect("a few hundred");
            let offset = written.checked_sub(back)? as u64;
            Some((name.clone(), Damage::Flipped { offset, xor: 1 << self.chance.below(8) }))
        });
        let blows: Vec<(String, Damage)> = blows.collect();
        self.strike(machine, &blows);
    }

    /// The last sectors are as they were before they were written, and the mark tells.
    fn lose_the_end(&mut self, machine: usize) {
        let Some((name, written)) = self.end_of_journal(machine) else { return };
        if !self.may_look_unwritten(machine) {
            return;
        }
        let last = (written / SECTOR) as u64;
        let from = last.saturating_sub(self.chance.below(2));
        let blows: Vec<(String, Damage)> =
            (from..=last).map(|sector| (name.clone(), Damage::Zeroed { sector })).collect();
        self.strike(machine, &blows);
    }

    /// The segment that is written, and its last byte that is not zero.
    pub(super) fn end_of_journal(&self, machine: usize) -> Option<(String, usize)> {
        let name = self.segments(machine).pop()?;
        let bytes = self.machines[machine].disk.bytes_of(&name)?;
        let written = bytes.iter().rposition(|&byte| byte != 0)?;
        Some((name, written))
    }
}
