//! Fleets as the pictures in the documentation show them. Tests look at the same.

mod story;

use std::sync::Arc;

use crate::model::{
    Access, ActionState, ActionView, Charts, ClusterView, Condition, Failover, HistoryView, Link, LogLine,
    NodeView, Origin, Past, View, VoterView,
};
use crate::request::Ticket;
use story::{NOW, Story, before, names, set_reported};

/// The command after which [`past_moment`] shows the fleet.
pub const PAST: u64 = 40;

const ALL: [u16; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/// How warm the PCs are.
const TEMPERATURES: [&str; 9] = ["41.5", "40.8", "42.1", "41.0", "43.6", "40.2", "41.9", "42.4", "40.6"];

/// From the first command to the evening's scene: everything is dim. As many PCs as are switched on have come.
fn morning(switched_on: usize) -> Story {
    let mut story = Story::begin(1900);
    for (number, temperature) in (1u16..).zip(TEMPERATURES).take(switched_on) {
        let seconds = 1900 - i64::from(number) * 7;
        story.comes(seconds, number);
        story.reports(seconds - 2, number, temperature);
    }
    story.save(1500, "Evening");
    story
}

/// And on to now: everything is bright.
fn day(switched_on: usize) -> Story {
    let mut story = morning(switched_on);
    story.set(212, &ALL, "all", "brightness", "80");
    story.fleet.scenes[0].differing = 9;
    for (number, temperature) in (1u16..).zip(TEMPERATURES).take(switched_on) {
        story.reports(211 - i64::from(number) / 4, number, temperature);
    }
    let reason = "rejected: row:4 selects no node of the fleet. Nothing was changed; list the nodes to see where \
                  they stand and what their labels are";
    story.tell(164, ("operator", Origin::Operator), "set row:4 brightness=80", Err(reason));
    story.reports(131, 3, "42.6");
    story.save(96, "Day");
    story.reports(73, 8, "42.9");
    story
}

/// What happened in each of the last seconds. Nothing in a story is measured: answers come in about a
/// millisecond, and a voter is behind while there is something to be written.
fn charts(lines: &[Arc<LogLine>]) -> Charts {
    let in_second = |age: u16| lines.iter().filter(|line| line.at.age(NOW).seconds == i64::from(age)).count();
    let counts: Vec<f64> = (0..Charts::SECONDS)
        .rev()
        .map(|age| f64::from(u32::try_from(in_second(age)).unwrap_or(u32::MAX)))
        .collect();
    let mut dice: u32 = 1;
    let mut answer = |count: &f64| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(0.7 + f64::from(dice >> 24) / 1000.0 + count * 0.15)
    };
    Charts {
        latency_ms: counts.iter().map(&mut answer).collect(),
        lag: counts.iter().map(|count| (count / 3.0).round()).collect(),
        commands: counts,
    }
}

fn voter(name: &str, role: &str) -> VoterView {
    VoterView {
        name: name.into(),
        role: role.into(),
        lag: Some(0),
        last_seen: Some(before(0)),
        is_connected: true,
        disk_trouble: None,
        findings: Vec::new(),
    }
}

/// A live picture of a story's end.
fn view(story: &Story) -> View {
    let set = "set all brightness=80".to_owned();
    View {
        now: NOW,
        utc_offset_s: 0,
        access: Access { name: "operator".into(), may_change: true },
        link: Link::Live,
        fleet: story.fleet.clone(),
        cluster: ClusterView {
            master: Some("pc1".into()),
            epoch: 3,
            voters: vec![voter("pc1", "master"), voter("pc2", "standby"), voter("pc3", "standby")],
            failovers: Vec::new(),
        },
        actions: vec![
            action(
                901,
                212,
                &set,
                &ALL,
                ActionState::Applied { effect: format!("changed 9 nodes: {}", names(ALL).join(" ")) },
            ),
            action(
                902,
                96,
                "save scene Day of all",
                &ALL,
                ActionState::Applied { effect: "done: a scene of 9 nodes".into() },
            ),
        ],
        undo: Some("save scene Day of all".into()),
        redo: None,
        history: HistoryView { lines: story.lines.clone(), begins: "since 13:33:30".into() },
        past: None,
        past_problem: None,
        preview: None,
        charts: charts(&story.lines),
    }
}

fn action(ticket: u64, seconds: i64, what: &str, numbers: &[u16], state: ActionState) -> ActionView {
    let nodes = names(numbers.iter().copied());
    ActionView { ticket: Ticket(ticket), what: what.into(), nodes, at: before(seconds), state }
}

/// Nine PCs, all as desired.
#[must_use]
pub fn healthy() -> View {
    view(&day(9))
}

/// Each condition once, and one action on its way.
#[must_use]
pub fn drift() -> View {
    let mut story = day(8);
    story.on(2, |node| set_reported(node, "brightness", "55"));
    story.says(58, 2, Condition::Drifted, None);
    story.goes(47, 6, "voter 1");
    story.says(22, 4, Condition::Failed, Some("lamp 2 does not answer"));
    story.set(6, &[7], "pc7", "input", "hdmi2");
    let mut view = view(&story);
    view.undo = Some("set pc7 input=hdmi2".into());
    let effect = "changed 1 node: pc7".to_owned();
    view.actions.push(action(903, 6, "set pc7 input=hdmi2", &[7], ActionState::Applied { effect }));
    view.actions.push(action(904, 0, "set pc8 input=hdmi2", &[8], ActionState::Pending));
    view
}

/// The master has just died, and an action waits for the next one.
#[must_use]
pub fn master_lost() -> View {
    let mut view = healthy();
    view.link = Link::Lost { since: before(4) };
    let lost = &mut view.cluster.voters[0];
    (lost.is_connected, lost.last_seen, lost.lag) = (false, Some(before(4)), None);
    for voter in &mut view.cluster.voters[1..] {
        voter.role = "candidate".into();
    }
    let answers = view.charts.latency_ms.len();
    view.charts.latency_ms[answers - 4..].fill(None);
    view.actions.push(action(903, 3, "set row:1 brightness=40", &[1, 2, 3], ActionState::Pending));
    view
}

/// The next master has taken over; the old one's PC is still away.
#[must_use]
pub fn restored() -> View {
    let mut story = day(9);
    story.set(5, &[1, 2, 3], "row:1", "brightness", "40");
    story.reports(4, 2, TEMPERATURES[1]);
    story.reports(4, 3, "42.6");
    story.goes(3, 1, "voter 2");
    let mut view = view(&story);
    view.cluster.master = Some("pc2".into());
    view.cluster.epoch = 4;
    view.cluster.voters = vec![voter("pc1", ""), voter("pc2", "master"), voter("pc3", "standby")];
    let lost = &mut view.cluster.voters[0];
    (lost.is_connected, lost.last_seen, lost.lag) = (false, Some(before(6)), None);
    view.cluster.failovers = vec![Failover {
        at: before(5),
        epoch: 4,
        from: Some("pc1".into()),
        to: "pc2".into(),
        took_ms: Some(141),
    }];
    let effect = "changed 3 nodes: pc1 pc2 pc3".to_owned();
    let what = "set row:1 brightness=40";
    view.actions.push(action(903, 5, what, &[1, 2, 3], ActionState::Applied { effect }));
    view.undo = Some(what.into());
    view
}

/// The fleet before it was made brighter, as [`Past`] of a healthy one.
#[must_use]
pub fn past_moment() -> View {
    let mut view = healthy();
    let then = morning(9);
    let last = then.lines.last().expect("something has happened");
    assert_eq!(last.index, PAST, "what the pictures look back to");
    view.past = Some(Past { index: PAST, at: last.at, fleet: then.fleet });
    view
}

/// Sixteen rows of sixteen.
#[must_use]
pub fn large() -> View {
    wall(16)
}

/// A square of PCs of which each seventh is in some other condition.
#[must_use]
pub fn wall(side: u16) -> View {
    let mut view = drift();
    view.fleet.nodes = (0..side * side)
        .map(|at| {
            let like = view.fleet.nodes[usize::from(if at % 7 == 0 { at % 9 } else { 0 })].clone();
            NodeView { name: format!("pc{}", at + 1), row: at / side + 1, column: at % side + 1, ..like }
        })
        .collect();
    view.fleet.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    view
}
