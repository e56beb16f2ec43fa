//! Transfers by several threads at once.
//!
//! `cargo run -p prevalent --example bank -- [FOLDER]`
//!
//! The sum over all accounts is the same after every run, and after every kill in the middle of one.

mod bank;

use std::error::Error;
use std::thread;

use prevalent::{ExecuteError, Random, Store};

use bank::{Bank, Order, Refusal};

const HOLDERS: [&str; 4] = ["ada", "ben", "cleo", "dora"];
const OPENING_DEPOSIT: u64 = 1_000;
const THREADS: u64 = 8;
const TRANSFERS_EACH: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1);
    let folder = given.map_or_else(|| std::env::temp_dir().join("prevalent-bank"), Into::into);
    let store = Store::<Bank>::open(folder)?;
    for holder in HOLDERS {
        match store.execute(Order::Open { holder: holder.to_owned(), deposit: OPENING_DEPOSIT }) {
            Ok(_) | Err(ExecuteError::Rejected(Refusal::AlreadyOpen)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    println!("before: {}", summary(&store));

    // Each thread waits for its own transfers, and all of them share the syncs of the disk.
    let workers: Vec<_> = (0..THREADS)
        .map(|seed| {
            let store = store.clone();
            thread::spawn(move || transfer(&store, &mut Random::seeded(seed)))
        })
        .collect();
    let mut made = 0;
    for worker in workers {
        made += worker.join().expect("a worker does not panic")?;
    }
    println!("{made} transfers made, {} not covered", THREADS * TRANSFERS_EACH - made);
    println!("after:  {}", summary(&store));
    Ok(())
}

/// Returns how many transfers were covered.
fn transfer(store: &Store<Bank>, random: &mut Random) -> Result<u64, ExecuteError<Refusal>> {
    let mut made = 0;
    for _ in 0..TRANSFERS_EACH {
        let (from, to, amount) = (holder(random), holder(random), random.below(500));
        match store.execute(Order::Transfer { from, to, amount }) {
            Ok(_) => made += 1,
            Err(ExecuteError::Rejected(Refusal::NotCovered { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

fn holder(random: &mut Random) -> String {
    let at = usize::try_from(random.below(HOLDERS.len() as u64)).expect("below a usize");
    HOLDERS[at].to_owned()
}

fn summary(store: &Store<Bank>) -> String {
    store.read(|bank| {
        let balances = HOLDERS.iter().map(|&holder| match bank.account(holder) {
            Some(account) => format!("{holder} {}", account.balance),
            None => format!("{holder} has no account"),
        });
        format!("{} in all ({})", bank.total(), balances.collect::<Vec<_>>().join(", "))
    })
}
