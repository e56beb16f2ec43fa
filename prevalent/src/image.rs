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

/// Raised when the layout of anything but the state changes.
const IMAGE_VERSION: u64 = 1;
/// The version.
const START_BYTES: usize = 8;
/// The lengths of the state, of the sessions and of the engine's own part. They stand at the end: what is streamed
/// has a known length only once it has been written.
const END_BYTES: usize = 3 * 8;
/// In front of each session: the length of its archive.
const SESSION_LENGTH_BYTES: usize = 4;

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
    /// The parts do not fit the bytes.
    #[error("an image of {bytes} bytes does not have the parts that it states")]
    Length {
        /// The bytes there are.
        bytes: usize,
    },
    /// Archives are well-formed but say what no engine can have written.
    #[error("the image holds {what}, which no engine writes")]
    Impossible {
        /// What is wrong.
        what: &'static str,
    },
}

/// All but the state and the sessions.
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
    /// What later versions keep beside the state. This one writes nothing here, and reads no image with more: it
    /// would be lost.
    extension: Vec<u8>,
}

/// Counts what is written.
struct Counting<'a> {
    to: &'a mut dyn io::Write,
    bytes: u64,
}

impl io::Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The parts of an image, none of them looked into.
struct Parts<'a> {
    state: &'a [u8],
    sessions: &'a [u8],
    own: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(image: &'a [u8]) -> Result<Parts<'a>, ImageError> {
        let wrong = || ImageError::Length { bytes: image.len() };
        let (version, rest) = image.split_first_chunk::<START_BYTES>().ok_or_else(wrong)?;
        let found = u64::from_le_bytes(*version);
        if found != IMAGE_VERSION {
            return Err(ImageError::Version { found });
        }
        let (parts, end) = rest.split_last_chunk::<END_BYTES>().ok_or_else(wrong)?;
        let length = |number: usize| {
            let length = u64::from_le_bytes(std::array::from_fn(|byte| end[8 * number + byte]));
            usize::try_from(length).map_err(|_| wrong())
        };
        let (state, parts) = parts.split_at_checked(length(0)?).ok_or_else(wrong)?;
        let (sessions, own) = parts.split_at_checked(length(1)?).ok_or_else(wrong)?;
        if own.len() == length(2)? { Ok(Parts { state, sessions, own }) } else { Err(wrong()) }
    }
}

impl<S: Prevalent> Engine<S> {
    /// Writes the engine, as a stream: no more than one session is in memory a second time, and what rkyv remembers of
    /// each element of the list that it is writing.
    ///
    /// # Errors
    /// If the writer fails; what was written until then is no image.
    ///
    /// # Panics
    /// If the engine is [broken](Engine::broken).
    pub fn write_image(&self, to: &mut dyn io::Write) -> Result<(), ImageError> {
        let state = self.state();
        let failed = |source| ImageError::Write { tip: self.applied, source };
        to.write_all(&IMAGE_VERSION.to_le_bytes()).map_err(failed)?;

        let mut counting = Counting { to, bytes: 0 };
        encode_into(state, Out::Stream { to: &mut counting, written: 0 })?;
        let state_bytes = counting.bytes;

        let mut archive = Vec::new();
        let mut session_bytes = 0;
        for session in self.sessions.images().filter(|_| !Mutant::ForgetsSessions.is_active()) {
            archive.clear();
            encode(&session, &mut archive)?;
            let length = u32::try_from(archive.len()).expect("a session's answers are few");
            to.write_all(&length.to_le_bytes()).and_then(|()| to.write_all(&archive)).map_err(failed)?;
            session_bytes += (SESSION_LENGTH_BYTES + archive.len()) as u64;
        }

        archive.clear();
        encode(&self.own_part(), &mut archive)?;
        to.write_all(&archive).map_err(failed)?;
        for length in [state_bytes, session_bytes, archive.len() as u64] {
            to.write_all(&length.to_le_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// How long the image is, by writing it to nowhere.
    pub(crate) fn image_bytes(&self) -> Result<usize, ImageError> {
        let mut counting = Counting { to: &mut io::sink(), bytes: 0 };
        self.write_image(&mut counting)?;
        Ok(usize::try_from(counting.bytes).unwrap_or(usize::MAX))
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
            extension: Vec::new(),
        }
    }

    /// Reads an engine. The bytes' checksum and type must have been checked before.
    ///
    /// # Errors
    /// If the bytes are not what [`Engine::write_image`] wrote for this type.
    pub fn read_image(bytes: &[u8]) -> Result<Engine<S>, ImageError> {
        let parts = Parts::of(bytes)?;
        let own: OwnPart = decode_state(parts.own)?;
        if !own.panics.is_sorted_by(|a, b| a < b) {
            return Err(ImageError::Impossible { what: "a panic set out of order" });
        }
        if !own.extension.is_empty() {
            return Err(ImageError::Impossible { what: "something that only a later version knows" });
        }
        let sessions = read_sessions(parts.sessions)?;

        let mut engine = Engine::new();
        engine.state = decode_state(parts.state)?;
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

/// The session table, of which one session at a time is in memory twice.
fn read_sessions(mut rest: &[u8]) -> Result<Sessions, ImageError> {
    let mut sessions = Sessions::default();
    while !rest.is_empty() {
        let cut = ImageError::Impossible { what: "a session that ends beyond the sessions' end" };
        let record = rest.split_first_chunk::<SESSION_LENGTH_BYTES>().and_then(|(length, behind)| {
            behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let Some((archive, behind)) = record else { return Err(cut) };
        let image: SessionImage = decode_state(archive)?;
        sessions.push_image(image).map_err(|what| ImageError::Impossible { what })?;
        rest = behind;
    }
    Ok(sessions)
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
    /// `PREVALENT_WRITE_GOLDEN=1 cargo test -p prevalent` writes the file of a new version.
    #[test]
    fn the_first_version_is_read_and_written_for_ever() {
        let golden = include_bytes!("../tests/golden/image-1.bin");
        let written = image(&engine(&[4]));
        if std::env::var_os("PREVALENT_WRITE_GOLDEN").is_some() {
            let path = format!("{}/tests/golden/image-{IMAGE_VERSION}.bin", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, &written).unwrap();
        }
        assert_eq!(written, golden);
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

    /// A length costs nothing before it is compared with the bytes that there are.
    #[test]
    fn lengths_that_lie_are_refused() {
        let good = image(&engine(&[4]));
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut image = good.clone();
            change(&mut image);
            Engine::<Tally>::read_image(&image).unwrap_err()
        };
        let end = good.len();
        for number in 1..=3 {
            for lie in [u64::MAX, 1 << 40, end as u64, 0] {
                let at = end - 8 * number;
                let error = refused(&|image| image[at..at + 8].copy_from_slice(&lie.to_le_bytes()));
                assert!(matches!(error, ImageError::Length { .. }), "{error}");
            }
        }
        let state = u64::from_le_bytes(good[end - 24..end - 16].try_into().unwrap());
        let session = START_BYTES + usize::try_from(state).unwrap();
        for lie in [u32::MAX, 1 << 20] {
            let error = refused(&|image| image[session..session + 4].copy_from_slice(&lie.to_le_bytes()));
            assert!(matches!(error, ImageError::Impossible { .. }), "{error}");
        }
    }

    #[test]
    fn what_a_later_version_keeps_beside_the_state_is_not_passed_over() {
        let image = image(&engine(&[4]));
        let (rest, end) = image.split_last_chunk::<END_BYTES>().unwrap();
        let own_bytes = usize::try_from(u64::from_le_bytes(end[16..].try_into().unwrap())).unwrap();
        let (before, own) = rest.split_at(rest.len() - own_bytes);
        let mut own: OwnPart = decode_state(own).unwrap();
        own.extension = vec![1];
        let mut later = before.to_vec();
        encode(&own, &mut later).unwrap();
        let own_bytes = (later.len() - before.len()) as u64;
        later.extend_from_slice(&end[..16]);
        later.extend_from_slice(&own_bytes.to_le_bytes());
        let refused = Engine::<Tally>::read_image(&later).unwrap_err();
        assert!(matches!(refused, ImageError::Impossible { .. }), "{refused}");
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
