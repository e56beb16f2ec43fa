//! What a voter must know before it says anything: who it is, how often it was started, its ballot.
//!
//! Responsible for: the bytes of the two copies, which one counts, the order in which they are written.
//! Not responsible for: when a ballot changes (`quorum`).

use position::{
    Ballot, ChainHash, ClusterId, Doubted, Epoch, FrameId, Incarnation, Index, Member, MemberId, Mutant,
    Standing, Tail,
};
use storage::{Disk, DiskError};

const COPIES: [&str; 2] = ["meta.0", "meta.1"];
const MAGIC: [u8; 8] = *b"PVMETA01";

/// One sector: a power cut leaves either the old or the new copy, or a bad one, and the other copy whole.
const META_BYTES: usize = 512;

// Byte offsets; the table stands in docs/format/journal.md.
const CHECKSUM: usize = 8;
const GENERATION: usize = 16;
const CLUSTER: usize = 24;
const INCARNATION: usize = 40;
const BOOTS: usize = 56;
const EPOCH: usize = 64;
const ID: usize = 88;
const VOTE: Vote = Vote { incarnation: 72, id: 90, is_given: 92 };
const STANDING: usize = 93;
const TAIL: usize = 94;
const MORE: usize = 95;
const AT: usize = 96;
const AFTER: usize = 104;
const DOUBTED_EPOCH: usize = 112;
const DOUBTED_VOTE: Vote = Vote { incarnation: 120, id: 136, is_given: 138 };
const FRAME_EPOCH: usize = 144;
const FRAME_FIRST: usize = 152;
const FRAME_LAST: usize = 160;
const FRAME_HASH: usize = 168;
const USED: usize = 200;

/// Where the fields of a vote stand.
struct Vote {
    incarnation: usize,
    id: usize,
    is_given: usize,
}

/// A voter's identity and ballot, as its data directory holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself, in this life of its directory.
    pub me: Member,
    /// How often the directory has been started.
    pub boots: u64,
    /// What it has promised.
    pub ballot: Ballot,
    /// Counts the writes: of two good copies the later one counts.
    generation: u64,
}

/// What the two copies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The identity that `init` gives a new voter.
    #[must_use]
    pub fn founded(cluster: ClusterId, me: Member) -> Meta {
        let ballot = Ballot { epoch: Epoch::NONE, voted_for: None, standing: Standing::Settled };
        Meta { cluster, me, boots: 0, ballot, generation: 0 }
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
                (FoundMeta::Good(known), Some(meta)) if known.generation >= meta.generation => found,
                (_, Some(meta)) => FoundMeta::Good(meta),
                (FoundMeta::Good(_), None) => found,
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

    /// Makes this the meta of the directory: one copy, synced, then the other, synced.
    ///
    /// # Errors
    /// If a copy cannot be made durable. Nothing may then be promised with it.
    pub fn write(&self, disk: &Disk) -> Result<(), DiskError> {
        let bytes = self.encode();
        if Mutant::CountsUnsyncedBallot.is_active() {
            return COPIES.iter().try_for_each(|name| disk.note(name, &bytes));
        }
        if Mutant::WritesOneBallotCopy.is_active() && self.boots > 0 {
            return disk.overwrite(COPIES[0], &bytes);
        }
        COPIES.iter().try_for_each(|name| disk.overwrite(name, &bytes))
    }

    /// The next meta of the directory, with this ballot.
    #[must_use]
    pub fn with_ballot(&self, ballot: Ballot) -> Meta {
        Meta { ballot, generation: self.generation + 1, ..*self }
    }

    /// The next meta of a process that starts with this ballot: one start more.
    #[must_use]
    pub fn started_again(&self, ballot: Ballot) -> Meta {
        Meta { boots: self.boots + 1, ..self.with_ballot(ballot) }
    }

    fn encode(&self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, GENERATION, &self.generation.to_le_bytes());
        put(&mut bytes, CLUSTER, &self.cluster.0.to_le_bytes());
        put(&mut bytes, INCARNATION, &self.me.incarnation.0.to_le_bytes());
        put(&mut bytes, BOOTS, &self.boots.to_le_bytes());
        put(&mut bytes, EPOCH, &self.ballot.epoch.0.to_le_bytes());
        VOTE.put(&mut bytes, self.ballot.voted_for);
        put(&mut bytes, ID, &self.me.id.0.to_le_bytes());
        put_standing(&mut bytes, self.ballot.standing);
        let checksum = checksum(&bytes);
        bytes[CHECKSUM..GENERATION].copy_from_slice(&checksum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Meta> {
        let bytes: &[u8; META_BYTES] = bytes.try_into().ok()?;
        let whole = bytes[..8] == MAGIC && bytes[CHECKSUM..GENERATION] == checksum(bytes);
        if !whole || bytes[USED..].iter().any(|&byte| byte != 0) {
            return None;
        }
        Some(Meta {
            cluster: ClusterId(u128_at(bytes, CLUSTER)),
            me: Member { id: MemberId(u16_at(bytes, ID)), incarnation: incarnation_at(bytes, INCARNATION) },
            boots: u64_at(bytes, BOOTS),
            ballot: Ballot {
                epoch: Epoch(u64_at(bytes, EPOCH)),
                voted_for: VOTE.get(bytes),
                standing: standing_at(bytes)?,
            },
            generation: u64_at(bytes, GENERATION),
        })
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
        Ok(Some(bytes)) => Ok(Meta::decode(&bytes).map_or(Copy::Damaged, Copy::Good)),
        Err(DiskError::TooLong { .. }) => Ok(Copy::Damaged),
        Err(error) => Err(error),
    }
}

/// A ballot on its way to the disk.
#[derive(Clone, Debug)]
pub struct MetaOrder {
    disk: Disk,
    meta: Meta,
}

impl MetaOrder {
    /// An order to write `meta`.
    #[must_use]
    pub fn new(disk: Disk, meta: Meta) -> MetaOrder {
        MetaOrder { disk, meta }
    }

    /// Makes the ballot durable; blocks. The driver then tells `quorum` so.
    ///
    /// # Errors
    /// If the disk fails: the process must end.
    pub fn perform(&self) -> Result<Ballot, DiskError> {
        self.meta.write(&self.disk)?;
        Ok(self.meta.ballot)
    }
}

fn checksum(bytes: &[u8; META_BYTES]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..CHECKSUM]).update(&bytes[GENERATION..]);
    hasher.finalize().as_bytes()[..8].try_into().expect("eight of thirty-two bytes")
}

impl Vote {
    fn put(&self, bytes: &mut [u8; META_BYTES], voted_for: Option<Member>) {
        let Some(Member { id, incarnation }) = voted_for else { return };
        put(bytes, self.incarnation, &incarnation.0.to_le_bytes());
        put(bytes, self.id, &id.0.to_le_bytes());
        put(bytes, self.is_given, &[1]);
    }

    fn get(&self, bytes: &[u8; META_BYTES]) -> Option<Member> {
        let id = MemberId(u16_at(bytes, self.id));
        let incarnation = incarnation_at(bytes, self.incarnation);
        (bytes[self.is_given] == 1).then_some(Member { id, incarnation })
    }
}

fn put_standing(bytes: &mut [u8; META_BYTES], standing: Standing) {
    let doubted = match standing {
        Standing::Settled => return,
        Standing::Amnesiac => return put(bytes, STANDING, &[2]),
        Standing::Unsettled(doubted) => doubted,
    };
    put(bytes, STANDING, &[1]);
    put(bytes, DOUBTED_EPOCH, &doubted.epoch.0.to_le_bytes());
    DOUBTED_VOTE.put(bytes, doubted.voted_for);
    let Tail::Uncertain { frame, at, after, more } = doubted.tail else { return };
    put(bytes, TAIL, &[if frame.is_some() { 2 } else { 1 }]);
    put(bytes, MORE, &[u8::from(more)]);
    put(bytes, AT, &at.0.to_le_bytes());
    put(bytes, AFTER, &after.0.to_le_bytes());
    if let Some(FrameId { epoch, first, last, hash }) = frame {
        put(bytes, FRAME_EPOCH, &epoch.0.to_le_bytes());
        put(bytes, FRAME_FIRST, &first.0.to_le_bytes());
        put(bytes, FRAME_LAST, &last.0.to_le_bytes());
        put(bytes, FRAME_HASH, &hash.0);
    }
}

fn standing_at(bytes: &[u8; META_BYTES]) -> Option<Standing> {
    match bytes[STANDING] {
        0 => return Some(Standing::Settled),
        1 => {}
        2 => return Some(Standing::Amnesiac),
        _ => return None,
    }
    let frame = FrameId {
        epoch: Epoch(u64_at(bytes, FRAME_EPOCH)),
        first: Index(u64_at(bytes, FRAME_FIRST)),
        last: Index(u64_at(bytes, FRAME_LAST)),
        hash: ChainHash(bytes[FRAME_HASH..USED].try_into().expect("32 bytes")),
    };
    let (at, after) = (Index(u64_at(bytes, AT)), Epoch(u64_at(bytes, AFTER)));
    let uncertain = |frame| Tail::Uncertain { frame, at, after, more: bytes[MORE] == 1 };
    let tail = match bytes[TAIL] {
        0 => Tail::Clean,
        1 => uncertain(None),
        2 => uncertain(Some(frame)),
        _ => return None,
    };
    let (epoch, voted_for) = (Epoch(u64_at(bytes, DOUBTED_EPOCH)), DOUBTED_VOTE.get(bytes));
    Some(Standing::Unsettled(Doubted { tail, epoch, voted_for }))
}

fn put(bytes: &mut [u8; META_BYTES], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn u16_at(bytes: &[u8; META_BYTES], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u64_at(bytes: &[u8; META_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u128_at(bytes: &[u8; META_BYTES], at: usize) -> u128 {
    u128::from_le_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}

fn incarnation_at(bytes: &[u8; META_BYTES], at: usize) -> Incarnation {
    Incarnation(u128_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use storage::SimDisk;

    use super::*;

    fn example() -> Meta {
        let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
        let voted_for = Some(Member { id: MemberId(2), incarnation: Incarnation(66) });
        let hash = ChainHash([0x5a; 32]);
        let frame = FrameId { epoch: Epoch(7), first: Index(40), last: Index(44), hash };
        let tail = Tail::Uncertain { frame: Some(frame), at: frame.first, after: Epoch(6), more: true };
        let standing = Standing::Unsettled(Doubted { tail, epoch: Epoch(8), voted_for });
        let ballot = Ballot { epoch: Epoch(9), voted_for, standing };
        Meta::founded(ClusterId(5), me).started_again(ballot)
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
                assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(meta), "{lost} was lost");
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

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = example().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Meta::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn every_standing_is_read_as_it_was_written() {
        let Ballot { epoch, voted_for, standing } = example().ballot;
        let Standing::Unsettled(doubted) = standing else { panic!() };
        let nameless = Tail::Uncertain { frame: None, at: Index(41), after: Epoch(7), more: false };
        let standings = [
            Standing::Settled,
            Standing::Amnesiac,
            standing,
            Standing::Unsettled(Doubted { tail: nameless, voted_for: None, ..doubted }),
            Standing::Unsettled(Doubted { tail: Tail::Clean, ..doubted }),
        ];
        for standing in standings {
            let meta = example().with_ballot(Ballot { epoch, voted_for, standing });
            assert_eq!(Meta::decode(&meta.encode()), Some(meta));
        }
    }

    #[test]
    fn the_later_copy_counts() {
        let machine = SimDisk::new(1);
        let disk = machine.disk();
        let older = example();
        older.write(&disk).unwrap();
        let later =
            older.with_ballot(Ballot { epoch: Epoch(10), voted_for: None, standing: Standing::Settled });
        disk.overwrite(COPIES[0], &later.encode()).unwrap();
        assert_eq!(Meta::read(&disk).unwrap(), FoundMeta::Good(later));
    }
}
