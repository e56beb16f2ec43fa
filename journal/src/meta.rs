//! What a voter must know before it says anything: who it is, how often it was started, what it must not forget.
//!
//! Responsible for: what stands in the two copies, which one counts, the order in which they are written.
//! Not responsible for: when any of it changes (`quorum`), and who changes it when ([`MetaFile`](crate::MetaFile)).

mod layout;

use position::{Ballot, ClusterId, KnownPeer, Member, Memory, Mutant, ProcessNumber};
use storage::{Disk, DiskError};

use crate::SegmentName;
use layout::META_BYTES;

const COPIES: [&str; 2] = ["meta.0", "meta.1"];

/// A voter's identity and memory, as its data directory holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself, in this life of its directory.
    pub me: Member,
    /// How often the directory has been started.
    pub boots: u64,
    /// The processes of the last starts, the newest first; at most [`Meta::PROCESSES_MAX`].
    pub processes: Vec<ProcessNumber>,
    /// What it has promised.
    pub ballot: Ballot,
    /// What it knows of the other voters, by id.
    pub peers: Vec<KnownPeer>,
    /// The newest segment of its journal: if it is missing, the disk has lost a suffix. `None`: never noted.
    pub newest_segment: Option<SegmentName>,
    /// The number of the newest list of voters that names it; 0 until lists have numbers.
    pub list: u64,
    /// Counts the writes: of two good copies the later one counts.
    generation: u64,
}

/// What the two copies say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "read once at a start")]
pub enum FoundMeta {
    /// There is none: a directory without identity.
    Missing,
    /// At least one copy is good.
    Good(Meta),
    /// Both copies are damaged. Whatever was voted is forgotten.
    Damaged,
}

impl Meta {
    /// As far back as a peer can follow the starts of a directory.
    pub const PROCESSES_MAX: usize = 16;

    /// The identity that `init` gives a new voter.
    #[must_use]
    pub fn founded(cluster: ClusterId, me: Member) -> Meta {
        Meta {
            cluster,
            me,
            boots: 0,
            processes: Vec::new(),
            ballot: Ballot::founded(),
            peers: Vec::new(),
            newest_segment: None,
            list: 0,
            generation: 0,
        }
    }

    /// Reads both copies. The later good one counts: a vote is told to nobody before both hold it. So a copy
    /// that cannot be read is no worse than one that is damaged.
    ///
    /// # Errors
    /// If neither is good and one cannot be read: it may be good all the same.
    pub fn read(disk: &Disk) -> Result<FoundMeta, DiskError> {
        let (mut found, mut unreadable) = (FoundMeta::Missing, None);
        for name in COPIES {
            let meta = match read_copy(disk, name) {
                Ok(Copy::Missing) => continue,
                Ok(Copy::Good(meta)) => Some(meta),
                Ok(Copy::Damaged) => None,
                Err(error) => {
                    tracing::warn!(name, %error, "a copy of the identity cannot be read");
                    unreadable = Some(error);
                    None
                }
            };
            found = match (found, meta) {
                (FoundMeta::Good(known), Some(meta)) if known.generation < meta.generation => {
                    FoundMeta::Good(meta)
                }
                (FoundMeta::Good(known), _) => FoundMeta::Good(known),
                (_, Some(meta)) => FoundMeta::Good(meta),
                (_, None) => FoundMeta::Damaged,
            };
        }
        match (found, unreadable) {
            (FoundMeta::Missing | FoundMeta::Damaged, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    /// The names of copies that are there and damaged: a directory lives on one, but should be looked at.
    #[must_use]
    pub fn damaged_copies(disk: &Disk) -> Vec<&'static str> {
        let damaged = |name: &&str| matches!(read_copy(disk, name), Ok(Copy::Damaged) | Err(_));
        COPIES.into_iter().filter(damaged).collect()
    }

    /// Makes this the meta of the directory: one copy, synced, then the other, synced. One that is damaged comes first:
    /// a power cut may tear the copy that is being written, and must not find it the only good one.
    ///
    /// # Errors
    /// If a copy cannot be made durable. Nothing may then be promised with it.
    pub fn write(&self, disk: &Disk) -> Result<(), DiskError> {
        let bytes = layout::encode(self);
        if Mutant::CountsUnsyncedBallot.is_active() {
            return COPIES.iter().try_for_each(|name| disk.note(name, &bytes));
        }
        if Mutant::WritesOneBallotCopy.is_active() && self.boots > 0 {
            return disk.overwrite(COPIES[0], &bytes);
        }
        let is_good = |name| matches!(read_copy(disk, name), Ok(Copy::Good(_)));
        let [first, second] = COPIES;
        let order = if is_good(first) && !is_good(second) { [second, first] } else { COPIES };
        order.iter().try_for_each(|name| disk.overwrite(name, &bytes))
    }

    /// What of it the protocol changes.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { me: self.me, list: self.list, ballot: self.ballot, peers: self.peers.clone() }
    }

    /// The next meta of the directory, with this memory.
    #[must_use]
    pub fn remembering(&self, memory: Memory) -> Meta {
        let Memory { me, list, ballot, peers } = memory;
        Meta { me, list, ballot, peers, ..self.next() }
    }

    /// The next meta of a process that starts with this ballot: one start more.
    #[must_use]
    pub fn started_again(&self, ballot: Ballot, process: ProcessNumber) -> Meta {
        let mut processes = vec![process];
        processes.extend(self.processes.iter().copied().take(Meta::PROCESSES_MAX - 1));
        Meta { boots: self.boots + 1, processes, ballot, ..self.next() }
    }

    /// The next meta of the directory, whose journal goes on in this segment.
    #[must_use]
    pub fn with_newest_segment(&self, name: SegmentName) -> Meta {
        Meta { newest_segment: Some(name), ..self.next() }
    }

    /// The same in a later write.
    fn next(&self) -> Meta {
        Meta { generation: self.generation + 1, ..self.clone() }
    }
}

/// What one copy says.
#[expect(clippy::large_enum_variant, reason = "read once at a start")]
enum Copy {
    Missing,
    Good(Meta),
    Damaged,
}

fn read_copy(disk: &Disk, name: &str) -> Result<Copy, DiskError> {
    match disk.read(name, META_BYTES as u64) {
        Ok(None) => Ok(Copy::Missing),
        Ok(Some(bytes)) => Ok(layout::decode(&bytes).map_or(Copy::Damaged, Copy::Good)),
        Err(DiskError::TooLong { .. }) => Ok(Copy::Damaged),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use position::{Epoch, Incarnation, Index, MemberId, Started};
    use storage::SimDisk;

    use super::*;
    use crate::Generation;

    fn example() -> Meta {
        let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
        let ballot = Ballot { epoch: Epoch(9), ..Ballot::founded() };
        Meta::founded(ClusterId(5), me).started_again(ballot, ProcessNumber(12))
    }

    #[test]
    fn one_damaged_copy_of_two_is_survived() {
        for damaged in COPIES {
            let machine = SimDisk::new(1);
            example().write(&machine.disk()).unwrap();
            machine.rot(damaged, 70, 1);
            assert_eq!(
                Meta::read(&machine.disk()).unwrap(),
                FoundMeta::Good(example()),
                "{damaged} was damaged"
            );
            assert_eq!(Meta::damaged_copies(&machine.disk()), [damaged]);
        }
    }

    #[test]
    fn a_copy_that_cannot_be_read_is_survived_and_mended_by_the_next_write() {
        for lost in COPIES {
            let machine = SimDisk::new(1);
            let (disk, meta) = (machine.disk(), example());
            let overlong = || disk.overwrite(lost, &[0; META_BYTES + 1]).unwrap();
            for make_bad in [&overlong as &dyn Fn(), &|| machine.make_unreadable(lost)] {
                meta.write(&disk).unwrap();
                make_bad();
                assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(meta.clone()), "{lost} was lost");
                assert_eq!(Meta::damaged_copies(&disk), [lost]);
                meta.write(&disk).unwrap();
                assert!(Meta::damaged_copies(&disk).is_empty());
            }
            let other = if lost == COPIES[0] { COPIES[1] } else { COPIES[0] };
            machine.make_unreadable(lost);
            machine.rot(other, 70, 1);
            assert!(Meta::read(&disk).is_err(), "{lost} may be good, and only cannot be read now");
        }
    }

    #[test]
    fn two_damaged_copies_are_told_from_none() {
        let machine = SimDisk::new(1);
        assert_eq!(Meta::read(&machine.disk()).unwrap(), FoundMeta::Missing);
        example().write(&machine.disk()).unwrap();
        COPIES.iter().for_each(|name| machine.rot(name, 70, 1));
        assert_eq!(Meta::read(&machine.disk()).unwrap(), FoundMeta::Damaged);
    }

    /// A sector of a copy is torn off by a power cut: the copy is bad as a whole, and the other one is whole.
    #[test]
    fn a_copy_that_is_half_written_does_not_count() {
        let machine = SimDisk::new(1);
        let disk = machine.disk();
        let older = example();
        older.write(&disk).unwrap();
        // Something in every sector that is used differs.
        let peer = |id| KnownPeer {
            member: Member { id: MemberId(id), incarnation: Incarnation(7) },
            latest: Started { boots: 1, process: ProcessNumber(2) },
            epoch: Epoch(3),
        };
        let later = older
            .with_newest_segment(SegmentName::journal(Index(500), Generation(3)))
            .remembering(Memory { peers: (1..=16).map(peer).collect(), ..older.memory() });
        let (old, new) = (layout::encode(&older), layout::encode(&later));
        for torn in (0..1408).step_by(512) {
            let mixed = [&new[..torn], &old[torn..]].concat();
            disk.overwrite(COPIES[0], &mixed).unwrap();
            assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(older.clone()), "torn at {torn}");
        }
    }

    /// Copies are damaged one at a time, and the power goes within the write that would mend it.
    #[test]
    fn a_power_cut_while_a_damaged_copy_is_mended_leaves_a_good_one() {
        for (seed, damaged) in (0..40).flat_map(|seed| COPIES.map(|damaged| (seed, damaged))) {
            let machine = SimDisk::new(seed);
            example().write(&machine.disk()).unwrap();
            machine.rot(damaged, 70, 1);
            // Something in every sector that is used differs.
            let later =
                (0..16).fold(example(), |meta, start| meta.started_again(meta.ballot, ProcessNumber(start)));
            machine.fail_next_sync();
            assert!(later.write(&machine.disk()).is_err());
            machine.power_cut();
            let found = Meta::read(&machine.disk()).unwrap();
            assert!(matches!(found, FoundMeta::Good(_)), "{damaged} was damaged, seed {seed}: {found:?}");
        }
    }

    #[test]
    fn only_the_last_processes_are_kept() {
        let mut meta = example();
        for process in 100..100 + 2 * Meta::PROCESSES_MAX as u64 {
            meta = meta.started_again(meta.ballot, ProcessNumber(process));
        }
        let newest = 99 + 2 * Meta::PROCESSES_MAX as u64;
        let kept: Vec<u64> = meta.processes.iter().map(|process| process.0).collect();
        let expected: Vec<u64> = (0..Meta::PROCESSES_MAX as u64).map(|back| newest - back).collect();
        assert_eq!((meta.boots, kept), (1 + 2 * Meta::PROCESSES_MAX as u64, expected));
    }

    #[test]
    fn the_later_copy_counts() {
        let machine = SimDisk::new(1);
        let disk = machine.disk();
        let older = example();
        older.write(&disk).unwrap();
        let ballot = Ballot { epoch: Epoch(10), ..Ballot::founded() };
        let later = older.remembering(Memory { ballot, ..older.memory() });
        disk.overwrite(COPIES[0], &layout::encode(&later)).unwrap();
        assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(later));
    }
}
