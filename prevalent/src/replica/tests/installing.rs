//! A standby that fell behind the master's journal: it is sent a snapshot.

use std::time::Duration;

use storage::SimDisk;

use super::trio::Trio;

const RECEIVE: &str = "write pieces of a snapshot";
const INSTALL: &str = "install a snapshot";
const LET_GO: &str = "let go of what was replaced";

/// More than a simulation ever writes.
const ROOM_BYTES: u64 = 1 << 40;

/// A cluster of which one standby was cut off for so long that the journal no longer reaches back to where it is.
fn left_behind() -> (Vec<SimDisk>, Trio, usize) {
    let machines: Vec<SimDisk> = (1..=3).map(SimDisk::new).collect();
    let mut trio = Trio::found([machines[0].disk(), machines[1].disk(), machines[2].disk()], 20);
    (0..30).for_each(|_| trio.execute(10).unwrap());
    let standby = (trio.master() + 1) % 3;
    trio.run(Duration::from_millis(200));
    trio.voters[standby].is_cut_off = true;
    (0..150).for_each(|_| trio.execute(3_000).unwrap());
    trio.run(Duration::from_millis(200));
    let master = &trio.voters[trio.master()].replica;
    assert!(master.journal().base().index() > trio.voters[standby].replica.last().index());
    trio.voters[standby].jobs_done.clear();
    (machines, trio, standby)
}

fn is_level(trio: &Trio, node: usize) -> bool {
    trio.voters[node].replica.applied() == trio.voters[trio.master()].replica.applied()
}

/// Neither the pieces nor the state that they replace are dealt with on the loop.
#[test]
fn jobs_write_the_pieces_install_them_and_let_go_of_the_old_state() {
    let (_machines, mut trio, standby) = left_behind();
    trio.voters[standby].is_cut_off = false;
    trio.run_until("the standby is level", |trio| is_level(trio, standby));
    let done = &trio.voters[standby].jobs_done;
    for name in [RECEIVE, INSTALL, LET_GO] {
        assert!(done.contains(&name), "{name}: {done:?}");
    }
    assert_eq!(trio.state_of(standby), 180);
    trio.execute(10).unwrap();
    trio.run(Duration::from_millis(100));
    assert_eq!(trio.state_of(standby), 181);
}

/// Whatever the disk does not take comes again.
#[test]
fn a_snapshot_that_a_full_disk_refuses_is_sent_again() {
    let (machines, mut trio, standby) = left_behind();
    machines[standby].fill_up(0);
    trio.voters[standby].is_cut_off = false;
    trio.run_until("a piece is refused", |trio| trio.voters[standby].jobs_done.contains(&RECEIVE));
    trio.run(Duration::from_secs(2));
    assert!(!trio.voters[standby].jobs_done.contains(&INSTALL));
    assert_eq!(trio.state_of(standby), 30, "it goes on with what it has");
    machines[standby].fill_up(ROOM_BYTES);
    trio.run_until("the standby is level", |trio| is_level(trio, standby));
    assert_eq!(trio.state_of(standby), 180);
}
