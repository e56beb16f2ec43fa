//! A cluster that has lost what was committed, and a voter that still has it.

use position::{History, Index};
use quorum::Contradiction;

use crate::cluster::{A, B, C, Cluster};

/// A majority of the disks loses x, which is more than is promised. B still has it, and ends rather than cut it.
fn lost_by_a_majority(compacted: bool) -> (Cluster, Contradiction) {
    let mut cluster = Cluster::running(3, 1);
    let old = cluster.disks.clone();
    let x = cluster.write(A, 3).expect("leads");
    cluster.run_until(100, "B knows that x is committed", |cluster| cluster.commit(B) == x.last);
    cluster.freeze(B);
    for id in [A, C] {
        cluster.kill(id);
        let boots = cluster.disks[&id].boots;
        let (processes, peers) = (cluster.disks[&id].processes.clone(), cluster.disks[&id].peers.clone());
        let disk = crate::cluster::Disk { boots, processes, peers, ..old[&id].clone() };
        cluster.disks.insert(id, disk);
        cluster.oracle.damaged.insert(id);
    }
    cluster.oracle.forget_what_was_committed();
    cluster.start(A);
    cluster.start(C);
    cluster.run_until(2_000, "A or C leads without x", |cluster| cluster.master_but(B).is_some());
    let master = cluster.master_but(B).expect("just seen");
    if compacted {
        cluster.write(master, 1).expect("leads");
        cluster.run(100);
        cluster.compact(master);
    }
    let before = cluster.journal(B).clone();
    cluster.thaw(B);
    cluster.run_until(2_000, "B ends", |cluster| cluster.processes[&B].contradicted.is_some());
    cluster.run(500);
    assert_eq!(cluster.journal(B), &before, "B has cut or written something");
    let contradiction = cluster.processes[&B].contradicted.expect("just seen");
    assert_eq!((contradiction.master.id, contradiction.last), (master, x.last));
    (cluster, contradiction)
}

#[test]
fn a_voter_ends_when_the_cluster_has_lost_what_was_committed() {
    let (_, contradiction) = lost_by_a_majority(false);
    assert_eq!(contradiction.first, Index(3), "the no-op of epoch 1 is shared");
    assert_eq!((contradiction.mine.epoch.0, contradiction.theirs.epoch.0), (1, 2));
    let said = contradiction.to_string();
    assert!(said.contains("this folder holds entries 3 to 5, which the cluster has lost; keep it"), "{said}");
}

#[test]
fn a_snapshot_of_another_history_ends_a_voter_too() {
    let (cluster, contradiction) = lost_by_a_majority(true);
    assert!(contradiction.first <= Index(3));
    assert!(cluster.journal(B).tip().index() >= Index(5));
}
