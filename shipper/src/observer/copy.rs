//! The copy of the state that an observer keeps.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use journal::{Frame, FrameError, UnverifiedFrames};
use position::{ClusterId, Index, Tip};
use prevalent::{Answers, ApplyError, Engine, LoadError, Prevalent, RawLine, lines, load};
use snapshots::{Incoming, Shelf, SnapshotError};
use storage::Disk;
use tokio::sync::broadcast;
use tokio::task::JoinError;

use super::{Condition, Progress};

/// So many executed commands may wait for a slow listener.
const LINES_MAX: usize = 4096;

/// Why something that a voter sent was not taken over. The copy is as it was, or as of its snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the snapshot at {base} brings nothing new after {applied}")]
    Old { base: Tip, applied: Tip },
    #[error("the snapshot at {base} is intact, but no engine can be made of it")]
    Unusable { base: Tip },
    #[error("the snapshot did not arrive completely")]
    Interrupted,
    #[error("applying failed: {0}")]
    Panicked(JoinError),
}

impl Flaw {
    /// Whether asking again can only end in the same way.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Flaw::Apply(ApplyError::UnknownKind { .. } | ApplyError::Unreadable { .. })
            | Flaw::Load(_)
            | Flaw::Panicked(_) => true,
            // The engine was rebuilt without the command.
            Flaw::Apply(ApplyError::Panicked { .. })
            | Flaw::Frame(_)
            | Flaw::Snapshot(_)
            | Flaw::Old { .. }
            | Flaw::Unusable { .. }
            | Flaw::Interrupted => false,
        }
    }
}

pub(super) struct Copy<S> {
    engine: RwLock<Engine<S>>,
    lines: broadcast::Sender<Arc<RawLine>>,
    shelf: Shelf,
    cluster: ClusterId,
}

impl<S: Prevalent> Copy<S> {
    pub(super) fn load(disk: Disk, cluster: ClusterId) -> Result<Copy<S>, LoadError> {
        let shelf = Shelf::new(disk);
        let engine = newest(&shelf, cluster, &BTreeSet::new())?;
        Ok(Copy { engine: RwLock::new(engine), lines: broadcast::Sender::new(LINES_MAX), shelf, cluster })
    }

    pub(super) fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.lock().state())
    }

    pub(super) fn applied(&self) -> Tip {
        self.lock().applied()
    }

    pub(super) fn progress(&self, condition: Condition) -> Progress {
        let engine = self.lock();
        Progress { applied: engine.applied(), wall_time: engine.wall_time(), condition }
    }

    /// Applies frames that follow what was applied.
    pub(super) fn apply(&self, frames: &[u8]) -> Result<(), Flaw> {
        let mut answers = Answers::default();
        let after = self.applied();
        for frame in UnverifiedFrames::after(after, frames) {
            let frame = frame?;
            answers.clear();
            let mut engine = self.lock_to_change();
            match engine.apply(&frame, &mut answers) {
                Ok(()) => self.tell(&frame, &engine, &answers),
                Err(error @ ApplyError::UnknownKind { .. }) => return Err(error.into()),
                Err(error) => {
                    // Half a frame may have been applied. Readers wait until the copy is whole again.
                    let mut panics = engine.panics().clone();
                    if let ApplyError::Panicked { index, .. } = &error {
                        panics.insert(*index);
                    }
                    *engine = newest(&self.shelf, self.cluster, &panics)?;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    pub(super) fn lines(&self) -> broadcast::Receiver<Arc<RawLine>> {
        self.lines.subscribe()
    }

    fn tell(&self, frame: &Frame<'_>, engine: &Engine<S>, answers: &Answers) {
        if self.lines.receiver_count() > 0 {
            for line in lines(frame, engine, answers) {
                // An error says that the last listener has just gone.
                drop(self.lines.send(Arc::new(line)));
            }
        }
    }

    /// Begins to receive a snapshot.
    pub(super) fn begin(&self, base: Tip, bytes: u64) -> Result<Incoming, Flaw> {
        let applied = self.applied();
        if base.index() <= applied.index() {
            return Err(Flaw::Old { base, applied });
        }
        Ok(self.shelf.receive(base, bytes)?)
    }

    /// Takes over a snapshot that has arrived.
    pub(super) fn install(&self, incoming: Incoming) -> Result<(), Flaw> {
        let base = incoming.finish()?.head().tip;
        let panics = self.lock().panics().clone();
        let engine = newest(&self.shelf, self.cluster, &panics)?;
        if engine.applied() != base {
            return Err(Flaw::Unusable { base });
        }
        *self.lock_to_change() = engine;
        Ok(())
    }

    fn lock(&self) -> RwLockReadGuard<'_, Engine<S>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_to_change(&self) -> RwLockWriteGuard<'_, Engine<S>> {
        self.engine.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn newest<S: Prevalent>(
    shelf: &Shelf,
    cluster: ClusterId,
    panics: &BTreeSet<Index>,
) -> Result<Engine<S>, LoadError> {
    let loaded = load(shelf, cluster)?;
    for passed_over in &loaded.passed_over {
        tracing::warn!(index = %passed_over.index, error = %passed_over.error, "a snapshot was passed over");
    }
    Ok(loaded.engine.with_panics(panics))
}
