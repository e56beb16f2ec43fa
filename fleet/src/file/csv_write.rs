//! A configuration becomes a table.

use std::collections::BTreeSet;

use crate::{Configuration, Value};

/// Nodes only: a table has no place for scenes.
pub(super) fn write(configuration: &Configuration) -> String {
    let keys: BTreeSet<&str> =
        configuration.nodes.iter().flat_map(|node| node.desired.keys().map(String::as_str)).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let in_memory = "a table in memory can be written";
    let header = ["name", "row", "column", "address", "labels"].into_iter().chain(keys.iter().copied());
    writer.write_record(header).expect(in_memory);
    for node in &configuration.nodes {
        let number = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
        let fields = [
            node.name.clone(),
            number(node.row),
            number(node.column),
            node.address.clone().unwrap_or_default(),
            node.labels.as_deref().unwrap_or_default().join(" "),
        ];
        let properties =
            keys.iter().map(|key| node.desired.get(*key).map(Value::to_string).unwrap_or_default());
        writer.write_record(fields.into_iter().chain(properties)).expect(in_memory);
    }
    String::from_utf8(writer.into_inner().expect(in_memory)).expect("made of texts")
}
