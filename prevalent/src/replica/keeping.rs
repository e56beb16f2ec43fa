//! A voter that is alone keeps its state where the disk has spoiled entries that led to it.
//!
//! Nobody else has a good copy of such entries. No snapshot could be made by executing them again, and the next start
//! would be refused. But the state that they led to is in memory, so it is written as a snapshot as it is, and the
//! damaged entries are given up behind it.
//!
//! Responsible for: that snapshot. Not responsible for: finding the damage (`scrubbing`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use position::ClusterId;
use snapshots::{Opened, Shelf};

use crate::execution::message_of;
use crate::replica::jobs::Work;
use crate::replica::{Effects, Job, Replica};
use crate::snapshotter::SnapshotJobError;
use crate::{Engine, Prevalent};

/// The state, to be written by a job. Commands and readers wait meanwhile: it must not change.
#[derive(Debug)]
pub(crate) struct Keeping<S: Prevalent> {
    engine: Engine<S>,
    shelf: Shelf,
    cluster: ClusterId,
}

/// The state comes back, whatever became of its snapshot.
#[derive(Debug)]
pub(crate) struct Kept<S: Prevalent> {
    engine: Engine<S>,
    snapshot: Result<Opened, SnapshotJobError>,
}

impl<S: Prevalent> Keeping<S> {
    pub(crate) fn run(self) -> Kept<S> {
        let Keeping { engine, shelf, cluster } = self;
        let write = || -> Result<Opened, SnapshotJobError> {
            let mut writer = shelf.begin(engine.snapshot_head(cluster))?;
            engine.write_image(&mut writer)?;
            Ok(writer.finish()?)
        };
        // A panic must not take the only state with it.
        let written = catch_unwind(AssertUnwindSafe(write));
        let snapshot = written.unwrap_or_else(|panic| {
            let (target, message) = (engine.applied(), message_of(panic));
            Err(SnapshotJobError::Panicked { target, message })
        });
        Kept { engine, snapshot }
    }
}

impl<S: Prevalent> Replica<S> {
    /// Whether nobody else has what this voter has.
    pub(crate) fn is_alone(&self) -> bool {
        self.voter.membership().voter_count() == 1
    }

    /// Has the state written, unless that is under way.
    pub(crate) fn keep_state(&mut self, out: &mut Effects<S>) {
        let Some(engine) = self.engine.take() else { return };
        let (shelf, cluster) = (self.shelf.clone(), self.cluster);
        out.start.push(Job(Work::Keep(Box::new(Keeping { engine, shelf, cluster }))));
    }

    pub(crate) fn on_kept(&mut self, kept: Kept<S>, out: &mut Effects<S>) {
        let Kept { engine, snapshot } = kept;
        if self.engine.is_some() {
            // It is not alone any more, and a snapshot was installed meanwhile.
            self.drop_elsewhere(Some(engine), out);
            return;
        }
        self.engine = Some(engine);
        match snapshot {
            Ok(opened) => {
                self.jobs.snapshotting.made(opened.index());
                self.journal.give_up_damage(opened.index());
                self.health.follow_journal(&self.journal);
            }
            Err(error) => tracing::error!(
                %error,
                "the state that damaged entries led to could not be written; it is tried again when everything has been read again. Copy what is needed out of the running program"
            ),
        }
        self.hand_out_kept_answers(out);
    }
}
