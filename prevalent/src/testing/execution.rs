//! Executes a script on two states side by side, without a journal.

use super::script::{Script, Step};
use super::{Coverage, Difference, Nonconformity, What};
use crate::answer::Tag;
use crate::execution::{Failure, execute};
use crate::{Moment, Prevalent, decode_state, encode};

/// A state is read back from its archive after every so many commands.
const READ_BACK_EVERY: usize = 16;

/// What executing a script gave.
pub(super) struct Execution {
    /// The answer to each command.
    pub(super) answers: Vec<Vec<u8>>,
    /// The state's archive after each command.
    pub(super) states: Vec<Vec<u8>>,
}

impl Execution {
    pub(super) fn coverage(&self) -> Coverage {
        let rejections = self.answers.iter().filter(|answer| is_rejection(answer)).count();
        Coverage { outcomes: self.answers.len() - rejections, rejections }
    }
}

fn is_rejection(answer: &[u8]) -> bool {
    answer[0] == Tag::Rejection.byte()
}

/// Two states that live at once in one process: hash maps of both have different orders, as have the ones
/// of two machines.
pub(super) fn execute_twice<S: Prevalent>(script: &Script) -> Result<Execution, Nonconformity> {
    let (mut one, mut other) = (S::default(), S::default());
    let mut before = archive(0, &one)?;
    same(0, What::State, &before, &archive(0, &other)?)?;
    let mut execution = Execution { answers: Vec::new(), states: Vec::new() };
    for step in &script.steps {
        let answer = answer(&mut one, step)?;
        same(step.command, What::Answer, &answer, &self::answer(&mut other, step)?)?;
        let after = archive(step.command, &one)?;
        same(step.command, What::State, &after, &archive(step.command, &other)?)?;
        if is_rejection(&answer)
            && let Some(difference) = Difference::between(&before, &after)
        {
            return Err(Nonconformity::RejectionChangedState { command: step.command, difference });
        }
        if step.command % READ_BACK_EVERY == 0 || step.command == script.steps.len() {
            read_back::<S>(step.command, &after)?;
        }
        before.clone_from(&after);
        execution.answers.push(answer);
        execution.states.push(after);
    }
    Ok(execution)
}

fn answer<S: Prevalent>(state: &mut S, step: &Step) -> Result<Vec<u8>, Nonconformity> {
    let moment = Moment {
        index: step.index,
        cluster_time: step.time.cluster,
        wall_time: step.time.wall,
        actor: &step.actor,
    };
    let mut answer = Vec::new();
    execute(state, &step.payload, &moment, &mut answer).map_err(|failure| match failure {
        Failure::Panicked { message } => Nonconformity::Panicked { command: step.command, message },
        Failure::Unreadable(source) => {
            Nonconformity::Refused { command: step.command, source: source.into() }
        }
    })?;
    Ok(answer)
}

fn same(command: usize, what: What, one: &[u8], other: &[u8]) -> Result<(), Nonconformity> {
    match Difference::between(one, other) {
        None => Ok(()),
        Some(difference) => Err(Nonconformity::NotDeterministic { command, what, difference }),
    }
}

fn read_back<S: Prevalent>(command: usize, archived: &[u8]) -> Result<(), Nonconformity> {
    let state: S = decode_state(archived).map_err(|source| Nonconformity::NotReadBack { command, source })?;
    match Difference::between(archived, &archive(command, &state)?) {
        None => Ok(()),
        Some(difference) => Err(Nonconformity::RoundTrip { command, difference }),
    }
}

pub(super) fn archive<S: Prevalent>(command: usize, state: &S) -> Result<Vec<u8>, Nonconformity> {
    let mut bytes = Vec::new();
    encode(state, &mut bytes).map_err(|source| Nonconformity::NotArchived {
        command,
        what: What::State,
        source,
    })?;
    Ok(bytes)
}
