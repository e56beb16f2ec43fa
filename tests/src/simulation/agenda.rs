//! Simulated time, and what happens when.
//!
//! Responsible for: one order of all events, the same for the same calls. Not responsible for: what an event
//! is, and the clocks of machines, which run at rates of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since a simulation began. No machine can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SimTime(pub(super) u64);

impl SimTime {
    pub(super) fn since(self, earlier: SimTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for SimTime {
    type Output = SimTime;

    fn add(self, duration: Duration) -> SimTime {
        SimTime(self.0 + u64::try_from(duration.as_nanos()).expect("simulated times are short"))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1000;
        write!(f, "{:>3}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// What is still to happen, in the order of time; at equal times in the order in which it was put down.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    now: SimTime,
    put_down: u64,
    events: BTreeMap<(SimTime, u64), E>,
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Agenda<E> {
        Agenda { now: SimTime::default(), put_down: 0, events: BTreeMap::new() }
    }

    pub(super) fn now(&self) -> SimTime {
        self.now
    }

    pub(super) fn at(&mut self, time: SimTime, event: E) {
        self.put_down += 1;
        self.events.insert((time.max(self.now), self.put_down), event);
    }

    pub(super) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// The next event; time goes on to it.
    pub(super) fn next(&mut self) -> Option<E> {
        let ((time, _), event) = self.events.pop_first()?;
        self.now = time;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_their_making() {
        let mut agenda = Agenda::new();
        agenda.at(SimTime(5), 'c');
        agenda.at(SimTime(3), 'a');
        agenda.at(SimTime(5), 'd');
        agenda.at(SimTime(3), 'b');
        let order: String = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(order, "abcd");
        assert_eq!(agenda.now(), SimTime(5));
    }

    #[test]
    fn what_is_put_down_for_the_past_happens_now() {
        let mut agenda = Agenda::new();
        agenda.at(SimTime(9), 'a');
        agenda.next();
        agenda.at(SimTime(2), 'b');
        assert_eq!((agenda.next(), agenda.now()), (Some('b'), SimTime(9)));
    }
}
