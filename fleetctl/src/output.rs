//! Answers as people and programs read them.

use fleet::{Change, Condition, NodeView, SceneView, Status, Value, counted};
use position::{Epoch, Index};
use serde::Serialize;
use shipper::{ClusterView, VoterStatus};

use crate::table::{self, Column};

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
    /// What is wrong with the disks of voters that answer.
    findings: Vec<VoterFinding>,
    /// Voters whose disks hang or are far too slow.
    disk_waits: Vec<DiskWait>,
}

/// A voter whose disk keeps it waiting.
#[derive(Clone, Debug, Serialize)]
struct DiskWait {
    voter: String,
    /// For how long.
    milliseconds: u64,
    /// The same in words.
    #[serde(skip)]
    trouble: String,
}

/// What is wrong with a voter's disk.
#[derive(Clone, Debug, Serialize)]
struct VoterFinding {
    voter: String,
    finding: String,
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
    pub(crate) fn of(view: &ClusterView, statuses: impl Iterator<Item = VoterStatus>) -> ClusterLine {
        let (mut findings, mut disk_waits) = (Vec::new(), Vec::new());
        for status in statuses {
            let voter = view.members.iter().find(|member| member.id == status.voter);
            let voter = voter.map_or_else(|| status.voter.to_string(), |member| member.name.clone());
            if let (Some(milliseconds), Some(trouble)) = (status.disk_waits_ms, status.disk_trouble()) {
                disk_waits.push(DiskWait { voter: voter.clone(), milliseconds, trouble });
            }
            let of_voter = |finding| VoterFinding { voter: voter.clone(), finding };
            findings.extend(status.findings.into_iter().map(of_voter));
        }
        let master = view.members.iter().find(|member| Some(member.id) == view.master);
        ClusterLine {
            master: master.map(|member| member.name.clone()),
            epoch: view.epoch,
            voters: view.members.iter().map(|member| member.name.clone()).collect(),
            findings,
            disk_waits,
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
        let wait = |one: &DiskWait| format!("! {}: {}\n", one.voter, one.trouble);
        let finding = |one: &VoterFinding| format!("! {}: {}\n", one.voter, fleet::one_line(&one.finding));
        format!(
            "{master} in epoch {}, voters {}\n{}{}{}",
            cluster.epoch.0,
            cluster.voters.join(" "),
            cluster.disk_waits.iter().map(wait).collect::<String>(),
            cluster.findings.iter().map(finding).collect::<String>(),
            self.grid(status)
        )
    }

    fn grid(self, status: &Status) -> String {
        let cell = |row, column| match status.cell(row, column) {
            Some(cell) if cell.drift.is_empty() || cell.condition != Condition::Drifted => {
                format!("{}\n{}", cell.node, cell.condition)
            }
            Some(cell) => format!("{}\n{}: {}", cell.node, cell.condition, joined(&cell.drift, " ")),
            None => String::new(),
        };
        let row = |row| (1..=status.columns).map(|column| cell(row, column)).collect();
        let cells: Vec<Vec<String>> = (1..=status.rows).map(row).collect();
        let counts = Condition::counts(status.cells.iter().map(|cell| cell.condition));
        let counts = counts.iter().rev().map(|(condition, count)| format!("{count} {condition}"));
        match status.cells.len() {
            0 => "the fleet has no nodes yet; import some\n".to_owned(),
            nodes => format!(
                "{}{}: {}\n",
                table::grid(&cells, self.width),
                counted(nodes, "node"),
                joined(counts, ", ")
            ),
        }
    }

    /// Nodes, one a row, in the order in which they stand.
    pub(crate) fn nodes(self, nodes: &[NodeView]) -> String {
        const COLUMNS: [Column; 8] = [
            Column::new("NODE"),
            Column::new("ROW").rank(3),
            Column::new("COLUMN").rank(4),
            Column::new("ADDRESS").rank(5),
            Column::new("LABELS").rank(6).wraps(8),
            Column::new("CONDITION"),
            Column::new("DESIRED").rank(2).wraps(14),
            Column::new("DIFFERENT").wraps(14),
        ];
        let row = |node: &NodeView| {
            let desired = node.desired.properties.iter();
            vec![
                node.name.to_string(),
                node.place.row.to_string(),
                node.place.column.to_string(),
                node.address.clone().unwrap_or_default(),
                joined(&node.labels, " "),
                node.condition.to_string(),
                joined(desired.map(|(key, value)| assignment(key, Some(value))), " "),
                different(node),
            ]
        };
        // Answers are in the order of names, in which pc10 comes before pc2.
        let mut nodes: Vec<&NodeView> = nodes.iter().collect();
        nodes.sort_by_key(|node| node.place);
        table::render(&COLUMNS, &nodes.into_iter().map(row).collect::<Vec<_>>(), self.width)
    }

    /// Scenes, one a row.
    pub(crate) fn scenes(self, scenes: &[SceneView]) -> String {
        const COLUMNS: [Column; 2] = [Column::new("SCENE"), Column::new("NODES").wraps(12)];
        if scenes.is_empty() {
            return "there are no scenes; save one with fleetctl scene save NAME\n".to_owned();
        }
        let row = |scene: &SceneView| vec![scene.name.to_string(), joined(&scene.nodes, " ")];
        table::render(&COLUMNS, &scenes.iter().map(row).collect::<Vec<_>>(), self.width)
    }
}

/// What a command would do, a line a change.
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

fn joined<T: ToString>(parts: impl IntoIterator<Item = T>, separator: &str) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{
        Answer, Command, Configuration, Fleet, Format, ImportMode, Outcome, Query, Revision, Selector,
    };
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
        assert_eq!(outcome.to_string(), "added 3 nodes: a1 a2 b2");
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
            is_voter: true,
        };
        let members = vec![member(1, "pc1"), member(2, "pc2")];
        let mut view = ClusterView { epoch: Epoch(7), master: Some(MemberId(2)), members };
        let nothing = std::iter::empty;
        let shown = WIDE.status(&ClusterLine::of(&view, nothing()), &Status::default());
        assert!(shown.starts_with("master pc2 in epoch 7, voters pc1 pc2\n"), "{shown}");
        assert_eq!(
            ClusterLine::of(&view, nothing()).json(&Status::default()),
            "{\"cluster\":{\"master\":\"pc2\",\"epoch\":7,\"voters\":[\"pc1\",\"pc2\"],\"findings\":[],\"disk_waits\":[]},\"rows\":0,\"columns\":0,\"cells\":[]}\n"
        );
        let damaged = VoterStatus {
            voter: MemberId(2),
            version: String::new(),
            role: "standby".into(),
            view: view.clone(),
            last: Index(9),
            durable: Index(9),
            commit: Index(9),
            applied: Index(9),
            outcome_hash: String::new(),
            standbys: Vec::new(),
            disk_waits_ms: Some(12_900),
            findings: vec!["mark: it is\ndamaged".into()],
        };
        let line = ClusterLine::of(&view, std::iter::once(damaged));
        let shown = WIDE.status(&line, &Status::default());
        assert!(shown.contains("\n! pc2: its disk has not answered for 12 s\n"), "{shown}");
        assert!(shown.contains("\n! pc2: mark: it is\\ndamaged\n"), "{shown}");
        let json = line.json(&Status::default());
        assert!(json.contains("\"disk_waits\":[{\"voter\":\"pc2\",\"milliseconds\":12900}]"), "{json}");
        view.master = None;
        let shown = WIDE.status(&ClusterLine::of(&view, nothing()), &Status::default());
        assert!(shown.starts_with("no master in epoch 7"));
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
        for width in [40, 80, 120] {
            let layout = Layout { width: Some(width) };
            for shown in [layout.nodes(&nodes(&wall())), layout.grid(&status(&wall()))] {
                let table = shown.lines().filter(|line| line.starts_with(['|', '+']));
                let longest = table.map(|line| line.chars().count()).max().unwrap();
                assert!(longest <= width.into(), "{longest} characters for {width}:\n{shown}");
            }
            let shown = layout.nodes(&nodes(&wall()));
            assert!(shown.contains("| a2 ") && shown.contains("drifted"), "{shown}");
            assert_eq!(shown.contains("no room for"), width < 120, "{shown}");
        }
    }

    #[test]
    fn nodes_are_in_the_order_in_which_they_stand() {
        let mut nodes = nodes(&wall());
        nodes[0].place = fleet::Place { row: 9, column: 9 };
        let table = WIDE.nodes(&nodes);
        let names: Vec<&str> =
            table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["a2", "b2", "a1"]);
    }

    #[test]
    fn scenes_are_a_table() {
        let mut fleet = wall();
        let save = Command::SaveScene { scene: "day".into(), selector: Selector::All };
        execute(&mut fleet, 9, Role::Operator, "operator", save);
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
