//! Voters among others whose disks have lost something: they start.

use journal::{Finding, Journal, Meta};
use position::{ChainHash, ClusterId, Epoch, Incarnation, Index, Member, MemberId, Position, Standing, Tip};
use quorum::{MemberInfo, Membership, Time};
use storage::SimDisk;

use crate::Founding;
use crate::replica::tests::upkeep::Count;
use crate::replica::{Now, OpenError, Options, Replica};

const CLUSTER: ClusterId = ClusterId(5);

fn now() -> Now {
    Now { time: Time::default(), wall_time: 0 }
}

fn member(id: u16) -> Member {
    Member { id: MemberId(id), incarnation: Incarnation(u128::from(id)) }
}

/// One of three.
fn voter() -> SimDisk {
    let machine = SimDisk::new(1);
    let info = |id| MemberInfo::founder(member(id), &format!("pc{id}"), "", 0);
    let membership = Membership::founding((1..=3).map(info).collect()).unwrap();
    Founding { cluster: CLUSTER, membership }.write::<Count>(&machine.disk(), member(1)).unwrap();
    machine
}

fn open(machine: &SimDisk) -> Result<Replica<Count>, OpenError> {
    Replica::open(now(), machine.disk(), &Options::new(7))
}

#[test]
fn a_voter_whose_journal_is_gone_is_in_doubt_of_all_of_it() {
    let machine = voter();
    for file in machine.disk().list("journal").unwrap() {
        machine.disk().remove(&format!("journal/{}", file.name)).unwrap();
    }
    for start in 0..2 {
        let replica = open(&machine).unwrap();
        assert!(matches!(replica.view().standing, Standing::Unsettled(_)), "{:?}", replica.view());
        assert_eq!((replica.last(), replica.membership().voter_count()), (Tip::NONE, 0));
        let in_doubt = |it: &Finding| matches!(it, Finding::InDoubt { from: Index(1), place: None, .. });
        assert!(replica.health().iter().any(in_doubt), "start {start}: {:?}", replica.health());
    }
}

#[test]
fn a_voter_whose_newest_segment_is_gone_is_in_doubt_from_there_on() {
    let machine = voter();
    drop(open(&machine).unwrap());
    let name = format!("journal/{}", machine.disk().list("journal").unwrap()[0].name);
    let bytes = machine.bytes_of(&name).unwrap();
    machine.disk().remove(&name).unwrap();
    // What is there instead comes from elsewhere.
    let stray = name.replace("-00000001", "-00000000");
    machine.disk().replace(&stray, &bytes).unwrap();
    let replica = open(&machine).unwrap();
    assert!(matches!(replica.view().standing, Standing::Unsettled(_)));
    assert_eq!(machine.bytes_of(&stray), Some(bytes), "nothing is removed while something is in doubt");
}

/// All snapshots are gone, and the journal begins behind them.
#[test]
fn a_voter_without_a_state_starts_and_says_so() {
    let machine = SimDisk::new(1);
    let position = Position::new(Epoch(0), Index(100));
    let base = Tip { position, hash: ChainHash([3; 32]) };
    drop(Journal::create(machine.disk(), crate::journal_tag::<Count>(CLUSTER), base).unwrap());
    Meta::founded(CLUSTER, member(1)).write(&machine.disk()).unwrap();
    let replica = open(&machine).unwrap();
    assert!(replica.engine().is_none());
    assert_eq!(replica.view().standing, Standing::Settled);
    assert_eq!(replica.last(), base);
    assert!(matches!(replica.health(), [Finding::NoState { .. }]), "{:?}", replica.health());
    drop(replica);

    let sole = Options { sole: true, salvage: true, ..Options::new(8) };
    let refused = Replica::<Count>::open(now(), machine.disk(), &sole).unwrap_err();
    assert!(matches!(refused, OpenError::OnlyCopyWithoutState { .. }), "{refused}");
}

#[test]
fn a_ballot_that_is_older_than_its_journal_is_a_lost_promise() {
    let machine = SimDisk::new(1);
    let position = Position::new(Epoch(4), Index(100));
    let base = Tip { position, hash: ChainHash([3; 32]) };
    drop(Journal::create(machine.disk(), crate::journal_tag::<Count>(CLUSTER), base).unwrap());
    Meta::founded(CLUSTER, member(1)).write(&machine.disk()).unwrap();
    let replica = open(&machine).unwrap();
    assert!(matches!(replica.view().standing, Standing::Amnesiac(_)));
    assert!(replica.health().iter().any(Finding::is_fatal_to_the_vote));
}

/// As it was laid out before lists had numbers: how many, then of each id, incarnation, name, address, rank and kind.
#[test]
fn the_list_of_the_first_layout_is_read_as_the_founding_one() {
    let bytes = b"\x02\x01\xac\x02\x03pc1\x03a:1\x09\x00\x02\xac\x02\x03pc2\x03a:1\x09\x00";
    let membership = crate::decode_members(bytes).unwrap();
    assert_eq!(membership.voter_count(), 2);
    for length in 0..bytes.len() {
        assert!(crate::decode_members(&bytes[..length]).is_none(), "{length} bytes");
    }
    assert!(crate::decode_members(&[&bytes[..], b"\0"].concat()).is_none());
}
