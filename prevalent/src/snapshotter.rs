//! Makes snapshots beside the running engine.
//!
//! Responsible for: bringing a shadow engine from the previous snapshot to the position that is due, and
//! publishing it. Commands never wait for that: the live engine is not touched. The price is a second
//! state in memory for as long as it takes. Not responsible for: threads (the driver picks one), the file
//! format and how many are kept (`snapshots`).

use position::{ChainHash, ClusterId, Tip};
use snapshots::{Head, Opened, Shelf, SnapshotError};
use storage::Slice;

use crate::{Engine, ImageError, PassedOver, Prevalent, RebuildError, RebuildJob, archive_tag};

/// A snapshot to be made.
#[derive(Debug)]
pub struct SnapshotJob<S> {
    shadow: RebuildJob<S>,
}

/// A snapshot that was made.
#[derive(Debug)]
pub struct Made {
    /// The published file, read back and verified.
    pub snapshot: Opened,
    /// The shadow engine's hash of all answers. It differs from the live engine's at this position only if
    /// executing commands is not deterministic, or memory has failed.
    pub outcome_hash: ChainHash,
    /// Older snapshots that could not be used.
    pub passed_over: Vec<PassedOver>,
}

/// A snapshot was not made. Those that there are were left alone.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotJobError {
    /// The shadow engine did not come to the position.
    #[error("cannot make a snapshot: {0}")]
    Rebuild(#[from] RebuildError),
    /// The engine cannot be archived.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The file cannot be written, or does not read back.
    #[error(transparent)]
    File(#[from] SnapshotError),
}

impl<S: Prevalent> SnapshotJob<S> {
    /// A snapshot of what `live` has applied, or had when it reached `target`. `frames` are whole frames in
    /// their order, which lead from the previous snapshot to `target`, or beyond either.
    ///
    /// # Panics
    /// If `live` has not come to `target`.
    #[must_use]
    pub fn new(live: &Engine<S>, shelf: Shelf, cluster: ClusterId, target: Tip, frames: Vec<Slice>) -> Self {
        assert!(target.index() <= live.applied().index(), "a snapshot is made of what was applied");
        let shadow = RebuildJob::new(shelf, cluster, target, frames)
            .with_panics(live.panics().clone())
            .with_snapshot_rule(live.snapshot_rule());
        SnapshotJob { shadow }
    }

    /// The position of the snapshot to be made.
    #[must_use]
    pub fn target(&self) -> Tip {
        self.shadow.target
    }

    /// Makes the snapshot, unless it is there already. Takes as long as loading the previous one, replaying
    /// the frames since and writing the state.
    ///
    /// # Errors
    /// If it was not made; see [`SnapshotJobError`].
    pub fn run(self) -> Result<Made, SnapshotJobError> {
        let RebuildJob { shelf, cluster, target, .. } = &self.shadow;
        let (shelf, cluster, target) = (shelf.clone(), *cluster, *target);
        let rebuilt = self.shadow.run()?;
        let outcome_hash = rebuilt.engine.outcome_hash();
        let snapshot = if rebuilt.head.is_some_and(|head| head.tip == target) {
            shelf.open(target.index())?
        } else {
            publish(&rebuilt.engine, &shelf, cluster)?
        };
        Ok(Made { snapshot, outcome_hash, passed_over: rebuilt.passed_over })
    }
}

fn publish<S: Prevalent>(
    engine: &Engine<S>,
    shelf: &Shelf,
    cluster: ClusterId,
) -> Result<Opened, SnapshotJobError> {
    let mut writer = shelf.begin(Head {
        archive_tag: archive_tag::<S>(),
        type_name: S::NAME.to_owned(),
        schema: S::SCHEMA.0,
        cluster,
        tip: engine.applied(),
        time: engine.wall_time(),
    })?;
    engine.write_image(&mut writer)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests;
