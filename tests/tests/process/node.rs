//! A node dies and comes back to what it should be.

use demo::Program;
use fleet::ImportMode;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_there_before_its_place_in_the_fleet_is_seen() {
    let mut trial = Trial::start().await;
    for pc in ["pc5", "pc6"] {
        trial.cluster.start_node(pc).unwrap();
        trial.operator.wait_for_restoration(pc).await.unwrap();
    }
    // Only a master that has led for a while records an absence: from now on nothing is new to it.
    trial.cluster.kill("pc6", Program::Node).unwrap();
    trial.operator.wait_for_absence("pc6").await.unwrap();

    let mut fleet = trial.cluster.fleet().clone();
    fleet.nodes.retain(|node| node.name != "pc5");
    trial.operator.import(fleet, ImportMode::Replace).await.unwrap();
    trial.operator.import(trial.cluster.fleet().clone(), ImportMode::Merge).await.unwrap();
    trial.operator.wait_for_restoration("pc5").await.unwrap();
}
