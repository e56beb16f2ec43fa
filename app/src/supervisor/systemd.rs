//! systemd's notify protocol. Without systemd nothing is said, and signals ask the program to stop.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::stop_requested;

/// The link to whoever started this process.
#[derive(Clone, Debug)]
pub struct Supervisor(());

impl Supervisor {
    pub(crate) fn of_process() -> Supervisor {
        Supervisor(())
    }

    /// Returns when the program is asked to stop.
    pub async fn stop_requested(&self) {
        stop_requested().await;
    }

    /// The program does its work from now on.
    pub fn ready(&self) {
        tell(&NotifyState::Ready);
    }

    /// The program has begun to stop.
    pub fn stopping(&self) {
        tell(&NotifyState::Stopping);
    }

    /// Tells a watchdog, if there is one, that the program is alive, for as long as `turns` goes on growing.
    /// Runs until it is dropped.
    pub async fn watch(&self, turns: impl Fn() -> u64) {
        if let Some(patience) = sd_notify::watchdog_enabled() {
            feed(patience / 3, turns, || tell(&NotifyState::Watchdog)).await;
        }
    }
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd could not be told: {state}");
    }
}

/// Says `alive` once a period, but only if there were turns since it was said last.
async fn feed(period: Duration, turns: impl Fn() -> u64, alive: impl Fn()) {
    let mut periods = tokio::time::interval(period);
    periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        periods.tick().await;
        let now = turns();
        if seen.replace(now) != Some(now) {
            alive();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// `steps` says for each period whether the loop turns in it; returns whether the watchdog was fed.
    async fn check(steps: &[bool], expected: &[bool]) {
        const PERIOD: Duration = Duration::from_secs(10);
        let (turns, fed) = (Cell::new(0), Cell::new(false));
        let feeding = feed(PERIOD, || turns.get(), || fed.set(true));
        tokio::pin!(feeding);
        let mut seen = Vec::new();
        for &step in steps {
            turns.set(turns.get() + u64::from(step));
            fed.set(false);
            assert!(tokio::time::timeout(PERIOD / 2, &mut feeding).await.is_err());
            tokio::time::advance(PERIOD / 2).await;
            seen.push(fed.get());
        }
        assert_eq!(seen, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_not_called_alive() {
        check(&[true, true, true], &[true, true, true]).await;
        check(&[true, false, false, true], &[true, false, false, true]).await;
    }
}
