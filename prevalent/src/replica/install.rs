//! A snapshot that a master sent takes the place of what this voter's journal no longer leads to.

use position::{ClusterId, History, Mutant, Tip};
use snapshots::{Incoming, Opened, Shelf, SnapshotError};

use crate::replica::jobs::Work;
use crate::replica::members::list_in;
use crate::replica::{Effects, Fatal, Job, Now, Replica, has_no_room};
use crate::snapshotter::{self, LoadError};
use crate::{Engine, Prevalent};

/// A snapshot was not installed. What was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the snapshot at {0} does not load")]
    NotLoaded(Tip),
    #[error("the program panicked: {0}")]
    Panicked(String),
}

/// A snapshot that is durable, and the engine that it holds.
pub(crate) type Installed<S> = (Opened, Box<Engine<S>>);

pub(crate) fn install<S: Prevalent>(
    incoming: Incoming,
    shelf: &Shelf,
    cluster: ClusterId,
) -> Result<Installed<S>, InstallError> {
    let opened = incoming.finish()?;
    let loaded = snapshotter::load::<S>(shelf, cluster)?;
    match loaded.head {
        Some(head) if head.tip == opened.head().tip => Ok((opened, Box::new(loaded.engine))),
        _ => Err(InstallError::NotLoaded(opened.head().tip)),
    }
}

impl<S: Prevalent> Replica<S> {
    pub(crate) fn start_install(&mut self, incoming: Incoming, out: &mut Effects<S>) {
        self.jobs.begin_install();
        let incoming = Box::new(incoming);
        let (shelf, cluster) = (self.shelf.clone(), self.cluster);
        out.start.push(Job(Work::Install { incoming, shelf, cluster }));
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
        let newer = self.applied().index() < base.index();
        if newer {
            self.take_state(base, engine, out);
        } else {
            self.drop_elsewhere(Some(engine), out);
        }
        for damaged in self.journal.give_up_damage(base.index()) {
            self.health.repaired(damaged);
            self.decide(now, quorum::Input::Repaired(damaged), &[], out)?;
        }
        match newer {
            true => self.decide(now, quorum::Input::HasState(base), &[], out),
            false => Ok(()),
        }
    }

    /// Goes on with the state of a snapshot. Whoever has lost its own may not know the voters either.
    fn take_state(&mut self, base: Tip, engine: Engine<S>, out: &mut Effects<S>) {
        if let Some((at, list)) = list_in(&engine) {
            self.voter.add_list(at, list);
        }
        let replaced = self.engine.replace(engine.with_snapshot_rule(self.snapshot_rule));
        self.drop_elsewhere(replaced, out);
        self.clock.follow(&self.journal, self.engine.as_ref());
        self.health.has_state();
        out.applied = Some(base);
    }

    pub(crate) fn on_install_done(
        &mut self,
        now: Now,
        installed: Result<Installed<S>, InstallError>,
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
        self.jobs.snapshotting.made(base.index());
        let own = self.journal.tip_at(base.index());
        if own.is_some_and(|own| own.hash == base.hash)
            || (own.is_some() && Mutant::InstallsWithoutHash.is_active())
        {
            return self.mend_with(now, base, *engine, out);
        }
        if base.index() <= self.voter.commit() {
            // Frames came first, from the same or another master.
            self.drop_elsewhere(Some(*engine), out);
            return Ok(());
        }
        if let Err(error) = self.journal.reset(base) {
            self.drop_elsewhere(Some(*engine), out);
            return has_no_room(error, "a snapshot was not installed; the master will send it again");
        }
        self.sync_in_flight = None;
        if let Some((at, list)) = list_in(&engine) {
            self.voter.replace_lists(at, list);
        }
        self.take_state(base, *engine, out);
        self.decide(now, quorum::Input::Installed(base), &[], out)
    }
}
