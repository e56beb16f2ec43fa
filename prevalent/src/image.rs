//! An engine as the archive of a snapshot.
//!
//! Responsible for: the archive's layout (`docs/format/image.md`), and reading one that may be damaged or
//! hostile. Not responsible for: the file around it, its checksum and its tags.

use std::io;
use std::time::Duration;

use position::{ChainHash, Epoch, Index, Mutant, Position, Tip};

use crate::engine::{Engine, Members, PANICS_MAX, SinceSnapshot};
use crate::session::{SessionImage, Sessions};
use crate::{CodecError, Out, Prevalent, decode_state, encode, encode_into};

/// Raised when the layout of the engine's own part changes.
const IMAGE_VERSION: u64 = 1;
/// The version, and the length of the engine's own part.
const START_BYTES: usize = 16;

/// An engine could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The writer failed.
    #[error("cannot write the image of the engine at {tip}: {source}")]
    Write {
        /// What the engine has applied.
        tip: Tip,
        /// What the writer said.
        source: io::Error,
    },
    /// The engine's own part or the state is no good archive.
    #[error(transparent)]
    Archive(#[from] CodecError),
    /// Written by another version of the program.
    #[error(
        "the image has version {found} and this program reads version {known}; use the program that wrote it",
        known = IMAGE_VERSION
    )]
    Version {
        /// The image's version.
        found: u64,
    },
    /// The engine's own part does not fit the bytes.
    #[error(
        "an image of {bytes} bytes cannot hold the {stated} bytes that it states for the engine's own part"
    )]
    Length {
        /// The bytes there are.
        bytes: usize,
        /// What the first eight of them say.
        stated: u64,
    },
    /// Archives are well-formed but say what no engine can have written.
    #[error("the image holds {what}, which no engine writes")]
    Impossible {
        /// What is wrong.
        what: &'static str,
    },
}

/// All but the state.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct OwnPart {
    epoch: u64,
    index: u64,
    hash: [u8; 32],
    outcome_hash: [u8; 32],
    cluster_time: Duration,
    wall_time: i64,
    members: Option<(u64, Vec<u8>)>,
    panics: Vec<u64>,
    since_snapshot_frame_bytes: u64,
    since_snapshot_entries: u64,
    since_snapshot_cluster_time: Duration,
    sessions: Vec<SessionImage>,
}

impl<S: Prevalent> Engine<S> {
    /// Writes the engine. The state is streamed; of the session table, a copy is made.
    ///
    /// # Errors
    /// If the writer fails; what was written until then is no image.
    ///
    /// # Panics
    /// If the engine is [broken](Engine::broken).
    pub fn write_image(&self, to: &mut dyn io::Write) -> Result<(), ImageError> {
        let state = self.state();
        let mut own = Vec::new();
        encode(&self.own_part(), &mut own)?;
        let mut write_own = || {
            to.write_all(&IMAGE_VERSION.to_le_bytes())?;
            to.write_all(&(own.len() as u64).to_le_bytes())?;
            to.write_all(&own)
        };
        write_own().map_err(|source| ImageError::Write { tip: self.applied, source })?;
        drop(own);
        Ok(encode_into(state, Out::Stream { to, written: 0 })?)
    }

    fn own_part(&self) -> OwnPart {
        // What was learnt by panicking later on, before a rebuild, does not belong here: others have not
        // come that far, and equal positions must have equal images.
        let panics = self.panics.range(..=self.applied.index()).rev().take(PANICS_MAX);
        let mut panics: Vec<u64> = panics.map(|index| index.0).collect();
        panics.reverse();
        OwnPart {
            epoch: self.applied.epoch().0,
            index: self.applied.index().0,
            hash: self.applied.hash.0,
            outcome_hash: self.outcome_hash.0,
            cluster_time: self.cluster_time,
            wall_time: self.wall_time,
            members: self.members.as_ref().map(|members| (members.index.0, members.payload.clone())),
            panics,
            since_snapshot_frame_bytes: self.since_snapshot.frame_bytes,
            since_snapshot_entries: self.since_snapshot.entries,
            since_snapshot_cluster_time: self.since_snapshot.cluster_time,
            sessions: if Mutant::ForgetsSessions.is_active() { Vec::new() } else { self.sessions.image() },
        }
    }

    /// Reads an engine. The bytes' checksum and type must have been checked before.
    ///
    /// # Errors
    /// If the bytes are not what [`Engine::write_image`] wrote for this type.
    pub fn read_image(bytes: &[u8]) -> Result<Engine<S>, ImageError> {
        let (start, rest) = bytes
            .split_first_chunk::<START_BYTES>()
            .ok_or(ImageError::Length { bytes: bytes.len(), stated: START_BYTES as u64 })?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| start[at + byte]));
        let (found, stated) = (number(0), number(8));
        if found != IMAGE_VERSION {
            return Err(ImageError::Version { found });
        }
        let (own, state) = usize::try_from(stated)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(ImageError::Length { bytes: bytes.len(), stated })?;
        let own: OwnPart = decode_state(own)?;
        if !own.panics.is_sorted_by(|a, b| a < b) {
            return Err(ImageError::Impossible { what: "a panic set out of order" });
        }
        let sessions = Sessions::from_image(own.sessions).map_err(|what| ImageError::Impossible { what })?;

        let mut engine = Engine::new();
        engine.state = decode_state(state)?;
        engine.sessions = sessions;
        engine.applied =
            Tip { position: Position::new(Epoch(own.epoch), Index(own.index)), hash: ChainHash(own.hash) };
        engine.outcome_hash = ChainHash(own.outcome_hash);
        engine.cluster_time = own.cluster_time;
        engine.wall_time = own.wall_time;
        engine.members = own.members.map(|(index, payload)| Members { index: Index(index), payload });
        engine.since_snapshot = SinceSnapshot {
            frame_bytes: own.since_snapshot_frame_bytes,
            entries: own.since_snapshot_entries,
            cluster_time: own.since_snapshot_cluster_time,
        };
        Ok(engine.with_panics(&own.panics.into_iter().map(Index).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::script::Time;
    use crate::testing::sealing::{JournalWriter, entry};
    use crate::testing::tally::{Order, Tally, payload};
    use crate::{Actor, Answers, registration};
    use journal::{Entry, EntryKind, Frame};

    /// An engine with something in every field.
    fn engine(panics: &[u64]) -> Engine<Tally> {
        let actor = registration(&Actor::embedded()).unwrap();
        let (add, panic) = (payload(&Order::Add(5)), payload(&Order::Panic));
        let time = Time { cluster: Duration::from_secs(3), wall: -9 };
        let frame = JournalWriter::default().frame(
            time,
            [
                entry(EntryKind::Register, 0, 0, &actor),
                Entry::internal(EntryKind::Members, b"pc1"),
                entry(EntryKind::Command, 1, 1, &add),
                entry(EntryKind::Command, 1, 3, &panic),
            ],
        );
        let mut engine = Engine::new().with_panics(&panics.iter().copied().map(Index).collect());
        engine.apply(&Frame::verify(&frame).unwrap(), &mut Answers::default()).unwrap();
        engine
    }

    fn image(engine: &Engine<Tally>) -> Vec<u8> {
        let mut image = Vec::new();
        engine.write_image(&mut image).unwrap();
        image
    }

    #[test]
    fn an_engine_comes_back_from_its_image() {
        let engine = engine(&[4]);
        let read = Engine::<Tally>::read_image(&image(&engine)).unwrap();
        assert_eq!(image(&read), image(&engine));
        assert_eq!(read.state(), engine.state());
        assert_eq!((read.applied(), read.outcome_hash()), (engine.applied(), engine.outcome_hash()));
        assert_eq!((read.cluster_time(), read.wall_time()), (Duration::from_secs(3), -9));
        assert_eq!((read.members(), read.panics()), (engine.members(), &BTreeSet::from([Index(4)])));
        assert_eq!(read.since_snapshot, engine.since_snapshot);
        assert_eq!(read.sessions().iter().map(|session| session.answers().count()).sum::<usize>(), 2);
    }

    /// Images of every version that was ever released stay readable, and are not written differently.
    #[test]
    fn the_first_version_is_read_and_written_for_ever() {
        let golden = include_bytes!("../tests/golden/image-1.bin");
        assert_eq!(image(&engine(&[4])), golden);
        let read = Engine::<Tally>::read_image(golden).unwrap();
        assert_eq!(read.state(), engine(&[4]).state());

        let mut newer = golden.to_vec();
        newer[0] = 2;
        let refused = Engine::<Tally>::read_image(&newer);
        assert!(matches!(refused, Err(ImageError::Version { found: 2 })), "{refused:?}");
    }

    #[test]
    fn what_was_learnt_of_later_commands_is_not_in_the_image() {
        assert_eq!(image(&engine(&[4])), image(&engine(&[4, 1000])));
    }

    #[test]
    fn of_many_panics_the_newest_are_in_the_image_and_those_ahead_are_all_known() {
        let panics: BTreeSet<Index> = (1..=5000).map(Index).collect();
        let mut engine = Engine::<Tally>::new().with_panics(&panics);
        assert_eq!(engine.panics(), &panics);
        engine.applied = Tip { position: Position::new(Epoch(1), Index(3000)), ..Tip::NONE };
        let newest = (1977..=3000).map(Index);
        let read = Engine::<Tally>::read_image(&image(&engine)).unwrap();
        assert!(read.panics().iter().copied().eq(newest.clone()), "{:?}", read.panics());
        let known = read.with_panics(&panics);
        assert!(known.panics().iter().copied().eq(newest.chain((3001..=5000).map(Index))));
        assert_eq!(image(&known), image(&engine));
    }

    #[test]
    fn every_truncation_is_refused() {
        let image = image(&engine(&[4]));
        for length in 0..image.len() {
            assert!(Engine::<Tally>::read_image(&image[..length]).is_err(), "accepted {length} bytes");
        }
    }

    /// A checksum stands before this in real life. Without one, nothing worse than another state may come.
    #[test]
    fn no_damage_makes_reading_panic() {
        let image = image(&engine(&[4]));
        let mut refused = 0;
        for at in 0..image.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = image.clone();
                damaged[at] ^= flip;
                refused += usize::from(Engine::<Tally>::read_image(&damaged).is_err());
            }
        }
        assert!(
            refused > image.len() / 4,
            "only {refused} of {} damaged images were refused",
            3 * image.len()
        );
    }

    #[test]
    fn a_failing_writer_is_an_error() {
        let mut two_bytes = [0; 2];
        let failed = engine(&[4]).write_image(&mut &mut two_bytes[..]);
        assert!(matches!(failed, Err(ImageError::Write { .. })), "{failed:?}");
    }
}
