//! A disk that hangs, under a voter among others.

use std::time::Duration;

use storage::SimDisk;

use super::super::*;
use super::trio::Trio;

/// The others' disks make a majority: commands go on for as long as what is ready takes them. Then they are refused for
/// the moment, and the master leads on.
#[test]
fn a_young_master_whose_disk_hangs_goes_on_with_the_others_for_a_while() {
    let machines: Vec<SimDisk> = (1..=3).map(SimDisk::new).collect();
    let mut trio = Trio::found([machines[0].disk(), machines[1].disk(), machines[2].disk()], u64::MAX);
    trio.run(Duration::from_millis(100));
    let master = trio.master();
    assert!(trio.voters[master].replica.last().index() < Index(5), "its journal is young");
    let epoch = trio.voters[master].replica.view().epoch;
    trio.voters[master].hangs = true;
    let calls = machines[master].calls();

    let mut accepted = 0_u64;
    let refused = loop {
        match trio.execute(3_000) {
            Ok(()) => accepted += 1,
            Err(why) => break why,
        }
    };
    assert_eq!(refused, Refused::Busy);
    // The first segment and three spares, of 64 KiB each, and nothing else can be made.
    assert!((75..85).contains(&accepted), "{accepted} commands of 3 kB");
    trio.run(Duration::from_secs(5));
    assert_eq!(machines[master].calls(), calls, "nothing has touched the disk");
    assert_eq!((trio.master(), trio.voters[master].replica.view().epoch), (master, epoch), "it leads on");
    assert_eq!(trio.execute(3_000), Err(Refused::Busy), "and takes nothing");

    trio.voters[master].hangs = false;
    trio.run(Duration::from_millis(100));
    (0..100).for_each(|_| trio.execute(3_000).unwrap());
    trio.run(Duration::from_millis(100));
    assert!((0..3).all(|node| trio.state_of(node) == accepted + 100));
}
