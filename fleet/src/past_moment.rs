use std::time::Duration;

use position::Index;

use crate::WallTime;

/// A moment of the past, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastMoment {
    /// Right after this entry of the journal.
    Entry(Index),
    /// At this time by the master's clock.
    Time(WallTime),
}

/// A text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no moment; write an entry's number (812), how long ago (90s, 15m, 2h, 3d), or a time in UTC (2026-07-01T12:00 or with an offset, 2026-07-01T14:00:00+02:00)"
)]
pub struct PastMomentError(String);

impl PastMoment {
    /// Reads a text. What lies so long ago is counted back from `now`.
    ///
    /// # Errors
    /// If it names no moment.
    pub fn parse(text: &str, now: WallTime) -> Result<PastMoment, PastMomentError> {
        let wrong = || PastMomentError(text.to_owned());
        if let Ok(index) = text.parse::<u64>() {
            return Ok(PastMoment::Entry(Index(index)));
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
            let ago = Duration::from_secs(u64::from(number) * seconds).as_nanos();
            let ago = i64::try_from(ago).unwrap_or(i64::MAX);
            return Ok(PastMoment::Time(WallTime(now.0.saturating_sub(ago))));
        }
        text.parse().map(PastMoment::Time).map_err(|_| wrong())
    }

    /// Whether something that was written then is no older than this.
    #[must_use]
    pub fn is_before(self, index: Index, time: WallTime) -> bool {
        match self {
            PastMoment::Entry(first) => first <= index,
            PastMoment::Time(first) => first.0 <= time.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallTime = WallTime(1_782_907_200_000_000_000);

    #[track_caller]
    fn check(text: &str, expected: Option<PastMoment>) {
        assert_eq!(PastMoment::parse(text, NOON).ok(), expected, "{text}");
    }

    #[test]
    fn a_moment_is_an_entry_a_time_or_so_long_ago() {
        let time = |seconds: i64| Some(PastMoment::Time(WallTime(NOON.0 - seconds * 1_000_000_000)));
        check("812", Some(PastMoment::Entry(Index(812))));
        for text in
            ["2026-07-01T12:00:00Z", "2026-07-01T12:00", "2026-07-01 12:00:00", "2026-07-01T14:00+02:00"]
        {
            check(text, time(0));
        }
        check("2026-07-01", time(12 * 3600));
        check("90s", time(90));
        check("2h", time(7200));
        check("1d", time(86_400));
        for text in ["", "yesterday", "-5", "5w", "m", "12:00", "2026-13-01", "99999999999d"] {
            check(text, None);
        }
    }

    #[test]
    fn what_was_written_at_the_moment_itself_counts() {
        let entry = PastMoment::parse("7", NOON).unwrap();
        let long_after = WallTime(i64::MAX);
        assert!(entry.is_before(Index(7), WallTime(0)) && !entry.is_before(Index(6), long_after));
        let ago = PastMoment::parse("1m", NOON).unwrap();
        assert!(ago.is_before(Index(1), WallTime(NOON.0 - 60_000_000_000)));
        assert!(!ago.is_before(Index(1), WallTime(NOON.0 - 60_000_000_001)));
    }
}
