//! The examples keep the promises of `Prevalent`, and types that break one are found out.

#[path = "../examples/bank/bank.rs"]
mod bank;
#[path = "../examples/counter/counter.rs"]
mod counter;
#[path = "../examples/key-value/key_value.rs"]
mod key_value;

use prevalent::Random;
use prevalent::testing::conformance;

fn name(random: &mut Random) -> String {
    ["ada", "ben", "cleo", "dora", "emil"][usize::try_from(random.below(5)).unwrap()].to_owned()
}

#[test]
fn the_counter_conforms() {
    let coverage =
        conformance::<counter::Counter>(|random| counter::Add(random.next_u64() >> random.below(64)));
    assert!(coverage.outcomes > 50 && coverage.rejections > 50, "{coverage:?}");
}

#[test]
fn the_bank_conforms() {
    use bank::Order;
    let coverage = conformance::<bank::Bank>(|random| match random.below(8) {
        0 => Order::Open { holder: name(random), deposit: random.below(100) },
        1 => Order::Deposit { holder: name(random), amount: u64::MAX },
        2..4 => Order::Deposit { holder: name(random), amount: random.below(100) },
        _ => Order::Transfer { from: name(random), to: name(random), amount: random.below(100) },
    });
    assert!(coverage.outcomes > 50 && coverage.rejections > 50, "{coverage:?}");
}

#[test]
fn key_value_conforms() {
    use key_value::{Condition, Put};
    let coverage = conformance::<key_value::KeyValue>(|random| Put {
        key: name(random),
        value: (random.below(3) > 0).then(|| vec![1; usize::try_from(random.below(50)).unwrap()]),
        condition: match random.below(4) {
            0 => Condition::Absent,
            1 => Condition::Version(random.below(100)),
            _ => Condition::None,
        },
    });
    assert!(coverage.outcomes > 50 && coverage.rejections > 50, "{coverage:?}");
}

/// Types that break one promise each.
mod broken {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use journal::Schema;
    use prevalent::rkyv::with::Skip;
    use prevalent::rkyv::{Archive, Deserialize, Serialize};
    use prevalent::testing::{Nonconformity, What, check};
    use prevalent::{Moment, Prevalent, Random};

    /// A type whose `execute` is the given function of its state and a number.
    macro_rules! broken {
        ($name:ident { $($(#[$with:meta])? $field:ident: $type:ty),* }, $execute:expr) => {
            #[derive(Archive, Serialize, Deserialize, Default)]
            #[rkyv(crate = prevalent::rkyv)]
            struct $name { $($(#[$with])? $field: $type),* }

            impl Prevalent for $name {
                type Command = u64;
                type Outcome = u64;
                type Rejection = u64;
                type Query = ();
                type Answer = ();
                const NAME: &'static str = "broken";
                const SCHEMA: Schema = Schema(1);

                fn execute(&mut self, number: u64, _: &Moment<'_>) -> Result<u64, u64> {
                    let execute: fn(&mut $name, u64) -> Result<u64, u64> = $execute;
                    execute(self, number)
                }

                fn answer(&self, (): &()) {}
            }
        };
    }

    fn broken<S: Prevalent<Command = u64>>() -> Nonconformity {
        check::<S>(1, 100, &mut |random: &mut Random| random.below(1000)).unwrap_err()
    }

    broken!(Hashed { numbers: HashMap<u64, u64> }, |state, number| {
        state.numbers.insert(number, number);
        Ok(state.numbers.len() as u64)
    });

    #[test]
    fn the_order_of_a_hash_map_is_noticed_in_the_archive() {
        let found = broken::<Hashed>();
        assert!(
            matches!(found, Nonconformity::NotDeterministic { what: What::State, command: 2..40, .. }),
            "{found}"
        );
        assert!(found.to_string().contains("HashMap"), "{found}");
    }

    broken!(FirstOfHashed { numbers: Vec<u64> }, |state, number| {
        state.numbers.push(number);
        let order: HashMap<u64, ()> = state.numbers.iter().map(|number| (*number, ())).collect();
        Ok(order.into_keys().next().unwrap())
    });

    #[test]
    fn the_order_of_a_hash_map_is_noticed_in_an_answer() {
        let found = broken::<FirstOfHashed>();
        assert!(
            matches!(found, Nonconformity::NotDeterministic { what: What::Answer, command: 2..40, .. }),
            "{found}"
        );
    }

    static OUTSIDE: AtomicU64 = AtomicU64::new(0);

    broken!(Outside { number: u64 }, |state, _| {
        state.number = OUTSIDE.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    });

    #[test]
    fn input_that_came_with_no_command_is_noticed() {
        let found = broken::<Outside>();
        assert!(
            matches!(found, Nonconformity::NotDeterministic { what: What::State, command: 1, .. }),
            "{found}"
        );
    }

    broken!(ChangesFirst { sum: u64, commands: u64 }, |state, number| {
        state.commands += 1;
        if state.commands == 17 {
            return Err(state.sum);
        }
        state.sum += number;
        Ok(state.sum)
    });

    #[test]
    fn a_rejection_that_changes_the_state_is_noticed() {
        let found = broken::<ChangesFirst>();
        assert!(matches!(found, Nonconformity::RejectionChangedState { command: 17, .. }), "{found}");
    }

    broken!(
        Forgetful {
            sum: u64,
            #[rkyv(with = Skip)]
            commands: u64
        },
        |state, number| {
            state.commands += 1;
            state.sum += number * (state.commands % 3);
            Ok(0)
        }
    );

    #[test]
    fn a_field_that_is_not_archived_is_noticed() {
        let found = broken::<Forgetful>();
        assert!(matches!(found, Nonconformity::SnapshotDiffers { .. }), "{found}");
    }

    broken!(Panics { sum: u64 }, |state, number| {
        state.sum += number;
        assert!(state.sum < 3000, "full");
        Ok(0)
    });

    #[test]
    fn a_panic_is_reported() {
        let found = broken::<Panics>();
        assert!(matches!(&found, Nonconformity::Panicked { message, .. } if message == "full"), "{found}");
    }
}
