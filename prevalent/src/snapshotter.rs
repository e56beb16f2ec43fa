//! Makes snapshots beside the running engine, and loads them.
//!
//! Responsible for: bringing a shadow engine from the previous snapshot to the position that is due and
//! publishing it. Commands never wait for that: the live engine is not touched. The price is a second
//! state in memory for as long as it takes. Not responsible for: threads (the driver picks one), the file
//! format and how many are kept (`snapshots`), which frames there are (`journal`).

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use position::{ChainHash, ClusterId, Index, Tip};
use snapshots::{Head, Opened, Shelf, SnapshotError};
use storage::{DiskError, Slice};

use crate::engine::SnapshotRule;
use crate::image::ImageError;
use crate::replay::{ReplayError, replay_past_panics};
use crate::retention::Retention;
use crate::snapshot_head::{PassedOverError, is_snapshot_of};
use crate::{Engine, Prevalent, archive_tag};

/// What a directory's snapshots give.
pub struct Loaded<S> {
    /// As of the newest usable snapshot; before the first entry if there is none.
    pub engine: Engine<S>,
    /// That snapshot's head.
    pub head: Option<Head>,
    /// Newer ones that could not be used, newest first. Each should be reported.
    pub passed_over: Vec<PassedOver>,
}

impl<S> fmt::Debug for Loaded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { engine, head, passed_over } = self;
        f.debug_struct("Loaded")
            .field("engine", engine)
            .field("head", head)
            .field("passed_over", passed_over)
            .finish()
    }
}

/// A snapshot that could not be used. It was left where it is.
#[derive(Debug)]
pub struct PassedOver {
    /// The position its name says.
    pub index: Index,
    /// Why.
    pub error: PassedOverError,
}

/// No engine can be loaded; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder of snapshots cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another version of the program wrote it. An older one, with the journal behind it, may lead to the same state;
    /// but this program would be guessing.
    #[error("snapshot {index} is of another version, so no older one is used; nothing was changed: {source}")]
    OtherVersion {
        /// The snapshot.
        index: Index,
        /// What was found.
        source: Box<PassedOverError>,
    },
    /// A good snapshot of this schema in another layout: a type was changed and its schema was not.
    #[error(
        "snapshot {index} holds {name:?} in the layout {found:016x} of schema {schema}, and this program lays it out \
         as {expected:016x}: its state, command, outcome or rejection has changed without a new schema; nothing was \
         changed; use the program that wrote it, or undo the change; a changed type needs a higher schema"
    )]
    OtherLayout {
        /// The snapshot.
        index: Index,
        /// The type's name.
        name: &'static str,
        /// The schema of both.
        schema: u32,
        /// The fingerprint in the snapshot.
        found: u64,
        /// The program's.
        expected: u64,
    },
    /// A good snapshot of something else. An older one would be of no use either, and starting from nothing
    /// would be wrong: the journal before it is gone.
    #[error(
        "snapshot {index} holds {found_name:?} in schema {found_schema} of cluster {found_cluster}, and this \
         program runs {name:?} in schema {schema} of cluster {cluster}; nothing was changed; run the program \
         that wrote it, or give this one another data directory"
    )]
    OtherState {
        /// The snapshot.
        index: Index,
        /// What it holds.
        found_name: String,
        /// In which schema.
        found_schema: u32,
        /// Of which cluster.
        found_cluster: ClusterId,
        /// What was asked for.
        name: &'static str,
        /// In which schema.
        schema: u32,
        /// Of which cluster.
        cluster: ClusterId,
    },
}

/// Loads the newest snapshot that can be used.
///
/// # Errors
/// If the folder cannot be read, or holds another type's or version's state. Damaged snapshots are passed over.
pub fn load<S: Prevalent>(shelf: &Shelf, cluster: ClusterId) -> Result<Loaded<S>, LoadError> {
    let mut passed_over = Vec::new();
    for listed in shelf.list()? {
        let index = listed.index;
        let error = match shelf.open(index) {
            Ok(opened) => {
                refuse_other_state::<S>(opened.head(), cluster)?;
                match read(&opened) {
                    Ok(engine) => {
                        return Ok(Loaded { engine, head: Some(opened.head().clone()), passed_over });
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error.into(),
        };
        if error.is_of_another_version() {
            return Err(LoadError::OtherVersion { index, source: Box::new(error) });
        }
        passed_over.push(PassedOver { index, error });
    }
    Ok(Loaded { engine: Engine::new(), head: None, passed_over })
}

fn read<S: Prevalent>(opened: &Opened) -> Result<Engine<S>, PassedOverError> {
    opened.archive().pass_through(|archive| Engine::of_snapshot(opened.head(), archive))
}

fn refuse_other_state<S: Prevalent>(head: &Head, cluster: ClusterId) -> Result<(), LoadError> {
    if is_snapshot_of::<S>(head) && head.cluster == cluster {
        return Ok(());
    }
    let of_this_schema = head.archive_tag == archive_tag::<S>() && head.schema == S::SCHEMA.0;
    if of_this_schema && head.cluster == cluster {
        let (found, expected) = (head.layout, S::layout());
        return Err(LoadError::OtherLayout {
            index: head.tip.index(),
            name: S::NAME,
            schema: head.schema,
            found,
            expected,
        });
    }
    Err(LoadError::OtherState {
        index: head.tip.index(),
        found_name: head.type_name.clone(),
        found_schema: head.schema,
        found_cluster: head.cluster,
        name: S::NAME,
        schema: S::SCHEMA.0,
        cluster,
    })
}

/// A snapshot to be made.
pub struct SnapshotJob<S> {
    shelf: Shelf,
    cluster: ClusterId,
    target: Tip,
    frames: Vec<Slice>,
    panics: BTreeSet<Index>,
    rule: SnapshotRule,
    retention: Retention,
    /// The job makes an `S` of its own and holds none.
    state: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for SnapshotJob<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotJob").field("target", &self.target).finish_non_exhaustive()
    }
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
    /// What lies before this position may go.
    pub begin: Index,
    /// The snapshots that there are now, good ones and others.
    pub kept: Vec<Index>,
}

/// A snapshot was not made. Those that there are were left alone.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotJobError {
    /// Nothing to begin with.
    #[error("cannot load the previous snapshot: {0}")]
    Load(#[from] LoadError),
    /// A newer one is there already, as after an install.
    #[error("a snapshot at {newer} is there already, so none was made at {target}")]
    Overtaken {
        /// The newer one.
        newer: Tip,
        /// The one that was to be made.
        target: Tip,
    },
    /// The frames do not lead from the snapshot that was loaded to the target, as when the previous one is
    /// damaged and an older one had to be taken: repeat with the frames after `needed_after`.
    #[error(
        "cannot make the snapshot at {target}: the frames after {needed_after} are needed and were not given"
    )]
    Gap {
        /// Where the shadow engine stopped.
        needed_after: Tip,
        /// Where it had to come.
        target: Tip,
    },
    /// A frame is damaged, or cannot be applied.
    #[error("cannot make a snapshot: {0}")]
    Replay(#[from] ReplayError),
    /// Something else than executing a command panicked.
    #[error("making the snapshot at {target} made the program panic: {message}")]
    Panicked {
        /// The one that was to be made.
        target: Tip,
        /// What the panic said.
        message: String,
    },
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
    #[must_use]
    pub fn new(live: &Engine<S>, shelf: Shelf, cluster: ClusterId, target: Tip, frames: Vec<Slice>) -> Self {
        assert!(target.index() <= live.applied().index(), "a snapshot is made of what was applied");
        SnapshotJob {
            shelf,
            cluster,
            target,
            frames,
            panics: live.panics().clone(),
            rule: live.snapshot_rule(),
            retention: Retention::default(),
            state: PhantomData,
        }
    }

    /// The same job, which keeps as much of the past as this says.
    #[must_use]
    pub(crate) fn keeping(self, retention: Retention) -> Self {
        SnapshotJob { retention, ..self }
    }

    /// The position of the snapshot to be made.
    #[must_use]
    pub fn target(&self) -> Tip {
        self.target
    }

    /// Makes the snapshot. Takes as long as loading the previous one, replaying the frames since and
    /// writing the state.
    ///
    /// # Errors
    /// If it was not made; see [`SnapshotJobError`].
    pub fn run(self) -> Result<Made, SnapshotJobError> {
        let Loaded { engine, head, passed_over } = load::<S>(&self.shelf, self.cluster)?;
        let loaded = engine.applied();
        if loaded == self.target && head.is_some() {
            let snapshot = self.shelf.open(loaded.index())?;
            let (begin, kept) = (self.begin(&passed_over)?, self.kept()?);
            return Ok(Made { snapshot, outcome_hash: engine.outcome_hash(), passed_over, begin, kept });
        }
        if loaded.index() >= self.target.index() && head.is_some() {
            return Err(SnapshotJobError::Overtaken { newer: loaded, target: self.target });
        }
        let shadow = self.replay(engine.with_panics(&self.panics).with_snapshot_rule(self.rule))?;
        let flawed = self.flawed(&passed_over).collect();
        let shelf = self.shelf.clone().keeping(self.begin(&passed_over)?).not_counting(flawed);
        let mut writer = shelf.begin(shadow.snapshot_head(self.cluster))?;
        shadow.write_image(&mut writer)?;
        let outcome_hash = shadow.outcome_hash();
        // Before the sync, which can take long on a slow disk: until now two states are in memory.
        drop(shadow);
        let snapshot = writer.finish()?;
        let (begin, kept) = (self.begin(&passed_over)?, self.kept()?);
        Ok(Made { snapshot, outcome_hash, passed_over, begin, kept })
    }

    fn kept(&self) -> Result<Vec<Index>, LoadError> {
        Ok(self.shelf.list()?.iter().map(|listed| listed.index).collect())
    }

    /// Where the past may begin. What could not be used is no support for a state, however new it is: were it
    /// counted, the frames might go that the newest good one but one needs.
    fn begin(&self, passed_over: &[PassedOver]) -> Result<Index, LoadError> {
        let mut listed = self.shelf.list()?;
        listed.retain(|listed| !self.flawed(passed_over).any(|flawed| flawed == listed.index));
        Ok(self.retention.begin(&listed))
    }

    /// One at the target itself is replaced.
    fn flawed<'p>(&self, passed_over: &'p [PassedOver]) -> impl Iterator<Item = Index> + use<'p, S> {
        let target = self.target.index();
        passed_over.iter().map(|passed_over| passed_over.index).filter(move |flawed| *flawed != target)
    }

    /// Brings the shadow engine to the target.
    fn replay(&self, shadow: Engine<S>) -> Result<Engine<S>, SnapshotJobError> {
        let begin =
            || -> Result<Engine<S>, SnapshotJobError> { Ok(load::<S>(&self.shelf, self.cluster)?.engine) };
        let shadow = replay_past_panics(shadow, begin, &self.frames, self.target.index())?.engine;
        if shadow.applied() == self.target {
            return Ok(shadow);
        }
        Err(SnapshotJobError::Gap { needed_after: shadow.applied(), target: self.target })
    }
}

#[cfg(test)]
mod tests;
