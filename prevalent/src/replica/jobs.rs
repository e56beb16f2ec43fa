//! Work that would stall the loop: it runs elsewhere, holds what it needs, and comes back as an input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use journal::{Chore, ChoreDone, GoodCopy, JournalError, RepairOrder};
use position::{ClusterId, FrameId, Index, Member, Tip};
use quorum::{Membership, Time};
use snapshots::{Incoming, Opened, Shelf, SnapshotError};

use crate::execution::message_of;
use crate::replay::Replayed;
use crate::replica::install::{InstallError, Installed, install};
use crate::replica::keeping::{Keeping, Kept};
use crate::replica::rebuild::{Rebuild, RebuildError};
use crate::replica::receiving::Pieces;
use crate::replica::scrubbing::{PieceRead, ScrubPiece};
use crate::replica::snapshotting::Snapshotting;
use crate::replica::{Effects, Fatal, Now, Replica};
use crate::snapshotter::{Made, SnapshotJob, SnapshotJobError};
use crate::{Engine, Prevalent};

/// A spare that could not be made is tried again this often.
const SPARES_RETRY_PERIOD: Duration = Duration::from_secs(1);

/// Work for another thread.
#[derive(Debug)]
pub struct Job<S: Prevalent>(pub(crate) Work<S>);

#[derive(Debug)]
pub(crate) enum Work<S: Prevalent> {
    /// What the journal needs done around it.
    Chore(Chore),
    /// Verifies the newest snapshot, for a standby that needs it.
    Open { shelf: Shelf, to: Member },
    /// Makes a snapshot from the previous one and the journal.
    Snapshot(Box<SnapshotJob<S>>),
    /// Verifies a snapshot that a master sent, makes it durable and loads it.
    Install { incoming: Box<Incoming>, shelf: Shelf, cluster: ClusterId },
    /// Builds the state again without the commands that panicked.
    Rebuild(Box<Rebuild<S>>),
    /// Makes the good copy of damaged frames durable, and what of it is the list of voters, if anything is.
    Repair { order: Box<RepairOrder>, damaged: FrameId, lists: Vec<(Index, Membership)> },
    /// Reads again what the disk holds.
    Scrub(ScrubPiece),
    /// Writes the state as it is, where the disk has spoiled what led to it.
    Keep(Box<Keeping<S>>),
    /// Writes pieces of a snapshot that a master sends.
    Receive(Box<Pieces>),
    /// Lets go of what another has replaced.
    Drop(Replaced<S>),
}

/// What takes its time to be let go of.
#[derive(Debug)]
pub(crate) enum Replaced<S: Prevalent> {
    /// Its memory is freed.
    State(Box<Engine<S>>),
    /// Its unfinished file is removed.
    Snapshot(Box<Incoming>),
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Finished<S: Prevalent> {
    outcome: Box<Outcome<S>>,
    panicked: bool,
}

impl<S: Prevalent> Finished<S> {
    /// Whether the program panicked: that is a fault of it, although the voter goes on.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.panicked
    }
}

#[derive(Debug)]
enum Outcome<S: Prevalent> {
    Chore(ChoreDone),
    Opened {
        to: Member,
        newest: Result<Option<Opened>, SnapshotError>,
    },
    Made {
        target: Tip,
        made: Result<Made, SnapshotJobError>,
    },
    Installed(Result<Installed<S>, InstallError>),
    Rebuilt {
        number: u64,
        rebuilt: Result<Box<Replayed<S>>, RebuildError>,
    },
    Repaired(Option<Repaired>),
    Scrubbed(PieceRead),
    Kept(Box<Kept<S>>),
    /// `None` if the program panicked.
    Received {
        base: Tip,
        written: Option<Result<Box<Incoming>, SnapshotError>>,
    },
    Dropped,
}

/// A repair that did not panic.
#[derive(Debug)]
struct Repaired {
    damaged: FrameId,
    copy: Result<GoodCopy, JournalError>,
    lists: Vec<(Index, Membership)>,
}

/// A job by what becomes of it if it panics.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Chore,
    Open { to: Member },
    Snapshot { target: Tip },
    Install,
    Rebuild { number: u64 },
    Repair,
    Scrub,
    Keep,
    Receive { base: Tip },
    Drop,
}

impl<S: Prevalent> Job<S> {
    /// Does the work. Blocks on disks, and takes as long as it takes.
    ///
    /// A panic in it is an outcome like another: at most one of each kind runs, so one that never came back would be
    /// the last, and the journal would grow until it takes no command any more.
    #[must_use]
    pub fn run(self) -> Finished<S> {
        let (kind, name) = (self.kind(), self.name());
        // What the work held is dropped with it.
        match catch_unwind(AssertUnwindSafe(|| self.0.perform())) {
            Ok(outcome) => Finished { outcome: Box::new(outcome), panicked: false },
            Err(panic) => {
                let message = message_of(panic);
                tracing::error!(message, "the program panicked when it was to {name}; please report it");
                Finished { outcome: Box::new(kind.panicked(message)), panicked: true }
            }
        }
    }

    /// The job's name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Work::Chore(chore) => chore.name(),
            Work::Open { .. } => "verify a snapshot",
            Work::Snapshot(_) => "make a snapshot",
            Work::Install { .. } => "install a snapshot",
            Work::Rebuild(_) => "rebuild the state",
            Work::Repair { .. } => "replace damaged entries",
            Work::Scrub(_) => "read again what the disk holds",
            Work::Keep(_) => "keep the state",
            Work::Receive(_) => "write pieces of a snapshot",
            Work::Drop(_) => "let go of what was replaced",
        }
    }

    /// Whether nobody can be answered before this is done.
    pub(crate) fn holds_the_state(&self) -> bool {
        matches!(self.0, Work::Rebuild(_) | Work::Keep(_))
    }

    /// Whether this is one of the journal's own jobs, of which one runs at a time, and which are done at once on a
    /// disk that is well.
    #[must_use]
    pub fn is_chore(&self) -> bool {
        matches!(self.0, Work::Chore(_))
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Work::Chore(_) => Kind::Chore,
            Work::Open { to, .. } => Kind::Open { to: *to },
            Work::Snapshot(job) => Kind::Snapshot { target: job.target() },
            Work::Install { .. } => Kind::Install,
            Work::Rebuild(rebuild) => Kind::Rebuild { number: rebuild.number },
            Work::Repair { .. } => Kind::Repair,
            Work::Scrub(_) => Kind::Scrub,
            Work::Keep(_) => Kind::Keep,
            Work::Receive(pieces) => Kind::Receive { base: pieces.base() },
            Work::Drop(_) => Kind::Drop,
        }
    }
}

impl<S: Prevalent> Work<S> {
    fn perform(self) -> Outcome<S> {
        match self {
            Work::Chore(chore) => Outcome::Chore(chore.perform()),
            Work::Open { shelf, to } => {
                Outcome::Opened { to, newest: shelf.newest_valid().map(|newest| newest.snapshot) }
            }
            Work::Snapshot(job) => Outcome::Made { target: job.target(), made: job.run() },
            Work::Install { incoming, shelf, cluster } => {
                Outcome::Installed(install(*incoming, &shelf, cluster))
            }
            Work::Rebuild(rebuild) => {
                Outcome::Rebuilt { number: rebuild.number, rebuilt: rebuild.run().map(Box::new) }
            }
            Work::Repair { order, damaged, lists } => {
                Outcome::Repaired(Some(Repaired { damaged, copy: order.perform(), lists }))
            }
            Work::Scrub(piece) => Outcome::Scrubbed(piece.read()),
            Work::Keep(keeping) => Outcome::Kept(Box::new(keeping.run())),
            Work::Receive(pieces) => Outcome::Received { base: pieces.base(), written: Some(pieces.write()) },
            Work::Drop(Replaced::State(engine)) => {
                drop(engine);
                Outcome::Dropped
            }
            Work::Drop(Replaced::Snapshot(incoming)) => {
                drop(incoming);
                Outcome::Dropped
            }
        }
    }
}

impl Kind {
    fn panicked<S: Prevalent>(self, message: String) -> Outcome<S> {
        match self {
            Kind::Chore => Outcome::Chore(ChoreDone::nothing()),
            Kind::Open { to } => Outcome::Opened { to, newest: Ok(None) },
            Kind::Snapshot { target } => {
                Outcome::Made { target, made: Err(SnapshotJobError::Panicked { target, message }) }
            }
            Kind::Install => Outcome::Installed(Err(InstallError::Panicked(message))),
            Kind::Rebuild { number } => {
                Outcome::Rebuilt { number, rebuilt: Err(RebuildError::Panicked(message)) }
            }
            Kind::Repair => Outcome::Repaired(None),
            Kind::Scrub => Outcome::Scrubbed(PieceRead::Nothing),
            Kind::Keep => unreachable!("a panic while the state is kept is an outcome of its own"),
            Kind::Receive { base } => Outcome::Received { base, written: None },
            Kind::Drop => Outcome::Dropped,
        }
    }
}

/// Which jobs run, and which wait for their turn. At most one of each kind runs, but for a rebuild that an installed
/// snapshot has made pointless.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) snapshotting: Snapshotting,
    installing: bool,
    repairing: bool,
    receiving: bool,
    rebuilds: u64,
    looked_at: Time,
    spares_tried: Time,
}

impl Jobs {
    pub(crate) fn new(snapshotting: Snapshotting) -> Jobs {
        Jobs {
            snapshotting,
            installing: false,
            repairing: false,
            receiving: false,
            rebuilds: 0,
            looked_at: Time::default(),
            spares_tried: Time::default(),
        }
    }

    pub(crate) fn is_installing(&self) -> bool {
        self.installing
    }

    pub(crate) fn begin_install(&mut self) {
        self.installing = true;
    }

    /// `false`: one is under way.
    pub(crate) fn begin_repair(&mut self) -> bool {
        !std::mem::replace(&mut self.repairing, true)
    }

    pub(crate) fn end_repair(&mut self) {
        self.repairing = false;
    }

    /// `false`: one is under way.
    pub(crate) fn begin_receiving(&mut self) -> bool {
        !std::mem::replace(&mut self.receiving, true)
    }

    pub(crate) fn next_rebuild(&mut self) -> u64 {
        self.rebuilds += 1;
        self.rebuilds
    }

    pub(crate) fn is_newest_rebuild(&self, number: u64) -> bool {
        self.rebuilds == number
    }

    pub(crate) fn is_due(&mut self, now: Time, period: Duration) -> bool {
        let due = now.since(self.looked_at) >= period;
        if due {
            self.looked_at = now;
        }
        due
    }
}

impl<S: Prevalent> Replica<S> {
    /// What a disk refused is tried again after a while, not at every tick.
    pub(crate) fn look_after_spares(&mut self, now: Now) {
        if now.time.since(self.jobs.spares_tried) >= SPARES_RETRY_PERIOD {
            self.jobs.spares_tried = now.time;
            // Others may have been taken in since the start.
            if !self.is_alone() {
                self.journal.keep_spares();
            }
            self.journal.try_again();
        }
    }

    /// Has a state let go of elsewhere.
    pub(crate) fn drop_elsewhere(&mut self, engine: Option<Engine<S>>, out: &mut Effects<S>) {
        out.start.extend(engine.map(|engine| Job(Work::Drop(Replaced::State(Box::new(engine))))));
    }

    pub(crate) fn start_jobs(&mut self, out: &mut Effects<S>) {
        if let Some(chore) = self.journal.next_chore() {
            out.start.push(Job(Work::Chore(chore)));
        }
        self.start_snapshot(out);
    }

    pub(crate) fn on_finished(
        &mut self,
        now: Now,
        finished: Finished<S>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        match *finished.outcome {
            Outcome::Chore(done) => self.journal.chore_done(done),
            Outcome::Opened { to, newest } => self.start_transfer(now, to, newest?, out),
            Outcome::Made { target, made } => self.on_made(now, target, made),
            Outcome::Installed(installed) => {
                self.jobs.installing = false;
                self.on_install_done(now, installed, out)?;
            }
            Outcome::Rebuilt { number, rebuilt } => self.on_rebuilt(number, rebuilt, out)?,
            Outcome::Repaired(repaired) => {
                self.jobs.end_repair();
                if let Some(Repaired { damaged, copy, lists }) = repaired {
                    self.on_repaired(now, damaged, copy, lists, out)?;
                }
            }
            Outcome::Scrubbed(read) => self.on_piece_read(now, read, out)?,
            Outcome::Kept(kept) => self.on_kept(*kept, out),
            Outcome::Received { base, written } => {
                self.jobs.receiving = false;
                self.on_pieces_written(now, base, written, out)?;
            }
            Outcome::Dropped => {}
        }
        self.start_jobs(out);
        Ok(())
    }

    /// A standby needs frames that are compacted away.
    pub(crate) fn offer_snapshot(&mut self, to: Member, out: &mut Effects<S>) {
        if self.transfers.expect(to) {
            out.start.push(Job(Work::Open { shelf: self.shelf.clone(), to }));
        }
    }
}
