//! What was packed is tried as an operator would: a cluster of three on this machine.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::windows::Wine;
use crate::{repository, step};

/// Many times as long as any of it takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

const SERVICE: &str = "prevalent-master";

/// Unpacked programs, and how they are run.
pub(crate) struct Programs<'a> {
    folder: PathBuf,
    wine: Option<&'a Wine>,
}

impl<'a> Programs<'a> {
    /// Programs of this machine.
    pub(crate) fn linux(folder: PathBuf) -> Programs<'static> {
        Programs { folder, wine: None }
    }

    /// Programs for Windows.
    pub(crate) fn windows(folder: PathBuf, wine: &'a Wine) -> Programs<'a> {
        Programs { folder, wine: Some(wine) }
    }

    fn command(&self, name: &str) -> Command {
        match self.wine {
            Some(wine) => wine.command(&self.folder.join(format!("{name}.exe"))),
            None => Command::new(self.folder.join(name)),
        }
    }
}

/// Makes a cluster, starts it, and asks it how it is.
///
/// # Errors
/// If something of that does not work.
pub(crate) fn run(what: &str, programs: &Programs<'_>) -> anyhow::Result<()> {
    eprintln!("\n== try {what}");
    let wall = Wall::make(programs, 3)?;
    let mut running = Vec::new();
    for pc in ["pc1", "pc2", "pc3"] {
        let (master, node) = (wall.config(pc, "master"), wall.config(pc, "node"));
        step::output(
            "master config check",
            1,
            programs.command("master").args(["config", "check", "--config"]).arg(&master),
        )?;
        step::output(
            "node config check",
            1,
            programs.command("node").args(["config", "check", "--config"]).arg(&node),
        )?;
        let mut voter = programs.command("master");
        voter.arg("--config").arg(&master);
        if pc != "pc1" {
            voter.arg("--standby");
        }
        running.push(Running::start(voter, &wall.folder.path().join(format!("{pc}-master.log")))?);
        let mut agent = programs.command("node");
        agent.arg("--config").arg(&node);
        running.push(Running::start(agent, &wall.folder.path().join(format!("{pc}-node.log")))?);
    }
    let said = wall.operate(programs);
    let said = said.with_context(|| running.iter().map(Running::log).collect::<Vec<_>>().join("\n"))?;
    eprintln!("{said}");
    for program in &mut running {
        ensure!(program.child.try_wait()?.is_none(), "it has ended by itself:\n{}", program.log());
    }
    Ok(())
}

/// A cluster's folders, as `master init` makes them, below a folder with a name as people give them.
struct Wall {
    folder: tempfile::TempDir,
}

impl Wall {
    fn make(programs: &Programs<'_>, voters: usize) -> anyhow::Result<Wall> {
        let folder = tempfile::Builder::new().prefix("Wand Süd ").tempdir();
        let wall = Wall { folder: folder.context("cannot make a temporary folder")? };
        let addresses = free_addresses(voters)?;
        let voters: Vec<String> =
            addresses.iter().enumerate().map(|(at, address)| format!("pc{}={address}", at + 1)).collect();
        let mut init = programs.command("master");
        init.arg("init").arg("--fleet").arg(repository::root().join("examples/fleet-3x3.csv"));
        init.arg("--voters").arg(voters.join(",")).arg("--out").arg(wall.cluster());
        step::output("master init", 1, &init)?;
        Ok(wall)
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("Büro")
    }

    fn config(&self, pc: &str, program: &str) -> PathBuf {
        self.cluster().join(pc).join(format!("{program}.toml"))
    }

    /// Imports the fleet, and waits until the three nodes have been seen and are as they should be.
    fn operate(&self, programs: &Programs<'_>) -> anyhow::Result<String> {
        let fleetctl = |arguments: &[&str]| {
            let mut command = programs.command("fleetctl");
            command.arg("--config").arg(self.config("operator", "fleetctl")).args(["--timeout", "60"]);
            command.args(arguments);
            command
        };
        let fleet = repository::root().join("examples/fleet-3x3.csv");
        step::output("fleetctl import", 2, fleetctl(&["import"]).arg(&fleet))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = step::output("fleetctl status", 2, &fleetctl(&["status", "--json"]))?;
            let status: serde_json::Value =
                serde_json::from_str(&status).context("fleetctl prints no JSON")?;
            let cells = status["cells"].as_array().map_or(&[][..], Vec::as_slice);
            if cells.iter().filter(|cell| cell["condition"] == "settled").count() == 3 {
                break;
            }
            ensure!(Instant::now() < deadline, "the nodes do not come: {status}");
        }
        step::output("fleetctl status", 2, &fleetctl(&["status"]))
    }
}

/// Installs the voter as a Windows service, starts and stops it, and removes it.
///
/// # Errors
/// If something of that does not work.
pub(crate) fn run_service(programs: &Programs<'_>, wine: &Wine) -> anyhow::Result<()> {
    eprintln!("\n== try the Windows service under Wine");
    let wall = Wall::make(programs, 1)?;
    let config = wall.config("pc1", "master");
    let service = |order: &str| {
        let mut command = programs.command("master");
        command.args(["service", order, "--config"]).arg(&config);
        command
    };
    // Without any program Wine stops its service manager, and starts it anew for the next one.
    let mut anchor = wine.command(Path::new("ping"));
    anchor.args(["-n", "600", "127.0.0.1"]);
    let _anchor = Running::start(anchor, &wall.folder.path().join("ping.log"))?;
    let logs = wine.common_data().map(|data| data.join("Prevalent").join("logs"));
    for folder in &logs {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    let install = || step::output("master service install", 1, &service("install"));
    ensure!(install()?.contains("was installed"), "it was there before");
    ensure!(install()?.contains("was there already"), "it was not there afterwards");
    step::output("net start", 2, wine.command(Path::new("net")).args(["start", SERVICE]))?;
    wait_for(&logs, "recovered, listening")?;
    let mut status = programs.command("master");
    status.args(["status", "--config"]).arg(&config);
    eprintln!("{}", step::output("master status", 2, &status)?);
    let uninstall = || step::output("master service uninstall", 2, &service("uninstall"));
    ensure!(uninstall()?.contains("was stopped and removed"), "it was not there");
    ensure!(uninstall()?.contains("nothing was to be done"), "it was still there");
    wait_for(&logs, "asked to stop")
}

fn wait_for(logs: &[PathBuf], words: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let read = |folder: &PathBuf| fs::read_to_string(folder.join(format!("{SERVICE}.000001.log"))).ok();
        let text: String = logs.iter().filter_map(read).collect();
        if text.contains(words) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the service's log does not say \"{words}\":\n{text}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    // All at once, so that they differ.
    let sockets: Result<Vec<UdpSocket>, _> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect();
    let sockets = sockets.context("no port is free")?;
    sockets.iter().map(|socket| Ok(socket.local_addr()?.to_string())).collect()
}

/// A process that is killed when this is dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> anyhow::Result<Running> {
        let file = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Running { child, log: log.to_owned() })
    }

    fn log(&self) -> String {
        format!("{}:\n{}", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("cannot end process {}: {error}", self.child.id());
        }
    }
}
