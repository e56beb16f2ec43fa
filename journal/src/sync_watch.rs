use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A sync that takes longer than this is told: on a sound disk the worst takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// It is told again this often, as long as it has not come back.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How long the sync under way has been under way, for those who wait for it: a disk that hangs says nothing itself.
///
/// Cheap to clone: all clones watch the same thread.
#[derive(Clone, Debug, Default)]
pub struct SyncWatch(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    /// When the sync under way began, and when it is told next.
    under_way: Option<(Instant, Instant)>,
}

impl SyncWatch {
    /// Performs what may wait for the disk.
    pub fn during<T>(&self, sync: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        self.begin(begun);
        let synced = sync();
        if let Some(took) = self.end(Instant::now()) {
            tracing::warn!(seconds = took.as_secs_f32(), "a sync was slow, and has come back");
        }
        synced
    }

    /// How long the disk has kept somebody waiting, if it is long enough to be told.
    #[must_use]
    pub fn waits(&self) -> Option<Duration> {
        let begun = self.lock().under_way?.0;
        Some(begun.elapsed()).filter(|waited| *waited >= PATIENCE)
    }

    /// Logs a sync that has not come back for a second, and again every few seconds. Whoever calls this often enough
    /// is on another thread than the sync.
    pub fn tell(&self, what: &'static str) {
        if let Some(waited) = self.due(Instant::now()) {
            tracing::warn!(
                seconds = waited.as_secs(),
                "a sync of {what} has not come back: the disk hangs or is far too slow. Nothing that waits for it is \
                 acknowledged; check the disk"
            );
        }
    }

    fn begin(&self, now: Instant) {
        self.lock().under_way = Some((now, now + PATIENCE));
    }

    /// How long it took, if that was long.
    fn end(&self, now: Instant) -> Option<Duration> {
        let (begun, _) = self.lock().under_way.take()?;
        Some(now.duration_since(begun)).filter(|took| *took >= PATIENCE)
    }

    fn due(&self, now: Instant) -> Option<Duration> {
        let mut watched = self.lock();
        let (begun, next) = watched.under_way.as_mut()?;
        if now < *next {
            return None;
        }
        *next = now + TELL_AGAIN_AFTER;
        Some(now.duration_since(*begun))
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Nothing that holds it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_back_is_told_again_and_again_until_it_does() {
        let watch = SyncWatch::default();
        let start = Instant::now();
        let check = |millis: u64, told: Option<u64>| {
            let due = watch.due(start + Duration::from_millis(millis));
            assert_eq!(due.map(|waited| waited.as_secs()), told, "after {millis} ms");
        };
        check(5_000, None);
        watch.begin(start);
        check(999, None);
        check(1_000, Some(1));
        check(1_001, None);
        check(5_900, None);
        check(6_500, Some(6));
        check(11_000, None);
        check(11_500, Some(11));
        assert_eq!(watch.end(start + Duration::from_secs(12)), Some(Duration::from_secs(12)));
        check(30_000, None);
        watch.begin(start);
        assert_eq!(watch.end(start + Duration::from_millis(900)), None);
    }
}
