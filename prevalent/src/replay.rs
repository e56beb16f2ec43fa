//! Brings an engine forward by frames of the journal: at a start, for a snapshot, after a panic.

use journal::{FrameError, UnverifiedFrames};
use position::{Index, Tip};
use storage::Slice;

use crate::{Answers, ApplyError, Engine, ImageError, Prevalent};

/// After so many panics that were not known before, a replay keeps the state from before the next one. Until then
/// it begins again instead: a second state in memory is a high price for one command that panics.
const BEGINNINGS_MAX: usize = 4;

/// How many bytes of frames are passed over before their pages are given back.
const GIVE_BACK_BYTES: usize = 1024 * 1024;

/// Frames could not be replayed. The engine is as of the last good one, unless it broke; the frames were
/// left alone.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A frame is damaged.
    #[error("the journal is damaged: {0}")]
    Frame(#[from] FrameError),
    /// A frame cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The state from before a panic cannot be kept or read back.
    #[error("the state from before a command that panics cannot be kept: {0}")]
    Image(#[from] ImageError),
}

impl ReplayError {
    /// The command that panicked, if that is what happened: the engine must be rebuilt without it.
    #[must_use]
    pub fn panicked(&self) -> Option<Index> {
        match self {
            ReplayError::Apply(ApplyError::Panicked { index, .. }) => Some(*index),
            _ => None,
        }
    }
}

/// What a replay has led to.
#[derive(Debug)]
pub(crate) struct Replayed<S> {
    pub(crate) engine: Engine<S>,
    /// The last position on the way at which a snapshot was due.
    pub(crate) due: Option<Tip>,
}

/// Applies those of the frames that lie after what was applied, up to `through`. Stops early at a gap: the caller
/// compares what was applied.
fn replay<S: Prevalent>(
    Replayed { engine, due }: &mut Replayed<S>,
    frames: &[Slice],
    through: Index,
) -> Result<(), ReplayError> {
    let mut answers = Answers::default();
    for slice in frames {
        let (mut passed, mut given_back) = (0, 0);
        for frame in UnverifiedFrames::new(slice) {
            let frame = frame?;
            // A replay passes over all of a long journal; hardly any of it is needed again soon.
            if passed - given_back >= GIVE_BACK_BYTES {
                slice.subslice(given_back..passed).give_back();
                given_back = passed;
            }
            passed += frame.bytes().len();
            if frame.tip().index() <= engine.applied().index() {
                continue;
            }
            if !frame.follows(&engine.applied()) || frame.tip().index() > through {
                return Ok(());
            }
            answers.clear();
            engine.apply(&frame, &mut answers)?;
            *due = answers.snapshot_due.or(*due);
        }
        slice.give_back();
    }
    Ok(())
}

/// The same, and passes over commands that turn out to panic. `begin` gives an engine as `engine` was at first: one
/// after a panic is of no use.
///
/// With each new panic as much is replayed again as lies between it and the one before, not everything: a
/// journal full of such commands would else keep a voter from ever starting.
pub(crate) fn replay_past_panics<S: Prevalent, E: From<ReplayError>>(
    engine: Engine<S>,
    begin: impl Fn() -> Result<Engine<S>, E>,
    frames: &[Slice],
    through: Index,
) -> Result<Replayed<S>, E> {
    let (mut panics, rule) = (engine.panics().clone(), engine.snapshot_rule());
    let mut replayed = Replayed { engine, due: None };
    let mut beginnings = 0;
    let mut kept: Option<Vec<u8>> = None;
    loop {
        let Err(error) = replay(&mut replayed, frames, through) else { return Ok(replayed) };
        let new = error.panicked().filter(|index| panics.insert(*index));
        if new.is_none() {
            return Err(error.into());
        }
        let Replayed { engine: broken, due } = replayed;
        let end = broken.applied();
        drop(broken);
        let engine = match &kept {
            Some(image) => Engine::read_image(image).map_err(ReplayError::Image)?,
            None => begin()?,
        };
        replayed = Replayed { engine: engine.with_panics(&panics).with_snapshot_rule(rule), due };
        beginnings += 1;
        if beginnings > BEGINNINGS_MAX && replayed.engine.applied() != end {
            drop(kept.take());
            replay(&mut replayed, frames, end.index())?;
            // As long as it will be: one that grows is in memory twice while it does.
            let mut image = Vec::with_capacity(replayed.engine.image_bytes().map_err(ReplayError::Image)?);
            replayed.engine.write_image(&mut image).map_err(ReplayError::Image)?;
            kept = Some(image);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use storage::{Disk, SimDisk};

    use super::*;
    use crate::testing::script::Time;
    use crate::testing::sealing::{JournalWriter, entry};
    use crate::testing::tally::{Order, Tally, payload};
    use crate::{Actor, registration};
    use journal::EntryKind;

    /// Replays frames of so many commands, of which all with these numbers panic, and says how often the replay
    /// began again.
    #[track_caller]
    fn check(frames: u64, commands: u64, panics: impl Fn(u64) -> bool, expected: usize) {
        let mut writer = JournalWriter::default();
        let disk: Disk = SimDisk::new(1).disk();
        let mut segment = disk.create_segment("journal/all", 1 << 20).unwrap();
        let actor = registration(&Actor::embedded()).unwrap();
        segment.append(&writer.frame(Time::default(), [entry(EntryKind::Register, 0, 0, &actor)])).unwrap();
        let payload_of = |number| payload(&if panics(number) { Order::Panic } else { Order::Add(number) });
        for frame in 0..frames {
            let numbers = frame * commands + 1..=(frame + 1) * commands;
            let payloads: Vec<(u64, Vec<u8>)> = numbers.map(|number| (number, payload_of(number))).collect();
            let entries =
                payloads.iter().map(|(number, payload)| entry(EntryKind::Command, 1, *number, payload));
            segment.append(&writer.frame(Time::default(), entries)).unwrap();
        }
        let all = [segment.slice(0..segment.written())];
        let began = Cell::new(0);
        let begin = || {
            began.set(began.get() + 1);
            Ok::<_, ReplayError>(Engine::<Tally>::new())
        };
        let through = Index(1 + frames * commands);
        let Replayed { engine, .. } = replay_past_panics(Engine::new(), begin, &all, through).unwrap();
        assert_eq!(engine.applied().index(), through);
        let (panicking, good): (Vec<u64>, Vec<u64>) =
            (1..=frames * commands).partition(|number| panics(*number));
        assert!(engine.panics().iter().map(|index| index.0 - 1).eq(panicking));
        assert_eq!(engine.state().total, good.iter().sum::<u64>());
        assert_eq!(began.get(), expected);
    }

    #[test]
    fn a_few_commands_that_panic_cost_a_beginning_each() {
        check(10, 3, |_| false, 0);
        check(10, 3, |number| number == 30, 1);
        check(10, 3, |number| number % 7 == 0, 4);
    }

    #[test]
    fn many_commands_that_panic_cost_no_more() {
        check(100, 1, |_| true, BEGINNINGS_MAX + 1);
        check(3, 50, |_| true, BEGINNINGS_MAX + 1);
        check(40, 5, |number| number % 2 == 0, BEGINNINGS_MAX + 1);
    }
}
