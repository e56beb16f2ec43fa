use position::Index;
use quorum::{Purpose, Suffrage, Word};

use super::*;
use crate::conversation::{MemberAddress, MemberStatus, NewcomerStatus, StandbyStatus};

fn address(id: u16) -> SocketAddr {
    ([10, 0, 0, u8::try_from(id).unwrap()], 7400).into()
}

fn view(master: Option<u16>) -> ClusterView {
    let member = |id| MemberAddress {
        id: MemberId(id),
        name: format!("pc{id}"),
        address: address(id),
        is_voter: true,
    };
    ClusterView { epoch: Epoch(4), master: master.map(MemberId), members: (1..=3).map(member).collect() }
}

fn says(id: u16, role: &str, master: Option<u16>) -> (SocketAddr, Asked) {
    let standbys = match role {
        "master" => (1..=3)
            .filter(|&other| other != id)
            .map(|other| StandbyStatus { voter: MemberId(other), present: true, durable: Index(90) })
            .collect(),
        _ => Vec::new(),
    };
    let status = VoterStatus {
        voter: MemberId(id),
        version: "0.1.0".into(),
        role: role.into(),
        view: view(master),
        last: Index(100),
        durable: Index(100),
        commit: Index(100),
        applied: Index(if role == "master" { 100 } else { 97 }),
        outcome_hash: "ab".into(),
        standbys,
        disk_waits_ms: None,
        findings: Vec::new(),
    };
    (address(id), Asked::Answered(Box::new(status)))
}

fn without(mut master: (SocketAddr, Asked), gone: u16) -> (SocketAddr, Asked) {
    if let (_, Asked::Answered(status)) = &mut master {
        for standby in &mut status.standbys {
            standby.present &= standby.voter != MemberId(gone);
        }
    }
    master
}

fn unreachable(id: u16) -> (SocketAddr, Asked) {
    (address(id), Asked::Unreachable { reason: "timed out".into() })
}

/// What is said to be wrong, and what helps.
fn check(asked: Vec<(SocketAddr, Asked)>, expected: &[(&str, &str)]) -> ClusterStatus {
    let status = ClusterStatus::conclude(&view(None), None, asked);
    assert_eq!(status.troubles.len(), expected.len(), "{:#?}", status.troubles);
    for (trouble, (what, remedy)) in status.troubles.iter().zip(expected) {
        assert!(trouble.what.contains(what) && trouble.remedy.contains(remedy), "{trouble:#?}");
    }
    assert_eq!(status.is_well(), expected.is_empty());
    status
}

#[test]
fn when_all_vote_nothing_is_wrong() {
    let status = check(
        vec![says(1, "standby", Some(2)), says(2, "master", Some(2)), says(3, "standby", Some(2))],
        &[],
    );
    assert_eq!(status.master.as_deref(), Some("pc2"));
    assert_eq!((status.voting, status.majority, status.listed), (3, 2, 3));
    assert_eq!(status.voters[0].behind, Some(3));
    assert_eq!(status.lines()[0], "master pc2 in epoch 4; 3 of 3 voters vote, 2 have to");
    assert_eq!(status.lines().len(), 4);
}

#[test]
fn only_who_was_not_heard_is_called_so() {
    let master = || without(says(2, "master", Some(2)), 3);
    let status = check(
        vec![says(1, "standby", Some(2)), master(), unreachable(3)],
        &[("pc3 is not heard (timed out)", "fleetctl cluster replace pc3 --with NEW")],
    );
    assert!(status.lines()[3].ends_with("not heard"), "{:?}", status.lines());

    let status = check(
        vec![says(1, "standby", Some(2)), says(2, "master", Some(2)), unreachable(3)],
        &[("pc3 is not reachable from here (timed out); the master hears it", "between this PC and pc3")],
    );
    assert!(status.lines()[3].ends_with("not heard, but by the master"), "{:?}", status.lines());

    check(
        vec![says(1, "standby", Some(2)), master(), says(3, "candidate", None)],
        &[("pc3 answers here, and the master does not hear it", "between pc3 and the master")],
    );
}

#[test]
fn who_answers_and_does_not_vote_is_told_why() {
    let check = |role: &str, why: &str, remedy: &str| {
        let what = format!("pc3 answers, but does not vote: {why}");
        let asked = vec![says(1, "standby", Some(2)), says(2, "master", Some(2)), says(3, role, Some(2))];
        let status = check(asked, &[(&what, remedy)]);
        assert_eq!(status.voting, 2);
    };
    check("standby, unsettled", "its journal has lost", "wait: a master");
    check("candidate, amnesiac", "its folder is an older copy", "fleetctl cluster readmit pc3");
    check("learner", "its folder has no identity", "fleetctl cluster readmit pc3");
}

#[test]
fn one_that_is_stuck_makes_nobody_else_look_so() {
    let stuck = (address(3), Asked::Silent { waited: Duration::from_secs(2) });
    let status = check(
        vec![says(1, "standby", Some(2)), says(2, "master", Some(2)), stuck],
        &[("pc3 is connected and has not answered within 2000 ms", "restart the voter of pc3")],
    );
    assert!(status.lines()[3].ends_with("does not answer"));
    assert_eq!((status.voting, status.master.as_deref()), (2, Some("pc2")));
}

#[test]
fn without_a_master_it_is_said_what_is_missing() {
    check(
        vec![says(1, "standby", Some(2)), unreachable(2), says(3, "standby", Some(2))],
        &[
            ("pc1 follows pc2, which is not reachable from here", "the cluster itself goes on"),
            ("pc2 is not heard", "start it"),
        ],
    );
    check(
        vec![says(1, "candidate", None), unreachable(2), unreachable(3)],
        &[
            ("1 of 3 voters vote here, and 2 have to", "start pc2, pc3"),
            ("pc2", "start it"),
            ("pc3", "start it"),
        ],
    );
    check(
        vec![says(1, "candidate", None), says(2, "standby", None), says(3, "standby", None)],
        &[("though 3 of 3 voters vote", "they elect one")],
    );
    let asked = vec![says(1, "standby", None), says(2, "standby", None), says(3, "standby", None)];
    let fresh = asked.into_iter().map(|(address, asked)| {
        let Asked::Answered(mut status) = asked else { unreachable!() };
        status.last = Index(1);
        (address, Asked::Answered(status))
    });
    check(fresh.collect(), &[("the cluster has not begun", "all voters were started with --standby")]);
    let nobody = ClusterStatus::conclude(&ClusterView::default(), None, vec![unreachable(1)]);
    assert!(nobody.troubles[0].what.contains("nothing is known of the cluster"), "{nobody:?}");
}

#[test]
fn what_a_voter_finds_on_its_disk_is_told() {
    let mut asked =
        vec![says(1, "standby", Some(2)), says(2, "master", Some(2)), says(3, "standby", Some(2))];
    let (_, Asked::Answered(status)) = &mut asked[0] else { unreachable!() };
    status.findings.push("mark: it is damaged".into());
    status.disk_waits_ms = Some(3_500);
    check(
        asked,
        &[
            ("the disk of pc1 has not answered for 3 s", "that disk"),
            ("pc1: mark: it is damaged", "inspect verify"),
        ],
    );
}

fn members(list: &[(u16, Suffrage, Word)]) -> Members {
    let member = |&(id, suffrage, word): &(u16, Suffrage, Word)| MemberStatus {
        id: MemberId(id),
        incarnation: "0a".into(),
        name: format!("pc{id}"),
        address: address(id).to_string(),
        rank: 7,
        is_witness: false,
        suffrage,
        successor: None,
        durable: Index(90),
        word,
    };
    let newcomer = NewcomerStatus { id: MemberId(9), name: "pc9".into(), address: "10.0.0.9:7400".into() };
    Members {
        list: 5,
        committed: true,
        replace_after_s: 600,
        last: Index(100),
        members: list.iter().map(member).collect(),
        newcomers: vec![newcomer],
    }
}

#[test]
fn what_the_master_knows_of_members_counts() {
    let spare = Suffrage::Learner(Purpose::Spare);
    let members = members(&[
        (1, spare, Word::Counts),
        (2, Suffrage::Voter, Word::Counts),
        (3, Suffrage::Voter, Word::Lost),
    ]);
    let mut seen = view(None);
    seen.members[0].is_voter = false;
    let asked = [("learner", 1), ("master", 2), ("standby", 3)].map(|(role, id)| {
        let (address, Asked::Answered(mut status)) = says(id, role, Some(2)) else { unreachable!() };
        status.view.members[0].is_voter = false;
        (address, Asked::Answered(status))
    });
    let status = ClusterStatus::conclude(&seen, Some(&members), asked.to_vec());
    let told: Vec<(&str, MemberStanding)> =
        status.voters.iter().map(|voter| (voter.name.as_str(), voter.standing)).collect();
    let expected = [
        ("pc2", MemberStanding::Voter),
        ("pc3", MemberStanding::Voter),
        ("pc1", MemberStanding::Spare),
        ("pc9", MemberStanding::NotListed),
    ];
    assert_eq!(told, expected);
    assert_eq!((status.listed, status.majority, status.voting, status.list), (2, 2, 1, Some(5)));
    assert_eq!(status.voters[2].condition, VoterCondition::Follows);
    let troubles: Vec<&str> = status.troubles.iter().map(|trouble| trouble.what.as_str()).collect();
    assert_eq!(
        troubles,
        [
            "pc3 answers, but does not vote: the master remembers more of it than its folder has",
            "pc9 follows, but is no member: it waits to be taken in"
        ]
    );
    assert!(status.troubles[1].remedy.contains("fleetctl cluster add pc9"), "{status:#?}");
}
