//! The power goes under real voters and a real store. Their data lies on a disk of our own, which forgets what was not
//! synced.
//!
//! A run is short in CI. For a long one, with the number of cuts and a seed:
//! `POWER_CUTS=200 POWER_CUT_SEED=7 cargo test -p tests --test process power_cut -- --nocapture`

mod disk;
mod store;
mod voters;

use std::sync::atomic::{AtomicU32, Ordering};

use disk::MountedDisk;

/// How many tests could not be run here.
static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// Says why no disk can be mounted here, if that is so. The test then has nothing to show.
fn is_skipped(test: &str) -> bool {
    let missing = MountedDisk::missing();
    if let Some(reason) = &missing {
        let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        // Past the test harness, which keeps the output of tests that pass to itself.
        let line = format!("skipped ({count}): {test}: {reason}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr is open");
    }
    missing.is_some()
}

/// How often the power goes, and the seed of everything that is left to chance.
fn cuts_and_seed(cuts: u64) -> (u64, u64) {
    let number = |name, otherwise| match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value}")),
        Err(_) => otherwise,
    };
    (number("POWER_CUTS", cuts), number("POWER_CUT_SEED", 1))
}

/// SplitMix64: the same on every platform.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
