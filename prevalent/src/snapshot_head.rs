//! What a snapshot says of itself, and whether its archive says the same.

use position::{ClusterId, Tip};
use snapshots::{Flaw, Head, SnapshotError};

use crate::image::ImageError;
use crate::{Engine, Prevalent, archive_tag, decode_members};

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
    /// Header and archive disagree about what is beside the state.
    #[error("the snapshot's header and its archive name another {what}")]
    Contradiction {
        /// What is not the same.
        what: &'static str,
    },
}

impl PassedOverError {
    pub(crate) fn is_of_another_version(&self) -> bool {
        matches!(
            self,
            PassedOverError::File(SnapshotError::Flawed {
                flaw: Flaw::Version { .. } | Flaw::Life { .. },
                ..
            }) | PassedOverError::Image(ImageError::Version { .. })
        )
    }
}

impl<S: Prevalent> Engine<S> {
    /// What a snapshot of this engine says of itself.
    #[must_use]
    pub fn snapshot_head(&self, cluster: ClusterId) -> Head {
        Head {
            archive_tag: archive_tag::<S>(),
            type_name: S::NAME.to_owned(),
            schema: S::SCHEMA.0,
            layout: S::layout(),
            cluster,
            tip: self.applied(),
            outcome_hash: self.outcome_hash(),
            list: self.list_number(),
            time: self.wall_time(),
        }
    }

    /// The engine in a snapshot of this type, whose bytes are verified.
    ///
    /// # Errors
    /// If the archive is none, or contradicts the header.
    pub fn of_snapshot(head: &Head, archive: &[u8]) -> Result<Engine<S>, PassedOverError> {
        let engine = Engine::read_image(archive)?;
        let image = engine.applied();
        if head.tip != image {
            return Err(PassedOverError::Tip { head: head.tip, image });
        }
        let pairs = [
            ("outcome hash", head.outcome_hash == engine.outcome_hash()),
            ("list of members", head.list == engine.list_number()),
        ];
        match pairs.into_iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(PassedOverError::Contradiction { what }),
            None => Ok(engine),
        }
    }

    fn list_number(&self) -> u64 {
        let list = self.members().and_then(|members| decode_members(&members.payload));
        list.map_or(0, |list| list.number())
    }
}

/// Whether a snapshot holds the state of this type, in a schema and a layout that this program can read.
#[must_use]
pub fn is_snapshot_of<S: Prevalent>(head: &Head) -> bool {
    (head.archive_tag, head.schema, head.layout) == (archive_tag::<S>(), S::SCHEMA.0, S::layout())
}
