//! The fleet keeps the promises of `Prevalent`, whatever commands it is given.

use std::collections::BTreeMap;

use fleet::{
    Command, Configuration, Decimal, Fleet, ImportMode, NodeEntry, Revision, Selector, TEXT_BYTES_MAX, Value,
};
use prevalent::Random;

/// Few names, so that commands meet; "third" is the name of the node among the kit's actors. The last
/// one is no name.
const NODES: [&str; 5] = ["pc1", "pc2", "pc3", "third", "pc 4"];
const KEYS: [&str; 5] = ["brightness", "gamma", "title", "Lautstärke", "row"];
const LABELS: [&str; 4] = ["left", "right", "oben", "a=b"];
const SCENES: [&str; 3] = ["day", "Night show", " no scene"];

fn one_of<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    let at = random.below(from.len() as u64);
    from[usize::try_from(at).unwrap()]
}

fn small(random: &mut Random) -> u16 {
    u16::try_from(random.below(5)).unwrap()
}

fn value(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Bool(random.below(2) == 0),
        1 => Value::Integer(random.next_u64().cast_signed()),
        2 => Value::Decimal(Decimal::from_billionths(random.next_u64().cast_signed())),
        3 => Value::Text("grüß dich".into()),
        4 => Value::Text("x".repeat(usize::try_from(random.below(TEXT_BYTES_MAX as u64 + 20)).unwrap())),
        _ => Value::Text("two\nlines".into()),
    }
}

fn properties(random: &mut Random) -> BTreeMap<String, Value> {
    (0..random.below(4)).map(|_| (one_of(random, &KEYS).to_owned(), value(random))).collect()
}

fn selector(random: &mut Random) -> Selector {
    match random.below(5) {
        0 => Selector::Node(one_of(random, &NODES).to_owned()),
        1 => Selector::Row(small(random)),
        2 => Selector::Column(small(random)),
        3 => Selector::Label(one_of(random, &LABELS).to_owned()),
        _ => Selector::All,
    }
}

fn entry(random: &mut Random) -> NodeEntry {
    let labels = (0..random.below(3)).map(|_| one_of(random, &LABELS).to_owned()).collect();
    NodeEntry {
        name: one_of(random, &NODES).to_owned(),
        row: (random.below(5) > 0).then(|| small(random)),
        column: (random.below(5) > 0).then(|| small(random)),
        address: (random.below(2) > 0).then(|| "10.0.0.1".to_owned()),
        labels: (random.below(2) > 0).then_some(labels),
        desired: properties(random),
    }
}

fn command(random: &mut Random) -> Command {
    match random.below(13) {
        0 | 1 => {
            Command::Place { node: one_of(random, &NODES).into(), row: small(random), column: small(random) }
        }
        2 | 3 => {
            let nodes = (0..random.below(4)).map(|_| entry(random)).collect();
            let scene = |random: &mut Random| {
                let node = one_of(random, &NODES).to_owned();
                (one_of(random, &SCENES).to_owned(), BTreeMap::from([(node, properties(random))]))
            };
            let scenes = (random.below(3) == 0).then(|| BTreeMap::from([scene(random)]));
            let mode = if random.below(4) == 0 { ImportMode::Replace } else { ImportMode::Merge };
            Command::Import { configuration: Configuration { nodes, scenes }, mode }
        }
        4 | 5 => Command::Set { selector: selector(random), properties: properties(random) },
        6 => Command::Unset { selector: selector(random), keys: vec![one_of(random, &KEYS).to_owned()] },
        7 => Command::SaveScene { scene: one_of(random, &SCENES).to_owned(), selector: selector(random) },
        8 => Command::ApplyScene { scene: one_of(random, &SCENES).to_owned() },
        9 => Command::DeleteScene { scene: one_of(random, &SCENES).to_owned() },
        10 => Command::Presence { node: one_of(random, &NODES).to_owned(), present: random.below(2) == 0 },
        11 => {
            let mut some = || (0..random.below(3)).map(|_| one_of(random, &NODES).to_owned()).collect();
            Command::Remove { nodes: some(), addresses: some() }
        }
        _ => Command::Report {
            node: if random.below(4) > 0 { "third".into() } else { one_of(random, &NODES).to_owned() },
            revision: Revision(random.below(20)),
            properties: properties(random),
            error: (random.below(3) == 0).then(|| "no display".to_owned()),
        },
    }
}

#[test]
fn the_fleet_keeps_the_promises_of_prevalent() {
    let coverage = prevalent::testing::conformance::<Fleet>(command);
    assert!(coverage.outcomes >= 50 && coverage.rejections >= 50, "{coverage:?}");
}
