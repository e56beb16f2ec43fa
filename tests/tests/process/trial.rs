use demo::{Audit, Executables, Load, LocalCluster, Master, Operator, PATIENCE, Start, audit, wait_until};
use fleet::{Command, ImportMode, Selector, Value};
use position::Epoch;
use tokio::sync::{Mutex, MutexGuard};

/// A cluster of three voters with its fleet imported, and an operator.
pub(crate) struct Trial {
    pub(crate) cluster: LocalCluster,
    pub(crate) operator: Operator,
    _turn: MutexGuard<'static, ()>,
}

/// One cluster at a time. Voters suspect each other after a tenth of a second: on a machine that runs many
/// of them on two cores, masters would come and go, and the tests would be about that.
static TURN: Mutex<()> = Mutex::const_new(());

/// So many commands before something happens to the cluster, and after it: it happens in the midst of them.
const COMMANDS: usize = 30;

impl Trial {
    pub(crate) async fn start() -> Trial {
        Trial::of(founded()).await
    }

    /// Starts a cluster that was founded.
    pub(crate) async fn of(mut cluster: LocalCluster) -> Trial {
        let turn = TURN.lock().await;
        for (number, pc) in cluster.voters().to_vec().iter().enumerate() {
            cluster.start_master(pc, if number == 0 { Start::Founder } else { Start::Standby }).unwrap();
        }
        let operator = cluster.operator(PATIENCE).unwrap();
        operator.import(cluster.fleet().clone(), ImportMode::Merge).await.unwrap();
        let trial = Trial { cluster, operator, _turn: turn };
        for pc in trial.cluster.voters() {
            trial.wait_until_level(pc).await;
        }
        trial
    }

    pub(crate) async fn master(&self) -> Master {
        self.operator.master_after(Epoch::NONE).await.unwrap()
    }

    /// The voters that are not master.
    pub(crate) async fn standbys(&self) -> Vec<String> {
        let master = self.master().await;
        self.cluster.voters().iter().filter(|pc| **pc != master.pc).cloned().collect()
    }

    /// Waits until a voter has all that is decided.
    pub(crate) async fn wait_until_level(&self, pc: &str) {
        let goal = self.operator.committed().await.unwrap();
        self.operator.wait_until_level(pc, goal).await.unwrap();
    }

    /// A steady flow of commands for all PCs.
    pub(crate) async fn flow(&self) -> Load {
        let load = Load::start(self.operator.client(), self.cluster.pcs());
        more(&load).await;
        load
    }

    /// Ends the flow and the cluster, and checks the journals of these voters against what was acknowledged.
    /// Returns what is left: folders.
    pub(crate) async fn check(mut self, load: Load, voters: &[&str]) -> LocalCluster {
        more(&load).await;
        let acknowledged = load.finish().await.unwrap();
        for pc in voters {
            self.wait_until_level(pc).await;
        }
        let nodes = self.operator.nodes().await.unwrap();
        self.operator.close().await;
        self.cluster.kill_all().unwrap();
        for pc in voters {
            let found = audit(&self.cluster.data_of(pc), &acknowledged, &nodes).unwrap();
            assert_eq!(found, Audit::default(), "the journal of {pc}");
        }
        self.cluster
    }

    /// Sets a property of a PC.
    pub(crate) async fn set(&self, pc: &str, value: i64) {
        let executed = self.operator.client().execute(&level(pc, value)).await;
        executed.unwrap().unwrap();
    }

    /// What is desired of a PC, in the property that `set` sets.
    pub(crate) async fn desired(&self, pc: &str) -> Option<Value> {
        self.operator.node(pc).await.unwrap().desired.properties.get(LEVEL).cloned()
    }
}

const LEVEL: &str = "level";

pub(crate) fn level(pc: &str, value: i64) -> Command {
    let properties = [(LEVEL.to_owned(), Value::Integer(value))].into();
    Command::Set { selector: Selector::Node(pc.to_owned()), properties }
}

/// Folders and certificates of a new cluster of three voters. Nothing runs.
pub(crate) fn founded() -> LocalCluster {
    LocalCluster::found(Executables::find().unwrap(), 3, None).unwrap()
}

/// Waits until some more commands are answered.
pub(crate) async fn more(load: &Load) {
    let goal = load.count() + COMMANDS;
    let look =
        async || if load.count() >= goal { Ok(()) } else { Err(format!("{} of {goal}", load.count())) };
    wait_until("commands to be answered", look).await.unwrap();
}
