//! A number that survives: run it several times, and kill it as often as you like.
//!
//! `cargo run -p prevalent --example counter -- [FOLDER]`

mod counter;

use counter::{Add, Counter};
use prevalent::{ExecuteError, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().nth(1);
    let folder = given.map_or_else(|| std::env::temp_dir().join("prevalent-counter"), Into::into);
    let store = Store::<Counter>::open(&folder)?;
    println!("{}: the total is {}", folder.display(), store.read(|counter| counter.total));

    let total = store.execute(Add(2))?;
    println!("2 more make {total}, and that is on the disk now");

    // A rejected command changes nothing.
    match store.execute(Add(Counter::TOTAL_MAX)) {
        Err(ExecuteError::Rejected(rejection)) => println!("{} too much: nothing was changed", rejection.by),
        other => println!("unexpected: {other:?}"),
    }

    // Many commands under way share the disk's syncs.
    let pending = (0..1000).map(|_| store.submit(&Add(1))).collect::<Result<Vec<_>, _>>()?;
    for command in pending {
        command.wait()?;
    }
    println!("a thousand times 1 makes {}", store.read(|counter| counter.total));
    Ok(())
}
