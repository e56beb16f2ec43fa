//! A live copy of the state, over snapshots and changes of master.

use std::time::Duration;

use crate::fake_cluster::{FakeCluster, Ledger};
use shipper::{Client, Condition, Holder, Name, Observer, ObserverError, ObserverOptions};

struct Setting {
    cluster: FakeCluster,
    client: Client<Ledger>,
}

impl Setting {
    /// A cluster whose ledger has these many numbers.
    async fn with(numbers: u64) -> Setting {
        let cluster = FakeCluster::start(2);
        cluster.promote(1);
        let client = Client::<Ledger>::connect(cluster.options("anna")).unwrap();
        let setting = Setting { cluster, client };
        setting.add(0..numbers).await;
        setting
    }

    async fn add(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.client.execute(&number).await.unwrap().unwrap();
        }
    }

    fn viewer(&self) -> ObserverOptions {
        let viewer = self.cluster.options_of(Holder::Viewer(Name::new("wall").unwrap()));
        let folder = self.cluster.folder().join("copy");
        ObserverOptions { addresses: viewer.addresses, identity: viewer.identity, folder }
    }
}

/// Waits until the copy has so many numbers, and checks them.
async fn check(observer: &Observer<Ledger>, numbers: u64) {
    let mut progress = observer.progress();
    let is_there = |_: &_| observer.read(|ledger| ledger.numbers.len() as u64 >= numbers);
    progress.wait_for(is_there).await.unwrap();
    observer.read(|ledger| assert_eq!(ledger.numbers, (0..numbers).collect::<Vec<_>>()));
}

#[tokio::test]
async fn a_copy_follows_what_is_committed() {
    let setting = Setting::with(20).await;
    let observer = Observer::<Ledger>::start(setting.viewer()).await.unwrap();
    check(&observer, 20).await;
    setting.add(20..25).await;
    check(&observer, 25).await;
}

/// A master bears no silence from its clients. Nothing is waited for here: so long nothing must happen.
#[tokio::test]
async fn a_copy_of_what_does_not_change_is_not_hung_up_on() {
    let setting = Setting::with(5).await;
    let observer = Observer::<Ledger>::start(setting.viewer()).await.unwrap();
    check(&observer, 5).await;
    let mut progress = observer.progress();
    let searches = progress.wait_for(|progress| matches!(progress.condition, Condition::Searching));
    let searched = tokio::time::timeout(Duration::from_secs(3), searches).await;
    assert!(searched.is_err(), "it lost the master");
}

#[tokio::test]
async fn a_copy_follows_the_next_master() {
    let setting = Setting::with(5).await;
    let observer = Observer::<Ledger>::start(setting.viewer()).await.unwrap();
    check(&observer, 5).await;
    setting.cluster.kill(1);
    setting.cluster.promote(2);
    setting.add(5..10).await;
    check(&observer, 10).await;
}

#[tokio::test]
async fn a_copy_starts_from_a_snapshot_and_keeps_it() {
    let setting = Setting::with(2000).await;
    setting.cluster.compact();
    setting.add(2000..2003).await;
    let options = setting.viewer();
    let observer = Observer::<Ledger>::start(options.clone()).await.unwrap();
    check(&observer, 2003).await;
    assert!(
        matches!(Observer::<Ledger>::start(options.clone()).await, Err(ObserverError::Disk(_))),
        "one at a time"
    );
    drop(observer);

    setting.cluster.kill(1);
    // Nobody is left to ask, but the snapshot is there. The folder is free once the last task has ended.
    let observer = loop {
        match Observer::<Ledger>::start(options.clone()).await {
            Ok(observer) => break observer,
            Err(ObserverError::Disk(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    observer.read(|ledger| assert_eq!(ledger.numbers.len(), 2000));
    assert_eq!(observer.progress().borrow().condition, Condition::Searching);
    setting.cluster.promote(2);
    check(&observer, 2003).await;
}

#[tokio::test]
async fn a_copy_that_is_left_behind_takes_a_snapshot() {
    let setting = Setting::with(3).await;
    let observer = Observer::<Ledger>::start(setting.viewer()).await.unwrap();
    check(&observer, 3).await;
    setting.cluster.kill(1);
    setting.cluster.promote(2);
    setting.add(3..6).await;
    setting.cluster.compact();
    setting.add(6..8).await;
    check(&observer, 8).await;
}

#[tokio::test]
async fn a_copy_stops_at_what_it_does_not_know_and_keeps_its_picture() {
    let setting = Setting::with(4).await;
    let observer = Observer::<Ledger>::start(setting.viewer()).await.unwrap();
    check(&observer, 4).await;
    setting.cluster.journal_from_the_future();
    let mut progress = observer.progress();
    let stopped = progress.wait_for(|progress| matches!(progress.condition, Condition::Stopped { .. })).await;
    let Condition::Stopped { reason } = stopped.unwrap().condition.clone() else {
        unreachable!("waited for")
    };
    assert!(reason.contains("install"), "{reason}");
    observer.read(|ledger| assert_eq!(ledger.numbers.len(), 4));
}

#[tokio::test]
async fn a_node_may_not_follow() {
    let setting = Setting::with(1).await;
    let node = setting.cluster.options_of(Holder::Node(Name::new("pc7").unwrap()));
    let folder = setting.cluster.folder().join("copy");
    let options = ObserverOptions { addresses: node.addresses, identity: node.identity, folder };
    let observer = Observer::<Ledger>::start(options).await.unwrap();
    let mut progress = observer.progress();
    let stopped = progress.wait_for(|progress| matches!(progress.condition, Condition::Stopped { .. })).await;
    drop(stopped.unwrap());
    observer.read(|ledger| assert!(ledger.numbers.is_empty()));
}
