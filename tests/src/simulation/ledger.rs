//! The state that the simulated cluster keeps: made so that what is lost, doubled or reordered shows.

use journal::Schema;
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{Moment, Prevalent};

/// A log of numbers that each client appends, none of them twice.
#[derive(Archive, Serialize, Deserialize, Debug, Default)]
#[rkyv(crate = prevalent::rkyv)]
pub(super) struct Ledger {
    pub(super) lines: Vec<LedgerRow>,
}

/// One append that was executed.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub(super) struct LedgerRow {
    pub(super) index: u64,
    pub(super) client: u32,
    pub(super) number: u64,
    /// Over this line and all before it: equal at equal length means equal ledgers.
    pub(super) check: u64,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
#[rkyv(crate = prevalent::rkyv)]
pub(super) enum Write {
    Append {
        client: u32,
        number: u64,
        padding: Vec<u8>,
    },
    /// Is always refused.
    Refuse {
        number: u64,
    },
    /// Changes the state, then panics: the change must not be seen.
    Panic {
        number: u64,
    },
}

/// How long the ledger was, and its last line.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub(super) struct Reading {
    pub(super) length: u64,
    pub(super) check: u64,
}

impl Ledger {
    pub(super) fn reading(&self) -> Reading {
        let check = self.lines.last().map_or(0, |line| line.check);
        Reading { length: self.lines.len() as u64, check }
    }

    fn append(&mut self, index: u64, client: u32, number: u64, padding: &[u8]) -> LedgerRow {
        let mut check = self.reading().check;
        let padding = padding.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        for word in [index, u64::from(client), number, padding] {
            // The multiplier of Knuth's MMIX generator: this need not withstand anyone, only show a difference.
            check = (check ^ word).wrapping_mul(6_364_136_223_846_793_005).rotate_left(29);
        }
        let line = LedgerRow { index, client, number, check };
        self.lines.push(line);
        line
    }
}

impl Prevalent for Ledger {
    type Command = Write;
    /// The line, and the length of the ledger with it.
    type Outcome = (u64, LedgerRow);
    /// The number that was refused.
    type Rejection = u64;
    type Query = ();
    type Answer = Reading;

    const NAME: &'static str = "simulated-ledger";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, write: Write, at: &Moment<'_>) -> Result<(u64, LedgerRow), u64> {
        match write {
            Write::Append { client, number, padding } => {
                let line = self.append(at.index.0, client, number, &padding);
                Ok((self.lines.len() as u64, line))
            }
            Write::Refuse { number } => Err(number),
            Write::Panic { number } => {
                self.append(at.index.0, u32::MAX, number, &[]);
                panic!("a command of the simulation panics as it was told to");
            }
        }
    }

    fn answer(&self, (): &()) -> Reading {
        self.reading()
    }
}
