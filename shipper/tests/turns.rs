//! What a watchdog sees of a voter: turns of its loop, as long as the loop lives.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use journal::Schema;
use position::{ClusterId, Incarnation, Member, MemberId};
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{Founding, Moment, Prevalent};
use quorum::{MemberInfo, Membership};
use shipper::{
    Authority, Client, ClientOptions, Gate, Holder, Name, Running, Serial, Turns, VoterOptions, run_voter,
};
use storage::Disk;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Only a hung program takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Several turns of an idle loop.
const SOME_TURNS: Duration = Duration::from_millis(2500);

/// Where `execute` is: whether a command has come, and whether it may go on.
static HELD: (Mutex<(bool, bool)>, Condvar) = (Mutex::new((false, false)), Condvar::new());

#[derive(Default, Archive, Serialize, Deserialize)]
#[rkyv(crate = prevalent::rkyv)]
struct Holding;

impl Prevalent for Holding {
    type Command = ();
    type Outcome = ();
    type Rejection = ();
    type Query = ();
    type Answer = ();
    const NAME: &'static str = "holding";
    const SCHEMA: Schema = Schema(1);

    fn execute(&mut self, (): (), _: &Moment<'_>) -> Result<(), ()> {
        let mut held = HELD.0.lock().unwrap();
        held.0 = true;
        HELD.1.notify_all();
        drop(HELD.1.wait_while(held, |(_, go_on)| !*go_on).unwrap());
        Ok(())
    }

    fn answer(&self, (): &()) {}
}

/// A cluster of one.
fn found(folder: &Path) -> VoterOptions {
    let address: SocketAddr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (cluster, member) = (ClusterId(7), Member { id: MemberId(1), incarnation: Incarnation(9) });
    let authority = Authority::create(cluster).unwrap();
    authority.issue(Holder::Voter(member.id), Serial::FIRST, &folder.join("voter")).unwrap();
    authority
        .issue(Holder::Operator(Name::new("operator").unwrap()), Serial::FIRST, &folder.join("operator"))
        .unwrap();
    let info = MemberInfo::founder(member, "pc1", &address.to_string(), 1);
    let data = folder.join("data");
    let disk: Disk = Disk::open(&data).unwrap();
    let membership = Membership::founding(vec![info]).unwrap();
    Founding { cluster, membership }.write::<Holding>(&disk, member).unwrap();
    VoterOptions {
        name: "pc1".to_owned(),
        reached_at: Some(address),
        listen: address,
        data,
        certificates: folder.join("voter"),
        voters: vec![address],
        founding: quorum::FoundingRule::All,
        history_bytes_max: 0,
    }
}

async fn wait_for_more(turns: &Turns) {
    let before = turns.count();
    let more = async {
        while turns.count() < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, more).await.expect("the loop does not turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_turns_while_it_is_idle_and_not_while_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let options = found(folder.path());
    let address = options.listen;
    let (started, when_started) = oneshot::channel::<Running>();
    let stop = CancellationToken::new();
    let gate = Gate::new::<Holding>(|_, ()| Ok(()), |_, ()| Ok(()));
    let running = |running| assert!(started.send(running).is_ok());
    let voter = tokio::spawn(run_voter::<Holding>(options, gate, stop.clone(), running));
    let turns = when_started.await.unwrap().turns;
    wait_for_more(&turns).await;

    let client = Client::<Holding>::connect(ClientOptions {
        addresses: vec![address],
        identity: folder.path().join("operator"),
        members_file: None,
        time_out: PATIENCE,
    })
    .unwrap();
    let asking = client.clone();
    let executed = tokio::spawn(async move { asking.execute(&()).await });
    let held = tokio::task::spawn_blocking(|| {
        drop(HELD.1.wait_while(HELD.0.lock().unwrap(), |(came, _)| !*came).unwrap());
    });
    tokio::time::timeout(PATIENCE, held).await.unwrap().unwrap();
    let hung_at = turns.count();
    tokio::time::sleep(SOME_TURNS).await;
    assert_eq!(turns.count(), hung_at, "a loop that hangs counts turns");

    HELD.0.lock().unwrap().1 = true;
    HELD.1.notify_all();
    executed.await.unwrap().unwrap().unwrap();
    wait_for_more(&turns).await;
    client.close().await;
    stop.cancel();
    voter.await.unwrap().unwrap();
}
