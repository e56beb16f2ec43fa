//! How a cluster begins: once, and by everyone.

use position::Index;

use crate::cluster::{A, B, C, Cluster};

#[test]
fn one_voter_alone_leads_and_commits() {
    let mut cluster = Cluster::founded(1, 1);
    cluster.start(A);
    cluster.run_until(50, "leads", |cluster| cluster.master() == Some(A));
    let frame = cluster.write(A, 3).expect("leads");
    cluster.run_until(50, "commits", |cluster| cluster.commit(A) == frame.last);
}

#[test]
fn three_fresh_voters_found_within_a_suspicion_time_and_the_highest_rank_leads() {
    let mut cluster = Cluster::founded(3, 1);
    cluster.start_all();
    cluster.run_until(100, "A leads", |cluster| cluster.master() == Some(A));
    cluster.run_until(100, "everyone has the no-op", |cluster| {
        [A, B, C].into_iter().all(|id| cluster.commit(id) == Index(2))
    });
    assert_eq!(cluster.oracle.masters().len(), 1);
}
