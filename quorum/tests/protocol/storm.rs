//! Weather, accidents and load by chance; then calm, in which the cluster must come to itself.

use std::time::Duration;

use position::{Ballot, Epoch, MemberId, Standing};

use crate::cluster::{Cluster, Dice, TailDamage, Weather, ms};
use crate::operators;

/// Debug builds run this many seeds of each size in a few seconds.
const SEEDS: u64 = 150;

fn weather(dice: &mut Dice) -> Weather {
    Weather {
        delay_min: Duration::from_micros(100),
        delay_max: Duration::from_micros(*dice.pick(&[300, 2_000, 10_000, 40_000])),
        lost_percent: *dice.pick(&[0, 0, 2, 10, 30]),
        doubled_percent: *dice.pick(&[0, 0, 5, 50]),
    }
}

fn anyone(cluster: &mut Cluster, up: bool) -> Option<MemberId> {
    let ids: Vec<MemberId> = cluster.ids().into_iter().filter(|&id| cluster.is_up(id) == up).collect();
    (!ids.is_empty()).then(|| *cluster.dice.pick(&ids))
}

/// Cuts power somewhere, likely between a write and its sync.
fn cut_power(cluster: &mut Cluster) {
    let Some(id) = anyone(cluster, true) else { return };
    let frames = cluster.dice.below(3);
    let damage = *cluster.dice.pick(&[TailDamage::None, TailDamage::Torn, TailDamage::TornUnknown]);
    cluster.cut_power(id, frames, damage);
}

fn accident(cluster: &mut Cluster) {
    match cluster.dice.below(16) {
        0..=2 => {
            if let Some(id) = anyone(cluster, true) {
                cluster.kill(id);
            }
        }
        3..=4 => cut_power(cluster),
        5..=8 => {
            if let Some(id) = anyone(cluster, false) {
                cluster.start(id);
            }
        }
        9 => {
            let ids = cluster.ids();
            let (from, to) = (*cluster.dice.pick(&ids), *cluster.dice.pick(&ids));
            cluster.sever(from, to);
        }
        10 => {
            let ids = cluster.ids();
            let id = *cluster.dice.pick(&ids);
            cluster.isolate(id);
        }
        11 => {
            if let Some(master) = cluster.master() {
                cluster.isolate(master);
            }
        }
        12..=13 => cluster.heal(),
        14 => {
            if let Some(id) = anyone(cluster, true) {
                cluster.compact(id);
            }
        }
        _ => hold_one_message_past_an_election(cluster),
    }
}

/// One message of some kind is put aside, and arrives much later.
fn hold_one_message_past_an_election(cluster: &mut Cluster) {
    cluster.release();
    let names = ["VoteReply", "VoteRequest", "AppendAck", "Append", "FetchReply", "Heartbeat", "ProbeReply"];
    let wanted = *cluster.dice.pick(&names);
    let ids = cluster.ids();
    let from = *cluster.dice.pick(&ids);
    let taken = std::cell::Cell::new(false);
    cluster.hold(move |envelope| {
        envelope.from.id == from && envelope.message.name() == wanted && !taken.replace(true)
    });
}

fn load(cluster: &mut Cluster) {
    for id in cluster.ids() {
        for _ in 0..cluster.dice.below(3) {
            let entries = 1 + cluster.dice.below(3);
            cluster.write(id, entries);
        }
        if cluster.dice.one_in(3) {
            cluster.read(id);
        }
    }
}

fn storm(voters: u16, seed: u64, operated: bool, traced: bool) {
    println!("{voters} voters, seed {seed}");
    let mut cluster = Cluster::founded(voters, seed);
    cluster.trace = traced.then(Vec::new);
    cluster.disk_delay = (Duration::from_micros(200), ms(*Dice::seeded(seed).pick(&[1, 5, 30])));
    cluster.start_all();
    let rots = voters > 1 && cluster.dice.one_in(3);
    for _ in 0..60 {
        let pause = *cluster.dice.pick(&[2, 5, 20, 80, 200]);
        cluster.run(pause);
        load(&mut cluster);
        if cluster.dice.one_in(3) {
            cluster.weather = weather(&mut cluster.dice);
        }
        if cluster.dice.one_in(2) {
            accident(&mut cluster);
        }
        if operated {
            operators::operate(&mut cluster, usize::from(voters));
            if cluster.dice.one_in(10) {
                operators::lose_disk(&mut cluster);
            }
        }
        if rots && cluster.oracle.damaged.is_empty() && cluster.dice.one_in(20) {
            rot(&mut cluster);
        }
    }
    calm(&mut cluster, operated);
}

/// The frame that was acknowledged last goes bad on one machine.
fn rot(cluster: &mut Cluster) {
    // Of two voters one that is in doubt has nobody who could end that.
    let Some(id) = anyone(cluster, true).filter(|_| cluster.ids().len() > 2) else { return };
    let joined = |ballot: &Ballot| ballot.standing == Standing::Settled && ballot.epoch > Epoch::NONE;
    let all_joined = cluster.disks.values().all(|disk| joined(&disk.ballot));
    if all_joined && operators::may_lose(cluster, id) && cluster.disks[&id].durable.frames().len() > 1 {
        let identity_known = !cluster.dice.one_in(4);
        cluster.stop_and_rot(id, identity_known);
    }
}

fn calm(cluster: &mut Cluster, operated: bool) {
    cluster.heal();
    cluster.release();
    cluster.weather = Weather::CALM;
    cluster.start_all();
    cluster.run_until(5_000, "a master after the storm", |cluster| cluster.master().is_some());
    // An old master may need a moment to learn that it is none.
    cluster.run(1_000);
    if operated {
        operators::tidy(cluster);
    }
    let master = cluster.master().unwrap_or_else(|| panic!("the master did not last\n{}", cluster.summary()));
    let frame = cluster.write(master, 1).expect("leads");
    cluster.read(master).expect("leads");
    cluster.run_until(1_000, "everyone has what was written after the storm", |cluster| {
        operators::belonging(cluster, master).into_iter().all(|id| cluster.commit(id) >= frame.last)
    });
    let leaders = cluster.ids().into_iter().filter(|&id| cluster.voter(id).leads()).count();
    assert_eq!(leaders, 1, "{}", cluster.summary());
    for id in operators::belonging(cluster, master) {
        let settled = cluster.standing(id) == Standing::Settled;
        assert!(
            settled || cluster.oracle.damaged.contains(&id),
            "{id:?} is not settled\n{}",
            cluster.summary()
        );
    }
}

/// `STORM_SEED=17 cargo test -p quorum storm::five` replays one seed, with the story of what happened if it
/// fails. `STORM_SEEDS=100000` tries so many.
fn storms(voters: u16, seeds: u64, operated: bool) {
    let number = |name| std::env::var(name).ok().map(|seed| seed.parse().expect("a number"));
    match number("STORM_SEED") {
        Some(seed) => storm(voters, seed, operated, true),
        None => {
            (0..number("STORM_SEEDS").unwrap_or(seeds)).for_each(|seed| storm(voters, seed, operated, false))
        }
    }
}

#[test]
fn one_voter() {
    storms(1, SEEDS / 5, false);
}

#[test]
fn two_voters() {
    storms(2, SEEDS / 5, false);
}

#[test]
fn three_voters() {
    storms(3, SEEDS, false);
}

/// Two of four are no majority, and neither are the two others.
#[test]
fn four_voters() {
    storms(4, SEEDS / 3, false);
}

#[test]
fn five_voters() {
    storms(5, SEEDS / 3, false);
}

#[test]
fn nine_voters() {
    storms(9, SEEDS / 15, false);
}

#[test]
fn three_voters_and_operators() {
    storms(3, SEEDS, true);
}

#[test]
fn five_voters_and_operators() {
    storms(5, SEEDS / 3, true);
}
