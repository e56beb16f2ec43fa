//! Brings an engine to a position from the newest snapshot and the journal behind it.
//!
//! Responsible for: replaying at a start, after a panic, and for a snapshot. All three are long work, and
//! none touches the live engine. Not responsible for: threads (the driver picks one), and which frames
//! there are (`journal`).

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use position::{ClusterId, Index, Tip};
use snapshots::{Head, Shelf};
use storage::Slice;

use crate::{
    Answers, ApplyError, Engine, FrameError, LoadError, Loaded, PassedOver, Prevalent, SnapshotRule,
    UnverifiedFrames, load,
};

/// An engine to be rebuilt.
pub struct RebuildJob<S> {
    pub(crate) shelf: Shelf,
    pub(crate) cluster: ClusterId,
    pub(crate) target: Tip,
    pub(crate) frames: Vec<Slice>,
    pub(crate) panics: BTreeSet<Index>,
    pub(crate) snapshot_rule: SnapshotRule,
    /// The job makes an `S` and holds none.
    state: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for RebuildJob<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RebuildJob { cluster, target, panics, .. } = self;
        f.debug_struct("RebuildJob")
            .field("cluster", cluster)
            .field("target", target)
            .field("panics", panics)
            .finish_non_exhaustive()
    }
}

/// An engine that was rebuilt.
pub struct Rebuilt<S> {
    /// It has applied exactly the target, and knows of all commands until there that panic.
    pub engine: Engine<S>,
    /// The head of the snapshot it began with.
    pub head: Option<Head>,
    /// Newer snapshots that could not be used, newest first. Each should be reported.
    pub passed_over: Vec<PassedOver>,
}

impl<S> fmt::Debug for Rebuilt<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rebuilt { engine, head, passed_over } = self;
        f.debug_struct("Rebuilt")
            .field("engine", engine)
            .field("head", head)
            .field("passed_over", passed_over)
            .finish()
    }
}

/// An engine was not rebuilt. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Nothing to begin with.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The newest snapshot is already beyond the target, as after an install.
    #[error("there is a snapshot at {newer}, which is beyond {target}")]
    Overtaken {
        /// The snapshot's position.
        newer: Tip,
        /// Where the engine was to be brought.
        target: Tip,
    },
    /// The frames do not lead from the snapshot to the target, as when the newest one is damaged and an
    /// older one had to be taken: repeat with the frames after `needed_after`.
    #[error("the frames after {needed_after} do not lead to {target}, or were not given")]
    Gap {
        /// Where the replay stopped.
        needed_after: Tip,
        /// Where it was to come.
        target: Tip,
    },
    /// A frame is damaged.
    #[error("the journal is damaged: {0}")]
    Frame(#[from] FrameError),
    /// A frame cannot be applied, for another reason than a panic.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl<S: Prevalent> RebuildJob<S> {
    /// An engine that has applied what ends with `target`. `frames` are whole frames in their order, which
    /// lead from the newest snapshot to the target, or beyond either.
    #[must_use]
    pub fn new(shelf: Shelf, cluster: ClusterId, target: Tip, frames: Vec<Slice>) -> RebuildJob<S> {
        let (panics, snapshot_rule) = (BTreeSet::new(), SnapshotRule::default());
        RebuildJob { shelf, cluster, target, frames, panics, snapshot_rule, state: PhantomData }
    }

    /// The same job, which need not find out that these commands panic.
    #[must_use]
    pub fn with_panics(self, panics: BTreeSet<Index>) -> RebuildJob<S> {
        RebuildJob { panics, ..self }
    }

    /// The same job for an engine with another rule for snapshots.
    #[must_use]
    pub fn with_snapshot_rule(self, snapshot_rule: SnapshotRule) -> RebuildJob<S> {
        RebuildJob { snapshot_rule, ..self }
    }

    /// Rebuilds the engine. A command that panics costs another round: its half-done change is undone by
    /// beginning again, without it.
    ///
    /// # Errors
    /// See [`RebuildError`].
    pub fn run(mut self) -> Result<Rebuilt<S>, RebuildError> {
        loop {
            match self.attempt() {
                // Known already: so many commands panic that the engine has forgotten this one.
                Err(RebuildError::Apply(ApplyError::Panicked { index, .. })) if self.panics.insert(index) => {
                }
                done => return done,
            }
        }
    }

    fn attempt(&self) -> Result<Rebuilt<S>, RebuildError> {
        let Loaded { engine, head, passed_over } = load::<S>(&self.shelf, self.cluster)?;
        let mut engine = engine.with_panics(&self.panics).with_snapshot_rule(self.snapshot_rule);
        if engine.applied().index() > self.target.index() {
            return Err(RebuildError::Overtaken { newer: engine.applied(), target: self.target });
        }
        self.replay(&mut engine)?;
        if engine.applied() != self.target {
            return Err(RebuildError::Gap { needed_after: engine.applied(), target: self.target });
        }
        Ok(Rebuilt { engine, head, passed_over })
    }

    fn replay(&self, engine: &mut Engine<S>) -> Result<(), RebuildError> {
        let mut answers = Answers::default();
        for frame in self.frames.iter().flat_map(|slice| UnverifiedFrames::new(slice)) {
            if engine.applied().index() >= self.target.index() {
                break;
            }
            let frame = frame?;
            if frame.tip().index() <= engine.applied().index() {
                continue;
            }
            if !frame.follows(&engine.applied()) {
                break;
            }
            answers.clear();
            engine.apply(&frame, &mut answers)?;
        }
        Ok(())
    }
}
