//! What happened to nine PCs, step by step. How the fleet is and what the log says both follow from it, so that
//! they agree at every moment.

use std::sync::Arc;

use crate::model::{
    Condition, FleetView, LogLine, NodeView, Origin, Presence, PropertyView, ReportView, SceneView,
};
use crate::time::Time;

/// The first of July 2026, shortly after two in the afternoon.
pub(super) const NOW: Time = Time(1_782_914_710_000_000_000);

/// So many seconds before now.
pub(super) fn before(seconds: i64) -> Time {
    NOW.plus_ms(-1000 * seconds)
}

/// A fleet, and how it came to be so.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) fleet: FleetView,
    pub(super) lines: Vec<Arc<LogLine>>,
    /// Of the next command.
    index: u64,
}

pub(super) fn property(key: &str, desired: Option<&str>, reported: Option<&str>) -> PropertyView {
    PropertyView {
        key: key.into(),
        desired: desired.map(Into::into),
        reported: reported.map(Into::into),
        drifts: desired.is_some() && desired != reported,
    }
}

/// The names of some PCs.
pub(super) fn names(numbers: impl IntoIterator<Item = u16>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("pc{number}")).collect()
}

impl Story {
    /// Nine PCs in rows of three, none of which has been there yet.
    pub(super) fn begin(seconds: i64) -> Story {
        let nothing = FleetView { nodes: Vec::new(), scenes: Vec::new() };
        let mut story = Story { fleet: nothing, lines: Vec::new(), index: 21 };
        let effect = format!("added 9 nodes: {}", names(1..=9).join(" "));
        let revision = story.tell(seconds, ("operator", Origin::Operator), "import 9 nodes", Ok(&effect));
        story.fleet.nodes = (1..=9).map(|number| node(number, revision)).collect();
        story
    }

    /// Adds a line to the log, and returns its index.
    pub(super) fn tell(
        &mut self,
        seconds: i64,
        (actor, origin): (&str, Origin),
        what: &str,
        effect: Result<&str, &str>,
    ) -> u64 {
        let index = self.index;
        self.index += 1;
        let (actor, what) = (actor.to_owned(), what.to_owned());
        let effect = effect.map(str::to_owned).map_err(str::to_owned);
        let at = before(seconds);
        assert!(self.lines.last().is_none_or(|last| last.at <= at), "the story goes forward");
        self.lines.push(Arc::new(LogLine { index, at, actor, origin, what, effect }));
        index
    }

    /// Does something to a PC.
    pub(super) fn on(&mut self, number: u16, change: impl FnOnce(&mut NodeView)) {
        change(&mut self.fleet.nodes[usize::from(number - 1)]);
    }

    /// The PC connects to a master.
    pub(super) fn comes(&mut self, seconds: i64, number: u16) {
        let what = format!("pc{number} is present");
        self.tell(seconds, ("voter 1", Origin::Voter), &what, Ok(&format!("changed 1 node: pc{number}")));
        self.on(number, |node| node.presence = Presence::Present { since: before(seconds) });
    }

    /// The PC is missed.
    pub(super) fn goes(&mut self, seconds: i64, number: u16, voter: &str) {
        let what = format!("pc{number} is absent");
        self.tell(seconds, (voter, Origin::Voter), &what, Ok(&format!("changed 1 node: pc{number}")));
        self.on(number, |node| {
            node.presence = Presence::Absent { since: before(seconds) };
            node.condition = Condition::Absent;
        });
    }

    /// The PC says that it is as desired, and how warm it is.
    pub(super) fn reports(&mut self, seconds: i64, number: u16, temperature: &str) {
        self.on(number, |node| {
            for property in &mut node.properties {
                if property.desired.is_some() {
                    property.reported.clone_from(&property.desired);
                }
            }
            set_reported(node, "temperature", temperature);
        });
        self.says(seconds, number, Condition::Settled, None);
    }

    /// The PC says how it is now.
    pub(super) fn says(&mut self, seconds: i64, number: u16, condition: Condition, error: Option<&str>) {
        let at = before(seconds);
        self.on(number, |node| {
            let (revision, error) = (node.desired_revision, error.map(str::to_owned));
            node.report = Some(ReportView { revision, at, error });
            node.condition = condition;
            for property in &mut node.properties {
                property.drifts = property.desired.is_some() && property.desired != property.reported;
            }
        });
        let node = &self.fleet.nodes[usize::from(number - 1)];
        let reported = node.properties.iter().filter_map(|property| {
            let value = property.reported.as_ref()?;
            Some(format!("{}={value}", property.key))
        });
        let reported = reported.collect::<Vec<_>>().join(" ");
        let mut what = format!("pc{number} reports revision {}: {reported}", node.desired_revision);
        if let Some(error) = error {
            what.push_str(&format!("; it failed: {error}"));
        }
        let name = node.name.clone();
        self.tell(seconds, (&name, Origin::Node), &what, Ok(&format!("changed 1 node: {name}")));
    }

    /// An operator desires something else of some PCs.
    pub(super) fn set(&mut self, seconds: i64, numbers: &[u16], selector: &str, key: &str, value: &str) {
        let what = format!("set {selector} {key}={value}");
        let nodes = if numbers.len() == 1 { "node" } else { "nodes" };
        let effect =
            format!("changed {} {nodes}: {}", numbers.len(), names(numbers.iter().copied()).join(" "));
        let revision = self.tell(seconds, ("operator", Origin::Operator), &what, Ok(&effect));
        for number in numbers {
            self.on(*number, |node| {
                node.desired_revision = revision;
                if let Presence::Present { .. } = node.presence {
                    node.condition = Condition::Pending;
                }
                for property in node.properties.iter_mut().filter(|property| property.key == key) {
                    property.desired = Some(value.to_owned());
                    property.drifts = property.desired != property.reported;
                }
            });
        }
    }

    /// An operator saves what is desired of all.
    pub(super) fn save(&mut self, seconds: i64, scene: &str) {
        let what = format!("save scene {scene} of all");
        self.tell(seconds, ("operator", Origin::Operator), &what, Ok("done: a scene of 9 nodes"));
        self.fleet.scenes.push(SceneView { name: scene.to_owned(), nodes: names(1..=9), differing: 0 });
    }
}

/// Changes what a PC will say of itself.
pub(super) fn set_reported(node: &mut NodeView, key: &str, value: &str) {
    for property in node.properties.iter_mut().filter(|property| property.key == key) {
        property.reported = Some(value.to_owned());
    }
}

fn node(number: u16, revision: u64) -> NodeView {
    let label = match number % 3 {
        1 => "left",
        2 => "middle",
        _ => "right",
    };
    NodeView {
        name: format!("pc{number}"),
        row: (number - 1) / 3 + 1,
        column: (number - 1) % 3 + 1,
        address: Some(format!("10.0.0.{number}")),
        labels: vec![label.into()],
        presence: Presence::Unknown,
        condition: Condition::Unseen,
        desired_revision: revision,
        report: None,
        properties: vec![
            property("brightness", Some("60"), None),
            property("input", Some("hdmi1"), None),
            property("temperature", None, None),
        ],
    }
}
