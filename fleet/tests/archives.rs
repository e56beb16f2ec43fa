//! The archives of schema 1 stay as they are: a journal that was written with them must be read for ever.
//! Whoever has to change them gives the fleet another `SCHEMA`, keeps these files, and adds new ones.

use std::time::Duration;

use fleet::{Command, Configuration, Decimal, Fleet, ImportMode, NodeEntry, Revision, Selector};
use position::Index;
use prevalent::Schema;
use prevalent::{Actor, Moment, Prevalent, Role, Stored};

/// One command of each kind.
fn commands() -> Vec<Command> {
    let entry = NodeEntry {
        name: "pc2".into(),
        row: Some(1),
        column: Some(2),
        address: Some("10.0.0.2".into()),
        labels: Some(vec!["left".into(), "oben".into()]),
        desired: [("on".to_owned(), true.into()), ("title".to_owned(), "ein längerer Text".into())].into(),
    };
    let scene = [("pc1".to_owned(), [("level".to_owned(), 3.into())].into())].into();
    let configuration =
        Configuration { nodes: vec![entry], scenes: Some([("day".to_owned(), scene)].into()) };
    let gamma = Decimal::from_billionths(2_200_000_000);
    vec![
        Command::Place { node: "pc1".into(), row: 1, column: 1 },
        Command::Import { configuration, mode: ImportMode::Merge },
        Command::Set { selector: Selector::All, properties: [("gamma".to_owned(), gamma.into())].into() },
        Command::Set {
            selector: Selector::Label("left".into()),
            properties: [("level".to_owned(), 7.into())].into(),
        },
        Command::Unset { selector: Selector::Column(2), keys: vec!["on".into()] },
        Command::SaveScene { scene: "night".into(), selector: Selector::Row(1) },
        Command::ApplyScene { scene: "day".into() },
        Command::DeleteScene { scene: "day".into() },
        Command::Presence { node: "pc1".into(), present: true },
        Command::Presence { node: "pc2".into(), present: false },
        Command::Report {
            node: "pc1".into(),
            revision: Revision(7),
            properties: [("level".to_owned(), 3.into())].into(),
            error: Some("no display".into()),
        },
    ]
}

fn state() -> Fleet {
    let mut fleet = Fleet::default();
    for (index, command) in (1..).zip(commands()) {
        let (role, name) = match &command {
            Command::Presence { .. } => (Role::Voter, "1"),
            Command::Report { node, .. } => (Role::Node, node.as_str()),
            _ => (Role::Operator, "operator"),
        };
        let actor = Actor { name: name.to_owned(), role };
        let at = Moment {
            index: Index(index),
            cluster_time: Duration::ZERO,
            wall_time: 1_782_907_200_000_000_000,
            actor: &actor,
        };
        fleet.execute(command, &at).unwrap();
    }
    fleet
}

fn check<T: Stored>(value: &T, golden: &[u8]) {
    let mut bytes = Vec::new();
    prevalent::encode(value, &mut bytes).unwrap();
    assert_eq!(
        Fleet::SCHEMA,
        Schema(1),
        "these files belong to schema 1; keep them, and add those of the new one"
    );
    assert!(bytes == golden, "the layout of {} has changed", std::any::type_name::<T>());
}

#[test]
fn commands_are_archived_as_ever() {
    check(&commands(), include_bytes!("archives/commands-1.archive"));
    let read: Vec<Command> = prevalent::decode(include_bytes!("archives/commands-1.archive")).unwrap();
    assert_eq!(read, commands());
}

/// Of a kind that was added later: what is above has kept its bytes.
#[test]
fn removals_are_archived_as_ever() {
    let removals =
        vec![Command::Remove { nodes: vec!["pc1".into(), "pc2".into()], addresses: vec!["pc3".into()] }];
    check(&removals, include_bytes!("archives/removals-1.archive"));
    let read: Vec<Command> = prevalent::decode(include_bytes!("archives/removals-1.archive")).unwrap();
    assert_eq!(read, removals);
}

#[test]
fn the_state_is_archived_as_ever() {
    check(&state(), include_bytes!("archives/fleet-1.archive"));
    let read: Fleet = prevalent::decode_state(include_bytes!("archives/fleet-1.archive")).unwrap();
    assert_eq!(read, state());
}
