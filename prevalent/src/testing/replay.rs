//! Replays a script through real frames, from the beginning and from a snapshot in the middle.

use journal::Frame;

use super::execution::{Execution, archive};
use super::script::{FramePlan, Script};
use super::{Difference, Nonconformity, What, sealing};
use crate::{Answers, Engine, Prevalent, Random};

/// Compares replays with what executing the script gave.
pub(super) fn compare<S: Prevalent>(
    script: &Script,
    live: &Execution,
    random: &mut Random,
) -> Result<(), Nonconformity> {
    let frames = sealing::write(script);
    let middle = usize::try_from(random.below(frames.len() as u64)).expect("below a usize");
    let mut engine = Engine::<S>::new();
    let mut command = 0;
    let mut snapshot = (0, Vec::new());
    for (number, frame) in frames.iter().enumerate() {
        let answers = apply(&mut engine, frame)?;
        if let Some(number) = number.checked_sub(1) {
            command = compare_answers(script, live, &script.frames[number], &answers, command)?;
            let state = archive(command, engine.state())?;
            if let Some(difference) = Difference::between(&live.states[command - 1], &state) {
                return Err(Nonconformity::ReplayDiffers { command, what: What::State, difference });
            }
        }
        if number == middle {
            snapshot = (command, image(command, &engine)?);
        }
    }
    let (command, snapshot) = snapshot;
    let mut resumed =
        Engine::<S>::read_image(&snapshot).map_err(|source| Nonconformity::NoSnapshot { command, source })?;
    for frame in &frames[middle + 1..] {
        apply(&mut resumed, frame)?;
    }
    match Difference::between(&image(command, &engine)?, &image(command, &resumed)?) {
        None => Ok(()),
        Some(difference) => Err(Nonconformity::SnapshotDiffers { command, difference }),
    }
}

fn apply<S: Prevalent>(engine: &mut Engine<S>, frame: &[u8]) -> Result<Answers, Nonconformity> {
    let frame = Frame::verify(frame).expect("a frame that was just built is whole");
    let mut answers = Answers::default();
    engine.apply(&frame, &mut answers).map_err(|source| Nonconformity::NotReplayed { source })?;
    Ok(answers)
}

/// `command` is the newest one of the frames before; returns the newest one of this frame.
fn compare_answers(
    script: &Script,
    live: &Execution,
    plan: &FramePlan,
    answers: &Answers,
    command: usize,
) -> Result<usize, Nonconformity> {
    assert_eq!(answers.list.len(), plan.steps.len(), "every command is answered");
    let mut newest = command;
    for (&step, answer) in plan.steps.iter().zip(&answers.list) {
        let difference = Difference::between(&live.answers[step], answers.bytes_of(answer));
        let command = script.steps[step].command;
        match difference {
            Some(difference) if command > newest => {
                return Err(Nonconformity::ReplayDiffers { command, what: What::Answer, difference });
            }
            Some(difference) => return Err(Nonconformity::AnsweredDifferently { command, difference }),
            None => newest = newest.max(command),
        }
    }
    Ok(newest)
}

fn image<S: Prevalent>(command: usize, engine: &Engine<S>) -> Result<Vec<u8>, Nonconformity> {
    let mut image = Vec::new();
    engine.write_image(&mut image).map_err(|source| Nonconformity::NoSnapshot { command, source })?;
    Ok(image)
}
