//! When closed segments and snapshots are read again from the disk, and what is made of what it has spoiled.
//!
//! Responsible for: that all of it is verified within a day, a small piece at a time, so slowly that commands do not
//! notice. Not responsible for: what of a segment is read, and how it is mended (`journal`).

use std::time::Duration;

use journal::{Finding, JournalError, ScrubOrder, Scrubbed};
use position::Index;
use quorum::Time;
use snapshots::{Rereading, Shelf, SnapshotError};

use crate::Prevalent;
use crate::replica::jobs::Work;
use crate::replica::{Effects, Fatal, Job, Now, Replica, has_no_room};

/// A voter that has just started has other things to do, and has just read all of it.
const BEGIN_AFTER: Duration = Duration::from_secs(60);
/// All of it is read once in so long: half a day, so that one that is interrupted once still ends within a day.
const CYCLE: Duration = Duration::from_secs(12 * 60 * 60);
/// Bytes that one job reads: some milliseconds of a disk and of a processor.
const PIECE_BYTES: usize = 1024 * 1024;
/// The fewest bytes that are read in a second: a small directory is done soon.
const BYTES_PER_SECOND_MIN: u64 = 256 * 1024;
/// The most: a tenth of a slow disk. It reaches through 170 GB in half a day.
const BYTES_PER_SECOND_MAX: u64 = 4 * 1024 * 1024;

const _: () = assert!(BYTES_PER_SECOND_MIN < BYTES_PER_SECOND_MAX);

/// How far the reading has come.
#[derive(Debug)]
pub(crate) struct Scrubbing {
    /// `None` while a job has it.
    place: Option<Place>,
    began: Time,
    /// The next piece is not read before.
    next_at: Time,
    bytes_per_second: u64,
    found: ScrubFound,
}

/// What is to be read next.
#[derive(Debug)]
pub(crate) enum Place {
    /// Segments behind this index, then snapshots.
    Journal { after: Index },
    /// The newest snapshot below this position.
    Below(Index),
    /// The rest of a snapshot.
    Within(Box<Rereading>),
    /// Everything was read.
    End,
}

/// What reading everything again has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubFound {
    /// Bytes that were read.
    pub bytes: u64,
    /// Frames of the journal that the disk had spoiled.
    pub frames: u64,
    /// How many of them were written again from memory.
    pub frames_mended: u64,
    /// Headers of segments that the disk had spoiled. Nothing is lost by that.
    pub headers: u64,
    /// Snapshots that the disk had spoiled.
    pub snapshots: u64,
}

/// One piece, for another thread.
#[derive(Debug)]
pub(crate) enum ScrubPiece {
    Journal(ScrubOrder),
    Below(Shelf, Index),
    Within(Box<Rereading>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum PieceRead {
    Journal(Box<Result<Scrubbed, JournalError>>),
    /// A snapshot is valid so far, and this is what comes next.
    Snapshot(Place),
    Spoiled {
        index: Index,
        error: SnapshotError,
    },
    /// The program panicked.
    Nothing,
}

impl ScrubPiece {
    pub(crate) fn read(self) -> PieceRead {
        match self {
            ScrubPiece::Journal(order) => PieceRead::Journal(Box::new(order.perform())),
            ScrubPiece::Below(shelf, below) => {
                let listed = shelf.list().unwrap_or_default();
                let Some(next) = listed.into_iter().find(|listed| listed.index < below) else {
                    return PieceRead::Snapshot(Place::End);
                };
                match shelf.reread(next.index) {
                    Ok(Some(rereading)) => go_on(Box::new(rereading)),
                    Ok(None) => PieceRead::Snapshot(Place::Below(next.index)),
                    Err(error) => PieceRead::Spoiled { index: next.index, error },
                }
            }
            ScrubPiece::Within(rereading) => go_on(rereading),
        }
    }
}

fn go_on(mut rereading: Box<Rereading>) -> PieceRead {
    match rereading.go_on(PIECE_BYTES as u64) {
        Ok(true) => PieceRead::Snapshot(Place::Below(rereading.index())),
        Ok(false) => PieceRead::Snapshot(Place::Within(rereading)),
        Err(error) => PieceRead::Spoiled { index: rereading.index(), error },
    }
}

impl Scrubbing {
    pub(crate) fn begin(now: Time) -> Scrubbing {
        Scrubbing {
            place: Some(Place::Journal { after: Index::NONE }),
            began: now,
            next_at: now + BEGIN_AFTER,
            bytes_per_second: BYTES_PER_SECOND_MIN,
            found: ScrubFound::default(),
        }
    }

    /// All of it is read again from its start.
    fn begin_again(&mut self, now: Time) {
        *self = Scrubbing { next_at: now, bytes_per_second: self.bytes_per_second, ..Scrubbing::begin(now) };
    }

    /// A piece was read. How fast the next may follow depends on how much there is.
    fn go_on_at(&mut self, now: Time, place: Place, bytes: u64, all_bytes: u64) {
        self.found.bytes += bytes;
        let wanted = all_bytes / CYCLE.as_secs();
        self.bytes_per_second = wanted.clamp(BYTES_PER_SECOND_MIN, BYTES_PER_SECOND_MAX);
        self.next_at = match place {
            Place::End => now.max(self.began + CYCLE),
            _ => now + Duration::from_micros(bytes.saturating_mul(1_000_000) / self.bytes_per_second),
        };
        self.place = Some(place);
    }
}

impl<S: Prevalent> Replica<S> {
    pub(crate) fn look_after_scrubbing(&mut self, now: Now, out: &mut Effects<S>) {
        if now.time < self.scrubbing.next_at {
            return;
        }
        if matches!(self.scrubbing.place, Some(Place::End)) {
            self.scrubbing.begin_again(now.time);
        }
        out.start.extend(self.next_piece().map(|piece| Job(Work::Scrub(piece))));
    }

    fn next_piece(&mut self) -> Option<ScrubPiece> {
        match self.scrubbing.place.take()? {
            Place::Journal { after } => Some(match self.journal.order_scrub(after, PIECE_BYTES) {
                Some(order) => ScrubPiece::Journal(order),
                None => ScrubPiece::Below(self.shelf.clone(), Index(u64::MAX)),
            }),
            Place::Below(index) => Some(ScrubPiece::Below(self.shelf.clone(), index)),
            Place::Within(rereading) => Some(ScrubPiece::Within(rereading)),
            Place::End => {
                self.scrubbing.place = Some(Place::End);
                None
            }
        }
    }

    /// For a driver that may wait for the disk: the next piece of one reading of everything, whatever the time.
    /// `None` once all is read, or while another thread reads.
    pub(crate) fn next_scrub_job(&mut self) -> Option<Job<S>> {
        self.next_piece().map(|piece| Job(Work::Scrub(piece)))
    }

    /// Has all of it read again from its start. `false`: a piece is being read just now.
    pub(crate) fn begin_scrub(&mut self, now: Now) -> bool {
        let idle = self.scrubbing.place.is_some();
        if idle {
            self.scrubbing.begin_again(now.time);
        }
        idle
    }

    /// Whether all of it has been read since it was begun.
    pub(crate) fn has_scrubbed(&self) -> bool {
        matches!(self.scrubbing.place, Some(Place::End))
    }

    /// What the current reading has found, or the last one.
    #[must_use]
    pub fn scrub_found(&self) -> ScrubFound {
        self.scrubbing.found
    }

    pub(crate) fn on_piece_read(
        &mut self,
        now: Now,
        read: PieceRead,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let all_bytes = self.journal.bytes();
        let (place, bytes) = match read {
            PieceRead::Journal(scrubbed) => {
                let scrubbed = match *scrubbed {
                    Ok(scrubbed) => scrubbed,
                    Err(error) => {
                        self.scrubbing.go_on_at(now.time, Place::End, 0, all_bytes);
                        return has_no_room(
                            error,
                            "what the disk has spoiled was not written again; it is tried later",
                        );
                    }
                };
                let place = Place::Journal { after: scrubbed.through };
                let bytes = scrubbed.bytes as u64;
                if let Some(file) = scrubbed.spoiled_header {
                    self.scrubbing.found.headers += 1;
                    self.health.found(Finding::SegmentHeader { file });
                }
                if let Some(spoiled) = scrubbed.spoiled {
                    self.scrubbing.found.frames += 1;
                    self.scrubbing.found.frames_mended += u64::from(spoiled.is_mended());
                    self.on_spoiled_frame(now, spoiled, out)?;
                }
                (place, bytes)
            }
            PieceRead::Snapshot(place) => (place, PIECE_BYTES as u64),
            PieceRead::Spoiled { index, error } => {
                self.health.found(Finding::Snapshot { index, error: error.to_string() });
                self.scrubbing.found.snapshots += 1;
                let applied = self.engine.as_ref().map(crate::Engine::applied);
                self.jobs.snapshotting.spoiled(index, applied);
                (Place::Below(index), PIECE_BYTES as u64)
            }
            PieceRead::Nothing => (Place::End, 0),
        };
        if matches!(place, Place::End) && self.health.is_damaged_alone() {
            // It could not be kept before, as on a full disk.
            self.keep_state(out);
        }
        self.scrubbing.go_on_at(now.time, place, bytes, all_bytes);
        Ok(())
    }

    fn on_spoiled_frame(
        &mut self,
        now: Now,
        spoiled: journal::Spoiled,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let damage = *spoiled.damage();
        let Some(frame) = self.journal.note_spoiled(spoiled) else { return Ok(()) };
        if self.is_alone() {
            self.health.found(Finding::DamagedAlone(damage));
            self.keep_state(out);
            return Ok(());
        }
        self.health.found(Finding::Damaged(damage));
        self.decide(now, quorum::Input::Damaged(frame), &[], out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes a second are read of so many.
    #[track_caller]
    fn check(all_bytes: u64, expected: u64) {
        let mut scrubbing = Scrubbing::begin(Time::default());
        let now = Time::after(Duration::from_secs(100));
        scrubbing.go_on_at(now, Place::Journal { after: Index(1) }, 1 << 20, all_bytes);
        let pause = scrubbing.next_at.since(now).as_secs_f64();
        assert!((f64::from(1 << 20) / pause - expected as f64).abs() < 2.0, "{pause} s");
    }

    #[test]
    fn everything_is_read_within_half_a_day_and_not_much_faster() {
        check(1 << 20, BYTES_PER_SECOND_MIN);
        check(43_200_000_000, 1_000_000);
        check(1 << 50, BYTES_PER_SECOND_MAX);
        let mut scrubbing = Scrubbing::begin(Time::default());
        let now = Time::after(Duration::from_secs(100));
        scrubbing.go_on_at(now, Place::End, 0, 1 << 20);
        assert_eq!(scrubbing.next_at, Time::default() + CYCLE, "it rests until the next is due");
    }
}
