//! Work that would stall the loop: it runs elsewhere, holds what it needs, and comes back as an input.

use std::collections::BTreeSet;
use std::time::Duration;

use position::{ClusterId, Index, Member, Tip};
use quorum::{History, Time};
use snapshots::{Incoming, Opened, Shelf, SnapshotError};
use storage::{DiskError, Slice};

use crate::engine::SnapshotRule;
use crate::replay::replay_past_panics;
use crate::replica::{Effects, Fatal, Now, Replica, has_no_room};
use crate::retention::Retention;
use crate::snapshotter::{self, LoadError, Made, SnapshotJob, SnapshotJobError};
use crate::{Chore, ChoreDone, Engine, Prevalent};

/// So many commands may have panicked behind the newest snapshot. The next one is then made before it is due: each
/// further panic has everything behind it replayed, and so has a start for each of them.
const PANICS_MAX: usize = 8;

/// Work for another thread.
#[derive(Debug)]
pub struct Job<S: Prevalent>(Work<S>);

#[derive(Debug)]
enum Work<S: Prevalent> {
    /// What the journal needs done around it.
    Chore(Chore),
    /// Verifies the newest snapshot, for a standby that needs it.
    Open { shelf: Shelf, to: Member },
    /// Makes a snapshot from the previous one and the journal.
    Snapshot { job: Box<SnapshotJob<S>>, shelf: Shelf, retention: Retention },
    /// Verifies a snapshot that a master sent, makes it durable and loads it.
    Install { incoming: Box<Incoming>, shelf: Shelf, cluster: ClusterId },
    /// Builds the state again without the commands that panicked.
    Rebuild(Rebuild),
}

#[derive(Debug)]
struct Rebuild {
    shelf: Shelf,
    cluster: ClusterId,
    frames: Vec<Slice>,
    through: Index,
    panics: BTreeSet<Index>,
    rule: SnapshotRule,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Finished<S: Prevalent>(Box<Outcome<S>>);

#[derive(Debug)]
enum Outcome<S: Prevalent> {
    Chore(ChoreDone),
    Opened {
        to: Member,
        newest: Result<Option<Opened>, SnapshotError>,
    },
    /// With where the past begins from now on.
    Made {
        made: Result<Made, SnapshotJobError>,
        begin: Result<Index, DiskError>,
    },
    Installed(Result<(Opened, Box<Engine<S>>), InstallError>),
    Rebuilt(Result<Box<Engine<S>>, RebuildError>),
}

#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the snapshot at {0} does not load")]
    NotLoaded(Tip),
}

/// The state could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// No snapshot could be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The journal could not be replayed.
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayError),
}

impl<S: Prevalent> Job<S> {
    /// Does the work. Blocks on disks, and takes as long as it takes.
    #[must_use]
    pub fn run(self) -> Finished<S> {
        Finished(Box::new(match self.0 {
            Work::Chore(chore) => Outcome::Chore(chore.perform()),
            Work::Open { shelf, to } => {
                Outcome::Opened { to, newest: shelf.newest_valid().map(|newest| newest.snapshot) }
            }
            Work::Snapshot { job, shelf, retention } => {
                let begin = || Ok(retention.begin(&shelf.list()?));
                match begin() {
                    Ok(from) => Outcome::Made { made: job.keeping(from).run(), begin: begin() },
                    Err(error) => {
                        Outcome::Made { made: Err(LoadError::Disk(error).into()), begin: Ok(Index::NONE) }
                    }
                }
            }
            Work::Install { incoming, shelf, cluster } => {
                Outcome::Installed(install(*incoming, &shelf, cluster))
            }
            Work::Rebuild(rebuild) => Outcome::Rebuilt(rebuild.run().map(Box::new)),
        }))
    }

    /// The job's name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Work::Chore(chore) => chore.name(),
            Work::Open { .. } => "verify a snapshot",
            Work::Snapshot { .. } => "make a snapshot",
            Work::Install { .. } => "install a snapshot",
            Work::Rebuild(_) => "rebuild the state",
        }
    }
}

fn install<S: Prevalent>(
    incoming: Incoming,
    shelf: &Shelf,
    cluster: ClusterId,
) -> Result<(Opened, Box<Engine<S>>), InstallError> {
    let opened = incoming.finish()?;
    let loaded = snapshotter::load::<S>(shelf, cluster)?;
    match loaded.head {
        Some(head) if head.tip == opened.head().tip => Ok((opened, Box::new(loaded.engine))),
        _ => Err(InstallError::NotLoaded(opened.head().tip)),
    }
}

impl Rebuild {
    fn run<S: Prevalent>(self) -> Result<Engine<S>, RebuildError> {
        let begin = || -> Result<Engine<S>, RebuildError> {
            Ok(snapshotter::load::<S>(&self.shelf, self.cluster)?.engine)
        };
        let engine = begin()?.with_panics(&self.panics).with_snapshot_rule(self.rule);
        replay_past_panics(engine, begin, &self.frames, self.through)
    }
}

/// Which jobs run, and which wait for their turn. At most one of each kind runs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    snapshotting: bool,
    installing: bool,
    wanted: Option<Tip>,
    /// The newest snapshot that is known to be good ends here.
    newest: Index,
    looked_at: Time,
}

impl Jobs {
    pub(crate) fn behind_snapshot(newest: Index) -> Jobs {
        Jobs { newest, ..Jobs::default() }
    }

    /// The engine has passed a position at which a snapshot is due. Only the latest is still of use.
    pub(crate) fn want_snapshot(&mut self, tip: Tip) {
        self.wanted = Some(tip);
    }

    fn snapshot_made(&mut self, at: Index) {
        self.newest = self.newest.max(at);
    }

    pub(crate) fn is_installing(&self) -> bool {
        self.installing
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
    pub(crate) fn start_jobs(&mut self, out: &mut Effects<S>) {
        if let Some(chore) = self.journal.next_chore() {
            out.start.push(Job(Work::Chore(chore)));
        }
        let Some(engine) = self.engine.as_ref().filter(|_| !self.jobs.snapshotting && !self.jobs.installing)
        else {
            return;
        };
        if let Some(target) = self.jobs.wanted.take() {
            self.jobs.snapshotting = true;
            let frames = self.journal.frames_between(self.journal.base().index(), target.index());
            let job = SnapshotJob::new(engine, self.shelf.clone(), self.meta.cluster, target, frames);
            let retention = Retention {
                bytes_max: self.history_bytes_max,
                base: self.journal.base().index(),
                parts: self.journal.parts(),
            };
            out.start.push(Job(Work::Snapshot { job: Box::new(job), shelf: self.shelf.clone(), retention }));
        }
    }

    pub(crate) fn start_install(&mut self, incoming: Incoming, out: &mut Effects<S>) {
        self.jobs.installing = true;
        let incoming = Box::new(incoming);
        let (shelf, cluster) = (self.shelf.clone(), self.meta.cluster);
        out.start.push(Job(Work::Install { incoming, shelf, cluster }));
    }

    /// Gives up the state that a panic left behind, and has it built anew without that command. The voter
    /// goes on voting, storing and acknowledging; clients are told to come back.
    pub(crate) fn rebuild_without(&mut self, index: Index, out: &mut Effects<S>) {
        let Some(engine) = self.engine.take() else { return };
        let mut panics = engine.panics().clone();
        panics.insert(index);
        let commit = self.committed_tip().index();
        out.start.push(Job(Work::Rebuild(Rebuild {
            shelf: self.shelf.clone(),
            cluster: self.meta.cluster,
            frames: self.journal.frames_between(self.journal.base().index(), commit),
            through: commit,
            panics,
            rule: engine.snapshot_rule(),
        })));
    }

    pub(crate) fn on_finished(
        &mut self,
        now: Now,
        finished: Finished<S>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        match *finished.0 {
            Outcome::Chore(done) => {
                self.journal.chore_done(done);
                self.start_jobs(out);
            }
            Outcome::Opened { to, newest } => self.start_transfer(now, to, newest?, out),
            Outcome::Made { made, begin } => {
                self.jobs.snapshotting = false;
                self.on_made(made, begin?);
                self.start_jobs(out);
            }
            Outcome::Installed(installed) => {
                self.jobs.installing = false;
                self.on_install_done(now, installed, out)?;
            }
            Outcome::Rebuilt(Ok(engine)) => {
                // What was committed meanwhile is applied as usual.
                out.applied = Some(engine.applied());
                let panics = engine.panics().range(self.jobs.newest.next()..).count();
                if panics >= PANICS_MAX {
                    self.jobs.want_snapshot(engine.applied());
                }
                self.engine = Some(*engine);
                self.hand_out_kept_answers(out);
                self.start_jobs(out);
            }
            Outcome::Rebuilt(Err(error)) => return Err(Fatal::Rebuild(error)),
        }
        Ok(())
    }

    /// With a new snapshot, what lies before the past that is kept may go.
    fn on_made(&mut self, made: Result<Made, SnapshotJobError>, begin: Index) {
        match made {
            Ok(made) => {
                self.jobs.snapshot_made(made.snapshot.index());
                for passed_over in &made.passed_over {
                    tracing::warn!(index = %passed_over.index, error = %passed_over.error, "a snapshot was passed over");
                }
                self.journal.compact(begin);
            }
            Err(SnapshotJobError::Overtaken { .. }) => {}
            // The journal holds everything: the next position that is due tries again.
            Err(error) => {
                tracing::error!(%error, "no snapshot was made; the journal keeps what it would have covered");
            }
        }
    }

    /// A standby needs frames that are compacted away.
    pub(crate) fn offer_snapshot(&mut self, to: Member, out: &mut Effects<S>) {
        if self.transfers.expect(to) {
            out.start.push(Job(Work::Open { shelf: self.shelf.clone(), to }));
        }
    }

    /// The journal holds what the snapshot covers, and more that may have been acknowledged: it stays. Only
    /// where frames are damaged that nobody can send any more, the snapshot takes their place.
    fn mend_with(
        &mut self,
        now: Now,
        base: Tip,
        engine: Engine<S>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        if self.applied().index() < base.index() {
            let rule = self.engine.as_ref().map_or_else(|| engine.snapshot_rule(), Engine::snapshot_rule);
            self.engine = Some(engine.with_snapshot_rule(rule));
            out.applied = Some(base);
        }
        for damaged in self.journal.give_up_damage(base.index()) {
            self.decide(now, quorum::Input::Repaired(damaged), &[], out)?;
        }
        Ok(())
    }

    fn on_install_done(
        &mut self,
        now: Now,
        installed: Result<(Opened, Box<Engine<S>>), InstallError>,
        out: &mut Effects<S>,
    ) -> Result<(), Fatal> {
        let (opened, engine) = match installed {
            Ok(installed) => installed,
            Err(error) => {
                tracing::warn!(%error, "a snapshot was not installed; the master will send it again");
                return Ok(());
            }
        };
        let base = opened.head().tip;
        self.jobs.snapshot_made(base.index());
        if self.journal.tip_at(base.index()) == Some(base) {
            return self.mend_with(now, base, *engine, out);
        }
        if base.index() <= self.voter.commit() {
            // Frames came first, from the same or another master.
            return Ok(());
        }
        if let Err(error) = self.journal.reset(base) {
            return has_no_room(error, "a snapshot was not installed; the master will send it again");
        }
        self.sync_in_flight = None;
        if let Some(membership) = engine.members().and_then(|members| crate::decode_members(&members.payload))
        {
            self.voter.adopt_membership(membership);
        }
        let rule = self.engine.as_ref().map_or_else(|| engine.snapshot_rule(), Engine::snapshot_rule);
        self.engine = Some(engine.with_snapshot_rule(rule));
        self.clock.follow(&self.journal, self.engine.as_ref());
        out.applied = Some(base);
        self.decide(now, quorum::Input::Installed(base), &[], out)
    }
}
