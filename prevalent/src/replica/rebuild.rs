//! The state after a panic: built anew from the newest snapshot and the journal, without the command at fault.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use position::{ClusterId, Index, Tip};
use snapshots::Shelf;
use storage::Slice;

use crate::engine::SnapshotRule;
use crate::replay::{Replayed, replay_past_panics};
use crate::replica::jobs::Work;
use crate::replica::{Effects, Fatal, Job, Replica};
use crate::snapshotter::{self, LoadError};
use crate::{Engine, Prevalent};

/// A state to be built.
#[derive(Debug)]
pub(crate) struct Rebuild<S: Prevalent> {
    /// Counts them: what an earlier one brings is of no use any more.
    pub(crate) number: u64,
    shelf: Shelf,
    cluster: ClusterId,
    /// What the panic left behind. It goes before the other is built, since there may be no memory for both.
    spoiled: Engine<S>,
    frames: Vec<Slice>,
    /// What the state before had applied.
    needed: Tip,
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
    /// The newest snapshot that can be read is older than the journal's beginning.
    #[error("snapshot and journal lead to {reached} only, and {needed} was applied before")]
    Gap {
        /// Where they lead.
        reached: Tip,
        /// Where the state was.
        needed: Tip,
    },
    /// Something else than executing a command panicked.
    #[error("the rebuilding panicked: {0}")]
    Panicked(String),
}

impl<S: Prevalent> Rebuild<S> {
    pub(crate) fn run(self) -> Result<Replayed<S>, RebuildError> {
        // Half changed, it may panic once more.
        if catch_unwind(AssertUnwindSafe(|| drop(self.spoiled))).is_err() {
            tracing::error!(
                "the state that a panicking command left behind panicked again when it was dropped"
            );
        }
        let begin = || Ok::<_, RebuildError>(snapshotter::load::<S>(&self.shelf, self.cluster)?.engine);
        let engine = begin()?.with_panics(&self.panics).with_snapshot_rule(self.rule);
        let replayed = replay_past_panics(engine, begin, &self.frames, self.through)?;
        let reached = replayed.engine.applied();
        if reached.index() < self.needed.index() {
            return Err(RebuildError::Gap { reached, needed: self.needed });
        }
        Ok(replayed)
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
        let (needed, rule) = (engine.applied(), engine.snapshot_rule());
        out.start.push(Job(Work::Rebuild(Box::new(Rebuild {
            spoiled: engine,
            number: self.jobs.next_rebuild(),
            shelf: self.shelf.clone(),
            cluster: self.cluster,
            frames: self.journal.frames_between(self.journal.base().index(), commit),
            needed,
            through: commit,
            panics,
            rule,
        }))));
    }

    pub(crate) fn on_rebuilt(
        &mut self,
        number: u64,
        rebuilt: Result<Box<Replayed<S>>, RebuildError>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        // An installed snapshot may have brought a state meanwhile, and that one may have met a panic since.
        let present = self.engine.as_ref().map(Engine::applied);
        let pointless = !self.jobs.is_newest_rebuild(number);
        let Replayed { engine, due } = match rebuilt {
            Ok(replayed) => *replayed,
            Err(_) if pointless || present.is_some() => return Ok(()),
            Err(error) => return Err(Fatal::Rebuild(error)),
        };
        if pointless || present.is_some_and(|present| present.index() >= engine.applied().index()) {
            self.drop_elsewhere(Some(engine), out);
            return Ok(());
        }
        let applied = engine.applied();
        assert!(applied.index() >= self.journal.base().index(), "the journal goes on from {applied}");
        // What was committed meanwhile is applied as usual.
        out.applied = Some(applied);
        due.into_iter().for_each(|due| self.jobs.snapshotting.want(due));
        self.jobs.snapshotting.want_for_panics(&engine);
        let replaced = self.engine.replace(engine);
        self.drop_elsewhere(replaced, out);
        self.hand_out_kept_answers(out);
        Ok(())
    }
}
