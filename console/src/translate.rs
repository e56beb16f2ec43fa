//! The fleet as the window shows it.

use std::collections::BTreeSet;

use console_ui::{Condition, FleetView, NodeView, Presence, PropertyView, ReportView, SceneView, Time};
use fleet::Fleet;

/// All of it.
pub(crate) fn fleet(fleet: &Fleet) -> FleetView {
    let scenes = fleet.scenes().map(|(name, scene)| SceneView {
        name: name.as_str().to_owned(),
        nodes: scene.nodes.keys().map(|node| node.as_str().to_owned()).collect(),
        differing: scene
            .nodes
            .iter()
            .filter(|(name, wanted)| {
                fleet.node(name.as_str()).is_some_and(|node| node.desired.properties != **wanted)
            })
            .count(),
    });
    FleetView { nodes: fleet.views().iter().map(node).collect(), scenes: scenes.collect() }
}

fn node(view: &fleet::NodeView) -> NodeView {
    NodeView {
        name: view.name.as_str().to_owned(),
        row: view.place.row,
        column: view.place.column,
        address: view.address.clone(),
        labels: view.labels.iter().map(|label| label.as_str().to_owned()).collect(),
        presence: match view.presence {
            fleet::Presence::Unknown => Presence::Unknown,
            fleet::Presence::Present { since } => Presence::Present { since: Time(since.0) },
            fleet::Presence::Absent { since } => Presence::Absent { since: Time(since.0) },
        },
        condition: match view.condition {
            fleet::Condition::Absent => Condition::Absent,
            fleet::Condition::Unseen => Condition::Unseen,
            fleet::Condition::Failed => Condition::Failed,
            fleet::Condition::Drifted => Condition::Drifted,
            fleet::Condition::Pending => Condition::Pending,
            fleet::Condition::Settled => Condition::Settled,
        },
        desired_revision: view.desired.revision.0,
        report: view.reported.as_ref().map(|report| ReportView {
            revision: report.revision.0,
            at: Time(report.at.0),
            error: report.error.clone(),
        }),
        properties: properties(view),
    }
}

fn properties(view: &fleet::NodeView) -> Vec<PropertyView> {
    let desired = &view.desired.properties;
    let reported = view.reported.as_ref().map(|report| &report.properties);
    let keys: BTreeSet<&str> = desired
        .iter()
        .chain(reported.into_iter().flat_map(fleet::Properties::iter))
        .map(|(key, _)| key.as_str())
        .collect();
    let property = |key: &str| PropertyView {
        key: key.to_owned(),
        desired: desired.get(key).map(ToString::to_string),
        reported: reported.and_then(|reported| reported.get(key)).map(ToString::to_string),
        drifts: view.drift.iter().any(|drifting| drifting == key),
    };
    keys.into_iter().map(property).collect()
}
