use std::time::Duration;

use position::{Epoch, Position};
use proptest::prelude::*;

use super::header::{BODY_BYTES_AT, ENTRIES_AT, FIRST_INDEX_AT, HEADER_CHECKSUM_AT, PREVIOUS_HASH_AT};
use super::*;
use crate::entry::EntryKind;
use crate::{Sequence, SessionId};

fn command(payload: &[u8]) -> Entry<'_> {
    Entry {
        kind: EntryKind::Command,
        session: SessionId(1),
        sequence: Sequence(2),
        lowest_unacknowledged: Sequence(2),
        payload,
    }
}

fn stamp(previous: Tip) -> Stamp {
    Stamp {
        previous,
        epoch: Epoch(3),
        commit: previous.index(),
        cluster_time: Duration::from_millis(17),
        wall_time: -5,
    }
}

fn build(previous: Tip, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    payloads.iter().for_each(|payload| builder.push(&command(payload)).unwrap());
    builder.seal(&stamp(previous)).bytes().to_vec()
}

fn somewhere() -> Tip {
    Tip { position: Position::new(Epoch(2), Index(40)), hash: ChainHash([7; 32]) }
}

/// Builds a frame and reads it back.
#[track_caller]
fn check(payloads: &[Vec<u8>]) {
    let bytes = build(somewhere(), payloads);
    let frame = Frame::verify(&bytes).unwrap();
    assert_eq!(frame.bytes(), bytes);
    assert!(bytes.len().is_multiple_of(FRAME_ALIGNMENT) && bytes.len() <= FRAME_BYTES_MAX);
    assert!(frame.follows(&somewhere()));
    assert_eq!(frame.tip().index(), Index(40 + payloads.len() as u64));
    assert_eq!(frame.header().cluster_time, Duration::from_millis(17));
    assert_eq!((frame.header().commit, frame.header().wall_time), (Index(40), -5));
    assert_eq!(frame.header().zero_blocks, zero_blocks(&bytes[FRAME_HEADER_BYTES..]));
    let read: Vec<_> = frame.entries().map(|(index, entry)| (index.0, entry)).collect();
    let expected: Vec<_> = (41..).zip(payloads.iter().map(|payload| command(payload))).collect();
    assert_eq!(read, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_built_is_read(payloads in prop::collection::vec(prop::collection::vec(0..4_u8, 0..300), 1..20)) {
        check(&payloads);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Frame::verify(&bytes).is_err());
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = build(somewhere(), &[vec![1; 100], vec![2; 300]]);
    for length in 0..bytes.len() {
        let error = Frame::verify(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, FrameError::Cut { available, .. } if available == length),
            "{length}: {error}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = build(somewhere(), &[vec![1; 100], vec![0; 300]]);
    let id = Frame::verify(&good).unwrap().id();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // What is wrong below the header must not cost the frame its identity.
        let expected =
            if bit / 8 < FRAME_HEADER_BYTES { FrameError::Header } else { FrameError::Body { id } };
        assert_eq!(Frame::verify(&bytes).unwrap_err(), expected, "bit {bit}");
    }
}

#[test]
fn a_right_checksum_does_not_make_absurd_numbers_right() {
    let good = build(somewhere(), &[vec![1; 100]]);
    let absurd: [(usize, &[u8]); 5] = [
        (BODY_BYTES_AT, &u32::MAX.to_le_bytes()),
        (ENTRIES_AT, &0_u32.to_le_bytes()),
        (ENTRIES_AT, &u32::MAX.to_le_bytes()),
        (FIRST_INDEX_AT, &0_u64.to_le_bytes()),
        (FIRST_INDEX_AT, &u64::MAX.to_le_bytes()),
    ];
    for (at, value) in absurd {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        let checksum =
            checksum_of(&[&bytes[..HEADER_CHECKSUM_AT], &bytes[PREVIOUS_HASH_AT..FRAME_HEADER_BYTES]]);
        bytes[HEADER_CHECKSUM_AT..PREVIOUS_HASH_AT].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Frame::verify(&bytes).unwrap_err(), FrameError::Header, "{value:?} at {at}");
    }
}

#[test]
fn entries_laid_out_by_a_client_are_taken_as_they_are() {
    let mut laid_out = Vec::new();
    command(b"one").write(&mut laid_out).unwrap();
    command(b"two").write(&mut laid_out).unwrap();
    let mut builder = FrameBuilder::new();
    builder.push(&Entry::internal(EntryKind::Noop, b"")).unwrap();
    builder.push_all(&Entries::check(&laid_out).unwrap()).unwrap();
    let frame = builder.seal(&stamp(Tip::NONE));
    let payloads: Vec<_> = frame.entries().map(|(_, entry)| entry.payload).collect();
    assert_eq!(payloads, [&b""[..], b"one", b"two"]);
    assert_eq!(frame.tip().index(), Index(3));
}

#[test]
fn a_full_frame_refuses_more_and_stays_whole() {
    let mut builder = FrameBuilder::new();
    let large = vec![1; crate::PAYLOAD_BYTES_MAX];
    while builder.push(&command(&large)).is_ok() {}
    let entries = builder.entries();
    let room = builder.room();
    assert_eq!(builder.push(&command(&large)), Err(FrameFull { bytes: command(&large).bytes(), room }));
    let frame = builder.seal(&stamp(Tip::NONE));
    assert!(frame.bytes().len() <= FRAME_BYTES_MAX);
    assert_eq!(Frame::verify(frame.bytes()).unwrap().header().entries, entries);
}

#[test]
fn a_builder_keeps_its_memory() {
    let mut builder = FrameBuilder::new();
    let mut places = Vec::new();
    for round in 0..3 {
        builder.clear();
        (0..1000).for_each(|_| builder.push(&command(&[round; 100])).unwrap());
        let frame = builder.seal(&stamp(Tip::NONE));
        assert_eq!(frame.header().entries, 1000);
        places.push(frame.bytes().as_ptr());
    }
    assert_eq!(places[1], places[2], "the second thousand entries needed other memory than the first");
}

#[test]
fn a_chain_of_frames_is_verified_link_by_link() {
    let first = build(Tip::NONE, &[vec![1; 10]]);
    let tip = Frame::verify(&first).unwrap().tip();
    let second = build(tip, &[vec![2; 10], vec![3; 10]]);
    let both = [first.clone(), second.clone()].concat();
    let ends: Vec<_> = UnverifiedFrames::new(&both).map(|frame| frame.unwrap().tip().index()).collect();
    assert_eq!(ends, [Index(1), Index(3)]);

    let swapped = [second.clone(), first.clone()].concat();
    let results: Vec<_> = UnverifiedFrames::new(&swapped).collect();
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(FrameError::Unchained { .. })));
    assert_eq!(results.len(), 2, "nothing is read behind an error");

    let mut elsewhere = UnverifiedFrames::after(Tip::NONE, &second);
    assert!(matches!(elsewhere.next(), Some(Err(FrameError::Unchained { .. }))));
}

#[test]
fn epochs_never_fall_along_a_chain() {
    let later = Tip { position: Position::new(Epoch(4), Index::NONE), hash: ChainHash::NONE };
    let bytes = build(Tip::NONE, &[vec![1]]);
    let frame = Frame::verify(&bytes).unwrap();
    assert!(frame.follows(&Tip::NONE) && !frame.follows(&later));
}
