//! What a conformance check does: commands, and how they lie in a journal.

use std::time::Duration;

use position::Index;

use super::{Nonconformity, What};
use crate::{Actor, Prevalent, Random, Role, check_command, encode};

/// Commands of one script that share a frame, at most.
const FRAME_COMMANDS_MAX: u64 = 8;
/// One in so many commands comes twice.
const REPEATED: u64 = 6;

/// Commands with everything that executing them depends on.
pub(super) struct Script {
    /// Who sends commands. The first frame registers a session for each.
    pub(super) actors: Vec<Actor>,
    /// Each command once, in the order of execution.
    pub(super) steps: Vec<Step>,
    /// All frames behind the first.
    pub(super) frames: Vec<FramePlan>,
}

/// One command.
pub(super) struct Step {
    /// Its number in the script, from 1.
    pub(super) command: usize,
    /// Its number in the journal.
    pub(super) index: Index,
    pub(super) time: Time,
    pub(super) actor: Actor,
    pub(super) payload: Vec<u8>,
}

/// A frame's times.
#[derive(Clone, Copy, Default)]
pub(crate) struct Time {
    pub(crate) cluster: Duration,
    pub(crate) wall: i64,
}

/// What one frame holds.
pub(super) struct FramePlan {
    pub(super) time: Time,
    /// Commands by their place in [`Script::steps`]. One that has been in an earlier place comes again.
    pub(super) steps: Vec<usize>,
}

impl Script {
    pub(super) fn generate<S: Prevalent>(
        random: &mut Random,
        commands: usize,
        generate: &mut dyn FnMut(&mut Random) -> S::Command,
    ) -> Result<Script, Nonconformity> {
        let actors = [("first", Role::Operator), ("second", Role::Operator), ("third", Role::Node)];
        let actors = actors.map(|(name, role)| Actor { name: name.to_owned(), role }).to_vec();
        let mut script = Script { steps: Vec::new(), frames: Vec::new(), actors };
        let mut index = Index(script.actors.len() as u64);
        let mut time = Time::default();
        while script.steps.len() < commands {
            // Cluster time never goes back. Wall time does.
            time.cluster += Duration::from_nanos(random.below(3_000_000_000));
            time.wall = i64::try_from(random.below(1 << 60)).expect("below 2^60");
            let mut frame = FramePlan { time, steps: Vec::new() };
            for _ in 0..=random.below(FRAME_COMMANDS_MAX) {
                index = index.next();
                if !script.steps.is_empty() && random.below(REPEATED) == 0 {
                    frame.steps.push(below(random, script.steps.len()));
                    continue;
                }
                let command = script.steps.len() + 1;
                let payload = payload::<S>(command, &generate(random))?;
                let actor = script.actors[below(random, script.actors.len())].clone();
                frame.steps.push(script.steps.len());
                script.steps.push(Step { command, index, time, actor, payload });
            }
            script.frames.push(frame);
        }
        Ok(script)
    }

    /// The place of a step's actor among [`Script::actors`], and the step's sequence in its session.
    pub(super) fn session_of(&self, step: usize) -> (usize, u64) {
        let own = &self.steps[step].actor;
        let actor =
            self.actors.iter().position(|actor| actor == own).expect("every step has one of the actors");
        let sequence = self.steps[..=step].iter().filter(|step| step.actor == *own).count() as u64;
        (actor, sequence)
    }
}

fn payload<S: Prevalent>(command: usize, value: &S::Command) -> Result<Vec<u8>, Nonconformity> {
    let mut payload = Vec::new();
    encode(value, &mut payload).map_err(|source| Nonconformity::NotArchived {
        command,
        what: What::Command,
        source,
    })?;
    check_command::<S>(&payload).map_err(|source| Nonconformity::Refused { command, source })?;
    Ok(payload)
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).expect("below a usize")
}
