//! The smallest state there is: one number.

use journal::Schema;
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{Moment, Prevalent};

/// A sum that never passes [`Counter::TOTAL_MAX`].
#[derive(Archive, Serialize, Deserialize, Debug, Default)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Counter {
    /// The sum of everything that was added.
    pub total: u64,
}

/// Adds to the counter.
#[derive(Archive, Serialize, Deserialize, Debug)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Add(pub u64);

/// The sum would have passed the limit by this much.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub struct TooLarge {
    /// By how much.
    pub by: u64,
}

impl Counter {
    /// The largest total.
    pub const TOTAL_MAX: u64 = 1_000_000_000_000;
}

impl Prevalent for Counter {
    type Command = Add;
    type Outcome = u64;
    type Rejection = TooLarge;
    type Query = ();
    type Answer = u64;

    const NAME: &'static str = "counter";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, command: Add, _at: &Moment<'_>) -> Result<u64, TooLarge> {
        let total = self.total.saturating_add(command.0);
        if total > Counter::TOTAL_MAX {
            return Err(TooLarge { by: total - Counter::TOTAL_MAX });
        }
        self.total = total;
        Ok(total)
    }

    fn answer(&self, _query: &()) -> u64 {
        self.total
    }
}
