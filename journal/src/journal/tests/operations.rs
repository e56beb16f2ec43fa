//! Single operations, and what the protocol relies on.

use position::{Epoch, History, Index, Tail, Tip};
use storage::SimDisk;

use super::super::{Finding, Journal, JournalError, RoomMade, list_segments, view_segment};
use super::rig::{Concat, Filling, PLAIN, Rig, SMALL, TAG, build, elsewhere};
use crate::Schema;
use crate::frame::Frame;
use crate::segment::{Generation, JournalTag};

/// "Sync of 5, 6 in flight; another master replaces them; the completion must not report them durable."
#[test]
fn a_stale_completion_says_nothing_of_what_was_replaced() {
    let mut rig = Rig::with_frames(1, 4);
    rig.append(PLAIN).unwrap();
    rig.append(PLAIN).unwrap();
    let stale = rig.journal().ticket();
    rig.cut_after(Index(4)).unwrap();
    rig.append(PLAIN).unwrap();
    rig.append(PLAIN).unwrap();
    stale.perform().unwrap();
    assert_eq!(rig.journal().synced(stale.ticket()).index(), Index(4));
    let fresh = rig.journal().ticket();
    fresh.perform().unwrap();
    assert_eq!(rig.journal().synced(fresh.ticket()).index(), Index(6));
}

#[test]
fn a_cut_lowers_what_is_durable_at_once() {
    let mut rig = Rig::with_frames(1, 6);
    assert_eq!(rig.journal().durable().index(), Index(6));
    rig.cut_after(Index(2)).unwrap();
    assert_eq!(rig.journal().durable(), rig.model.last());
    assert_eq!(rig.journal().durable().index(), Index(2));
}

#[test]
fn a_completion_of_the_newest_order_covers_the_older_ones() {
    let mut rig = Rig::with_frames(1, 1);
    rig.append(PLAIN).unwrap();
    let first = rig.journal().ticket();
    rig.append(PLAIN).unwrap();
    let second = rig.journal().ticket();
    second.perform().unwrap();
    assert_eq!(rig.journal().synced(second.ticket()).index(), Index(3));
    assert_eq!(rig.journal().synced(first.ticket()).index(), Index(3));
}

/// The frames of a full segment are synced with those of the next one, before them.
#[test]
fn an_order_reaches_back_to_segments_that_are_full() {
    for seed in 0..20 {
        let mut rig = Rig::new(seed);
        (0..30).for_each(|_| rig.append(PLAIN).unwrap());
        rig.sync().unwrap();
        rig.machine.power_cut();
        assert_eq!(rig.open().journal.last().index(), Index(30));
    }
}

/// A power cut in between must not take back acknowledgements. It may bring back what was cut as long as no sync has
/// reached the new generation: an empty file hides nothing.
#[test]
fn a_cut_is_all_or_nothing() {
    let mut returned = 0;
    for seed in 0..20 {
        let mut rig = Rig::with_frames(seed, 6);
        let uncut = rig.model.last();
        rig.cut_after(Index(4)).unwrap();
        let recovered = rig.power_cut();
        assert_eq!(recovered.tail, Tail::Clean);
        assert!(
            [uncut, rig.model.last()].contains(&recovered.journal.last()),
            "{}",
            recovered.journal.last()
        );
        returned += u32::from(recovered.journal.last() == uncut);
        drop(recovered);

        let mut rig = Rig::with_frames(seed, 6);
        rig.cut_after(Index(4)).unwrap();
        rig.sync().unwrap();
        let recovered = rig.power_cut();
        assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    }
    assert!(returned > 0, "no seed lost the header");
}

#[test]
fn slices_outlive_whatever_happens_to_the_journal() {
    let mut rig = Rig::with_frames(1, 30);
    let all = rig.journal().frames_between(Index(0), Index(30));
    let bytes = all.concat_bytes();
    rig.cut_after(Index(12)).unwrap();
    rig.compact(rig.model.last());
    rig.reset(elsewhere(9, 100)).unwrap();
    assert_eq!(all.concat_bytes(), bytes);
}

#[test]
fn frames_come_in_one_slice_per_segment_within_the_limit() {
    let mut rig = Rig::with_frames(1, 60);
    let segments = list_segments(&rig.machine.disk()).unwrap().len();
    let frame_bytes = rig.model.frames[0].1.len();
    let journal = rig.journal();
    assert!(segments > 2);
    assert_eq!(journal.frames_between(Index(0), Index(60)).len(), segments);
    let some = journal.frames_after(Index(7), frame_bytes * 10 + 1);
    assert_eq!(some.concat_bytes().len(), frame_bytes * 10);
    assert_eq!(journal.reach(Index(7), frame_bytes * 10 + 1), Some((Index(17), frame_bytes * 10)));
    assert_eq!(journal.frames_after(Index(7), 0).concat_bytes().len(), frame_bytes, "at least one");
    assert!(journal.frames_after(Index(60), 1 << 20).is_empty());
}

#[test]
fn a_moment_is_found_by_the_wall_clock() {
    let mut rig = Rig::new(1);
    let mut builder = crate::FrameBuilder::new();
    for second in 1..=60 {
        // Two entries each, over several segments.
        for _ in 0..2 {
            builder.push(&crate::Entry::internal(crate::EntryKind::Members, &[1; 100])).unwrap();
        }
        let previous = rig.journal().last();
        let stamp = crate::Stamp {
            previous,
            epoch: Epoch(1),
            commit: previous.index(),
            cluster_time: std::time::Duration::ZERO,
            wall_time: second * 10,
        };
        if let Some(order) = rig.journal().order_room_for(1024) {
            assert_eq!(order.perform(), RoomMade::Yes);
        }
        rig.journal().append(&builder.seal(&stamp)).unwrap();
        builder.clear();
    }
    for (wall_time, index) in
        [(i64::MIN, 0), (9, 0), (10, 2), (19, 2), (20, 4), (599, 118), (600, 120), (9000, 120)]
    {
        assert_eq!(rig.journal().index_at(wall_time), Index(index), "at {wall_time}");
    }
    let order = rig.journal().ticket();
    order.perform().unwrap();
    rig.journal().synced(order.ticket());
    rig.journal().compact(Index(60));
    let base = rig.journal().base().index();
    assert!(base > Index(0));
    assert_eq!(rig.journal().index_at(10), base, "nothing older is there");
}

#[test]
fn a_large_frame_finds_room() {
    let mut rig = Rig::new(1);
    let journal = Journal::create(SimDisk::new(1).disk(), TAG, Tip::NONE).unwrap();
    rig.journal = Some(journal);
    rig.append(PLAIN).unwrap();
    for entries in [1, 3] {
        rig.append(Filling { entries, payload_bytes: crate::PAYLOAD_BYTES_MAX, byte: 1 }).unwrap();
        rig.cut_after(rig.model.last().index()).unwrap();
    }
    assert_eq!(rig.journal().last().index(), Index(5));
    assert_eq!(rig.journal().frames_between(Index(0), Index(5)).len(), 2);
}

#[test]
fn a_full_disk_refuses_an_append_and_takes_it_later() {
    let mut rig = Rig::with_frames(1, 2);
    rig.machine.fill_up(100);
    let full = loop {
        if let Err(full) = rig.append(PLAIN) {
            break full;
        }
    };
    assert!(matches!(full, JournalError::NotReady { disk_is_full: true }), "{full}");
    rig.sync().unwrap();
    rig.check();
    rig.machine.fill_up(1 << 20);
    rig.append(PLAIN).unwrap();
    rig.sync().unwrap();
    rig.check();
}

#[test]
fn a_full_disk_takes_the_frames_that_a_voter_needs() {
    let mut rig = Rig::with_frames(1, 2);
    rig.machine.fill_up(100);
    while rig.append(PLAIN).is_ok() {}
    let bytes = build(rig.model.last(), rig.epoch, Index(1), Filling { payload_bytes: 8, ..PLAIN });
    let frame = Frame::verify(&bytes).unwrap();
    assert!(rig.journal().append(&frame).is_err(), "the reserve is not for every frame");
    rig.journal().append_needed(&frame).unwrap();
    rig.model.frames.push((frame.tip(), bytes.clone()));
    rig.sync().unwrap();
    rig.check();
    rig.machine.crash();
    assert_eq!(rig.open().journal.last(), frame.tip());
}

#[test]
fn compaction_keeps_what_is_not_covered_and_what_is_being_written() {
    let mut rig = Rig::with_frames(1, 60);
    let middle = rig.model.frames[29].0;
    rig.compact(middle);
    let base = rig.journal().base();
    assert!(base.index() > Index(0) && base.index() <= middle.index());
    rig.check();
    rig.compact(rig.model.last());
    assert!(rig.journal().base().index() < Index(60));
    assert_eq!(list_segments(&rig.machine.disk()).unwrap().len(), 1);
    let recovered = rig.power_cut();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
}

#[test]
fn what_is_not_durable_is_not_compacted() {
    let mut rig = Rig::with_frames(1, 10);
    (0..40).for_each(|_| rig.append(PLAIN).unwrap());
    rig.model.snapshot = rig.model.last();
    rig.journal().compact(Index(50));
    assert!(rig.journal().base().index() <= Index(10));
}

/// An installed snapshot is durable before the journal is reset: the start in between finishes the job.
#[test]
fn a_snapshot_that_goes_further_takes_the_place_of_the_journal() {
    for (epoch, index) in [(5, 100), (5, 10), (5, 9)] {
        let mut rig = Rig::with_frames(1, 10);
        rig.model.snapshot = elsewhere(epoch, index);
        // Without knowing any frame to be committed, all of them may be replaced.
        if index <= 10 {
            rig = uncommitted(rig.model.snapshot);
        }
        let recovered = rig.crash();
        assert_eq!(recovered.tail, Tail::Clean);
        assert_eq!(
            (recovered.journal.base(), recovered.journal.last()),
            (rig.model.snapshot, rig.model.snapshot)
        );
        let recovered = rig.crash();
        assert_eq!(recovered.journal.last(), rig.model.snapshot);
    }
}

fn uncommitted(snapshot: Tip) -> Rig {
    let mut rig = Rig::new(1);
    (0..10).for_each(|_| rig.append_knowing(Index(0), PLAIN).unwrap());
    rig.sync().unwrap();
    rig.model.snapshot = snapshot;
    rig
}

#[test]
fn a_snapshot_of_another_history_than_what_is_committed_is_refused() {
    let mut rig = Rig::with_frames(1, 5);
    rig.append(PLAIN).unwrap();
    rig.model.snapshot = elsewhere(1, 4);
    let before = rig.machine.syncs();
    let error = rig.try_open().unwrap_err();
    assert!(matches!(error, JournalError::Diverged { .. }), "{error}");
    rig.model.snapshot = Tip::NONE;
    assert_eq!(rig.machine.syncs(), before + 2, "only what was found was made durable");
}

/// A disk that lied brings the old segments back and loses the snapshot that replaced them. They are not what
/// came before the new ones, though a lost segment in between would look the same.
#[test]
fn what_a_snapshot_has_replaced_never_counts_again() {
    for cut_again in [false, true] {
        let mut rig = Rig::with_frames(1, 10);
        let old = rig.machine.image();
        rig.epoch = Epoch(8);
        rig.reset(elsewhere(7, 40)).unwrap();
        if cut_again {
            rig.append_knowing(Index(40), PLAIN).unwrap();
            rig.cut_after(Index(40)).unwrap();
        }
        rig.append_knowing(Index(40), PLAIN).unwrap();
        rig.sync().unwrap();
        let disk = rig.machine.disk();
        let new: Vec<(String, Vec<u8>)> = [
            "journal/00000000000000000041-00000002.journal",
            "journal/00000000000000000041-00000003.journal",
        ]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), rig.machine.bytes_of(name)?)))
        .collect();
        drop(disk);
        rig.journal = None;
        rig.machine.revert(&old);
        for (name, bytes) in new {
            rig.machine.disk().replace(&name, &bytes).unwrap();
        }
        rig.model.snapshot = Tip::NONE;
        let recovered = rig.open();
        assert_eq!((recovered.journal.base(), recovered.tail), (elsewhere(7, 40), Tail::Clean));
        let no_state = Finding::NoState { base: elsewhere(7, 40), snapshot: Index::NONE };
        assert!(recovered.findings.contains(&no_state), "{:?}", recovered.findings);
        drop(recovered);
        rig.model.snapshot = elsewhere(7, 40);
        let recovered = rig.try_open().unwrap();
        assert_eq!(recovered.journal.base(), elsewhere(7, 40));
        assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    }
}

#[test]
fn a_journal_that_starts_behind_its_snapshot_is_all_there_but_for_its_state() {
    let mut rig = Rig::with_frames(1, 60);
    rig.compact(rig.model.frames[40].0);
    let base = rig.journal().base();
    rig.model.snapshot = Tip::NONE;
    let recovered = rig.open();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    assert_eq!(recovered.findings, [Finding::NoState { base, snapshot: Index::NONE }]);
}

#[test]
fn a_missing_segment_is_noticed() {
    let mut rig = Rig::with_frames(1, 60);
    let segments = list_segments(&rig.machine.disk()).unwrap();
    rig.machine.disk().remove(&segments[0].name.to_string()).unwrap();
    let recovered = rig.open();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    assert_eq!(recovered.journal.base().index(), segments[1].name.first.previous());
    assert!(matches!(recovered.findings[..], [Finding::NoState { .. }]), "{:?}", recovered.findings);

    let mut rig = Rig::with_frames(1, 60);
    rig.machine.disk().remove(&segments[1].name.to_string()).unwrap();
    let recovered = rig.crash();
    let damage = recovered.journal.damages().next().unwrap();
    assert_eq!(damage.id.first, segments[1].name.first);
    assert_eq!(recovered.journal.last(), rig.model.last(), "the rest of the history is still known");
}

#[test]
fn what_belongs_to_somebody_else_is_refused_and_left_alone() {
    let rig = Rig::with_frames(1, 3);
    let others = [
        ("cluster", JournalTag { cluster: position::ClusterId(1), ..TAG }),
        ("the type of state", JournalTag { archive_tag: 0, ..TAG }),
        ("schema", JournalTag { schema: Schema(2), ..TAG }),
    ];
    for (expected, tag) in others {
        let error = Journal::open(rig.machine.disk(), tag, None).unwrap_err();
        assert!(matches!(error, JournalError::WrongTag { what, .. } if what == expected), "{error}");
    }
    let changed = JournalTag { layout: 7, ..TAG };
    let error = Journal::open(rig.machine.disk(), changed, None).unwrap_err();
    assert!(matches!(error, JournalError::OtherLayout { found: 6, expected: 7, .. }), "{error}");
    assert!(error.to_string().contains("higher schema"), "{error}");
    let exists = Journal::create(rig.machine.disk(), TAG, Tip::NONE).unwrap_err();
    assert!(matches!(exists, JournalError::Exists { .. }));
    let nothing = Journal::open(SimDisk::new(1).disk(), TAG, None).unwrap();
    let everything = Tail::Uncertain { frame: None, at: Index(1), after: Epoch::NONE, more: true };
    assert_eq!((nothing.journal.last(), nothing.tail), (Tip::NONE, everything));
}

#[test]
fn a_crash_right_after_the_first_file_was_made_leaves_a_journal() {
    for (base, snapshot) in [(Tip::NONE, None), (elsewhere(2, 9), Some(elsewhere(2, 9)))] {
        let machine = SimDisk::new(1);
        let name = format!("journal/{:020}-00000001.journal", base.index().next().0);
        machine.disk().create_segment(&name, SMALL.first).unwrap();
        let recovered = Journal::open(machine.disk(), TAG, snapshot).unwrap();
        assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, base));
    }
}

/// One may fill while the other is made.
#[test]
fn spares_are_made_ahead_of_need_and_one_at_a_time() {
    let mut rig = Rig::new(1);
    assert!(rig.journal().next_chore().is_none(), "an empty segment needs no successor yet");
    (0..3).for_each(|_| rig.append(PLAIN).unwrap());
    for made in 1..=2 {
        let chore = rig.journal().next_chore().expect("the first segment is more than half full");
        assert_eq!(chore.name(), "prepare a segment");
        assert!(rig.journal().next_chore().is_none(), "one at a time");
        let done = chore.perform();
        rig.journal().chore_done(done);
        assert_eq!(rig.machine.disk().spares(SMALL.later), made);
    }
    assert!(rig.journal().next_chore().is_none());
    rig.append(Filling { payload_bytes: 1_800, ..PLAIN }).unwrap();
    assert_eq!(rig.machine.disk().spares(SMALL.later), 1, "one has been begun");
    assert_eq!(rig.journal().next_chore().map(|chore| chore.name()), Some("prepare a segment"));
}

/// A disk that hangs makes no spare: those that there are must take what the others commit meanwhile.
#[test]
fn a_young_journal_among_others_takes_as_much_as_a_grown_one_while_the_disk_hangs() {
    for (is_among_others, expected) in [(false, 3..5), (true, 45..55)] {
        let mut rig = Rig::new(1);
        rig.journal().sizes.unsynced_segments_max = 3;
        if is_among_others {
            rig.journal().keep_spares();
        }
        rig.do_chores();
        let calls = rig.machine.calls();
        // Neither an order nor a chore is performed from here on.
        let appended = (0..1_000).take_while(|_| rig.append_in_memory(PLAIN)).count();
        assert!(expected.contains(&appended), "{appended} frames of 512 bytes");
        assert_eq!(rig.machine.calls(), calls);
        rig.check();
        rig.do_chores();
        rig.sync().unwrap();
        rig.append(PLAIN).unwrap();
        rig.check();
    }
}

/// Whatever a journal is asked for, it does not wait for the disk: neither with spares nor without.
#[test]
fn nothing_that_changes_a_journal_touches_the_disk() {
    for spares in [false, true] {
        let mut rig = Rig::with_frames(1, 3);
        rig.journal().keep_spares();
        rig.do_chores();
        let disk = rig.machine.disk();
        let take = |bytes: u64| disk.begin_segment("taken", bytes).unwrap();
        let ready = [SMALL.later, SMALL.later, SMALL.later, SMALL.first];
        let taken: Vec<_> = ready.into_iter().filter_map(take).collect();
        assert_eq!(taken.len(), ready.len());
        if spares {
            // What is not written to is a spare again.
            drop(taken);
        } else {
            std::mem::forget(taken);
        }
        let large = |rig: &Rig, at: u64| {
            build(
                rig.journal.as_ref().unwrap().last(),
                Epoch(at),
                Index(3),
                Filling { payload_bytes: 1_800, ..PLAIN },
            )
        };
        // The disk hangs from here on: any call would fail.
        let files = list_segments(&rig.machine.disk()).unwrap().len();
        let calls = rig.machine.calls();
        let mut refused = 0;
        for epoch in 2..5 {
            let frame = large(&rig, epoch);
            let frame = Frame::verify(&frame).unwrap();
            match rig.journal().append(&frame) {
                Ok(_) => {}
                Err(error) => {
                    assert!(!spares && matches!(error, JournalError::NotReady { .. }), "{error}");
                    refused += 1;
                }
            }
            let small =
                build(rig.journal().last(), Epoch(epoch), Index(3), Filling { payload_bytes: 8, ..PLAIN });
            rig.journal().append_needed(&Frame::verify(&small).unwrap()).unwrap();
            rig.journal().cut_after(Index(3)).unwrap();
        }
        assert_eq!(refused > 0, !spares);
        match rig.journal().reset(elsewhere(9, 100)) {
            Ok(()) => assert_eq!(rig.journal().last(), elsewhere(9, 100)),
            Err(error) => assert!(matches!(error, JournalError::NotReady { .. }), "{error}"),
        }
        assert_eq!(rig.machine.calls(), calls, "with spares: {spares}");
        assert_eq!(list_segments(&rig.machine.disk()).unwrap().len(), files);
    }
}

/// What a disk that hangs can cost in memory is bounded, also if it goes on making spares.
#[test]
fn so_much_may_wait_for_a_sync_and_no_more() {
    let mut rig = Rig::with_frames(1, 3);
    rig.journal().sizes.unsynced_segments_max = 2;
    let mut appended = 0;
    let error = loop {
        match rig.append(PLAIN) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::NotReady { disk_is_full: false }), "{error}");
    let segments = 1 + rig.journal().syncs.waiting_segments();
    assert_eq!(segments, 3);
    assert!((40..50).contains(&appended), "{appended} frames of 512 bytes");
    assert!(!rig.journal().has_room_for(512));
    rig.sync().unwrap();
    assert!(rig.journal().has_room_for(512));
    rig.append(PLAIN).unwrap();
    rig.check();
}

/// Until a sync has reached what a cut begins, nothing of what it replaces is removed: a crash takes the cut back,
/// and everything is there, below the mark too.
#[test]
fn a_cut_that_no_sync_has_reached_has_not_happened() {
    for power in [false, true] {
        let mut rig = Rig::with_frames(1, 30);
        let before = rig.model.last();
        rig.cut_in_memory(Index(20)).unwrap();
        assert!(rig.journal().wants_sync());
        rig.compact(rig.model.frames[9].0);
        let stale = rig.journal().ticket();
        rig.cut_in_memory(Index(15)).unwrap();
        stale.perform().unwrap();
        rig.journal().synced(stale.ticket());
        rig.do_chores();
        let recovered = if power { rig.power_cut() } else { rig.crash() };
        assert_eq!(recovered.tail, Tail::Clean);
        let end = recovered.journal.last().index();
        assert_eq!(end, Index(20), "the first cut is on the disk, the second is not");
        assert!(before.index() > end);
    }
    let mut rig = Rig::with_frames(1, 30);
    let before = rig.model.last();
    rig.cut_in_memory(Index(2)).unwrap();
    assert_eq!(rig.power_cut().journal.last(), before);
}

/// With a spare at hand, an append makes neither the file of the next segment nor its name.
#[test]
fn the_next_segment_is_begun_without_the_disk() {
    let mut rig = Rig::with_frames(1, 3);
    rig.do_chores();
    let files = |rig: &Rig| rig.machine.disk().list("journal").unwrap().len();
    assert_eq!(files(&rig), 1);
    let syncs = rig.machine.syncs();
    let frame = build(rig.model.last(), rig.epoch, Index(3), Filling { payload_bytes: 1_800, ..PLAIN });
    rig.journal().append(&Frame::verify(&frame).unwrap()).unwrap();
    assert_eq!((files(&rig), rig.machine.syncs()), (1, syncs));
    let order = rig.journal().ticket();
    order.perform().unwrap();
    assert_eq!(files(&rig), 2);
    rig.machine.power_cut();
    assert_eq!(rig.open().journal.last().index(), Index(4));
}

/// What the disk returns is held against what it was given, before anything is read from there.
#[test]
fn a_full_segment_that_the_disk_changed_stays_in_memory() {
    let mut rig = Rig::new(1);
    (0..3).for_each(|_| rig.append(PLAIN).unwrap());
    let segment = rig.machine.disk().list("journal").unwrap().remove(0).name;
    (0..27).for_each(|_| rig.append(PLAIN).unwrap());
    let order = rig.journal().ticket();
    order.perform().unwrap();
    rig.machine.rot(&format!("journal/{segment}"), 700, 1);
    rig.complete(&order).unwrap();
    for index in 1..=30 {
        let frame = rig.journal().read_frame(Index(index)).unwrap();
        Frame::verify(frame.bytes()).expect("as it was written");
    }
}

/// The memory that a segment was written from goes once the segment is durable and mapped.
#[test]
fn a_full_segment_is_mapped_and_read_as_before() {
    let mut rig = Rig::new(1);
    (0..30).for_each(|_| rig.append(PLAIN).unwrap());
    while let Some(chore) = rig.journal().next_chore() {
        assert_ne!(chore.name(), "map a full segment", "it is not durable yet");
        let done = chore.perform();
        rig.journal().chore_done(done);
    }
    let order = rig.journal().ticket();
    order.perform().unwrap();
    let durable = rig.journal().synced(order.ticket());
    rig.model.durable = durable.index();
    let mut mapped = 0;
    while let Some(chore) = rig.journal().next_chore() {
        mapped += usize::from(chore.name() == "map a full segment");
        let done = chore.perform();
        rig.journal().chore_done(done);
    }
    assert!(mapped >= 2);
    rig.check();
}

#[test]
fn what_a_snapshot_covers_is_given_up_with_its_damage() {
    let mut rig = Rig::with_frames(1, 20);
    let (file, at) = rig.place_of(3);
    rig.machine.rot(&file, at + 200, 1);
    let mut journal = rig.crash().journal;
    let damage = journal.damages().next().expect("frame 3 is damaged").id;
    assert!(journal.give_up_damage(Index(2)).is_empty(), "the snapshot ends before it");
    assert_eq!(journal.give_up_damage(Index(10)), [damage]);
    assert_eq!((journal.damages().count(), journal.base().index()), (0, Index(3)));
    assert_eq!(journal.last(), rig.model.last());
    assert_eq!(journal.read_frame(Index(4)).unwrap().bytes(), rig.model.frames[3].1);
}

#[test]
fn an_owner_can_be_watched() {
    let mut rig = Rig::with_frames(1, 60);
    rig.cut_after(Index(50)).unwrap();
    rig.append(PLAIN).unwrap();
    let disk = rig.machine.disk();
    let segments = list_segments(&disk).unwrap();
    let mut seen = Vec::new();
    for segment in segments.iter().filter(|segment| segment.visible) {
        let view = view_segment(&disk, &segment.name).unwrap().unwrap();
        assert_eq!(view.header.unwrap().tag, TAG);
        let frames = view.spots().map(|spot| spot.frame.unwrap());
        let shown =
            frames.filter(|frame| segment.through.is_none_or(|through| frame.tip().index() <= through));
        seen.extend(shown.map(|frame| (frame.tip(), frame.bytes().to_vec())));
    }
    assert_eq!(seen, rig.model.frames);
    assert_eq!(segments.last().unwrap().name.generation, Generation(2));
    assert_eq!(segments.last().unwrap().through, None);
}

#[test]
fn an_inspector_sees_past_damage() {
    let rig = Rig::with_frames(1, 3);
    let places = [1, 2, 3].map(|index| rig.place_of(index));
    let [(file, first), (_, second), (_, third)] = &places;
    rig.machine.rot(file, first + 5, 1);
    rig.machine.rot(file, second + 200, 1);
    let name = list_segments(&rig.machine.disk()).unwrap()[0].name;
    let view = view_segment(&rig.machine.disk(), &name).unwrap().unwrap();
    let spots: Vec<_> = view.spots().map(|spot| (spot.offset as u64, spot.frame.is_ok())).collect();
    assert_eq!(spots, [(*first, false), (*second, false), (*third, true)]);
}

#[test]
fn a_journal_and_its_orders_may_move_to_other_threads() {
    fn movable<T: Send>() {}
    movable::<Journal>();
    movable::<super::super::SyncOrder>();
    movable::<super::super::Chore>();
}

#[test]
#[should_panic(expected = "does not follow")]
fn a_frame_of_another_history_is_not_appended() {
    let mut rig = Rig::with_frames(1, 3);
    rig.model.frames.pop();
    rig.epoch = Epoch(2);
    rig.append(PLAIN).ok();
}

#[test]
fn a_file_of_a_generation_that_no_journal_comes_to_hides_nothing() {
    let mut rig = Rig::with_frames(1, 2);
    let name = "journal/00000000000000000002-4294967295.journal";
    rig.machine.disk().replace(name, &[0; 1024]).unwrap();
    let recovered = rig.open();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, rig.model.last()));
    assert!(matches!(recovered.findings[..], [Finding::SetAside { .. }]), "{:?}", recovered.findings);
    rig.take(recovered);
    rig.cut_after(Index(1)).unwrap();
    rig.sync().unwrap();
    assert!(list_segments(&rig.machine.disk()).unwrap().iter().any(|it| it.name.generation == Generation(2)));
}
