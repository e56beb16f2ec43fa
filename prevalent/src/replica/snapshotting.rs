//! When this voter makes a snapshot, and what follows from one.
//!
//! Responsible for: that what lies behind the newest snapshot is condensed some time, whatever fails. Not
//! responsible for: how one is made (`snapshotter`), and where the past begins then (`retention`).

use std::time::Duration;

use journal::{Entry, EntryKind, Finding};
use position::{History, Index, Mutant, Tip};
use quorum::Time;
use storage::Slice;

use crate::replica::jobs::Work;
use crate::replica::{Effects, Job, Now, Replica};
use crate::retention::Retention;
use crate::snapshotter::{Made, SnapshotJob, SnapshotJobError};
use crate::{Engine, Prevalent};

/// So many commands may have panicked behind the newest snapshot. The next one is then made before it is due: each
/// further panic has everything behind it replayed, and so has a start for each of them.
const PANICS_MAX: usize = 8;

/// After a failure the next attempt waits so long, after each further one twice as long: whatever is wrong, a full
/// disk above all, is not mended by replaying the journal all the time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// It waits no longer than this.
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Which snapshot is wanted, and what is known of those that there are.
#[derive(Debug, Default)]
pub(crate) struct Snapshotting {
    running: bool,
    wanted: Option<Tip>,
    /// The newest snapshot that is known to be good ends here.
    newest: Index,
    failures: u32,
    /// After a failure: when the next attempt may be made.
    retry_at: Option<Time>,
}

impl Snapshotting {
    /// The newest good snapshot ends at `newest`.
    pub(crate) fn behind(newest: Index) -> Snapshotting {
        Snapshotting { newest, ..Snapshotting::default() }
    }

    /// A snapshot of this position is due. Only the latest is still of use.
    pub(crate) fn want(&mut self, tip: Tip) {
        if self.wanted.is_none_or(|wanted| wanted.index() < tip.index()) {
            self.wanted = Some(tip);
        }
    }

    /// One before it is due, if so many commands have panicked since the newest that the next panic, or start,
    /// would take too long.
    pub(crate) fn want_for_panics<S: Prevalent>(&mut self, engine: &Engine<S>) {
        let ahead = self.newest.next()..=engine.applied().index();
        if !ahead.is_empty() && engine.panics().range(ahead).count() >= PANICS_MAX {
            self.want(engine.applied());
        }
    }

    /// There is a good one of this position.
    pub(crate) fn made(&mut self, at: Index) {
        self.newest = self.newest.max(at);
        (self.failures, self.retry_at) = (0, None);
    }

    /// The disk has spoiled this one: another is made of what is applied, which the journal still leads to.
    pub(crate) fn spoiled(&mut self, at: Index, applied: Option<Tip>) {
        if at == self.newest {
            self.newest = at.previous();
        }
        applied.into_iter().for_each(|applied| self.want(applied));
    }

    /// The one of this position was not made. It is tried again even if nothing makes another one due: as when the
    /// journal is full, and takes no frame any more.
    fn failed(&mut self, now: Time, target: Tip) {
        self.want(target);
        let doublings = self.failures.min(16);
        self.failures += 1;
        self.retry_at = Some(now + (RETRY_FIRST * 2_u32.pow(doublings)).min(RETRY_LAST));
    }

    fn on_tick(&mut self, now: Time) {
        self.retry_at.take_if(|retry_at| *retry_at <= now);
    }

    /// The position to begin with now, of what is applied.
    fn begin(&mut self, applied: Index) -> Option<Tip> {
        if self.running || self.retry_at.is_some() {
            return None;
        }
        let wanted = self.wanted.take_if(|wanted| wanted.index() <= applied)?;
        self.running = wanted.index() > self.newest;
        self.running.then_some(wanted)
    }
}

impl<S: Prevalent> Replica<S> {
    pub(crate) fn start_snapshot(&mut self, out: &mut Effects<S>) {
        let Some(engine) = self.engine.as_ref().filter(|_| !self.jobs.is_installing()) else { return };
        let Some(target) = self.jobs.snapshotting.begin(engine.applied().index()) else { return };
        let frames = self.journal.frames_between(self.journal.base().index(), target.index());
        // Whatever has looked for something in closed segments has left pages of theirs in memory, from each a little.
        frames.iter().for_each(Slice::give_back);
        let retention = Retention {
            bytes_max: self.history_bytes_max,
            base: self.journal.base().index(),
            parts: self.journal.parts(),
        };
        let job = SnapshotJob::new(engine, self.shelf.clone(), self.cluster, target, frames);
        out.start.push(Job(Work::Snapshot(Box::new(job.keeping(retention)))));
    }

    /// With a new snapshot, what lies before the past that is kept may go.
    pub(crate) fn on_made(&mut self, now: Now, target: Tip, made: Result<Made, SnapshotJobError>) {
        let snapshotting = &mut self.jobs.snapshotting;
        snapshotting.running = false;
        match made {
            Ok(made) => {
                snapshotting.made(made.snapshot.index());
                for passed_over in &made.passed_over {
                    let error = passed_over.error.to_string();
                    self.health.found(Finding::Snapshot { index: passed_over.index, error });
                }
                self.health.follow_snapshots(made.snapshot.index(), &made.kept);
                let begin = match Mutant::CompactsBeyondSnapshot.is_active() {
                    true => self.applied().index(),
                    false => made.begin,
                };
                self.journal.compact(begin);
                self.health.follow_journal(&self.journal);
            }
            Err(SnapshotJobError::Overtaken { newer, .. }) => snapshotting.made(newer.index()),
            Err(error) => {
                snapshotting.failed(now.time, target);
                tracing::error!(%error, "no snapshot was made; the journal keeps what it would have covered, and another attempt follows");
            }
        }
    }

    pub(crate) fn look_after_snapshots(&mut self, now: Now) {
        self.jobs.snapshotting.on_tick(now.time);
        if self.journal_is_full() {
            self.want_snapshot_for_room();
        }
    }

    /// A full journal takes no frame that would make a snapshot due. It can be cut once there are two of different
    /// positions, so the first is made of the middle of what lies behind the newest one.
    fn want_snapshot_for_room(&mut self) {
        let snapshotting = &mut self.jobs.snapshotting;
        let Some(engine) = self.engine.as_ref().filter(|_| snapshotting.wanted.is_none()) else { return };
        let (newest, applied) = (snapshotting.newest.max(self.journal.base().index()), engine.applied());
        let middle = Index(newest.0 + applied.index().0.saturating_sub(newest.0) / 2);
        let middle = self.journal.tip_at_or_below(middle);
        if applied.index() > newest {
            snapshotting.want(if middle.index() > newest { middle } else { applied });
        } else if self.voter.leads() && self.builder.entries() == 0 && applied == self.journal.last() {
            // There is but the one snapshot, of the very end: another needs something behind it.
            self.builder.push(&Entry::internal(EntryKind::Noop, &[])).expect("an empty frame has room");
        }
    }
}

#[cfg(test)]
mod tests {
    use position::{Epoch, Position};

    use super::*;

    fn tip(index: u64) -> Tip {
        Tip { position: Position::new(Epoch(1), Index(index)), ..Tip::NONE }
    }

    #[test]
    fn only_the_latest_is_made_once_it_is_applied_and_one_at_a_time() {
        let mut snapshotting = Snapshotting::behind(Index(10));
        snapshotting.want(tip(20));
        snapshotting.want(tip(30));
        snapshotting.want(tip(25));
        assert_eq!(snapshotting.begin(Index(29)), None);
        assert_eq!(snapshotting.begin(Index(30)), Some(tip(30)));
        snapshotting.want(tip(40));
        assert_eq!(snapshotting.begin(Index(50)), None);
        snapshotting.running = false;
        assert_eq!(snapshotting.begin(Index(50)), Some(tip(40)));
    }

    #[test]
    fn what_a_snapshot_covers_needs_no_other() {
        let mut snapshotting = Snapshotting::behind(Index(10));
        snapshotting.want(tip(20));
        snapshotting.made(Index(25));
        assert_eq!(snapshotting.begin(Index(50)), None);
        snapshotting.want(tip(30));
        assert_eq!(snapshotting.begin(Index(50)), Some(tip(30)));
    }

    /// At these seconds, and not before, a snapshot that never succeeds is begun.
    #[test]
    fn a_failed_one_is_tried_again_and_again_with_longer_and_longer_pauses() {
        let mut snapshotting = Snapshotting::default();
        snapshotting.want(tip(20));
        let mut begun = Vec::new();
        for second in 0..300 {
            let now = Time::after(Duration::from_secs(second));
            snapshotting.on_tick(now);
            if let Some(target) = snapshotting.begin(Index(20)) {
                begun.push(second);
                snapshotting.running = false;
                snapshotting.failed(now, target);
            }
        }
        assert_eq!(begun, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        snapshotting.made(Index(20));
        snapshotting.want(tip(30));
        assert_eq!(snapshotting.begin(Index(30)), Some(tip(30)));
    }
}
