//! What the console shows: plain values, filled in by whoever knows the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::request::{Act, Ticket};
use crate::time::Time;

/// Everything that can be seen.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The clock when this was made.
    pub now: Time,
    /// How far the operator's clock is east of Greenwich, in seconds.
    pub utc_offset_s: i32,
    /// Who looks, and what for.
    pub access: Access,
    /// Whether the picture is live.
    pub link: Link,
    /// The nodes and scenes as they are.
    pub fleet: FleetView,
    /// Who votes.
    pub cluster: ClusterView,
    /// What was done from here, oldest first.
    pub actions: Vec<ActionView>,
    /// What undo would take back.
    pub undo: Option<String>,
    /// What redo would do again.
    pub redo: Option<String>,
    /// What has happened.
    pub history: HistoryView,
    /// The moment that was asked for.
    pub past: Option<Past>,
    /// Why there is none.
    pub past_problem: Option<String>,
    /// What the act that was asked about would change.
    pub preview: Option<Preview>,
    /// The last few minutes.
    pub charts: Charts,
}

/// The nodes and scenes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// All nodes, by name.
    pub nodes: Vec<NodeView>,
    /// All scenes, by name.
    pub scenes: Vec<SceneView>,
}

impl FleetView {
    /// One node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The node at a place.
    #[must_use]
    pub fn at(&self, row: u16, column: u16) -> Option<&NodeView> {
        self.nodes.iter().find(|node| (node.row, node.column) == (row, column))
    }

    /// How many nodes are in a condition.
    #[must_use]
    pub fn count(&self, condition: Condition) -> usize {
        self.nodes.iter().filter(|node| node.condition == condition).count()
    }

    /// The labels that nodes have.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        self.nodes.iter().flat_map(|node| node.labels.iter().map(String::as_str)).collect()
    }
}

/// Who looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The name in the certificate.
    pub name: String,
    /// Whether the certificate may change anything.
    pub may_change: bool,
}

/// Whether the picture is live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// There has been no picture yet.
    #[default]
    Connecting,
    /// It changes as the fleet does.
    Live,
    /// There is no master; the picture is as it was.
    Lost {
        /// When the picture was last known to be true.
        since: Time,
    },
    /// It does not follow any longer.
    Stopped {
        /// Why, and what to do.
        reason: String,
    },
}

/// One PC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// From the top, from 1.
    pub row: u16,
    /// From the left, from 1.
    pub column: u16,
    /// Where it is on the network.
    pub address: Option<String>,
    /// What it can be selected by.
    pub labels: Vec<String>,
    /// Whether it is there.
    pub presence: Presence,
    /// How it is doing.
    pub condition: Condition,
    /// The revision of what is desired of it.
    pub desired_revision: u64,
    /// What it last said of itself.
    pub report: Option<ReportView>,
    /// Desired and reported, by key.
    pub properties: Vec<PropertyView>,
}

impl NodeView {
    /// One property.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&PropertyView> {
        self.properties.iter().find(|property| property.key == key)
    }

    /// Properties that are not as desired.
    pub fn drift(&self) -> impl Iterator<Item = &PropertyView> {
        self.properties.iter().filter(|property| property.drifts)
    }
}

/// What a node last said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportView {
    /// Which desired revision it has applied, or tried to.
    pub revision: u64,
    /// When.
    pub at: Time,
    /// Why its driver failed.
    pub error: Option<String>,
}

/// One property of a node. Values are in their text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyView {
    /// Its key.
    pub key: String,
    /// What is desired, if anything is.
    pub desired: Option<String>,
    /// What the node says.
    pub reported: Option<String>,
    /// Whether the two disagree.
    pub drifts: bool,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It was never seen.
    Unknown,
    /// It is connected.
    Present {
        /// Since then.
        since: Time,
    },
    /// It was connected.
    Absent {
        /// Since then it is not.
        since: Time,
    },
}

/// How a node is doing, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It is not there.
    Absent,
    /// It has never been there.
    Unseen,
    /// Its driver could not apply what is desired.
    Failed,
    /// It applied what is desired, and is not so.
    Drifted,
    /// It has not applied the newest desired state yet.
    Pending,
    /// It is as desired.
    Settled,
}

impl Condition {
    /// All, the worst first.
    pub const ALL: [Condition; 6] = [
        Condition::Absent,
        Condition::Unseen,
        Condition::Failed,
        Condition::Drifted,
        Condition::Pending,
        Condition::Settled,
    ];

    /// As it is written on a card.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Condition::Absent => "absent",
            Condition::Unseen => "never seen",
            Condition::Failed => "failed",
            Condition::Drifted => "drifted",
            Condition::Pending => "pending",
            Condition::Settled => "as desired",
        }
    }
}

/// A scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneView {
    /// Its name.
    pub name: String,
    /// Whose desired properties it holds.
    pub nodes: Vec<String>,
    /// How many of them differ from what is desired now.
    pub differing: usize,
}

/// Who votes, and who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The master's name.
    pub master: Option<String>,
    /// Its mastership.
    pub epoch: u64,
    /// All voters.
    pub voters: Vec<VoterView>,
    /// Changes of master, oldest first.
    pub failovers: Vec<Failover>,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterView {
    /// Its name.
    pub name: String,
    /// Master, standby and so on; empty if it does not answer.
    pub role: String,
    /// How many entries it is behind the master.
    pub lag: Option<u64>,
    /// When it last answered.
    pub last_seen: Option<Time>,
    /// Whether it is connected.
    pub is_connected: bool,
    /// That its disk hangs, in words, while it does.
    pub disk_trouble: Option<String>,
    /// What is wrong with its disk, in words.
    pub findings: Vec<String>,
}

/// A change of master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// When the new master was there.
    pub at: Time,
    /// The new mastership.
    pub epoch: u64,
    /// Who was master.
    pub from: Option<String>,
    /// Who is.
    pub to: String,
    /// For how long there was none, as seen from here, in milliseconds.
    pub took_ms: Option<u64>,
}

/// Something that was done from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionView {
    /// Whose request it was.
    pub ticket: Ticket,
    /// What was done.
    pub what: String,
    /// The nodes that it is about.
    pub nodes: Vec<String>,
    /// When.
    pub at: Time,
    /// What became of it.
    pub state: ActionState,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It is on its way. It is sent again to a new master by itself, and counts once.
    Pending,
    /// It was executed.
    Applied {
        /// What it changed.
        effect: String,
    },
    /// The fleet refused it, and is unchanged.
    Rejected {
        /// Why.
        reason: String,
    },
    /// It was not executed, and will not be.
    NotApplied {
        /// Why.
        reason: String,
    },
    /// Nobody can tell any more. The log can.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What has happened, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryView {
    /// One for each command, oldest first.
    pub lines: Vec<Arc<LogLine>>,
    /// Where the lines begin, for people.
    pub begins: String,
}

/// One command in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its number in the journal: the moment after it can be looked at.
    pub index: u64,
    /// When the master wrote it.
    pub at: Time,
    /// Who sent it.
    pub actor: String,
    /// Who, in general.
    pub origin: Origin,
    /// What it says.
    pub what: String,
    /// What it did.
    pub effect: Result<String, String>,
}

/// Who sends commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A person, or a script.
    Operator,
    /// A voter: presence.
    Voter,
    /// A node: a report.
    Node,
}

/// A moment that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// After this command.
    pub index: u64,
    /// When that was.
    pub at: Time,
    /// The fleet then.
    pub fleet: FleetView,
}

/// What an act would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The act.
    pub act: Act,
    /// What would change, a line each, or why it would be refused.
    pub changes: Result<Vec<PreviewLine>, String>,
}

/// One change that an act would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewLine {
    /// Of which node or scene.
    pub subject: String,
    /// What.
    pub change: String,
    /// Whether something is lost by it that undo cannot bring back as it was.
    pub loses: bool,
}

/// The last few minutes, a value for each second, the newest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charts {
    /// Commands executed.
    pub commands: Vec<f64>,
    /// Milliseconds until the master answered with a majority behind it; none: it did not.
    pub latency_ms: Vec<Option<f64>>,
    /// Entries that the slowest connected voter is behind.
    pub lag: Vec<f64>,
}

impl Charts {
    /// How many seconds are shown.
    pub const SECONDS: u16 = 300;
}
