//! Answers as people and programs read them.

use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use fleet::{Change, Condition, NodeName, NodeView, Outcome, SceneView, Status, Value};
use position::{Epoch, Index};
use serde::Serialize;
use shipper::ClusterView;

/// How output is laid out. Only ASCII borders: a Windows 7 console has no others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// How many characters fit a line; none where nobody's terminal is the limit.
    pub(crate) width: Option<u16>,
}

/// One line of `fleetctl watch`.
#[derive(Serialize)]
struct ChangeAt<'a> {
    epoch: Epoch,
    index: Index,
    #[serde(flatten)]
    change: &'a Change,
}

/// Who is master.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClusterLine {
    master: Option<String>,
    epoch: Epoch,
    voters: Vec<String>,
}

/// `fleetctl status --json`.
#[derive(Serialize)]
struct ClusterStatus<'a> {
    cluster: &'a ClusterLine,
    #[serde(flatten)]
    status: &'a Status,
}

impl ClusterLine {
    /// What a client knows of the cluster, by name.
    pub(crate) fn of(view: &ClusterView) -> ClusterLine {
        let master = view.members.iter().find(|member| Some(member.id) == view.master);
        ClusterLine {
            master: master.map(|member| member.name.clone()),
            epoch: view.epoch,
            voters: view.members.iter().map(|member| member.name.clone()).collect(),
        }
    }

    /// With the fleet, as a line of JSON.
    pub(crate) fn json(&self, status: &Status) -> String {
        json_line(&ClusterStatus { cluster: self, status })
    }
}

impl Layout {
    /// The cluster, the grid with one cell a node, and how many are how.
    pub(crate) fn status(self, cluster: &ClusterLine, status: &Status) -> String {
        let master = match &cluster.master {
            Some(master) => format!("master {master}"),
            None => "no master".to_owned(),
        };
        format!(
            "{master} in epoch {}, voters {}\n{}",
            cluster.epoch.0,
            cluster.voters.join(" "),
            self.grid(status)
        )
    }

    fn grid(self, status: &Status) -> String {
        let mut table = self.table(presets::ASCII_FULL);
        for row in 1..=status.rows {
            table.add_row((1..=status.columns).map(|column| match status.cell(row, column) {
                Some(cell) if cell.drift.is_empty() || cell.condition != Condition::Drifted => {
                    format!("{}\n{}", cell.node, cell.condition)
                }
                Some(cell) => format!("{}\n{}: {}", cell.node, cell.condition, joined(&cell.drift, " ")),
                None => String::new(),
            }));
        }
        let counts: Vec<String> = Condition::ALL
            .iter()
            .rev()
            .map(|condition| (*condition, status.count(*condition)))
            .filter(|(_, count)| *count > 0)
            .map(|(condition, count)| format!("{count} {condition}"))
            .collect();
        match status.cells.len() {
            0 => "the fleet has no nodes yet; import some\n".to_owned(),
            nodes => format!("{}\n{}: {}\n", lines(&table), counted(nodes, "node"), counts.join(", ")),
        }
    }

    /// Nodes, one a line where they fit.
    pub(crate) fn nodes(self, nodes: &[NodeView]) -> String {
        let mut table = self.table(presets::NOTHING);
        table.set_header(["NODE", "ROW", "COLUMN", "ADDRESS", "LABELS", "CONDITION", "DESIRED", "DIFFERENT"]);
        for node in nodes {
            table.add_row([
                node.name.to_string(),
                node.place.row.to_string(),
                node.place.column.to_string(),
                node.address.clone().unwrap_or_default(),
                joined(&node.labels, " "),
                node.condition.to_string(),
                joined(node.desired.properties.iter().map(|(key, value)| assignment(key, Some(value))), " "),
                different(node),
            ]);
        }
        format!("{}\n", lines(&table))
    }

    /// Scenes, one a line.
    pub(crate) fn scenes(self, scenes: &[SceneView]) -> String {
        if scenes.is_empty() {
            return "there are no scenes; save one with fleetctl scene save NAME\n".to_owned();
        }
        let mut table = self.table(presets::NOTHING);
        table.set_header(["SCENE", "NODES"]);
        for scene in scenes {
            table.add_row([scene.name.to_string(), joined(&scene.nodes, " ")]);
        }
        format!("{}\n", lines(&table))
    }

    fn table(self, style: TableStyle) -> Table {
        let mut table = Table::new();
        table.load_style(style);
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table
    }
}

/// What a command did, in a sentence.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Nodes { changed, missing } => {
            let changed = match changed.as_slice() {
                [] => "nothing had to be changed".to_owned(),
                changed => format!("changed {}", listed(changed)),
            };
            match missing.as_slice() {
                [] => format!("{changed}\n"),
                missing => format!("{changed}; no longer in the fleet: {}\n", joined(missing, " ")),
            }
        }
        Outcome::Imported { added, changed, removed } => {
            let parts = [("added", added), ("changed", changed), ("removed", removed)];
            let parts: Vec<String> = parts
                .into_iter()
                .filter(|(_, nodes)| !nodes.is_empty())
                .map(|(done, nodes)| format!("{done} {}", listed(nodes)))
                .collect();
            match parts.as_slice() {
                [] => "nothing had to be changed\n".to_owned(),
                parts => format!("{}\n", parts.join("; ")),
            }
        }
        Outcome::Scene { nodes } => format!("done: a scene of {}\n", counted(*nodes as usize, "node")),
    }
}

/// What an import would do, a line a change.
pub(crate) fn preview(changes: &[Change]) -> String {
    match changes {
        [] => "nothing would be changed\n".to_owned(),
        changes => changes.iter().map(|change| format!("{change}\n")).collect(),
    }
}

/// A change as a line of JSON.
pub(crate) fn change_line(epoch: Epoch, index: Index, change: &Change) -> String {
    json_line(&ChangeAt { epoch, index, change })
}

/// Anything as a line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    let mut line = fleet::to_json(value);
    line.push('\n');
    line
}

/// Where a node is not as desired, and what its driver says about it.
fn different(node: &NodeView) -> String {
    let Some(report) = &node.reported else {
        return "nothing reported".to_owned();
    };
    let mut parts: Vec<String> =
        node.drift.iter().map(|key| assignment(key, report.properties.get(key.as_str()))).collect();
    parts.extend(report.error.clone());
    parts.join(" ")
}

fn assignment(key: &fleet::Key, value: Option<&Value>) -> String {
    match value {
        Some(value) => format!("{key}={value}"),
        None => format!("{key}=(none)"),
    }
}

fn listed(nodes: &[NodeName]) -> String {
    format!("{}: {}", counted(nodes.len(), "node"), joined(nodes, " "))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn joined<T: ToString>(parts: impl IntoIterator<Item = T>, separator: &str) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(separator)
}

/// A table without the padding behind its last column, which would wrap and blur comparisons.
fn lines(table: &Table) -> String {
    joined(table.lines().map(|line| line.trim_end().to_owned()), "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Answer, Command, Configuration, Fleet, Format, ImportMode, Query, Revision, Selector};
    use position::MemberId;
    use prevalent::{Actor, Moment, Prevalent, Role};
    use shipper::MemberAddress;
    use std::time::Duration;

    const WIDE: Layout = Layout { width: None };

    fn execute(fleet: &mut Fleet, index: u64, role: Role, name: &str, command: Command) -> Outcome {
        let actor = Actor { name: name.into(), role };
        let at = Moment { index: Index(index), cluster_time: Duration::ZERO, wall_time: 0, actor: &actor };
        fleet.execute(command, &at).unwrap()
    }

    fn wall() -> Fleet {
        let text = b"name,row,column,address,labels,brightness\na1,1,1,10.0.0.1,left,80\na2,1,2,10.0.0.2,,80\nb2,2,2,,,\n";
        let configuration: Configuration = fleet::read("wall.csv", Format::Csv, text, &[]).unwrap();
        let mut fleet = Fleet::default();
        let import = Command::Import { configuration, mode: ImportMode::Merge };
        let outcome = execute(&mut fleet, 3, Role::Operator, "operator", import);
        assert_eq!(super::outcome(&outcome), "added 3 nodes: a1 a2 b2\n");
        for (node, value) in [("a1", 80), ("a2", 70)] {
            execute(&mut fleet, 4, Role::Voter, "1", Command::Presence { node: node.into(), present: true });
            let report = Command::Report {
                node: node.into(),
                revision: Revision(3),
                properties: [("brightness".to_owned(), value.into())].into(),
                error: None,
            };
            execute(&mut fleet, 5, Role::Node, node, report);
        }
        fleet
    }

    fn status(fleet: &Fleet) -> Status {
        match fleet.answer(&Query::Status) {
            Answer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn nodes(fleet: &Fleet) -> Vec<NodeView> {
        match fleet.answer(&Query::Nodes(Selector::All)) {
            Answer::Nodes(nodes) => nodes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn status_is_the_wall_as_it_hangs() {
        let expected = "\
+---------+---------------------+
| a1      | a2                  |
| settled | drifted: brightness |
|---------+---------------------|
|         | b2                  |
|         | unseen              |
+---------+---------------------+
3 nodes: 1 settled, 1 drifted, 1 unseen
";
        let shown = WIDE.grid(&status(&wall()));
        assert_eq!(shown, expected, "\n{shown}");
        assert!(WIDE.grid(&Status::default()).contains("no nodes"));
    }

    #[test]
    fn status_begins_with_the_cluster() {
        let member = |id: u16, name: &str| MemberAddress {
            id: MemberId(id),
            name: name.to_owned(),
            address: "10.0.0.1:7400".parse().unwrap(),
        };
        let members = vec![member(1, "pc1"), member(2, "pc2")];
        let mut view = ClusterView { epoch: Epoch(7), master: Some(MemberId(2)), members };
        let shown = WIDE.status(&ClusterLine::of(&view), &Status::default());
        assert!(shown.starts_with("master pc2 in epoch 7, voters pc1 pc2\n"), "{shown}");
        assert_eq!(
            ClusterLine::of(&view).json(&Status::default()),
            "{\"cluster\":{\"master\":\"pc2\",\"epoch\":7,\"voters\":[\"pc1\",\"pc2\"]},\"rows\":0,\"columns\":0,\"cells\":[]}\n"
        );
        view.master = None;
        assert!(WIDE.status(&ClusterLine::of(&view), &Status::default()).starts_with("no master in epoch 7"));
    }

    #[test]
    fn nodes_are_a_table_that_fits_the_terminal() {
        let expected = [
            " NODE  ROW  COLUMN  ADDRESS   LABELS  CONDITION  DESIRED        DIFFERENT",
            " a1    1    1       10.0.0.1  left    settled    brightness=80",
            " a2    1    2       10.0.0.2          drifted    brightness=80  brightness=70",
            " b2    2    2                         unseen                    nothing reported",
            "",
        ]
        .join("\n");
        assert_eq!(WIDE.nodes(&nodes(&wall())), expected);
        for width in [40, 60, 80] {
            let shown = Layout { width: Some(width) }.nodes(&nodes(&wall()));
            let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width.into(), "{longest} characters for {width}:\n{shown}");
        }
    }

    #[test]
    fn outcomes_are_sentences() {
        let mut fleet = wall();
        let mut run = |command| outcome(&execute(&mut fleet, 9, Role::Operator, "operator", command));
        let set = |selector: &str, value: i64| Command::Set {
            selector: selector.parse().unwrap(),
            properties: [("brightness".to_owned(), value.into())].into(),
        };
        assert_eq!(run(set("row:1", 60)), "changed 2 nodes: a1 a2\n");
        assert_eq!(run(set("a1", 60)), "nothing had to be changed\n");
        let save = Command::SaveScene { scene: "day".into(), selector: Selector::All };
        assert_eq!(run(save), "done: a scene of 3 nodes\n");
        let only = Configuration {
            nodes: vec![fleet::NodeEntry { name: "a1".into(), ..Default::default() }],
            scenes: None,
        };
        let replace = Command::Import { configuration: only, mode: ImportMode::Replace };
        assert_eq!(run(replace), "changed 1 node: a1; removed 2 nodes: a2 b2\n");
        assert_eq!(
            run(Command::ApplyScene { scene: "day".into() }),
            "changed 1 node: a1; no longer in the fleet: a2 b2\n"
        );
        match fleet.answer(&Query::Scenes) {
            Answer::Scenes(scenes) => assert_eq!(WIDE.scenes(&scenes), " SCENE  NODES\n day    a1 a2 b2\n"),
            other => panic!("{other:?}"),
        }
        assert!(WIDE.scenes(&[]).contains("no scenes"));
    }

    #[test]
    fn changes_are_lines() {
        let before = wall();
        let mut after = before.clone();
        let set = Command::Set {
            selector: Selector::All,
            properties: [("gamma".to_owned(), Value::parse("2.2").unwrap())].into(),
        };
        execute(&mut after, 9, Role::Operator, "operator", set);
        let changes = fleet::changes(&nodes(&before), &nodes(&after));
        assert!(preview(&changes).starts_with("a1: desired gamma (none) -> 2.2\na2: "));
        assert_eq!(preview(&[]), "nothing would be changed\n");
        assert_eq!(
            change_line(Epoch(2), Index(9), &changes[0]),
            "{\"epoch\":2,\"index\":9,\"change\":\"desired\",\"node\":\"a1\",\"key\":\"gamma\",\"from\":null,\"to\":2.2}\n"
        );
    }
}
