//! Rot, torn and missing bytes: each gets the verdict that `docs/protocol.md` prescribes.

use position::{Epoch, FrameId, History, Index, Tail};

use storage::Damage;

use super::super::{Journal, JournalError, Recovered};
use super::rig::{Filling, PLAIN, Rig};
use crate::frame::{FRAME_HEADER_BYTES, Frame};

/// Larger than two sectors, so that one of them can be missing.
const LARGE: Filling = Filling { entries: 1, payload_bytes: 2000, byte: 0xaa };

fn id_of(rig: &Rig, index: u64) -> FrameId {
    let (_, bytes) = rig.model.frames.iter().find(|(tip, _)| tip.index() == Index(index)).unwrap();
    Frame::verify(bytes).unwrap().id()
}

fn bytes_of(rig: &Rig, index: u64) -> Vec<u8> {
    rig.model.frames.iter().find(|(tip, _)| tip.index() == Index(index)).unwrap().1.clone()
}

/// A journal of durable frames, then of as many that were never synced, all of them whole on the disk.
fn rig(durable: usize, unsynced: usize) -> Rig {
    let mut rig = Rig::with_frames(1, durable);
    (0..unsynced).for_each(|_| rig.append_knowing(Index(0), LARGE).unwrap());
    rig
}

fn rot(rig: &Rig, index: u64, within: u64) {
    let (file, offset) = rig.place_of(index);
    rig.machine.rot(&file, offset + within, 0x10);
}

/// Zeroes a whole sector within a frame's body.
fn lose_sector(rig: &Rig, index: u64) {
    let (file, offset) = rig.place_of(index);
    rig.machine.zero_sector(&file, (offset + FRAME_HEADER_BYTES as u64).div_ceil(512));
}

/// Zeroes the end of the sector that a frame's header lies in, as if the sector had stayed as it was
/// before.
fn lose_header(rig: &Rig, index: u64) {
    let (file, offset) = rig.place_of(index);
    let bytes = rig.machine.bytes_of(&file).unwrap();
    for at in offset..(offset + 1).next_multiple_of(512) {
        let byte = bytes[usize::try_from(at).unwrap()];
        if byte != 0 {
            rig.machine.rot(&file, at, byte);
        }
    }
}

#[track_caller]
fn check(recovered: &Recovered, last: u64, tail: Tail, damages: &[FrameId]) {
    assert_eq!(recovered.tail, tail);
    assert_eq!(recovered.journal.last().index(), Index(last));
    assert_eq!(recovered.journal.damages().map(|damage| damage.id).collect::<Vec<_>>(), damages);
}

#[test]
fn a_last_frame_with_a_missing_sector_is_torn() {
    let mut rig = rig(3, 1);
    let frame = Some(id_of(&rig, 4));
    lose_sector(&rig, 4);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Torn { frame, at: Index(4), after: Epoch(1) }, &[]);
}

#[test]
fn a_last_frame_without_its_header_is_torn() {
    let mut rig = rig(3, 1);
    lose_header(&rig, 4);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Torn { frame: None, at: Index(4), after: Epoch(1) }, &[]);
}

#[test]
fn what_follows_a_torn_frame_was_not_synced_either() {
    let mut rig = rig(3, 2);
    let frame = Some(id_of(&rig, 4));
    lose_sector(&rig, 4);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Torn { frame, at: Index(4), after: Epoch(1) }, &[]);
}

#[test]
fn a_last_frame_with_a_wrong_byte_is_uncertain() {
    let mut rig = rig(3, 1);
    let frame = Some(id_of(&rig, 4));
    rot(&rig, 4, 700);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Uncertain { frame, at: Index(4), after: Epoch(1), more: false }, &[]);
}

#[test]
fn a_last_frame_with_a_wrong_header_has_lost_its_identity() {
    let mut rig = rig(3, 1);
    rot(&rig, 4, 20);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Uncertain { frame: None, at: Index(4), after: Epoch(1), more: false }, &[]);
}

#[test]
fn zeros_in_a_payload_are_no_sign_of_a_missing_sector() {
    let mut rig = Rig::with_frames(1, 3);
    rig.append(Filling { byte: 0, ..LARGE }).unwrap();
    rot(&rig, 4, FRAME_HEADER_BYTES as u64 + 20);
    let frame = Some(id_of(&rig, 4));
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Uncertain { frame, at: Index(4), after: Epoch(1), more: false }, &[]);
}

#[test]
fn two_bad_frames_at_the_end_leave_more_in_doubt() {
    let mut rig = rig(3, 2);
    let frame = Some(id_of(&rig, 4));
    rot(&rig, 4, 700);
    rot(&rig, 5, 700);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Uncertain { frame, at: Index(4), after: Epoch(1), more: true }, &[]);
}

#[test]
fn below_the_mark_nothing_is_torn() {
    let mut rig = rig(3, 1);
    rig.sync().unwrap();
    lose_sector(&rig, 4);
    let damaged = id_of(&rig, 4);
    let recovered = rig.crash();
    check(&recovered, 4, Tail::Clean, &[damaged]);
}

/// The mark is written without a sync. But the first order after a segment is full syncs it as well.
#[test]
fn a_full_segment_stays_below_the_mark() {
    for seed in 0..10 {
        let mut rig = Rig::new(seed);
        rig.append_knowing(Index(0), LARGE).unwrap();
        rig.sync().unwrap();
        (0..6).for_each(|_| rig.append_knowing(Index(0), LARGE).unwrap());
        rig.sync().unwrap();
        rig.machine.power_cut();
        lose_sector(&rig, 1);
        let damaged = id_of(&rig, 1);
        let recovered = rig.open();
        assert_eq!(recovered.journal.damages().map(|damage| damage.id).collect::<Vec<_>>(), [damaged]);
    }
}

#[test]
fn after_a_clean_stop_nothing_is_torn() {
    let mut rig = rig(3, 1);
    let mut journal = rig.journal.take().unwrap();
    journal.stop_clean().unwrap();
    lose_sector(&rig, 4);
    let damaged = id_of(&rig, 4);
    let recovered = rig.crash();
    check(&recovered, 4, Tail::Clean, &[damaged]);
}

#[test]
fn without_a_mark_nothing_is_torn() {
    let mut rig = rig(3, 1);
    lose_sector(&rig, 4);
    rig.machine.rot("mark", 30, 1);
    let frame = Some(id_of(&rig, 4));
    let expected = Tail::Uncertain { frame, at: Index(4), after: Epoch(1), more: false };
    check(&rig.crash(), 3, expected, &[]);
    check(&rig.crash(), 3, expected, &[]);
}

/// The verdict must not change by being asked for: what is in doubt stays so over restarts.
#[test]
fn a_doubt_outlives_a_restart() {
    let mut rig = rig(3, 1);
    lose_sector(&rig, 4);
    let frame = Some(id_of(&rig, 4));
    for _ in 0..3 {
        let mut recovered = rig.crash();
        check(&recovered, 3, Tail::Torn { frame, at: Index(4), after: Epoch(1) }, &[]);
        recovered.journal.ticket().note_mark();
        recovered.journal.stop_clean().unwrap();
    }
}

#[test]
fn what_is_committed_is_never_torn() {
    let mut rig = rig(3, 1);
    rig.append_knowing(Index(4), LARGE).unwrap();
    lose_sector(&rig, 4);
    let damaged = id_of(&rig, 4);
    check(&rig.crash(), 5, Tail::Clean, &[damaged]);
}

#[test]
fn a_bad_frame_that_a_good_one_names_is_damage() {
    let mut rig = rig(3, 2);
    rot(&rig, 4, 700);
    let damaged = id_of(&rig, 4);
    check(&rig.crash(), 5, Tail::Clean, &[damaged]);
}

#[test]
fn a_lost_header_below_the_mark_is_found_out_by_what_follows() {
    let mut rig = Rig::with_frames(1, 12);
    rot(&rig, 8, 20);
    let damaged = id_of(&rig, 8);
    check(&rig.crash(), 12, Tail::Clean, &[damaged]);
}

/// A payload can hold anything, a piece of a journal for instance.
#[test]
fn what_only_looks_like_a_frame_is_not_followed() {
    let mut rig = Rig::with_frames(1, 3);
    let forged = super::rig::build(super::rig::elsewhere(1, 7), Epoch(1), Index(0), PLAIN);
    let mut builder = crate::FrameBuilder::new();
    // Such that the forged frame starts where a frame may start.
    let mut payload = vec![1; 96];
    payload.extend(forged);
    builder.push(&crate::Entry::internal(crate::EntryKind::Members, &payload)).unwrap();
    let stamp = crate::Stamp {
        previous: rig.model.last(),
        epoch: Epoch(1),
        commit: Index(0),
        cluster_time: std::time::Duration::ZERO,
        wall_time: 0,
    };
    let bytes = builder.seal(&stamp).bytes().to_vec();
    let frame = Frame::verify(&bytes).unwrap();
    assert!(Frame::verify(&bytes[256..]).is_ok(), "the forged frame lies where one may start");
    rig.journal().append(&frame).unwrap();
    rig.journal().ticket().write().unwrap();
    rig.model.frames.push((frame.tip(), bytes.clone()));
    rot(&rig, 4, 20);
    let recovered = rig.crash();
    check(&recovered, 3, Tail::Uncertain { frame: None, at: Index(4), after: Epoch(1), more: true }, &[]);
}

#[test]
fn damage_is_mended_by_the_same_frame_only() {
    let mut rig = Rig::with_frames(1, 12);
    rot(&rig, 8, 300);
    let mut recovered = rig.crash();
    recovered.journal.sizes = super::rig::SMALL;
    let journal = &mut recovered.journal;
    let error = journal.read_frame(Index(8)).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    let kept = journal.frames_between(Index(0), Index(7));
    assert_eq!(journal.frames_between(Index(0), Index(12)).len(), kept.len(), "the row ends at the damage");

    for wrong in [7, 9, 12] {
        let error = journal.repair(&bytes_of(&rig, wrong)).unwrap_err();
        assert!(matches!(error, JournalError::NotWanted { .. }), "{error}");
    }
    let mut forged = bytes_of(&rig, 8);
    forged[300] ^= 1;
    assert!(matches!(journal.repair(&forged).unwrap_err(), JournalError::BadCopy(_)));

    journal.repair(&bytes_of(&rig, 8)).unwrap();
    assert_eq!(journal.damages().count(), 0);
    rig.journal = Some(recovered.journal);
    rig.check();
    rig.append(PLAIN).unwrap();
    rig.sync().unwrap();
    for _ in 0..2 {
        let recovered = rig.power_cut();
        check(&recovered, 13, Tail::Clean, &[]);
        rig.journal = Some(recovered.journal);
        rig.check();
    }
    // The copy goes with what it mends.
    rig.compact(rig.model.last());
    rig.reset(rig.model.last()).unwrap();
    rig.sync().unwrap();
    let files = rig.machine.disk().list("journal").unwrap();
    assert!(files.iter().all(|file| file.name.ends_with(".journal")), "{files:?}");
}

/// One sector can take several small frames with it.
#[test]
fn several_frames_under_one_lost_sector_are_mended_together() {
    let mut rig = Rig::with_frames(1, 30);
    let small = Filling { payload_bytes: 40, ..PLAIN };
    (0..10).for_each(|_| rig.append(small).unwrap());
    rig.sync().unwrap();
    let (file, offset) = rig.place_of(35);
    rig.machine.zero_sector(&file, offset / 512);
    let mut recovered = rig.crash();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    let damages: Vec<_> = recovered.journal.damages().copied().collect();
    assert!(!damages.is_empty());
    for damage in damages {
        let copies: Vec<u8> =
            (damage.id.first.0..=damage.id.last.0).flat_map(|index| bytes_of(&rig, index)).collect();
        recovered.journal.repair(&copies).unwrap();
    }
    rig.journal = Some(recovered.journal);
    rig.check();
    let recovered = rig.crash();
    check(&recovered, 40, Tail::Clean, &[]);
}

#[test]
fn a_snapshot_that_ends_among_lost_frames_shortens_what_must_be_fetched() {
    let mut rig = Rig::with_frames(1, 30);
    (0..10).for_each(|_| rig.append(Filling { payload_bytes: 40, ..PLAIN }).unwrap());
    rig.sync().unwrap();
    let (file, offset) = rig.place_of(35);
    rig.machine.zero_sector(&file, offset / 512);
    let whole = *rig.crash().journal.damages().find(|damage| damage.id.first < damage.id.last).unwrap();
    rig.model.snapshot = rig.model.frames.iter().find(|(tip, _)| tip.index() == whole.id.first).unwrap().0;
    let mut recovered = rig.crash();
    let rest = *recovered.journal.damages().next().unwrap();
    assert_eq!((rest.after, rest.id.tip()), (rig.model.snapshot, whole.id.tip()));
    assert_eq!(recovered.journal.base(), rig.model.snapshot);
    let copies = (rest.id.first.0..=rest.id.last.0).flat_map(|index| bytes_of(&rig, index));
    recovered.journal.repair(&copies.collect::<Vec<u8>>()).unwrap();
    rig.journal = Some(recovered.journal);
    rig.check();
    let recovered = rig.crash();
    check(&recovered, 40, Tail::Clean, &[]);
}

/// Nobody knows any more where the newer generation began. Frames that it had cut off come to light again, and what
/// lies behind the gap says that its own place for them is committed.
#[test]
fn what_a_lost_file_had_cut_off_does_not_count_again() {
    let mut rig = Rig::with_frames(1, 20);
    (0..3).for_each(|_| rig.append(PLAIN).unwrap());
    rig.sync().unwrap();
    rig.cut_after(Index(21)).unwrap();
    for _ in 0..40 {
        rig.append(PLAIN).unwrap();
        rig.sync().unwrap();
    }
    let (file, _) = rig.place_of(22);
    assert_ne!(file, rig.place_of(21).0);
    assert!(rig.machine.damage(&file, &Damage::Deleted));
    let mut recovered = rig.crash();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    let damages: Vec<_> = recovered.journal.damages().copied().collect();
    // Their headers tell that entry 20 was committed when they were written.
    assert_eq!(damages.iter().map(|damage| damage.id.first).collect::<Vec<_>>(), [Index(21)]);
    for damage in damages {
        let copies: Vec<u8> =
            (damage.id.first.0..=damage.id.last.0).flat_map(|index| bytes_of(&rig, index)).collect();
        recovered.journal.repair(&copies).unwrap();
    }
    rig.journal = Some(recovered.journal);
    rig.check();
}

/// Without the newest segment nobody would know any more what the doubtful frame follows.
#[test]
fn compaction_leaves_the_evidence_of_a_doubt() {
    let mut rig = rig(3, 1);
    rot(&rig, 4, 700);
    let frame = Some(id_of(&rig, 4));
    let tail = Tail::Uncertain { frame, at: Index(4), after: Epoch(1), more: false };
    let recovered = rig.crash();
    rig.model.cut_after(Index(3));
    rig.journal = Some(recovered.journal);
    rig.compact(rig.model.last());
    check(&rig.crash(), 3, tail, &[]);
}

#[test]
fn damage_that_a_snapshot_covers_is_passed_over() {
    let mut rig = Rig::with_frames(1, 12);
    rot(&rig, 8, 300);
    rig.model.snapshot = rig.model.frames[9].0;
    let recovered = rig.crash();
    check(&recovered, 12, Tail::Clean, &[]);
    assert_eq!(recovered.journal.base().index(), Index(8));
}

#[test]
fn a_lost_segment_header_costs_nothing_where_frames_tell_the_same() {
    let mut rig = Rig::with_frames(1, 60);
    for segment in rig.machine.disk().list("journal").unwrap() {
        rig.machine.rot(&format!("journal/{}", segment.name), 40, 1);
    }
    let recovered = rig.crash();
    check(&recovered, 60, Tail::Clean, &[]);
    rig.take(recovered);
    rig.append(PLAIN).unwrap();
    rig.sync().unwrap();
    check(&rig.power_cut(), 61, Tail::Clean, &[]);
}

/// Every byte of a segment flipped, every sector zeroed: the journal opens with the same history or with
/// less of it, and it always knows.
#[test]
fn no_rot_anywhere_goes_unnoticed() {
    let mut reference = Rig::new(1);
    for filling in [PLAIN, Filling { payload_bytes: 20, ..PLAIN }, LARGE, PLAIN] {
        reference.append(filling).unwrap();
    }
    reference.sync().unwrap();
    let image = reference.machine.image();
    let file = reference.machine.disk().list("journal").unwrap()[0].name.clone();
    let name = format!("journal/{file}");
    let written: usize =
        512 + reference.model.frames.iter().take(2).map(|(_, bytes)| bytes.len()).sum::<usize>();
    for offset in (0..written as u64).step_by(3) {
        reference.machine.revert(&image);
        reference.machine.rot(&name, offset, 1 << (offset % 8));
        verify_history(&mut reference, &format!("byte {offset}"));
    }
    for sector in 0..written.div_ceil(512) as u64 {
        reference.machine.revert(&image);
        reference.machine.zero_sector(&name, sector);
        verify_history(&mut reference, &format!("sector {sector}"));
    }
}

fn verify_history(rig: &mut Rig, what: &str) {
    let recovered = rig.open();
    assert_eq!(recovered.tail, Tail::Clean, "{what}: everything was durable");
    assert_eq!(recovered.journal.last(), rig.model.last(), "{what}");
    for (tip, bytes) in &rig.model.frames {
        let damaged = recovered
            .journal
            .damages()
            .any(|damage| damage.id.first <= tip.index() && tip.index() <= damage.id.last);
        match recovered.journal.read_frame(tip.index()) {
            Ok(frame) => assert!(frame.bytes() == bytes && !damaged, "{what}"),
            Err(JournalError::Damaged { .. }) => assert!(damaged, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// Reads everything again that is closed, and deals with what was found. Says how many frames were spoiled, and
/// which of them others must send.
fn scrub(journal: &mut Journal) -> (usize, Vec<FrameId>) {
    let (mut at, mut spoiled, mut wanted) = (Index::NONE, 0, Vec::new());
    while let Some(order) = journal.order_scrub(at, 1024) {
        let scrubbed = order.perform().unwrap();
        assert!(scrubbed.through > at && scrubbed.bytes > 0);
        at = scrubbed.through;
        if let Some(found) = scrubbed.spoiled {
            spoiled += 1;
            wanted.extend(journal.note_spoiled(found));
        }
    }
    (spoiled, wanted)
}

/// The disk itself is read: what memory holds says nothing of it, and mends it.
#[test]
fn what_the_disk_spoils_is_found_and_mended_from_memory() {
    let mut rig = Rig::with_frames(1, 60);
    let closed = rig.journal().order_scrub(Index(0), usize::MAX).is_some();
    assert!(closed && scrub(rig.journal()) == (0, Vec::new()));
    for index in [2, 20, 21, 40] {
        rot(&rig, index, 300);
    }
    assert_eq!(scrub(rig.journal()), (4, Vec::new()));
    rig.check();
    assert_eq!(scrub(rig.journal()), (0, Vec::new()), "the copies are whole");
    let recovered = rig.power_cut();
    check(&recovered, 60, Tail::Clean, &[]);
}

/// With no good copy in memory others are asked, and theirs takes the place.
#[test]
fn what_is_spoiled_in_memory_too_is_wanted_from_others() {
    let mut rig = Rig::with_frames(1, 60);
    rot(&rig, 20, 300);
    let order = rig.journal().order_scrub(Index(19), 1).unwrap();
    let mut found = order.perform().unwrap().spoiled.unwrap();
    found.forget_copy();
    let id = id_of(&rig, 20);
    assert_eq!(rig.journal().note_spoiled(found), Some(id));
    assert_eq!(rig.journal().damages().map(|damage| damage.id).collect::<Vec<_>>(), [id]);
    assert_eq!(rig.journal().frame_containing(Index(20)), Some(id));
    let copy = bytes_of(&rig, 20);
    rig.journal().repair(&copy).unwrap();
    rig.check();
    let recovered = rig.power_cut();
    check(&recovered, 60, Tail::Clean, &[]);
}

/// A cut or a snapshot may have come while the disk was read.
#[test]
fn what_is_gone_meanwhile_is_not_damaged() {
    let mut rig = Rig::with_frames(1, 60);
    rot(&rig, 20, 300);
    let order = rig.journal().order_scrub(Index(19), 1).unwrap();
    rig.cut_after(Index(10)).unwrap();
    let found = order.perform().unwrap().spoiled.unwrap();
    assert_eq!(rig.journal().note_spoiled(found), None);
    rig.sync().unwrap();
    rig.check();
}
