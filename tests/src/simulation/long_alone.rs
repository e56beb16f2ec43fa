//! A master that was cut off has a long end that nobody else has, and the others have gone further: what they have in
//! its place is in a snapshot only. It must take the snapshot for something else than its own end.

use std::time::Duration;

use position::Index;

use super::Simulation;
use super::agenda::SimTime;
use super::plan::Ambush;

/// The others have a snapshot by then, or it has not worked.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongAlone {
    machine: usize,
    /// The end of what it shares with the others.
    shared: Index,
    until: SimTime,
}

impl Simulation {
    /// A voter has made a step; it leads and has written, or not.
    pub(super) fn spring_long_alone(&mut self, machine: usize, writes: bool) {
        let Some(alone) = self.long_alone else {
            if writes && self.machines.len() > 2 && self.network.is_whole() && self.ambush(Ambush::LongAlone)
            {
                let shared =
                    self.process(machine).map_or(Index::NONE, |process| process.replica.voter().commit());
                let until = self.agenda.now() + PATIENCE;
                self.long_alone = Some(LongAlone { machine, shared, until });
                self.quiet_until = self.quiet_until.max(until);
                let others: Vec<usize> = (0..self.machines.len()).filter(|&other| other != machine).collect();
                self.network.split(&[machine], &others);
                self.tell(|| format!("{machine} is alone from {shared} on"));
            }
            return;
        };
        let base =
            self.process(machine).map_or(Index::NONE, |process| process.replica.journal().base().index());
        let overtaken = machine != alone.machine && base > alone.shared;
        if overtaken || self.agenda.now() > alone.until {
            self.tell(|| format!("{} is alone no more: the others begin behind {base}", alone.machine));
            self.long_alone = None;
            self.network.heal();
        }
    }
}
