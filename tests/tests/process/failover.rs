//! Voters die under load, one of them or all.

use std::time::Instant;

use demo::{Load, Program, Start, wait_until};
use fleet::{Answer, Query, Selector};
use position::Epoch;

use crate::trial::{Trial, level};

async fn wait_for_answer_after(load: &Load, instant: Instant) {
    let look = async || load.first_after(instant).ok_or("none was answered since");
    wait_until("a command to be accepted", look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_killed_under_load_loses_and_doubles_nothing() {
    let mut trial = Trial::start().await;
    let load = trial.flow().await;
    let old = trial.master().await;
    trial.cluster.kill(&old.pc, Program::Master).unwrap();
    wait_for_answer_after(&load, Instant::now()).await;
    let new = trial.operator.master_after(old.epoch).await.unwrap();
    assert_ne!(new.pc, old.pc);
    trial.cluster.start_master(&old.pc, Start::Standby).unwrap();
    trial.wait_until_level(&old.pc).await;
    trial.check(load, &[&old.pc, &new.pc]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_killed_under_load_is_not_missed() {
    let mut trial = Trial::start().await;
    let load = trial.flow().await;
    let master = trial.master().await;
    let killed = trial.standbys().await.remove(0);
    trial.cluster.kill(&killed, Program::Master).unwrap();
    wait_for_answer_after(&load, Instant::now()).await;
    trial.cluster.start_master(&killed, Start::Standby).unwrap();
    trial.wait_until_level(&killed).await;
    trial.check(load, &[&killed, &master.pc]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_voters_killed_at_once_go_on_where_they_were() {
    let mut trial = Trial::start().await;
    let load = trial.flow().await;
    let old = trial.master().await;
    trial.cluster.kill_all().unwrap();
    let dead = Instant::now();
    let voters = trial.cluster.voters().to_vec();
    for pc in &voters {
        trial.cluster.start_master(pc, Start::Standby).unwrap();
    }
    wait_for_answer_after(&load, dead).await;
    let new = trial.operator.master_after(old.epoch).await.unwrap();
    let voters: Vec<&str> = voters.iter().map(String::as_str).collect();
    trial.check(load, &voters).await;
    assert!(new.epoch > old.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_what_it_follows_turn_to_the_new_master_by_themselves() {
    let mut trial = Trial::start().await;
    trial.set("pc5", 1).await;
    let query = Query::Nodes(Selector::Node("pc5".to_owned()));
    let mut watch = trial.operator.client().watch(&query).unwrap();
    let first = watch.next().await.unwrap();

    let old = trial.master().await;
    trial.cluster.kill(&old.pc, Program::Master).unwrap();
    // No waiting, no asking who leads: the call itself sees to it.
    trial.set("pc5", 2).await;
    trial.operator.client().execute(&level("pc5", 3)).await.unwrap().unwrap();
    let (epoch, nodes) = loop {
        let update = watch.next().await.unwrap();
        let Answer::Nodes(nodes) = update.answer else { panic!("{:?}", update.answer) };
        if nodes[0].desired.properties.get("level") == Some(&3.into()) {
            break (update.epoch, nodes);
        }
    };
    assert!(epoch > first.epoch && first.epoch > Epoch::NONE);
    assert_eq!(nodes.len(), 1);
}
