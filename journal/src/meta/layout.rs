//! The bytes of one copy; the tables stand in `docs/format/journal.md`.

use position::{
    Amnesia, Ballot, ChainHash, ClusterId, Doubted, Epoch, FrameId, Incarnation, Index, KnownPeer, Member,
    MemberId, Memory, ProcessNumber, Standing, Started, Tail, Vote,
};

use super::Meta;
use crate::{Generation, SegmentKind, SegmentName};

const MAGIC: [u8; 8] = *b"PVMETA01";

/// Room for what later versions note too. A power cut may tear a copy of several sectors: its checksum covers all of
/// it, and the other copy is whole.
pub(super) const META_BYTES: usize = 2048;

/// The length of a copy before peers were remembered.
const FIRST_BYTES: usize = 512;

type Bytes = [u8; META_BYTES];

const CHECKSUM: usize = 8;
const GENERATION: usize = 16;
const CLUSTER: usize = 24;
const INCARNATION: usize = 40;
const BOOTS: usize = 56;
const EPOCH: usize = 64;
const VOTED_INCARNATION: usize = 72;
const ID: usize = 88;
const VOTED_ID: usize = 90;
const HAS_VOTED: usize = 92;
const STANDING: usize = 93;
const TAIL: usize = 94;
const MORE: usize = 95;
const AT: usize = 96;
const AFTER: usize = 104;
const DOUBTED_EPOCH: usize = 112;
const VOTED_PROCESS: usize = 120;
const LIST: usize = 128;
const NEWEST_FIRST: usize = 136;
const NEWEST_GENERATION: usize = 144;
const PROCESS_COUNT: usize = 148;
const PEER_COUNT: usize = 149;
const AMNESIA: usize = 150;
const FRAME_EPOCH: usize = 152;
const FRAME_FIRST: usize = 160;
const FRAME_LAST: usize = 168;
const FRAME_HASH: usize = 176;
const PROCESSES: usize = 208;
const PEERS: usize = 384;
const PEER_BYTES: usize = 64;

// Within a peer.
const PEER_INCARNATION: usize = 0;
const PEER_BOOTS: usize = 16;
const PEER_PROCESS: usize = 24;
const PEER_EPOCH: usize = 32;
const PEER_ID: usize = 40;

const _: () = assert!(PROCESSES + 8 * Meta::PROCESSES_MAX <= PEERS);
const _: () = assert!(PEERS + PEER_BYTES * Memory::PEERS_MAX <= META_BYTES);

pub(super) fn encode(meta: &Meta) -> Bytes {
    let mut bytes = [0; META_BYTES];
    put(&mut bytes, 0, &MAGIC);
    put_u64(&mut bytes, GENERATION, meta.generation);
    put(&mut bytes, CLUSTER, &meta.cluster.0.to_le_bytes());
    put(&mut bytes, INCARNATION, &meta.me.incarnation.0.to_le_bytes());
    put_u64(&mut bytes, BOOTS, meta.boots);
    put(&mut bytes, ID, &meta.me.id.0.to_le_bytes());
    put_ballot(&mut bytes, &meta.ballot);
    put_u64(&mut bytes, LIST, meta.list);
    if let Some(newest) = meta.newest_segment {
        put_u64(&mut bytes, NEWEST_FIRST, newest.first.0);
        put(&mut bytes, NEWEST_GENERATION, &newest.generation.0.to_le_bytes());
    }
    let count = |count: usize, max: usize| {
        assert!(count <= max, "{count} do not fit where there is room for {max}");
        [u8::try_from(count).expect("at most 16")]
    };
    put(&mut bytes, PROCESS_COUNT, &count(meta.processes.len(), Meta::PROCESSES_MAX));
    for (at, process) in (PROCESSES..).step_by(8).zip(&meta.processes) {
        put_u64(&mut bytes, at, process.0);
    }
    put(&mut bytes, PEER_COUNT, &count(meta.peers.len(), Memory::PEERS_MAX));
    for (at, peer) in (PEERS..).step_by(PEER_BYTES).zip(&meta.peers) {
        put_peer(&mut bytes, at, peer);
    }
    let checksum = checksum(&bytes);
    put(&mut bytes, CHECKSUM, &checksum);
    bytes
}

/// `None`: damaged. Every byte that means nothing must be zero, so that what is read is what would be written.
pub(super) fn decode(bytes: &[u8]) -> Option<Meta> {
    if bytes.get(..8)? != MAGIC || bytes.get(CHECKSUM..GENERATION)? != checksum(bytes) {
        return None;
    }
    let widened;
    let bytes: &Bytes = match bytes.len() {
        FIRST_BYTES => {
            widened = widen(bytes)?;
            &widened
        }
        _ => bytes.try_into().ok()?,
    };
    let (processes, peers) = (usize::from(bytes[PROCESS_COUNT]), usize::from(bytes[PEER_COUNT]));
    if processes > Meta::PROCESSES_MAX || peers > Memory::PEERS_MAX {
        return None;
    }
    let newest = SegmentName {
        first: Index(u64_at(bytes, NEWEST_FIRST)),
        generation: Generation(u32::from_le_bytes(array_at(bytes, NEWEST_GENERATION))),
        kind: SegmentKind::Journal,
    };
    let meta = Meta {
        cluster: ClusterId(u128::from_le_bytes(array_at(bytes, CLUSTER))),
        me: member_at(bytes, INCARNATION, ID),
        boots: u64_at(bytes, BOOTS),
        processes: (0..processes).map(|at| ProcessNumber(u64_at(bytes, PROCESSES + 8 * at))).collect(),
        ballot: ballot_at(bytes)?,
        peers: (0..peers).map(|at| peer_at(bytes, PEERS + PEER_BYTES * at)).collect(),
        newest_segment: (newest.first > Index::NONE).then_some(newest),
        list: u64_at(bytes, LIST),
        generation: u64_at(bytes, GENERATION),
    };
    (encode(&meta) == *bytes).then_some(meta)
}

fn put_ballot(bytes: &mut Bytes, ballot: &Ballot) {
    put_u64(bytes, EPOCH, ballot.epoch.0);
    if let Some(Vote { candidate, process }) = ballot.voted_for {
        put(bytes, VOTED_INCARNATION, &candidate.incarnation.0.to_le_bytes());
        put(bytes, VOTED_ID, &candidate.id.0.to_le_bytes());
        put(bytes, HAS_VOTED, &[1]);
        put_u64(bytes, VOTED_PROCESS, process.0);
    }
    let doubted = match ballot.standing {
        Standing::Settled => return,
        Standing::Amnesiac(amnesia) => {
            let cause = match amnesia {
                Amnesia::OldBallot => 1,
                Amnesia::Copied => 2,
                Amnesia::Superseded => 3,
            };
            put(bytes, STANDING, &[2]);
            return put(bytes, AMNESIA, &[cause]);
        }
        Standing::Removed => return put(bytes, STANDING, &[3]),
        Standing::Unsettled(doubted) => doubted,
    };
    put(bytes, STANDING, &[1]);
    put_u64(bytes, DOUBTED_EPOCH, doubted.epoch.0);
    let Tail::Uncertain { frame, at, after, more } = doubted.tail else { return };
    put(bytes, TAIL, &[if frame.is_some() { 2 } else { 1 }]);
    put(bytes, MORE, &[u8::from(more)]);
    put_u64(bytes, AT, at.0);
    put_u64(bytes, AFTER, after.0);
    if let Some(FrameId { epoch, first, last, hash }) = frame {
        put_u64(bytes, FRAME_EPOCH, epoch.0);
        put_u64(bytes, FRAME_FIRST, first.0);
        put_u64(bytes, FRAME_LAST, last.0);
        put(bytes, FRAME_HASH, &hash.0);
    }
}

fn ballot_at(bytes: &Bytes) -> Option<Ballot> {
    let candidate = member_at(bytes, VOTED_INCARNATION, VOTED_ID);
    let vote = Vote { candidate, process: ProcessNumber(u64_at(bytes, VOTED_PROCESS)) };
    let standing = match bytes[STANDING] {
        0 => Standing::Settled,
        1 => Standing::Unsettled(doubted_at(bytes)?),
        2 if bytes[AMNESIA] == 1 => Standing::Amnesiac(Amnesia::OldBallot),
        2 if bytes[AMNESIA] == 2 => Standing::Amnesiac(Amnesia::Copied),
        2 if bytes[AMNESIA] == 3 => Standing::Amnesiac(Amnesia::Superseded),
        3 => Standing::Removed,
        _ => return None,
    };
    let voted_for = (bytes[HAS_VOTED] == 1).then_some(vote);
    Some(Ballot { epoch: Epoch(u64_at(bytes, EPOCH)), voted_for, standing })
}

fn doubted_at(bytes: &Bytes) -> Option<Doubted> {
    let frame = FrameId {
        epoch: Epoch(u64_at(bytes, FRAME_EPOCH)),
        first: Index(u64_at(bytes, FRAME_FIRST)),
        last: Index(u64_at(bytes, FRAME_LAST)),
        hash: ChainHash(array_at(bytes, FRAME_HASH)),
    };
    let (at, after) = (Index(u64_at(bytes, AT)), Epoch(u64_at(bytes, AFTER)));
    let uncertain = |frame| Tail::Uncertain { frame, at, after, more: bytes[MORE] == 1 };
    let tail = match bytes[TAIL] {
        0 => Tail::Clean,
        1 => uncertain(None),
        2 => uncertain(Some(frame)),
        _ => return None,
    };
    Some(Doubted { tail, epoch: Epoch(u64_at(bytes, DOUBTED_EPOCH)) })
}

fn put_peer(bytes: &mut Bytes, at: usize, peer: &KnownPeer) {
    put(bytes, at + PEER_INCARNATION, &peer.member.incarnation.0.to_le_bytes());
    put_u64(bytes, at + PEER_BOOTS, peer.latest.boots);
    put_u64(bytes, at + PEER_PROCESS, peer.latest.process.0);
    put_u64(bytes, at + PEER_EPOCH, peer.epoch.0);
    put(bytes, at + PEER_ID, &peer.member.id.0.to_le_bytes());
}

fn peer_at(bytes: &Bytes, at: usize) -> KnownPeer {
    let (boots, process) = (u64_at(bytes, at + PEER_BOOTS), u64_at(bytes, at + PEER_PROCESS));
    KnownPeer {
        member: member_at(bytes, at + PEER_INCARNATION, at + PEER_ID),
        latest: Started { boots, process: ProcessNumber(process) },
        epoch: Epoch(u64_at(bytes, at + PEER_EPOCH)),
    }
}

/// A copy as it was laid out before peers were remembered. Its doubt is of no use: it names no newest segment.
fn widen(bytes: &[u8]) -> Option<Bytes> {
    let mut wide = [0; META_BYTES];
    wide[..TAIL].copy_from_slice(bytes.get(..TAIL)?);
    if bytes[STANDING] != 0 {
        // What was in doubt stands elsewhere there. Whoever then counts only once it is taken in anew loses nothing.
        (wide[STANDING], wide[AMNESIA]) = (2, 1);
    }
    let sum = checksum(&wide);
    put(&mut wide, CHECKSUM, &sum);
    Some(wide)
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..CHECKSUM]).update(&bytes[GENERATION..]);
    hasher.finalize().as_bytes()[..8].try_into().expect("eight of thirty-two bytes")
}

fn put(bytes: &mut Bytes, at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn put_u64(bytes: &mut Bytes, at: usize, value: u64) {
    put(bytes, at, &value.to_le_bytes());
}

fn array_at<const N: usize>(bytes: &Bytes, at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

fn u64_at(bytes: &Bytes, at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn member_at(bytes: &Bytes, incarnation: usize, id: usize) -> Member {
    let incarnation = Incarnation(u128::from_le_bytes(array_at(bytes, incarnation)));
    Member { id: MemberId(u16::from_le_bytes(array_at(bytes, id))), incarnation }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Meta {
        let me = Member { id: MemberId(3), incarnation: Incarnation(77) };
        let candidate = Member { id: MemberId(2), incarnation: Incarnation(66) };
        let hash = ChainHash([0x5a; 32]);
        let frame = FrameId { epoch: Epoch(7), first: Index(40), last: Index(44), hash };
        let tail = Tail::Uncertain { frame: Some(frame), at: frame.first, after: Epoch(6), more: true };
        let standing = Standing::Unsettled(Doubted { tail, epoch: Epoch(8) });
        let voted_for = Some(Vote { candidate, process: ProcessNumber(21) });
        let ballot = Ballot { epoch: Epoch(9), voted_for, standing };
        let peer = |id| KnownPeer {
            member: Member { id: MemberId(id), incarnation: Incarnation(60 + u128::from(id)) },
            latest: Started { boots: u64::from(id), process: ProcessNumber(30 + u64::from(id)) },
            epoch: Epoch(9),
        };
        Meta {
            boots: 4,
            processes: (1..=16).map(ProcessNumber).collect(),
            peers: (1..=16).map(peer).collect(),
            newest_segment: Some(SegmentName::journal(Index(500), Generation(3))),
            list: 2,
            ..Meta::founded(ClusterId(5), me).started_again(ballot, ProcessNumber(1))
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(&example());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn every_standing_is_read_as_it_was_written() {
        let Ballot { epoch, voted_for, standing } = example().ballot;
        let Standing::Unsettled(doubted) = standing else { panic!() };
        let nameless = Tail::Uncertain { frame: None, at: Index(41), after: Epoch(7), more: false };
        let standings = [
            Standing::Settled,
            Standing::Amnesiac(Amnesia::OldBallot),
            Standing::Amnesiac(Amnesia::Copied),
            Standing::Amnesiac(Amnesia::Superseded),
            Standing::Removed,
            standing,
            Standing::Unsettled(Doubted { tail: nameless, ..doubted }),
            Standing::Unsettled(Doubted { tail: Tail::Clean, ..doubted }),
        ];
        for standing in standings {
            let meta = Meta { ballot: Ballot { epoch, voted_for, standing }, ..example() };
            assert_eq!(decode(&encode(&meta)), Some(meta));
        }
    }

    #[test]
    fn everything_is_read_as_it_was_written() {
        let bare = Meta { processes: Vec::new(), peers: Vec::new(), newest_segment: None, ..example() };
        for meta in [example(), bare] {
            assert_eq!(decode(&encode(&meta)), Some(meta));
        }
    }

    #[test]
    fn what_the_checksum_covers_is_still_not_believed_blindly() {
        let sealed = |at: usize, byte: u8| {
            let mut bytes = encode(&example());
            bytes[at] = byte;
            let checksum = checksum(&bytes);
            put(&mut bytes, CHECKSUM, &checksum);
            bytes
        };
        for (at, byte) in
            [(PROCESS_COUNT, 17), (PEER_COUNT, 17), (STANDING, 3), (TAIL, 3), (META_BYTES - 1, 1)]
        {
            assert_eq!(decode(&sealed(at, byte)), None, "byte {at}");
        }
        for end in 0..META_BYTES {
            assert_eq!(decode(&encode(&example())[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn a_copy_from_before_peers_were_remembered_is_read() {
        let mut old = encode(&example())[..FIRST_BYTES].to_vec();
        old[TAIL..].fill(0);
        for (standing, expected) in [(0, Standing::Settled), (1, Standing::Amnesiac(Amnesia::OldBallot))] {
            old[STANDING] = standing;
            let sum = checksum(&old);
            old[CHECKSUM..GENERATION].copy_from_slice(&sum);
            let read = decode(&old).unwrap();
            assert_eq!(
                (read.me, read.boots, read.ballot.epoch),
                (example().me, example().boots, example().ballot.epoch)
            );
            assert_eq!((read.ballot.standing, read.peers.len(), read.newest_segment), (expected, 0, None));
            old[BOOTS] ^= 1;
            assert_eq!(decode(&old), None, "damaged");
            old[BOOTS] ^= 1;
        }
    }
}
