use std::fmt;

/// A wall clock's time, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

const SECOND: i64 = 1_000_000_000;

impl Time {
    /// So many milliseconds later, or earlier.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// How long ago this was, as people say it. Clocks of two machines differ: the future is now.
    #[must_use]
    pub fn age(self, now: Time) -> Age {
        Age { seconds: (now.0.saturating_sub(self.0)).max(0) / SECOND }
    }

    /// The time of day, `utc_offset_s` east of Greenwich.
    #[must_use]
    pub fn clock(self, utc_offset_s: i32) -> String {
        let of_day = (self.0.div_euclid(SECOND) + i64::from(utc_offset_s)).rem_euclid(24 * 3600);
        format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
    }
}

/// A duration as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    /// Whole seconds.
    pub seconds: i64,
}

impl Age {
    /// `3 s ago`, or `now`.
    #[must_use]
    pub fn ago(self) -> String {
        if self.seconds == 0 { "now".to_owned() } else { format!("{self} ago") }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            seconds if seconds < 60 => write!(f, "{seconds} s"),
            seconds if seconds < 3600 => write!(f, "{} min", seconds / 60),
            seconds if seconds < 2 * 86_400 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_as_people_say_them() {
        let check = |seconds: i64, said: &str| {
            assert_eq!(Time(0).age(Time(seconds * SECOND)).ago(), said);
        };
        check(-5, "now");
        check(0, "now");
        check(59, "59 s ago");
        check(61, "1 min ago");
        check(7300, "2 h ago");
        check(300_000, "3 days ago");
    }

    #[test]
    fn clocks_know_where_they_are() {
        assert_eq!(Time(1_782_907_200 * SECOND).clock(0), "12:00:00");
        assert_eq!(Time(1_782_907_200 * SECOND).clock(-3600 * 13), "23:00:00");
    }
}
