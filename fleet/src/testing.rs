//! What the tests of this crate share: the fleet of `examples/fleet-3x3.csv`, and commands given to it.

use std::time::Duration;

use position::Index;
use prevalent::{Actor, Moment, Prevalent, Role};

use crate::{Command, Fleet, Format, ImportMode, Outcome, Rejection, Value};

pub(crate) fn operator() -> Actor {
    Actor { name: "operator".into(), role: Role::Operator }
}

pub(crate) fn as_actor(
    fleet: &mut Fleet,
    index: u32,
    actor: &Actor,
    command: Command,
) -> Result<Outcome, Rejection> {
    let at = Moment {
        index: Index(u64::from(index)),
        cluster_time: Duration::from_secs(u64::from(index)),
        wall_time: i64::from(index) * 1000,
        actor,
    };
    fleet.execute(command, &at)
}

pub(crate) fn apply(fleet: &mut Fleet, index: u32, command: Command) -> Result<Outcome, Rejection> {
    as_actor(fleet, index, &operator(), command)
}

pub(crate) fn set(selector: &str, key: &str, value: Value) -> Command {
    Command::Set { selector: selector.parse().unwrap(), properties: [(key.to_owned(), value)].into() }
}

pub(crate) fn fleet_3x3() -> Fleet {
    let file = include_bytes!("../../examples/fleet-3x3.csv");
    let configuration = crate::read("fleet-3x3.csv", Format::Csv, file, &[]).unwrap();
    let mut fleet = Fleet::default();
    apply(&mut fleet, 3, Command::Import { configuration, mode: ImportMode::Merge }).unwrap();
    fleet
}
