//! Rates and latencies of one measurement.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What one measurement gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) in_flight: usize,
    pub(crate) operations: u64,
    pub(crate) per_second: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Latency {
    /// The head of the table that [`Latency::line`] makes.
    pub(crate) fn heading() -> String {
        format!(
            "{:24} {:>9} {:>10} {:>9} {:>9} {:>9}",
            "", "in flight", "a second", "p50 µs", "p99 µs", "max µs"
        )
    }

    /// A line for people; beside a floor, how far above it the latency is.
    pub(crate) fn line(&self, what: &str, floor: Option<&Latency>) -> String {
        let Latency { in_flight, per_second, p50_us, p99_us, max_us, .. } = self;
        let above = floor.map(|floor| format!("   p50 is {:.2} × raw", ratio(*p50_us, floor.p50_us)));
        let above = above.unwrap_or_default();
        format!("{what:24} {in_flight:>9} {per_second:>10} {p50_us:>9} {p99_us:>9} {max_us:>9}{above}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds for people to read")]
fn ratio(value: u64, floor: u64) -> f64 {
    value as f64 / floor.max(1) as f64
}

/// Collects how long each operation took.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Histogram<u64>);

impl Recorder {
    pub(crate) fn new() -> Recorder {
        // From a microsecond to a minute, to three digits.
        Recorder(Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are good ones"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub(crate) fn add(&mut self, other: &Recorder) {
        self.0.add(&other.0).expect("all recorders have the same bounds");
    }

    pub(crate) fn finish(&self, in_flight: usize, elapsed: Duration) -> Latency {
        Latency {
            in_flight,
            operations: self.0.len(),
            per_second: rate(self.0.len(), elapsed),
            p50_us: self.0.value_at_quantile(0.5),
            p99_us: self.0.value_at_quantile(0.99),
            max_us: self.0.max(),
        }
    }
}

/// Operations a second.
pub(crate) fn rate(operations: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(operations) * 1_000_000 / micros).unwrap_or(u64::MAX)
}
