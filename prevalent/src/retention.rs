//! How much of the past a voter keeps beside what it needs.
//!
//! What it needs is the newest three snapshots and the journal since the second newest: should the newest turn
//! out bad, the state can still be made. Beyond that, older snapshots and the journal behind them stay as long
//! as all of it takes no more than was allowed, so that any moment since the oldest can be shown again.

use position::Index;
use snapshots::Listed;

/// Snapshots beyond this are too many to look through, however small they are.
const SNAPSHOTS_MAX: usize = 256;

/// The journal's part in it, as of some moment, and what is allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    pub(crate) bytes_max: u64,
    /// Where the journal begins.
    pub(crate) base: Index,
    /// Its parts: the last entry of each, and its bytes.
    pub(crate) parts: Vec<(Index, u64)>,
}

impl Retention {
    /// Where the past should begin, given all snapshots that are not known to be bad, newest first: at one of them, or at the beginning of
    /// all.
    pub(crate) fn begin(&self, snapshots: &[Listed]) -> Index {
        let Some(needed) = snapshots.get(1) else { return Index::NONE };
        let known = &snapshots[..snapshots.len().min(SNAPSHOTS_MAX)];
        let mut bytes_of_snapshots = 0;
        let mut begin = needed.index;
        for listed in known {
            bytes_of_snapshots += listed.bytes;
            if listed.index < self.base
                || bytes_of_snapshots + self.bytes_behind(listed.index) > self.bytes_max
            {
                return begin;
            }
            begin = begin.min(listed.index);
        }
        let everything = self.base == Index::NONE
            && known.len() == snapshots.len()
            && bytes_of_snapshots + self.bytes_behind(Index::NONE) <= self.bytes_max;
        if everything { Index::NONE } else { begin }
    }

    fn bytes_behind(&self, index: Index) -> u64 {
        self.parts.iter().filter(|(last, _)| *last > index).map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Snapshots of 10 bytes at 100, 200, 300 and 400, and 100 bytes of journal between each two of them.
    #[track_caller]
    fn check(bytes_max: u64, base: u64, expected: u64) {
        let listed = |index: u64| Listed { index: Index(index), name: String::new(), bytes: 10 };
        let snapshots: Vec<Listed> = [400, 300, 200, 100].into_iter().map(listed).collect();
        let parts = (0..5).map(|part| (Index(part * 100 + 100), 100));
        let parts = parts.filter(|(last, _)| last.0 > base).collect();
        let retention = Retention { bytes_max, base: Index(base), parts };
        assert_eq!(retention.begin(&snapshots), Index(expected), "{bytes_max} bytes from {base}");
    }

    #[test]
    fn the_past_begins_where_it_fits() {
        check(0, 0, 300);
        check(319, 0, 300);
        check(330, 0, 200);
        check(439, 0, 200);
        check(440, 0, 100);
        check(539, 0, 100);
        check(540, 0, 0);
        check(540, 100, 100);
        check(540, 150, 200);
    }

    #[test]
    fn without_a_second_snapshot_everything_is_needed() {
        let retention = Retention { bytes_max: 0, base: Index::NONE, parts: vec![(Index(50), 1 << 40)] };
        let listed = Listed { index: Index(50), name: String::new(), bytes: 10 };
        assert_eq!(retention.begin(&[]), Index::NONE);
        assert_eq!(retention.begin(&[listed]), Index::NONE);
    }
}
