//! The state after a panic: built anew from the newest snapshot and the journal, without the command at fault.

use std::collections::BTreeSet;

use position::{ClusterId, Index};
use snapshots::Shelf;
use storage::Slice;

use crate::engine::SnapshotRule;
use crate::replay::replay_past_panics;
use crate::replica::jobs::Work;
use crate::replica::{Effects, Job, Replica};
use crate::snapshotter::{self, LoadError};
use crate::{Engine, Prevalent};

/// A state to be built.
#[derive(Debug)]
pub(crate) struct Rebuild {
    shelf: Shelf,
    cluster: ClusterId,
    frames: Vec<Slice>,
    through: Index,
    panics: BTreeSet<Index>,
    rule: SnapshotRule,
}

/// The state could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// No snapshot could be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The journal could not be replayed.
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayError),
}

impl Rebuild {
    pub(crate) fn run<S: Prevalent>(self) -> Result<Engine<S>, RebuildError> {
        let begin = || -> Result<Engine<S>, RebuildError> {
            Ok(snapshotter::load::<S>(&self.shelf, self.cluster)?.engine)
        };
        let engine = begin()?.with_panics(&self.panics).with_snapshot_rule(self.rule);
        replay_past_panics(engine, begin, &self.frames, self.through)
    }
}

impl<S: Prevalent> Replica<S> {
    /// Gives up the state that a panic left behind, and has it built anew without that command. The voter
    /// goes on voting, storing and acknowledging; clients are told to come back.
    pub(crate) fn rebuild_without(&mut self, index: Index, out: &mut Effects<S>) {
        let Some(engine) = self.engine.take() else { return };
        let mut panics = engine.panics().clone();
        panics.insert(index);
        let commit = self.committed_tip().index();
        out.start.push(Job(Work::Rebuild(Rebuild {
            shelf: self.shelf.clone(),
            cluster: self.meta.cluster,
            frames: self.journal.frames_between(self.journal.base().index(), commit),
            through: commit,
            panics,
            rule: engine.snapshot_rule(),
        })));
    }
}
