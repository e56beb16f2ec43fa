//! Stories: what a cluster is told, and what it says and does, as text files in `transcripts`.
//!
//! A line that starts with `>` is an instruction; the indented lines below it are what came of it, with the
//! milliseconds since the beginning. Greetings and heartbeats are left out. `UPDATE_TRANSCRIPTS=1` writes
//! what came of it into the files: read the difference before you commit it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use position::MemberId;
use quorum::Change;

use crate::cluster::{Cluster, Disk, TailDamage};

fn machine(name: &str) -> MemberId {
    let letter = name.bytes().next().expect("a letter");
    MemberId(u16::from(letter - b'A') + 1)
}

fn machines(names: &str) -> Vec<MemberId> {
    names.split(' ').filter(|name| !name.is_empty()).map(machine).collect()
}

/// What an operator calls a machine.
fn called(name: &str) -> String {
    format!("pc{}", machine(name).0)
}

fn order(cluster: &mut Cluster, change: &Change) {
    let master = cluster.master().expect("a master");
    cluster.change(master, change);
}

/// Does what an instruction says. `false`: what came of it is not shown.
fn obey(cluster: &mut Cluster, instruction: &str) -> bool {
    let (verb, rest) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("a number in “{instruction}”"));
    match verb {
        "start" => machines(rest).into_iter().for_each(|id| cluster.start(id)),
        "run" => cluster.run(number(words[0])),
        "write" => {
            cluster.write(machine(words[0]), number(words[1])).expect("only a master writes");
        }
        "read" => {
            cluster.read(machine(words[0])).expect("only a master is read");
        }
        "kill" => cluster.kill(machine(words[0])),
        "cut-power" => cluster.cut_power(machine(words[0]), 0, TailDamage::None),
        "tear" => cluster.cut_power(machine(words[0]), 0, TailDamage::Torn),
        "copy" => {
            let id = machine(words[0]);
            cluster.copies.insert(id, cluster.disks[&id].clone());
        }
        "put-back" => {
            let id = machine(words[0]);
            let copy = cluster.copies.remove(&id).expect("it was copied");
            cluster.disks.insert(id, copy);
            cluster.oracle.damaged.insert(id);
        }
        "rot" => cluster.stop_and_rot(machine(words[0]), true),
        "stick" => cluster.stick(machine(words[0]), crate::cluster::Order::Sync),
        "part" => {
            let (left, right) = rest.split_once('|').expect("two sides");
            cluster.part(&machines(left.trim()), &machines(right.trim()));
        }
        "heal" => cluster.heal(),
        "hold" => {
            let (message, to) = (words[0].to_owned(), machine(words[2]));
            cluster.hold(move |envelope| envelope.message.name() == message && envelope.to.id == to);
        }
        "release" => cluster.release(),
        "compact" => cluster.compact(machine(words[0])),
        "arrive" => {
            let id = machine(words[0]);
            cluster.disks.insert(id, Disk::wiped(id));
            cluster.start(id);
        }
        "replace" => {
            let (old, with) = (called(words[0]), called(words[1]));
            order(cluster, &Change::Replace { old, with });
        }
        "readmit" => order(cluster, &Change::Readmit { name: called(words[0]) }),
        _ => panic!("unknown instruction “{instruction}”"),
    }
    !rest.ends_with("quietly")
}

fn replay(script: &str) -> String {
    let mut told = String::new();
    let mut cluster: Option<Cluster> = None;
    for line in script.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(told, "{line}").expect("a string");
        let Some(instruction) = line.strip_prefix("> ") else { continue };
        if let Some(count) = instruction.strip_prefix("voters ") {
            let mut founded = Cluster::founded(count.parse().expect("a number"), 1);
            founded.trace = Some(Vec::new());
            cluster = Some(founded);
            continue;
        }
        let cluster = cluster.as_mut().expect("a story begins with voters");
        let shown = obey(cluster, instruction);
        for line in cluster.trace.as_mut().expect("traced").drain(..).filter(|_| shown) {
            writeln!(told, "{line}").expect("a string");
        }
    }
    told
}

fn check(name: &str) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/transcripts");
    let path = folder.join(name).with_extension("txt");
    let script = std::fs::read_to_string(&path).expect("the transcript exists").replace("\r\n", "\n");
    let told = replay(&script);
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, told).expect("the transcript can be written");
    } else {
        let differs = told.lines().zip(script.lines()).position(|(now, then)| now != then);
        let from = differs.unwrap_or(0);
        let excerpt: Vec<&str> = told.lines().skip(from).take(12).collect();
        assert!(
            told == script,
            "{name} goes another way from line {} on; UPDATE_TRANSCRIPTS=1 accepts it:\n{}",
            from + 1,
            excerpt.join("\n")
        );
    }
}

#[test]
fn founding_of_three() {
    check("founding");
}

#[test]
fn one_voter_alone() {
    check("alone");
}

#[test]
fn failover() {
    check("failover");
}

#[test]
fn nomination_and_stand_down() {
    check("nomination");
}

#[test]
fn pull_then_campaign() {
    check("pull");
}

#[test]
fn conflict_and_cut() {
    check("conflict");
}

#[test]
fn snapshot_wanted() {
    check("snapshot");
}

#[test]
fn restored_copy() {
    check("restored");
}

#[test]
fn torn_tail() {
    check("torn");
}

#[test]
fn uncertain_tail() {
    check("uncertain");
}

#[test]
fn a_dead_voter_is_replaced() {
    check("replacement");
}

#[test]
fn a_replaced_disk_is_readmitted() {
    check("readmitted");
}

#[test]
fn read_index() {
    check("read");
}
