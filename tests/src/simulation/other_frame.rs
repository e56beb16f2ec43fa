//! A trap for whoever mends a damaged frame with another one of the same place.
//!
//! A master is cut off when it has just been elected, and writes. The next master writes other frames in the same
//! place. Then the first frame of the cut off one's own rots, and it hears a voter that has the other one.

use std::time::Duration;

use position::{Epoch, History, Index};
use storage::Damage;

use super::Simulation;
use super::agenda::SimTime;
use super::plan::Ambush;

/// It is taken away if it has not worked by then.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long it hears only one of the others.
const AFTER: Duration = Duration::from_millis(700);

/// Who is cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherFrame {
    machine: usize,
    /// Its epoch, and the first entry in it.
    epoch: Epoch,
    first: Index,
    until: SimTime,
}

impl Simulation {
    /// A voter has made a step, and leads or does not.
    pub(super) fn spring_other_frame(&mut self, machine: usize, leads: bool) {
        let Some(trap) = self.other_frame else {
            if leads && self.machines.len() == 3 {
                self.lay_other_frame(machine);
            }
            return;
        };
        if self.agenda.now() > trap.until {
            self.other_frame = None;
            return self.network.heal();
        }
        let has_another = self.process(machine).is_some_and(|process| {
            let journal = process.replica.journal();
            let other = journal.frame_containing(trap.first);
            machine != trap.machine && !leads && other.is_some_and(|frame| frame.epoch > trap.epoch)
        });
        if !has_another || !self.may_lose(trap.machine) {
            return;
        }
        self.other_frame = None;
        self.network.heal();
        let third = 3 - machine - trap.machine;
        self.network.split(&[trap.machine], &[third]);
        self.agenda.after(AFTER, super::Event::Relief(super::misfortune::Relief::Network));
        let Some((name, offset)) = self.place_of(trap.machine, trap.first) else { return };
        self.tell(|| format!("{}: its first own frame rots, and {machine} has another one", trap.machine));
        let offset = offset + 100 + self.chance.below(28);
        self.strike(trap.machine, &[(name, Damage::Flipped { offset, xor: 1 })]);
        let soon = self.chance.time(Duration::from_millis(1), Duration::from_millis(30));
        self.agenda.after(soon, super::Event::Relief(super::misfortune::Relief::Start(trap.machine)));
    }

    fn lay_other_frame(&mut self, machine: usize) {
        let Some(process) = self.process(machine) else { return };
        let (epoch, journal) = (process.replica.voter().epoch(), process.replica.journal());
        // Its epoch has begun, and nothing of it is committed.
        let is_new = journal.last().epoch() == epoch
            && journal.tip_at_or_below(process.replica.voter().commit()).epoch() < epoch;
        let first = process.replica.voter().commit().next();
        let is_apt = is_new && journal.frame_containing(first).is_some_and(|frame| frame.epoch == epoch);
        if !is_apt || !self.network.is_whole() || !self.is_founded() || !self.ambush(Ambush::OtherFrame) {
            return;
        }
        let until = self.agenda.now() + PATIENCE;
        self.other_frame = Some(OtherFrame { machine, epoch, first, until });
        self.quiet_until = self.quiet_until.max(until);
        let others: Vec<usize> = (0..3).filter(|&other| other != machine).collect();
        self.network.split(&[machine], &others);
        self.tell(|| format!("{machine} is alone with {first} of its epoch {epoch}"));
    }

    /// Where a frame lies: its file and its first byte.
    fn place_of(&self, machine: usize, index: Index) -> Option<(String, u64)> {
        let journal = self.process(machine)?.replica.journal();
        let own = journal.frame_containing(index)?;
        let frame = journal.read_frame(index).ok().filter(|_| own.last < journal.last().index())?;
        let head = frame.bytes().get(..64)?;
        self.segments(machine).into_iter().rev().find_map(|name| {
            let bytes = self.machines[machine].disk.bytes_of(&name)?;
            let at = bytes.windows(head.len()).position(|window| window == head)?;
            Some((name, at as u64))
        })
    }
}
