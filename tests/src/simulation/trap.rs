//! A trap that takes three masterships to lay, so chance alone never lays it: figure 8 of "In Search of an
//! Understandable Consensus Algorithm" (Ongaro and Ousterhout 2014).
//!
//! A first master writes for itself alone; a second one, which did not see that, does the same; the first
//! leads again, and gets what it wrote the first time onto a majority, but nothing of its new epoch; then the
//! second leads and replaces it. Whoever takes the majority for a commitment has now lost it.

use std::time::Duration;

use journal::UnverifiedFrames;
use position::{Epoch, Index};
use quorum::{Envelope, Message};

use super::agenda::SimTime;
use super::misfortune::Relief;
use super::plan::Ambush;
use super::{Event, Simulation};

/// It is taken away if it has not worked by then.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long the first master tells others what it takes for committed.
const HEARTBEATS: Duration = Duration::from_millis(80);

/// How far the trap is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trap {
    stage: Stage,
    first: usize,
    until: SimTime,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The first master is cut off, and nobody else gets a frame of anybody.
    FirstAlone { written: Index },
    /// The second has written and is cut off; the first sends only what is of earlier epochs.
    SecondAlone { second: usize },
    /// What the first wrote is on a majority. Everyone hears of it until then.
    OnMajority { until: SimTime },
}

impl Simulation {
    /// A voter has made a step.
    pub(super) fn spring_trap(&mut self, machine: usize, begins_to_lead: bool) {
        let Some(trap) = self.trap else {
            let whole = self.machines.len() == 3 && self.network.is_whole();
            if begins_to_lead && whole && self.is_founded() && self.ambush(Ambush::OldEpoch) {
                let until = self.agenda.now() + PATIENCE;
                let written = self.last_of(machine).unwrap_or_default();
                self.trap = Some(Trap { stage: Stage::FirstAlone { written }, first: machine, until });
                // Nothing else goes wrong meanwhile.
                self.quiet_until = self.quiet_until.max(until + PATIENCE);
                self.isolate(machine);
            }
            return;
        };
        if self.agenda.now() > trap.until {
            return self.take_trap_away();
        }
        match trap.stage {
            Stage::FirstAlone { written } if begins_to_lead && machine != trap.first => {
                if self.last_of(trap.first).is_none_or(|last| last <= written) {
                    return self.take_trap_away();
                }
                self.trap = Some(Trap { stage: Stage::SecondAlone { second: machine }, ..trap });
                self.isolate(machine);
            }
            Stage::SecondAlone { second } if begins_to_lead && machine != trap.first => {
                self.tell(|| {
                    format!("the trap of {} fails: {machine} leads, not it or {second}", trap.first)
                });
                self.take_trap_away();
            }
            Stage::SecondAlone { second } if machine == 3 - trap.first - second => {
                let has_it = self.process(machine).is_some_and(|third| {
                    let durable = third.replica.journal().durable();
                    third.replica.voter().epoch() > durable.epoch() && durable == third.replica.last()
                });
                if has_it && self.leads(trap.first) && self.old_end_of(trap.first) == self.last_of(machine) {
                    let until = self.agenda.now() + HEARTBEATS;
                    self.trap = Some(Trap { stage: Stage::OnMajority { until }, ..trap });
                }
            }
            Stage::OnMajority { until } if self.agenda.now() >= until => {
                self.tell(|| format!("the trap of {} is sprung", trap.first));
                self.trap = None;
                self.isolate(trap.first);
                self.agenda.after(PATIENCE, Event::Relief(Relief::Network));
            }
            _ => {}
        }
    }

    /// What the trap leaves of frames on their way, and whether the message arrives at all.
    pub(super) fn passes_trap(&self, from: usize, envelope: &Envelope, frames: &mut Vec<u8>) -> bool {
        let Some(trap) = self.trap.filter(|_| matches!(envelope.message, Message::Append(_))) else {
            return true;
        };
        match trap.stage {
            Stage::FirstAlone { .. } => false,
            Stage::SecondAlone { .. } | Stage::OnMajority { .. } => {
                if from == trap.first {
                    frames.truncate(bytes_before(frames, envelope.epoch));
                }
                from != trap.first || !frames.is_empty()
            }
        }
    }

    fn isolate(&mut self, machine: usize) {
        let others: Vec<usize> = (0..self.machines.len()).filter(|&other| other != machine).collect();
        self.network.heal();
        self.network.split(&[machine], &others);
        self.tell(|| format!("the trap: {machine} is alone"));
    }

    fn take_trap_away(&mut self) {
        self.trap = None;
        self.network.heal();
    }

    fn leads(&self, machine: usize) -> bool {
        self.process(machine).is_some_and(|process| process.replica.voter().leads())
    }

    fn last_of(&self, machine: usize) -> Option<Index> {
        self.process(machine).map(|process| process.replica.last().index())
    }

    /// The end of what a master had before it was elected.
    fn old_end_of(&self, machine: usize) -> Option<Index> {
        let replica = &self.process(machine)?.replica;
        let frames = replica.journal().frames_after(replica.voter().commit(), usize::MAX);
        let mut all = frames.iter().flat_map(|slice| UnverifiedFrames::new(slice).flatten());
        let first_new = all.find(|frame| frame.header().epoch == replica.voter().epoch())?;
        Some(first_new.header().first_index.previous())
    }
}

/// How many bytes of a row of frames lie before the first of this epoch.
fn bytes_before(frames: &[u8], epoch: Epoch) -> usize {
    let whole = UnverifiedFrames::new(frames).map_while(Result::ok);
    whole.take_while(|frame| frame.header().epoch < epoch).map(|frame| frame.bytes().len()).sum()
}
