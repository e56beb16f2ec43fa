//! A durable map on the command line.
//!
//! `cargo run -p prevalent --example key-value -- FOLDER set KEY VALUE`, then `… FOLDER get KEY`

mod key_value;

use std::error::Error;

use prevalent::{ExecuteError, Prevalent, Store};

use key_value::{Condition, Found, Get, KeyValue, Put};

const USAGE: &str = "usage: key-value FOLDER set KEY VALUE | add KEY VALUE | get KEY | remove KEY | list";
const PAGE: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((folder, action)) = arguments.split_first() else { return Err(USAGE.into()) };
    let store = Store::<KeyValue>::open(folder)?;
    match action {
        ["set", key, value] => put(&store, key, Some(value), Condition::None),
        // Two programs that add the same key at once: exactly one of them succeeds.
        ["add", key, value] => put(&store, key, Some(value), Condition::Absent),
        ["remove", key] => put(&store, key, None, Condition::None),
        ["get", key] => {
            match store.read(|state| state.get(key).cloned()) {
                Some(entry) => println!("{}", String::from_utf8_lossy(&entry.value)),
                None => println!("no such key"),
            }
            Ok(())
        }
        ["list"] => {
            list(&store);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn put(
    store: &Store<KeyValue>,
    key: &str,
    value: Option<&str>,
    condition: Condition,
) -> Result<(), Box<dyn Error>> {
    let value = value.map(|value| value.as_bytes().to_vec());
    match store.execute(Put { key: key.to_owned(), value, condition }) {
        Ok(Some(version)) => println!("version {version}"),
        Ok(None) => println!("removed"),
        Err(ExecuteError::Rejected(conflict)) => println!("nothing changed: {conflict:?}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Page by page, through the same query that a client on another machine would send.
fn list(store: &Store<KeyValue>) {
    let mut key = String::new();
    loop {
        let Found::Keys(keys) =
            store.read(|state| state.answer(&Get::KeysAfter { key: key.clone(), count: PAGE }))
        else {
            unreachable!("keys were asked for");
        };
        let Some(last) = keys.last() else { return };
        key.clone_from(last);
        keys.iter().for_each(|key| println!("{key}"));
    }
}
