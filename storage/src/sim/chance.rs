/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, and the same on every platform for ever, so that a
/// failing seed still fails next year.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`. The bias of the remainder is of no interest for the small bounds here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in `percent` of 100 cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How likely something unsynced survives one particular power cut. Drawn once for each, since with
/// independent halves the extremes would hardly ever be seen: nothing at all survived, or everything did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survival {
    percent: u64,
}

impl Survival {
    pub(super) fn draw(random: &mut Chance) -> Survival {
        let percent = match random.below(4) {
            0 => 0,
            1 => 100,
            _ => 1 + random.below(99),
        };
        Survival { percent }
    }

    pub(super) fn survives(self, random: &mut Chance) -> bool {
        random.percent(self.percent)
    }
}
