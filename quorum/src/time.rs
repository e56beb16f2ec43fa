use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of a monotonic clock, in nanoseconds since any fixed moment of the process's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// The clock's reading after `duration` has passed since its start.
    #[must_use]
    pub fn after(duration: Duration) -> Time {
        Time(nanoseconds(duration))
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(nanoseconds(duration)))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One message of frames carries at most this much (or one frame): small enough that a vote request
/// never waits behind it for long on a slow link.
pub const APPEND_BYTES_MAX: usize = 256 * 1024;

/// Frames sent to one peer and not yet acknowledged: a gigabit LAN's bandwidth times 30 ms.
pub const IN_FLIGHT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// So many bytes of damaged frames are sent in one answer: a whole lost segment with some to spare. What is more
/// is mended by a snapshot.
pub const REPAIR_BYTES_MAX: usize = 12 * 1024 * 1024;

/// The protocol's times. One table, so that their relations can be seen and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A master starts a round of acknowledgements this often. Loss of three in a row is survived.
    pub heartbeat: Duration,
    /// Without a round for this long, a master is given up: four heartbeats and two late timers of 15 ms
    /// (Windows) would be 130 ms; the fourth heartbeat is due at 100 ms, so 120 ms leaves it one.
    pub suspicion: Duration,
    /// Jitter addition to the suspicion, so that equal ranks of journals do not probe at once.
    pub jitter: Duration,
    /// Bounds of δ, the time that a round trip and a durable vote take on this network and disk.
    pub delta_min: Duration,
    /// See `delta_min`.
    pub delta_max: Duration,
    /// A pull that brought nothing for this long is given up.
    pub pull: Duration,
    /// Every voter greets every other this often: it shows which links work in both directions.
    pub greeting: Duration,
    /// A settlement's questions are repeated this often.
    pub settlement: Duration,
    /// The back-off grows to at most δ times two to this power.
    pub backoff_doublings_max: u32,
}

impl Times {
    /// For PCs on a private LAN.
    pub const LAN: Times = Times {
        heartbeat: Duration::from_millis(25),
        suspicion: Duration::from_millis(120),
        jitter: Duration::from_millis(30),
        delta_min: Duration::from_millis(5),
        delta_max: Duration::from_millis(30),
        pull: Duration::from_millis(200),
        greeting: Duration::from_millis(60),
        settlement: Duration::from_millis(100),
        backoff_doublings_max: 5,
    };
}

const _: () = {
    let times = Times::LAN;
    assert!(times.heartbeat.as_millis() * 4 < times.suspicion.as_millis());
    assert!(times.greeting.as_millis() * 2 <= times.suspicion.as_millis());
    assert!(times.delta_min.as_millis() < times.delta_max.as_millis());
    assert!(times.delta_max.as_millis() * 4 <= times.suspicion.as_millis());
};

impl Default for Times {
    fn default() -> Times {
        Times::LAN
    }
}
