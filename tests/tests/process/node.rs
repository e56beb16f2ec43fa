//! A node dies and comes back to what it should be.

use demo::Program;

use crate::trial::Trial;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_put_back_to_what_it_should_be() {
    let mut trial = Trial::start().await;
    trial.set("pc5", 1).await;
    trial.cluster.start_node("pc5").unwrap();
    let node = trial.operator.wait_for_restoration("pc5").await.unwrap();
    assert_eq!(node.reported.unwrap().properties.get("level"), Some(&1.into()));

    trial.cluster.kill("pc5", Program::Node).unwrap();
    trial.operator.wait_for_absence("pc5").await.unwrap();
    trial.set("pc5", 2).await;
    trial.cluster.start_node("pc5").unwrap();
    let node = trial.operator.wait_for_restoration("pc5").await.unwrap();
    assert_eq!(node.reported.unwrap().properties.get("level"), Some(&2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_follows_a_failover_and_is_never_called_absent() {
    let mut trial = Trial::start().await;
    trial.cluster.start_node("pc5").unwrap();
    let before = trial.operator.wait_for_restoration("pc5").await.unwrap();
    let old = trial.master().await;
    trial.cluster.kill(&old.pc, Program::Master).unwrap();
    trial.set("pc5", 3).await;
    let after = trial.operator.wait_for_restoration("pc5").await.unwrap();
    assert_eq!(after.reported.unwrap().properties.get("level"), Some(&3.into()));
    assert_eq!(after.presence, before.presence, "present since the same moment");
}
