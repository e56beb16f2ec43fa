//! A cluster of processes on this machine: each PC has a folder, an address and its executables.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use fleet::{Configuration, Fleet, Format};
use shipper::{Client, ClientError, ClientOptions};
use tempfile::TempDir;

use crate::addresses::{NoAddress, free_addresses};
use crate::{Executables, ExecutablesError, Operator, PATIENCE, Process, ProcessError, Program};

/// The fleet that is controlled, as an operator would import it.
const FLEET: &str = include_str!("../../examples/fleet-3x3.csv");
const FLEET_FILE: &str = "fleet-3x3.csv";

/// How much of each log is shown when something went wrong.
const LAST_LINES: usize = 8;

/// A local cluster does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The executables are not there.
    #[error(transparent)]
    Executables(#[from] ExecutablesError),
    /// No port is free.
    #[error(transparent)]
    Address(#[from] NoAddress),
    /// The folder cannot be written.
    #[error("cannot {attempted} {}: {source}", path.display())]
    Folder {
        /// What was tried, as a verb.
        attempted: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A process cannot be started or killed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// `master init` has failed.
    #[error("master init did not found a cluster:\n{output}")]
    Init {
        /// What it said.
        output: String,
    },
    /// The client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// How a voter is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It may become master from the beginning.
    Founder,
    /// With `--standby`: of a new cluster it does not become the first master.
    Standby,
}

/// A cluster of real processes. All of them are killed when it is dropped, and its folder is removed unless
/// it was named.
#[derive(Debug)]
pub struct LocalCluster {
    // Before the folder: the processes have to be gone when it is removed.
    processes: BTreeMap<(String, Program), Process>,
    folder: Folder,
    executables: Executables,
    /// Those of PCs that have another system than the others.
    moved: BTreeMap<String, Executables>,
    fleet: Configuration,
    voters: Vec<String>,
    addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl LocalCluster {
    /// Makes the example fleet's folders, with its first PCs as voters, by `master init`. Nothing is started.
    ///
    /// # Errors
    /// If that fails.
    pub fn found(
        executables: Executables,
        voters: usize,
        keep_in: Option<&Path>,
    ) -> Result<LocalCluster, ClusterError> {
        let fleet =
            fleet::read(FLEET_FILE, Format::Csv, FLEET.as_bytes(), &[]).expect("the example is a fleet");
        let voters: Vec<String> = fleet.nodes.iter().take(voters).map(|node| node.name.clone()).collect();
        let addresses = free_addresses(voters.len())?;
        let folder = Folder::make(keep_in)?;
        let (processes, moved) = (BTreeMap::new(), BTreeMap::new());
        let cluster = LocalCluster { processes, folder, executables, moved, fleet, voters, addresses };
        cluster.init()?;
        Ok(cluster)
    }

    fn init(&self) -> Result<(), ClusterError> {
        let (folder, fleet) = (self.folder.path(), self.folder.path().join(FLEET_FILE));
        std::fs::write(&fleet, FLEET).map_err(|source| ClusterError::Folder {
            attempted: "write",
            path: fleet.clone(),
            source,
        })?;
        let named = self.voters.iter().zip(&self.addresses).map(|(pc, address)| format!("{pc}={address}"));
        let mut command = self.executables.command(Program::Master)?;
        command.arg("init").arg("--fleet").arg(&fleet).arg("--out").arg(self.clustered());
        command.arg("--voters").arg(named.collect::<Vec<_>>().join(","));
        let mut process = Process::start("master init", command, &folder.join("init.log"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match process.exited()? {
                Some(status) if status.success() => return Ok(()),
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Some(_) | None => return Err(ClusterError::Init { output: process.last_lines(LAST_LINES) }),
            }
        }
    }

    fn clustered(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// The fleet as it is to be imported.
    #[must_use]
    pub fn fleet(&self) -> &Configuration {
        &self.fleet
    }

    /// The names of all PCs.
    pub fn pcs(&self) -> impl Iterator<Item = &str> {
        self.fleet.nodes.iter().map(|node| node.name.as_str())
    }

    /// The names of the PCs that vote.
    #[must_use]
    pub fn voters(&self) -> &[String] {
        &self.voters
    }

    /// Where a voter listens.
    ///
    /// # Panics
    /// If the PC does not vote.
    #[must_use]
    pub fn address(&self, voter: &str) -> SocketAddr {
        let at = self.voters.iter().position(|name| name == voter).expect("only voters listen");
        self.addresses[at]
    }

    /// The folder of a PC or a person, as `master init` has made it.
    #[must_use]
    pub fn folder_of(&self, owner: &str) -> PathBuf {
        self.clustered().join(owner)
    }

    /// The data directory of a voter.
    #[must_use]
    pub fn data_of(&self, voter: &str) -> PathBuf {
        self.folder_of(voter).join("data")
    }

    /// The executables that the cluster consists of.
    #[must_use]
    pub fn executables(&self) -> &Executables {
        &self.executables
    }

    /// From its next start on a PC is run by these executables, with the folder that it has: it gets
    /// another system.
    pub fn move_to(&mut self, pc: &str, executables: Executables) {
        self.moved.insert(pc.to_owned(), executables);
    }

    /// Starts a PC's voter.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_master(&mut self, pc: &str, start: Start) -> Result<(), ClusterError> {
        let standby: &[&str] = match start {
            Start::Founder => &[],
            Start::Standby => &["--standby"],
        };
        self.start(pc, Program::Master, standby)
    }

    /// Starts a PC's agent.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_node(&mut self, pc: &str) -> Result<(), ClusterError> {
        self.start(pc, Program::Node, &[])
    }

    fn start(&mut self, pc: &str, program: Program, arguments: &[&str]) -> Result<(), ClusterError> {
        let (name, folder) = (program.name(), self.folder_of(pc));
        let mut command = self.moved.get(pc).unwrap_or(&self.executables).command(program)?;
        command.arg("--config").arg(folder.join(format!("{name}.toml"))).args(arguments);
        let process =
            Process::start(&format!("{name} of {pc}"), command, &folder.join(format!("{name}.log")))?;
        let before = self.processes.insert((pc.to_owned(), program), process);
        assert!(before.is_none(), "{name} of {pc} was started twice");
        Ok(())
    }

    /// A running process.
    ///
    /// # Panics
    /// If it was not started, or killed since.
    #[must_use]
    pub fn process(&self, pc: &str, program: Program) -> &Process {
        self.processes.get(&(pc.to_owned(), program)).expect("it was started")
    }

    /// Kills one process without warning.
    ///
    /// # Errors
    /// If the system refuses.
    ///
    /// # Panics
    /// If it was not started, or killed already.
    pub fn kill(&mut self, pc: &str, program: Program) -> Result<(), ClusterError> {
        let process = self.processes.remove(&(pc.to_owned(), program));
        Ok(process.expect("it was started").kill()?)
    }

    /// How a process has ended by itself; `None` as long as it runs. One that has ended can be started again.
    ///
    /// # Errors
    /// If the system does not say.
    ///
    /// # Panics
    /// If it was not started, or killed since.
    pub fn ended(&mut self, pc: &str, program: Program) -> Result<Option<ExitStatus>, ClusterError> {
        let key = (pc.to_owned(), program);
        let status = self.processes.get_mut(&key).expect("it was started").exited()?;
        if status.is_some() {
            self.processes.remove(&key);
        }
        Ok(status)
    }

    /// The folder in which `master init` was run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills all processes of a PC, as if its power had failed.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill_pc(&mut self, pc: &str) -> Result<(), ClusterError> {
        for program in [Program::Master, Program::Node] {
            if let Some(mut process) = self.processes.remove(&(pc.to_owned(), program)) {
                process.kill()?;
            }
        }
        Ok(())
    }

    /// Kills everything.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill_all(&mut self) -> Result<(), ClusterError> {
        while let Some((_, mut process)) = self.processes.pop_first() {
            process.kill()?;
        }
        Ok(())
    }

    /// A client with the certificate of one of the people that `master init` has made.
    ///
    /// # Errors
    /// If it cannot be set up. Whether there is a master shows later.
    pub fn client(&self, person: &str, time_out: Duration) -> Result<Client<Fleet>, ClusterError> {
        let identity = self.folder_of(person).join("certificates");
        let addresses = self.addresses.clone();
        Ok(Client::connect(ClientOptions { addresses, identity, members_file: None, time_out })?)
    }

    /// An operator, whose calls wait for a master for so long.
    ///
    /// # Errors
    /// If the client cannot be set up. Whether there is a master shows later.
    pub fn operator(&self, time_out: Duration) -> Result<Operator, ClusterError> {
        let voters = self.voters.iter().cloned().zip(self.addresses.iter().copied()).collect();
        Ok(Operator::new(self.client("operator", time_out)?, voters))
    }

    /// The last log lines of all processes, to be shown when something went wrong.
    pub fn last_lines(&mut self) -> String {
        self.processes.values_mut().map(|process| process.last_lines(LAST_LINES)).collect()
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            app::complain(self.last_lines());
        }
    }
}

impl Folder {
    fn make(keep_in: Option<&Path>) -> Result<Folder, ClusterError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ClusterError::Folder { attempted: "make the folder", path, source }
        };
        match keep_in {
            Some(path) => {
                // Not an existing one: what a person keeps there would be overwritten.
                std::fs::create_dir(path).map_err(failed(path))?;
                std::path::absolute(path).map(Folder::Kept).map_err(failed(path))
            }
            None => {
                let made = tempfile::Builder::new().prefix("prevalent-").tempdir();
                made.map(Folder::Temporary).map_err(failed(&std::env::temp_dir()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }
}
