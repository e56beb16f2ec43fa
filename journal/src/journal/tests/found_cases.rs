//! Cases that the random operations of `model` have come upon, and what was wrong.

use super::model::{Operation, perform};
use super::rig::{Filling, Rig};

/// After each operation the journal holds what it should.
#[track_caller]
fn check(seed: u64, operations: &[Operation]) {
    let mut rig = Rig::new(seed);
    for operation in operations {
        perform(&mut rig, operation).unwrap();
        rig.check();
    }
}

fn filling(entries: usize, payload_bytes: usize, byte: u8) -> Operation {
    Operation::Append(Filling { entries, payload_bytes, byte })
}

const CUT_POWER: Operation = Operation::PowerCut { cut_torn_tail: false };

/// A reset's segment survives although no order was performed since, and counts. The one that the ballot named before
/// is removed, an older one comes back with the next power cut, and nothing is missing.
#[test]
fn the_ballot_names_a_segment_that_a_start_goes_on_in() {
    let reset = [filling(2, 673, 0), Operation::BeginSync, Operation::Reset(1)];
    let cuts = [Operation::PowerCut { cut_torn_tail: true }, CUT_POWER];
    check(1_813_069_534_107_754_935, &[reset.as_slice(), &cuts].concat());
}

/// What is missing at the start of a new segment was never written, and is not sought at the end of the one before.
#[test]
fn a_first_frame_that_was_never_written_is_torn_where_it_was_to_lie() {
    let mut story = vec![filling(3, 265, 170), filling(1, 609, 0), filling(1, 865, 170), filling(3, 137, 0)];
    story.extend([filling(2, 161, 0), filling(2, 225, 170), filling(3, 1457, 170), Operation::Crash]);
    story.extend([filling(3, 561, 0), Operation::Sync, filling(1, 737, 170), filling(1, 353, 0)]);
    story.extend([filling(3, 225, 170), CUT_POWER, Operation::Sync, Operation::Sync, filling(2, 929, 170)]);
    story.extend([Operation::Cut(34), Operation::Cut(67), filling(3, 521, 0), filling(2, 993, 0)]);
    story.extend([filling(3, 1073, 0), CUT_POWER]);
    check(17_315_792_300_565_191_112, &story);
}

/// Nothing is left of the segment with which a generation begins, and the next one is there. What it followed was
/// durable.
#[test]
fn a_generation_of_which_only_a_later_segment_was_written_takes_nothing_back() {
    let mut story = vec![filling(1, 0, 0), Operation::Cut(0), filling(3, 433, 0), filling(1, 0, 0)];
    story.extend([Operation::Sync, Operation::Cut(50), filling(2, 225, 0), filling(1, 353, 0)]);
    story.extend([filling(2, 33, 0), filling(3, 1033, 0), filling(3, 737, 0), Operation::Spare, CUT_POWER]);
    check(9_790_555_566_432_635_818, &story);
}

/// Neither the frame nor the cut behind it was ever durable, so the frames before it are not in question.
#[test]
fn a_frame_that_was_never_written_before_a_cut_is_torn() {
    let story = [filling(2, 1185, 170), filling(1, 97, 0), filling(1, 0, 0), Operation::Cut(67), CUT_POWER];
    check(9_322_501_036_265_345_286, &[[Operation::Crash].as_slice(), &story].concat());
}

/// The mark speaks of frames that a generation has cut off, of which the first segment is blank.
#[test]
fn a_blank_segment_that_another_one_goes_on_from_lowers_the_mark() {
    let mut story = vec![CUT_POWER, filling(2, 673, 0), Operation::Crash, Operation::Cut(0)];
    story.extend([filling(1, 0, 0), filling(3, 353, 170), CUT_POWER]);
    check(8_776_748_302_505_270_137, &story);
}

/// What is left of a cut-off generation lies right behind what is there, and follows something else.
#[test]
fn a_torn_segment_that_follows_what_was_cut_off_leaves_no_doubt() {
    let torn = Operation::PowerCut { cut_torn_tail: true };
    let mut story = vec![filling(2, 673, 0), Operation::Sync, CUT_POWER, torn, CUT_POWER, Operation::Cut(0)];
    story.extend([
        filling(3, 865, 0),
        Operation::Sync,
        filling(1, 1377, 0),
        filling(3, 945, 0),
        Operation::Sync,
    ]);
    story.extend([filling(1, 225, 170), Operation::EndSync, CUT_POWER, filling(2, 1121, 170)]);
    story.extend([filling(3, 945, 170), CUT_POWER, Operation::Compact(80), Operation::Cut(0)]);
    story.extend([filling(1, 0, 0), Operation::Sync, Operation::Crash, Operation::CleanStop, CUT_POWER]);
    story.extend([CUT_POWER, Operation::Cut(0), filling(1, 0, 0), filling(2, 673, 170), Operation::Cut(0)]);
    story.push(CUT_POWER);
    check(11_992_474_608_513_836_952, &story);
}

/// What is left of a generation of which nothing was durable begins in the middle of a frame, and lowers no mark.
#[test]
fn a_torn_segment_that_follows_nothing_leaves_no_doubt() {
    let mut story = vec![filling(3, 1073, 0), Operation::Sync, filling(1, 609, 0), Operation::CleanStop];
    story.extend([filling(1, 225, 0), filling(3, 817, 170), CUT_POWER, Operation::CleanStop, CUT_POWER]);
    story.extend([Operation::Cut(50), filling(2, 0, 0), filling(2, 929, 170), CUT_POWER]);
    check(5_252_605_324_537_977_287, &story);
    let mut story = vec![CUT_POWER, CUT_POWER, CUT_POWER, filling(3, 433, 170), Operation::Cut(0)];
    story.extend([Operation::CleanStop, filling(3, 777, 170), Operation::Cut(0), filling(3, 433, 0)]);
    story.extend([Operation::Spare, Operation::Crash, Operation::Cut(0), filling(2, 161, 0)]);
    story.extend([filling(1, 737, 0), filling(1, 0, 0), Operation::Cut(0), CUT_POWER]);
    check(15_742_587_327_229_574_742, &story);
}
