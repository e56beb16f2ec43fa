//! Moments of the past on the command line.

use fleet::{PastMoment, PastMomentError, WallTime};
use shipper::PastAt;

/// Reads a moment; what lies so long ago is counted back from now.
pub(crate) fn parse_moment(text: &str) -> Result<PastMoment, PastMomentError> {
    PastMoment::parse(text, now())
}

/// As voters are asked for it.
pub(crate) fn past_at(moment: PastMoment) -> PastAt {
    match moment {
        PastMoment::Entry(index) => PastAt::Index(index),
        PastMoment::Time(time) => PastAt::Time(time.0),
    }
}

/// The time on this machine.
fn now() -> WallTime {
    WallTime(prevalent::wall_time())
}
