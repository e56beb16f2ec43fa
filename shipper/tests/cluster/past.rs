//! The state and the log at moments of the past.

use position::Index;
use prevalent::Reply;
use shipper::{Client, Holder, Name, NextLine, Observer, ObserverOptions, Past, PastAt, PastError};

use crate::fake_cluster::{FakeCluster, Ledger, UNLUCKY};

/// A cluster with two snapshots in its history, whose entry `n + 2` brought the number `n`: the first entry
/// opened the session.
async fn cluster() -> (FakeCluster, Client<Ledger>) {
    let cluster = FakeCluster::start(2);
    cluster.promote(1);
    let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
    for number in 0..30 {
        client.execute(&number).await.unwrap().unwrap();
        if number == 9 || number == 19 {
            cluster.snapshot();
        }
    }
    client.execute(&UNLUCKY).await.unwrap().unwrap_err();
    (cluster, client)
}

#[track_caller]
fn check(past: &Past<Ledger>, numbers: u64) {
    assert_eq!(past.state.numbers, (0..numbers).collect::<Vec<_>>());
    assert_eq!(past.index, Index(numbers + 1));
    assert_eq!(past.wall_time, i64::try_from(numbers + 1).unwrap());
    assert_eq!(past.first, Index(0));
}

#[tokio::test]
async fn every_moment_of_the_history_can_be_seen() {
    let (_cluster, client) = cluster().await;
    for numbers in [0, 1, 9, 10, 11, 15, 20, 21, 30] {
        check(&client.past(PastAt::Index(Index(numbers + 1)), 100).await.unwrap(), numbers);
    }
    check(&client.past(PastAt::Time(16), 100).await.unwrap(), 15);
    let now = client.past(PastAt::Index(Index(u64::MAX)), 100).await.unwrap();
    assert_eq!((now.index, now.state.numbers.len()), (Index(32), 30), "a later moment is now");
}

#[tokio::test]
async fn the_log_says_who_did_what_and_what_came_of_it() {
    let (_cluster, client) = cluster().await;
    let past = client.past(PastAt::Index(Index(u64::MAX)), 100).await.unwrap();
    assert_eq!((past.lines_from, past.lines.len()), (Index(0), 31));
    let last = past.lines.last().unwrap();
    assert_eq!((last.index, last.command), (Index(32), UNLUCKY));
    assert!(matches!(&last.reply, Reply::Rejection(why) if why == "an unlucky number"));
    assert_eq!(last.actor.as_ref().unwrap().name, "anna");
    let before = client.past(PastAt::Index(Index(21)), 3).await.unwrap();
    assert_eq!(before.lines.iter().map(|line| line.command).collect::<Vec<_>>(), [17, 18, 19]);
    assert_eq!(before.lines_from, Index(18), "what is not among them comes from there");
}

#[tokio::test]
async fn what_is_not_kept_is_refused() {
    let (cluster, client) = cluster().await;
    cluster.compact();
    let error = client.past(PastAt::Index(Index(5)), 1).await.unwrap_err();
    assert!(matches!(&error, PastError::Refused { reason } if reason.contains("begins at 32")), "{error}");
    let node = Holder::Node(Name::new("pc7").unwrap());
    let node = Client::<Ledger>::connect(cluster.options_of(node)).unwrap();
    let error = node.past(PastAt::Index(Index(32)), 1).await.unwrap_err();
    assert!(matches!(&error, PastError::Refused { reason } if reason.contains("whole state")), "{error}");
}

#[tokio::test]
async fn an_observer_hears_what_is_executed() {
    let (cluster, client) = cluster().await;
    let viewer = cluster.options_of(Holder::Viewer(Name::new("wall").unwrap()));
    let folder = cluster.folder().join("copy");
    let options = ObserverOptions { addresses: viewer.addresses, identity: viewer.identity, folder };
    let observer = Observer::<Ledger>::start(options).await.unwrap();
    let mut progress = observer.progress();
    progress.wait_for(|progress| progress.applied.index() == Index(32)).await.unwrap();
    let mut lines = observer.lines();
    client.execute(&30).await.unwrap().unwrap();
    let Some(NextLine::Line(line)) = lines.next().await else { panic!("no line") };
    assert_eq!((line.index, line.command), (Index(33), 30));
    check(&observer.past(PastAt::Index(Index(16)), 1).await.unwrap(), 15);
}
