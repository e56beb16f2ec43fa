//! What the benchmarks run: a state so small that the figures are the store's and not its user's.

use prevalent::Schema;
use prevalent::{Moment, Prevalent};

/// Bytes in a command: with the entry's header 128 of them.
pub(crate) const PAYLOAD_BYTES: usize = 88;

/// Adds up what it is given.
#[derive(
    Debug, Default, prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub(crate) struct Tally {
    pub(crate) commands: u64,
    sum: u64,
}

/// A number and some bytes that come with it.
#[derive(
    Debug, Clone, prevalent::rkyv::Archive, prevalent::rkyv::Serialize, prevalent::rkyv::Deserialize,
)]
#[rkyv(crate = prevalent::rkyv)]
pub(crate) struct Add {
    pub(crate) number: u64,
    pub(crate) bytes: [u8; PAYLOAD_BYTES],
}

impl Add {
    pub(crate) fn new(number: u64) -> Add {
        Add { number, bytes: [7; PAYLOAD_BYTES] }
    }
}

impl Prevalent for Tally {
    type Command = Add;
    type Outcome = u64;
    type Rejection = ();
    type Query = ();
    type Answer = u64;
    const NAME: &'static str = "tally";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, add: Add, _at: &Moment<'_>) -> Result<u64, ()> {
        self.commands += 1;
        self.sum = self.sum.wrapping_add(add.number).wrapping_add(u64::from(add.bytes[0]));
        Ok(self.sum)
    }

    fn answer(&self, (): &()) -> u64 {
        self.sum
    }
}
