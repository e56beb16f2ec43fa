//! Moments of the past, as people name them.

use std::str::FromStr;
use std::time::Duration;

use fleet::WallTime;
use position::Index;
use shipper::PastAt;

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Right after this entry of the journal.
    Entry(Index),
    /// At this time.
    Time(WallTime),
    /// So long before now.
    Ago(Duration),
}

/// A text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no moment; write an entry's number (812), how long ago (90s, 15m, 2h, 3d), or a time in UTC (2026-07-01T12:00 or with an offset, 2026-07-01T14:00:00+02:00)"
)]
pub(crate) struct MomentError(String);

impl Moment {
    /// As voters are asked for it, when it is `now` here.
    pub(crate) fn at(self, now: WallTime) -> PastAt {
        match self {
            Moment::Entry(index) => PastAt::Index(index),
            Moment::Time(time) => PastAt::Time(time.0),
            Moment::Ago(ago) => {
                PastAt::Time(now.0.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)))
            }
        }
    }

    /// Whether something that was written then is no older than this.
    pub(crate) fn is_before(self, index: Index, time: i64, now: WallTime) -> bool {
        match self.at(now) {
            PastAt::Index(first) => first <= index,
            PastAt::Time(first) => first <= time,
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Moment, MomentError> {
        let wrong = || MomentError(text.to_owned());
        if let Ok(index) = text.parse::<u64>() {
            return Ok(Moment::Entry(Index(index)));
        }
        if let Some((number, unit)) = text.split_at_checked(text.len().saturating_sub(1))
            && let Ok(number) = number.parse::<u32>()
        {
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 60 * 60,
                "d" => 24 * 60 * 60,
                _ => return Err(wrong()),
            };
            return Ok(Moment::Ago(Duration::from_secs(u64::from(number) * seconds)));
        }
        text.parse().map(Moment::Time).map_err(|_| wrong())
    }
}

/// The time on this machine.
pub(crate) fn now() -> WallTime {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Before 1970 a clock is wrong in any case.
    let nanoseconds = since_1970.map_or(0, |since| since.as_nanos());
    WallTime(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallTime = WallTime(1_782_907_200_000_000_000);

    #[track_caller]
    fn check(text: &str, expected: Option<PastAt>) {
        assert_eq!(text.parse::<Moment>().ok().map(|moment| moment.at(NOON)), expected, "{text}");
    }

    #[test]
    fn a_moment_is_an_entry_a_time_or_so_long_ago() {
        check("812", Some(PastAt::Index(Index(812))));
        let noon = Some(PastAt::Time(NOON.0));
        for text in
            ["2026-07-01T12:00:00Z", "2026-07-01T12:00", "2026-07-01 12:00:00", "2026-07-01T14:00+02:00"]
        {
            check(text, noon);
        }
        check("2026-07-01", Some(PastAt::Time(NOON.0 - 12 * 3_600_000_000_000)));
        check("90s", Some(PastAt::Time(NOON.0 - 90_000_000_000)));
        check("2h", Some(PastAt::Time(NOON.0 - 7_200_000_000_000)));
        check("1d", Some(PastAt::Time(NOON.0 - 86_400_000_000_000)));
        for text in ["", "yesterday", "-5", "5w", "m", "12:00", "2026-13-01", "99999999999d"] {
            check(text, None);
        }
    }

    #[test]
    fn what_was_written_at_the_moment_itself_counts() {
        let entry: Moment = "7".parse().unwrap();
        assert!(entry.is_before(Index(7), 0, NOON) && !entry.is_before(Index(6), i64::MAX, NOON));
        let ago: Moment = "1m".parse().unwrap();
        assert!(ago.is_before(Index(1), NOON.0 - 60_000_000_000, NOON));
        assert!(!ago.is_before(Index(1), NOON.0 - 60_000_000_001, NOON));
    }
}
