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

use demo::{Executables, LocalCluster, PATIENCE, Start, wait_until};
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
    async fn changed(&self, what: &str, before: &[u8]) -> Vec<u8> {
        let look = async || {
            let now = self.photograph(what);
            if now == before { Err("it looks as before") } else { Ok(now) }
        };
        wait_until(what, look).await.unwrap()
    }
}

fn start_console(config: &Path, display: &str, log: &Path) -> Kept {
    let log = File::create(log).unwrap();
    let console = Command::new(env!("CARGO_BIN_EXE_console"))
        .arg("--config")
        .arg(config)
        .env("DISPLAY", display)
        .env("RUST_LOG", "console=info")
        .stderr(log)
        .spawn();
    Kept(console.unwrap())
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

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_started_clicked_and_photographed() {
    for program in ["Xvfb", "xdotool", "import"] {
        if is_missing(program) {
            println!("skipped: there is no {program} on this machine");
            return;
        }
    }
    let mut cluster = LocalCluster::found(Executables::find().unwrap(), 3, None).unwrap();
    for pc in cluster.voters().to_vec() {
        cluster.start_master(&pc, Start::Founder).unwrap();
    }
    let operator = cluster.operator(PATIENCE).unwrap();
    operator.import(cluster.fleet().clone(), ImportMode::Merge).await.unwrap();

    let (_server, display) = display();
    let folder = cluster.folder_of("operator");
    let log = folder.join("console.log");
    let screen = Screen { display: display.clone(), folder: folder.clone() };
    let nothing = screen.photograph("nothing");
    let console = start_console(&folder.join("fleetctl.toml"), &display, &log);
    let process = console.0.id();
    let first_picture = wait_until("a picture of the fleet", async || {
        let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        log.lines().find(|line| line.contains("a picture of the fleet")).map(str::to_owned).ok_or(log)
    });
    println!("{}", first_picture.await.unwrap());
    let shown = screen.changed("fleet", &nothing).await;

    assert!(screen.run("xdotool", &["mousemove", MIDDLE.0, MIDDLE.1, "click", "1"]));
    screen.changed("chosen", &shown).await;
    // No window manager gives the window the keyboard.
    assert!(screen.run("xdotool", &["search", "--name", "Prevalent console", "windowfocus"]));
    let moved = wait_until("pc5 to be moved to the right", async || {
        let place = operator.node("pc5").await.map_err(|error| error.to_string())?.place;
        if place == (Place { row: 2, column: 3 }) {
            return Ok(());
        }
        // The keyboard may have come too late for the first key.
        screen.run("xdotool", &["key", "alt+Right"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(format!("it is at {place}"))
    });
    moved.await.unwrap();

    // For people to read: what it costs to leave it open all day.
    let before = processor_ticks(process);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let busy = processor_ticks(process) - before;
    println!("idle: {busy} of 300 ticks of the processor, {} KiB resident", resident_kib(process));
}
