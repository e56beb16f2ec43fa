//! A cluster of three voters with the example fleet, and the program run in an operator's folder of it.

use std::process::{Command, Output};

use demo::{Executables, LocalCluster, Operator, PATIENCE, Program, Start};
use fleet::ImportMode;
use position::Epoch;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

/// One cluster at a time: many voters on two cores would suspect each other.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Site {
    pub(crate) cluster: LocalCluster,
    pub(crate) operator: Operator,
    _turn: MutexGuard<'static, ()>,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Said {
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Site {
    pub(crate) async fn start() -> Site {
        let turn = TURN.lock().await;
        let mut cluster = LocalCluster::found(Executables::find().unwrap(), 3, None).unwrap();
        for (number, pc) in cluster.voters().to_vec().iter().enumerate() {
            cluster.start_master(pc, if number == 0 { Start::Founder } else { Start::Standby }).unwrap();
        }
        let operator = cluster.operator(PATIENCE).unwrap();
        operator.import(cluster.fleet().clone(), ImportMode::Merge).await.unwrap();
        Site { cluster, operator, _turn: turn }
    }

    /// Kills the master, and returns once there is another.
    pub(crate) async fn fail_over(&mut self) {
        let old = self.operator.master_after(Epoch::NONE).await.unwrap();
        self.cluster.kill(&old.pc, Program::Master).unwrap();
        self.operator.master_after(old.epoch).await.unwrap();
    }

    /// The program with arguments, in somebody's folder.
    pub(crate) fn command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetctl"));
        command.args(["--timeout", "60"]).args(arguments).current_dir(self.cluster.folder_of(person));
        command.env_remove("FLEETCTL_CONFIG").env_remove("RUST_LOG");
        command
    }

    /// Runs it to its end. The cluster is made of processes: they need nothing from this thread.
    pub(crate) fn run_as(&self, person: &str, arguments: &[&str]) -> Said {
        Said::of(self.command(person, arguments).output().unwrap())
    }

    /// What an operator is told.
    #[track_caller]
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let said = self.run_as("operator", arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.stdout
    }

    /// The same as JSON: a line, of which there is only one.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let told = self.told(&[arguments, &["--json"]].concat());
        assert_eq!(told.lines().count(), 1, "{told}");
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// What an operator is told by exit code and standard error.
    #[track_caller]
    pub(crate) fn refuses(&self, person: &str, arguments: &[&str], code: i32, part: &str) {
        let said = self.run_as(person, arguments);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(part), "{arguments:?}: {said:?}");
    }
}
