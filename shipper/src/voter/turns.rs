use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The loop turns at least this often, whether there is anything to do or not.
pub(crate) const TURN_PERIOD: Duration = Duration::from_secs(1);

/// Counts the turns of a voter's loop, for a watchdog: a loop that hangs does not count.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<AtomicU64>);

impl Turns {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
