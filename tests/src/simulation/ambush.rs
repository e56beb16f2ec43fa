//! The worst moment. Uniformly random schedules missed two of the protocol's known traps in 50 million steps.

use std::time::Duration;

use bytes::Bytes;
use quorum::{Envelope, Message};

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
            // It takes others to get there.
            Ambush::AfterCut => 500,
            // Asked after each step of a master.
            Ambush::LastWitness | Ambush::Strangers | Ambush::OldAcknowledgement => {
                self.plan.ambush_rate.div_ceil(5)
            }
            // Asked after each frame of a master, and it ends by itself.
            Ambush::LongAlone | Ambush::OtherFrame => self.plan.ambush_rate * 2,
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
        self.die_soon(machine);
    }

    pub(super) fn die_soon(&mut self, machine: usize) {
        let soon = self.chance.skewed(Duration::ZERO, Duration::from_millis(60));
        let life = self.machines[machine].life;
        self.agenda.after(soon, Event::Dies(machine, life));
    }

    /// The master is alone with its newest frame. Clients may still reach it.
    pub(super) fn cut_off(&mut self, machine: usize) {
        let others: Vec<usize> = (0..self.machines.len()).filter(|&other| other != machine).collect();
        self.network.split(&[machine], &others);
        let relief = self.chance.skewed(Duration::from_millis(20), Duration::from_secs(2));
        if self.plan.ambushes.contains(&Ambush::CutDuringSync) && self.chance.happens(500) {
            let longer = self.chance.time(Duration::from_millis(50), Duration::from_millis(500));
            self.machines[machine].hangs_until = self.agenda.now() + relief + longer;
        }
        self.agenda.after(relief, Event::Relief(Relief::Network));
    }

    /// Somebody was elected: what was kept back arrives now, or a little later.
    pub(super) fn release_messages(&mut self) {
        for (to, packet) in std::mem::take(&mut self.kept_back) {
            let delay = self.chance.skewed(Duration::ZERO, Duration::from_millis(300));
            self.agenda.after(delay, Event::Message { to, packet });
        }
    }

    /// The power goes before anybody hears of a sync, and before the mark. On a bad disk what was synced rots, too.
    pub(super) fn power_cut_after_sync(&mut self, machine: usize) {
        if self.may_lose(machine) && self.chance.happens(300) {
            return self.rot_the_end(machine);
        }
        self.power_cut(machine);
    }

    /// What was to be synced was cut, and something else stands in its place. The sync comes back, then the power goes.
    pub(super) fn power_cut_after_the_sync_under_way(&mut self, machine: usize) {
        let life = self.machines[machine].life;
        let hangs = self.machines[machine].hangs_until.since(self.agenda.now());
        let soon = hangs + self.chance.time(Duration::from_millis(1), Duration::from_millis(120));
        self.agenda.after(soon, Event::LosesPower(machine, life));
    }

    /// Notes a heartbeat that is sent, for later.
    pub(super) fn note_heartbeat(&mut self, to: usize, envelope: &Envelope, packet: &Bytes) {
        if matches!(envelope.message, Message::Heartbeat { .. })
            && [Ambush::LateHeartbeat, Ambush::LastWitness]
                .iter()
                .any(|kind| self.plan.ambushes.contains(kind))
        {
            self.machines[to].heartbeats.push_back(packet.clone());
            if self.machines[to].heartbeats.len() > 3 {
                self.machines[to].heartbeats.pop_front();
            }
        }
    }

    /// What a voter has just acknowledged rots on its disk.
    pub(super) fn rot_after_sync(&mut self, machine: usize, life: Life) {
        let still_there = self.machines[machine].life == life && self.machines[machine].process.is_some();
        if still_there && self.ambush(Ambush::RotAfterSync) && self.may_lose(machine) {
            self.rot_the_end(machine);
            if self.chance.happens(250) {
                // Perhaps nobody else has it, and nobody leads: then absence settles the doubt.
                (0..self.machines.len())
                    .filter(|&other| other != machine)
                    .for_each(|other| self.power_cut(other));
            }
            if self.ambush(Ambush::LateHeartbeat) {
                self.repeat_old_heartbeat(machine);
            }
        }
    }

    /// An old word of the master comes late: it was said before the frame that is now in doubt.
    pub(super) fn repeat_old_heartbeat(&mut self, machine: usize) {
        let Some(packet) = self.machines[machine].heartbeats.pop_front() else { return };
        for delay in [100, 400, 1500, 4000] {
            let packet = packet.clone();
            self.agenda.after(Duration::from_millis(delay), Event::Message { to: machine, packet });
        }
    }
}
