//! The journal on the real file system, with segments of their real length.

use std::time::Duration;

use journal::{
    Entry, EntryKind, FIRST_SEGMENT_BYTES, Frame, FrameBuilder, Journal, JournalTag, SEGMENT_BYTES, Schema,
    Stamp, list_segments, view_segment,
};
use position::{ClusterId, Epoch, Index, Tail, Tip};
use storage::Disk;

const TAG: JournalTag = JournalTag { cluster: ClusterId(1), archive_tag: 2, schema: Schema(3), layout: 4 };

fn append(journal: &mut Journal, builder: &mut FrameBuilder, epoch: Epoch) {
    builder.clear();
    builder.push(&Entry::internal(EntryKind::Members, &[7; 1000])).unwrap();
    let stamp = Stamp {
        previous: journal.last(),
        epoch,
        commit: Index::NONE,
        cluster_time: Duration::ZERO,
        wall_time: 0,
    };
    let frame: Frame<'_> = builder.seal(&stamp);
    journal.append(&frame).unwrap();
}

fn sync(journal: &mut Journal) {
    let order = journal.ticket();
    order.perform().unwrap();
    journal.synced(order.ticket());
    order.note_mark();
    do_chores(journal);
}

fn do_chores(journal: &mut Journal) {
    while let Some(chore) = journal.next_chore() {
        let done = chore.perform();
        journal.chore_done(done);
    }
}

#[test]
fn a_journal_rolls_is_cut_watched_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = FrameBuilder::new();
    let cut = {
        let disk: Disk = Disk::open(folder.path()).unwrap();
        let mut journal = Journal::create(disk, TAG, Tip::NONE).unwrap();
        for _ in 0..40 {
            append(&mut journal, &mut builder, Epoch(1));
        }
        do_chores(&mut journal);
        for _ in 0..60 {
            append(&mut journal, &mut builder, Epoch(1));
        }
        sync(&mut journal);
        journal.cut_after(Index(90)).unwrap();
        append(&mut journal, &mut builder, Epoch(2));
        sync(&mut journal);

        let onlooker = Disk::open_read_only(folder.path()).unwrap();
        let segments = list_segments(&onlooker).unwrap();
        let lengths: Vec<u64> = segments.iter().map(|segment| segment.bytes).collect();
        // There was a spare for the generation that the cut began, a long one.
        assert_eq!(lengths, [FIRST_SEGMENT_BYTES, SEGMENT_BYTES, SEGMENT_BYTES]);
        let mut seen = 0;
        for segment in segments {
            let view = view_segment(&onlooker, &segment.name).unwrap().unwrap();
            let ends = view.spots().map(|spot| spot.frame.unwrap().tip().index());
            seen += ends.filter(|end| segment.through.is_none_or(|through| *end <= through)).count();
        }
        assert_eq!(seen, 91);
        let last = journal.last();
        journal.stop_clean().unwrap();
        last
    };
    let disk: Disk = Disk::open(folder.path()).unwrap();
    let mut recovered = Journal::open(disk, TAG, None).unwrap();
    assert_eq!((recovered.tail, recovered.journal.last()), (Tail::Clean, cut));
    append(&mut recovered.journal, &mut builder, Epoch(2));
    sync(&mut recovered.journal);
    recovered.journal.compact(Index(92));
    assert_eq!(recovered.journal.base().index(), Index(90));
    assert_eq!(recovered.journal.read_frame(Index(92)).unwrap().header().epoch, Epoch(2));
}

/// Somebody may hold it, as on Windows whoever looks at it.
#[test]
fn a_file_that_cannot_be_removed_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Disk = Disk::open(folder.path()).unwrap();
    let mut journal = Journal::create(disk.clone(), TAG, Tip::NONE).unwrap();
    let first = folder.path().join(journal.newest_segment().unwrap().to_string());
    let mut builder = FrameBuilder::new();
    (0..40).for_each(|_| append(&mut journal, &mut builder, Epoch(1)));
    do_chores(&mut journal);
    (0..40).for_each(|_| append(&mut journal, &mut builder, Epoch(1)));
    sync(&mut journal);
    journal.compact(Index(79));
    // No call removes a folder instead of a file.
    std::fs::remove_file(&first).unwrap();
    std::fs::create_dir(&first).unwrap();
    do_chores(&mut journal);
    assert!(first.exists());
    std::fs::remove_dir(&first).unwrap();
    std::fs::write(&first, b"let go").unwrap();
    do_chores(&mut journal);
    assert!(first.exists(), "not all the time");
    journal.try_again();
    do_chores(&mut journal);
    assert!(!first.exists());
}
