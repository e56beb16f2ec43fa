//! Loads an engine from a data directory's snapshots.
//!
//! Responsible for: the newest snapshot that can be used, and refusing those of another type, schema or
//! cluster. Not responsible for: the file format (`snapshots`), the archive's layout (`image`).

use std::fmt;

use position::{ClusterId, Index, Tip};
use snapshots::{Head, Opened, Shelf, SnapshotError};
use storage::DiskError;

use crate::{Engine, ImageError, Prevalent, archive_tag};

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

/// Why a snapshot could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedOverError {
    /// The file is damaged.
    #[error(transparent)]
    File(#[from] SnapshotError),
    /// The file is intact, and its archive is none.
    #[error("the snapshot is intact, but its archive is not: {0}")]
    Image(#[from] ImageError),
    /// Header and archive disagree.
    #[error("the snapshot's header says {head} and its archive {image}")]
    Tip {
        /// What the header says.
        head: Tip,
        /// What the archive holds.
        image: Tip,
    },
}

/// No engine can be loaded; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder of snapshots cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
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
/// If the folder cannot be read, or holds another type's state. Damaged snapshots are passed over.
pub fn load<S: Prevalent>(shelf: &Shelf, cluster: ClusterId) -> Result<Loaded<S>, LoadError> {
    let mut passed_over = Vec::new();
    for listed in shelf.list()? {
        let index = listed.index;
        let opened = match shelf.open(index) {
            Ok(opened) => opened,
            Err(error) => {
                passed_over.push(PassedOver { index, error: error.into() });
                continue;
            }
        };
        refuse_other_state::<S>(opened.head(), cluster)?;
        match read(&opened) {
            Ok(engine) => return Ok(Loaded { engine, head: Some(opened.head().clone()), passed_over }),
            Err(error) => passed_over.push(PassedOver { index, error }),
        }
    }
    Ok(Loaded { engine: Engine::new(), head: None, passed_over })
}

fn refuse_other_state<S: Prevalent>(head: &Head, cluster: ClusterId) -> Result<(), LoadError> {
    if head.archive_tag == archive_tag::<S>() && head.schema == S::SCHEMA.0 && head.cluster == cluster {
        return Ok(());
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

fn read<S: Prevalent>(opened: &Opened) -> Result<Engine<S>, PassedOverError> {
    let engine = Engine::read_image(&opened.archive())?;
    let (head, image) = (opened.head().tip, engine.applied());
    if head == image { Ok(engine) } else { Err(PassedOverError::Tip { head, image }) }
}
