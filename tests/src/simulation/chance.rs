use std::time::Duration;

use prevalent::Random;

/// Everything that is left to chance in one simulation, from one seed.
#[derive(Clone, Debug)]
pub(super) struct Chance(Random);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Chance {
        Chance(Random::seeded(seed))
    }

    /// A source of its own: what is drawn from it does not shift what is drawn here.
    pub(super) fn fork(&mut self) -> Chance {
        Chance(Random::seeded(self.next()))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    /// True in `of_thousand` of a thousand cases.
    pub(super) fn happens(&mut self, of_thousand: u64) -> bool {
        self.0.below(1000) < of_thousand
    }

    pub(super) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from((most - least).as_nanos()).expect("simulated times are short");
        least + Duration::from_nanos(self.0.below(spread + 1))
    }

    /// Mostly near `least`, now and then as long as `most`: delays of real systems look like this.
    pub(super) fn skewed(&mut self, least: Duration, most: Duration) -> Duration {
        match self.below(8) {
            0 => self.time(least, most),
            1 | 2 => self.time(least, least + (most - least) / 8),
            _ => self.time(least, least + (most - least) / 64),
        }
    }

    pub(super) fn place(&mut self, places: usize) -> usize {
        usize::try_from(self.below(places as u64)).expect("below a usize")
    }

    pub(super) fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.place(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.place(last + 1);
            list.swap(last, other);
        }
    }
}
