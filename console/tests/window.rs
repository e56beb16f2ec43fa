//! The window itself: started on a display that nobody sees, clicked, photographed, and measured.
//!
//! Needs Xvfb, xdotool, xclip and ImageMagick (`apt-get install xvfb xdotool xclip imagemagick`, and for winit
//! libx11-6 libx11-xcb1 libxcursor1 libxi6 libxrandr2 libxkbcommon-x11-0). Without them it says so and passes,
//! unless `CI` is set: then it fails.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use demo::{Executables, LocalCluster, Operator, PATIENCE, Start, wait_until};
use fleet::{ImportMode, Place};

/// Where the node in the middle is, in a window of the size that the console opens with.
const MIDDLE: (&str, &str) = ("550", "375");
/// What stands on the right: the properties of what is chosen.
const SIDE: Part = "330x400+1105+100";
/// Where the log is searched.
const SEARCH: Part = "600x40+20+680";

/// Where there is nothing but the window's ground.
const GROUND: Part = "1x1+1090+560";

/// How long the processor is watched while nobody does anything.
const MEASURED: Duration = Duration::from_secs(10);
/// Linux counts a process' time in these, whatever its own timer.
const TICKS_PER_SECOND: u64 = 100;

/// What the console's log says once there is something to click on.
const SHOWN: &str = "a picture of the fleet is on the screen";

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

/// A part of the screen: where it begins and how large it is, as ImageMagick writes it.
type Part = &'static str;

struct Screen {
    display: String,
    folder: PathBuf,
}

impl Screen {
    /// A command that works on this screen.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("DISPLAY", &self.display);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        // xdotool waits for ever for a window that never comes.
        let status = self.command("timeout", &[&["60", program], arguments].concat()).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }

    fn press(&self, key: &str) {
        self.run("xdotool", &["key", key]);
    }

    fn photograph(&self, part: Part) -> Vec<u8> {
        let file = self.folder.join("photograph.ppm");
        self.run("import", &["-window", "root", "-crop", part, file.to_str().unwrap()]);
        std::fs::read(file).unwrap()
    }

    /// Does something, and waits until a part of the screen shows it.
    async fn see(&self, what: &str, part: Part, act: impl FnOnce()) {
        let before = self.photograph(part);
        act();
        let look = async || if self.photograph(part) == before { Err("it looks as before") } else { Ok(()) };
        wait_until(what, look).await.unwrap();
    }

    /// What programs paste here.
    fn pasted(&self) -> String {
        let mut paste = self.command("xclip", &["-selection", "clipboard", "-out"]);
        String::from_utf8_lossy(&paste.stdout(Stdio::piped()).output().unwrap().stdout).into_owned()
    }

    async fn can_be_pasted(&self, text: &str) {
        let look = async || match self.pasted() {
            pasted if pasted == text => Ok(()),
            pasted => Err(format!("it is {pasted:?}")),
        };
        wait_until(format!("{text:?} on the clipboard"), look).await.unwrap();
    }

    /// Another program, in which this was copied.
    async fn other_program(&self, text: &str) -> Kept {
        let mut copy = self.command("xclip", &["-selection", "clipboard", "-in", "-quiet"]);
        let mut other = copy.stdin(Stdio::piped()).spawn().unwrap();
        other.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let other = Kept(other);
        self.can_be_pasted(text).await;
        other
    }
}

/// The console with an operator's configuration, not yet started.
fn console(config: &Path) -> Command {
    let mut console = Command::new(env!("CARGO_BIN_EXE_console"));
    console.arg("--config").arg(config);
    console
}

/// The same for Windows: `PREVALENT_WINDOWS_EXECUTABLES` names its folder, and `PREVALENT_WINDOWS_RUNNER` what
/// runs it.
fn windows_console(config: &Path) -> Command {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set"));
    let mut console = Command::new(variable("PREVALENT_WINDOWS_RUNNER"));
    // All of this system's files are on that drive.
    let config = format!("Z:{}", config.display()).replace('/', "\\");
    let executable = Path::new(&variable("PREVALENT_WINDOWS_EXECUTABLES")).join("console.exe");
    console.arg(executable).arg("--config").arg(config);
    console
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

/// Whether there is everything here that these tests need. Where changes are judged, nothing may go untested
/// unnoticed: there it is a failure if something is missing.
fn has_tools() -> bool {
    let Some(program) =
        ["Xvfb", "xdotool", "import", "xclip"].into_iter().find(|program| is_missing(program))
    else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "there is no {program}; this file begins with what to install");
    println!("skipped: there is no {program} on this machine");
    false
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

/// Starts a console, and waits until it shows the fleet and has the keyboard.
async fn start(screen: &Screen, mut console: Command) -> Kept {
    let log = screen.folder.join("console.log");
    console.env("DISPLAY", &screen.display).env("RUST_LOG", "console=info");
    let console = Kept(console.stderr(File::create(&log).unwrap()).spawn().unwrap());
    let shown = async || {
        let log = std::fs::read_to_string(&log).unwrap();
        if log.contains(SHOWN) { Ok(()) } else { Err(format!("its log: {log}")) }
    };
    wait_until("a picture of the fleet", shown).await.unwrap();
    // No window manager gives the window the keyboard.
    let found = ["search", "--sync", "--onlyvisible", "--name", "Prevalent console"];
    screen.run("xdotool", &[&found[..], &["windowfocus", "--sync"]].concat());
    console
}

/// Clicks on the node in the middle and moves it with the keyboard: the fleet says whether that was understood.
async fn check_acting(screen: &Screen, operator: &Operator) {
    let click = || screen.run("xdotool", &["mousemove", MIDDLE.0, MIDDLE.1, "click", "1"]);
    screen.see("the properties of what was clicked on", SIDE, click).await;
    screen.press("alt+Right");
    let moved = wait_until("pc5 to be moved to the right", async || {
        let place = operator.node("pc5").await.map_err(|error| error.to_string())?.place;
        if place == (Place { row: 2, column: 3 }) { Ok(()) } else { Err(format!("it is at {place}")) }
    });
    moved.await.unwrap();
}

/// Pastes what was copied in another program into the field that searches the log, and cuts it out for others.
async fn check_clipboard(screen: &Screen) {
    let other = screen.other_program("from another program").await;
    screen.see("the keyboard in the search field", SEARCH, || screen.press("ctrl+f")).await;
    screen.press("ctrl+v");
    screen.run("xdotool", &["type", " and back"]);
    screen.press("ctrl+a");
    screen.press("ctrl+x");
    screen.can_be_pasted("from another program and back").await;
    drop(other);
}

/// Changes the colours, ends the console and starts another: it has them too.
async fn check_looks(screen: &Screen, before: Kept, again: Command) -> Kept {
    let ground = || *screen.photograph(GROUND).last().unwrap();
    assert!(ground() < 64, "it is dark at first");
    screen.press("ctrl+d");
    let kept = screen.folder.join("console-operator/looks.toml");
    let written = async || match std::fs::read_to_string(&kept) {
        Ok(text) if text.contains("light") => Ok(()),
        other => Err(format!("{}: {other:?}", kept.display())),
    };
    wait_until("the colours to be kept", written).await.unwrap();
    drop(before);
    let console = start(screen, again).await;
    assert!(ground() > 192, "it is light from the beginning");
    console
}

/// Everything, with the console that `console` makes; the last one still runs.
async fn check(screen: &Screen, operator: &Operator, console: impl Fn() -> Command) -> Kept {
    let first = start(screen, console()).await;
    check_acting(screen, operator).await;
    check_clipboard(screen).await;
    check_looks(screen, first, console()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_started_clicked_and_photographed() {
    if !has_tools() {
        return;
    }
    let (cluster, operator) = cluster().await;
    let (_server, display) = display();
    let folder = cluster.folder_of("operator");
    let screen = Screen { display, folder: folder.clone() };
    let console = check(&screen, &operator, || console(&folder.join("fleetctl.toml"))).await;

    // For people to read: what it costs to leave it open all day. Nothing waits for the end of these seconds; they
    // are how long it is measured.
    let log = std::fs::read_to_string(folder.join("console.log")).unwrap();
    println!("{}", log.lines().find(|line| line.contains(SHOWN)).unwrap());
    let process = console.0.id();
    let before = processor_ticks(process);
    tokio::time::sleep(MEASURED).await;
    let busy = processor_ticks(process) - before;
    let of = MEASURED.as_secs() * TICKS_PER_SECOND;
    println!("idle: {busy} of {of} ticks of the processor, {} KiB resident", resident_kib(process));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_for_windows_understands_the_same() {
    if std::env::var_os("PREVALENT_WINDOWS_RUNNER").is_none() {
        println!(
            "skipped: this is for `cargo xtask windows --only window`, which says where the executable is"
        );
        return;
    }
    if !has_tools() {
        return;
    }
    let (cluster, operator) = cluster().await;
    let (_server, display) = display();
    let folder = cluster.folder_of("operator");
    let screen = Screen { display, folder: folder.clone() };
    check(&screen, &operator, || windows_console(&folder.join("fleetctl.toml"))).await;
}
