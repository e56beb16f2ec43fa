//! Three voters, each with a disk of its own, that lose power together or alone, under load.

use std::time::Duration;

use demo::{LocalCluster, Program, Start};
use storage::StuckSync;

use super::disk::{End, MountedDisk};
use super::{Chance, cuts_and_seed, is_skipped};
use crate::trial::{Trial, founded, more};

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// The power goes everywhere at once.
    AllLosePower,
    /// It goes at one voter.
    OneLosesPower,
    /// A sync fails at one voter. It ends, and the power stays on there.
    OneSyncFails,
    /// The same, and later the power goes everywhere: what it found in its cache may be gone.
    OneSyncFailsThenAllLosePower,
    /// The syncs of one voter hang until the power goes everywhere: the others' disks have gone on without it.
    OneHangsThenAllLosePower,
    /// All disks are slow, and the power goes while syncs are under way.
    AllAreSlowThenLosePower,
}

const ROUNDS: [Round; 6] = [
    Round::AllLosePower,
    Round::OneSyncFailsThenAllLosePower,
    Round::OneHangsThenAllLosePower,
    Round::AllAreSlowThenLosePower,
    Round::OneLosesPower,
    Round::OneSyncFails,
];

/// A slow sync takes a little less, or a little more.
const SLOW_SYNC: Duration = Duration::from_millis(80);

fn mount_all(cluster: &LocalCluster, seed: u64) -> Vec<MountedDisk> {
    let folders = cluster.voters().iter().map(|pc| cluster.data_of(pc));
    folders.zip(seed..).map(|(folder, seed)| MountedDisk::over(&folder, seed)).collect()
}

/// Ends these voters, decides what their disks hold, and starts them again.
fn restart(trial: &mut Trial, disks: &mut [MountedDisk], which: &[usize], end: End) {
    let voters = trial.cluster.voters().to_vec();
    for voter in which {
        trial.cluster.kill(&voters[*voter], Program::Master).unwrap();
    }
    for voter in which {
        disks[*voter].end(end);
    }
    for voter in which {
        trial.cluster.start_master(&voters[*voter], Start::Standby).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_lose_and_double_nothing_when_the_power_goes() {
    if is_skipped("voters when the power goes") {
        return;
    }
    let (cuts, seed) = cuts_and_seed(ROUNDS.len() as u64);
    let mut chance = Chance(seed);
    let cluster = founded();
    // Before the cluster, which is dropped first: nobody may use a disk that is taken away.
    let mut disks = mount_all(&cluster, seed);
    let all: Vec<usize> = (0..disks.len()).collect();
    let mut trial = Trial::of(cluster).await;
    let load = trial.flow().await;
    for cut in 0..cuts {
        let round = ROUNDS[usize::try_from(cut).unwrap() % ROUNDS.len()];
        let one = usize::try_from(chance.below(all.len() as u64)).unwrap();
        match round {
            Round::AllLosePower => restart(&mut trial, &mut disks, &all, End::Power),
            Round::OneLosesPower => restart(&mut trial, &mut disks, &[one], End::Power),
            Round::OneHangsThenAllLosePower => {
                disks[one].machine().stick_syncs(StuckSync::Waits);
                more(&load).await;
                disks.iter().for_each(MountedDisk::cut_under_the_living);
                restart(&mut trial, &mut disks, &all, End::Power);
            }
            Round::AllAreSlowThenLosePower => {
                for disk in &disks {
                    disk.slow_syncs(SLOW_SYNC + Duration::from_millis(chance.below(40)));
                }
                more(&load).await;
                disks.iter().for_each(MountedDisk::cut_under_the_living);
                restart(&mut trial, &mut disks, &all, End::Power);
            }
            Round::OneSyncFails | Round::OneSyncFailsThenAllLosePower => {
                disks[one].machine().fail_sync_after(chance.below(6));
                more(&load).await;
                restart(&mut trial, &mut disks, &[one], End::Process);
            }
        }
        more(&load).await;
        if round == Round::OneSyncFailsThenAllLosePower {
            restart(&mut trial, &mut disks, &all, End::Power);
            more(&load).await;
        }
    }
    let acknowledged = load.count();
    let voters = trial.cluster.voters().to_vec();
    let voters: Vec<&str> = voters.iter().map(String::as_str).collect();
    let cluster = trial.check(load, &voters).await;
    println!(
        "voters: seed {seed}, {cuts} rounds, {acknowledged} acknowledged commands, none lost or doubled"
    );
    drop(disks);
    drop(cluster);
}
