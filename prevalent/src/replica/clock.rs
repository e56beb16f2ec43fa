use std::time::Duration;

use journal::Journal;
use quorum::Time;

use crate::{Engine, Prevalent};

/// The cluster's time: that of the last frame, plus what has passed since on the master's own clock.
///
/// It never goes back, whatever any wall clock says, and stands still while there is no master: an
/// outage expires no session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClusterClock {
    last: Duration,
    since: Option<Time>,
}

impl ClusterClock {
    /// Goes by the journal's last frame, or by the state if the journal is empty. What passes from now on
    /// does not count until [`Self::run`].
    pub(crate) fn follow<S: Prevalent>(&mut self, journal: &Journal, engine: Option<&Engine<S>>) {
        let last = journal.last().index();
        let of_frame = (last > journal.base().index()).then(|| journal.read_frame(last).ok()).flatten();
        let of_state = engine.map(Engine::cluster_time).unwrap_or_default();
        let time = of_frame.map_or(of_state, |frame| frame.header().cluster_time);
        // A cut may take back frames of a later time; the time itself never goes back.
        *self = ClusterClock { last: time.max(of_state), since: None };
    }

    /// A mastership starts.
    pub(crate) fn run(&mut self, now: Time) {
        self.since = Some(now);
    }

    pub(crate) fn read(&self, now: Time) -> Duration {
        self.last + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
