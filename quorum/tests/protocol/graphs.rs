//! Every way in which links can work or fail: whoever has two-way links to a majority can lead, and
//! somebody soon does.

use position::MemberId;

use crate::cluster::{Cluster, Weather};

/// Runs a cluster whose links just became `open`, and says who leads after a while and still later.
fn leader_with(count: u16, seed: u64, open: impl Fn(MemberId, MemberId) -> bool) {
    let mut cluster = Cluster::running(count, seed);
    let ids = cluster.ids();
    for &from in &ids {
        for &to in ids.iter().filter(|&&to| to != from) {
            if !open(from, to) {
                cluster.sever(from, to);
            }
        }
    }
    let both_ways = |one, other| one == other || (open(one, other) && open(other, one));
    let reaches = |one| ids.iter().filter(|&&other| both_ways(one, other)).count();
    let connected: Vec<MemberId> = ids.iter().copied().filter(|&id| reaches(id) > ids.len() / 2).collect();
    cluster.weather = Weather::CALM;
    cluster.run(700);
    let leads =
        |cluster: &Cluster| ids.iter().copied().filter(|&id| cluster.voter(id).leads()).collect::<Vec<_>>();
    let leaders = leads(&cluster);
    assert_eq!(leaders.len(), connected.len().min(1), "connected {connected:?}\n{}", cluster.summary());
    assert!(leaders.iter().all(|leader| connected.contains(leader)), "{leaders:?} without a majority");
    let Some(&leader) = leaders.first() else { return };
    let frame = cluster.write(leader, 1).expect("leads");
    cluster.run(100);
    assert!(cluster.commit(leader) >= frame.last, "{leader:?} commits nothing\n{}", cluster.summary());
    let epoch = cluster.voter(leader).epoch();
    cluster.run(500);
    assert_eq!((leads(&cluster), cluster.voter(leader).epoch()), (vec![leader], epoch), "it does not last");
}

#[test]
fn every_directed_graph_of_three() {
    let pairs: Vec<(u16, u16)> =
        (1..=3).flat_map(|from| (1..=3).filter(move |&to| to != from).map(move |to| (from, to))).collect();
    for graph in 0_u32..64 {
        leader_with(3, u64::from(graph), |from, to| {
            let at = pairs.iter().position(|&pair| pair == (from.0, to.0)).expect("a pair");
            graph & (1 << at) != 0
        });
    }
}

#[test]
fn many_undirected_graphs_of_five() {
    let pairs: Vec<(u16, u16)> = (1..=5).flat_map(|from| (from + 1..=5).map(move |to| (from, to))).collect();
    // One in seven of the 1,024: a few seconds' worth.
    for graph in (0_u32..1024).step_by(7) {
        leader_with(5, u64::from(graph), |from, to| {
            let pair = (from.0.min(to.0), from.0.max(to.0));
            let at = pairs.iter().position(|&known| known == pair).expect("a pair");
            graph & (1 << at) != 0
        });
    }
}
