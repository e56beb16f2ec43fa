//! Brings an engine forward by frames of the journal: at a start, for a snapshot, after a panic.

use position::Index;
use storage::Slice;

use crate::{Answers, ApplyError, Engine, FrameError, Prevalent, UnverifiedFrames};

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

/// Applies those of the frames that lie after what the engine has applied, up to `through`. Stops early at
/// a gap: the caller compares what was applied.
pub(crate) fn replay<S: Prevalent>(
    engine: &mut Engine<S>,
    frames: &[Slice],
    through: Index,
) -> Result<(), ReplayError> {
    let mut answers = Answers::default();
    for frame in frames.iter().flat_map(|slice| UnverifiedFrames::new(slice)) {
        let frame = frame?;
        if frame.tip().index() <= engine.applied().index() {
            continue;
        }
        if !frame.follows(&engine.applied()) || frame.tip().index() > through {
            break;
        }
        answers.clear();
        engine.apply(&frame, &mut answers)?;
    }
    Ok(())
}
