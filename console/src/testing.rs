//! A fleet for tests.

use fleet::{Command, Configuration, Fleet, ImportMode, NodeEntry, Selector, Value};

/// Nine nodes, all with a brightness, and a scene of them.
pub(crate) fn fleet() -> Fleet {
    let entry = |number: u16| NodeEntry {
        name: format!("pc{number}"),
        row: Some((number - 1) / 3 + 1),
        column: Some((number - 1) % 3 + 1),
        labels: Some(if number % 2 == 1 { vec!["odd".into()] } else { Vec::new() }),
        desired: [("brightness".to_owned(), Value::Integer(80))].into(),
        ..NodeEntry::default()
    };
    let configuration = Configuration { nodes: (1..=9).map(entry).collect(), scenes: None };
    let import = Command::Import { configuration, mode: ImportMode::Merge };
    let save = Command::SaveScene { scene: "Night".into(), selector: Selector::All };
    Fleet::default().after(&[import, save]).unwrap()
}

/// Sets a property.
pub(crate) fn set(selector: &str, key: &str, value: i64) -> Command {
    let properties = [(key.to_owned(), Value::Integer(value))].into();
    Command::Set { selector: selector.parse().unwrap(), properties }
}
