//! The window itself: started on a display that nobody sees, clicked, photographed, and measured.
//!
//! Needs Xvfb, xdotool and ImageMagick (`apt-get install xvfb xdotool imagemagick`, and for winit libx11-6
//! libx11-xcb1 libxcursor1 libxi6 libxrandr2 libxkbcommon-x11-0). Without them it says so and passes.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use demo::{Executables, LocalCluster, Operator, PATIENCE, Start, wait_until};
use fleet::{ImportMode, Place};

/// Where the node in the middle is, in a window of the size that the console opens with.
const MIDDLE: (&str, &str) = ("550", "375");

/// A process that ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn is_missing(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    !found.is_ok_and(|status| status.success())
}

/// A display of its own, and its name.
fn display() -> (Kept, String) {
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut number = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
    (Kept(server), format!(":{}", number.trim()))
}

struct Screen {
    display: String,
    folder: PathBuf,
}

impl Screen {
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).env("DISPLAY", &self.display).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    fn photograph(&self, name: &str) -> Vec<u8> {
        let file = self.folder.join(format!("{name}.ppm"));
        assert!(self.run("import", &["-window", "root", file.to_str().unwrap()]), "no photograph");
        std::fs::read(file).unwrap()
    }

    /// Waits until the screen shows something else.
    async fn changed(&self, what: &str, before: &[u8]) {
        let look = async || if self.photograph("now") == before { Err("it looks as before") } else { Ok(()) };
        wait_until(what, look).await.unwrap();
    }
}

/// The console with an operator's configuration, not yet started.
fn console(config: &Path) -> Command {
    let mut console = Command::new(env!("CARGO_BIN_EXE_console"));
    console.arg("--config").arg(config);
    console
}

/// The same for Windows, if there is one here: `PREVALENT_WINDOWS_EXECUTABLES` names its folder, and
/// `PREVALENT_WINDOWS_RUNNER` what runs it.
fn windows_console(config: &Path) -> Option<Command> {
    let folder = PathBuf::from(std::env::var_os("PREVALENT_WINDOWS_EXECUTABLES")?);
    let mut console = Command::new(std::env::var_os("PREVALENT_WINDOWS_RUNNER")?);
    // All of this system's files are on that drive.
    let config = format!("Z:{}", config.display()).replace('/', "\\");
    console.arg(folder.join("console.exe")).arg("--config").arg(config);
    Some(console)
}

/// A number from a file of the system about a process.
fn status(process: u32, file: &str, take: impl Fn(&str) -> Option<u64>) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    take(&text).unwrap()
}

fn processor_ticks(process: u32) -> u64 {
    status(process, "stat", |text| {
        let times: Vec<u64> =
            text.rsplit(')').next()?.split(' ').skip(12).take(2).flat_map(str::parse).collect();
        Some(times.iter().sum())
    })
}

fn resident_kib(process: u32) -> u64 {
    status(process, "status", |text| {
        let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    })
}

/// What is missing on this machine for these tests.
fn missing() -> Option<&'static str> {
    ["Xvfb", "xdotool", "import"].into_iter().find(|program| is_missing(program))
}

/// A cluster with its fleet, and somebody who asks it.
async fn cluster() -> (LocalCluster, Operator) {
    let mut cluster = LocalCluster::found(Executables::find().unwrap(), 3, None).unwrap();
    for pc in cluster.voters().to_vec() {
        cluster.start_master(&pc, Start::Founder).unwrap();
    }
    let operator = cluster.operator(PATIENCE).unwrap();
    operator.import(cluster.fleet().clone(), ImportMode::Merge).await.unwrap();
    (cluster, operator)
}

/// Starts a console, clicks on the node in the middle, and moves it with the keyboard: the fleet says whether that
/// was understood. Returns the console, which still runs.
async fn check(screen: &Screen, operator: &Operator, mut console: Command) -> Kept {
    let log = screen.folder.join("console.log");
    let nothing = screen.photograph("nothing");
    console.env("DISPLAY", &screen.display).env("RUST_LOG", "console=info");
    let console = Kept(console.stderr(File::create(&log).unwrap()).spawn().unwrap());
    screen.changed("a window", &nothing).await;
    let window = ["search", "--name", "Prevalent console"];
    let moved = wait_until("pc5 to be moved to the right", async || {
        let place = operator.node("pc5").await.map_err(|error| error.to_string())?.place;
        if place == (Place { row: 2, column: 3 }) {
            return Ok(());
        }
        let before = screen.photograph("before");
        let click = ["mousemove", "--window", "%1", MIDDLE.0, MIDDLE.1, "click", "1"];
        // No window manager gives the window the keyboard.
        let is_there = screen.run("xdotool", &[&window[..], &["windowfocus"], &click].concat());
        if is_there && screen.photograph("clicked") != before {
            screen.run("xdotool", &["key", "alt+Right"]);
        }
        // What was done is done again, if it came before there was a picture.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        Err(format!("it is at {place}, {log}"))
    });
    moved.await.unwrap();
    console
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_started_clicked_and_photographed() {
    if let Some(program) = missing() {
        println!("skipped: there is no {program} on this machine");
        return;
    }
    let (cluster, operator) = cluster().await;
    let (_server, display) = display();
    let folder = cluster.folder_of("operator");
    let screen = Screen { display, folder: folder.clone() };
    let console = check(&screen, &operator, console(&folder.join("fleetctl.toml"))).await;

    // For people to read: what it costs to leave it open all day.
    let log = std::fs::read_to_string(folder.join("console.log")).unwrap();
    println!("{}", log.lines().find(|line| line.contains("a picture of the fleet")).unwrap_or("no picture"));
    let process = console.0.id();
    let before = processor_ticks(process);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let busy = processor_ticks(process) - before;
    println!("idle: {busy} of 300 ticks of the processor, {} KiB resident", resident_kib(process));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_for_windows_understands_the_same() {
    let (cluster, operator) = match missing() {
        Some(program) => return println!("skipped: there is no {program} on this machine"),
        None if std::env::var_os("PREVALENT_WINDOWS_RUNNER").is_none() => {
            return println!(
                "skipped: PREVALENT_WINDOWS_RUNNER and PREVALENT_WINDOWS_EXECUTABLES are not set"
            );
        }
        None => cluster().await,
    };
    let (_server, display) = display();
    let folder = cluster.folder_of("operator");
    let screen = Screen { display, folder: folder.clone() };
    let console = windows_console(&folder.join("fleetctl.toml")).expect("both variables are set");
    check(&screen, &operator, console).await;
}
