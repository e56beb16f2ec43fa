//! Fleets as the pictures in the documentation show them. Tests look at the same.

use std::sync::Arc;

use crate::model::{
    Access, ActionState, ActionView, Charts, ClusterView, Condition, Failover, FleetView, HistoryView, Link,
    LogLine, NodeView, Origin, Past, Presence, PropertyView, ReportView, SceneView, View, VoterView,
};
use crate::request::Ticket;
use crate::time::Time;

/// The first of July 2026, shortly after two in the afternoon.
const NOW: Time = Time(1_782_914_710_000_000_000);

fn before(seconds: i64) -> Time {
    NOW.plus_ms(-1000 * seconds)
}

fn property(key: &str, desired: Option<&str>, reported: Option<&str>) -> PropertyView {
    let drifts = desired.is_some() && desired != reported;
    PropertyView {
        key: key.into(),
        desired: desired.map(Into::into),
        reported: reported.map(Into::into),
        drifts,
    }
}

fn node(number: u16) -> NodeView {
    let label = match number {
        1 | 4 | 7 => "left",
        3 | 6 | 9 => "right",
        _ => "middle",
    };
    NodeView {
        name: format!("pc{number}"),
        row: (number - 1) / 3 + 1,
        column: (number - 1) % 3 + 1,
        address: Some(format!("10.0.0.{number}")),
        labels: vec![label.into()],
        presence: Presence::Present { since: before(86_400) },
        condition: Condition::Settled,
        desired_revision: 41,
        report: Some(ReportView { revision: 41, at: before(130 + i64::from(number) * 9), error: None }),
        properties: vec![
            property("brightness", Some("80"), Some("80")),
            property("input", Some("hdmi1"), Some("hdmi1")),
            property("temperature", None, Some("41.5")),
        ],
    }
}

fn voter(name: &str, role: &str) -> VoterView {
    VoterView {
        name: name.into(),
        role: role.into(),
        lag: Some(0),
        last_seen: Some(before(0)),
        is_connected: true,
    }
}

fn line(index: u64, seconds: i64, actor: &str, what: &str, effect: Result<&str, &str>) -> Arc<LogLine> {
    let origin = match actor {
        "operator" => Origin::Operator,
        _ if what.starts_with("reports") => Origin::Node,
        _ => Origin::Voter,
    };
    Arc::new(LogLine {
        index,
        at: before(seconds),
        actor: actor.into(),
        origin,
        what: what.into(),
        effect: effect.map(Into::into).map_err(Into::into),
    })
}

fn history() -> HistoryView {
    let mut lines = vec![line(21, 1900, "pc1", "import 9 nodes", Ok("9 added"))];
    for number in 1..=9u16 {
        let (name, index) = (format!("pc{number}"), u64::from(number) * 2 + 20);
        let since = 1900 - i64::from(number) * 7;
        lines.push(line(index, since, "pc1", &format!("{name} is present"), Ok("1 changed")));
        lines.push(line(index + 1, since - 2, &name, "reports revision 21: brightness 60", Ok("1 changed")));
    }
    lines.extend([
        line(40, 1500, "operator", "save scene Evening of all", Ok("9 nodes")),
        line(41, 900, "operator", "set brightness=80 on all", Ok("9 changed")),
        line(42, 640, "operator", "set briteness=high on row 4", Err("row:4 selects no node")),
    ]);
    for number in 1..=9u16 {
        let name = format!("pc{number}");
        let at = 896 - i64::from(number) * 3;
        lines.push(line(
            42 + u64::from(number),
            at,
            &name,
            "reports revision 41: brightness 80",
            Ok("1 changed"),
        ));
    }
    lines.sort_by_key(|line| line.at);
    HistoryView { lines, begins: "since 13:33:30".into() }
}

fn charts() -> Charts {
    let wave = |at: u32, most: f64| {
        let x = f64::from(at);
        (((x / 17.0).sin() + (x / 5.3).cos()) / 4.0 + 0.5) * most
    };
    Charts {
        commands: (0..180).map(|at| wave(at, 14.0).round()).collect(),
        latency_ms: (0..180).map(|at| Some(0.8 + wave(at + 40, 1.1))).collect(),
        lag: (0..180).map(|at| if at % 29 == 0 { 2.0 } else { 0.0 }).collect(),
    }
}

/// Nine PCs, all as desired.
#[must_use]
pub fn healthy() -> View {
    let scene = |name: &str, differing| SceneView {
        name: name.into(),
        nodes: (1..=9).map(|number| format!("pc{number}")).collect(),
        differing,
    };
    View {
        now: NOW,
        utc_offset_s: 0,
        access: Access { name: "operator".into(), may_change: true },
        link: Link::Live,
        fleet: FleetView {
            nodes: (1..=9).map(node).collect(),
            scenes: vec![scene("Day", 0), scene("Evening", 9), scene("Maintenance", 9)],
        },
        cluster: ClusterView {
            master: Some("pc1".into()),
            epoch: 3,
            voters: vec![voter("pc1", "master"), voter("pc2", "standby"), voter("pc3", "standby")],
            failovers: Vec::new(),
        },
        actions: vec![ActionView {
            ticket: Ticket(901),
            what: "set brightness=80 on all".into(),
            nodes: (1..=9).map(|number| format!("pc{number}")).collect(),
            at: before(900),
            state: ActionState::Applied { effect: "9 changed".into() },
        }],
        undo: Some("set brightness=80 on all".into()),
        redo: None,
        history: history(),
        past: None,
        past_problem: None,
        preview: None,
        charts: charts(),
    }
}

/// Each condition once, and one action on its way.
#[must_use]
pub fn drift() -> View {
    let mut view = healthy();
    let nodes = &mut view.fleet.nodes;
    nodes[1].condition = Condition::Drifted;
    nodes[1].properties[0] = property("brightness", Some("80"), Some("55"));
    nodes[3].condition = Condition::Failed;
    nodes[3].report =
        Some(ReportView { revision: 41, at: before(22), error: Some("lamp 2 does not answer".into()) });
    nodes[5].condition = Condition::Absent;
    nodes[5].presence = Presence::Absent { since: before(47) };
    nodes[6].condition = Condition::Pending;
    nodes[6].desired_revision = 52;
    nodes[6].properties[1] = property("input", Some("hdmi2"), Some("hdmi1"));
    nodes[8].condition = Condition::Unseen;
    nodes[8].presence = Presence::Unknown;
    nodes[8].report = None;
    view.actions.push(ActionView {
        ticket: Ticket(902),
        what: "set input=hdmi2 on pc7".into(),
        nodes: vec!["pc7".into()],
        at: before(0),
        state: ActionState::Pending,
    });
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
    view.actions.push(ActionView {
        ticket: Ticket(902),
        what: "set brightness=40 on row 1".into(),
        nodes: vec!["pc1".into(), "pc2".into(), "pc3".into()],
        at: before(3),
        state: ActionState::Pending,
    });
    view
}

/// The next master has taken over; the old one's PC is still away.
#[must_use]
pub fn restored() -> View {
    let mut view = master_lost();
    view.link = Link::Live;
    view.cluster.master = Some("pc2".into());
    view.cluster.epoch = 4;
    view.cluster.voters[1].role = "master".into();
    view.cluster.voters[2].role = "standby".into();
    view.cluster.failovers = vec![Failover {
        at: before(3),
        epoch: 4,
        from: Some("pc1".into()),
        to: "pc2".into(),
        took_ms: Some(141),
    }];
    view.fleet.nodes[0].condition = Condition::Absent;
    view.fleet.nodes[0].presence = Presence::Absent { since: before(1) };
    for node in &mut view.fleet.nodes[0..3] {
        node.desired_revision = 52;
        node.properties[0] = property("brightness", Some("40"), Some("40"));
    }
    view.fleet.nodes[0].properties[0] = property("brightness", Some("40"), Some("80"));
    for node in &mut view.fleet.nodes[1..3] {
        node.report = Some(ReportView { revision: 52, at: before(2), error: None });
    }
    let action = view.actions.last_mut().expect("it was pending");
    action.state = ActionState::Applied { effect: "3 changed".into() };
    view.undo = Some(action.what.clone());
    view.history.lines.push(line(52, 3, "operator", "set brightness=40 on row:1", Ok("3 changed")));
    view.history.lines.push(line(53, 2, "pc2", "reports revision 52: brightness 40", Ok("1 changed")));
    view.history.lines.push(line(54, 2, "pc3", "reports revision 52: brightness 40", Ok("1 changed")));
    view.history.lines.push(line(55, 1, "pc2", "pc1 is absent", Ok("1 changed")));
    view
}

/// The fleet before it was made brighter, as [`Past`] of a healthy one.
#[must_use]
pub fn past_moment() -> View {
    let mut view = healthy();
    let mut fleet = view.fleet.clone();
    for node in &mut fleet.nodes {
        node.desired_revision = 21;
        node.report = Some(ReportView { revision: 21, at: before(1890), error: None });
        node.properties[0] = property("brightness", Some("60"), Some("60"));
    }
    let at = view.history.lines.iter().find(|line| line.index == 40).map_or(NOW, |line| line.at);
    view.past = Some(Past { index: 40, at, fleet });
    view
}

/// Sixteen rows of sixteen.
#[must_use]
pub fn large() -> View {
    let mut view = drift();
    view.fleet.nodes = (0..256u16)
        .map(|at| {
            let like = view.fleet.nodes[usize::from(if at % 7 == 0 { at % 9 } else { 0 })].clone();
            NodeView { name: format!("pc{}", at + 1), row: at / 16 + 1, column: at % 16 + 1, ..like }
        })
        .collect();
    view.fleet.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    view
}
