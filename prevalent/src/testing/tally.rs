//! A state with everything that can go wrong with one.

use journal::Schema;

use crate::rkyv::{Archive, Deserialize, Serialize};
use crate::{Moment, Prevalent, encode};

#[derive(Archive, Serialize, Deserialize, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) total: u64,
    /// Who added how much.
    pub(crate) added: Vec<(String, u64)>,
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) enum Order {
    Add(u64),
    /// Rejected.
    Refuse,
    /// Panics with the state half-changed.
    Panic,
    /// Changes the state and answers so many bytes.
    Flood(u32),
}

#[derive(Archive, Serialize, Deserialize, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Prevalent for Tally {
    type Command = Order;
    type Outcome = Vec<u8>;
    type Rejection = Refused;
    type Query = bool;
    type Answer = u64;

    const NAME: &'static str = "tally";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, order: Order, at: &Moment<'_>) -> Result<Vec<u8>, Refused> {
        match order {
            Order::Add(amount) => {
                self.total += amount;
                self.added.push((at.actor.name.clone(), amount));
                Ok(self.total.to_le_bytes().to_vec())
            }
            Order::Refuse => Err(Refused),
            Order::Panic => {
                self.total = 0;
                panic!("ordered to")
            }
            Order::Flood(bytes) => {
                self.total += 1;
                Ok(vec![7; bytes as usize])
            }
        }
    }

    fn answer(&self, panic: &bool) -> u64 {
        assert!(!panic, "asked to");
        self.total
    }
}

pub(crate) fn payload(order: &Order) -> Vec<u8> {
    let mut payload = Vec::new();
    encode(order, &mut payload).unwrap();
    payload
}
