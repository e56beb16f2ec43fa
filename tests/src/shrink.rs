//! A failing simulation is made smaller, so that a person can read it: a shorter storm, fewer voters, fewer faults.
//!
//! What is left out may shift what follows, so each attempt is a simulation of its own and counts only if it fails
//! too.

use std::time::Duration;

use crate::simulation::{Failure, Order, Trace, simulate, switches};

/// More attempts would not make a story much shorter.
const ATTEMPTS_MAX: usize = 80;

/// Makes the order of a failing simulation smaller. What comes back fails as well, and how.
#[must_use]
pub fn shrink(order: Order, failure: Failure) -> (Order, Failure) {
    let mut smallest = Smallest { order, failure, attempts: 0 };
    for voters in [3, 2] {
        smallest.attempt(|order| order.voters = Some(voters));
    }
    smallest.shorten();
    loop {
        let before = smallest.order.clone();
        for name in switches(&before) {
            smallest.attempt(|order| {
                order.without.insert(name.clone());
            });
        }
        smallest.shorten();
        if smallest.order == before || smallest.attempts >= ATTEMPTS_MAX {
            return (smallest.order, smallest.failure);
        }
    }
}

/// The smallest order so far that fails.
struct Smallest {
    order: Order,
    failure: Failure,
    attempts: usize,
}

impl Smallest {
    /// Tries with less; `true`: it fails too.
    fn attempt(&mut self, less: impl FnOnce(&mut Order)) -> bool {
        let mut order = self.order.clone();
        less(&mut order);
        if order == self.order || self.attempts >= ATTEMPTS_MAX || is_more(&order, &self.order) {
            return false;
        }
        self.attempts += 1;
        match simulate(&order, Trace::Off) {
            Ok(_) => false,
            Err(failure) => {
                (self.order, self.failure) = (order, failure);
                true
            }
        }
    }

    /// Halves the storm for as long as that fails too, then takes off quarters.
    fn shorten(&mut self) {
        for (keep, of) in [(1, 2), (3, 4), (9, 10)] {
            while self.attempt(|order| {
                let until = order.until.unwrap_or(Duration::from_secs(24));
                order.until = Some(until * keep / of);
            }) {}
        }
    }
}

/// Another number of voters is smaller only if it is fewer. Without one the seed chooses: at most five.
fn is_more(order: &Order, than: &Order) -> bool {
    order.voters.unwrap_or(5) > than.voters.unwrap_or(5)
}
