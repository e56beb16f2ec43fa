//! A client in front of a cluster whose masters come and go.

use std::net::UdpSocket;
use std::time::Duration;

use position::MemberId;

use crate::fake_cluster::{Event, FakeCluster, Ledger, UNLUCKY};
use shipper::{Client, ClientError, ClientOptions, Holder, Name, Reached, VoterCondition};

/// Submits `0..count` at once, and returns what each got.
async fn submit_all(client: &Client<Ledger>, count: u64) -> Vec<Result<u64, ClientError>> {
    let mut submitted = Vec::new();
    for number in 0..count {
        submitted.push(client.submit(&number).await.unwrap());
    }
    let mut results = Vec::new();
    for answer in submitted {
        results.push(answer.await.map(|outcome| outcome.expect("no number of these is unlucky")));
    }
    results
}

/// Sends `count` numbers while the script is played, and checks that each arrived once, in order.
async fn check(events: &[(usize, Event)], count: u64) {
    let cluster = FakeCluster::start(3);
    cluster.promote(1);
    cluster.script(events);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    let results = submit_all(&client, count).await;
    for (number, result) in (1..).zip(results) {
        assert_eq!(result.unwrap(), number, "the ledger's length after this number");
    }
    assert_eq!(cluster.numbers(), (0..count).collect::<Vec<_>>());
    assert_eq!(cluster.sessions(), 1, "the session outlives its masters");
}

#[tokio::test]
async fn commands_are_executed_in_order() {
    check(&[], 3000).await;
}

#[tokio::test]
async fn a_master_that_dies_before_it_answers_costs_no_command_and_doubles_none() {
    check(&[(500, Event::Kill { next: 2 }), (1500, Event::Kill { next: 3 })], 2500).await;
}

#[tokio::test]
async fn a_master_that_steps_down_costs_no_command_and_doubles_none() {
    let back_and_forth = [2, 1, 3, 1, 2].map(|next| Event::StepDown { next });
    let events: Vec<_> = (1..).map(|nth| nth * 400).zip(back_and_forth).collect();
    check(&events, 2500).await;
}

#[tokio::test]
async fn a_busy_master_gets_commands_again_in_order() {
    check(&[(1, Event::Busy), (2, Event::Busy), (700, Event::Busy), (1200, Event::Busy)], 2000).await;
}

#[tokio::test]
async fn an_expired_session_is_an_error_and_never_a_second_execution() {
    let cluster = FakeCluster::start(3);
    cluster.promote(1);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    // The batch that triggers it was executed but is not answered by the next master.
    cluster.script(&[(1, Event::Expire), (1, Event::StepDown { next: 2 })]);
    let result = client.execute(&41).await;
    assert!(matches!(result, Err(ClientError::SessionExpired)), "{result:?}");
    assert_eq!(client.execute(&42).await.unwrap(), Ok(2));
    assert_eq!(cluster.numbers(), [41, 42]);
    assert_eq!(cluster.sessions(), 1);
}

#[tokio::test]
async fn a_pause_that_outlasts_the_session_costs_no_command_and_doubles_none() {
    let cluster = FakeCluster::start(1);
    cluster.promote(1);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    assert_eq!(client.execute(&0).await.unwrap(), Ok(1));
    cluster.expire_sessions();
    let results = submit_all(&client, 600).await;
    for (number, result) in (2..).zip(results) {
        assert_eq!(result.unwrap(), number);
    }
    assert_eq!(cluster.numbers(), [0].into_iter().chain(0..600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_waits_for_a_session_as_long_as_its_callers_do() {
    let cluster = FakeCluster::start(1);
    cluster.promote(1);
    cluster.fill(3);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    assert_eq!(client.execute(&1).await.unwrap(), Ok(1), "there is room the fourth time");
    cluster.fill(usize::MAX);
    let hasty = ClientOptions { time_out: Duration::from_millis(300), ..cluster.options("otto") };
    let error = Client::<Ledger>::connect(hasty).unwrap().execute(&2).await.unwrap_err();
    assert!(matches!(&error, ClientError::NotNow { reason } if reason == "full"), "{error}");
    assert_eq!(cluster.numbers(), [1]);
}

#[tokio::test]
async fn a_rejection_is_an_answer() {
    let cluster = FakeCluster::start(1);
    cluster.promote(1);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    assert_eq!(client.execute(&UNLUCKY).await.unwrap(), Err("an unlucky number".to_owned()));
    assert_eq!(client.execute(&1).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_viewer_sees_everything_and_changes_nothing() {
    let cluster = FakeCluster::start(1);
    cluster.promote(1);
    let operator = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    operator.execute(&5).await.unwrap().unwrap();
    let viewer = cluster.options_of(Holder::Viewer(Name::new("wall").unwrap()));
    let viewer = Client::<Ledger>::connect(viewer).unwrap();
    assert_eq!(viewer.read(&0).await.unwrap(), [5]);
    assert!(matches!(viewer.execute(&6).await, Err(ClientError::Refused { .. })));
    assert_eq!(cluster.numbers(), [5]);
}

#[tokio::test]
async fn without_a_master_the_error_names_the_addresses() {
    let cluster = FakeCluster::start(2);
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut options = ClientOptions { time_out: Duration::from_millis(700), ..cluster.options("anna") };
    options.addresses.push(closed);
    let client = Client::<Ledger>::connect(options).unwrap();
    let error = client.execute(&1).await.unwrap_err();
    assert!(matches!(error, ClientError::NoMaster { .. }), "{error}");
    for address in [cluster.address(1), closed] {
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    assert!(matches!(client.read(&0).await, Err(ClientError::NoMaster { .. })));
    cluster.promote(2);
    assert_eq!(client.execute(&2).await.unwrap(), Ok(1), "the first command was not sent later");
}

#[tokio::test]
async fn reads_and_watches_outlive_a_master() {
    let cluster = FakeCluster::start(3);
    cluster.promote(1);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    let mut watch = client.watch(&0).unwrap();
    let first = watch.next().await.unwrap();
    assert_eq!(first.answer, [0_u64; 0]);
    client.execute(&1).await.unwrap().unwrap();
    let second = watch.next().await.unwrap();
    assert_eq!(second.answer, [1]);
    assert!(second.index > first.index);
    cluster.kill(1);
    cluster.promote(3);
    let third = watch.next().await.unwrap();
    assert_eq!((third.answer, third.index), (vec![1], second.index));
    assert!(third.epoch > second.epoch, "the new master's word counts more");
    client.execute(&2).await.unwrap().unwrap();
    assert_eq!(watch.next().await.unwrap().answer, [1, 2]);
    assert_eq!(client.read(&0).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn members_are_learned_and_kept_for_the_next_run() {
    let cluster = FakeCluster::start(3);
    cluster.promote(2);
    let members_file = Some(cluster.folder().join("members"));
    let options = ClientOptions { members_file, ..cluster.options("anna") };
    let client = Client::<Ledger>::connect(options.clone()).unwrap();
    client.execute(&1).await.unwrap().unwrap();
    client.close().await;
    cluster.kill(1);
    // The one configured voter is gone; the file knows the others.
    let client = Client::<Ledger>::connect(options).unwrap();
    assert_eq!(client.execute(&2).await.unwrap(), Ok(2));
    let connected = client.status().await.into_iter().filter_map(|(_, status)| status);
    assert!(connected.into_iter().any(|status| status.voter == MemberId(2) && status.role == "master"));
    assert!(client.standing().voters.values().any(|reached| matches!(reached, Reached::Connected { .. })));
}

#[tokio::test]
async fn a_voter_whose_loop_is_stuck_is_the_only_one_that_does_not_answer() {
    let cluster = FakeCluster::start(3);
    // The first that is asked: those after it used to have no time left.
    let mut ids = [1, 2, 3];
    ids.sort_by_key(|&id| cluster.address(id));
    let [stuck, other, master] = ids;
    cluster.promote(master);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    client.wait_for_master().await.unwrap();
    assert!(client.cluster_status().await.is_well());
    cluster.be_stuck(stuck);
    let status = client.cluster_status().await;
    let report = |id| status.voters.iter().find(|voter| voter.id == Some(MemberId(id))).unwrap();
    assert!(matches!(report(stuck).condition, VoterCondition::Silent { .. }), "{status:#?}");
    for id in [other, master] {
        assert_eq!(report(id).condition, VoterCondition::Votes, "{status:#?}");
    }
    assert_eq!((status.troubles.len(), status.is_well()), (1, false), "{status:#?}");
    assert_eq!(client.status().await.iter().filter(|(_, status)| status.is_none()).count(), 1);
}

#[tokio::test]
async fn a_certificate_of_another_cluster_reaches_nobody() {
    let (cluster, other) = (FakeCluster::start(1), FakeCluster::start(1));
    cluster.promote(1);
    let stranger = ClientOptions {
        addresses: vec![cluster.address(1)],
        time_out: Duration::from_millis(500),
        ..other.options("eve")
    };
    let client = Client::<Ledger>::connect(stranger).unwrap();
    let error = client.execute(&1).await.unwrap_err();
    assert!(matches!(error, ClientError::NoMaster { .. }), "{error}");
    assert!(cluster.numbers().is_empty());
}
