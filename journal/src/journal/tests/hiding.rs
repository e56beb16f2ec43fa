//! Which of several segments count, case by case.

use position::{ChainHash, Epoch, Index, Position, Tip};
use storage::{Disk, SimDisk};

use super::super::hiding::{Noted, choose};
use super::super::mark::Mark;
use super::super::walk::Found;
use super::rig::{PLAIN, TAG, build};
use crate::frame::Frame;
use crate::segment::{Generation, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};

/// A history of one-entry frames in epoch 1, and where each entry ends.
struct Line {
    frames: Vec<Vec<u8>>,
    tips: Vec<Tip>,
}

impl Line {
    /// Two lines of different epochs have no frame in common.
    fn of(epoch: u64) -> Line {
        let (mut frames, mut tips) = (Vec::new(), vec![Tip::NONE]);
        for _ in 0..100 {
            let bytes = build(*tips.last().unwrap(), Epoch(epoch), Index(0), PLAIN);
            tips.push(Frame::verify(&bytes).unwrap().tip());
            frames.push(bytes);
        }
        Line { frames, tips }
    }

    fn tip(&self, index: u64) -> Tip {
        self.tips[usize::try_from(index).unwrap()]
    }
}

/// A file of the journal as a test describes it.
struct File {
    name: SegmentName,
    bytes: Vec<u8>,
}

const BYTES: usize = 65_536;

/// The segment of this generation that begins behind `previous` and holds these entries of a line.
fn segment(generation: u32, previous: Tip, line: &Line, entries: std::ops::Range<u64>) -> File {
    let (first, generation) = (previous.index().next(), Generation(generation));
    let header = SegmentHeader { tag: TAG, first, generation, previous, begins_anew: false };
    let mut bytes = header.encode().to_vec();
    entries.for_each(|entry| bytes.extend(&line.frames[usize::try_from(entry).unwrap() - 1]));
    bytes.resize(BYTES, 0);
    File { name: SegmentName::journal(first, generation), bytes }
}

/// One with nothing in it but zeros.
fn empty(generation: u32, first: u64) -> File {
    File { name: SegmentName::journal(Index(first), Generation(generation)), bytes: vec![0; BYTES] }
}

impl File {
    fn with_damaged_header(mut self) -> File {
        self.bytes[100] ^= 1;
        self
    }

    fn that_begins_anew(mut self) -> File {
        let header = SegmentHeader::decode(&self.bytes).unwrap();
        let block = SegmentHeader { begins_anew: true, ..header }.encode();
        self.bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&block);
        self
    }
}

const NOTHING: Noted<'static> = Noted { newest: None, mark: None, snapshot: Tip::NONE };

/// Which of the files count, by (first, generation), in order.
#[track_caller]
fn check(files: &[File], noted: Noted<'_>, expected: &[(u64, u32)]) {
    let disk: Disk = SimDisk::new(1).disk();
    let found = files.iter().map(|File { name, bytes }| {
        disk.replace(&name.to_string(), bytes).unwrap();
        let segment = disk.open_segment(&name.to_string()).unwrap();
        Found::new(*name, segment, SegmentHeader::decode(bytes))
    });
    let (shown, aside) = choose(found.collect(), noted);
    let names: Vec<(u64, u32)> =
        shown.iter().map(|found| (found.name.first.0, found.name.generation.0)).collect();
    assert_eq!(names, expected);
    assert!(aside.iter().all(|aside| !expected.contains(&(aside.name.first.0, aside.name.generation.0))));
}

/// What a cut leaves: the old segments, until they are removed, and the new one.
#[test]
fn a_newer_generation_hides_what_it_replaced() {
    let line = Line::of(1);
    let old = |first: u64, entries| segment(1, line.tip(first - 1), &line, entries);
    check(&[], NOTHING, &[]);
    let row = || vec![old(1, 1..50), old(50, 50..90), old(90, 90..95)];
    check(&row(), NOTHING, &[(1, 1), (50, 1), (90, 1)]);
    let other = Line::of(2);
    let mut cut = row();
    cut.push(segment(2, line.tip(69), &other, 0..0));
    check(&cut, NOTHING, &[(1, 1), (50, 1), (70, 2)]);
    let mut all = vec![old(1, 1..50)];
    all.push(segment(2, Tip::NONE, &line, 1..2));
    all.push(segment(3, Tip::NONE, &line, 1..2));
    check(&all, NOTHING, &[(1, 3)]);
}

/// A file can carry any name.
#[test]
fn what_is_empty_or_comes_from_elsewhere_hides_nothing() {
    let (line, elsewhere) = (Line::of(1), Line::of(9));
    let old = || segment(1, Tip::NONE, &line, 1..50);
    check(&[old(), empty(7, 30)], NOTHING, &[(1, 1)]);
    check(&[old(), empty(7, 1)], NOTHING, &[(1, 1)]);
    check(&[old(), segment(7, elsewhere.tip(29), &elsewhere, 30..40)], NOTHING, &[(1, 1)]);
    let headless = segment(7, elsewhere.tip(29), &elsewhere, 30..40).with_damaged_header();
    check(&[old(), headless], NOTHING, &[(1, 1)]);
    // Behind the last frame there is nothing to hide, but this is not where that ends.
    check(&[old(), empty(7, 60)], NOTHING, &[(1, 1)]);
}

#[test]
fn what_the_ballot_names_hides_whatever_is_in_it() {
    let line = Line::of(1);
    let files = [segment(1, Tip::NONE, &line, 1..50), empty(2, 30)];
    let newest = Some(SegmentName::journal(Index(30), Generation(2)));
    check(&files, Noted { newest, ..NOTHING }, &[(1, 1), (30, 2)]);
}

/// A damaged header: the frames say the same, or a later file, or the mark.
#[test]
fn a_segment_without_its_header_hides_by_what_is_known_of_it() {
    let (line, other) = (Line::of(1), Line::of(2));
    let old = || segment(1, Tip::NONE, &line, 1..50);
    // Its first frame follows.
    let mut branch = line.tips[..30].to_vec();
    let mut frames = line.frames[..29].to_vec();
    while branch.len() < 60 {
        let bytes = build(*branch.last().unwrap(), Epoch(2), Index(0), PLAIN);
        branch.push(Frame::verify(&bytes).unwrap().tip());
        frames.push(bytes);
    }
    let branch = Line { frames, tips: branch };
    let headless = || segment(2, line.tip(29), &branch, 30..40).with_damaged_header();
    check(&[old(), headless()], NOTHING, &[(1, 1), (30, 2)]);
    // Its first frame is damaged too, and the next segment follows its last one.
    let mut lost = headless();
    lost.bytes[SEGMENT_HEADER_BYTES] ^= 1;
    check(&[old(), lost], NOTHING, &[(1, 1)]);
    let mut lost = headless();
    lost.bytes[SEGMENT_HEADER_BYTES] ^= 1;
    check(&[old(), lost, segment(2, branch.tip(39), &branch, 40..45)], NOTHING, &[(1, 1), (30, 2), (40, 2)]);
    // It was noted to be begun while nothing of it was durable; in another generation that says nothing.
    for (generation, expected) in [(2, &[(1, 1), (30, 2)][..]), (3, &[(1, 1)])] {
        let mark = Mark { durable: line.tip(29), generation: Generation(generation), clean: false };
        let begun = segment(2, line.tip(29), &other, 0..0).with_damaged_header();
        check(&[old(), begun], Noted { mark: Some(&mark), ..NOTHING }, expected);
    }
}

/// An installed snapshot may have been lost since, and then the old frames are all there is.
#[test]
fn a_segment_that_begins_anew_hides_unless_the_mark_goes_further() {
    let (line, elsewhere) = (Line::of(1), Line::of(9));
    let old = || segment(1, Tip::NONE, &line, 1..50);
    let anew = || segment(2, elsewhere.tip(30), &elsewhere, 31..40).that_begins_anew();
    check(&[old(), anew()], NOTHING, &[(1, 1), (31, 2)]);
    let mark = Mark { durable: line.tip(49), generation: Generation(1), clean: false };
    let marked = Noted { mark: Some(&mark), ..NOTHING };
    check(&[old(), anew()], marked, &[(1, 1)]);
    check(&[old(), anew()], Noted { snapshot: elsewhere.tip(30), ..marked }, &[(1, 1), (31, 2)]);
    let mark = Mark { durable: line.tip(49), generation: Generation(2), clean: false };
    check(&[old(), anew()], Noted { mark: Some(&mark), ..NOTHING }, &[(1, 1), (31, 2)]);
}

/// A journal may begin behind a snapshot, and its first segment follows that.
#[test]
fn what_follows_a_snapshot_counts_by_its_hash() {
    let line = Line::of(1);
    let snapshot = line.tip(20);
    let old = || segment(1, line.tip(20), &line, 21..50);
    let right = || segment(2, line.tip(20), &line, 21..22);
    check(&[old(), right()], Noted { snapshot, ..NOTHING }, &[(21, 2)]);
    let hash = ChainHash([5; 32]);
    let wrong = Tip { position: Position::new(Epoch(1), Index(20)), hash };
    check(&[old(), segment(2, wrong, &line, 21..22)], Noted { snapshot, ..NOTHING }, &[(21, 1)]);
}
