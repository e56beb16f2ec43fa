//! The worst moment. Uniformly random schedules missed two of the protocol's known traps in 50 million steps.

use std::time::Duration;

use super::machine::Life;
use super::misfortune::Relief;
use super::plan::Ambush;
use super::{Event, Simulation, Stage};

impl Simulation {
    /// Whether an ambush goes off here and now.
    pub(super) fn ambush(&mut self, kind: Ambush) -> bool {
        if self.stage != Stage::Storm || self.is_quiet() || !self.plan.ambushes.contains(&kind) {
            return false;
        }
        let rate = match kind {
            // There are some ten thousand messages.
            Ambush::LateMessage => self.plan.ambush_rate.div_ceil(5),
            // These come seldom.
            Ambush::AfterVote | Ambush::AfterJob | Ambush::AfterElection | Ambush::OldEpoch => {
                self.plan.ambush_rate * 25
            }
            _ => self.plan.ambush_rate,
        };
        let goes_off = self.chance.happens(rate) && !self.plan.is_without(format!("{kind:?}"));
        if goes_off {
            self.tell(|| format!("ambush: {kind:?}"));
        }
        goes_off
    }

    /// A mastership ends when it has hardly begun.
    pub(super) fn depose(&mut self, machine: usize) {
        if self.chance.happens(500) {
            return self.cut_off(machine);
        }
        let soon = self.chance.skewed(Duration::ZERO, Duration::from_millis(60));
        let life = self.machines[machine].life;
        self.agenda.after(soon, Event::Dies(machine, life));
    }

    /// The master is alone with its newest frame. Clients may still reach it.
    pub(super) fn cut_off(&mut self, machine: usize) {
        let others: Vec<usize> = (0..self.machines.len()).filter(|&other| other != machine).collect();
        self.network.split(&[machine], &others);
        let relief = self.chance.skewed(Duration::from_millis(20), Duration::from_secs(2));
        self.agenda.after(relief, Event::Relief(Relief::Network));
    }

    /// Somebody was elected: what was kept back arrives now, or a little later.
    pub(super) fn release_messages(&mut self) {
        for (to, packet) in std::mem::take(&mut self.kept_back) {
            let delay = self.chance.skewed(Duration::ZERO, Duration::from_millis(300));
            self.agenda.after(delay, Event::Message { to, packet });
        }
    }

    /// What a voter has just acknowledged rots on its disk.
    pub(super) fn rot_after_sync(&mut self, machine: usize, life: Life) {
        let still_there = self.machines[machine].life == life && self.machines[machine].process.is_some();
        if still_there
            && self.plan.bad_disks.contains(&machine)
            && self.is_founded()
            && self.ambush(Ambush::RotAfterSync)
        {
            self.rot_the_end(machine);
        }
    }
}
