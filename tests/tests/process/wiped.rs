//! A machine whose disk was wiped cannot know it. It must not count, or history could begin a second time.

use std::fs;
use std::time::Duration;

use demo::{Program, Start};
use shipper::ClientError;

use crate::trial::{Trial, level};

/// Many times as long as an election takes.
const TRIED_FOR: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_voter_learns_and_never_founds_a_second_history() {
    let mut trial = Trial::start().await;
    trial.set("pc5", 1).await;
    let master = trial.master().await;
    let [wiped, other] = <[String; 2]>::try_from(trial.standbys().await).unwrap();
    trial.cluster.kill(&wiped, Program::Master).unwrap();
    fs::remove_dir_all(trial.cluster.data_of(&wiped)).unwrap();
    // Without --standby, too.
    trial.cluster.start_master(&wiped, Start::Founder).unwrap();
    let goal = trial.operator.committed().await.unwrap();
    trial.operator.wait_for_role(&wiped, &["learner"], goal).await.unwrap();

    // With the master gone there are two processes, and one of them counts: that is no majority of three.
    trial.cluster.kill(&master.pc, Program::Master).unwrap();
    let hasty = trial.cluster.operator(TRIED_FOR).unwrap();
    let answer = hasty.client().execute(&level("pc5", 2)).await;
    assert!(matches!(answer, Err(ClientError::NoMaster { .. } | ClientError::Unknown { .. })), "{answer:?}");

    trial.cluster.start_master(&master.pc, Start::Founder).unwrap();
    let new = trial.operator.master_after(master.epoch).await.unwrap();
    assert!(new.pc == master.pc || new.pc == other, "{new:?}");
    trial.set("pc6", 3).await;
    assert_eq!(trial.desired("pc6").await, Some(3.into()));
    let goal = trial.operator.committed().await.unwrap();
    trial.operator.wait_for_role(&wiped, &["learner"], goal).await.unwrap();
}
