//! What operators do in a storm: PCs come, go, lose their disks and come again, while everything else goes wrong too.

use position::{Incarnation, Index, MemberId, Standing};
use quorum::{Change, Word};

use crate::cluster::{Cluster, Disk};

/// So many machines beyond the founders.
const NEWCOMERS_MAX: usize = 3;

fn name(id: MemberId) -> String {
    format!("pc{}", id.0)
}

/// Some change is asked for, sensible or not.
pub(crate) fn operate(cluster: &mut Cluster, founders: usize) {
    let Some(master) = cluster.master() else { return };
    let ids = cluster.ids();
    let (one, other) = (*cluster.dice.pick(&ids), *cluster.dice.pick(&ids));
    let change = match cluster.dice.below(10) {
        0..=1 => Change::Add { name: name(one), spare: cluster.dice.one_in(2) },
        2 => Change::Remove { name: name(one) },
        3..=4 => Change::Replace { old: name(one), with: name(other) },
        5..=6 => Change::Readmit { name: name(one) },
        7 => Change::ReplaceAfter { seconds: u32::try_from(cluster.dice.below(2)).expect("small") },
        8 => Change::Rank { name: name(one), rank: 3 },
        _ => return arrive(cluster, founders),
    };
    cluster.change(master, &change);
}

/// A PC that nobody knows greets the cluster.
fn arrive(cluster: &mut Cluster, founders: usize) {
    let ids = cluster.ids();
    if ids.len() < founders + NEWCOMERS_MAX {
        let next = MemberId(ids.last().expect("founders").0 + 1);
        cluster.disks.insert(next, Disk::wiped(next));
        cluster.start(next);
    }
}

/// Whether this machine may lose what it holds: by every list that may count, a majority of the others holds all that
/// is committed, and none of them has lost anything.
pub(crate) fn may_lose(cluster: &Cluster, id: MemberId) -> bool {
    if cluster.oracle.committed() == Index::NONE {
        return false;
    }
    cluster.disks.values().all(|disk| {
        cluster.oracle.lists_of(&disk.written).iter().all(|(_, list)| {
            let holds = |other: &MemberId| {
                let disk = &cluster.disks[other];
                let whole =
                    disk.ballot.standing == Standing::Settled && !cluster.oracle.damaged.contains(other);
                *other != id && list.counts(disk.member) && whole && cluster.oracle.is_held_by(&disk.durable)
            };
            let others = cluster.disks.keys().filter(|other| holds(other)).count();
            list.voter_count() > 2 && others >= list.majority()
        })
    })
}

/// A disk is replaced.
pub(crate) fn lose_disk(cluster: &mut Cluster) {
    let ids = cluster.ids();
    let id = *cluster.dice.pick(&ids);
    let belongs = cluster.member(id).incarnation != Incarnation::UNKNOWN;
    let is_removed = cluster.disks[&id].ballot.standing == Standing::Removed;
    if !belongs || is_removed || !may_lose(cluster, id) {
        return;
    }
    if cluster.is_up(id) {
        cluster.kill(id);
    }
    cluster.oracle.damaged.insert(id);
    cluster.disks.insert(id, Disk::wiped(id));
    cluster.start(id);
    // What is changed before a master can know of it would rely on what is gone.
    cluster.run(300);
}

/// After the storm an operator looks at what the cluster says of itself, and readmits whoever needs it.
pub(crate) fn tidy(cluster: &mut Cluster) {
    for _ in 0..12 {
        cluster.run(1_000);
        let Some(master) = cluster.master() else { continue };
        let lost = cluster.voter(master).members().into_iter().find(|view| view.word == Word::Lost);
        if let Some(view) = lost {
            cluster.change(master, &Change::Readmit { name: view.info.name });
        }
    }
}

/// Who belongs to the cluster in the end, as its master sees it.
pub(crate) fn belonging(cluster: &Cluster, master: MemberId) -> Vec<MemberId> {
    cluster.voter(master).membership().members().iter().map(|info| info.member.id).collect()
}
